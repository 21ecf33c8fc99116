"""How bytes become owned: written first, made an object or a part after, given back when that is refused."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TypeVar

from post3.errors import S3Error
from post3.model.bucket import Bucket
from post3.model.object import Blob, Block
from post3.s3.call import Call

T = TypeVar("T")


async def store(call: Call, blocks: AsyncIterator[Block], own: Callable[[Blob, Bucket], Awaitable[T]]) -> T:
    """Write the blocks, then run the step that gives them an owner."""
    bucket = call.bucket
    blob = await call.backend.write_blob(bucket, call.key, blocks)
    return await give_owner(call, blob, own)


async def give_owner(call: Call, blob: Blob, own: Callable[[Blob, Bucket], Awaitable[T]]) -> T:
    """Run the step that gives the stored bytes an owner; free them at once when it refuses.

    Whatever else ends it (a lost client, a lost store) leaves them to the collector, which looks whether they are
    owned.
    """
    bucket = call.bucket
    try:
        return await call.commit(lambda fresh: own(blob, fresh), is_bound=blob.inline is None)
    except S3Error:
        await call.backend.discard_blob(bucket, blob)
        raise
