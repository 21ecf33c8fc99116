"""What every store promises about multipart uploads."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from post3.errors import InternalError, InvalidPart, NoSuchUpload, NoSuchVersion, PreconditionFailed, StaleBucket
from post3.model.bucket import Bucket
from post3.model.grants import Grants
from post3.model.listing import ListQuery
from post3.model.object import NULL_VERSION, ObjectVersion
from post3.model.upload import Upload
from post3.storage.protocol import Backend
from tests.conftest import (
    ACLS,
    AN_ACL,
    KIB,
    LONG_AGO,
    MIB,
    SOME_TAGS,
    a_version,
    collect_all,
    content_of,
    create_upload,
    facts,
    finish,
    get,
    history,
    keys,
    part_of,
    put,
    put_in_parts,
    put_marker,
    put_part,
    read,
    set_versioning,
    some_bytes,
    write,
)


async def numbers(backend: Backend, bucket: Bucket, owner: Upload | ObjectVersion, **query: int) -> list[int]:
    return [part.number for part in await backend.list_parts(bucket, owner, **query)]


async def open_uploads(backend: Backend, bucket: Bucket) -> list[str]:
    page = await backend.list_uploads(bucket, ListQuery())
    return [entry.upload_id for entry in page.entries if isinstance(entry, Upload)]


# Open


async def test_a_created_upload_is_there(backend: Backend, bucket: Bucket) -> None:
    before = datetime.now(UTC) - timedelta(seconds=1)
    upload = await create_upload(
        backend,
        bucket,
        "key",
        content="mine",
        storage_class="GLACIER_IR",
        headers={"content-type": "x"},
        metadata={"colour": "\0\udcff"},
        checksum_algorithm="CRC32",
        checksum_type="COMPOSITE",
    )
    assert before <= upload.initiated <= datetime.now(UTC) + timedelta(seconds=1)
    assert upload.content not in ("", "mine")
    assert upload.version_id is None
    assert (upload.bucket, upload.key, upload.owner, upload.storage_class) == (bucket.name, "key", "bob", "GLACIER_IR")
    assert (upload.headers, upload.metadata) == ({"content-type": "x"}, {"colour": "\0\udcff"})
    assert (upload.checksum_algorithm, upload.checksum_type) == ("CRC32", "COMPOSITE")
    assert await backend.get_upload(bucket, "key", upload.upload_id) == upload
    assert await numbers(backend, bucket, upload) == []
    assert await keys(backend, bucket, all_versions=True) == []


@pytest.mark.parametrize("acl", ACLS, ids=str)
async def test_an_upload_keeps_its_acl(backend: Backend, bucket: Bucket, acl: Grants | None) -> None:
    upload = await create_upload(backend, bucket, "key", acl=acl)
    assert upload.acl == acl
    await put_part(backend, bucket, upload, 1, b"data")
    assert await backend.get_upload(bucket, "key", upload.upload_id) == upload
    assert (await backend.list_uploads(bucket, ListQuery())).entries == (upload,)


@pytest.mark.parametrize("acl", ACLS, ids=str)
async def test_a_finished_object_has_the_acl_that_the_finish_gives_it(
    backend: Backend, bucket: Bucket, acl: Grants | None
) -> None:
    upload = await create_upload(backend, bucket, "key", acl=AN_ACL)
    part = await put_part(backend, bucket, upload, 1, b"data")
    made = await finish(backend, bucket, upload, [part], acl=acl)
    assert made.acl == acl
    assert await backend.get_version(bucket, "key") == made
    assert (await finish(backend, bucket, upload, [part], acl=AN_ACL)).acl == acl
    assert (await backend.get_upload(bucket, "key", upload.upload_id)).acl == AN_ACL


async def test_an_upload_keeps_its_tags_and_its_object_those_that_the_finish_gives_it(
    backend: Backend, bucket: Bucket
) -> None:
    upload = await create_upload(backend, bucket, "key", tags=SOME_TAGS)
    assert list(upload.tags.items()) == list(SOME_TAGS.items())
    assert (await backend.list_uploads(bucket, ListQuery())).entries == (upload,)
    part = await put_part(backend, bucket, upload, 1, b"data")
    assert await backend.get_upload(bucket, "key", upload.upload_id) == upload
    made = await finish(backend, bucket, upload, [part], tags={"n": "1"})
    assert made.tags == {"n": "1"}
    assert await backend.get_version(bucket, "key") == made
    assert (await backend.get_upload(bucket, "key", upload.upload_id)).tags == SOME_TAGS


async def test_an_upload_belongs_to_its_key(backend: Backend, bucket: Bucket) -> None:
    upload = await create_upload(backend, bucket, "key")
    elsewhere = replace(upload, key="other")
    with pytest.raises(NoSuchUpload):
        await backend.get_upload(bucket, "other", upload.upload_id)
    with pytest.raises(NoSuchUpload):
        await put_part(backend, bucket, elsewhere, 1, b"data")
    with pytest.raises(NoSuchUpload):
        await backend.abort_upload(bucket, elsewhere)
    with pytest.raises(NoSuchUpload):
        await finish(backend, bucket, elsewhere, [])
    assert await open_uploads(backend, bucket) == [upload.upload_id]


@pytest.mark.parametrize("upload_id", ["", "nothing", "..", "../..", "/", "a/b", "\0", "%", "x" * 1000])
async def test_an_unknown_upload_is_missed(backend: Backend, bucket: Bucket, upload_id: str) -> None:
    await create_upload(backend, bucket, "key")
    unknown = Upload(bucket.name, "key", upload_id, LONG_AGO, "bob", content="unknown")
    with pytest.raises(NoSuchUpload):
        await backend.get_upload(bucket, "key", upload_id)
    with pytest.raises(NoSuchUpload):
        await put_part(backend, bucket, unknown, 1, b"data")
    with pytest.raises(NoSuchUpload):
        await backend.list_parts(bucket, unknown)
    with pytest.raises(NoSuchUpload):
        await finish(backend, bucket, unknown, [])
    with pytest.raises(NoSuchUpload):
        await backend.abort_upload(bucket, unknown)


async def test_parts_are_listed_by_number(backend: Backend, bucket: Bucket) -> None:
    upload = await create_upload(backend, bucket, "key")
    before = datetime.now(UTC) - timedelta(seconds=1)
    for number in (10_000, 2, 11, 1, 100):
        blob = await write(backend, bucket, b"%d" % number)
        part = replace(part_of(blob, b"%d" % number, number), checksums={"crc32": str(number)})
        stored = await backend.put_part(bucket, upload, part)
        assert before <= stored.modified <= datetime.now(UTC) + timedelta(seconds=1)
        assert (stored.number, stored.size, stored.etag) == (number, part.size, part.etag)
        (listed,) = await backend.list_parts(bucket, upload, after=number - 1, limit=1)
        assert await read(backend, bucket, listed.blob) == b"%d" % number
        assert (listed.checksums, listed.modified, listed.etag) == ({"crc32": str(number)}, stored.modified, part.etag)
    assert await numbers(backend, bucket, upload) == [1, 2, 11, 100, 10_000]
    assert await numbers(backend, bucket, upload, after=2) == [11, 100, 10_000]
    assert await numbers(backend, bucket, upload, after=3, limit=2) == [11, 100]
    assert await numbers(backend, bucket, upload, limit=0) == []
    assert await numbers(backend, bucket, upload, after=10_000) == []


async def test_a_part_of_the_same_number_is_replaced(backend: Backend, bucket: Bucket) -> None:
    upload = await create_upload(backend, bucket, "key")
    await put_part(backend, bucket, upload, 1, some_bytes(100 * KIB))
    second = await put_part(backend, bucket, upload, 1, b"second")
    (listed,) = await backend.list_parts(bucket, upload)
    assert (listed.size, listed.etag) == (6, second.etag)
    assert await read(backend, bucket, listed.blob) == b"second"
    assert (await collect_all(backend)).size == 100 * KIB
    made = await finish(backend, bucket, upload, [second])
    assert await content_of(backend, bucket, made) == b"second"


async def test_of_racing_parts_of_one_number_one_is_left(backend: Backend, bucket: Bucket) -> None:
    upload = await create_upload(backend, bucket, "key")
    datas = [some_bytes(size, seed) for seed in range(6) for size in (100, 20 * KIB)]
    await asyncio.gather(*(put_part(backend, bucket, upload, 1, data) for data in datas))
    (left,) = await backend.list_parts(bucket, upload)
    kept = await read(backend, bucket, left.blob)
    assert kept in datas
    large = [len(data) for data in datas if data != kept and len(data) > 16 * KIB]
    assert (await collect_all(backend)).size == sum(large)
    assert await read(backend, bucket, left.blob) == kept


async def test_racing_parts_are_all_kept(backend: Backend, bucket: Bucket) -> None:
    upload = await create_upload(backend, bucket, "key")
    parts = await asyncio.gather(
        *(put_part(backend, bucket, upload, number, b"%d." % number) for number in range(1, 51))
    )
    made = await finish(backend, bucket, upload, parts)
    assert await content_of(backend, bucket, made) == b"".join(b"%d." % number for number in range(1, 51))


# Completed


async def test_a_finished_upload_is_an_object(backend: Backend, bucket: Bucket) -> None:
    datas = [some_bytes(MIB + 5), b"small", some_bytes(70 * KIB), some_bytes(16 * KIB)]
    upload = await create_upload(backend, bucket, "key")
    parts = [await put_part(backend, bucket, upload, number, data) for number, data in enumerate(datas, 1)]
    made = await finish(backend, bucket, upload, parts, headers={"content-type": "x"}, checksum_type="COMPOSITE")
    assert made.content == upload.content
    assert (made.parts, made.body, made.size) == (4, None, sum(map(len, datas)))
    assert (made.version_id, made.etag, made.headers) == (NULL_VERSION, "etag-4", {"content-type": "x"})
    assert made.checksum_type == "COMPOSITE"
    found = await backend.get_version(bucket, "key")
    assert found == made
    assert await content_of(backend, bucket, found) == b"".join(datas)
    assert await keys(backend, bucket) == ["key"]
    assert await open_uploads(backend, bucket) == []
    known = await backend.get_upload(bucket, "key", upload.upload_id)
    assert known == replace(upload, version_id=made.version_id)


async def test_parts_start_where_the_one_before_ends(backend: Backend, bucket: Bucket) -> None:
    upload = await create_upload(backend, bucket, "key")
    sizes = {3: 100, 7: 20 * KIB, 8: 1, 9_999: 65 * KIB}
    parts = [await put_part(backend, bucket, upload, number, some_bytes(size)) for number, size in sizes.items()]
    made = await finish(backend, bucket, upload, parts)
    listed = await backend.list_parts(bucket, made)
    assert [(part.number, part.size) for part in listed] == list(sizes.items())
    assert [part.start for part in listed] == [0, 100, 100 + 20 * KIB, 101 + 20 * KIB]
    assert [(part.etag, part.modified) for part in listed] == [(part.etag, part.modified) for part in parts]
    for part, size in zip(listed, sizes.values(), strict=True):
        assert await read(backend, bucket, part.blob) == some_bytes(size)


async def test_a_range_finds_its_parts(backend: Backend, bucket: Bucket) -> None:
    made = await put_in_parts(backend, bucket, "key", *(some_bytes(10, seed) for seed in range(5)))

    async def under(start: int, stop: int) -> list[int]:
        return await numbers(backend, bucket, made, start=start, stop=stop)

    assert await under(0, 50) == [1, 2, 3, 4, 5]
    assert await under(0, 10) == [1]
    assert await under(9, 10) == [1]
    assert await under(9, 11) == [1, 2]
    assert await under(10, 11) == [2]
    assert await under(10, 20) == [2]
    assert await under(19, 41) == [2, 3, 4, 5]
    assert await under(49, 50) == [5]
    assert await under(50, 60) == []
    assert await numbers(backend, bucket, made, start=15, stop=45, after=3) == [4, 5]
    assert await numbers(backend, bucket, made, start=15, stop=45, limit=2) == [2, 3]
    assert await numbers(backend, bucket, made, after=3) == [4, 5]
    assert await numbers(backend, bucket, made, after=2, limit=2) == [3, 4]
    whole = b"".join(some_bytes(10, seed) for seed in range(5))
    for start in range(0, 50, 3):
        for stop in range(start, 51, 4):
            assert await content_of(backend, bucket, made, start, stop) == whole[start:stop]


async def test_an_object_of_one_body_has_its_body_as_its_only_part(backend: Backend, bucket: Bucket) -> None:
    version = await put(backend, bucket, "key", some_bytes(20 * KIB))
    (part,) = await backend.list_parts(bucket, version)
    assert (part.number, part.size, part.start, part.etag) == (1, 20 * KIB, 0, version.etag)
    assert await read(backend, bucket, part.blob) == some_bytes(20 * KIB)
    assert await numbers(backend, bucket, version, start=5, stop=6) == [1]
    assert await numbers(backend, bucket, version, after=1) == []
    assert await numbers(backend, bucket, version, start=20 * KIB, stop=30 * KIB) == []
    empty = await put(backend, bucket, "empty", b"")
    assert await numbers(backend, bucket, empty) == [1]


async def test_an_upload_of_one_part_keeps_its_number(backend: Backend, bucket: Bucket) -> None:
    upload = await create_upload(backend, bucket, "key")
    made = await finish(backend, bucket, upload, [await put_part(backend, bucket, upload, 42, b"data")])
    assert made.parts == 1
    assert await numbers(backend, bucket, made) == [42]
    assert await get(backend, bucket, "key") == b"data"


async def test_an_empty_part_makes_an_empty_object(backend: Backend, bucket: Bucket) -> None:
    made = await put_in_parts(backend, bucket, "key", b"")
    assert (made.size, made.parts) == (0, 1)
    assert await numbers(backend, bucket, made) == [1]
    assert await get(backend, bucket, "key") == b""


async def test_parts_that_are_not_named_are_left_behind(backend: Backend, bucket: Bucket) -> None:
    upload = await create_upload(backend, bucket, "key")
    parts = [await put_part(backend, bucket, upload, number, some_bytes(20 * KIB, number)) for number in range(1, 6)]
    made = await finish(backend, bucket, upload, [parts[1], parts[3]])
    assert await numbers(backend, bucket, made) == [2, 4]
    assert (await collect_all(backend)).size == 60 * KIB
    assert await get(backend, bucket, "key") == some_bytes(20 * KIB, 2) + some_bytes(20 * KIB, 4)


async def test_a_finished_upload_takes_the_place_of_the_object(backend: Backend, bucket: Bucket) -> None:
    await put(backend, bucket, "key", some_bytes(20 * KIB))
    made = await put_in_parts(backend, bucket, "key", b"a", b"b")
    assert await history(backend, bucket, "key") == [NULL_VERSION]
    assert (await collect_all(backend)).size == 20 * KIB
    assert await get(backend, bucket, "key") == b"ab"
    await put(backend, bucket, "key", b"body again")
    found = await backend.get_version(bucket, "key")
    assert (found.parts, found.content == made.content) == (0, False)
    assert await content_of(backend, bucket, found) == b"body again"


async def test_a_finished_upload_is_a_new_version(backend: Backend, versioned: Bucket) -> None:
    first = await put(backend, versioned, "key", b"first")
    made = await put_in_parts(backend, versioned, "key", b"a", b"b")
    assert made.sequence > first.sequence
    assert int(made.version_id[:16], 16) == made.sequence
    assert await history(backend, versioned, "key") == [made.version_id, first.version_id]
    await put_marker(backend, versioned, "key")
    assert await get(backend, versioned, "key", made.version_id) == b"ab"


async def test_an_object_of_parts_can_be_updated(backend: Backend, bucket: Bucket) -> None:
    made = await put_in_parts(backend, bucket, "key", some_bytes(20 * KIB), b"small")
    updated = await backend.update_version(bucket, "key", None, lambda old: replace(old, metadata={"a": "b"}))
    assert updated == replace(made, metadata={"a": "b"}, revision=made.revision + 1)
    await collect_all(backend)
    assert await get(backend, bucket, "key") == some_bytes(20 * KIB) + b"small"


async def test_whoever_holds_a_replaced_object_never_gets_the_parts_of_another(
    backend: Backend, bucket: Bucket
) -> None:
    old = await put_in_parts(backend, bucket, "key", b"old-1", b"old-2")
    await put_in_parts(backend, bucket, "key", b"new-1", b"new-2", b"new-3")
    with suppress(NoSuchVersion, InternalError):  # the reader may have come too late
        assert await content_of(backend, bucket, old) == b"old-1old-2"


async def test_a_repeated_finish_answers_the_same(backend: Backend, versioned: Bucket) -> None:
    def refuse(_current: ObjectVersion | None, _replaced: ObjectVersion | None) -> None:
        raise PreconditionFailed

    upload = await create_upload(backend, versioned, "key")
    part = await put_part(backend, versioned, upload, 1, b"data")
    made = await finish(backend, versioned, upload, [part])
    assert await finish(backend, versioned, upload, [part]) == made
    assert await finish(backend, versioned, upload, [part], guard=refuse) == made
    assert await history(backend, versioned, "key") == [made.version_id]
    later = await put(backend, versioned, "key", b"later")
    again = await finish(backend, versioned, upload, [part])
    assert again == await backend.get_version(versioned, "key", made.version_id)
    assert replace(again, noncurrent=None) == made
    assert await history(backend, versioned, "key") == [later.version_id, made.version_id]


async def test_a_finish_is_not_repeated_once_its_object_is_gone(backend: Backend, versioned: Bucket) -> None:
    upload = await create_upload(backend, versioned, "key")
    part = await put_part(backend, versioned, upload, 1, b"data")
    made = await finish(backend, versioned, upload, [part])
    await backend.delete_version(versioned, "key", made.version_id)
    with pytest.raises(NoSuchUpload):
        await finish(backend, versioned, upload, [part])
    assert await history(backend, versioned, "key") == []


async def test_a_finish_is_not_repeated_once_its_object_is_another(backend: Backend, bucket: Bucket) -> None:
    upload = await create_upload(backend, bucket, "key")
    part = await put_part(backend, bucket, upload, 1, b"data")
    await finish(backend, bucket, upload, [part])
    await put(backend, bucket, "key", b"another")
    with pytest.raises(NoSuchUpload):
        await finish(backend, bucket, upload, [part])
    assert await get(backend, bucket, "key") == b"another"


async def test_of_racing_finishes_all_answer_one_object(backend: Backend, versioned: Bucket) -> None:
    upload = await create_upload(backend, versioned, "key")
    parts = [await put_part(backend, versioned, upload, number, some_bytes(20 * KIB, number)) for number in (1, 2)]
    made = await asyncio.gather(*(finish(backend, versioned, upload, parts) for _ in range(10)))
    assert {version.version_id for version in made} == {made[0].version_id}
    assert await history(backend, versioned, "key") == [made[0].version_id]
    assert (await collect_all(backend)).blobs == 0
    assert await get(backend, versioned, "key") == some_bytes(20 * KIB, 1) + some_bytes(20 * KIB, 2)


async def test_a_completed_upload_takes_no_more_parts(backend: Backend, bucket: Bucket) -> None:
    upload = await create_upload(backend, bucket, "key")
    made = await finish(backend, bucket, upload, [await put_part(backend, bucket, upload, 1, b"data")])
    with pytest.raises(NoSuchUpload):
        await put_part(backend, bucket, upload, 1, b"more")
    with pytest.raises(NoSuchUpload):
        await put_part(backend, bucket, upload, 2, b"more")
    with pytest.raises(NoSuchUpload):
        await backend.list_parts(bucket, upload)
    with pytest.raises(NoSuchUpload):
        await backend.abort_upload(bucket, upload)
    assert await get(backend, bucket, "key") == b"data"
    assert await numbers(backend, bucket, made) == [1]


async def test_a_part_replaced_after_it_was_listed_is_an_invalid_part(backend: Backend, bucket: Bucket) -> None:
    for old, new in [(b"old", b"new"), (some_bytes(20 * KIB), b"new"), (b"old", some_bytes(20 * KIB)), (b"x", b"x")]:
        upload = await create_upload(backend, bucket, "key")
        await put_part(backend, bucket, upload, 1, b"first")
        await put_part(backend, bucket, upload, 2, old)
        listed = await backend.list_parts(bucket, upload)
        await put_part(backend, bucket, upload, 2, new)
        with pytest.raises(InvalidPart):
            await finish(backend, bucket, upload, listed)
        assert await keys(backend, bucket) == []
        assert await open_uploads(backend, bucket) == [upload.upload_id]
        made = await finish(backend, bucket, upload, await backend.list_parts(bucket, upload))
        assert await content_of(backend, bucket, made) == b"first" + new
        await backend.delete_version(bucket, "key", NULL_VERSION)


async def test_a_part_of_another_upload_is_an_invalid_part(backend: Backend, bucket: Bucket) -> None:
    upload = await create_upload(backend, bucket, "key", 1)
    other = await create_upload(backend, bucket, "key", 2)
    mine = await put_part(backend, bucket, upload, 1, some_bytes(20 * KIB))
    foreign = await put_part(backend, bucket, other, 1, some_bytes(20 * KIB))
    extra = await put_part(backend, bucket, other, 2, some_bytes(20 * KIB))
    for parts in ([foreign], [mine, extra], [mine, replace(mine, number=2)]):
        with pytest.raises(InvalidPart):
            await finish(backend, bucket, upload, parts)
    assert await keys(backend, bucket) == []
    assert await numbers(backend, bucket, upload) == [1]
    assert await numbers(backend, bucket, other) == [1, 2]


async def test_a_part_and_a_finish_at_once_leave_a_whole_object(backend: Backend, bucket: Bucket) -> None:
    for turns in range(20):
        upload = await create_upload(backend, bucket, f"key-{turns}", turns + 1)
        first = await put_part(backend, bucket, upload, 1, some_bytes(17 * KIB, 1))
        replacing = asyncio.ensure_future(put_part(backend, bucket, upload, 1, some_bytes(17 * KIB, 2)))
        for _ in range(turns % 10):
            await asyncio.sleep(0)
        finishing = asyncio.ensure_future(finish(backend, bucket, upload, [first]))
        await asyncio.wait([replacing, finishing])
        if finishing.exception() is None:
            assert isinstance(replacing.exception(), NoSuchUpload)
            await collect_all(backend)
            assert await get(backend, bucket, upload.key) == some_bytes(17 * KIB, 1)
        else:
            assert isinstance(finishing.exception(), InvalidPart)
            assert replacing.exception() is None
            await collect_all(backend)
            (part,) = await backend.list_parts(bucket, upload)
            assert await read(backend, bucket, part.blob) == some_bytes(17 * KIB, 2)


@pytest.mark.parametrize("ending", ["finish", "abort"])
async def test_parts_are_listed_whole_or_not_at_all(backend: Backend, bucket: Bucket, ending: str) -> None:
    for number in range(1, 11):
        upload = await create_upload(backend, bucket, "key", number)
        parts = [await put_part(backend, bucket, upload, part, b"%d" % part) for part in range(1, 9)]
        end = finish(backend, bucket, upload, parts) if ending == "finish" else backend.abort_upload(bucket, upload)
        ended = asyncio.ensure_future(end)
        while not ended.done():
            with suppress(NoSuchUpload):
                assert await numbers(backend, bucket, upload) == list(range(1, 9))
            if ending == "finish":
                assert (await backend.get_upload(bucket, "key", upload.upload_id)).key == "key"
            await asyncio.sleep(0)
        await ended


async def test_a_finish_with_an_older_bucket_is_refused_as_stale(backend: Backend, bucket: Bucket) -> None:
    upload = await create_upload(backend, bucket, "key")
    part = await put_part(backend, bucket, upload, 1, some_bytes(20 * KIB))
    enabled = await set_versioning(backend, bucket.name, "Enabled")
    with pytest.raises(StaleBucket):
        await finish(backend, bucket, upload, [part])
    assert await open_uploads(backend, enabled) == [upload.upload_id]
    made = await finish(backend, enabled, upload, [part])
    assert made.version_id != NULL_VERSION
    assert await get(backend, enabled, "key") == some_bytes(20 * KIB)


async def test_the_guard_of_a_finish_sees_the_key_as_it_is(backend: Backend, versioned: Bucket) -> None:
    seen: list[ObjectVersion | None] = []
    first = await put(backend, versioned, "key", b"first")
    upload = await create_upload(backend, versioned, "key")
    part = await put_part(backend, versioned, upload, 1, b"data")
    await finish(backend, versioned, upload, [part], guard=lambda current, replaced: seen.extend((current, replaced)))
    assert [version and facts(version) for version in seen[-2:]] == [facts(first), None]


# Aborted


async def test_an_aborted_upload_is_forgotten(backend: Backend, bucket: Bucket) -> None:
    upload = await create_upload(backend, bucket, "key")
    part = await put_part(backend, bucket, upload, 1, some_bytes(20 * KIB))
    await backend.abort_upload(bucket, upload)
    with pytest.raises(NoSuchUpload):
        await backend.get_upload(bucket, "key", upload.upload_id)
    with pytest.raises(NoSuchUpload):
        await put_part(backend, bucket, upload, 2, b"more")
    with pytest.raises(NoSuchUpload):
        await backend.list_parts(bucket, upload)
    with pytest.raises(NoSuchUpload):
        await finish(backend, bucket, upload, [part])
    with pytest.raises(NoSuchUpload):
        await backend.abort_upload(bucket, upload)
    assert await open_uploads(backend, bucket) == []
    assert await keys(backend, bucket) == []
    assert (await collect_all(backend)).size == 20 * KIB


async def test_an_abort_leaves_other_uploads_of_the_key_alone(backend: Backend, bucket: Bucket) -> None:
    await put(backend, bucket, "key", b"object")
    one, two = await create_upload(backend, bucket, "key", 1), await create_upload(backend, bucket, "key", 2)
    await put_part(backend, bucket, one, 1, some_bytes(20 * KIB, 1))
    part = await put_part(backend, bucket, two, 1, some_bytes(20 * KIB, 2))
    await backend.abort_upload(bucket, one)
    assert (await collect_all(backend)).size == 20 * KIB
    assert await get(backend, bucket, "key") == b"object"
    await finish(backend, bucket, two, [part])
    assert await get(backend, bucket, "key") == some_bytes(20 * KIB, 2)


async def test_an_abort_and_a_finish_never_both_win(backend: Backend, bucket: Bucket) -> None:
    for turns in range(20):
        upload = await create_upload(backend, bucket, f"key-{turns}", turns + 1)
        part = await put_part(backend, bucket, upload, 1, some_bytes(17 * KIB))
        finishing = asyncio.ensure_future(finish(backend, bucket, upload, [part]))
        for _ in range(turns % 10):
            await asyncio.sleep(0)
        aborting = asyncio.ensure_future(backend.abort_upload(bucket, upload))
        await asyncio.wait([finishing, aborting])
        await collect_all(backend)
        if finishing.exception() is None:
            assert isinstance(aborting.exception(), NoSuchUpload)
            assert await get(backend, bucket, upload.key) == some_bytes(17 * KIB)
        else:
            assert isinstance(finishing.exception(), NoSuchUpload)
            assert aborting.exception() is None
            assert await keys(backend, bucket, prefix=upload.key) == []


async def test_a_part_that_races_an_abort_is_refused_or_forgotten(backend: Backend, bucket: Bucket) -> None:
    for turns in range(20):
        upload = await create_upload(backend, bucket, "key", turns + 1)
        putting = asyncio.ensure_future(put_part(backend, bucket, upload, 1, some_bytes(MIB + 17)))
        for _ in range(turns):
            await asyncio.sleep(0)
        await backend.abort_upload(bucket, upload)
        await asyncio.wait([putting])
        assert putting.exception() is None or isinstance(putting.exception(), NoSuchUpload)
        assert (await collect_all(backend)).size == MIB + 17
        with pytest.raises(NoSuchUpload):
            await backend.list_parts(bucket, upload)


async def test_a_put_does_not_disturb_an_upload(backend: Backend, bucket: Bucket) -> None:
    upload = await create_upload(backend, bucket, "key")
    part = await put_part(backend, bucket, upload, 1, some_bytes(20 * KIB))
    await put(backend, bucket, "key", b"object")
    await backend.delete_version(bucket, "key", NULL_VERSION)
    await collect_all(backend)
    made = await backend.finish_upload(bucket, upload, a_version(bucket, "key", size=20 * KIB, parts=1), [part])
    assert await content_of(backend, bucket, made) == some_bytes(20 * KIB)
