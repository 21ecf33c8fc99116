"""Collects, again and again, the bytes that nothing has owned for the grace period."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import timedelta
from time import monotonic
from typing import Final

from post3.errors import S3Error
from post3.storage.protocol import Backend
from post3.workers.lease import RENEWAL_SECONDS, Lease

logger = logging.getLogger("post3")

SHORTEST: Final = 1.0
LONGEST: Final = 900.0
"""Seconds between two collections."""


async def collect_forever(
    backend: Backend,
    grace: timedelta,
    *,
    clock: Callable[[], float] = monotonic,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> None:
    """Collect every quarter of the grace period, in one process at a time; until cancelled.

    A collection that fails is logged and tried again. One that another process repeats does no harm.
    """
    lease = Lease(backend, "garbage", clock)
    pause = min(max(grace.total_seconds() / 4, SHORTEST), LONGEST)
    due = clock() + pause
    task = asyncio.current_task()
    assert task is not None  # noqa: S101 - it is awaited in one
    try:
        # A change that is under way goes to its end, and who is cancelled meanwhile may not be told.
        while not task.cancelling():
            await sleep(min(pause, RENEWAL_SECONDS))
            try:
                if await lease.hold() and clock() >= due:
                    due = clock() + pause
                    freed = await backend.collect_garbage(grace)
                    logger.debug("collected %d blobs of %d bytes", freed.blobs, freed.size)
            except S3Error as error:
                # The store is away, or busy, and has told why.
                logger.warning("garbage could not be collected (%s); it is tried again in %d seconds", error, pause)
            except Exception:
                logger.exception("garbage could not be collected; it is tried again in %d seconds", pause)
    finally:
        await lease.release()
