"""Names of bytes, and how their holders are told."""

from __future__ import annotations

import secrets
import time
import uuid
from typing import Final

_COUNTER_BITS: Final = 12
_last = 0
"""Milliseconds and counter of the last id."""


def new_id() -> uuid.UUID:
    """A UUID of version 7, greater than all before it of this process: what was written first stands first.

    Source: RFC 9562, sections 5.7 and 6.2 (method 1; a counter that overflows is the next millisecond).
    """
    global _last  # noqa: PLW0603  # one count for all of a process
    _last = max(_last + 1, time.time_ns() // 1_000_000 << _COUNTER_BITS)
    milliseconds, counter = divmod(_last, 1 << _COUNTER_BITS)
    return uuid.UUID(int=milliseconds << 80 | 7 << 76 | counter << 64 | 2 << 62 | secrets.randbits(62))


def lock_key(id: uuid.UUID) -> int:
    """The advisory lock of some bytes: the random half of their name."""
    return int.from_bytes(id.bytes[8:], "big", signed=True)
