"""The public access block: what a bucket refuses, or ignores, of the access that lists and policies give to everybody.

Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/access-control-block-public-access.html
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from post3.errors import InvalidRequest, MalformedXML
from post3.model.bucket import Bucket
from post3.model.tree import Tree

SUBRESOURCE: Final = "publicAccessBlock"
"""Among a bucket's configurations."""


@dataclass(frozen=True, slots=True)
class PublicAccessBlock:
    """Four switches; a bucket that never had any of them set has all of them off."""

    block_public_acls: bool = False
    """Refuse to set an ACL that is public."""
    ignore_public_acls: bool = False
    """Take no account of what ACLs grant to public groups."""
    block_public_policy: bool = False
    """Refuse to set a policy that is public."""
    restrict_public_buckets: bool = False
    """Under a policy that is public, serve the bucket's owner alone."""


_ELEMENTS: Final = {
    "BlockPublicAcls": "block_public_acls",
    "IgnorePublicAcls": "ignore_public_acls",
    "BlockPublicPolicy": "block_public_policy",
    "RestrictPublicBuckets": "restrict_public_buckets",
}
_BOOLEANS: Final = {"true": True, "false": False}


def from_document(tree: Tree) -> PublicAccessBlock:
    """The switches of a PublicAccessBlockConfiguration; those it does not name are off.

    Raises MalformedXML, also for an element that is none of the four: a switch that was misspelt must not seem to be
    on. Raises InvalidRequest for a document that names none.
    """
    if not tree:
        raise InvalidRequest("Must specify at least one configuration.")
    if not tree.keys() <= _ELEMENTS.keys():
        raise MalformedXML
    return PublicAccessBlock(**{_ELEMENTS[name]: _boolean(value) for name, value in tree.items()})


def _boolean(value: object) -> bool:
    """True and false as AWS's pages write them, in either case, or as a stored document holds them."""
    told = _BOOLEANS.get(str(value).lower())
    if told is None:
        raise MalformedXML
    return told


def to_document(block: PublicAccessBlock) -> Tree:
    """The PublicAccessBlockConfiguration, to be stored and shown."""
    return {element: getattr(block, name) for element, name in _ELEMENTS.items()}


def of_bucket(bucket: Bucket) -> PublicAccessBlock:
    """A bucket's switches: all off where it has no such document."""
    stored = bucket.configurations.get(SUBRESOURCE)
    return PublicAccessBlock() if stored is None else from_document(stored)
