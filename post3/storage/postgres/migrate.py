"""Making the schema what this program needs: numbered SQL files, applied once each, forward only.

Each file names the oldest program that can still work with the schema it makes, as a *level*: the number of the newest
migration that a program knows. So an older program goes on working beside a newer one while servers are upgraded, and
refuses a schema only when a migration says that it must.

A migration is one transaction, unless its second line says `-- outside a transaction`: then its statements run one by
one, each of them such that it can be run again, because what came before a failure stays. So indexes are made and
dropped CONCURRENTLY, while servers go on writing. No step waits long for a lock that others would queue behind.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Final, TypeAlias

import asyncpg

from post3.storage.postgres.sql import in_schema, load_statements

OLDEST_SERVER: Final = 15
_FILE: Final = re.compile(r"(\d{4})_[a-z0-9_]+\.sql")
_HEADER: Final = re.compile(r"-- oldest program: (\d+)\n(-- outside a transaction\n)?")
_COMMENT: Final = re.compile(r"--.*")

LOCK_TIMEOUT: Final = "2s"
"""Who waits for a table's lock lets everybody after it wait too: it gives up soon, and comes again."""
LONG_LOCK_TIMEOUT: Final = "15min"
"""Nobody queues behind a step outside a transaction, which waits for the end of all transactions before it."""
TRIES: Final = 20
PAUSE: Final = 0.5
"""Seconds before it comes again."""
POLL: Final = 0.05
"""Seconds between two looks whether another server has ended its migration."""
STEP_TIMEOUT: Final = 7 * 24 * 3600.0
"""Seconds that a step may take: an index of a large table takes its time."""

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"


@dataclass(frozen=True, slots=True)
class Migration:
    """One step of the schema."""

    number: int
    oldest_program: int
    text: str
    in_transaction: bool = True

    @property
    def checksum(self) -> str:
        """SHA-256 of its text: what was applied is never changed afterwards."""
        return hashlib.sha256(self.text.encode()).hexdigest()

    @property
    def steps(self) -> list[str]:
        """What is sent at once. Outside a transaction, no text in the file may contain a semicolon or two dashes."""
        if self.in_transaction:
            return [self.text]
        return [step for step in _COMMENT.sub("", self.text).split(";") if step.strip()]


@cache
def load_migrations() -> tuple[Migration, ...]:
    """All that this program knows, in order."""
    migrations = []
    for file in sorted(files(__package__).joinpath("migrations").iterdir(), key=lambda file: file.name):
        name = _FILE.fullmatch(file.name)
        if name is None:
            continue
        text = file.read_text(encoding="utf-8")
        migrations.append(parse_migration(int(name[1]), text))
    return tuple(migrations)


def parse_migration(number: int, text: str) -> Migration:
    """The migration of a file's text. Raises ValueError unless it begins as it must."""
    header = _HEADER.match(text)
    if header is None:
        raise ValueError(f"Migration {number} does not begin with the oldest program that can work with it.")
    return Migration(number, int(header[1]), text, in_transaction=header[2] is None)


async def migrate(connection: Connection, schema: str, migrations: tuple[Migration, ...] | None = None) -> None:
    """Bring the schema up to date. Several servers may do so at once.

    Raises ValueError, with a sentence for people, for a server or a schema that this program cannot work with.
    """
    migrations = load_migrations() if migrations is None else migrations
    statements = load_statements(schema)
    await _check_server(connection)
    if not _missing(await _applied(connection, schema), migrations, schema):
        return
    async with _alone(connection, schema):
        if not await connection.fetchval(statements["has_schema"], schema):
            await _create_schema(connection, schema)
        await connection.execute(statements["create_migrations"])
        for migration in _missing(await _applied(connection, schema), migrations, schema):
            await _apply(connection, migration, schema)


@asynccontextmanager
async def _alone(connection: Connection, schema: str) -> AsyncIterator[None]:
    """Keep other servers from the migrations of a schema meanwhile."""
    statements = load_statements(schema)
    # Not waited for in the database: an index that is made concurrently would wait for the end of that wait.
    while not await connection.fetchval(statements["lock_migrations"], schema):  # noqa: ASYNC110 - another server
        await asyncio.sleep(POLL)
    try:
        yield
    finally:
        if not connection.is_closed():
            await connection.execute(statements["wait_as_usual"])
            await connection.execute(statements["unlock_migrations"], schema)


