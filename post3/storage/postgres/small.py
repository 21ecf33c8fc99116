"""Small puts: those at hand are made together, by one statement.

A put of a few KiB costs the database more for the statement, its transaction and its wait for the disk than for the
row. While one statement runs the next puts gather, and go in one as well. In it each bucket is checked, and each key is
put or not, as if it were alone.

Nobody suffers for another. What the statement did not put, because it was not so simple, its putter tries alone
(versions.Putting); all do when the statement fails, or waits for a lock for longer than it may: then it has put
nothing.
"""

from __future__ import annotations

import asyncio
import uuid
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import asyncpg

from post3.model.bucket import Bucket
from post3.storage.postgres.connections import Connections, Row, Session
from post3.storage.postgres.failures import LOST

MOST: Final = 64
"""Puts that are made together: 1 MiB of bodies at most."""
TURNS: Final = 8
"""Turns of the loop for which those that wait do so for more."""

Target: TypeAlias = tuple[int, bytes]
"""A bucket's id, and a key."""


@dataclass(frozen=True, slots=True, eq=False)
class SmallPut:
    """One of them, on its way."""

    bucket: tuple[int, int]
    """Id and revision."""
    key: bytes
    content: uuid.UUID | str
    record: tuple[Any, ...]
    """See rows.version_values."""
    answered: asyncio.Future[Row | None]

    @property
    def target(self) -> Target:
        """What no two of one statement may have in common."""
        return self.bucket[0], self.key


class SmallPuts:
    """The small puts of one process, in buckets without versions."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections
        self._waiting: deque[SmallPut] = deque()
        self._is_at_work = False

    async def put(self, bucket: Bucket, key: bytes, content: uuid.UUID | str, record: tuple[Any, ...]) -> Row | None:
        """What `put_small` returns of this one; None where it was not put, whatever the reason.

        Who is cancelled meanwhile gets the result, as with all changes. Raises SlowDown where nobody knows.
        """
        answered: asyncio.Future[Row | None] = asyncio.get_running_loop().create_future()
        self._waiting.append(SmallPut((int(bucket.id), bucket.revision), key, content, record, answered))
        if not self._is_at_work:
            self._is_at_work = True
            self._connections.begin(self._work())  # after all others that are ready now
        while True:
            try:
                return await asyncio.shield(answered)
            except asyncio.CancelledError:
                if answered.cancelled():
                    raise

    async def _work(self) -> None:
        """Make those that wait, until none does."""
        try:
            while batch := self._next():
                await self._bring(batch)
                await self._gather(len(batch))
        finally:
            self._is_at_work = False

    async def _gather(self, answered: int) -> None:
        """Where others wait already, let those who were just answered join them: their next puts are near.

        Else clients fall into two halves for good, and each statement serves one.
        """
        if not self._waiting:
            return
        present = len(self._waiting) + answered
        for _ in range(TURNS):
            if len(self._waiting) >= present:
                break
            await asyncio.sleep(0)

    def _next(self) -> Sequence[SmallPut]:
        """The oldest ones; of several for one key the first."""
        batch: dict[Target, SmallPut] = {}
        later: list[SmallPut] = []
        while self._waiting and len(batch) < MOST:
            one = self._waiting.popleft()
            if batch.setdefault(one.target, one) is not one:
                later.append(one)
        self._waiting.extendleft(reversed(later))
        return list(batch.values())

    async def _bring(self, batch: Sequence[SmallPut]) -> None:
        try:
            put = await self._connections.change(lambda session: _put(session, batch))
        except BaseException as error:
            for one in batch:
                one.answered.set_exception(error)
            if not isinstance(error, Exception):
                raise
        else:
            for one in batch:
                one.answered.set_result(put.get(one.target))


async def _put(session: Session, batch: Sequence[SmallPut]) -> dict[Target, Row]:
    """Those that were put; none where the statement fails."""
    buckets = {one.bucket: place for place, one in enumerate(batch)}
    try:
        rows = await session.rows(
            "put_small",
            *([id for id, _ in buckets], [revision for _, revision in buckets], list(buckets.values())),
            *([buckets[one.bucket] for one in batch], [one.key for one in batch], [one.content for one in batch]),
            *map(list, zip(*(one.record for one in batch), strict=True)),
        )
    except (asyncpg.PostgresError, ValueError) as error:
        if isinstance(error, (*LOST, asyncpg.InvalidCachedStatementError, asyncpg.ReadOnlySQLTransactionError)):
            raise
        return {}
    return {(row["bucket_id"], row["key"]): row for row in rows}
