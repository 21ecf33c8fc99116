"""PostgreSQL for those who need one, and by itself: what its own COPY takes for the bytes that post3 moves.

The server is post3's own (`post3.storage.postgres.cluster`), with post3's settings, for the predecessor too.
"""

from __future__ import annotations

import asyncio
import struct
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import monotonic
from typing import Final
from urllib.parse import quote

from benchmarks.client import Outcome
from post3.storage.postgres.cluster import NAME, PORT, ROLE, Cluster
from post3.storage.postgres.embedded import EmbeddedDatabase

MIB: Final = 1 << 20
TABLE: Final = "public.benchmark_copy"
_SIGNATURE: Final = b"PGCOPY\n\xff\r\n\0"
"""https://www.postgresql.org/docs/current/sql-copy.html, of the binary format"""
IN_TURN: Final = {"in": 4, "out": 16}
"""Copies that one run of psql makes: its own start is then a small part of the time."""


class Database:
    """A PostgreSQL in a folder, for a server that brings none."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._database = EmbeddedDatabase(folder)

    def start(self) -> str:
        """Start it; its URL."""
        found = asyncio.run(self._start())
        return f"postgresql://{ROLE}@localhost:{PORT}/{NAME}?host={quote(found, safe='')}"

    async def _start(self) -> str:
        return str((await self._database.start())["host"])

    def stop(self) -> None:
        """End it."""
        asyncio.run(self._database.stop())

    def roots(self) -> tuple[int, ...]:
        """Its first process."""
        return _roots(self._database.cluster)

    def vacuum(self) -> None:
        """Free what was deleted."""
        psql(self._database.cluster, "VACUUM")


def postmaster(data_dir: Path) -> tuple[int, ...]:
    """The first process of the PostgreSQL that post3 runs in its data directory; nothing where it runs none."""
    return _roots(Cluster(data_dir)) if (data_dir / "pg").exists() else ()


def end_postmaster(data_dir: Path) -> None:
    """End the PostgreSQL of a post3 that was killed, or that ended before all of it had begun."""
    if postmaster(data_dir):
        cluster = Cluster(data_dir)
        with cluster.starting():
            cluster.end()


def vacuum(data_dir: Path) -> None:
    """Free what was deleted from the PostgreSQL that post3 runs in its data directory."""
    psql(Cluster(data_dir), "VACUUM")


def psql(cluster: Cluster, *commands: str) -> None:
    """Run them, each as a transaction of its own. Raises ValueError with what psql complained of."""
    words = [word for command in commands for word in ("-c", command)]
    place = ["-h", str(cluster.socket_folder()), "-p", str(PORT), "-U", ROLE, "-d", NAME]
    program = cluster.binaries(cluster.major()).program("psql")
    cluster.run_program(program, "-X", "-q", "-v", "ON_ERROR_STOP=1", *place, *words)


def _roots(cluster: Cluster) -> tuple[int, ...]:
    pid = cluster.pid()
    return () if pid is None else (pid,)


class Copying:
    """Copies in and out of a table of 1 MiB rows, in the PostgreSQL of a data directory that runs."""

    def __init__(self, data_dir: Path, folder: Path, body: bytes, tables: int) -> None:
        """Read are as many tables in turn as post3 reads objects: no more and no less of them is in its buffers."""
        self._cluster = Cluster(data_dir)
        self._size = len(body)
        self._tables = [f"{TABLE}_out_{number}" for number in range(tables)]
        self._file = folder / "copy"
        self._file.write_bytes(_binary(body))
        self._file.chmod(0o644)  # the server reads it, as whoever it is

    def copy_in(self, seconds: float, streams: int) -> Outcome:
        """`COPY … FROM` a file by the server itself, durable; each stream into a table of its own."""
        tables = [f"{TABLE}_{number}" for number in range(streams)]
        for table in tables:
            psql(
                self._cluster,
                f"CREATE TABLE IF NOT EXISTS {table} (number integer, data bytea)",
                f"ALTER TABLE {table} ALTER data SET STORAGE EXTERNAL",
            )
        copies = [[f"COPY {table} FROM '{self._file}' (FORMAT binary)"] * IN_TURN["in"] for table in tables]
        return self._repeat(copies, seconds, before=[f"TRUNCATE {table}" for table in tables])

    def copy_out(self, seconds: float, streams: int) -> Outcome:
        r"""`\copy … TO` by psql, to nowhere."""
        for table in self._tables:
            psql(
                self._cluster,
                f"DROP TABLE IF EXISTS {table}",
                f"CREATE TABLE {table} (number integer, data bytea)",
                f"ALTER TABLE {table} ALTER data SET STORAGE EXTERNAL",
                f"COPY {table} FROM '{self._file}' (FORMAT binary)",
            )
        turn = [rf"\copy {table} TO '/dev/null' (FORMAT binary)" for table in self._tables]
        return self._repeat([turn * (IN_TURN["out"] // len(turn))] * streams, seconds, before=[])

    def _repeat(self, copies: list[list[str]], seconds: float, before: list[str]) -> Outcome:
        spent, count = 0.0, 0
        with ThreadPoolExecutor(len(copies)) as threads:
            while spent < seconds:
                if before:
                    psql(self._cluster, *before)
                began = monotonic()
                list(threads.map(lambda lines: psql(self._cluster, *lines), copies))
                spent += monotonic() - began
                count += sum(map(len, copies))
        return Outcome(count, spent, count * self._size)


def _binary(body: bytes) -> bytes:
    """Rows of a number and 1 MiB of the body, in COPY's binary format."""
    parts = [_SIGNATURE, struct.pack(">ii", 0, 0)]
    for number, start in enumerate(range(0, len(body), MIB)):
        data = body[start : start + MIB]
        parts += [struct.pack(">hiii", 2, 4, number, len(data)), data]
    return b"".join([*parts, struct.pack(">h", -1)])
