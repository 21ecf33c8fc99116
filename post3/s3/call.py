"""All that a handler is given: the request, who asks, and the bucket, loaded and authorised."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TypeVar

from post3.errors import InvalidArgument, MissingContentLength, NoSuchBucket, StaleBucket
from post3.model.bucket import Bucket
from post3.model.identity import Identity
from post3.model.names import check_key, parse_version_id
from post3.model.object import ObjectVersion
from post3.model.tree import Tree
from post3.s3.body import MAX_DOCUMENT, Body, document_body
from post3.s3.message import Request
from post3.s3.router import Operation
from post3.s3.xml import parse
from post3.storage.protocol import Backend

T = TypeVar("T")
MAX_NUMBER = 2**31 - 1
"""The highest number that a parameter of the query may be."""
MAX_DIGITS = 10
MAX_REPEATS = 10
"""How often a change is tried again against a bucket that changes under it."""


@dataclass(slots=True)
class Call:
    """One request for one operation."""

    request: Request
    operation: Operation
    identity: Identity
    backend: Backend
    loaded: Bucket | None
    """None for the operations that work on no existing bucket."""
    _body: Body | None = field(default=None, init=False, repr=False)

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
    def now(self) -> datetime:
        """The server's clock, in UTC. What decides anything comes from the store's clock."""
        return datetime.now(UTC)

    async def version(self) -> ObjectVersion:
        """The version that the path and versionId name, even if it is a delete marker. Raises KeyTooLongError."""
        check_key(self.key)
        return await self.backend.get_version(self.bucket, self.key, self.version_id)

    def body(self, *algorithms: str) -> Body:
        """The request's bytes as verified blocks, with these checksums computed beside those that the client sent."""
        self._body = Body(self.request, algorithms)
        return self._body

    @property
    def body_begun(self) -> bool:
        """Whether the request's body was begun: then the request cannot be handled again."""
        return self._body is not None and self._body.begun

    async def document(self, root: str, limit: int = MAX_DOCUMENT) -> Tree:
        """The request's XML, bounded, its digests checked. Raises MalformedXML, also for an empty body."""
        return parse(await self._read(limit), root)

    async def optional_document(self, root: str) -> Tree:
        """The request's XML, or an empty tree when the body is empty."""
        body = await self._read(MAX_DOCUMENT)
        return parse(body, root) if body else {}

    async def _read(self, limit: int) -> bytes:
        self._body = document_body(self.request, limit)
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

    async def commit(self, step: Callable[[Bucket], Awaitable[T]]) -> T:
        """Run a step behind the request's body; once more with the bucket as it is now when it changed meanwhile.

        A body that is already read or stored is thus not asked for again. Raises NoSuchBucket when the bucket is
        another by now.
        """
        for _ in range(MAX_REPEATS):
            try:
                return await step(self.bucket)
            except StaleBucket:
                fresh = await self.backend.get_bucket(self.bucket.name)
                if fresh.id != self.bucket.id:
                    raise NoSuchBucket(BucketName=fresh.name) from None
                self.loaded = fresh
        raise StaleBucket(BucketName=self.bucket.name)

    def require_length(self) -> None:
        """Raise MissingContentLength unless the request says how long its body is, or sends it in chunks."""
        if "content-length" not in self.headers and "transfer-encoding" not in self.headers:
            raise MissingContentLength
