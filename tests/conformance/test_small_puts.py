"""Small puts that PostgreSQL makes together: each as if it were alone, whatever becomes of the others."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable
from time import monotonic
from typing import Any, Final

import asyncpg
import pytest

from post3.errors import NoSuchBucket, NoSuchKey, SlowDown, StaleBucket
from post3.model.bucket import Bucket
from post3.model.object import ObjectVersion
from post3.storage.postgres import together
from post3.storage.postgres.backend import PostgresBackend
from post3.storage.postgres.connections import Session
from tests.conftest import KIB, MIB, create_bucket, get, history, keys, put, set_versioning, some_bytes
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
async def bucket(store: PostgresBackend) -> Bucket:
    return await create_bucket(store, "bucket")


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often which statement ran."""
    counted: Counter[str] = Counter()

    def counting(call: Any) -> Any:
        async def counted_call(session: Session, name: str, *values: object) -> Any:
            counted[name] += 1
            return await call(session, name, *values)

        return counted_call

    for method in ("rows", "row"):
        monkeypatch.setattr(Session, method, counting(getattr(Session, method)))
    return counted


async def put_all(store: PostgresBackend, bucket: Bucket, names: Iterable[str]) -> list[ObjectVersion | BaseException]:
    """Each with its name in its body, at once."""
    puts = (put(store, bucket, name, name.encode() + SMALL) for name in names)
    return await asyncio.gather(*puts, return_exceptions=True)


async def until(holds: Callable[[], object]) -> None:
    for _ in range(1000):
        if holds():
            return
        await asyncio.sleep(0)
    raise AssertionError


async def test_puts_at_once_are_one_statement(store: PostgresBackend, bucket: Bucket, asked: Counter[str]) -> None:
    answers = await put_all(store, bucket, MANY)
    assert asked == {"put_small": 1}
    for name, answer in zip(MANY, answers, strict=True):
        assert isinstance(answer, ObjectVersion)
        assert answer == await store.get_version(bucket, name)
        assert await get(store, bucket, name) == name.encode() + SMALL
    assert await keys(store, bucket) == MANY


async def test_overwrites_at_once_are_one_statement(
    store: PostgresBackend, bucket: Bucket, asked: Counter[str]
) -> None:
    await put_all(store, bucket, MANY)
    asked.clear()
    answers = await put_all(store, bucket, MANY)
    assert asked == {"put_small": 1}
    assert [answer.revision for answer in answers if isinstance(answer, ObjectVersion)] == [2] * len(MANY)


