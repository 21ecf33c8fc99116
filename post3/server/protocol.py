"""Sanic's side of a connection, but for the parsing of heads, which is ours."""

from __future__ import annotations

import asyncio
from collections import deque
from time import monotonic
from typing import Any, Final, cast

from sanic.exceptions import BadRequest, PayloadTooLarge
from sanic.http import Http
from sanic.server import HttpProtocol

from post3.server._plain import parse_plain
from post3.server.head import Head, check_lines, check_target, parse_headers, parse_request_line
from post3.server.wire import Stream

_END: Final = b"\r\n\r\n"
_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
WORTH_KEEPING: Final = 16 * 1024
"""Bytes of a body from which what was received stays as it came, and is not copied behind what came before."""


class Requests(Http):
    """A connection's requests, one after another."""

    __slots__ = ("_may_stay",)

    def __init__(self, protocol: HttpProtocol) -> None:
        super().__init__(protocol)  # type: ignore[no-untyped-call]  # Sanic has no types here
        self._may_stay: bool = protocol.app.config.KEEP_ALIVE

    async def http1_request_header(self) -> None:
        """Receive a head and parse it into `request`; a body may follow.

        Raises PayloadTooLarge, BadRequest and InvalidURI.
        """
        end = await self._receive_head()
        plain = parse_plain(self.recv_buffer, end)
        if plain is None:
            method, target, version, headers = self._parse(end)
        else:
            method, target, headers = plain
            self.url, version, self.head_only = target, "1.1", method == "HEAD"
        stays = headers.get("connection", "" if version == "1.0" else "keep-alive")
        self.keep_alive = self._may_stay and stays.lower() == "keep-alive"
        stream: Any = self  # Sanic's types are narrower than what it does
        expect_body(stream, headers)
        # Of the two line ends behind the head, Sanic wants the second one before the first chunk.
        del self.recv_buffer[: end + (2 if stream.request_body == "chunked" else 4)]
        head: Any = Head(method, target, version, headers, stream)
        self.request = head

    def _parse(self, end: int) -> tuple[str, str, str, dict[str, str]]:
        """Method, target, version and headers of a head that is not plain. Raises BadRequest and InvalidURI."""
        text = self.recv_buffer[:end].decode(errors="surrogateescape")
        line, *lines = text.split("\r\n")
        method, target, version = parse_request_line(line)
        self.url = target
        self.head_only = method.upper() == "HEAD"
        headers = parse_headers(lines, version)
        check_target(target)
        check_lines(text, len(lines))
        return method, target, version, headers

    async def _receive_head(self) -> int:
        """Where the head ends in the buffer."""
        buffer: bytearray = self.recv_buffer
        searched = 0
        while (end := buffer.find(_END, searched)) < 0:
            searched = max(0, len(buffer) - 3)
            if searched >= self.HEADER_MAX_SIZE:
                break
            await self._receive_more()
        if not 0 <= end < self.HEADER_MAX_SIZE:
            raise PayloadTooLarge("Request header exceeds the size limit")
        return end

    async def read(self) -> bytes | None:
        """Some bytes of the body, None at its end; what S3Protocol kept as it came, uncopied.

        Raises BadRequest for a transfer coding that is wrong.
        """
        stream, kept = cast(Stream, self), cast(S3Protocol, self.protocol).kept
        if stream.request_body is True and stream.request_bytes_left:
            if stream.expecting_continue:
                stream.expecting_continue = False
                await self._send(_CONTINUE)
            if not kept and not self.recv_buffer:
                await self._receive_more()
        if not kept:
            return await super().read()
        data = kept.popleft()
        stream.request_bytes_left -= len(data)
        return data

    async def error_response(self, exception: Exception) -> None:
        """Tell of what Sanic finds wrong, to which it wants a request of its own kind."""
        self.request = None  # type: ignore[assignment]  # so it is until there is one
        await super().error_response(exception)


def expect_body(stream: Stream, headers: dict[str, str]) -> None:
    """Get ready to read what these headers announce. Raises BadRequest."""
    stream.request_bytes_left = stream.request_bytes = 0
    if "transfer-encoding" in headers:
        stream.request_body = "chunked"
    elif "content-length" in headers:
        stream.request_body = True
        try:
            stream.request_bytes_left = stream.request_bytes = int(headers["content-length"])
        except ValueError:
            raise BadRequest("Bad content-length") from None
    else:
        return
    stream.expecting_continue = "expect" in headers


class S3Protocol(HttpProtocol):
    """One connection. Of a body whose length is known, `kept` has what came, and `recv_buffer` what came after that."""

    __slots__ = ("_arrival", "_full", "kept")
    HTTP_CLASS = Requests

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._arrival: asyncio.Future[None] | None = None
        self._full: int = self.app.config.REQUEST_BUFFER_SIZE
        self.kept: deque[bytes] = deque()

    async def receive_more(self) -> None:
        """Wait until more bytes are in the buffer. One task waits, so that a future does what Sanic's event would."""
        assert self.transport is not None  # noqa: S101  # there is one as long as its task runs
        self.transport.resume_reading()
        self._arrival = self.loop.create_future()
        await self._arrival

    def data_received(self, data: bytes) -> None:
        self._time = monotonic()
        if len(data) >= WORTH_KEEPING and self._is_body(len(data)):
            self.kept.append(data)
            size = sum(map(len, self.kept))
        else:
            self.recv_buffer += data
            size = len(self.recv_buffer)
        if size >= self._full and self.transport:
            self.transport.pause_reading()
        if self._arrival is not None and not self._arrival.done():
            self._arrival.set_result(None)

    def _is_body(self, size: int) -> bool:
        """Whether so many bytes more are all of the body that is being read, and behind none in the buffer."""
        if self.http is None or self.recv_buffer:
            return False
        stream = cast(Stream, self.http)
        return stream.request_body is True and sum(map(len, self.kept)) + size <= stream.request_bytes_left
