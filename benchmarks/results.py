"""What was measured: one sample for each round of a workload on a server, and what is made of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from statistics import median
from typing import Any

MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Sample:
    """One round."""

    rate: float
    """Units a second."""
    cpu: float
    """Seconds of CPU that the server took for one request, its database included."""
    seconds: float = 0.0
    """How long the round was."""
    requests: int = 0
    refused: int = 0
    """Of them, those that were no success."""
    own_memory: int = 0
    """Bytes of PSS, at most, without its database."""
    memory: int = 0
    """Bytes of PSS, at most, of everything."""
    median_time: float = 0.0
    """Seconds of half of the requests, at most; 0 where that was not looked at."""
    slow_time: float = 0.0
    """The same of 99 of 100."""


@dataclass(slots=True)
class Row:
    """A workload on a server."""

    workload: str
    column: str
    unit: str
    samples: list[Sample] = field(default_factory=list)
    failure: str = ""
    """Why it counts for nothing."""

    @property
    def counts(self) -> bool:
        """Whether it has a figure."""
        return bool(self.samples) and not self.failure

    @property
    def rate(self) -> float:
        """The median."""
        return median(sample.rate for sample in self.samples)

    @property
    def cpu(self) -> float:
        """The median."""
        return median(sample.cpu for sample in self.samples)

    @property
    def spread(self) -> tuple[float, float]:
        """The lowest and the highest rate."""
        rates = [sample.rate for sample in self.samples]
        return min(rates), max(rates)

    @property
    def requests(self) -> int:
        """Those of all rounds."""
        return sum(sample.requests for sample in self.samples)

    @property
    def refused(self) -> int:
        """Requests of all rounds that were no success."""
        return sum(sample.refused for sample in self.samples)

    def as_json(self) -> dict[str, Any]:
        """With its medians."""
        medians = {"rate": self.rate, "cpu": self.cpu} if self.counts else {}
        return {**asdict(self), **medians}


class Results:
    """All rows of a run, by workload and column."""

    def __init__(self, rows: Iterable[Row] = ()) -> None:
        self._rows = {(row.workload, row.column): row for row in rows}

    def row(self, workload: str, column: str, unit: str) -> Row:
        """The row, begun if it is new."""
        return self._rows.setdefault((workload, column), Row(workload, column, unit))

    def find(self, workload: str, column: str) -> Row | None:
        """The row, if it has a figure."""
        row = self._rows.get((workload, column))
        return row if row is not None and row.counts else None

    @property
    def rows(self) -> list[Row]:
        """All of them."""
        return list(self._rows.values())

    def ratio(self, workload: str, column: str, other: str) -> float | None:
        """How many times as fast as the other one is it; None where one of them was not measured."""
        mine, theirs = self.find(workload, column), self.find(workload, other)
        return mine.rate / theirs.rate if mine and theirs and theirs.rate else None

    def own_memory(self, column: str) -> int | None:
        """The most bytes of PSS in any workload, without the database; None where nothing was measured."""
        seen = [sample.own_memory for row in self.rows if row.column == column for sample in row.samples]
        return max(seen, default=0) or None

    def memory(self, column: str) -> int | None:
        """The same with the database."""
        seen = [sample.memory for row in self.rows if row.column == column for sample in row.samples]
        return max(seen, default=0) or None
