"""The log: changes of versions' sidecars, brought to the disk together before the sidecars change.

Each process appends to a file of its own. A record is a sidecar's path and its new bytes, or that it is removed; one
sync serves all changes at hand. The sidecar itself is renamed into place, or removed, unsynced: should the power be
lost, the next start makes the change again (`recover`).

A *checkpoint* brings the whole file system to the disk, and notes the time up to which no log is needed any more. What
was logged before that time must have been made before the sync: so a change shares a lock from before it reads the
clock until it is made, and a checkpoint holds that lock alone while it reads its own time.

The clock is the system's monotonic one, the same for all processes until the machine starts again, which its boot id
tells. What a process logged and died before it made is not made by those that live: it was never answered, and the
next checkpoint voids it.

When a sync fails, what was answered is in the log, and perhaps nowhere else: the process changes nothing more, and the
next start makes the log's changes again.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import logging
import os
import re
import secrets
import struct
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from post3._chunker import crc64nvme
from post3.errors import ServiceUnavailable
from post3.storage.filesystem import _files
from post3.storage.filesystem.durable import Disk, Locks, boot_id, try_lock
from post3.storage.filesystem.sidecar import load, read_file

logger = logging.getLogger("post3")
MAGIC: Final = b"post3log"
VERSION: Final = 1
HEADER: Final = struct.Struct(">8sQ16s36s")
"""Magic, version, 16 random bytes that tell this use of the file from the last one, the boot's id."""
RECORD: Final = struct.Struct(">QQII")
"""CRC64NVME of the header's random bytes and of all that follows; nanoseconds; bytes of the path, and of the sidecar.
Both come behind it.
"""
_CRC: Final = struct.Struct(">Q")
_TOLD: Final = struct.Struct(">QII")
GONE: Final = 0xFFFFFFFF
"""The bytes of a sidecar that is removed."""
GROWTH: Final = 4 * 1024 * 1024
"""Zeros that are written ahead: bytes that change no file's length are synced in half the time."""
LIMIT: Final = 64 * 1024 * 1024
"""Bytes of log that ask for a checkpoint; with twice as many, changes wait for it."""
SECONDS: Final = 30.0
"""How long a change stays in the log at most, when all is well."""
BARRIER_SECONDS: Final = 10.0
"""How long a checkpoint waits for the changes that are under way."""
KERNEL: Final = (5, 8)
"""The first Linux whose syncfs tells of writes that failed."""


@dataclass(frozen=True, slots=True)
class Change:
    """What becomes of a sidecar."""

    path: str
    content: bytes | None
    """None where it is removed."""


