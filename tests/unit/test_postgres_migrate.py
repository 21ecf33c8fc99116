"""Making and checking the schema: by an ordinary role, by many at once, beside older and newer programs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final, TypeAlias

import asyncpg
import pytest

from post3.model.listing import Listed, ListQuery
from post3.storage.postgres import migrate as migrating
from post3.storage.postgres.backend import PostgresBackend
from post3.storage.postgres.database import RemoteDatabase
from post3.storage.postgres.migrate import Migration, load_migrations, migrate, parse_migration
from tests.conftest import AT_ONCE, MIB, a_version, create_bucket, get, put, put_in_parts, set_versioning, some_bytes
from tests.databases import database_url, fresh_schema

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"
Fields: TypeAlias = dict[str, Any]
NEXT: Final = load_migrations()[-1].number + 1
CONCURRENT: Final = """\
-- oldest program: 1
-- outside a transaction

-- A comment; it is no statement.
DROP INDEX CONCURRENTLY IF EXISTS post3.versions_by_owner;  -- what an attempt that was cut short left
CREATE INDEX CONCURRENTLY versions_by_owner ON post3.versions (bucket_id, owner);
"""


@pytest.fixture
async def connection() -> AsyncIterator[Connection]:
    made = await asyncpg.connect(database_url())
    yield made
    await made.close()


@pytest.fixture
async def role(connection: Connection) -> AsyncIterator[str]:
    """An ordinary role: no superuser, owner of nothing."""
    name = fresh_schema().replace("test", "role")
    await connection.execute(f"CREATE ROLE {name}")
    yield name
    await connection.execute(f"DROP OWNED BY {name}; DROP ROLE {name}")


def a_store(schema: str, **settings: str) -> PostgresBackend:
    """A store whose connections have these settings."""
    more = "".join(f"&{name}={value}" for name, value in settings.items())
    return PostgresBackend(RemoteDatabase(database_url() + more), schema=schema, durable=False)


async def refusal(schema: str, **settings: str) -> str:
    backend = a_store(schema, **settings)
    with pytest.raises(ValueError) as refused:  # noqa: PT011 - the sentence is looked at
        await backend.open()
    return str(refused.value)


async def open_and_close(backend: PostgresBackend) -> None:
    await backend.open()
    await backend.close()


async def test_an_ordinary_role_can_do_it_all_in_a_schema_of_its_own(connection: Connection, role: str) -> None:
    schema = fresh_schema()
    await connection.execute(f"CREATE SCHEMA {schema} AUTHORIZATION {role}")
    backend = a_store(schema, role=role)
    await backend.open()
    bucket = await create_bucket(backend, "bucket")
    large = some_bytes(3 * MIB)
    await put(backend, bucket, "key", large)
    await put_in_parts(backend, bucket, "parts", large, b"end")
    versioned = await set_versioning(backend, "bucket", "Enabled")
    await put(backend, versioned, "key", b"new")
    assert await get(backend, versioned, "key") == b"new"
    assert await get(backend, versioned, "key", "null") == large
    await backend.delete_version(versioned, "parts", "null")
    assert (await backend.collect_garbage(AT_ONCE)).size == len(large)
    await backend.close()


async def test_a_role_that_may_not_make_the_schema_is_told_what_to_grant(role: str) -> None:
    said = await refusal(fresh_schema(), role=role)
    assert "GRANT CREATE ON DATABASE" in said


async def test_many_may_start_at_once(connection: Connection) -> None:
    schema = fresh_schema()
    await asyncio.gather(*(open_and_close(a_store(schema)) for _ in range(12)))
    applied = await connection.fetch(f"SELECT number FROM {schema}.migrations")
    assert [row["number"] for row in applied] == [migration.number for migration in load_migrations()]


async def test_a_schema_that_a_newer_program_made_is_used_unless_it_says_otherwise(connection: Connection) -> None:
    schema = fresh_schema()
    await open_and_close(a_store(schema))
    newer = f"INSERT INTO {schema}.migrations (number, checksum, oldest_program) VALUES ($1, 'later', $2)"
    await connection.execute(newer, 900, 1)
    await open_and_close(a_store(schema))
    await connection.execute(newer, 901, 901)
    said = await refusal(schema)
    assert "newer post3 (migration 901)" in said


async def test_a_migration_that_is_not_the_one_known_is_refused(connection: Connection) -> None:
    schema = fresh_schema()
    await open_and_close(a_store(schema))
    await connection.execute(f"UPDATE {schema}.migrations SET checksum = 'other'")
    assert "Migration 1 of the schema" in await refusal(schema)


async def test_a_later_migration_is_applied_once_and_an_older_program_goes_on(connection: Connection) -> None:
    schema = fresh_schema()
    older = a_store(schema)
    await older.open()
    bucket = await create_bucket(older, "bucket")
    await put(older, bucket, "key", b"old")
    later = (*load_migrations(), Migration(NEXT, 1, "ALTER TABLE post3.versions ADD COLUMN colour text;"))
    for _ in range(2):
        await migrate(connection, schema, later)
    assert await get(older, bucket, "key") == b"old"
    await put(older, bucket, "key", b"new")
    assert await get(older, bucket, "key") == b"new"
    await older.close()


async def test_a_migration_that_fails_leaves_the_schema_as_it_was(connection: Connection) -> None:
    schema = fresh_schema()
    await open_and_close(a_store(schema))
    broken = "ALTER TABLE post3.versions ADD COLUMN colour text; SELECT 1 / 0;"
    with pytest.raises(asyncpg.DivisionByZeroError):
        await migrate(connection, schema, (*load_migrations(), Migration(NEXT, 1, broken)))
    await open_and_close(a_store(schema))
    columns = "SELECT attname FROM pg_attribute WHERE attrelid = $1::regclass"
    assert "colour" not in [row[0] for row in await connection.fetch(columns, f"{schema}.versions")]


async def test_a_migration_may_ask_for_no_transaction_and_then_writers_go_on(connection: Connection) -> None:
    schema = fresh_schema()
    store = a_store(schema)
    await store.open()
    bucket = await create_bucket(store, "bucket")
    step = parse_migration(NEXT, CONCURRENT)
    writer = await asyncpg.connect(database_url())
    async with writer.transaction():
        # A writer that is under way holds the index up, and is held up by nothing itself.
        await writer.execute(f"UPDATE {schema}.buckets SET owner = owner")
        await writer.execute(f"DELETE FROM {schema}.versions")
        making = asyncio.ensure_future(migrate(connection, schema, (*load_migrations(), step)))
        await asyncio.wait([making], timeout=0.3)
        assert not making.done()
        await put(store, await create_bucket(store, "another"), "key", b"data")
    await making
    await writer.close()
    await put(store, bucket, "key", b"data")
    await store.close()
    valid = "SELECT indisvalid FROM pg_index WHERE indexrelid = $1::regclass"
    assert await connection.fetchval(valid, f"{schema}.versions_by_owner") is True


async def test_a_migration_outside_a_transaction_is_applied_by_one_of_many(connection: Connection) -> None:
    schema = fresh_schema()
    await open_and_close(a_store(schema))
    later = (*load_migrations(), parse_migration(NEXT, CONCURRENT))
    connections = [await asyncpg.connect(database_url()) for _ in range(6)]
    await asyncio.gather(*(migrate(each, schema, later) for each in connections))
    for each in connections:
        await each.close()
    numbers = await connection.fetch(f"SELECT number FROM {schema}.migrations ORDER BY number")
    assert [row["number"] for row in numbers] == list(range(1, NEXT + 1))


async def test_a_migration_outside_a_transaction_that_was_cut_short_is_done_again(connection: Connection) -> None:
    schema = fresh_schema()
    await open_and_close(a_store(schema))
    broken = parse_migration(NEXT, f"{CONCURRENT}SELECT 1 / 0;")
    with pytest.raises(asyncpg.DivisionByZeroError):
        await migrate(connection, schema, (*load_migrations(), broken))
    await migrate(connection, schema, (*load_migrations(), parse_migration(NEXT, CONCURRENT)))
    assert await connection.fetchval(f"SELECT max(number) FROM {schema}.migrations") == NEXT


async def test_a_step_does_not_wait_long_for_a_lock_and_comes_again(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(migrating, "LOCK_TIMEOUT", "50ms")
    monkeypatch.setattr(migrating, "PAUSE", 0.05)
    schema = fresh_schema()
    store = a_store(schema)
    await store.open()
    bucket = await create_bucket(store, "bucket")
    await put(store, bucket, "key", b"data")
    later = (*load_migrations(), Migration(NEXT, 1, "ALTER TABLE post3.versions ADD COLUMN colour text;"))
    reader = await asyncpg.connect(database_url())
    async with reader.transaction():
        await reader.fetch(f"SELECT count(*) FROM {schema}.versions")
        making = asyncio.ensure_future(migrate(connection, schema, later))
        for _ in range(10):
            await asyncio.sleep(0.02)
            async with asyncio.timeout(1):  # behind a step that waited on, everybody would wait
                assert await get(store, bucket, "key") == b"data"
        assert not making.done()
    await making
    assert await connection.fetchval("SHOW lock_timeout") == "0"
    await reader.close()
    await store.close()


async def test_a_step_that_never_gets_its_lock_is_told(connection: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(migrating, "LOCK_TIMEOUT", "10ms")
    monkeypatch.setattr(migrating, "LONG_LOCK_TIMEOUT", "10ms")
    monkeypatch.setattr(migrating, "PAUSE", 0.01)
    schema = fresh_schema()
    await open_and_close(a_store(schema))
    reader = await asyncpg.connect(database_url())
    alter = "-- oldest program: 1\nALTER TABLE post3.versions ADD COLUMN colour text;"
    async with reader.transaction():
        await reader.execute(f"LOCK {schema}.versions IN SHARE MODE")
        for text in (alter, CONCURRENT):
            with pytest.raises(ValueError, match="end the long transactions"):
                await migrate(connection, schema, (*load_migrations(), parse_migration(NEXT, text)))
    await migrate(connection, schema, (*load_migrations(), parse_migration(NEXT, alter)))
    await reader.close()


async def test_rows_from_before_lists_had_a_column_of_checksums_show_theirs(connection: Connection) -> None:
    schema = fresh_schema()
    store = a_store(schema)
    await store.open()
    bucket = await set_versioning(store, (await create_bucket(store, "bucket")).name, "Enabled")
    fields: Fields = {"checksums": {"crc32": "AAAAAA==", "sha256": "abc="}, "checksum_type": "FULL_OBJECT"}
    await put(store, bucket, "new", **fields)
    await put(store, bucket, "old", **fields)
    await put(store, bucket, "old", b"without")
    await connection.execute(f"UPDATE {schema}.versions SET checksums = NULL WHERE key = 'old'")
    queries = [ListQuery(), ListQuery(delimiter="/"), ListQuery(all_versions=True)]
    for page in [await store.list_versions(bucket, query) for query in queries]:
        listed = [entry for entry in page.entries if isinstance(entry, Listed)]
        new, current, *old = [(entry.checksums, entry.checksum_type) for entry in listed]
        assert (new, current) == (("crc32,sha256", "FULL_OBJECT"), ("", ""))
        assert old in ([], [new])
    await store.close()


async def test_every_change_writes_the_column_of_checksums(connection: Connection) -> None:
    schema = fresh_schema()
    store = a_store(schema)
    await store.open()
    bucket = await create_bucket(store, "bucket")
    one: Fields = {"checksums": {"crc32": "AAAAAA=="}, "checksum_type": "FULL_OBJECT"}
    two = {**one, "checksums": {"crc32c": "AAAAAA=="}}
    for key in ("small", "large"):
        await put(store, bucket, key, b"data", **one)
    await put(store, bucket, "small", b"other", **two)
    await put(store, bucket, "large", some_bytes(3 * MIB), **two)
    await put(store, bucket, "changed", **one)
    await store.update_version(bucket, "changed", None, lambda version: replace(version, **two))
    await put_in_parts(store, bucket, "parts", some_bytes(3 * MIB), **two)
    versioned = await set_versioning(store, "bucket", "Enabled")
    restored = a_version(versioned, "restored", version_id="null", sequence=7, modified=datetime.now(UTC), **two)
    await store.put_version(versioned, restored, restored=True)
    await put(store, versioned, "versioned", **two)
    await store.close()
    rows = await connection.fetch(f"SELECT convert_from(key, 'UTF8') AS key, checksums FROM {schema}.versions")
    keys = ("small", "large", "changed", "parts", "restored", "versioned")
    assert {row["key"]: row["checksums"] for row in rows} == dict.fromkeys(keys, "crc32c:FULL_OBJECT")


def test_a_migration_that_does_not_name_its_oldest_program_is_refused() -> None:
    with pytest.raises(ValueError, match="oldest program"):
        parse_migration(7, "-- outside a transaction\nSELECT 1;")


async def test_a_server_that_is_too_old_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(migrating, "OLDEST_SERVER", 99)
    assert "post3 needs 99 or later" in await refusal(fresh_schema())


async def test_another_encoding_is_told(connection: Connection) -> None:
    name = fresh_schema()
    await connection.execute(f"CREATE DATABASE {name} ENCODING 'SQL_ASCII' TEMPLATE template0")
    backend = PostgresBackend(RemoteDatabase(database_url().replace("/postgres?", f"/{name}?")))
    with pytest.raises(ValueError, match="ENCODING 'UTF8'"):
        await backend.open()
    await connection.execute(f"DROP DATABASE {name}")


async def test_a_pooler_that_changes_sessions_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    shared: list[Any] = []
    connect = asyncpg.connect

    async def pooled(*arguments: Any, **named: Any) -> Any:
        # Whoever connects gets the one session that the pooler has.
        if not shared or shared[0].is_closed():
            shared[:] = [await connect(*arguments, **named)]
        return shared[0]

    monkeypatch.setattr(asyncpg, "connect", pooled)
    assert "pool_mode = session" in await refusal(fresh_schema())


def test_all_migrations_are_numbered_without_gaps() -> None:
    known = load_migrations()
    assert [migration.number for migration in known] == list(range(1, len(known) + 1))
    assert replace(known[0], text="").checksum != known[0].checksum
