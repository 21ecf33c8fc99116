"""Leases: of all the processes on a store, one does a kind of work at a time."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from time import monotonic
from typing import Final

from post3.model.record import Record
from post3.storage.protocol import Backend

KIND: Final = "lease"
LEASE_SECONDS: Final = 30.0
RENEWAL_SECONDS: Final = LEASE_SECONDS / 3


class _Taken(Exception):
    """Somebody else holds it."""


class Lease:
    """A lease that its holder renews, and that others may take when they have seen it unrenewed for long enough.

    Each process measures that by its own monotonic clock, from the revision that it saw last: no clocks are compared.
    """

    def __init__(self, backend: Backend, name: str, clock: Callable[[], float] = monotonic) -> None:
        self._backend = backend
        self._name = name
        self._clock = clock
        self._holder = secrets.token_hex(8)
        self._seen_revision = -1
        self._seen_at = 0.0

    async def hold(self) -> bool:
        """Take or renew it; False while somebody else holds it."""

        def take(record: Record | None) -> Record:
            if record is not None and not self._may_take(record):
                raise _Taken
            return Record(KIND, self._name, {"holder": self._holder})

        try:
            await self._backend.update_record(KIND, self._name, take)
        except _Taken:
            return False
        return True

    def _may_take(self, record: Record) -> bool:
        if record.document.get("holder") in ("", self._holder):
            return True
        if record.revision != self._seen_revision:
            self._seen_revision, self._seen_at = record.revision, self._clock()
        return self._clock() - self._seen_at >= LEASE_SECONDS

    async def release(self) -> None:
        """Give it back, if it is held."""

        def give(record: Record | None) -> Record:
            if record is None or record.document.get("holder") != self._holder:
                raise _Taken
            return Record(KIND, self._name, {"holder": ""})

        try:
            await self._backend.update_record(KIND, self._name, give)
        except _Taken:
            return
