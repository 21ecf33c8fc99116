"""The two sides of a copy: what each shows of its buckets and objects, and what the target can be told to do."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from post3.model.bucket import Bucket
from post3.model.object import ObjectVersion, Part


class MovingError(Exception):
    """A request of a copy that failed; the message is a sentence for people."""


class GoneError(MovingError):
    """What was listed a moment ago is there no more."""


@dataclass(frozen=True, slots=True)
class Whole:
    """A version with all that is known of it."""

    version: ObjectVersion
    """`content` is what its own side calls it; `body` does not count, `parts` (the number) tells of boundaries."""
    parts: tuple[Part, ...] = ()
    """Of a body that came at once, the only one; none of a marker. An ETag is empty where nobody knows it."""
    lost: tuple[str, ...] = ()
    """What its side could not tell, or not in a way that another could keep."""
    proves: bool = True
    """Its ETag is an MD5, or one of MD5s."""


@dataclass(frozen=True, slots=True)
class BucketState:
    """A bucket, and what could not be read of it."""

    bucket: Bucket
    lost: tuple[str, ...] = ()


Read: TypeAlias = Callable[[Part], AsyncIterator[bytes]]
"""The bytes of a part, as the source stores them (encrypted, where its envelope says so)."""


class Side(Protocol):
    """What both sides can do."""

    is_store: bool

    async def names(self) -> list[str]:
        """All buckets."""

    async def bucket(self, name: str) -> BucketState | None:
        """The bucket with its configurations; None when there is none."""

    def keys(self, bucket: str) -> AsyncIterator[list[ObjectVersion]]:
        """The versions of one key after another, in the order of the keys' bytes; within a key, oldest first."""

    async def whole(self, version: ObjectVersion) -> Whole:
        """All that is known of a listed version. Raises GoneError."""


class Source(Side, Protocol):
    """Where a copy comes from."""

    def holding(self, whole: Whole) -> AbstractAsyncContextManager[None]:
        """Keep its bytes meanwhile."""

    def read(self, whole: Whole, part: Part) -> AsyncIterator[bytes]:
        """The bytes of one of its parts. Raises MovingError, S3Error; GoneError when it is not there any more."""


class Target(Side, Protocol):
    """Where a copy goes to."""

    by_id: bool
    """Versions keep their ids, and are found by them; else by their order."""
    cannot_keep: frozenset[str]
    """Facts (comparing.py) that may differ afterwards, as the target decides them itself."""

    async def prepare(self, wanted: Bucket, there: Bucket | None, *, overwrite: bool) -> list[str]:
        """Make the bucket, or see that it can take what comes; what of its configurations differs, and stays so.

        Raises MovingError when it cannot.
        """

    async def finish(self, wanted: Bucket) -> list[str]:
        """Give the bucket what must come last; what of it could not be kept."""

    def adapted(self, whole: Whole) -> Whole:
        """What it is to become here, with what is lost by that."""

    async def put(self, whole: Whole, read: Read, replaced: ObjectVersion | None) -> None:
        """Put it with its bytes, once they are found to be what the record says; a marker without.

        `replaced` is the version that it is known to take the place of. Raises MovingError and S3Error; then nothing of
        it can be seen.
        """

    @property
    def amend(self) -> Callable[[Whole], Awaitable[None]] | None:
        """Gives a version whose bytes are right the rest of its record; None where only a new put does."""

    async def delete(self, version: ObjectVersion) -> None:
        """Delete a version for good."""
