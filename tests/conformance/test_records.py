"""What every store promises about records."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from post3.errors import NoSuchRecord, OperationAborted
from post3.model.record import Record
from post3.model.tree import Tree
from post3.storage.protocol import Backend, Change


def writing(document: Tree) -> Change[Record | None]:
    """A change that writes the document whatever was there."""
    return lambda old: replace(old, document=document) if old else Record("", "", document)


def remove(_old: Record | None) -> Record | None:
    return None


async def ids(backend: Backend, kind: str, **query: Any) -> list[str]:
    return [record.id for record in await backend.list_records(kind, **query)]


async def test_a_written_record_is_there(backend: Backend) -> None:
    before = datetime.now(UTC) - timedelta(seconds=1)
    document: Tree = {
        "Name": "é\0🦄",
        "N": 3,
        "Flag": True,
        "Nothing": None,
        "Many": [1, "2", {"Deep": ["er"]}],
        "": {},
    }
    stored = await backend.update_record("user", "alice", writing(document))
    assert stored is not None
    assert stored.modified is not None
    assert before <= stored.modified <= datetime.now(UTC) + timedelta(seconds=1)
    assert stored == Record("user", "alice", document, revision=1, modified=stored.modified)
    assert await backend.get_record("user", "alice") == stored


async def test_a_document_may_hold_times(backend: Backend) -> None:
    document: Tree = {
        "At": datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC),
        "Text": "2026-01-02T03:04:05.678901+00:00",
    }
    await backend.update_record("lease", "gc", writing(document))
    assert (await backend.get_record("lease", "gc")).document == document


async def test_a_record_that_is_not_there_is_missed(backend: Backend) -> None:
    seen: list[Record | None] = []

    def look(old: Record | None) -> Record | None:
        seen.append(old)
        return old

    await backend.update_record("user", "alice", writing({}))
    for kind, id in [("user", "bob"), ("key", "alice"), ("", "alice"), ("user", "")]:
        with pytest.raises(NoSuchRecord):
            await backend.get_record(kind, id)
        assert await backend.update_record(kind, id, look) is None
        assert seen.pop() is None
        assert seen == []
    assert await ids(backend, "nothing") == []


async def test_each_change_raises_the_revision_by_one(backend: Backend) -> None:
    revisions = []
    for number in range(3):
        stored = await backend.update_record("user", "alice", writing({"N": number}))
        assert stored is not None
        revisions.append(stored.revision)
    assert revisions == [1, 2, 3]
    assert (await backend.get_record("user", "alice")).document == {"N": 2}


async def test_a_removed_record_is_gone(backend: Backend) -> None:
    await backend.update_record("user", "alice", writing({}))
    assert await backend.update_record("user", "alice", remove) is None
    with pytest.raises(NoSuchRecord):
        await backend.get_record("user", "alice")
    assert await ids(backend, "user") == []
    assert await backend.update_record("user", "alice", remove) is None
    again = await backend.update_record("user", "alice", writing({"again": "yes"}))
    assert again == await backend.get_record("user", "alice")


async def test_a_refused_change_leaves_the_record_as_it_was(backend: Backend) -> None:
    def refuse(_old: Record | None) -> Record | None:
        raise OperationAborted

    stored = await backend.update_record("user", "alice", writing({"N": 1}))
    for id in ("alice", "bob"):
        with pytest.raises(OperationAborted):
            await backend.update_record("user", id, refuse)
    assert await backend.list_records("user") == [stored]


async def test_of_racing_record_changes_none_is_lost(backend: Backend) -> None:
    def count(old: Record | None) -> Record | None:
        return Record("", "", {"N": int(str(old.document["N"])) + 1 if old else 1})

    await asyncio.gather(*(backend.update_record("usage", "server", count) for _ in range(50)))
    record = await backend.get_record("usage", "server")
    assert (record.document, record.revision) == ({"N": 50}, 50)


async def test_of_two_hundred_racing_leases_one_is_taken(backend: Backend) -> None:
    """Compare and swap: whoever finds the lease taken leaves it."""

    def take(name: str) -> Change[Record | None]:
        return lambda old: old or Record("", "", {"Holder": name})

    taken = await asyncio.gather(*(backend.update_record("lease", "gc", take(f"server-{n}")) for n in range(200)))
    holders = {str(record.document["Holder"]) for record in taken if record}
    assert len(holders) == 1
    assert (await backend.get_record("lease", "gc")).document == {"Holder": holders.pop()}


async def test_records_are_listed_by_id(backend: Backend) -> None:
    names = ["b", "a", "a/b", "B", "é", "%", "..", "a.json", "\0", "ab", "🦄", "\uffff", "_", "x" * 300, "a~", "/"]
    for name in names:
        await backend.update_record("user", name, writing({"Name": name}))
        await backend.update_record("user/other", name, writing({"Name": "other"}))
    expected = sorted(names, key=str.encode)
    assert await ids(backend, "user") == expected
    assert await ids(backend, "user", after="a") == [name for name in expected if name > "a"]
    assert await ids(backend, "user", after="aa") == [name for name in expected if name > "aa"]
    assert await ids(backend, "user", limit=3) == expected[:3]
    assert await ids(backend, "user", after=expected[4], limit=2) == expected[5:7]
    assert await ids(backend, "user", limit=0) == []
    assert await ids(backend, "user", after=expected[-1]) == []
    for name in names:
        assert (await backend.get_record("user", name)).document == {"Name": name}


async def test_records_do_not_touch_each_other(backend: Backend) -> None:
    for kind in ("user", "User", "us", "..", "a/b", "a", "%"):
        await backend.update_record(kind, "id", writing({"Kind": kind}))
    await backend.update_record("user", "id", remove)
    assert await ids(backend, "user") == []
    for kind in ("User", "us", "..", "a/b", "a", "%"):
        assert (await backend.get_record(kind, "id")).document == {"Kind": kind}
        assert await ids(backend, kind) == ["id"]
