"""What S3 can do. Importing this declares every operation: each module fills the table of `post3.s3.router`."""

from post3.operations import (
    acl,
    buckets,
    configurations,
    copying,
    deletion,
    listing,
    multipart,
    objects,
    policy,
    post_object,
    preflight,
    tagging,
    unsupported,
    versioning,
)
from post3.s3.router import OPERATIONS

__all__ = [
    "OPERATIONS",
    "acl",
    "buckets",
    "configurations",
    "copying",
    "deletion",
    "listing",
    "multipart",
    "objects",
    "policy",
    "post_object",
    "preflight",
    "tagging",
    "unsupported",
    "versioning",
]
