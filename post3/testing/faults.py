"""What can go wrong between a client and its store, on demand: slow, refused, cut off.

Faults stand around the answering of requests, the oldest outermost (`Faults.answer`). Only requests that a fault is
about meet it, and only so many as it is told. Tests make and end them in their threads; the server's alone counts.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from concurrent.futures import Future
from dataclasses import replace
from functools import partial
from threading import Event, Lock
from types import TracebackType
from typing import Final, NamedTuple, Self, TypedDict, TypeVar, Unpack

from post3 import errors
from post3.errors import S3Error
from post3.operations import OPERATIONS
from post3.s3.message import Request, Response, error_response
from post3.server import Answer, HangUp
from post3.testing.requests import RecordedRequest

METHODS: Final = frozenset({"DELETE", "GET", "HEAD", "OPTIONS", "POST", "PUT"})
_CODES: Final = {
    400: "InvalidRequest",
    403: "AccessDenied",
    404: "NoSuchKey",
    405: "MethodNotAllowed",
    409: "OperationAborted",
    412: "PreconditionFailed",
    500: "InternalError",
    503: "SlowDown",
}
"""What a status alone stands for."""


class About(TypedDict, total=False):
    """Which requests a fault is about: all, unless these tell more."""

    times: int
    """How many meet it, the first ones; else all until it ends."""
    method: str
    bucket: str
    key: str
    operation: str
    """As S3 spells it: GetObject."""


class _Where(NamedTuple):
    """What a request must be to meet a fault; None: anything."""

    method: str | None
    bucket: str | None
    key: str | None
    operation: str | None

    def is_at(self, asked: RecordedRequest) -> bool:
        there = (asked.method, asked.bucket, asked.key, asked.operation)
        return all(wanted in (None, found) for wanted, found in zip(self, there, strict=True))


class Fault(ABC):
    """Something that goes wrong, until it has met as many requests as it should, or is ended, or its `with` is over."""

    def __init__(self, about: About) -> None:
        """Raises ValueError for a method or an operation that there is not, and for fewer times than one."""
        method, operation, times = about.get("method"), about.get("operation"), about.get("times")
        if method is not None and method not in METHODS:
            raise ValueError(f"method is {method!r}, but must be one of {', '.join(sorted(METHODS))}.")
        if operation is not None and operation not in OPERATIONS:
            raise ValueError(f"operation is {operation!r}, but must be one of S3's that post3 has, such as GetObject.")
        if times is not None and times < 1:
            raise ValueError(f"times is {times}, but must be at least 1.")
        self.hits: int = 0
        """How many requests have met it."""
        self._where = _Where(method, about.get("bucket"), about.get("key"), operation)
        self._times = times
        self._ended: Future[None] = Future()
        self._met = Event()

    @property
    def is_over(self) -> bool:
        """Whether no request meets it any more."""
        return self._ended.done() or self.hits == self._times

    def end(self) -> None:
        """Let no other request meet it; those that it holds up go on."""
        if not self._ended.done():
            self._ended.set_result(None)

    def wait(self, seconds: float = 10.0) -> None:
        """Wait until a request has met it. Raises TimeoutError when none does within so many seconds."""
        if not self._met.wait(seconds):
            raise TimeoutError(f"No request met the fault within {seconds} seconds.")

    def is_about(self, asked: RecordedRequest) -> bool:
        """Whether such a request meets it."""
        return not self.is_over and self._where.is_at(asked)

    @abstractmethod
    async def answer(self, otherwise: Answer, request: Request) -> Response:
        """The answer to a request that it is about, which `otherwise` answers in its absence."""

    def _meets(self) -> bool:
        """Count a request, if it still meets the fault when it comes to it."""
        if self.is_over:
            return False
        self.hits += 1
        self._met.set()
        return True

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.end()


class _Slow(Fault):
    """Requests wait before they are answered."""

    def __init__(self, seconds: float, about: About) -> None:
        super().__init__(about)
        if not seconds >= 0:
            raise ValueError(f"seconds is {seconds}, but must not be negative.")
        self._seconds = seconds

    async def answer(self, otherwise: Answer, request: Request) -> Response:
        if self._meets():
            await asyncio.wait({asyncio.wrap_future(self._ended)}, timeout=self._seconds)
        return await otherwise(request)


class _Failing(Fault):
    """Requests are refused before anything is done."""

    def __init__(self, make: Callable[[], S3Error], about: About) -> None:
        super().__init__(about)
        self._make = make

    async def answer(self, otherwise: Answer, request: Request) -> Response:
        if not self._meets():
            return await otherwise(request)
        response = error_response(self._make(), request.id, request.path)
        response.headers["x-amz-request-id"] = request.id
        return response


class _CutAnswer(Fault):
    """What is asked for is done, but its answer breaks off."""

    def __init__(self, after_bytes: int | None, about: About) -> None:
        super().__init__(about)
        self._after = None if after_bytes is None else _whole(after_bytes)

    async def answer(self, otherwise: Answer, request: Request) -> Response:
        response = await otherwise(request)
        if self._after is None:
            if self._meets():
                await _close(response.body)
                raise HangUp
        elif _is_longer(request, response, self._after) and self._meets():
            response.body, length = _broken_off(_pieces(response.body), self._after), _length(response)
            if length is not None:
                response.headers["content-length"] = str(length)
        return response


class _CutRequest(Fault):
    """A request breaks off before it is done."""

    def __init__(self, after_bytes: int, about: About) -> None:
        super().__init__(about)
        self._after = _whole(after_bytes)

    async def answer(self, otherwise: Answer, request: Request) -> Response:
        if not self._after:
            if self._meets():
                raise HangUp
        elif _body_is_longer(request, self._after) and self._meets():
            request = replace(request, body=_broken_off(request.body, self._after))
        return await otherwise(request)


F = TypeVar("F", bound=Fault)


class Faults:
    """All faults of a server. May be used from any thread."""

    def __init__(self) -> None:
        self._open: tuple[Fault, ...] = ()
        self._lock = Lock()

    def slow(self, seconds: float, **about: Unpack[About]) -> Fault:
        """Let requests wait for so many seconds before anything is done. Raises ValueError."""
        return self._add(_Slow(seconds, about))

    def fail(
        self, status: int | None = None, code: str | None = None, message: str | None = None, **about: Unpack[About]
    ) -> Fault:
        """Refuse requests with an error before anything is done: 503 SlowDown, unless told otherwise.

        A code of S3's has its status and its message, a status its most usual code. Raises ValueError for a status that
        has none, and for a code that S3 has not where no status is given.
        """
        return self._add(_Failing(_error(status, code, message), about))

    def cut(self, after_bytes: int | None = None, **about: Unpack[About]) -> Fault:
        """Do what is asked, but end the connection in place of the answer, or when so many bytes of its body are sent.

        An answer whose body is not longer than that does not meet the fault. Raises ValueError.
        """
        return self._add(_CutAnswer(after_bytes, about))

    def cut_request(self, after_bytes: int = 0, **about: Unpack[About]) -> Fault:
        """End the connection before anything is done, or when so many bytes of the request's body have come.

        Bytes are counted as they are sent, with the framing of signed chunks. A request whose body is not longer than
        that does not meet the fault. Raises ValueError.
        """
        return self._add(_CutRequest(after_bytes, about))

    def clear(self) -> None:
        """End all."""
        with self._lock:
            ended, self._open = self._open, ()
        for fault in ended:
            fault.end()

    async def answer(self, asked: RecordedRequest, request: Request, answer: Answer) -> Response:
        """The answer, after all faults that such a request meets."""
        for fault in reversed(self._open):
            if fault.is_about(asked):
                answer = partial(fault.answer, answer)
        return await answer(request)

    def _add(self, fault: F) -> F:
        with self._lock:
            self._open = (*(one for one in self._open if not one.is_over), fault)
        return fault


def _error(status: int | None, code: str | None, message: str | None) -> Callable[[], S3Error]:
    """What makes an error of these. Raises ValueError."""
    if code is None:
        code = _CODES.get(503 if status is None else status)
        if code is None:
            raise ValueError(f"Which error has the status {status}? Say its code: fail({status}, 'NoSuchThing').")
    known = _KINDS.get(code)
    if status is None and known is None:
        raise ValueError(f"{code!r} is no code of S3's that post3 knows; say its status too.")
    told = known.status if status is None and known else status
    if told is None or not 300 <= told <= 599:
        raise ValueError(f"status is {told}, but must be from 300 to 599.")
    kind = type(code, (S3Error,), {"__doc__": known.__doc__ if known else code}, status=told, code=code)
    return partial(kind, message)


_KINDS: Final = {
    kind.code: kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, S3Error)
}
"""S3's errors by their codes."""


