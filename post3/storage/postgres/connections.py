"""Connections to the database: few, held, each with its prepared statements; and how a change is run on them.

A pool that resets its connections and prepares anew costs more than half the rate of small reads (measured). No
connection is held while a client is slow: who takes one gives it back before it waits for anybody else.

A read that loses its connection is tried again on another, unless it waited in vain for its answer: it would wait as
long again. A change is not: nobody knows what became of it. It is answered SlowDown (503), which every client may
repeat.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, TypeAlias, TypeVar

import asyncpg

from post3.errors import SlowDown
from post3.storage.postgres.database import Database
from post3.storage.postgres.failures import LOST, RACES, AgainError, refusal
from post3.storage.postgres.sql import DEFAULT_SCHEMA, load_statements

if TYPE_CHECKING:
    from asyncpg.prepared_stmt import PreparedStatement

logger = logging.getLogger("post3")

T = TypeVar("T")
Row: TypeAlias = asyncpg.Record
Record: TypeAlias = tuple[Any, ...]

WAIT: Final = 10.0
"""Seconds that a request waits for a connection before it is told to slow down, also where the database first has to be
started: a start goes on without it."""
RECONNECT: Final = 3.0
"""Seconds for which a connection is tried to be made while the database does not answer."""
PAUSE: Final = 0.1
CONNECT_TIMEOUT: Final = 10.0
STATEMENT_TIMEOUT: Final = 60.0
"""Seconds after which a database that says nothing is taken for lost."""
READ_TRIES: Final = 3
CHANGE_TRIES: Final = 20
FIRST_DELAY: Final = 0.001
LONGEST_DELAY: Final = 0.1


class Session:
    """A connection with the statements that it has prepared."""

    def __init__(self, connection: asyncpg.Connection[Row], statements: Mapping[str, str], schema: str) -> None:
        self.connection = connection
        self._statements = statements
        self._schema = schema
        self._prepared: dict[str, PreparedStatement[Row]] = {}

    async def rows(self, name: str, *values: object) -> list[Row]:
        """All rows of a statement. Raises ValueError for values that no column could hold."""
        statement = self._prepared.get(name) or await self._prepare(name)
        try:
            return await statement.fetch(*values)
        except (asyncpg.InvalidCachedStatementError, asyncpg.InterfaceError) as error:
            self._heed(error)
            raise

    async def row(self, name: str, *values: object) -> Row | None:
        """The first row of a statement. Raises ValueError for values that no column could hold."""
        statement = self._prepared.get(name) or await self._prepare(name)
        try:
            return await statement.fetchrow(*values)
        except (asyncpg.InvalidCachedStatementError, asyncpg.InterfaceError) as error:
            self._heed(error)
            raise

    def _heed(self, error: Exception) -> None:
        if isinstance(error, asyncpg.InvalidCachedStatementError):
            self._prepared.clear()  # the schema was changed: whoever runs it again prepares it again
        elif isinstance(error, ValueError):
            raise ValueError(str(error)) from error

    async def value(self, name: str, *values: object) -> Any:
        """The first column of the first row."""
        row = await self.row(name, *values)
        return None if row is None else row[0]

    async def run(self, name: str) -> None:
        """A statement without parameters and without an answer."""
        await self.connection.execute(self._statements[name])

    async def copy(self, table: str, columns: Sequence[str], records: Sequence[Record]) -> None:
        """Rows, by binary COPY."""
        await self.connection.copy_records_to_table(table, schema_name=self._schema, columns=columns, records=records)

    async def _prepare(self, name: str) -> PreparedStatement[Row]:
        statement = await self.connection.prepare(self._statements[name])
        self._prepared[name] = statement
        return statement


Work: TypeAlias = Callable[[Session], Awaitable[T]]


def application_name(schema: str) -> str:
    """By which PostgreSQL knows the connections of servers on this schema; it keeps 63 bytes of it."""
    return "post3" if schema == DEFAULT_SCHEMA else f"post3 {schema}"[:63]


class Connections:
    """At most so many sessions, handed out and taken back."""

    def __init__(self, database: Database, schema: str, limit: int, *, durable: bool) -> None:
        self._database = database
        self._schema = schema
        self._statements = load_statements(schema)
        self._limit = limit
        self._durable = durable
        self._free: list[Session] = []
        self._count = 0
        self._waiting: deque[asyncio.Future[Session | None]] = deque()
        self._closed = False
        self._underway: set[asyncio.Task[Any]] = set()
        self.opened = 0
        """Sessions so far. What a database tells that was started anew comes over one that is counted after that."""

    async def session(self) -> Session:
        """A session for whoever needs one of its own, or for all; tried for a while."""
        return Session(await self.connect(), self._statements, self._schema)

    async def connect(self) -> asyncpg.Connection[Row]:
        """A connection, made ready; tried for a while."""
        deadline = monotonic() + RECONNECT
        while True:
            try:
                connection: asyncpg.Connection[Row] = await asyncpg.connect(
                    **await self._database.start(),
                    timeout=CONNECT_TIMEOUT,
                    command_timeout=STATEMENT_TIMEOUT,
                    server_settings={"application_name": application_name(self._schema)},
                )
            except (*LOST, asyncpg.InsufficientResourcesError):
                if monotonic() + PAUSE > deadline:
                    raise
                await asyncio.sleep(PAUSE)
            else:
                break
        try:
            await connection.execute(self._statements["prepare_session"])
            if not self._durable:
                await connection.execute(self._statements["prepare_relaxed_session"])
        except BaseException:
            connection.terminate()
            raise
        return connection

    async def close(self) -> None:
        """Close all, when what is under way has ended."""
        self._closed = True
        while self._underway:
            ended, _ = await asyncio.wait(self._underway)
            self._underway -= ended
        while self._free:
            self._count -= 1
            await _close(self._free.pop().connection)

    # One statement

    async def rows(self, name: str, *values: object) -> list[Row]:
        """All rows of a statement that changes nothing."""
        return await self.read(lambda session: session.rows(name, *values))

    async def row(self, name: str, *values: object) -> Row | None:
        """The first row of a statement that changes nothing."""
        return await self.read(lambda session: session.row(name, *values))

    async def value(self, name: str, *values: object) -> Any:
        """The first column of the first row of a statement that changes nothing."""
        return await self.read(lambda session: session.value(name, *values))

    async def read(self, work: Work[T]) -> T:
        """Work that changes nothing; done again on another connection when it loses its own."""
        for turn in range(READ_TRIES):
            try:
                async with self._session() as session:
                    return await work(session)
            except (*LOST, asyncpg.InvalidCachedStatementError) as error:
                if turn + 1 == READ_TRIES or isinstance(error, TimeoutError):
                    raise refusal(error) or error from error
            except asyncpg.PostgresError as error:
                raise refusal(error) or error from error
        raise AssertionError

    # Changes

    async def change(self, work: Work[T]) -> T:
        """Work whose one statement is the change; what has begun goes to its end, also when the caller is cancelled.

        Work that meets others, or raises AgainError, is done again from its beginning.
        """
        return await finish(self.begin_change(work))

    def begin_change(self, work: Work[T]) -> asyncio.Task[T]:
        """The same, under way from now on."""
        return self.begin(self.repeat(work))

    async def transact(self, work: Work[T], *, begin: str = "begin") -> T:
        """The same for several statements: all of them or none."""

        async def transaction(session: Session) -> T:
            await session.run(begin)
            try:
                result = await work(session)
                await session.run("commit")
            except BaseException:
                if not session.connection.is_closed():
                    await session.run("rollback")
                raise
            return result

        return await finish(self.begin_change(transaction))

    async def repeat(self, work: Work[T]) -> T:
        """The same as `change`, for whoever is under way already (`begin`)."""
        for turn in range(CHANGE_TRIES):
            try:
                async with self._session() as session:
                    return await work(session)
            except (AgainError, *RACES) as error:
                if turn + 1 == CHANGE_TRIES:
                    raise SlowDown("Too many write to the same key at once; try again.") from error
            except (asyncpg.PostgresError, *LOST) as error:
                raise refusal(error) or error from error
            await asyncio.sleep(random.uniform(0, min(LONGEST_DELAY, FIRST_DELAY * 2**turn)))  # noqa: S311 - no secret
        raise AssertionError

    def begin(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Work that is under way from now on: whoever closes waits for it."""
        task = asyncio.ensure_future(work)
        self._underway.add(task)
        task.add_done_callback(self._underway.discard)
        return task

    # Handing out

    @asynccontextmanager
    async def _session(self) -> AsyncIterator[Session]:
        session = await self._take()
        try:
            yield session
        except asyncio.CancelledError:
            session.connection.terminate()  # in the middle of a statement
            raise
        except (*LOST, asyncpg.ReadOnlySQLTransactionError):
            # Where one is lost, so may be those that lie idle; and another server may take writes now.
            session.connection.terminate()
            for idle in self._free:
                idle.connection.terminate()
            raise
        finally:
            self._give_back(session)

    async def _take(self) -> Session:
        while self._free:
            session = self._free.pop()
            if not session.connection.is_closed():
                return session
            self._count -= 1
        if self._closed:
            raise SlowDown("The server is stopping.")
        deadline = asyncio.get_running_loop().time() + WAIT
        if self._count < self._limit:
            self._count += 1
            return await self._open(deadline)
        return await self._wait(deadline) or await self._open(deadline)

    async def _open(self, deadline: float) -> Session:
        """Open one that is already counted."""
        try:
            async with asyncio.timeout_at(deadline):
                session = await self.session()
            self.opened += 1
            return session
        except ValueError as error:
            self._hand_on(None)
            logger.warning("the database cannot be started: %s", error)
            raise SlowDown("The database cannot be reached at the moment; try again.") from error
        except BaseException:
            self._hand_on(None)
            raise

    async def _wait(self, deadline: float) -> Session | None:
        """The next one that is given back; None for the right to open one."""
        waiting: asyncio.Future[Session | None] = asyncio.get_running_loop().create_future()
        self._waiting.append(waiting)
        try:
            async with asyncio.timeout_at(deadline):
                return await waiting
        except (TimeoutError, asyncio.CancelledError) as error:
            if waiting.done() and not waiting.cancelled():
                self._hand_on(waiting.result())
            if isinstance(error, TimeoutError):
                raise SlowDown("All connections to the database are busy; try again.") from None
            raise

    def _give_back(self, session: Session) -> None:
        self._hand_on(None if session.connection.is_closed() else session)

    def _hand_on(self, session: Session | None) -> None:
        """Give a session, or the right to open one, to whoever has waited longest."""
        while self._waiting:
            waiting = self._waiting.popleft()
            if not waiting.done():
                waiting.set_result(session)
                return
        if session is None:
            self._count -= 1
        else:
            self._free.append(session)


async def finish(work: asyncio.Future[T]) -> T:
    """Wait for its end. Who is cancelled meanwhile gets its result: a change cannot be taken back, and must not look as
    if it had not been made.
    """
    while True:
        try:
            return await asyncio.shield(work)
        except asyncio.CancelledError:
            if work.cancelled():
                raise


async def _close(connection: asyncpg.Connection[Row]) -> None:
    try:
        await connection.close(timeout=2.0)
    except (*LOST, asyncpg.PostgresError):
        connection.terminate()
