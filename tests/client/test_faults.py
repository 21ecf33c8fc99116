"""What goes wrong on the way: nobody there, cut and damaged answers, a killed server, failing sources, Ctrl-C."""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from post3 import Client
from post3.client import ClientError, Damaged, MiB, PreconditionFailed, Unreachable
from tests.api.conftest import new_name
from tests.client.facade import KINDS, opened
from tests.client.relays import relay
from tests.client.test_objects import LARGE, content
from tests.servers import Server, post3_serve, read_line, started

MEMORY = ("--backend", "memory")
PART = 2 * MiB


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server; which store it has does not matter here."""
    with post3_serve(*MEMORY, cwd=tmp_path_factory.mktemp("one")) as server:
        yield server


@pytest.fixture
def direct(one: Server) -> Iterator[Client]:
    with Client(one.url) as client:
        yield client


@pytest.fixture
def bucket(direct: Client) -> str:
    name = new_name()
    direct.create_bucket(name)
    return name


def no_uploads(client: Client, bucket: str) -> bool:
    return "Uploads" not in client.s3.list_multipart_uploads(Bucket=bucket)


class Trouble(Exception):
    """Of the caller's own."""


def pieces_then(trouble: BaseException) -> Iterator[bytes]:
    yield LARGE[: 9 * MiB]
    raise trouble


# Nobody there


