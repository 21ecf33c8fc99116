"""Making and checking the schema: by an ordinary role, by many at once, beside older and newer programs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any, TypeAlias

import asyncpg
import pytest

from post3.storage.postgres import migrate as migrating
from post3.storage.postgres.backend import PostgresBackend
from post3.storage.postgres.database import RemoteDatabase
from post3.storage.postgres.migrate import Migration, load_migrations, migrate
from tests.conftest import AT_ONCE, MIB, create_bucket, get, put, put_in_parts, set_versioning, some_bytes
from tests.databases import database_url, fresh_schema

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"


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
    later = (*load_migrations(), Migration(2, 1, "ALTER TABLE post3.versions ADD COLUMN colour text;"))
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
        await migrate(connection, schema, (*load_migrations(), Migration(2, 1, broken)))
    await open_and_close(a_store(schema))
    columns = "SELECT attname FROM pg_attribute WHERE attrelid = $1::regclass"
    assert "colour" not in [row[0] for row in await connection.fetch(columns, f"{schema}.versions")]


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
