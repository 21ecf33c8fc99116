"""How the C library gives memory back: blocks of a body come and go by the thousand, and must not stay."""

from __future__ import annotations

import ctypes
from typing import Final

M_MMAP_THRESHOLD: Final = -3
"""mallopt(3)."""
THRESHOLD: Final = 256 * 1024
"""Bytes from which an allocation is mapped by itself, and unmapped when it is freed."""


def give_back_large_blocks() -> None:
    """Have glibc return large allocations to the system at once, instead of keeping them for each thread.

    By default glibc raises its threshold to the largest block that was freed, and every thread then keeps blocks of
    1 MiB for itself. Other C libraries are left as they are.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(M_MMAP_THRESHOLD, THRESHOLD)
