"""What a server was asked, as tests look at it."""

from __future__ import annotations

from dataclasses import dataclass

from post3.errors import S3Error
from post3.operations import OPERATIONS
from post3.s3.link import with_headers_of_link
from post3.s3.message import Request
from post3.s3.router import Router


@dataclass(frozen=True, slots=True)
class RecordedRequest:
    """A request that was answered, or to which something else happened."""

    operation: str
    """As S3 spells it: GetObject; empty for what is no operation."""
    method: str
    bucket: str
    """Empty where none is named."""
    key: str
    """Empty where none is named, as in a form."""
    status: int = 0
    """Of the answer; 0 where there was none: it was cut off, or the client went away before."""


class Recorder:
    """Tells what a request asks for."""

    def __init__(self) -> None:
        self._router = Router(OPERATIONS)

    def read(self, request: Request) -> RecordedRequest:
        """The request, with no status yet."""
        try:
            operation = self._router.resolve(with_headers_of_link(request)).name
        except S3Error:
            operation = ""
        return RecordedRequest(operation, request.method, request.address.bucket, request.address.key)
