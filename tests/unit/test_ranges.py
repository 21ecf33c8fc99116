"""Byte ranges, half-open, and the runs of parts that hold them."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from post3.errors import InvalidRange
from post3.model.object import Blob, Part
from post3.model.ranges import ByteRange, Run, runs


@pytest.mark.parametrize(
    ("asked", "size", "meant"),
    [
        (ByteRange(), 10, (0, 10)),
        (ByteRange(3), 10, (3, 10)),
        (ByteRange(3, 5), 10, (3, 5)),
        (ByteRange(3, 100), 10, (3, 10)),
        (ByteRange(9), 10, (9, 10)),
        (ByteRange(suffix=3), 10, (7, 10)),
        (ByteRange(suffix=100), 10, (0, 10)),
    ],
)
def test_a_range_is_cut_to_the_object(asked: ByteRange, size: int, meant: tuple[int, int]) -> None:
    assert asked.of(size) == meant


@pytest.mark.parametrize(
    ("asked", "size"),
    [
        (ByteRange(10), 10),
        (ByteRange(10, 20), 10),
        (ByteRange(suffix=0), 10),
        (ByteRange(), 0),
        (ByteRange(suffix=5), 0),
    ],
)
def test_a_range_without_a_byte_is_not_satisfiable(asked: ByteRange, size: int) -> None:
    with pytest.raises(InvalidRange) as caught:
        asked.of(size)
    assert caught.value.details == {"ActualObjectSize": str(size)}


def part(number: int, start: int, size: int) -> Part:
    return Part(number, size, "etag", datetime(2026, 1, 1, tzinfo=UTC), Blob(str(number), size), start=start)


PARTS = (part(1, 0, 5), part(2, 5, 0), part(3, 5, 5), part(7, 10, 3))


@pytest.mark.parametrize(
    ("start", "stop", "expected"),
    [
        (0, 13, [(1, 0, 5), (3, 0, 5), (7, 0, 3)]),
        (0, 5, [(1, 0, 5)]),
        (4, 6, [(1, 4, 5), (3, 0, 1)]),
        (5, 10, [(3, 0, 5)]),
        (12, 13, [(7, 2, 3)]),
        (3, 3, []),
    ],
)
def test_a_range_becomes_runs_of_parts(start: int, stop: int, expected: list[tuple[int, int, int]]) -> None:
    found = list(runs(PARTS, start, stop))
    assert [(run.part.number, run.start, run.stop) for run in found] == expected
    assert all(isinstance(run, Run) for run in found)


def test_the_runs_of_every_range_are_its_bytes() -> None:
    data = bytes(range(13))
    for start in range(14):
        for stop in range(start, 14):
            found = b"".join(data[run.part.start :][run.start : run.stop] for run in runs(PARTS, start, stop))
            assert found == data[start:stop]
