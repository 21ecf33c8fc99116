"""`post3 user` and `post3 key`, and what a server says of keys, users and buckets when it starts."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from time import sleep
from typing import TYPE_CHECKING, Any, Final

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from tests.api.conftest import flags_of
from tests.api.test_cli import assert_one_line, children, post3
from tests.rawhttp import Connection
from tests.servers import Server, environment, post3_serve, started

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

FS: Final = ("--backend", "fs", "--durability", "relaxed")
SECRET: Final = "open-sesame-0123"
ROOT_KEY: Final = {"POST3_ACCESS_KEY": "ROOTKEY", "POST3_SECRET_KEY": SECRET}
NAMED: Final = "127.1:0"
"""Loopback by a name that does not say so: a server that listens there must be closed, and reaches nobody else."""


def told(cwd: Path, *arguments: str, store: tuple[str, ...] = FS) -> str:
    """What a command prints that does what it is told."""
    run = post3(*arguments, *store, cwd=cwd)
    assert (run.returncode, run.stderr) == (0, "")
    return run.stdout


def document(cwd: Path, *arguments: str, store: tuple[str, ...] = FS) -> Any:
    return json.loads(told(cwd, *arguments, "--json", store=store))


def with_input(cwd: Path, text: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "post3", *arguments, *FS]
    return subprocess.run(
        command, cwd=cwd, env=environment(), input=text, text=True, capture_output=True, timeout=30, check=False
    )


# The commands


@pytest.mark.parametrize("store", ["filesystem", "postgres"])
def test_users_and_keys_come_and_go_while_a_server_runs(tmp_path: Path, store: str) -> None:
    flags = tuple(flags_of(store))
    with post3_serve(*flags, cwd=tmp_path):
        added = document(
            tmp_path, "user", "add", "alice", "--display-name", "A. é", "--email", "a@b.c", "--admin", store=flags
        )
        assert added == {"id": "alice", "display_name": "A. é", "email": "a@b.c", "admin": True, "keys": []}
        key = document(tmp_path, "key", "add", "alice", store=flags)
        assert key.keys() == {"user", "access_key", "secret_key"}
        assert (len(key["access_key"]), len(key["secret_key"])) == (20, 40)
        assert document(tmp_path, "user", "list", store=flags) == {"users": [{**added, "keys": [key["access_key"]]}]}
        one = {"user": "alice", "access_key": key["access_key"]}
        assert document(tmp_path, "key", "list", store=flags) == {"keys": [one]}
        assert document(tmp_path, "key", "remove", key["access_key"], store=flags) == one
        assert document(tmp_path, "key", "list", "alice", store=flags) == {"keys": []}
        assert document(tmp_path, "user", "remove", "alice", store=flags) == {**added, "buckets": []}
        assert document(tmp_path, "user", "list", store=flags) == {"users": []}


def test_people_are_told_what_to_do_next_and_what_stays(tmp_path: Path) -> None:
    assert told(tmp_path, "user", "list") == "There are no users in the store.\n"
    assert told(tmp_path, "user", "add", "alice") == "Added the user alice, who has no key yet: post3 key add alice\n"
    access, secret, once = told(tmp_path, "key", "add", "alice").splitlines()
    assert access.startswith("access key: ")
    assert secret.startswith("secret key: ")
    assert once == "The secret key is not shown again."
    name, secret = access.split()[-1], secret.split()[-1]
    for listing in ("user", "key"):
        assert secret not in told(tmp_path, listing, "list")
        assert secret not in told(tmp_path, listing, "list", "--json")
    assert told(tmp_path, "user", "list") == "ID     NAME   EMAIL  KIND  KEYS\nalice  alice         user  1\n"
    assert told(tmp_path, "key", "list", "alice") == f"ACCESS KEY            USER\n{name}  alice\n"
    told(tmp_path, "key", "add", "alice", "--access-key", "OTHER")
    assert told(tmp_path, "key", "remove", "OTHER") == "Removed the key OTHER of the user alice.\n"
    assert told(tmp_path, "user", "remove", "alice") == "Removed the user alice with 1 key.\n"


@pytest.mark.parametrize("end", ["", "\n"])
def test_a_secret_may_come_from_a_file_or_standard_input_and_is_not_shown(tmp_path: Path, end: str) -> None:
    told(tmp_path, "user", "add", "alice")
    (tmp_path / "secret").write_text(SECRET + end)
    given = document(tmp_path, "key", "add", "alice", "--access-key", "KEY1", "--secret-key-file", "secret")
    assert given == {"user": "alice", "access_key": "KEY1"}
    run = with_input(tmp_path, SECRET + end, "key", "add", "alice", "--access-key", "KEY2", "--secret-key-file", "-")
    assert (run.returncode, run.stdout, run.stderr) == (0, "access key: KEY2\n", "")
    kept = [path.read_text() for path in (tmp_path / "post3-data" / "records" / "key").iterdir()]
    assert len(kept) == 2
    assert all(f'"{SECRET}"' in text for text in kept)


def test_what_cannot_be_is_told_in_one_line(tmp_path: Path) -> None:
    told(tmp_path, "user", "add", "alice", "--email", "a@b.c")
    told(tmp_path, "key", "add", "alice", "--access-key", "TAKEN")
    (tmp_path / "short").write_text("sesame")
    for arguments, parts in (
        (["user"], ["name a command: add, list or remove"]),
        (["key"], ["name a command: add, list or remove"]),
        (["user", "add"], ["ID"]),
        (["user", "add", "alice"], ["There is a user alice already."]),
        (["user", "add", "post3"], ["The id must be", "root's"]),
        (["user", "add", "bob", "--email", "A@b.c"], ["Another user has the email address A@b.c."]),
        (["user", "add", "bob", "--email", "nobody"], ["The email address must be"]),
        (["user", "remove", "bob"], ["There is no user bob in this store."]),
        (["key", "add", "bob"], ["There is no user bob in this store."]),
        (["key", "add", "alice", "--access-key", "TAKEN"], ["The access key TAKEN is taken."]),
        (["key", "add", "alice", "--access-key", "a/b"], ["The access key must be"]),
        (["key", "add", "alice", "--secret-key-file", "short"], ["The secret key must be 8 to 128"]),
        (["key", "add", "alice", "--secret-key-file", "none"], ["No such file or directory: none"]),
        (["key", "list", "bob"], ["There is no user bob in this store."]),
        (["key", "remove", "NONE"], ["There is no access key NONE in this store."]),
    ):
        run = post3(*arguments, *(FS if len(arguments) > 1 else ()), cwd=tmp_path)
        assert_one_line(run, *parts)
        assert "sesame" not in run.stderr


@pytest.mark.parametrize("command", [["user", "list"], ["key", "add", "alice"]])
def test_a_store_that_nobody_else_could_see_is_refused(tmp_path: Path, command: list[str]) -> None:
    assert_one_line(post3(*command, "--backend", "memory", cwd=tmp_path), "memory")


# Open or closed


def test_without_keys_it_says_that_anyone_may_read_and_write(tmp_path: Path) -> None:
    told(tmp_path, "user", "add", "alice")
    with post3_serve(*FS, cwd=tmp_path) as server:
        assert server.line.endswith(". Anyone on this machine may read and write.")
    with post3_serve(*FS, "--allow-anonymous", "--host", NAMED, cwd=tmp_path) as server:
        assert server.line.endswith(". Anyone who reaches it may read and write.")


@pytest.mark.parametrize("workers", ["1", "2"])
@pytest.mark.parametrize("source", ["root", "file", "store"])
def test_with_keys_it_says_that_requests_need_one(tmp_path: Path, source: str, workers: str) -> None:
    flags, env = ["--workers", workers, "--host", NAMED], {}
    if source == "root":
        env = ROOT_KEY
    elif source == "file":
        (tmp_path / "users.json").write_text('{"users": [{"id": "alice"}]}')
        flags += ["--users", "users.json"]
    else:
        told(tmp_path, "user", "add", "alice")
        told(tmp_path, "key", "add", "alice")
    with post3_serve(*FS, *flags, cwd=tmp_path, env=env) as server:
        assert server.line.endswith(". Requests need a key.")


@pytest.mark.parametrize("workers", ["1", "2"])
def test_beyond_this_machine_it_serves_nobody_without_keys(tmp_path: Path, workers: str) -> None:
    told(tmp_path, "user", "add", "alice")
    run = post3("serve", *FS, "--host", NAMED, "--workers", workers, cwd=tmp_path)
    assert_one_line(run, "post3 serve: Listening on 127.1 ", "POST3_ACCESS_KEY", "--users", "--allow-anonymous")


def test_sanic_s_own_command_serves_nobody_without_keys_either(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "sanic", "post3.app", "-H", "127.1"]
    with started(command, tmp_path, {"POST3_BACKEND": "fs"}) as process:
        process.communicate(timeout=20)
        assert process.returncode == 1
        assert "Listening on 127.1 would" in process.complained()
        assert "Traceback" not in process.complained()


def test_what_contradicts_itself_is_told_in_one_line(tmp_path: Path) -> None:
    anyone = ["serve", *FS, "--host", "127.0.0.1:0", "--allow-anonymous"]
    assert_one_line(post3(*anyone, cwd=tmp_path, env=ROOT_KEY), "--allow-anonymous", "root key")
    assert_one_line(post3(*anyone, "--users", "users.json", cwd=tmp_path), "--allow-anonymous", "--users")
    told(tmp_path, "user", "add", "alice")
    told(tmp_path, "key", "add", "alice")
    assert_one_line(post3(*anyone, cwd=tmp_path), "--allow-anonymous", "users of the store")


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_wrong_users_file_is_told_in_one_line_with_its_place(tmp_path: Path, workers: str) -> None:
    (tmp_path / "users.json").write_text(json.dumps({"users": [{"id": "a", "keys": [{"secret_key": SECRET}]}]}))
    run = post3("serve", *FS, "--workers", workers, "--users", "users.json", "--host", "127.0.0.1:0", cwd=tmp_path)
    assert_one_line(run, "post3 serve: The users file users.json is wrong: users[0].keys[0].access_key is missing.")
    assert SECRET not in run.stderr


# Secrets


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("as_file", [False, True])
def test_a_secret_shows_in_no_process_list_no_log_and_no_help(tmp_path: Path, as_file: bool) -> None:
    env = dict(ROOT_KEY)
    if as_file:
        (tmp_path / "secret").write_text(SECRET)
        del env["POST3_SECRET_KEY"]
        env["POST3_SECRET_KEY_FILE"] = "secret"
    with post3_serve(*FS, "--workers", "2", "--access-log", cwd=tmp_path, env=env) as server:
        with Connection(server.port) as connection:
            connection.get("/")
        for pid in (server.process.pid, *children(server)):
            command = Path(f"/proc/{pid}/cmdline").read_bytes()
            assert b"post3" in command
            assert SECRET.encode() not in command
            assert SECRET not in Path(f"/proc/{pid}/comm").read_text()
        server.process.terminate()
        out, _ = server.process.communicate(timeout=20)
        assert SECRET not in server.line + server.process.said + out + server.process.complained()
    for arguments in (["serve", "--help"], ["key", "add", "--help"], ["serve", "--frob"]):
        run = post3(*arguments, cwd=tmp_path, env=env)
        assert SECRET not in run.stdout + run.stderr


def test_the_help_tells_of_the_variables_that_are_no_options(tmp_path: Path) -> None:
    told = " ".join(post3("serve", "--help", cwd=tmp_path).stdout.split())

    for name in ("POST3_ACCESS_KEY", "POST3_SECRET_KEY", "MINIO_ROOT_USER", "MINIO_ROOT_PASSWORD", "_FILE"):
        assert name in told
    for option in ("--users FILE", "--buckets NAME", "--no-sigv2", "--allow-sigv2"):
        assert option in told
    assert "--sigv2 " not in told
    for flag in ("--access-key", "--secret-key"):
        assert_one_line(post3("serve", flag, "x", cwd=tmp_path), flag)


# While it serves


def client(server: Server, access_key: str, secret_key: str) -> S3Client:
    """A client that signs with this key, and tries everything once."""
    config = Config(s3={"addressing_style": "path"}, retries={"total_max_attempts": 1}, read_timeout=30)
    made: S3Client = boto3.client(
        "s3",
        endpoint_url=server.url,
        region_name="us-east-1",
        aws_access_key_id=access_key,
        aws_secret_access_key=secret_key,
        config=config,
    )
    return made


def owner(server: Server, access_key: str, secret_key: str = SECRET) -> str:
    """Whom the server takes the holder of this key for; the error's code when it lets nobody in."""
    with closing(client(server, access_key, secret_key)) as s3:
        try:
            return s3.list_buckets()["Owner"]["ID"]
        except ClientError as error:
            return error.response["Error"]["Code"]


