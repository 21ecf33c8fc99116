"""Real post3 servers for tests: processes on free ports of loopback that end with the tests."""

from __future__ import annotations

import ctypes
import os
import re
import selectors
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import IO, Any

from tests.certificates import pem, trusting
from tests.rawhttp import Connection

START_TIME = 30.0
STOP_TIME = 20.0
ROOT = Path(__file__).parent.parent


@dataclass(frozen=True, slots=True)
class Server:
    """A server that is ready."""

    process: Process
    line: str
    """What it said when it was ready."""
    host: str
    port: int
    scheme: str = "http"

    @property
    def url(self) -> str:
        return f"{self.scheme}://{self.host}:{self.port}"


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """This process's environment without anything that would set the server."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("POST3_", "SANIC_", "MINIO_"))}
    return {**kept, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1", **(extra or {})}


class Process(subprocess.Popen[str]):
    """A process that remembers where its standard error goes."""

    complaints: IO[str]
    said: str = ""

    def complained(self) -> str:
        """All that it wrote to standard error up to now."""
        self.complaints.seek(0)
        return self.complaints.read()


def _end_with_parent() -> None:
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)


@contextmanager
def started(
    command: list[str], cwd: Path, env: Mapping[str, str] | None = None, *, user: int | None = None
) -> Iterator[Process]:
    """A process whose output can be read; it is stopped at the end, if it has not ended by itself."""
    # What it complains of goes to a file: a pipe that nobody reads would stop it one day.
    with tempfile.TemporaryFile("w+") as complaints:
        process = Process(
            command,
            cwd=cwd,
            env=environment(env),
            text=True,
            user=user,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=complaints,
            # Sanic's manager kills its workers by their group, which must not be that of the tests.
            process_group=0,
            preexec_fn=_end_with_parent if sys.platform == "linux" else None,
        )
        process.complaints = complaints
        try:
            yield process
        finally:
            if process.poll() is None:
                process.terminate()
            try:
                process.communicate(timeout=STOP_TIME)
            except subprocess.TimeoutExpired:
                process.kill()
                process.communicate()


def read_line(process: Process, within: float = START_TIME) -> str:
    """The next line that it prints; fails with what it complains of when there is none in time."""
    assert process.stdout is not None
    deadline = monotonic() + within
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        while "\n" not in process.said and selector.select(max(0.0, deadline - monotonic())):
            said = os.read(process.stdout.fileno(), 65_536)
            if not said:
                break
            process.said += said.decode()
    line, end, process.said = process.said.partition("\n")
    assert end, f"no line, but {line!r} and {process.complained()!r}"
    return line


@contextmanager
def post3_serve(*flags: str, cwd: Path, env: Mapping[str, str] | None = None) -> Iterator[Server]:
    """`post3 serve` on a free port, ready."""
    command = [sys.executable, "-m", "post3", "serve", *flags]
    if not any(flag.startswith("--host") for flag in flags) and "POST3_HOST" not in (env or {}):
        command += ["--host", "127.0.0.1:0"]
    with started(command, cwd, env) as process:
        line = read_line(process)
        found = re.search(r"(https?)://(\[[0-9a-f:]+\]|[^:/ ]+):(\d+)", line)
        assert found, line
        yield Server(process, line, found[2], int(found[3]), found[1])


def end(server: Server, within: float = STOP_TIME) -> tuple[int, float, str, str]:
    """Wait for its end: status, seconds, and what it had still to say on stdout and stderr."""
    began = monotonic()
    out, _ = server.process.communicate(timeout=within)
    return server.process.returncode, monotonic() - began, server.process.said + out, server.process.complained()


@contextmanager
def running_edge(cwd: Path, env: Mapping[str, str] | None = None, *, scheme: str = "http") -> Iterator[Server]:
    """`tests.edge` on a free port, ready; with https its certificate is the one of `pem`."""
    cert = cwd / "edge.pem"
    if scheme == "https":
        cert.write_bytes(pem())
        env = {**(env or {}), "CERT": str(cert)}
    with started([sys.executable, "-m", "tests.edge"], cwd, env) as process:
        line = read_line(process)
        yield Server(process, line, "127.0.0.1", int(line.rpartition(":")[2]), scheme)


def connect(server: Server, **options: Any) -> Connection:
    """A connection to the server, over TLS where it speaks that; it trusts the certificate of `pem`."""
    return Connection(server.port, tls=trusting(pem()) if server.scheme == "https" else None, **options)
