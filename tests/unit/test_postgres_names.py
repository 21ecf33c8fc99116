"""Names of bytes grow, whatever the clock does."""

from __future__ import annotations

import time

import pytest

from post3.storage.postgres import names
from post3.storage.postgres.names import new_id

NOW = 1_800_000_000_000


@pytest.mark.parametrize("step", [0, 1, -1, 1_000_000])
def test_each_is_greater_than_all_before(monkeypatch: pytest.MonkeyPatch, step: int) -> None:
    """More of them than a counter of 12 bits tells apart."""
    clock = iter(range(NOW * 1_000_000, NOW * 1_000_000 + 10_001 * (step or 1), step) if step else [])
    monkeypatch.setattr(names, "_last", 0)
    monkeypatch.setattr(time, "time_ns", lambda: next(clock, NOW * 1_000_000))
    made = [new_id() for _ in range(10_000)]
    assert made == sorted(set(made))
    assert {id.version for id in made} == {7}
    assert {id.variant for id in made} == {made[0].variant}
    assert 0 <= (made[0].int >> 80) - NOW <= 1
