"""What the SDK hands out: buckets, objects, common prefixes, and what a transfer did."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Literal

MiB: Final = 1024 * 1024
GiB: Final = 1024 * MiB


@dataclass(frozen=True, slots=True)
class Bucket:
    """A bucket of a list."""

    name: str
    created: datetime | None


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    """What is known of an object.

    `size` is in bytes, `etag` has no quotes. What the server did not tell is None or empty: `modified` after a write,
    `content_type` and `metadata` in a list.
    """

    key: str
    size: int
    etag: str
    modified: datetime | None = None
    content_type: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)
    version_id: str | None = None


@dataclass(frozen=True, slots=True)
class Prefix:
    """What several keys begin with, up to the delimiter: a folder, for most."""

    prefix: str


@dataclass(frozen=True, slots=True)
class Action:
    """One thing that a transfer of many did, or would do; source is empty for a deletion. Size in bytes."""

    kind: Literal["upload", "download", "copy", "delete"]
    source: str
    target: str
    size: int = 0


@dataclass(frozen=True, slots=True)
class Transferred:
    """What a transfer of many did, or with `dry_run` would do."""

    actions: tuple[Action, ...] = ()
    """In the order in which they were decided."""
    skipped: int = 0
    """How many were the same already."""
    omitted: tuple[str, ...] = ()
    """Local paths that were left out, each with its reason: links, devices, names that are not UTF-8."""

    @property
    def uploaded(self) -> int:
        """How many files went up."""
        return self._count("upload")

    @property
    def downloaded(self) -> int:
        """How many objects came down."""
        return self._count("download")

    @property
    def copied(self) -> int:
        """How many objects the server copied."""
        return self._count("copy")

    @property
    def deleted(self) -> int:
        """How many files or objects were deleted."""
        return self._count("delete")

    @property
    def bytes(self) -> int:
        """How many bytes were moved."""
        return sum(action.size for action in self.actions if action.kind != "delete")

    def _count(self, kind: str) -> int:
        return sum(action.kind == kind for action in self.actions)
