"""Who owns what a request makes, the ACL that it gets, and whether it may have tags."""

from __future__ import annotations

from post3.errors import AccessDenied
from post3.model import ownership, public_access
from post3.model.bucket import Bucket
from post3.model.grants import Grant, Grants, from_headers, is_public
from post3.model.identity import ANONYMOUS, Identity
from post3.model.tagging import Tags
from post3.model.tree import Tree
from post3.model.upload import Upload
from post3.s3.call import Call


def known(call: Call, id: str) -> Identity:
    """Whoever has this id; by the id alone, where nobody has it any more."""
    return call.directory.by_id(id) or Identity(id, id)


def owner_of(call: Call, id: str) -> Tree:
    """An owner as answers show one."""
    identity = known(call, id)
    return {"ID": identity.id, "DisplayName": identity.display_name}


def object_access(call: Call, bucket: Bucket) -> tuple[str, Grants | None]:
    """Owner and ACL of an object that whoever asks writes with this request's headers.

    Raises AccessControlListNotSupported where ACLs do not count; AccessDenied where public ones are blocked, and where
    the policy denies setting any.
    """
    how, canned = ownership.of_bucket(bucket), call.headers.get("x-amz-acl")
    owner = ownership.owner_of_object(how, _writer(call.identity.id, bucket), bucket.owner, canned)
    grants = from_headers(call.headers, owner, bucket.owner, call.directory, of_bucket=False)
    if grants is not None and call.rights_in(bucket).denies("s3:PutObjectAcl", call.key):
        raise AccessDenied
    ownership.check_acl(how, canned, grants, bucket.owner)
    return owner, unblocked(bucket, grants)


def check_tags(call: Call, bucket: Bucket, tags: Tags) -> None:
    """Raise AccessDenied unless whoever asks may put the object that is made, and these tags on it.

    A policy must allow both; whoever owns the bucket, or may write by its ACL, needs nothing more.
    Source: https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObject.html (Permissions)
    """
    if tags:
        call.rights_in(bucket).check("s3:PutObjectTagging", call.operation.needs.permission, call.key)


def completed_access(bucket: Bucket, upload: Upload) -> tuple[str, Grants | None]:
    """Owner and ACL of the object that an upload becomes, which its beginning said."""
    hands_over = Grant(bucket.owner, "FULL_CONTROL") in (upload.acl or ())
    canned = "bucket-owner-full-control" if hands_over else None
    writer = _writer(upload.owner, bucket)
    return ownership.owner_of_object(ownership.of_bucket(bucket), writer, bucket.owner, canned), upload.acl


def parties(call: Call, upload: Upload) -> Tree:
    """Who began an upload, and who will own what it becomes."""
    owner, _ = completed_access(call.bucket, upload)
    return {"Initiator": owner_of(call, upload.owner), "Owner": owner_of(call, owner)}


def _writer(id: str, bucket: Bucket) -> str:
    """What somebody unknown writes is the bucket owner's: who else should be able to read or delete it?"""
    return bucket.owner if id == ANONYMOUS.id else id


def unblocked(bucket: Bucket, grants: Grants | None) -> Grants | None:
    """The ACL, unless the bucket blocks such: AccessDenied."""
    if grants is not None and public_access.of_bucket(bucket).block_public_acls and is_public(grants):
        raise AccessDenied("Public access is blocked by the bucket's BlockPublicAcls setting.")
    return grants
