"""What arrives: a request's head, as Sanic parses it and as S3 sees it, and its body."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Sequence
from typing import Any, Final

from sanic import Sanic
from sanic.compat import Header
from sanic.exceptions import BadRequest, SanicException
from sanic.request import Request as SanicRequest

from post3.errors import InvalidRequest, InvalidURI, RequestTimeout
from post3.s3.address import bucket_in_host, parse_address, parse_query, valueless_names
from post3.s3.message import Request
from post3.server.forwarded import TrustedProxies
from post3.server.wire import Wire

_NAME: Final = re.compile(r"[A-Za-z0-9!#$%&'*+\-.^_`|~]*")
_ABSOLUTE: Final = re.compile(r"https?://([^/?#]*)(.*)", re.IGNORECASE)


class Head(SanicRequest):
    """A request's head, where Sanic reads some too narrowly and some too widely."""

    def __init__(
        self,
        url_bytes: bytes,
        headers: Header,
        version: str,
        method: str,
        transport: Any,
        app: Sanic[Any, Any],
        head: bytes = b"",
        stream_id: int = 0,
    ) -> None:
        self._refuse_smuggling(headers, head)
        coding = headers.get("transfer-encoding")
        if coding is not None:
            headers["transfer-encoding"] = coding.strip(" \t").lower()
            if version == "1.0":
                raise BadRequest("HTTP/1.0 has no transfer codings.")
        length = headers.get("content-length", "0")
        if not (length.isascii() and length.isdigit()):
            raise BadRequest("Content-Length must be digits.")
        # S3 overlooks what it does not know; Sanic would answer 417.
        if headers.get("expect", "100-continue").strip().lower() != "100-continue":
            del headers["expect"]
        try:
            super().__init__(url_bytes, headers, version, method, transport, app, head, stream_id)
        except BadRequest:
            if head:
                raise InvalidURI(URI=url_bytes.decode(errors="replace")) from None
            # To tell of an error, Sanic makes a request of its own, with the very target that was the error.
            super().__init__(b"*", headers, version, method, transport, app)
            self.raw_url = url_bytes

    @staticmethod
    def _refuse_smuggling(headers: Header, head: bytes) -> None:
        """Raise BadRequest for what another server may read as other headers than we do (RFC 9112, 2.2 and 5.1)."""
        breaks = head.count(b"\r\n")
        if head.count(b"\n") != breaks or head.count(b"\r") != breaks or b"\0" in head:
            raise BadRequest("A line of the head ends in the middle, or holds NUL.")
        if "" in headers or not _NAME.fullmatch("".join(headers)):
            raise BadRequest("A header's name has a character that it must not have.")


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
    head: SanicRequest,
    request_id: str,
    body: AsyncIterator[bytes],
    *,
    domains: Sequence[str],
    proxies: TrustedProxies,
) -> Request:
    """What arrived, in S3's terms. Raises InvalidURI."""
    headers: dict[str, str] = {}
    for name, untrimmed in head.headers.items():
        value = untrimmed.strip(" \t")
        headers[name] = f"{headers[name]},{value}" if name in headers else value
    target = head.raw_url.decode("ascii")
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
        address=parse_address(host, path, domains),
        query=parse_query(query) if query else {},
        headers=headers,
        body=body,
        valueless=valueless_names(query) if query else frozenset(),
        raw_query=query,
        remote=client.remote,
        is_secure=client.is_secure,
        host_bucket=bucket_in_host(host, domains),
    )
