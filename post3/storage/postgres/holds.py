"""Who reads or writes bytes holds their name, so that no collector takes them, however slow it goes.

A hold is a shared advisory lock of one session that the process keeps for this alone: it needs no clock and no
renewal, and ends with the process. Reads of one statement, and bytes written in one transaction, need none.

What is wanted and what is locked are kept apart, and one task brings them together: holds that are asked for at once
are taken in one statement, and a connection that was lost takes them all again.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Final

from post3.errors import SlowDown
from post3.storage.postgres.connections import WAIT, Session
from post3.storage.postgres.names import lock_key

logger = logging.getLogger("post3")

PAUSE: Final = 0.2
"""Seconds between two attempts to take again what was lost."""


class Holds:
    """The names that this process holds."""

    def __init__(self, connect: Callable[[], Awaitable[Session]]) -> None:
        self._connect = connect
        self._wanted: Counter[int] = Counter()
        self._locked: set[int] = set()
        self._session: Session | None = None
        self._changed = asyncio.Event()
        self._reached: asyncio.Future[None] | None = None
        self._task: asyncio.Task[None] | None = None

    @asynccontextmanager
    async def held(self, id: uuid.UUID) -> AsyncIterator[None]:
        """Hold these bytes meanwhile. Raises SlowDown when the database does not answer."""
        key = lock_key(id)
        self._wanted[key] += 1
        try:
            if key not in self._locked:
                await self.settle()
            yield
        finally:
            self._wanted[key] -= 1
            if not self._wanted[key]:
                del self._wanted[key]
                self._changed.set()

    async def settle(self) -> None:
        """Wait until what is wanted now is locked, and nothing else."""
        if self._task is None:
            self._task = asyncio.create_task(self._keep())
        self._changed.set()
        if self._reached is None:
            self._reached = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(WAIT):
                await asyncio.shield(self._reached)
        except TimeoutError:
            raise SlowDown("The database cannot be reached at the moment; try again.") from None

    async def close(self) -> None:
        """Let everything go."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
            self._task = None
        if self._session is not None:
            self._session.connection.terminate()
            self._session = None

    async def _keep(self) -> None:
        while True:
            await self._changed.wait()
            self._changed.clear()
            reached, self._reached = self._reached, None
            try:
                await self._bring_together()
            except Exception as error:
                logger.warning("what is read and written cannot be held: %s: %s", type(error).__name__, error)
                self._lose()
                await self._again(reached)
                continue
            if reached is not None and not reached.done():
                reached.set_result(None)

    async def _again(self, reached: asyncio.Future[None] | None) -> None:
        await asyncio.sleep(PAUSE)
        if self._reached is None:
            self._reached = reached
        elif reached is not None:
            # Whoever came meanwhile waits for the same.
            self._reached.add_done_callback(lambda later: None if reached.done() else reached.set_result(None))
        self._changed.set()

    def _lose(self) -> None:
        self._locked.clear()
        if self._session is not None:
            self._session.connection.terminate()
            self._session = None

    async def _bring_together(self) -> None:
        if self._session is None or self._session.connection.is_closed():
            self._lose()
            self._session = await self._connect()
            self._session.connection.add_termination_listener(lambda _: self._changed.set())
        if missing := self._wanted.keys() - self._locked:
            await self._session.value("hold", list(missing))
            self._locked |= missing
        # Asked again: somebody may want by now what nobody wanted before that, and rely on its being locked.
        if spare := self._locked - self._wanted.keys():
            self._locked -= spare
            await self._session.value("let_go", list(spare))
