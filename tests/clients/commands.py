"""The round of a program of the command line; where it is, is the first argument."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.clients.rounds import BUCKET, Round
from tests.clients.steps import file, said


class Command(Round):
    """One program: `do` runs it."""

    options: Sequence[str] = ()
    """What every call is told."""
    where = f"s3://{BUCKET}"

    def do(self, *words: str | Path, stdin: bytes = b"", secret: str | None = None) -> str:
        """What it prints; fails when it does."""
        return self.raw(*words, stdin=stdin, secret=secret).decode()

    def raw(self, *words: str | Path, stdin: bytes = b"", secret: str | None = None) -> bytes:
        """The same as bytes."""
        env = {} if secret is None else {"AWS_SECRET_ACCESS_KEY": secret}
        return said(program(), *self.options, *words, stdin=stdin, env=env)

    def url(self, key: str) -> str:
        """The program's name for an object."""
        return f"{self.where}/{key}"


def program() -> str:
    """The program."""
    return sys.argv[1]


def source(data: bytes) -> Path:
    """A file with these bytes."""
    path = file("to-put")
    path.write_bytes(data)
    return path


def folder(keys: Sequence[str]) -> Path:
    """A folder with empty files of these names, without what stands before their last slash."""
    path = Path(os.environ["WORK"], "many")
    path.mkdir()
    for key in keys:
        (path / key.rpartition("/")[2]).touch()
    return path
