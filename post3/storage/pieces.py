"""Pieces of 64 KiB: a range is widened to whole ones, and each is compared with its CRC before it is given."""

from __future__ import annotations

from typing import Final

from post3._chunker import PIECE_SIZE, piece_crcs
from post3.errors import InternalError

CRC_SIZE: Final = 8
"""Bytes of a piece's CRC64NVME."""


def widened(start: int, stop: int, size: int) -> tuple[int, int]:
    """The whole pieces under the bytes from start to stop, of a blob of so many."""
    return start // PIECE_SIZE * PIECE_SIZE, min(-(-stop // PIECE_SIZE) * PIECE_SIZE, size)


def check_pieces(data: bytes, crcs: bytes, blob: str) -> None:
    """Raise InternalError unless every piece has the CRC that was stored with it."""
    if piece_crcs(data) != crcs:
        raise InternalError(f"The stored bytes {blob} are damaged: a checksum differs. Restore them from a backup.")
