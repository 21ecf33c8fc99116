"""`post3 ls|cp|mv|rm|mb|rb|cat|sync|presign|du` as people and scripts meet them."""

from __future__ import annotations

import json
import os
import pty
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, sleep
from typing import TYPE_CHECKING, Any, Final
from urllib.request import Request, urlopen

import pytest
from click.testing import CliRunner, Result

from post3.cli import program
from post3.cli.places import LocalPath, S3Path
from post3.cli.transfers import Moving, Transfer, drop_partial
from post3.client import Client, Damaged
from tests.api.conftest import new_bucket, new_name
from tests.api.people import client_of
from tests.api.test_cli import eventually
from tests.conftest import MIB, some_bytes
from tests.servers import Server, environment, post3_serve

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

LARGE: Final = some_bytes(20 * MIB + 5)
KEYS: Final = {"AWS_ACCESS_KEY_ID": "ROOTKEY", "AWS_SECRET_ACCESS_KEY": "open-sesame-0123"}
ROOT_KEY: Final = {"POST3_ACCESS_KEY": "ROOTKEY", "POST3_SECRET_KEY": "open-sesame-0123"}


def settings(url: str, extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """An environment that names this server, and nobody's keys."""
    kept = {name: value for name, value in environment().items() if not name.startswith("AWS_")}
    nobody = {"AWS_CONFIG_FILE": "/nonexistent", "AWS_SHARED_CREDENTIALS_FILE": "/nonexistent"}
    return {**kept, **nobody, "POST3_ENDPOINT": url, **(extra or {})}


@dataclass(frozen=True, slots=True)
class Shell:
    """Runs commands against a server."""

    url: str
    s3: S3Client
    extra: Mapping[str, str]

    def run(self, *arguments: object) -> Result:
        """How a command ends, within this process."""
        absent: dict[str, str | None] = {name: None for name in os.environ if name.startswith(("AWS_", "POST3_"))}
        return CliRunner(env={**absent, **settings(self.url, self.extra)}).invoke(program, [*map(str, arguments)])

    def told(self, *arguments: object) -> str:
        """What a command prints that does what it is told."""
        result = self.run(*arguments)
        assert (result.exit_code, result.stderr) == (0, ""), result.exception
        return result.stdout

    def document(self, *arguments: object) -> Any:
        return json.loads(self.told(*arguments, "--json"))

    def refused(self, status: int, *arguments: object) -> str:
        """The one line that says why not."""
        result = self.run(*arguments)
        assert (result.exit_code, result.stdout) == (status, ""), result.stderr
        assert result.stderr.count("\n") == 1
        assert result.stderr.startswith(f"post3 {arguments[0]}: ")
        return result.stderr

    def start(self, *arguments: object, **options: Any) -> subprocess.Popen[bytes]:
        """A process of its own."""
        command = [sys.executable, "-m", "post3", *map(str, arguments)]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
        return subprocess.Popen(command, env=settings(self.url, self.extra), **pipes)

    def keys(self, bucket: str) -> list[str]:
        return [one["Key"] for one in self.s3.list_objects_v2(Bucket=bucket).get("Contents", [])]

    def body(self, bucket: str, key: str) -> bytes:
        return self.s3.get_object(Bucket=bucket, Key=key)["Body"].read()

    def at(self, url: str) -> Shell:
        return Shell(url, self.s3, self.extra)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with post3_serve("--backend", "memory", cwd=tmp_path_factory.mktemp("server")) as running:
        yield running


@pytest.fixture
def shell(server: Server) -> Iterator[Shell]:
    with closing(client_of(server, None)) as s3:
        yield Shell(server.url, s3, {})


@pytest.fixture
def bucket(shell: Shell) -> str:
    return new_bucket(shell.s3)


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that asks for a key."""
    with post3_serve("--backend", "memory", cwd=tmp_path_factory.mktemp("locked"), env=ROOT_KEY) as running:
        yield running


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A folder with files in it and below."""
    root = tmp_path / "tree"
    (root / "deep" / "er").mkdir(parents=True)
    (root / "a.txt").write_text("a")
    (root / "deep" / "b.txt").write_text("bb")
    (root / "deep" / "er" / "é 1").write_bytes(b"")
    return root


TREE: Final = ["a.txt", "deep/b.txt", "deep/er/é 1"]


def files_in(root: Path) -> list[str]:
    return sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file())


