"""Bytes: files of blocks, each with the CRCs of its pieces behind the last byte; and the ledger of what nothing owns.

A data file is the blocks one behind the other, then 8 bytes of CRC64NVME for each 64 KiB piece, then a trailer of 32
bytes: magic, version, size, and the CRC64NVME of the table. So a file can be checked by itself.

It is written under its final name. Its ledger entry is on the disk before its first byte, and nothing refers to it
before it is whole and synced, so a file that was cut short is seen by the collector alone.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import secrets
import struct
import threading
from collections.abc import AsyncIterator, Callable
from typing import Final

from post3._chunker import BLOCK_SIZE, PIECE_SIZE, crc64nvme
from post3.errors import InternalError, NoSuchBucket
from post3.model.bucket import Bucket
from post3.model.object import Blob, Block, ObjectVersion
from post3.storage.filesystem.durable import write_all
from post3.storage.filesystem.layout import (
    KeyPlace,
    bucket_stripe,
    content_id,
    data_file,
    key_stripe,
    ledger_file,
    parts_file,
    trash_folder,
)
from post3.storage.filesystem.sidecar import dump
from post3.storage.filesystem.store import Store, logger
from post3.storage.pieces import CRC_SIZE, check_pieces, widened

INLINE: Final = 16 * 1024
"""Bytes of a body up to which it stands in its owner's sidecar: one file and one sync instead of two."""
SMALL_READ: Final = 128 * 1024
"""Bytes up to which a read stays on the event loop: a trip to a thread costs more than a warm read."""
FIRST_READ: Final = PIECE_SIZE
WRITE: Final = 128 * 1024
"""Bytes of one write. For more the kernel takes larger runs of free memory, which a virtual machine may have given back
to its host, and waits for each page of them (docs/decisions/0026)."""
TRAILER: Final = struct.Struct(">8sQQQ")
MAGIC: Final = b"post3dat"
TRAILER_VERSION: Final = 1


