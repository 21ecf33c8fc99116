"""Small puts: those at hand are made together, by one statement (together.py).

In it each bucket is checked, and each key is put or not, by itself. What was not put, because it was not so simple,
goes on alone, as its caller says; all do when the statement fails, or waits for a lock for longer than it may: then it
has put nothing.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import asyncpg

from post3.model.bucket import Bucket
from post3.model.object import ObjectVersion
from post3.storage.postgres.checks import Target, bucket_id
from post3.storage.postgres.connections import Connections, Row, Session, finish
from post3.storage.postgres.failures import LOST
from post3.storage.postgres.together import Together

Alone: TypeAlias = Callable[[Session], Coroutine[Any, Any, ObjectVersion]]
Put: TypeAlias = "Row | asyncio.Task[ObjectVersion]"
"""What `put_small` returns, or what goes on alone."""


@dataclass(frozen=True, slots=True, eq=False)
class SmallPut:
    """One of them, on its way."""

    bucket: tuple[int, int]
    """Id and revision."""
    key: bytes
    content: uuid.UUID | str
    record: tuple[Any, ...]
    """See rows.version_values."""
    alone: Alone

    @property
    def target(self) -> Target:
        """What no two of one statement may have in common."""
        return self.bucket[0], self.key


class SmallPuts:
    """The small puts of one process, in buckets without versions."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections
        self.together = Together(connections.begin, self._put_all, lambda put: put.target)

    async def put(
        self, bucket: Bucket, key: bytes, content: uuid.UUID | str, record: tuple[Any, ...], alone: Alone
    ) -> Row | ObjectVersion:
        """What `put_small` returns of this one, or what `alone` does.

        Who is cancelled meanwhile gets the result, as with all changes. Raises what all changes raise.
        """
        one = SmallPut((bucket_id(bucket), bucket.revision), key, content, record, alone)
        put = await finish(self.together.ask(one))
        if not isinstance(put, asyncio.Task):
            return put
        made: ObjectVersion = await finish(put)
        return made

    async def _put_all(self, puts: Sequence[SmallPut]) -> Sequence[Put]:
        made = await self._connections.repeat(lambda session: _put(session, puts))
        # Begun here, so that whoever closes waits for them.
        return [made.get(one.target) or self._connections.begin_change(one.alone) for one in puts]


async def _put(session: Session, puts: Sequence[SmallPut]) -> dict[Target, Row]:
    """Those that were put; none where the statement fails."""
    buckets = {one.bucket: number for number, one in enumerate(puts)}
    try:
        rows = await session.rows(
            "put_small",
            *([id for id, _ in buckets], [revision for _, revision in buckets], list(buckets.values())),
            *([buckets[one.bucket] for one in puts], [one.key for one in puts], [one.content for one in puts]),
            *map(list, zip(*(one.record for one in puts), strict=True)),
        )
    except (asyncpg.PostgresError, ValueError) as error:
        if isinstance(error, (*LOST, asyncpg.InvalidCachedStatementError, asyncpg.ReadOnlySQLTransactionError)):
            raise
        return {}
    return {(row["bucket_id"], row["key"]): row for row in rows}
