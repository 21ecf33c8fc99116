"""What programs and shells ask of `post3`: to start fast, to name its URL, to end with them, to complete; `info`."""

from __future__ import annotations

import json
import platform
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from post3._version import __version__
from post3.cli import COMMANDS
from tests.api.conftest import flags_of
from tests.api.test_cli import assert_one_line, children, eventually, is_gone, post3, status
from tests.servers import Server, environment, post3_serve, read_line, started

if TYPE_CHECKING:
    from tests.servers import Process

MEMORY = ("serve", "--backend", "memory")
HEAVY = {"sanic", "boto3", "botocore", "rich", "post3.server", "post3.client.client", "post3.app", "asyncpg"}


# What is imported


@pytest.mark.parametrize(
    "command",
    [
        ["-c", "import post3"],
        ["-m", "post3", "--help"],
        ["-m", "post3", "--version"],
        ["-m", "post3", "serve", "--help"],
        ["-m", "post3", "cp", "--help"],
    ],
)
def test_only_what_is_needed_is_imported(tmp_path: Path, command: list[str]) -> None:
    run = subprocess.run(
        [sys.executable, "-X", "importtime", *command],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    imported = {line.rpartition("|")[2].strip() for line in run.stderr.splitlines()}
    assert "post3" in imported
    assert not imported & HEAVY


def test_the_help_lists_every_command_with_a_sentence(tmp_path: Path) -> None:
    told = post3("--help", cwd=tmp_path).stdout
    for command in COMMANDS:
        assert f"\n  {command}  " in told
        assert post3(command, "--help", cwd=tmp_path).returncode == 0


# serve, for programs


def asked(process: Process) -> int:
    """The port in the URL that it prints."""
    return int(read_line(process).rpartition(":")[2])


@pytest.mark.parametrize("host", [[], ["--host", "127.0.0.1"], ["--host", "[::1]"]])
def test_it_prints_nothing_but_its_url(tmp_path: Path, host: list[str]) -> None:
    command = [sys.executable, "-m", "post3", *MEMORY, "--port", "0", "--print-url", *host]
    with started(command, tmp_path, {"PYTHONUNBUFFERED": "", "POST3_HOST": "127.0.0.1:1"}) as process:
        url = read_line(process)
        assert url.rpartition(":")[0] == ("http://[::1]" if host[1:] == ["[::1]"] else "http://127.0.0.1")
        if "::1" not in url:
            assert status(int(url.rpartition(":")[2])) == 200
        process.terminate()
        assert process.communicate(timeout=20)[0] == ""
        assert (process.returncode, process.complained()) == (0, "")


def test_a_port_and_a_host_with_a_port_are_one_too_many(tmp_path: Path) -> None:
    run = post3(*MEMORY, "--port", "9001", "--host", "127.0.0.1:9000", cwd=tmp_path)
    assert_one_line(run, "--port 9001", "--host 127.0.0.1:9000", "leave one of them out")
    assert_one_line(post3(*MEMORY, "--port", "70000", cwd=tmp_path), "--port", "70000")


@pytest.mark.parametrize("workers", ["1", "2"])
def test_it_ends_with_its_standard_input(tmp_path: Path, workers: str) -> None:
    command = [sys.executable, "-m", "post3", "serve", "--backend", "fs", "--workers", workers, "--port", "0"]
    with subprocess.Popen(
        [*command, "--print-url", "--stop-on-eof"],
        cwd=tmp_path,
        env=environment(),
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            port = int(process.stdout.readline().rpartition(":")[2])
            process.stdin.write("nothing of interest\n")
            process.stdin.flush()
            assert status(port) == 200
            pids = children(Server(process, "", "127.0.0.1", port))  # type: ignore[arg-type]  # any process has a pid
            out, err = process.communicate(timeout=20)  # closes its standard input
        finally:
            process.kill()
    assert (process.returncode, out, err) == (0, "", "")
    assert len(pids) == (2 if workers == "2" else 0)
    assert eventually(lambda: all(is_gone(pid) for pid in pids))


def test_a_standard_input_that_cannot_be_waited_for_is_told(tmp_path: Path) -> None:
    run = subprocess.run(
        [sys.executable, "-m", "post3", *MEMORY, "--port", "0", "--stop-on-eof"],
        cwd=tmp_path,
        env=environment(),
        text=True,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=30,
        check=False,
    )
    assert_one_line(run, "--stop-on-eof", "pipe")


# info


@pytest.mark.parametrize("store", ["filesystem", "postgres"])
def test_info_tells_what_a_store_holds(tmp_path: Path, store: str) -> None:
    flags = flags_of(store)
    with post3_serve(*flags, cwd=tmp_path) as server:
        for path, body in (("/one", None), ("/two", None), ("/one/a", "12345"), ("/one/b", "1"), ("/two/a", "")):
            put(server, path, body)
        put(server, "/one/a", "123")
        put(server, "/one/b?uploads", None, "POST")
        run = post3("info", *flags, "--json", cwd=tmp_path)
        text = post3("info", *flags, cwd=tmp_path).stdout
    assert (run.returncode, run.stderr) == (0, "")
    told = json.loads(run.stdout)
    counts = {name: told[name] for name in ("buckets", "objects", "versions", "markers", "bytes", "uploads")}
    assert counts == {"buckets": 2, "objects": 3, "versions": 3, "markers": 0, "bytes": 4, "uploads": 1}
    assert (told["post3"], told["python"]) == (__version__, platform.python_version())
    assert (told["postgresql"] is not None, told["format"].split()[0]) == (
        (False, "format") if store == "filesystem" else (True, "schema")
    )
    assert "objects:    3\n" in text


def put(server: Server, path: str, body: str | None, method: str = "PUT") -> None:
    from tests.rawhttp import Connection

    with Connection(server.port) as connection:
        text = body or ""
        connection.send(f"{method} {path} HTTP/1.1\nhost: localhost\ncontent-length: {len(text)}\n\n{text}")
        assert connection.answer().status == 200


def test_info_makes_no_store(tmp_path: Path) -> None:
    assert_one_line(post3("info", "--backend", "fs", cwd=tmp_path), "no such store", "--data-dir")
    assert_one_line(post3("info", cwd=tmp_path), "no such store", "--data-dir")
    assert list(tmp_path.iterdir()) == []


# Shells


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_the_script_of_a_shell_asks_post3_itself(tmp_path: Path, shell: str) -> None:
    run = post3("completion", shell, cwd=tmp_path)
    assert (run.returncode, run.stderr) == (0, "")
    assert f"_POST3_COMPLETE={shell}_complete" in run.stdout


def test_bash_completes_commands_and_options(tmp_path: Path) -> None:
    script = post3("completion", "bash", cwd=tmp_path).stdout
    for words, expected in (
        ("post3 se", "serve"),
        ("post3 serve --print", "--print-url"),
        ("post3 db resto", "restore"),
    ):
        asked = f"COMP_WORDS=({words}); COMP_CWORD={words.count(' ')}; _post3_completion post3"
        (tmp_path / "post3").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m post3 "$@"\n')
        (tmp_path / "post3").chmod(0o755)
        run = subprocess.run(
            ["bash", "--norc", "-c", f'PATH="{tmp_path}:$PATH"\n{script}\n{asked}\necho "${{COMPREPLY[@]}}"'],
            env=environment(),
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        assert run.stdout.split() == [expected], run.stderr
