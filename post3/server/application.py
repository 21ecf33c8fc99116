"""Sanic, with every request answered by one function, and its own errors told as S3 tells them."""

from __future__ import annotations

import asyncio
import logging
import math
import os
import sys
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from functools import partial
from time import perf_counter
from typing import Any, Final, cast

from sanic import Sanic
from sanic.exceptions import PayloadTooLarge, URITooLong
from sanic.exceptions import RequestTimeout as SanicRequestTimeout
from sanic.handlers import ErrorHandler
from sanic.http import Http
from sanic.request import Request as SanicRequest
from sanic.response import HTTPResponse

from post3.errors import (
    InternalError,
    InvalidRequest,
    InvalidURI,
    RequestHeaderSectionTooLarge,
    RequestTimeout,
    S3Error,
    ServiceUnavailable,
)
from post3.s3.message import error_response
from post3.s3.reply import own_headers
from post3.server.certificate import Certificate
from post3.server.exchange import Answer, Exchange, access_logger, logger, new_id
from post3.server.forwarded import TrustedProxies
from post3.server.head import Head, read_request
from post3.server.protocol import S3Protocol
from post3.server.tls import tls_protocol
from post3.server.wire import MAX_DRAIN, Stream, Wire

PATIENCE: Final = 10.0
"""Seconds that requests in flight have when the server stops."""
MAX_HEAD: Final = 16_384
"""Sanic's ceiling."""


class Erring(SanicRequest):
    """The request that Sanic makes to tell of an error, with the very target that may be the error."""

    def __init__(self, url_bytes: bytes, *args: Any, **kwargs: Any) -> None:
        super().__init__(b"*", *args, **kwargs)
        self.raw_url = url_bytes


class Errors(ErrorHandler):
    """What Sanic finds wrong before a request exists, as S3 tells it."""

    def default(self, request: SanicRequest, exception: Exception) -> HTTPResponse:
        error = as_s3_error(exception)
        if isinstance(error, InternalError) and isinstance(exception, Exception):  # not when the client went away
            logger.error("a request failed before it was read", exc_info=exception)
        request_id = new_id()
        path = request.raw_url.decode("ascii", "replace").partition("?")[0]
        answer = error_response(error, request_id, path)
        return HTTPResponse(
            cast(bytes, answer.body),
            error.status,
            {**own_headers(), "x-amz-request-id": request_id},
            content_type="application/xml",
        )


def as_s3_error(exception: BaseException) -> S3Error:
    """The S3 error for one of Sanic's."""
    if isinstance(exception, S3Error):
        return exception
    for kind, error in _S3_ERRORS:
        if isinstance(exception, kind):
            return error()
    status = getattr(exception, "status_code", 500)
    if status == 503:
        return ServiceUnavailable()
    return InvalidRequest(str(exception)) if status < 500 else InternalError()


_S3_ERRORS: Final[tuple[tuple[type[BaseException], type[S3Error]], ...]] = (
    (PayloadTooLarge, RequestHeaderSectionTooLarge),  # of a body it is never raised: their limit is lifted
    (URITooLong, InvalidURI),
    (SanicRequestTimeout, RequestTimeout),
)

_OF_HEADS: Final = (InvalidRequest, InvalidURI, RequestHeaderSectionTooLarge)


class Application(Sanic[Any, Any]):
    """Sanic, with every request answered by one function."""

    def __init__(self, name: str, edge: Edge) -> None:
        super().__init__(name, request_class=Erring, error_handler=Errors(), configure_logging=False)
        self.ctx.edge = edge
        # Sanic wants a route; `handle_request` does not ask for it.
        self.add_route(_unrouted, "/", name="all")
        self.before_server_start(edge.open)
        self.before_server_stop(edge.stop)
        self.after_server_stop(edge.close)
        self.config.update(
            ACCESS_LOG=False,
            AUTO_EXTEND=False,
            GRACEFUL_SHUTDOWN_TIMEOUT=PATIENCE,
            KEEP_ALIVE_TIMEOUT=120,
            MOTD=False,
            REQUEST_BUFFER_SIZE=256 * 1024,
            REQUEST_MAX_HEADER_SIZE=MAX_HEAD,
            REQUEST_MAX_SIZE=MAX_DRAIN,
            REQUEST_TIMEOUT=60,
            # A long commit moves no bytes; clients that move none are told apart in Body and Exchange.
            RESPONSE_TIMEOUT=math.inf,
        )

    async def _startup(self) -> None:
        # It rewrites Sanic's functions from their source, which works once in a process; not where that is refused.
        self.config.TOUCHUP = self.config.TOUCHUP is not False and not getattr(Http, "__touched__", False)
        await super()._startup()  # type: ignore[no-untyped-call]  # Sanic has no types here

    def handle_request(self, request: Any) -> Coroutine[Any, Any, None]:
        """Answer a request, which is a Head."""
        edge: Edge = self.ctx.edge
        return edge.handle(request)

    async def handle_exception(
        self, request: SanicRequest, exception: BaseException, run_middleware: bool = True
    ) -> None:
        """Tell of what Sanic finds wrong; a client that still sends the head that is refused reads its refusal too."""
        await super().handle_exception(request, exception, run_middleware)
        if isinstance(as_s3_error(exception), _OF_HEADS):
            await Wire(cast(Stream, request.stream)).linger()

    def prepare(self, host: str | None = None, port: int | None = None, **kwargs: Any) -> None:
        """What `sanic post3.app` calls: where it names no address, post3's settings do."""
        edge: Edge = self.ctx.edge
        if not any(kwargs.get(name) for name in ("sock", "unix")):
            host, port = host or edge.host, port or edge.port
            try:
                edge.check(host, port, kwargs.get("workers", 1))
            except ValueError as error:
                sys.exit(f"post3: {error}")
        if kwargs.get("ssl"):
            sys.exit(
                "post3: For TLS, say POST3_TLS_CERT and POST3_TLS_KEY in place of Sanic's --cert, --key and --tls."
            )
        super().prepare(host, port, **{**kwargs, "protocol": edge.protocol})


