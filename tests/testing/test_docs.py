"""What docs/testing.md shows does as it stands."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
BLOCKS = re.findall(
    r"<!-- testing -->\n```python\n(.*?)```", (ROOT / "docs" / "testing.md").read_text(encoding="utf-8"), re.DOTALL
)


def test_every_block_of_python_is_run() -> None:
    text = (ROOT / "docs" / "testing.md").read_text(encoding="utf-8")
    assert len(BLOCKS) == text.count("```python") > 3


@pytest.mark.parametrize("block", BLOCKS, ids=range(len(BLOCKS)))
def test_the_pages_python_does_as_it_says(block: str, tmp_path: Path) -> None:
    (tmp_path / "pytest.ini").write_text("[pytest]\nfilterwarnings = error\n", encoding="utf-8")
    script = tmp_path / "test_page.py"
    script.write_text(block, encoding="utf-8")
    by_pytest = ["-m", "pytest", "-p", "post3.testing.plugin"] if "def test_" in block else ["-W", "error"]
    done = subprocess.run(
        [sys.executable, *by_pytest, str(script)],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
