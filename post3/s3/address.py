"""Which bucket and key a request's path names.

Decoded exactly once. `//`, `.` and `..` are part of the key: S3 normalises nothing.
Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/VirtualHosting.html (path style)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple
from urllib.parse import unquote_to_bytes

from post3.errors import InvalidURI

Level = Literal["root", "bucket", "object"]


class Address(NamedTuple):
    """A bucket and a key; empty where the path names none."""

    bucket: str = ""
    key: str = ""

    @property
    def level(self) -> Level:
        """What the address names."""
        if not self.bucket:
            return "root"
        return "object" if self.key else "bucket"


def parse_path(path: str) -> Address:
    """The address of a percent-encoded path such as `/bucket/some/key`. Raises InvalidURI for what is not UTF-8."""
    if not path.startswith("/"):
        raise InvalidURI(URI=path)
    bucket, _, key = path[1:].partition("/")
    if not bucket and key:
        raise InvalidURI("The path names a key but no bucket.", URI=path)
    return Address(_decode(bucket), _decode(key))


def parse_query(query: str) -> Mapping[str, str]:
    """A query string's names and values, decoded; of a name that repeats, the first. Raises InvalidURI."""
    found: dict[str, str] = {}
    for pair in query.split("&"):
        if pair:
            name, _, value = pair.partition("=")
            found.setdefault(_decode(name.replace("+", " ")), _decode(value.replace("+", " ")))
    return found


def valueless_names(query: str) -> frozenset[str]:
    """The names of a query string that carry no value: `?acl` and `?acl=` alike."""
    pairs = (pair.partition("=") for pair in query.split("&") if pair)
    return frozenset(_decode(name.replace("+", " ")) for name, _, value in pairs if not value)


def _decode(text: str) -> str:
    if "%" not in text and text.isascii():
        return text
    try:
        return unquote_to_bytes(text).decode()
    except UnicodeError:
        raise InvalidURI("The specified URI is not valid UTF-8.", URI=text) from None
