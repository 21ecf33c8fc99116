"""The command `post3 copy-store`: what it prints, how it ends, and how it goes on."""

from __future__ import annotations

import base64
import json
import os
import pty
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from post3.moving.connection import connect
from post3.moving.endpoint_target import EndpointTarget
from post3.storage.filesystem.backend import FilesystemBackend
from post3.storage.memory import MemoryBackend
from tests.conftest import MIB, get, put, some_bytes
from tests.databases import database_url, fresh_schema, passable_folder
from tests.moving.conftest import ANYBODY
from tests.moving.filled import copied, fill, sight
from tests.servers import Server, environment, post3_serve, started

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

COMMAND = [sys.executable, "-m", "post3", "copy-store"]
KEY = {"POST3_TO_ACCESS_KEY": "anyone", "POST3_TO_SECRET_KEY": "anything"}
KEY_FROM = {"POST3_FROM_ACCESS_KEY": "anyone", "POST3_FROM_SECRET_KEY": "anything"}
VERSIONS = 16
"""In a filled store."""


@pytest.fixture
async def source(tmp_path: Path) -> Path:
    """The directory of a filled store."""
    backend = FilesystemBackend(tmp_path / "source", durable=False)
    await backend.open()
    await fill(backend)
    await backend.close()
    return tmp_path / "source"


def run(*arguments: object, cwd: Path, status: int = 0, env: dict[str, str] | None = None) -> str:
    """What the command prints when it ends with this status."""
    done = subprocess.run(
        [*COMMAND, *map(str, arguments)],
        cwd=cwd,
        env=environment(env),
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == status, f"{done.stdout}{done.stderr}"
    assert "Traceback" not in done.stderr
    return done.stdout if status in (0, 1) else done.stderr


def document(*arguments: object, cwd: Path, status: int = 0, env: dict[str, str] | None = None) -> Any:
    return json.loads(run(*arguments, "--json", cwd=cwd, status=status, env=env))


async def seen_in(path: Path) -> dict[str, object]:
    backend = FilesystemBackend(path, durable=False)
    await backend.open()
    try:
        return await sight(backend)
    finally:
        await backend.close()


async def test_a_store_is_copied_and_the_report_says_so(source: Path, tmp_path: Path) -> None:
    told = run("fs:source", "fs:target", cwd=tmp_path)
    assert told.splitlines()[0] == (
        f"Copied {VERSIONS} versions (17.2 MiB) in 2 buckets, 1 users; 0 were there already."
    )
    assert told.splitlines()[-1] == "All is there, and equal."
    assert await seen_in(tmp_path / "target") == await seen_in(source)
    assert f"{VERSIONS} were there already" in run("fs:source", "fs:target", "--strict", cwd=tmp_path)


def test_a_store_goes_into_a_database_and_back(source: Path, tmp_path: Path) -> None:
    schema = fresh_schema()
    there = document("fs:source", database_url(), "--to-schema", schema, cwd=tmp_path)
    assert (there["total"]["copied"], there["total"]["users"], there["equal"]) == (VERSIONS, 1, True)
    back = document(database_url(), "fs:back", "--from-schema", schema, "--parallel", 1, cwd=tmp_path)
    assert back["total"] == there["total"]


def test_a_store_goes_into_the_postgresql_that_post3_runs(source: Path) -> None:
    with passable_folder() as folder:
        there = document(f"fs:{source}", "pg:data", cwd=folder)
        assert there["equal"]
        again = document(f"fs:{source}", "pg:data", cwd=folder)
        assert (again["total"]["copied"], again["total"]["equal"]) == (0, VERSIONS)


def test_an_endpoint_is_copied_to_and_from(source: Path, tmp_path: Path, server: Server, client: object) -> None:
    there = document("fs:source", server.url, cwd=tmp_path, env=KEY)
    assert there["total"]["copied"] == VERSIONS
    assert there["lost"] == {"users and keys": {"count": 1, "examples": ["alice"]}}
    assert there["buckets"][0]["lost"]["date"]["count"] == 7
    run("fs:source", server.url, "--strict", cwd=tmp_path, env=KEY, status=1)
    back = document(server.url, "fs:back", "--bucket", "versioned", cwd=tmp_path, env=KEY_FROM)
    assert [bucket["bucket"] for bucket in back["buckets"]] == ["versioned"]
    told = run(server.url, "fs:back", cwd=tmp_path, env=KEY_FROM)
    assert "All is there, and equal" in told


async def test_what_differs_ends_with_status_1(source: Path, tmp_path: Path) -> None:
    run("fs:source", "fs:target", cwd=tmp_path)
    backend = FilesystemBackend(tmp_path / "target", durable=False)
    await backend.open()
    await put(backend, await backend.get_bucket("plain"), "own", b"x")
    await backend.close()
    told = run("fs:source", "fs:target", cwd=tmp_path, status=1)
    assert "Different, and left as it is (--overwrite and --delete change it):" in told
    assert "  plain: only the target has it: 1 (own)" in told
    assert "1 deleted" in run("fs:source", "fs:target", "--delete", cwd=tmp_path)


async def test_a_dry_run_makes_no_store(source: Path, tmp_path: Path) -> None:
    told = run("fs:source", "fs:target", "--dry-run", cwd=tmp_path)
    assert told.startswith(f"Would copy {VERSIONS} versions")
    assert not (tmp_path / "target").exists()


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("fs:absent", "fs:target"), "There is no filesystem store in absent"),
        (("pg:source", "fs:target"), "There is no PostgreSQL store in source"),
        (("fs:source", "fs:source"), "FROM and TO are both fs:source"),
        (("fs:source", "s3://bucket"), "names no server"),
        (("fs:source",), "Missing argument 'TO'"),
        (("fs:source", "pg:source"), "holds a filesystem store"),
        (("fs:source", "fs:target", "--to-profile", "work"), "--to-profile is for an S3 endpoint"),
        (("fs:source", "http://127.0.0.1:1", "--to-profile", "absent"), "absent"),
        (("fs:source", "fs:target", "--parallel", "0"), "--parallel"),
    ],
)
def test_wrong_usage_ends_with_status_2(source: Path, tmp_path: Path, arguments: tuple[str, ...], why: str) -> None:
    told = run(*arguments, cwd=tmp_path, status=2)
    assert why in told
    assert len(told.splitlines()) == 1
    assert not (tmp_path / "target").exists()


