"""Buckets: rows that everything else hangs on."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from time import monotonic
from typing import Final

import asyncpg

from post3.errors import BucketAlreadyExists, BucketNotEmpty, NoSuchBucket, OperationAborted
from post3.model.bucket import Bucket
from post3.storage.postgres.checks import bucket_id, check_revision
from post3.storage.postgres.connections import Session
from post3.storage.postgres.failures import AgainError
from post3.storage.postgres.rows import bucket_document, load_bucket
from post3.storage.postgres.store import Store
from post3.storage.protocol import Change

LAST: Final = "\U0010ffff"
"""Behind every name."""
LONGEST_CHANGE: Final = 30.0
"""Seconds that a change of a bucket waits for those that still act on what it was."""
PAUSE: Final = 0.002


class PostgresBuckets:
    """The role Buckets."""

    store: Store

    async def create_bucket(self, bucket: Bucket) -> Bucket:
        """See Buckets."""

        async def create(session: Session) -> Bucket:
            values = (bucket.name, bucket.owner, bucket.created, bucket_document(bucket))
            row = await session.row("create_bucket", *values)
            if row is None:
                raise BucketAlreadyExists(BucketName=bucket.name)
            return replace(bucket, id=str(row["id"]), revision=row["revision"])

        return await self.store.connections.change(create)

    async def get_bucket(self, name: str) -> Bucket:
        """See Buckets."""
        row = None if "\0" in name else await self.store.connections.row("get_bucket", name)
        if row is None:
            raise NoSuchBucket(BucketName=name)
        return load_bucket(row)

    async def update_bucket(self, name: str, change: Change[Bucket]) -> Bucket:
        """See Buckets.

        Changes of what is in the bucket share its row with each other, without waiting for this one; so it waits for
        those that had looked before.
        """

        async def update(session: Session) -> Bucket:
            row = await session.row("get_bucket", name)
            if row is None:
                raise NoSuchBucket(BucketName=name)
            old = load_bucket(row)
            new = change(old)
            values = (bucket_id(old), old.revision, new.owner, bucket_document(new))
            revision = await session.value("update_bucket", *values)
            if revision is None:
                raise AgainError
            await _wait_for_changes(session)
            return replace(new, revision=revision)

        return await self.store.connections.change(update)

    async def delete_bucket(self, bucket: Bucket) -> None:
        """See Buckets."""

        async def delete(session: Session) -> None:
            id = bucket_id(bucket)
            # First without a lock: a bucket that is in use is not empty, and not to be held up.
            if await session.value("holds_versions", id):
                check_revision(bucket, await session.value("check_bucket", id))
                raise BucketNotEmpty(BucketName=bucket.name)
            check_revision(bucket, await session.value("lock_bucket", id))
            await session.rows("disown_uploads", id)
            try:
                await session.rows("delete_bucket", id)
            except asyncpg.ForeignKeyViolationError:
                raise BucketNotEmpty(BucketName=bucket.name) from None

        await self.store.connections.transact(delete)

    async def list_buckets(
        self, owner: str | None = None, prefix: str = "", after: str = "", limit: int = 1000
    ) -> list[Bucket]:
        """See Buckets."""
        if not prefix.isascii() or "\0" in prefix:
            return []
        # No name has a NUL, and the database knows none: what comes after "a\0" comes after "a".
        values: Sequence[object] = (after.partition("\0")[0], prefix, prefix + LAST, limit)
        if owner is None:
            rows = await self.store.connections.rows("list_buckets", *values)
        else:
            rows = await self.store.connections.rows("list_buckets_of_owner", *values, owner)
        return [load_bucket(row) for row in rows]


async def _wait_for_changes(session: Session) -> None:
    """Wait until all changes that looked at their bucket before now have ended."""
    underway = {row[0] for row in await session.rows("changes_underway")}
    deadline = monotonic() + LONGEST_CHANGE
    while underway:
        if monotonic() > deadline:
            raise OperationAborted("The change is made, but older requests still go on; wait before you rely on it.")
        await asyncio.sleep(PAUSE)
        underway &= {row[0] for row in await session.rows("changes_underway")}
