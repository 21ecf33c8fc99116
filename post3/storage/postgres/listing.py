"""Pages: one statement each, whose rows are the entries."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeVar

from post3.model.bucket import Bucket
from post3.model.listing import CommonPrefix, Listed, ListQuery, Page
from post3.model.upload import Upload
from post3.storage.postgres.connections import Connections, Row
from post3.storage.postgres.rows import load_listed, load_upload, text
from post3.storage.postgres.store import bucket_id, check_row

K = TypeVar("K", Listed, Upload)

BEHIND: Final = b"\xff"
"""Behind all keys that begin with what stands before it: no UTF-8 contains it."""


async def list_versions(connections: Connections, bucket: Bucket, query: ListQuery) -> Page[Listed]:
    """A page of versions, or of current objects."""
    if not query.all_versions:
        return await _list(connections, bucket, query, "list_current", (), load_listed)
    place = _place(query, query.after_sequence)
    return await _list(connections, bucket, query, "list_versions", (place, query.after_sequence), load_listed)


async def list_uploads(connections: Connections, bucket: Bucket, query: ListQuery) -> Page[Upload]:
    """A page of open uploads."""
    place = _place(query, query.after_id)
    return await _list(connections, bucket, query, "list_uploads", (place, text(query.after_id)), load_upload)


async def _list(
    connections: Connections,
    bucket: Bucket,
    query: ListQuery,
    name: str,
    place: tuple[object, ...],
    load: Callable[[str, Row], K],
) -> Page[K]:
    """By the statement of this name; with a delimiter, by its sister."""
    values: tuple[object, ...] = (bucket_id(bucket), *_bounds(query), max(query.limit, 0) + 1, *place)
    if query.delimiter:
        name += "_delimited"
        values += (len(query.prefix.encode()), query.delimiter.encode())
    rows = await connections.rows(name, *values)
    check_row(bucket, rows[0] if rows else None)
    if query.limit <= 0:
        return Page((), truncated=False)
    entries: list[K | CommonPrefix] = []
    for row in rows:
        if query.delimiter and row["common"] is not None:
            entries.append(CommonPrefix(row["common"].decode()))
        elif row["key"] is not None:
            entries.append(load(bucket.name, row))
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
