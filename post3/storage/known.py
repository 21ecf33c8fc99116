"""What was made of a record lately, kept so that it need not be made again.

Nothing here knows whether it still holds: whoever keeps something can tell by what it reads anyway, each time.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Final, Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")

MOST: Final = 32 * 2**20
"""Bytes of memory for all that a store of a process keeps, about."""
VERSION: Final = 2600
"""Bytes of memory of a version with a document like most, and of its key, about; beside its body."""
PLAIN: Final = 640
"""Bytes of such a document."""
DENSEST: Final = 12
"""Bytes of memory of each byte that a document has beyond: as many names of a letter or two as there can be."""


class Known(Generic[Key, Value]):
    """So many bytes of it; what came first goes first. For one thread."""

    def __init__(self) -> None:
        self._kept: dict[Key, tuple[Value, int]] = {}
        self.size = 0

    def get(self, key: Key) -> Value | None:
        """What is kept of it."""
        kept = self._kept.get(key)
        return None if kept is None else kept[0]

    def keep(self, key: Key, value: Value, size: int) -> None:
        """Keep it in place of what was; so many bytes it takes."""
        self.forget(key)
        self._kept[key] = value, size
        self.size += size
        while self.size > MOST:
            self.forget(next(iter(self._kept)))

    def forget(self, key: Key) -> None:
        """Keep nothing of it."""
        kept = self._kept.pop(key, None)
        if kept is not None:
            self.size -= kept[1]


def size_of(document: int, body: int) -> int:
    """The bytes of memory, at most, of a version whose document and body have so many."""
    return VERSION + body + DENSEST * max(0, document - PLAIN)
