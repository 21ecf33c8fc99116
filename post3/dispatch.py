"""One request from its address to its answer: resolve, authenticate, load the bucket, authorise, call, tell errors."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
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
from post3.model.bucket import Bucket
from post3.model.kms import NO_KEYS, MasterKeys
from post3.operations import OPERATIONS
from post3.operations.unsupported import refuse_unsupported_headers
from post3.s3.call import Call
from post3.s3.gate import Gate
from post3.s3.message import Request, Response, error_response
from post3.s3.router import Operation, Router
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

    def __init__(self, backend: Backend, gate: Gate, keys: MasterKeys = NO_KEYS) -> None:
        self._backend = backend
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
        try:
            response = await self._answer(request)
        except S3Error as error:
            response = self._refusal(request, error)
        except Exception as error:
            response = self._refusal(request, self._internal(request, error))
        response.headers["x-amz-request-id"] = request.id
        return response

    async def _answer(self, request: Request) -> Response:
        operation = self._router.resolve(request)
        proof = await self._gate.identify(request, datetime.now(UTC), asks_in_form=operation.asks_in_form)
        if operation.is_slow:
            return await self._patiently(request, operation, proof)
        return await self._call(request, operation, proof)

    async def _call(self, request: Request, operation: Operation, proof: Proof) -> Response:
        name = request.address.bucket
        for _ in range(MAX_TRIES):
            kept = self._buckets.get(name)
            bucket = await self._bucket(operation, name)
            call = Call(request, operation, proof, self._backend, self._gate, bucket, self._keys)
            try:
                call.authorise()
                if bucket is not None:
                    check_expected_owner(request, bucket)
                refuse_unsupported_headers(request.headers)
                return check_decided(call, await operation.handler(call))
            except (StaleBucket, *BY_THE_BUCKET) as error:
                # What was kept is no longer so, or no longer allows it. But of a bucket that was just loaded that is
                # the last word, and when the body is gone, nothing can be repeated.
                self._buckets.pop(name, None)
                was_kept = bucket is not None and bucket is kept
                is_final = isinstance(error, BY_THE_BUCKET) and not was_kept
                if is_final or call.body_begun:
                    raise
                logger.debug("%s met an older bucket: %s", operation.name, error)
        raise StaleBucket(BucketName=name)

    async def _bucket(self, operation: Operation, name: str) -> Bucket | None:
        """The bucket; operations on objects may use the one kept, as each of their statements checks it."""
        if not operation.loads_bucket:
            return None
        kept = self._buckets.get(name) if operation.level == "object" else None
        if kept is not None:
            return kept
        bucket = await self._backend.get_bucket(name)
        if len(self._buckets) >= MAX_KEPT_BUCKETS:
            self._buckets.clear()
        self._buckets[name] = bucket
        return bucket

    async def _patiently(self, request: Request, operation: Operation, proof: Proof) -> Response:
        """The answer itself when it is soon there; else 200 at once, white space, and then the answer or the error.

        The work goes on when the client goes away: what it asked for may be half done.
        Source: https://docs.aws.amazon.com/AmazonS3/latest/API/API_CompleteMultipartUpload.html
        """
        body = _Watched(request.body)
        work = asyncio.ensure_future(self._call(replace(request, body=body), operation, proof))
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
    """The answer, unless its handler told of an object without having asked for the right to it: our mistake."""
    if call.operation.needs.level == "object" and not call.saw_version:
        raise RuntimeError(f"{call.operation.name} did not ask for the right to its object")
    return response


def check_expected_owner(request: Request, bucket: Bucket) -> None:
    """Refuse a bucket that is not whose the client thinks it is.

    Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucket-owner-condition.html
    """
    expected = request.headers.get("x-amz-expected-bucket-owner")
    if expected is not None and expected != bucket.owner:
        raise AccessDenied
