"""`post3 serve` and `sanic post3.app` as people and service managers meet them."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from time import monotonic, sleep

import pytest

from tests.rawhttp import Connection
from tests.servers import Server, end, environment, post3_serve, started

FS = ("--backend", "fs", "--durability", "relaxed")


def post3(*arguments: str, cwd: Path, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run it to its end."""
    return subprocess.run(
        [sys.executable, "-m", "post3", *arguments],
        cwd=cwd,
        env=environment(env),
        text=True,
        capture_output=True,
        timeout=30,
        check=False,
    )


def assert_one_line(run: subprocess.CompletedProcess[str], *parts: str) -> None:
    """It ended with status 2 and one line that has these parts."""
    assert (run.returncode, run.stdout) == (2, "")
    assert run.stderr.count("\n") == 1, run.stderr
    assert run.stderr.startswith("post3")
    for part in parts:
        assert part in run.stderr


def status(port: int, target: str = "/") -> int:
    """The status of one answer on a connection of its own."""
    with Connection(port) as connection:
        return connection.get(target).status


def children(server: Server) -> list[int]:
    """The ids of its worker processes."""
    path = Path(f"/proc/{server.process.pid}/task/{server.process.pid}/children")
    return [int(pid) for pid in path.read_text().split()]


def cpu_time(pid: int) -> int:
    """Ticks of processor time that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def eventually(claim: Callable[[], bool], within: float = 10.0) -> bool:
    """Whether it comes true in time."""
    deadline = monotonic() + within
    while not claim():
        if monotonic() > deadline:
            return False
        sleep(0.02)
    return True


def is_gone(pid: int) -> bool:
    """Whether no process has this id."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"


# What it says


def test_the_version_is_told(tmp_path: Path) -> None:
    run = post3("--version", cwd=tmp_path)

    assert run.returncode == 0
    assert run.stdout.startswith("post3 ")


def test_the_help_tells_every_flag_with_its_variable_and_default(tmp_path: Path) -> None:
    told = " ".join(post3("serve", "--help", cwd=tmp_path).stdout.split())

    for flag, variable, default in (
        ("--backend", "POST3_BACKEND", "pg"),
        ("--data-dir", "POST3_DATA_DIR", "./post3-data"),
        ("--database-url", "DATABASE_URL", "none"),
        ("--pg-connections", "POST3_PG_CONNECTIONS", "8"),
        ("--host", "POST3_HOST", "127.0.0.1:9000"),
        ("--workers", "POST3_WORKERS", "1"),
        ("--gc-grace", "POST3_GC_GRACE", "1h"),
        ("--domain", "POST3_DOMAIN", "none"),
        ("--tls-cert", "POST3_TLS_CERT", "none: HTTP"),
        ("--tls-key", "POST3_TLS_KEY", "in the file of --tls-cert"),
        ("--trusted-proxy", "POST3_TRUSTED_PROXY", "none"),
        ("--allow-anonymous", "POST3_ALLOW_ANONYMOUS", "no"),
    ):
        assert flag in told
        assert f"[{variable}; default: {default}" in told


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["serve", "--backend", "tape"], ["--backend", "'tape'", "pg, fs or memory"]),
        (["serve", "--database-url", "mysql://me:secret@db/x"], ["--database-url", "postgresql://"]),
        (["serve", "--database-url", "postgresql://post3@127.0.0.1:1/x"], ["127.0.0.1:1/x", "refused"]),
        (["serve", "--backend", "fs", "--pg-user", "me"], ["--pg-user", "--backend pg"]),
        (["gc", "--backend", "memory"], ["memory"]),
        (["gc", "--backend", "fs", "--older-than", "soon"], ["--older-than", "'soon'", "0s"]),
        (["serve", "--frob"], ["--frob", "--help"]),
        (["serve", "--back", "fs"], ["--back"]),
        (["serve", "--workers"], ["--workers"]),
        (["frob"], ["frob"]),
        ([], ["name a command"]),
        (["serve", "--backend", "memory", "--workers", "2"], ["one worker"]),
        (["serve", "--backend", "memory", "--host", "192.0.2.1:0"], ["192.0.2.1", "--allow-anonymous"]),
        (["serve", "--backend", "memory", "--host", "nowhere.invalid", "--allow-anonymous"], ["nowhere.invalid"]),
        (["serve", "--backend", "memory", "--host", "192.0.2.1", "--allow-anonymous"], ["192.0.2.1", "address"]),
    ],
)
def test_what_is_wrong_is_told_in_one_line(tmp_path: Path, arguments: list[str], parts: list[str]) -> None:
    assert_one_line(post3(*arguments, cwd=tmp_path), *parts)


