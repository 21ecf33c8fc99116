"""A run as Markdown for people and as JSON for programs."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.results import MIB, Results, Row
from benchmarks.targets import TARGETS, UNKNOWN, verdict

BEGIN = "<!-- the last run, written by benchmarks/run.py --write -->"
END = "<!-- end of the last run -->"


def machine() -> dict[str, str]:
    """What it ran on."""
    return {
        "processor": f"{os.cpu_count()} x {_first('/proc/cpuinfo', 'model name') or platform.machine()}",
        "memory": f"{int((_first('/proc/meminfo', 'MemTotal') or '0 kB').split()[0]) / 2**20:.0f} GiB",
        "system": f"{platform.system()} {platform.release().partition('-')[0]}",
        "Python": platform.python_version(),
    }


def _first(path: str, name: str) -> str:
    """The value of the first line of that name."""
    for line in Path(path).read_text().splitlines():
        key, _, value = line.partition(":")
        if key.strip() == name:
            return value.strip()
    return ""


def markdown(results: Results, told: Mapping[str, str]) -> str:
    """The tables. `told` says under what conditions, by name."""
    parts = [
        "\n".join(f"- {name}: {value}" for name, value in told.items()),
        _table(results),
        _targets(results),
        _failures(results),
    ]
    return "\n\n".join(filter(None, parts)) + "\n"


def _table(results: Results) -> str:
    columns = list(dict.fromkeys(row.column for row in results.rows))
    lines = [_line(["workload", *columns]), _line(["---"] * (len(columns) + 1))]
    rows = {(row.workload, row.column): row for row in results.rows}
    for name in dict.fromkeys(row.workload for row in results.rows):
        unit = next(row.unit for row in results.rows if row.workload == name)
        cells = [_cell(rows.get((name, column))) for column in columns]
        lines.append(_line([f"{name}, {unit}", *cells]))
    lines.append(_line(["most memory, MiB", *(_memory(results, column) for column in columns)]))
    return "\n".join(lines)


def _line(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _cell(row: Row | None) -> str:
    if row is None:
        return ""
    if not row.counts:
        return "failed"
    if row.unit == "s":
        return f"{row.rate:.2f}"
    return f"{_short(row.rate)}; {cpu_text(row.cpu)}"


def cpu_text(seconds: float) -> str:
    """Time of a processor, in µs or ms."""
    return f"{seconds * 1e6:,.0f} µs" if seconds < 0.001 else f"{seconds * 1e3:,.1f} ms"


def _short(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _memory(results: Results, column: str) -> str:
    own, whole = results.own_memory(column), results.memory(column)
    if own is None or whole is None:
        return ""
    return f"{own / MIB:.0f}" + (f"; {whole / MIB:.0f} with its database" if whole > own else "")


def _targets(results: Results) -> str:
    lines = [_line(["workload", "store", "target", "measured", ""]), _line(["---"] * 5)]
    for target in TARGETS:
        value = target.measured(results)
        shown = UNKNOWN if value is None else f"{value:.2f}" if value < 10 else f"{value:.0f}"
        judged = "" if value is None else verdict(target, results)
        lines.append(_line([target.workload, target.column, target.meaning, shown, judged]))
    return "\n".join(lines)


def _failures(results: Results) -> str:
    failed = [f"- {row.workload} on {row.column} failed: {row.failure}" for row in results.rows if row.failure]
    refused = [
        f"- {row.workload} on {row.column}: {row.refused:,} of {row.requests:,} requests were refused"
        for row in results.rows
        if row.counts and row.refused
    ]
    return "\n".join([*failed, *refused])


def as_json(results: Results, told: Mapping[str, str]) -> str:
    """Everything, with every round."""
    targets: list[dict[str, Any]] = [
        {
            "workload": target.workload,
            "store": target.column,
            "target": target.meaning,
            "measured": target.measured(results),
            "verdict": verdict(target, results),
        }
        for target in TARGETS
    ]
    whole = {"conditions": dict(told), "rows": [row.as_json() for row in results.rows], "targets": targets}
    return json.dumps(whole, indent=1)


def today() -> str:
    """The date, in UTC."""
    return f"{datetime.now(UTC):%d %B %Y}"


def write_between(path: Path, text: str) -> None:
    """Put the text between the marks of a page. Raises ValueError where they are missing."""
    page = path.read_text(encoding="utf-8")
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{path} has no place for it: a line {BEGIN} and a line {END}")
    path.write_text(f"{before}{begin}\n\n{text}\n{end}{after}", encoding="utf-8")
