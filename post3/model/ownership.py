"""Object ownership: who owns what others put into a bucket, and whether access control lists count there.

Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/about-object-ownership.html
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

from post3.errors import (
    AccessControlListNotSupported,
    InvalidArgument,
    InvalidBucketAclWithObjectOwnership,
    MalformedXML,
)
from post3.model.bucket import Bucket
from post3.model.grants import Grant, Grants
from post3.model.tree import Tree, one, text

ObjectOwnership = Literal["ObjectWriter", "BucketOwnerPreferred", "BucketOwnerEnforced"]
"""The writer owns; the bucket's owner does, if the writer hands it over; the bucket's owner does, and lists do not
count."""
OWNERSHIPS: Final[Mapping[str | None, ObjectOwnership]] = {
    "ObjectWriter": "ObjectWriter",
    "BucketOwnerPreferred": "BucketOwnerPreferred",
    "BucketOwnerEnforced": "BucketOwnerEnforced",
}
DEFAULT: Final[ObjectOwnership] = "ObjectWriter"
"""Of a bucket that has no ownership controls. New buckets of AWS have them, enforced; here they begin without."""
SUBRESOURCE: Final = "ownershipControls"
"""Among a bucket's configurations."""


def from_document(tree: Tree) -> ObjectOwnership:
    """The ownership of an OwnershipControls document. Raises MalformedXML unless it has one rule, of a known value."""
    ownership = OWNERSHIPS.get(text(one(tree, "Rule"), "ObjectOwnership"))
    if ownership is None:
        raise MalformedXML
    return ownership


def to_document(ownership: ObjectOwnership) -> Tree:
    """The OwnershipControls, to be stored and shown."""
    return {"Rule": {"ObjectOwnership": ownership}}


def from_header(value: str) -> ObjectOwnership:
    """The ownership that x-amz-object-ownership gives a new bucket. Raises InvalidArgument for an unknown one."""
    ownership = OWNERSHIPS.get(value)
    if ownership is None:
        raise InvalidArgument(
            f"Invalid x-amz-object-ownership header: {value}",
            ArgumentName="x-amz-object-ownership",
            ArgumentValue=value,
        )
    return ownership


def of_bucket(bucket: Bucket) -> ObjectOwnership:
    """A bucket's ownership, set or not."""
    stored = bucket.configurations.get(SUBRESOURCE)
    return DEFAULT if stored is None else from_document(stored)


def ignores_acls(bucket: Bucket) -> bool:
    """Whether the bucket's owner owns all that is in it, and no ACL counts."""
    return of_bucket(bucket) == "BucketOwnerEnforced"


def owner_of_object(ownership: ObjectOwnership, writer: str, bucket_owner: str, canned_acl: str | None) -> str:
    """Who owns a new object, of the two; canned_acl is the value of the writer's x-amz-acl."""
    if ownership == "BucketOwnerEnforced":
        return bucket_owner
    if ownership == "BucketOwnerPreferred" and canned_acl == "bucket-owner-full-control":
        return bucket_owner
    return writer


def check_acl(ownership: ObjectOwnership, canned_acl: str | None, grants: Grants | None, bucket_owner: str) -> None:
    """Raise AccessControlListNotSupported for an ACL that is given to an object, or changed, where they do not count.

    Accepted all the same: none, the canned bucket-owner-full-control (but not private), and grants by header or
    document that say just that: everything to the bucket's owner.
    """
    if ownership != "BucketOwnerEnforced":
        return
    if canned_acl is not None:
        accepted = canned_acl == "bucket-owner-full-control"
    else:
        accepted = grants is None or grants == (Grant(bucket_owner, "FULL_CONTROL"),)
    if not accepted:
        raise AccessControlListNotSupported


def check_bucket_acl(ownership: ObjectOwnership, grants: Grants | None, bucket_owner: str) -> None:
    """Raise InvalidBucketAclWithObjectOwnership when ACLs shall not count, but the bucket's lets others in.

    For a bucket that is made with an ownership, or given one.
    Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-ownership-error-responses.html
    """
    if ownership == "BucketOwnerEnforced" and any(grant.grantee != bucket_owner for grant in grants or ()):
        raise InvalidBucketAclWithObjectOwnership
