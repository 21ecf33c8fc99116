"""Where objects and files are: `s3://bucket/prefix` and local folders, and how a key becomes a file's name."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from post3.client.errors import InvalidArgument, UnsafeKey

SCHEME = "s3://"


@dataclass(frozen=True, slots=True)
class Remote:
    """Everything in a bucket whose key begins so; the prefix is empty or ends with a slash."""

    bucket: str
    prefix: str

    def address(self, name: str) -> str:
        """Where something of that name is, for people."""
        return f"{SCHEME}{self.bucket}/{self.prefix}{name}"


Location: TypeAlias = Remote | Path


def parse_location(text: str | os.PathLike[str]) -> Location:
    """A local path, or the place that `s3://bucket/prefix` names. Raises InvalidArgument when it names no bucket."""
    if not isinstance(text, str) or not text.startswith(SCHEME):
        return Path(text)
    bucket, _, prefix = text.removeprefix(SCHEME).partition("/")
    if not bucket:
        raise InvalidArgument(f"{text!r} names no bucket: write s3://bucket/prefix.")
    return Remote(bucket, folder(prefix))


def folder(prefix: str) -> str:
    """The prefix of all that is in a folder: `photos` and `photos/` are the same one."""
    return prefix if not prefix or prefix.endswith("/") else f"{prefix}/"


def check_names(names: Iterable[str]) -> None:
    """Raises UnsafeKey when these cannot all be files in one folder: each inside it, and none of them a folder too.

    A name is what is left of a key behind the prefix, `a/b.txt` for one.
    """
    known = set(names)
    for name in known:
        steps = name.split("/")
        if "\0" in name or any(step in ("", ".", "..") for step in steps):
            raise UnsafeKey(
                f"The key {name!r} cannot be the name of a file: download it by itself, to a path you choose."
            )
        for depth in range(1, len(steps)):
            above = "/".join(steps[:depth])
            if above in known:
                raise UnsafeKey(
                    f"The keys {above!r} and {name!r} clash, as no path is both a file and a folder: "
                    "download one of them by itself."
                )


def path_inside(root: Path, name: str) -> Path:
    """The path of a name in a folder. Raises UnsafeKey when a link below the folder leads out of it."""
    path = root / name
    home = os.path.realpath(root)
    parent = os.path.realpath(path.parent)
    if os.path.commonpath([home, parent]) != home:
        raise UnsafeKey(f"{path} is not written, as a link leads out of {root}.")
    return path
