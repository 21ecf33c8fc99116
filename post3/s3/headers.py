"""What S3's headers say: dates, ETags, ranges, stored headers, user metadata, checksums, response overrides.

The only place where a range has an inclusive end, and an ETag quotes.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from datetime import UTC, date, datetime
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import Final

from post3.errors import (
    BadDigest,
    InvalidArgument,
    InvalidDigest,
    InvalidRequest,
    InvalidStorageClass,
    MetadataTooLarge,
    OperationNotImplemented,
)
from post3.model.checksums import DIGEST_SIZES
from post3.model.conditions import ReadConditions, WriteConditions
from post3.model.encryption import as_headers
from post3.model.object import ObjectVersion
from post3.model.ranges import ByteRange
from post3.model.tagging import HEADER as TAGGING
from post3.model.tagging import Tags, header_tags
from post3.s3.aws_chunked import FORMS
from post3.s3.router import COPY_SOURCE

METADATA_PREFIX: Final = "x-amz-meta-"
MAX_METADATA: Final = 2048
"""Bytes of names and values together.
Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingMetadata.html"""

DEFAULT_CONTENT_TYPE: Final = "binary/octet-stream"
STORED_HEADERS: Final = (
    "cache-control",
    "content-disposition",
    "content-encoding",
    "content-language",
    "content-type",
    "expires",
    "x-amz-website-redirect-location",
)
OVERRIDES: Final = {
    f"response-{name}": name
    for name in (
        "cache-control",
        "content-disposition",
        "content-encoding",
        "content-language",
        "content-type",
        "expires",
    )
}
STORAGE_CLASSES: Final = frozenset(
    {"STANDARD", "STANDARD_IA", "ONEZONE_IA", "INTELLIGENT_TIERING", "REDUCED_REDUNDANCY", "GLACIER_IR"}
)
"""Those of AWS's classes whose objects can be read at once; the others want a restore that post3 does not know."""
CHECKSUM_PREFIX: Final = "x-amz-checksum-"
SHA256_STAND_INS: Final = ("UNSIGNED-PAYLOAD", *FORMS)
"""What x-amz-content-sha256 may say instead of a digest."""

_CHECKSUM_OPTIONS: Final = frozenset({"x-amz-checksum-algorithm", "x-amz-checksum-mode", "x-amz-checksum-type"})
_SHA256: Final = re.compile(r"[0-9a-fA-F]{64}", re.ASCII)
_MAX_DIGITS: Final = 18
"""More than any size has."""
_DAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_TWO: Final = tuple(f"{number:02}" for number in range(60))
_RANGE: Final = re.compile(r"bytes=(?:(\d+)-(\d*)|-(\d+))", re.ASCII)


def http_date(moment: datetime) -> str:
    """The date as HTTP writes it (RFC 9110, 5.6.7), cut to the second."""
    utc = moment if moment.tzinfo is UTC else moment.astimezone(UTC)
    return f"{_day(utc.year, utc.month, utc.day)} {_TWO[utc.hour]}:{_TWO[utc.minute]}:{_TWO[utc.second]} GMT"


@lru_cache(maxsize=1024)
def _day(year: int, month: int, day: int) -> str:
    return f"{_DAYS[date(year, month, day).weekday()]}, {day:02} {_MONTHS[month - 1]} {year:04}"


def parse_http_date(value: str | None) -> datetime | None:
    """The moment an HTTP date or an ISO 8601 time means; None for what is neither, as HTTP ignores those."""
    if not value:
        return None
    try:
        moment = datetime.fromisoformat(value) if value[:4].isdigit() else parsedate_to_datetime(value)
    except (ValueError, OverflowError):
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def quoted(etag: str) -> str:
    """The ETag as it stands in headers and XML."""
    return f'"{etag}"'


