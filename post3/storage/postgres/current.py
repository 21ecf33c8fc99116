"""The current versions of keys: those asked for at once are got by one statement (together.py).

A version that was got before is named with the question, and does not come again where it is still the one. The row
itself tells: each change of it, whoever makes it, gives it another xmin.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias
from uuid import UUID

from post3.errors import NoSuchKey
from post3.model.bucket import Bucket
from post3.model.object import ObjectVersion
from post3.storage.known import VERSION, Known
from post3.storage.postgres.checks import check_revision
from post3.storage.postgres.connections import Connections, Row
from post3.storage.postgres.rows import load_version
from post3.storage.postgres.together import Together

Target: TypeAlias = tuple[int, bytes]
"""A bucket's id, and a key."""
Question: TypeAlias = tuple[int, bytes, UUID | None, int | None]
"""A target; and content and xmin of the row that is known."""


@dataclass(frozen=True, slots=True)
class Got:
    """What was got before."""

    content: UUID
    xmin: int
    version: ObjectVersion


class CurrentVersions:
    """Those of a process."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections
        self._together = Together(connections.begin, self._get_all)
        self._known: Known[Target, Got] = Known()

    async def get(self, bucket: Bucket, key: str) -> ObjectVersion:
        """The version. Raises NoSuchKey, NoSuchBucket and StaleBucket."""
        target = int(bucket.id), key.encode()
        known = self._known.get(target)
        seen = (None, None) if known is None else (known.content, known.xmin)
        row = await self._together.put((*target, *seen))
        check_revision(bucket, row["bucket_revision"])
        if known is not None and row["is_known"]:
            return known.version
        if row["version_id"] is None:
            self._known.forget(target)
            raise NoSuchKey(Key=key)
        version = load_version(bucket.name, row)
        self._known.keep(target, Got(row["content"], row["xmin"], version), len(row["body"] or b"") + VERSION)
        return version

    async def _get_all(self, asked: Sequence[Question]) -> Sequence[Row]:
        rows = await self._connections.rows("get_current", *map(list, zip(*asked, strict=True)))
        return sorted(rows, key=lambda row: row["number"])
