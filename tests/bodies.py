"""Requests with bodies, framed and cut as clients send them."""

from __future__ import annotations

import base64
import hashlib
import itertools
import zlib
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence

from post3.s3.address import Address
from post3.s3.aws_chunked import FORMS, Data, Decoder, Event, Form
from post3.s3.message import Request

UNSIGNED = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
SIGNED = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
SIGNED_TRAILER = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"
SIGNATURE = "2ca2aba2005185cf7159c6277faf83795951dd77a3a99e6e65d5c9f85863f992"


def make_request(
    pieces: Iterable[bytes] = (),
    headers: Mapping[str, str] | None = None,
    *,
    method: str = "PUT",
    query: Mapping[str, str] | None = None,
) -> Request:
    """A request on an object, its body arriving in these pieces."""
    return Request(
        id="1",
        method=method,
        path="/bucket/key",
        address=Address("bucket", "key"),
        query=query or {},
        headers=headers or {},
        body=stream(pieces),
    )


async def stream(pieces: Iterable[bytes]) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece


def cut(data: bytes, size: int) -> list[bytes]:
    """The bytes in pieces of one size."""
    return [data[start : start + size] for start in range(0, len(data), size)]


def cut_at(data: bytes, places: Iterable[int]) -> list[bytes]:
    """The bytes in pieces that end at these places."""
    edges = sorted({0, len(data), *(place for place in places if place < len(data))})
    return [data[start:stop] for start, stop in itertools.pairwise(edges)]


def frame(chunks: Sequence[bytes], form: Form, trailers: Mapping[str, str] | None = None) -> bytes:
    """The chunks as aws-chunked has them on the wire."""
    extension = f";chunk-signature={SIGNATURE}" if form.signed else ""
    wire = b"".join(b"%x%s\r\n%s\r\n" % (len(chunk), extension.encode(), chunk) for chunk in chunks)
    wire += b"0%s\r\n" % extension.encode()
    for name, value in (trailers or {}).items():
        wire += f"{name}:{value}\r\n".encode()
    if form == (True, True):
        wire += f"x-amz-trailer-signature:{SIGNATURE}\r\n".encode()
    return wire + b"\r\n"


def framed_headers(name: str, size: int, trailer: str = "") -> dict[str, str]:
    """The headers of a framed body, by the name of its form."""
    headers = {"x-amz-content-sha256": name, "x-amz-decoded-content-length": str(size)}
    return {**headers, "x-amz-trailer": trailer} if trailer else headers


def decode(pieces: Iterable[bytes], form: Form = FORMS[UNSIGNED]) -> list[Event]:
    """All events of a whole body; raises what the decoder raises."""
    decoder = Decoder(form)
    # Data are views of what was fed, so they are copied before the next piece.
    events = [_copied(event) for piece in pieces for event in decoder.feed(piece)]
    decoder.finish()
    return events


def _copied(event: Event) -> Event:
    return Data(bytes(event.data)) if isinstance(event, Data) else event


def bytes_of(events: Iterable[Event]) -> bytes:
    """The bytes that the events carry."""
    return b"".join(event.data for event in events if isinstance(event, Data))


def merged(events: Iterable[Event]) -> Iterator[Event]:
    """The events with neighbouring Data joined: what no split of the input may change."""
    data = b""
    for event in events:
        if isinstance(event, Data):
            data += event.data
            continue
        if data:
            yield Data(data)
            data = b""
        yield event


def crc32(data: bytes) -> str:
    """As x-amz-checksum-crc32 has it."""
    return base64.b64encode(zlib.crc32(data).to_bytes(4, "big")).decode()


def sha256(data: bytes) -> str:
    """As x-amz-checksum-sha256 has it."""
    return base64.b64encode(hashlib.sha256(data).digest()).decode()