class Log:
    """The log as one process uses it, from any thread. Where it cannot be used, each change is synced by itself."""

    def __init__(self, root: str, disk: Disk, locks: Locks, later: Callable[[Callable[[], None]], object]) -> None:
        """`later` has something done in a thread."""
        self._root = root
        self._disk = disk
        self._locks = locks
        self._later = later
        self._folder = f"{root}/log"
        self._store = -1
        self._segments: tuple[Segment, Segment] | None = None
        """The one that is appended to, and the other one."""
        self._appending = threading.Lock()
        self._checkpointing = threading.Lock()
        self._is_asked = False
        self._is_void = False
        """Whether it holds something that was not made, and that a checkpoint is to void."""
        self._failure = ""
        """What the disk said when a sync failed."""

    @property
    def is_ready(self) -> bool:
        """Whether what is made within `changing` lasts as it is to last."""
        return self._segments is not None or not self._disk.durable

    @property
    def segments(self) -> Sequence[Segment]:
        """Its files."""
        return self._segments or ()

    # Life

    def open(self) -> None:
        """Log from now on, where changes are to last and the system can do it. Raises OSError."""
        boot = boot_id()
        if not self._disk.durable or not boot or not can_sync_all():
            return
        # Open from now on: a sync of the whole disk tells of what failed since.
        self._store = os.open(self._root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        with self._locks.held("checkpoint"):  # whose holder takes files that nobody holds for a dead process's
            name = f"{self._folder}/{secrets.token_hex(8)}"
            self._segments = Segment(f"{name}-0", boot), Segment(f"{name}-1", boot)
            self._disk.sync_folder(self._folder)

    def close(self) -> None:
        """Bring everything to the disk, and leave no log behind; when that fails, the next start reads it."""
        if self._segments is None:
            return
        try:
            if not all(segment.is_empty for segment in self._segments):
                self.checkpoint()
            for segment in self._segments:
                os.unlink(segment.path)
        except (OSError, ServiceUnavailable) as error:
            logger.error("the log is left for the next start: %s", error)
        for segment in self._segments:
            segment.close()
        os.close(self._store)
        self._segments = None

    def tend(self) -> None:
        """Make a checkpoint if one is due, or a process has died; called every few seconds."""
        if self._segments is not None and not self._failure:
            age = max(segment.age for segment in self._segments)
            if age > SECONDS or any(_is_dead(path) for path in log_files(self._root)):
                self._relieve()

    # Changes

    def replace(self, path: str, content: bytes, before: Callable[[], None]) -> None:
        """Write a sidecar; on return it lasts. `before` is called when all is ready. Raises like Disk.replace, and
        ServiceUnavailable.
        """
        if self._segments is None:
            self._disk.replace(path, content, before=before)
            return
        with self._disk.written(content, durable=False) as name:
            before()
            with self.changing([Change(path, content)]):
                self._disk.place(name, path)

    def remove(self, path: str, before: Callable[[], None]) -> None:
        """Remove a sidecar; on return that lasts. `before` is called first. Raises like `replace`."""
        if self._segments is None:
            self._disk.remove(path, before=before)
            return
        before()
        with self.changing([Change(path, None)]), contextlib.suppress(FileNotFoundError):
            os.unlink(path)

    @contextlib.contextmanager
    def changing(self, changes: Sequence[Change]) -> Iterator[None]:
        """Log changes, which are to be made in here. Raises OSError and ServiceUnavailable, with none of them made."""
        if self._segments is None:
            yield
            return
        self._make_room()
        with self._locks.shared("log"):
            self._append(changes)
            try:
                yield
            except BaseException:
                self.void()
                raise

    def void(self) -> None:
        """Something was logged and not made: no loss of power must make what was answered with an error."""
        self._is_void = True

    def _append(self, changes: Sequence[Change]) -> None:
        if self._segments is None:
            raise ServiceUnavailable("The store is closed.")
        start = len(f"{self._root}/buckets/")
        told = [(change.path[start:].encode(), change.content) for change in changes]
        with self._appending:
            segment = self._segments[0]
            segment.append(told, time.monotonic_ns())
        try:
            # Others may write meanwhile. A sync serves all that was written by then.
            os.fdatasync(segment.fd)
        except OSError as error:
            raise self._fail(error) from error

    def _fail(self, error: OSError) -> ServiceUnavailable:
        logger.critical("the disk failed; nothing is changed any more until the next start: %s", error)
        self._failure = f"The disk failed ({error.strerror}). Check it, and start post3 again."
        return ServiceUnavailable(self._failure)

    # Checkpoints

    def _make_room(self) -> None:
        """Have a checkpoint made before, or beside, the next change when one is due."""
        if self._failure:
            raise ServiceUnavailable(self._failure)
        size = 0 if self._segments is None else self._segments[0].size
        if self._is_void or size > 2 * LIMIT:
            self.checkpoint(only_if=lambda size: self._is_void or size > 2 * LIMIT)
        elif size > LIMIT and not self._is_asked:
            self._is_asked = True
            self._later(self._relieve)

    def _relieve(self) -> None:
        try:
            self.checkpoint()
        except Exception as error:
            # The changes that it was to make room for will meet the same error.
            logger.error("the log could not be relieved: %s", error)
        finally:
            self._is_asked = False

    def checkpoint(self, only_if: Callable[[int], bool] = lambda _: True) -> None:
        """Bring to the disk what was changed, and need the logs of it no more: this process's, and those of dead ones.

        `only_if` is asked, given the bytes of this log, when it is this thread's turn. Raises OSError, OperationAborted
        and ServiceUnavailable with the logs as they were.
        """
        with self._checkpointing, self._locks.held("checkpoint"):
            if self._segments is None or not only_if(self._segments[0].size):
                return
            if self._failure:
                # A second sync may succeed, and what the first one lost is lost all the same.
                raise ServiceUnavailable(self._failure)
            dead = [path for path in log_files(self._root) if _is_dead(path)]
            with self._locks.held_soon("log", BARRIER_SECONDS):
                until = time.monotonic_ns()
                full, spare = self._segments
                self._segments = (spare, full)
                was_void, self._is_void = self._is_void, False
            try:
                self._bring(f"{full.boot} {until}\n".encode())
            except BaseException:
                self._is_void |= was_void
                raise
            full.begin()
            for path in dead:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(path)

    def _bring(self, mark: bytes) -> None:
        try:
            _files.sync_all(self._store, self._root.encode())
        except OSError as error:
            raise self._fail(error) from error
        self._disk.replace(f"{self._folder}/mark", mark)


class Segment:
    """One file of a log, held locked by its process."""

    def __init__(self, path: str, boot: str) -> None:
        """Make it. Raises OSError."""
        self.path = path
        self.boot = boot
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
        self.fd = os.open(path, flags, 0o600)
        fcntl.flock(self.fd, fcntl.LOCK_EX)
        self._length = 0
        self.begin()

    def begin(self) -> None:
        """Use it from its beginning: what it holds is needed no more."""
        self.size = 0
        self._random = secrets.token_bytes(16)
        self._since = 0.0

    def close(self) -> None:
        """Let go."""
        os.close(self.fd)

    @property
    def is_empty(self) -> bool:
        """Whether it holds nothing that is needed."""
        return not self.size

    @property
    def age(self) -> float:
        """Seconds since its first record was written."""
        return time.monotonic() - self._since if self.size else 0.0

    def append(self, changes: Sequence[tuple[bytes, bytes | None]], moment: int) -> None:
        """Write records, unsynced: paths below `buckets`, and sidecars. Raises OSError with nothing appended."""
        start = b"" if self.size else HEADER.pack(MAGIC, VERSION, self._random, self.boot.encode("ascii"))
        data = start + b"".join(_record(self._random, moment, path, content) for path, content in changes)
        self._grow(self.size + len(data))
        _write_at(self.fd, data, self.size)
        if not self.size:
            self._since = time.monotonic()
        self.size += len(data)

    def _grow(self, needed: int) -> None:
        while self._length < needed:
            _write_at(self.fd, bytes(GROWTH), self._length)
            self._length += GROWTH


def _record(random: bytes, moment: int, path: bytes, content: bytes | None) -> bytes:
    size = GONE if content is None else len(content)
    told = _TOLD.pack(moment, len(path), size) + path + (content or b"")
    return _CRC.pack(crc64nvme(random + told)) + told


def _write_at(fd: int, data: bytes, place: int) -> None:
    view = memoryview(data)
    while view:
        written = os.pwrite(fd, view, place)
        view, place = view[written:], place + written


# After a crash


def recover(root: str, disk: Disk) -> None:
    """Make again what logs tell of, and forget them; nobody else has the store open.

    Raises OSError, and ValueError for a log that is none of this post3's.
    """
    paths = log_files(root)
    if not paths:
        return
    known, boot = _mark(f"{root}/log/mark"), boot_id()
    latest: dict[bytes, Record] = {}
    for path in paths:
        for record in read_log(path, known):
            if record.path not in latest or latest[record.path].moment <= record.moment:
                latest[record.path] = record
    for record in latest.values():
        _make_again(root, disk, record, is_same_boot=record.boot == boot)
    if latest:
        logger.warning("the log of %d changes was read again", len(latest))
    fd = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        _sync(fd, root)
        for path in (*paths, f"{root}/log/mark"):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)
        _sync(fd, root)
    finally:
        os.close(fd)


