"""Encryption at rest under random sizes, ranges, cuts and damage: the plain bytes, or an error, and nothing else."""

from __future__ import annotations

import asyncio
from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st

from post3._chunker import BLOCK_SIZE, PIECE_SIZE
from post3.crypto import PLAIN_BLOCK, stored_size
from post3.errors import InternalError
from tests.conftest import some_bytes
from tests.encrypting import Sealed, seal, unseal
from tests.fuzz.bounds import bounded

EDGES = (0, PIECE_SIZE, PLAIN_BLOCK, BLOCK_SIZE, 2 * PLAIN_BLOCK, 2 * BLOCK_SIZE)
sizes = st.builds(lambda edge, more: max(edge + more, 1), st.sampled_from(EDGES), st.integers(-20, 20))
cuts = st.lists(st.integers(1, 2 * BLOCK_SIZE), max_size=5)


@cache
def sealed(size: int) -> Sealed:
    """Made once for each size."""
    return asyncio.run(seal(some_bytes(size)))


@bounded
@given(sizes, st.data(), cuts)
def test_any_range_decrypts_to_its_bytes_however_they_come(size: int, data: st.DataObject, cuts: list[int]) -> None:
    stop = data.draw(st.integers(1, size) | st.just(size))
    start = data.draw(st.integers(0, stop - 1) | st.integers(max(0, stop - 20), stop - 1))
    assert asyncio.run(unseal(sealed(size), size, start, stop, sizes=cuts)) == some_bytes(size)[start:stop]


@bounded
@given(sizes, st.data())
def test_any_bit_that_changed_is_detected(size: int, data: st.DataObject) -> None:
    stored = bytearray(sealed(size).data)
    place = data.draw(st.integers(0, len(stored) - 1) | st.integers(max(0, len(stored) - 20), len(stored) - 1))
    stored[place] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises(InternalError):
        asyncio.run(unseal(sealed(size), size, stored=bytes(stored)))


@bounded
@given(sizes, st.data())
def test_any_other_length_is_detected(size: int, data: st.DataObject) -> None:
    claimed = data.draw(sizes.filter(lambda other: other != size))
    stored = sealed(size).data[: stored_size(claimed)]
    with pytest.raises(InternalError):
        asyncio.run(unseal(sealed(size), claimed, stored=stored))


@bounded
@given(sizes, st.data())
def test_any_end_that_is_missing_is_detected(size: int, data: st.DataObject) -> None:
    stored = sealed(size).data
    kept = data.draw(st.integers(0, len(stored) - 1) | st.sampled_from([len(stored) // BLOCK_SIZE * BLOCK_SIZE, 0]))
    if kept == len(stored):
        kept -= 1
    with pytest.raises(InternalError):
        asyncio.run(unseal(sealed(size), size, stored=stored[:kept]))
