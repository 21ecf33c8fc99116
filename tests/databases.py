"""A PostgreSQL for tests: one for each test process, started when it is first asked for, gone when the process ends."""

from __future__ import annotations

import asyncio
import atexit
import os
import shutil
import tempfile
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import count
from pathlib import Path
from typing import Any, Final, TypeVar
from urllib.parse import quote

from post3.storage.postgres.backend import PostgresBackend
from post3.storage.postgres.database import RemoteDatabase

T = TypeVar("T")
GIVEN: Final = "POST3_TEST_DATABASE_URL"
"""Names a database to use instead, such as one of another version."""
_count = count(1)


@cache
def database_url() -> str:
    """The URL of the test process's database."""
    if GIVEN in os.environ:
        return os.environ[GIVEN]
    from post3.storage.postgres.embedded import EmbeddedDatabase

    # Not under pytest's folder: an unprivileged user, as whom PostgreSQL runs where the tests are root, may not pass
    # it.
    folder = Path(tempfile.mkdtemp(prefix="post3-"))
    database = EmbeddedDatabase(folder)
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    arguments = _elsewhere(database.start())
    atexit.register(_elsewhere, database.stop())
    return f"postgresql://{arguments['user']}@/{arguments['database']}?host={quote(arguments['host'])}"


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
