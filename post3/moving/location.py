"""Where a copy comes from and goes to, as the command line names it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlsplit

Kind = Literal["fs", "pg", "database", "endpoint"]
FORMS = (
    "fs:PATH (a directory), pg:PATH (the data directory of post3's own PostgreSQL), postgresql://… (a database) or "
    "http(s)://host[:port] (an S3 endpoint)"
)


class LocationError(ValueError):
    """A text that names no store; the message is a sentence for people."""


@dataclass(frozen=True, slots=True)
class Location:
    """A store, or an S3 endpoint."""

    kind: Kind
    place: str
    """A path or a URL."""

    @property
    def is_store(self) -> bool:
        """Whether post3 opens it itself."""
        return self.kind != "endpoint"

    def __str__(self) -> str:
        """As people are told it: without a password."""
        if self.kind in ("fs", "pg"):
            return f"{self.kind}:{self.place}"
        return re.sub(r"//([^/@:]*):[^/@]*@", r"//\1@", self.place)


def parse_location(text: str) -> Location:
    """The store that a text names. Raises LocationError."""
    kind, colon, rest = text.partition(":")
    if colon and kind in ("fs", "pg"):
        if not rest:
            raise LocationError(f"{text!r} names no directory: say {kind}:PATH.")
        return Location("fs" if kind == "fs" else "pg", rest)
    if kind in ("postgresql", "postgres") and rest.startswith("//"):
        return Location("database", text)
    if kind in ("http", "https"):
        return _endpoint(text)
    if kind == "s3":
        raise LocationError(f"{text!r} names no server: say the endpoint's URL, and --bucket for one bucket of it.")
    raise LocationError(f"{text!r} names no store. A store is {FORMS}.")


def _endpoint(text: str) -> Location:
    try:
        url = urlsplit(text)
        wrong = not url.hostname or url.port == 0
    except ValueError:
        wrong = True
    if wrong:
        raise LocationError(f"{text!r} is no URL of a server.")
    if url.username is not None:
        raise LocationError("Keys do not go into an endpoint's URL: name a profile, or set the variables.")
    if url.path.strip("/") or url.query or url.fragment:
        raise LocationError(f"{text!r} has more than a server's address: name buckets by --bucket.")
    return Location("endpoint", f"{url.scheme}://{url.netloc}")
