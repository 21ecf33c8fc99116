"""A store in memory, empty at first, and what answers from it: all that a reset replaces."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Final

from post3.auth.access import Admission
from post3.auth.authentication import Authenticator, Proof
from post3.auth.credentials import StaticCredentials
from post3.dispatch import Dispatcher
from post3.model.clock import system_clock
from post3.model.kms import ONLY_KEY, MasterKeys
from post3.s3.gate import Gate
from post3.s3.message import Request
from post3.storage.memory import MemoryBackend
from post3.testing.clock import SettableClock
from post3.testing.requests import RecordedRequest

MAX_RECORDED: Final = 10_000
_KEYS: Final = MasterKeys(ONLY_KEY, {ONLY_KEY: bytes(32)})
"""So that encryption by the server works as on AWS; what it protects is gone with its test."""


class ClockedGate(Gate):
    """Tells who asks, by the clock that is set; of those who sign in headers by the system's, unless told otherwise."""

    def __init__(self, credentials: StaticCredentials, clock: SettableClock) -> None:
        super().__init__(credentials, Authenticator(credentials), Admission())
        self._clock = clock

    async def identify(
        self, request: Request, now: datetime, invites: Callable[[], Awaitable[bool]], *, asks_in_form: bool = False
    ) -> Proof:
        """See Gate."""
        if "authorization" in request.headers and not self._clock.checks_requests:
            now = system_clock()
        return await super().identify(request, now, invites, asks_in_form=asks_in_form)


class World:
    """A store and its requests. A request that came before a reset ends in the world where it began."""

    def __init__(self, gate: Gate, clock: SettableClock) -> None:
        self.handle = Dispatcher(MemoryBackend(clock=clock.now), gate, _KEYS, clock=clock.now).handle
        self.requests: deque[RecordedRequest] = deque(maxlen=MAX_RECORDED)
