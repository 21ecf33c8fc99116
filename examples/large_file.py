"""A large file up and down by parts, several at once: progress as it goes, and memory that does not grow with the file.

    python examples/large_file.py [MIB]

256 MiB by default. POST3_ENDPOINT names the server (http://127.0.0.1:9000); keys come from the usual AWS variables,
else none are used.
"""

import hashlib
import os
import resource
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

from post3 import Client

MIB = 2**20
MAY_GROW = 128
"""MiB that the process may grow by, however large the file is: it holds four parts of 8 MiB, some of them twice."""


def main() -> None:
    size = int(sys.argv[1]) if len(sys.argv) > 1 else 256
    bucket = f"example-{uuid4()}"
    with Client() as s3, tempfile.TemporaryDirectory() as folder:
        s3.create_bucket(bucket)
        try:
            there_and_back(s3, bucket, Path(folder), size)
        finally:
            s3.delete_bucket(bucket, force=True)


def there_and_back(s3: Client, bucket: str, folder: Path, size: int) -> None:
    with (folder / "large").open("wb") as file:
        for _ in range(size):
            file.write(os.urandom(MIB))
    before = peak_memory()

    s3.multipart_upload(bucket, "large", folder / "large", progress=bar("up", size))
    s3.download(bucket, "large", folder / "back", progress=bar("down", size))

    grown = peak_memory() - before
    print(f"{size} MiB there and back; this process grew by {grown:.0f} MiB")
    assert digest(folder / "back") == digest(folder / "large")
    assert grown < MAY_GROW, f"moving {size} MiB took {grown:.0f} MiB of memory, over {MAY_GROW}"


def bar(name: str, size: int) -> Callable[[int], None]:
    """A callback that draws how much has moved; it is told the bytes since the last time."""
    moved = 0

    def progress(count: int) -> None:
        nonlocal moved
        before, moved = moved, moved + count
        if before * 10 // (size * MIB) < moved * 10 // (size * MIB):
            print(f"{name:>5} {moved / MIB:6.0f} MiB {moved * 100 // (size * MIB):3} %", flush=True)

    return progress


def digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def peak_memory() -> float:
    """The most memory that this process ever had, in MiB."""
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most / (MIB if sys.platform == "darwin" else 1024)


if __name__ == "__main__":
    main()
