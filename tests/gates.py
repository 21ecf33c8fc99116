"""Gates for tests of what lies behind them: open, or with somebody's word for who asks."""

from __future__ import annotations

from collections.abc import Iterable
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
    """Takes the header x-asks for the id of who asks; whoever sends none is anonymous."""

    def __init__(self, identities: Iterable[Identity]) -> None:
        credentials = StaticCredentials(identities=identities)
        super().__init__(credentials, Authenticator(credentials), Admission())

    async def identify(self, request: Request, now: datetime, invites: Invites, *, asks_in_form: bool = False) -> Proof:
        """Whoever the header says."""
        identity = self.directory.by_id(request.headers.get("x-asks", ""))
        return Proof(identity or ANONYMOUS, kind="header" if identity else "")
