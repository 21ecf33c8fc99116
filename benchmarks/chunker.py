"""How fast the chunker is, beside hashlib's MD5 and part by part.

Prints the median over interleaved rounds in MiB/s, and how long each takes compared with MD5 alone by hashlib and by
post3's own C: 1.05 is a twentieth longer.
"""

import argparse
import hashlib
import random
import time
from collections.abc import Callable, Collection
from functools import partial
from statistics import median

from post3 import _chunker
from post3._chunker import PIECE_SIZE, Chunker, crc32, crc32c, crc64nvme

MIB = 1 << 20
ALGORITHMS = ("crc32", "crc32c", "crc64nvme", "sha1", "sha256")

Run = Callable[[], object]


def hashlib_md5(feeds: list[memoryview]) -> None:
    digest = hashlib.md5(usedforsecurity=False)
    for data in feeds:
        digest.update(data)
    digest.digest()


def chunker(feeds: list[memoryview], algorithms: Collection[str] = ()) -> None:
    whole = Chunker(algorithms)
    for data in feeds:
        whole.feed(data)
    whole.finish()
    whole.md5()


def each(feeds: list[memoryview], *digests: Callable[[memoryview], object]) -> None:
    """The digests of every 64 KiB piece, one right after the other, as the chunker takes them."""
    for data in feeds:
        for start in range(0, len(data), PIECE_SIZE):
            piece = data[start : start + PIECE_SIZE]
            for digest in digests:
                digest(piece)


def runs(feeds: list[memoryview]) -> dict[str, Run]:
    return {
        "hashlib.md5": partial(hashlib_md5, feeds),
        "MD5 alone": partial(each, feeds, _chunker._md5),
        "MD5 with CRC64NVME": partial(each, feeds, _chunker._md5, crc64nvme),
        "Chunker": partial(chunker, feeds),
        **{f"Chunker with {name}": partial(chunker, feeds, [name]) for name in ALGORITHMS},
        "Chunker as for boto3": partial(chunker, feeds, ["crc32", "sha256"]),
        "hashlib.sha256": partial(each, feeds, hashlib.sha256),
        "CRC32 alone": partial(each, feeds, crc32),
        "CRC32C alone": partial(each, feeds, crc32c),
        "CRC64NVME alone": partial(each, feeds, crc64nvme),
    }


def measure(candidates: dict[str, Run], rounds: int) -> dict[str, float]:
    """The median seconds of each, every round running all of them: a busy minute is then everybody's."""
    seconds: dict[str, list[float]] = {name: [] for name in candidates}
    for _ in range(rounds):
        for name, run in candidates.items():
            start = time.perf_counter()
            run()
            seconds[name].append(time.perf_counter() - start)
    return {name: median(values) for name, values in seconds.items()}


def report(title: str, size: int, seconds: dict[str, float]) -> None:
    print(f"{title:24} {'MiB/s':>8} {'/ hashlib':>10} {'/ own MD5':>10}")
    for name, value in seconds.items():
        to_hashlib, to_own = value / seconds["hashlib.md5"], value / seconds["MD5 alone"]
        print(f"{name:24} {size / MIB / value:8.0f} {to_hashlib:10.3f} {to_own:10.3f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=256, help="MiB of one body (default: %(default)s)")
    parser.add_argument("--feed", type=int, default=512, help="KiB that arrive at a time (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=5, help="rounds to take the median of (default: %(default)s)")
    help_ = "compute CRCs from tables and each digest by itself, as any processor can"
    parser.add_argument("--tables", action="store_true", help=help_)
    arguments = parser.parse_args()
    _chunker._use_tables(arguments.tables)
    body = memoryview(random.Random(0).randbytes(MIB) * arguments.size)
    feeds = [body[start : start + arguments.feed * 1024] for start in range(0, len(body), arguments.feed * 1024)]
    report(f"{arguments.size} MiB by {arguments.feed} KiB", len(body), measure(runs(feeds), arguments.rounds))


if __name__ == "__main__":
    main()
