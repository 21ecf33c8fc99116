"""The journal: files of things to be told, each written before the change that it tells of and named after it."""

from __future__ import annotations

import contextlib
import itertools
import os
import secrets
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta

from post3.model.bucket import Bucket
from post3.model.object import ObjectVersion
from post3.model.record import Entry
from post3.storage.filesystem.layout import KeyPlace, bucket_stripe, escape
from post3.storage.filesystem.sidecar import dump, load_tree, moment, read_document
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
        with self.store.locks.held(bucket_stripe(bucket.name), shared=True):
            self.store.check(bucket)
            self._name(self._write(entries))

    @contextmanager
    def telling(
        self, bucket: Bucket, place: KeyPlace, version: ObjectVersion | None, entries: Sequence[Entry]
    ) -> Iterator[None]:
        """Surround a change with what is to be told of it: synced before, named after, dropped when it fails.

        What a crash leaves unnamed is named at the next start: told of a change that may not have been answered.
        """
        del bucket, place, version
        if not entries:
            yield
            return
        pending = self._write(entries)
        try:
            yield
        except BaseException:
            for path in pending:
                with contextlib.suppress(OSError):
                    os.unlink(path)
            raise
        self._name(pending)

    def _write(self, entries: Sequence[Entry]) -> list[str]:
        paths = []
        for entry in entries:
            folder = f"{self.store.root}/journal/{escape(entry.stream)}"
            self.store.disk.make_folders(folder)
            # Due at once; and an id that sorts by its making, also within a microsecond.
            born = time.time_ns()
            name = f"{born // 1000:016x}-{born:016x}{next(_SERIAL) % 2**32:08x}{secrets.token_hex(4)}"
            document = {"stream": entry.stream, "document": entry.document}
            path = f"{folder}/{name}{PENDING}"
            self.store.disk.replace(f"{self.store.root}/journal", path, dump(document))
            paths.append(path)
        return paths

    def _name(self, pending: Sequence[str]) -> None:
        for path in pending:
            os.rename(path, path.removesuffix(PENDING))
        for folder in {os.path.dirname(path) for path in pending}:
            self.store.disk.sync_folder(folder)

    def name_left(self) -> None:
        """Name what a crash left pending."""
        for stream in os.listdir(f"{self.store.root}/journal"):
            folder = f"{self.store.root}/journal/{stream}"
            if os.path.isdir(folder):
                self._name([f"{folder}/{name}" for name in os.listdir(folder) if name.endswith(PENDING)])

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
            due = sorted((name for name in names if int(name[:16], 16) <= now), key=lambda name: name.partition("-")[2])
            for name in due:
                if len(taken) == limit:
                    break
                document = None if name.endswith(PENDING) else read_document(f"{folder}/{name}")
                if document is None:
                    continue
                id = name.partition("-")[2]
                os.rename(f"{folder}/{name}", f"{folder}/{later:016x}-{id}")
                taken.append(Entry(stream=stream, document=load_tree(document["document"]), id=id))
        return taken

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
