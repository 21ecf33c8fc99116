"""The round that every client goes: its steps by name, and what the Python programs of it have in common.

A program is told all by its environment: the AWS variables name the server (`AWS_ENDPOINT_URL`), the region and the
keys; `STYLE` is `path` or `virtual`, `BUCKET` the bucket to make, `WORK` a folder with the files `small`, `large` and
`keys` (one a line). It prints `ok` and the step's name for each step, and at a failure `failed`, the step and why.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import IO, Final

STEPS: Final = (
    "make a bucket",
    "a small object",
    "20 MiB",
    "20 MiB from a stream",
    "a range",
    "metadata",
    "keys",
    "1,100 keys in pages",
    "a copy",
    "presigned URLs with curl",
    "a wrong secret",
    "delete them all",
)
KEYS: Final = (
    "a b  c",
    "a+b",
    "a%2Fb%",
    "ключ/é/日本/😀",
    "a//b",
    "a//",
    "a?b#c&d=e;f",
    "'\"<>^`{|}~",
    ":@,!$()*[]",
)
METADATA: Final = {"plain": "one, two", "with-dash": "a=b; c"}


class Unseekable:
    """A file that can be read once, from its start."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def read(self, size: int = -1) -> bytes:
        """At most so many of its next bytes."""
        return self._file.read(size)


def file(name: str) -> Path:
    """The file of that name in the round's folder."""
    return Path(os.environ["WORK"], name)


def sha256(pieces: Iterable[bytes]) -> str:
    """The digest of the pieces together."""
    digest = hashlib.sha256()
    for piece in pieces:
        digest.update(piece)
    return digest.hexdigest()


def same(got: object, wanted: object) -> None:
    """Fail, showing both, when they differ."""
    if got != wanted:
        raise AssertionError(f"got {str(got)[:200]!r}, not {str(wanted)[:200]!r}")


def curl(*arguments: str | Path) -> bytes:
    """What curl prints; it fails for every status from 400 on."""
    done = subprocess.run(["curl", "-sS", "--fail-with-body", *arguments], capture_output=True, check=False, timeout=60)
    if done.returncode:
        raise AssertionError(f"curl: {done.stderr.decode()} {done.stdout.decode()}")
    return done.stdout


def run(*steps: Callable[[], None]) -> None:
    """Go all steps of the round, in their order; ends the program at the first that fails."""
    for name, step in zip(STEPS, steps, strict=True):
        try:
            step()
        except Exception as error:
            print(f"failed {name}: {type(error).__name__}: {error}", flush=True)
            sys.exit(1)
        print(f"ok {name}", flush=True)