@pytest.mark.parametrize("workers", ["1", "2"])
@pytest.mark.parametrize("store", ["filesystem", "postgres"])
def test_a_server_knows_of_keys_within_a_second(tmp_path: Path, store: str, workers: str) -> None:
    flags = tuple(flags_of(store))
    with post3_serve(*flags, "--workers", workers, cwd=tmp_path, env=ROOT_KEY) as server:

        def all_say(expected: str, access_key: str, secret_key: str) -> bool:
            """Whether a second after the change every worker says so: each connection may meet another one."""
            sleep(1.0)
            return {owner(server, access_key, secret_key) for _ in range(12)} == {expected}

        assert owner(server, "ROOTKEY") == "post3"
        told(tmp_path, "user", "add", "alice", store=flags)
        key = document(tmp_path, "key", "add", "alice", store=flags)
        pair = key["access_key"], key["secret_key"]
        assert all_say("alice", *pair)
        assert owner(server, pair[0], SECRET) == "SignatureDoesNotMatch"
        told(tmp_path, "key", "remove", pair[0], store=flags)
        assert all_say("InvalidAccessKeyId", *pair)
        key = document(tmp_path, "key", "add", "alice", store=flags)
        pair = key["access_key"], key["secret_key"]
        assert all_say("alice", *pair)
        told(tmp_path, "user", "remove", "alice", store=flags)
        assert all_say("InvalidAccessKeyId", *pair)


