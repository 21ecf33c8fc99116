"""docs/operations.md, made from the table of operations: `python -m tests.operations_table` writes it."""

from __future__ import annotations

from pathlib import Path

from post3.operations import OPERATIONS
from post3.operations.unsupported import UNSUPPORTED
from post3.s3.router import PREFLIGHT, Operation

FILE = Path(__file__).parent.parent / "docs" / "operations.md"


def page() -> str:
    """The whole page."""
    unsupported = {name for names in UNSUPPORTED.values() for name in names}
    rows = [_row(row) for row in sorted(OPERATIONS.values(), key=lambda row: row.name) if row.name not in unsupported]
    return "\n".join(
        [
            "# Operations",
            "",
            "Made from the table of operations by `python -m tests.operations_table`; a test compares them.",
            "",
            "| operation | verb | level | told by | right | module |",
            "|---|---|---|---|---|---|",
            *rows,
            "",
            f"The other {len(unsupported)} operations of S3 answer `NotImplemented` and change nothing:",
            f"{', '.join(sorted(unsupported))}.",
            "",
        ]
    )


def _row(row: Operation) -> str:
    level = "any" if row.method == PREFLIGHT else row.level
    selectors = " ".join(f"`{one}`" for one in sorted(row.selectors))
    right = row.action and f"`{row.action}`"
    module = row.handler.__module__.removeprefix("post3.")
    return f"| {row.name} | {row.method} | {level} | {selectors} | {right} | `{module}` |"


if __name__ == "__main__":
    FILE.write_text(page(), encoding="utf-8")
