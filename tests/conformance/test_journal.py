"""What every store promises about the journal."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Final

import pytest

from post3.errors import InvalidPart, NoSuchKey, PreconditionFailed, StaleBucket
from post3.model.bucket import Bucket
from post3.model.object import ObjectVersion
from post3.model.record import Entry
from post3.model.tree import Tree
from post3.storage.protocol import Backend
from tests.conftest import AT_ONCE, create_upload, finish, put, put_part, set_versioning

LONG: Final = timedelta(hours=1)


def entry(name: str, stream: str = "notification") -> Entry:
    return Entry(stream, {"Name": name})


def names(entries: Sequence[Entry]) -> list[object]:
    return [entry.document["Name"] for entry in entries]


async def waiting(backend: Backend, stream: str = "notification") -> list[object]:
    """What would be told now, without holding it."""
    return names(await backend.take(stream, 1000, AT_ONCE))


def refuse(_current: ObjectVersion | None, _replaced: ObjectVersion | None) -> None:
    raise PreconditionFailed


async def test_an_appended_entry_waits_for_its_stream(backend: Backend, bucket: Bucket) -> None:
    document: Tree = {"Name": "é\0🦄", "N": 3, "Many": [1, {"Deep": None}], "At": datetime(2026, 1, 2, tzinfo=UTC)}
    await backend.append(bucket, [Entry("access-log", document), entry("other")])
    (told,) = await backend.take("access-log", 10, AT_ONCE)
    assert told.id
    assert told == Entry("access-log", document, told.id)
    assert await waiting(backend) == ["other"]
    assert await waiting(backend, "nothing") == []


async def test_entries_are_taken_oldest_first(backend: Backend, bucket: Bucket) -> None:
    for number in range(0, 30, 3):
        await backend.append(bucket, [entry(str(n)) for n in range(number, number + 3)])
    assert names(await backend.take("notification", 4, LONG)) == ["0", "1", "2", "3"]
    assert names(await backend.take("notification", 0, LONG)) == []
    assert names(await backend.take("notification", 100, LONG)) == [str(n) for n in range(4, 30)]


async def test_what_is_held_is_not_given_to_another(backend: Backend, bucket: Bucket) -> None:
    await backend.append(bucket, [entry("first"), entry("second")])
    assert names(await backend.take("notification", 1, LONG)) == ["first"]
    assert names(await backend.take("notification", 10, LONG)) == ["second"]
    assert await backend.take("notification", 10, LONG) == []


async def test_what_is_not_settled_is_given_again_after_the_lease(backend: Backend, bucket: Bucket) -> None:
    await backend.append(bucket, [entry("name")])
    (first,) = await backend.take("notification", 10, timedelta(milliseconds=300))
    assert await backend.take("notification", 10, LONG) == []
    await asyncio.sleep(0.4)
    assert await backend.take("notification", 10, LONG) == [first]
    assert await backend.take("notification", 10, LONG) == []


async def test_what_could_not_be_told_lets_others_go_first(backend: Backend, bucket: Bucket) -> None:
    for name in "first", "second", "third":
        await backend.append(bucket, [entry(name)])
    assert names(await backend.take("notification", 1, AT_ONCE)) == ["first"]
    assert names(await backend.take("notification", 1, AT_ONCE)) == ["second"]
    assert names(await backend.take("notification", 2, AT_ONCE)) == ["first", "third"]
    assert names(await backend.take("notification", 1, AT_ONCE)) == ["second"]


async def test_what_is_settled_is_forgotten(backend: Backend, bucket: Bucket) -> None:
    await backend.append(bucket, [entry("first"), entry("second"), entry("third")])
    first, _, third = await backend.take("notification", 10, AT_ONCE)
    await backend.settle([first, third])
    assert await waiting(backend) == ["second"]
    await backend.settle([first])
    await backend.settle([])
    await backend.settle(await backend.take("notification", 10, LONG))
    assert await waiting(backend) == []


async def test_racing_tellers_share_the_entries(backend: Backend, bucket: Bucket) -> None:
    await backend.append(bucket, [entry(str(number)) for number in range(50)])
    shares = await asyncio.gather(*(backend.take("notification", 7, LONG) for _ in range(10)))
    taken = [name for share in shares for name in names(share)]
    assert sorted(taken, key=str) == sorted(map(str, range(50)))


async def test_a_change_writes_its_entries(backend: Backend, versioned: Bucket) -> None:
    stored = await put(backend, versioned, "key", b"data", journal=[entry("put"), entry("put", "audit")])
    await backend.update_version(versioned, "key", None, lambda old: old, [entry("updated")])
    await backend.delete_version(versioned, "key", stored.version_id, journal=[entry("deleted")])
    upload = await create_upload(backend, versioned, "key")
    part = await put_part(backend, versioned, upload, 1, b"data")
    await finish(backend, versioned, upload, [part], journal=[entry("finished")])
    assert await waiting(backend) == ["put", "updated", "deleted", "finished"]
    assert await waiting(backend, "audit") == ["put"]


async def test_a_replacement_writes_its_entries(backend: Backend, bucket: Bucket) -> None:
    await put(backend, bucket, "key", b"old", journal=[entry("first")])
    await put(backend, bucket, "key", b"new", journal=[entry("second")])
    assert await waiting(backend) == ["first", "second"]


async def test_a_change_that_did_not_happen_tells_nothing(backend: Backend, bucket: Bucket) -> None:
    def refuse_change(_old: ObjectVersion) -> ObjectVersion:
        raise PreconditionFailed

    told = [entry("never")]
    await put(backend, bucket, "key", b"data")
    upload = await create_upload(backend, bucket, "key")
    part = await put_part(backend, bucket, upload, 1, b"data")
    with pytest.raises(PreconditionFailed):
        await put(backend, bucket, "key", b"new", guard=refuse, journal=told)
    with pytest.raises(PreconditionFailed):
        await backend.update_version(bucket, "key", None, refuse_change, told)
    with pytest.raises(NoSuchKey):
        await backend.update_version(bucket, "nowhere", None, lambda old: old, told)
    with pytest.raises(PreconditionFailed):
        await backend.delete_version(bucket, "key", "null", refuse, told)
    assert await backend.delete_version(bucket, "nowhere", "null", journal=told) is None
    with pytest.raises(InvalidPart):
        await finish(backend, bucket, upload, [replace(part, number=2)], journal=told)
    with pytest.raises(PreconditionFailed):
        await finish(backend, bucket, upload, [part], guard=refuse, journal=told)
    await set_versioning(backend, bucket.name, "Enabled")
    with pytest.raises(StaleBucket):
        await backend.delete_version(bucket, "key", "null", journal=told)
    with pytest.raises(StaleBucket):
        await backend.append(bucket, told)
    assert await waiting(backend) == []


async def test_a_repeated_finish_tells_once(backend: Backend, bucket: Bucket) -> None:
    upload = await create_upload(backend, bucket, "key")
    part = await put_part(backend, bucket, upload, 1, b"data")
    for _ in range(2):
        await finish(backend, bucket, upload, [part], journal=[entry("finished")])
    assert await waiting(backend) == ["finished"]


async def test_of_racing_guards_only_the_winner_tells(backend: Backend, bucket: Bucket) -> None:
    def only_when_absent(current: ObjectVersion | None, _replaced: ObjectVersion | None) -> None:
        if current is not None:
            raise PreconditionFailed

    outcomes = await asyncio.gather(
        *(put(backend, bucket, "key", b"", guard=only_when_absent, journal=[entry(str(n))]) for n in range(20)),
        return_exceptions=True,
    )
    won = [str(number) for number, outcome in enumerate(outcomes) if isinstance(outcome, ObjectVersion)]
    assert len(won) == 1
    assert await waiting(backend) == won


async def test_entries_outlive_what_they_tell_of(backend: Backend, bucket: Bucket) -> None:
    await put(backend, bucket, "key", b"data", journal=[entry("put")])
    await backend.delete_version(bucket, "key", "null", journal=[entry("deleted")])
    await backend.collect_garbage(AT_ONCE)
    assert await waiting(backend) == ["put", "deleted"]
