"""What the SDK raises: one sentence each, and S3's code where S3 answered."""

from __future__ import annotations


class ClientError(Exception):
    """The base of all that the SDK raises of its own; trouble with local files stays an OSError."""


class InvalidArgument(ClientError, ValueError):
    """What was asked for cannot be; nothing was sent."""


class UnsafeKey(ClientError):
    """A key that cannot become a file inside the target directory."""


class Damaged(ClientError):
    """Bytes that do not match the object's checksum, ETag or size."""


class Unreachable(ClientError):
    """No answer, or only half of one: refused, timed out, cut off, or TLS that failed."""


class S3Error(ClientError):
    """The server's refusal.

    `code` is S3's (`NoSuchKey`), `status` the HTTP status, `request_id` what the server's log calls the request.
    Source: https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
    """

    def __init__(self, code: str, message: str, status: int, request_id: str | None = None, about: str = "") -> None:
        super().__init__(code, message, status, request_id, about)
        self.code = code
        self.message = message
        self.status = status
        self.request_id = request_id
        self.about = about

    def __str__(self) -> str:
        said = f"{self.message.rstrip('.') or 'refused'} ({self.code})"
        return f"{self.about}: {said}" if self.about else said


class NotFound(S3Error):
    """404: no such bucket, key, version or upload."""


class Denied(S3Error):
    """401 or 403: no right to it, or a wrong key."""


class PreconditionFailed(S3Error):
    """412: the object is not, or no longer, the one that a condition named."""


class Conflict(S3Error):
    """409: the bucket exists or is not empty, or another write was under way."""


_BY_STATUS = {401: Denied, 403: Denied, 404: NotFound, 409: Conflict, 412: PreconditionFailed}

# What an answer to HEAD leaves out, as it has no body.
_BY_HEAD = {
    "400": ("BadRequest", "The request was refused"),
    "401": ("Unauthorized", "Not signed, or by an unknown key"),
    "403": ("AccessDenied", "Access denied"),
    "404": ("NotFound", "It does not exist"),
    "412": ("PreconditionFailed", "It is not the one that the condition names"),
}


def s3_error(code: str, message: str, status: int, request_id: str | None = None, about: str = "") -> S3Error:
    """The error of that status; `about` is what was asked of whom."""
    code, message = _BY_HEAD.get(code, (code, message))
    return _BY_STATUS.get(status, S3Error)(code, message, status, request_id, about)
