"""Standard input as bytes, read by any thread, and given up at Ctrl-C even while nothing comes."""

from __future__ import annotations

import os
import select
import signal
from collections.abc import Iterator
from typing import Final

PIECE: Final = 1024 * 1024
PATIENCE: Final = 0.2
"""Seconds after which a reader sees that it was interrupted."""


class Input:
    """What comes from a file descriptor, in pieces; for the main thread to make.

    Python tells the main thread alone of SIGINT, which then waits for the thread that reads.
    """

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._interrupted = False
        signal.signal(signal.SIGINT, self._interrupt)

    def _interrupt(self, *_: object) -> None:
        self._interrupted = True
        raise KeyboardInterrupt

    def __iter__(self) -> Iterator[bytes]:
        """Raises KeyboardInterrupt."""
        while piece := self._read():
            yield piece

    def _read(self) -> bytes:
        while not select.select([self._fd], [], [], PATIENCE)[0]:
            if self._interrupted:
                raise KeyboardInterrupt
        return os.read(self._fd, PIECE)
