"""Versions as lists show them: of stores that have them whole, and for those who want no more of them."""

from __future__ import annotations

from post3.model.listing import Listed
from post3.model.object import ObjectVersion
from post3.storage.documents import microseconds, moment


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


def as_version(bucket: str, entry: Listed) -> ObjectVersion:
    """The version of a list's entry, with what lists show and no more: its checksums are names without values."""
    return ObjectVersion(
        bucket,
        entry.key,
        entry.version_id,
        moment(entry.modified),
        entry.owner,
        entry.sequence,
        storage_class=entry.storage_class,
        size=entry.size,
        etag=entry.etag,
        is_delete_marker=bool(entry.is_delete_marker),
        checksums=dict.fromkeys(entry.checksums.split(","), "") if entry.checksums else {},
        checksum_type=entry.checksum_type,
    )