class FilesystemBlobs:
    """The role Blobs, but for what frees them (garbage.py)."""

    store: Store

    async def write_blob(self, bucket: Bucket, key: str, blocks: AsyncIterator[Block]) -> Blob:
        """See Blobs."""
        self.store.check_there(bucket)
        place = self.store.place(bucket, key)
        first = await anext(blocks, None)
        second = await anext(blocks, None) if first is not None else None
        if second is None and (first is None or len(first.data) <= INLINE):
            block = first or Block(b"", b"")
            return Blob(content_id(place, secrets.token_hex(14)), len(block.data), block)
        file = DataFile(self.store, bucket, place)
        start = [block for block in (first, second) if block is not None]
        writing = asyncio.ensure_future(self.store.run(file.begin, start))
        try:
            if second is not None:
                async for block in blocks:  # which comes while the one before is written
                    await writing
                    writing = asyncio.ensure_future(self.store.run(file.write, block))
            await writing
            return await self.store.run(file.finish)
        except BaseException:
            if not writing.cancel() and not writing.cancelled():
                writing.exception()  # looked at, or asyncio would tell of it later
            # Not awaited: it waits for a write that is under way, and the caller may be gone.
            self.store.threads.submit(file.discard)
            raise

    async def read_blob(self, bucket: Bucket, blob: Blob, start: int, stop: int) -> AsyncIterator[bytes]:
        """See Blobs. The first run is one piece, so that a client sees a byte early; then a block at a time."""
        if blob.inline is not None:
            check_pieces(blob.inline.data, blob.inline.crcs, blob.id)
            if start < stop:
                yield blob.inline.data[start:stop]
            return
        folder = self.store.folder(bucket)
        file = OpenFile(self.store, folder, blob)
        try:
            small = stop - start <= SMALL_READ
            position, length = start, FIRST_READ
            while position < stop:
                end = min(stop, (position + length) // PIECE_SIZE * PIECE_SIZE)
                if small:
                    yield file.read(position, stop)
                    return
                yield await self.store.run(file.read, position, end)
                position, length = end, BLOCK_SIZE
        finally:
            file.close()

    @contextlib.asynccontextmanager
    async def hold(self, bucket: Bucket, version: ObjectVersion) -> AsyncIterator[None]:
        """See Blobs. One file is held, of several the list of them: the collector takes all or nothing."""
        if not version.parts and (version.body is None or version.body.blob.inline is not None):
            yield
            return
        fd = open_held(self.store.folder(bucket), version.content, parts_file if version.parts else data_file)
        try:
            yield
        finally:
            os.close(fd)

    async def copy_blob(self, bucket: Bucket, blob: Blob, target: Bucket, key: str) -> Blob:
        """See Blobs. The bytes are read, checked, and written block by block."""
        self.store.check(bucket)
        self.store.check(target)
        return await self.write_blob(target, key, self._blocks(bucket, blob))

    async def _blocks(self, bucket: Bucket, blob: Blob) -> AsyncIterator[Block]:
        if blob.inline is not None:
            if blob.size:
                yield blob.inline
            return
        file = OpenFile(self.store, self.store.folder(bucket), blob)
        try:
            for start in range(0, blob.size, BLOCK_SIZE):
                yield await self.store.run(file.block, start, min(start + BLOCK_SIZE, blob.size))
        finally:
            file.close()


def condemn(store: Store, place: KeyPlace, content: str) -> None:
    """Enter bytes into the ledger, durably, before their owner lets go of them."""
    store.disk.replace(ledger_file(place.folder, content), dump({"key": place.key}))


def forgive(entry: str) -> None:
    """Take bytes that have an owner now out of the ledger.

    Not synced, and no failure of the change that gave them an owner: whoever meets an entry looks for an owner first.
    """
    try:
        os.unlink(entry)
    except OSError as error:
        logger.warning("an entry of the ledger is left to the collector: %s", error)


def payload_size(path: str) -> int:
    """Bytes of the blob in a data file: what its trailer says, or all that there is where it was cut short."""
    with open(path, "rb") as file:
        whole = file.seek(0, os.SEEK_END)
        file.seek(max(0, whole - TRAILER.size))
        trailer = file.read()
    if len(trailer) == TRAILER.size and trailer.startswith(MAGIC):
        return int(TRAILER.unpack(trailer)[2])
    return whole


class DataFile:
    """A data file on its way: begun, written block by block, finished or discarded; used by one thread at a time."""

    def __init__(self, store: Store, bucket: Bucket, place: KeyPlace) -> None:
        self._store = store
        self._bucket = bucket
        self._place = place
        self._content = content_id(place, secrets.token_hex(14))
        self._busy = threading.Lock()
        self._fd = -1
        self._ended = False
        self._size = 0
        self._crcs: list[bytes] = []

    @property
    def _path(self) -> str:
        return data_file(self._place.folder, self._content)

    def begin(self, blocks: list[Block]) -> None:
        """Enter the ledger, and write the first blocks."""
        stripe = key_stripe(self._place.folder, self._place.stem)
        locks = self._store.locks
        with self._busy, locks.shared(bucket_stripe(self._bucket.name)), locks.held(stripe):
            if self._ended:
                return
            # No folder is made for a bucket that is being deleted.
            if not os.path.exists(self._place.folder):
                raise NoSuchBucket(BucketName=self._bucket.name)
            # With the key's lock held: between these the collector would find an entry without bytes, and forget it.
            condemn(self._store, self._place, self._content)
            self._fd = self._store.disk.create(self._path)
            # Held as long as the file is open: slow is not dead, and the collector sees it by this lock.
            fcntl.flock(self._fd, fcntl.LOCK_SH)
        for block in blocks:
            self.write(block)

    def write(self, block: Block) -> None:
        """Write one block."""
        with self._busy:
            if self._ended:
                return
            data = memoryview(block.data)
            write_all(self._fd, *(data[start : start + WRITE] for start in range(0, len(data), WRITE)))
            self._size += len(block.data)
            self._crcs.append(block.crcs)

    def finish(self) -> Blob:
        """Write what makes the file whole, and bring it to the disk."""
        with self._busy:
            table = b"".join(self._crcs)
            write_all(self._fd, table, TRAILER.pack(MAGIC, TRAILER_VERSION, self._size, crc64nvme(table)))
            self._store.disk.sync(self._fd)
            try:
                self._store.disk.sync_folder(os.path.dirname(self._path))
                # However long this took, the time that the bytes may wait for an owner begins now.
                os.utime(ledger_file(self._place.folder, self._content))
            except FileNotFoundError:
                raise NoSuchBucket(BucketName=self._bucket.name) from None
            self._close()
            return Blob(self._content, self._size)

    def discard(self) -> None:
        """Remove what was written, when the write that is under way has ended."""
        try:
            with self._busy:
                self._unlink()
        except OSError:
            logger.exception("bytes that were not wanted are left to the collector")

    def _unlink(self) -> None:
        # Closed last: until then the collector takes it for a file that is being written.
        try:
            for path in (self._path, ledger_file(self._place.folder, self._content)):
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(path)
        finally:
            self._close()

    def _close(self) -> None:
        self._ended = True
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def open_held(folder: str, content: str, place: Callable[[str, str], str]) -> int:
    """Open a file of these bytes to read, and hold it. Raises InternalError when it is gone.

    Bytes that lost their owner, or their bucket, meanwhile stay as long as somebody holds them.
    """
    for where in (folder, trash_folder(folder)):
        try:
            fd = os.open(place(where, content), os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except FileNotFoundError:
            continue
        fcntl.flock(fd, fcntl.LOCK_SH)
        return fd
    raise InternalError(f"The stored bytes {content} are gone. Restore them from a backup.")


class OpenFile:
    """A data file that is being read: its pieces are checked before their bytes are given."""

    def __init__(self, store: Store, folder: str, blob: Blob) -> None:
        """Open it. Raises InternalError when it is gone."""
        self._store = store
        self._blob = blob
        self._busy = threading.Lock()
        self._closed = False
        self._fd = open_held(folder, blob.id, data_file)

    def block(self, start: int, stop: int) -> Block:
        """Whole pieces with their CRCs."""
        with self._busy:
            if self._closed:
                return Block(b"", b"")
            data = self._exactly(stop - start, start)
            pieces = -(-len(data) // PIECE_SIZE)
            crcs = self._exactly(pieces * CRC_SIZE, self._blob.size + start // PIECE_SIZE * CRC_SIZE)
        check_pieces(data, crcs, self._blob.id)
        return Block(data, crcs)

    def read(self, start: int, stop: int) -> bytes:
        """The bytes from start to before stop; the pieces they are in are read and checked whole."""
        first, last = widened(start, stop, self._blob.size)
        data = self.block(first, last).data
        return data if (first, last) == (start, stop) else data[start - first : stop - first]

    def close(self) -> None:
        """Close it; a read that was given up but is still under way in its thread ends first."""
        if self._busy.acquire(blocking=False):
            self._closed = True
            os.close(self._fd)
            self._busy.release()
        else:
            self._store.threads.submit(self._close_later)

    def _close_later(self) -> None:
        with self._busy:
            self._closed = True
            os.close(self._fd)

    def _exactly(self, size: int, offset: int) -> bytes:
        data = os.pread(self._fd, size, offset)
        while len(data) < size:
            more = os.pread(self._fd, size - len(data), offset + len(data))
            if not more:
                raise InternalError(f"The stored bytes {self._blob.id} are cut short. Restore them from a backup.")
            data += more
        return data
