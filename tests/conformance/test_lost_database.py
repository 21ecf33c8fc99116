"""A database that is lost, full, read-only or busy: clear errors, no wrong answer, and service again by itself.

Of PostgreSQL alone: the other stores have nothing between them and their bytes.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from time import monotonic
from typing import Any, Final, TypeAlias
from urllib.parse import parse_qsl, quote, urlsplit

import asyncpg
import pytest

from post3.errors import NoSuchKey, ServiceUnavailable, SlowDown
from post3.model.bucket import Bucket
from post3.model.object import Block
from post3.model.record import Record
from post3.storage.postgres import blobs, connections, garbage
from post3.storage.postgres.backend import PostgresBackend
from post3.storage.postgres.cluster import Cluster
from post3.storage.postgres.connections import Session
from post3.storage.postgres.database import RemoteDatabase
from post3.storage.postgres.embedded import EmbeddedDatabase
from post3.storage.protocol import Collected
from tests.conftest import (
    AT_ONCE,
    KIB,
    MIB,
    a_version,
    blocks_of,
    create_bucket,
    create_upload,
    get,
    history,
    keys,
    part_of,
    put,
    put_part,
    read,
    reading,
    some_bytes,
    write,
)
from tests.databases import database_url, fresh_schema, passable_folder, postgres_backend

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"
LARGE: Final = some_bytes(5 * MIB + 7)
UNAVAILABLE: Final = (SlowDown, ServiceUnavailable)
"""What is answered 503."""
SMALL: Final = some_bytes(3 * KIB)


@pytest.fixture
async def store() -> AsyncIterator[PostgresBackend]:
    async with opened() as backend:
        yield backend


@asynccontextmanager
async def opened(*, number: int = 4) -> AsyncIterator[PostgresBackend]:
    """A store with so many connections."""
    backend = postgres_backend(connections=number)
    await backend.open()
    yield backend
    await backend.close()


@pytest.fixture
async def bucket(store: PostgresBackend) -> Bucket:
    return await create_bucket(store, "bucket")


@pytest.fixture
async def other() -> AsyncIterator[Connection]:
    """Another connection to the database."""
    made = await asyncpg.connect(database_url())
    yield made
    await made.close()


async def cut_connections(other: Connection) -> None:
    """End all connections of post3 from the database's side, as a restart does."""
    await other.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'post3%'")


async def cut_holds(store: PostgresBackend, other: Connection) -> None:
    """End the connection that holds, and wait until the database knows."""
    session = store.store.holds._session
    assert session is not None
    pid = session.connection.get_server_pid()
    await other.execute("SELECT pg_terminate_backend($1, 10000)", pid)
    assert not await other.fetchval("SELECT count(*) FROM pg_locks WHERE pid = $1", pid)


async def until_it_serves(work: Callable[[], Awaitable[object]], within: float = 20.0) -> None:
    """Do it again until it succeeds; in between nothing but 503 is answered."""
    deadline = monotonic() + within
    while True:
        try:
            await work()
        except UNAVAILABLE:
            assert monotonic() < deadline, "it never came back"
            await asyncio.sleep(0.05)
        else:
            return


# Lost connections


async def test_reads_outlive_their_connections(store: PostgresBackend, bucket: Bucket, other: Connection) -> None:
    await put(store, bucket, "key", LARGE)
    await cut_connections(other)
    assert await get(store, bucket, "key") == LARGE
    assert await keys(store, bucket) == ["key"]


async def test_a_read_under_way_outlives_its_connection(
    store: PostgresBackend, bucket: Bucket, other: Connection
) -> None:
    version = await put(store, bucket, "key", LARGE)
    assert version.body is not None
    async with reading(store, bucket, version.body.blob) as runs:
        got = await anext(runs)
        await cut_connections(other)
        async for run in runs:
            got += run
    assert got == LARGE


