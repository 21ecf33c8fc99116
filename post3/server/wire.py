"""A connection as Sanic keeps it: what is used of its inside, and how its end is made to mean what it should.

The stage says what may still be said. It stays true throughout, as Sanic goes on with the connection's next request:

    HANDLER   nothing is sent yet: an error can still be told
    RESPONSE  the head is sent: an error can only cut the connection
    IDLE      all is sent: the next request may come
    FAILED    nothing more can be said; Sanic closes the connection in silence
"""

from __future__ import annotations

import asyncio
import re
import struct
from array import array
from collections.abc import Collection
from contextlib import suppress
from fcntl import ioctl
from socket import SO_LINGER, SOL_SOCKET
from termios import TIOCOUTQ
from time import monotonic
from typing import Any, Final, Protocol

from sanic.exceptions import BadRequest, SanicException
from sanic.http import Stage

STALL: Final = 60.0
"""Seconds in which a client must send, or take, at least one byte of a body."""
MAX_DRAIN: Final = 1024 * 1024
"""Bytes of an unread body that are read and thrown away, so that the client sees the answer."""
DRAIN_TIME: Final = 2.0
FAIRNESS: Final = 256
"""Reads of one body after which others have their turn."""
MAX_CHUNK_LINE: Final = 64
"""Bytes of a chunk's size, its extensions included."""

_CHUNK_LINE: Final = re.compile(rb"[0-9A-Fa-f]{1,16}[ \t]*(;[^\r\n]*)?")
_RESET: Final = struct.pack("ii", 1, 0)


class Transport(Protocol):
    """What is used of a connection's transport."""

    def write(self, data: bytes) -> None: ...
    def write_eof(self) -> None: ...
    def abort(self) -> None: ...
    def is_closing(self) -> bool: ...
    def get_write_buffer_size(self) -> int: ...
    def set_write_buffer_limits(self, high: int, low: int) -> None: ...
    def get_extra_info(self, name: str) -> Any: ...


class Connection(Protocol):
    """What is used of Sanic's HttpProtocol."""

    transport: Transport | None
    kept: Collection[bytes]
    _can_write: asyncio.Event
    _time: float

    async def receive_more(self) -> None: ...
    def close(self) -> None: ...
    def abort(self) -> None: ...


class Stream(Protocol):
    """What is used of Sanic's Http, the state of a connection's current request."""

    protocol: Connection
    stage: Stage
    keep_alive: bool
    recv_buffer: bytearray
    expecting_continue: bool
    request_body: bool | str | None
    """True with a content-length, "chunked", or None when all of it is read."""
    request_bytes: int
    """Of the body, or of its chunks so far."""
    request_bytes_left: int
    request_max_size: float

    async def read(self) -> bytes | None: ...


