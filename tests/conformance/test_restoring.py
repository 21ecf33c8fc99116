"""What comes from another store keeps its id, its date and its place, in any store and in any order."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from itertools import permutations
from typing import Any

import pytest

from post3.errors import BadRequest, InvalidArgument, NoSuchKey, OperationAborted
from post3.model.bucket import Bucket
from post3.model.listing import Listed, ListQuery
from post3.model.object import NULL_VERSION, Guard, ObjectVersion, no_guard
from post3.storage.listed import listed
from post3.storage.protocol import Backend
from tests.conftest import (
    KIB,
    LONG_AGO,
    MIB,
    SOME_TAGS,
    a_version,
    collect_all,
    create_upload,
    facts,
    get,
    history,
    part_of,
    put,
    put_part,
    some_bytes,
    write,
)

SEQUENCE = 1_000_000_000_000_000


def named(number: int) -> str:
    """The id of the version of this sequence."""
    return f"{SEQUENCE + number:016x}{number:016x}"


def at(number: int) -> dict[str, Any]:
    """Where and when the version of this number stands."""
    made = LONG_AGO + timedelta(minutes=number)
    return {"version_id": named(number), "sequence": SEQUENCE + number, "modified": made}


async def restore(
    backend: Backend, bucket: Bucket, data: bytes, guard: Guard = no_guard, **fields: Any
) -> ObjectVersion:
    body = part_of(await write(backend, bucket, data), data)
    version = a_version(bucket, "key", body=body, size=len(data), etag=body.etag, **fields)
    return await backend.put_version(bucket, version, guard, restored=True)


async def whole_history(backend: Backend, bucket: Bucket) -> list[tuple[str, object]]:
    """Id of each version, and when it stopped being current, in the order of lists."""
    page = await backend.list_versions(bucket, ListQuery(all_versions=True))
    entries = [entry for entry in page.entries if isinstance(entry, Listed)]
    found = [await backend.get_version(bucket, "key", entry.version_id) for entry in entries]
    assert [listed(one, is_latest=one.noncurrent is None) for one in found] == entries
    return [(one.version_id, one.noncurrent) for one in found]


@pytest.mark.parametrize("size", [0, 5 * KIB, MIB + 70 * KIB])
async def test_a_restored_version_keeps_id_sequence_and_date(backend: Backend, versioned: Bucket, size: int) -> None:
    data = some_bytes(size)
    stored = await restore(backend, versioned, data, **at(1), tags=SOME_TAGS, metadata={"a": "b"})
    assert (stored.version_id, stored.sequence) == (named(1), SEQUENCE + 1)
    assert (stored.modified, stored.revision, stored.noncurrent) == (LONG_AGO + timedelta(minutes=1), 1, None)
    found = await backend.get_version(versioned, "key")
    assert facts(found) == facts(stored)
    assert (found.tags, found.metadata) == (SOME_TAGS, {"a": "b"})
    assert await get(backend, versioned, "key") == data
    await collect_all(backend)
    assert await get(backend, versioned, "key", named(1)) == data


@pytest.mark.parametrize("order", [*permutations([1, 2, 3])])
async def test_versions_may_come_in_any_order(backend: Backend, versioned: Bucket, order: tuple[int, ...]) -> None:
    for number in order:
        await restore(backend, versioned, str(number).encode(), **at(number))
    times = [LONG_AGO + timedelta(minutes=number) for number in range(4)]
    assert await whole_history(backend, versioned) == [(named(3), None), (named(2), times[3]), (named(1), times[2])]
    assert await get(backend, versioned, "key") == b"3"
    current = (await backend.list_versions(versioned, ListQuery())).entries
    assert [one.version_id for one in current if isinstance(one, Listed)] == [named(3)]
    await backend.delete_version(versioned, "key", named(3))
    assert await get(backend, versioned, "key") == b"2"
    assert await history(backend, versioned, "key") == [named(2), named(1)]


async def test_a_version_that_is_put_later_stands_above_what_was_restored(backend: Backend, versioned: Bucket) -> None:
    far = {**at(1), "sequence": 2**52, "version_id": f"{2**52:016x}{0:016x}"}
    await restore(backend, versioned, b"restored", **far)
    later = await put(backend, versioned, "key", b"later")
    assert later.sequence > 2**52
    assert await history(backend, versioned, "key") == [later.version_id, far["version_id"]]


async def test_a_restored_marker_hides_the_object(backend: Backend, versioned: Bucket) -> None:
    await restore(backend, versioned, b"1", **at(1))
    marker = a_version(versioned, "key", is_delete_marker=True, **at(2))
    assert (await backend.put_version(versioned, marker, restored=True)).version_id == named(2)
    assert (await backend.list_versions(versioned, ListQuery())).entries == ()
    assert (await backend.get_version(versioned, "key")).is_delete_marker


async def test_a_null_version_keeps_its_place_among_the_others(backend: Backend, versioned: Bucket) -> None:
    await restore(backend, versioned, b"3", **at(3))
    null = {**at(2), "version_id": NULL_VERSION}
    await restore(backend, versioned, b"2", **null)
    await restore(backend, versioned, b"1", **at(1))
    assert await history(backend, versioned, "key") == [named(3), NULL_VERSION, named(1)]
    assert await get(backend, versioned, "key", NULL_VERSION) == b"2"


async def test_an_object_in_parts_is_restored_as_it_was(backend: Backend, versioned: Bucket) -> None:
    await restore(backend, versioned, b"newer", **at(2))
    upload = await create_upload(backend, versioned, "key")
    datas = {2: some_bytes(MIB + KIB), 7: some_bytes(3 * KIB)}
    parts = [await put_part(backend, versioned, upload, number, data) for number, data in datas.items()]
    size = sum(map(len, datas.values()))
    version = a_version(versioned, "key", size=size, etag="etag-2", parts=2, **at(1))
    made = await backend.finish_upload(versioned, upload, version, parts, restored=True)
    assert (made.version_id, made.modified, made.parts) == (named(1), LONG_AGO + timedelta(minutes=1), 2)
    assert await history(backend, versioned, "key") == [named(2), named(1)]
    assert await get(backend, versioned, "key", named(1)) == b"".join(datas.values())
    found = await backend.list_parts(versioned, await backend.get_version(versioned, "key", named(1)))
    assert [(part.number, part.size, part.start) for part in found] == [(2, MIB + KIB, 0), (7, 3 * KIB, MIB + KIB)]
    assert await backend.finish_upload(versioned, upload, version, parts, restored=True) == replace(
        made, noncurrent=LONG_AGO + timedelta(minutes=2)
    )


async def test_without_versions_a_restored_object_keeps_its_date(backend: Backend, bucket: Bucket) -> None:
    stored = await restore(backend, bucket, b"as it was", **{**at(1), "version_id": NULL_VERSION})
    assert (await backend.get_version(bucket, "key")).modified == stored.modified == LONG_AGO + timedelta(minutes=1)
    await restore(backend, bucket, b"changed", **{**at(2), "version_id": NULL_VERSION})
    assert await get(backend, bucket, "key") == b"changed"
    assert (await backend.get_version(bucket, "key")).revision == 2
    await collect_all(backend)
    assert await get(backend, bucket, "key") == b"changed"


async def test_a_place_that_is_taken_is_not_given_away(backend: Backend, versioned: Bucket) -> None:
    await restore(backend, versioned, b"first", **at(1))
    twin = {**at(1), "version_id": f"{SEQUENCE + 1:016x}{99:016x}"}
    with pytest.raises(OperationAborted):
        await restore(backend, versioned, b"twin", **twin)
    with pytest.raises(OperationAborted):
        await restore(backend, versioned, b"null", **{**twin, "version_id": NULL_VERSION})
    assert await history(backend, versioned, "key") == [named(1)]
    assert await get(backend, versioned, "key") == b"first"


async def test_a_version_does_not_go_back_to_where_it_was(backend: Backend, bucket: Bucket) -> None:
    await put(backend, bucket, "key", b"newer")
    with pytest.raises(OperationAborted):
        await restore(backend, bucket, b"older", **{**at(1), "version_id": NULL_VERSION})
    assert await get(backend, bucket, "key") == b"newer"


@pytest.mark.parametrize("id", ["", "foreign", f"{7:032x}", named(1).upper()])
async def test_an_id_that_the_store_could_not_have_given_is_refused(
    backend: Backend, versioned: Bucket, id: str
) -> None:
    with pytest.raises(InvalidArgument):
        await restore(backend, versioned, b"", **{**at(10), "version_id": id})
    with pytest.raises(NoSuchKey):
        await backend.get_version(versioned, "key")


async def test_a_bucket_without_versions_takes_none(backend: Backend, bucket: Bucket) -> None:
    with pytest.raises(InvalidArgument):
        await restore(backend, bucket, b"", **at(1))


async def test_a_guard_is_asked_before_anything_is_restored(backend: Backend, versioned: Bucket) -> None:
    await restore(backend, versioned, b"2", **at(2))
    seen: list[tuple[ObjectVersion | None, ObjectVersion | None]] = []

    def refuse(current: ObjectVersion | None, replaced: ObjectVersion | None) -> None:
        seen.append((current, replaced))
        raise BadRequest

    with pytest.raises(BadRequest):
        await restore(backend, versioned, b"1", refuse, **at(1))
    assert [(current and current.version_id, replaced) for current, replaced in seen] == [(named(2), None)]
    await restore(backend, versioned, b"1", lambda _current, _replaced: None, **at(1))
    assert await history(backend, versioned, "key") == [named(2), named(1)]
