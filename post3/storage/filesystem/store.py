"""What the six roles share: the root, the disk, the locks, the index, the threads, and the buckets that were met."""

from __future__ import annotations

import asyncio
import errno
import functools
import logging
import os
import secrets
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, ParamSpec, TypeVar

from post3.errors import InternalError, NoSuchBucket, ServiceUnavailable, StaleBucket
from post3.model.bucket import Bucket
from post3.model.object import ObjectVersion
from post3.storage.filesystem.durable import Disk, Held, Locks
from post3.storage.filesystem.index import Index, Intent, Settlement
from post3.storage.filesystem.known import KnownVersions
from post3.storage.filesystem.layout import KeyPlace, bucket_folder, bucket_stripe, key_place, key_stem, key_stripe
from post3.storage.filesystem.log import Log
from post3.storage.filesystem.sidecar import load_bucket, read_file, read_version

logger = logging.getLogger("post3")
P = ParamSpec("P")
T = TypeVar("T")

THREADS: Final = 16
"""Requests that wait for the disk at a time: syncs of independent requests overlap."""
MAX_MET: Final = 10_000
"""Buckets that are remembered, each by its folder and by its record."""
_FULL: Final = {
    errno.ENOSPC: "The disk is full.",
    errno.EDQUOT: "The disk quota is used up.",
    errno.EMFILE: "The server has too many files open.",
    errno.ENFILE: "The system has too many files open.",
    errno.EROFS: "The disk has become read-only.",
}


@dataclass(frozen=True, slots=True)
class _Met:
    """A bucket as its record was when last read."""

    modified: int
    """Its record's time of change, in nanoseconds: no two revisions share one (buckets.py)."""
    bucket: Bucket