def test_the_first_key_closes_a_server_that_runs_and_the_last_does_not_open_it(tmp_path: Path) -> None:
    with post3_serve(*FS, cwd=tmp_path) as server:

        def anyone() -> int:
            with Connection(server.port) as connection:
                return connection.get("/").status

        assert anyone() == 200
        told(tmp_path, "user", "add", "alice")
        sleep(1.0)
        assert anyone() == 200
        told(tmp_path, "key", "add", "alice")
        sleep(1.0)
        assert anyone() == 403
        told(tmp_path, "user", "remove", "alice")
        sleep(1.0)
        assert anyone() == 403


def test_the_buckets_of_a_removed_user_are_named_and_stay(tmp_path: Path) -> None:
    with post3_serve(*FS, cwd=tmp_path, env=ROOT_KEY) as server:
        told(tmp_path, "user", "add", "alice")
        key = document(tmp_path, "key", "add", "alice")
        sleep(1.0)
        with closing(client(server, key["access_key"], key["secret_key"])) as s3:
            s3.create_bucket(Bucket="photos")
            s3.create_bucket(Bucket="site")
        assert told(tmp_path, "user", "remove", "alice") == (
            "Removed the user alice with 1 key.\n2 buckets of theirs stay: photos, site\n"
        )
        with closing(client(server, "ROOTKEY", SECRET)) as s3:
            s3.head_bucket(Bucket="photos")


