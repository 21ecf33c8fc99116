"""Every code block of the README and of docs/ is run by a test, or says why none does."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.house.blocks import PAGES, ROOT, Block, blocks_of, marked
from tests.servers import environment, post3_serve

ELSEWHERE = {
    "aws": "tests/house/test_docs.py",
    "backup": "tests/house/test_docs.py",
    "cli": "tests/house/test_cli_docs.py",
    "curl": "tests/house/test_docs.py",
    "harness": "tests/house/test_cli_docs.py",
    "rsync": "tests/house/test_docs.py",
    "sdk": "tests/client/test_docs.py",
    "stores": "tests/house/test_cli_docs.py",
    "testing": "tests/testing/test_docs.py",
    "users": "tests/house/test_docs.py",
    "serve": "tests/package.py, which installs and serves in its own words",
    "test": ".ci/run",
}
"""Marks, and what runs their blocks."""
AT_SERVER = ("commands", "python", "quickstart", "localstack")
"""Marks of blocks that are run below, all of one page in their order, against an open server."""
ALONE = ("lock", "shell")
"""The same, without a server."""


def test_every_block_is_run_or_says_why_not() -> None:
    known = {*ELSEWHERE, *AT_SERVER, *ALONE}
    blocks = [block for page in PAGES for block in blocks_of(page) if block.language in ("sh", "python")]
    assert len(blocks) > 20
    silent = [str(block) for block in blocks if block.mark not in known and not block.mark.startswith("not run: ")]
    assert silent == [], "mark them as one of these: " + ", ".join(sorted(known))


def run(block: Block, folder: Path, **variables: str) -> None:
    """Run a block as it stands; its failure is the test's."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    text = block.text.replace("http://127.0.0.1:9000", variables.get("POST3_ENDPOINT", ""))
    command = [sys.executable, "-c", text] if block.language == "python" else ["bash", "-euo", "pipefail", "-c", text]
    env = environment({"PATH": path, "PYTHONPATH": str(ROOT), **variables})
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=90, check=False)
    assert done.returncode == 0, f"{block}: {done.stdout}{done.stderr}"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A place with what the pages speak of."""
    for name in ("README.md", "docs"):
        (shutil.copytree if (ROOT / name).is_dir() else shutil.copy)(ROOT / name, tmp_path / name)
    return tmp_path


@pytest.mark.parametrize("mark", AT_SERVER)
def test_blocks_for_a_server_do_as_they_stand(mark: str, folder: Path) -> None:
    with post3_serve("--backend", "fs", "--data-dir", "data", cwd=folder) as server:
        for block in marked(mark):
            run(block, folder, POST3_ENDPOINT=server.url)


@pytest.mark.parametrize("mark", ALONE)
def test_blocks_that_need_no_server_do_as_they_stand(mark: str, folder: Path) -> None:
    for block in marked(mark):
        run(block, folder, POST3_BACKEND="fs", POST3_DATA_DIR="data")
