"""Encryption with the server's keys, as operations need it: what is asked for, what is stored so, what is read."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from dataclasses import replace

from post3.crypto import Place, Seal, decrypted, move_seal, new_seal, opened, stored_range, stored_size
from post3.errors import InternalError
from post3.model.bucket import Bucket
from post3.model.encryption import Encryption, Envelope, from_headers
from post3.model.object import Block, ObjectVersion, Part
from post3.model.ranges import Run
from post3.s3.call import Call


def asked_for(call: Call, bucket: Bucket) -> Encryption | None:
    """How the object is to be encrypted that this request writes: by its headers, else as the bucket wants it.

    Raises InvalidArgument for headers that make no sense, EncryptionNotConfigured and KMSNotFoundException where there
    is no such key.
    """
    wanted = from_headers(call.headers) or bucket.default_encryption
    if wanted is not None:
        call.keys.choose(wanted)
    return wanted


async def as_wanted(call: Call, bucket: Bucket, version: ObjectVersion, body: Part) -> tuple[ObjectVersion, Part]:
    """A version and its stored body as the bucket wants them by now: encrypted anew when it wants another encryption.

    What is encrypted stays so when the bucket wants none any more. The bytes as they were are left to the collector, as
    this step may have to be repeated with them.
    """
    wanted = asked_for(call, bucket)
    if wanted is None or wanted == version.encryption:
        return version, body
    seal = new_seal(call.keys, wanted, place_of(version, body))
    plain = read_run(call, bucket, version, Run(body, 0, body.size))
    blob = await call.backend.write_blob(bucket, version.key, seal.blocks(_blocks_of(plain)))
    return replace(version, encryption=wanted), replace(body, blob=blob, encryption=seal.envelope)


async def _blocks_of(runs: AsyncIterator[bytes]) -> AsyncIterator[Block]:
    async for run in runs:
        yield Block(run, b"")  # whoever encrypts makes the CRCs


def seal_for(call: Call, wanted: Encryption | None, number: int) -> Seal | None:
    """What encrypts a part of the request's key; None where nothing is to be encrypted."""
    return None if wanted is None else new_seal(call.keys, wanted, Place(call.bucket.name, call.key, number))


def sealed(blocks: AsyncIterator[Block], seal: Seal | None) -> AsyncIterator[Block]:
    """The blocks as they are stored."""
    return blocks if seal is None else seal.blocks(blocks)


def envelope_of(seal: Seal | None) -> Envelope | None:
    """What the part that was stored so keeps."""
    return None if seal is None else seal.envelope


def may_stay(call: Call, part: Part, wanted: Encryption | None) -> bool:
    """Whether a copy may take the stored bytes as they are: both plain, or encrypted under one master key."""
    if part.encryption is None or wanted is None:
        return part.encryption is None and wanted is None
    return part.encryption.key_id == call.keys.choose(wanted)


def moved(call: Call, version: ObjectVersion, part: Part, wanted: Encryption | None, number: int) -> Envelope | None:
    """The envelope of a part whose stored bytes a copy took as they are."""
    if part.encryption is None or wanted is None:
        return None
    source, target = place_of(version, part), Place(call.bucket.name, call.key, number)
    return move_seal(call.keys, part.encryption, source, wanted, target)


def place_of(version: ObjectVersion, part: Part) -> Place:
    """Where a part of an object is."""
    return Place(version.bucket, version.key, part.number)


def check_known(call: Call, parts: Iterable[Part]) -> None:
    """Raise KMSNotFoundException unless there is the master key of each part: told before the first byte is sent."""
    for part in parts:
        if part.encryption is not None:
            call.keys.find(part.encryption.key_id)


def read_run(call: Call, bucket: Bucket, version: ObjectVersion, run: Run) -> AsyncIterator[bytes]:
    """The plain bytes of a run. Raises KMSNotFoundException, and InternalError for what cannot be right."""
    part, start, stop = run.part, run.start, run.stop
    if part.encryption is None:
        return call.backend.read_blob(bucket, part.blob, start, stop)
    if part.blob.size != stored_size(part.size):
        raise InternalError(
            f"The stored bytes {part.blob.id} are not as many as they were. Restore them from a backup."
        )
    cipher = opened(call.keys, part.encryption, place_of(version, part))
    stored = call.backend.read_blob(bucket, part.blob, *stored_range(part.size, start, stop))
    return decrypted(stored, cipher, part.size, start, stop)


async def begun(stream: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The same stream, its first run already there: what is wrong with that is told before the status is sent."""
    first = await anext(stream)

    async def all_of() -> AsyncIterator[bytes]:
        yield first
        async for run in stream:
            yield run

    return all_of()
