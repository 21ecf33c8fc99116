"""A PostgreSQL for tests: one for each test process, started when it is first asked for, gone when the process ends."""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
from collections.abc import Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from itertools import count
from pathlib import Path
from typing import Any, Final, TypeVar
from urllib.parse import quote

from post3.storage.postgres.backend import PostgresBackend
from post3.storage.postgres.cluster import Cluster
from post3.storage.postgres.database import RemoteDatabase
from post3.storage.postgres.embedded import EmbeddedDatabase

T = TypeVar("T")
GIVEN: Final = "POST3_TEST_DATABASE_URL"
"""Names a database to use instead, such as one of another version."""
_count = count(1)
_running: list[tuple[EmbeddedDatabase, Path]] = []


@cache
def database_url() -> str:
    """The URL of the test process's database."""
    if GIVEN in os.environ:
        return os.environ[GIVEN]
    folder = new_folder()
    database = EmbeddedDatabase(folder)
    arguments = _elsewhere(database.start())
    _running.append((database, folder))
    return f"postgresql://{arguments['user']}@/{arguments['database']}?host={quote(arguments['host'])}"


def stop_database() -> None:
    """End it, when the tests have ended."""
    while _running:
        database, folder = _running.pop()
        _elsewhere(database.stop())
        shutil.rmtree(folder, ignore_errors=True)


def new_folder() -> Path:
    """A folder that any user may pass, unlike pytest's: where the tests are root, PostgreSQL runs as somebody else."""
    folder = Path(tempfile.mkdtemp(prefix="post3-"))
    folder.chmod(0o711)
    return folder


@contextmanager
def passable_folder() -> Iterator[Path]:
    """The same, gone at the end, with any PostgreSQL that still runs in it."""
    folder = new_folder()
    try:
        yield folder
    finally:
        for place in folder.glob("**/postmaster.pid"):
            Cluster(place.parents[2]).end()
        shutil.rmtree(folder)


def fresh_schema() -> str:
    """The name of a schema that nobody uses."""
    return f"test_{os.getpid()}_{next(_count)}"


def postgres_backend(**options: Any) -> PostgresBackend:
    """An empty store of its own."""
    return PostgresBackend(RemoteDatabase(database_url()), **{"schema": fresh_schema(), "durable": False, **options})


def _elsewhere(work: Coroutine[Any, Any, T]) -> T:
    """Run it in a loop of its own, whether one runs here or not."""
    with ThreadPoolExecutor(1) as threads:
        return threads.submit(asyncio.run, work).result()
