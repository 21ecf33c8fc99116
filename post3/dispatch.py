"""One request from its address to its answer: resolve, authenticate, load the bucket, authorise, call, tell errors."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

from post3.auth.authentication import Proof
from post3.errors import (
    AccessControlListNotSupported,
    AccessDenied,
    EncryptionNotConfigured,
    InternalError,
    InvalidArgument,
    KMSNotFoundException,
    NoSuchBucket,
    OperationNotImplemented,
    S3Error,
    StaleBucket,
)
from post3.model import cors
from post3.model.bucket import Bucket
from post3.model.clock import Clock, system_clock
from post3.model.kms import NO_KEYS, MasterKeys
from post3.operations import OPERATIONS
from post3.operations.unsupported import refuse_unsupported_headers
from post3.s3.body import may_be_large
from post3.s3.call import Call
from post3.s3.gate import Gate
from post3.s3.link import with_headers_of_link
from post3.s3.message import Request, Response, error_response
from post3.s3.router import PREFLIGHT, Operation, Router
from post3.s3.xml import DECLARATION
from post3.storage.protocol import Backend

logger = logging.getLogger("post3")

PATIENCE: Final = 5.0
"""Seconds of silence that a slow operation allows itself before it sends white space, and between two of those."""
MAX_KEPT_BUCKETS: Final = 10_000
BY_THE_BUCKET: Final = (
    NoSuchBucket,
    AccessDenied,
    AccessControlListNotSupported,
    EncryptionNotConfigured,
    InvalidArgument,  # a newer policy may deny what makes no sense, and that is told first
    KMSNotFoundException,
    OperationNotImplemented,
)
"""Refusals that a bucket as it was some time ago may be wrong about."""
MAX_TRIES: Final = 5
"""How often a request is handled again because its bucket changed under it."""


class Dispatcher:
    """Everything between a parsed request and its answer."""

    def __init__(
        self, backend: Backend, gate: Gate, keys: MasterKeys = NO_KEYS, *, clock: Clock = system_clock
    ) -> None:
        self._backend = backend
        self._clock = clock
        self._gate = gate
        self._keys = keys
        self._router = Router(OPERATIONS)
        self._buckets: dict[str, Bucket] = {}
        self._slow: set[asyncio.Future[Response]] = set()

    async def close(self) -> None:
        """Wait for the work that goes on without its client; what hangs is given up."""
        if self._slow:
            _, hanging = await asyncio.wait(self._slow, timeout=2 * PATIENCE)
            for work in hanging:
                work.cancel()

    async def handle(self, request: Request) -> Response:
        """The answer, whatever happens; never raises but for cancellation."""
        met = _Met()
        try:
            response = await self._answer(request, met)
        except S3Error as error:
            response = self._refusal(request, error)
        except Exception as error:
            response = self._refusal(request, self._internal(request, error))
        response.headers["x-amz-request-id"] = request.id
        if "origin" in request.headers:
            response.headers |= await self._shared(request, response, met)
        return response

    async def _answer(self, request: Request, met: _Met) -> Response:
        meant = with_headers_of_link(request)
        operation = self._router.resolve(meant)
        proof = await self._identify(request, operation)
        if operation.is_slow:
            return await self._patiently(meant, operation, proof, met)
        return await self._call(meant, operation, proof, met)

    def _identify(self, request: Request, operation: Operation) -> Awaitable[Proof]:
        if request.method == PREFLIGHT:
            return self._gate.identify_preflight(request)
        invites = partial(self._invites, request)
        return self._gate.identify(request, self._clock(), invites, asks_in_form=operation.asks_in_form)

    async def _call(self, request: Request, operation: Operation, proof: Proof, met: _Met) -> Response:
        name = request.address.bucket
        for _ in range(MAX_TRIES):
            kept = self._kept(request, operation)
            bucket = kept or (await self._load(name) if operation.loads_bucket else None)
            call = Call(request, operation, proof, self._backend, self._gate, bucket, self._keys, self._clock)
            met.call, met.is_certain = call, kept is None
            try:
                call.authorise()
                refuse_unsupported_headers(request.headers, operation)
                return check_decided(call, await operation.handler(call))
            except (StaleBucket, *BY_THE_BUCKET) as error:
                # What was kept is no longer so, or no longer allows it. But of a bucket that was just loaded that is
                # the last word, and when the body is gone, nothing can be repeated.
                self._buckets.pop(name, None)
                is_final = isinstance(error, BY_THE_BUCKET) and kept is None
                if is_final or call.body_begun:
                    raise
                logger.debug("%s met an older bucket: %s", operation.name, error)
            finally:
                if operation.changes_bucket:
                    self._buckets.pop(name, None)
                elif call.loaded is not None and call.loaded is not bucket:
                    self._keep(call.loaded)
        raise StaleBucket(BucketName=name)

    def _kept(self, request: Request, operation: Operation) -> Bucket | None:
        """The bucket as it was met before, for operations on objects: each of their statements checks it.

        Not where a large body comes. Its blocks are written into the bucket, so what has become of the bucket must be
        known before: such a body can neither be asked for again nor be moved.
        """
        if operation.level != "object" or may_be_large(request):
            return None
        return self._buckets.get(request.address.bucket)

    async def _load(self, name: str) -> Bucket:
        """The bucket as it is now, to be kept."""
        bucket = await self._backend.get_bucket(name)
        self._keep(bucket)
        return bucket

    def _keep(self, bucket: Bucket) -> None:
        if len(self._buckets) >= MAX_KEPT_BUCKETS:
            self._buckets.clear()
        self._buckets[bucket.name] = bucket

    async def _invites(self, request: Request) -> bool:
        """Whether the bucket, as it is now, has a rule for the page that asks and for what it does."""
        name, origin = request.address.bucket, request.headers.get("origin")
        if not (name and origin):
            return False
        try:
            rules = cors.of_bucket(await self._load(name))
        except NoSuchBucket:
            return False
        return bool(cors.answer(rules, cors.Question(origin, request.method)))

    async def _shared(self, request: Request, response: Response, met: _Met) -> dict[str, str]:
        """The headers that tell a browser which page may read the answer; none is no reason not to answer."""
        question = cors.read_question(request.headers, request.method)
        if question is None or not request.address.bucket or request.method == PREFLIGHT:
            return {}
        try:
            bucket = met.bucket(response) or await self._load(request.address.bucket)
            return cors.answer(cors.of_bucket(bucket), question)
        except S3Error:
            return {}
        except Exception as error:
            self._internal(request, error)
            return {}

    async def _patiently(self, request: Request, operation: Operation, proof: Proof, met: _Met) -> Response:
        """The answer itself when it is soon there; else 200 at once, white space, and then the answer or the error.

        The work goes on when the client goes away: what it asked for may be half done.
        Source: https://docs.aws.amazon.com/AmazonS3/latest/API/API_CompleteMultipartUpload.html
        """
        body = _Watched(request.body)
        work = asyncio.ensure_future(self._call(replace(request, body=body), operation, proof, met))
        self._slow.add(work)
        work.add_done_callback(self._ended)
        try:
            done, _ = await asyncio.wait({work}, timeout=PATIENCE)
        except asyncio.CancelledError:
            if body.is_underway:
                work.cancel()
            raise
        if done:
            return work.result()
        met.call = None
        return Response(200, {"content-type": "application/xml"}, self._while_waiting(request, work))

    def _ended(self, work: asyncio.Future[Response]) -> None:
        self._slow.discard(work)
        if not work.cancelled():
            work.exception()  # told to the client, or to nobody where it is gone

    async def _while_waiting(self, request: Request, work: asyncio.Future[Response]) -> AsyncIterator[bytes]:
        yield DECLARATION
        while not (await asyncio.wait({work}, timeout=PATIENCE))[0]:
            yield b" "
        try:
            response = work.result()
        except S3Error as error:
            response = self._refusal(request, error)
        except Exception as error:
            response = self._refusal(request, self._internal(request, error))
        if isinstance(response.body, bytes):
            yield response.body.removeprefix(DECLARATION)

    @staticmethod
    def _refusal(request: Request, error: S3Error) -> Response:
        return error_response(error, request.id, request.path)

    @staticmethod
    def _internal(request: Request, error: Exception) -> S3Error:
        logger.error("request %s (%s %s) failed", request.id, request.method, request.path, exc_info=error)
        return InternalError()


@dataclass(slots=True)
class _Met:
    """What a request had to do with."""

    call: Call | None = None
    is_certain: bool = False
    """Whether its bucket was loaded for this request."""

    def bucket(self, response: Response) -> Bucket | None:
        """The bucket, if that is how it is now: one that was kept is as good as the answer that came of it."""
        if self.call is not None and (self.is_certain or response.status < 400):
            return self.call.loaded
        return None


class _Watched:
    """A request's body that tells whether somebody is in the middle of it."""

    def __init__(self, body: AsyncIterator[bytes]) -> None:
        self._body = body
        self.is_underway = False

    def __aiter__(self) -> _Watched:
        return self

    async def __anext__(self) -> bytes:
        self.is_underway = True
        try:
            return await anext(self._body)
        except StopAsyncIteration:
            self.is_underway = False
            raise


def check_decided(call: Call, response: Response) -> Response:
    """The answer, unless its handler told of an object or an upload without having asked for the right to it: a mistake
    of ours.
    """
    level = call.operation.needs.level
    if level in ("object", "upload") and not call.has_decided:
        raise RuntimeError(f"{call.operation.name} did not ask for the right to its {level}")
    return response
