"""Gates for tests of what lies behind them: open, or with somebody's word for who asks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime

from post3.auth.access import Admission
from post3.auth.authentication import Authenticator, Proof
from post3.auth.credentials import StaticCredentials
from post3.model.identity import ANONYMOUS, Identity
from post3.s3.gate import Gate, Invites
from post3.s3.message import Request


def open_gate() -> Gate:
    """That of a server where nobody has a key: everybody is root."""
    credentials = StaticCredentials()
    return Gate(credentials, Authenticator(credentials), Admission())


class NamedGate(Gate):
    """Takes the header x-asks, or a form's field of that name, for the id of who asks; without it, nobody does."""

    def __init__(self, identities: Iterable[Identity]) -> None:
        credentials = StaticCredentials(identities=identities)
        super().__init__(credentials, Authenticator(credentials), Admission())

    async def identify(self, request: Request, now: datetime, invites: Invites, *, asks_in_form: bool = False) -> Proof:
        """Whoever the header says."""
        return self._proof_of(request.headers, "header")

    def identify_form(self, fields: Mapping[str, str], now: datetime) -> Proof:
        """Whoever the field says."""
        return self._proof_of(fields, "form")

    def _proof_of(self, told: Mapping[str, str], kind: str) -> Proof:
        identity = self.directory.by_id(told.get("x-asks", ""))
        return Proof(identity or ANONYMOUS, kind=kind if identity else "")
