"""Keeping in PostgreSQL: the six roles over one database."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg

from post3.errors import ServiceUnavailable
from post3.storage.postgres.blobs import PostgresBlobs
from post3.storage.postgres.buckets import PostgresBuckets
from post3.storage.postgres.database import Database
from post3.storage.postgres.failures import LOST
from post3.storage.postgres.garbage import PostgresGarbage
from post3.storage.postgres.migrate import Connection, check_sessions, migrate
from post3.storage.postgres.records import PostgresJournal, PostgresRecords
from post3.storage.postgres.sql import DEFAULT_SCHEMA
from post3.storage.postgres.store import Store
from post3.storage.postgres.uploads import PostgresUploads
from post3.storage.postgres.versions import PostgresVersions
from post3.storage.protocol import About, Backend

CONNECTIONS = 8


class PostgresBackend(
    PostgresBuckets,
    PostgresBlobs,
    PostgresGarbage,
    PostgresVersions,
    PostgresUploads,
    PostgresRecords,
    PostgresJournal,
    Backend,
):
    """A store in a database; any number of processes and machines may use it at once."""

    def __init__(
        self, database: Database, *, schema: str = DEFAULT_SCHEMA, connections: int = CONNECTIONS, durable: bool = True
    ) -> None:
        """With at most so many connections, and one more while something large is read or written."""
        self.store = Store(database, schema, connections, durable=durable)

    async def open(self) -> None:
        """See Backend. Makes the schema, or brings it up to date."""
        try:
            async with self._connection() as one, self._connection() as other:
                await check_sessions(one, other)
                await migrate(one, self.store.schema)
        except (*LOST, asyncpg.PostgresError) as error:
            await self.store.database.stop()
            if isinstance(error, ValueError):
                raise
            raise OSError(
                f"PostgreSQL at {self.store.database} does not let post3 in: {error or 'no answer'}"
            ) from error
        except BaseException:
            await self.store.database.stop()
            raise

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[Connection]:
        connection = await self.store.connections.connect()
        try:
            yield connection
        finally:
            await connection.close()

    async def close(self) -> None:
        """See Backend."""
        await self.store.holds.close()
        await self.store.connections.close()
        await self.store.database.stop()

    async def ping(self) -> None:
        """See Backend."""
        row = await self.store.connections.row("ping")
        if row is None or row["is_read_only"]:
            raise ServiceUnavailable("The database only reads at the moment.")

    async def about(self) -> About:
        """See Backend."""
        row = await self.store.connections.row("about")
        assert row is not None  # noqa: S101  # it selects from no table
        return About(f"schema {row['schema']}", row["garbage"], row["postgresql"])
