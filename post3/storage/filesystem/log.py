"""The log: changes of versions' sidecars, brought to the disk together before the sidecars change.

Each process appends to a file of its own. A record is a sidecar's path and its new bytes, or that it is removed; one
sync serves all changes at hand. The sidecar itself is renamed into place, or removed, unsynced: should the power be
lost, the next start makes the change again (recovery.py).

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
import fcntl
import logging
import os
import re
import secrets
import struct
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from typing import Final

from post3._chunker import crc64nvme
from post3.errors import OperationAborted, ServiceUnavailable
from post3.storage.filesystem import _files
from post3.storage.filesystem.durable import Disk, Locks, boot_id, disk_kind, try_lock
from post3.storage.filesystem.sidecar import read_file

logger = logging.getLogger("post3")
MAGIC: Final = b"post3log"
VERSION: Final = 1
HEADER: Final = struct.Struct(">8sQ16s36s")
"""Magic, version, 16 random bytes that tell this use of the file from the last one, the boot's id."""
RECORD: Final = struct.Struct(">QQBII")
"""CRC64NVME of the header's random bytes and of all that follows; nanoseconds; whether the sidecar is removed; bytes of
the path, and of the sidecar. Both come behind it.
"""
CRC: Final = struct.Struct(">Q")
TOLD: Final = struct.Struct(">QBII")
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
DISKS: Final = frozenset({"ext2", "ext3", "ext4", "xfs", "btrfs", "f2fs", "zfs", "bcachefs", "tmpfs"})
"""File systems of which a sync as a whole is known to be one of all their files; layers over others may not be."""
FAILED: Final = "The disk failed. Check it, stop all post3 processes that use it, and start post3 again."
NOT_LOGS: Final = frozenset({"mark", "failed"})