def test_a_refused_connection_is_unreachable_and_names_the_endpoint(kind: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed_soon:
        endpoint = f"http://127.0.0.1:{closed_soon.getsockname()[1]}"
    with opened(kind, endpoint, retries=0) as client, pytest.raises(Unreachable, match=endpoint):
        client.head_object("bucket", "key")


def test_a_server_that_says_nothing_is_unreachable_after_the_timeout(kind: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        endpoint = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with opened(kind, endpoint, retries=0, timeout=0.2) as client, pytest.raises(Unreachable):
            client.head_object("bucket", "key")


def test_a_server_that_speaks_no_tls_is_unreachable(kind: str, one: Server) -> None:
    endpoint = f"https://127.0.0.1:{one.port}"
    with opened(kind, endpoint, retries=0) as client, pytest.raises(Unreachable):
        client.head_object("bucket", "key")


# Cut and damaged answers


def cut_once(behind: int) -> Callable[[int, bytes], bytes | None]:
    """Cut the connection that brings this byte of all answers, once."""
    done = threading.Event()

    def change(passed: int, data: bytes) -> bytes | None:
        if passed + len(data) > behind and not done.is_set():
            done.set()
            return None
        return data

    return change


def damage_from(behind: int) -> Callable[[int, bytes], bytes | None]:
    """Turn this byte of all answers over, and one of every MiB after it: what is fetched again, because its connection
    was given up while a disk was busy, is damaged as well.
    """

    def change(passed: int, data: bytes) -> bytes | None:
        damaged = bytearray(data)
        first = behind + -(min(0, behind - passed) // MiB) * MiB
        for at in range(first - passed, len(data), MiB):
            damaged[at] ^= 1
        return bytes(damaged)

    return change


@pytest.mark.parametrize("part_size", [PART, 100 * MiB])
def test_a_download_goes_on_behind_a_cut(
    direct: Client, one: Server, bucket: str, kind: str, tmp_path: Path, part_size: int
) -> None:
    direct.put_object(bucket, "key", LARGE)
    moved: list[int] = []
    with relay(one.port, cut_once(5 * MiB)) as endpoint, opened(kind, endpoint, retries=0) as client:
        client.download(bucket, "key", tmp_path / "file", part_size=part_size, progress=moved.append)
    assert (tmp_path / "file").read_bytes() == LARGE
    assert sum(moved) == len(LARGE), "no byte was moved twice"


def test_a_body_that_is_cut_is_unreachable(direct: Client, one: Server, bucket: str, kind: str) -> None:
    direct.put_object(bucket, "key", LARGE)
    with (
        relay(one.port, cut_once(5 * MiB)) as endpoint,
        opened(kind, endpoint, retries=0) as client,
        client.get_object(bucket, "key") as body,
        pytest.raises(Unreachable, match="half"),
    ):
        body.read()


def test_a_damaged_body_is_told(direct: Client, one: Server, bucket: str, kind: str) -> None:
    direct.put_object(bucket, "key", LARGE)
    with (
        relay(one.port, damage_from(5 * MiB)) as endpoint,
        opened(kind, endpoint, retries=0) as client,
        client.get_object(bucket, "key") as body,
        pytest.raises(Damaged, match=f"s3://{bucket}/key"),
    ):
        body.read()


@pytest.mark.parametrize("part_size", [PART, 100 * MiB])
@pytest.mark.parametrize("size", [len(LARGE), 7 * MiB])
def test_a_damaged_download_is_told_and_leaves_nothing(
    direct: Client, one: Server, bucket: str, kind: str, tmp_path: Path, part_size: int, size: int
) -> None:
    direct.put_object(bucket, "key", LARGE[:size])  # of one part: an MD5; of several: a CRC32 of the whole
    with (
        relay(one.port, damage_from(5 * MiB)) as endpoint,
        opened(kind, endpoint, retries=0) as client,
        pytest.raises(Damaged),
    ):
        client.download(bucket, "key", tmp_path / "file", part_size=part_size)
    assert os.listdir(tmp_path) == []


def test_an_object_that_changes_under_a_download_is_not_mixed_with_the_new_one(
    direct: Client, bucket: str, tmp_path: Path
) -> None:
    direct.put_object(bucket, "key", LARGE)

    def replace_once(moved: int) -> None:
        if direct.head_object(bucket, "key").size == len(LARGE):
            direct.put_object(bucket, "key", b"other")

    with pytest.raises(PreconditionFailed):
        direct.download(bucket, "key", tmp_path / "file", part_size=PART, workers=1, progress=replace_once)
    direct.download(bucket, "key", tmp_path / "other")
    assert (tmp_path / "other").read_bytes() == b"other"


# Resume


@pytest.mark.parametrize("kind", KINDS)
def test_a_download_from_a_server_that_is_killed_is_resumed_from_the_next_one(kind: str, tmp_path: Path) -> None:
    flags = ("--backend", "fs", "--data-dir", "data", "--durability", "relaxed")
    path, moved = tmp_path / "file", list[int]()
    with post3_serve(*flags, cwd=tmp_path) as server:
        with Client(server.url) as client:
            client.create_bucket("bucket")
            client.put_object("bucket", "key", LARGE)

        def kill_it_half_way(count: int) -> None:
            moved.append(count)
            if sum(moved) > len(LARGE) // 2:
                server.process.kill()
                server.process.wait()

        with opened(kind, server.url, retries=0) as client, pytest.raises(Unreachable):
            client.download("bucket", "key", path, part_size=MiB, workers=2, progress=kill_it_half_way)
    assert sorted(one for one in os.listdir(tmp_path) if one != "data") == ["file.part", "file.part.json"]
    done = len(json.loads((tmp_path / "file.part.json").read_text())["done"])
    assert done >= 5
    with post3_serve(*flags, cwd=tmp_path) as server, opened(kind, server.url) as client:
        moved.clear()
        client.download("bucket", "key", path, part_size=5 * MiB, progress=moved.append)
    assert moved[0] == done * MiB, "it goes on where it stopped, in parts of the first call's size"
    assert sum(moved) == len(LARGE)
    assert path.read_bytes() == LARGE
    assert sorted(os.listdir(tmp_path)) == ["data", "file"]


def stop_behind(parts: int) -> Callable[[int], None]:
    moved: list[int] = []

    def progress(count: int) -> None:
        moved.append(count)
        if sum(moved) > parts * PART:
            raise Trouble

    return progress


def test_a_download_of_what_was_replaced_meanwhile_starts_anew(
    direct: Client, one: Server, bucket: str, kind: str, tmp_path: Path
) -> None:
    direct.put_object(bucket, "key", LARGE)
    path, moved = tmp_path / "file", list[int]()
    with opened(kind, one.url) as client:
        with pytest.raises(Trouble):
            client.download(bucket, "key", path, part_size=PART, workers=1, progress=stop_behind(3))
        assert path.with_name("file.part").exists()
        direct.put_object(bucket, "key", LARGE[::-1])
        client.download(bucket, "key", path, part_size=PART, progress=moved.append)
    assert path.read_bytes() == LARGE[::-1]
    assert moved[0] <= MiB, "nothing was taken over"


def test_two_downloads_to_one_path_do_not_mix(direct: Client, bucket: str, tmp_path: Path) -> None:
    direct.put_object(bucket, "key", LARGE)
    told: list[str] = []

    def another(moved: int) -> None:
        if not told:
            with pytest.raises(ClientError) as caught:
                direct.download(bucket, "key", tmp_path / "file", part_size=PART)
            told.append(str(caught.value))

    direct.download(bucket, "key", tmp_path / "file", part_size=PART, workers=1, progress=another)
    assert "under way" in told[0]
    assert (tmp_path / "file").read_bytes() == LARGE


# Uploads that fail


@pytest.mark.parametrize("trouble", [Trouble("of the source"), KeyboardInterrupt(), OSError("disk")])
def test_an_upload_whose_source_fails_leaves_no_upload_and_no_object(
    direct: Client, one: Server, bucket: str, trouble: BaseException
) -> None:
    for upload in (direct.put_object, direct.multipart_upload):
        with pytest.raises(type(trouble)) as caught:
            upload(bucket, "key", pieces_then(trouble))
        assert caught.value is trouble
    assert no_uploads(direct, bucket)
    assert list(direct.list_objects(bucket)) == []


def test_an_upload_whose_progress_fails_leaves_no_upload(one: Server, direct: Client, bucket: str, kind: str) -> None:
    def fail(moved: int) -> None:
        raise Trouble

    with opened(kind, one.url) as client, pytest.raises(Trouble):
        client.multipart_upload(bucket, "key", LARGE, part_size=5 * MiB, progress=fail)
    assert no_uploads(direct, bucket)


def test_an_upload_to_a_server_that_dies_tells_that_and_not_that_it_could_not_be_aborted(
    kind: str, tmp_path: Path
) -> None:
    with post3_serve(*MEMORY, cwd=tmp_path) as server, opened(kind, server.url, retries=0) as client:
        client.create_bucket("bucket")

        def dying() -> Iterator[bytes]:
            yield LARGE[: 9 * MiB]
            server.process.kill()
            server.process.wait()
            yield LARGE

        with pytest.raises(Unreachable, match="upload_part"):
            client.put_object("bucket", "key", dying())


UPLOADING = """
import sys
from post3 import Client
from post3.client import MiB

def pieces():
    while True:
        yield bytes(5 * MiB)

def tell(moved):
    print(moved, flush=True)

with Client(sys.argv[1]) as client:
    client.multipart_upload("bucket", "key", pieces(), part_size=5 * MiB, progress=tell)
"""


def test_ctrl_c_aborts_an_upload(tmp_path: Path) -> None:
    with post3_serve(*MEMORY, cwd=tmp_path) as server, Client(server.url) as client:
        client.create_bucket("bucket")
        with started([sys.executable, "-c", UPLOADING, server.url], tmp_path) as process:
            read_line(process)
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=20)
            assert process.returncode == -signal.SIGINT
            assert process.complained().rstrip().endswith("KeyboardInterrupt")
        assert no_uploads(client, "bucket")
        assert list(client.list_objects("bucket")) == []


def test_what_a_client_sends_again_comes_through(direct: Client, one: Server, bucket: str, kind: str) -> None:
    with relay(one.port, cut_once(0)) as endpoint, opened(kind, endpoint) as client:
        client.put_object(bucket, "key", Pieces())
    assert content(direct, bucket, "key") == b"only once"


class Pieces:
    """Bytes that cannot be asked for twice."""

    def __iter__(self) -> Iterator[bytes]:
        yield b"only "
        yield b"once"
