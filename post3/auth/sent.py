"""What of a request its signature speaks of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias
from urllib.parse import unquote_plus

Pair: TypeAlias = tuple[str, str, bool]
"""A parameter's name and value, decoded, and whether there was an equals sign."""


@dataclass(slots=True)  # made for every request, as Request is, and so not frozen
class Sent:
    """A request as it arrived, before anybody gave it a meaning."""

    method: str
    path: str
    """Exactly as sent, percent-encoded, without the query."""
    query: str
    """Exactly as sent, without the question mark."""
    headers: Mapping[str, str]
    """Lower-case names; values trimmed, repeated ones joined with a comma."""
    bucket: str
    """The bucket addressed, by host or path; empty for none."""
    is_virtual_host: bool
    """Whether the bucket came from the Host, and is not in the path."""


def parse_parameters(query: str) -> list[Pair]:
    """The parameters of a query string, in the order sent. Bytes that are not UTF-8 become lone surrogates."""
    pairs = (pair.partition("=") for pair in query.split("&") if pair)
    return [(_decoded(name), _decoded(value), bool(equals)) for name, equals, value in pairs]


def as_bytes(text: str) -> bytes:
    """The bytes that were sent as this text, whatever it holds: lone surrogates stand for what is not UTF-8."""
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogatepass")


def _decoded(text: str) -> str:
    return unquote_plus(text, errors="surrogateescape") if "%" in text or "+" in text else text
