"""Documents of a bucket: get, put and delete, a row of a table for each kind."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from post3.errors import (
    NoSuchCORSConfiguration,
    NoSuchPublicAccessBlockConfiguration,
    OwnershipControlsNotFoundError,
    S3Error,
    ServerSideEncryptionConfigurationNotFoundError,
)
from post3.model import cors, encryption, ownership, public_access
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
    check: Callable[[Tree, Bucket], Tree]
    """The document as it is kept. Raises what is wrong with it, or with the bucket for it."""
    right: str = ""
    """The noun as actions have it, where that differs. Whoever may put may delete."""
    limit: int = MAX_DOCUMENT
    """Bytes."""
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

        def change(bucket: Bucket) -> Bucket:
            kept = self.check(tree, bucket)
            return replace(bucket, configurations={**bucket.configurations, self.selector: kept})

        await call.update_bucket(change)
        return Response()

    async def _delete(self, call: Call) -> Response:
        def change(bucket: Bucket) -> Bucket:
            others = {name: tree for name, tree in bucket.configurations.items() if name != self.selector}
            return replace(bucket, configurations=others)

        await call.update_bucket(change)
        return Response(204)


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
