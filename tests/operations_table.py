"""docs/operations.md, made from the table of operations: `python -m tests.operations_table` writes it."""

from __future__ import annotations

from pathlib import Path

from post3.operations import OPERATIONS
from post3.operations.unsupported import UNSUPPORTED
from post3.s3.router import PREFLIGHT

FILE = Path(__file__).parent.parent / "docs" / "operations.md"


def page() -> str:
    """The whole page."""
    unsupported = {name for names in UNSUPPORTED.values() for name in names}
    rows = [
        f"| {row.name} | {row.method} | {'any' if row.method == PREFLIGHT else row.level} | {' '.join(f'`{one}`' for one in sorted(row.selectors))} "
        f"| {row.action and f'`{row.action}`'} | `{row.handler.__module__.removeprefix('post3.')}` |"
        for row in sorted(OPERATIONS.values(), key=lambda row: row.name)
        if row.name not in unsupported
    ]
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


if __name__ == "__main__":
    FILE.write_text(page(), encoding="utf-8")
