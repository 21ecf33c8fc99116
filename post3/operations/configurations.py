"""Documents of a bucket: get, put and delete, a row of a table for each kind."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from post3.errors import (
    NoSuchCORSConfiguration,
    NoSuchPublicAccessBlockConfiguration,
    NoSuchTagSet,
    OwnershipControlsNotFoundError,
    S3Error,
    ServerSideEncryptionConfigurationNotFoundError,
)
from post3.model import cors, encryption, ownership, public_access, tagging
from post3.model.bucket import Bucket
from post3.model.tree import Tree
from post3.s3.body import MAX_DOCUMENT
from post3.s3.call import Call
from post3.s3.message import Response, document
from post3.s3.router import Handler, Needs, Operation, add


@dataclass(frozen=True, slots=True)
class Configuration:
    """A kind of document: Get…, Put… and Delete… of its noun."""

    noun: str
    """PublicAccessBlock: the operations are GetPublicAccessBlock and so on."""
    selector: str
    """The subresource, and the document's name among the bucket's configurations."""
    root: str
    """The root element."""
    missing: type[S3Error]
    """What is answered when there is none."""
    check: Callable[[Tree, Bucket], Tree | None]
    """The document as it is kept; None when there is nothing in it, and none is. Raises what is wrong with it, or with
    the bucket for it."""
    right: str = ""
    """The noun as actions have it, where that differs. Whoever may put may delete."""
    limit: int = MAX_DOCUMENT
    """Bytes."""
    put_status: int = 200
    check_server: Callable[[Tree, Call], object] | None = None
    """Raises what the document wants and this server does not have."""

    def declare(self) -> None:
        """Put its operations into the table."""
        right = self.right or self.noun
        for verb, method, action, handler in (
            ("Get", "GET", f"s3:Get{right}", self._get),
            ("Put", "PUT", f"s3:Put{right}", self._put),
            ("Delete", "DELETE", f"s3:Put{right}", self._delete),
        ):
            add(_operation(f"{verb}{self.noun}", method, self.selector, action, handler))

    async def _get(self, call: Call) -> Response:
        found = call.bucket.configurations.get(self.selector)
        if found is None:
            raise self.missing(BucketName=call.bucket.name)
        return document(self.root, found)

    async def _put(self, call: Call) -> Response:
        tree = await call.document(self.root, self.limit)
        if self.check_server is not None:
            self.check_server(tree, call)
        await call.update_bucket(lambda bucket: self._kept(bucket, self.check(tree, bucket)))
        return Response(self.put_status)

    async def _delete(self, call: Call) -> Response:
        await call.update_bucket(lambda bucket: self._kept(bucket, None))
        return Response(204)

    def _kept(self, bucket: Bucket, tree: Tree | None) -> Bucket:
        """The bucket with this document in place of the one it has; without any, for None."""
        configurations = {name: kept for name, kept in bucket.configurations.items() if name != self.selector}
        return replace(
            bucket, configurations=configurations if tree is None else {**configurations, self.selector: tree}
        )


def _operation(name: str, method: str, selector: str, action: str, handler: Handler) -> Operation:
    return Operation(
        name=name,
        method=method,
        level="bucket",
        selectors=frozenset({selector}),
        parameters=frozenset(),
        action=action,
        handler=handler,
        needs=Needs.OWNER,
    )


def _check_public_access(tree: Tree, _bucket: Bucket) -> Tree:
    return public_access.to_document(public_access.from_document(tree))


def _check_cors(tree: Tree, _bucket: Bucket) -> Tree:
    return cors.to_document(cors.from_document(tree))


def _check_ownership(tree: Tree, bucket: Bucket) -> Tree:
    asked_for = ownership.from_document(tree)
    ownership.check_bucket_acl(asked_for, bucket.acl, bucket.owner)
    return ownership.to_document(asked_for)


def _check_encryption(tree: Tree, _bucket: Bucket) -> Tree:
    return encryption.to_document(tree)


def _check_master_key(tree: Tree, call: Call) -> None:
    call.keys.choose(encryption.from_document(tree))


def _check_tagging(tree: Tree, _bucket: Bucket) -> Tree | None:
    tags = tagging.bucket_tags(tree)
    return tagging.to_document(tags) if tags else None


CONFIGURATIONS: Final = (
    Configuration(
        "BucketCors",
        cors.SUBRESOURCE,
        "CORSConfiguration",
        NoSuchCORSConfiguration,
        _check_cors,
        right="BucketCORS",
        limit=cors.MAX_DOCUMENT,
    ),
    Configuration(
        "BucketEncryption",
        encryption.SUBRESOURCE,
        "ServerSideEncryptionConfiguration",
        ServerSideEncryptionConfigurationNotFoundError,
        _check_encryption,
        right="EncryptionConfiguration",
        check_server=_check_master_key,
    ),
    Configuration(
        "BucketOwnershipControls",
        ownership.SUBRESOURCE,
        "OwnershipControls",
        OwnershipControlsNotFoundError,
        _check_ownership,
    ),
    Configuration("BucketTagging", tagging.SUBRESOURCE, "Tagging", NoSuchTagSet, _check_tagging, put_status=204),
    Configuration(
        "PublicAccessBlock",
        public_access.SUBRESOURCE,
        "PublicAccessBlockConfiguration",
        NoSuchPublicAccessBlockConfiguration,
        _check_public_access,
        right="BucketPublicAccessBlock",
    ),
)

for _configuration in CONFIGURATIONS:
    _configuration.declare()
