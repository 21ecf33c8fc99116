"""Opening a directory: is it ours, is it whole, who else has it open, and what did a crash leave."""

from __future__ import annotations

import contextlib
import fcntl
import itertools
import os
import socket
import sqlite3
import sys
import time
from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Final

from post3.storage.filesystem.buckets import FOLDERS as BUCKET_FOLDERS
from post3.storage.filesystem.durable import Disk, boot_id, disk_kind, try_lock
from post3.storage.filesystem.garbage import sweep_fresh
from post3.storage.filesystem.journal import settle_pending
from post3.storage.filesystem.layout import FORMAT, key_place, key_stem, leaf_of
from post3.storage.filesystem.log import FAILED, has_failed
from post3.storage.filesystem.recovery import Record, forget, recover
from post3.storage.filesystem.sidecar import dump, read_document
from post3.storage.filesystem.store import Store, logger

FOLDERS: Final = ("lock", "buckets", "trash", "new", "records", "journal", "log")
HEARTBEAT: Final = timedelta(seconds=10)
"""How often an owner shows that it lives."""
MARGIN: Final = 120.0
"""Seconds before the last checkpoint from which changes are looked at again after a power cut."""
NETWORK_DISKS: Final = frozenset({"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "ceph", "glusterfs", "afs", "lustre"})
NETWORK_FUSE: Final = ("fuse.sshfs", "fuse.s3fs", "fuse.rclone", "fuse.glusterfs", "fuse.ceph", "fuse.goofys")
PROGRESS_SECONDS: Final = 5.0
UNKNOWN: Final = "unknown"
"""The start of the machine, where the owner's file cannot be read."""
KEYS: Final = 500
"""Those that the index is told of at a time."""


class Opening:
    """One process's hold on a store, from open to close."""

    def __init__(self, store: Store, *, allow_network_disk: bool) -> None:
        self._store = store
        self._allow_network_disk = allow_network_disk
        self._users = -1
        self._fresh = -1

    @property
    def _owner(self) -> str:
        return f"{self._store.root}/lock/owner"

    def open(self) -> None:
        """Open the store. Raises OSError or ValueError with a sentence."""
        root = self._store.root
        if not self._allow_network_disk:
            refuse_network_disk(root)
        prepare(self._store.disk, root)
        with self._store.locks.held("opening"):
            try:
                self._fresh = hold_fresh(self._store.disk)
                if not os.path.exists(f"{root}/format"):
                    self._store.disk.replace(f"{root}/format", f"{FORMAT}\n".encode())
                self._users = os.open(f"{root}/lock/users", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
                if try_lock(self._users):
                    self._open_alone()
                else:
                    self._join()
                fcntl.flock(self._users, fcntl.LOCK_SH)
                self._store.log.open()
            except BaseException:
                self._store.index.close()
                self._let_go()
                raise

    def _join(self) -> None:
        """Open the index that others have open. Where one of them has its changes last, so have all that come later."""
        if has_failed(self._store.root):
            raise ValueError(f"The data directory {self._store.root} cannot be used: {FAILED}")
        if read_owner(self._owner).get("durable"):
            self._store.disk.durable = True
        elif self._store.disk.durable:
            self._write_owner(clean=False)
        try:
            self._store.index.open()
        except sqlite3.DatabaseError as error:
            raise ValueError(
                f"The index of the data directory {self._store.root} cannot be used ({error}); stop all post3 "
                f"processes that use it, and the next start will make it again."
            ) from error

    def _open_alone(self) -> None:
        store, owner = self._store, read_owner(self._owner)
        boot = boot_id()
        self._refuse_other_machine(owner, boot)
        lost_power = bool(owner) and not owner.get("clean") and (owner.get("boot") != boot or not boot)
        lost_power |= has_failed(store.root)
        known = owner.get("boot")
        records = recover(store.root, store.disk, known if isinstance(known, str) and known != UNKNOWN else None)
        try:
            self._bring_up(lost_power=lost_power)
        except sqlite3.DatabaseError:
            # Damage deep inside: the index has said so, and is made again.
            store.index.close()
            doubt(store)
            self._bring_up(lost_power=lost_power)
        tell_index(store, records)
        forget(store.root, store.disk)
        settle_pending(store)
        sweep_fresh(store.root)
        self._write_owner(clean=False)

    def _bring_up(self, *, lost_power: bool) -> None:
        """Open the index, and have it show what the sidecars say."""
        store = self._store
        since: float | None = None
        if self._open_index():
            since = 0.0
        elif lost_power:
            # Power was lost: what SQLite had not brought to the disk is read from the sidecars again.
            since = max(0.0, read_mark(f"{store.root}/lock/mark") - MARGIN)
        if since is not None:
            # A repair that is cut short begins anew, and wholly: the mark may have moved on.
            doubt(store)
            repair(store, since)
            store.index.filled()
            with contextlib.suppress(FileNotFoundError):
                os.unlink(doubtful(store))
        make_folders(store)
        settle_everything(store)

    def _open_index(self) -> bool:
        """Open the index; tells whether it is empty. A damaged one is thrown away."""
        index, path = self._store.index, f"{self._store.root}/index.sqlite"
        try:
            if not os.path.exists(doubtful(self._store)):
                return index.open()
        except sqlite3.DatabaseError as error:
            logger.warning("the index is made again from the sidecars: %s", error)
        for name in (path, f"{path}-wal", f"{path}-shm"):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(name)
        return index.open()

    def _refuse_other_machine(self, owner: dict[str, object], boot: str) -> None:
        if not owner or owner.get("clean") or owner.get("boot") == boot:
            return
        age = time.time() - os.stat(self._owner).st_mtime
        named = "host" in owner and owner["host"] != socket.gethostname()
        if 0 <= age < 6 * HEARTBEAT.total_seconds() and named:
            raise ValueError(
                f"The data directory {self._store.root} is in use by another machine, {owner.get('host')}; stop post3 "
                f"there first, or let several machines share a PostgreSQL database instead."
            )

    def _write_owner(self, *, clean: bool) -> None:
        document = {
            "host": socket.gethostname(),
            "boot": boot_id(),
            "clean": clean,
            "durable": self._store.disk.durable,
        }
        self._store.disk.replace(self._owner, dump(document))

    def beat(self) -> None:
        """Show that the owner lives."""
        with contextlib.suppress(OSError):
            os.utime(self._owner)

    def close(self) -> None:
        """Let go; the last one notes that everything is on the disk."""
        if self._users < 0:
            return
        with self._store.locks.held("opening"):
            if try_lock(self._users):
                self._write_owner(clean=True)
            self._let_go()

    def _let_go(self) -> None:
        for fd in (self._users, self._fresh):
            if fd >= 0:
                os.close(fd)
        self._users = self._fresh = -1
        with contextlib.suppress(OSError):
            os.rmdir(self._store.disk.fresh)


def prepare(disk: Disk, root: str) -> None:
    """Make a new store's folders, or make sure that this is a store. Raises OSError, ValueError with a sentence."""
    try:
        if not os.path.lexists(root):
            disk.make_folders(root)
        names = set(os.listdir(root))
        if "format" in names:
            check_format(root)
        elif names - {"lost+found", *FOLDERS}:
            raise ValueError(
                f"The directory {root} is not empty and holds no post3 store; name another one with --data-dir."
            )
        for name in FOLDERS:
            os.makedirs(f"{root}/{name}", 0o700, exist_ok=True)
        if not os.access(f"{root}/lock", os.W_OK):
            raise PermissionError("it is not writable")
    except (FileExistsError, NotADirectoryError) as error:
        raise ValueError(f"{error.filename or root} is a file, and not a directory; name another --data-dir.") from None
    except OSError as error:
        reason = error.strerror or str(error)
        raise OSError(
            f"The data directory {root} cannot be used: {reason}. Check its permissions and its disk."
        ) from None


def check_format(root: str) -> None:
    """Raise ValueError for a store of a format that this post3 does not know."""
    with open(f"{root}/format", encoding="ascii", errors="replace") as file:
        found = file.read(100).strip()
    if found != FORMAT:
        raise ValueError(
            f"The data directory {root} has format {found[:20]!r}, and this post3 knows format {FORMAT!r}; "
            "use the post3 that wrote it."
        )


def hold_fresh(disk: Disk) -> int:
    """Make this process's folder for what is on its way to a rename, and hold it locked."""
    os.mkdir(disk.fresh, 0o700)
    fd = os.open(disk.fresh, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    fcntl.flock(fd, fcntl.LOCK_EX)
    return fd


def refuse_network_disk(root: str) -> None:
    """Raise ValueError when the directory is on a disk of another machine, where locks and syncs may not hold."""
    kind = disk_kind(root)
    if kind in NETWORK_DISKS or kind.startswith(NETWORK_FUSE):
        raise ValueError(
            f"The data directory {root} is on a network disk ({kind}), where locks and syncs may not hold; use a local "
            "disk, or allow it with --allow-network-disk."
        )


def read_owner(path: str) -> dict[str, object]:
    """Who had the store open last; empty when nobody did, and of no known start when nobody can tell."""
    try:
        document: object = read_document(path)
    except ValueError:
        document = ()
    if document is None:
        return {}
    return document if isinstance(document, dict) else {"boot": UNKNOWN}


def read_mark(path: str) -> float:
    """The time of the last checkpoint; 0 without one."""
    try:
        with open(path, encoding="ascii") as file:
            return float(file.read())
    except (OSError, ValueError):
        return 0.0


def buckets(store: Store) -> list[str]:
    """The names of all buckets' folders."""
    return os.listdir(f"{store.root}/buckets")


def make_folders(store: Store) -> None:
    """Make the folders that a copy left out because they were empty."""
    for bucket in buckets(store):
        for name in BUCKET_FOLDERS:
            os.makedirs(f"{store.root}/buckets/{bucket}/{name}", 0o700, exist_ok=True)


def settle_everything(store: Store) -> None:
    """Settle what a process that died left in the index."""
    names = {name.rpartition("~")[2]: name.rpartition("~")[0] for name in buckets(store)}
    for bucket_id, key in store.index.intents():
        if bucket_id in names:
            store.settle_left(names[bucket_id], bucket_id, [key])
    for bucket_id in store.index.buckets() - names.keys():
        store.index.forget(bucket_id)


def repair(store: Store, since: float) -> None:
    """Read the sidecars in folders that changed since then into the index; 0 means all of them, into an empty one."""
    progress = _Progress()
    if not since:
        store.index.clear()
    for name in buckets(store):
        bucket, _, bucket_id = name.rpartition("~")
        folder = f"{store.root}/buckets/{name}"
        leaves = set(changed_leaves(folder, since))
        for leaf in leaves:
            paths = [f"{folder}/versions/{leaf}/{entry}" for entry in os.listdir(f"{folder}/versions/{leaf}")]
            versions = store.readable((path for path in paths if path.endswith(".json")), bucket)
            store.index.fill(bucket_id, versions)
            progress.add(len(versions))
        if since:
            # And what is known of those folders but no longer there.
            for key in store.index.keys(bucket_id):
                if leaf_of(key_stem(key)) in leaves:
                    store.index.refresh(bucket_id, key, store.readable_versions(key_place(folder, key), bucket))


def tell_index(store: Store, records: Sequence[Record]) -> None:
    """Have the index say what the sidecars do that a log told of."""
    keys = {(record.folder, record.key) for record in records}
    for folder, of_folder in itertools.groupby(sorted(keys), key=lambda one: one[0]):
        bucket, _, bucket_id = folder.rpartition("~")
        places = (key_place(f"{store.root}/buckets/{folder}", key) for _, key in of_folder)
        while some := list(itertools.islice(places, KEYS)):
            store.index.refresh_many(bucket_id, {place.key: store.readable_versions(place, bucket) for place in some})


def changed_leaves(folder: str, since: float) -> Iterator[str]:
    """The folders of sidecars, as `ab/cd`, that changed since then."""
    for first in _folders(f"{folder}/versions"):
        for second in _folders(first.path):
            if second.stat().st_mtime >= since:
                yield f"{first.name}/{second.name}"


def _folders(path: str) -> list[os.DirEntry[str]]:
    with os.scandir(path) as entries:
        return [entry for entry in entries if entry.is_dir(follow_symlinks=False)]


def doubtful(store: Store) -> str:
    """The file that says that the index is to be made again."""
    return f"{store.root}/lock/mark.doubtful"


def doubt(store: Store) -> None:
    """Have the index made again at the next start."""
    with open(doubtful(store), "w", encoding="ascii"):
        pass


class _Progress:
    """Tells on stderr how far the repair is, when it takes long."""

    def __init__(self) -> None:
        self._count = 0
        self._told = time.monotonic()

    def add(self, count: int) -> None:
        """Count versions that were read."""
        self._count += count
        if time.monotonic() - self._told > PROGRESS_SECONDS:
            print(f"reading the sidecars: {self._count} versions so far", file=sys.stderr, flush=True)
            self._told = time.monotonic()
