"""What time it is, told by a function: whoever needs the time is given one, and tests give another."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import TypeAlias

Clock: TypeAlias = Callable[[], datetime]
"""Tells the time, in UTC."""


def system_clock() -> datetime:
    """The machine's."""
    return datetime.now(UTC)
