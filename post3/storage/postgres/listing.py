"""Pages: one statement each. Versions come as one row of columns, uploads as a row each."""

from __future__ import annotations

from typing import Final

from post3.model.bucket import Bucket
from post3.model.listing import CommonPrefix, K, Listed, ListQuery, Page
from post3.model.upload import Upload
from post3.storage.postgres.checks import bucket_id, check_row
from post3.storage.postgres.connections import Connections, Row
from post3.storage.postgres.rows import load_page, load_upload, text

BEHIND: Final = b"\xff"
"""Behind all keys that begin with what stands before it: no UTF-8 contains it."""


async def list_versions(connections: Connections, bucket: Bucket, query: ListQuery) -> Page[Listed]:
    """A page of versions, or of current objects."""
    if query.all_versions:
        place = _place(query, query.after_sequence)
        rows = await _rows(connections, bucket, query, "list_versions", place, query.after_sequence)
    else:
        rows = await _rows(connections, bucket, query, "list_current")
    return _page(query, load_page(rows[0]))


async def list_uploads(connections: Connections, bucket: Bucket, query: ListQuery) -> Page[Upload]:
    """A page of open uploads."""
    place = _place(query, query.after_id)
    rows = await _rows(connections, bucket, query, "list_uploads", place, text(query.after_id))
    return _page(query, [_upload(bucket, query, row) for row in rows if row["key"] is not None])


def _upload(bucket: Bucket, query: ListQuery, row: Row) -> Upload | CommonPrefix:
    if query.delimiter and row["common"] is not None:
        return CommonPrefix(row["common"].decode())
    return load_upload(bucket.name, row)


async def _rows(connections: Connections, bucket: Bucket, query: ListQuery, name: str, *place: object) -> list[Row]:
    """Those of the statement of this name; with a delimiter, of its sister. There is one at least."""
    values: tuple[object, ...] = (bucket_id(bucket), *_bounds(query), max(query.limit, 0) + 1, *place)
    if query.delimiter:
        name += "_delimited"
        values += (len(query.prefix.encode()), query.delimiter.encode())
    rows = await connections.rows(name, *values)
    check_row(bucket, rows[0] if rows else None)
    return rows


def _page(query: ListQuery, entries: list[K | CommonPrefix]) -> Page[K]:
    """Of entries of which there is one more than it may have, if there are so many."""
    if query.limit <= 0:
        return Page((), truncated=False)
    return Page(tuple(entries[: query.limit]), truncated=len(entries) > query.limit)


def _bounds(query: ListQuery) -> tuple[bytes, bytes]:
    """The keys from which on, and before which, the page may have entries; but for the rest of the key `after`."""
    prefix = query.prefix.encode()
    skipped = query.skipped_prefix
    start = prefix
    if skipped is not None:
        start = max(start, skipped.encode() + BEHIND)
    elif query.after:
        start = max(start, query.after.encode() + b"\0")
    return start, prefix + BEHIND


def _place(query: ListQuery, behind: int | str) -> bytes | None:
    """The key inside which the page begins; None when it begins with a key."""
    is_inside = behind and query.after.startswith(query.prefix) and query.skipped_prefix is None
    return query.after.encode() if is_inside else None
