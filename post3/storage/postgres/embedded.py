"""A PostgreSQL of post3's own, in its data directory, started when it is needed and stopped by whoever leaves last.

Every process that uses it holds a shared lock on DIR/pg/users; whoever has the lock on DIR/pg/starting alone may start
or stop it. So any number of processes, forked or not, may come and go, and a server that a killed process left is
adopted.

A start may take long, since after a crash PostgreSQL repeats what its log holds. It has a thread of its own: whoever
asks meanwhile waits for the same start, and who gives up waiting leaves it going on.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from pathlib import Path
from threading import Thread
from typing import Any, Final

from post3.storage.postgres.cluster import NAME, PORT, ROLE, Cluster
from post3.storage.postgres.database import Database

LEAVE: Final = 10.0
"""Seconds that whoever leaves waits for somebody else who starts it or stops it."""


class EmbeddedDatabase(Database):
    """The PostgreSQL in a data directory."""

    def __init__(self, data_dir: Path, *, user: str | None = None, archive: Path | None = None) -> None:
        """Run as `user` where post3 itself is root; write-ahead log is archived to `archive`, if that is given."""
        self.cluster = Cluster(data_dir, user, archive)
        self._using: int | None = None
        self._starting: Future[None] | None = None

    async def start(self) -> Mapping[str, Any]:
        """See Database."""
        if self._starting is None or self._starting.done():
            self._starting = _in_thread(self._start)
        await asyncio.wrap_future(self._starting)
        return {"host": str(self.cluster.socket_folder()), "port": PORT, "user": ROLE, "database": NAME}

    async def stop(self) -> None:
        """See Database. A start that is under way is given up."""
        if self._starting is not None and not self._starting.done():
            self.cluster.leaving.set()
            try:
                await asyncio.gather(asyncio.wrap_future(self._starting), return_exceptions=True)
            finally:
                self.cluster.leaving.clear()
        if self._using is not None:
            await asyncio.wrap_future(_in_thread(self._stop))

    def _start(self) -> None:
        cluster = self.cluster
        if self._using is not None and cluster.answers():
            return
        try:
            cluster.prepare()
            with cluster.starting():
                if self._using is None:
                    self._using = cluster.lock("users", fcntl.LOCK_SH)
                cluster.run()
        except OSError as error:
            # Of our own files, not of a connection: to try again at once would not help.
            raise ValueError(f"{error.strerror or error}: {error.filename or cluster.folder}") from error

    def _stop(self) -> None:
        using, self._using = self._using, None
        if using is None:
            return
        try:
            with self.cluster.starting(within=LEAVE):
                self._leave(using)
        except TimeoutError:
            # Whoever takes so long starts it, and uses it, and will be the last.
            os.close(using)

    def _leave(self, using: int) -> None:
        try:
            # Alone: nobody else uses it, and nobody begins to before this ends.
            fcntl.flock(using, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return
        else:
            self.cluster.end()
        finally:
            os.close(using)

    def __str__(self) -> str:
        return str(self.cluster.folder)


def _in_thread(work: Callable[[], None]) -> Future[None]:
    """Do it in a thread of its own: it may take long, and nobody else's work should have to wait behind it.

    What waits for it may give up, in any event loop; the work goes on.
    """
    future: Future[None] = Future()
    future.set_running_or_notify_cancel()

    def run() -> None:
        try:
            work()
        except BaseException as error:
            future.set_exception(error)
        else:
            future.set_result(None)

    Thread(target=run, name="post3-database", daemon=True).start()
    return future
