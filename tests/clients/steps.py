"""The round that every client goes: its steps by name, and what the Python programs of it have in common.

A program is told all by its environment: the AWS variables name the server (`AWS_ENDPOINT_URL`), the region and the
keys; `STYLE` is `path` or `virtual`, `BUCKET` the bucket to make, `WORK` a folder with the files `small`, `large` and
`keys` (one a line). It prints `version` and the client's, then `ok` and the step's name for each step, `none` and the
name for one that the client has nothing for, and at a failure `failed`, the step and why.
"""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import IO, Final
from urllib.parse import quote

STEPS: Final = (
    "make a bucket",
    "a small object",
    "20 MiB in parts",
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


class Lacks(Exception):
    """The client has nothing for this step."""


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


def signed(*arguments: str | Path, keys: Iterable[str] = ("",)) -> bytes:
    """What one curl that signs gets for these keys of the bucket, or for the bucket itself: beside the client."""
    where = f"{os.environ['AWS_ENDPOINT_URL']}/{os.environ['BUCKET']}/"
    user = f"{os.environ['AWS_ACCESS_KEY_ID']}:{os.environ['AWS_SECRET_ACCESS_KEY']}"
    # Old versions of curl do not send this header by themselves.
    header = ("-H", "x-amz-content-sha256: UNSIGNED-PAYLOAD")
    urls = [word for key in keys for word in (*arguments, where + quote(key))]
    return curl("--aws-sigv4", "aws:amz:us-east-1:s3", "--user", user, *header, *urls)


def in_parts(key: str) -> None:
    """Fail when this object did not come by a multipart upload: only those have an ETag that ends with a count."""
    head = signed("-I", keys=[key]).decode()
    if not re.search(r'^etag: "[0-9a-f]{32}-\d+"', head, re.IGNORECASE | re.MULTILINE):
        raise AssertionError(f"it was not uploaded in parts: {head}")


def said(*command: str | Path, stdin: bytes = b"", env: Mapping[str, str] | None = None) -> bytes:
    """What a program prints; it fails, with what it complains of, when the program does."""
    done = subprocess.run(
        command, input=stdin, capture_output=True, check=False, timeout=300, env={**os.environ, **(env or {})}
    )
    if done.returncode:
        raise AssertionError(f"exit status {done.returncode}: {(done.stdout + done.stderr).decode()[-600:]}")
    return done.stdout


def run(version: str, *steps: Callable[[], None]) -> None:
    """Go all steps of the round, in their order; ends the program at the first that fails."""
    print(f"version {version}", flush=True)
    for name, step in zip(STEPS, steps, strict=True):
        try:
            step()
        except Lacks:
            print(f"none {name}", flush=True)
            continue
        except Exception as error:
            print(f"failed {name}: {type(error).__name__}: {' '.join(str(error).split())}", flush=True)
            sys.exit(1)
        print(f"ok {name}", flush=True)
