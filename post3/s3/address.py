"""Which bucket and key a request's host and path name.

Decoded exactly once. `//`, `.` and `..` are part of the key: S3 normalises nothing.
Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/VirtualHosting.html
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple
from urllib.parse import unquote_to_bytes

from post3.auth.access import host_name
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


def parse_address(host: str, path: str, domains: Sequence[str]) -> Address:
    """The address that a Host header and a percent-encoded path name together. Raises InvalidURI.

    `bucket.domain` names a bucket, and the whole path is the key (virtual-host style); with any other host, and with
    the domain itself, the path names both (path style). Of two domains that fit, the longer one counts.
    """
    bucket = bucket_in_host(host, domains)
    if not bucket:
        return parse_path(path)
    if not path.startswith("/"):
        raise InvalidURI(URI=path)
    return Address(bucket, _decode(path[1:]))


def bucket_in_host(host: str, domains: Sequence[str]) -> str:
    """The bucket that a Host header names, whatever its case and port; empty when it names none.

    The domains are in lower case.
    """
    if not domains:
        return ""
    name = host_name(host)
    fitting = [domain for domain in domains if name == domain or name.endswith(f".{domain}")]
    return name.removesuffix(max(fitting, key=len)).removesuffix(".") if fitting else ""


def parse_path(path: str) -> Address:
    """The address of a percent-encoded path such as `/bucket/some/key`. Raises InvalidURI for what is not UTF-8.

    Also for a bucket with a slash in it, encoded: whoever signed `/bucket/key` signed `/bucket%2Fkey` too.
    """
    if not path.startswith("/"):
        raise InvalidURI(URI=path)
    bucket, _, key = path[1:].partition("/")
    if not bucket and key:
        raise InvalidURI("The path names a key but no bucket.", URI=path)
    if "%" not in path and path.isascii():
        return Address(bucket, key)
    address = Address(_decode(bucket), _decode(key))
    if "/" in address.bucket:
        raise InvalidURI(URI=path)
    return address


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
