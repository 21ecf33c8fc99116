"""TLS between a connection's socket and its protocol.

A layer of our own, as what an event loop brings would change the meaning of the transport above it: there the size of
the buffer leaves out what waits for the socket, so that an answer is cut when its connection closes after it and a
client that takes little at a time is taken for one that takes nothing; and one direction cannot be closed alone. Here,
all that is written goes to the socket's transport at once, encrypted, and what is asked of this transport is asked of
that one: its buffer, its limits, its pauses, its end.

    socket -> transport -> [ TlsConnection ] -> protocol      data_received
    socket <- transport <- [ TlsConnection ] <- protocol      write

The protocol hears of its connection when the handshake is done. Source: RFC 8446, 6.1 (how a connection closes)
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from contextlib import suppress
from typing import Any, Final, cast

from post3.server.protocol import S3Protocol

logger = logging.getLogger("post3")

HANDSHAKE_TIME: Final = 30.0
"""Seconds that a client has for its handshake."""
_READ_SIZE: Final = 65_536
"""More than a record of TLS holds."""
_NOT_TLS: Final = (
    b"HTTP/1.1 400 Bad Request\r\ncontent-type: text/plain\r\ncontent-length: 40\r\nconnection: close\r\n\r\n"
    b"This port speaks TLS: say https, please\n"
)


def tls_protocol(*, app: Any, **kwargs: Any) -> TlsConnection:
    """What Sanic makes for each connection that it accepts, in place of its own protocol.

    It has the certificate that is in force by then.
    """
    return TlsConnection(app.ctx.edge.certificate.context, S3Protocol(app=app, **kwargs))


class TlsConnection(asyncio.Transport, asyncio.Protocol):
    """The protocol of the transport below, and the transport of the protocol above."""

    _below: asyncio.Transport
    _limit: asyncio.TimerHandle

    def __init__(self, context: ssl.SSLContext, above: asyncio.Protocol) -> None:
        super().__init__()
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self._above = above
        self._established = False

    # What the transport below says

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._below = cast(asyncio.Transport, transport)
        self._limit = asyncio.get_running_loop().call_later(HANDSHAKE_TIME, self._below.abort)

    def data_received(self, data: bytes) -> None:
        self._incoming.write(data)
        try:
            if self._established or self._shake_hands():
                self._read()
        except ssl.SSLError as error:
            self._fail(error)

    def eof_received(self) -> None:
        if self._established:
            self._above.eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        self._limit.cancel()
        if self._established:
            self._above.connection_lost(exc)

    def pause_writing(self) -> None:
        if self._established:
            self._above.pause_writing()

    def resume_writing(self) -> None:
        if self._established:
            self._above.resume_writing()

    def _shake_hands(self) -> bool:
        """Whether the handshake is done by now."""
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            return False
        finally:
            self._flush()
        self._limit.cancel()
        self._established = True
        self._above.connection_made(self)
        return True

    def _read(self) -> None:
        """Hand on all that can be decrypted."""
        pieces, ended = [], False
        with suppress(ssl.SSLWantReadError):
            while not ended and (self._incoming.pending or self._tls.pending()):
                try:
                    pieces.append(self._tls.read(_READ_SIZE))
                except ssl.SSLZeroReturnError:
                    pieces.append(b"")
                ended = not pieces[-1]
        self._flush()
        if data := b"".join(pieces):
            self._above.data_received(data)
        if ended:
            self._above.eof_received()
            self.close()

    def _flush(self) -> None:
        """Send what is encrypted."""
        if self._outgoing.pending:
            self._below.write(self._outgoing.read())

    def _fail(self, error: ssl.SSLError) -> None:
        """End a connection that breaks the protocol; the alert that says so is sent."""
        logger.debug("a connection failed: %s", error)
        self._flush()
        if error.reason == "HTTP_REQUEST":
            self._below.write(_NOT_TLS)
        self._below.close()

    # What the protocol above asks

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self._tls if name == "ssl_object" else self._below.get_extra_info(name, default)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        left = memoryview(data)
        try:
            while left:
                left = left[self._tls.write(left) :]
        except ssl.SSLError as error:
            return self._fail(error)
        return self._flush()

    def write_eof(self) -> None:
        self._say_the_end()
        self._below.write_eof()

    def close(self) -> None:
        if not self._below.is_closing():
            self._say_the_end()
            self._below.close()

    def _say_the_end(self) -> None:
        # The client's own farewell is not waited for, as HTTP tells where an answer ends.
        with suppress(ssl.SSLError):
            self._tls.unwrap()
        self._flush()

    def can_write_eof(self) -> bool:
        return self._below.can_write_eof()

    def abort(self) -> None:
        self._below.abort()

    def is_closing(self) -> bool:
        return self._below.is_closing()

    def is_reading(self) -> bool:
        return self._below.is_reading()

    def pause_reading(self) -> None:
        self._below.pause_reading()

    def resume_reading(self) -> None:
        self._below.resume_reading()

    def get_write_buffer_size(self) -> int:
        return self._below.get_write_buffer_size()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self._below.set_write_buffer_limits(high, low)
