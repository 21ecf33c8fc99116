"""Deleting: one key or up to a thousand, one version for good or behind a marker."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Final

from post3.errors import AccessDenied, MalformedXML, NoSuchKey, NoSuchVersion, OperationNotImplemented, S3Error
from post3.model.bucket import Bucket
from post3.model.conditions import WriteConditions
from post3.model.identity import ANONYMOUS
from post3.model.names import check_key, is_version_id
from post3.model.object import NULL_VERSION, ObjectVersion
from post3.model.tree import Tree, each, text
from post3.s3.call import Call
from post3.s3.headers import parse_etags, parse_http_date, write_conditions
from post3.s3.message import Response, document
from post3.s3.router import Needs, operation

MAX_KEYS: Final = 1000
MAX_DOCUMENT: Final = 8 * 2**20
"""Bytes: a thousand keys of 1,024 bytes, most of them escaped."""
CONCURRENCY: Final = 16
"""Keys of one request that are deleted at a time."""


@dataclass(frozen=True, slots=True)
class Deleted:
    """What a delete did."""

    version_id: str | None = None
    """The version deleted for good, or the marker put."""
    is_marker: bool = False
    """Whether that was a delete marker."""


async def delete(call: Call, bucket: Bucket, key: str, version_id: str | None, conditions: WriteConditions) -> Deleted:
    """Delete one version for good; without an id, hide the key behind a marker, or delete it where none has versions.

    Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/DeletingObjectVersions.html
    """
    if version_id is not None:
        gone = await call.backend.delete_version(bucket, key, version_id, conditions.for_version_delete)
        return Deleted(version_id, is_marker=gone is not None and gone.is_delete_marker)
    try:
        return await _delete_current(call, bucket, key, conditions)
    except NoSuchKey:
        return Deleted()


async def _delete_current(call: Call, bucket: Bucket, key: str, conditions: WriteConditions) -> Deleted:
    """Delete a key. Raises NoSuchKey when a condition finds none; without one even an absent key gets a marker."""
    if not bucket.versioning:
        await call.backend.delete_version(bucket, key, NULL_VERSION, conditions.for_delete)
        return Deleted()
    marker = ObjectVersion(
        bucket=bucket.name,
        key=key,
        version_id=bucket.version_to_put,
        modified=call.now,
        owner=call.identity.id,
        is_delete_marker=True,
    )
    put = await call.backend.put_version(bucket, marker, conditions.for_delete)
    return Deleted(put.version_id, is_marker=True)


@operation("DELETE", "object", needs=Needs.WRITE)
async def delete_object(call: Call) -> Response:
    """Delete; what is not there is deleted already."""
    check_key(call.key)
    conditions = write_conditions(call.headers)
    if conditions.if_none_match:
        raise OperationNotImplemented(Header="if-none-match")
    version_id = call.version_id
    deleted = await call.commit(lambda bucket: delete(call, bucket, call.key, version_id, conditions))
    headers = {}
    if deleted.version_id is not None:
        headers["x-amz-version-id"] = deleted.version_id
    if deleted.is_marker:
        headers["x-amz-delete-marker"] = "true"
    return Response(204, headers)


@dataclass(frozen=True, slots=True)
class Wanted:
    """One entry of a batch."""

    key: str
    version_id: str | None
    conditions: WriteConditions


def _parse_batch(tree: Tree) -> tuple[list[Wanted], bool]:
    """The entries, and whether only failures are to be told. Raises MalformedXML for none, or for over a thousand."""
    wanted = [_parse_wanted(entry) for entry in each(tree, "Object")]
    if not 1 <= len(wanted) <= MAX_KEYS:
        raise MalformedXML
    return wanted, (text(tree, "Quiet") or "").strip().lower() == "true"


def _parse_wanted(entry: Tree) -> Wanted:
    key = text(entry, "Key")
    if not key:
        raise MalformedXML
    size, modified = text(entry, "Size"), text(entry, "LastModifiedTime")
    time = parse_http_date(modified)
    if (size and not (size.isascii() and size.isdigit() and len(size) <= 18)) or (modified and time is None):
        raise MalformedXML
    conditions = WriteConditions(
        if_match=parse_etags(text(entry, "ETag")), size=int(size) if size else None, modified=time
    )
    return Wanted(key, text(entry, "VersionId") or None, conditions)


@operation("POST", "bucket", "delete", action="s3:DeleteObject", needs=Needs.NOTHING)
async def delete_objects(call: Call) -> Response:
    """Delete up to a thousand keys or versions; each is told by itself, deleted or in error, in the order asked for."""
    if call.identity == ANONYMOUS and not call.rights_in(call.bucket).may_allow("WRITE"):
        raise AccessDenied  # nobody's document is worth reading for a thousand refusals
    wanted, quiet = _parse_batch(await call.document("Delete", MAX_DOCUMENT))
    turn = asyncio.Semaphore(CONCURRENCY)

    async def one(entry: Wanted) -> tuple[str, Tree]:
        async with turn:
            return await _delete_one(call, entry)

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(one(entry)) for entry in wanted]
    results = (task.result() for task in tasks)
    return document("DeleteResult", {"": [{name: tree} for name, tree in results if not (quiet and name == "Deleted")]})


def _check_right(call: Call, bucket: Bucket, wanted: Wanted) -> None:
    """Raise AccessDenied for an entry that whoever asks may not delete: each is a request of its own."""
    call.rights_in(bucket).check("s3:DeleteObject", "WRITE", wanted.key, wanted.version_id)


async def _delete_one(call: Call, wanted: Wanted) -> tuple[str, Tree]:
    named: dict[str, str | None] = {"Key": wanted.key, "VersionId": wanted.version_id}
    try:
        check_key(wanted.key)
        if wanted.version_id is not None and not is_version_id(wanted.version_id):
            raise NoSuchVersion

        async def authorised(bucket: Bucket) -> Deleted:
            _check_right(call, bucket, wanted)
            return await delete(call, bucket, wanted.key, wanted.version_id, wanted.conditions)

        deleted = await call.commit(authorised)
    except S3Error as error:
        return "Error", {**named, "Code": error.code, "Message": error.message}
    if not deleted.is_marker:
        return "Deleted", named
    return "Deleted", {**named, "DeleteMarker": True, "DeleteMarkerVersionId": deleted.version_id}
