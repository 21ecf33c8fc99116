"""Bytes: blocks of 1 MiB, written by COPY as they arrive and read several at a time.

A blob of one block stays in memory until it has an owner, and is written in its transaction. A larger one is noted in
the ledger first; its blocks go in one by one, each in a transaction of its own, so that no connection waits for a
slow client. Only the last one waits for the disk: the transaction log is sequential. Should the database lose those
before it all the same, because it was killed in between, whoever gives the bytes an owner counts them first.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Coroutine, Iterator
from contextlib import AbstractAsyncContextManager, aclosing
from time import monotonic
from typing import Any, Final

from post3._chunker import BLOCK_SIZE
from post3.errors import InternalError, NoSuchBucket, S3Error, ServiceUnavailable
from post3.model.bucket import Bucket
from post3.model.object import Blob, Block, ObjectVersion
from post3.storage.pieces import check_pieces, widened
from post3.storage.postgres.checks import bucket_id, check_revision
from post3.storage.postgres.connections import Row, Session
from post3.storage.postgres.garbage import free_unfinished
from post3.storage.postgres.names import new_id
from post3.storage.postgres.rows import INLINE, blob_id
from post3.storage.postgres.store import Budget, Store

logger = logging.getLogger("post3")

MOST_BLOCKS: Final = 8
"""Blocks that one query reads; as many are read ahead, when the client takes them as they come."""
SLOW: Final = 4
"""A client is slow that takes so many times as long as the database."""
COPIED_AT_ONCE: Final = 32
"""Blocks that the database copies in one transaction."""
COLLECTED: Final = "The bytes waited too long for their owner and were collected."
LOST: Final = "The connection to the database was lost, and the bytes with it; send them again."
COLUMNS: Final = ("blob_id", "number", "crcs", "data")


class PostgresBlobs:
    """The role Blobs, but for what frees them (garbage.py)."""

    store: Store

    async def write_blob(self, bucket: Bucket, key: str, blocks: AsyncIterator[Block]) -> Blob:
        """See Blobs."""
        del key  # the ledger finds bytes by their name
        # Bytes of one block change nothing here: the statement that gives them an owner looks at the bucket.
        first = await anext(blocks, None)
        second = await anext(blocks, None) if first is not None else None
        if first is None or second is None:
            block = first or Block(b"", b"")
            return Blob(str(new_id()), len(block.data), block)
        id = new_id()
        async with self.store.holds.held(id):
            writing = _Writing(self.store, bucket, id)
            try:
                await writing.note()
                await writing.write(first)
                await writing.write(second)
                async for block in blocks:
                    await writing.write(block)
                return await writing.finish()
            except BaseException:
                await writing.abandon()
                raise

    async def read_blob(self, bucket: Bucket, blob: Blob, start: int, stop: int) -> AsyncIterator[bytes]:
        """See Blobs."""
        small = blob.inline or await self._small(bucket, blob)
        if small is not None:
            check_pieces(small.data, small.crcs, blob.id)
            if start < stop:
                yield small.data[start:stop]
            return
        if start >= stop:
            return
        if (stop - 1) // BLOCK_SIZE - start // BLOCK_SIZE < 2:
            # One statement sees all of it at once.
            for data in await _read(self.store, blob, start, stop):
                yield data
            return
        async with self.store.holds.held(blob_id(blob)), aclosing(_run(self.store, blob, start, stop)) as runs:
            async for data in runs:
                yield data

    def hold(self, bucket: Bucket, version: ObjectVersion) -> AbstractAsyncContextManager[None]:
        """See Blobs. The content is held: in the ledger it stands for all its parts."""
        del bucket  # a content's name is its own
        return self.store.holds.held(uuid.UUID(version.content))

    async def copy_blob(self, bucket: Bucket, blob: Blob, target: Bucket, key: str) -> Blob:
        """See Blobs. The database copies its rows: no byte comes here."""
        del key
        await self._check(bucket)
        small = blob.inline or await self._small(bucket, blob)
        if small is not None:
            await self._check(target)
            return Blob(str(new_id()), blob.size, small)
        id = new_id()
        async with self.store.holds.held(id), self.store.holds.held(blob_id(blob)):
            writing = _Writing(self.store, target, id)
            try:
                await writing.note()
                await writing.copy(blob)
                return await writing.finish()
            except BaseException:
                await writing.abandon()
                raise

    async def _small(self, bucket: Bucket, blob: Blob) -> Block | None:
        """The bytes of a small part, which stand in its row."""
        if blob.size > INLINE:
            return None
        row = await self.store.connections.row("read_small_part", bucket_id(bucket), blob_id(blob))
        if row is None:
            raise InternalError(f"The stored bytes {blob.id} are gone. Restore them from a backup.")
        return Block(row["body"], row["crcs"])

    async def _check(self, bucket: Bucket) -> None:
        """See that the bucket is there before bytes are taken for it."""
        row = await self.store.connections.row("check_bucket", bucket_id(bucket))
        check_revision(bucket, None if row is None else row["revision"])


async def bring_in(session: Session, blob: Blob, id: uuid.UUID) -> None:
    """In the transaction that gives them an owner: write the bytes that were kept in memory under this name, or see
    that those which were written before are all there.

    Raises ServiceUnavailable when they are not.
    """
    if blob.inline is None:
        if await session.value("count_blocks", id) != -(-blob.size // BLOCK_SIZE):
            raise ServiceUnavailable(COLLECTED)
    elif blob.size:
        await session.rows("put_block", id, 0, blob.inline.crcs, blob.inline.data)


class _Window:
    """How many blocks the next query reads, and as many ahead: more while the client takes them as they come, and while
    all streams of the process together have not read too much ahead; one at a time where it does not.
    """

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self.blocks = 1

    def adapt(self, fetched: float, sent: float) -> None:
        """After the seconds that they took to come, and to go."""
        if sent > SLOW * fetched + 0.01:
            self.close()
        elif self.blocks < MOST_BLOCKS and self._budget.take(2 * self.blocks):
            self.blocks *= 2

    def close(self) -> None:
        """Give back all but the one block that is everybody's right."""
        self._budget.give_back(2 * (self.blocks - 1))
        self.blocks = 1


