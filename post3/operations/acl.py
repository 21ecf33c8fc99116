"""Access control lists of buckets and objects."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final, TypeAlias

from post3.errors import MissingSecurityHeader
from post3.model import ownership
from post3.model.bucket import Bucket
from post3.model.grants import Grants, from_document, from_headers, to_document
from post3.model.object import ObjectVersion
from post3.operations.granting import known, unblocked
from post3.operations.objects import readable, version_header
from post3.s3.call import Call
from post3.s3.message import Response, document
from post3.s3.router import Needs, operation

ROOT: Final = "AccessControlPolicy"
Read: TypeAlias = Callable[[str], Grants]
"""The list asked for, for what somebody of this id owns."""


@operation("GET", "bucket", "acl", needs=Needs.READ_BUCKET_ACL)
async def get_bucket_acl(call: Call) -> Response:
    """Owner and grants of the bucket."""
    bucket = call.bucket
    acl = None if ownership.ignores_acls(bucket) else bucket.acl
    return document(ROOT, to_document(acl, known(call, bucket.owner), call.directory))


@operation("PUT", "bucket", "acl", needs=Needs.WRITE_BUCKET_ACL)
async def put_bucket_acl(call: Call) -> Response:
    """Replace the bucket's grants by those of the headers, or of the document."""
    read = await _asked_for(call, of_bucket=True)

    def change(bucket: Bucket) -> Bucket:
        return replace(bucket, acl=_settable(call, bucket, read(bucket.owner)))

    await call.update_bucket(change)
    return Response()


@operation("GET", "object", "acl", needs=Needs.READ_ACL)
async def get_object_acl(call: Call) -> Response:
    """Owner and grants of a version."""
    version = await readable(call)
    enforced = ownership.ignores_acls(call.bucket)
    acl, owner = (None, call.bucket.owner) if enforced else (version.acl, version.owner)
    tree = to_document(acl, known(call, owner), call.directory)
    return document(ROOT, tree, headers=version_header(call, version))


@operation("PUT", "object", "acl", needs=Needs.WRITE_ACL)
async def put_object_acl(call: Call) -> Response:
    """Replace a version's grants by those of the headers, or of the document."""
    await call.check_update()  # whoever may not is not told which users there are
    read = await _asked_for(call, of_bucket=False)

    def change(version: ObjectVersion) -> ObjectVersion:
        return replace(version, acl=_settable(call, call.bucket, read(version.owner)))

    return Response(headers=version_header(call, await call.update_version(change)))


def _settable(call: Call, bucket: Bucket, grants: Grants) -> Grants | None:
    """The list, when the bucket lets it be set. Raises AccessControlListNotSupported, AccessDenied."""
    ownership.check_acl(ownership.of_bucket(bucket), call.headers.get("x-amz-acl"), grants, bucket.owner)
    return unblocked(bucket, grants)


async def _asked_for(call: Call, *, of_bucket: bool) -> Read:
    """The list that the request's headers give, or else its document. Raises MissingSecurityHeader for neither."""
    headers, directory = call.headers, call.directory

    def by_headers(owner: str) -> Grants | None:
        # Of the bucket as it is when this is asked: it may have been loaded anew.
        return from_headers(headers, owner, call.bucket.owner, directory, of_bucket=of_bucket)

    if by_headers(call.bucket.owner) is not None:
        return lambda owner: by_headers(owner) or ()
    tree = await call.optional_document(ROOT)
    if not tree:
        raise MissingSecurityHeader(MissingHeaderName="x-amz-acl")
    return lambda owner: from_document(tree, owner, directory)
