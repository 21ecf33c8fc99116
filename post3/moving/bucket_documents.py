"""Documents of a bucket behind an endpoint: read as the trees that a store keeps, and put from them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from post3.errors import S3Error
from post3.model.bucket import Bucket
from post3.model.tree import Tree
from post3.moving.connection import RAW, RefusedError, ask, read_document
from post3.moving.sides import GoneError
from post3.operations.configurations import CONFIGURATIONS, Configuration
from post3.s3.xml import parse, render

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

ABSENT: Final = frozenset(
    {
        *(row.missing.code for row in CONFIGURATIONS),
        *("NoSuchBucketPolicy", "NoSuchLifecycleConfiguration", "NoSuchWebsiteConfiguration"),
        *("ReplicationConfigurationNotFoundError", "ObjectLockConfigurationNotFoundError"),
        *("NotImplemented", "MethodNotAllowed", "XNotImplemented"),
    }
)
"""Codes that tell of nothing to be moved: there is no such document, or no such thing at all."""
FOREIGN: Final = {
    "lifecycle": "get_bucket_lifecycle_configuration",
    "website": "get_bucket_website",
    "replication": "get_bucket_replication",
    "object lock": "get_object_lock_configuration",
    "notification": "get_bucket_notification_configuration",
    "logging": "get_bucket_logging",
}
"""Documents that post3 does not know, by what they are told as."""


@dataclass(frozen=True, slots=True)
class Document:
    """How boto3 calls one of them."""

    configuration: Configuration
    noun: str
    """Of its methods: bucket_cors for get_bucket_cors and so on."""
    member: str
    """The parameter of its put."""


_CALLED: Final = {
    "cors": ("bucket_cors", "CORSConfiguration"),
    "encryption": ("bucket_encryption", "ServerSideEncryptionConfiguration"),
    "ownershipControls": ("bucket_ownership_controls", "OwnershipControls"),
    "tagging": ("bucket_tagging", "Tagging"),
    "publicAccessBlock": ("public_access_block", "PublicAccessBlockConfiguration"),
}
DOCUMENTS: Final = {row.selector: Document(row, *_CALLED[row.selector]) for row in CONFIGURATIONS}


@dataclass(frozen=True, slots=True)
class Documents:
    """The configurations that were read, and what could not be."""

    read: Mapping[str, Tree]
    lost: tuple[str, ...]


async def read_documents(client: S3Client, bucket: Bucket) -> Documents:
    """All documents of a bucket whose owner and ACL are known."""
    read: dict[str, Tree] = {}
    lost: list[str] = []
    for selector, row in DOCUMENTS.items():
        try:
            found = await _asked(getattr(client, f"get_{row.noun}"), bucket.name)
            tree = found and row.configuration.check(parse(found[RAW], row.configuration.root), bucket)
        except (RefusedError, S3Error) as error:
            lost.append(f"the bucket's {selector} ({error.code})")
            continue
        if tree:
            read[selector] = tree
    policy = await _asked(client.get_bucket_policy, bucket.name)
    if policy:
        read["policy"] = {"Text": policy["Policy"]}
    status = (await ask(client.get_bucket_versioning, Bucket=bucket.name)).get("Status")
    if status:
        read["versioning"] = {"Status": status}
    return Documents(read, (*lost, *await _foreign(client, bucket.name)))


async def _asked(call: Any, bucket: str) -> Any:
    """A document's answer; None where there is none. Raises RefusedError."""
    try:
        return await ask(call, Bucket=bucket)
    except RefusedError as error:
        if error.code in ABSENT:
            return None
        raise
    except GoneError:
        return None


async def _foreign(client: S3Client, bucket: str) -> list[str]:
    found = []
    for what, method in FOREIGN.items():
        try:
            answer = await _asked(getattr(client, method), bucket) or {}
        except RefusedError as error:
            found.append(f"the bucket's {what} ({error.code})")
            continue
        if {name for name, value in answer.items() if value and name != "ResponseMetadata"}:
            found.append(f"the bucket's {what}")
    return found


async def put_document(client: S3Client, bucket: Bucket, selector: str) -> None:
    """Put one of the bucket's documents, or delete it where the bucket has none. Raises RefusedError."""
    tree = bucket.configurations.get(selector)
    if selector == "policy":
        if bucket.policy is None:
            await ask(client.delete_bucket_policy, Bucket=bucket.name)
        else:
            await ask(client.put_bucket_policy, Bucket=bucket.name, Policy=bucket.policy)
        return
    row = DOCUMENTS.get(selector)
    if row is None:
        return  # nothing that an endpoint has a name for
    if tree is None:
        await ask(getattr(client, f"delete_{row.noun}"), Bucket=bucket.name)
        return
    operation = client.meta.method_to_api_mapping[f"get_{row.noun}"]
    read = read_document(client, operation, render(row.configuration.root, tree))
    value = read.get(row.member, read)
    await ask(getattr(client, f"put_{row.noun}"), Bucket=bucket.name, **{row.member: value})
