"""Sizes and times as people write them."""

from __future__ import annotations

from typing import Final

UNITS: Final = ("bytes", "KiB", "MiB", "GiB", "TiB")


def human_size(size: int) -> str:
    """So many bytes as people read them."""
    number, unit = float(size), 0
    while number >= 1024 and unit + 1 < len(UNITS):
        number, unit = number / 1024, unit + 1
    return f"{size} bytes" if unit == 0 else f"{number:.1f} {UNITS[unit]}"


def counted(number: int, noun: str) -> str:
    """`1 file`, `2 files`."""
    return f"{number} {noun}{'' if number == 1 else 's'}"
