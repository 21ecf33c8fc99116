"""What one small request costs a server, from the bytes that arrive to the bytes that leave, without sockets and disks.

Requests signed as SDKs sign them are fed to a connection's protocol, with a transport that only counts, on the store in
memory. Printed is the CPU time of a request in microseconds, the least of some rounds: what is above that is the
machine's other work. To compare two states of the code, run both in turn.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from time import process_time
from typing import Any, Final

import uvloop

if __name__ == "__main__":
    sys.path[0:1] = []  # as in run.py
    sys.path.append(str(Path(__file__).resolve().parent.parent))

from benchmarks.bodies import SMALL, body_of, spread
from benchmarks.signing import Signer
from post3.app import create_app
from post3.config import Settings

SIGNER: Final = Signer("BENCHMARKKEY", "benchmark-secret", "127.0.0.1:9000")
OBJECTS: Final = 100


class Sink:
    """The transport of a client that takes everything at once."""

    def __init__(self, taken: Callable[[bytes], None]) -> None:
        self._taken = taken

    def write(self, data: bytes) -> None:
        """Take an answer."""
        self._taken(data)

    def get_extra_info(self, name: str, default: object = None) -> object:
        """Where the client seems to be."""
        return {"peername": ("127.0.0.1", 50000), "sockname": ("127.0.0.1", 9000)}.get(name, default)

    def is_closing(self) -> bool:
        """Never."""
        return False

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """There is no buffer."""

    pause_reading = resume_reading = close = abort = lambda self: None


class Client:
    """One connection, on which each request follows the answer before."""

    def __init__(self, make_protocol: Callable[[], Any]) -> None:
        self._protocol = make_protocol()
        self._protocol.connection_made(Sink(self._take))
        self._loop = asyncio.get_running_loop()

    async def send(self, requests: list[bytes]) -> bytes:
        """Have all of them answered; the last answer."""
        self._left = requests[::-1]
        self._last: asyncio.Future[bytes] = self._loop.create_future()
        self._next()
        return await self._last

    def _next(self) -> None:
        self._protocol.data_received(self._left.pop())

    def _take(self, data: bytes) -> None:
        assert data.startswith(b"HTTP/1.1 20"), data
        if self._left:
            self._loop.call_soon(self._next)
        else:
            self._last.set_result(data)

    async def close(self) -> None:
        """Go away."""
        self._protocol.connection_lost(None)
        await asyncio.sleep(0)


def workloads() -> dict[str, list[bytes]]:
    """Some requests of each kind."""
    paths = [f"/bench/{spread('overhead', number)}" for number in range(OBJECTS)]
    return {
        "PUT 4 KiB": [SIGNER.put(path, body_of(path, SMALL)) for path in paths],
        "GET 4 KiB": [SIGNER.get(path) for path in paths],
        "HEAD": [SIGNER.request("HEAD", path) for path in paths],
        "list one key": [SIGNER.request("GET", "/bench", {"list-type": "2", "max-keys": "1"})],
    }


async def measure(only: str, rounds: int, calls: int) -> dict[str, float]:
    """The least CPU seconds of a request of each kind."""
    app = create_app(Settings(backend="memory", access_key=SIGNER.access_key, secret_key=SIGNER.secret_key), "overhead")
    with socket.create_server(("127.0.0.1", 0)) as sock:
        server: Any = await app.create_server(
            sock=sock, return_asyncio_server=True, asyncio_server_kwargs={"start_serving": False}
        )
        await server.startup()
        await server.before_start()
        loop = asyncio.get_running_loop()
        client = Client(lambda: app.ctx.edge.protocol(loop=loop, app=app))
        found = await _measured(client, only, rounds, calls)
        await client.close()
        await server.after_stop()
    return found


async def _measured(client: Client, only: str, rounds: int, calls: int) -> dict[str, float]:
    await client.send([SIGNER.request("PUT", "/bench")])
    found: dict[str, float] = {}
    for name, requests in workloads().items():
        await client.send(requests)
        if not name.startswith(only):
            continue
        many = (requests * (calls // len(requests) + 1))[:calls]
        for _ in range(rounds):
            gc.collect()
            began = process_time()
            await client.send(many)
            found[name] = min(found.get(name, 1.0), (process_time() - began) / calls)
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="how the names of the workloads begin (default: all)")
    parser.add_argument("--rounds", type=int, default=5, help="rounds to take the least of (default: %(default)s)")
    parser.add_argument("--calls", type=int, default=20_000, help="requests in a round (default: %(default)s)")
    arguments = parser.parse_args()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        found = runner.run(measure(arguments.only, arguments.rounds, arguments.calls))
    for name, value in found.items():
        print(f"{name:20} {value * 1e6:8.1f} µs")


if __name__ == "__main__":
    main()
