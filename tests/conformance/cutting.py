"""Processes that make one change and die at a step of it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final, NoReturn

CUT: Final = 99
"""The exit code of a process that died at its step."""


class Cutter:
    """Has changes made by processes that die."""

    def __init__(self, stdin: IO[str], stdout: IO[str]) -> None:
        self._stdin, self._stdout = stdin, stdout

    def dies(self, place: str, name: str, step: int) -> bool:
        """Whether the process died at its step; False when the change came to its end before."""
        print(json.dumps([place, name, step]), file=self._stdin, flush=True)
        code = int(self._stdout.readline())
        assert code in {0, CUT}, f"the change failed instead of being cut at step {step}"
        return code == CUT


@contextmanager
def cutting(module: str) -> Iterator[Cutter]:
    """What a module that calls `serve_cuts` when it is run does in a process of its own."""
    command = [sys.executable, "-m", module]
    home = Path(__file__).parents[2]
    with subprocess.Popen(command, cwd=home, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        yield Cutter(process.stdin, process.stdout)
        process.stdin.close()


def serve_cuts(run_cut: Callable[[str, str, int], NoReturn]) -> None:
    """Fork a process for each line that is read, and tell how it ended: forking is quick, and safe without threads."""
    for line in sys.stdin:
        place, name, step = json.loads(line)
        pid = os.fork()
        if not pid:
            run_cut(place, name, step)
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
