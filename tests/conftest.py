"""What every test of a store needs: the stores, buckets, and bytes as the chunker makes them."""

from __future__ import annotations

import hashlib
import random
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any, Final, cast

import pytest

from post3._chunker import Chunker
from post3.model.bucket import Bucket
from post3.model.encryption import Encryption, Envelope
from post3.model.grants import ALL_USERS, Grant, Grants
from post3.model.listing import CommonPrefix, Listed, ListQuery, Page
from post3.model.object import Blob, Block, Guard, ObjectVersion, Part, no_guard
from post3.model.record import Entry
from post3.model.upload import Upload, upload_id_at
from post3.storage.filesystem.backend import FilesystemBackend
from post3.storage.memory import MemoryBackend
from post3.storage.protocol import Backend, Collected
from tests.databases import postgres_backend, stop_database

KIB: Final = 1024
MIB: Final = 1024 * KIB
LONG_AGO: Final = datetime(2001, 2, 3, 4, 5, 6, 789000, tzinfo=UTC)
"""A time that no store's clock shows: whoever keeps it did not ask the clock."""
AT_ONCE: Final = timedelta(0)
AN_ACL: Final[Grants] = (Grant(ALL_USERS, "READ"), Grant('é "\0\udcff', "WRITE_ACP"), Grant("alice", "FULL_CONTROL"))
ACLS: Final[Sequence[Grants | None]] = (AN_ACL, (), None)
"""Many grants, no grants, and no list: three different things."""
SOME_TAGS: Final[Mapping[str, str]] = {"a": "", "b c": "é=+", "\U00010400": "日本"}

ENCRYPTIONS: Final[Sequence[Encryption | None]] = (Encryption("AES256"), Encryption("aws:kms", "key/1"), None)
AN_ENVELOPE: Final = Envelope("aws:kms", "key/1", bytes(range(64)), b"\0\xffnonce!")


_uploads: Final = count(1000)
STORES: Final = ("memory", "filesystem", "postgres")


def make_backend(store: str, root: Path) -> Backend:
    """A store of that name, empty, not yet open; what it promises about power cuts is tested elsewhere."""
    if store == "memory":
        return MemoryBackend()
    return postgres_backend() if store == "postgres" else FilesystemBackend(root / "store", durable=False)


def pytest_sessionfinish() -> None:
    """What the tests started ends with them."""
    stop_database()


@pytest.fixture(params=STORES)
async def backend(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Backend]:
    backend = make_backend(request.param, tmp_path)
    await backend.open()
    yield backend
    await backend.close()


@pytest.fixture
async def bucket(backend: Backend) -> Bucket:
    """A bucket that was never versioned."""
    return await create_bucket(backend, "plain")


@pytest.fixture
async def versioned(backend: Backend) -> Bucket:
    """A bucket whose versioning is enabled."""
    await create_bucket(backend, "versioned")
    return await set_versioning(backend, "versioned", "Enabled")


# Buckets


def a_bucket(name: str, owner: str = "alice", configurations: Mapping[str, Any] | None = None) -> Bucket:
    return Bucket(id="", name=name, owner=owner, created=LONG_AGO, configurations=configurations or {})


async def create_bucket(backend: Backend, name: str, owner: str = "alice") -> Bucket:
    return await backend.create_bucket(a_bucket(name, owner))


async def set_versioning(backend: Backend, name: str, status: str) -> Bucket:
    def change(bucket: Bucket) -> Bucket:
        return replace(bucket, configurations={**bucket.configurations, "versioning": {"Status": status}})

    return await backend.update_bucket(name, change)


# Bytes


def some_bytes(size: int, seed: int = 0) -> bytes:
    """Bytes without a pattern: no two pieces alike."""
    return random.Random(f"{size} {seed}").randbytes(size)


def blocks_of(data: bytes) -> list[Block]:
    """The data as the chunker yields it."""
    chunker = Chunker()
    return [Block(*block) for block in [*chunker.feed(data), *chunker.finish()]]


async def stream_of(blocks: Iterable[Block]) -> AsyncIterator[Block]:
    for block in blocks:
        yield block


async def write(backend: Backend, bucket: Bucket, data: bytes, key: str = "key") -> Blob:
    """Bytes that wait for an owner of that key."""
    return await backend.write_blob(bucket, key, stream_of(blocks_of(data)))


async def read(backend: Backend, bucket: Bucket, blob: Blob, start: int = 0, stop: int | None = None) -> bytes:
    runs = backend.read_blob(bucket, blob, start, blob.size if stop is None else stop)
    return b"".join([run async for run in runs])


def reading(backend: Backend, bucket: Bucket, blob: Blob) -> aclosing[Any]:
    """A reader of the whole blob that can be closed before its end."""
    return aclosing(cast(Any, backend.read_blob(bucket, blob, 0, blob.size)))


