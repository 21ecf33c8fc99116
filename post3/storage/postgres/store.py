"""What all roles of the store share: connections, statements' first looks, and what a bucket's row tells."""

from __future__ import annotations

from typing import Final

from post3.errors import NoSuchBucket, StaleBucket
from post3.model.bucket import Bucket
from post3.storage.postgres.connections import Connections, Row, Session
from post3.storage.postgres.database import Database
from post3.storage.postgres.holds import Holds
from post3.storage.postgres.small import SmallPuts

READ_AHEAD: Final = 32
"""Blocks that all streams of a process together read ahead of their clients."""


class Budget:
    """So much of something for all."""

    def __init__(self, size: int) -> None:
        self._left = size

    def take(self, count: int) -> bool:
        """Take so much, if there is."""
        if count > self._left:
            return False
        self._left -= count
        return True

    def give_back(self, count: int) -> None:
        """What was taken."""
        self._left += count


class Store:
    """A database with a schema in it."""

    def __init__(self, database: Database, schema: str, connections: int, *, durable: bool) -> None:
        self.database = database
        self.schema = schema
        self.connections = Connections(database, schema, connections, durable=durable)
        self.small = SmallPuts(self.connections)
        self.read_ahead = Budget(READ_AHEAD)
        self.holds = Holds(self.connections.session)


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