@dataclass(frozen=True, slots=True)
class Record:
    """A change that a log tells of."""

    boot: str
    moment: int
    path: bytes
    """Below `buckets`."""
    content: bytes | None


def read_log(path: str, known: tuple[str, int]) -> Iterator[Record]:
    """The records of a log, up to where its process came.

    What is known to be on the disk, by a boot and a time, is left out. Raises ValueError for a log of another version.
    """
    with open(path, "rb") as file:
        header = file.read(HEADER.size)
        if len(header) < HEADER.size or not header.startswith(MAGIC):
            return  # nothing was logged
        _, version, random, boot_name = HEADER.unpack(header)
        if version != VERSION:
            raise ValueError(f"The log {path} is of version {version}; use the post3 that wrote it.")
        boot = boot_name.rstrip(b"\0").decode("ascii", "replace")
        while len(head := file.read(RECORD.size)) == RECORD.size:
            crc, moment, length, size = RECORD.unpack(head)
            rest = file.read(length + (0 if size == GONE else size))
            if crc64nvme(random + head[_CRC.size :] + rest) != crc:
                return
            if known[0] != boot or moment > known[1]:
                yield Record(boot, moment, rest[:length], None if size == GONE else rest[length:])


def _make_again(root: str, disk: Disk, record: Record, *, is_same_boot: bool) -> None:
    name, content = os.fsdecode(record.path), record.content
    bucket, kind, *_ = parts = name.split("/")
    if kind != "versions" or ".." in parts:
        raise ValueError(f"The log tells of a file that is no sidecar: {name!r}.")
    if not os.path.isdir(f"{root}/buckets/{bucket}"):
        return  # the bucket was deleted afterwards
    path = f"{root}/buckets/{name}"
    if content is None:
        if not is_same_boot:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)
    elif not (is_same_boot and _is_newer(read_file(path), content)):
        with disk.written(content, durable=False) as fresh:
            disk.place(fresh, path)


