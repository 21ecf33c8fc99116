"""The journal: files of things to be told, each written before the change that it tells of and named after it.

Until then an entry says which change it waits for: what a crash left is named if that change was made, else dropped.
"""

from __future__ import annotations

import contextlib
import itertools
import math
import os
import secrets
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

from post3.model.bucket import Bucket
from post3.model.object import ObjectVersion
from post3.model.record import Entry
from post3.storage.documents import load_tree, moment
from post3.storage.filesystem.layout import KeyPlace, bucket_stripe, escape, key_place, key_stripe
from post3.storage.filesystem.sidecar import dump, read_document, read_version
from post3.storage.filesystem.store import Store

PENDING = ".pending"
_SERIAL = itertools.count()


class FilesystemJournal:
    """The role Journal. An entry's file is named by the time from which it may be taken, and by its id."""

    store: Store

    @staticmethod
    def now() -> datetime:
        """The store's clock."""
        return moment(time.time_ns() // 1000)

    async def append(self, bucket: Bucket, entries: Sequence[Entry]) -> None:
        """See Journal."""
        await self.store.run(self._append, bucket, entries)

    def _append(self, bucket: Bucket, entries: Sequence[Entry]) -> None:
        with self.store.locks.shared(bucket_stripe(bucket.name)):
            self.store.check(bucket)
            self._write(entries, None)

    @contextmanager
    def telling(
        self, place: KeyPlace, old: ObjectVersion | None, new: ObjectVersion | None, entries: Sequence[Entry]
    ) -> Iterator[None]:
        """Surround a change of a version with what is to be told of it: synced before, named after, dropped when it
        fails. Without a new version the old one is deleted.
        """
        version = new or old
        if not entries or version is None:
            yield
            return
        change = {"bucket": os.path.basename(place.folder), "key": place.key, "version_id": version.version_id}
        order = {"sequence": version.sequence, "revision": version.revision, "gone": new is None}
        pending = self._write(entries, {**change, **order})
        try:
            yield
        except BaseException:
            for path in pending:
                with contextlib.suppress(OSError):
                    os.unlink(path)
            raise
        for path in pending:
            os.rename(path, path.removesuffix(PENDING))
        for folder in {os.path.dirname(path) for path in pending}:
            self.store.disk.sync_folder(folder)

    def _write(self, entries: Sequence[Entry], change: dict[str, Any] | None) -> list[str]:
        """Write the files of entries: named, or pending when they tell of a change that is to be made."""
        paths = []
        for entry in entries:
            folder = f"{self.store.root}/journal/{escape(entry.stream)}"
            self.store.disk.make_folders(folder)
            # Due at once; and an id that sorts by its making, also within a microsecond.
            born = time.time_ns()
            name = f"{born // 1000:016x}-{born:016x}{next(_SERIAL) % 2**32:08x}{secrets.token_hex(4)}"
            document = {"stream": entry.stream, "document": entry.document, "change": change}
            path = f"{folder}/{name}" if change is None else f"{folder}/{name}{PENDING}"
            self.store.disk.replace(path, dump(document))
            paths.append(path)
        return paths

    async def take(self, stream: str, limit: int, lease: timedelta) -> list[Entry]:
        """See Journal."""
        return await self.store.run(self._take, stream, limit, lease)

    def _take(self, stream: str, limit: int, lease: timedelta) -> list[Entry]:
        folder = f"{self.store.root}/journal/{escape(stream)}"
        now = time.time_ns() // 1000
        later = now + lease // timedelta(microseconds=1)
        taken: list[Entry] = []
        with self.store.locks.held(f"journal-{escape(stream)}"):
            names = os.listdir(folder) if os.path.isdir(folder) else []
            for name in sorted(name for name in names if int(name[:16], 16) <= now):
                if len(taken) == limit:
                    break
                document = None if name.endswith(PENDING) else read_document(f"{folder}/{name}")
                if document is None:
                    continue
                id = name.partition("-")[2]
                os.rename(f"{folder}/{name}", f"{folder}/{later:016x}-{id}")
                taken.append(Entry(stream=stream, document=load_tree(document["document"]), id=id))
        return sorted(taken, key=lambda entry: entry.id)

    async def settle(self, entries: Sequence[Entry]) -> None:
        """See Journal."""
        await self.store.run(self._settle, entries)

    def _settle(self, entries: Sequence[Entry]) -> None:
        for entry in entries:
            folder = f"{self.store.root}/journal/{escape(entry.stream)}"
            with self.store.locks.held(f"journal-{escape(entry.stream)}"):
                for name in os.listdir(folder):
                    # The lease may have ended and somebody else hold it under a later name: it was told all the same.
                    if name.partition("-")[2] == entry.id:
                        self.store.disk.remove(f"{folder}/{name}")


def settle_pending(store: Store, before: float = math.inf) -> None:
    """Name, or drop, what a crash left pending before that time."""
    for stream in os.scandir(f"{store.root}/journal"):
        names = os.listdir(stream.path) if stream.is_dir() else []
        for name in names:
            if name.endswith(PENDING):
                with contextlib.suppress(FileNotFoundError):
                    _settle_pending(store, f"{stream.path}/{name}", before)


def _settle_pending(store: Store, path: str, before: float) -> None:
    document = read_document(path)
    if document is None or os.stat(path).st_mtime > before:
        return
    change = document["change"]
    place = key_place(f"{store.root}/buckets/{change['bucket']}", change["key"])
    bucket = change["bucket"].partition("~")[0]
    # Who makes the change holds this until the entry is named: now it is named, or its writer is dead.
    with store.locks.shared(bucket_stripe(bucket)), store.locks.held(key_stripe(place.folder, place.stem)):
        version = read_version(place.sidecar(change["version_id"]), bucket)
        if change["gone"]:
            made = version is None or version.sequence > change["sequence"]
        else:
            order = (change["sequence"], change["revision"])
            made = version is not None and (version.sequence, version.revision) >= order
        if made:
            os.rename(path, path.removesuffix(PENDING))
            store.disk.sync_folder(os.path.dirname(path))
        else:
            os.unlink(path)
