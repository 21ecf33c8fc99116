"""The store in memory, where only a clock in the test's hand shows the difference."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from post3.errors import NoSuchUpload
from post3.model.bucket import Bucket
from post3.storage.memory import MemoryBackend
from post3.storage.protocol import Collected
from tests.conftest import KIB, create_bucket, create_upload, finish, get, history, put, put_part, set_versioning, write

MICROSECOND = timedelta(microseconds=1)


class Clock:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def backend(clock: Clock) -> MemoryBackend:
    return MemoryBackend(clock=clock)


@pytest.fixture
async def bucket(backend: MemoryBackend) -> Bucket:
    await create_bucket(backend, "versioned")
    return await set_versioning(backend, "versioned", "Enabled")


async def test_the_sequence_is_the_microsecond(backend: MemoryBackend, bucket: Bucket, clock: Clock) -> None:
    version = await put(backend, bucket, "key")
    assert version.modified == clock.now
    assert version.sequence == 1_767_323_045_678_901
    assert version.version_id.startswith(f"{version.sequence:016x}")


async def test_the_sequence_rises_within_a_microsecond(backend: MemoryBackend, bucket: Bucket) -> None:
    stored = [await put(backend, bucket, "key") for _ in range(3)]
    first = stored[0].sequence
    assert [version.sequence for version in stored] == [first, first + 1, first + 2]
    assert (await put(backend, bucket, "other")).sequence == first


async def test_the_sequence_rises_when_the_clock_goes_back(
    backend: MemoryBackend, bucket: Bucket, clock: Clock
) -> None:
    first = await put(backend, bucket, "key", b"first")
    clock.now -= timedelta(days=1)
    second = await put(backend, bucket, "key", b"second")
    assert second.sequence == first.sequence + 1
    assert await get(backend, bucket, "key") == b"second"
    assert await history(backend, bucket, "key") == [second.version_id, first.version_id]


async def test_the_grace_period_is_kept_to_the_microsecond(
    backend: MemoryBackend, bucket: Bucket, clock: Clock
) -> None:
    grace = timedelta(hours=1)
    await write(backend, bucket, bytes(20 * KIB))
    clock.now += grace - MICROSECOND
    assert await backend.collect_garbage(grace) == Collected()
    clock.now += MICROSECOND
    assert await backend.collect_garbage(grace) == Collected(blobs=1, size=20 * KIB)


async def test_the_grace_period_begins_when_the_owner_is_lost(
    backend: MemoryBackend, bucket: Bucket, clock: Clock
) -> None:
    grace = timedelta(hours=1)
    version = await put(backend, bucket, "key", bytes(20 * KIB))
    clock.now += timedelta(days=1)
    await backend.delete_version(bucket, "key", version.version_id)
    clock.now += grace - MICROSECOND
    assert await backend.collect_garbage(grace) == Collected()
    clock.now += MICROSECOND
    assert await backend.collect_garbage(grace) == Collected(blobs=1, size=20 * KIB)


async def test_a_completed_upload_is_forgotten_after_a_week(
    backend: MemoryBackend, bucket: Bucket, clock: Clock
) -> None:
    never_finished = await create_upload(backend, bucket, "key", 1)
    upload = await create_upload(backend, bucket, "key", 2)
    part = await put_part(backend, bucket, upload, 1, bytes(20 * KIB))
    version = await finish(backend, bucket, upload, [part])
    clock.now += timedelta(days=7)
    assert await backend.collect_garbage(timedelta(0)) == Collected()
    assert await finish(backend, bucket, upload, [part]) == version
    clock.now += MICROSECOND
    assert await backend.collect_garbage(timedelta(0)) == Collected(uploads=1)
    with pytest.raises(NoSuchUpload):
        await backend.get_upload(bucket, "key", upload.upload_id)
    assert await get(backend, bucket, "key") == bytes(20 * KIB)
    assert await backend.get_upload(bucket, "key", never_finished.upload_id) == never_finished
