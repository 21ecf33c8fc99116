"""One request and its answer: asked for, framed, and sent."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import AsyncIterator, Awaitable, Callable
from random import getrandbits
from time import gmtime, perf_counter, strftime
from typing import TypeAlias

from sanic.http import Stage

from post3.errors import InternalError, S3Error
from post3.model import cors
from post3.s3.message import Request, Response, error_response
from post3.s3.reply import CONTENT_TYPE, Ending, ending, head
from post3.server.head import Body, Head
from post3.server.wire import Wire

Answer: TypeAlias = Callable[[Request], Awaitable[Response]]
"""What answers requests: `Dispatcher.handle`."""
Read: TypeAlias = Callable[[Head, str, AsyncIterator[bytes]], Request]
"""What makes S3's request of a head, an id and a body: `read_request`, told about domains and proxies."""

logger = logging.getLogger("post3")
access_logger = logging.getLogger("post3.access")


class HangUp(BaseException):
    """Raised in place of an answer, or amid its body: the connection ends, and nothing more is said.

    What is sent by then reaches the client. No Exception, so that nobody on its way makes an answer of it.
    """


def new_id() -> str:
    """A request's id: 16 random hexadecimal digits."""
    return f"{getrandbits(64):016X}"


class Exchange:
    """One request of a connection and its answer."""

    __slots__ = ("_body", "_head", "_read", "_remote", "_wire", "id", "sent", "status")

    def __init__(self, request: Head, read: Read) -> None:
        self._head = request
        self._read = read
        self._remote = ""
        self._wire = Wire(request.stream)
        self._body = Body(self._wire)
        self.id = new_id()
        self.status = 0
        self.sent = 0
        """Bytes of the answer's body."""

    async def run(self, answer: Answer, *, stopping: Callable[[], bool]) -> None:
        """Ask for the answer and send it; an error is told as long as nothing is sent."""
        # Sanic limits bodies by this; ours are limited where their meaning is known.
        self._wire.stream.request_max_size = math.inf
        try:
            response = await self._ask(answer)
            if stopping():
                self._wire.stream.keep_alive = False
            await self._send(response)
            if stopping():
                # It began while the answer was on its way, and looked for idle connections too early.
                self._wire.close_when_idle()
        except HangUp:
            self._wire.give_up()
        except asyncio.CancelledError:
            # The client went away, or the server's patience is over. There is nobody to tell.
            self._wire.give_up()
            logger.debug("request %s (%s) was given up", self.id, self._head.method)
            raise

    async def _ask(self, answer: Answer) -> Response:
        try:
            request = self._read(self._head, self.id, self._body)
            self._remote = request.remote
            return await answer(request)
        except Exception as error:
            return self._refusal(error)

    def _refusal(self, error: Exception) -> Response:
        """The answer that tells of an error; of one that nobody expected, the log tells more."""
        if not isinstance(error, S3Error):
            self._log_error("failed", error)
            error = InternalError()
        path = self._head.target.partition("?")[0]
        response = error_response(error, self.id, path)
        response.headers["x-amz-request-id"] = self.id
        return response

    async def _send(self, response: Response) -> None:
        if isinstance(response.body, bytes):
            return await self._send_bytes(response, response.body)
        pieces = response.body
        try:
            return await self._send_stream(response, pieces)
        finally:
            close = getattr(pieces, "aclose", None)
            if close is not None:
                await close()

    async def _send_bytes(self, response: Response, body: bytes) -> None:
        how = ending(self._head.method, self._head.version, response.status, len(body))
        # The answer to HEAD tells the length of what GET would send.
        if how is Ending.LENGTH or "content-length" not in response.headers:
            response.headers["content-length"] = str(len(body))
        drains = self._wire.settle(self._body.begun)
        start = self._start(response, how)
        if how is Ending.LENGTH and body:
            self.sent = len(body)
            start += body
        await self._wire.write(start)
        if not self._wire.end_at_once():
            await self._wire.end(drains)

    async def _send_stream(self, response: Response, pieces: AsyncIterator[bytes]) -> None:
        """Send a body piece by piece; what fails before its first piece is an answer of its own."""
        told = response.headers.get("content-length")
        length = None if told is None else int(told)
        how = ending(self._head.method, self._head.version, response.status, length)
        first = b""
        if how is not Ending.NO_BODY:
            try:
                first = await anext(pieces, b"")
            except Exception as error:
                refusal = self._refusal(error)
                refusal.headers |= {
                    name: value for name, value in response.headers.items() if name in cors.RESPONSE_HEADERS
                }
                return await self._send(refusal)
        drains = self._wire.settle(self._body.begun)
        start = self._start(response, how)
        if how is Ending.NO_BODY:
            await self._wire.write(start)
        else:
            self._wire.write_in_turn()
            try:
                await self._send_pieces(start, first, pieces, length, how)
            except Exception as error:
                # What is sent cannot be taken back; it must not look complete.
                self._log_error("was cut", error)
                return self._wire.cut()
        return await self._wire.end(drains)

    async def _send_pieces(
        self, start: bytes, first: bytes, pieces: AsyncIterator[bytes], length: int | None, how: Ending
    ) -> None:
        """Send the head and all pieces. Raises ValueError unless they are as long as was announced."""
        chunked = how is Ending.CHUNKS
        self._count(first, length)
        await self._wire.write(start + (_chunk(first) if chunked else first))
        async for piece in pieces:
            self._count(piece, length)
            await self._wire.write(_chunk(piece) if chunked else piece)
        if length is not None and self.sent != length:
            raise ValueError(f"{self.sent} of {length} bytes")
        if chunked:
            await self._wire.write(b"0\r\n\r\n")
        await self._wire.wait_written()

    def _count(self, piece: bytes, length: int | None) -> None:
        self.sent += len(piece)
        if length is not None and self.sent > length:
            raise ValueError(f"more than the {length} bytes announced")

    def _start(self, response: Response, how: Ending) -> bytes:
        """The head as bytes; from now on the answer has begun."""
        stream, headers, status = self._wire.stream, response.headers, response.status
        self.status = status
        if status in (204, 304):
            headers.pop("content-length", None)
        elif how is Ending.CHUNKS:
            headers["transfer-encoding"] = "chunked"
        elif how is Ending.CLOSE:
            stream.keep_alive = False
        if "content-type" not in headers and status not in (204, 304) and headers.get("content-length") != "0":
            headers["content-type"] = CONTENT_TYPE
        stays = "keep-alive" if self._head.version == "1.0" else ""
        start = head(status, headers, stays if stream.keep_alive else "close")
        stream.stage = Stage.RESPONSE
        return start

    def _log_error(self, how: str, error: Exception) -> None:
        logger.error(
            "request %s (%s %r) %s", self.id, self._head.method, self._head.target.encode(), how, exc_info=error
        )

    def log(self, began: float) -> None:
        """Write the access log's line."""
        peer = self._head.conn_info
        # The port says something of the peer only, which may be a proxy.
        is_peer = peer is not None and self._remote in ("", peer.client_ip)
        access_logger.info(
            "%s %s %s %s %d %d %.1f ms %s",
            strftime("%Y-%m-%dT%H:%M:%SZ", gmtime()),
            f"{peer.client_ip}:{peer.client_port}" if peer and is_peer else self._remote or "-",
            self._head.method,
            self._head.target,
            self.status,
            self.sent,
            (perf_counter() - began) * 1000,
            self.id,
        )


def _chunk(data: bytes) -> bytes:
    # A chunk of no bytes would be the last.
    return b"%x\r\n%b\r\n" % (len(data), data) if data else b""