class Store:
    """One directory, as one process uses it."""

    def __init__(self, root: str, *, durable: bool) -> None:
        self.root = root
        self.disk = Disk(f"{root}/new/{secrets.token_hex(8)}", durable=durable)
        self.locks = Locks(f"{root}/lock")
        self.index = Index(f"{root}/index.sqlite", f"{root}/lock/mark", self.versions_by_id, durable=durable)
        self.threads = ThreadPoolExecutor(THREADS, thread_name_prefix="post3-disk")
        self.log = Log(root, self.disk, self.locks, self.threads.submit)
        self.known = KnownVersions()
        self.names: dict[str, str] = {}
        """Folders of buckets by name; who looks one up makes sure that it is still there."""
        self._met: dict[str, _Met] = {}
        self._folders: dict[str, str] = {}
        self._turns: dict[str, asyncio.Lock] = {}
        self._held: dict[KeyPlace, Held] = {}
        """The locks of the changes that are under way."""

    # Threads

    async def run(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Do blocking work in a thread. Once begun it goes to its end, also when the caller is cancelled."""
        loop = asyncio.get_running_loop()
        try:
            return await asyncio.shield(loop.run_in_executor(self.threads, functools.partial(work, *args, **kwargs)))
        except (OSError, sqlite3.OperationalError) as error:
            raise self.refusal(error) from error

    async def finish(self, work: Callable[[], T]) -> T:
        """Do a change in a thread: who is cancelled before it began has changed nothing, who comes later gets its
        result.

        A change that has begun cannot be taken back, and must not look as if it had not been made.
        """
        job = self.threads.submit(work)
        done = asyncio.wrap_future(job)
        while True:
            try:
                return await asyncio.shield(done)
            except asyncio.CancelledError:
                if job.cancel():
                    raise
            except (OSError, sqlite3.OperationalError) as error:
                raise self.refusal(error) from error

    @staticmethod
    def refusal(error: OSError | sqlite3.OperationalError) -> Exception:
        """The error to answer with when the disk, or the index, refuses."""
        if isinstance(error, sqlite3.OperationalError):
            logger.error("the index cannot be written: %s", error)
            return ServiceUnavailable(f"The index cannot be written ({error}). Nothing was stored.")
        if error.errno in _FULL:
            logger.error("the store cannot write: %s", error)
            return ServiceUnavailable(f"{_FULL[error.errno]} Nothing was stored.")
        return error

    # Buckets

    def folder(self, bucket: Bucket) -> str:
        """Where the bucket stands."""
        folder = self._folders.get(bucket.id)
        if folder is None:
            if len(self._folders) >= MAX_MET:
                self._folders.clear()
            folder = self._folders[bucket.id] = bucket_folder(self.root, bucket.name, bucket.id)
        return folder

    def place(self, bucket: Bucket, key: str) -> KeyPlace:
        """Where a key's files stand."""
        return key_place(self.folder(bucket), key)

    def check_there(self, bucket: Bucket) -> None:
        """Raise NoSuchBucket unless the bucket is there, changed or not."""
        if not os.path.exists(f"{self.folder(bucket)}/bucket.json"):
            raise NoSuchBucket(BucketName=bucket.name)

    def check(self, bucket: Bucket) -> None:
        """Raise StaleBucket or NoSuchBucket unless the bucket still is as it was loaded. One stat, as a rule."""
        try:
            changed = os.stat(f"{self.folder(bucket)}/bucket.json").st_mtime_ns
        except FileNotFoundError:
            changed = -1
        self.check_changed(bucket, changed)

    def check_changed(self, bucket: Bucket, changed: int) -> None:
        """The same, given when its record was changed, in nanoseconds; -1 where there is none."""
        folder = self.folder(bucket)
        if changed < 0:
            self._met.pop(folder, None)
            raise NoSuchBucket(BucketName=bucket.name)
        met = self._met.get(folder)
        if met is None or met.modified != changed:
            met = self.meet(folder)
        if met.bucket.revision != bucket.revision:
            raise StaleBucket(BucketName=bucket.name)

    def meet(self, folder: str) -> _Met:
        """Read a bucket's record. Raises NoSuchBucket."""
        path = f"{folder}/bucket.json"
        try:
            # The time first: a record that changes in between is read once more at the next check.
            modified = os.stat(path).st_mtime_ns
            content = read_file(path)
        except FileNotFoundError:
            content = None
        if content is None:
            raise NoSuchBucket(BucketName=os.path.basename(folder).partition("~")[0])
        if len(self._met) >= MAX_MET:
            self._met.clear()
        met = self._met[folder] = _Met(modified, load_bucket(content))
        return met

    # Keys

    def versions(self, place: KeyPlace, bucket: str) -> list[ObjectVersion]:
        """All versions of a key, read from its sidecars, in no order."""
        read = (read_version(place.sidecar(version_id), bucket) for version_id in place.version_ids())
        return [version for version in read if version is not None]

    def readable_versions(self, place: KeyPlace, bucket: str) -> list[ObjectVersion]:
        """The same, for lists: one damaged record must not hide all others."""
        return self.readable((place.sidecar(version_id) for version_id in place.version_ids()), bucket)

    def readable(self, paths: Iterable[str], bucket: str) -> list[ObjectVersion]:
        """The versions of these sidecars, without what is damaged, or does not stand where it belongs."""
        found = []
        for path in paths:
            try:
                version = read_version(path, bucket)
            except InternalError as error:
                logger.error("%s", error)
                continue
            if version is not None and path.endswith(f"/{key_stem(version.key)}~{version.version_id}.json"):
                found.append(version)
        return found

    def versions_by_id(self, bucket_id: str, key: str) -> Sequence[ObjectVersion]:
        """The same, given a bucket's id: what the index asks for."""
        for name in os.listdir(f"{self.root}/buckets"):
            if name.endswith(f"~{bucket_id}"):
                return self.readable_versions(key_place(f"{self.root}/buckets/{name}", key), name.partition("~")[0])
        return []

    async def change(self, bucket: Bucket, key: str, act: Callable[[KeyPlace], T]) -> T:
        """Do something to a key, in a thread, with its lock held and its bucket held as it was loaded.

        Raises StaleBucket, NoSuchBucket, and what the act raises.
        """
        place = self.place(bucket, key)
        stripe = key_stripe(place.folder, place.stem)

        record = f"{place.folder}/bucket.json"

        def work() -> T:
            held = self._held[place] = self.locks.enter(bucket_stripe(bucket.name), record, stripe)
            try:
                self.check_changed(bucket, held.changed)
                return act(place)
            finally:
                del self._held[place]
                held.leave()

        # Requests of this process for one key wait here, where they take no thread from others.
        async with self.turn(stripe):
            return await self.finish(work)

    def turn(self, stripe: str) -> asyncio.Lock:
        """Whose turn it is among this process's changes of one key."""
        turn = self._turns.get(stripe)
        if turn is None:
            turn = self._turns[stripe] = asyncio.Lock()
        return turn

    @contextmanager
    def indexed(self, place: KeyPlace, bucket: Bucket) -> Iterator[Indexed]:
        """Surround one change of a key's sidecars with its intent and its settlement in the index.

        The change must call `begin` right before its first step: the intent is noted while it gets ready. When it fails
        half-way, the sidecars tell what it did. The settlement is not waited for: until it is made listings read the
        sidecars, and the change's locks stay taken, so that the next one of the key is settled after it.
        """
        intent = Intent(bucket.id, place.key)
        indexed = Indexed(self.index.intend(intent), Settlement(intent, is_alone=not bucket.versioning))
        try:
            yield indexed
        except BaseException:
            if indexed.noted.exception() is None:
                self.index.refresh(bucket.id, place.key, self.readable_versions(place, bucket.name))
            raise
        settled = self.index.settle(indexed.settlement)
        self._held[place].keep_until(settled)
        settled.add_done_callback(tell_failure)

    def settle_left(self, bucket: str, bucket_id: str, keys: Sequence[str]) -> None:
        """Settle, from the sidecars, what somebody left unsettled; a key whose lock is taken is still being changed."""
        folder = bucket_folder(self.root, bucket, bucket_id)
        with self.locks.shared(bucket_stripe(bucket)):
            if not os.path.exists(folder):
                self.index.forget(bucket_id)
                return
            for key in keys:
                place = key_place(folder, key)
                with self.locks.tried(key_stripe(folder, place.stem)) as free:
                    if free:
                        self.index.refresh(bucket_id, key, self.readable_versions(place, bucket))

    def close(self) -> None:
        """End the threads, with nothing under way."""
        self.threads.shutdown(wait=True)
        self.index.close()
        self.log.close()


@dataclass(slots=True)
class Indexed:
    """A change that the index is told of."""

    noted: Future[None]
    settlement: Settlement

    def begin(self) -> None:
        """Wait until the intent is noted: from now on the sidecars may change. Raises sqlite3.Error."""
        self.noted.result()


def tell_failure(settled: Future[None]) -> None:
    """Log what the index could not settle. The change is made and durable; its intent stays, so listings read the
    sidecars until it is settled.
    """
    if (error := settled.exception()) is not None:
        logger.error("the index could not settle a change", exc_info=error)
