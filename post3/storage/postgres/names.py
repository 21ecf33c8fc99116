"""Names of bytes, and how their holders are told."""

from __future__ import annotations

import secrets
import time
import uuid
from itertools import count
from typing import Final

_COUNTER_BITS: Final = 12
_count = count(secrets.randbits(_COUNTER_BITS))


def new_id() -> uuid.UUID:
    """A UUID of version 7, which grows with time, so that blocks written together stand together.

    Source: RFC 9562, section 5.7.
    """
    milliseconds = time.time_ns() // 1_000_000
    counter = next(_count) & 0xFFF
    return uuid.UUID(int=milliseconds << 80 | 7 << 76 | counter << 64 | 2 << 62 | secrets.randbits(62))


def lock_key(id: uuid.UUID) -> int:
    """The advisory lock of some bytes: the random half of their name."""
    return int.from_bytes(id.bytes[8:], "big", signed=True)
