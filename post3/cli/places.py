"""What a command's path names: an object or a prefix (`s3://bucket/key`), a local file or folder, or `-`."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeAlias

import click
from click.shell_completion import CompletionItem

from post3.cli.completing import complete_address

SCHEME: Final = "s3://"


@dataclass(frozen=True, slots=True)
class S3Path:
    """A key, or what several keys begin with: then it is empty or ends with a slash, as a folder does."""

    bucket: str
    key: str = ""

    def __str__(self) -> str:
        return f"{SCHEME}{self.bucket}/{self.key}" if self.key else f"{SCHEME}{self.bucket}"

    @property
    def is_folder(self) -> bool:
        """Whether it can name no single object for people."""
        return not self.key or self.key.endswith("/")

    @property
    def name(self) -> str:
        """What the key ends with."""
        return self.key.rstrip("/").rpartition("/")[2]

    def as_folder(self) -> S3Path:
        """The prefix of all that is in it: `photos` and `photos/` are the same one."""
        return self if self.is_folder else S3Path(self.bucket, f"{self.key}/")

    def child(self, name: str) -> S3Path:
        """What is in this folder under that name."""
        return S3Path(self.bucket, self.key + name)


@dataclass(frozen=True, slots=True)
class LocalPath:
    """A file or a folder of this machine."""

    path: Path
    is_folder: bool = False
    """Whether it was written with a slash at its end, or is one."""

    def __str__(self) -> str:
        return os.fspath(self.path)


@dataclass(frozen=True, slots=True)
class Standard:
    """Standard input, or output."""

    def __str__(self) -> str:
        return "-"


Place: TypeAlias = S3Path | LocalPath | Standard


def parse_place(text: str) -> Place:
    """What a path names. Raises ValueError."""
    if text.startswith(SCHEME):
        return parse_s3(text)
    if text == "-":
        return Standard()
    if not text:
        raise ValueError("is empty")
    path = Path(text)
    return LocalPath(path, text.endswith("/") or path.is_dir())


def parse_s3(text: str) -> S3Path:
    """The bucket and the key, which may be empty. Raises ValueError."""
    bucket, _, key = text.removeprefix(SCHEME).partition("/")
    if not text.startswith(SCHEME) or not bucket:
        raise ValueError("is no address such as s3://bucket/key")
    return S3Path(bucket, key)


class PlaceType(click.ParamType[Any]):
    """An argument that names anything."""

    name = "path"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Parse it, or tell what is wrong with it."""
        try:
            return self.parse(value)
        except ValueError as error:
            self.fail(f"{value!r} {error}.", param, ctx)

    def parse(self, text: str) -> Any:
        """Raises ValueError, to end the sentence."""
        return parse_place(text)

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> Sequence[CompletionItem]:  # type: ignore[override]
        """Ask the server for buckets and keys; the shell itself knows its files."""
        if incomplete.startswith(SCHEME):
            return complete_address(incomplete, ctx.params)
        return [CompletionItem(incomplete, type="file")]


class S3Type(PlaceType):
    """An argument that names something in S3."""

    name = "s3://bucket/key"

    def parse(self, text: str) -> S3Path:
        """Raises ValueError, to end the sentence."""
        return parse_s3(text)

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> Sequence[CompletionItem]:  # type: ignore[override]
        """Ask the server for buckets and keys."""
        return complete_address(incomplete if incomplete.startswith(SCHEME) else SCHEME, ctx.params)


class BucketType(S3Type):
    """An argument that names a bucket."""

    name = "s3://bucket"

    def parse(self, text: str) -> S3Path:
        """Raises ValueError, to end the sentence."""
        place = parse_s3(text)
        if place.key:
            raise ValueError(f"names a key, but here it takes a bucket: {S3Path(place.bucket)}")
        return place


PLACE: Final = PlaceType()
IN_S3: Final = S3Type()
BUCKET: Final = BucketType()
