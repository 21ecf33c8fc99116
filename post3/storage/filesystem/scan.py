"""How a page is read from the index: its rows in order, seeking over what a common prefix hides.

However many keys there are, before the page, behind it, or hidden on it: a page costs what it shows.
"""

from __future__ import annotations

import itertools
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from post3.model.listing import CommonPrefix, Listed, ListQuery
from post3.model.object import ObjectVersion
from post3.storage.listed import listed

ROWS: Final = 256
"""Rows read at first where prefixes may hide versions; doubled while a page goes on."""
MAX_ROWS: Final = 2048

# What makes a `Listed`, in its order.
COLUMNS: Final = (
    "CAST(key AS TEXT), sequence, version_id, modified, size, etag, owner, storage_class, checksums, checksum_type, "
    "is_marker, is_current"
)
# By its own index: else SQLite reads all the markers and older versions between the keys.
LISTED: Final = f"""
SELECT {COLUMNS} FROM versions INDEXED BY listed
WHERE bucket = :bucket AND key >= :start AND key < :end AND is_current AND NOT is_marker
ORDER BY key LIMIT :limit"""  # noqa: S608 - the columns are a constant
_FIRST: Final = """
SELECT key FROM versions INDEXED BY listed
WHERE bucket = :bucket AND key >= :start AND key < :end AND is_current AND NOT is_marker ORDER BY key LIMIT 1"""
_BEHIND: Final = """
CAST(CASE instr(substr(place, :behind), :delimiter) WHEN 0 THEN place || x'00'
     ELSE substr(place, 1, :behind + instr(substr(place, :behind), :delimiter) + length(:delimiter) - 2) || x'ff'
     END AS BLOB)"""
# From key to key; behind one that a common prefix hides, to where that ends. One statement for all steps: two hundred
# of their own would take three times as long.
WALK: Final = f"""
WITH RECURSIVE walk (place) AS (
    SELECT ({_FIRST})
     UNION ALL
    SELECT ({_FIRST.replace(":start", _BEHIND)}) FROM walk WHERE place IS NOT NULL LIMIT :limit
)
SELECT CAST(place AS TEXT) FROM walk WHERE place IS NOT NULL"""  # noqa: S608 - the same
# Newest first within a key, as the rows stand: SQLite sorts nothing, and reads no further than the limit wants.
VERSIONS: Final = f"""
SELECT {COLUMNS} FROM versions
WHERE bucket = :bucket AND key >= :start AND key < :end ORDER BY key, sequence DESC LIMIT :limit"""  # noqa: S608 - the same
OLDER: Final = f"""
SELECT {COLUMNS} FROM versions WHERE bucket = ? AND key = ? AND sequence < ? ORDER BY sequence DESC LIMIT ?"""  # noqa: S608 - the same
END: Final = b"\xff"
"""Above every key: UTF-8 never contains this byte."""


def shown_of(versions: Sequence[ObjectVersion], all_versions: bool) -> list[Listed]:
    """A key's versions as a listing takes them: newest first."""
    newest_first = sorted(versions, key=lambda version: -version.sequence)
    entries = [listed(version, is_latest=place == 0) for place, version in enumerate(newest_first)]
    return entries if all_versions else [newest for newest in entries[:1] if not newest.is_delete_marker]


def place_of(entry: Listed | CommonPrefix) -> tuple[str, int]:
    """Where it stands on a page."""
    return (entry.prefix, 0) if isinstance(entry, CommonPrefix) else (entry.key, -entry.sequence)


class Scan:
    """The rows of a bucket as candidates of a page: in order, seeking over what a common prefix hides."""

    def __init__(self, db: sqlite3.Connection, bucket: str, query: ListQuery, skipped: frozenset[str]) -> None:
        self._db = db
        self._bucket = bucket
        self._query = query
        self._skipped = skipped
        self._prefix = query.prefix.encode()

    def candidates(self) -> Iterator[Listed | CommonPrefix]:
        """Everything that the page may show, and little more."""
        query, start = self._query, self._prefix
        if query.skipped_prefix is not None:
            start = query.skipped_prefix.encode() + END
        elif query.after.encode() >= start:
            key = query.after.encode()
            if query.all_versions and query.after_sequence:
                yield from self._rest_of_key(query.after, query.after_sequence)
            # Of current versions there is one a key: `collapse` sees whether it was given.
            start = key if query.after_sequence and not query.all_versions else key + b"\0"
        yield from self._walk(start) if query.delimiter and not query.all_versions else self._from(start)

    def _rest_of_key(self, key: str, sequence: int) -> Iterator[Listed]:
        """The versions of the key where the last page ended, below the last one that it showed."""
        if key not in self._skipped and key.startswith(self._query.prefix):
            place = (self._bucket, key.encode(), sequence, self._query.limit + 1)
            yield from map(Listed._make, self._db.execute(OLDER, place))

    def _from(self, start: bytes) -> Iterator[Listed]:
        query = self._query
        # Without prefixes that hide versions, as many as the page shows.
        limit = ROWS if query.delimiter else min(query.limit + 1, MAX_ROWS)
        while True:
            found = self._rows(VERSIONS if query.all_versions else LISTED, start, limit)
            hidden: str | None = None
            for entry in found:
                if entry.key not in self._skipped:
                    yield entry
                    hidden = query.common_prefix(entry.key)
                    if hidden is not None:
                        break
            if hidden is not None:
                # Hiding prefixes want few rows each.
                start, limit = hidden.encode() + END, 2
            elif len(found) < limit:
                return
            else:
                last = found[-1]
                if query.all_versions:
                    # The rows may have ended between two versions of this key.
                    yield from self._rest_of_key(last.key, last.sequence)
                start, limit = _behind(last.key), min(limit * 2, MAX_ROWS)

    def _walk(self, start: bytes) -> Iterator[Listed | CommonPrefix]:
        query, limit = self._query, min(self._query.limit + 1, MAX_ROWS)
        delimiter = {"behind": len(self._prefix) + 1, "delimiter": query.delimiter.encode()}
        while True:
            keys = [key for (key,) in self._db.execute(WALK, self._range(start, limit) | delimiter).fetchall()]
            for hidden, run in itertools.groupby(keys, query.common_prefix):
                first, *others = run
                start = _behind(others[-1] if others else first)
                if hidden is None:
                    # Between neighbours that stand for themselves there is nothing else.
                    yield from self._settled(self._rows(LISTED, first.encode(), 1 + len(others)))
                elif first in self._skipped:
                    # The walk went on behind a prefix that this key alone may not make.
                    break
                else:
                    start = hidden.encode() + END
                    yield CommonPrefix(hidden)
            else:
                if len(keys) < limit:
                    return

    def _settled(self, found: Iterable[Listed]) -> Iterator[Listed]:
        return (entry for entry in found if entry.key not in self._skipped)

    def _rows(self, statement: str, start: bytes, limit: int) -> list[Listed]:
        return [Listed._make(row) for row in self._db.execute(statement, self._range(start, limit)).fetchall()]

    def _range(self, start: bytes, limit: int) -> dict[str, object]:
        return {"bucket": self._bucket, "start": start, "end": self._prefix + END, "limit": limit}


def _behind(key: str) -> bytes:
    """Where the next key may begin."""
    return key.encode() + b"\0"