@dataclass(frozen=True, slots=True)
class Change:
    """What becomes of a sidecar."""

    path: str
    content: bytes
    """The sidecar; or, where it is removed, the one that is."""
    is_removal: bool = False


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
        self._syncing = threading.Lock()
        self._checkpointing = threading.Lock()
        self._opened = ExitStack()
        """What is open; closed with it."""
        self._is_asked = False
        self._is_void = False
        """Whether it may hold something that was not made, and that a checkpoint is to void."""
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
        if not self._disk.durable or not boot or not can_sync_all(self._root):
            return
        with ExitStack() as opened, self._locks.held("checkpoint"):
            # With that lock: else who makes a checkpoint could take the files for a dead process's.
            name = f"{self._folder}/{secrets.token_hex(8)}"
            first = opened.enter_context(closing(Segment(f"{name}-0", boot)))
            second = opened.enter_context(closing(Segment(f"{name}-1", boot)))
            # Open from now on: a sync of the whole disk tells of what failed since.
            self._store = os.open(self._root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            opened.callback(os.close, self._store)
            self._disk.sync_folder(self._folder)
            self._segments = first, second
            self._opened = opened.pop_all()

    def close(self) -> None:
        """Bring everything to the disk, and leave no log behind; when that fails, the next start reads it."""
        if self._segments is None:
            return
        with self._opened:
            try:
                if self._is_void or not all(segment.is_empty for segment in self._segments) or self._dead():
                    self.checkpoint()
                for segment in self._segments:
                    os.unlink(segment.path)
            except Exception as error:
                logger.error("the log is left for the next start: %s", error)
            self._segments = None

    def tend(self) -> None:
        """Make a checkpoint if one is due, or a process has died; called every few seconds. Raises OSError."""
        if self._segments is not None and not self._failure:
            age = max(segment.age for segment in self._segments)
            if age > SECONDS or self._is_void or self._dead():
                self._relieve()

    def _dead(self) -> list[str]:
        return [path for path in log_files(self._root) if _is_dead(path)]

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

    def remove(self, path: str, content: bytes, before: Callable[[], None]) -> None:
        """Remove a sidecar with this content; on return that lasts. `before` is called first. Raises like `replace`."""
        if self._segments is None:
            self._disk.remove(path, before=before)
            return
        before()
        with self.changing([Change(path, content, is_removal=True)]), contextlib.suppress(FileNotFoundError):
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
                self.void(changes)
                raise

    def void(self, changes: Sequence[Change]) -> None:
        """Log that changes were not made after all; to be called within `changing`.

        Else a crash would make what was answered with an error, and was perhaps followed by something else.
        """
        if self._segments is None:
            return
        try:
            self._append([_what_stands(change) for change in changes])
        except Exception:
            self._is_void = True

    def _append(self, changes: Sequence[Change]) -> None:
        if self._segments is None:
            raise ServiceUnavailable("The store is closed.")
        start = len(f"{self._root}/buckets/")
        with self._appending:
            segment = self._segments[0]
            written = segment.append(changes, start, time.monotonic_ns())
        self._sync(segment, written)

    def _sync(self, segment: Segment, written: int) -> None:
        """Bring the log to the disk up to there, with what others have written meanwhile.

        One thread at a time: the system tells of a failure once, and all whose bytes were lost must hear of it.
        """
        with self._syncing:
            if self._failure:
                raise ServiceUnavailable(self._failure)
            if segment.synced >= written:
                return
            size = segment.size
            try:
                os.fdatasync(segment.fd)
            except OSError as error:
                raise self._fail(error) from error
            segment.synced = size

    def _fail(self, error: OSError) -> ServiceUnavailable:
        logger.critical("the disk failed; nothing is changed any more until the next start: %s", error)
        self._failure = f"The disk failed ({error.strerror}). Check it, and start post3 again."
        with contextlib.suppress(OSError), open(_failed(self._root), "w", encoding="ascii"):
            pass  # for the other processes: theirs may be told of nothing
        return ServiceUnavailable(self._failure)

    # Checkpoints

    def _make_room(self) -> None:
        """Have a checkpoint made before, or beside, the next change when one is due."""
        if self._failure:
            raise ServiceUnavailable(self._failure)
        size = 0 if self._segments is None else self._segments[0].size
        if self._is_void or size > 2 * LIMIT:
            try:
                self.checkpoint(only_if=lambda size: self._is_void or size > 2 * LIMIT)
            except OperationAborted as error:
                raise ServiceUnavailable("Another process keeps the log from being brought to the disk.") from error
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
            self._refuse_failed()
            dead = self._dead()
            with self._locks.held_soon("log", BARRIER_SECONDS):
                until = time.monotonic_ns()
                full, spare = self._segments
                self._segments = (spare, full)
                was_void, self._is_void = self._is_void, False
            try:
                self._bring(f"{full.boot} {until}\n".encode())
            except BaseException:
                if was_void:
                    self._is_void = True
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
        self._refuse_failed()
        self._disk.replace(mark_file(self._root), mark)

    def _refuse_failed(self) -> None:
        """A sync that failed, here or in another process, may have lost what a later one knows nothing of."""
        if not self._failure and has_failed(self._root):
            self._failure = FAILED
        if self._failure:
            raise ServiceUnavailable(self._failure)


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
        self.size = self.synced = 0
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

    def append(self, changes: Sequence[Change], start: int, moment: int) -> int:
        """Write records, unsynced, of paths from this character on; returns the bytes written so far.

        Raises OSError, with nothing appended.
        """
        begun = b"" if self.size else HEADER.pack(MAGIC, VERSION, self._random, self.boot.encode("ascii"))
        data = begun + b"".join(_record(self._random, moment, change, start) for change in changes)
        self._grow(self.size + len(data))
        try:
            _write_at(self.fd, data, self.size)
        except BaseException:
            # Some records may be whole; without the first one's head nobody reads on.
            _write_at(self.fd, bytes(HEADER.size + RECORD.size), self.size)
            raise
        if not self.size:
            self._since = time.monotonic()
        self.size += len(data)
        return self.size

    def _grow(self, needed: int) -> None:
        while self._length < needed:
            try:
                _write_at(self.fd, bytes(GROWTH), self._length)
            except OSError:
                # What is needed may have room where there is none for more.
                _write_at(self.fd, bytes(needed - self._length), self._length)
                self._length = needed
            else:
                self._length += GROWTH


def _record(random: bytes, moment: int, change: Change, start: int) -> bytes:
    path, content = change.path[start:].encode(), change.content
    if change.is_removal:
        content, _, _ = content.partition(b"\n")  # the body is needed no more
    told = TOLD.pack(moment, change.is_removal, len(path), len(content)) + path + content
    return CRC.pack(crc64nvme(random + told)) + told


def _what_stands(change: Change) -> Change:
    """What makes a log of a change void: the sidecar as it is."""
    content = read_file(change.path)
    if content is None:
        return Change(change.path, change.content, is_removal=True)
    return Change(change.path, content)


def _write_at(fd: int, data: bytes, place: int) -> None:
    view = memoryview(data)
    while view:
        written = os.pwrite(fd, view, place)
        view, place = view[written:], place + written


def has_failed(root: str) -> bool:
    """Whether a sync failed since the store was last opened by nobody else."""
    return os.path.exists(_failed(root))


def _failed(root: str) -> str:
    return f"{root}/log/failed"


def log_files(root: str) -> list[str]:
    """The files of all processes' logs."""
    return [f"{root}/log/{name}" for name in os.listdir(f"{root}/log") if name not in NOT_LOGS]


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


def can_sync_all(root: str) -> bool:
    """Whether a sync of the whole file system brings all to the disk, and tells of writes that failed."""
    system = os.uname()
    release = re.match(r"(\d+)\.(\d+)", system.release)
    if system.sysname != "Linux" or release is None or tuple(map(int, release.groups())) < KERNEL:
        return False
    return disk_kind(root) in DISKS


def mark_file(root: str) -> str:
    """The file that tells up to when no log is needed."""
    return f"{root}/log/mark"
