"""Files that are whole and stay: write, sync, rename; folders made and synced; locks between processes."""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from typing import Any

from post3.errors import InternalError, OperationAborted
from post3.storage.filesystem import _files
from post3.storage.filesystem._files import Unsynced


class Disk:
    """Writes that survive the loss of power when `durable`, and the loss of the process in any case.

    All of it blocks, and is called in threads. What is on its way to a rename stands in `fresh`, a folder of this
    process alone, which it holds locked (opening.py): so what a dead process left there can be told from what a slow
    one makes.
    """

    def __init__(self, fresh: str, *, durable: bool) -> None:
        self.fresh = fresh
        self.durable = durable

    def sync(self, fd: int) -> None:
        """Bring an open file, or folder, to the disk."""
        if self.durable:
            os.fsync(fd)

    def sync_folder(self, path: str) -> None:
        """Bring a folder's entries to the disk."""
        if not self.durable:
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

    def fresh_name(self) -> str:
        """A path for something that is to be renamed into place."""
        return f"{self.fresh}/{secrets.token_hex(8)}"

    def replace(
        self, path: str, *chunks: bytes, modified: int | None = None, before: Callable[[], None] | None = None
    ) -> None:
        """Write a file under a fresh name, sync it, and rename it into place: readers see the old one or the new one.

        `modified` is its time of change in nanoseconds, if that matters; `before` is called when all is ready but the
        rename. Raises OSError with nothing changed, what `before` raises, and InternalError when the very last step,
        syncing the folder, failed.
        """
        with self.written(*chunks, modified=modified, durable=self.durable) as name:
            if before is not None:
                before()
            folder = os.path.dirname(path)
            try:
                while not _files.place(name.encode(), path.encode(), folder.encode(), self.durable):
                    self.make_folders(folder)
            except Unsynced as error:
                raise _may_be_undone(path, error) from error

    @contextlib.contextmanager
    def written(self, *chunks: bytes, modified: int | None = None, durable: bool) -> Iterator[str]:
        """Write a file under a fresh name, synced if `durable`; it is removed again when what it is for fails."""
        name = self.fresh_name()
        try:
            _files.write(name.encode(), b"".join(chunks), -1 if modified is None else modified, durable)
            yield name
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(name)
            raise

    def place(self, name: str, path: str) -> None:
        """Rename a file into place, unsynced; its folder is made where it lacks. Raises OSError."""
        (why,) = _files.place_many([(name.encode(), path.encode())])
        if why:
            raise OSError(why, os.strerror(why), path)

    def remove(self, path: str, before: Callable[[], None] | None = None) -> bool:
        """Unlink a file durably; False when it was not there. `before` is called first."""
        if before is not None:
            before()
        try:
            return _files.remove(path.encode(), os.path.dirname(path).encode(), self.durable)
        except Unsynced as error:
            raise _may_be_undone(path, error) from error

    def move(self, path: str, target: str) -> None:
        """Rename a folder into another place, durably in both."""
        os.rename(path, target)
        self.sync_folder(os.path.dirname(target))
        self.sync_folder(os.path.dirname(path))


def _may_be_undone(path: str, error: OSError) -> InternalError:
    return InternalError(f"{path} was changed, but a loss of power may undo that: {error}")


def write_all(fd: int, *chunks: bytes | memoryview) -> None:
    """Write every byte: write(2) may take fewer than it is given."""
    for chunk in chunks:
        view = memoryview(chunk)
        while view:
            view = view[os.write(fd, view) :]


class Held:
    """The locks of one change: its bucket's, shared, and its key's, alone; given back once."""

    __slots__ = ("_files", "_until", "changed")

    def __init__(self, shared: int, held: int, changed: int) -> None:
        self._files = (shared, held)
        self._until: Future[Any] | None = None
        self.changed = changed
        """When the bucket's record was changed, in nanoseconds; -1 where there is none, and then no key is held."""

    def keep_until(self, work: Future[Any]) -> None:
        """Let them stay taken, also when the change leaves them, until this work is done, whoever does it."""
        self._until = work

    def leave(self) -> None:
        """Give them back, once the change is over."""
        if self._until is None:
            _files.leave(*self._files)
        else:
            self._until.add_done_callback(lambda _: _files.leave(*self._files))


class Locks:
    """Locks between processes and threads: flock on files that are never deleted, freed by the kernel with their
    holder.

    Each holder opens the file for itself, so two threads of one process exclude each other too. A lock is taken and
    given back within one thread's work, so its holder never waits for a thread, and waiting for it in a thread cannot
    deadlock. Who takes several takes the bucket's before the key's.

    A lock that many share may never be free for somebody who wants it alone. So who shares one goes through its gate,
    and who wants it alone closes the gate first: then those inside leave, and nobody comes.
    """

    def __init__(self, folder: str) -> None:
        self._folder = folder

    @contextlib.contextmanager
    def held(self, name: str) -> Iterator[None]:
        """Hold a lock alone."""
        fd = self._open(name)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            yield
        finally:
            os.close(fd)

    @contextlib.contextmanager
    def shared(self, name: str) -> Iterator[None]:
        """Hold a lock with others that share it."""
        lock = f"{self._folder}/{name}"
        fd = _files.share(f"{lock}-gate".encode(), lock.encode())
        try:
            yield
        finally:
            os.close(fd)

    def enter(self, shared: str, record: str, held: str) -> Held:
        """Share one lock, look when a file was changed, and hold another lock alone; all in one go."""
        lock, key = f"{self._folder}/{shared}", f"{self._folder}/{held}"
        return Held(*_files.enter(f"{lock}-gate".encode(), lock.encode(), record.encode(), key.encode()))

    @contextlib.contextmanager
    def held_soon(self, name: str, seconds: float) -> Iterator[None]:
        """Hold alone a lock that others share. Raises OperationAborted when one of them does not let go in time."""
        until = time.monotonic() + seconds
        with contextlib.ExitStack() as files:
            for each in (f"{name}-gate", name):
                fd = self._open(each)
                files.callback(os.close, fd)
                while not try_lock(fd):
                    if time.monotonic() > until:
                        raise OperationAborted
                    time.sleep(0.001)
            yield

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


def boot_id() -> str:
    """Changes with every start of the machine; empty where the system does not tell."""
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            return file.read().strip()
    except OSError:
        return ""


def disk_kind(path: str) -> str:
    """The type of the file system that holds a path, which need not be there yet; empty where nothing tells."""
    path = os.path.realpath(path)
    best, kind = "", ""
    try:
        with open("/proc/self/mountinfo", encoding="utf-8", errors="replace") as file:
            for line in file:
                mount, _, rest = line.partition(" - ")
                point = mount.split()[4].replace("\\040", " ")
                inside = path == point or path.startswith(point.rstrip("/") + "/")
                if inside and len(point) >= len(best):
                    best, kind = point, rest.split()[0]
    except (OSError, IndexError):
        return ""
    return kind
