"""What nothing owns: the ledger is read by age, and each entry is freed in small transactions.

An entry is looked at once more before anything is deleted: its row is locked, so that whoever is giving the bytes an
owner goes first or finds them gone; bytes that have an owner after all only leave the ledger; bytes that somebody
holds stay. A holder enters its bytes into the ledger after it holds them, so the holds are looked at after the
ledger.
"""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from typing import Final

from post3.model.bucket import Bucket
from post3.model.object import Blob
from post3.storage.postgres.checks import bucket_id
from post3.storage.postgres.connections import Row, Session
from post3.storage.postgres.names import lock_key
from post3.storage.postgres.rows import blob_id
from post3.storage.postgres.store import Store
from post3.storage.protocol import Collected

ENTRIES_AT_ONCE: Final = 100
BLOCKS_AT_ONCE: Final = 256
AT_ONCE: Final = timedelta(0)
COMPLETED_ARE_KNOWN_FOR: Final = timedelta(days=7)
BEFORE_ALL: Final = (datetime(1970, 1, 1, tzinfo=UTC), uuid.UUID(int=0))


class PostgresGarbage:
    """What of the role Blobs frees bytes."""

    store: Store

    async def discard_blob(self, bucket: Bucket, blob: Blob) -> None:
        """See Blobs."""
        if blob.inline is None:
            await free_blob(self.store, bucket_id(bucket), blob_id(blob))

    async def collect_garbage(self, older_than: timedelta) -> Collected:
        """See Blobs."""
        await self.store.holds.settle()
        freed: list[int] = []
        place = BEFORE_ALL
        while due := await self.store.connections.rows("list_due", older_than, *place, ENTRIES_AT_ONCE):
            held = {row[0] for row in await self.store.connections.rows("who_holds")}
            for entry in due:
                freed += await _free(self.store, entry["bucket_id"], entry["id"], older_than, held)
            place = (due[-1]["since"], due[-1]["id"])
        return Collected(len(freed), sum(freed), await self._forget_completed())

    async def _forget_completed(self) -> int:
        async def forget(session: Session) -> int:
            return len(await session.rows("forget_completed_uploads", COMPLETED_ARE_KNOWN_FOR))

        return await self.store.connections.change(forget)


async def free_blob(store: Store, bucket: int, id: uuid.UUID) -> None:
    """Free bytes that got no owner, if they are in the ledger."""
    await _free(store, bucket, id, AT_ONCE, set())


async def free_unfinished(store: Store, bucket: int, id: uuid.UUID) -> None:
    """Free bytes that never had an owner, also where the ledger does not know them any more."""
    await free_blob(store, bucket, id)

    async def free(session: Session) -> list[Row]:
        return await session.rows("free_blocks", id, BLOCKS_AT_ONCE)

    while await store.connections.transact(free):
        pass


async def _free(store: Store, bucket: int, id: uuid.UUID, older_than: timedelta, held: set[int]) -> list[int]:
    """Free a blob, or a content with all its parts, unless somebody owns or holds it; the sizes of the blobs."""
    size, done = 0, False
    parts: list[uuid.UUID] = []

    async def free(session: Session) -> tuple[bool, int, list[uuid.UUID]]:
        return await _free_some(session, bucket, id, older_than, held)

    while not done:
        done, more, blobs = await store.connections.transact(free)
        size += more
        parts += blobs
    freed = [size] if size else []
    for part in parts:
        freed += await _free(store, bucket, part, older_than, held)
    return freed


async def _free_some(
    session: Session, bucket: int, id: uuid.UUID, older_than: timedelta, held: set[int]
) -> tuple[bool, int, list[uuid.UUID]]:
    """One transaction's worth: whether that was all, bytes freed, and the blobs that nothing owns now."""
    since = await session.value("lock_garbage", bucket, id, older_than)
    if since is None or lock_key(id) in held:
        return True, 0, []
    if await session.value("is_owned", bucket, id):
        await session.rows("forget_garbage", bucket, id)
        return True, 0, []
    blobs = [row["blob_id"] for row in await session.rows("list_part_blobs", bucket, id)]
    if any(lock_key(blob) in held for blob in blobs):
        # Somebody reads the object, and goes on to the parts behind this one.
        return True, 0, []
    await session.rows("free_parts", bucket, id, since)
    freed = await session.rows("free_blocks", id, BLOCKS_AT_ONCE)
    # Fewer than that many were behind the last one if a writer, whose hold was lost, went on meanwhile.
    done = not freed or _begins(freed)
    if done:
        await session.rows("forget_garbage", bucket, id)
    return done, sum(row["size"] for row in freed), blobs


def _begins(blocks: list[Row]) -> bool:
    return any(row["number"] == 0 for row in blocks)
