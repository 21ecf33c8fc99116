"""How the C library gives memory back: blocks of a body come by the thousand; they are used again, and do not stay.

A block that is mapped by itself costs a fault for each of its pages, and the time to clear them: more than half of what
a download costs (docs/decisions/0021). Kept by glibc as it likes, blocks stay for ever, and in a heap for each thread.
So there is one heap for all, and of what is free in it only a little is kept: the rest goes back every second.

Objects in cycles, which only a search frees, are looked for by the clock too. Python looks after every 700 that were
made and are still there; a page of a list is a thousand, and the search took a third of its time (docs/decisions/0024).
"""

from __future__ import annotations

import asyncio
import ctypes
import gc
from itertools import count
from typing import Final

M_TRIM_THRESHOLD: Final = -1
M_MMAP_THRESHOLD: Final = -3
M_ARENA_MAX: Final = -8
"""mallopt(3)."""
MAPPED: Final = 4 * 2**20
"""Bytes from which an allocation is mapped by itself, and unmapped when it is freed: no block is so large."""
KEPT: Final = 16 * 2**20
"""Bytes that may be free without going back."""
PAUSE: Final = 1.0
"""Seconds between two looks at what is free."""
YOUNG: Final = 50_000
"""Objects that may be made, and still be there, before cycles are looked for at once."""
SEARCHES: Final = 60
"""Of these searches for cycles, all but one leave out what has been there for some time."""


class _Statistics(ctypes.Structure):
    """What mallinfo2(3) tells, in bytes."""

    _fields_ = (
        *((f"_{number}", ctypes.c_size_t) for number in range(8)),
        ("fordblks", ctypes.c_size_t),
        ("keepcost", ctypes.c_size_t),
    )


class Heap:
    """The C library's memory. Other libraries than glibc, and those before 2.33, are left as they are."""

    def __init__(self) -> None:
        library = ctypes.CDLL(None)
        self._library = library if hasattr(library, "mallinfo2") else None
        if self._library is not None:
            self._library.mallinfo2.restype = _Statistics
            self._library.malloc_trim.argtypes = [ctypes.c_size_t]

    def use_again(self) -> None:
        """From now on keep what is freed, in one heap for all threads. To be called before there are any."""
        if self._library is not None:
            self._library.mallopt(M_MMAP_THRESHOLD, MAPPED)
            self._library.mallopt(M_TRIM_THRESHOLD, KEPT)
            self._library.mallopt(M_ARENA_MAX, 1)
        gc.set_threshold(YOUNG)

    def free(self) -> int:
        """Bytes that nobody uses. What was given back is among them: glibc does not tell these apart."""
        return 0 if self._library is None else int(self._library.mallinfo2().fordblks)

    def give_back(self) -> None:
        """Give all whole pages that are free back to the system, but for a little at the end."""
        if self._library is not None:
            self._library.malloc_trim(KEPT)


async def give_back_forever(heap: Heap) -> None:
    """Give back what is free as long as the task lives, whenever it has become another amount."""
    seen = 0
    for turn in count(1):
        await asyncio.sleep(PAUSE)
        gc.collect(1 if turn % SEARCHES else 2)
        free = heap.free()
        if free > KEPT and free != seen:
            heap.give_back()
            seen = heap.free()
