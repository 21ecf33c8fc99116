"""Bodies signed chunk by chunk, by a signer of our own that shares nothing with post3, and ways to tamper with them.

Sources: https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming.html,
https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming-trailers.html
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from tests.api.people import Person
from tests.servers import Server

PAYLOAD: Final = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
TRAILER: Final = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"
UNSIGNED_TRAILER: Final = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"


class _Signer(S3SigV4Auth):
    """botocore's, with another x-amz-content-sha256."""

    kind = PAYLOAD

    def payload(self, request: Any) -> str:
        return self.kind


@dataclass(frozen=True, slots=True)
class Chunk:
    """Bytes with the signature that travels with them."""

    data: bytes
    signature: str

    def wire(self) -> bytes:
        signature = f";chunk-signature={self.signature}" if self.signature else ""
        end = b"\r\n" if self.data else b""
        return f"{len(self.data):x}{signature}\r\n".encode() + self.data + end


@dataclass(frozen=True, slots=True)
class Streamed:
    """A request with such a body."""

    headers: Mapping[str, str]
    chunks: tuple[Chunk, ...]
    """The last one is empty."""
    trailers: tuple[tuple[str, str], ...] = ()
    trailer_signature: str = ""

    def wire(self) -> bytes:
        """The body as it is sent."""
        trailers = [f"{name}:{value}\r\n" for name, value in self.trailers]
        if self.trailer_signature:
            trailers.append(f"x-amz-trailer-signature:{self.trailer_signature}\r\n")
        return b"".join(chunk.wire() for chunk in self.chunks) + "".join(trailers).encode() + b"\r\n"

    def with_chunk(self, number: int, **fields: Any) -> Streamed:
        """One of its chunks changed."""
        chunks = list(self.chunks)
        chunks[number] = replace(chunks[number], **fields)
        return replace(self, chunks=tuple(chunks))


def streamed(
    server: Server,
    person: Person,
    target: str,
    datas: Sequence[bytes],
    kind: str = PAYLOAD,
    *,
    trailers: Mapping[str, str] | None = None,
    headers: Mapping[str, str] | None = None,
    decoded: int | None = None,
) -> Streamed:
    """A PUT of these chunks. `decoded` is the length told, where it is not the true one."""
    size = sum(map(len, datas)) if decoded is None else decoded
    given = {"x-amz-decoded-content-length": str(size), **(headers or {})}
    if trailers:
        given["x-amz-trailer"] = ",".join(trailers)
    request = AWSRequest("PUT", f"{server.url}{target}", given)
    signer = _Signer(Credentials(person.access_key, person.secret_key), "s3", "us-east-1")
    signer.kind = kind
    signer.add_auth(request)
    sent = {name.lower(): value for name, value in request.headers.items()}
    chain = _Chain(person.secret_key, sent["x-amz-date"], sent["authorization"].rpartition("Signature=")[2])
    is_signed = kind != UNSIGNED_TRAILER
    chunks = tuple(Chunk(data, chain.chunk(data) if is_signed else "") for data in (*datas, b""))
    told = tuple((trailers or {}).items())
    signature = chain.trailer(told) if kind == TRAILER else ""
    return Streamed(sent, chunks, told, signature)


class _Chain:
    def __init__(self, secret: str, date: str, seed: str) -> None:
        key = b"AWS4" + secret.encode()
        for part in (date[:8], "us-east-1", "s3", "aws4_request"):
            key = hmac.new(key, part.encode(), hashlib.sha256).digest()
        self._key, self._date, self._previous = key, date, seed

    def chunk(self, data: bytes) -> str:
        empty = hashlib.sha256(b"").hexdigest()
        return self._sign("AWS4-HMAC-SHA256-PAYLOAD", f"{empty}\n{hashlib.sha256(data).hexdigest()}")

    def trailer(self, trailers: Sequence[tuple[str, str]]) -> str:
        lines = "".join(f"{name}:{value}\n" for name, value in trailers)
        return self._sign("AWS4-HMAC-SHA256-TRAILER", hashlib.sha256(lines.encode()).hexdigest())

    def _sign(self, kind: str, hashes: str) -> str:
        scope = f"{self._date[:8]}/us-east-1/s3/aws4_request"
        text = f"{kind}\n{self._date}\n{scope}\n{self._previous}\n{hashes}"
        self._previous = hmac.new(self._key, text.encode(), hashlib.sha256).hexdigest()
        return self._previous