def _is_newer(present: bytes | None, content: bytes) -> bool:
    """Whether a sidecar stands for a later change than another one.

    Without a loss of power all that was answered is there, also what somebody changed without a log; unless a sync
    failed.
    """
    try:
        one, other = (load(sidecar)[0] for sidecar in (present or b"", content))
        return bool((one["sequence"], one["revision"]) > (other["sequence"], other["revision"]))
    except (ValueError, KeyError, TypeError):
        return False


def _mark(path: str) -> tuple[str, int]:
    """The boot and the time of the last checkpoint."""
    try:
        with open(path, encoding="ascii") as file:
            boot, until = file.read().split()
            return boot, int(until)
    except FileNotFoundError:
        return "", 0


def log_files(root: str) -> list[str]:
    """The files of all processes' logs."""
    return [f"{root}/log/{name}" for name in os.listdir(f"{root}/log") if name != "mark"]


def _is_dead(path: str) -> bool:
    """Whether the process of a log has died."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        return try_lock(fd)
    finally:
        os.close(fd)


def can_sync_all() -> bool:
    """Whether a sync of a whole file system tells of writes that failed."""
    system = os.uname()
    release = re.match(r"(\d+)\.(\d+)", system.release)
    return system.sysname == "Linux" and release is not None and tuple(map(int, release.groups())) >= KERNEL


def _sync(fd: int, root: str) -> None:
    try:
        _files.sync_all(fd, root.encode())
    except OSError as error:
        if error.errno != errno.ENOSYS:
            raise
        os.sync()
