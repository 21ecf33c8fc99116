"""Keys and bodies: keys spread over folders, and bodies that nothing can compress, each of its key alone."""

from __future__ import annotations

import hashlib
import random
from functools import lru_cache
from typing import Final

from benchmarks.signing import Body

KIB: Final = 1 << 10
MIB: Final = 1 << 20
SMALL: Final = 4 * KIB


def spread(kind: str, number: int) -> str:
    """A key in one of 256 folders, in no order."""
    digest = hashlib.sha256(f"{kind}/{number}".encode()).hexdigest()
    return f"{kind}/{digest[:2]}/{digest[2:18]}"


def body_of(key: str, size: int) -> Body:
    """The body of a key."""
    return _large(key, size) if size > 64 * KIB else Body(random.Random(key).randbytes(size))


@lru_cache(maxsize=24)
def _large(key: str, size: int) -> Body:
    # Random bytes begun elsewhere for each key, which takes a tenth of the time of new ones.
    turned = int.from_bytes(hashlib.sha256(key.encode()).digest()[:4], "big") % size
    whole = _random(size)
    return Body(whole[turned:] + whole[:turned])


@lru_cache(maxsize=2)
def _random(size: int) -> bytes:
    return random.Random(size).randbytes(size)