def _whole(number: int) -> int:
    if number < 0:
        raise ValueError(f"after_bytes is {number}, but must not be negative.")
    return number


def _length(response: Response) -> int | None:
    """Of its body; None where it is not known yet."""
    if isinstance(response.body, bytes):
        return len(response.body)
    told = response.headers.get("content-length")
    return None if told is None else int(told)


def _is_longer(request: Request, response: Response, than: int) -> bool:
    if request.method == "HEAD" or response.status in (204, 304):
        return False
    length = _length(response)
    return length is None or length > than


def _body_is_longer(request: Request, than: int) -> bool:
    length = request.headers.get("content-length")
    return "transfer-encoding" in request.headers if length is None else int(length) > than


async def _pieces(body: bytes | AsyncIterator[bytes]) -> AsyncGenerator[bytes, None]:
    if isinstance(body, bytes):
        yield body
        return
    try:
        async for piece in body:
            yield piece
    finally:
        await _close(body)


async def _close(body: bytes | AsyncIterator[bytes]) -> None:
    close = getattr(body, "aclose", None)
    if close is not None:
        await close()


async def _broken_off(pieces: AsyncIterator[bytes], after: int) -> AsyncGenerator[bytes, None]:
    """So many bytes of them, then the end of the connection."""
    try:
        async for piece in pieces:
            if len(piece) > after:
                yield piece[:after]
                raise HangUp
            after -= len(piece)
            yield piece
    finally:
        await _close(pieces)