async def _unrouted(request: SanicRequest) -> HTTPResponse:
    raise NotImplementedError


class Edge:
    """What a server's exchanges share."""

    def __init__(
        self,
        start: Callable[[], Awaitable[Answer]],
        finish: Callable[[], Awaitable[None]],
        *,
        host: str,
        port: int,
        check: Callable[[str, int, int], None],
        access_log: bool,
        domains: Sequence[str],
        proxies: TrustedProxies,
        certificate: Certificate | None,
    ) -> None:
        self.host, self.port, self.check = host, port, check
        self.certificate = certificate
        self._read = partial(read_request, domains=domains, proxies=proxies)
        self._following: asyncio.Task[None] | None = None
        self._start, self._finish = start, finish
        self._access_log = access_log
        self._answer: Answer | None = None
        self._stopping = False
        self._active = 0

    @property
    def protocol(self) -> Callable[..., asyncio.Protocol]:
        """What is made for each connection."""
        return S3Protocol if self.certificate is None else tls_protocol

    async def open(self, _: object = None) -> None:
        """Get ready to answer; raises what `start` raises."""
        self._answer = await self._start()
        if self.certificate is not None:
            self._following = asyncio.create_task(self.certificate.follow())

    async def stop(self, _: object = None) -> None:
        """From now on, each connection ends with the answer that is under way."""
        self._stopping = True

    async def close(self, _: object = None) -> None:
        """Give everything back, after what is still under way has cleaned up."""
        for _ in range(500):
            if not self._active:
                break
            await asyncio.sleep(0.01)
        if self._following is not None:
            self._following.cancel()
        if self._answer is not None:
            self._answer = None
            await self._finish()

    async def handle(self, request: Head) -> None:
        """Answer one request."""
        assert self._answer is not None  # noqa: S101  # Sanic listens only after `open`
        exchange = Exchange(request, self._read)
        began = perf_counter() if self._access_log else 0.0
        self._active += 1
        try:
            await exchange.run(self._answer, stopping=self._is_stopping)
        finally:
            self._active -= 1
            if self._access_log:
                exchange.log(began)

    def _is_stopping(self) -> bool:
        return self._stopping


def build_sanic(
    name: str,
    start: Callable[[], Awaitable[Answer]],
    finish: Callable[[], Awaitable[None]],
    *,
    host: str = "127.0.0.1",
    port: int = 9000,
    check: Callable[[str, int, int], None] = lambda host, port, workers: None,
    access_log: bool = False,
    domains: Sequence[str] = (),
    proxies: TrustedProxies | None = None,
    certificate: Certificate | None = None,
) -> Sanic[Any, Any]:
    """A Sanic application whose every request is answered by what `start` returns.

    `start` runs in each worker before it listens, `finish` after its last answer. Host and port are for `sanic
    post3.app`, which may name others: `check` raises ValueError for a host, port and number of workers that may not be.
    Hosts below one of the `domains`, in lower case, name buckets. With a certificate, it speaks TLS and nothing else.
    """
    quiet_sanic()
    if access_log:
        _write_access_log()
    edge = Edge(
        start,
        finish,
        host=host,
        port=port,
        check=check,
        access_log=access_log,
        domains=domains,
        proxies=proxies or TrustedProxies(),
        certificate=certificate,
    )
    return Application(name, edge)


def quiet_sanic() -> None:
    """Leave Sanic's warnings and errors, not its tale of starting."""
    os.environ.setdefault("SANIC_IGNORE_PRODUCTION_WARNING", "true")
    for name in ("sanic.root", "sanic.server", "sanic.access"):
        logging.getLogger(name).setLevel(logging.WARNING)


def _write_access_log() -> None:
    access_logger.setLevel(logging.INFO)
    access_logger.propagate = False
    if not access_logger.handlers:
        handler = logging.StreamHandler(sys.stdout)
        handler.setFormatter(logging.Formatter("%(message)s"))
        access_logger.addHandler(handler)
