"""Whenever a process dies, what it was doing to the database is wholly done or wholly not.

As test_crashes.py does for files: each change runs in a process of its own, which dies before the first thing that it
sends to the database; then again, before the second; and so on until the change comes to its end.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any, Final, NoReturn

import asyncpg
import pytest

from post3.storage.postgres.backend import PostgresBackend
from post3.storage.postgres.database import RemoteDatabase
from tests.conformance import changes
from tests.conformance.changes import Cases, check_interrupted, owned_blobs, sight
from tests.conformance.cutting import CUT, Cutter, cutting, serve_cuts
from tests.conftest import collect_all
from tests.databases import database_url, fresh_schema

CASES: Final = Cases(changes.CASES)
TABLES: Final = ("versions", "uploads", "parts", "blocks", "garbage", "records", "journal", "buckets")


@CASES.case("open a new store", from_open=True)
async def _open(_backend: PostgresBackend) -> None:
    pass


# Dying


class Cut:
    """Ends the process when it is about to send for the time of this number."""

    def __init__(self, step: int) -> None:
        self._left = step
        self.armed = False

    def install(self) -> None:
        from asyncio import selector_events

        transport: Any = getattr(selector_events, "_SelectorSocketTransport")  # noqa: B009 - mypy knows better
        for name in ("write", "writelines"):
            setattr(transport, name, self._wrapped(getattr(transport, name)))

    def _wrapped(self, send: Any) -> Any:
        def wrapped(transport: object, data: object) -> None:
            self._left -= self.armed
            if self.armed and self._left == 0:
                os._exit(CUT)
            send(transport, data)

        return wrapped


def a_store(schema: str, url: str = "") -> PostgresBackend:
    return PostgresBackend(RemoteDatabase(url or database_url()), schema=schema, connections=4, durable=False)


def run_cut(place: str, name: str, step: int) -> NoReturn:
    """Make a change, and die at its step, or at its end."""

    async def run() -> None:
        case, cut = CASES[name], Cut(step)
        cut.install()
        cut.armed = case.from_open
        url, _, schema = place.rpartition("#")
        backend = a_store(schema, url)
        await backend.open()
        await backend.list_buckets()  # a connection is there
        cut.armed = True
        await case.act(backend)
        os._exit(0)

    try:
        asyncio.run(run())
    finally:
        os._exit(1)


@pytest.fixture(scope="module")
def cutter() -> Iterator[Cutter]:
    with cutting(__name__) as made:
        yield made


# Looking


@asynccontextmanager
async def opened(schema: str) -> AsyncIterator[PostgresBackend]:
    backend = a_store(schema)
    await backend.open()
    try:
        yield backend
    finally:
        await backend.close()


async def left_over(backend: PostgresBackend) -> list[str]:
    """The rows that nothing that can be seen accounts for."""
    blobs, _ = await owned_blobs(backend)
    schema = backend.store.schema
    connection = await asyncpg.connect(database_url())
    stored = await connection.fetch(f"SELECT DISTINCT blob_id FROM {schema}.blocks")
    parts = await connection.fetch(f"SELECT DISTINCT blob_id FROM {schema}.parts")
    waiting = await connection.fetch(f"SELECT id FROM {schema}.garbage")
    await connection.close()
    return [str(row[0]) for row in (*stored, *parts) if str(row[0]) not in blobs] + [str(row[0]) for row in waiting]


async def sessions() -> set[int]:
    """The sessions that servers have on the database: ours, the dying process's, and those of other tests' servers."""
    connection = await asyncpg.connect(database_url())
    try:
        rows = await connection.fetch("SELECT pid FROM pg_stat_activity WHERE application_name LIKE 'post3%'")
    finally:
        await connection.close()
    return {row["pid"] for row in rows}


async def until_known_dead(backend: PostgresBackend, before: set[int]) -> None:
    """Wait until the database has seen that the process is gone: what one does is its until then.

    The sessions that there were before are not its, nor are those of this test's own store.
    """
    store = backend.store
    own = [*store.connections._free, *filter(None, [store.holds._session])]
    known = before | {session.connection.get_server_pid() for session in own}
    async with asyncio.timeout(10):
        while await sessions() - known:  # noqa: ASYNC110 - the database's event, not ours
            await asyncio.sleep(0.001)


async def make_anew(backend: PostgresBackend, name: str) -> object:
    """The store as it is before the change; what is seen of it."""
    connection = await asyncpg.connect(database_url())
    await connection.execute("; ".join(f"DELETE FROM {backend.store.schema}.{table}" for table in TABLES))
    await connection.close()
    await CASES[name].prepare(backend)
    await collect_all(backend)
    return await sight(backend)


@pytest.mark.parametrize("name", CASES)
async def test_a_change_that_is_cut_short_is_made_wholly_or_not_at_all(cutter: Cutter, name: str) -> None:
    case, schema = CASES[name], fresh_schema()
    async with opened(schema) as backend:
        before = await make_anew(backend, name)
        await case.act(backend)
        after = await sight(backend)
        died, step, made = True, 0, False
        while died:
            step += 1
            if case.from_open:
                place = fresh_schema()
                died = cutter.dies(f"{database_url()}#{place}", name, step)
                async with opened(place) as other:
                    assert await sight(other) == before
                continue
            assert await make_anew(backend, name) == before
            there = await sessions()
            died = cutter.dies(f"{database_url()}#{schema}", name, step)
            await until_known_dead(backend, there)
            made, again = await check_interrupted(backend, case, before, lambda: left_over(backend))
            assert again == after, f"died at step {step}"
    assert made or before == after, "the change was answered, and is not there"
    assert step > 1, "nothing was cut"


if __name__ == "__main__":
    serve_cuts(run_cut)
