"""How often PostgreSQL is asked for a request, as it counts itself (pg_stat_statements)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from http.client import HTTPConnection
from typing import Any, Final

import asyncpg
import pytest

from post3.storage.postgres.embedded import EmbeddedDatabase
from tests.databases import passable_folder
from tests.servers import Server, post3_serve

BODY: Final = b"4" * 4096
COUNTED: Final = """
    SELECT query, calls FROM pg_stat_statements
     WHERE query NOT LIKE '%pg_stat_statements%' AND query NOT LIKE '%post3.records%'
"""
"""All but our own questions and the lease of the collector, which asks when it wants to."""


@dataclass(frozen=True, slots=True)
class Counting:
    """A server, and the database behind it."""

    server: Server
    place: dict[str, Any]

    def ask_database(self, *statements: str) -> list[Any]:
        """The rows of the last statement."""

        async def ask() -> list[Any]:
            connection = await asyncpg.connect(**self.place)
            try:
                answers: list[list[Any]] = [await connection.fetch(statement) for statement in statements]
                return answers[-1]
            finally:
                await connection.close()

        return asyncio.run(ask())

    def ask(self, method: str, path: str, body: bytes = b"") -> None:
        """One request, which succeeds."""
        with closing(HTTPConnection(self.server.host, self.server.port, timeout=30)) as connection:
            connection.request(method, path, body)
            answer = connection.getresponse()
            answer.read()
            assert answer.status < 300

    def count(self, method: str, path: str, body: bytes = b"", times: int = 10) -> dict[str, int]:
        """What so many requests of a kind ask of the database: statement and calls."""
        self.ask(method, path.format(0), body)  # prepares what it needs
        self.ask_database("SELECT pg_stat_statements_reset()")
        for number in range(1, times + 1):
            self.ask(method, path.format(number), body)
        return {row["query"]: row["calls"] for row in self.ask_database(COUNTED)}


@pytest.fixture(scope="module")
def counting() -> Iterator[Counting]:
    with passable_folder() as folder:
        place = asyncio.run(prepare(EmbeddedDatabase(folder)))
        with post3_serve("--data-dir", str(folder), "--pg-connections", "1", cwd=folder) as server:
            counting = Counting(server, place)
            counting.ask_database("CREATE EXTENSION pg_stat_statements")
            counting.ask("PUT", "/bucket")
            yield counting


async def prepare(database: EmbeddedDatabase) -> dict[str, Any]:
    """Let it count from its next start on; how to connect to it."""
    place = dict(await database.start())
    connection = await asyncpg.connect(**place)
    await connection.execute("ALTER SYSTEM SET shared_preload_libraries = 'pg_stat_statements'")
    await connection.close()
    await database.stop()
    return place


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("PUT", "/bucket/new-{}", BODY),
        ("PUT", "/bucket/same", BODY),
        ("GET", "/bucket/same", b""),
        ("HEAD", "/bucket/same", b""),
        ("DELETE", "/bucket/new-{}", b""),
    ],
)
def test_a_small_request_is_one_round_trip(counting: Counting, method: str, path: str, body: bytes) -> None:
    asked = counting.count(method, path, body)
    assert list(asked.values()) == [10], json.dumps(asked, indent=1)


@pytest.mark.parametrize("query", ["list-type=2", "list-type=2&delimiter=/", "versions", "versions&delimiter=/"])
def test_a_page_is_one_statement_beside_its_bucket(counting: Counting, query: str) -> None:
    asked = counting.count("GET", f"/bucket?{query}")
    assert list(asked.values()) == [10, 10], json.dumps(asked, indent=1)


def test_a_large_object_takes_few_of_them_for_each_block(counting: Counting) -> None:
    asked = counting.count("PUT", "/bucket/large", b"x" * (16 * 2**20), times=1)
    # For each block: begin (which two statements do in one trip), lock, copy, commit.
    assert sum(asked.values()) <= 16 * 5 + 12, json.dumps(asked, indent=1)
    asked = counting.count("GET", "/bucket/large", times=1)
    assert sum(asked.values()) <= 10, json.dumps(asked, indent=1)
