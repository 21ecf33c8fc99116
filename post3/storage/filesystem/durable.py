"""Files that are whole and stay: write, sync, rename; folders made and synced; locks between processes."""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import time
from collections.abc import Iterator

from post3.errors import OperationAborted


class Disk:
    """Writes that survive the loss of power when `durable`, and the loss of the process in any case.

    All of it blocks, and is called in threads.
    """

    def __init__(self, *, durable: bool) -> None:
        self._durable = durable

    def sync(self, fd: int) -> None:
        """Bring an open file, or folder, to the disk."""
        if self._durable:
            os.fsync(fd)

    def sync_folder(self, path: str) -> None:
        """Bring a folder's entries to the disk."""
        if not self._durable:
            return
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)

    def make_folders(self, path: str) -> None:
        """Make a folder and those above it, each one durable in its parent. What is there is left alone."""
        try:
            os.mkdir(path, 0o700)
        except FileNotFoundError:
            self.make_folders(os.path.dirname(path))
            with contextlib.suppress(FileExistsError):
                os.mkdir(path, 0o700)
        except FileExistsError:
            # Somebody else may have made it this instant, and not synced it yet.
            pass
        self.sync_folder(os.path.dirname(path))

    def create(self, path: str) -> int:
        """Open a new file for writing, its folders made where they lack. The caller syncs file and folder."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
        try:
            return os.open(path, flags, 0o600)
        except FileNotFoundError:
            self.make_folders(os.path.dirname(path))
            return os.open(path, flags, 0o600)

    def replace(self, temporary: str, path: str, *chunks: bytes) -> None:
        """Write a file under a temporary name, sync it, and rename it into place: readers see the old one or the new
        one.

        `temporary` is a folder on the same disk. Raises OSError with nothing changed, unless the very last step,
        syncing the folder, failed.
        """
        name = f"{temporary}/{secrets.token_hex(8)}"
        try:
            fd = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            try:
                write_all(fd, *chunks)
                self.sync(fd)
            finally:
                os.close(fd)
            try:
                os.rename(name, path)
            except FileNotFoundError:
                self.make_folders(os.path.dirname(path))
                os.rename(name, path)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(name)
            raise
        self.sync_folder(os.path.dirname(path))

    def remove(self, path: str) -> bool:
        """Unlink a file durably; False when it was not there."""
        try:
            os.unlink(path)
        except FileNotFoundError:
            return False
        self.sync_folder(os.path.dirname(path))
        return True

    def move(self, path: str, target: str) -> None:
        """Rename a folder into another place, durably in both."""
        os.rename(path, target)
        self.sync_folder(os.path.dirname(target))
        self.sync_folder(os.path.dirname(path))


def write_all(fd: int, *chunks: bytes | memoryview) -> None:
    """Write every byte: write(2) may take fewer than it is given."""
    for chunk in chunks:
        view = memoryview(chunk)
        while view:
            view = view[os.write(fd, view) :]


class Locks:
    """Locks between processes and threads: flock on files that are never deleted, freed by the kernel with their
    holder.

    Each holder opens the file for itself, so two threads of one process exclude each other too. A lock is taken and
    given back within one thread's work, so its holder never waits for a thread, and waiting for it in a thread cannot
    deadlock. Who takes several takes the bucket's before the key's.
    """

    def __init__(self, folder: str) -> None:
        self._folder = folder

    @contextlib.contextmanager
    def held(self, name: str, *, shared: bool = False) -> Iterator[None]:
        """Hold a lock, alone or with others that share it."""
        fd = self._open(name)
        try:
            fcntl.flock(fd, fcntl.LOCK_SH if shared else fcntl.LOCK_EX)
            yield
        finally:
            os.close(fd)

    @contextlib.contextmanager
    def held_soon(self, name: str, seconds: float) -> Iterator[None]:
        """Hold a lock alone, waiting for so long. Raises OperationAborted: those who share it may never leave a gap."""
        fd = self._open(name)
        try:
            until = time.monotonic() + seconds
            while not try_lock(fd):
                if time.monotonic() > until:
                    raise OperationAborted
                time.sleep(0.002)
            yield
        finally:
            os.close(fd)

    @contextlib.contextmanager
    def tried(self, name: str) -> Iterator[bool]:
        """Hold a lock alone if it is free now; tells whether."""
        fd = self._open(name)
        try:
            yield try_lock(fd)
        finally:
            os.close(fd)

    def _open(self, name: str) -> int:
        return os.open(f"{self._folder}/{name}", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)


def try_lock(fd: int, *, shared: bool = False) -> bool:
    """Take a lock without waiting; tells whether that worked."""
    try:
        fcntl.flock(fd, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
