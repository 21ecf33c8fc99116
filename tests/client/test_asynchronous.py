"""What AsyncClient alone has: asynchronous sources, cancelling, many requests at once."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from post3 import AsyncClient
from post3.client import ClientError, MiB, NotFound
from post3.client.async_running import AsyncRunner
from post3.client.steps import Local, Many, Script
from tests.api.conftest import new_name
from tests.client.test_objects import LARGE
from tests.servers import Server, post3_serve


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with post3_serve("--backend", "memory", cwd=tmp_path_factory.mktemp("one")) as server:
        yield server


@pytest.fixture
async def client(one: Server) -> AsyncIterator[AsyncClient]:
    async with AsyncClient(one.url) as client:
        yield client


@pytest.fixture
async def bucket(client: AsyncClient) -> str:
    name = new_name()
    await client.create_bucket(name)
    return name


async def test_an_asynchronous_iterable_is_a_body(client: AsyncClient, bucket: str) -> None:
    async def pieces(size: int) -> AsyncIterator[bytes]:
        for start in range(0, size, 100_000):
            await asyncio.sleep(0)
            yield LARGE[start : min(size, start + 100_000)]

    for size in (0, 5, len(LARGE)):
        await client.put_object(bucket, "key", pieces(size))
        async with client.get_object(bucket, "key") as body:
            assert await body.read() == LARGE[:size]
    assert (await client.multipart_upload(bucket, "parts", pieces(len(LARGE)), part_size=5 * MiB)).etag.endswith("-4")


async def test_an_asynchronous_source_that_fails_leaves_no_upload(client: AsyncClient, bucket: str) -> None:
    async def failing() -> AsyncIterator[bytes]:
        yield LARGE
        raise RuntimeError("of the source")

    with pytest.raises(RuntimeError, match="of the source"):
        await client.put_object(bucket, "key", failing())
    assert "Uploads" not in await client.s3.list_multipart_uploads(Bucket=bucket)


async def test_cancelling_an_upload_aborts_it_even_while_its_source_has_nothing_to_give(
    client: AsyncClient, bucket: str
) -> None:
    waiting = asyncio.Event()

    async def stuck() -> AsyncIterator[bytes]:
        yield LARGE
        waiting.set()
        await asyncio.Event().wait()

    upload = asyncio.create_task(client.put_object(bucket, "key", stuck()))
    await waiting.wait()
    upload.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(upload, 10)
    assert "Uploads" not in await client.s3.list_multipart_uploads(Bucket=bucket)


async def test_a_cancelled_download_is_resumed(client: AsyncClient, bucket: str, tmp_path: Path) -> None:
    await client.put_object(bucket, "key", LARGE)
    moved: list[int] = []
    loop = asyncio.get_running_loop()

    def cancel_half_way(count: int) -> None:
        moved.append(count)
        if sum(moved) > len(LARGE) // 2:
            loop.call_soon_threadsafe(download.cancel)

    path = tmp_path / "file"
    download = asyncio.create_task(
        client.download(bucket, "key", path, part_size=MiB, workers=2, progress=cancel_half_way)
    )
    with pytest.raises(asyncio.CancelledError):
        await download
    assert sorted(os.listdir(tmp_path)) == ["file.part", "file.part.json"]
    moved.clear()
    await client.download(bucket, "key", path, progress=moved.append)
    assert moved[0] >= 5 * MiB
    assert path.read_bytes() == LARGE


async def test_who_cancels_twice_waits_for_what_runs_in_threads() -> None:
    """Files are closed by the script's end: no thread may write any more."""
    runner, began, may_end = AsyncRunner(None, ""), threading.Event(), threading.Event()
    told: list[str] = []

    def write() -> None:
        began.set()
        may_end.wait(10)
        told.append("written")

    def writing() -> Script[None]:
        yield Local(write)

    def script() -> Script[None]:
        try:
            yield Many([writing(), writing()], 2)
        finally:
            told.append("closed")

    running = asyncio.create_task(runner.run(script()))
    await asyncio.to_thread(began.wait)
    for _ in range(5):
        running.cancel()
        await asyncio.sleep(0.01)
    assert not running.done()
    may_end.set()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert told in (["written", "closed"], ["written", "written", "closed"])  # the other one may not have begun


async def test_many_requests_share_a_client_and_a_failure_is_its_own(client: AsyncClient, bucket: str) -> None:
    await asyncio.gather(*(client.put_object(bucket, f"{number:02}", b"x" * number) for number in range(40)))
    listed = [one async for one in client.list_objects(bucket)]
    assert [one.size for one in listed] == list(range(40))
    found = await asyncio.gather(
        *(client.head_object(bucket, key) for key in ("00", "missing", "39")), return_exceptions=True
    )
    assert isinstance(found[1], NotFound)
    assert not isinstance(found[0], BaseException)


async def test_a_client_connects_when_it_is_first_used_and_again_after_it_was_closed(one: Server) -> None:
    client = AsyncClient(one.url)
    with pytest.raises(ClientError, match="async with"):
        _ = client.s3
    name = new_name()
    await client.create_bucket(name)
    await client.close()
    body = await client.put_object(name, "key", b"1")
    assert body.size == 1
    await client.close()
