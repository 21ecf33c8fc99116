"""What stands in examples/ is told of; that it runs is seen by `python -m tests.examples`."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.examples import EXAMPLES, FOLDER


def test_the_readme_of_the_examples_tells_of_each() -> None:
    rows = re.findall(r"^\| \[(\S+)\]\((\S+)\) \| (.+\.) \|$", (FOLDER / "README.md").read_text(encoding="utf-8"), re.M)
    assert sorted(name for name, _, _ in rows) == sorted(path.name for path in EXAMPLES.values())
    assert [name for name, link, _ in rows if name != link] == []


@pytest.mark.parametrize("path", EXAMPLES.values(), ids=EXAMPLES)
def test_an_example_says_how_it_is_run(path: Path) -> None:
    program = "python" if path.suffix == ".py" else "bash"
    assert f"    {program} examples/{path.name}" in path.read_text(encoding="utf-8").partition("\nimport")[0]
