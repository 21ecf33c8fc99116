"""The round of a program of tables: an object is a Parquet file, whose rows are pieces of the bytes."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import Final

from tests.clients.rounds import BUCKET, Round
from tests.clients.steps import Lacks, Unseekable

PIECE: Final = 1000
"""Bytes in a row; the round's range is one of them."""
ROW_GROUP: Final = 2048
"""Rows in a group: enough groups that a query for one row reads a range."""


def pieces(data: bytes) -> list[bytes]:
    """The rows that hold these bytes; their numbers are their places in the list."""
    return [data[start : start + PIECE] for start in range(0, len(data), PIECE)]


class Tables(Round):
    """A program of tables has no buckets, metadata, copies or links."""

    def write(self, url: str, rows: Sequence[bytes]) -> None:
        """One file: columns `n`, from 0, and `piece`."""
        raise NotImplementedError

    def read(self, url: str, first: int = 0, last: int = 2**31) -> Iterable[bytes]:
        """The pieces of these rows, in order."""
        raise NotImplementedError

    def put(self, key: str, data: bytes) -> None:
        self.write(f"s3://{BUCKET}/{key}", pieces(data))

    def get(self, key: str) -> bytes:
        return b"".join(self.read(f"s3://{BUCKET}/{key}"))

    def put_in_parts(self, key: str, data: bytes) -> None:
        self.put(key, data)

    def put_stream(self, key: str, stream: Unseekable) -> None:
        raise Lacks

    def get_range(self, key: str, start: int, stop: int) -> bytes:
        return b"".join(self.read(f"s3://{BUCKET}/{key}", start // PIECE, (stop - 1) // PIECE))


def is_virtual() -> bool:
    """Whether the bucket stands in the host."""
    return os.environ["STYLE"] == "virtual"