async def _run(store: Store, blob: Blob, start: int, stop: int) -> AsyncGenerator[bytes]:
    """The bytes by several blocks at a time; the next ones are asked for before these are sent, unless they wait."""
    window = _Window(store.read_ahead)
    position, end = start, _end_of(start, stop, window.blocks)
    began = monotonic()
    ahead: asyncio.Task[list[bytes]] | None = None
    runs = await _read(store, blob, position, end)
    try:
        while True:
            fetched = monotonic() - began
            position = end
            if position < stop and window.blocks > 1:
                end = _end_of(position, stop, window.blocks)
                ahead = asyncio.ensure_future(_read(store, blob, position, end))
            began = monotonic()
            for data in _taken(runs):
                yield data
            window.adapt(fetched, monotonic() - began)
            if position >= stop:
                return
            began = monotonic()
            if ahead is None:
                end = _end_of(position, stop, window.blocks)
                runs = await _read(store, blob, position, end)
            else:
                runs = await ahead
                ahead = None
    finally:
        window.close()
        if ahead is not None:
            ahead.cancel()
            await asyncio.wait([ahead])


def _taken(runs: list[bytes]) -> Iterator[bytes]:
    """Each run once: what was sent is not kept."""
    while runs:
        yield runs.pop(0)


def _end_of(start: int, stop: int, blocks: int) -> int:
    return min(stop, (start // BLOCK_SIZE + blocks) * BLOCK_SIZE)


async def _read(store: Store, blob: Blob, start: int, stop: int) -> list[bytes]:
    """The bytes from start to before stop, as they lie in their blocks; each piece under them is checked."""
    first, last = start // BLOCK_SIZE, (stop - 1) // BLOCK_SIZE
    begin, end = start % BLOCK_SIZE, (stop - 1) % BLOCK_SIZE + 1
    size = min(BLOCK_SIZE, blob.size - last * BLOCK_SIZE)
    skipped, _ = widened(begin, BLOCK_SIZE, BLOCK_SIZE)
    _, taken = widened(0, end, size)
    rows = await store.connections.rows("read_blocks", blob_id(blob), first, last, skipped, taken)
    if len(rows) != last - first + 1:
        raise InternalError(f"The stored bytes {blob.id} are gone. Restore them from a backup.")
    runs = [_checked(blob, row) for row in rows]
    if end != taken:
        runs[-1] = runs[-1][: end - (skipped if first == last else 0)]
    if begin != skipped:
        runs[0] = runs[0][begin - skipped :]
    if sum(map(len, runs)) != stop - start:
        raise InternalError(f"The stored bytes {blob.id} are cut short. Restore them from a backup.")
    return runs


def _checked(blob: Blob, row: Row) -> bytes:
    data: bytes = row["data"]
    check_pieces(data, row["crcs"], blob.id)
    return data


class _Writing:
    """A blob on its way: one block is written while the next one arrives. What has begun is waited for, never cut."""

    def __init__(self, store: Store, bucket: Bucket, id: uuid.UUID) -> None:
        self._store = store
        self._bucket = bucket
        self._id = id
        self._count = 0
        self._size = 0
        self._last: Block | None = None
        self._task: asyncio.Task[None] | None = None

    async def note(self) -> None:
        """Enter the ledger. Raises NoSuchBucket."""

        async def note(session: Session) -> None:
            if await session.row("note_blob", bucket_id(self._bucket), self._id) is None:
                raise NoSuchBucket(BucketName=self._bucket.name)

        self._begin(self._store.connections.change(note))
        await self._ended()

    async def write(self, block: Block) -> None:
        """Take a block; the one before it is on its way when this returns."""
        if self._last is not None:
            await self._ended()
            self._begin(self._put(self._last))
        self._last = block
        self._size += len(block.data)

    async def copy(self, blob: Blob) -> None:
        """Copy all blocks of another blob."""
        count = -(-blob.size // BLOCK_SIZE)
        for first in range(0, count, COPIED_AT_ONCE):
            last = min(first + COPIED_AT_ONCE, count) - 1
            self._begin(self._copy(blob_id(blob), first, last))
            await self._ended()
        self._size = blob.size

    async def finish(self) -> Blob:
        """Bring it all to the disk. Raises ServiceUnavailable when it was collected."""
        await self._ended()

        async def finish(session: Session) -> None:
            await self._touch(session, "renew_blob")
            if self._last is not None:
                await self._copy_in(session, self._last)

        self._begin(self._store.connections.transact(finish))
        await self._ended()
        return Blob(str(self._id), self._size)

    async def abandon(self) -> None:
        """Free what was written, when what is under way has ended."""
        await asyncio.shield(asyncio.ensure_future(self._abandon()))

    async def _abandon(self) -> None:
        if self._task is not None:
            await asyncio.wait([self._task])
        try:
            await free_unfinished(self._store, bucket_id(self._bucket), self._id)
        except S3Error as error:
            logger.warning("bytes that were not wanted are left to the collector: %s", error)

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        self._task = asyncio.ensure_future(work)

    async def _ended(self) -> None:
        task = self._task
        if task is not None:
            await asyncio.shield(task)
            self._task = None

    async def _put(self, block: Block) -> None:
        async def put(session: Session) -> None:
            await self._touch(session, "stay_noted")
            await self._copy_in(session, block)

        await self._store.connections.transact(put, begin="begin_relaxed")
        self._count += 1

    async def _touch(self, session: Session, how: str) -> None:
        """Lock the ledger's entry. Raises ServiceUnavailable when it was collected, because the hold was lost."""
        if await session.row(how, bucket_id(self._bucket), self._id) is None:
            raise ServiceUnavailable(LOST)

    async def _copy_in(self, session: Session, block: Block) -> None:
        await session.copy("blocks", COLUMNS, [(self._id, self._count, block.crcs, block.data)])

    async def _copy(self, source: uuid.UUID, first: int, last: int) -> None:
        async def copy(session: Session) -> None:
            await self._touch(session, "stay_noted")
            copied = await session.rows("copy_blocks", source, self._id, first, last)
            if len(copied) != last - first + 1:
                raise InternalError(f"The stored bytes {source} are gone. Restore them from a backup.")

        await self._store.connections.transact(copy, begin="begin_relaxed")
