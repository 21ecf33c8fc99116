"""Listing: which keys and common prefixes make a page.

S3 lists keys in the order of their UTF-8 bytes, which is the order of Python's strings. With a delimiter, all keys that
share what stands between the prefix and the first delimiter behind it collapse into one *common prefix*, which counts
once against the limit however many keys it hides. A marker that is itself such a common prefix skips all that it hides.
Source: https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import dropwhile, islice
from typing import Generic, NamedTuple, TypeVar

from post3.model.upload import Upload


class Listed(NamedTuple):
    """What lists show of a version, and no more: a tuple, as a page has a thousand of them."""

    key: str
    sequence: int
    version_id: str
    modified: int
    """Microseconds since 1970: to make a datetime of them, only to write it, would take longer than all the rest."""
    size: int
    etag: str
    owner: str
    storage_class: str
    checksums: str
    """The names of the algorithms, with commas between them."""
    checksum_type: str
    is_delete_marker: bool
    is_latest: bool
    """The newest of its key."""


K = TypeVar("K", Listed, Upload)


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


def collapse(candidates: Iterable[K | CommonPrefix], query: ListQuery) -> Page[K]:
    """The page that a query asks for.

    Candidates come in order (by key, then as the page shows them), begin with the prefix, and may begin before the
    place where the page starts: what was already given is left out here. A common prefix that hides something behind
    that place may be a candidate itself, instead of all that it hides.
    """
    if query.limit <= 0:
        return Page((), truncated=False)
    # No Python for each entry, but for those that were already given: they stand at the beginning, if anywhere.
    skipped = query.skipped_prefix
    fresh = dropwhile(lambda candidate: _already_given(candidate, query, skipped), candidates)
    entries: Iterable[K | CommonPrefix] = _told_as_one(fresh, query) if query.delimiter else fresh
    shown = tuple(islice(entries, query.limit + 1))
    return Page(shown[: query.limit], truncated=len(shown) > query.limit)


def _told_as_one(candidates: Iterable[K | CommonPrefix], query: ListQuery) -> Iterator[K | CommonPrefix]:
    hidden: str | None = None
    for candidate in candidates:
        key = candidate.prefix if isinstance(candidate, CommonPrefix) else candidate.key
        if hidden is None or not key.startswith(hidden):
            hidden = query.common_prefix(key)
            yield candidate if hidden is None else CommonPrefix(hidden)


def _already_given(candidate: Listed | Upload | CommonPrefix, query: ListQuery, skipped: str | None) -> bool:
    if isinstance(candidate, CommonPrefix):
        return False
    if skipped is not None and candidate.key.startswith(skipped):
        return True
    if candidate.key != query.after:
        return candidate.key < query.after
    if isinstance(candidate, Upload):
        return not query.after_id or candidate.upload_id <= query.after_id
    return not query.after_sequence or candidate.sequence >= query.after_sequence
