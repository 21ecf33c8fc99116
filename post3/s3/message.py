"""A request and a response as S3 sees them, free of any framework."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from post3.errors import S3Error
from post3.model.tree import Tree
from post3.s3.address import Address
from post3.s3.xml import render

_UNWRITABLE: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What XML 1.0 cannot say. An error that quotes it must be readable all the same."""


@dataclass(slots=True)
class Request:
    """What arrived. Nobody changes it; frozen, it would take twice as long to make."""

    id: str
    """Told to the client as x-amz-request-id, and in errors."""
    method: str
    path: str
    """As it was sent, percent-encoded."""
    address: Address
    query: Mapping[str, str]
    """Decoded; the first value of each name."""
    headers: Mapping[str, str]
    """Lower-case names; values trimmed, repeated ones joined with a comma."""
    body: AsyncIterator[bytes]
    """The bytes as they arrive, transfer coding removed, in pieces of any size."""
    valueless: frozenset[str] = frozenset()
    """The names in the query that came without a value, as subresources do."""
    raw_query: str = ""
    """The query as it was sent, without its question mark."""
    remote: str = ""
    """The client's address, without a port; empty where there is none."""
    is_secure: bool = False
    """Whether the client speaks TLS, to this server or to a proxy that is trusted to say so."""

    host_bucket: str = ""
    """The bucket where the Host header names it (virtual-host style); empty in path style."""

    @property
    def base_url(self) -> str:
        """Scheme and host as the client wrote them: `https://bucket.example:9000`."""
        return f"{'https' if self.is_secure else 'http'}://{self.headers.get('host', '')}"


@dataclass(slots=True)
class Response:
    """What is answered."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    """Lower-case names."""
    body: bytes | AsyncIterator[bytes] = b""
    """A stream has its length in the header content-length, or ends with the connection's chunks."""


def document(root: str, tree: Tree | str, *, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """An XML answer in S3's namespace."""
    return Response(status, {"content-type": "application/xml", **(headers or {})}, render(root, tree))


def error_response(error: S3Error, request_id: str, resource: str) -> Response:
    """An error as S3 tells it; 304 tells nothing but headers. The answer to HEAD must leave the body out.

    Source: https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
    """
    if error.status == 304:
        return Response(304, dict(error.headers))
    told = {"Code": error.code, "Message": error.message, **error.details}
    told = {name: _UNWRITABLE.sub("\ufffd", text) for name, text in told.items()}
    body = render("Error", {**told, "Resource": resource, "RequestId": request_id}, namespace="")
    return Response(error.status, {"content-type": "application/xml", **error.headers}, body)
