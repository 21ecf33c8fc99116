"""Buckets of many keys, put into a store of post3's by its own protocol: a million puts over HTTP would take too long.

What is made is what puts over HTTP make: each key is a version with a small body. Durability is relaxed meanwhile; the
store is brought to the disk when it is closed.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from post3._chunker import Chunker
from post3.app import create_backend
from post3.config import Settings
from post3.errors import BucketAlreadyExists
from post3.model.bucket import Bucket
from post3.model.checksums import encode
from post3.model.identity import ROOT
from post3.model.object import Block, ObjectVersion, Part
from post3.storage.protocol import Backend

AT_A_TIME: Final = 16
IN_EACH: Final = 10
"""Keys under each prefix."""


def list_bucket(count: int) -> str:
    """The bucket with so many keys."""
    return f"list-{count}"


def list_key(number: int) -> str:
    """The key of that place in the order of keys."""
    return f"prefix-{number // IN_EACH:06d}/key-{number % IN_EACH}"


def fill(backend: str, data_dir: Path, counts: tuple[int, ...]) -> None:
    """Make the buckets in the store that stands in the folder, or will; no server runs on it."""
    settings = replace(Settings(), backend=backend, data_dir=data_dir, durability="relaxed")
    asyncio.run(_fill(create_backend(settings), counts))


async def _fill(backend: Backend, counts: tuple[int, ...]) -> None:
    await backend.open()
    try:
        for count in counts:
            await _fill_bucket(backend, count)
    finally:
        await backend.close()


async def _fill_bucket(backend: Backend, count: int) -> None:
    new = Bucket(id="", name=list_bucket(count), owner=ROOT.id, created=datetime.now(UTC))
    try:
        bucket = await backend.create_bucket(new)
    except BucketAlreadyExists:
        return  # filled by an earlier run
    numbers = iter(range(count))

    async def put_some() -> None:
        for number in numbers:  # shared: each number is taken once
            await _put(backend, bucket, list_key(number))

    async with asyncio.TaskGroup() as tasks:
        for _ in range(AT_A_TIME):
            tasks.create_task(put_some())


async def _put(backend: Backend, bucket: Bucket, key: str) -> None:
    chunker = Chunker(["crc32"])
    data = hashlib.sha256(key.encode()).digest() * 4
    blocks = [Block(*pair) for pair in (*chunker.feed(data), *chunker.finish())]
    blob = await backend.write_blob(bucket, key, _each(blocks))
    now, etag, checksums = datetime.now(UTC), chunker.md5().hex(), {"crc32": encode(chunker.digest("crc32"))}
    version = ObjectVersion(
        bucket=bucket.name,
        key=key,
        version_id=bucket.version_to_put,
        modified=now,
        owner=ROOT.id,
        size=len(data),
        etag=etag,
        body=Part(1, len(data), etag, now, blob, checksums),
        checksums=checksums,
        checksum_type="FULL_OBJECT",
        headers={"content-type": "binary/octet-stream"},
    )
    await backend.put_version(bucket, version)


async def _each(blocks: list[Block]) -> AsyncIterator[Block]:
    for block in blocks:
        yield block
