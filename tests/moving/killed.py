"""A copy that dies half way, as by a power cut: `python -m tests.moving.killed FROM TO COUNT`, both directories."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

from post3.model.object import Part
from post3.moving.copying import Job, copy_store
from post3.moving.report import Report
from post3.moving.sides import Whole
from post3.moving.store import StoreSide
from post3.storage.filesystem.backend import FilesystemBackend


class Dying(StoreSide):
    """A side that ends its process when so many parts were asked for."""

    left = 0

    def read(self, whole: Whole, part: Part) -> AsyncIterator[bytes]:
        """See Source."""
        self.left -= 1
        if self.left < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().read(whole, part)


async def main(source: str, target: str, count: str) -> None:
    """Copy, and die."""
    stores = [FilesystemBackend(Path(path), durable=False) for path in (source, target)]
    for store in stores:
        await store.open()
    side = Dying(stores[0])
    side.left = int(count)
    await copy_store(side, StoreSide(stores[1]), Job(), Report())


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