class Wire:
    """A connection, for the time of one request."""

    __slots__ = ("_connection", "_reads", "stream")

    def __init__(self, stream: Stream) -> None:
        self.stream = stream
        self._connection = stream.protocol
        self._reads = 0

    @property
    def _transport(self) -> Transport:
        transport = self._connection.transport
        if transport is None:
            raise asyncio.CancelledError
        return transport

    def settle(self, begun: bool) -> bool:
        """Decide on what is unread of the request before its answer says whether the connection stays.

        True: it stays, and the rest is to be read. A client that waits for `100 Continue` rightly sends nothing after a
        refusal, and a long rest is not worth the wait: then the connection is closed.
        """
        stream = self.stream
        if stream.request_body is True and not stream.request_bytes_left:
            stream.request_body, stream.expecting_continue = None, False
        if not stream.request_body:
            return False
        short = begun if stream.request_body == "chunked" else stream.request_bytes_left <= MAX_DRAIN
        if stream.expecting_continue or not short:
            stream.keep_alive = False
        stream.expecting_continue = False
        return stream.keep_alive

    async def read(self) -> bytes | None:
        """Some bytes of the request's body, None at its end. Raises TimeoutError for a client that sends nothing.

        Raises SanicException for a transfer coding that is wrong.
        """
        stream = self.stream
        self._reads += 1
        if not self._reads % FAIRNESS:
            # Bytes that are there already come without a wait: others have their turn in between.
            await asyncio.sleep(0)
        is_there = self._connection.kept or stream.recv_buffer
        if stream.request_body is True and (is_there or not stream.request_bytes_left):
            return await stream.read()  # at once: no need of a timer
        async with asyncio.timeout(STALL):
            if stream.request_body == "chunked" and not stream.request_bytes_left and not stream.expecting_continue:
                await self._check_chunk()
            return await stream.read()

    async def _check_chunk(self) -> None:
        """Raise BadRequest unless the last chunk ends where it should, and the next one's size is written as RFC 9112
        (7.1) has it: Sanic takes the one for granted and reads the other as Python reads numbers.
        """
        received = self.stream.recv_buffer
        while (end := received.find(b"\r\n", 2)) < 0:
            if len(received) >= 2 and not received.startswith(b"\r\n"):
                raise BadRequest("A chunk is longer than it says.")
            if len(received) > MAX_CHUNK_LINE:
                raise BadRequest("The size of a chunk takes too many characters.")
            await self._connection.receive_more()
        if not received.startswith(b"\r\n"):
            raise BadRequest("A chunk is longer than it says.")
        if not _CHUNK_LINE.fullmatch(received, 2, end):
            raise BadRequest("The size of a chunk is no hexadecimal number.")

    def close_when_idle(self) -> None:
        """Let the connection end after this request, though its answer said that it stays."""
        self.stream.keep_alive = False

    async def write(self, data: bytes) -> None:
        """Write when the client has taken what was written before. Raises CancelledError when it is gone."""
        connection = self._connection
        if not connection._can_write.is_set():
            await self.wait_written()
        transport = self._transport
        if transport.is_closing():
            raise asyncio.CancelledError
        transport.write(data)
        connection._time = monotonic()

    def write_in_turn(self) -> None:
        """From now on the next piece waits until the socket has taken all of the one before: memory stays flat."""
        self._transport.set_write_buffer_limits(high=65_536, low=0)

    async def wait_written(self) -> None:
        """Wait until the client has taken what was written; cut the connection when it takes nothing for long."""
        while not self._connection._can_write.is_set():
            before = self._unsent()
            try:
                async with asyncio.timeout(STALL):
                    await self._connection._can_write.wait()
            except TimeoutError:
                if self._unsent() >= before:
                    self.cut()
                    raise asyncio.CancelledError from None

    def _unsent(self) -> int:
        """Bytes that the client has yet to take, those in the kernel's hands included."""
        unsent = array("i", [0])
        with suppress(OSError):
            ioctl(self._transport.get_extra_info("socket").fileno(), TIOCOUTQ, unsent)
        return unsent[0] + self._transport.get_write_buffer_size()

    def end_at_once(self) -> bool:
        """Get the connection ready for its next request where nothing of this one is left to be read; tells whether."""
        if self.stream.request_body:
            return False
        self.stream.request_body, self.stream.stage = None, Stage.IDLE
        return True

    async def end(self, drains: bool) -> None:
        """All is sent: get the connection ready for its next request, or for its end."""
        stream = self.stream
        if drains and not await self._drain():
            stream.keep_alive = False
        unread, stream.request_body = bool(stream.request_body), None
        stream.stage = Stage.IDLE
        if unread and not stream.keep_alive:
            stream.stage = Stage.FAILED
            await self.linger()

    async def _drain(self) -> bool:
        """Read the rest of the request's body; whether it came to its end soon enough."""
        left = MAX_DRAIN
        try:
            async with asyncio.timeout(DRAIN_TIME):
                while self.stream.request_body and left >= 0:
                    left -= len(await self.read() or b"")
        except (TimeoutError, SanicException):
            return False
        return left >= 0

    async def linger(self) -> None:
        """Say that nothing more comes, and take what is on its way: closing over it would destroy the answer."""
        left = MAX_DRAIN
        if self._transport.is_closing():
            return
        self._transport.write_eof()
        with suppress(TimeoutError):
            async with asyncio.timeout(DRAIN_TIME):
                while left > 0:
                    left -= len(self.stream.recv_buffer)
                    self.stream.recv_buffer.clear()
                    await self._connection.receive_more()

    def give_up(self) -> None:
        """Nothing more is said; the connection ends."""
        self.stream.stage, self.stream.request_body = Stage.FAILED, None

    def cut(self) -> None:
        """End the connection so that no client takes what it got for the whole."""
        self.give_up()
        transport = self._connection.transport
        if transport is not None:
            transport.get_extra_info("socket").setsockopt(SOL_SOCKET, SO_LINGER, _RESET)
            self._connection.abort()
