"""The collector: frees what has stood in the ledger for long enough, and looks once more whether somebody owns it.

It never searches for orphans: what may be garbage is in the ledger, in `aborted/` or in `trash/`. Every decision is
made with the key's lock held, as every change of an owner is, so a put and the collector can never both win.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Final

from post3.errors import NoSuchBucket
from post3.storage.filesystem.blobs import payload_size
from post3.storage.filesystem.durable import try_lock
from post3.storage.filesystem.layout import KeyPlace, bucket_stripe, data_file, key_place, key_stripe, parts_file
from post3.storage.filesystem.sidecar import load_upload, read_document, read_file
from post3.storage.filesystem.store import Store
from post3.storage.filesystem.uploads import RECORD, part_names, read_part, read_parts, remove_tree
from post3.storage.protocol import Collected

REMEMBERED: Final = timedelta(days=7)
"""How long a completed upload answers the same again."""


class FilesystemGarbage:
    """The collector of the role Blobs."""

    store: Store

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
            for file in _data_files(path):
                size += payload_size(file)
                blobs += 1
            remove_tree(path)
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
            document = read_document(path)
            if document is None:
                continue
            place = key_place(self._folder, document["key"])
            with self._locked(place):
                # It may have been renewed, or removed by whoever owns it now, while the lock was waited for.
                if not _is_older(path, before):
                    continue
                if self._free(place, os.path.basename(path)):
                    self._store.disk.remove(path)
                else:
                    os.utime(path)

    def aborted(self, before: float) -> None:
        """Free the parts of aborted uploads."""
        for folder in _older(f"{self._folder}/aborted", before):
            record = read_file(f"{folder}/{RECORD}")
            if record is not None:
                place = key_place(self._folder, load_upload(record, self._bucket).key)
                with self._locked(place):
                    owned = self._owned(place)
                    for name in part_names(folder):
                        part = read_part(f"{folder}/{name}")
                        if part is not None and part.blob.id not in owned:
                            self._remove(part.blob.id)
            remove_tree(folder)

    def completed(self, before: float) -> None:
        """Forget uploads that were completed long ago."""
        parent = f"{self._folder}/uploads"
        for name in os.listdir(parent):
            record = f"{parent}/{name}/{RECORD}"
            content = read_file(record)
            if content is None or load_upload(content, self._bucket).version_id is None:
                continue
            if os.stat(record).st_mtime < before:
                remove_tree(f"{parent}/{name}")
                self.uploads += 1

    @contextlib.contextmanager
    def _locked(self, place: KeyPlace) -> Iterator[None]:
        with (
            self._store.locks.held(bucket_stripe(self._bucket), shared=True),
            self._store.locks.held(key_stripe(place.folder, place.stem)),
        ):
            if not os.path.exists(place.folder):
                raise NoSuchBucket(BucketName=self._bucket)
            yield

    def _owned(self, place: KeyPlace) -> set[str]:
        """The ids of all bytes of a key that some version or some upload's part owns, and of its multipart objects."""
        owned: set[str] = set()
        for version in self._store.versions(place, self._bucket):
            owned.add(version.content)
            if version.body is not None:
                owned.add(version.body.blob.id)
            elif version.parts:
                owned.update(part.blob.id for part in read_parts(place.folder, version.content))
        for folder in place.uploads():
            parts = (read_part(f"{folder}/{name}") for name in part_names(folder))
            owned.update(part.blob.id for part in parts if part is not None)
        return owned

    def _free(self, place: KeyPlace, content: str) -> bool:
        """Remove bytes by their id, be they a blob or a multipart object's, but for what is owned.

        False when somebody is writing or reading them: then they stay whole.
        """
        owned = self._owned(place)
        if content in owned:
            return True
        unowned = [part.blob.id for part in read_parts(place.folder, content) if part.blob.id not in owned]
        names = [name for name in (content, *unowned) if os.path.exists(data_file(self._folder, name))]
        with contextlib.ExitStack() as held:
            if not all(held.enter_context(_unused(data_file(self._folder, name))) for name in names):
                return False
            for name in names:
                self._remove(name)
            with contextlib.suppress(FileNotFoundError):
                os.unlink(parts_file(place.folder, content))
        return True

    def _remove(self, content: str) -> None:
        path = data_file(self._folder, content)
        with contextlib.suppress(FileNotFoundError):
            self.size += payload_size(path)
            os.unlink(path)
            self.blobs += 1


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


@contextlib.contextmanager
def _unused(path: str) -> Iterator[bool]:
    """Whether nobody writes or reads a data file, and nobody begins to as long as this is held."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        yield try_lock(fd)
    finally:
        os.close(fd)
