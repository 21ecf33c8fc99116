"""All that a handler is given: the request, who asks, and the bucket, loaded and authorised.

What an operation needs of the bucket is held before its handler runs (`authorise`), and again whenever the bucket was
loaded anew. What it needs of an object is held by `version` and `update_version`, which no such handler can do without;
what it needs of an upload, by `check_upload`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import TypeVar

from post3.auth.authentication import Proof
from post3.auth.authorisation import Rights
from post3.errors import (
    AccessDenied,
    InvalidArgument,
    MethodNotAllowed,
    MissingContentLength,
    NoSuchBucket,
    NoSuchKey,
    NoSuchVersion,
    S3Error,
    StaleBucket,
)
from post3.model.bucket import Bucket
from post3.model.clock import Clock, system_clock
from post3.model.grants import Directory, Permission
from post3.model.identity import ANONYMOUS, Identity
from post3.model.kms import NO_KEYS, MasterKeys
from post3.model.names import check_key, parse_version_id
from post3.model.object import ObjectVersion
from post3.model.tagging import Tags
from post3.model.tree import Tree
from post3.model.upload import Upload
from post3.s3.body import MAX_DOCUMENT, Body, document_body
from post3.s3.gate import Gate
from post3.s3.message import Request
from post3.s3.policy_context import policy_context
from post3.s3.router import Needs, Operation
from post3.s3.xml import parse
from post3.storage.protocol import Backend, Change

T = TypeVar("T")
MAX_NUMBER = 2**31 - 1
"""The highest number that a parameter of the query may be."""
MAX_DIGITS = 10
EXPECTED_OWNER = "x-amz-expected-bucket-owner"
MAX_REPEATS = 10
"""How often a change is tried again against a bucket that changes under it."""


@dataclass(slots=True)
class Call:
    """One request for one operation."""

    request: Request
    operation: Operation
    proof: Proof
    """Of who asks."""
    backend: Backend
    gate: Gate
    loaded: Bucket | None
    """None for the operations that work on no existing bucket."""
    keys: MasterKeys = NO_KEYS
    """Those of the server, to encrypt and decrypt with."""
    clock: Clock = system_clock
    has_decided: bool = False
    """Whether the right to an object's version, or to an upload, was decided."""
    tags: Tags | None = None
    """Those of the request's document, once that is read: policies look at them."""
    _body: Body | None = field(default=None, init=False, repr=False)
    _took_pieces: bool = field(default=False, init=False, repr=False)

    @property
    def identity(self) -> Identity:
        """Who asks."""
        return self.proof.identity

    @property
    def directory(self) -> Directory:
        """Who else there is."""
        return self.gate.directory

    @property
    def bucket(self) -> Bucket:
        """The bucket that the path names."""
        if self.loaded is None:
            raise NoSuchBucket(BucketName=self.request.address.bucket)
        return self.loaded

    @property
    def key(self) -> str:
        """The key that the path names."""
        return self.request.address.key

    @property
    def query(self) -> Mapping[str, str]:
        """The query's decoded names and values."""
        return self.request.query

    @property
    def headers(self) -> Mapping[str, str]:
        """The request's headers, by lower-case name."""
        return self.request.headers

    @property
    def version_id(self) -> str | None:
        """The version asked for; None for the current one. Raises InvalidArgument for what is no version's id."""
        version_id = self.query.get("versionId")
        return None if version_id is None else parse_version_id(version_id)

    @property
    def names_version(self) -> bool:
        """Whether a version is asked for by its id."""
        return "versionId" in self.query

    @property
    def now(self) -> datetime:
        """The server's clock, in UTC. What decides anything comes from the store's clock."""
        return self.clock()

    # Rights

    def rights_in(self, bucket: Bucket) -> Rights:
        """What whoever asks may do with a bucket. Raises AccessDenied for one that they have no business with."""
        if self.proof.only_bucket not in ("", bucket.name):
            raise AccessDenied(f"A web page from elsewhere may use the bucket {self.proof.only_bucket} alone.")
        return Rights(self.identity, bucket, self._policy_context)

    def _policy_context(self) -> Mapping[str, tuple[str, ...]]:
        return policy_context(self.request, self.proof, self.operation.name, self.now, self.tags)

    def authorise(self) -> None:
        """Raise AccessDenied unless the operation's need is met, as far as it is one of the bucket's, and the bucket is
        whose the client thinks it is.

        Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucket-owner-condition.html
        """
        needs = self.operation.needs
        if needs is Needs.USER and self.identity == ANONYMOUS:
            raise AccessDenied
        if needs.level == "bucket":
            version_id = self.query.get("versionId")
            rights = self.rights_in(self.bucket)
            rights.check(self.operation.action, needs.permission, self.key, version_id)
        if self.loaded is not None and self.headers.get(EXPECTED_OWNER, self.loaded.owner) != self.loaded.owner:
            raise AccessDenied

    def check_upload(self, upload: Upload | None) -> None:
        """Raise AccessDenied unless the operation on this upload, or on one that is not there, is allowed.

        To be asked again with each bucket that is loaded anew: the reason why one may may be another.
        """
        self.has_decided = True
        initiator = None if upload is None else upload.owner
        permission = self.operation.needs.permission
        self.rights_in(self.bucket).check_upload(self.operation.action, permission, self.key, initiator)

    async def version(self) -> ObjectVersion:
        """The version that the path and versionId name, even if it is a delete marker, when it may be seen.

        Raises KeyTooLongError, AccessDenied, and what tells that it is absent, if that may be told.
        """
        check_key(self.key)
        rights, permission = self.rights_in(self.bucket), self.operation.needs.permission
        self.has_decided = True
        try:
            version = await self.backend.get_version(self.bucket, self.key, self.version_id)
        except (NoSuchKey, NoSuchVersion) as error:
            raise rights.hide(error, self.key) from None
        if not version.is_delete_marker:
            rights.check_version(self.operation.action, permission, version, is_named=self.names_version)
        return version

    def check_version(self, action: str, version: ObjectVersion) -> None:
        """Raise AccessDenied unless this action on the version is allowed, beside the operation's own."""
        permission = self.operation.needs.permission
        self.rights_in(self.bucket).check_version(action, permission, version, is_named=self.names_version)

    def allows_version(self, action: str, permission: Permission | None, version: ObjectVersion) -> bool:
        """Whether this action on the version is allowed too. Without a permission no ACL grants it."""
        rights = self.rights_in(self.bucket)
        return rights.allows_version(action, permission, version, is_named=self.names_version)

    async def check_update(self) -> None:
        """Raise what `update_version` would of whoever asks and of the version, before anything else is looked at."""
        version = await self.version()
        self._allowed(self.rights_in(self.bucket), lambda same: same, version)

    async def update_version(self, change: Change[ObjectVersion]) -> ObjectVersion:
        """Change the record of the version that the path and versionId name, when that is allowed, as one step.

        Raises what `version` raises, what `change` raises, and MethodNotAllowed for a delete marker.
        """
        check_key(self.key)
        self.has_decided = True

        async def update(bucket: Bucket) -> ObjectVersion:
            allowed = partial(self._allowed, self.rights_in(bucket), change)
            return await self.backend.update_version(bucket, self.key, self.version_id, allowed)

        try:
            return await self.commit(update)
        except (NoSuchKey, NoSuchVersion) as error:
            raise self.hidden(error) from None

    def _allowed(self, rights: Rights, change: Change[ObjectVersion], version: ObjectVersion) -> ObjectVersion:
        if version.is_delete_marker:
            raise rights.hide(MethodNotAllowed(Method=self.request.method, ResourceType="DeleteMarker"), self.key)
        permission = self.operation.needs.permission
        rights.check_version(self.operation.action, permission, version, is_named=self.names_version)
        return change(version)

    async def update_bucket(self, change: Change[Bucket]) -> Bucket:
        """Change the bucket as it was when that was found to be allowed; when it is another by now, look again."""

        async def update(bucket: Bucket) -> Bucket:
            def same(old: Bucket) -> Bucket:
                if (old.id, old.revision) != (bucket.id, bucket.revision):
                    raise StaleBucket(BucketName=old.name)
                return change(old)

            return await self.backend.update_bucket(bucket.name, same)

        return await self.commit(update)

    def hidden(self, error: S3Error) -> S3Error:
        """The error for what is not there, as whoever asks may be told it."""
        return self.rights_in(self.bucket).hide(error, self.key)

    # The body

    def body(self, *algorithms: str) -> Body:
        """The request's bytes as verified blocks, with these checksums computed beside those that the client sent."""
        self._body = Body(self.request, algorithms, proof=self.proof)
        return self._body

    def take_pieces(self) -> AsyncIterator[bytes]:
        """The request's body as it arrives, for whoever verifies it otherwise."""
        self._took_pieces = True
        return self.request.body

    @property
    def body_begun(self) -> bool:
        """Whether the request's body was begun: then the request cannot be handled again."""
        return self._took_pieces or (self._body is not None and self._body.begun)

    async def document(self, root: str, limit: int = MAX_DOCUMENT) -> Tree:
        """The request's XML, bounded, its digests checked. Raises MalformedXML, also for an empty body."""
        return parse(await self.whole_body(limit), root)

    async def optional_document(self, root: str) -> Tree:
        """The request's XML, or an empty tree when the body is empty."""
        body = await self.whole_body(MAX_DOCUMENT)
        return parse(body, root) if body else {}

    async def whole_body(self, limit: int) -> bytes:
        """The request's body, bounded, its digests checked. Raises MaxMessageLengthExceeded."""
        self._body = document_body(self.request, limit, self.proof)
        return await self._body.whole()

    def int_parameter(self, name: str, default: int, low: int, high: int) -> int:
        """A whole number from the query, cut to `high`. Raises InvalidArgument for what is none, or below `low`."""
        text = self.query.get(name, "")
        if not text:
            return default
        is_number = text.isascii() and text.removeprefix("-").isdigit() and len(text) <= MAX_DIGITS
        if not is_number or not low <= int(text) <= MAX_NUMBER:
            raise InvalidArgument(
                f"Argument {name} must be an integer between {low} and {MAX_NUMBER}",
                ArgumentName=name,
                ArgumentValue=text,
            )
        return min(int(text), high)

    async def commit(self, step: Callable[[Bucket], Awaitable[T]], *, is_bound: bool = False) -> T:
        """Run a step behind the request's body; once more with the bucket as it is now when it changed meanwhile, if
        that allows it too. A body that is already read or stored is thus not asked for again.

        The bucket may be another one by now, made under the same name. A step that is bound to the one that was loaded,
        since bytes were stored in it, raises NoSuchBucket then.
        """
        for _ in range(MAX_REPEATS):
            bucket = self.bucket
            try:
                return await step(bucket)
            except (StaleBucket, NoSuchBucket) as error:
                fresh = await self.backend.get_bucket(bucket.name)
                if fresh.id != bucket.id and is_bound:
                    raise NoSuchBucket(BucketName=bucket.name) from None
                if fresh.id == bucket.id and isinstance(error, NoSuchBucket):
                    raise  # it is another one that is not there
                self.loaded = fresh
                self.authorise()
        raise StaleBucket(BucketName=self.bucket.name)

    def require_length(self) -> None:
        """Raise MissingContentLength unless the request says how long its body is, or sends it in chunks."""
        if "content-length" not in self.headers and "transfer-encoding" not in self.headers:
            raise MissingContentLength
