"""The current versions of keys: those asked for at once are got by one statement (together.py).

A version that was got before is named with the question, and does not come again where it is still the one. The row
tells: each change of it, whoever makes it, gives it another xmin. Only a database that has gone back in time (restored,
or promoted without the last commits) could give the same one again. It answers over new connections alone: with each
that is opened all that is known is forgotten.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias
from uuid import UUID

import asyncpg

from post3.errors import NoSuchKey
from post3.model.bucket import Bucket
from post3.model.object import ObjectVersion
from post3.storage.known import Known, size_of
from post3.storage.postgres.checks import Target, bucket_id, check_revision
from post3.storage.postgres.connections import Connections, Row, Session
from post3.storage.postgres.rows import load_version
from post3.storage.postgres.together import Together


@dataclass(frozen=True, slots=True)
class Got:
    """What was got before."""

    content: UUID
    xmin: int
    version: ObjectVersion


Answer: TypeAlias = tuple[Row, Got | None, int]
"""A row, what was known when it was asked for, and how many connections had been opened by then."""


class CurrentVersions:
    """Those of a process."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections
        self._together: Together[Target, Answer | Exception] = Together(connections.begin, self._get_all)
        self._known: Known[Target, Got] = Known()
        self._opened = 0

    async def get(self, bucket: Bucket, key: str) -> ObjectVersion:
        """The version. Raises NoSuchKey, NoSuchBucket and StaleBucket."""
        target = bucket_id(bucket), key.encode()
        answer = await self._together.ask(target)
        if isinstance(answer, Exception):
            raise answer
        row, known, opened = answer
        check_revision(bucket, row["bucket_revision"])
        if known is not None and row["is_known"]:
            return known.version
        if row["version_id"] is None:
            self._known.forget(target)
            raise NoSuchKey(Key=key)
        version = load_version(bucket.name, row)
        if opened == self._connections.opened:
            got = Got(row["content"], row["xmin"], version)
            self._known.keep(target, got, size_of(len(row["document"]), len(row["body"] or b"")))
        return version

    async def _get_all(self, asked: Sequence[Target]) -> Sequence[Answer | Exception]:
        try:
            return await self._connections.read(lambda session: self._ask(session, asked))
        except asyncpg.PostgresError as error:
            if len(asked) == 1:
                return [error]
        # A row that cannot be read is nobody else's failure.
        alone = (self._get_all([one]) for one in asked)
        return [answer for [answer] in await asyncio.gather(*alone)]

    async def _ask(self, session: Session, asked: Sequence[Target]) -> Sequence[Answer]:
        opened = self._connections.opened
        if opened != self._opened:
            self._opened, self._known = opened, Known()
        known = [self._known.get(target) for target in asked]
        rows = await session.rows(
            "get_current",
            *([id for id, _ in asked], [key for _, key in asked]),
            *([got and got.content for got in known], [got and got.xmin for got in known]),
        )
        rows.sort(key=lambda row: row["number"])
        return [(row, got, opened) for row, got in zip(rows, known, strict=True)]
