"""Versions as lists show them, for stores that have them whole."""

from __future__ import annotations

from post3.model.listing import Listed
from post3.model.object import ObjectVersion
from post3.storage.documents import microseconds


def listed(version: ObjectVersion, *, is_latest: bool) -> Listed:
    """What a list shows of it."""
    return Listed(
        version.key,
        version.sequence,
        version.version_id,
        microseconds(version.modified),
        version.size,
        version.etag,
        version.owner,
        version.storage_class,
        ",".join(version.checksums),
        version.checksum_type,
        version.is_delete_marker,
        is_latest,
    )
