"""Continuation tokens: where a listing goes on, in a form that clients pass back without looking into it."""

from __future__ import annotations

import base64
import binascii

from post3.errors import InvalidArgument


def next_token(last: str) -> str:
    """The token for what comes after this name."""
    return base64.urlsafe_b64encode(b"1" + last.encode()).decode("ascii")


def parse_token(token: str) -> str:
    """The name that a token stands for; empty for an empty token, which means the start. Raises InvalidArgument."""
    if not token:
        return ""
    try:
        decoded = base64.b64decode(token, altchars=b"-_", validate=True)
        if decoded[:1] == b"1":
            return decoded[1:].decode()
    except (binascii.Error, ValueError):
        pass
    raise InvalidArgument(
        "The continuation token provided is incorrect", ArgumentName="continuation-token", ArgumentValue=token
    )