def parse_etags(value: str | None) -> tuple[str, ...]:
    """The ETags of an If-Match or If-None-Match header, unquoted; `*` stands for itself; empty when there is none."""
    if value is None:
        return ()
    return tuple(tag.strip().removeprefix("W/").strip('"') for tag in value.split(","))


def parse_range(value: str | None) -> ByteRange | None:
    """The range of a Range header; None when there is none, or none that S3 heeds (several, another unit, nonsense).

    Source: RFC 9110, 14.2: what is malformed is ignored.
    """
    match = _RANGE.fullmatch(value.strip()) if value else None
    if match is None:
        return None
    first, last, suffix = match.groups()
    if suffix is not None:
        return ByteRange(suffix=_offset(suffix))
    if last and _offset(last) < _offset(first):
        return None
    return ByteRange(start=_offset(first), stop=_offset(last) + 1 if last else None)


def parse_copy_range(value: str) -> tuple[int, int]:
    """Start and stop of x-amz-copy-source-range, which must be `bytes=first-last`. Raises InvalidArgument."""
    match = re.fullmatch(r"bytes=(\d+)-(\d+)", value, re.ASCII)
    if match is None or _offset(match[2]) < _offset(match[1]):
        raise InvalidArgument(
            "The x-amz-copy-source-range value must be of the form bytes=first-last where first and last are the "
            "zero-based offsets of the first and last bytes to copy",
            ArgumentName="x-amz-copy-source-range",
            ArgumentValue=value,
        )
    return _offset(match[1]), _offset(match[2]) + 1


def _offset(digits: str) -> int:
    """The number, or one behind every object's end: Python refuses to read numbers of thousands of digits."""
    return int(digits) if len(digits) <= _MAX_DIGITS else 10**_MAX_DIGITS


def content_range(start: int, stop: int, size: int) -> str:
    """The value of Content-Range."""
    return f"bytes {start}-{stop - 1}/{size}"


READ_CONDITIONS: Final = frozenset({"if-match", "if-none-match", "if-modified-since", "if-unmodified-since"})
"""The headers that read_conditions reads."""


def read_conditions(headers: Mapping[str, str], prefix: str = "", now: datetime | None = None) -> ReadConditions:
    """The conditions of a read; with the prefix `x-amz-copy-source-`, those of a copy's source.

    An If-Modified-Since that is later than `now` is ignored, as S3 does.
    """
    since = parse_http_date(headers.get(f"{prefix}if-modified-since"))
    return ReadConditions(
        if_match=parse_etags(headers.get(f"{prefix}if-match")),
        if_none_match=parse_etags(headers.get(f"{prefix}if-none-match")),
        if_modified_since=None if since and now and since > now else since,
        if_unmodified_since=parse_http_date(headers.get(f"{prefix}if-unmodified-since")),
    )


def write_conditions(headers: Mapping[str, str]) -> WriteConditions:
    """The conditions of a put, a copy's target, a completion or a delete. Raises InvalidArgument for a wrong one.

    Raises OperationNotImplemented for those that S3 has for reads alone: ignored, they would let the write happen.
    """
    for name in ("if-modified-since", "if-unmodified-since"):
        if name in headers:
            raise OperationNotImplemented(Header=name)
    time = headers.get("x-amz-if-match-last-modified-time")
    modified = parse_http_date(time)
    if time is not None and modified is None:
        raise InvalidArgument(
            "x-amz-if-match-last-modified-time must be a date",
            ArgumentName="x-amz-if-match-last-modified-time",
            ArgumentValue=time,
        )
    return WriteConditions(
        if_match=parse_etags(headers.get("if-match")),
        if_none_match=parse_etags(headers.get("if-none-match")),
        size=parse_size(headers, "x-amz-if-match-size"),
        modified=modified,
    )


def heeds_range(headers: Mapping[str, str], etag: str, modified: datetime) -> bool:
    """Whether the range asked for is of what is there now: If-Range names the very ETag or date (RFC 9110, 13.1.5)."""
    value = headers.get("if-range")
    if value is None:
        return True
    if value.startswith('"'):
        return value.strip('"') == etag
    return parse_http_date(value) == modified.replace(microsecond=0)


