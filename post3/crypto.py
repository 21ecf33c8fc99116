"""Encryption at rest: plain bytes to blocks as they are stored, and back.

Each part of an object has a data key of its own, 32 random bytes, which encrypts nothing else. It is kept with the
part, wrapped by a named master key: without that, a store is of no use.

A stored block is exactly 1 MiB: 16 bytes less of plain text, encrypted by AES-256-GCM, and its tag of 16 bytes; the
last block is shorter. So stored blocks stay the stores' own blocks, block n of the one is block n of the other, and a
range is decrypted from the whole blocks under it. The nonce of a block is the part's, 8 random bytes, and the block's
number in 4. Number and "is this the last?" are authenticated too: a block that was changed, moved, repeated, dropped,
or cut off at the end decrypts to an error. No byte of a block is given before all of it is verified (NIST SP 800-38D).

A data key is wrapped for one place (bucket, key, part) under a key derived for this one wrapping by HMAC-SHA256 from
the master key and 16 random bytes: a wrapped key does not open in another place, and a master key never comes near the
number of random nonces that GCM allows, however many objects there are.
"""

from __future__ import annotations

import asyncio
import hmac
import json
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple

from post3._chunker import BLOCK_SIZE, piece_crcs
from post3.errors import InternalError
from post3.model.encryption import ALGORITHM, Encryption, Envelope
from post3.model.kms import MasterKeys
from post3.model.object import Block

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

TAG_SIZE: Final = 16
PLAIN_BLOCK: Final = BLOCK_SIZE - TAG_SIZE
"""Bytes of plain text in a stored block, but for the last."""
KEY_SIZE: Final = 32
NONCE_SIZE: Final = 8
SALT_SIZE: Final = 16
WORTH_A_THREAD: Final = 64 * 1024
"""Bytes from which a block is encrypted or decrypted beside the event loop."""
_WRAPPING: Final = b"post3 data key 1"
_ONLY_NONCE: Final = bytes(12)
"""Of a wrapping, whose key wraps nothing else."""


class Place(NamedTuple):
    """Where a part is: its data key opens nowhere else."""

    bucket: str
    key: str
    number: int