async def test_a_write_whose_connections_are_cut_is_whole_or_refused(
    store: PostgresBackend, bucket: Bucket, other: Connection
) -> None:
    for cut_at in range(len(blocks_of(LARGE))):

        async def blocks(cut_at: int = cut_at) -> AsyncIterator[Block]:
            for place, block in enumerate(blocks_of(LARGE)):
                if place == cut_at:
                    await cut_connections(other)
                yield block

        key = f"key-{cut_at}"
        try:
            blob = await store.write_blob(bucket, key, blocks())
            body = part_of(blob, LARGE)
            await store.put_version(bucket, a_version(bucket, key, body=body, size=body.size))
        except UNAVAILABLE:
            with pytest.raises(NoSuchKey):
                await store.get_version(bucket, key)
        else:
            assert await get(store, bucket, key) == LARGE
    await store.collect_garbage(AT_ONCE)
    for key in await keys(store, bucket):
        assert await get(store, bucket, key) == LARGE


async def test_changes_go_on_after_a_cut(store: PostgresBackend, bucket: Bucket, other: Connection) -> None:
    for turn in range(5):
        await cut_connections(other)
        await until_it_serves(partial(put, store, bucket, f"key-{turn}", SMALL))
    assert len(await keys(store, bucket)) == 5


async def test_a_cut_change_is_answered_503_and_made_at_most_once(
    store: PostgresBackend, bucket: Bucket, other: Connection
) -> None:
    """Its connection is lost while it waits for a row: nobody knows what became of it, so it is not repeated."""
    async with other.transaction():
        await other.execute(f"SELECT FROM {store.store.schema}.buckets FOR UPDATE")
        putting = asyncio.ensure_future(put(store, bucket, "key", SMALL))
        await until_one_waits_for_a_lock()
        await cut_connections(other)
        with pytest.raises(SlowDown):
            await putting
    assert await keys(store, bucket) == []


async def until_one_waits_for_a_lock() -> None:
    """From a connection of its own: a transaction sees the activity as it was when it first looked."""
    watcher = await asyncpg.connect(database_url())
    waits = "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'post3%' AND wait_event_type = 'Lock'"
    for _ in range(1000):
        if await watcher.fetchval(waits):
            break
        await asyncio.sleep(0.01)
    else:
        raise AssertionError("nobody waits")
    await watcher.close()


