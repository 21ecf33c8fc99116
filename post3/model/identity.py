"""Who asks, and who owns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Identity:
    """Somebody on whose behalf a request is served."""

    id: str
    display_name: str


ANONYMOUS: Final = Identity("65a011a29cdf8ec533ec3d1ccaae921c", "")
"""Whoever does not say who they are. AWS shows anonymous owners by this canonical id."""

ROOT: Final = Identity("post3", "post3")
"""The owner of everything in a store without credentials."""
