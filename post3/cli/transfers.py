"""What `cp` and `mv` move from where to where, decided before anything is moved; and how one thing is moved.

A folder stands for all that is in it: `cp -r photos s3://bucket/2026` makes `2026/…` of `photos/…`, and back.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from post3.cli.asking import Callback
from post3.cli.places import LocalPath, Place, S3Path, Standard
from post3.client.directories import Omitted, walk
from post3.client.errors import Damaged
from post3.client.locations import check_names, path_inside
from post3.client.model import ObjectInfo
from post3.client.resume import parse_plan
from post3.config import ConfigError

if TYPE_CHECKING:
    from post3.client import Client

LARGE: Final = 8 * 1024 * 1024
"""Bytes above which a transfer uses several connections by itself."""


@dataclass(frozen=True, slots=True)
class Transfer:
    """One thing to move; `size` in bytes, None when only reading tells."""

    source: Place
    target: Place
    size: int | None = None

    @property
    def kind(self) -> str:
        """The verb for it."""
        if not isinstance(self.source, S3Path):
            return "upload"
        return "copy" if isinstance(self.target, S3Path) else "download"

    def document(self) -> dict[str, object]:
        """For programs."""
        return {"action": self.kind, "source": str(self.source), "target": str(self.target), "size": self.size}


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything to move, and what is left out, each with its reason."""

    transfers: tuple[Transfer, ...]
    omitted: tuple[str, ...] = ()


# Deciding


def plan(client: Client, sources: Sequence[Place], target: Place, *, recursive: bool) -> Plan:
    """What is to be moved. Raises ConfigError for what cannot be meant, NotFound, and OSError."""
    if recursive:
        if len(sources) > 1:
            raise ConfigError("--recursive takes one source; say it once for each of them.")
        return _unclashing(_plan_folder(client, sources[0], target))
    if len(sources) > 1 and not (isinstance(target, S3Path | LocalPath) and target.is_folder):
        raise ConfigError(f"Several sources need a folder to go to; end {target} with a slash if it is one.")
    return _unclashing(Plan(tuple(_plan_one(client, source, target) for source in sources)))


def _unclashing(plan: Plan) -> Plan:
    """The plan, unless one transfer would write over what another one wrote, or has yet to read. Raises ConfigError."""
    sources = {transfer.source for transfer in plan.transfers}
    written: dict[Place, Place] = {}
    for transfer in plan.transfers:
        if (other := written.setdefault(transfer.target, transfer.source)) is not transfer.source:
            raise ConfigError(f"{other} and {transfer.source} would both become {transfer.target}.")
        if transfer.target in sources:
            raise ConfigError(f"{transfer.source} would become {transfer.target}, which is to be copied itself.")
    return plan


def _plan_one(client: Client, source: Place, target: Place) -> Transfer:
    if isinstance(source, S3Path):
        if source.is_folder:
            raise ConfigError(f"{source} names all that begins so; say --recursive, or name one key.")
        size: int | None = client.head_object(source.bucket, source.key).size
        found = Transfer(source, _named(target, source.name), size)
    elif not isinstance(target, S3Path):
        raise ConfigError(f"One of {source} and {target} must be in S3: s3://bucket/key.")
    elif isinstance(source, LocalPath):
        if source.path.is_dir():
            raise ConfigError(f"{source} is a folder; say --recursive to copy what is in it.")
        found = Transfer(source, _named(target, source.path.name), source.path.stat().st_size)
    else:
        found = Transfer(source, _named(target, ""))
    if found.source == found.target:
        raise ConfigError(f"{source} and {target} are the same.")
    return found


def _named(target: Place, name: str) -> Place:
    """Where something of that name goes. Raises ConfigError where a folder would have to be a file."""
    if isinstance(target, Standard) or not target.is_folder:
        return target
    if not name:
        raise ConfigError(f"Standard input has no name; say which key to store it under: {target}…")
    if isinstance(target, S3Path):
        return target.child(name)
    check_names([name])
    path = target.path / name
    if path.is_dir():
        raise ConfigError(f"{path} is a folder, which is not replaced by a file.")
    return LocalPath(path)


def _plan_folder(client: Client, source: Place, target: Place) -> Plan:
    if isinstance(source, LocalPath) and isinstance(target, S3Path):
        return _plan_upload(source.path, target.as_folder())
    if not isinstance(source, S3Path) or isinstance(target, Standard):
        raise ConfigError(
            "--recursive copies a folder to s3://bucket/prefix, or that to a folder or to another prefix."
        )
    if isinstance(target, LocalPath):
        return _plan_download(client, source.as_folder(), target.path)
    if source.as_folder() == target.as_folder():
        raise ConfigError(f"{source} and {target} are the same.")
    return _plan_copies(client, source.as_folder(), target.as_folder())


