"""The collector: frees what has stood in the ledger for long enough, and looks once more whether somebody owns it.

It never searches for orphans: what may be garbage is in the ledger, in `aborted/` or in `trash/`. Every decision is
made with the key's lock held, as every change of an owner is, so a put and the collector can never both win.
"""

from __future__ import annotations

import contextlib
import math
import os
import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Final

from post3.errors import InternalError, NoSuchBucket
from post3.model.bucket import Bucket
from post3.model.object import Blob
from post3.storage.filesystem.blobs import payload_size
from post3.storage.filesystem.durable import try_lock
from post3.storage.filesystem.journal import settle_pending
from post3.storage.filesystem.layout import (
    KeyPlace,
    bucket_stripe,
    data_file,
    key_place,
    key_stripe,
    ledger_file,
    parts_file,
)
from post3.storage.filesystem.parts import (
    RECORD,
    complete_left,
    known_upload,
    part_names,
    parts_of_version,
    read_part,
    read_parts,
    remove_tree,
)
from post3.storage.filesystem.sidecar import load_upload, read_document, read_file
from post3.storage.filesystem.store import Store, logger
from post3.storage.protocol import Collected

REMEMBERED: Final = timedelta(days=7)
"""How long a completed upload answers the same again."""


class FilesystemGarbage:
    """What the role Blobs frees."""

    store: Store

    async def discard_blob(self, bucket: Bucket, blob: Blob) -> None:
        """See Blobs."""
        if blob.inline is None:
            await self.store.run(self._discard, self.store.folder(bucket), bucket.name, blob.id)

    def _discard(self, folder: str, bucket: str, content: str) -> None:
        # Whoever gives the bytes an owner removes the entry; without one they are owned, or gone.
        with contextlib.suppress(NoSuchBucket):
            _Sweep(self.store, folder, bucket).entry(ledger_file(folder, content), before=math.inf)

    async def collect_garbage(self, older_than: timedelta) -> Collected:
        """See Blobs."""
        return await self.store.run(self._collect, older_than)

    def _collect(self, older_than: timedelta) -> Collected:
        before = time.time() - older_than.total_seconds()
        remembered = time.time() - REMEMBERED.total_seconds()
        blobs = size = uploads = 0
        for name in os.listdir(f"{self.store.root}/buckets"):
            sweep = _Sweep(self.store, f"{self.store.root}/buckets/{name}", name.partition("~")[0])
            with contextlib.suppress(NoSuchBucket, FileNotFoundError):
                sweep.ledger(before)
                sweep.aborted(before)
                sweep.completed(remembered)
            blobs, size, uploads = blobs + sweep.blobs, size + sweep.size, uploads + sweep.uploads
        for path in _older(f"{self.store.root}/trash", before):
            if _is_read(path):
                continue
            for file in _data_files(path):
                # Another process may empty the trash too.
                with contextlib.suppress(FileNotFoundError):
                    size += payload_size(file)
                    blobs += 1
            remove_tree(path)
        settle_pending(self.store, before)
        with self.store.locks.tried("opening") as free:
            if free:
                sweep_fresh(self.store.root)
        return Collected(blobs, size, uploads)


