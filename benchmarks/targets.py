"""What post3 is to reach, as data: each target is judged by the medians of one run, on 2 cores with 2 workers.

All are ratios, so that they hold on other machines. Durable unless the column says otherwise; signatures are checked.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Protocol

from benchmarks.peers import FS, PG, PREDECESSOR_FS, PREDECESSOR_PG, RCLONE, RELAXED, SEAWEEDFS, VERSITYGW
from benchmarks.results import MIB, Results
from benchmarks.workloads import list_name

COPY: Final = "PostgreSQL alone"
"""The column of what PostgreSQL itself does with the same bytes, in one stream."""
MET, MISSED, UNKNOWN = "met", "NOT MET", "not measured"


class Target(Protocol):
    """Something to reach."""

    @property
    def workload(self) -> str:
        """The row."""

    @property
    def column(self) -> str:
        """Of post3."""

    @property
    def limit(self) -> float:
        """What the measured value is held against."""

    @property
    def is_most(self) -> bool:
        """Whether the value must be at most the limit; otherwise at least."""

    @property
    def meaning(self) -> str:
        """For people."""

    def measured(self, results: Results) -> float | None:
        """The value; None where something was not measured."""


def verdict(target: Target, results: Results) -> str:
    """Whether it is met."""
    value = target.measured(results)
    if value is None:
        return UNKNOWN
    return MET if (value <= target.limit if target.is_most else value >= target.limit) else MISSED


@dataclass(frozen=True, slots=True)
class Beside:
    """As many times as fast as somebody else, at least."""

    workload: str
    column: str
    limit: float
    other: str
    note: str = ""
    is_most: bool = False

    @property
    def meaning(self) -> str:
        """See Target."""
        return f"≥ {self.limit} x {self.other}{self.note}"

    def measured(self, results: Results) -> float | None:
        """See Target."""
        return results.ratio(self.workload, self.column, self.other)


@dataclass(frozen=True, slots=True)
class Flat:
    """A page of many keys takes at most so many times as long as one of few, whichever page it is."""

    column: str
    limit: float
    many: int = 1_000_000
    few: int = 10_000
    is_most: bool = True

    @property
    def workload(self) -> str:
        """See Target."""
        return "list, many keys"

    @property
    def meaning(self) -> str:
        """See Target."""
        return f"{self.many:,} keys: ≤ {self.limit} x the time of {self.few:,}, any page"

    def measured(self, results: Results) -> float | None:
        """The worst of all pages."""
        ratios = []
        for middle in (False, True):
            for delimiter in (False, True):
                few = results.find(list_name(self.few, middle=middle, delimiter=delimiter), self.column)
                many = results.find(list_name(self.many, middle=middle, delimiter=delimiter), self.column)
                if few is None or many is None:
                    return None
                ratios.append(few.rate / many.rate)
        return max(ratios)


@dataclass(frozen=True, slots=True)
class Small:
    """post3's own processes take at most so much memory under every workload."""

    column: str
    limit: float
    """MiB of PSS."""
    is_most: bool = True

    @property
    def workload(self) -> str:
        """See Target."""
        return "memory under each"

    @property
    def meaning(self) -> str:
        """See Target."""
        return f"≤ {self.limit:.0f} MiB of its own"

    def measured(self, results: Results) -> float | None:
        """See Target."""
        size = results.own_memory(self.column)
        return None if size is None else size / MIB


TARGETS: Final[tuple[Target, ...]] = (
    Beside("PUT 4 KiB", FS, 1.0, VERSITYGW, ", which does not sync"),
    Beside("PUT 4 KiB", RELAXED, 1.2, PREDECESSOR_FS),
    Beside("PUT 4 KiB", PG, 2.0, PREDECESSOR_PG),
    Beside("GET 4 KiB", FS, 1.5, RCLONE),
    Beside("GET 4 KiB", FS, 0.75, PREDECESSOR_FS, ", which checks nothing"),
    Beside("GET 4 KiB", PG, 2.5, PREDECESSOR_PG),
    Beside("mix", FS, 1.3, VERSITYGW),
    Beside("mix", PG, 2.0, PREDECESSOR_PG),
    Beside("list 1,000", FS, 2.5, RCLONE),
    Beside("list 1,000", PG, 0.6, PREDECESSOR_PG),
    Beside("list 1,000", PG, 1.0, PREDECESSOR_PG, ", then"),
    Beside("list 200 prefixes", FS, 1.0, SEAWEEDFS),
    Beside("list 200 prefixes", PG, 3.0, PREDECESSOR_PG),
    Flat(FS, 1.3),
    Flat(PG, 1.3),
    Beside("PUT 64 MiB", FS, 1.0, VERSITYGW),
    Beside("PUT 64 MiB", PG, 1.0, PREDECESSOR_PG),
    Beside("PUT 64 MiB", PG, 0.6, COPY, ": server-side COPY"),
    Beside("GET 64 MiB", FS, 1.0, VERSITYGW),
    Beside("GET 64 MiB", PG, 1.5, PREDECESSOR_PG),
    Beside("GET 64 MiB", PG, 0.9, COPY, r": psql \copy"),
    Small(FS, 300),
    Small(PG, 300),
)
