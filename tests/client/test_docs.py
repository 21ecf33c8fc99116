"""What docs/sdk.md says is so: its examples run from top to bottom, and it names every method and error."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys
from pathlib import Path

from post3 import client
from tests.servers import ROOT, environment, post3_serve

PAGE = (ROOT / "docs" / "sdk.md").read_text(encoding="utf-8")


def test_the_examples_run_from_top_to_bottom(tmp_path: Path) -> None:
    blocks = re.findall(r"<!-- sdk -->\n```python\n(.*?)```", PAGE, re.DOTALL)
    assert len(blocks) == PAGE.count("```python") == PAGE.count("<!-- sdk -->")
    with post3_serve("--backend", "memory", cwd=tmp_path) as server:
        program = "\n".join(blocks).replace("http://127.0.0.1:9000", server.url)
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", program],
            cwd=tmp_path,
            env=environment(),
            capture_output=True,
            text=True,
            check=False,
            timeout=100,
        )
    assert done.returncode == 0, done.stderr
    assert "b'Hello!' text/plain\n" in done.stdout
    assert "NotFound 404 head_object of s3://photos/missing at http://" in done.stdout
    assert (tmp_path / "restored" / "2026" / "one.txt").read_text() == "one"
    assert not (tmp_path / "restored" / "notes.log").exists()
    assert (tmp_path / "async.bin").stat().st_size == 20_000_000


def test_every_method_and_every_error_is_named() -> None:
    methods = [name for name, _ in inspect.getmembers(client.Client, callable) if not name.startswith("_")]
    kinds = [getattr(client, name) for name in client.__all__]
    errors = [kind.__name__ for kind in kinds if isinstance(kind, type) and issubclass(kind, client.ClientError)]
    assert len(methods) > 16
    assert len(errors) > 8
    assert [name for name in [*methods, *errors] if not re.search(rf"\b{name}\b", PAGE)] == []
