"""Encryption at rest: sizes, what a part is bound to, what is detected, and that no nonce is used twice."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from post3 import crypto
from post3._chunker import BLOCK_SIZE
from post3.crypto import PLAIN_BLOCK, TAG_SIZE, Place, move_seal, new_seal, recut, stored_range, stored_size
from post3.errors import EncryptionNotConfigured, InternalError, KMSNotFoundException
from post3.model.encryption import Encryption
from post3.model.kms import NO_KEYS, MasterKeys
from post3.model.object import Block
from tests.conftest import some_bytes, stream_of
from tests.encrypting import HERE, KEYS, SSE_S3, pieces_of, seal, unseal

EDGES = (0, 1, 15, 16, PLAIN_BLOCK - 1, PLAIN_BLOCK, PLAIN_BLOCK + 1, BLOCK_SIZE, 2 * PLAIN_BLOCK, 2 * PLAIN_BLOCK + 1)


@pytest.mark.parametrize("size", EDGES)
async def test_what_is_encrypted_decrypts_to_the_same(size: int) -> None:
    data = some_bytes(size)
    sealed = await seal(data)

    assert len(sealed.data) == stored_size(size)
    assert all(len(block.data) == BLOCK_SIZE for block in sealed.blocks[:-1])
    assert await unseal(sealed, size) == data


async def test_a_stored_block_is_the_block_and_its_tag() -> None:
    data = some_bytes(PLAIN_BLOCK + 10)
    sealed = await seal(data)

    assert [len(block.data) for block in sealed.blocks] == [BLOCK_SIZE, 10 + TAG_SIZE]
    assert data[:64] not in sealed.data


def test_a_range_lies_in_the_whole_blocks_under_it() -> None:
    size = 3 * PLAIN_BLOCK + 5
    assert stored_range(size, 0, 1) == (0, BLOCK_SIZE)
    assert stored_range(size, PLAIN_BLOCK - 1, PLAIN_BLOCK + 1) == (0, 2 * BLOCK_SIZE)
    assert stored_range(size, PLAIN_BLOCK, 2 * PLAIN_BLOCK) == (BLOCK_SIZE, 2 * BLOCK_SIZE)
    assert stored_range(size, size - 1, size) == (3 * BLOCK_SIZE, stored_size(size))


async def test_bytes_are_cut_anew_and_the_last_piece_is_known() -> None:
    async def cut(data: bytes, size: int, *sizes: int) -> list[tuple[bytes, bool]]:
        return [(bytes(piece), is_last) async for piece, is_last in recut(pieces_of(data, sizes), size)]

    assert await cut(b"", 3) == []
    assert await cut(b"abc", 3, 1, 1) == [(b"abc", True)]
    assert await cut(b"abcdefg", 3, 1, 5) == [(b"abc", False), (b"def", False), (b"g", True)]
    assert await cut(b"abcdef", 3, 6) == [(b"abc", False), (b"def", True)]


# What a part is bound to


@pytest.mark.parametrize("place", [HERE._replace(bucket="other"), HERE._replace(key="b"), HERE._replace(number=4)])
async def test_a_part_does_not_open_in_another_place(place: Place) -> None:
    sealed = await seal(b"data")
    with pytest.raises(InternalError, match="does not open the object's key"):
        await unseal(sealed, 4, place=place)


async def test_the_envelope_cannot_be_changed() -> None:
    sealed = await seal(b"data", Encryption("aws:kms", "one"))
    envelope = sealed.envelope
    wrapped = bytearray(envelope.wrapped_key)
    wrapped[-1] ^= 1
    for changed in (
        replace(envelope, kind="AES256"),
        replace(envelope, key_id="two"),
        replace(envelope, wrapped_key=bytes(wrapped)),
        replace(envelope, wrapped_key=envelope.wrapped_key[:20]),
        replace(envelope, nonce=bytes(8)),
    ):
        with pytest.raises(InternalError):
            await unseal(sealed._replace(envelope=changed), 4)
    with pytest.raises(InternalError, match="'AES-512', which this post3 does not know"):
        await unseal(sealed._replace(envelope=replace(envelope, algorithm="AES-512")), 4)


async def test_another_key_of_the_same_name_opens_nothing() -> None:
    sealed = await seal(b"data")
    with pytest.raises(InternalError, match="'one' does not open the object's key: it is another than it was"):
        await unseal(sealed, 4, keys=MasterKeys("one", {"one": bytes(32)}))


async def test_a_key_that_is_gone_is_named() -> None:
    sealed = await seal(b"data")
    with pytest.raises(KMSNotFoundException, match="'one'"):
        await unseal(sealed, 4, keys=MasterKeys("two", {"two": KEYS.keys["two"]}))


def test_without_keys_nothing_is_encrypted() -> None:
    with pytest.raises(EncryptionNotConfigured):
        new_seal(NO_KEYS, SSE_S3, HERE)
    with pytest.raises(KMSNotFoundException):
        new_seal(KEYS, Encryption("aws:kms", "three"), HERE)


async def test_the_default_may_change_and_what_is_stored_stays_readable() -> None:
    sealed = await seal(b"data")
    rotated = replace(KEYS, default="two")
    assert await unseal(sealed, 4, keys=rotated) == b"data"
    assert (sealed.envelope.key_id, (await seal(b"data", keys=rotated)).envelope.key_id) == ("one", "two")


async def test_a_copy_keeps_the_bytes_and_gets_an_envelope_of_its_own() -> None:
    sealed, there = await seal(b"data"), Place("other", "copy", 1)
    moved = move_seal(KEYS, sealed.envelope, HERE, Encryption("aws:kms", "two"), there)

    assert (moved.kind, moved.key_id) == ("aws:kms", "two")
    assert moved.wrapped_key != sealed.envelope.wrapped_key
    assert await unseal(sealed._replace(envelope=moved), 4, place=there) == b"data"
    with pytest.raises(InternalError):
        await unseal(sealed._replace(envelope=moved), 4)


# What is detected

SIZE = 3 * PLAIN_BLOCK + 100


@pytest.mark.parametrize("order", ["1023", "012", "0132", "0023", "0213", "0113", "1123", "0122", "3210"])
async def test_blocks_that_are_swapped_dropped_or_repeated_are_detected(order: str) -> None:
    sealed = await seal(some_bytes(SIZE))
    stored = b"".join(sealed.blocks[int(number)].data for number in order)
    with pytest.raises(InternalError):
        await unseal(sealed, SIZE, stored=stored)


@pytest.mark.parametrize("size", [PLAIN_BLOCK, 2 * PLAIN_BLOCK, 3 * PLAIN_BLOCK])
async def test_a_part_that_is_cut_off_between_blocks_is_detected_also_when_its_record_says_so(size: int) -> None:
    sealed = await seal(some_bytes(SIZE))
    with pytest.raises(InternalError, match="does not decrypt"):
        await unseal(sealed, size)


async def test_a_part_cannot_be_made_longer() -> None:
    sealed = await seal(some_bytes(2 * PLAIN_BLOCK))
    with pytest.raises(InternalError):
        await unseal(sealed, 3 * PLAIN_BLOCK, stored=sealed.data + sealed.blocks[-1].data)


async def test_the_block_of_another_part_is_detected() -> None:
    data = some_bytes(2 * PLAIN_BLOCK)
    one, other = await seal(data), await seal(data)
    assert one.data != other.data
    with pytest.raises(InternalError):
        await unseal(one, len(data), stored=one.blocks[0].data + other.blocks[1].data)


async def test_nothing_of_a_block_is_given_before_all_of_it_is_verified() -> None:
    data = some_bytes(2 * PLAIN_BLOCK)
    sealed = await seal(data)
    damaged = bytearray(sealed.data)
    damaged[-TAG_SIZE - 1] ^= 1  # the very last byte of the text
    cipher = crypto.opened(KEYS, sealed.envelope, HERE)
    runs = crypto.decrypted(pieces_of(bytes(damaged)), cipher, len(data), 0, len(data))
    assert await anext(runs) == data[:PLAIN_BLOCK]
    with pytest.raises(InternalError):
        await anext(runs)


async def test_bytes_that_end_early_are_told_as_such() -> None:
    sealed = await seal(some_bytes(SIZE))
    with pytest.raises(InternalError, match="cut short"):
        await unseal(sealed, SIZE, stored=sealed.data[:BLOCK_SIZE])


async def test_what_is_wrong_with_a_body_comes_out_before_its_last_block() -> None:
    async def broken() -> AsyncIterator[Block]:
        for data in (bytes(BLOCK_SIZE), b"more"):
            yield Block(data, b"")
        raise ConnectionError

    blocks = new_seal(KEYS, SSE_S3, HERE).blocks(broken())
    assert len((await anext(blocks)).data) == BLOCK_SIZE
    with pytest.raises(ConnectionError):
        await anext(blocks)


# Nonces


async def test_no_key_meets_a_nonce_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    used: list[tuple[bytes, bytes]] = []

    class Watched:
        def __init__(self, key: bytes) -> None:
            self._key, self._cipher = key, AESGCM(key)

        def encrypt(self, nonce: bytes, data: bytes, said: bytes) -> bytes:
            used.append((self._key, nonce))
            return self._cipher.encrypt(nonce, data, said)

    monkeypatch.setattr(crypto, "_aes", Watched)
    for size in (0, 1, 4 * PLAIN_BLOCK, 4 * PLAIN_BLOCK):
        made = new_seal(KEYS, SSE_S3, HERE)
        async for _ in made.blocks(stream_of([Block(bytes(size), b"")] if size else [])):
            pass
    assert len(used) == 4 + 1 + 4 + 4
    assert len(set(used)) == len(used)
    assert all(len(nonce) == 12 for _, nonce in used)


async def test_a_part_gets_a_key_of_its_own_whatever_it_holds() -> None:
    envelopes = [(await seal(b"the same")).envelope for _ in range(50)]
    assert len({envelope.wrapped_key for envelope in envelopes}) == 50
    assert len({envelope.nonce for envelope in envelopes}) == 50


def test_no_key_is_shown() -> None:
    key = os.urandom(32)
    made = new_seal(MasterKeys("mine", {"mine": key}), SSE_S3, HERE)
    assert repr(key) not in repr(made)
    assert "wrapped_key" not in repr(made)