class _Sweep:
    """The collection of one bucket, and what it freed."""

    def __init__(self, store: Store, folder: str, bucket: str) -> None:
        self._store = store
        self._folder = folder
        self._bucket = bucket
        self.blobs = 0
        self.size = 0
        self.uploads = 0

    def ledger(self, before: float) -> None:
        """Free the ledger's entries that have not been renewed since."""
        for path in _older(f"{self._folder}/ledger", before):
            with contextlib.suppress(FileNotFoundError):
                self.entry(path, before)

    def entry(self, path: str, before: float) -> None:
        """Free what an entry of the ledger names, but for what is owned; who writes or reads it renews the entry."""
        document = read_document(path)
        if document is None:
            return
        place, content = key_place(self._folder, document["key"]), os.path.basename(path)
        with self._locked(place.stem):
            # It may have been renewed, or removed by whoever owns it now, while the lock was waited for.
            if not _is_older(path, before):
                return
            try:
                files = self._unowned(place, content)
            except InternalError as error:
                # A damaged sidecar may name these bytes.
                logger.error("bytes that may be garbage are left alone: %s", error)
                return
            if not all(_idle(file) for file in files):
                os.utime(path)
            elif _is_older(path, before):  # else: it was being written, until this moment
                for file in files:
                    self._remove(file)
                self._store.disk.remove(path)

    def aborted(self, before: float) -> None:
        """Free the parts of aborted uploads."""
        for folder in _older(f"{self._folder}/aborted", before):
            record = read_file(f"{folder}/{RECORD}")
            if record is not None:
                place = key_place(self._folder, load_upload(record, self._bucket).key)
                with self._locked(place.stem):
                    owned = self._owned(place)
                    for name in part_names(folder):
                        part = read_part(f"{folder}/{name}")
                        if part is not None and part.blob.id not in owned:
                            with contextlib.suppress(FileNotFoundError):
                                self._remove(data_file(self._folder, part.blob.id))
            remove_tree(folder)

    def completed(self, before: float) -> None:
        """Forget uploads that were completed long ago."""
        parent = f"{self._folder}/uploads"
        for name in os.listdir(parent):
            record = f"{parent}/{name}/{RECORD}"
            content = read_file(record)
            if content is None:
                # A crash came between folder and record; or its maker, who holds the lock, is there now.
                with self._locked(name.rpartition("~")[0]), contextlib.suppress(OSError):
                    os.rmdir(f"{parent}/{name}")
                continue
            if load_upload(content, self._bucket).version_id is None:
                continue
            if os.stat(record).st_mtime < before:
                # In one step: half of it would be taken for an open one.
                gone = self._store.disk.fresh_name()
                os.rename(f"{parent}/{name}", gone)
                remove_tree(gone)
                self.uploads += 1

    @contextlib.contextmanager
    def _locked(self, stem: str) -> Iterator[None]:
        with (
            self._store.locks.shared(bucket_stripe(self._bucket)),
            self._store.locks.held(key_stripe(self._folder, stem)),
        ):
            if not os.path.exists(self._folder):
                raise NoSuchBucket(BucketName=self._bucket)
            yield

    def _owned(self, place: KeyPlace) -> set[str]:
        """The ids of all bytes of a key that some version or some open upload's part owns, and of multipart objects."""
        owned: set[str] = set()
        for version in self._store.versions(place, self._bucket):
            owned.add(version.content)
            if version.body is not None:
                owned.add(version.body.blob.id)
            elif version.parts:
                complete_left(self._store, place, version)
                owned.update(part.blob.id for part in parts_of_version(place.folder, version))
        for folder in place.uploads():
            record = read_file(f"{folder}/{RECORD}")
            if record is not None and known_upload(self._store, place, record, self._bucket).version_id is None:
                parts = (read_part(f"{folder}/{name}") for name in part_names(folder))
                owned.update(part.blob.id for part in parts if part is not None)
        return owned

    def _unowned(self, place: KeyPlace, content: str) -> list[str]:
        """The files of the bytes of this id, be they a blob or a multipart object's, but for those that are owned."""
        owned = self._owned(place)
        if content in owned:
            return []
        parts = [part.blob.id for part in read_parts(place.folder, content)]
        files = [data_file(self._folder, name) for name in (content, *parts) if name not in owned]
        return [file for file in (*files, parts_file(place.folder, content)) if os.path.exists(file)]

    def _remove(self, path: str) -> None:
        if not path.endswith(".parts"):
            self.size += payload_size(path)
            self.blobs += 1
        self._store.disk.remove(path)


def count_garbage(root: str) -> int:
    """How many entries wait: of ledgers, aborted uploads and deleted buckets."""
    waiting = len(os.listdir(f"{root}/trash"))
    for name in os.listdir(f"{root}/buckets"):
        for kind in ("ledger", "aborted"):
            with contextlib.suppress(FileNotFoundError):  # the bucket was deleted meanwhile
                waiting += len(os.listdir(f"{root}/buckets/{name}/{kind}"))
    return waiting


def sweep_fresh(root: str) -> None:
    """Remove what dead processes had on its way to a rename; nobody opens the store meanwhile."""
    for name in os.listdir(f"{root}/new"):
        path = f"{root}/new/{name}"
        with contextlib.suppress(FileNotFoundError):
            if not os.path.isdir(path):
                os.unlink(path)
            elif _idle(path):
                remove_tree(path)


def _older(folder: str, before: float) -> list[str]:
    """The entries of a folder that have not changed since."""
    return [path for name in os.listdir(folder) if _is_older(path := f"{folder}/{name}", before)]


def _is_older(path: str, before: float) -> bool:
    try:
        return os.lstat(path).st_mtime <= before
    except FileNotFoundError:
        return False


def _data_files(bucket: str) -> Iterator[str]:
    """All the data files of a deleted bucket: those of its uploads."""
    for parent, _, names in os.walk(f"{bucket}/data"):
        yield from (f"{parent}/{name}" for name in names if not name.endswith(".parts"))


def _is_read(bucket: str) -> bool:
    """Whether somebody reads a multipart object that was in a deleted bucket, and goes on to its next part."""
    for parent, _, names in os.walk(f"{bucket}/data"):
        for name in names:
            with contextlib.suppress(FileNotFoundError):  # another process may empty the trash too
                if name.endswith(".parts") and not _idle(f"{parent}/{name}"):
                    return True
    return False


def _idle(path: str) -> bool:
    """Whether nobody holds a file open that is written or read, or a process's own folder."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return try_lock(fd)
    finally:
        os.close(fd)