def _plan_upload(root: Path, target: S3Path) -> Plan:
    if not root.is_dir() and root.exists():
        raise ConfigError(f"{root} is no folder; leave out --recursive.")
    found = list(walk(root))
    return Plan(
        tuple(
            Transfer(LocalPath(one.path), target.child(one.name), one.size)
            for one in found
            if not isinstance(one, Omitted)
        ),
        tuple(str(one) for one in found if isinstance(one, Omitted)),
    )


def _plan_download(client: Client, source: S3Path, root: Path) -> Plan:
    if root.exists() and not root.is_dir():
        raise ConfigError(f"{root} is a file, where a folder must be.")
    # An empty object that ends with a slash is how some programs make a folder.
    names = {name: size for name, size in _names(client, source) if size or (name and not name.endswith("/"))}
    check_names(names)
    transfers = []
    for name, size in names.items():
        path = path_inside(root, name)
        if path.is_dir():
            raise ConfigError(f"{path} is a folder, which is not replaced by a file.")
        transfers.append(Transfer(source.child(name), LocalPath(path), size))
    return Plan(tuple(transfers))


def _plan_copies(client: Client, source: S3Path, target: S3Path) -> Plan:
    # The object that stands for the source itself has no place at the top of a bucket.
    names = [(name, size) for name, size in _names(client, source) if name or target.key]
    return Plan(tuple(Transfer(source.child(name), target.child(name), size) for name, size in names))


def _names(client: Client, source: S3Path) -> Iterator[tuple[str, int]]:
    """The names of all that is in a folder, and their sizes. Raises FileNotFoundError when there is nothing."""
    found = False
    for entry in client.list_objects(source.bucket, source.key or None):
        if isinstance(entry, ObjectInfo):
            found = True
            yield entry.key.removeprefix(source.key), entry.size
    if not found:
        raise FileNotFoundError(f"Nothing is in {source}.")


# Moving


def move_one(client: Client, transfer: Transfer, progress: Callback | None, *, resume: bool = False) -> None:
    """Copy one thing. Raises the SDK's errors and OSError; nothing is left behind then, but what `resume` may need."""
    match transfer.source, transfer.target:
        case LocalPath(path), S3Path(bucket, key):
            client.put_object(bucket, key, path, progress=progress)
        case S3Path(bucket, key), LocalPath(path):
            with _nothing_partial(path, resume=resume):
                client.download(bucket, key, path, progress=progress)
        case S3Path(bucket, key), S3Path(to_bucket, to_key):
            client.copy(bucket, key, to_bucket, to_key, progress=progress)
        case source, target:
            raise ConfigError(f"{source} cannot be copied to {target}.")


@contextmanager
def _nothing_partial(path: Path, *, resume: bool) -> Iterator[None]:
    """Remove what a download that fails would leave for a later one."""
    try:
        yield
    except BaseException:
        if not resume:
            drop_partial(path)
        raise


def drop_partial(path: Path) -> None:
    """Remove what a download to this path left, unless another one is at work there, or it is no download's."""
    part, record = path.with_name(f"{path.name}.part"), path.with_name(f"{path.name}.part.json")
    with suppress(OSError), open(part, "rb") as file:
        if parse_plan(record.read_text(encoding="utf-8", errors="replace")) is None:
            return
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        part.unlink()
        record.unlink()


class Moving:
    """A transfer whose source goes when the target is proved to hold it. Neither is a standard stream."""

    def __init__(self, client: Client, transfer: Transfer) -> None:
        self._client = client
        self._transfer = transfer
        self._before = self._state(transfer.source)

    def _state(self, place: Place) -> tuple[int, ...] | tuple[int, str]:
        """The size of what is there, and what changes when that does."""
        if isinstance(place, S3Path):
            found = self._client.head_object(place.bucket, place.key)
            return found.size, found.etag
        told = os.stat(str(place))
        return told.st_size, told.st_mtime_ns, told.st_ino

    def finish(self) -> None:
        """Delete the source. Raises Damaged, with nothing deleted, when the sizes differ or the source changed.

        The bytes themselves were verified on their way, by the checksum that goes along.
        """
        source, target = self._transfer.source, self._transfer.target
        if self._state(source) != self._before:
            raise Damaged(f"{source} changed while it was copied; it stays.")
        if self._state(target)[0] != self._before[0]:
            raise Damaged(f"{target} has not the size of {source}, which stays.")
        if isinstance(source, S3Path):
            self._client.delete_object(source.bucket, source.key)
        else:
            os.unlink(str(source))
