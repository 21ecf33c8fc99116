"""Several processes that do the same work, kept alive until they are told to stop.

Each holds the reading end of a pipe that ends with this process: however it dies, they stop too. Each reports once
through a pipe of its own: that it is ready, or why it cannot be.
"""

from __future__ import annotations

import os
import selectors
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from time import monotonic
from typing import Final, NamedTuple, NoReturn, Protocol

READY: Final = b"\0"
"""Begins the report of a process that is ready; what it has to say follows."""
STOP_TIME: Final = 15.0
"""Seconds after which a process that does not stop is killed; longer than it gives its requests."""
PAUSE: Final = 1.0
"""Seconds between two starts of a process that keeps dying."""


class Work(Protocol):
    """What the process of this number does until SIGTERM or the end of the pipe `parent`. Why it could not start, or
    ""."""

    def __call__(self, number: int, ready: Callable[[str], None], parent: int) -> str: ...


def supervise(
    count: int, work: Work, ready: Callable[[str], None], stopping: Callable[[], None], life: int | None = None
) -> str:
    """Keep `count` processes at work until SIGINT, SIGTERM or the end of the pipe `life`; why they could not start, or
    "".

    `ready` is called once, when all are ready for the first time, with what the last of them said; `stopping` when they
    are told to stop. The first starts alone: what is wrong is told once.
    """
    return _Processes(count, work, ready, stopping, life).run()


class _Started(NamedTuple):
    number: int
    time: float


class _Processes:
    def __init__(
        self, count: int, work: Work, ready: Callable[[str], None], stopping: Callable[[], None], life: int | None
    ) -> None:
        self._count, self._work, self._ready, self._on_stop, self._input = count, work, ready, stopping, life
        self._selector = selectors.DefaultSelector()
        self._started: dict[int, _Started] = {}
        self._reports: dict[int, int] = {}
        self._ready_pids: set[int] = set()
        self._told = False
        self._said = ""
        self._error = ""
        self._stopping = 0
        self._deadline = float("inf")
        self._restart = float("inf")

    def run(self) -> str:
        self._lifeline, self._life = os.pipe()
        self._wake_read, self._wake_write = os.pipe()
        os.set_blocking(self._wake_read, False)
        os.set_blocking(self._wake_write, False)
        signal.set_wakeup_fd(self._wake_write)
        self._selector.register(self._wake_read, selectors.EVENT_READ)
        if self._input is not None:
            self._selector.register(self._input, selectors.EVENT_READ)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._stop)
        self._start()
        while self._started or not self._stopping:
            self._wait()
            self._reap()
            self._keep_up()
        return self._error

    def _stop(self, *_: object) -> None:
        """Ask all to stop; asked again, make them."""
        self._stopping += 1
        self._deadline = min(self._deadline, monotonic() + STOP_TIME)
        if self._stopping == 1:
            self._on_stop()
        self._signal(signal.SIGTERM if self._stopping == 1 else signal.SIGKILL)

    def _signal(self, number: int) -> None:
        for pid in self._started:
            with suppress(ProcessLookupError):
                os.kill(pid, number)

    def _wait(self) -> None:
        until = min(self._deadline, self._restart)
        timeout = None if until == float("inf") else max(0.0, until - monotonic())
        for key, _ in self._selector.select(timeout):
            if key.fd == self._wake_read:
                os.read(key.fd, 4096)
            elif key.fd == self._input:
                self._take_input(key.fd)
            else:
                self._take_report(key.fd)

    def _take_input(self, pipe: int) -> None:
        if not os.read(pipe, 65_536):
            self._selector.unregister(pipe)
            self._stop()

    def _take_report(self, report: int) -> None:
        pid = self._reports.pop(report)
        told = os.read(report, 65_536)
        self._selector.unregister(report)
        os.close(report)
        if told.startswith(READY):
            self._ready_pids.add(pid)
            self._said = told.removeprefix(READY).decode()
        elif told and not self._told:
            self._error = told.decode()
            self._stop()
        elif told:
            print(f"post3: a worker could not start: {told.decode()}", file=sys.stderr, flush=True)

    def _reap(self) -> None:
        """See who has ended; the first process of a container inherits those too whose parent has."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if not pid:
                return
            self._ended(pid, status)

    def _ended(self, pid: int, status: int) -> None:
        started = self._started.pop(pid, None)
        self._ready_pids.discard(pid)
        if started is None or self._stopping:
            return
        how = os.waitstatus_to_exitcode(status)
        what = f"was ended by signal {-how}" if how < 0 else f"ended with status {how}"
        if not self._told and not self._ready_pids:
            self._error = f"A worker {what} before it was ready."
            self._stop()
            return
        print(f"post3: worker {pid} {what}; starting another.", file=sys.stderr, flush=True)
        self._restart = max(monotonic(), started.time + PAUSE)

    def _keep_up(self) -> None:
        """Start what is missing, say that all are ready, kill what does not stop."""
        now = monotonic()
        if self._stopping:
            if now >= self._deadline:
                self._deadline = float("inf")
                self._signal(signal.SIGKILL)
            return
        if now >= self._restart or (self._ready_pids and not self._told):
            self._restart = float("inf")
            while len(self._started) < self._count and not self._stopping:
                self._start()
        if len(self._ready_pids) == self._count and not self._told:
            self._told = True
            self._ready(self._said)

    def _start(self) -> None:
        number = min(set(range(self._count)) - {started.number for started in self._started.values()})
        read, write = os.pipe()
        sys.stdout.flush()
        sys.stderr.flush()
        # A signal between the fork and the child's own handlers must neither be lost nor be taken for the parent's.
        signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGTERM))
        pid = os.fork()
        if pid == 0:
            self._be(number, read, write)
        self._started[pid] = _Started(number, monotonic())
        signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGINT, signal.SIGTERM))
        os.close(write)
        self._reports[read] = pid
        self._selector.register(read, selectors.EVENT_READ)

    def _be(self, number: int, read: int, write: int) -> NoReturn:
        """What the new process does, and nothing after it."""
        status = 1
        try:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
            signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGINT, signal.SIGTERM))
            self._selector.close()
            for fd in (self._life, self._wake_read, self._wake_write, read, *self._reports):
                os.close(fd)
            error = self._work(number, lambda said: _report(write, READY + said.encode()), self._lifeline)
            _report(write, error.encode())
            status = 1 if error else 0
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status)


def _report(pipe: int, told: bytes) -> None:
    with suppress(OSError):  # it was heard before, or nobody listens any more
        os.write(pipe, told)
