"""Where the database is: one that somebody else runs, named by a URL, or (embedded.py) one of post3's own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol
from urllib.parse import parse_qsl, urlsplit


class Database(Protocol):
    """A PostgreSQL that can be connected to."""

    async def start(self) -> Mapping[str, Any]:
        """Make sure that it runs, as far as that is in our hands; the keyword arguments for `asyncpg.connect`.

        Called when a store opens, and again whenever no connection can be made: cheap when nothing is to be done.
        Raises OSError or ValueError with a sentence for people.
        """

    async def stop(self) -> None:
        """Give it back; called once for a store, also when it never started."""


class RemoteDatabase(Database):
    """A database that runs by itself."""

    def __init__(self, url: str) -> None:
        """Raises ValueError for what is no PostgreSQL URL."""
        if urlsplit(url).scheme not in ("postgres", "postgresql"):
            raise ValueError("a database URL looks like postgresql://user:password@host:5432/name")
        self.url = url

    async def start(self) -> Mapping[str, Any]:
        """See Database."""
        arguments: dict[str, Any] = {"dsn": self.url}
        url = urlsplit(self.url)
        options = dict(parse_qsl(url.query))
        if "," in url.netloc + options.get("host", "") and "target_session_attrs" not in options:
            # Of several hosts, whichever takes writes now.
            arguments["target_session_attrs"] = "read-write"
        return arguments

    async def stop(self) -> None:
        """Nothing to give back."""

    def __str__(self) -> str:
        parts = urlsplit(self.url)
        return f"{parts.netloc.rpartition('@')[2] or 'localhost'}{parts.path}"
