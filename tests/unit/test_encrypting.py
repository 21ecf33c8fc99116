"""Encryption where two servers share a store, its keys or its buckets differ, and policies have their say."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Final

import pytest

from post3.dispatch import Dispatcher
from post3.model.identity import Identity
from post3.model.kms import NO_KEYS, MasterKeys
from post3.storage.protocol import Backend
from tests.conftest import MIB, get, some_bytes
from tests.encrypting import KEYS
from tests.gates import NamedGate
from tests.unit.test_dispatch import Server

SSE: Final = "x-amz-server-side-encryption"
KEY_ID: Final = f"{SSE}-aws-kms-key-id"
SMALL: Final = b"small body"
LARGE: Final = some_bytes(3 * MIB)
BODIES: Final = [pytest.param(SMALL, id="small"), pytest.param(LARGE, id="large")]


def a_server(backend: Backend, keys: MasterKeys = KEYS) -> Server:
    server = Server(backend)
    server.dispatcher = Dispatcher(backend, NamedGate([Identity("alice", "alice"), Identity("bob", "bob")]), keys)
    return server


async def set_default(server: Server, algorithm: str, key_id: str = "") -> None:
    key = f"<KMSMasterKeyID>{key_id}</KMSMasterKeyID>" if key_id else ""
    default = f"<SSEAlgorithm>{algorithm}</SSEAlgorithm>{key}"
    rule = f"<Rule><ApplyServerSideEncryptionByDefault>{default}</ApplyServerSideEncryptionByDefault></Rule>"
    document = f"<ServerSideEncryptionConfiguration>{rule}</ServerSideEncryptionConfiguration>"
    await server.done("alice", "PUT", "/bucket", "encryption", document.encode())


@pytest.fixture
async def server(backend: Backend) -> Server:
    """It has met alice's bucket."""
    server = a_server(backend)
    await server.done("alice", "PUT", "/bucket")
    await server.done("alice", "PUT", "/bucket/met")
    return server


async def stored(backend: Backend) -> tuple[str, str, bytes]:
    """Kind and master key of what is there, and the bytes in the store."""
    bucket = await backend.get_bucket("bucket")
    version = await backend.get_version(bucket, "key")
    assert version.encryption is not None
    assert version.body is not None
    envelope = version.body.encryption
    assert envelope is not None
    raw = b"".join([run async for run in backend.read_blob(bucket, version.body.blob, 0, version.body.blob.size)])
    return version.encryption.kind, envelope.key_id, raw


@pytest.mark.parametrize("body", BODIES)
@pytest.mark.parametrize("default", [("AES256",), ("aws:kms", "two")], ids=str)
async def test_a_default_that_another_server_set_is_taken(
    backend: Backend, server: Server, body: bytes, default: tuple[str, ...]
) -> None:
    await set_default(a_server(backend), *default)
    put = await server.done("alice", "PUT", "/bucket/key", "", body)
    assert put.headers[SSE] == default[0]
    kind, key_id, raw = await stored(backend)
    assert (kind, key_id, body[:8] in raw) == (default[0], "two" if len(default) > 1 else "one", False)
    assert (await server.done("alice", "GET", "/bucket/key")).body == body


@pytest.mark.parametrize("body", BODIES)
@pytest.mark.parametrize("first", ["", "AES256"])
async def test_a_default_that_comes_while_the_body_does_is_taken(
    backend: Backend, server: Server, body: bytes, first: str
) -> None:
    other = a_server(backend)
    if first:
        await set_default(server, first)

    async def between() -> None:
        await set_default(other, "aws:kms", "two")

    put = await server.ask("alice", "PUT", "/bucket/key", "", body, between)
    assert (put.status, put.headers[SSE], put.headers[KEY_ID]) == (200, "aws:kms", "two")
    kind, key_id, raw = await stored(backend)
    assert (kind, key_id, body[:8] in raw) == ("aws:kms", "two", False)
    for one in (server, other):
        assert (await one.done("alice", "GET", "/bucket/key")).body == body


@pytest.mark.parametrize("body", BODIES)
async def test_what_was_asked_for_stays_whatever_becomes_of_the_default(
    backend: Backend, server: Server, body: bytes
) -> None:
    other = a_server(backend)
    await set_default(server, "AES256")

    async def between() -> None:
        await other.done("alice", "DELETE", "/bucket", "encryption")

    put = await server.ask("alice", "PUT", "/bucket/key", "", body, between)
    assert put.headers[SSE] == "AES256"
    assert body[:8] not in (await stored(backend))[2]
    assert (await server.done("alice", "GET", "/bucket/key")).body == body


async def test_a_default_that_another_server_took_away_needs_no_key(backend: Backend, server: Server) -> None:
    await set_default(server, "AES256")
    keyless = a_server(backend, NO_KEYS)
    assert await keyless.put("alice", SMALL) == "501 NotImplemented"
    await server.done("alice", "DELETE", "/bucket", "encryption")
    assert await keyless.put("alice", SMALL) == "200"
    assert await get(backend, await backend.get_bucket("bucket"), "key") == SMALL


async def test_a_policy_that_another_server_set_has_its_say_before_nonsense_is_told(
    backend: Backend, server: Server
) -> None:
    statement = {
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:PutObject",
        "Resource": "arn:aws:s3:::bucket/*",
        "Condition": {"StringNotEquals": {f"s3:{SSE}": "AES256"}},
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]}).encode()
    await a_server(backend).done("alice", "PUT", "/bucket", "policy", policy)
    assert await server.put("alice", SMALL, x_amz_server_side_encryption="AES192") == "403 AccessDenied"
    assert await server.put("alice", SMALL, x_amz_server_side_encryption="AES256") == "200"
    await server.done("alice", "DELETE", "/bucket", "policy")
    assert await server.put("alice", SMALL, x_amz_server_side_encryption="AES192") == "400 InvalidArgument"


async def test_a_server_without_the_key_of_a_later_part_sends_nothing(backend: Backend, server: Server) -> None:
    async def send(sender: Server, number: int, body: bytes) -> str:
        sent = await sender.done("alice", "PUT", "/bucket/key", f"partNumber={number}&uploadId={id}", body)
        return f"<Part><PartNumber>{number}</PartNumber><ETag>{sent.headers['etag']}</ETag></Part>"

    begun = await server.done("alice", "POST", "/bucket/key", "uploads", x_amz_server_side_encryption="AES256")
    id, part = begun.text("UploadId"), some_bytes(5 * MIB)
    rotated = a_server(backend, replace(KEYS, default="two"))
    parts = await send(server, 1, part) + await send(rotated, 2, b"the end")
    document = f"<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>".encode()
    await server.done("alice", "POST", "/bucket/key", f"uploadId={id}", document)

    assert (await server.done("alice", "GET", "/bucket/key")).body == part + b"the end"
    with_one = a_server(backend, MasterKeys("one", {"one": KEYS.keys["one"]}))
    assert (await with_one.ask("alice", "GET", "/bucket/key")).told == "400 KMS.NotFoundException"
    assert (await with_one.done("alice", "HEAD", "/bucket/key")).headers[SSE] == "AES256"
    ranged = await with_one.done("alice", "GET", "/bucket/key", range="bytes=0-9")
    assert ranged.body == part[:10]
