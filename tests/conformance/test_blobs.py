"""What every store promises about bytes and their owners."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import replace
from datetime import timedelta
from types import SimpleNamespace
from typing import Any, Final, cast

import pytest

from post3._chunker import PIECE_SIZE
from post3.errors import BadDigest, InternalError, NoSuchBucket, NoSuchKey, ServiceUnavailable
from post3.model.bucket import Bucket
from post3.model.object import Blob, Block, ObjectVersion, Part
from post3.operations.objects import read as read_object
from post3.s3.call import Call
from post3.storage.protocol import Backend, Collected
from tests.conftest import (
    AT_ONCE,
    KIB,
    LONG_AGO,
    MIB,
    a_version,
    blocks_of,
    collect_all,
    content_of,
    create_bucket,
    create_upload,
    finish,
    get,
    keys,
    part_of,
    put,
    put_in_parts,
    put_marker,
    put_part,
    read,
    reading,
    some_bytes,
    stream_of,
    write,
)

SIZES: Final = (
    *(0, 1, 2, 100, 16 * KIB - 1, 16 * KIB, 16 * KIB + 1, 64 * KIB - 1, 64 * KIB, 64 * KIB + 1, 128 * KIB),
    *(MIB - 1, MIB, MIB + 1, MIB + 64 * KIB, 2 * MIB, 3 * MIB - 1, 3 * MIB + 777),
)
LARGE: Final = MIB + 100 * KIB
"""More than any store keeps in memory."""
"""Too large to stay with its owner, in any store."""
GRACE: Final = timedelta(hours=1)


async def put_blob(backend: Backend, bucket: Bucket, key: str, blob: Blob) -> ObjectVersion:
    """Give the bytes an owner."""
    body = Part(1, blob.size, "etag", LONG_AGO, blob)
    return await backend.put_version(bucket, a_version(bucket, key, body=body, size=blob.size))


# Writing and reading


@pytest.mark.parametrize("size", SIZES)
async def test_bytes_come_back_as_they_went_in(backend: Backend, bucket: Bucket, size: int) -> None:
    data = some_bytes(size)
    blob = await write(backend, bucket, data)
    assert blob.size == size
    assert blob.id
    assert await read(backend, bucket, blob) == data
    await put_blob(backend, bucket, "key", blob)
    assert await read(backend, bucket, blob) == data
    assert await get(backend, bucket, "key") == data


@pytest.mark.parametrize("size", [1, 16 * KIB, 16 * KIB + 1, 64 * KIB + 1, 2 * MIB + 64 * KIB + 5])
async def test_any_range_can_be_read(backend: Backend, bucket: Bucket, size: int) -> None:
    data = some_bytes(size)
    version = await put(backend, bucket, "key", data)
    assert version.body is not None
    edges = {
        0,
        size,
        *(edge + off for edge in range(0, size, PIECE_SIZE) for off in (-1, 0, 1) if 0 <= edge + off <= size),
    }
    chosen = random.Random(size)
    stops = sorted(edges)
    for start in stops:
        for stop in {*chosen.sample(stops, min(len(stops), 3)), min(start + 1, size), size}:
            if start <= stop:
                assert await read(backend, bucket, version.body.blob, start, stop) == data[start:stop]


async def test_runs_are_of_at_most_a_mebibyte(backend: Backend, bucket: Bucket) -> None:
    data = some_bytes(3 * MIB + 777)
    blob = await write(backend, bucket, data)
    for start, stop in [(0, len(data)), (1, len(data)), (MIB - 1, 2 * MIB + 1), (70_000, 3 * MIB)]:
        runs = [run async for run in backend.read_blob(bucket, blob, start, stop)]
        assert b"".join(runs) == data[start:stop]
        assert all(0 < len(run) <= MIB for run in runs)


async def test_an_empty_range_is_empty(backend: Backend, bucket: Bucket) -> None:
    for data in (b"", b"data", some_bytes(LARGE)):
        blob = await write(backend, bucket, data)
        assert await read(backend, bucket, blob, 0, 0) == b""
        assert await read(backend, bucket, blob, len(data), len(data)) == b""
        middle = len(data) // 2
        assert [run async for run in backend.read_blob(bucket, blob, middle, middle)] == []


async def test_many_write_and_read_at_once(backend: Backend, bucket: Bucket) -> None:
    async def there_and_back(seed: int) -> None:
        data = some_bytes(10 * KIB + seed * 20 * KIB, seed)
        await put(backend, bucket, f"key-{seed}", data)
        assert await get(backend, bucket, f"key-{seed}") == data

    await asyncio.gather(*(there_and_back(seed) for seed in range(40)))


async def test_blocks_are_taken_one_by_one(backend: Backend, bucket: Bucket) -> None:
    """Whoever writes slowly writes all the same."""

    async def slowly() -> AsyncIterator[Block]:
        for block in blocks_of(data):
            await asyncio.sleep(0.01)
            yield block

    data = some_bytes(3 * MIB + 1)
    blob = await backend.write_blob(bucket, "key", slowly())
    assert await read(backend, bucket, blob) == data


# Bytes that differ


@pytest.mark.parametrize("size", [100, 16 * KIB])
async def test_a_small_body_that_differs_from_its_crc_is_not_given(backend: Backend, bucket: Bucket, size: int) -> None:
    (block,) = blocks_of(some_bytes(size))
    blob = await backend.write_blob(bucket, "key", stream_of([Block(some_bytes(size, seed=1), block.crcs)]))
    await put_blob(backend, bucket, "key", blob)
    with pytest.raises(InternalError):
        await get(backend, bucket, "key")
    with pytest.raises(InternalError):
        await read(backend, bucket, blob, 1, 2)


@pytest.mark.parametrize("wrong", [0, 5, 16, 20, 33])
async def test_a_piece_that_differs_from_its_crc_is_never_given(backend: Backend, bucket: Bucket, wrong: int) -> None:
    """The CRCs are written as they came, so that a wrong one stands for a disk that forgets."""
    data = some_bytes(2 * MIB + PIECE_SIZE + 100)
    blocks = blocks_of(data)
    number, piece = divmod(wrong, MIB // PIECE_SIZE)
    crcs = bytearray(blocks[number].crcs)
    crcs[piece * 8] ^= 1
    blocks[number] = blocks[number]._replace(crcs=bytes(crcs))
    blob = await backend.write_blob(bucket, "key", stream_of(blocks))
    begin, end = wrong * PIECE_SIZE, min((wrong + 1) * PIECE_SIZE, len(data))
    given = bytearray()
    with pytest.raises(InternalError):
        await _read_into(given, backend.read_blob(bucket, blob, 0, len(data)))
    assert data[:begin].startswith(given)
    for start, stop in [(begin, begin + 1), (end - 1, end), (max(begin - 1, 0), begin + 1)]:
        with pytest.raises(InternalError):
            await read(backend, bucket, blob, start, stop)
    assert await read(backend, bucket, blob, 0, begin) == data[:begin]
    assert await read(backend, bucket, blob, end, len(data)) == data[end:]


async def _read_into(given: bytearray, runs: AsyncIterator[bytes]) -> None:
    async for run in runs:
        given += run


# Writes that fail


@pytest.mark.parametrize("number", [0, 1, 3])
async def test_a_blob_whose_blocks_raise_leaves_nothing(backend: Backend, bucket: Bucket, number: int) -> None:
    async def broken() -> AsyncIterator[Block]:
        for block in blocks_of(some_bytes(3 * MIB))[:number]:
            yield block
        raise BadDigest

    with pytest.raises(BadDigest):
        await backend.write_blob(bucket, "key", broken())
    assert await backend.collect_garbage(AT_ONCE) == Collected()


async def test_whatever_blocks_raise_comes_out(backend: Backend, bucket: Bucket) -> None:
    class GoneAway(BaseException):
        pass

    async def broken() -> AsyncIterator[Block]:
        yield blocks_of(some_bytes(MIB))[0]
        raise GoneAway

    with pytest.raises(GoneAway):
        await backend.write_blob(bucket, "key", broken())
    assert await backend.collect_garbage(AT_ONCE) == Collected()


@pytest.mark.parametrize("number", [0, 2])
async def test_a_cancelled_write_leaves_nothing(backend: Backend, bucket: Bucket, number: int) -> None:
    arrived = asyncio.Event()

    async def stuck() -> AsyncIterator[Block]:
        for block in blocks_of(some_bytes(2 * MIB))[:number]:
            yield block
        arrived.set()
        await asyncio.Event().wait()

    writing = asyncio.ensure_future(backend.write_blob(bucket, "key", stuck()))
    await arrived.wait()
    writing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await writing
    assert await backend.collect_garbage(AT_ONCE) == Collected()


async def test_a_put_that_is_cancelled_has_changed_nothing_or_everything(backend: Backend, bucket: Bucket) -> None:
    data = some_bytes(LARGE)
    for turns in range(30):
        putting = asyncio.ensure_future(put(backend, bucket, "key", data, metadata={"turns": str(turns)}))
        for _ in range(turns):
            await asyncio.sleep(0)
        putting.cancel()
        await asyncio.wait([putting])
        assert await keys(backend, bucket) == ([] if putting.cancelled() else ["key"])
        if not putting.cancelled():
            assert await get(backend, bucket, "key") == data
            await backend.delete_version(bucket, "key", "null")
    await collect_all(backend)
    assert await keys(backend, bucket) == []


# Discarding and copying


async def test_discarded_bytes_are_gone_at_once(backend: Backend, bucket: Bucket) -> None:
    blob = await write(backend, bucket, some_bytes(LARGE))
    await backend.discard_blob(bucket, blob)
    with pytest.raises(InternalError):
        await read(backend, bucket, blob)
    with pytest.raises(ServiceUnavailable):
        await put_blob(backend, bucket, "key", blob)
    assert await backend.collect_garbage(AT_ONCE) == Collected()
    await backend.discard_blob(bucket, blob)


async def test_a_small_body_can_be_discarded(backend: Backend, bucket: Bucket) -> None:
    blob = await write(backend, bucket, b"small")
    await backend.discard_blob(bucket, blob)
    assert await backend.collect_garbage(AT_ONCE) == Collected()


@pytest.mark.parametrize("size", [10, LARGE])
async def test_owned_bytes_cannot_be_discarded(backend: Backend, bucket: Bucket, size: int) -> None:
    version = await put(backend, bucket, "key", some_bytes(size))
    upload = await create_upload(backend, bucket, "key")
    part = await put_part(backend, bucket, upload, 1, some_bytes(size))
    assert version.body is not None
    for blob in (version.body.blob, part.blob):
        await backend.discard_blob(bucket, blob)
    assert await get(backend, bucket, "key") == some_bytes(size)
    assert await read(backend, bucket, part.blob) == some_bytes(size)


@pytest.mark.parametrize("size", [0, 10, 16 * KIB, 16 * KIB + 1, 2 * MIB + 5])
async def test_a_copy_stands_by_itself(backend: Backend, bucket: Bucket, versioned: Bucket, size: int) -> None:
    data = some_bytes(size)
    source = await put(backend, bucket, "key", data)
    assert source.body is not None
    copy = await backend.copy_blob(bucket, source.body.blob, versioned, "copy")
    same = await backend.copy_blob(bucket, source.body.blob, bucket, "same")
    assert (copy.size, same.size) == (size, size)
    assert len({source.body.blob.id, copy.id, same.id}) == 3
    await put_blob(backend, versioned, "copy", copy)
    await put_blob(backend, bucket, "same", same)
    assert await get(backend, bucket, "key") == data
    await backend.delete_version(bucket, "key", "null")
    await collect_all(backend)
    assert await get(backend, versioned, "copy") == data
    assert await get(backend, bucket, "same") == data
    await backend.delete_version(bucket, "same", "null")
    await backend.delete_bucket(bucket)
    await collect_all(backend)
    assert await get(backend, versioned, "copy") == data


async def test_a_copy_without_an_owner_is_collected(backend: Backend, bucket: Bucket, versioned: Bucket) -> None:
    source = await put(backend, bucket, "key", some_bytes(LARGE))
    assert source.body is not None
    copy = await backend.copy_blob(bucket, source.body.blob, versioned, "copy")
    assert await collect_all(backend) == Collected(blobs=1, size=LARGE)
    with pytest.raises(ServiceUnavailable):
        await put_blob(backend, versioned, "copy", copy)
    assert await get(backend, bucket, "key") == some_bytes(LARGE)


async def test_bytes_that_are_gone_cannot_be_copied(backend: Backend, bucket: Bucket) -> None:
    blob = await write(backend, bucket, some_bytes(LARGE))
    await backend.discard_blob(bucket, blob)
    with pytest.raises(InternalError):
        await backend.copy_blob(bucket, blob, bucket, "key")
    assert await backend.collect_garbage(AT_ONCE) == Collected()


async def test_nothing_is_written_or_copied_into_a_bucket_that_is_gone(backend: Backend, bucket: Bucket) -> None:
    other = await create_bucket(backend, "other")
    blob = await write(backend, other, some_bytes(LARGE))
    await put_blob(backend, other, "key", blob)
    await backend.delete_bucket(bucket)
    with pytest.raises(NoSuchBucket):
        await write(backend, bucket, some_bytes(LARGE))
    with pytest.raises(NoSuchBucket):
        await backend.copy_blob(other, blob, bucket, "key")
    assert await backend.collect_garbage(AT_ONCE) == Collected()


# The collector


async def test_an_abandoned_blob_is_collected_after_the_grace_period(backend: Backend, bucket: Bucket) -> None:
    blob = await write(backend, bucket, some_bytes(LARGE))
    assert await backend.collect_garbage(GRACE) == Collected()
    assert await read(backend, bucket, blob) == some_bytes(LARGE)
    assert await backend.collect_garbage(AT_ONCE) == Collected(blobs=1, size=LARGE)
    assert await backend.collect_garbage(AT_ONCE) == Collected()
    with pytest.raises(InternalError):
        await read(backend, bucket, blob)


async def test_a_put_whose_bytes_were_collected_changes_nothing(backend: Backend, bucket: Bucket) -> None:
    await put(backend, bucket, "key", b"old")
    blob = await write(backend, bucket, some_bytes(LARGE))
    upload = await create_upload(backend, bucket, "key")
    await put_part(backend, bucket, upload, 1, b"old")
    await collect_all(backend)
    with pytest.raises(ServiceUnavailable):
        await put_blob(backend, bucket, "key", blob)
    with pytest.raises(ServiceUnavailable):
        await put_blob(backend, bucket, "new", blob)
    with pytest.raises(ServiceUnavailable):
        await backend.put_part(bucket, upload, part_of(blob, some_bytes(LARGE)))
    assert await keys(backend, bucket) == ["key"]
    assert await get(backend, bucket, "key") == b"old"
    (part,) = await backend.list_parts(bucket, upload)
    assert await read(backend, bucket, part.blob) == b"old"


async def test_owned_bytes_are_never_collected(backend: Backend, versioned: Bucket) -> None:
    small, large = some_bytes(10), some_bytes(LARGE)
    stored = [await put(backend, versioned, "key", data) for data in (small, large, large)]
    stored.append(await put_in_parts(backend, versioned, "key", large, small, large))
    await put_marker(backend, versioned, "key")
    upload = await create_upload(backend, versioned, "key", 2)
    parts = [await put_part(backend, versioned, upload, number, large) for number in (1, 2)]
    assert await collect_all(backend) == Collected()
    for version, data in zip(stored, (small, large, large, large + small + large), strict=True):
        assert await get(backend, versioned, "key", version.version_id) == data
    assert [await read(backend, versioned, part.blob) for part in parts] == [large, large]
    made = await finish(backend, versioned, upload, parts)
    assert await collect_all(backend) == Collected()
    assert await content_of(backend, versioned, made) == large + large


async def test_bytes_that_lost_their_owner_are_collected(backend: Backend, bucket: Bucket) -> None:
    await put(backend, bucket, "replaced", some_bytes(LARGE))
    await put(backend, bucket, "replaced", some_bytes(LARGE + 1))
    await put(backend, bucket, "deleted", some_bytes(LARGE + 2))
    await backend.delete_version(bucket, "deleted", "null")
    await put_in_parts(backend, bucket, "parts", some_bytes(LARGE + 3), b"small", some_bytes(LARGE + 4))
    await backend.delete_version(bucket, "parts", "null")
    await put_in_parts(backend, bucket, "parts replaced", some_bytes(LARGE + 5), some_bytes(LARGE + 6))
    await put(backend, bucket, "parts replaced", b"small")
    upload = await create_upload(backend, bucket, "upload", 2)
    await put_part(backend, bucket, upload, 1, some_bytes(LARGE + 7))
    await put_part(backend, bucket, upload, 1, some_bytes(LARGE + 8))
    await put_part(backend, bucket, upload, 2, some_bytes(LARGE + 9))
    left = [0, 2, 3, 4, 5, 6, 7]
    assert await collect_all(backend, GRACE) == Collected()
    assert await collect_all(backend) == Collected(blobs=len(left), size=sum(LARGE + more for more in left))
    await backend.abort_upload(bucket, upload)
    assert await collect_all(backend, GRACE) == Collected()
    assert await collect_all(backend) == Collected(blobs=2, size=LARGE + 8 + LARGE + 9)
    assert await get(backend, bucket, "replaced") == some_bytes(LARGE + 1)
    assert await get(backend, bucket, "parts replaced") == b"small"


async def test_the_collector_does_not_take_what_is_being_written(backend: Backend, bucket: Bucket) -> None:
    async def visited() -> AsyncIterator[Block]:
        for block in blocks_of(data):
            yield block
            assert await backend.collect_garbage(AT_ONCE) == Collected()

    data = some_bytes(3 * MIB)
    blob = await backend.write_blob(bucket, "key", visited())
    await put_blob(backend, bucket, "key", blob)
    assert await get(backend, bucket, "key") == data


async def test_a_reader_of_replaced_bytes_still_ends_whole(backend: Backend, bucket: Bucket) -> None:
    data = some_bytes(4 * MIB)
    version = await put(backend, bucket, "key", data)
    assert version.body is not None
    async with reading(backend, bucket, version.body.blob) as runs:
        given: bytes = await anext(runs)
        await put(backend, bucket, "key", b"new")
        await backend.collect_garbage(AT_ONCE)
        async for run in runs:
            given += run
    assert given == data
    assert await get(backend, bucket, "key") == b"new"


async def object_in_parts(backend: Backend, bucket: Bucket) -> tuple[ObjectVersion, bytes]:
    """One of large parts, of a part that a store reads at once, and of a small one in between."""
    datas = [some_bytes(size, seed) for seed, size in enumerate((3 * MIB, 10, MIB + 5, 4 * MIB, 2 * MIB))]
    return await put_in_parts(backend, bucket, "key", *datas), b"".join(datas)


def whole(backend: Backend, bucket: Bucket, version: ObjectVersion, start: int = 0) -> aclosing[Any]:
    """A reader of the object, as a GET reads it."""
    call = cast(Call, SimpleNamespace(backend=backend))
    return aclosing(cast(Any, read_object(call, version, start, version.size, bucket)))


@pytest.mark.parametrize("start", [0, 3 * MIB - 1, 3 * MIB + 1, 3 * MIB + 11])
async def test_a_slow_reader_of_an_object_in_parts_ends_whole_though_it_is_deleted(
    backend: Backend, bucket: Bucket, start: int
) -> None:
    version, data = await object_in_parts(backend, bucket)
    given = b""
    async with whole(backend, bucket, version, start) as runs:
        async for run in runs:
            await backend.delete_version(bucket, "key", "null")
            assert (await collect_all(backend)).size == 0
            given += run
    assert given == data[start:]
    assert await collect_all(backend) == Collected(blobs=4, size=len(data) - 10)


async def test_a_slow_reader_ends_whole_though_its_bucket_is_deleted(backend: Backend, bucket: Bucket) -> None:
    version, data = await object_in_parts(backend, bucket)
    async with whole(backend, bucket, version) as runs:
        given: bytes = await anext(runs)
        await backend.delete_version(bucket, "key", "null")
        await backend.delete_bucket(bucket)
        again = await create_bucket(backend, bucket.name)
        async for run in runs:
            assert (await collect_all(backend)).size == 0
            given += run
    assert given == data
    assert await keys(backend, again) == []
    assert (await collect_all(backend)).size == len(data) - 10


async def test_a_reader_of_parts_that_leaves_early_holds_nothing_back(backend: Backend, bucket: Bucket) -> None:
    version, data = await object_in_parts(backend, bucket)
    for _ in range(5):
        async with whole(backend, bucket, version) as runs:
            await anext(runs)
    await backend.delete_version(bucket, "key", "null")
    assert (await collect_all(backend)).size == len(data) - 10


async def test_what_is_held_is_kept_until_nobody_holds_it(backend: Backend, bucket: Bucket) -> None:
    in_parts, data = await object_in_parts(backend, bucket)
    one = await put(backend, bucket, "one", some_bytes(LARGE))
    small = await put(backend, bucket, "small", b"small")
    async with backend.hold(bucket, in_parts), backend.hold(bucket, one), backend.hold(bucket, small):
        async with backend.hold(bucket, in_parts), backend.hold(bucket, one):
            for key in ("key", "one", "small"):
                await backend.delete_version(bucket, key, "null")
            assert await collect_all(backend) == Collected()
        assert await collect_all(backend) == Collected()
        assert await content_of(backend, bucket, one) == some_bytes(LARGE)
    assert (await collect_all(backend)).size == len(data) - 10 + LARGE


async def test_a_reader_goes_on_when_its_bucket_changes(backend: Backend, bucket: Bucket) -> None:
    data = some_bytes(4 * MIB)
    version = await put(backend, bucket, "key", data)
    assert version.body is not None
    async with reading(backend, bucket, version.body.blob) as runs:
        given: bytes = await anext(runs)
        await backend.update_bucket(bucket.name, lambda old: replace(old, configurations={}))
        async for run in runs:
            given += run
    assert given == data


async def test_a_reader_that_leaves_early_holds_nothing_back(backend: Backend, bucket: Bucket) -> None:
    version = await put(backend, bucket, "key", some_bytes(4 * MIB))
    assert version.body is not None
    for _ in range(5):
        async with reading(backend, bucket, version.body.blob) as runs:
            await anext(runs)
    await backend.delete_version(bucket, "key", "null")
    assert await collect_all(backend) == Collected(blobs=1, size=4 * MIB)
    with pytest.raises(InternalError):
        await read(backend, bucket, version.body.blob)


async def test_a_put_and_the_collector_never_both_win(backend: Backend, bucket: Bucket) -> None:
    for turns in range(25):
        key = f"key-{turns}"
        blob = await write(backend, bucket, some_bytes(LARGE, turns), key)
        putting = asyncio.ensure_future(put_blob(backend, bucket, key, blob))
        for _ in range(turns % 10):
            await asyncio.sleep(0)
        collected, again = await asyncio.gather(*(backend.collect_garbage(AT_ONCE) for _ in range(2)))
        await asyncio.wait([putting])
        if putting.exception() is None:
            assert collected.size + again.size == 0
            assert await get(backend, bucket, key) == some_bytes(LARGE, turns)
        else:
            assert isinstance(putting.exception(), ServiceUnavailable)
            assert collected.size + again.size == LARGE
            with pytest.raises(NoSuchKey):
                await backend.get_version(bucket, key)


async def test_two_collectors_free_everything_once(backend: Backend, bucket: Bucket) -> None:
    for seed in range(10):
        await write(backend, bucket, some_bytes(LARGE, seed))
    rounds = await asyncio.gather(*(backend.collect_garbage(AT_ONCE) for _ in range(3)))
    assert sum(collected.blobs for collected in rounds) == 10
    assert sum(collected.size for collected in rounds) == 10 * LARGE


async def test_an_open_upload_is_not_forgotten(backend: Backend, bucket: Bucket) -> None:
    upload = await create_upload(backend, bucket, "key")
    done = await create_upload(backend, bucket, "done", 2)
    version = await finish(backend, bucket, done, [await put_part(backend, bucket, done, 1, b"data")])
    assert (await collect_all(backend)).uploads == 0
    assert await backend.get_upload(bucket, "key", upload.upload_id) == upload
    assert (await backend.get_upload(bucket, "done", done.upload_id)).version_id == version.version_id


async def test_a_store_tells_what_waits_for_the_collector(backend: Backend, bucket: Bucket) -> None:
    before = await backend.about()
    blob = await write(backend, bucket, some_bytes(LARGE))
    assert (await backend.about()).garbage == before.garbage + 1
    await backend.discard_blob(bucket, blob)
    after = await backend.about()
    assert (after.garbage, after.layout) == (before.garbage, before.layout)
    assert after.layout
