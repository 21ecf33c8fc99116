"""What a bucket's row tells of it, when a statement is asked for something in it."""

from __future__ import annotations

from typing import TypeAlias

from post3.errors import NoSuchBucket, StaleBucket
from post3.model.bucket import Bucket
from post3.storage.postgres.connections import Row, Session

Target: TypeAlias = tuple[int, bytes]
"""A bucket's id, and a key."""


def bucket_id(bucket: Bucket) -> int:
    """The database's id of it."""
    return int(bucket.id)


def check_revision(bucket: Bucket, revision: int | None) -> None:
    """Raise NoSuchBucket when there is none any more, StaleBucket when it is not as the caller loaded it."""
    if revision is None:
        raise NoSuchBucket(BucketName=bucket.name)
    if revision != bucket.revision:
        raise StaleBucket(BucketName=bucket.name)


def check_row(bucket: Bucket, row: Row | None) -> Row:
    """A row that begins with the bucket's revision, when that is the caller's."""
    if row is None:
        raise NoSuchBucket(BucketName=bucket.name)
    check_revision(bucket, row["bucket_revision"])
    return row


async def refuse(session: Session, bucket: Bucket) -> None:
    """Raise what is wrong with a bucket that a statement did not find; nothing, if it is there after all."""
    check_revision(bucket, await session.value("check_bucket", bucket_id(bucket)))
