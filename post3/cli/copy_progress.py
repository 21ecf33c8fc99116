"""What `post3 copy-store` shows: how far it is, on standard error, and its report as text."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager, nullcontext
from time import monotonic
from typing import Final

from post3.cli.sizes import human_size
from post3.moving.copying import Job
from post3.moving.report import Finding, Findings, Report

ON_TERMINAL: Final = 0.2
ELSEWHERE: Final = 10.0
"""Seconds between two looks, where each is a line."""
Show = Callable[[str], None]


@asynccontextmanager
async def watched(report: Report) -> AsyncIterator[None]:
    """Show how far the report has come, as long as this lasts."""
    on_terminal = sys.stderr.isatty()
    with _live() if on_terminal else nullcontext(_line) as show:
        watching = asyncio.create_task(_watch(report, show, ON_TERMINAL if on_terminal else ELSEWHERE))
        try:
            yield
        finally:
            watching.cancel()
            await asyncio.wait([watching])


async def _watch(report: Report, show: Show, seconds: float) -> None:
    began = monotonic()
    while True:
        await asyncio.sleep(seconds)
        show(_so_far(report, monotonic() - began))


def _line(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _live() -> AbstractContextManager[Show]:
    from rich.console import Console  # noqa: PLC0415  # late: only a terminal needs it

    @contextmanager
    def shown() -> Iterator[Show]:
        with Console(stderr=True).status("looking", spinner="dots") as status:
            yield status.update

    return shown()


def _so_far(report: Report, seconds: float) -> str:
    bucket = f"{report.buckets[-1].name}: " if report.buckets else ""
    moved = report.total("bytes")
    told = f"{bucket}copied {report.total('copied')} ({human_size(moved)}, {human_size(round(moved / seconds))}/s)"
    failed = sum(one.failed.count for one in report.buckets)
    return f"{told}, {report.total('equal')} equal" + (f", {failed} failed" if failed else "")


# The report


def text_of(report: Report, job: Job) -> str:
    """The report for people."""
    lines = [_totals(report, job)]
    for sort, head in (
        ("failed", "Failed:"),
        ("different", "Different, and left as it is (--overwrite and --delete change it):"),
        ("lost", "Not kept, as the target cannot:"),
    ):
        told = [line for name, kind, findings in report.findings() if kind == sort for line in _lines(name, findings)]
        lines += [head, *told] if told else []
    if report.is_equal and not job.dry_run:
        lines.append("All is there, and equal" + ("." if report.is_whole else ", but for what is not kept."))
    return "\n".join(lines)


def _totals(report: Report, job: Job) -> str:
    verb = "Would copy" if job.dry_run else "Copied"
    names = ("replaced", "amended", "deleted", "gone")
    more = "".join(f", {report.total(name)} {name}" for name in names if report.total(name))
    users = f", {report.users} users" if report.users else ""
    return (
        f"{verb} {report.total('copied')} versions ({human_size(report.total('bytes'))}) in {len(report.buckets)} "
        f"buckets{users}; {report.total('equal')} were there already{more}."
    )


def _lines(name: str, findings: Findings) -> list[str]:
    where = f"{name}: " if name else ""
    return [f"  {where}{what}: {_counted(finding)}" for what, finding in findings.items()]


def _counted(finding: Finding) -> str:
    examples = [example for example in finding.examples if example]
    more = ", …" if finding.count > len(examples) else ""
    return f"{finding.count}" + (f" ({', '.join(examples)}{more})" if examples else "")
