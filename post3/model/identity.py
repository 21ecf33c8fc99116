"""Who asks, and who owns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Identity:
    """Somebody on whose behalf a request is served."""

    id: str
    """What owners and grants name: AWS's canonical user id, here any short name."""
    display_name: str
    email: str = ""
    """Grants may name somebody by it; empty for none."""
    is_admin: bool = False
    """Whether everything is allowed, as it is to whoever holds the root keys."""


ANONYMOUS: Final = Identity("65a011a29cdf8ec533ec3d1ccaae921c", "")
"""Whoever does not say who they are. AWS shows anonymous owners by this canonical id."""

ROOT: Final = Identity("post3", "post3", is_admin=True)
"""Whoever holds the root keys; in a store without credentials, everybody. Owns what was made then."""
