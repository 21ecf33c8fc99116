"""Requests as SDKs send them, ready to be written to a socket: signed beforehand, so that a client only sends.

Version 4 in the Authorization header, the real SHA-256 of the body, and on puts `x-amz-checksum-crc32`; so boto3 does
over HTTP. A signature holds for 15 minutes: requests are made right before the round that sends them.

Source: https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property, lru_cache
from typing import Final
from urllib.parse import quote

REGION: Final = "us-east-1"
SDK: Final = {
    "user-agent": "Boto3/1.40.0 md/Botocore#1.40.0 ua/2.1 os/linux lang/python",
    "accept-encoding": "identity",
    "amz-sdk-invocation-id": "9c1b6c1e-6d5f-4a52-8f0e-2f0f4a0f6d3c",
    "amz-sdk-request": "attempt=1",
}
"""What an SDK sends beside what it signs."""


@dataclass(frozen=True)
class Body:
    """Bytes to be sent, with what a request tells of them."""

    data: bytes = field(default=b"", repr=False)

    @cached_property
    def sha256(self) -> str:
        """In hexadecimal."""
        return hashlib.sha256(self.data).hexdigest()

    @cached_property
    def crc32(self) -> str:
        """In base64, as S3 writes it."""
        return base64.b64encode(zlib.crc32(self.data).to_bytes(4, "big")).decode()


EMPTY: Final = Body()


@dataclass(frozen=True, slots=True)
class Signer:
    """A key pair, and the host that it signs for."""

    access_key: str
    secret_key: str = field(repr=False)
    host: str
    """As in the Host header: `127.0.0.1:9000`."""

    def request(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None = None,
        body: Body = EMPTY,
        headers: Mapping[str, str] | None = None,
        *,
        now: datetime | None = None,
    ) -> bytes:
        """The whole request. `path` is not yet encoded; the names of headers are in lower case."""
        moment = (now or datetime.now(UTC)).strftime("%Y%m%dT%H%M%SZ")
        target, arguments = quote(path, safe="/~"), _canonical_query(query or {})
        signed = {
            "host": self.host,
            "x-amz-content-sha256": body.sha256,
            "x-amz-date": moment,
            **(headers or {}),
        }
        signed = dict(sorted(signed.items()))
        names = ";".join(signed)
        lines = "".join(f"{name}:{value}\n" for name, value in signed.items())
        canonical = f"{method}\n{target}\n{arguments}\n{lines}\n{names}\n{body.sha256}"
        scope = f"{moment[:8]}/{REGION}/s3/aws4_request"
        text = f"AWS4-HMAC-SHA256\n{moment}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
        signature = hmac.digest(_signing_key(self.secret_key, moment[:8]), text.encode(), "sha256").hex()
        signed["authorization"] = (
            f"AWS4-HMAC-SHA256 Credential={self.access_key}/{scope}, SignedHeaders={names}, Signature={signature}"
        )
        url = f"{target}?{arguments}" if arguments else target
        length = {"content-length": str(len(body.data))} if method in ("PUT", "POST") else {}
        head = "".join(f"{name}: {value}\r\n" for name, value in {**signed, **length, **SDK}.items())
        return f"{method} {url} HTTP/1.1\r\n{head}\r\n".encode() + body.data

    def put(self, path: str, body: Body, query: Mapping[str, str] | None = None) -> bytes:
        """A put of an object or a part, with its checksum."""
        checksum = {"x-amz-checksum-crc32": body.crc32, "x-amz-sdk-checksum-algorithm": "CRC32"}
        return self.request("PUT", path, query, body, checksum)

    def get(self, path: str, span: tuple[int, int] | None = None) -> bytes:
        """A get of an object, or of its bytes from the first up to, not including, the second of `span`."""
        wanted = {"x-amz-checksum-mode": "ENABLED"} if span is None else {"range": f"bytes={span[0]}-{span[1] - 1}"}
        return self.request("GET", path, headers=wanted)

    def delete_objects(self, bucket: str, keys: list[str]) -> bytes:
        """A DeleteObjects of keys that need no escape in XML."""
        listed = "".join(f"<Object><Key>{key}</Key></Object>" for key in keys)
        body = Body(f'<Delete xmlns="http://s3.amazonaws.com/doc/2006-03-01/">{listed}</Delete>'.encode())
        told = {
            "content-type": "application/xml",
            # Both: older servers know only the one, newer SDKs send only the other.
            "content-md5": base64.b64encode(hashlib.md5(body.data, usedforsecurity=False).digest()).decode(),
            "x-amz-checksum-crc32": body.crc32,
            "x-amz-sdk-checksum-algorithm": "CRC32",
        }
        return self.request("POST", f"/{bucket}", {"delete": ""}, body, told)


@lru_cache(maxsize=64)
def _signing_key(secret: str, date: str) -> bytes:
    key = f"AWS4{secret}".encode()
    for part in (date, REGION, "s3", "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    return key


def _canonical_query(query: Mapping[str, str]) -> str:
    return "&".join(f"{quote(name, safe='~')}={quote(value, safe='~')}" for name, value in sorted(query.items()))
