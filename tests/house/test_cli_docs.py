"""The commands of docs/cli.md do as they stand there, one after another."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from post3.cli import COMMANDS
from tests.servers import environment, post3_serve

ROOT: Final = Path(__file__).parent.parent.parent
PAGE: Final = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")


def blocks(name: str) -> list[str]:
    """The code blocks behind this mark, in order."""
    return re.findall(rf"<!-- {name} -->\n```\w+\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    """An environment in which `post3` is this one."""
    program = tmp_path / "bin" / "post3"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m post3 "$@"\n')
    program.chmod(0o755)
    return environment(
        {
            "PATH": f"{program.parent}{os.pathsep}{os.environ['PATH']}",
            "AWS_ACCESS_KEY_ID": "ROOTKEY",
            "AWS_SECRET_ACCESS_KEY": "open-sesame-0123",
        }
    )


def run(command: list[str], cwd: Path, env: dict[str, str]) -> str:
    """What it prints. Its failure is the test's."""
    done = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (0, ""), command
    return done.stdout


def run_lines(name: str, cwd: Path, env: dict[str, str]) -> dict[str, str]:
    """What each line of these blocks prints."""
    lines = [line for block in blocks(name) for line in block.splitlines()]
    return {line: run(["bash", "-c", line], cwd, env) for line in lines}


def test_the_commands_on_objects_do_as_they_say(tmp_path: Path, env: dict[str, str]) -> None:
    root_key = {"POST3_ACCESS_KEY": "ROOTKEY", "POST3_SECRET_KEY": "open-sesame-0123"}
    with post3_serve("--backend", "memory", cwd=tmp_path, env=root_key) as server:
        told = run_lines("cli", tmp_path, {**env, "POST3_ENDPOINT": server.url})
    assert told["post3 cat s3://photos/album/one.txt"] == "one\n"
    assert told["post3 cp --recursive album s3://photos/album"] == "Copied 2 files, 8 bytes.\n"
    assert (tmp_path / "restored" / "2026" / "two.txt").read_text() == "two\n"
    assert re.fullmatch(
        r"http://127\.0\.0\.1:\d+\n",
        told["sleep 2 | post3 serve --backend memory --port 0 --print-url --stop-on-eof"],
    )


def test_the_commands_on_stores_do_as_they_say(tmp_path: Path, env: dict[str, str]) -> None:
    store = {"POST3_BACKEND": "fs", "POST3_DATA_DIR": str(tmp_path / "data")}
    with post3_serve(cwd=tmp_path, env=store):
        told = run_lines("stores", tmp_path, {**env, **store})
    assert "buckets:    0\n" in told["post3 info"]


def test_a_harness_starts_a_server_as_it_says(tmp_path: Path, env: dict[str, str]) -> None:
    (code,) = blocks("harness")
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+\n", run([sys.executable, "-c", code], tmp_path, env))


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_is_on_the_page(command: str) -> None:
    assert re.search(rf"`{command}`|`post3 {command}\b|^post3 {command}\b", PAGE, re.MULTILINE)
