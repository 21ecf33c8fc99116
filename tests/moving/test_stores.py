"""Between two stores nothing is lost, and what was copied is not copied again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from post3._chunker import piece_crcs
from post3.errors import ServiceUnavailable
from post3.model.bucket import Bucket
from post3.model.listing import ListQuery
from post3.model.object import Blob, Block, ObjectVersion
from post3.moving.copying import GaveUpError
from post3.moving.opening import Sides
from post3.moving.report import Report
from post3.moving.store import StoreSide
from post3.storage.memory import MemoryBackend
from post3.storage.protocol import Backend
from post3.users.store import list_users
from tests.conftest import MIB, create_upload, get, make_backend, put, set_versioning, some_bytes
from tests.moving.filled import PARTS, copied, fill, problems, put_encrypted, put_parts, sight, versions_of

PAIRS = [("memory", "filesystem"), ("filesystem", "postgres"), ("postgres", "filesystem"), ("postgres", "memory")]


@pytest.fixture(params=PAIRS, ids="-".join)
async def pair(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[tuple[Backend, Backend]]:
    """A filled store and an empty one."""
    source, target = (make_backend(store, tmp_path) for store in request.param)
    await source.open()
    await target.open()
    await fill(source)
    yield source, target
    await source.close()
    await target.close()


async def test_all_is_there_afterwards(pair: tuple[Backend, Backend]) -> None:
    source, target = pair
    await put_encrypted(source)
    report = await copied(source, target)
    assert problems(report) == {}
    assert report.is_whole
    assert report.total("copied") == sum([len(await versions_of(source, one.name)) for one in await buckets(source)])
    assert await sight(target) == await sight(source)


async def buckets(backend: Backend) -> list[Bucket]:
    return await backend.list_buckets()


async def test_a_second_copy_copies_nothing(pair: tuple[Backend, Backend]) -> None:
    source, target = pair
    first = await copied(source, target)
    again = await copied(source, target)
    assert (again.total("copied"), again.total("bytes")) == (0, 0)
    assert again.total("equal") == first.total("copied")
    assert again.is_whole


async def test_what_changed_since_is_brought_after(pair: tuple[Backend, Backend]) -> None:
    source, target = pair
    await copied(source, target)
    plain, versioned = await source.get_bucket("plain"), await source.get_bucket("versioned")
    await put(source, plain, "a", b"changed", owner="alice")
    await put(source, plain, "new", b"new")
    await source.delete_version(plain, "b/stored", "null")
    await put(source, versioned, "key", b"fifth")
    await source.update_version(versioned, "in parts", None, partial(replace, tags={"late": "yes"}))
    refused = await copied(source, target)
    assert problems(refused) == {
        "plain: the target has another one in its place": 1,
        "plain: only the target has it": 1,
        "versioned: the tags differs": 1,
    }
    report = await copied(source, target, overwrite=True, delete=True)
    assert (report.total("copied"), report.total("amended"), report.total("deleted")) == (1, 1, 1)
    assert report.is_whole
    assert await sight(target) == await sight(source)


async def test_users_and_their_keys_come_along(pair: tuple[Backend, Backend]) -> None:
    source, target = pair
    report = Report()
    sides = Sides(StoreSide(source), StoreSide(target))
    await sides.bring_users(report)
    await sides.bring_users(report)
    assert (report.users, problems(report)) == (1, {})
    assert await list_users(target) == await list_users(source)


# Stopped in the midst


class Faulty(MemoryBackend):
    """A target whose writes fail from some point on."""

    left = 0

    async def write_blob(self, bucket: Bucket, key: str, blocks: AsyncIterator[Block]) -> Blob:
        """See Blobs."""
        if self.left <= 0:
            raise ServiceUnavailable("The disk is full.")
        self.left -= 1
        return await super().write_blob(bucket, key, blocks)


async def test_a_copy_that_failed_half_way_goes_on_where_it_was(filled: MemoryBackend) -> None:
    target = Faulty()
    target.left = 6
    report = await copied(filled, target)
    failed = sum(problems(report, "failed").values())
    assert failed > 1
    assert "plain: The disk is full." in problems(report)
    target.left = 1000
    again = await copied(filled, target)
    assert again.is_whole
    assert again.total("copied") == failed
    assert await sight(target) == await sight(filled)


async def test_parts_that_arrived_are_not_sent_again(filled: MemoryBackend) -> None:
    target = Faulty()
    bucket = await filled.create_bucket(replace(await filled.get_bucket("versioned"), name="parts", configurations={}))
    await put_parts(filled, bucket.name, "in parts", PARTS)
    target.left = 2
    assert not (await copied(filled, target, "parts")).is_equal
    target.left = 1
    report = await copied(filled, target, "parts")
    assert report.is_whole
    assert report.total("bytes") == len(PARTS[3])
    assert await get(target, await target.get_bucket("parts"), "in parts") == b"".join(PARTS.values())


async def test_a_copy_that_is_cancelled_leaves_only_whole_objects(filled: MemoryBackend) -> None:
    target = MemoryBackend()
    arrived = asyncio.Event()
    going_on = asyncio.Event()

    class Waiting(StoreSide):
        async def whole(self, version: ObjectVersion) -> Any:
            if version.key == "in parts":
                arrived.set()
                await going_on.wait()
            return await super().whole(version)

    task = asyncio.create_task(copied(Waiting(filled), target))
    await arrived.wait()
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()
    assert "in parts" not in {one.key for one in await versions_of(target, "plain")}
    report = await copied(filled, target)
    assert report.is_whole
    assert await sight(target) == await sight(filled)


async def test_a_copy_into_a_store_that_takes_nothing_is_given_up() -> None:
    source = MemoryBackend()
    bucket = await source.create_bucket(replace(await a_plain_bucket(source), name="many"))
    for number in range(150):
        await put(source, bucket, f"{number:03d}", b"x")
    with pytest.raises(GaveUpError, match="100 failures in a row"):
        await copied(source, Faulty(), "many")


async def a_plain_bucket(backend: Backend) -> Bucket:
    await fill(backend)
    return await backend.get_bucket("plain")


# Damage


async def test_damaged_bytes_are_told_and_nothing_of_them_is_stored(filled: MemoryBackend) -> None:
    bucket = await filled.get_bucket("plain")
    body = (await filled.get_version(bucket, "c/large")).body
    assert body is not None
    first, *rest = filled._blobs[body.blob.id]
    filled._blobs[body.blob.id] = (Block(b"\0" + first.data[1:], first.crcs), *rest)
    target = MemoryBackend()
    report = await copied(filled, target)
    (told,) = problems(report)
    assert "is damaged" in told or "are damaged" in told
    assert not report.is_equal
    assert "c/large" not in {one.key for one in await versions_of(target, "plain")}
    assert not target._ledger


@pytest.mark.parametrize("key", ["c/large", "in parts"])
async def test_bytes_that_are_not_what_the_record_says_are_not_stored(filled: MemoryBackend, key: str) -> None:
    bucket = await filled.get_bucket("plain")
    version = await filled.get_version(bucket, key)
    parts = await filled.list_parts(bucket, version)
    # The pieces' own checksums are right: only the record's digest tells.
    first, *rest = filled._blobs[parts[0].blob.id]
    other = b"\0" + first.data[1:]
    filled._blobs[parts[0].blob.id] = (Block(other, piece_crcs(other)), *rest)
    target = MemoryBackend()
    report = await copied(filled, target)
    (told,) = problems(report)
    assert "the source is damaged; nothing was stored" in told
    assert key not in {one.key for one in await versions_of(target, "plain")}


async def test_a_body_that_has_not_the_objects_checksum_is_not_stored(filled: MemoryBackend) -> None:
    bucket = await filled.get_bucket("plain")
    await filled.update_version(bucket, "described", None, partial(replace, checksums={"crc32": "AAAAAA=="}))
    report = await copied(filled, MemoryBackend())
    (told,) = problems(report)
    assert "the CRC32 of the body is" in told


async def test_a_record_whose_etag_is_not_that_of_its_parts_is_told(filled: MemoryBackend) -> None:
    bucket = await filled.get_bucket("plain")
    await filled.update_version(bucket, "in parts", None, partial(replace, etag=f"{'0' * 32}-3"))
    target = MemoryBackend()
    report = await copied(filled, target)
    (told,) = problems(report)
    assert "the ETag of the parts is" in told
    assert "in parts" not in {one.key for one in await versions_of(target, "plain")}
    assert (await target.list_uploads(await target.get_bucket("plain"), ListQuery())).entries == ()


# A target that holds something


async def test_parts_that_have_no_place_leave_no_upload_behind(filled: MemoryBackend) -> None:
    target = MemoryBackend()
    await target.create_bucket(await filled.get_bucket("versioned"))
    await target.create_bucket(await filled.get_bucket("plain"))
    (source,) = [one for one in await versions_of(filled, "versioned") if one.key == "in parts"]
    bucket = await target.get_bucket("versioned")
    twin = replace(source, version_id=f"{source.version_id[:16]}{7:016x}", parts=0, body=None, is_delete_marker=True)
    await target.put_version(bucket, twin, restored=True)
    report = await copied(filled, target, "versioned")
    assert (
        f"versioned: The version {source.version_id} cannot be restored: another one stands in its place."
        in problems(report, "failed")
    )
    assert (await target.list_uploads(bucket, ListQuery())).entries == ()


async def test_what_the_target_has_otherwise_stays_unless_it_may_be_overwritten(filled: MemoryBackend) -> None:
    target = MemoryBackend()
    bucket = await target.create_bucket(await filled.get_bucket("plain"))
    await put(target, bucket, "a", b"the target's own")
    await put(target, bucket, "own", b"only here")
    report = await copied(filled, target)
    assert problems(report) == {
        "plain: the target has another one in its place": 1,
        "plain: only the target has it": 1,
    }
    assert await get(target, bucket, "a") == b"the target's own"
    report = await copied(filled, target, overwrite=True)
    assert problems(report) == {"plain: only the target has it": 1}
    assert await get(target, bucket, "a") == b"small"
    assert await get(target, bucket, "own") == b"only here"


async def test_a_bucket_that_is_there_otherwise_is_told(filled: MemoryBackend) -> None:
    target = MemoryBackend()
    plain = await filled.get_bucket("plain")
    await target.create_bucket(replace(plain, configurations={}, owner="bob"))
    report = await copied(filled, target, "plain")
    assert set(problems(report)) == {
        f"plain: the bucket's {what} differs" for what in ("cors", "policy", "tagging", "owner")
    }
    report = await copied(filled, target, "plain", overwrite=True)
    assert report.is_whole
    assert (await target.get_bucket("plain")).configurations == plain.configurations


async def test_versions_do_not_go_into_a_bucket_without(filled: MemoryBackend) -> None:
    target = MemoryBackend()
    await target.create_bucket(replace(await filled.get_bucket("versioned"), configurations={}))
    report = await copied(filled, target, "versioned")
    assert list(problems(report)) == [
        "versioned: the bucket is there without versioning, and the source's has versions"
    ]


async def test_a_bucket_that_changes_meanwhile_is_no_hindrance(filled: MemoryBackend) -> None:
    target = MemoryBackend()

    class Changing(StoreSide):
        async def whole(self, version: ObjectVersion) -> Any:
            await set_versioning(filled, "versioned", "Suspended" if version.size % 2 else "Enabled")
            return await super().whole(version)

    report = await copied(Changing(filled), target, "versioned")
    assert problems(report) == {}


async def test_an_object_that_goes_meanwhile_is_counted(filled: MemoryBackend) -> None:
    target = MemoryBackend()

    class Losing(StoreSide):
        async def whole(self, version: ObjectVersion) -> Any:
            if version.key == "a":
                await filled.delete_version(await filled.get_bucket("plain"), "a", "null")
            return await super().whole(version)

    report = await copied(Losing(filled), target, "plain")
    assert (report.total("gone"), problems(report)) == (1, {})


async def test_a_dry_run_changes_nothing(filled: MemoryBackend) -> None:
    target = MemoryBackend()
    report = await copied(filled, target, dry_run=True)
    assert await target.list_buckets() == []
    assert report.total("copied") == len(await versions_of(filled, "plain")) + len(
        await versions_of(filled, "versioned")
    )
    await copied(filled, target)
    seen = await sight(target)
    await put(filled, await filled.get_bucket("plain"), "a", b"changed")
    report = await copied(filled, target, dry_run=True, overwrite=True, delete=True)
    assert (report.total("copied"), report.total("replaced")) == (1, 1)
    assert await sight(target) == seen


async def test_one_bucket_may_be_copied_alone(filled: MemoryBackend) -> None:
    target = MemoryBackend()
    report = await copied(filled, target, "versioned", "absent")
    assert [bucket.name for bucket in await target.list_buckets()] == ["versioned"]
    assert problems(report) == {"absent: the source has no such bucket": 1}


async def test_open_uploads_are_told_of(filled: MemoryBackend) -> None:
    await create_upload(filled, await filled.get_bucket("plain"), "open")
    report = await copied(filled, MemoryBackend())
    assert problems(report, "lost") == {"plain: open multipart uploads": 1}
    assert report.is_equal
    assert not report.is_whole


async def test_many_versions_of_a_key_are_copied_past_a_page() -> None:
    source, target = MemoryBackend(), MemoryBackend()
    await fill(source)
    bucket = await source.get_bucket("versioned")
    for number in range(1500):
        await put(source, bucket, "many", str(number).encode())
    report = await copied(source, target, "versioned")
    assert report.is_whole
    assert [one.version_id for one in await versions_of(target, "versioned")] == [
        one.version_id for one in await versions_of(source, "versioned")
    ]


async def test_large_bodies_pass_block_by_block() -> None:
    source, target = MemoryBackend(), MemoryBackend()
    await fill(source)
    data = some_bytes(8 * MIB + 5)
    await put(source, await source.get_bucket("plain"), "huge", data)
    held = 0

    class Counting(StoreSide):
        def read(self, whole: Any, part: Any) -> AsyncIterator[bytes]:
            return counted(super().read(whole, part))

    async def counted(pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        nonlocal held
        async for piece in pieces:
            held = max(held, len(piece))
            yield piece

    assert (await copied(Counting(source), target)).is_whole
    assert held <= MIB
    assert await get(target, await target.get_bucket("plain"), "huge") == data