async def test_an_upload_whose_bytes_were_collected_ends_at_once_and_leaves_nothing(
    store: PostgresBackend, bucket: Bucket, other: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its hold was lost with the connection, and another server's collector came before it was taken again."""
    schema = store.store.schema
    blocks = blocks_of(some_bytes(20 * MIB))
    given = 0

    async def until_collected() -> AsyncIterator[Block]:
        nonlocal given
        for given, block in enumerate(blocks, 1):
            if given == 6:
                monkeypatch.setattr(store.store.holds, "_connect", asyncio.Event().wait)
                await cut_holds(store, other)
                collector = PostgresBackend(RemoteDatabase(database_url()), schema=schema, durable=False)
                await collector.open()
                assert (await collector.collect_garbage(AT_ONCE)).blobs == 1
                await collector.close()
            yield block

    with pytest.raises(ServiceUnavailable, match="send them again"):
        await store.write_blob(bucket, "key", until_collected())
    assert given <= 8
    assert await other.fetchval(f"SELECT count(*) FROM {schema}.blocks") == 0
    assert await other.fetchval(f"SELECT count(*) FROM {schema}.garbage") == 0


async def test_a_copy_whose_bytes_were_collected_leaves_nothing(
    store: PostgresBackend, bucket: Bucket, other: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blobs, "COPIED_AT_ONCE", 1)
    source = await put(store, bucket, "key", LARGE)
    assert source.body is not None
    transact = store.store.connections.transact

    async def collected_before(work: Callable[[Session], Awaitable[Any]], *, begin: str = "begin") -> Any:
        if await other.fetchval(f"SELECT count(*) FROM {store.store.schema}.blocks") == 8:
            await other.execute(f"DELETE FROM {store.store.schema}.garbage")
        return await transact(work, begin=begin)

    monkeypatch.setattr(store.store.connections, "transact", collected_before)
    with pytest.raises(ServiceUnavailable, match="send them again"):
        await store.copy_blob(bucket, source.body.blob, bucket, "copy")
    assert await other.fetchval(f"SELECT count(*) FROM {store.store.schema}.blocks") == len(blocks_of(LARGE))
    assert await get(store, bucket, "key") == LARGE


async def test_a_collector_frees_what_was_written_while_it_was_at_it(
    store: PostgresBackend, bucket: Bucket, other: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a writer whose hold was lost, between two of the collector's transactions."""
    monkeypatch.setattr(garbage, "BLOCKS_AT_ONCE", 2)
    schema = store.store.schema
    await write(store, bucket, LARGE)
    transact = store.store.connections.transact
    written = False

    async def written_after(work: Callable[[Session], Awaitable[Any]], *, begin: str = "begin") -> Any:
        nonlocal written
        done = await transact(work, begin=begin)
        if not written:
            await other.execute(
                f"INSERT INTO {schema}.blocks SELECT blob_id, 6, crcs, data FROM {schema}.blocks LIMIT 1"
            )
            written = True
        return done

    monkeypatch.setattr(store.store.connections, "transact", written_after)
    await store.collect_garbage(AT_ONCE)
    assert written
    assert await other.fetchval(f"SELECT count(*) FROM {schema}.blocks") == 0


async def test_a_read_that_waits_in_vain_for_its_answer_is_not_repeated(
    monkeypatch: pytest.MonkeyPatch, other: Connection
) -> None:
    monkeypatch.setattr(connections, "STATEMENT_TIMEOUT", 2.0)
    async with opened() as store:
        bucket = await create_bucket(store, "bucket")
        async with other.transaction():
            await other.execute(f"LOCK TABLE {store.store.schema}.versions")
            began = monotonic()
            with pytest.raises(SlowDown):
                await store.get_version(bucket, "key")
            assert 1.9 < monotonic() - began < 3.9
        await put(store, bucket, "key", SMALL)
        assert await get(store, bucket, "key") == SMALL


# Several hosts


@pytest.mark.parametrize("form", ["authority", "query"])
async def test_of_several_hosts_the_one_that_lives_is_used_and_found_again(form: str, other: Connection) -> None:
    database = RemoteDatabase(several_hosts(form))
    assert (await database.start())["target_session_attrs"] == "read-write"
    store = PostgresBackend(database, schema=fresh_schema(), connections=2, durable=False)
    await store.open()
    bucket = await create_bucket(store, "bucket")
    await put(store, bucket, "key", LARGE)
    await cut_connections(other)
    assert await get(store, bucket, "key") == LARGE
    await put(store, bucket, "key", SMALL)
    await store.close()


def several_hosts(form: str) -> str:
    """The test database behind a host where nobody listens."""
    url = urlsplit(database_url())
    user, _, host = url.netloc.rpartition("@")
    folder = dict(parse_qsl(url.query)).get("host", "")
    if form == "authority":
        return f"postgresql://{user}@127.0.0.1:1,{host or quote(folder, safe='')}{url.path}"
    name, _, port = host.partition(":")
    return f"postgresql://{user}@{url.path}?host=127.0.0.1,{quote(folder or name)}&port=1,{port or 5432}"


# A database that cannot write


async def test_a_database_that_only_reads_is_told_and_serves_on(
    store: PostgresBackend, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    await put(store, bucket, "key", LARGE)
    upload = await create_upload(store, bucket, "parts")
    empty = await create_bucket(store, "empty")
    prepare = store.store.connections._statements["prepare_session"]
    statements = dict(store.store.connections._statements)
    await _let_go_of_connections(store)
    with monkeypatch.context() as patched:
        read_only = {**statements, "prepare_session": f"{prepare}; SET default_transaction_read_only = on"}
        patched.setattr(store.store.connections, "_statements", read_only)
        patched.setattr(store.store.holds, "_connect", store.store.connections.session)
        for work in (
            lambda: put(store, bucket, "key", SMALL),
            lambda: put(store, bucket, "new", LARGE),
            lambda: put_part(store, bucket, upload, 1, LARGE),
            lambda: store.delete_version(bucket, "key", "null"),
            lambda: store.update_version(bucket, "key", None, lambda version: replace(version, owner="other")),
            lambda: create_bucket(store, "another"),
            lambda: store.delete_bucket(empty),
            lambda: store.update_record("kind", "id", lambda _: Record("kind", "id", {})),
            store.ping,
        ):
            with pytest.raises(ServiceUnavailable) as refused:
                await work()
            assert "only reads" in str(refused.value)
        assert await get(store, bucket, "key") == LARGE
        assert await keys(store, bucket) == ["key"]
    await until_it_serves(lambda: put(store, bucket, "key", SMALL))
    assert await get(store, bucket, "key") == SMALL


async def _let_go_of_connections(store: PostgresBackend) -> None:
    for session in store.store.connections._free:
        session.connection.terminate()


async def test_a_full_disk_is_told_and_nothing_is_stored(
    store: PostgresBackend, bucket: Bucket, other: Connection
) -> None:
    schema = store.store.schema
    await put(store, bucket, "old", LARGE)
    await other.execute(
        f"CREATE FUNCTION {schema}.fill() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION"
        " 'could not extend file: No space left on device' USING ERRCODE = 'disk_full'; END $$"
    )
    for table, data in (("blocks", LARGE), ("versions", SMALL), ("versions", LARGE)):
        await other.execute(
            f"CREATE TRIGGER full_disk BEFORE INSERT ON {schema}.{table} FOR EACH ROW EXECUTE FUNCTION {schema}.fill()"
        )
        for key in ("old", "new"):
            with pytest.raises(ServiceUnavailable) as refused:
                await put(store, bucket, key, data)
            assert "disk" in str(refused.value)
        await other.execute(f"DROP TRIGGER full_disk ON {schema}.{table}")
    assert await keys(store, bucket) == ["old"]
    assert await get(store, bucket, "old") == LARGE
    await store.collect_garbage(AT_ONCE)
    assert await other.fetchval(f"SELECT count(DISTINCT blob_id) FROM {schema}.blocks") == 1
    await put(store, bucket, "new", LARGE)
    assert await get(store, bucket, "new") == LARGE


# Few connections


async def test_waiting_for_a_connection_ends_in_slow_down(monkeypatch: pytest.MonkeyPatch, other: Connection) -> None:
    monkeypatch.setattr(connections, "WAIT", 0.3)
    async with opened(number=2) as store:
        bucket = await create_bucket(store, "bucket")
        async with other.transaction():
            await other.execute(f"SELECT FROM {store.store.schema}.buckets FOR UPDATE")
            # Guarded ones, as each of these has a connection to itself.
            puts = (put(store, bucket, f"key-{number}", SMALL, guard=lambda *_: None) for number in range(2))
            stuck = [asyncio.ensure_future(one) for one in puts]
            await asyncio.sleep(0.1)
            began = monotonic()
            with pytest.raises(SlowDown) as refused:
                await get(store, bucket, "none")
            assert 0.2 < monotonic() - began < 5
            assert refused.value.status == 503
        await asyncio.gather(*stuck)
        assert await keys(store, bucket) == ["key-0", "key-1"]


async def test_who_waits_is_served_in_turn() -> None:
    async with opened(number=1) as store:
        bucket = await create_bucket(store, "bucket")
        await asyncio.gather(*(put(store, bucket, f"key-{number:03}", SMALL) for number in range(100)))
        assert len(await keys(store, bucket)) == 100


async def test_one_who_gives_up_waiting_leaves_no_hole(monkeypatch: pytest.MonkeyPatch) -> None:
    async with opened(number=1) as store:
        bucket = await create_bucket(store, "bucket")
        for _ in range(20):
            tasks = [asyncio.ensure_future(store.list_buckets()) for _ in range(5)]
            await asyncio.sleep(0)
            for task in tasks[::2]:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        await put(store, bucket, "key", SMALL)
        assert await get(store, bucket, "key") == SMALL


async def test_no_connection_is_held_while_a_client_is_slow() -> None:
    """With a single connection, all of them at once stand still in the middle, and others go on."""
    async with opened(number=1) as store:
        bucket = await create_bucket(store, "bucket")
        version = await put(store, bucket, "key", LARGE)
        assert version.body is not None
        go_on = asyncio.Event()

        async def slow_blocks() -> AsyncIterator[Block]:
            for place, block in enumerate(blocks_of(LARGE)):
                if place == 3:
                    await go_on.wait()
                yield block

        writing = [asyncio.ensure_future(store.write_blob(bucket, "slow", slow_blocks())) for _ in range(3)]
        async with (
            reading(store, bucket, version.body.blob) as first,
            reading(store, bucket, version.body.blob) as second,
        ):
            await anext(first)
            await anext(second)
            async with asyncio.timeout(10):
                await put(store, bucket, "other", LARGE)
                assert await get(store, bucket, "other") == LARGE
        go_on.set()
        for blob in await asyncio.gather(*writing):
            assert await read(store, bucket, blob) == LARGE


# Killed


@pytest.fixture
def folder() -> Iterator[Path]:
    with passable_folder() as made:
        yield made


@asynccontextmanager
async def own_database(folder: Path) -> AsyncIterator[PostgresBackend]:
    """A store whose PostgreSQL may be killed, and that writes to the disk as late as it may."""
    backend = PostgresBackend(EmbeddedDatabase(folder))
    await backend.open()
    await backend.close()
    with (folder / "pg/data/postgresql.conf").open("a") as file:
        file.write("\nwal_writer_delay = 10s\nwal_writer_flush_after = 2GB\n")
    backend = PostgresBackend(EmbeddedDatabase(folder))
    await backend.open()
    yield backend
    await backend.close()


def kill_database(folder: Path) -> None:
    leader = Cluster(folder).pid()
    assert leader is not None
    children = Path(f"/proc/{leader}/task/{leader}/children").read_text().split()
    for pid in [leader, *map(int, children)]:
        os.kill(pid, signal.SIGKILL)


async def test_killed_between_the_blocks_and_the_commit_it_never_shows_an_object_with_holes(folder: Path) -> None:
    blocks = blocks_of(LARGE)
    async with own_database(folder) as store:
        bucket = await create_bucket(store, "bucket")
        lost = 0
        for killed_before in range(2, len(blocks) + 1):

            async def sent(killed_before: int = killed_before) -> AsyncIterator[Block]:
                for place, block in enumerate(blocks):
                    if place == killed_before:
                        await asyncio.sleep(0.05)  # what was sent before is on its way
                        kill_database(folder)
                    yield block

            key = f"key-{killed_before}"
            try:
                blob = await store.write_blob(bucket, key, sent())
                if killed_before == len(blocks):
                    kill_database(folder)
                body = part_of(blob, LARGE)
                await store.put_version(bucket, a_version(bucket, key, body=body, size=body.size))
            except UNAVAILABLE:
                lost += 1
            await until_it_serves(store.ping)
            for shown in await keys(store, bucket):
                assert await get(store, bucket, shown) == LARGE
        assert lost
        await until_it_serves(lambda: put(store, bucket, "last", LARGE))
        await store.collect_garbage(AT_ONCE)
        for shown in await keys(store, bucket):
            assert await get(store, bucket, shown) == LARGE


async def test_what_was_answered_survives_a_killed_database(folder: Path) -> None:
    async with own_database(folder) as store:
        bucket = await create_bucket(store, "bucket")
        for turn in range(3):
            data = some_bytes(len(SMALL if turn == 1 else LARGE), turn)
            await until_it_serves(partial(put, store, bucket, f"key-{turn}", data))
            kill_database(folder)
            await until_it_serves(store.ping)
            assert await get(store, bucket, f"key-{turn}") == data


async def test_bytes_that_the_database_lost_get_no_owner(
    store: PostgresBackend, bucket: Bucket, other: Connection
) -> None:
    blob = await write(store, bucket, LARGE)
    await other.execute(f"DELETE FROM {store.store.schema}.blocks WHERE number = 2")
    body = part_of(blob, LARGE)
    with pytest.raises(ServiceUnavailable):
        await store.put_version(bucket, a_version(bucket, "key", body=body, size=body.size))
    upload = await create_upload(store, bucket, "key")
    with pytest.raises(ServiceUnavailable):
        await store.put_part(bucket, upload, body)
    assert await history(store, bucket, "key") == []
    assert await store.collect_garbage(AT_ONCE) != Collected()
    assert await other.fetchval(f"SELECT count(*) FROM {store.store.schema}.blocks") == 0