def test_a_users_file_is_followed_and_a_wrong_one_is_told(tmp_path: Path) -> None:
    path = tmp_path / "users.json"

    def write(*access_keys: str) -> None:
        keys = [{"access_key": access_key, "secret_key": SECRET} for access_key in access_keys]
        path.write_text(json.dumps({"users": [{"id": "alice", "keys": keys}]}))

    write("ONE")
    with post3_serve(*FS, "--users", "users.json", cwd=tmp_path) as server:
        assert owner(server, "ONE") == "alice"
        write("TWO")
        sleep(1.0)
        assert owner(server, "TWO") == "alice"
        assert owner(server, "ONE") == "InvalidAccessKeyId"
        write("ONE", "ON/")
        for _ in range(3):
            sleep(0.6)
            assert owner(server, "TWO") == "alice"
        complaint = server.process.complained()
        assert complaint.count("\n") == 1
        assert "The users file users.json is wrong: users[0].keys[1].access_key must be 3 to 128 " in complaint
        assert SECRET not in complaint


# Buckets


@pytest.mark.parametrize("workers", ["1", "2"])
def test_buckets_are_there_when_it_is_ready(tmp_path: Path, workers: str) -> None:
    for _ in range(2):
        with post3_serve(*FS, "--workers", workers, "--buckets", "photos,site", cwd=tmp_path) as server:
            for name in ("photos", "site"):
                with Connection(server.port) as connection:
                    assert connection.get(f"/{name}").status == 200


def test_a_bucket_may_be_public_from_the_start(tmp_path: Path) -> None:
    env = {**ROOT_KEY, "POST3_BUCKETS": "photos,site:public-read"}
    with post3_serve(*FS, cwd=tmp_path, env=env) as server:
        for name, status in (("photos", 403), ("site", 200)):
            with Connection(server.port) as connection:
                assert connection.get(f"/{name}").status == status


@pytest.mark.parametrize("buckets", ["ab", "photos:everyone", "photos,photos"])
def test_wrong_buckets_are_told_in_one_line(tmp_path: Path, buckets: str) -> None:
    run = post3("serve", "--backend", "memory", "--buckets", buckets, cwd=tmp_path)
    assert_one_line(run, "--buckets", repr(buckets), "photos,site:public-read")