async def _apply(connection: Connection, migration: Migration, schema: str) -> None:
    """Apply one, again while others keep it from its locks. Raises ValueError when they go on."""
    for _ in range(TRIES if migration.in_transaction else 1):
        try:
            if migration.in_transaction:
                async with connection.transaction():
                    await _run(connection, migration, schema, LOCK_TIMEOUT)
            else:
                await _run(connection, migration, schema, LONG_LOCK_TIMEOUT)
        except asyncpg.LockNotAvailableError:
            await asyncio.sleep(PAUSE)
        else:
            return
    raise ValueError(
        f"Migration {migration.number} of the schema {schema} cannot lock what it changes: end the long transactions "
        "in this database, and start again."
    )


async def _run(connection: Connection, migration: Migration, schema: str, lock_timeout: str) -> None:
    statements = load_statements(schema)
    await connection.execute(statements["wait_at_most"], lock_timeout)
    for step in migration.steps:
        await connection.execute(in_schema(step, schema), timeout=STEP_TIMEOUT)
    await connection.execute(
        statements["note_migration"], migration.number, migration.checksum, migration.oldest_program
    )


async def check_sessions(one: Connection, other: Connection) -> None:
    """See that each connection keeps a session of its own. Raises ValueError where a pooler shares them out anew for
    each transaction: what is prepared, set and held in one would be gone, or somebody else's.
    """
    statements = load_statements()
    try:
        await one.fetchval(statements["mark_session"], "one")
        await other.fetchval(statements["mark_session"], "other")
        kept = await one.fetchval(statements["session_mark"]) == "one"
    except (asyncpg.InvalidSQLStatementNameError, asyncpg.DuplicatePreparedStatementError):
        kept = False
    if not kept:
        raise ValueError(
            "Between post3 and PostgreSQL is a pooler that changes sessions with each transaction; let it keep them "
            "(PgBouncer: pool_mode = session), or connect without it."
        )


async def _check_server(connection: Connection) -> None:
    (about,) = await connection.fetch(load_statements()["about_server"])
    if about["version"] < OLDEST_SERVER * 10_000:
        raise ValueError(f"PostgreSQL {about['version'] // 10_000} is too old; post3 needs {OLDEST_SERVER} or later.")
    if about["encoding"] != "UTF8":
        raise ValueError(
            f"The database's encoding is {about['encoding']}; post3 needs UTF8: CREATE DATABASE … ENCODING 'UTF8' "
            "TEMPLATE template0."
        )


async def _applied(connection: Connection, schema: str) -> list[asyncpg.Record]:
    statements = load_statements(schema)
    if not await connection.fetchval(statements["has_migrations"]):
        return []
    return await connection.fetch(statements["list_migrations"])


def _missing(applied: Iterable[asyncpg.Record], known: tuple[Migration, ...], schema: str) -> list[Migration]:
    """What is still to be done."""
    level = known[-1].number
    checksums = {migration.number: migration.checksum for migration in known}
    done = set()
    for row in applied:
        number = row["number"]
        done.add(number)
        if row["oldest_program"] > level:
            raise ValueError(
                f"The schema {schema} was made by a newer post3 (migration {number}), which this one cannot work with: "
                "install that version."
            )
        if checksums.get(number, row["checksum"]) != row["checksum"]:
            raise ValueError(
                f"Migration {number} of the schema {schema} is not the one that this post3 knows; it was made by a "
                "version that was never released, or was changed by hand."
            )
    return [migration for migration in known if migration.number not in done]


async def _create_schema(connection: Connection, schema: str) -> None:
    try:
        await connection.execute(load_statements(schema)["create_schema"])
    except asyncpg.InsufficientPrivilegeError:
        raise ValueError(
            f"The role may not create the schema {schema}: GRANT CREATE ON DATABASE … TO …, or create the schema for "
            f"it (CREATE SCHEMA {schema} AUTHORIZATION …)."
        ) from None