# Buckets and lists


def test_a_bucket_is_made_listed_and_removed(shell: Shell) -> None:
    name = new_name()
    assert shell.told("mb", f"s3://{name}") == f"Made s3://{name}.\n"
    assert f"s3://{name}\n" in shell.told("ls")
    assert name in [json.loads(line)["bucket"] for line in shell.told("ls", "--json").splitlines()]
    assert shell.told("ls", f"s3://{name}") == ""
    assert shell.told("rb", f"s3://{name}") == f"Removed s3://{name}.\n"
    assert "NoSuchBucket" in shell.refused(3, "ls", f"s3://{name}")


def test_a_full_bucket_is_removed_only_by_force(shell: Shell, bucket: str) -> None:
    shell.s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    shell.s3.put_object(Bucket=bucket, Key="key", Body=b"")
    shell.s3.delete_object(Bucket=bucket, Key="key")
    shell.s3.create_multipart_upload(Bucket=bucket, Key="upload")
    assert "--force" in shell.refused(2, "rb", f"s3://{bucket}")
    empty = new_bucket(shell.s3)
    some = shell.run("rb", f"s3://{empty}", f"s3://{bucket}")
    assert (some.exit_code, some.stdout) == (1, f"Removed s3://{empty}.\n"), "wrong usage is when nothing was done"
    assert shell.document("rb", f"s3://{bucket}", "--force") == {"bucket": bucket}


def test_keys_are_folded_at_slashes_unless_all_are_asked_for(shell: Shell, bucket: str) -> None:
    for key in ("a", "dir/b", "dir/c"):
        shell.s3.put_object(Bucket=bucket, Key=key, Body=b"1234")
    lines = shell.told("ls", f"s3://{bucket}").splitlines()
    assert [line.split()[-1] for line in lines] == ["a", "dir/"]
    assert "4 bytes" in lines[0]
    documents = [json.loads(line) for line in shell.told("ls", f"s3://{bucket}", "--json").splitlines()]
    assert [(one.get("key"), one.get("prefix"), one.get("size")) for one in documents] == [
        ("a", None, 4),
        (None, "dir/", None),
    ]
    assert [line.split()[-1] for line in shell.told("ls", "-r", f"s3://{bucket}/dir").splitlines()] == [
        "dir/b",
        "dir/c",
    ]
    assert "Nothing begins with" in shell.refused(3, "ls", f"s3://{bucket}/none")


def test_a_key_cannot_write_to_the_terminal(shell: Shell, bucket: str) -> None:
    shell.s3.put_object(Bucket=bucket, Key="\x1b[2Jx\n", Body=b"")
    assert shell.told("ls", f"s3://{bucket}").endswith("  \\x1b[2Jx\\n\n")


def test_sizes_are_added_up(shell: Shell, bucket: str) -> None:
    for key, size in (("a", 1024), ("dir/b", 512), ("dir/c", 0)):
        shell.s3.put_object(Bucket=bucket, Key=key, Body=bytes(size))
    assert shell.told("du", f"s3://{bucket}") == f"1.5 KiB in 3 objects  s3://{bucket}\n"
    told = shell.document("du", f"s3://{bucket}/dir/")
    assert told == {"path": f"s3://{bucket}/dir/", "objects": 2, "bytes": 512}


# cp


@pytest.mark.parametrize("data", [b"", b"hello", LARGE], ids=["empty", "small", "large"])
def test_what_is_copied_up_across_and_down_comes_back_as_it_was(
    shell: Shell, bucket: str, tmp_path: Path, data: bytes
) -> None:
    (tmp_path / "file").write_bytes(data)
    told = shell.document("cp", tmp_path / "file", f"s3://{bucket}/dir/")
    assert (told["done"][0]["target"], told["bytes"], told["failed"]) == (f"s3://{bucket}/dir/file", len(data), [])
    assert shell.told("cp", f"s3://{bucket}/dir/file", f"s3://{bucket}/copy").startswith("Copied 1 file, ")
    shell.told("cp", f"s3://{bucket}/copy", f"{tmp_path}/new/")
    assert files_in(tmp_path) == ["file", "new/copy"]
    assert (tmp_path / "new" / "copy").read_bytes() == data


