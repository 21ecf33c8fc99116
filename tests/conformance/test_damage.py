"""Bytes that a disk has changed are never given out: they are told to be damaged.

Of the filesystem alone: a store in memory has no disk, and what PostgreSQL keeps is tested where it is kept.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from pathlib import Path
from typing import Final, TypeAlias

import pytest

from post3._chunker import PIECE_SIZE
from post3.errors import InternalError
from post3.model.bucket import Bucket
from post3.model.object import ObjectVersion
from post3.storage.filesystem.backend import FilesystemBackend
from post3.storage.filesystem.blobs import TRAILER
from tests.conftest import (
    KIB,
    MIB,
    collect_all,
    content_of,
    create_bucket,
    get,
    keys,
    put,
    put_in_parts,
    read,
    set_versioning,
    some_bytes,
    write,
)

SIZE: Final = MIB + 3 * PIECE_SIZE + 5
DATA: Final = some_bytes(SIZE)
Damage: TypeAlias = Callable[[Path], object]


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[FilesystemBackend]:
    backend = FilesystemBackend(tmp_path / "store", durable=False)
    await backend.open()
    yield backend
    await backend.close()


@pytest.fixture
async def bucket(store: FilesystemBackend) -> Bucket:
    return await create_bucket(store, "bucket")


def files(store: FilesystemBackend, pattern: str) -> list[Path]:
    return [path for path in Path(store.store.root).glob(f"buckets/*/{pattern}") if path.is_file()]


def only_file(store: FilesystemBackend, pattern: str) -> Path:
    (path,) = files(store, pattern)
    return path


def flip(path: Path, place: int) -> None:
    """Change one bit of a file, in place."""
    with path.open("r+b") as file:
        file.seek(place, os.SEEK_SET if place >= 0 else os.SEEK_END)
        byte = file.read(1)
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([byte[0] ^ 0x10]))


def cut(path: Path, by: int) -> None:
    os.truncate(path, path.stat().st_size - by)


CRCS: Final = -(-SIZE // PIECE_SIZE) * 8
DAMAGES: Final[dict[str, Damage]] = {
    "the first byte": lambda path: flip(path, 0),
    "the last byte": lambda path: flip(path, SIZE - 1),
    "the first checksum": lambda path: flip(path, SIZE),
    "the last checksum": lambda path: flip(path, SIZE + CRCS - 1),
    "cut by the trailer and one checksum": lambda path: cut(path, TRAILER.size + 8),
    "cut in the middle": lambda path: os.truncate(path, SIZE // 2),
    "cut at a piece": lambda path: os.truncate(path, 4 * PIECE_SIZE),
    "empty": lambda path: os.truncate(path, 0),
    "another file's bytes": lambda path: path.write_bytes(some_bytes(SIZE + CRCS + TRAILER.size, 9)),
    "gone": os.unlink,
}


async def told(store: FilesystemBackend, bucket: Bucket, key: str) -> str:
    """What is said of an object that cannot be read whole."""
    version = await store.get_version(bucket, key)
    with pytest.raises(InternalError) as caught:
        await content_of(store, bucket, version)
    return str(caught.value)


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
async def test_a_damaged_data_file_is_told_and_no_wrong_byte_is_given(
    store: FilesystemBackend, bucket: Bucket, damage: Damage
) -> None:
    stored = await put(store, bucket, "key", DATA)
    damage(only_file(store, "data/*/*/*"))
    message = await told(store, bucket, "key")
    assert stored.content in message
    assert "Restore" in message
    await check_no_wrong_byte(store, bucket, stored)


async def check_no_wrong_byte(store: FilesystemBackend, bucket: Bucket, version: ObjectVersion) -> None:
    assert version.body is not None
    given = b""
    with suppress(InternalError):
        async for run in store.read_blob(bucket, version.body.blob, 0, version.size):
            given += run
    assert DATA.startswith(given)
    assert len(given) < version.size


async def test_a_range_beside_the_damage_is_given(store: FilesystemBackend, bucket: Bucket) -> None:
    stored = await put(store, bucket, "key", DATA)
    flip(only_file(store, "data/*/*/*"), PIECE_SIZE)
    assert stored.body is not None
    assert await read(store, bucket, stored.body.blob, 10, PIECE_SIZE) == DATA[10:PIECE_SIZE]
    assert await read(store, bucket, stored.body.blob, 2 * PIECE_SIZE) == DATA[2 * PIECE_SIZE :]
    with pytest.raises(InternalError):
        await read(store, bucket, stored.body.blob, PIECE_SIZE + 100, PIECE_SIZE + 101)


async def test_damaged_bytes_are_not_copied(store: FilesystemBackend, bucket: Bucket) -> None:
    stored = await put(store, bucket, "key", DATA)
    flip(only_file(store, "data/*/*/*"), SIZE - 1)
    assert stored.body is not None
    with pytest.raises(InternalError):
        await store.copy_blob(bucket, stored.body.blob, bucket, "copy")


@pytest.mark.parametrize("place", [-1, -3 * KIB])
async def test_a_damaged_small_body_is_told(store: FilesystemBackend, bucket: Bucket, place: int) -> None:
    await put(store, bucket, "key", DATA[: 3 * KIB])
    flip(only_file(store, "versions/*/*/*"), place)
    assert "damaged" in await told(store, bucket, "key")


@pytest.mark.parametrize("by", [1, 100, 3 * KIB])
async def test_a_small_body_cut_short_is_told(store: FilesystemBackend, bucket: Bucket, by: int) -> None:
    await put(store, bucket, "key", DATA[: 3 * KIB])
    cut(only_file(store, "versions/*/*/*"), by)
    assert "damaged" in await told(store, bucket, "key")


async def test_a_damaged_part_is_told(store: FilesystemBackend, bucket: Bucket) -> None:
    await put_in_parts(store, bucket, "key", b"small", DATA)
    (data,) = (path for path in files(store, "data/*/*/*") if path.suffix != ".parts")
    flip(data, 100)
    assert "damaged" in await told(store, bucket, "key")


@pytest.mark.parametrize("damage", [os.unlink, lambda path: os.truncate(path, 0), lambda path: os.truncate(path, 99)])
async def test_a_lost_list_of_parts_is_told_and_its_bytes_are_left_alone(
    store: FilesystemBackend, bucket: Bucket, damage: Damage
) -> None:
    stored = await put_in_parts(store, bucket, "key", DATA, DATA)
    damage(only_file(store, "data/*/*/*.parts"))
    assert stored.content in await told(store, bucket, "key")
    await write(store, bucket, DATA, "key")
    assert (await collect_all(store)).blobs == 0


DAMAGED_RECORDS: Final[dict[str, Damage]] = {
    "empty": lambda path: os.truncate(path, 0),
    "cut short": lambda path: os.truncate(path, 40),
    "no JSON": lambda path: flip(path, 0),
    "zeros": lambda path: path.write_bytes(bytes(100)),
    "a field missing": lambda path: path.write_bytes(b'{"key":"key","modified":0}\n'),
    "no document": lambda path: path.write_bytes(b"[]\n"),
}


@pytest.mark.parametrize("damage", DAMAGED_RECORDS.values(), ids=DAMAGED_RECORDS)
async def test_a_damaged_record_is_told_and_hides_no_other(
    store: FilesystemBackend, bucket: Bucket, tmp_path: Path, damage: Damage
) -> None:
    await put(store, bucket, "key", b"data")
    damage(only_file(store, "versions/*/*/*"))
    await put(store, bucket, "other", b"data")
    with pytest.raises(InternalError, match="damaged"):
        await store.get_version(bucket, "key")
    with pytest.raises(InternalError, match="damaged"):
        await put(store, bucket, "key", b"new")
    await store.close()
    os.unlink(f"{store.store.root}/index.sqlite")
    again = FilesystemBackend(tmp_path / "store", durable=False)
    await again.open()
    assert await keys(again, bucket) == ["other"]
    assert await get(again, bucket, "other") == b"data"
    await again.close()


async def test_the_collector_leaves_alone_what_a_damaged_record_may_own(
    store: FilesystemBackend, bucket: Bucket
) -> None:
    versioned = await set_versioning(store, "bucket", "Enabled")
    stored = await put(store, versioned, "key", DATA)
    sidecar = only_file(store, "versions/*/*/*")
    record = sidecar.read_bytes()
    os.truncate(sidecar, 10)
    await write(store, versioned, DATA, "key")
    await write(store, versioned, DATA, "other")
    assert (await collect_all(store)).blobs == 1
    sidecar.write_bytes(record)
    assert await get(store, versioned, "key") == DATA
    assert (await collect_all(store)).blobs == 1
    assert (await store.get_version(versioned, "key")).content == stored.content
