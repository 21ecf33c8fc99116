"""Comparing records: which facts of a version, or of a bucket, differ between two sides."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from post3.model.bucket import Bucket
from post3.model.object import ObjectVersion
from post3.moving.sides import Whole
from post3.s3.headers import DEFAULT_CONTENT_TYPE

VERSION_ID: Final = "version id"
ORDER: Final = "order"
DATE: Final = "date"
OWNER: Final = "owner"
ACL: Final = "ACL"
STORAGE_CLASS: Final = "storage class"
ENCRYPTION: Final = "encryption"
CHECKSUMS: Final = "checksums"
PARTS: Final = "parts"
ETAG: Final = "ETag"
BYTES: Final = frozenset({"size", ETAG, PARTS, "marker", VERSION_ID, ORDER, DATE})
"""Facts that only a new version can change; all others are amended."""


def differences(source: Whole, target: Whole) -> list[str]:
    """The facts in which a version of the target is not what the source's is, by their names."""
    ours, theirs = _facts(source), _facts(target)
    differing = [name for name, value in ours.items() if value != theirs[name]]
    if not _holds(target.version, source.version):
        differing.append(CHECKSUMS)
    return differing


def _facts(whole: Whole) -> Mapping[str, object]:
    version = whole.version
    return {
        "marker": version.is_delete_marker,
        "size": version.size,
        ETAG: version.etag,
        PARTS: [(part.number, part.size) for part in whole.parts] if version.parts else [],
        VERSION_ID: version.version_id,
        ORDER: version.sequence,
        DATE: version.modified,
        OWNER: version.owner,
        ACL: version.acl,
        STORAGE_CLASS: version.storage_class,
        ENCRYPTION: (version.encryption, [part.encryption for part in whole.parts if part.encryption]),
        "headers": {"content-type": DEFAULT_CONTENT_TYPE, **version.headers},
        "metadata": dict(version.metadata),
        "tags": dict(version.tags),
    }


def _holds(target: ObjectVersion, source: ObjectVersion) -> bool:
    """Whether the target has all checksums of the source; more do no harm."""
    if not source.checksums:
        return True
    return source.checksums.items() <= target.checksums.items() and source.checksum_type == target.checksum_type


def looks_same(source: ObjectVersion, target: ObjectVersion) -> bool:
    """Whether two listed versions of the same id are the same, as far as lists tell."""
    return (source.is_delete_marker, source.size, source.etag, source.modified) == (
        *(target.is_delete_marker, target.size, target.etag, target.modified),
    )


def looks_copied(source: ObjectVersion, target: ObjectVersion) -> bool:
    """Whether a listed version can be the copy of another, where ids and dates are the target's own.

    ETags of different kinds (an MD5, one of parts, none of these) cannot be compared: then size and date must do.
    """
    if source.is_delete_marker or target.is_delete_marker:
        return source.is_delete_marker and target.is_delete_marker
    comparable = _kind(source.etag) == _kind(target.etag)
    is_later = target.modified.replace(microsecond=0) >= source.modified.replace(microsecond=0)
    return source.size == target.size and is_later and (source.etag == target.etag or not comparable)


def _kind(etag: str) -> str:
    digest, _, count = etag.partition("-")
    return f"{len(digest)}-{count}"


def bucket_differences(wanted: Bucket, there: Bucket) -> list[str]:
    """What of a bucket differs, but for its age: ACL, owner, and configurations by their subresource."""
    names = sorted({*wanted.configurations, *there.configurations})
    differing = [name for name in names if wanted.configurations.get(name) != there.configurations.get(name)]
    if wanted.acl != there.acl:
        differing.append(ACL)
    if wanted.owner != there.owner:
        differing.append(OWNER)
    return differing