def test_several_files_go_into_a_folder_and_nowhere_else(shell: Shell, bucket: str, tree: Path) -> None:
    files = [tree / "a.txt", tree / "deep" / "b.txt"]
    assert shell.told("cp", *files, f"s3://{bucket}/x/") == "Copied 2 files, 3 bytes.\n"
    assert shell.keys(bucket) == ["x/a.txt", "x/b.txt"]
    assert "end" in shell.refused(2, "cp", *files, f"s3://{bucket}/x")


def test_folders_are_copied_whole_up_across_and_down(shell: Shell, bucket: str, tree: Path, tmp_path: Path) -> None:
    assert shell.told("cp", "-r", tree, f"s3://{bucket}/up") == "Copied 3 files, 3 bytes.\n"
    assert shell.keys(bucket) == [f"up/{name}" for name in TREE]
    shell.told("cp", "-r", f"s3://{bucket}/up/", f"s3://{bucket}/across")
    shell.told("cp", "-r", f"s3://{bucket}/across", tmp_path / "down")
    assert files_in(tmp_path / "down") == TREE
    assert (tmp_path / "down" / "deep" / "b.txt").read_text() == "bb"


def test_a_dry_run_tells_and_does_nothing(shell: Shell, bucket: str, tree: Path, tmp_path: Path) -> None:
    up = shell.told("cp", "-r", tree, f"s3://{bucket}", "--dry-run").splitlines()
    assert up[0] == f"would upload  {tree}/a.txt  s3://{bucket}/a.txt"
    assert len(up) == 3
    assert shell.document("mv", "-r", tree, f"s3://{bucket}", "--dry-run")["dry_run"] is True
    assert shell.keys(bucket) == []
    shell.s3.put_object(Bucket=bucket, Key="dir/key", Body=b"")
    shell.told("cp", "-r", f"s3://{bucket}/dir", tmp_path / "down", "--dry-run")
    assert shell.told("rm", "-r", f"s3://{bucket}/dir", "--dry-run") == f"would delete  s3://{bucket}/dir/key\n"
    assert not (tmp_path / "down").exists()
    assert shell.keys(bucket) == ["dir/key"]
    assert files_in(tree) == TREE


@pytest.mark.parametrize("recursive", [[], ["-r"]])
def test_a_folder_is_never_replaced_by_a_file(shell: Shell, bucket: str, tmp_path: Path, recursive: list[str]) -> None:
    shell.s3.put_object(Bucket=bucket, Key="dir/name", Body=b"")
    (tmp_path / "name").mkdir()
    source = f"s3://{bucket}/dir" if recursive else f"s3://{bucket}/dir/name"
    assert "is a folder" in shell.refused(2, "cp", *recursive, source, tmp_path)
    assert list((tmp_path / "name").iterdir()) == []


@pytest.mark.parametrize("key", ["dir/../../evil", "dir//evil", "dir/./evil"])
def test_a_key_cannot_leave_the_folder_that_it_is_copied_to(
    shell: Shell, bucket: str, tmp_path: Path, key: str
) -> None:
    shell.s3.put_object(Bucket=bucket, Key="dir/fine", Body=b"")
    shell.s3.put_object(Bucket=bucket, Key=key, Body=b"")
    assert "cannot be the name of a file" in shell.refused(1, "cp", "-r", f"s3://{bucket}/dir", tmp_path / "down")
    assert list(tmp_path.iterdir()) == []