async def test_no_more_go_together_than_may(
    store: PostgresBackend, bucket: Bucket, asked: Counter[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(together, "MOST", 8)
    await put_all(store, bucket, MANY)
    assert asked == {"put_small": 3}
    assert await keys(store, bucket) == MANY


async def test_a_key_that_is_put_often_at_once_has_one_of_these_bodies(
    store: PostgresBackend, bucket: Bucket, asked: Counter[str]
) -> None:
    bodies = [f"{number}".encode() + SMALL for number in range(5)]
    answers = await asyncio.gather(*(put(store, bucket, "hot", body) for body in bodies), *[put_other(store, bucket)])
    assert asked == {"put_small": 5}
    assert sorted(answer.revision for answer in answers[:5]) == [1, 2, 3, 4, 5]
    last = max(answers[:5], key=lambda answer: answer.revision)
    assert await get(store, bucket, "hot") == bodies[answers.index(last)]
    assert await keys(store, bucket) == ["hot", "other"]


async def put_other(store: PostgresBackend, bucket: Bucket) -> ObjectVersion:
    return await put(store, bucket, "other", SMALL)


async def test_puts_into_many_buckets_go_together(store: PostgresBackend, asked: Counter[str]) -> None:
    buckets = [await create_bucket(store, f"bucket-{number}") for number in range(5)]
    asked.clear()
    await asyncio.gather(*(put(store, one, "key", one.name.encode()) for one in buckets))
    assert asked == {"put_small": 1}
    assert [await get(store, one, "key") for one in buckets] == [one.name.encode() for one in buckets]


async def test_a_bucket_that_is_gone_or_changed_refuses_its_own(store: PostgresBackend, bucket: Bucket) -> None:
    changed, gone = await create_bucket(store, "changed"), await create_bucket(store, "gone")
    await set_versioning(store, "changed", "Enabled")
    await store.delete_bucket(gone)
    answers = await asyncio.gather(
        *(put(store, one, "key", SMALL) for one in (changed, gone, bucket)), return_exceptions=True
    )
    assert isinstance(answers[0], StaleBucket)
    assert isinstance(answers[1], NoSuchBucket)
    assert await get(store, bucket, "key") == SMALL


async def test_one_in_place_of_a_large_body_frees_that(
    store: PostgresBackend, bucket: Bucket, asked: Counter[str]
) -> None:
    await put(store, bucket, MANY[3], some_bytes(2 * MIB))
    asked.clear()
    await put_all(store, bucket, MANY)
    assert asked["put_small"] == asked["put_null"] == 1
    for name in MANY:
        assert await get(store, bucket, name) == name.encode() + SMALL
    assert (await store.about()).garbage == 1


async def test_buckets_with_versions_get_versions(store: PostgresBackend, bucket: Bucket, asked: Counter[str]) -> None:
    versioned = await set_versioning(store, bucket.name, "Enabled")
    asked.clear()
    await put_all(store, versioned, MANY)
    await put_all(store, versioned, MANY)
    assert asked == {"put_version": 2 * len(MANY)}
    assert [len(await history(store, versioned, name)) for name in MANY] == [2] * len(MANY)


async def test_one_that_the_database_does_not_take_fails_alone(store: PostgresBackend, bucket: Bucket) -> None:
    answers = await asyncio.gather(
        *(put(store, bucket, name, SMALL) for name in MANY),
        put(store, bucket, "wrong", SMALL, owner="nul\0"),
        return_exceptions=True,
    )
    assert isinstance(answers[-1], (ValueError, asyncpg.PostgresError))
    assert await keys(store, bucket) == MANY
    with pytest.raises(NoSuchKey):
        await store.get_version(bucket, "wrong")


async def test_who_waits_for_a_lock_keeps_nobody_else_waiting(store: PostgresBackend, bucket: Bucket) -> None:
    await put(store, bucket, MANY[3], SMALL)
    other = await asyncpg.connect(database_url())
    change = other.transaction()
    await change.start()
    table = f'"{store.store.schema}".versions'
    await other.execute(f"UPDATE {table} SET owner = 'held' WHERE key = $1", MANY[3].encode())
    try:
        began = monotonic()
        tasks = {name: asyncio.ensure_future(put(store, bucket, name, name.encode() + SMALL)) for name in MANY}
        held = tasks.pop(MANY[3])
        await asyncio.gather(*tasks.values())
        assert monotonic() - began < 5
        later = await put(store, bucket, "later", SMALL)
        assert later.key == "later"
        assert not held.done()
    finally:
        await change.rollback()
        await other.close()
    await held
    assert await get(store, bucket, MANY[3]) == MANY[3].encode() + SMALL
    assert await keys(store, bucket) == sorted([*MANY, "later"])


async def test_two_processes_that_put_the_same_keys_do_not_lock_each_other_out(
    store: PostgresBackend, bucket: Bucket
) -> None:
    other = postgres_backend(schema=store.store.schema)
    await other.open()
    try:
        for turn in range(10):
            answers = await asyncio.gather(
                *(put(one, bucket, name, b"%d" % turn) for name in MANY for one in (store, other)),
            )
            assert len(answers) == 2 * len(MANY)
    finally:
        await other.close()
    assert {(await store.get_version(bucket, name)).revision for name in MANY} == {20}


async def test_a_put_that_is_given_up_is_made_all_the_same(store: PostgresBackend, bucket: Bucket) -> None:
    tasks = [asyncio.ensure_future(put(store, bucket, name, SMALL)) for name in MANY]
    await until(lambda: store.store.small.together.waiting)
    for task in tasks:
        task.cancel()
    answers = await asyncio.gather(*tasks, return_exceptions=True)
    made = [answer.key for answer in answers if isinstance(answer, ObjectVersion)]
    assert made
    assert await keys(store, bucket) == made


async def test_closing_waits_for_what_was_begun(store: PostgresBackend, bucket: Bucket) -> None:
    other = postgres_backend(schema=store.store.schema)
    await other.open()
    await put_other(other, bucket)  # it has a connection
    tasks = [asyncio.ensure_future(put(other, bucket, name, SMALL)) for name in MANY]
    await until(lambda: other.store.small.together.waiting)
    await other.close()
    answers = await asyncio.gather(*tasks)
    assert await keys(store, bucket) == [answer.key for answer in answers] + ["other"]


async def test_closing_waits_for_those_that_go_on_alone(store: PostgresBackend, bucket: Bucket) -> None:
    other = postgres_backend(schema=store.store.schema)
    await other.open()
    await put(other, bucket, "key", some_bytes(2 * MIB))
    putting = asyncio.ensure_future(put(other, bucket, "key", SMALL))
    await until(lambda: other.store.small.together.waiting)
    await other.close()
    assert await store.get_version(bucket, "key") == await putting


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # nobody closes the store
@pytest.mark.parametrize("turns", [0, 1, 2, 3, 5, 8])
def test_where_the_loop_ends_amid_puts_it_ends(turns: int) -> None:
    """Whoever is cancelled waits for the result, but not for one that nobody will give."""

    async def end_amid_puts() -> None:
        store = postgres_backend()
        await store.open()
        bucket = await create_bucket(store, "bucket")
        await put(store, bucket, "key", SMALL)
        tasks = [asyncio.ensure_future(put(store, bucket, f"key-{number}", SMALL)) for number in range(100)]
        tasks += [asyncio.ensure_future(store.get_version(bucket, "key")) for _ in range(100)]
        await until(lambda: store.store.small.together.waiting)
        for _ in range(turns):
            await asyncio.sleep(0)

    ended = threading.Thread(target=asyncio.run, args=(end_amid_puts(),), daemon=True)
    ended.start()
    ended.join(20)
    assert not ended.is_alive()
    gc.collect()


async def test_where_the_connection_is_lost_all_are_told(store: PostgresBackend, bucket: Bucket) -> None:
    await put(store, bucket, "key", SMALL)
    [session] = store.store.connections._free
    other = await asyncpg.connect(database_url())
    change = other.transaction()
    await change.start()
    table = f'"{store.store.schema}".versions'
    await other.execute(f"LOCK TABLE {table}")
    try:
        tasks = [asyncio.ensure_future(put(store, bucket, name, SMALL)) for name in MANY]
        await until(lambda: store.store.small.together.is_at_work and not store.store.small.together.waiting)
        await other.execute("SELECT pg_terminate_backend($1)", session.connection.get_server_pid())
        answers = await asyncio.gather(*tasks, return_exceptions=True)
    finally:
        await change.rollback()
        await other.close()
    assert {type(answer) for answer in answers} == {SlowDown}
    assert await keys(store, bucket) == ["key"]
