"""A download under way on the disk: its bytes in `<path>.part`, what is done of them in `<path>.part.json`.

The record is written before the first byte, and a part is recorded when its bytes are on the disk. So a `.part` without
a record is somebody else's file, and is left alone; and a download that ended in any way goes on where it stopped, as
long as the object is the same one, which its ETag tells.
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from threading import Lock
from typing import Any

from post3.client.errors import ClientError, Damaged, InvalidArgument
from post3.client.model import MiB, ObjectInfo
from post3.client.transfers import Span, spans
from post3.client.verification import Digest


@dataclass(frozen=True, slots=True)
class Plan:
    """Which object is downloaded in parts of which size in bytes, and the numbers of the parts that are done."""

    bucket: str
    key: str
    version_id: str | None
    etag: str
    size: int
    part_size: int
    done: frozenset[int] = frozenset()

    def missing(self) -> list[Span]:
        """The parts that are still to come."""
        return [span for span in spans(self.size, self.part_size) if span.number not in self.done]

    def bytes_done(self) -> int:
        """How many bytes are there."""
        return self.size - sum(span.size for span in self.missing())

    def resumed(self, record: str) -> Plan:
        """This plan as an earlier one's record left it, if that was for the same object; else this plan."""
        earlier = parse_plan(record)
        if earlier is None or replace(earlier, part_size=self.part_size, done=frozenset()) != self:
            return self
        return earlier

    def record(self) -> str:
        """What `resumed` takes up."""
        return json.dumps({**asdict(self), "done": sorted(self.done)})


def parse_plan(record: str) -> Plan | None:
    """The plan of a record; None for what is no record."""
    try:
        told: dict[str, Any] = json.loads(record)
        plan = Plan(**{**told, "done": frozenset(told["done"])})
        whole = all(isinstance(number, int) for number in (plan.size, plan.part_size, *plan.done))
    except (ValueError, TypeError, KeyError):
        return None
    return plan if whole and plan.part_size > 0 else None


class PartialFile:
    """The two files of a download under way. All of it blocks."""

    def __init__(self, path: Path, plan: Plan) -> None:
        """Take up what an earlier download left, or begin anew. Raises OSError, and ClientError for others' files."""
        self._path = path
        self._data = path.with_name(f"{path.name}.part")
        self._record = path.with_name(f"{path.name}.part.json")
        self._lock = Lock()
        path.parent.mkdir(parents=True, exist_ok=True)
        known = self._record.exists()
        if known and parse_plan(self._record.read_text(encoding="utf-8", errors="replace")) is None:
            raise ClientError(f"{self._record} is in the way and is no download of post3's: move it away.")
        if not known:
            if os.path.lexists(self._data):
                raise ClientError(f"{self._data} is in the way and is no download of post3's: move it away.")
            self._write_record(plan)
        self._fd = os.open(self._data, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o666)
        try:
            self._claim()
            self.plan = plan.resumed(self._record.read_text(encoding="utf-8")) if self._is_whole(plan) else plan
            os.ftruncate(self._fd, plan.size)
            self._write_record(self.plan)
        except BaseException:
            os.close(self._fd)
            raise

    def write(self, at: int, data: bytes) -> None:
        """Put bytes in their place."""
        view = memoryview(data)
        while view:
            written = os.pwrite(self._fd, view, at)
            at, view = at + written, view[written:]

    def finish_part(self, number: int) -> None:
        """Record a part, once its bytes are on the disk."""
        os.fsync(self._fd)
        with self._lock:
            self.plan = replace(self.plan, done=self.plan.done | {number})
            self._write_record(self.plan)

    def finish(self, digest: Digest | None, info: ObjectInfo) -> None:
        """Make the file what it was to become. Raises Damaged, with everything removed, when it has not that digest."""
        if digest is not None and not digest.fits(self._pieces()):
            self._data.unlink()
            self._record.unlink()
            raise Damaged(f"The bytes of {self._path} do not have the object's {digest.algorithm}; nothing was kept.")
        set_time(self._fd, info)
        os.fsync(self._fd)
        self._data.replace(self._path)
        self._record.unlink()
        sync_folder(self._path.parent)

    def close(self) -> None:
        """Let go of the files; what is done stays."""
        os.close(self._fd)

    def _claim(self) -> None:
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ClientError(f"Another download to {self._path} is under way: wait for its end.") from None

    def _is_whole(self, plan: Plan) -> bool:
        """Whether the bytes that the record tells of can be there."""
        return os.fstat(self._fd).st_size == plan.size

    def _pieces(self) -> Iterator[bytes]:
        for span in spans(self.plan.size, MiB):
            yield os.pread(self._fd, span.size, span.start)

    def _write_record(self, plan: Plan) -> None:
        fresh = self._record.with_name(f"{self._record.name}.{secrets.token_hex(4)}")
        fresh.write_text(plan.record(), encoding="utf-8")
        fresh.replace(self._record)


def refuse_folder(path: Path) -> None:
    """Raises InvalidArgument when there is a folder where a file is to be written."""
    if path.is_dir() and not path.is_symlink():
        raise InvalidArgument(f"{path} is a folder: name the file to write.")


def write_whole(path: Path, data: bytes | bytearray, digest: Digest | None, info: ObjectInfo) -> None:
    """Write a small file at once: beside its place, synced, and renamed.

    Raises OSError, and Damaged for bytes without that digest; nothing is left behind.
    """
    if digest is not None and not digest.fits([data]):
        raise Damaged(f"The bytes for {path} do not have the object's {digest.algorithm}; nothing was kept.")
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f".{secrets.token_hex(8)}.post3")
    try:
        with open(fresh, "xb", buffering=0) as file:
            view = memoryview(data)
            while view:
                view = view[file.write(view) :]
            set_time(file.fileno(), info)
            os.fsync(file.fileno())
        fresh.replace(path)
    except BaseException:
        with suppress(OSError):
            fresh.unlink()
        raise
    sync_folder(path.parent)


def set_time(fd: int, info: ObjectInfo) -> None:
    """Give a file the object's time of change, as a later sync compares it."""
    nanoseconds = given_time(info)
    if nanoseconds is not None:
        os.utime(fd, ns=(nanoseconds, nanoseconds))


def given_time(info: ObjectInfo) -> int | None:
    """The time that a downloaded file gets, in nanoseconds since 1970: whole seconds, as HTTP tells them."""
    return int(info.modified.timestamp()) * 1_000_000_000 if info.modified else None


def sync_folder(path: Path) -> None:
    """Bring a folder's entries to the disk."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