def test_what_fails_is_told_and_the_rest_is_done(shell: Shell, bucket: str, tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    for name in ("a", "longer-than-fits", "z"):
        (root / name).write_text(name)
    prefix = "p" * 1020
    result = shell.run("cp", "-r", root, f"s3://{bucket}/{prefix}")
    assert (result.exit_code, result.stdout) == (1, "Copied 2 files, 2 bytes.\n")
    assert "longer-than-fits was not copied: " in result.stderr
    assert "KeyTooLong" in result.stderr
    assert shell.keys(bucket) == [f"{prefix}/a", f"{prefix}/z"]


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["cp", "tree", "s3://{bucket}/x"], "--recursive"),
        (["cp", "s3://{bucket}/", "."], "--recursive"),
        (["cp", "tree/a.txt", "elsewhere"], "must be in S3"),
        (["cp", "-r", "tree/a.txt", "s3://{bucket}"], "leave out --recursive"),
        (["cp", "-r", "s3://{bucket}/dir", "tree/a.txt"], "is a file"),
        (["cp", "-r", "s3://{bucket}/dir", "s3://{bucket}/dir/"], "the same"),
        (["cp", "-r", "tree", "tree", "s3://{bucket}"], "one source"),
        (["cp", "s3://{bucket}/dir/key", "s3://{bucket}/dir/key"], "the same"),
        (["mv", "s3://{bucket}/dir/key", "s3://{bucket}/dir/"], "the same"),
        (["cp", "-", "s3://{bucket}/"], "one stream"),
        (["cp", "-", "tree/a.txt", "s3://{bucket}/"], "one stream"),
        (["mv", "-", "s3://{bucket}/key"], "use cp"),
        (["sync", "-", "s3://{bucket}/key"], "not standard input"),
        (["cp", "tree/a.txt", "s3:///key"], "s3://bucket/key"),
        (["rm", "s3://{bucket}/dir/"], "--recursive"),
        (["rm", "s3://{bucket}"], "--recursive"),
        (["rm", "tree/a.txt"], "s3://bucket/key"),
        (["mb", "s3://{bucket}/key"], "takes a bucket"),
        (["cat", "s3://{bucket}"], "names no object"),
        (["presign", "s3://{bucket}"], "names no object"),
        (["presign", "s3://{bucket}/key", "--expires", "soon"], "--expires is 'soon'"),
        (["presign", "s3://{bucket}/key", "--expires", "8d"], "7 days"),
        (["ls", "--endpoint", "nowhere"], "nowhere"),
        (["ls", "--profile", "nobody"], "nobody"),
        (["ls", "--rec"], "--rec"),
    ],
)
def test_what_cannot_be_meant_is_told_in_one_line(
    shell: Shell, bucket: str, tree: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], part: str
) -> None:
    shell.s3.put_object(Bucket=bucket, Key="dir/key", Body=b"")
    monkeypatch.chdir(tree.parent)
    assert part in shell.refused(2, *(word.format(bucket=bucket) for word in arguments))
    assert shell.keys(bucket) == ["dir/key"]
    assert files_in(tree) == TREE


# mv


def test_what_is_moved_is_there_and_no_longer_here(shell: Shell, bucket: str, tree: Path, tmp_path: Path) -> None:
    shell.told("mv", "-r", tree, f"s3://{bucket}/up")
    assert files_in(tree) == []
    assert shell.told("mv", "-r", f"s3://{bucket}/up", f"s3://{bucket}/across") == "Moved 3 files, 3 bytes.\n"
    assert shell.keys(bucket) == [f"across/{name}" for name in TREE]
    shell.told("mv", f"s3://{bucket}/across/a.txt", tmp_path / "one")
    assert (tmp_path / "one").read_text() == "a"
    assert shell.keys(bucket) == [f"across/{name}" for name in TREE[1:]]


def test_two_sources_never_become_one_target(shell: Shell, bucket: str, tmp_path: Path) -> None:
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "x").write_text(folder)
        shell.s3.put_object(Bucket=bucket, Key=f"{folder}/x", Body=folder.encode())
    local = (tmp_path / "one" / "x", tmp_path / "two" / "x")
    assert "would both become" in shell.refused(2, "mv", *local, f"s3://{bucket}/up/")
    (tmp_path / "down").mkdir()
    remote = (f"s3://{bucket}/one/x", f"s3://{bucket}/two/x")
    assert "would both become" in shell.refused(2, "cp", *remote, f"{tmp_path}/down/")
    assert [path.read_text() for path in local] == ["one", "two"]
    assert shell.keys(bucket) == ["one/x", "two/x"]


