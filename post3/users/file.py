"""The users file, read again when it changes."""

from __future__ import annotations

import asyncio
import logging
import os
from pathlib import Path
from typing import NamedTuple

from post3.auth.credentials import CredentialsError, User
from post3.auth.users_document import parse_users
from post3.config import ConfigError

logger = logging.getLogger("post3")


class _Seen(NamedTuple):
    """What tells one content of a file from another."""

    modified: int
    inode: int
    size: int


class UsersFile:
    """The users of a file, as they were when it last was right."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: _Seen | None = None
        self._told = ""
        self.users: tuple[User, ...] = ()

    async def open(self) -> None:
        """Read it for the first time. Raises ConfigError, with the place of what is wrong."""
        try:
            await asyncio.to_thread(self._read)
        except CredentialsError as error:
            raise ConfigError(str(error)) from None

    async def read(self) -> bool:
        """Read it anew if it has changed; whether it was. What is wrong is logged once, and the last users stay."""
        try:
            changed = await asyncio.to_thread(self._read)
        except CredentialsError as error:
            if str(error) != self._told:
                self._told = str(error)
                logger.error("%s; the users that it named before stay in force", str(error).removesuffix("."))
            return False
        self._told = ""
        return changed

    def _read(self) -> bool:
        try:
            seen = self._look()
            if seen == self._seen:
                return False
            # Looked at first: what is written while it is read differs from what was seen.
            text = self._path.read_text(encoding="utf-8-sig")
        except OSError as error:
            self._seen = None
            raise CredentialsError(f"The users file {self._path} cannot be read: {error.strerror}.") from None
        except UnicodeDecodeError:
            self._seen = seen
            raise CredentialsError(f"The users file {self._path} is not UTF-8.") from None
        self._seen = seen
        try:
            self.users = parse_users(text)
        except CredentialsError as error:
            raise CredentialsError(f"The users file {self._path} is wrong: {error}.") from None
        return True

    def _look(self) -> _Seen:
        stat = os.stat(self._path)
        return _Seen(stat.st_mtime_ns, stat.st_ino, stat.st_size)
