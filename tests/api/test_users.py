"""`post3 user` and `post3 key`, and what a server says of keys, users and buckets when it starts."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import pytest

from tests.api.conftest import flags_of
from tests.api.test_cli import assert_one_line, children, post3
from tests.rawhttp import Connection
from tests.servers import environment, post3_serve, started

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


def test_the_buckets_of_a_removed_user_are_named(tmp_path: Path) -> None:
    """An owner other than root is given by signed requests alone; here the store is asked."""
    told(tmp_path, "user", "add", "alice")
    code = (
        "import asyncio, datetime, pathlib\n"
        "from post3.model.bucket import Bucket\n"
        "from post3.storage.filesystem.backend import FilesystemBackend\n"
        "async def main():\n"
        "    store = FilesystemBackend(pathlib.Path('post3-data'))\n"
        "    await store.open()\n"
        "    for name in ('photos', 'site'):\n"
        "        now = datetime.datetime.now(datetime.timezone.utc)\n"
        "        await store.create_bucket(Bucket(id='', name=name, owner='alice', created=now))\n"
        "    await store.close()\n"
        "asyncio.run(main())\n"
    )
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment(), check=True, timeout=30)
    assert told(tmp_path, "user", "remove", "alice") == (
        "Removed the user alice with no keys.\n2 buckets of theirs stay: photos, site\n"
    )


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


# Buckets


@pytest.mark.parametrize("workers", ["1", "2"])
def test_buckets_are_there_when_it_is_ready(tmp_path: Path, workers: str) -> None:
    for _ in range(2):
        with post3_serve(*FS, "--workers", workers, "--buckets", "photos,site", cwd=tmp_path) as server:
            for name in ("photos", "site"):
                with Connection(server.port) as connection:
                    assert connection.get(f"/{name}").status == 200


@pytest.mark.parametrize("buckets", ["ab", "photos:everyone", "photos,photos"])
def test_wrong_buckets_are_told_in_one_line(tmp_path: Path, buckets: str) -> None:
    run = post3("serve", "--backend", "memory", "--buckets", buckets, cwd=tmp_path)
    assert_one_line(run, "--buckets", repr(buckets), "photos,site:public-read")
