"""All credentials of a server: the root keys, the users file and the users in the store, never older than a second."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path
from time import monotonic
from typing import Final

from post3.auth.credentials import Key, Source, StaticCredentials, User, merge
from post3.errors import S3Error
from post3.model.identity import ROOT, Identity
from post3.storage.protocol import Records
from post3.users.file import UsersFile
from post3.users.store import KnownUsers

logger = logging.getLogger("post3")

FRESH_FOR: Final = 0.5
"""Seconds for which nobody looks again."""
STALE_AFTER: Final = 1.0
"""Seconds after which a request waits until somebody has looked."""
PATIENCE: Final = 5.0
"""Seconds that the store has to answer."""


class StoredCredentials:
    """Credentials that follow their sources. Root comes before the file, the file before the store.

    They are looked at when a request asks for it and the last look is half a second old: by one task, for which
    requests wait when it is a second. While the store does not answer, what is known stays in force and nobody waits.
    """

    def __init__(
        self,
        records: Records,
        root: Key | None = None,
        users_file: Path | None = None,
        *,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._stored = KnownUsers(records)
        self._root = User(ROOT, () if root is None else (root,))
        self._file = None if users_file is None else UsersFile(users_file)
        self._clock = clock
        self._known = StaticCredentials()
        self._is_closed = root is not None or users_file is not None
        self._looked = -STALE_AFTER
        self._looking: asyncio.Task[None] | None = None
        self._is_failing = False
        self._told: set[str] = set()

    async def open(self) -> None:
        """Learn who there is. Raises ConfigError for a wrong users file, OSError when the store does not answer."""
        if self._file is not None:
            await self._file.open()
        self._looked = self._clock()
        try:
            await self._stored.read()
        except S3Error as error:
            raise OSError(error.message) from error
        self._combine()

    async def close(self) -> None:
        """End a look that is under way; the store may be closed then."""
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.wait([self._looking])

    async def refresh(self) -> None:
        """See Credentials."""
        age = self._clock() - self._looked
        if age < FRESH_FOR:
            return
        if self._looking is None:
            self._looking = asyncio.create_task(self._look())
        if age >= STALE_AFTER and not self._is_failing:
            await asyncio.wait([self._looking])

    async def _look(self) -> None:
        began, changed = self._clock(), False
        try:
            async with asyncio.timeout(PATIENCE):
                changed = self._file is not None and await self._file.read()
                changed = await self._stored.read() or changed
            self._is_failing = False
        except Exception as error:
            self._fail(error)
        finally:
            self._looked, self._looking = began, None
        if changed:
            self._combine()

    def _fail(self, error: Exception) -> None:
        """Tell it, once in each outage."""
        if not self._is_failing:
            self._is_failing = True
            why = " ".join(str(error).split()) or "no answer"
            is_surprise = not isinstance(error, (S3Error, OSError))
            logger.warning("users and keys cannot be read, and stay as last known: %s", why, exc_info=is_surprise)

    def _combine(self) -> None:
        self._known, clashes = merge(
            Source("root", [self._root]),
            Source("The users file", self._file.users if self._file is not None else ()),
            Source("The store", self._stored.users),
        )
        for clash in clashes:
            if clash not in self._told:
                self._told.add(clash)
                logger.warning("%s", clash)
        self._is_closed = self._is_closed or not self._known.is_empty

    def find(self, access_key: str) -> Key | None:
        """See Credentials."""
        return self._known.find(access_key)

    def by_id(self, id: str) -> Identity | None:
        """See Credentials."""
        return self._known.by_id(id)

    def by_email(self, email: str) -> Identity | None:
        """See Credentials."""
        return self._known.by_email(email)

    @property
    def is_empty(self) -> bool:
        """See Credentials. A users file that names nobody lets in nobody; the end of the last key opens no server."""
        return not self._is_closed
