"""Listing: objects (both ways), versions, and uploads in progress."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import partial
from typing import Final
from urllib.parse import quote

from post3.errors import InvalidArgument, NoSuchKey, NoSuchVersion
from post3.model.listing import CommonPrefix, Listed, ListQuery, Page
from post3.model.object import NULL_VERSION
from post3.model.tree import Tree
from post3.model.upload import Upload
from post3.operations.granting import owner_of, parties
from post3.operations.tokens import next_token, parse_token
from post3.s3.call import Call
from post3.s3.entries import Encode, Entries, common_prefixes
from post3.s3.message import Response, document
from post3.s3.router import Needs, operation

MAX_KEYS: Final = 1000
_MARKER: Final = re.compile(r"null\.([0-9a-f]{16})|([0-9a-f]{16})[0-9a-f]{16}", re.ASCII)
"""The sequence of a place behind a version, as `_version_marker` writes it."""
_PLAIN: Final = re.compile(r"[\w.~/-]*", re.ASCII).fullmatch
"""What the encoding leaves alone: most keys, and to see it takes less than to encode them."""


def _encoding(query: Mapping[str, str]) -> tuple[str | None, Encode]:
    """The encoding-type asked for, and how to write names in it: XML cannot carry every character of a key."""
    name = query.get("encoding-type")
    if name is None:
        return None, lambda text: text
    if name.lower() != "url":
        raise InvalidArgument(
            "Invalid Encoding Method specified in Request", ArgumentName="encoding-type", ArgumentValue=name
        )
    return "url", lambda text: text if _PLAIN(text) else quote(text, safe="/")


def _last_name(page: Page[Listed] | Page[Upload]) -> str:
    """The key or common prefix that the next page goes on after."""
    last = page.entries[-1]
    return last.prefix if isinstance(last, CommonPrefix) else last.key


def _refuse_unordered(query: Mapping[str, str]) -> None:
    """Ceph's extension, as Ceph has it: all orders are fine, so the usual one is; but not under a delimiter."""
    if query.get("allow-unordered", "").lower() == "true" and query.get("delimiter"):
        raise InvalidArgument("allow-unordered cannot be used with a delimiter.", ArgumentName="allow-unordered")


@operation("GET", "bucket", action="s3:ListBucket", needs=Needs.LIST)
async def list_objects(call: Call) -> Response:
    """The first way: pages go on after a marker, which is a key."""
    query, (encoding, encode) = call.query, _encoding(call.query)
    _refuse_unordered(query)
    prefix, delimiter, marker = query.get("prefix", ""), query.get("delimiter", ""), query.get("marker", "")
    limit = call.int_parameter("max-keys", MAX_KEYS, 0, MAX_KEYS)
    page = await call.backend.list_versions(
        call.bucket, ListQuery(prefix=prefix, delimiter=delimiter, after=marker, limit=limit)
    )
    owner = partial(owner_of, call)
    return document(
        "ListBucketResult",
        {
            "Name": call.bucket.name,
            # As it came, whatever the encoding: AWS does so here alone, and SDKs do not decode it.
            "Prefix": prefix,
            "Marker": encode(marker),
            # Without a delimiter the client goes on after the last key, as it does on AWS.
            "NextMarker": encode(_last_name(page)) if page.truncated and delimiter else None,
            "MaxKeys": limit,
            "Delimiter": encode(delimiter) if delimiter else None,
            "EncodingType": encoding,
            "IsTruncated": page.truncated,
            "Contents": Entries(encode, owner).contents(page.entries),
            "CommonPrefixes": common_prefixes(page.entries, encode),
        },
    )


@operation("GET", "bucket", "list-type=2", action="s3:ListBucket", needs=Needs.LIST)
async def list_objects_v2(call: Call) -> Response:
    """The second way: pages go on with a token."""
    query, (encoding, encode) = call.query, _encoding(call.query)
    _refuse_unordered(query)
    prefix, delimiter, start_after = query.get("prefix", ""), query.get("delimiter", ""), query.get("start-after", "")
    token = query.get("continuation-token")
    limit = call.int_parameter("max-keys", MAX_KEYS, 0, MAX_KEYS)
    after = parse_token(token) if token else start_after
    page = await call.backend.list_versions(
        call.bucket, ListQuery(prefix=prefix, delimiter=delimiter, after=after, limit=limit)
    )
    owner = partial(owner_of, call) if query.get("fetch-owner", "").lower() == "true" else None
    return document(
        "ListBucketResult",
        {
            "Name": call.bucket.name,
            "Prefix": encode(prefix),
            "StartAfter": encode(start_after) if start_after else None,
            "ContinuationToken": token,
            "NextContinuationToken": next_token(_last_name(page)) if page.truncated else None,
            "KeyCount": len(page.entries),
            "MaxKeys": limit,
            "Delimiter": encode(delimiter) if delimiter else None,
            "EncodingType": encoding,
            "IsTruncated": page.truncated,
            "Contents": Entries(encode, owner).contents(page.entries),
            "CommonPrefixes": common_prefixes(page.entries, encode),
        },
    )


