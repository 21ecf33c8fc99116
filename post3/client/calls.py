"""Single requests, and what their answers tell."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from post3.client.errors import InvalidArgument
from post3.client.model import ObjectInfo
from post3.client.steps import Call, Presign, Script

LONGEST_LINK = 7 * 24 * 3600
METHODS = {"GET": "get_object", "HEAD": "head_object", "PUT": "put_object", "DELETE": "delete_object"}


def given(**parameters: Any) -> dict[str, Any]:
    """The parameters that are not None."""
    return {name: value for name, value in parameters.items() if value is not None}


def unquoted(etag: str) -> str:
    """An ETag as people write it."""
    return etag.strip('"')


def quoted(etag: str | None) -> str | None:
    """An ETag as a condition has it; `*` is none (RFC 9110, 13.1)."""
    return etag if etag is None or etag == "*" else f'"{unquoted(etag)}"'


def range_header(start: int | None, stop: int | None) -> str | None:
    """The header for the bytes from start to before stop. Raises InvalidArgument when that is none (RFC 9110, 14.1)."""
    if start is None and stop is None:
        return None
    first = start or 0
    if first < 0 or (stop is not None and stop <= first):
        raise InvalidArgument(
            f"The bytes from {first} to before {stop} are none: start at 0 or later, and stop behind it."
        )
    return f"bytes={first}-" if stop is None else f"bytes={first}-{stop - 1}"


def get_object(
    bucket: str,
    key: str,
    *,
    start: int | None = None,
    stop: int | None = None,
    version_id: str | None = None,
    if_match: str | None = None,
) -> Call:
    """The request for an object's bytes, from start to before stop."""
    wanted = given(Range=range_header(start, stop), VersionId=version_id, IfMatch=quoted(if_match))
    return Call("get_object", {"Bucket": bucket, "Key": key, **wanted})


def head_call(bucket: str, key: str, version_id: str | None = None) -> Call:
    """The request for all about an object but its bytes; its checksums come along."""
    return Call("head_object", {"Bucket": bucket, "Key": key, "ChecksumMode": "ENABLED", **given(VersionId=version_id)})


def head_object(bucket: str, key: str, *, version_id: str | None = None) -> Script[ObjectInfo]:
    """What is known of an object."""
    return object_info(key, (yield head_call(bucket, key, version_id)))


def object_info(key: str, answer: Mapping[str, Any]) -> ObjectInfo:
    """What an answer to GET or HEAD tells; the size is the whole object's, whatever range was asked for."""
    _, _, whole = answer.get("ContentRange", "").partition("/")
    return ObjectInfo(
        key,
        int(whole) if whole.isdecimal() else answer.get("ContentLength", 0),
        unquoted(answer.get("ETag", "")),
        answer.get("LastModified"),
        answer.get("ContentType"),
        answer.get("Metadata", {}),
        answer.get("VersionId"),
    )


def presign(bucket: str, key: str, *, method: str, expires: int, **parameters: Any) -> Script[str]:
    """A link for whoever has it, for so many seconds; `parameters` are those of boto3's operation."""
    operation = METHODS.get(method.upper())
    if operation is None:
        raise InvalidArgument(f"No link for the method {method!r}: use one of {', '.join(METHODS)}.")
    if not 1 <= expires <= LONGEST_LINK:
        raise InvalidArgument(f"A link lives 1 to {LONGEST_LINK} seconds (7 days), not {expires}.")
    link: str = yield Presign(Call(operation, {"Bucket": bucket, "Key": key, **parameters}), method.upper(), expires)
    return link
