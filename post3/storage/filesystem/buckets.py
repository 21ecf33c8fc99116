"""Buckets: a folder each, with one record."""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Iterator
from dataclasses import replace

from post3.errors import BucketAlreadyExists, BucketNotEmpty, NoSuchBucket
from post3.model.bucket import Bucket
from post3.storage.filesystem.layout import bucket_folder, bucket_stripe, trash_folder
from post3.storage.filesystem.sidecar import dump_bucket
from post3.storage.filesystem.store import MAX_MET, Store, logger
from post3.storage.protocol import Change

FOLDERS = ("versions", "data", "uploads", "aborted", "ledger")
SECONDS = 5.0
"""How long a change of a bucket waits for the puts that are under way."""


class FilesystemBuckets:
    """The role Buckets."""

    store: Store

    async def create_bucket(self, bucket: Bucket) -> Bucket:
        """See Buckets."""
        return await self.store.finish(lambda: self._create_bucket(bucket))

    def _create_bucket(self, bucket: Bucket) -> Bucket:
        store = self.store
        with store.locks.held_soon(bucket_stripe(bucket.name), SECONDS):
            if self._find_bucket(bucket.name) is not None:
                raise BucketAlreadyExists(BucketName=bucket.name)
            made = replace(bucket, id=secrets.token_hex(8), revision=1)
            folder = store.disk.fresh_name()
            for name in FOLDERS:
                os.makedirs(f"{folder}/{name}", 0o700)
            self._write_record(folder, made, after=0)
            store.disk.move(folder, store.folder(made))
            return made

    def _write_record(self, folder: str, bucket: Bucket, after: int) -> None:
        """Write a bucket's record, with a time of change above the last one's: who kept the bucket compares just that.

        An inode may come back within one tick of the disk's clock, so the time alone must tell two revisions apart.
        """
        modified = max(time.time_ns(), after + 1)
        self.store.disk.replace(f"{folder}/bucket.json", dump_bucket(bucket), modified=modified)

    async def get_bucket(self, name: str) -> Bucket:
        """See Buckets. Read on the event loop: it is one small file, warm as a rule."""
        folder = self._find_bucket(name)
        if folder is None:
            raise NoSuchBucket(BucketName=name)
        return self.store.meet(folder).bucket

    def _find_bucket(self, name: str) -> str | None:
        """The folder of the bucket of this name."""
        known = self.store.names.get(name)
        if known is not None and os.path.exists(f"{known}/bucket.json"):
            return known
        start = f"{name}~"
        for entry in os.listdir(f"{self.store.root}/buckets"):
            if entry.startswith(start):
                if len(self.store.names) >= MAX_MET:
                    self.store.names.clear()
                folder = self.store.names[name] = f"{self.store.root}/buckets/{entry}"
                return folder
        return None

    async def update_bucket(self, name: str, change: Change[Bucket]) -> Bucket:
        """See Buckets."""
        return await self.store.finish(lambda: self._update_bucket(name, change))

    def _update_bucket(self, name: str, change: Change[Bucket]) -> Bucket:
        with self.store.locks.held_soon(bucket_stripe(name), SECONDS):
            folder = self._find_bucket(name)
            if folder is None:
                raise NoSuchBucket(BucketName=name)
            old = self.store.meet(folder)
            new = replace(change(old.bucket), id=old.bucket.id, name=name, revision=old.bucket.revision + 1)
            self._write_record(folder, new, after=old.modified)
            return new

    async def delete_bucket(self, bucket: Bucket) -> None:
        """See Buckets."""
        await self.store.finish(lambda: self._delete_bucket(bucket))

    def _delete_bucket(self, bucket: Bucket) -> None:
        store, folder = self.store, self.store.folder(bucket)
        store.check(bucket)
        try:
            # The look that may take long is taken before anybody has to wait for it.
            if holds_files(f"{folder}/versions"):
                raise BucketNotEmpty(BucketName=bucket.name)
        except FileNotFoundError:
            raise NoSuchBucket(BucketName=bucket.name) from None
        with store.locks.held_soon(bucket_stripe(bucket.name), SECONDS):
            store.check(bucket)
            if holds_files(f"{folder}/versions"):
                raise BucketNotEmpty(BucketName=bucket.name)
            os.utime(folder)
            store.disk.move(folder, trash_folder(folder))
        try:
            store.index.forget(bucket.id)
        except Exception:
            # The bucket is gone; what the index still knows of it nobody asks for, and the next start drops it.
            logger.exception("the index could not forget a bucket")

    async def list_buckets(
        self, owner: str | None = None, prefix: str = "", after: str = "", limit: int = 1000
    ) -> list[Bucket]:
        """See Buckets."""
        return await self.store.run(self._list_buckets, owner, prefix, after, limit)

    def _list_buckets(self, owner: str | None, prefix: str, after: str, limit: int) -> list[Bucket]:
        found: list[Bucket] = []
        for name, bucket_id in sorted(folders(self.store.root)):
            if name <= after or not name.startswith(prefix):
                continue
            if len(found) == limit:
                break
            try:
                bucket = self.store.meet(bucket_folder(self.store.root, name, bucket_id)).bucket
            except NoSuchBucket:
                continue
            if owner is None or bucket.owner == owner:
                found.append(bucket)
        return found


def folders(root: str) -> Iterator[tuple[str, str]]:
    """Name and id of every bucket."""
    for entry in os.listdir(f"{root}/buckets"):
        name, tilde, bucket_id = entry.partition("~")
        if tilde:
            yield name, bucket_id


def holds_files(path: str) -> bool:
    """Whether there is any file in a tree of folders; stops at the first."""
    with os.scandir(path) as entries:
        return any(holds_files(entry.path) if entry.is_dir(follow_symlinks=False) else True for entry in entries)