def stored_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """The headers that an object keeps; `aws-chunked` is the transfer's own and left out of content-encoding."""
    kept = {name: headers[name] for name in STORED_HEADERS if name in headers}
    codings = [coding.strip() for coding in kept.pop("content-encoding", "").split(",")]
    own = [coding for coding in codings if coding.lower() not in ("", "aws-chunked")]
    if own:
        kept["content-encoding"] = headers["content-encoding"] if own == codings else ",".join(own)
    kept.setdefault("content-type", DEFAULT_CONTENT_TYPE)
    return kept


def is_chunked(headers: Mapping[str, str]) -> bool:
    """Whether one of the content codings is `aws-chunked`."""
    return "aws-chunked" in (coding.strip().lower() for coding in headers.get("content-encoding", "").split(","))


def user_metadata(headers: Mapping[str, str]) -> dict[str, str]:
    """The values of x-amz-meta-… by the rest of their names. Raises MetadataTooLarge over 2 KiB."""
    metadata = {
        name[len(METADATA_PREFIX) :]: value for name, value in headers.items() if name.startswith(METADATA_PREFIX)
    }
    size = sum(len(name) + len(value.encode("utf-8", "surrogateescape")) for name, value in metadata.items())
    if size > MAX_METADATA:
        raise MetadataTooLarge(Size=size, MaxSizeAllowed=MAX_METADATA)
    return metadata


def requested_tags(headers: Mapping[str, str]) -> Tags:
    """The tags that x-amz-tagging gives to what is made. Raises InvalidArgument, InvalidTag.

    A copy has its source's unless it says otherwise.
    Source: https://docs.aws.amazon.com/AmazonS3/latest/API/API_CopyObject.html
    """
    if COPY_SOURCE in headers and directive(headers, "x-amz-tagging-directive") == "COPY":
        return {}
    return header_tags(headers.get(TAGGING, ""))


def directive(headers: Mapping[str, str], name: str) -> str:
    """Where a copy takes something from: COPY, its source, or REPLACE, its headers. Raises InvalidArgument."""
    value = headers.get(name, "COPY")
    if value not in ("COPY", "REPLACE"):
        kind = name.removeprefix("x-amz-").removesuffix("-directive")
        raise InvalidArgument(f"Unknown {kind} directive.", ArgumentName=name, ArgumentValue=value)
    return value


def storage_class(headers: Mapping[str, str]) -> str:
    """The storage class asked for; STANDARD by default. Raises InvalidStorageClass."""
    name = headers.get("x-amz-storage-class", "STANDARD")
    if name not in STORAGE_CLASSES:
        raise InvalidStorageClass(StorageClassRequested=name)
    return name


def content_md5(headers: Mapping[str, str]) -> bytes | None:
    """The 16 bytes of Content-MD5 (RFC 1864); None without the header. Raises InvalidDigest."""
    value = headers.get("content-md5")
    if value is None:
        return None
    digest = _unbase64(value)
    if digest is None or len(digest) != 16:
        wrong = InvalidDigest("The Content-MD5 you specified was invalid.")
        wrong.details["Content-MD5"] = value
        raise wrong
    return digest


def checksum_values(headers: Mapping[str, str]) -> dict[str, str]:
    """The x-amz-checksum-… value sent, base64 by algorithm. Raises InvalidRequest for an unknown or a second one.

    A malformed value can match no body, hence BadDigest (s3-tests: test_object_checksum_sha256).
    """
    found: dict[str, str] = {}
    for header, value in headers.items():
        if header.startswith(CHECKSUM_PREFIX) and header not in _CHECKSUM_OPTIONS:
            algorithm = header.removeprefix(CHECKSUM_PREFIX)
            if algorithm not in DIGEST_SIZES:
                raise InvalidRequest("The algorithm type you specified in x-amz-checksum- header is invalid.")
            if not is_checksum(algorithm, value.partition("-")[0]):
                raise BadDigest(f"Value for {header} header is invalid.")
            found[algorithm] = value
    if len(found) > 1:
        raise InvalidRequest("Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed.")
    return found


