"""A body's blocks: which bytes come out, what is verified before the last of them, and what happens when it breaks."""

from __future__ import annotations

import asyncio
import base64
import gc
import hashlib
import random
import threading
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import aclosing

import pytest

from post3.auth.authentication import Proof
from post3.errors import (
    BadDigest,
    EntityTooLarge,
    IncompleteBody,
    InvalidArgument,
    InvalidDigest,
    InvalidRequest,
    MalformedTrailerError,
    MaxMessageLengthExceeded,
    MissingContentLength,
    S3Error,
    XAmzContentSHA256Mismatch,
)
from post3.model.identity import Identity
from post3.model.object import Block
from post3.s3 import body as body_module
from post3.s3.aws_chunked import FORMS
from post3.s3.body import MAX_BODY, MAX_INLINE, Body, read_document
from post3.s3.call import Call
from post3.s3.gate import OPEN
from post3.s3.message import Request, Response
from post3.s3.router import Needs, Operation
from post3.storage.memory import MemoryBackend
from tests.bodies import (
    SIGNED,
    SIGNED_TRAILER,
    UNSIGNED,
    crc32,
    cut,
    frame,
    framed_headers,
    make_request,
    sha256,
)
from tests.gates import open_gate

MIB = 2**20
SMALL = b"The quick brown fox"
LARGE = random.Random(1).randbytes(3 * MIB + 12_345)
SIZES = [0, 1, MAX_INLINE - 1, MAX_INLINE, MIB - 1, MIB, MIB + 1, 3 * MIB, 3 * MIB + 12_345]


def body_of(data: bytes, headers: Mapping[str, str] | None = None, *algorithms: str, piece: int = 256_000) -> Body:
    """A plain body that tells its length."""
    return Body(make_request(cut(data, piece), {"content-length": str(len(data)), **(headers or {})}), algorithms)


def framed_body(
    chunks: list[bytes], name: str, headers: Mapping[str, str] | None = None, trailers: Mapping[str, str] | None = None
) -> Body:
    """A framed body, with the headers that belong to it."""
    trailer = ",".join(trailers or ())
    told = {**framed_headers(name, sum(map(len, chunks)), trailer), **(headers or {})}
    return Body(make_request(cut(frame(chunks, FORMS[name], trailers), 256_000), told))


async def taken(body: Body) -> list[Block]:
    return [block async for block in body.blocks()]


async def taken_until_error(body: Body) -> tuple[list[Block], S3Error]:
    """The blocks released before the error, and the error."""
    released: list[Block] = []
    try:
        async for block in body.blocks():
            released.append(block)  # noqa: PERF401  # what was released before the error counts
    except S3Error as error:
        return released, error
    raise AssertionError("the body was taken whole")


def md5(data: bytes) -> str:
    return base64.b64encode(hashlib.md5(data, usedforsecurity=False).digest()).decode()


