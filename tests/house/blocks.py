"""The code blocks of the README and of docs/, with the mark that stands before each: `<!-- name -->`.

A mark names the test that runs the block, or says why none does: `<!-- not run: it needs a MinIO -->`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent

ROOT = Path(__file__).parent.parent.parent
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
BLOCK = re.compile(
    r"(?:^ *<!-- (?P<mark>[^\n]*?) -->\n)?^(?P<indent> *)```(?P<language>\w*)\n(?P<text>.*?)^(?P=indent)```$",
    re.DOTALL | re.MULTILINE,
)


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block of a page."""

    page: Path
    line: int
    mark: str
    """Empty where there is none."""
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"

    @property
    def commands(self) -> list[str]:
        """The commands of a shell block: its lines, with those that go on put together."""
        return [line for line in self.text.replace("\\\n", "").splitlines() if line and not line.startswith("#")]


def blocks_of(page: Path) -> Iterator[Block]:
    """In their order."""
    text = page.read_text(encoding="utf-8")
    for found in BLOCK.finditer(text):
        line = text.count("\n", 0, found.start("language")) + 1
        yield Block(page, line, found["mark"] or "", found["language"], dedent(found["text"]))


def marked(mark: str) -> list[Block]:
    """All blocks of this mark, page by page; there is at least one."""
    found = [block for page in PAGES for block in blocks_of(page) if block.mark == mark]
    assert found, f"no block is marked <!-- {mark} -->"
    return found
