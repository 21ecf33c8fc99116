"""In how many parts of which size something is moved: S3's limits, as pure rules.

Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

from post3.client.errors import InvalidArgument
from post3.client.model import GiB, MiB

MOST_PARTS: Final = 10_000
SMALLEST_PART: Final = 5 * MiB
"""But for the last one."""
LARGEST_PART: Final = 5 * GiB
DEFAULT_PART: Final = 8 * MiB
SINGLE_PUT: Final = 8 * MiB
"""What is larger goes by multipart."""
GROWTH: Final = 1000
"""After so many parts of a stream of unknown length the part size doubles: 8 MiB at first reach more than 5 TiB."""


class Span(NamedTuple):
    """A numbered run of bytes, from start to before stop; numbers begin at 1."""

    number: int
    start: int
    stop: int

    @property
    def size(self) -> int:
        """How many bytes."""
        return self.stop - self.start


def spans(size: int, part_size: int) -> Iterator[Span]:
    """The parts of something of that size, in order; none of nothing."""
    for number, start in enumerate(range(0, size, part_size), 1):
        yield Span(number, start, min(size, start + part_size))


def part_size_of(number: int, part_size: int, size: int | None) -> int:
    """How large part `number` of an upload is to be: large enough that 10,000 parts hold it all."""
    if size is not None:
        return max(part_size, -(-size // MOST_PARTS))
    return min(LARGEST_PART, part_size << ((number - 1) // GROWTH))


def check_part_size(part_size: int) -> None:
    """Raises InvalidArgument for parts that S3 refuses."""
    if not SMALLEST_PART <= part_size <= LARGEST_PART:
        raise InvalidArgument(
            f"part_size is 5 MiB to 5 GiB on S3 ({SMALLEST_PART} to {LARGEST_PART}), not {part_size}."
        )


def check_workers(workers: int) -> None:
    """Raises InvalidArgument when nobody would work."""
    if workers < 1:
        raise InvalidArgument(f"workers is 1 or more, not {workers}.")
