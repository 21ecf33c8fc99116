"""A run: servers are started and rest; each workload goes to one after the other, in rounds of alternating order.

Before a round begins, all disks are synced: what one server has not written yet is not to be paid by the next.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from subprocess import SubprocessError
from typing import Final

from benchmarks.bodies import body_of
from benchmarks.client import Outcome
from benchmarks.database import Copying
from benchmarks.measures import Memory, cpu_seconds
from benchmarks.peers import OURS, PG, Kind, Place, Server, start
from benchmarks.results import Results, Row, Sample
from benchmarks.stores import BUCKET, Failure, Scale, Store
from benchmarks.targets import COPY
from benchmarks.workloads import LARGE, Workload

START_UP: Final = "start-up"
COPIES: Final = {COPY: 1, f"{COPY}, 2 streams": 2}
"""The columns of PostgreSQL itself, with how many streams of it work at a time."""


def tell(text: str) -> None:
    """Say how far it is."""
    print(text, file=sys.stderr, flush=True)


@dataclass(frozen=True, slots=True)
class Plan:
    """How long, how often, how much."""

    seconds: float
    rounds: int
    scale: Scale
    folder: Path


class Run:
    """Servers that were started, and what is measured of them."""

    def __init__(self, plan: Plan, servers: Sequence[Server]) -> None:
        self._plan = plan
        self._stores = [Store(server, plan.scale, plan.folder) for server in servers]
        self.results = Results()

    def measure(self, workload: Workload) -> None:
        """All rounds of a workload, on all servers that it is for."""
        stores = [store for store in self._stores if _is_for(workload, store.server)]
        ready = [store for store in stores if self._prepare(workload, store)]
        copies = list(self._copies(workload))
        for number in range(self._plan.rounds):
            turns: list[Store | tuple[Server, str]] = [*ready, *copies]
            for one in turns if number % 2 == 0 else reversed(turns):
                if isinstance(one, Store):
                    self._round(workload, one, number)
                else:
                    self._copy(workload, *one)

    def _row(self, workload: Workload, column: str) -> Row:
        return self.results.row(workload.name, column, workload.unit)

    def _prepare(self, workload: Workload, store: Store) -> bool:
        tell(f"{workload.name}: {store.server.name} is prepared")
        with active(store.server):
            try:
                if store.once("bucket"):
                    store.make_bucket(BUCKET)
                workload.prepare(store)
            except (Failure, OSError, ValueError) as error:
                self._row(workload, store.server.name).failure = str(error)
                return False
        return True

    def _round(self, workload: Workload, store: Store, number: int) -> None:
        row = self._row(workload, store.server.name)
        if row.failure:
            return
        with active(store.server):
            try:
                workload.before(store, number)
                os.sync()
                sample = self._sample(workload, store, number)
                workload.after(store, number)
                if workload.writes and workload.unit == "MiB/s":
                    store.server.tidy()
            except (Failure, OSError, ValueError, SubprocessError) as error:
                row.failure = str(error)
                tell(f"{workload.name}: {store.server.name} failed: {error}")
                return
        row.samples.append(sample)
        tell(f"{workload.name}: {store.server.name}: {sample.rate:,.1f} {workload.unit}")

    def _sample(self, workload: Workload, store: Store, number: int) -> Sample:
        server, seconds = store.server, self._plan.seconds * workload.times
        memory = Memory(server.roots, server.database)
        before = cpu_seconds(server.everything)
        with memory.watched(seconds / 4):
            outcome = workload.load(store, number, seconds)
        spent = cpu_seconds(server.everything) - before
        check(outcome, 0.0 if server.name in OURS else FORGIVEN)
        return _sample(workload, outcome, spent, memory)

    def _copies(self, workload: Workload) -> Iterator[tuple[Server, str]]:
        for store in self._stores:
            if workload.reference is not None and store.server.name == PG and store.server.group == workload.group:
                yield from ((store.server, column) for column in COPIES)

    def _copy(self, workload: Workload, server: Server, column: str) -> None:
        assert workload.reference is not None
        assert server.place is not None
        row = self._row(workload, column)
        with active(server):
            body, tables = body_of("copy", LARGE).data, self._plan.scale.large
            copying = Copying(server.place.store, server.place.folder, body, tables)
            os.sync()
            before = cpu_seconds(server.database)
            memory = Memory((), server.database)
            outcome = workload.reference(copying, self._plan.seconds * workload.times, COPIES[column])
            row.samples.append(_sample(workload, outcome, cpu_seconds(server.database) - before, memory))
        tell(f"{workload.name}: {column}: {row.samples[-1].rate:,.1f} {workload.unit}")

    def measure_starts(self, started: Iterable[Server]) -> None:
        """Start those again that were started here, on what they hold, and time their first answer."""
        again = [server for server in started if server.kind and server.place and not server.group]
        for number in range(self._plan.rounds):
            for server in again if number % 2 == 0 else reversed(again):
                assert server.kind is not None
                assert server.place is not None
                os.sync()
                fresh = start(server.kind, server.place)
                fresh.stop()
                row = self.results.row(START_UP, server.name, "s")
                row.samples.append(Sample(fresh.started_in, 0.0, fresh.started_in, 1))
                tell(f"{START_UP}: {server.name}: {fresh.started_in:.2f} s")


FORGIVEN: Final = 0.001
"""The part of its replies that may be refusals of another server's; they are told below the table. None of post3's."""


def _is_for(workload: Workload, server: Server) -> bool:
    if server.group != workload.group:
        return False
    return workload.writes or server.kind is None or not server.kind.only_writes


def check(outcome: Outcome, forgiven: float = 0.0) -> None:
    """Raise Failure where a larger part of the replies than that was no success."""
    if sum(outcome.failures.values()) > forgiven * outcome.requests:
        raise Failure(", ".join(f"{count} {name}" for name, count in outcome.failures.items()))
    if not outcome.requests:
        raise Failure("no reply came in the time of a round; give it more --seconds")


def _sample(workload: Workload, outcome: Outcome, spent: float, memory: Memory) -> Sample:
    units = outcome.requests * workload.amount
    return Sample(
        rate=units / outcome.seconds,
        cpu=spent / outcome.requests,
        seconds=outcome.seconds,
        requests=outcome.requests,
        own_memory=memory.own,
        memory=memory.all,
        refused=sum(outcome.failures.values()),
        median_time=outcome.median,
        slow_time=outcome.slow,
    )


@contextmanager
def active(server: Server) -> Iterator[None]:
    """Let this one work, and rest again."""
    server.resume()
    try:
        yield
    finally:
        server.pause()


@contextmanager
def servers(kinds: Sequence[tuple[Kind, Place]], given: Sequence[Server]) -> Iterator[list[Server]]:
    """All of them, started, at rest; ended (those given: let go on) at the end."""
    with ExitStack() as stack:
        running = []
        for kind, place in kinds:
            tell(f"{kind.name}{f' ({kind.group})' if kind.group else ''} is started")
            server = start(kind, place)
            stack.callback(server.stop)
            running.append(server)
            server.pause()
        for server in given:
            stack.callback(server.resume)
            server.pause()
        try:
            yield [*running, *given]
        finally:
            for server in running:  # all, before the first is waited for
                server.ask_to_end()