@pytest.mark.parametrize("size", SIZES)
async def test_the_blocks_are_the_bytes_and_a_mebibyte_each(size: int) -> None:
    data = LARGE[:size]
    body = body_of(data)
    blocks = await taken(body)
    assert b"".join(block.data for block in blocks) == data
    assert all(len(block.data) == MIB for block in blocks[:-1])
    assert all(len(block.crcs) == 8 * -(-len(block.data) // 65_536) for block in blocks)
    assert (body.size, body.etag) == (size, hashlib.md5(data, usedforsecurity=False).hexdigest())


@pytest.mark.parametrize("piece", [1000, 4096, 70_000, 5 * MIB])
async def test_the_size_of_the_pieces_does_not_matter(piece: int) -> None:
    body = body_of(LARGE, None, "crc32", "sha1", piece=piece)
    assert b"".join([block.data for block in await taken(body)]) == LARGE
    assert body.etag == hashlib.md5(LARGE, usedforsecurity=False).hexdigest()
    assert body.checksums["crc32"] == crc32(LARGE)
    assert base64.b64decode(body.checksums["sha1"]) == hashlib.sha1(LARGE, usedforsecurity=False).digest()


async def test_a_body_of_unknown_length_ends_when_it_ends() -> None:
    body = Body(make_request([SMALL, b"", SMALL], {"transfer-encoding": "chunked"}))
    assert body.expected_size is None
    assert [block.data for block in await taken(body)] == [SMALL * 2]


async def test_a_body_of_several_gathered_batches_and_no_length_is_whole() -> None:
    body = Body(make_request(cut(LARGE, 100_000), {"transfer-encoding": "chunked"}))
    assert b"".join([block.data for block in await taken(body)]) == LARGE


async def test_what_the_client_sent_and_what_was_asked_for_is_told() -> None:
    body = body_of(SMALL, {"x-amz-checksum-crc32": crc32(SMALL)}, "sha256")
    await taken(body)
    assert body.sent == "crc32"
    assert body.checksums == {"crc32": crc32(SMALL), "sha256": sha256(SMALL)}


async def test_the_hash_for_the_signature_is_no_checksum_of_the_object() -> None:
    body = body_of(SMALL, {"x-amz-content-sha256": hashlib.sha256(SMALL).hexdigest()}, "crc32")
    await taken(body)
    assert (body.sent, set(body.checksums)) == ("", {"crc32"})


GOOD_HEADERS = [
    lambda data: {"content-md5": md5(data)},
    lambda data: {"x-amz-checksum-crc32": crc32(data)},
    lambda data: {"x-amz-checksum-sha256": sha256(data)},
    lambda data: {"x-amz-content-sha256": hashlib.sha256(data).hexdigest()},
    lambda data: {"x-amz-content-sha256": hashlib.sha256(data).hexdigest().upper()},
    lambda _data: {"x-amz-content-sha256": "UNSIGNED-PAYLOAD"},
]


@pytest.mark.parametrize("data", [b"", SMALL, LARGE], ids=["empty", "small", "large"])
@pytest.mark.parametrize("headers", GOOD_HEADERS)
async def test_right_digests_pass(data: bytes, headers: Callable[[bytes], dict[str, str]]) -> None:
    body = body_of(data, headers(data))
    assert b"".join([block.data for block in await taken(body)]) == data


BAD_HEADERS = [
    ({"content-md5": md5(b"else")}, BadDigest, "The Content-MD5 you specified did not match what we received."),
    (
        {"x-amz-checksum-crc32": crc32(b"else")},
        BadDigest,
        "The CRC32 you specified did not match the calculated checksum.",
    ),
    (
        {"x-amz-checksum-sha256": sha256(b"else")},
        BadDigest,
        "The SHA256 you specified did not match the calculated checksum.",
    ),
    (
        {"x-amz-content-sha256": hashlib.sha256(b"else").hexdigest()},
        XAmzContentSHA256Mismatch,
        "The provided 'x-amz-content-sha256' header does not match what was computed.",
    ),
]


@pytest.mark.parametrize("size", [0, len(SMALL), MIB, len(LARGE)])
@pytest.mark.parametrize(("headers", "error", "message"), BAD_HEADERS)
async def test_a_wrong_digest_is_told_before_the_last_block(
    size: int, headers: dict[str, str], error: type[S3Error], message: str
) -> None:
    released, raised = await taken_until_error(body_of(LARGE[:size], headers))
    assert sum(len(block.data) for block in released) < max(size, 1)
    assert (type(raised), raised.message) == (error, message)


async def test_a_mismatch_shows_both_hashes() -> None:
    sent = hashlib.sha256(b"else").hexdigest()
    _, raised = await taken_until_error(body_of(SMALL, {"x-amz-content-sha256": sent}))
    assert raised.details == {
        "ClientComputedContentSHA256": sent,
        "S3ComputedContentSHA256": hashlib.sha256(SMALL).hexdigest(),
    }


@pytest.mark.parametrize(
    ("headers", "error"),
    [
        ({"content-md5": ""}, InvalidDigest),
        ({"content-md5": "YWJj"}, InvalidDigest),
        ({"x-amz-checksum-sha256": "bad"}, BadDigest),
        ({"x-amz-checksum-crc64nvme": "bad"}, BadDigest),
        ({"x-amz-checksum-crc32": crc32(SMALL) + "-3"}, BadDigest),
        ({"x-amz-checksum-xxhash64": "McmxUfNFLUs="}, InvalidRequest),
        ({"x-amz-checksum-crc32": crc32(SMALL), "x-amz-checksum-sha256": sha256(SMALL)}, InvalidRequest),
        ({"x-amz-content-sha256": "bad"}, InvalidArgument),
        ({"x-amz-content-sha256": "STREAMING-SOMETHING"}, InvalidArgument),
        ({"x-amz-trailer": "x-amz-checksum-crc32"}, MalformedTrailerError),
    ],
)
async def test_headers_that_cannot_be_meant_are_refused(headers: dict[str, str], error: type[S3Error]) -> None:
    with pytest.raises(error):
        await taken(body_of(SMALL, headers))


@pytest.mark.parametrize("told", [len(SMALL) - 1, len(SMALL) + 1])
@pytest.mark.parametrize("data", [SMALL, SMALL * MAX_INLINE])
async def test_the_length_is_held_exactly(data: bytes, told: int) -> None:
    told += len(data) - len(SMALL)
    body = body_of(data, {"content-length": str(told)})
    assert body.expected_size == told
    released, raised = await taken_until_error(body)
    assert isinstance(raised, IncompleteBody)
    assert sum(len(block.data) for block in released) < len(data)


async def test_a_body_that_tells_it_is_too_large_is_refused_unread() -> None:
    read = []

    async def pieces() -> AsyncIterator[bytes]:
        read.append(1)
        yield b""

    def request(headers: dict[str, str]) -> Request:
        plain = make_request((), headers)
        return Request("1", "PUT", plain.path, plain.address, {}, headers, pieces())

    with pytest.raises(EntityTooLarge):
        Body(request({"content-length": str(MAX_BODY + 1)}))
    with pytest.raises(EntityTooLarge):
        Body(request(framed_headers(UNSIGNED, MAX_BODY + 1)))
    assert Body(request({"content-length": str(MAX_BODY)})).expected_size == MAX_BODY
    assert not read


async def test_a_body_that_does_not_tell_is_refused_as_soon_as_it_is_too_large() -> None:
    given = []

    async def endless() -> AsyncIterator[bytes]:
        while True:
            given.append(1)
            yield bytes(1000)

    plain = make_request()
    request = Request("1", "PUT", plain.path, plain.address, {}, {"transfer-encoding": "chunked"}, endless())
    with pytest.raises(EntityTooLarge):
        await taken(Body(request, limit=100_000))
    assert len(given) == 101


async def test_a_body_longer_than_told_is_refused_as_soon_as_it_is() -> None:
    given = []

    async def endless() -> AsyncIterator[bytes]:
        while True:
            given.append(1)
            yield bytes(1000)

    plain = make_request()
    body = Body(Request("1", "PUT", plain.path, plain.address, {}, {"content-length": "100000"}, endless()))
    with pytest.raises(IncompleteBody):
        await taken(body)
    assert len(given) == 101


@pytest.mark.parametrize("blocks", [1, 2, 3])
async def test_an_empty_piece_releases_no_block_too_early(blocks: int) -> None:
    data = LARGE[: blocks * MIB]
    headers = {"transfer-encoding": "chunked", "x-amz-checksum-crc32": crc32(b"else")}
    released, raised = await taken_until_error(Body(make_request([b"", *cut(data, MIB), b"", b""], headers)))
    assert isinstance(raised, BadDigest)
    assert len(released) < blocks


# Framed bodies


@pytest.mark.parametrize("name", [UNSIGNED, SIGNED, SIGNED_TRAILER])
@pytest.mark.parametrize("chunks", [[], [SMALL], [LARGE], cut(LARGE, 65_536)], ids=["empty", "small", "one", "many"])
async def test_a_framed_body_is_its_bytes(name: str, chunks: list[bytes]) -> None:
    data = b"".join(chunks)
    trailers = {"x-amz-checksum-crc32": crc32(data)} if FORMS[name].trailers else None
    body = framed_body(chunks, name, None, trailers)
    assert body.expected_size == len(data)
    assert b"".join([block.data for block in await taken(body)]) == data
    assert body.size == len(data)
    assert body.checksums == ({"crc32": crc32(data)} if trailers else {})
    assert body.sent == ("crc32" if trailers else "")


async def test_a_framed_body_may_have_its_checksum_in_front() -> None:
    body = framed_body([SMALL], UNSIGNED, {"x-amz-checksum-crc32": crc32(SMALL)})
    await taken(body)
    assert body.sent == "crc32"


async def test_a_body_is_not_framed_because_its_coding_says_so() -> None:
    """s3-tests: test_object_content_encoding_aws_chunked."""
    body = body_of(SMALL, {"content-encoding": "aws-chunked", "x-amz-content-sha256": "UNSIGNED-PAYLOAD"})
    assert [block.data for block in await taken(body)] == [SMALL]


@pytest.mark.parametrize("data", [SMALL, LARGE], ids=["small", "large"])
async def test_a_wrong_trailer_is_told_before_the_last_block(data: bytes) -> None:
    body = framed_body([data], UNSIGNED, None, {"x-amz-checksum-crc32": crc32(b"else")})
    released, raised = await taken_until_error(body)
    assert isinstance(raised, BadDigest)
    assert sum(len(block.data) for block in released) < len(data)


CRC32_TRAILER = {"x-amz-checksum-crc32": crc32(SMALL)}


@pytest.mark.parametrize(
    ("headers", "trailers", "error"),
    [
        ({"x-amz-trailer": "x-amz-checksum-crc32"}, {}, MalformedTrailerError),
        ({"x-amz-trailer": ""}, CRC32_TRAILER, MalformedTrailerError),
        ({"x-amz-trailer": "x-amz-checksum-sha256"}, CRC32_TRAILER, MalformedTrailerError),
        ({"x-amz-trailer": "x-amz-checksum-crc32"}, {**CRC32_TRAILER, "extra": "x"}, MalformedTrailerError),
        ({"x-amz-trailer": "x-amz-checksum-crc32"}, {"x-amz-checksum-crc32": "bad"}, InvalidRequest),
        ({"x-amz-trailer": "x-amz-checksum-crc32"}, {"x-amz-checksum-crc32": ""}, InvalidRequest),
        ({"x-amz-trailer": "x-amz-checksum-md4"}, CRC32_TRAILER, InvalidRequest),
        ({"x-amz-trailer": "crc32"}, CRC32_TRAILER, InvalidRequest),
        ({"x-amz-trailer": "x-amz-checksum-crc32", **CRC32_TRAILER}, CRC32_TRAILER, InvalidRequest),
    ],
)
async def test_what_is_announced_must_come_and_nothing_else(
    headers: dict[str, str], trailers: dict[str, str], error: type[S3Error]
) -> None:
    told = {**framed_headers(UNSIGNED, len(SMALL)), **headers}
    with pytest.raises(error):
        await taken(Body(make_request([frame([SMALL], FORMS[UNSIGNED], trailers)], told)))


@pytest.mark.parametrize("coding", ["aws-chunked", "gzip, AWS-Chunked"])
async def test_whoever_signs_nothing_tells_of_frames_by_the_coding_and_the_trailer(coding: str) -> None:
    wire = frame([SMALL], FORMS[UNSIGNED], CRC32_TRAILER)
    headers = {**framed_headers(UNSIGNED, len(SMALL)), "content-encoding": coding}
    headers |= {"x-amz-trailer": "x-amz-checksum-crc32"}
    del headers["x-amz-content-sha256"]
    blocks = await taken(Body(make_request([wire], headers)))
    assert b"".join(block.data for block in blocks) == SMALL
    with pytest.raises(BadDigest):
        await taken(Body(make_request([wire.replace(SMALL, SMALL[::-1])], headers)))


async def test_a_hash_of_the_body_means_the_body_as_it_was_sent() -> None:
    wire = frame([SMALL], FORMS[UNSIGNED], CRC32_TRAILER)
    headers = {"x-amz-trailer": "x-amz-checksum-crc32", "content-encoding": "aws-chunked"}
    with pytest.raises(MalformedTrailerError):
        Body(make_request([wire], {**headers, "x-amz-content-sha256": hashlib.sha256(wire).hexdigest()}))


async def test_a_trailer_needs_a_form_that_has_trailers() -> None:
    with pytest.raises(MalformedTrailerError):
        framed_body([SMALL], SIGNED, {"x-amz-trailer": "x-amz-checksum-crc32"})


@pytest.mark.parametrize(
    ("told", "error"),
    [
        (None, MissingContentLength),
        ("", InvalidArgument),
        ("abc", InvalidArgument),
        ("-1", InvalidArgument),
        ("9" * 5000, InvalidArgument),
        ("\N{ARABIC-INDIC DIGIT THREE}", InvalidArgument),
    ],
)
def test_a_framed_body_must_tell_its_length(told: str | None, error: type[S3Error]) -> None:
    headers = {"x-amz-content-sha256": UNSIGNED}
    if told is not None:
        headers["x-amz-decoded-content-length"] = told
    with pytest.raises(error):
        Body(make_request((), headers))


@pytest.mark.parametrize("difference", [-1, 1])
async def test_the_decoded_length_is_held_exactly(difference: int) -> None:
    told = {"x-amz-decoded-content-length": str(len(SMALL) + difference)}
    with pytest.raises(IncompleteBody):
        await taken(framed_body([SMALL], UNSIGNED, told))


@pytest.mark.parametrize("difference", [-1, 1])
async def test_the_length_of_the_framed_body_is_held_too(difference: int) -> None:
    size = len(frame([SMALL], FORMS[UNSIGNED]))
    with pytest.raises(IncompleteBody):
        await taken(framed_body([SMALL], UNSIGNED, {"content-length": str(size + difference)}))
    await taken(framed_body([SMALL], UNSIGNED, {"content-length": str(size)}))


@pytest.mark.parametrize("size", [len(SMALL), len(LARGE)])
async def test_a_framed_body_cut_short_is_incomplete(size: int) -> None:
    wire = frame([LARGE[:size]], FORMS[UNSIGNED])
    for lost in (1, 2, 5, 10):
        body = Body(make_request([wire[:-lost]], framed_headers(UNSIGNED, size)))
        released, raised = await taken_until_error(body)
        assert isinstance(raised, IncompleteBody)
        assert sum(len(block.data) for block in released) < size


# Documents


async def test_a_document_is_read_whole_and_verified() -> None:
    headers = {"content-length": str(len(SMALL)), "content-md5": md5(SMALL)}
    assert await read_document(make_request(cut(SMALL, 5), headers), 100) == SMALL
    with pytest.raises(BadDigest):
        await read_document(make_request([SMALL[::-1]], headers), 100)


async def test_a_document_may_be_framed() -> None:
    request = make_request([frame([SMALL], FORMS[UNSIGNED])], framed_headers(UNSIGNED, len(SMALL)))
    assert await read_document(request, 100) == SMALL


async def test_a_document_larger_than_a_block_is_whole() -> None:
    request = make_request(cut(LARGE, 100_000), {"content-length": str(len(LARGE))})
    assert await read_document(request, len(LARGE)) == LARGE


@pytest.mark.parametrize("headers", [{"content-length": "20"}, {"transfer-encoding": "chunked"}])
async def test_a_document_is_bounded(headers: dict[str, str]) -> None:
    assert await read_document(make_request([bytes(20)], headers), 20) == bytes(20)
    with pytest.raises(MaxMessageLengthExceeded):
        await read_document(make_request([bytes(20)], headers), 19)


async def test_a_completion_carries_the_checksum_of_its_object() -> None:
    headers = {"content-length": str(len(SMALL)), "x-amz-checksum-crc32": crc32(b"the object")}
    completion = make_request([SMALL], headers, method="POST", query={"uploadId": "1"})
    assert await read_document(completion, 100) == SMALL
    with pytest.raises(BadDigest):
        await read_document(make_request([SMALL], headers, method="POST", query={"delete": ""}), 100)


# What was begun, and what breaks


async def answer(_call: Call) -> Response:
    return Response()


def call_on(request: Request) -> Call:
    nothing: frozenset[str] = frozenset()
    operation = Operation("PutObject", "PUT", "object", nothing, nothing, "s3:PutObject", answer, Needs.WRITE)
    return Call(request, operation, OPEN, MemoryBackend(), open_gate(), None)


async def test_a_call_knows_when_its_body_was_begun() -> None:
    call = call_on(make_request([SMALL], {"content-length": str(len(SMALL))}))
    assert not call.body_begun
    body = call.body()
    assert not call.body_begun
    await taken(body)
    assert call.body_begun


async def test_a_call_knows_that_its_document_was_begun() -> None:
    call = call_on(make_request([b"<A/>"], {"content-length": "4"}))
    assert not call.body_begun
    await call.document("A")
    assert call.body_begun


def test_chunks_are_not_said_to_be_signed_when_their_request_is_signed_otherwise() -> None:
    request = make_request((), framed_headers(SIGNED, 0))

    for kind in ("query", "header", "form"):
        with pytest.raises(InvalidRequest, match="Version 4"):
            Body(request, proof=Proof(Identity("alice", ""), kind=kind, version="AWS"))
    Body(request, proof=Proof(Identity("alice", "")))  # of a server without credentials, which verifies nothing


async def test_a_body_is_read_once() -> None:
    body = body_of(SMALL)
    await taken(body)
    with pytest.raises(RuntimeError):
        await taken(body)


class Broken(Exception):
    """What a body may raise of its own."""


async def pieces_then(error: BaseException, pieces: Iterable[bytes]) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece
    raise error


def request_that_breaks(error: BaseException, data: bytes) -> Request:
    plain = make_request()
    return Request("1", "PUT", plain.path, plain.address, {}, {}, pieces_then(error, cut(data, 256_000)))


@pytest.mark.parametrize("data", [SMALL, LARGE], ids=["small", "large"])
@pytest.mark.parametrize("error", [Broken, asyncio.CancelledError])
async def test_what_the_body_raises_comes_out_and_no_thread_goes_on(data: bytes, error: type[BaseException]) -> None:
    body = Body(request_that_breaks(error(), data))
    with pytest.raises(error):
        await taken(body)
    assert not body._hashes.running


class SlowChunker:
    """A chunker whose work lasts until it is allowed to end."""

    def __init__(self) -> None:
        self.started = threading.Event()
        self.may_end = threading.Event()
        self.ended = False

    def feed(self, _data: object) -> list[tuple[bytes, bytes]]:
        self.started.set()
        assert self.may_end.wait(10)
        self.ended = True
        return []


async def test_a_cancelled_reader_waits_for_the_thread_that_hashes(monkeypatch: pytest.MonkeyPatch) -> None:
    chunker = SlowChunker()
    monkeypatch.setattr(body_module, "Chunker", lambda _algorithms: chunker)
    body = body_of(LARGE[: MIB + 5])
    reader = asyncio.create_task(taken(body))
    assert await asyncio.to_thread(chunker.started.wait, 10)
    reader.cancel()
    await asyncio.sleep(0.01)
    assert not reader.done()
    chunker.may_end.set()
    with pytest.raises(asyncio.CancelledError):
        await reader
    assert chunker.ended


async def test_a_reader_that_stops_early_leaves_nothing_behind() -> None:
    body = body_of(LARGE)
    async with aclosing(body.blocks()) as blocks:
        async for _ in blocks:
            break
    assert not body._hashes.running
    async for _ in body_of(LARGE).blocks():
        break
    gc.collect()
    await asyncio.sleep(0.05)
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_the_next_bytes_are_received_while_the_last_are_hashed(monkeypatch: pytest.MonkeyPatch) -> None:
    chunker = SlowChunker()
    monkeypatch.setattr(body_module, "Chunker", lambda _algorithms: chunker)
    received: list[int] = []

    async def pieces() -> AsyncIterator[bytes]:
        for piece in cut(bytes(8 * MIB), MIB // 2):
            received.append(len(piece))
            yield piece

    plain = make_request()
    body = Body(Request("1", "PUT", plain.path, plain.address, {}, {}, pieces()))
    reader = asyncio.create_task(taken(body))
    assert await asyncio.to_thread(chunker.started.wait, 10)
    await asyncio.sleep(0.01)
    assert sum(received) == 2 * body_module.BATCH, "one batch is hashed, one is ready, and no more is taken"
    reader.cancel()
    chunker.may_end.set()
    with pytest.raises(asyncio.CancelledError):
        await reader


async def test_tiny_pieces_do_not_become_a_crowd_of_objects() -> None:
    body = Body(make_request(cut(LARGE[:MIB], 10), {}))
    batch = await body._intake.gather(MIB)
    assert b"".join(batch) == LARGE[:MIB]
    assert len(batch) <= 2


async def test_a_small_body_needs_no_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("a thread was asked for")

    monkeypatch.setattr(asyncio.get_running_loop(), "run_in_executor", refuse)
    data = LARGE[: MAX_INLINE - 1]
    headers = {"x-amz-content-sha256": hashlib.sha256(data).hexdigest()}
    assert b"".join([block.data for block in await taken(body_of(data, headers, piece=1000))]) == data
