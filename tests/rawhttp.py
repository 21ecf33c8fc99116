"""HTTP by hand over a socket, to send what no library would and to see what really comes back."""

from __future__ import annotations

import socket
import ssl
from types import TracebackType
from typing import NamedTuple
from xml.etree.ElementTree import fromstring


class Answer(NamedTuple):
    """An answer as it stood on the wire."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def code(self) -> str:
        """The code of an S3 error."""
        assert self.headers["content-type"] == "application/xml"
        root = fromstring(self.body)  # noqa: S314  # our own server's
        assert root.tag == "Error"
        return root.findtext("Code") or ""


class Incomplete(Exception):
    """The connection ended before the answer did."""


class Connection:
    """A connection to a server on loopback; every wait is bounded."""

    def __init__(
        self,
        port: int,
        *,
        timeout: float = 10.0,
        receive_buffer: int = 0,
        tls: ssl.SSLContext | None = None,
        name: str = "localhost",
    ) -> None:
        self.socket = socket.socket()
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(timeout)
        try:
            self.socket.connect(("127.0.0.1", port))
            if tls is not None:
                # An end that TLS does not tell of is no end.
                self.socket = tls.wrap_socket(self.socket, server_hostname=name, suppress_ragged_eofs=False)
        except OSError:
            self.socket.close()
            raise
        self._buffer = b""

    def __enter__(self) -> Connection:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.socket.close()

    def send(self, data: bytes | str) -> None:
        """Send as it is; lines end with CR LF already, or are ended here when it is text."""
        self.socket.sendall(
            data.replace("\n", "\r\n").encode("utf-8", "surrogateescape") if isinstance(data, str) else data
        )

    def get(self, target: str, *headers: str, method: str = "GET") -> Answer:
        """Ask without a body."""
        self.send("\n".join([f"{method} {target} HTTP/1.1", "Host: localhost", *headers, "", ""]))
        return self.answer(method)

    def answer(self, method: str = "GET") -> Answer:
        """The next answer. Raises Incomplete, or ConnectionError, when it does not end as it was announced."""
        status, headers = self.head()
        if method == "HEAD" or status in (100, 204, 304):
            return Answer(status, headers, b"")
        if headers.get("transfer-encoding") == "chunked":
            return Answer(status, headers, self._chunks())
        if "content-length" in headers:
            return Answer(status, headers, self.take(int(headers["content-length"])))
        return Answer(status, headers, self.rest())

    def head(self) -> tuple[int, dict[str, str]]:
        """The status and the headers of the next answer."""
        first, *lines = self._until(b"\r\n\r\n").decode("utf-8", "surrogateescape").split("\r\n")
        assert first.startswith("HTTP/1.1 ")
        headers: dict[str, str] = {}
        for line in lines:
            name, _, value = line.partition(": ")
            name = name.lower()
            assert name not in headers, f"{name} stands twice"
            headers[name] = value
        return int(first.split(" ")[1]), headers

    def take(self, size: int) -> bytes:
        """That many bytes."""
        while len(self._buffer) < size:
            self._receive()
        taken, self._buffer = self._buffer[:size], self._buffer[size:]
        return taken

    def rest(self) -> bytes:
        """All bytes until the connection's end."""
        try:
            while True:
                self._receive()
        except Incomplete:
            return self._buffer

    def is_closed(self) -> bool:
        """Whether the other side closes now, having sent nothing more."""
        try:
            return not self._buffer and not self.socket.recv(1)
        except ConnectionError:
            return True

    def is_silent(self, seconds: float = 0.3) -> bool:
        """Whether nothing comes for a while, and the connection stays."""
        before = self.socket.gettimeout()
        self.socket.settimeout(seconds)
        try:
            self._receive()
        except TimeoutError:
            return True
        except (Incomplete, ConnectionError):
            return False
        finally:
            self.socket.settimeout(before)
        return False

    def _chunks(self) -> bytes:
        found = b""
        while size := int(self._until(b"\r\n"), 16):
            found += self.take(size)
            assert self.take(2) == b"\r\n"
        assert self.take(2) == b"\r\n"
        return found

    def _until(self, mark: bytes) -> bytes:
        while mark not in self._buffer:
            self._receive()
        taken, _, self._buffer = self._buffer.partition(mark)
        return taken

    def _receive(self) -> None:
        try:
            data = self.socket.recv(65_536)
        except ssl.SSLEOFError:
            raise ConnectionResetError from None
        if not data:
            raise Incomplete
        self._buffer += data