def test_a_wrong_variable_is_told_by_its_name(tmp_path: Path) -> None:
    run = post3("serve", cwd=tmp_path, env={"POST3_BACKEND": "memory", "POST3_WORKERS": "many"})

    assert_one_line(run, "POST3_WORKERS", "'many'")


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_port_that_is_taken_is_told_in_one_line(tmp_path: Path, workers: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        run = post3("serve", *FS, "--host", f"127.0.0.1:{port}", "--workers", workers, cwd=tmp_path)

    assert_one_line(run, f"127.0.0.1:{port}", "taken", "--host")


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_data_directory_that_cannot_be_is_told_in_one_line(tmp_path: Path, workers: str) -> None:
    (tmp_path / "file").write_text("in the way")
    run = post3("serve", *FS, "--data-dir", "file", "--host", "127.0.0.1:0", "--workers", workers, cwd=tmp_path)

    assert_one_line(run, "./file")


def test_it_says_where_it_serves_when_it_is_ready(tmp_path: Path) -> None:
    with post3_serve(*FS, "--data-dir", "objects", cwd=tmp_path) as server:
        assert status(server.port) == 200
        assert server.line.startswith("post3 ")
        assert f"serves http://127.0.0.1:{server.port} from ./objects (filesystem). " in server.line
        assert server.line.endswith("Anyone on this machine may read and write.")


def test_the_environment_sets_it_all(tmp_path: Path) -> None:
    env = {"POST3_BACKEND": "memory", "POST3_HOST": "[::1]:0", "POST3_ACCESS_LOG": "1"}
    with post3_serve(cwd=tmp_path, env=env) as server:
        assert f"http://[::1]:{server.port} from memory" in server.line


def test_a_request_for_another_name_is_refused(tmp_path: Path) -> None:
    with post3_serve("--backend", "memory", cwd=tmp_path) as server:
        with Connection(server.port) as connection:
            connection.send("GET / HTTP/1.1\nhost: rebound.example.com\n\n")
            assert connection.answer().code == "AccessDenied"
        with Connection(server.port) as connection:
            assert connection.get("/", "origin: http://example.com").code == "AccessDenied"


def test_unknown_methods_are_answered_in_xml(tmp_path: Path) -> None:
    with post3_serve("--backend", "memory", cwd=tmp_path) as server, Connection(server.port) as connection:
        for method in ("FROB", "get", "PATCH"):
            answer = connection.get("/bucket/key", method=method)
            assert (answer.status, answer.code) == (405, "MethodNotAllowed")


# Its end


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("workers", ["1", "2"])
@pytest.mark.parametrize("delay", [0.0, 0.3])
def test_a_signal_ends_it_soon_and_cleanly(tmp_path: Path, number: signal.Signals, workers: str, delay: float) -> None:
    with post3_serve(*FS, "--workers", workers, cwd=tmp_path) as server:
        assert status(server.port) == 200
        sleep(delay)
        server.process.send_signal(number)
        code, seconds, out, err = end(server)

    assert (code, out, err) == (0, "", "")
    assert seconds < 3


@pytest.mark.parametrize("workers", ["1", "2"])
@pytest.mark.parametrize("delay", [0.15, 0.25, 0.35, 0.45, 0.6])
def test_a_signal_while_it_starts_ends_it_cleanly(tmp_path: Path, workers: str, delay: float) -> None:
    command = [sys.executable, "-m", "post3", "serve", *FS, "--host", "127.0.0.1:0", "--workers", workers]
    with started(command, tmp_path) as process:
        sleep(delay)
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=10)
        # Before its first line of code runs, Python itself ends by the signal.
        assert process.returncode in (0, -signal.SIGTERM)
        assert "Traceback" not in process.complained()


def test_an_idle_connection_does_not_keep_it(tmp_path: Path) -> None:
    with post3_serve("--backend", "memory", cwd=tmp_path) as server, Connection(server.port) as connection:
        assert connection.get("/").status == 200
        server.process.send_signal(signal.SIGTERM)
        code, seconds, _, err = end(server)

    assert (code, err) == (0, "")
    assert seconds < 2


