"""What arrives: a request's head, as HTTP and as S3 see it, and its body.

Sanic's own parser of heads takes twice as long and reads some too narrowly and some too widely, so heads are parsed
here; it stays with Sanic to receive them, to limit their size and the time they take, and to tell what is wrong.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Final

from httptools import HttpParserInvalidURLError, parse_url  # what Sanic parses with
from sanic.exceptions import BadRequest, SanicException
from sanic.models.server_types import ConnInfo

from post3.errors import InvalidRequest, InvalidURI, RequestTimeout
from post3.s3.address import bucket_in_host, parse_address, parse_path, parse_query, valueless_names
from post3.s3.message import Request
from post3.server.forwarded import TrustedProxies
from post3.server.wire import Stream, Wire

_NAME: Final = re.compile(r"[A-Za-z0-9!#$%&'*+\-.^_`|~]*")
_ABSOLUTE: Final = re.compile(r"https?://([^/?#]*)(.*)", re.IGNORECASE)
_VERSIONS: Final = {"HTTP/1.1": "1.1", "HTTP/1.0": "1.0"}
_LENGTHS: Final = frozenset({"content-length", "transfer-encoding"})


@dataclass(slots=True)
class Head:
    """A request's head. Sanic sets what it knows of the connection."""

    method: str
    target: str
    """Exactly as sent."""
    version: str
    """1.0 or 1.1."""
    headers: dict[str, str]
    """Lower-case names; values trimmed, repeated ones joined with a comma. Bytes that are not UTF-8 are surrogates."""
    stream: Stream
    conn_info: ConnInfo | None = None

    @property
    def url(self) -> str:
        """What Sanic's log calls it."""
        return self.target


def parse_request_line(line: str) -> tuple[str, str, str]:
    """Method, target and version (1.0 or 1.1) of a request line. Raises BadRequest."""
    parts = line.split(" ")
    if len(parts) != 3 or parts[2] not in _VERSIONS:
        raise BadRequest("Bad Request")
    return parts[0], parts[1], _VERSIONS[parts[2]]


def check_target(target: str) -> None:
    """Raise BadRequest for a target that is not ASCII, InvalidURI for one that is no URI otherwise."""
    if not target.isascii():
        raise BadRequest("URL may only contain US-ASCII characters.")
    try:
        parse_url(target.encode())
    except HttpParserInvalidURLError:
        raise InvalidURI(URI=target) from None


def parse_headers(lines: list[str], version: str) -> dict[str, str]:
    """The headers on these lines, by lower-case name; an expectation that nobody knows is left out.

    Raises BadRequest for what cannot be read, or what another server may read as other headers than we do.
    Source: RFC 9112, 2.2, 5.1 and 6.1
    """
    headers: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        # Other letters have small ones that are ASCII, such as the Kelvin sign's k.
        if not colon or not name.isascii():
            raise BadRequest("Bad Request")
        name, value = name.lower(), value.strip(" \t")
        if name in headers:
            if name in _LENGTHS:
                raise BadRequest("Bad Request")
            value = f"{headers[name]},{value}"
        headers[name] = value
    if "" in headers or not _NAME.fullmatch("".join(headers)):
        raise BadRequest("A header's name has a character that it must not have.")
    _check_framing(headers, version)
    # S3 overlooks what it does not know; HTTP would have 417.
    if headers.get("expect", "100-continue").lower() != "100-continue":
        del headers["expect"]
    return headers


def check_lines(head: str, breaks: int) -> None:
    """Raise BadRequest unless this head has so many breaks of lines, and neither parts of one nor NUL."""
    if head.count("\n") != breaks or head.count("\r") != breaks or "\0" in head:
        raise BadRequest("A line of the head ends in the middle, or holds NUL.")


def _check_framing(headers: dict[str, str], version: str) -> None:
    """Raise BadRequest unless it is clear where the body ends."""
    coding, length = headers.get("transfer-encoding"), headers.get("content-length")
    if length is not None:
        if coding is not None:
            raise BadRequest("Bad Request")
        if not (length.isascii() and length.isdigit()):
            raise BadRequest("Content-Length must be digits.")
    if coding is not None:
        if not coding.isascii():
            raise BadRequest("Bad content-length")
        headers["transfer-encoding"] = coding = coding.lower()
        if version == "1.0":
            raise BadRequest("HTTP/1.0 has no transfer codings.")
        if coding != "chunked":
            raise BadRequest("Bad content-length")


class Body:
    """A request's bytes as they arrive; a client that sends nothing for long gets RequestTimeout."""

    __slots__ = ("_wire", "begun")

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self.begun = False

    def __aiter__(self) -> Body:
        return self

    async def __anext__(self) -> bytes:
        stream = self._wire.stream
        self.begun = True
        data: bytes | None = None
        if stream.request_body:
            try:
                data = await self._wire.read()
            except TimeoutError:
                stream.keep_alive = False
                raise RequestTimeout from None
            except SanicException as error:
                stream.keep_alive, stream.request_body = False, None
                raise InvalidRequest(f"The body's transfer coding is wrong: {error}") from None
        if not data:
            raise StopAsyncIteration
        return data


def read_request(
    head: Head,
    request_id: str,
    body: AsyncIterator[bytes],
    *,
    domains: Sequence[str],
    proxies: TrustedProxies,
) -> Request:
    """What arrived, in S3's terms. Raises InvalidURI."""
    headers, target = head.headers, head.target
    if not target.startswith("/") and (absolute := _ABSOLUTE.fullmatch(target)):
        # RFC 9112, 3.2.2: then the target's host counts, whatever the header says.
        headers["host"] = absolute[1]
        target = absolute[2] if absolute[2].startswith("/") else f"/{absolute[2]}"
    path, _, query = target.partition("?")
    host = headers.get("host", "")
    peer = head.conn_info
    client = proxies.client(peer.client_ip if peer else "", headers, is_secure=bool(peer and peer.ssl))
    return Request(
        id=request_id,
        method=head.method,
        path=path,
        address=parse_address(host, path, domains) if domains else parse_path(path),
        query=parse_query(query) if query else {},
        headers=headers,
        body=body,
        valueless=valueless_names(query) if query else frozenset(),
        raw_query=query,
        remote=client.remote,
        is_secure=client.is_secure,
        host_bucket=bucket_in_host(host, domains) if domains else "",
    )
