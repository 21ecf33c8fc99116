"""The SQL of the store: statements by name, from the files beside this one, for a schema of any name.

A file holds statements under lines `-- name --`. They say `post3.` where they mean the schema, so that they can be
tried as they stand.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Final

DEFAULT_SCHEMA: Final = "post3"
_NAME: Final = re.compile(r"^-- ([a-z_]+) --\n", re.MULTILINE)
_SCHEMA: Final = re.compile(r"\bpost3\b")


@cache
def load_statements(schema: str = DEFAULT_SCHEMA) -> Mapping[str, str]:
    """All statements by name."""
    statements: dict[str, str] = {}
    for file in sorted(files(__package__).joinpath("sql").iterdir(), key=lambda file: file.name):
        if not file.name.endswith(".sql"):
            continue
        _, *parts = _NAME.split(file.read_text(encoding="utf-8"))
        for name, text in zip(parts[::2], parts[1::2], strict=True):
            if name in statements:
                raise ValueError(f"Two statements are called {name}.")
            statements[name] = in_schema(text.strip().removesuffix(";"), schema)
    return statements


def in_schema(text: str, schema: str) -> str:
    """The SQL for a schema of that name."""
    return text if schema == DEFAULT_SCHEMA else _SCHEMA.sub('"' + schema.replace('"', '""') + '"', text)
