"""How progress looks on a terminal; the one module that loads rich."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from post3.cli.asking import Callback
from post3.cli.sizes import human_size


class Speed(ProgressColumn):
    """Bytes in a second, in the units of all other sizes."""

    def render(self, task: Task) -> Text:
        """Empty before it is known."""
        return Text(f"{human_size(int(task.speed))}/s" if task.speed else "", style="progress.data.speed")


@contextmanager
def bar(what: str, total: int | None) -> Iterator[Callback]:
    """A function that is told of bytes moved; the bar vanishes in the end."""
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        DownloadColumn(binary_units=True),
        Speed(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bars:
        task = bars.add_task(what, total=total)
        yield lambda moved: bars.advance(task, moved)