@operation("GET", "bucket", "versions", action="s3:ListBucketVersions", needs=Needs.LIST)
async def list_object_versions(call: Call) -> Response:
    """Every version and delete marker, newest first within a key."""
    query, (encoding, encode) = call.query, _encoding(call.query)
    prefix, delimiter, key_marker = query.get("prefix", ""), query.get("delimiter", ""), query.get("key-marker", "")
    version_marker = query.get("version-id-marker", "")
    limit = call.int_parameter("max-keys", MAX_KEYS, 0, MAX_KEYS)
    page = await call.backend.list_versions(
        call.bucket,
        ListQuery(
            prefix=prefix,
            delimiter=delimiter,
            after=key_marker,
            after_sequence=await _sequence(call, key_marker, version_marker),
            limit=limit,
            all_versions=True,
        ),
    )
    last = page.entries[-1] if page.truncated else None
    owner = partial(owner_of, call)
    return document(
        "ListVersionsResult",
        {
            "Name": call.bucket.name,
            "Prefix": encode(prefix),
            "KeyMarker": encode(key_marker),
            "VersionIdMarker": version_marker,
            "NextKeyMarker": encode(_last_name(page)) if page.truncated else None,
            "NextVersionIdMarker": _version_marker(last) if isinstance(last, Listed) else None,
            "MaxKeys": limit,
            "Delimiter": encode(delimiter) if delimiter else None,
            "EncodingType": encoding,
            "IsTruncated": page.truncated,
            "Versions and markers": Entries(encode, owner).versions(page.entries),
            "CommonPrefixes": common_prefixes(page.entries, encode),
        },
    )


def _version_marker(version: Listed) -> str:
    """Names the place behind a version, which it keeps when the version is gone: ids begin with their sequence."""
    if version.version_id == NULL_VERSION:
        return f"{NULL_VERSION}.{version.sequence:016x}"
    return version.version_id


async def _sequence(call: Call, key: str, marker: str) -> int:
    """The sequence that a version-id-marker stands for; 0 without one. Raises InvalidArgument."""
    if not marker:
        return 0
    wrong = InvalidArgument("Invalid version id specified", ArgumentName="version-id-marker", ArgumentValue=marker)
    if not key:
        raise InvalidArgument(
            "A version-id marker cannot be specified without a key marker.",
            ArgumentName="version-id-marker",
            ArgumentValue=marker,
        )
    if marker == NULL_VERSION:
        try:
            return (await call.backend.get_version(call.bucket, key, NULL_VERSION)).sequence
        except (NoSuchKey, NoSuchVersion):
            raise wrong from None
    match = _MARKER.fullmatch(marker)
    if match is None:
        raise wrong
    return int(match[1] or match[2], 16)


@operation("GET", "bucket", "uploads", action="s3:ListBucketMultipartUploads", needs=Needs.LIST)
async def list_multipart_uploads(call: Call) -> Response:
    """Uploads in progress, by key and then by their beginning."""
    query, (encoding, encode) = call.query, _encoding(call.query)
    prefix, delimiter, key_marker = query.get("prefix", ""), query.get("delimiter", ""), query.get("key-marker", "")
    upload_marker = query.get("upload-id-marker", "") if key_marker else ""
    limit = call.int_parameter("max-uploads", MAX_KEYS, 0, MAX_KEYS)
    page = await call.backend.list_uploads(
        call.bucket,
        ListQuery(prefix=prefix, delimiter=delimiter, after=key_marker, after_id=upload_marker, limit=limit),
    )
    last = page.entries[-1] if page.entries else None
    return document(
        "ListMultipartUploadsResult",
        {
            "Bucket": call.bucket.name,
            "KeyMarker": encode(key_marker),
            "UploadIdMarker": upload_marker,
            # Told on the last page too, unlike in all other lists.
            "NextKeyMarker": encode(_last_name(page)) if page.entries else "",
            "NextUploadIdMarker": last.upload_id if isinstance(last, Upload) else "",
            "Prefix": encode(prefix),
            "Delimiter": encode(delimiter) if delimiter else None,
            "EncodingType": encoding,
            "MaxUploads": limit,
            "IsTruncated": page.truncated,
            "Upload": [_upload(call, entry, encode) for entry in page.entries if isinstance(entry, Upload)],
            "CommonPrefixes": common_prefixes(page.entries, encode),
        },
    )


def _upload(call: Call, upload: Upload, encode: Encode) -> Tree:
    return {
        "Key": encode(upload.key),
        "UploadId": upload.upload_id,
        **parties(call, upload),
        "StorageClass": upload.storage_class,
        "Initiated": upload.initiated,
        "ChecksumAlgorithm": upload.checksum_algorithm.upper() or None,
        "ChecksumType": upload.checksum_type or None,
    }
