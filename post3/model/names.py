"""What a bucket, a key and a version may be called.

Sources: https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html,
https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-keys.html
"""

from __future__ import annotations

import re
from typing import Final

from post3.errors import InvalidArgument, InvalidBucketName, KeyTooLongError
from post3.model.object import NULL_VERSION

MAX_KEY: Final = 1024
"""Bytes of UTF-8."""

_VERSION: Final = re.compile(r"[0-9a-f]{32}", re.ASCII)
_BUCKET: Final = re.compile(r"[a-z0-9](?:[a-z0-9.-]{1,61})[a-z0-9]", re.ASCII)
_ADDRESS: Final = re.compile(r"\d+\.\d+\.\d+\.\d+", re.ASCII)
_RESERVED_PREFIXES: Final = ("xn--", "sthree-", "amzn-s3-demo-")
_RESERVED_SUFFIXES: Final = ("-s3alias", "--ol-s3", ".mrap", "--x-s3", "--table-s3")


MAX_PART: Final = 10_000
"""The highest number of a part."""


def parse_part_number(text: str) -> int | None:
    """A part number, from 1 to 10,000; None for what is none."""
    if not (text.isascii() and text.isdigit() and len(text) <= 5):
        return None
    return int(text) if 1 <= int(text) <= MAX_PART else None


def check_bucket_name(name: str) -> None:
    """Raise InvalidBucketName for a name that a new bucket may not have."""
    wrong = (
        not _BUCKET.fullmatch(name)
        or any(pair in name for pair in ("..", ".-", "-."))
        or _ADDRESS.fullmatch(name)
        or name.startswith(_RESERVED_PREFIXES)
        or name.endswith(_RESERVED_SUFFIXES)
    )
    if wrong:
        raise InvalidBucketName(BucketName=name)


def check_key(key: str) -> None:
    """Raise KeyTooLongError for a key of more than 1,024 bytes."""
    if len(key) * 4 > MAX_KEY and len(key.encode()) > MAX_KEY:
        raise KeyTooLongError(Size=len(key.encode()), MaxSizeAllowed=MAX_KEY)


def is_version_id(text: str) -> bool:
    """Whether a version could have this id; whether there is one is another matter."""
    return text == NULL_VERSION or _VERSION.fullmatch(text) is not None


def parse_version_id(text: str) -> str:
    """A version's id. Raises InvalidArgument for what no version can be called."""
    if not text:
        raise InvalidArgument("Version id cannot be the empty string", ArgumentName="versionId", ArgumentValue=text)
    if not is_version_id(text):
        raise InvalidArgument("Invalid version id specified", ArgumentName="versionId", ArgumentValue=text)
    return text