# Workers


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_workers_share_the_port_and_the_work(tmp_path: Path) -> None:
    with post3_serve(*FS, "--workers", "2", cwd=tmp_path) as server:
        assert ", 2 workers. " in server.line
        before = [cpu_time(pid) for pid in children(server)]
        # A burst of connections must not all go to the worker that wakes first.
        connections = [Connection(server.port) for _ in range(40)]
        for _ in range(25):
            assert {connection.get("/").status for connection in connections} == {200}
        for connection in connections:
            connection.socket.close()
        after = [cpu_time(pid) for pid in children(server)]

    assert len(after) == 2
    assert all(new > old for new, old in zip(after, before, strict=True))


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_two_servers_never_share_a_port(tmp_path: Path) -> None:
    with post3_serve(*FS, "--workers", "2", cwd=tmp_path) as server:
        for workers in ("1", "2"):
            run = post3("serve", *FS, "--host", f"127.0.0.1:{server.port}", "--workers", workers, cwd=tmp_path)
            assert_one_line(run, "taken")


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_server_that_stops_takes_no_new_connections(tmp_path: Path, workers: str) -> None:
    with post3_serve(*FS, "--workers", workers, cwd=tmp_path) as server, Connection(server.port) as connection:
        connection.send("PUT /bucket HTTP/1.1\nhost: localhost\n\n")
        assert connection.answer().status == 200
        connection.send("PUT /bucket/key HTTP/1.1\nhost: localhost\ncontent-length: 10\n\n12345")
        sleep(0.2)
        server.process.send_signal(signal.SIGTERM)

        def refuses() -> bool:
            try:
                Connection(server.port).socket.close()
            except ConnectionError:
                return True
            return False

        assert eventually(refuses, 2)
        connection.send("67890")
        assert connection.answer().status == 200
        assert end(server)[0] == 0


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_killed_worker_is_replaced(tmp_path: Path) -> None:
    with post3_serve(*FS, "--workers", "2", cwd=tmp_path) as server:
        before = children(server)
        os.kill(before[0], signal.SIGKILL)
        assert eventually(lambda: len(set(children(server)) - {before[0]}) == 2)
        assert {status(server.port) for _ in range(10)} == {200}
        server.process.send_signal(signal.SIGTERM)
        code, _, out, err = end(server)

    assert (code, out) == (0, "")
    assert err == f"post3: worker {before[0]} was ended by signal 9; starting another.\n"


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_workers_end_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    with post3_serve(*FS, "--workers", "2", cwd=tmp_path) as server:
        workers = children(server)
        server.process.kill()
        server.process.wait()

        assert eventually(lambda: all(is_gone(pid) for pid in workers))


# Sanic's own command


@pytest.mark.parametrize("mode", [["--single-process"], ["--workers", "2"]])
def test_sanic_s_own_command_serves_it(tmp_path: Path, mode: list[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    env = {"POST3_BACKEND": "fs", "POST3_DATA_DIR": "objects", "POST3_HOST": f"127.0.0.1:{port}"}
    with started([sys.executable, "-m", "sanic", "post3.app", *mode], tmp_path, env) as process:

        def serves() -> bool:
            assert process.poll() is None, process.complained()
            try:
                return status(port) == 200
            except OSError:
                return False

        assert eventually(serves, 30)
        with Connection(port) as connection:
            assert connection.get("/none").code == "NoSuchBucket"
        sleep(0.5)  # a signal at once may hang Sanic's manager
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=20)
        assert process.returncode == 0
        assert "Traceback" not in process.complained()


def test_sanic_s_own_command_may_name_the_address(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    env = {"POST3_BACKEND": "fs", "POST3_DATA_DIR": "objects", "POST3_HOST": "0.0.0.0:1"}
    command = [sys.executable, "-m", "sanic", "post3.app", "--host", "127.0.0.1", "--port", str(port)]
    with started(command, tmp_path, env) as process:
        assert eventually(lambda: process.poll() is None and is_open(port), 30), process.complained()
        assert status(port) == 200
        sleep(0.5)  # a signal at once may hang Sanic's manager


def is_open(port: int) -> bool:
    """Whether somebody listens there."""
    with socket.socket() as tried:
        return tried.connect_ex(("127.0.0.1", port)) == 0


@pytest.mark.parametrize(
    ("env", "arguments", "part"),
    [
        ({"POST3_BACKEND": "tape"}, [], "pg, fs or memory"),
        ({"POST3_BACKEND": "memory"}, ["-H", "192.0.2.1"], "--allow-anonymous"),
        ({"POST3_BACKEND": "memory"}, ["--workers", "2"], "one worker"),
    ],
)
def test_sanic_s_own_command_refuses_the_same(
    tmp_path: Path, env: dict[str, str], arguments: list[str], part: str
) -> None:
    with started([sys.executable, "-m", "sanic", "post3.app", *arguments], tmp_path, env) as process:
        process.communicate(timeout=20)
        assert process.returncode == 1
        assert part in process.complained()
        assert "Traceback" not in process.complained()
