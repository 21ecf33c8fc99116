"""Listing a bucket behind an endpoint: versions with the ids and the order that they can have in a store of post3."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote_plus
from xml.etree.ElementTree import Element

from defusedxml.ElementTree import fromstring

from post3.model.names import is_version_id
from post3.model.object import NULL_VERSION, ObjectVersion
from post3.moving.connection import RAW, ask
from post3.storage.documents import microseconds, moment

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

NEAR: Final = timedelta(seconds=2)
"""How far the date in an id of post3 may be from the one that the list shows, which is cut."""


def placed(versions: Sequence[ObjectVersion]) -> list[ObjectVersion]:
    """The versions of a key, oldest first, each with an id and a sequence that a store could have given.

    Ids of post3 stay as they are. Others are made from date and id alone, so that the next copy finds the same.
    """
    result: list[ObjectVersion] = []
    last = 0
    for version in versions:
        id, last = _place(version, last)
        result.append(replace(version, version_id=id, sequence=last))
    return result


def _place(version: ObjectVersion, last: int) -> tuple[str, int]:
    """Id and sequence of a version, given the sequence of the one before it."""
    sequence = max(microseconds(version.modified), last + 1)
    native = version.content or NULL_VERSION
    if native == NULL_VERSION:
        return NULL_VERSION, sequence
    if is_of_post3(native, version.modified) and int(native[:16], 16) > last:
        return native, int(native[:16], 16)
    return f"{sequence:016x}{hashlib.sha256(native.encode()).hexdigest()[:16]}", sequence


def is_of_post3(id: str, modified: datetime) -> bool:
    """Whether a version's id is one that post3 made: it begins with the version's date."""
    if id == NULL_VERSION or not is_version_id(id):
        return False
    try:
        return abs(moment(int(id[:16], 16)) - modified) <= NEAR
    except OverflowError:
        return False


async def objects(client: S3Client, bucket: str) -> AsyncIterator[ObjectVersion]:
    """The objects of a bucket that never had versions."""
    more: dict[str, Any] = {}
    while True:
        page = await ask(client.list_objects_v2, Bucket=bucket, FetchOwner=True, **more)
        for entry in page.get("Contents", []):
            yield ObjectVersion(
                bucket=bucket,
                key=entry["Key"],
                version_id=NULL_VERSION,
                modified=entry["LastModified"],
                owner=entry.get("Owner", {}).get("ID", ""),
                storage_class=entry.get("StorageClass", "STANDARD"),
                size=entry["Size"],
                etag=entry["ETag"].strip('"'),
            )
        if not page.get("IsTruncated"):
            return
        more = {"ContinuationToken": page["NextContinuationToken"]}


async def versions(client: S3Client, bucket: str) -> AsyncIterator[ObjectVersion]:
    """All versions and markers in the list's order, which botocore's reading of it would lose."""
    more: dict[str, Any] = {}
    while True:
        page = await ask(client.list_object_versions, Bucket=bucket, **more)
        for version in read_versions(page[RAW], bucket):
            yield version
        if not page.get("IsTruncated"):
            return
        more = {"KeyMarker": page["NextKeyMarker"]}
        if page.get("NextVersionIdMarker"):
            more["VersionIdMarker"] = page["NextVersionIdMarker"]


def read_versions(xml: bytes, bucket: str) -> Iterator[ObjectVersion]:
    """The versions of a ListVersionsResult, in its order; `content` is the id that the endpoint knows one by."""
    root = fromstring(xml, forbid_dtd=True)
    is_encoded = _text(root, "EncodingType") == "url"
    for element in root:
        kind = element.tag.rpartition("}")[2]
        if kind not in ("Version", "DeleteMarker"):
            continue
        key = _text(element, "Key")
        yield ObjectVersion(
            bucket=bucket,
            key=unquote_plus(key) if is_encoded else key,
            version_id=_text(element, "VersionId"),
            content=_text(element, "VersionId"),
            modified=datetime.fromisoformat(_text(element, "LastModified")),
            owner=_text(element, "{*}Owner/{*}ID"),
            storage_class=_text(element, "StorageClass") or "STANDARD",
            size=int(_text(element, "Size") or 0),
            etag=_text(element, "ETag").strip('"'),
            is_delete_marker=kind == "DeleteMarker",
        )


def _text(element: Element, name: str) -> str:
    return element.findtext(name if name.startswith("{") else f"{{*}}{name}") or ""
