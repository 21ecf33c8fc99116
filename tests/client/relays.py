"""A relay between a client and a server, which damages or cuts what the server answers."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Change = Callable[[int, bytes], bytes | None]
"""Given how many bytes of answers went by on all connections, and the next ones: what to pass on; None cuts."""


@contextmanager
def relay(port: int, change: Change) -> Iterator[str]:
    """A relay to that port of loopback; its address."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        relaying = _Relay(port, change, listener)
        thread = threading.Thread(target=relaying.accept)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()
            relaying.end()


class _Relay:
    def __init__(self, port: int, change: Change, listener: socket.socket) -> None:
        self._port = port
        self._change = change
        self._listener = listener
        self._passed = 0
        self._lock = threading.Lock()
        self._sockets: list[socket.socket] = []
        self._threads: list[threading.Thread] = []

    def accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                far = socket.create_connection(("127.0.0.1", self._port))
                self._sockets += [near, far]
                for one in (
                    threading.Thread(target=self._copy, args=(near, far, None)),
                    threading.Thread(target=self._copy, args=(far, near, self._change)),
                ):
                    self._threads.append(one)
                    one.start()

    def end(self) -> None:
        for one in self._sockets:
            _cut(one)
        for thread in self._threads:
            thread.join()
        for one in self._sockets:
            one.close()

    def _copy(self, source: socket.socket, target: socket.socket, change: Change | None) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65_536):
                passed = data if change is None else self._changed(data, change)
                if passed is None:
                    break
                target.sendall(passed)
        _cut(source)
        _cut(target)

    def _changed(self, data: bytes, change: Change) -> bytes | None:
        with self._lock:
            passed = change(self._passed, data)
            self._passed += len(data)
            return passed


def _cut(one: socket.socket) -> None:
    with contextlib.suppress(OSError):
        one.shutdown(socket.SHUT_RDWR)