def part_of(blob: Blob, data: bytes, number: int = 1) -> Part:
    return Part(number, len(data), etag_of(data), LONG_AGO, blob)


def etag_of(data: bytes) -> str:
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


# Objects


def a_version(bucket: Bucket, key: str, **fields: Any) -> ObjectVersion:
    """What a put hands to the store: without all that the store sets."""
    version = ObjectVersion(bucket.name, key, bucket.version_to_put, LONG_AGO, "bob")
    return replace(version, **fields)


async def put(
    backend: Backend,
    bucket: Bucket,
    key: str,
    data: bytes = b"",
    *,
    guard: Guard = no_guard,
    journal: Sequence[Entry] = (),
    **fields: Any,
) -> ObjectVersion:
    body = part_of(await write(backend, bucket, data, key), data)
    version = a_version(bucket, key, **{"body": body, "size": len(data), "etag": body.etag, **fields})
    return await backend.put_version(bucket, version, guard, journal)


async def put_marker(backend: Backend, bucket: Bucket, key: str, **fields: Any) -> ObjectVersion:
    return await backend.put_version(bucket, a_version(bucket, key, is_delete_marker=True, **fields))


async def content_of(
    backend: Backend, bucket: Bucket, version: ObjectVersion, start: int = 0, stop: int | None = None
) -> bytes:
    """The version's bytes, read part by part, as a GET does it."""
    stop = version.size if stop is None else stop
    read_so_far = b""
    for part in await backend.list_parts(bucket, version, start=start, stop=stop):
        begin, end = max(start, part.start), min(stop, part.start + part.size)
        read_so_far += await read(backend, bucket, part.blob, begin - part.start, end - part.start)
    return read_so_far


async def get(backend: Backend, bucket: Bucket, key: str, version_id: str | None = None) -> bytes:
    return await content_of(backend, bucket, await backend.get_version(bucket, key, version_id))


def facts(version: ObjectVersion) -> ObjectVersion:
    """The version without its inline bytes: whether they come along is the store's choice."""
    if version.body is None:
        return version
    return replace(version, body=replace(version.body, blob=replace(version.body.blob, inline=None)))


# Uploads


async def create_upload(backend: Backend, bucket: Bucket, key: str, number: int | None = None, **fields: Any) -> Upload:
    """An upload whose id sorts by the number; by default, behind those made before."""
    number = next(_uploads) if number is None else number
    upload = Upload(bucket.name, key, upload_id_at(number, f"{number:016x}"), LONG_AGO, "bob")
    return await backend.create_upload(bucket, replace(upload, **fields))


async def put_part(backend: Backend, bucket: Bucket, upload: Upload, number: int, data: bytes) -> Part:
    blob = await write(backend, bucket, data, upload.key)
    return await backend.put_part(bucket, upload, part_of(blob, data, number))


async def finish(
    backend: Backend,
    bucket: Bucket,
    upload: Upload,
    parts: Sequence[Part],
    *,
    guard: Guard = no_guard,
    journal: Sequence[Entry] = (),
    **fields: Any,
) -> ObjectVersion:
    size = sum(part.size for part in parts)
    version = a_version(bucket, upload.key, size=size, etag=f"etag-{len(parts)}", parts=len(parts), **fields)
    return await backend.finish_upload(bucket, upload, version, parts, guard, journal)


async def put_in_parts(backend: Backend, bucket: Bucket, key: str, *datas: bytes, **fields: Any) -> ObjectVersion:
    """An object made by a multipart upload."""
    upload = await create_upload(backend, bucket, key)
    parts = [await put_part(backend, bucket, upload, number, data) for number, data in enumerate(datas, 1)]
    return await finish(backend, bucket, upload, parts, **fields)


# What can be seen


def names(page: Page[Any]) -> list[str]:
    """Keys and common prefixes, in the page's order."""
    return [entry.prefix if isinstance(entry, CommonPrefix) else entry.key for entry in page.entries]


async def keys(backend: Backend, bucket: Bucket, **query: Any) -> list[str]:
    """The names on one page of current objects."""
    return names(await backend.list_versions(bucket, ListQuery(**query)))


async def history(backend: Backend, bucket: Bucket, key: str) -> list[str]:
    """The ids of the key's versions, newest first."""
    page = await backend.list_versions(bucket, ListQuery(prefix=key, all_versions=True))
    return [entry.version_id for entry in page.entries if isinstance(entry, Listed) and entry.key == key]


async def collect_all(backend: Backend, older_than: timedelta = AT_ONCE) -> Collected:
    """All that is to be collected, in however many rounds the store takes it."""
    total = Collected()
    while (round_ := await backend.collect_garbage(older_than)) != Collected():
        total = Collected(total.blobs + round_.blobs, total.size + round_.size, total.uploads + round_.uploads)
    return total
