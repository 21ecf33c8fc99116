"""How an answer is written in HTTP/1.1: its head, and how its body ends.

Source: RFC 9112, 6.3 (message body length)
"""

from __future__ import annotations

from collections.abc import Mapping
from email.utils import formatdate
from enum import Enum
from http import HTTPStatus
from time import time
from typing import Final

SERVER: Final = "post3"
CONTENT_TYPE: Final = "application/octet-stream"
"""Of a body whose type nobody told."""

_STATUS_LINES: Final = {status.value: f"HTTP/1.1 {status.value} {status.phrase}" for status in HTTPStatus}
_NEVER: Final = str.maketrans(dict.fromkeys("\r\n\0", ""))


class Ending(Enum):
    """What tells a client that the body is complete."""

    NO_BODY = "there is none"
    LENGTH = "content-length"
    CHUNKS = "the last chunk"
    CLOSE = "the end of the connection: HTTP/1.0 knows no chunks"


def ending(method: str, version: str, status: int, length: int | None) -> Ending:
    """How the body of such an answer ends; a length of None is not known yet."""
    if method == "HEAD" or status in (204, 304):
        return Ending.NO_BODY
    if length is not None:
        return Ending.LENGTH
    return Ending.CLOSE if version == "1.0" else Ending.CHUNKS


def head(status: int, headers: Mapping[str, str], connection: str = "") -> bytes:
    """The status line and the headers, with Date, Server and (unless empty) Connection. CR, LF and NUL are left out."""
    lines = [_STATUS_LINES.get(status) or f"HTTP/1.1 {status} "]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    lines += [f"date: {_clock.date()}", f"server: {SERVER}"]
    if connection:
        lines.append(f"connection: {connection}")
    lines += ["", ""]
    text = "\r\n".join(lines)
    # A value that came from a query's override may hold a line break; it must not become a header of its own.
    breaks = len(lines) - 1
    if text.count("\n") != breaks or text.count("\r") != breaks or "\0" in text:
        text = "\r\n".join(line.translate(_NEVER) for line in lines)
    return text.encode("utf-8", "surrogateescape")


class _Clock:
    """The date as a header; made once a second."""

    def __init__(self) -> None:
        self._second = 0
        self._date = ""

    def date(self) -> str:
        second = int(time())
        if second != self._second:
            self._second, self._date = second, formatdate(second, usegmt=True)
        return self._date


_clock: Final = _Clock()


def own_headers() -> dict[str, str]:
    """The headers that every answer has."""
    return {"date": _clock.date(), "server": SERVER}
