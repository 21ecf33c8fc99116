"""Byte ranges, half-open: which bytes of an object are meant, and which runs of its parts hold them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from post3.errors import InvalidRange
from post3.model.object import Part


@dataclass(frozen=True, slots=True)
class ByteRange:
    """What was asked for: from start to before stop (None: to the end), or the last `suffix` bytes."""

    start: int = 0
    stop: int | None = None
    suffix: int | None = None

    def of(self, size: int) -> tuple[int, int]:
        """Start and stop within so many bytes. Raises InvalidRange when none of them is meant (RFC 9110, 14.1.2)."""
        if self.suffix is not None:
            start, stop = max(0, size - self.suffix), size
        else:
            start, stop = self.start, size if self.stop is None else min(self.stop, size)
        if start >= stop:
            raise InvalidRange(ActualObjectSize=size)
        return start, stop


@dataclass(frozen=True, slots=True)
class Run:
    """Bytes of one part, from start to before stop within it."""

    part: Part
    start: int
    stop: int


def runs(parts: Iterable[Part], start: int, stop: int) -> Iterator[Run]:
    """The runs that hold an object's bytes from start to before stop, given the parts under them."""
    for part in parts:
        first, last = max(start, part.start), min(stop, part.start + part.size)
        if first < last:
            yield Run(part, first - part.start, last - part.start)
