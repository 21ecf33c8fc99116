"""A small client for what wrk cannot do: requests that are sent once each, and HEAD, whose reply has no body.

One thread, epoll, and prepared bytes: it spends some ten microseconds on a request.
"""

from __future__ import annotations

import re
import select
import socket
import ssl
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import islice
from time import monotonic
from typing import Final
from urllib.parse import urlsplit

PATIENCE: Final = 60.0
"""Seconds without any byte from anywhere after which it is given up."""
_LENGTH: Final = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_CHUNKED: Final = re.compile(rb"\r\ntransfer-encoding: *chunked", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of some load."""

    requests: int
    """Replies that came, whole."""
    seconds: float
    size: int = 0
    """Bytes received."""
    failures: dict[str, int] = field(default_factory=dict)
    """How many of each kind; empty when all went well."""
    median: float = 0.0
    """Seconds that half of the replies took at most; 0 where that was not looked at."""
    slow: float = 0.0
    """The same of 99 of 100."""


@dataclass(frozen=True, slots=True)
class Reply:
    """A whole reply."""

    status: int
    head: bytes
    body: bytes

    def header(self, name: str) -> str:
        """The header's value; empty where it is missing."""
        found = re.search(rf"\r\n{name}: *([^\r]*)".encode(), self.head, re.IGNORECASE)
        return found[1].decode("latin-1") if found else ""


class _Received:
    """The bytes of one reply, as they come."""

    def __init__(self, *, is_head: bool) -> None:
        self._is_head = is_head
        self._data = bytearray()
        self._end = 0
        """Where the head ends; 0 while it has not."""
        self._whole = -1
        """Bytes of all; -1 while that is not known."""

    def feed(self, data: bytes) -> Reply | None:
        """The reply, once it is whole."""
        self._data += data
        if not self._end:
            self._end = self._data.find(b"\r\n\r\n") + 4
            if self._end < 4:
                self._end = 0
                return None
            self._whole = self._length()
        if self._whole < 0:
            return self._reply() if self._data.endswith(b"\r\n0\r\n\r\n") else None
        return self._reply() if len(self._data) >= self._whole else None

    def _length(self) -> int:
        head = bytes(self._data[: self._end])
        if self._is_head or head[9:12] in (b"204", b"304"):
            return self._end
        if _CHUNKED.search(head):
            return -1
        found = _LENGTH.search(head)
        return self._end + (int(found[1]) if found else 0)

    def _reply(self) -> Reply:
        head, body = bytes(self._data[: self._end]), bytes(self._data[self._end :])
        return Reply(int(head[9:12]), head, body if self._whole >= 0 else _dechunked(body))


def _dechunked(body: bytes) -> bytes:
    parts: list[bytes] = []
    position = 0
    while True:
        line = body.index(b"\r\n", position)
        size = int(body[position:line].partition(b";")[0], 16)
        if not size:
            return b"".join(parts)
        parts.append(body[line + 2 : line + 2 + size])
        position = line + 4 + size


def connect(url: str) -> socket.socket:
    """A connection to the server; its certificate is not looked at, as it was made for this run."""
    parts = urlsplit(url)
    plain = socket.create_connection((parts.hostname, parts.port), timeout=PATIENCE)
    plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if parts.scheme != "https":
        return plain
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context.wrap_socket(plain)


def ask(url: str, request: bytes) -> Reply:
    """One reply to one request, on a connection of its own. Raises OSError."""
    with connect(url) as connection:
        connection.sendall(request)
        received = _Received(is_head=request.startswith(b"HEAD "))
        while data := connection.recv(1 << 20):
            if (reply := received.feed(data)) is not None:
                return reply
    raise ConnectionError("the server closed the connection without a whole reply")


def told(reply: Reply) -> str:
    """A refusal in short: its status, and the code of its document."""
    code = re.search(rb"<Code>([^<]*)", reply.body)
    return f"{reply.status} {code[1].decode()}" if code else str(reply.status)


class _Talk:
    """One connection with a request under way."""

    def __init__(self, url: str) -> None:
        self.socket = connect(url)
        self.socket.setblocking(False)
        self._unsent = memoryview(b"")
        self._received = _Received(is_head=False)
        self.request = b""

    def begin(self, request: bytes) -> None:
        """Send the next request."""
        self.request = request
        self._unsent = memoryview(request)
        self._received = _Received(is_head=request.startswith(b"HEAD "))
        self.send()

    def send(self) -> None:
        """Send what can be sent now."""
        try:
            while self._unsent:
                self._unsent = self._unsent[self.socket.send(self._unsent) :]
        except (BlockingIOError, ssl.SSLWantWriteError):
            return

    @property
    def interest(self) -> int:
        """What epoll should wait for."""
        return select.EPOLLIN | select.EPOLLOUT if self._unsent else select.EPOLLIN

    def receive(self) -> Reply | None:
        """The reply, once it is whole. Raises ConnectionError when the server hangs up."""
        reply = None
        while reply is None:
            try:
                data = self.socket.recv(1 << 18)
            except (BlockingIOError, ssl.SSLWantReadError):
                return None
            if not data:
                raise ConnectionError("the server closed a connection")
            reply = self._received.feed(data)
        return reply


class _Load:
    """Requests on their way over several connections, each sent once."""

    def __init__(self, url: str, requests: Iterable[bytes], deadline: float, again: int) -> None:
        self._url = url
        self._again = again
        self._waiting = iter(requests)
        self._deadline = deadline
        self._talks: dict[int, _Talk] = {}
        self.count = self.size = 0
        self.failures: dict[str, int] = {}

    def run(self, connections: int) -> None:
        """Send them all, or those that the time allows."""
        with select.epoll() as poll:
            for request in islice(self._waiting, connections):
                self._begin(poll, request)
            while self._talks:
                events = poll.poll(PATIENCE)
                if not events:
                    raise TimeoutError(f"{self._url} has not answered for {PATIENCE:.0f} seconds")
                for number, event in events:
                    self._go_on(poll, number, event)

    def _begin(self, poll: select.epoll, request: bytes) -> None:
        talk = _Talk(self._url)
        self._talks[talk.socket.fileno()] = talk
        talk.begin(request)
        poll.register(talk.socket, talk.interest)

    def _go_on(self, poll: select.epoll, number: int, event: int) -> None:
        talk = self._talks[number]
        if event & select.EPOLLOUT:
            talk.send()
            poll.modify(number, talk.interest)
        reply = talk.receive()
        if reply is None:
            return None
        following: bytes | None = None
        if reply.status >= 500 and self._again:
            self._again -= 1
            following = talk.request
        else:
            self._note(reply)
            following = next(self._waiting, None) if monotonic() < self._deadline else None
        if following is None:
            poll.unregister(number)
            self._talks.pop(number).socket.close()
            return None
        if reply.header("connection").lower() == "close":
            poll.unregister(number)
            self._talks.pop(number).socket.close()
            return self._begin(poll, following)
        talk.begin(following)
        if talk.interest & select.EPOLLOUT:
            poll.modify(number, talk.interest)
        return None

    def _note(self, reply: Reply) -> None:
        self.count += 1
        self.size += len(reply.head) + len(reply.body)
        if not 200 <= reply.status < 300:
            self.failures[told(reply)] = self.failures.get(told(reply), 0) + 1


def send_all(url: str, requests: Iterable[bytes], connections: int, seconds: float = 0.0, *, again: int = 0) -> Outcome:
    """Send each request once, some at a time, to the last one or until the time is over; those that are answered with
    5xx again, so many in all. Raises OSError.
    """
    began = monotonic()
    load = _Load(url, requests, began + seconds if seconds else float("inf"), again)
    load.run(connections)
    return Outcome(load.count, monotonic() - began, load.size, load.failures)
