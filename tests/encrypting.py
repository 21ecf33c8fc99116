"""What tests of encryption work with: master keys, places, and parts encrypted in memory."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from typing import Final, NamedTuple

from post3._chunker import piece_crcs
from post3.crypto import Place, decrypted, new_seal, opened, stored_range
from post3.model.encryption import Encryption, Envelope
from post3.model.kms import MasterKeys
from post3.model.object import Block
from tests.conftest import blocks_of, stream_of

KEYS: Final = MasterKeys("one", {"one": bytes(range(32)), "two": bytes(range(32, 64))})
SSE_S3: Final = Encryption("AES256")
HERE: Final = Place("photos", "a/é \udcff", 3)


class Sealed(NamedTuple):
    """A part as it is stored."""

    envelope: Envelope
    blocks: list[Block]

    @property
    def data(self) -> bytes:
        return b"".join(block.data for block in self.blocks)


async def seal(data: bytes, wanted: Encryption = SSE_S3, place: Place = HERE, keys: MasterKeys = KEYS) -> Sealed:
    """The bytes, cut as a body is, encrypted."""
    made = new_seal(keys, wanted, place)
    blocks = [block async for block in made.blocks(stream_of(blocks_of(data)))]
    assert all(block.crcs == piece_crcs(block.data) for block in blocks)
    return Sealed(made.envelope, blocks)


async def pieces_of(data: bytes, sizes: Iterable[int] = ()) -> AsyncIterator[bytes]:
    """The bytes in pieces of these sizes, then all the rest."""
    start = 0
    for size in sizes:
        if start + size >= len(data):
            break
        yield data[start : start + size]
        start += size
    if start < len(data):
        yield data[start:]


async def unseal(
    sealed: Sealed,
    size: int,
    start: int = 0,
    stop: int | None = None,
    *,
    stored: bytes | None = None,
    place: Place = HERE,
    keys: MasterKeys = KEYS,
    sizes: Iterable[int] = (),
) -> bytes:
    """The plain bytes from start to stop of a part of this size; of other stored bytes where those are given."""
    stop = size if stop is None else stop
    cipher = opened(keys, sealed.envelope, place)
    first, last = stored_range(size, start, stop)
    of_store = pieces_of((sealed.data if stored is None else stored)[first:last], sizes)
    return b"".join([run async for run in decrypted(of_store, cipher, size, start, stop)])
