"""How long parts of post3 take by themselves, without a socket: the signature check, XML, dispatch, the chunker.

Prints the median of interleaved rounds, in microseconds a call. Dispatch is a whole request in this process, from the
parsed head to the answer, with its signature checked, on the store in memory. More on the chunker: chunker.py.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

if __name__ == "__main__":
    sys.path[0:1] = []  # as in run.py
    sys.path.append(str(Path(__file__).resolve().parent.parent))

from benchmarks.bodies import MIB, SMALL, body_of
from benchmarks.signing import Signer
from post3._chunker import Chunker
from post3.auth.access import Admission
from post3.auth.authentication import Authenticator
from post3.auth.credentials import Key, StaticCredentials
from post3.auth.sent import Sent
from post3.dispatch import Dispatcher
from post3.model.identity import ROOT
from post3.model.listing import Listed
from post3.model.object import NULL_VERSION
from post3.s3.address import parse_path, parse_query, valueless_names
from post3.s3.entries import Entries
from post3.s3.gate import Gate
from post3.s3.message import Request
from post3.s3.xml import parse, render
from post3.storage.memory import MemoryBackend

SIGNER = Signer("BENCHMARKKEY", "benchmark-secret", "127.0.0.1:9000")
Call = Callable[[], Awaitable[None]]


def request_of(raw: bytes) -> Request:
    """The request as the edge would hand it on."""
    head, _, body = raw.partition(b"\r\n\r\n")
    line, *lines = head.decode("ascii").split("\r\n")
    method, target, _ = line.split(" ")
    path, _, query = target.partition("?")

    async def pieces() -> AsyncIterator[bytes]:
        if body:
            yield body

    return Request(
        id="0123456789ABCDEF",
        method=method,
        path=path,
        address=parse_path(path),
        query=parse_query(query),
        headers=dict(line.split(": ", 1) for line in lines),
        body=pieces(),
        valueless=valueless_names(query),
        raw_query=query,
    )


def sent_of(raw: bytes) -> Sent:
    """What its signature speaks of."""
    request = request_of(raw)
    return Sent(
        method=request.method,
        path=request.path,
        query=request.raw_query,
        headers=request.headers,
        bucket=request.address.bucket,
        is_virtual_host=False,
    )


def credentials() -> StaticCredentials:
    """Those of the signer."""
    return StaticCredentials([Key(SIGNER.access_key, SIGNER.secret_key, ROOT)])


def signature_check() -> Call:
    """A get's Authorization header."""
    authenticator, sent = Authenticator(credentials()), sent_of(SIGNER.get("/bucket/folder/key"))

    async def call() -> None:
        authenticator.authenticate(sent, datetime.now(UTC))

    return call


def rendering() -> Call:
    """A page of 1,000 keys, as lists write it."""
    kind = (SIGNER.access_key, "STANDARD", "CRC32", "FULL_OBJECT", False, True)
    page = [Listed(f"folder/{n}", n, NULL_VERSION, 10**15 + n * 10**6, n, f"{n:032x}", *kind) for n in range(1000)]

    async def call() -> None:
        render("ListBucketResult", {"Name": "bucket", "Contents": Entries(str, None).contents(page)})

    return call


def parsing() -> Call:
    """A DeleteObjects of 1,000 keys."""
    raw = SIGNER.delete_objects("bucket", [f"folder/key-{number:06d}" for number in range(1000)])
    body = raw.partition(b"\r\n\r\n")[2]

    async def call() -> None:
        parse(body, "Delete")

    return call


def chunking() -> Call:
    """1 MiB with its MD5, CRC32 and the CRCs of its pieces."""
    data = body_of("chunks", MIB).data

    async def call() -> None:
        chunker = Chunker(["crc32"])
        chunker.feed(data)
        chunker.finish()
        chunker.md5()

    return call


async def _dispatcher() -> Dispatcher:
    known = credentials()
    dispatcher = Dispatcher(MemoryBackend(), Gate(known, Authenticator(known), Admission()))
    for raw in (SIGNER.request("PUT", "/bucket"), SIGNER.put("/bucket/key", body_of("key", SMALL))):
        assert (await dispatcher.handle(request_of(raw))).status == 200
    return dispatcher


async def dispatching(raw: bytes) -> Call:
    """A whole request; its parsing into a Request, which the edge does otherwise, is not what is measured."""
    dispatcher, prepared = await _dispatcher(), request_of(raw)

    async def call() -> None:
        # A body can be read once: gets have none, and puts pay for the making of theirs.
        request = prepared if prepared.method == "GET" else request_of(raw)
        assert (await dispatcher.handle(request)).status == 200

    return call


async def measure(rounds: int, calls: int) -> dict[str, float]:
    """The median seconds of a call of each, every round having all of them."""
    candidates = {
        "check a signature (GET, header)": signature_check(),
        "render a page of 1,000 keys": rendering(),
        "parse a DeleteObjects of 1,000": parsing(),
        "chunk 1 MiB (MD5, CRC32, CRC64NVME)": chunking(),
        "dispatch GET 4 KiB (in memory)": await dispatching(SIGNER.get("/bucket/key")),
        "dispatch PUT 4 KiB (in memory)": await dispatching(SIGNER.put("/bucket/key", body_of("key", SMALL))),
        "dispatch a list of one key": await dispatching(SIGNER.request("GET", "/bucket", {"list-type": "2"})),
    }
    seconds: dict[str, list[float]] = {name: [] for name in candidates}
    for _ in range(rounds):
        for name, call in candidates.items():
            began = time.perf_counter()
            for _ in range(calls):
                await call()
            seconds[name].append((time.perf_counter() - began) / calls)
    return {name: median(values) for name, values in seconds.items()}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="rounds to take the median of (default: %(default)s)")
    parser.add_argument("--calls", type=int, default=300, help="calls of each in a round (default: %(default)s)")
    arguments = parser.parse_args()
    for name, value in asyncio.run(measure(arguments.rounds, arguments.calls)).items():
        print(f"{name:38} {value * 1e6:10.1f} µs")


if __name__ == "__main__":
    main()