def trailing_checksum(headers: Mapping[str, str]) -> str:
    """The algorithm of the checksum that x-amz-trailer announces, or empty. Raises InvalidRequest for any other."""
    announced = headers.get("x-amz-trailer", "").lower()
    algorithm = announced.removeprefix(CHECKSUM_PREFIX)
    if announced and (algorithm == announced or algorithm not in DIGEST_SIZES):
        raise InvalidRequest("The value specified in the x-amz-trailer header is not supported")
    return algorithm


def check_announced(headers: Mapping[str, str], sent: str) -> None:
    """Raise InvalidRequest when x-amz-sdk-checksum-algorithm names another checksum than the one that is sent.

    Source: https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObject.html
    """
    name = "x-amz-sdk-checksum-algorithm"
    announced = headers.get(name, "").lower()
    if announced and not sent:
        raise InvalidRequest(
            f"{name} specified, but no corresponding x-amz-checksum-* or x-amz-trailer headers were found."
        )
    if announced not in ("", sent):
        raise InvalidRequest(f"Value for {name} header is invalid.")


def is_checksum(algorithm: str, value: str) -> bool:
    """Whether the value is as long as the algorithm's digests, in base64."""
    digest = _unbase64(value)
    return digest is not None and len(digest) == DIGEST_SIZES[algorithm]


def content_sha256(headers: Mapping[str, str]) -> str:
    """What x-amz-content-sha256 says: 64 hexadecimal digits, or one of the values that stand for none; or empty.

    Source: https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-auth-using-authorization-header.html
    """
    value = headers.get("x-amz-content-sha256", "")
    if value and value not in SHA256_STAND_INS and not _SHA256.fullmatch(value):
        raise InvalidArgument(
            f"x-amz-content-sha256 must be {', '.join(SHA256_STAND_INS)} or a valid sha256 value.",
            ArgumentName="x-amz-content-sha256",
            ArgumentValue=value,
        )
    return value


def parse_size(headers: Mapping[str, str], name: str) -> int | None:
    """The number of bytes that a header tells, None without it. Raises InvalidArgument for what is no number."""
    value = headers.get(name)
    if value is None:
        return None
    if not (value.isascii() and value.isdigit() and len(value) <= _MAX_DIGITS):
        raise InvalidArgument(f"{name} must be a size in bytes", ArgumentName=name, ArgumentValue=value)
    return int(value)


def _unbase64(value: str) -> bytes | None:
    try:
        return base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        return None


def checksum_headers(checksums: Mapping[str, str], checksum_type: str) -> dict[str, str]:
    """The checksums as headers of an answer."""
    told = {CHECKSUM_PREFIX + algorithm: value for algorithm, value in checksums.items()}
    if told and checksum_type:
        told["x-amz-checksum-type"] = checksum_type
    return told


def version_headers(version: ObjectVersion, shows_version: bool) -> dict[str, str]:
    """All headers by which an answer describes a version, but for its length and its checksums."""
    told = {
        **version.headers,
        **{METADATA_PREFIX + name: value for name, value in version.metadata.items()},
        "accept-ranges": "bytes",
        "etag": quoted(version.etag),
        "last-modified": http_date(version.modified),
        **as_headers(version.encryption),
    }
    if version.storage_class != "STANDARD":
        told["x-amz-storage-class"] = version.storage_class
    if shows_version:
        told["x-amz-version-id"] = version.version_id
    return told


def overrides(query: Mapping[str, str]) -> dict[str, str]:
    """The headers that response-… parameters put in place of the stored ones."""
    return {header: query[parameter] for parameter, header in OVERRIDES.items() if parameter in query}
