"""Gets of current versions that PostgreSQL answers together, and what is known of them already: never what was."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any, Final

import asyncpg
import pytest

from post3.errors import NoSuchBucket, NoSuchKey, StaleBucket
from post3.model.bucket import Bucket
from post3.model.object import NULL_VERSION, ObjectVersion
from post3.storage.postgres.backend import PostgresBackend
from post3.storage.postgres.connections import Row, Session
from post3.storage.postgres.current import CurrentVersions
from tests.conftest import KIB, MIB, create_bucket, get, put, set_versioning, some_bytes
from tests.databases import database_url, postgres_backend

SMALL: Final = some_bytes(3 * KIB)
MANY: Final = [f"key-{number:02d}" for number in range(20)]


@pytest.fixture
async def store() -> AsyncIterator[PostgresBackend]:
    backend = postgres_backend()
    await backend.open()
    yield backend
    await backend.close()


@pytest.fixture
async def other(store: PostgresBackend) -> AsyncIterator[PostgresBackend]:
    """Another process on the same store."""
    backend = postgres_backend(schema=store.store.schema)
    await backend.open()
    yield backend
    await backend.close()


@pytest.fixture
async def bucket(store: PostgresBackend) -> Bucket:
    return await create_bucket(store, "bucket")


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[list[Row]]:
    """What each statement that gets current versions returns."""
    answers: list[list[Row]] = []
    call: Any = Session.rows

    async def rows(session: Session, name: str, *values: object) -> Any:
        rows = await call(session, name, *values)
        if name == "get_current":
            answers.append(rows)
        return rows

    monkeypatch.setattr(Session, "rows", rows)
    return answers


async def test_gets_at_once_are_one_statement(store: PostgresBackend, bucket: Bucket, told: list[list[Row]]) -> None:
    made = [await put(store, bucket, name, name.encode()) for name in MANY]
    asked = [*MANY, "absent", *MANY]
    answers = await asyncio.gather(*(store.get_version(bucket, name) for name in asked), return_exceptions=True)
    assert [len(rows) for rows in told] == [len(asked)]
    assert answers[: len(MANY)] == answers[len(MANY) + 1 :] == made
    assert isinstance(answers[len(MANY)], NoSuchKey)


async def test_what_is_known_is_not_sent_again(store: PostgresBackend, bucket: Bucket, told: list[list[Row]]) -> None:
    made = await put(store, bucket, "key", SMALL, metadata={"a": "b"})
    assert await store.get_version(bucket, "key") == made
    assert await store.get_version(bucket, "key") == made
    assert [(row["is_known"], row["body"], row["document"] is None) for [row] in told] == [
        (None, SMALL, False),
        (True, None, True),
    ]


async def test_what_another_process_does_is_seen(
    store: PostgresBackend, other: PostgresBackend, bucket: Bucket
) -> None:
    async def same() -> ObjectVersion:
        ours, theirs = [await one.get_version(bucket, "key") for one in (store, other)]
        assert ours == theirs
        return ours

    for turn in range(3):
        body = f"{turn}".encode() + SMALL
        await put(other, bucket, "key", body)
        await same()
        assert await get(store, bucket, "key") == body
    await other.update_version(bucket, "key", None, lambda version: replace(version, tags={"a": "b"}))
    assert (await same()).tags == {"a": "b"}
    await put(other, bucket, "key", some_bytes(2 * MIB))
    await same()
    assert await get(store, bucket, "key") == await get(store, bucket, "key") == some_bytes(2 * MIB)
    await other.delete_version(bucket, "key", NULL_VERSION)
    with pytest.raises(NoSuchKey):
        await store.get_version(bucket, "key")
    await put(other, bucket, "key", SMALL)
    await same()


async def test_what_is_done_by_hand_is_seen(store: PostgresBackend, bucket: Bucket) -> None:
    await put(store, bucket, "key", SMALL)
    await store.get_version(bucket, "key")
    connection = await asyncpg.connect(database_url())
    await connection.execute(f'UPDATE "{store.store.schema}".versions SET owner = $1', "somebody")
    await connection.close()
    assert (await store.get_version(bucket, "key")).owner == "somebody"


async def test_a_version_that_is_current_again_is(store: PostgresBackend, bucket: Bucket) -> None:
    bucket = await set_versioning(store, bucket.name, "Enabled")
    first = await put(store, bucket, "key", SMALL)
    assert await store.get_version(bucket, "key") == first
    second = await put(store, bucket, "key", b"second")
    assert await store.get_version(bucket, "key") == second
    assert (await store.get_version(bucket, "key", first.version_id)).noncurrent is not None
    await store.delete_version(bucket, "key", second.version_id)
    assert await store.get_version(bucket, "key") == first


async def test_each_bucket_is_judged_by_itself(store: PostgresBackend, bucket: Bucket) -> None:
    """That something is known of a key says nothing of its bucket."""
    changed, gone, again = [await create_bucket(store, name) for name in ("changed", "gone", "again")]
    for one in (bucket, changed, again):
        await put(store, one, "key", one.name.encode())
        await store.get_version(one, "key")
    await set_versioning(store, "changed", "Enabled")
    await store.delete_bucket(gone)
    await store.delete_version(again, "key", NULL_VERSION)
    await store.delete_bucket(again)
    fresh = await create_bucket(store, "again")
    gets = (store.get_version(one, "key") for one in (bucket, changed, gone, again, fresh))
    answers = await asyncio.gather(*gets, return_exceptions=True)
    assert isinstance(answers[0], ObjectVersion)
    assert [type(answer) for answer in answers[1:]] == [StaleBucket, NoSuchBucket, NoSuchBucket, NoSuchKey]


async def test_who_gives_up_leaves_the_others(store: PostgresBackend, bucket: Bucket) -> None:
    for name in MANY:
        await put(store, bucket, name, name.encode())
    tasks = [asyncio.ensure_future(store.get_version(bucket, name)) for name in MANY]
    for turn in range(len(MANY)):
        tasks[turn].cancel()
        if turn % 3 == 2:
            await asyncio.sleep(0)
        if turn == 9:
            break
    answers = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(isinstance(answer, asyncio.CancelledError) for answer in answers[:10])
    assert [answer.key for answer in answers[10:] if isinstance(answer, ObjectVersion)] == MANY[10:]
    assert (await store.get_version(bucket, MANY[0])).key == MANY[0]


async def test_where_the_connection_is_lost_they_are_asked_again(store: PostgresBackend, bucket: Bucket) -> None:
    for name in MANY:
        await put(store, bucket, name, name.encode())
    connection = await asyncpg.connect(database_url())
    for session in store.store.connections._free:
        await connection.execute("SELECT pg_terminate_backend($1)", session.connection.get_server_pid())
    await connection.close()
    answers = await asyncio.gather(*(store.get_version(bucket, name) for name in MANY))
    assert [answer.key for answer in answers] == MANY


async def test_a_statement_that_does_not_end_holds_nobody_else_up(
    store: PostgresBackend, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    await put(store, bucket, "key", SMALL)
    never, call = asyncio.Event(), CurrentVersions._ask
    stuck: list[object] = []

    async def ask(versions: CurrentVersions, session: Session, asked: Any) -> Any:
        if not stuck:
            stuck.append(asked)
            await never.wait()
        return await call(versions, session, asked)

    monkeypatch.setattr(CurrentVersions, "_ask", ask)
    first = asyncio.ensure_future(store.get_version(bucket, "key"))
    await asyncio.sleep(0.01)
    async with asyncio.timeout(5):
        answers = await asyncio.gather(*(store.get_version(bucket, "key") for _ in range(100)))
    assert len(answers) == 100
    assert not first.done()
    never.set()
    assert await first == answers[0]


async def test_one_that_cannot_be_read_fails_alone(
    store: PostgresBackend, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in MANY:
        await put(store, bucket, name, name.encode())
    call: Any = Session.rows

    async def rows(session: Session, name: str, *values: Any) -> Any:
        if name == "get_current" and b"key-07" in values[1]:
            raise asyncpg.DataCorruptedError("unexpected chunk number")
        return await call(session, name, *values)

    monkeypatch.setattr(Session, "rows", rows)
    gets = (store.get_version(bucket, name) for name in MANY)
    answers = await asyncio.gather(*gets, return_exceptions=True)
    assert isinstance(answers.pop(7), asyncpg.DataCorruptedError)
    assert all(isinstance(answer, ObjectVersion) for answer in answers)


async def test_over_a_new_connection_nothing_is_known(
    store: PostgresBackend, bucket: Bucket, told: list[list[Row]]
) -> None:
    """A database that was set back may give what is another row the same xmin."""
    await put(store, bucket, "key", SMALL)
    await store.get_version(bucket, "key")
    for session in store.store.connections._free:
        session.connection.terminate()
    await store.get_version(bucket, "key")
    await store.get_version(bucket, "key")
    assert [row["is_known"] for [row] in told] == [None, None, True]
