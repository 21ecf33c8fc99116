"""What one small request costs a server, from the bytes that arrive to the bytes that leave, without sockets and disks.

Requests signed as SDKs sign them are fed to a connection's protocol, with a transport that only counts, on the store in
memory. Printed is the CPU time of a request in microseconds, the least of some rounds: what is above that is the
machine's other work. To compare two states of the code, run both in turn.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import gc
import hashlib
import socket
import sys
import zlib
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from time import process_time
from typing import Any

import uvloop

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from post3.app import create_app
from post3.auth.request_time import basic
from post3.auth.sigv4 import ALGORITHM, Canonical, Credential, Signing, signing_key
from post3.config import Settings

ACCESS_KEY, SECRET_KEY, HOST, REGION = "BENCHMARKKEY", "benchmark-secret", "127.0.0.1:9000", "us-east-1"
BODY = bytes(range(256)) * 16
OBJECTS = 100
AS_SDKS = {
    "user-agent": "Boto3/1.44.8 md/Botocore#1.44.8 ua/2.1 os/linux#6.1 md/arch#x86_64 lang/python#3.13",
    "accept-encoding": "identity",
    "amz-sdk-invocation-id": "b0a1c9f5-9f4a-4f8c-9f7e-0123456789ab",
    "amz-sdk-request": "attempt=1",
}


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


def signed(method: str, path: str, body: bytes = b"", extra: dict[str, str] | None = None, query: str = "") -> bytes:
    """A request as it stands on the wire. Names and values of the query are plain and in order."""
    timestamp, payload = basic(datetime.now(UTC)), hashlib.sha256(body).hexdigest()
    headers = {"host": HOST, "x-amz-content-sha256": payload, "x-amz-date": timestamp, **AS_SDKS, **(extra or {})}
    unsigned = {"user-agent", "accept-encoding"}
    covered = {name: headers[name] for name in sorted(headers) if name not in unsigned}
    credential = Credential(ACCESS_KEY, timestamp[:8], REGION)
    signing = Signing(signing_key(SECRET_KEY, timestamp[:8], REGION), timestamp, credential.scope)
    canonical = Canonical(method, path, query, covered, payload).text()
    headers["authorization"] = (
        f"{ALGORITHM} Credential={ACCESS_KEY}/{credential.scope}, SignedHeaders={';'.join(covered)}, "
        f"Signature={signing.sign(signing.string_to_sign(canonical))}"
    )
    if body:
        headers["content-length"] = str(len(body))
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"{method} {path}{'?' if query else ''}{query} HTTP/1.1\r\n{lines}\r\n".encode() + body


def workloads() -> dict[str, list[bytes]]:
    """Some requests of each kind."""
    crc = {"x-amz-checksum-crc32": base64.b64encode(zlib.crc32(BODY).to_bytes(4, "big")).decode()}
    keys = [f"/bench/folder/{number:05d}" for number in range(OBJECTS)]
    return {
        "PUT 4 KiB": [signed("PUT", key, BODY, crc) for key in keys],
        "GET 4 KiB": [signed("GET", key) for key in keys],
        "HEAD": [signed("HEAD", key) for key in keys],
        "list one key": [signed("GET", "/bench", query="list-type=2&max-keys=1&prefix=folder%2F")],
    }


async def measure(only: str, rounds: int, calls: int) -> dict[str, float]:
    """The least CPU seconds of a request of each kind."""
    app = create_app(Settings(backend="memory", access_key=ACCESS_KEY, secret_key=SECRET_KEY), "requests")
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
    await client.send([signed("PUT", "/bench")])
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