def test_nothing_is_written_over_what_is_still_to_be_copied(shell: Shell, bucket: str) -> None:
    for key in ("p/x", "p/p/x"):
        shell.s3.put_object(Bucket=bucket, Key=key, Body=key.encode())
    for verb in ("cp", "mv"):
        told = shell.refused(2, verb, "-r", f"s3://{bucket}/p", f"s3://{bucket}")
        assert "is to be copied itself" in told
    assert shell.told("cat", f"s3://{bucket}/p/x") == "p/x"
    assert shell.keys(bucket) == ["p/p/x", "p/x"]


def test_what_cannot_be_copied_is_not_deleted(shell: Shell, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("precious")
    assert "NoSuchBucket" in shell.refused(3, "mv", tmp_path / "file", f"s3://{new_name()}/key")
    assert (tmp_path / "file").read_text() == "precious"


def test_a_file_that_changes_while_it_is_moved_stays(shell: Shell, bucket: str, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    with Client(shell.url, access_key="none-at-all", secret_key="needed-here") as client:
        moving = Moving(client, Transfer(LocalPath(path), S3Path(bucket, "key"), 3))
        shell.s3.put_object(Bucket=bucket, Key="key", Body=b"old")
        path.write_text("newer")
        with pytest.raises(Damaged, match="changed while it was copied"):
            moving.finish()
    assert path.read_text() == "newer"


def test_a_target_of_another_size_keeps_the_source(shell: Shell, bucket: str, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("whole")
    with Client(shell.url, access_key="none-at-all", secret_key="needed-here") as client:
        moving = Moving(client, Transfer(LocalPath(path), S3Path(bucket, "key"), 5))
        shell.s3.put_object(Bucket=bucket, Key="key", Body=b"half")
        with pytest.raises(Damaged, match="has not the size"):
            moving.finish()
    assert path.exists()


# rm, cat


def test_objects_are_deleted_one_by_one(shell: Shell, bucket: str) -> None:
    for key in ("a", "b", "c"):
        shell.s3.put_object(Bucket=bucket, Key=key, Body=b"")
    assert shell.told("rm", f"s3://{bucket}/a", f"s3://{bucket}/b") == "Deleted 2 objects.\n"
    assert shell.keys(bucket) == ["c"]
    shell.refused(3, "rm", f"s3://{bucket}/c", f"s3://{bucket}/none")
    assert shell.keys(bucket) == ["c"]


def test_a_folder_is_deleted_and_not_what_begins_alike(shell: Shell, bucket: str) -> None:
    for key in ("photos", "photos/a", "photos/b/c", "photos2/d"):
        shell.s3.put_object(Bucket=bucket, Key=key, Body=b"")
    told = shell.document("rm", "-r", f"s3://{bucket}/photos")
    assert told["deleted"] == [f"s3://{bucket}/{key}" for key in ("photos", "photos/a", "photos/b/c")]
    assert shell.keys(bucket) == ["photos2/d"]
    shell.refused(3, "rm", "-r", f"s3://{bucket}/photos")
    shell.told("rm", "-r", f"s3://{bucket}")
    assert shell.keys(bucket) == []


def test_standard_input_is_stored_and_objects_are_written_out(shell: Shell, bucket: str) -> None:
    with shell.start("cp", "-", f"s3://{bucket}/key") as process:
        assert process.communicate(LARGE, timeout=60) == (b"", b"")
    assert shell.body(bucket, "key") == LARGE
    for words in (("cat", f"s3://{bucket}/key"), ("cp", f"s3://{bucket}/key", "-")):
        with shell.start(*words) as process:
            assert process.communicate(timeout=60) == (LARGE, b"")
    shell.s3.put_object(Bucket=bucket, Key="other", Body=b"other")
    assert shell.told("cat", f"s3://{bucket}/other", f"s3://{bucket}/other") == "otherother"
    shell.refused(3, "cat", f"s3://{bucket}/none")


# sync


def test_sync_copies_what_differs_and_deletes_when_told(shell: Shell, bucket: str, tree: Path, tmp_path: Path) -> None:
    place = f"s3://{bucket}/x"
    assert len(shell.told("sync", tree, place, "--dry-run").splitlines()) == 3
    assert shell.keys(bucket) == []
    assert shell.told("sync", tree, place, "--exclude", "deep/*", "--include", "*.txt").startswith("Copied 2 files")
    assert shell.told("sync", tree, place) == "Copied 1 file, 0 bytes; deleted 0, skipped 2 that were the same.\n"
    shell.s3.put_object(Bucket=bucket, Key="x/surplus", Body=b"")
    assert shell.told("sync", tree, place, "--delete", "--dry-run") == f"would delete  {place}/surplus\n"
    told = shell.document("sync", tree, place, "--delete")
    assert told["done"] == [{"action": "delete", "source": "", "target": f"{place}/surplus", "size": 0}]
    shell.told("sync", place, tmp_path / "down")
    assert files_in(tmp_path / "down") == TREE


# presign, keys, exit status


def test_a_link_lets_read_and_store(locked: Server) -> None:
    with closing(client_of(locked, None)) as s3:
        shell = Shell(locked.url, s3, KEYS)
        name = new_name()
        shell.told("mb", f"s3://{name}")
        link = shell.told("presign", f"s3://{name}/key", "--method", "PUT", "--expires", "1m").strip()
        with urlopen(Request(link, b"stored", method="PUT"), timeout=10) as answer:  # noqa: S310  # our own
            assert answer.status == 200
        told = shell.document("presign", f"s3://{name}/key")
        assert (told["method"], told["expires"], told["signed"]) == ("GET", 3600, True)
        with urlopen(told["url"], timeout=10) as answer:  # noqa: S310  # our own
            assert answer.read() == b"stored"


def test_a_link_without_a_key_is_no_secret(shell: Shell, bucket: str) -> None:
    result = shell.run("presign", f"s3://{bucket}/key")
    assert (result.exit_code, result.stdout) == (0, f"{shell.url}/{bucket}/key\n")
    assert "no key to sign" in result.stderr


def test_keys_come_from_profiles_and_a_denial_has_its_status(locked: Server, tmp_path: Path) -> None:
    (tmp_path / "credentials").write_text(
        "[work]\naws_access_key_id = ROOTKEY\naws_secret_access_key = open-sesame-0123\n"
    )
    with closing(client_of(locked, None)) as s3:
        shell = Shell(locked.url, s3, {"AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "credentials")})
        assert "AccessDenied" in shell.refused(4, "ls")
        assert shell.told("ls", "--profile", "work") is not None
        assert "SignatureDoesNotMatch" in Shell(
            locked.url, s3, {**KEYS, "AWS_SECRET_ACCESS_KEY": "wrong-sesame"}
        ).refused(4, "ls")


def test_the_endpoint_comes_from_option_and_environment(shell: Shell, bucket: str) -> None:
    nowhere = Shell("http://127.0.0.1:1", shell.s3, {})
    assert f"s3://{bucket}\n" in nowhere.told("ls", "--endpoint", shell.url)
    assert f"s3://{bucket}\n" in Shell("", shell.s3, {"AWS_ENDPOINT_URL": shell.url}).told("ls")
    assert "127.0.0.1:1" in nowhere.refused(5, "ls")


def test_the_help_tells_every_exit_status(shell: Shell) -> None:
    told = shell.told("--help")
    for status in ("0  done", "1  some", "2  wrong", "3  not found", "4  denied", "5  the server", "130  ", "141  "):
        assert status in told


# Processes: interrupted, cut off, watched


@contextmanager
def slowly(server: Server, flow: threading.Event | None = None) -> Iterator[str]:
    """The URL of the server behind a line of some 3 MiB a second for each connection, while `flow` is set."""

    def pump(source: socket.socket, target: socket.socket) -> None:
        try:
            while data := source.recv(64 * 1024):
                if flow is not None:
                    flow.wait(30)
                target.sendall(data)
                sleep(0.02)
        except OSError:
            pass
        finally:
            for end in (source, target):
                with closing(end):
                    pass

    def serve() -> None:
        while True:
            try:
                near, _ = listening.accept()
            except OSError:
                return
            far = socket.create_connection((server.host, server.port))
            for pair in ((near, far), (far, near)):
                threading.Thread(target=pump, args=pair, daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        listening.shutdown(socket.SHUT_RDWR)
        thread.join(10)


def uploads(shell: Shell, bucket: str) -> list[Any]:
    return list(shell.s3.list_multipart_uploads(Bucket=bucket).get("Uploads", []))


def parts(shell: Shell, bucket: str) -> list[Any]:
    """Those that have arrived, of all uploads."""
    found = ((upload["Key"], upload["UploadId"]) for upload in uploads(shell, bucket))
    pages = (shell.s3.list_parts(Bucket=bucket, Key=key, UploadId=id) for key, id in found)
    return [part for page in pages for part in page.get("Parts", [])]


def interrupted(process: subprocess.Popen[bytes]) -> None:
    """It ends with the status of Ctrl-C, and says one line."""
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert (process.returncode, out) == (130, b"")
    assert err.count(b"\n") == 1, err
    assert b"stopped" in err


def test_ctrl_c_aborts_an_upload(server: Server, shell: Shell, bucket: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(some_bytes(80 * MIB))
    with slowly(server) as url, shell.at(url).start("mv", tmp_path / "file", f"s3://{bucket}/key") as process:
        # Not as soon as there is an upload: its client may not have been told its id yet.
        assert eventually(lambda: parts(shell, bucket) != [], 30)
        interrupted(process)
    assert uploads(shell, bucket) == []
    assert shell.keys(bucket) == []
    assert files_in(tmp_path) == ["file"]


def test_ctrl_c_aborts_an_upload_of_a_stream_that_stays_silent(shell: Shell, bucket: str) -> None:
    with shell.start("cp", "-", f"s3://{bucket}/key") as process:
        assert process.stdin is not None
        process.stdin.write(LARGE)
        process.stdin.flush()
        assert eventually(lambda: parts(shell, bucket) != [], 20)
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 130
    assert uploads(shell, bucket) == []


@pytest.mark.parametrize("resume", [[], ["--resume"]])
def test_ctrl_c_keeps_what_a_download_has_only_to_resume_it(
    server: Server, shell: Shell, bucket: str, tmp_path: Path, resume: list[str]
) -> None:
    data = some_bytes(80 * MIB)
    shell.s3.put_object(Bucket=bucket, Key="key", Body=data)
    words = ("cp", f"s3://{bucket}/key", tmp_path / "file", *resume)
    with slowly(server) as url, shell.at(url).start(*words) as process:
        record = tmp_path / "file.part.json"
        assert eventually(lambda: record.exists() and json.loads(record.read_text())["done"] != [], 30)
        interrupted(process)
    assert files_in(tmp_path) == (["file.part", "file.part.json"] if resume else [])
    shell.told(*words)
    assert files_in(tmp_path) == ["file"]
    assert (tmp_path / "file").read_bytes() == data


def test_a_second_ctrl_c_does_not_wait_for_a_silent_server(
    server: Server, shell: Shell, bucket: str, tmp_path: Path
) -> None:
    shell.s3.put_object(Bucket=bucket, Key="key", Body=some_bytes(80 * MIB))
    flow = threading.Event()
    flow.set()
    words = ("cp", f"s3://{bucket}/key", tmp_path / "file")
    with slowly(server, flow) as url, shell.at(url).start(*words) as process:
        part = tmp_path / "file.part"
        assert eventually(lambda: part.exists() and part.stat().st_blocks > 0, 30)
        flow.clear()
        process.send_signal(signal.SIGINT)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(2)
        interrupted(process)
        flow.set()
    assert files_in(tmp_path) == []


def test_a_folder_s_own_mark_is_copied_where_it_can_be(shell: Shell, bucket: str) -> None:
    for key in ("x/", "x/y"):
        shell.s3.put_object(Bucket=bucket, Key=key, Body=b"")
    other = new_bucket(shell.s3)
    shell.told("cp", "-r", f"s3://{bucket}/x", f"s3://{other}")
    shell.told("cp", "-r", f"s3://{bucket}/x", f"s3://{other}/z")
    assert shell.keys(other) == ["y", "z/", "z/y"]


def test_somebody_else_s_part_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "file.part").write_text("not a download's")
    drop_partial(tmp_path / "file")
    (tmp_path / "file.part.json").write_text("{}")
    drop_partial(tmp_path / "file")
    assert files_in(tmp_path) == ["file.part", "file.part.json"]


def test_an_object_that_is_called_like_a_record_of_downloads_is_not_lost(
    shell: Shell, bucket: str, tmp_path: Path
) -> None:
    shell.s3.put_object(Bucket=bucket, Key="f/big.part.json", Body=b'{"a": 1}')
    shell.s3.put_object(Bucket=bucket, Key="f/big", Body=bytes(9 * 1024 * 1024))
    shell.told("cp", f"s3://{bucket}/f/big.part.json", f"{tmp_path}/big.part.json")
    assert "in the way" in shell.refused(1, "cp", f"s3://{bucket}/f/big", f"{tmp_path}/big")
    assert (tmp_path / "big.part.json").read_text() == '{"a": 1}'


@pytest.mark.parametrize("command", ["ls", "cat"])
def test_a_reader_that_has_enough_ends_it_quietly(shell: Shell, bucket: str, command: str) -> None:
    for number in range(1000 if command == "ls" else 1):
        shell.s3.put_object(Bucket=bucket, Key=f"{number:04}{'x' * 200}", Body=LARGE if command == "cat" else b"")
    target = f"s3://{bucket}" if command == "ls" else f"s3://{bucket}/0000{'x' * 200}"
    with shell.start(command, target) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.read(100)
        process.stdout.close()
        assert process.wait(30) == 141
        assert process.stderr.read() == b""


def test_progress_is_shown_on_a_terminal_alone(server: Server, shell: Shell, bucket: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(LARGE)
    ours, theirs = pty.openpty()
    seen = b""
    words = ("cp", tmp_path / "file", f"s3://{bucket}/key")
    on_terminal = Shell(server.url, shell.s3, {"TERM": "xterm", "COLUMNS": "120"})
    with slowly(server) as url, on_terminal.at(url).start(*words, stderr=theirs) as process:
        os.close(theirs)
        while b"MiB/s" not in seen:
            seen += os.read(ours, 65_536)
        assert process.communicate(timeout=60)[0] == b"Copied 1 file, 20.0 MiB.\n"
    os.close(ours)
    assert b"/20.0 MiB" in seen


# Completion


def completed(shell: Shell, *words: str) -> list[str]:
    """What Bash is told may follow."""
    with_words = {
        **shell.extra,
        "_POST3_COMPLETE": "bash_complete",
        "COMP_WORDS": " ".join(words),
        "COMP_CWORD": str(len(words) - 1),
    }
    told = Shell(shell.url, shell.s3, with_words).run().stdout
    return [line.removeprefix("plain,") for line in told.splitlines() if line]


def test_buckets_and_keys_are_completed_as_bash_cuts_them(shell: Shell, bucket: str) -> None:
    shell.s3.put_object(Bucket=bucket, Key="folder/key", Body=b"")
    assert completed(shell, "post3", "ls", "s3", ":", f"//{bucket[:-1]}") == [f"//{bucket}/"]
    assert f"//{bucket}/" in completed(shell, "post3", "cat", "s3", ":")
    assert completed(shell, "post3", "cp", "-r", "here", f"s3://{bucket}/") == [f"s3://{bucket}/folder/"]
    assert completed(shell, "post3", "rm", "s3", ":", f"//{bucket}/folder/k") == [f"//{bucket}/folder/key"]


def test_a_silent_server_keeps_no_shell_waiting(shell: Shell) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        began = monotonic()
        assert completed(shell.at(f"http://127.0.0.1:{silent.getsockname()[1]}"), "post3", "ls", "s3://x") == []
        assert monotonic() - began < 4
