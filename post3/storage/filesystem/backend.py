"""The store in a directory: its life, and the roles joined."""

from __future__ import annotations

import asyncio
import contextlib
import os
from pathlib import Path

from post3.storage.filesystem.blobs import FilesystemBlobs
from post3.storage.filesystem.buckets import FilesystemBuckets
from post3.storage.filesystem.garbage import FilesystemGarbage, count_garbage
from post3.storage.filesystem.layout import FORMAT
from post3.storage.filesystem.opening import HEARTBEAT, Opening
from post3.storage.filesystem.records import FilesystemRecords
from post3.storage.filesystem.small import SmallChanges
from post3.storage.filesystem.store import Store, logger
from post3.storage.filesystem.uploads import FilesystemUploads
from post3.storage.protocol import About


class FilesystemBackend(FilesystemBuckets, FilesystemBlobs, FilesystemGarbage, FilesystemUploads, FilesystemRecords):
    """Buckets and objects in a directory, which several processes of one machine may use at once."""

    def __init__(
        self,
        root: Path,
        *,
        durable: bool = True,
        allow_network_disk: bool = False,
    ) -> None:
        """A power cut may lose answered changes if not `durable`."""
        self.store = Store(os.path.abspath(root), durable=durable)
        self.small = SmallChanges(self.store)
        self._opening = Opening(self.store, allow_network_disk=allow_network_disk)
        self._heart: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """See Backend. Raises OSError or ValueError with a sentence that says what to do."""
        await asyncio.to_thread(self._opening.open)
        self._heart = asyncio.create_task(self._beat())

    async def _beat(self) -> None:
        while True:
            self._opening.beat()
            try:
                await self.store.run(self.store.log.tend)
            except Exception as error:
                logger.warning("the log could not be looked after: %s", error)
            await asyncio.sleep(HEARTBEAT.total_seconds())

    async def close(self) -> None:
        """See Backend."""
        if self._heart is not None:
            self._heart.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._heart
            self._heart = None
        try:
            await asyncio.to_thread(self.store.close)
        finally:
            await asyncio.to_thread(self._opening.close)

    async def ping(self) -> None:
        """See Backend."""
        await self.store.run(os.stat, f"{self.store.root}/format")

    async def about(self) -> About:
        """See Backend."""
        return About(f"format {FORMAT}", await self.store.run(count_garbage, self.store.root))
