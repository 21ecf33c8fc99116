"""The round by deltalake (delta-rs): an object is a table, whose log is kept by conditional puts.

Vacuum is how it lists and deletes: files that no version of the table names.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from typing import Any

import pyarrow
from deltalake import DeltaTable, write_deltalake

from tests.clients.rounds import BUCKET
from tests.clients.steps import Unseekable, in_parts, same, signed
from tests.clients.tables import PIECE, Tables, is_virtual, pieces

WRITERS = 8
ROWS = pyarrow.schema([("n", pyarrow.int64()), ("piece", pyarrow.binary())])


def options(**more: str) -> dict[str, str]:
    """What deltalake is told beside the environment."""
    plain = os.environ["AWS_ENDPOINT_URL"].startswith("http:")
    return {"aws_virtual_hosted_style_request": str(is_virtual()).lower(), "allow_http": str(plain).lower(), **more}


def batch(rows: Sequence[bytes], first: int = 0) -> Any:
    return pyarrow.record_batch([range(first, first + len(rows)), list(rows)], schema=ROWS)


class DeltaLake(Tables):
    """A key is a table's folder."""

    version = version("deltalake")

    def table(self, key: str) -> DeltaTable:
        return DeltaTable(f"s3://{BUCKET}/{key}", storage_options=options())

    def put(self, key: str, data: bytes) -> None:
        table = pyarrow.Table.from_batches([batch(pieces(data))])
        write_deltalake(f"s3://{BUCKET}/{key}", table, mode="overwrite", storage_options=options())

    def put_stream(self, key: str, stream: Unseekable) -> None:
        def batches() -> Iterator[Any]:
            first = 0
            while piece := stream.read(100 * PIECE):
                yield batch(pieces(piece), first)
                first += 100

        reader = pyarrow.RecordBatchReader.from_batches(ROWS, batches())
        write_deltalake(f"s3://{BUCKET}/{key}", reader, storage_options=options())

    def get(self, key: str) -> bytes:
        return b"".join(self.read(key))

    def get_range(self, key: str, start: int, stop: int) -> bytes:
        return b"".join(self.read(key, start // PIECE, (stop - 1) // PIECE))

    def read(self, url: str, first: int = 0, last: int = 2**31) -> list[bytes]:
        found = self.table(url).to_pyarrow_table(filters=[("n", ">=", first), ("n", "<=", last)])
        return list(found.sort_by("n")["piece"].to_pylist())

    def small_object(self) -> None:
        """And writers at once: each commit is a conditional put, and none may be lost."""
        super().small_object()

        def append(number: int) -> None:
            table = pyarrow.Table.from_batches([batch([b"", b""], number)])
            write_deltalake(f"s3://{BUCKET}/at-once", table, mode="append", storage_options=options())

        append(0)
        with ThreadPoolExecutor(WRITERS) as writers:
            list(writers.map(append, range(WRITERS)))
        same(self.table("at-once").version(), WRITERS)
        same(len(self.read("at-once")), 2 * (WRITERS + 1))

    def parts(self) -> None:
        self.put("large", self.large)
        for uri in self.table("large").file_uris():
            in_parts(uri.removeprefix(f"s3://{BUCKET}/"))
        same(self.get("large") == self.large, True)

    def odd_keys(self) -> None:
        """As partitions of one table: in an address of a table deltalake itself panics over some."""
        table = pyarrow.table({"key": self.keys, "n": range(len(self.keys))})
        write_deltalake(f"s3://{BUCKET}/keys", table, partition_by="key", storage_options=options())
        for number, key in enumerate(self.keys):
            found = self.table("keys").to_pyarrow_table(filters=[("key", "=", key)])
            same((found["key"].to_pylist(), found["n"].to_pylist()), ([key], [number]))

    def pages(self) -> None:
        names = [f"{number:04}" for number in range(1100)]
        signed("-T", os.devnull, keys=[f"small/{name}" for name in names])
        same(sorted(self.vacuum(dry_run=True))[: len(names)], names)

    def vacuum(self, dry_run: bool) -> list[str]:
        return list(self.table("small").vacuum(0, dry_run=dry_run, enforce_retention_duration=False, full=True))

    def put_as_stranger(self, key: str) -> None:
        wrong = options(aws_secret_access_key="wrong")
        write_deltalake(f"s3://{BUCKET}/{key}", pyarrow.table({"n": [1]}), mode="append", storage_options=wrong)

    def deletion(self) -> None:
        unowned = self.vacuum(dry_run=True)
        same(len(unowned) >= 1100, True)
        same(sorted(self.vacuum(dry_run=False)), sorted(unowned))
        same(self.vacuum(dry_run=True), [])
        same(self.get("small"), self.small)


if __name__ == "__main__":
    DeltaLake().go()
    os._exit(0)  # without the interpreter's own end, in which threads of these libraries now and then abort
