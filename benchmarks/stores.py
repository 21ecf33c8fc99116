"""A server with its buckets, as the workloads see it: asked, filled, and checked before it is measured."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, sleep
from typing import Final

from benchmarks.bodies import SMALL, body_of, spread
from benchmarks.client import Reply, ask, send_all, told
from benchmarks.peers import Server
from benchmarks.signing import Signer

BUCKET: Final = "benchmark"
LISTED: Final = "benchmark-lists"
AGAIN: Final = 100
"""Requests that a server may refuse, with 5xx, while it is filled: they are sent again."""
PATIENCE: Final = 60.0
"""Seconds in which a server that answers must become able to store."""


class Failure(Exception):
    """Why a workload counts for nothing on a server, as a sentence."""


@dataclass(frozen=True, slots=True)
class Scale:
    """How much of everything."""

    read: int = 4_000
    """Objects of 4 KiB that are read."""
    written: int = 20_000
    """New keys of each round of small puts; then they are written again."""
    listed: int = 20_000
    deleted: int = 8_000
    batches: int = 8
    """DeleteObjects of a round."""
    large: int = 4
    """Objects of 64 MiB."""
    huge: int = 64
    """Parts of 16 MiB of the object that ranges are read from."""
    lists: tuple[int, ...] = (1_000, 10_000, 100_000, 1_000_000)


QUICK: Final = Scale(
    read=400, written=2_000, listed=4_000, deleted=400, batches=1, large=2, huge=4, lists=(1_000, 10_000)
)


@dataclass(frozen=True, slots=True)
class Store:
    """A server's buckets."""

    server: Server
    scale: Scale
    folder: Path
    """For files of the benchmark's own."""

    @property
    def signer(self) -> Signer:
        """What signs for it."""
        return self.server.signer

    def ask(self, request: bytes) -> Reply:
        """The reply, whatever it is. Raises Failure where none comes."""
        try:
            return ask(self.server.url, request)
        except OSError as error:
            raise Failure(f"no reply: {error}") from error

    def want(self, request: bytes, status: int = 200) -> Reply:
        """The reply, which must be of this status. Raises Failure."""
        reply = self.ask(request)
        if reply.status != status:
            line = request.partition(b" HTTP/")[0].decode()
            raise Failure(f"{line[:80]} was answered {told(reply)}, not {status}")
        return reply

    def send(self, requests: Iterable[bytes], connections: int = 16) -> None:
        """Send them all, unmeasured. Raises Failure where any is refused."""
        try:
            outcome = send_all(self.server.url, requests, connections, again=AGAIN)
        except OSError as error:
            raise Failure(f"cannot be filled: {error}") from error
        if outcome.failures:
            raise Failure(f"cannot be filled: {outcome.failures}")

    def put(self, keys: Iterable[str], size: int, connections: int = 16) -> None:
        """Put the bodies of these keys, unmeasured."""
        self.send((self.signer.put(f"/{BUCKET}/{key}", body_of(key, size)) for key in keys), connections)

    def make_bucket(self, name: str) -> None:
        """Make it, if it is missing; a server that has just started may need a moment."""
        deadline = monotonic() + PATIENCE
        while True:
            reply = self.ask(self.signer.request("PUT", f"/{name}"))
            if reply.status in (200, 409):
                return
            if monotonic() > deadline:
                raise Failure(f"cannot make a bucket: {told(reply)}")
            sleep(0.2)

    def holds(self, key: str, size: int) -> None:
        """Raise Failure unless the key's object is its body, byte for byte."""
        reply = self.want(self.signer.get(f"/{BUCKET}/{key}"))
        if reply.body != body_of(key, size).data:
            raise Failure(f"{key} came back as something else")

    def once(self, name: str) -> bool:
        """Whether this has not been prepared yet; from now on it is."""
        if name in self.server.done:
            return False
        self.server.done.add(name)
        return True


def read_keys(store: Store) -> list[str]:
    """The keys of objects of 4 KiB that are there to be read."""
    return [spread("read", number) for number in range(store.scale.read)]


def fill_read(store: Store) -> None:
    """Put what is read."""
    if store.once("read"):
        keys = read_keys(store)
        store.put(keys, SMALL)
        for key in (keys[0], keys[-1]):
            store.holds(key, SMALL)


def listed_keys(store: Store) -> list[str]:
    """The keys that are listed, in order: in 200 prefixes of equal size."""
    in_each = store.scale.listed // 200
    return [f"prefix-{number // in_each:03d}/key-{number % in_each:06d}" for number in range(store.scale.listed)]


def fill_listed(store: Store) -> None:
    """Put what is listed, small, in a bucket of its own."""
    if store.once("listed"):
        store.make_bucket(LISTED)
        store.send(store.signer.put(f"/{LISTED}/{key}", body_of(key, 128)) for key in listed_keys(store))
