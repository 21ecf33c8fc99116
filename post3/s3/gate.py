"""Who is let in, and as whom: signatures where anybody has a key, and this machine alone where nobody has."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import TypeAlias

from post3.auth.access import Admission, foreign_page
from post3.auth.authentication import UNSIGNED, Authenticator, Proof
from post3.auth.credentials import Credentials
from post3.auth.sent import Sent
from post3.errors import AccessDenied
from post3.model.grants import Directory
from post3.model.identity import ROOT
from post3.s3.message import Request

OPEN = Proof(ROOT)
"""Of whoever asks a server without credentials."""

Invites: TypeAlias = Callable[[], Awaitable[bool]]
"""Whether the rules of the bucket that is asked for let in the page that asks."""


class Gate:
    """Tells who asks."""

    def __init__(self, credentials: Credentials, authenticator: Authenticator, admission: Admission) -> None:
        self._credentials = credentials
        self._authenticator = authenticator
        self._admission = admission

    @property
    def directory(self) -> Directory:
        """Everybody who is known."""
        return self._credentials

    async def identify(self, request: Request, now: datetime, invites: Invites, *, asks_in_form: bool = False) -> Proof:
        """Who asks. Raises the S3 error of a signature that is wrong, and AccessDenied for a stranger's web page."""
        await self._credentials.refresh()
        if self._credentials.is_empty:
            return await self._admit(request, invites)
        return UNSIGNED if asks_in_form else self._authenticator.authenticate(_sent(request), now)

    async def _admit(self, request: Request, invites: Invites) -> Proof:
        """Whoever is on this machine, with everything; a page from elsewhere, with a bucket that invites it."""
        self._admission.check_host(request.headers)
        reason = foreign_page(request.headers)
        if not reason:
            return OPEN
        if not await invites():
            raise AccessDenied(
                "Without credentials, requests of web pages from elsewhere are refused, unless the bucket's CORS rules "
                f"allow them; {reason}."
            )
        return replace(OPEN, only_bucket=request.address.bucket)

    async def identify_preflight(self, request: Request) -> Proof:
        """Nobody, whatever a preflight carries. Raises AccessDenied for a Host that is not the server's own."""
        await self._credentials.refresh()
        if self._credentials.is_empty:
            self._admission.check_host(request.headers)
        return UNSIGNED

    def identify_form(self, fields: Mapping[str, str], now: datetime) -> Proof:
        """Who sends a form. Raises the S3 error of a signature that is wrong."""
        return OPEN if self._credentials.is_empty else self._authenticator.authenticate_form(fields, now)


def _sent(request: Request) -> Sent:
    """What signatures speak of."""
    bucket, is_virtual_host = request.address.bucket, bool(request.host_bucket)
    return Sent(request.method, request.path, request.raw_query, request.headers, bucket, is_virtual_host)
