"""Listing: which keys and common prefixes make a page.

S3 lists keys in the order of their UTF-8 bytes, which is the order of Python's strings. With a delimiter, all keys that
share what stands between the prefix and the first delimiter behind it collapse into one *common prefix*, which counts
once against the limit however many keys it hides. A marker that is itself such a common prefix skips all that it hides.
Source: https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar

from post3.model.object import ObjectVersion
from post3.model.upload import Upload

K = TypeVar("K", ObjectVersion, Upload)


@dataclass(frozen=True, slots=True)
class CommonPrefix:
    """All keys that begin with this prefix, told as one."""

    prefix: str


@dataclass(frozen=True, slots=True)
class ListQuery:
    """What a page is asked for."""

    prefix: str = ""
    delimiter: str = ""
    after: str = ""
    """The last key, or common prefix, already given."""
    after_sequence: int = 0
    """The last version of that key already given, which may be gone meanwhile; 0: all of them."""
    after_id: str = ""
    """The last upload of that key already given; empty: all of them."""
    limit: int = 1000
    all_versions: bool = False
    """Every version and marker, newest first within a key; else current versions that are no markers."""

    def common_prefix(self, key: str) -> str | None:
        """The common prefix that hides the key, or None when it stands for itself."""
        if not self.delimiter:
            return None
        end = key.find(self.delimiter, len(self.prefix))
        return None if end < 0 else key[: end + len(self.delimiter)]

    @property
    def skipped_prefix(self) -> str | None:
        """The common prefix that `after` names, all of whose keys are already given; None when it names a key."""
        if self.after.startswith(self.prefix) and self.common_prefix(self.after) == self.after:
            return self.after
        return None


@dataclass(frozen=True, slots=True)
class Page(Generic[K]):
    """A page of a listing, in order; the next one goes on after its last entry."""

    entries: tuple[K | CommonPrefix, ...]
    truncated: bool


def collapse(candidates: Iterable[K], query: ListQuery) -> Page[K]:
    """The page that a query asks for.

    Candidates come in order (by key, then as the page shows them), begin with the prefix, and may begin before the
    place where the page starts: what was already given is left out here.
    """
    entries: list[K | CommonPrefix] = []
    hidden: str | None = query.skipped_prefix
    if query.limit <= 0:
        return Page((), truncated=False)
    for candidate in candidates:
        key = candidate.key
        if (hidden is not None and key.startswith(hidden)) or _already_given(candidate, query):
            continue
        if len(entries) == query.limit:
            return Page(tuple(entries), truncated=True)
        hidden = query.common_prefix(key)
        entries.append(candidate if hidden is None else CommonPrefix(hidden))
    return Page(tuple(entries), truncated=False)


def _already_given(candidate: ObjectVersion | Upload, query: ListQuery) -> bool:
    if candidate.key != query.after:
        return candidate.key < query.after
    if isinstance(candidate, Upload):
        return not query.after_id or candidate.upload_id <= query.after_id
    return not query.after_sequence or candidate.sequence >= query.after_sequence
