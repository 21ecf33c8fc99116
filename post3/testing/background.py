"""A server on a free port of loopback, in a thread of its own with an event loop of its own."""

from __future__ import annotations

import asyncio
import os
import socket
from concurrent.futures import Future
from itertools import count
from threading import Lock, Thread
from typing import Final, NamedTuple
from weakref import WeakSet

from post3.server import Answer, build_sanic, serve

HOST: Final = "127.0.0.1"
BACKLOG: Final = 1024
PATIENCE: Final = 0.1
"""Seconds that answers on their way have when it stops: their test is over."""
MAX_STOP: Final = 10.0
"""Seconds after which stopping is given up as impossible."""

_numbers: Final = count(1)
_starting: Final = Lock()
"""Sanic prepares its classes when an application starts, for all threads."""


class _Handle(NamedTuple):
    """By which other threads stop it."""

    loop: asyncio.AbstractEventLoop
    stop: asyncio.Event


class Background:
    """Serves from when it is made until it is stopped."""

    def __init__(self, answer: Answer) -> None:
        """Returns when it serves. Raises OSError where there is no port."""
        self._answer = answer
        self._owner = os.getpid()
        self._listening = socket.create_server((HOST, 0), backlog=BACKLOG)
        self.port: int = self._listening.getsockname()[1]
        started: Future[_Handle] = Future()
        self._thread = Thread(target=self._run, args=(started,), name=f"post3 on {self.port}", daemon=True)
        with _starting:
            self._thread.start()
            self._handle = started.result()
        _all.add(self)

    @property
    def is_own(self) -> bool:
        """Whether it runs in this process; in a fork of it, its thread is not there."""
        return os.getpid() == self._owner

    def stop(self) -> None:
        """Stop, and return when nothing of it is left. Raises RuntimeError if that cannot be done."""
        if not self.is_own or not self._thread.is_alive():
            return
        self._handle.loop.call_soon_threadsafe(self._handle.stop.set)
        self._thread.join(MAX_STOP)
        if self._thread.is_alive():
            raise RuntimeError(f"The server on port {self.port} did not stop within {MAX_STOP:.0f} seconds.")

    def leave_to_parent(self) -> None:
        """In a fork: let go of the port, so that it is free when the parent lets go of it."""
        self._listening.close()

    def _run(self, started: Future[_Handle]) -> None:
        try:
            asyncio.run(self._serve(started))
        except BaseException as error:
            if started.done():
                raise
            started.set_exception(error)
        finally:
            self._listening.close()

    async def _serve(self, started: Future[_Handle]) -> None:
        app = build_sanic(f"post3-testing-{next(_numbers)}", self._start, self._finish)
        # Whoever tests a Sanic application of their own finds Sanic as it was.
        app.config.update(GRACEFUL_SHUTDOWN_TIMEOUT=PATIENCE, TOUCHUP=False)
        handle = _Handle(asyncio.get_running_loop(), asyncio.Event())
        try:
            await serve(app, self._listening, handle.stop, lambda: started.set_result(handle))
        finally:
            type(app).unregister_app(app)

    async def _start(self) -> Answer:
        return self._answer

    async def _finish(self) -> None:
        """Nothing outlives the loop."""


_all: Final[WeakSet[Background]] = WeakSet()


def _leave_all_to_parent() -> None:
    for background in list(_all):
        background.leave_to_parent()


os.register_at_fork(after_in_child=_leave_all_to_parent)
