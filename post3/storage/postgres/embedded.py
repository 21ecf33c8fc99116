"""A PostgreSQL of post3's own, in its data directory, started when it is needed and stopped by whoever leaves last.

Every process that uses it holds a shared lock on DIR/pg/users; whoever has the lock on DIR/pg/starting alone may start
or stop it. So any number of processes, forked or not, may come and go, and a server that a killed process left is
adopted.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from post3.storage.postgres.cluster import NAME, PORT, ROLE, Cluster
from post3.storage.postgres.database import Database


class EmbeddedDatabase(Database):
    """The PostgreSQL in a data directory."""

    def __init__(self, data_dir: Path, *, user: str | None = None, archive: Path | None = None) -> None:
        """Run as `user` where post3 itself is root; write-ahead log is archived to `archive`, if that is given."""
        self.cluster = Cluster(data_dir, user, archive)
        self._using: int | None = None

    async def start(self) -> Mapping[str, Any]:
        """See Database."""
        await asyncio.to_thread(self._start)
        return {"host": str(self.cluster.socket_folder()), "port": PORT, "user": ROLE, "database": NAME}

    async def stop(self) -> None:
        """See Database."""
        if self._using is not None:
            await asyncio.to_thread(self._stop)

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
        if self._using is None:
            return
        with self.cluster.starting():
            using, self._using = self._using, None
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