async def test_an_endpoint_that_is_not_there_is_told(source: Path, tmp_path: Path) -> None:
    told = run("fs:source", "http://127.0.0.1:1", "--bucket", "plain", cwd=tmp_path, env=KEY, status=1)
    assert 'Could not connect to the endpoint URL: "http://127.0.0.1:1/plain"' in told


async def test_after_a_death_half_way_the_same_command_goes_on(source: Path, tmp_path: Path) -> None:
    with started([sys.executable, "-m", "tests.moving.killed", "source", "target", "9"], tmp_path) as dying:
        assert dying.wait(60) == -signal.SIGKILL
    report = document("fs:source", "fs:target", cwd=tmp_path)
    assert 0 < report["total"]["copied"] < VERSIONS
    assert report["total"]["copied"] + report["total"]["equal"] == VERSIONS
    assert await seen_in(tmp_path / "target") == await seen_in(source)


def test_ctrl_c_ends_it_at_once_although_the_endpoint_is_silent(source: Path, tmp_path: Path) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with started([*COMMAND, "fs:source", url], tmp_path, KEY) as process:
            connection, _ = silent.accept()
            with closing(connection):
                assert connection.recv(1)
                process.send_signal(signal.SIGINT)
                assert process.wait(20) == 130
            assert process.complained().strip() == (
                "post3 copy-store: stopped; what was copied stays, and the same command goes on from there."
            )


def test_a_terminal_sees_how_far_it_is(source: Path, tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    done = subprocess.run(
        [*COMMAND, "fs:source", "fs:target"],
        cwd=tmp_path,
        env=environment({"TERM": "xterm"}),
        stdout=subprocess.PIPE,
        stderr=theirs,
        timeout=60,
        check=True,
    )
    shown = os.read(ours, 65_536).decode()
    os.close(ours)
    os.close(theirs)
    assert "looking" in shown
    assert "All is there, and equal." in done.stdout.decode()


async def test_encrypted_bytes_go_as_they_are_and_open_with_the_same_master_key(tmp_path: Path) -> None:
    env = {"POST3_MASTER_KEY": base64.b64encode(bytes(range(32))).decode()}
    data, parts = some_bytes(3 * MIB), {1: some_bytes(5 * MIB), 2: some_bytes(77)}
    with serving("source", tmp_path, env) as s3:
        s3.create_bucket(Bucket="secret")
        s3.put_object(Bucket="secret", Key="key", Body=data, ServerSideEncryption="AES256")
        upload = s3.create_multipart_upload(Bucket="secret", Key="in parts", ServerSideEncryption="AES256")
        place: Any = {"Bucket": "secret", "Key": "in parts", "UploadId": upload["UploadId"]}
        sent: Any = [
            {"PartNumber": number, "ETag": s3.upload_part(**place, PartNumber=number, Body=part)["ETag"]}
            for number, part in parts.items()
        ]
        s3.complete_multipart_upload(**place, MultipartUpload={"Parts": sent})
    assert document("fs:source", "fs:target", cwd=tmp_path)["total"]["copied"] == 2
    assert await seen_in(tmp_path / "target") == await seen_in(tmp_path / "source")
    with serving("target", tmp_path, env) as s3:
        assert s3.get_object(Bucket="secret", Key="key")["Body"].read() == data
        assert s3.get_object(Bucket="secret", Key="in parts")["Body"].read() == b"".join(parts.values())
        # And from the server's address the bytes are plain, wherever they go.
        plain = document(s3.meta.endpoint_url, "fs:plain", cwd=tmp_path, env=KEY_FROM)
        assert plain["buckets"][0]["lost"]["encryption"]["count"] == 2
    backend = FilesystemBackend(tmp_path / "plain", durable=False)
    await backend.open()
    assert await get(backend, await backend.get_bucket("secret"), "key") == data
    await backend.close()


@contextmanager
def serving(folder: str, cwd: Path, env: dict[str, str]) -> Iterator[S3Client]:
    """A client of a server on a directory."""
    flags = ("--backend", "fs", "--data-dir", folder)
    with post3_serve(*flags, cwd=cwd, env=env) as running, closing(connect(running.url, ANYBODY, 2)) as made:
        yield made


async def test_a_filled_endpoint_serves_what_was_copied(client: Any, server: Server, tmp_path: Path) -> None:
    filled = MemoryBackend()
    await fill(filled)
    await copied(filled, EndpointTarget(client))
    assert document(server.url, "fs:back", cwd=tmp_path, env=KEY_FROM)["equal"]
    backend = FilesystemBackend(tmp_path / "back", durable=False)
    await backend.open()
    assert await get(backend, await backend.get_bucket("plain"), "a") == b"small"
    await backend.close()