def stored_size(size: int) -> int:
    """Bytes that so many bytes of plain text take."""
    return size + -(-size // PLAIN_BLOCK) * TAG_SIZE


def stored_range(size: int, start: int, stop: int) -> tuple[int, int]:
    """Where the whole blocks lie that hold the plain text from start to before stop, of a part of so many bytes."""
    first, end = start // PLAIN_BLOCK, -(-stop // PLAIN_BLOCK)
    return first * BLOCK_SIZE, min(end * BLOCK_SIZE, stored_size(size))


@dataclass(frozen=True, slots=True)
class BlockCipher:
    """The data key of a part, at work."""

    _key: AESGCM = field(repr=False)
    _nonce: bytes

    def encrypt(self, number: int, plain: memoryview, *, is_last: bool) -> Block:
        """The block of this number as it is stored."""
        data = self._key.encrypt(self._nonce + number.to_bytes(4, "big"), plain, _said_of(number, is_last))
        return Block(data, piece_crcs(data))

    def decrypt(self, number: int, stored: memoryview, *, is_last: bool) -> bytes:
        """The plain text of the block of this number. Raises InternalError for any other bytes than those it had."""
        from cryptography.exceptions import InvalidTag  # noqa: PLC0415  # late, as in `_aes`

        try:
            return self._key.decrypt(self._nonce + number.to_bytes(4, "big"), stored, _said_of(number, is_last))
        except InvalidTag:
            raise InternalError(
                f"Block {number} of the stored bytes does not decrypt: it is damaged, or was changed. Restore it from "
                "a backup."
            ) from None


def _said_of(number: int, is_last: bool) -> bytes:
    return number.to_bytes(8, "big") + (b"\1" if is_last else b"\0")


@dataclass(frozen=True, slots=True)
class Seal:
    """What encrypts one part, and what decrypts it again one day."""

    envelope: Envelope
    _cipher: BlockCipher

    async def blocks(self, plain: AsyncIterator[Block]) -> AsyncIterator[Block]:
        """The blocks to store. Whatever `plain` raises before its end comes out before the last of them."""
        number = 0
        async for data, is_last in recut(_data_of(plain), PLAIN_BLOCK):
            if len(data) < WORTH_A_THREAD:
                yield self._cipher.encrypt(number, data, is_last=is_last)
            else:
                yield await asyncio.to_thread(self._cipher.encrypt, number, data, is_last=is_last)
            number += 1


def new_seal(keys: MasterKeys, wanted: Encryption, place: Place) -> Seal:
    """A new data key. Raises EncryptionNotConfigured and KMSNotFoundException."""
    key_id = keys.choose(wanted)
    data_key, nonce = os.urandom(KEY_SIZE), os.urandom(NONCE_SIZE)
    wrapped = _wrap(keys.find(key_id), data_key, _context(wanted.kind, key_id, place))
    return Seal(Envelope(wanted.kind, key_id, wrapped, nonce), BlockCipher(_aes(data_key), nonce))


def move_seal(keys: MasterKeys, envelope: Envelope, source: Place, wanted: Encryption, target: Place) -> Envelope:
    """The envelope of the same stored bytes in another place, under the master key that is wanted there."""
    key_id = keys.choose(wanted)
    wrapped = _wrap(keys.find(key_id), _unwrap(keys, envelope, source), _context(wanted.kind, key_id, target))
    return Envelope(wanted.kind, key_id, wrapped, envelope.nonce)


def opened(keys: MasterKeys, envelope: Envelope, place: Place) -> BlockCipher:
    """What decrypts a part. Raises KMSNotFoundException, and InternalError when the key is another than it was."""
    return BlockCipher(_aes(_unwrap(keys, envelope, place)), envelope.nonce)


async def decrypted(
    stored: AsyncIterator[bytes], cipher: BlockCipher, size: int, start: int, stop: int
) -> AsyncIterator[bytes]:
    """The plain text from start to before stop of a part of so many bytes, given what lies in their stored_range.

    Raises InternalError for a block that is not what was encrypted, before any byte of it is given.
    """
    number, last = start // PLAIN_BLOCK, -(-size // PLAIN_BLOCK) - 1
    position = number * PLAIN_BLOCK
    async for data, _ in recut(stored, BLOCK_SIZE):
        if len(data) < WORTH_A_THREAD:
            plain = cipher.decrypt(number, data, is_last=number == last)
        else:
            plain = await asyncio.to_thread(cipher.decrypt, number, data, is_last=number == last)
        yield plain[max(start - position, 0) : stop - position]
        position += len(plain)
        number += 1
    if position < stop:
        raise InternalError("The stored bytes are cut short. Restore them from a backup.")


async def recut(pieces: AsyncIterator[bytes], size: int) -> AsyncIterator[tuple[memoryview, bool]]:
    """The same bytes in pieces of this size, and whether each is the last, which may be shorter.

    A piece is held back until a byte behind it is seen, and what is given is valid until the next is asked for.
    """
    held: list[memoryview] = []
    count = 0
    joiner = _Joiner()
    async for piece in pieces:
        rest = memoryview(piece)
        while rest:
            if count == size:
                yield joiner.join(held, count), False
                held, count = [], 0
            taken, rest = rest[: size - count], rest[size - count :]
            held.append(taken)
            count += len(taken)
    if held:
        yield joiner.join(held, count), True


class _Joiner:
    """Joins pieces in one buffer, again and again: fresh memory for each block costs more than the copy."""

    def __init__(self) -> None:
        self._buffer = memoryview(b"")

    def join(self, pieces: list[memoryview], size: int) -> memoryview:
        """The pieces, of this size together, as one."""
        if len(pieces) == 1:
            return pieces[0]
        if len(self._buffer) < size:
            self._buffer = memoryview(bytearray(size))
        end = 0
        for piece in pieces:
            start, end = end, end + len(piece)
            self._buffer[start:end] = piece
        return self._buffer[:size]


async def _data_of(blocks: AsyncIterator[Block]) -> AsyncIterator[bytes]:
    async for block in blocks:
        yield block.data


def _context(kind: str, key_id: str, place: Place) -> bytes:
    """What a wrapped key is bound to."""
    return json.dumps([ALGORITHM, kind, key_id, *place]).encode("ascii")


def _wrap(master_key: bytes, data_key: bytes, context: bytes) -> bytes:
    salt = os.urandom(SALT_SIZE)
    return salt + _wrapping(master_key, salt).encrypt(_ONLY_NONCE, data_key, context)


def _unwrap(keys: MasterKeys, envelope: Envelope, place: Place) -> bytes:
    if envelope.algorithm != ALGORITHM:
        raise InternalError(
            f"The stored bytes are encrypted by {envelope.algorithm!r}, which this post3 does not know."
        )
    from cryptography.exceptions import InvalidTag  # noqa: PLC0415  # late, as in `_aes`

    salt, wrapped = envelope.wrapped_key[:SALT_SIZE], envelope.wrapped_key[SALT_SIZE:]
    context = _context(envelope.kind, envelope.key_id, place)
    try:
        return _wrapping(keys.find(envelope.key_id), salt).decrypt(_ONLY_NONCE, wrapped, context)
    except InvalidTag:
        raise InternalError(
            f"The master key {envelope.key_id!r} does not open the object's key: it is another than it was, or the "
            "record is damaged, or was changed."
        ) from None


def _wrapping(master_key: bytes, salt: bytes) -> AESGCM:
    return _aes(hmac.digest(master_key, _WRAPPING + salt, "sha256"))


def _aes(key: bytes) -> AESGCM:
    # Late: most servers encrypt nothing, and need not carry its memory.
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: PLC0415

    return AESGCM(key)
