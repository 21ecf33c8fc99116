"""What processes take: CPU time and memory of whole trees, and their rest while others are measured.

CPU time is what /proc/PID/stat says of a process and of its children that have ended; memory is the proportional set
size (PSS) of /proc/PID/smaps_rollup, in which what processes share counts once. Source: proc(5).
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread
from typing import Final

PROC: Final = Path("/proc")
TICKS: Final = os.sysconf("SC_CLK_TCK")


def tree(roots: Collection[int]) -> set[int]:
    """The processes and all that descend from them."""
    children: dict[int, list[int]] = {}
    for entry in PROC.iterdir():
        if entry.name.isdecimal() and (fields := _stat(int(entry.name))):
            children.setdefault(int(fields[1]), []).append(int(entry.name))
    found: set[int] = set()
    waiting = [root for root in roots if _stat(root)]
    while waiting:
        pid = waiting.pop()
        if pid not in found:
            found.add(pid)
            waiting += children.get(pid, [])
    return found


def _stat(pid: int) -> list[str]:
    """The fields behind the process's name, from its state on; none for one that is gone."""
    with contextlib.suppress(OSError):
        return (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    return []


def cpu_seconds(roots: Collection[int]) -> float:
    """CPU time that the trees have taken since they began."""
    ticks = 0
    for pid in tree(roots):
        if fields := _stat(pid):
            ticks += sum(map(int, fields[11:15]))  # utime, stime, cutime, cstime
    return ticks / TICKS


def pss(pids: Collection[int]) -> int:
    """Bytes of memory of the processes."""
    kilobytes = 0
    for pid in pids:
        with contextlib.suppress(OSError):
            for line in (PROC / str(pid) / "smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    kilobytes += int(line.split()[1])
    return kilobytes * 1024


class Memory:
    """The most memory that was seen of a server, with and without its database."""

    def __init__(self, own: Collection[int], database: Collection[int] = ()) -> None:
        self._roots, self._database = own, database
        self.own = self.all = 0

    def look(self) -> None:
        """Look now."""
        database = tree(self._database)
        own = pss(tree(self._roots) - database)
        self.own = max(self.own, own)
        self.all = max(self.all, own + pss(database))

    @contextmanager
    def watched(self, interval: float) -> Iterator[None]:
        """Look again and again meanwhile, in a thread; once at least."""
        over = Event()

        def watch() -> None:
            while not over.wait(interval):
                self.look()

        thread = Thread(target=watch, name="memory", daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()
            self.look()


def pause(roots: Collection[int]) -> None:
    """Let the trees rest."""
    _signal(roots, signal.SIGSTOP)


def resume(roots: Collection[int]) -> None:
    """Let the trees go on."""
    _signal(roots, signal.SIGCONT)


def _signal(roots: Collection[int], number: signal.Signals) -> None:
    for pid in tree(roots):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
