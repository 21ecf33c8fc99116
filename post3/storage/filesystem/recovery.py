"""After a crash: what logs tell of is made again, and the logs are forgotten."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass

from post3._chunker import crc64nvme
from post3.storage.filesystem import _files
from post3.storage.filesystem.durable import Disk, boot_id
from post3.storage.filesystem.log import CRC, HEADER, MAGIC, RECORD, VERSION, has_failed, log_files, mark_file
from post3.storage.filesystem.sidecar import load, read_file
from post3.storage.filesystem.store import logger


@dataclass(frozen=True, slots=True)
class Record:
    """A change that a log tells of."""

    boot: str
    moment: int
    path: str
    """Below `buckets`."""
    content: bytes
    is_removal: bool

    @property
    def folder(self) -> str:
        """Its bucket's, below `buckets`."""
        return self.path.partition("/")[0]

    @property
    def key(self) -> str:
        """Whose sidecar it is."""
        return str(load(self.content)[0]["key"])


def recover(root: str, disk: Disk, last_boot: str | None) -> list[Record]:
    """Make again what logs tell of; nobody else has the store open.

    `last_boot` tells the start of the machine in which the store was last open, if that is known: logs of others
    are not its own. Returns what is to be told to the index before the logs are forgotten. Raises OSError, and
    ValueError for a log that is none of this post3's.
    """
    known = _mark(mark_file(root))
    latest: dict[str, Record] = {}
    for path in log_files(root):
        for record in read_log(path, known):
            if record.boot != (last_boot or record.boot):
                logger.warning("the log %s is left unread: it is older than the store, or from another one", path)
                break
            if record.path not in latest or latest[record.path].moment <= record.moment:
                latest[record.path] = record
    boot, is_damaged = boot_id(), has_failed(root)
    records = [record for record in latest.values() if os.path.isdir(f"{root}/buckets/{record.folder}")]
    for record in records:
        _make_again(root, disk, record, is_trusted=record.boot == boot and not is_damaged)
    if records:
        logger.warning("the log of %d changes was read again", len(records))
    return records


def forget(root: str, disk: Disk) -> None:
    """Bring to the disk what was made again, and forget all logs at once: one could undo what another one tells."""
    if not log_files(root) and not has_failed(root):
        return
    fd = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        _sync_all(fd, root)
        away = disk.fresh_name()
        os.rename(f"{root}/log", away)
        os.mkdir(f"{root}/log", 0o700)
        _sync_all(fd, root)
    finally:
        os.close(fd)
    shutil.rmtree(away, ignore_errors=True)


def read_log(path: str, known: tuple[str, int]) -> Iterator[Record]:
    """The records of a log, up to where its process came.

    What is known to be on the disk, by a boot and a time, is left out. Raises ValueError for a log of another version.
    """
    with open(path, "rb") as file:
        left = os.fstat(file.fileno()).st_size - HEADER.size
        header = file.read(HEADER.size)
        if left < 0 or not header.startswith(MAGIC):
            return  # nothing was logged
        _, version, random, boot_name = HEADER.unpack(header)
        if version != VERSION:
            raise ValueError(f"The log {path} is of version {version}; use the post3 that wrote it.")
        boot = boot_name.rstrip(b"\0").decode("ascii", "replace")
        while len(head := file.read(RECORD.size)) == RECORD.size:
            crc, moment, is_removal, length, size = RECORD.unpack(head)
            left -= RECORD.size + length + size
            # Behind the end stands anything, lengths that nobody could hold in memory among it.
            if left < 0 or crc64nvme(random + head[CRC.size :] + (rest := file.read(length + size))) != crc:
                return
            if known[0] != boot or moment > known[1]:
                yield Record(boot, moment, os.fsdecode(rest[:length]), rest[length:], bool(is_removal))


def _make_again(root: str, disk: Disk, record: Record, *, is_trusted: bool) -> None:
    """`is_trusted` where nothing of what stands can have been lost: then what is newer, and was not logged, stays."""
    _, kind, *_ = parts = record.path.split("/")
    if kind != "versions" or ".." in parts:
        raise ValueError(f"The log tells of a file that is no sidecar: {record.path!r}.")
    path = f"{root}/buckets/{record.path}"
    if is_trusted and _is_newer(read_file(path), record.content):
        return
    if record.is_removal:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
        return
    with disk.written(record.content, durable=False) as fresh:
        disk.place(fresh, path)


def _is_newer(present: bytes | None, content: bytes) -> bool:
    """Whether a sidecar stands for a later change than another one."""
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
    except ValueError:
        raise ValueError(
            f"{path} is damaged, and the logs beside it cannot be read; restore it from a backup."
        ) from None


def _sync_all(fd: int, root: str) -> None:
    try:
        _files.sync_all(fd, root.encode())
    except OSError as error:
        if error.errno != errno.ENOSYS:
            raise
        os.sync()
