"""A request's body as verified blocks.

The bytes pass through here once: framing is removed, lengths are held to what the headers say, digests are computed,
and blocks come out. Every digest that the client sent is compared before the last block is released, so whoever stores
the blocks never sees the end of a body that is not what the client meant.

A body under 16 KiB is hashed where it is: a trip to a thread costs more. A larger one is gathered into batches of about
a MiB; one is hashed in threads (SHAs that cost time beside MD5 at their own pace) while the next is received and the
blocks of the one before are written. So at most three batches of a body are in memory, however large it is.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncGenerator, AsyncIterator, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias

from post3._chunker import BESIDE_MD5, BLOCK_SIZE, Chunker
from post3.auth.authentication import Proof
from post3.auth.sigv4 import UNSIGNED_PAYLOAD, ChunkChain
from post3.errors import (
    BadDigest,
    EntityTooLarge,
    IncompleteBody,
    InvalidRequest,
    MalformedTrailerError,
    MaxMessageLengthExceeded,
    MissingContentLength,
    S3Error,
    XAmzContentSHA256Mismatch,
)
from post3.model.checksums import encode
from post3.model.object import Block
from post3.s3.aws_chunked import FORMS, ChunkStart, Data, Decoder, Event, Form, Trailers
from post3.s3.headers import (
    CHECKSUM_PREFIX,
    check_announced,
    checksum_values,
    content_md5,
    content_sha256,
    is_checksum,
    is_chunked,
    parse_size,
    trailing_checksum,
)
from post3.s3.message import Request

MAX_BODY: Final = 5 * 2**30
"""Bytes of one PUT.
Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html"""
MAX_DOCUMENT: Final = 2**20
"""Bytes of a document, where the operation says nothing else."""
BATCH: Final = 2**20
"""Bytes that are gathered before they are hashed in a thread."""
MAX_INLINE: Final = 16 * 2**10
"""Bytes from which a body is worth a thread."""
MIN_PIECE: Final = 4096
"""Bytes below which a piece is copied to its neighbour, so that a batch has no more than a few hundred pieces."""

Buffer: TypeAlias = bytes | bytearray | memoryview


@dataclass(frozen=True, slots=True)
class Claims:
    """What the headers say of the body."""

    size: int | None
    """Bytes without framing."""
    sent_size: int | None
    """Bytes with framing."""
    form: Form | None
    """The framing, if there is any."""
    md5: bytes | None
    sha256: str
    """Hexadecimal, empty when it is not told."""
    checksums: Mapping[str, str]
    """Base64 by algorithm; one at most."""
    trailer: str
    """The algorithm of the checksum that will come behind the body, or empty."""


def parse_claims(request: Request, signed_payload: str = "") -> Claims:
    """What the headers, and the signature, say of the body. Raises the S3 error for what they may not say."""
    headers = request.headers
    sha256 = content_sha256(headers)
    if signed_payload not in ("", UNSIGNED_PAYLOAD):
        sha256 = signed_payload  # a link may say it in its query; a header that nobody signed does not outdo that
    form = _framing(sha256, headers)
    checksums = {} if _tells_of_object(request) else checksum_values(headers)
    trailer = trailing_checksum(headers)
    if trailer and checksums:
        raise InvalidRequest("Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed.")
    if trailer and not (form and form.trailers):
        raise MalformedTrailerError
    if not _tells_of_object(request):
        check_announced(headers, trailer or next(iter(checksums), ""))
    sent_size = size = parse_size(headers, "content-length")
    if not form and "x-amz-decoded-content-length" in headers:
        raise InvalidRequest("x-amz-decoded-content-length needs an x-amz-content-sha256 that begins with STREAMING-.")
    if form:
        size = parse_size(headers, "x-amz-decoded-content-length")
        if size is None:
            raise MissingContentLength
    return Claims(
        size=size,
        sent_size=sent_size,
        form=form,
        md5=content_md5(headers),
        sha256=sha256 if len(sha256) == 64 else "",
        checksums=checksums,
        trailer=trailer,
    )


def _framing(sha256: str, headers: Mapping[str, str]) -> Form | None:
    """The framing that x-amz-content-sha256 names, if any.

    The C++ SDK adds that header when it signs. Without keys, as in PyArrow with `anonymous=True`, Content-Encoding and
    x-amz-trailer alone tell that the body is framed.
    """
    if not sha256 and is_chunked(headers) and "x-amz-trailer" in headers:
        return FORMS["STREAMING-UNSIGNED-PAYLOAD-TRAILER"]
    return FORMS.get(sha256)


def _tells_of_object(request: Request) -> bool:
    """Whether x-amz-checksum-… is that of the object to be, and not of this body: so it is in CompleteMultipartUpload.

    Source: https://docs.aws.amazon.com/AmazonS3/latest/API/API_CompleteMultipartUpload.html
    """
    return request.method == "POST" and "uploadId" in request.query


def may_be_large(request: Request) -> bool:
    """Whether the body may be more than one block, which is all that stores keep in memory."""
    size = request.headers.get("x-amz-decoded-content-length", request.headers.get("content-length"))
    if size is None:
        return "transfer-encoding" in request.headers
    is_small = size.isdecimal() and len(size) <= len(str(BLOCK_SIZE)) and int(size) <= BLOCK_SIZE
    return not is_small


class Body:
    """One request's body, to be read once."""

    def __init__(
        self,
        request: Request,
        algorithms: Collection[str] = (),
        *,
        proof: Proof | None = None,
        limit: int = MAX_BODY,
        too_large: type[S3Error] = EntityTooLarge,
    ) -> None:
        """Check what the headers say, and read nothing yet. `algorithms` are computed beside what the client sent.

        The body is held to what the proof signs of it, chunk by chunk where it is signed so.
        """
        claims = self._claims = parse_claims(request, proof.payload if proof else "")
        if claims.size is not None and claims.size > limit:
            raise too_large(ProposedSize=claims.size, MaxSizeAllowed=limit)
        self.sent = claims.trailer or next(iter(claims.checksums), "")
        """The algorithm of the checksum that the client sends, or empty."""
        self.begun = False
        """Whether any of it was asked for: it cannot be had again."""
        self.size = 0
        self.etag = ""
        self.checksums: dict[str, str] = {}
        """Base64 by algorithm. Like size and etag, known when the last block is."""
        self._algorithms = tuple(dict.fromkeys(filter(None, (self.sent, *algorithms))))
        chunks = proof.chunks if proof and claims.form and claims.form.signed else None
        if claims.form and claims.form.signed and proof and proof.kind and chunks is None:
            raise InvalidRequest("Signatures of chunks need one of Version 4 before them that covers them.")
        self._intake = _Intake(request.body, claims, limit, too_large, keeps_framing=chunks is not None)
        self._hashes = _Hashes({*self._algorithms, "sha256"} if claims.sha256 else self._algorithms, chunks)
        self._ended = False

    @property
    def expected_size(self) -> int | None:
        """The bytes that there will be, when the client tells."""
        return self._claims.size

    async def blocks(self) -> AsyncGenerator[Block, None]:
        """The bytes. Raises, before the last block, whatever is wrong with them."""
        if self.begun:
            raise RuntimeError("a body can be read once")
        self.begun = True
        try:
            while not self._ended:
                for block in await self._next():
                    yield block
        finally:
            if self._hashes.running:
                await self._hashes.settle()

    async def whole(self) -> bytes:
        """All the bytes at once."""
        return b"".join([block.data async for block in self.blocks()])

    async def _next(self) -> list[Block]:
        """The next blocks, perhaps none.

        The last batch has at least a byte of the last block, and its blocks are given only once everything is verified.
        """
        intake, hashes = self._intake, self._hashes
        batch = await intake.gather(BATCH)
        if intake.ended and intake.size < MAX_INLINE:
            blocks = hashes.feed(batch, intake.take_framing())
        else:
            blocks = await hashes.settle()
            framing = intake.take_framing()
            if batch or framing:
                hashes.start(batch, framing)
        if intake.ended and not hashes.running:
            blocks += hashes.finish()
            self._verify()
            self._ended = True
        return blocks

    def _verify(self) -> None:
        claims, hashes = self._claims, self._hashes
        sent = self._trailing() if claims.form else claims.checksums
        md5 = hashes.md5()
        self.size, self.etag = self._intake.size, md5.hex()
        self.checksums = {name: encode(hashes.digest(name)) for name in self._algorithms}
        if claims.sha256:
            check_sha256(claims.sha256, hashes.digest("sha256").hex())
        if claims.md5 is not None and claims.md5 != md5:
            raise BadDigest(
                "The Content-MD5 you specified did not match what we received.",
                ExpectedDigest=claims.md5.hex(),
                CalculatedDigest=encode(md5),
            )
        for name, value in sent.items():
            if self.checksums[name] != value:
                raise BadDigest(f"The {name.upper()} you specified did not match the calculated checksum.")

    def _trailing(self) -> Mapping[str, str]:
        """The checksum of a framed body: exactly the trailer that was announced, or else the header."""
        announced = self._claims.trailer
        if list(self._intake.trailers) != [CHECKSUM_PREFIX + name for name in (announced,) if name]:
            raise MalformedTrailerError
        if not announced:
            return self._claims.checksums
        value = self._intake.trailers[CHECKSUM_PREFIX + announced]
        if not is_checksum(announced, value):
            raise InvalidRequest(f"Value for {CHECKSUM_PREFIX}{announced} trailing header is invalid.")
        return {announced: value}


def check_sha256(sent: str, computed: str) -> None:
    """Raise XAmzContentSHA256Mismatch unless both are the same, in hexadecimal."""
    if sent.lower() != computed:
        raise XAmzContentSHA256Mismatch(ClientComputedContentSHA256=sent, S3ComputedContentSHA256=computed)


async def read_document(request: Request, limit: int) -> bytes:
    """The body whole, verified like any other. Raises MaxMessageLengthExceeded for more than `limit` bytes."""
    return await document_body(request, limit).whole()


def document_body(request: Request, limit: int, proof: Proof | None = None) -> Body:
    """A body that is a document of at most `limit` bytes."""
    return Body(request, proof=proof, limit=limit, too_large=MaxMessageLengthExceeded)


class _Intake:
    """The bytes as they come in, framing removed, lengths held."""

    def __init__(
        self,
        pieces: AsyncIterator[bytes],
        claims: Claims,
        limit: int,
        too_large: type[S3Error],
        *,
        keeps_framing: bool = False,
    ) -> None:
        self._pieces = pieces
        self._keeps_framing = keeps_framing
        self._framing: list[Event] = []
        self._claims = claims
        self._limit = limit
        self._too_large = too_large
        self._decoder = Decoder(claims.form) if claims.form else None
        self._sent_size = 0
        self.size = 0
        self.ended = False
        self.trailers: Mapping[str, str] = {}

    async def gather(self, size: int) -> list[Buffer]:
        """Pieces of at least so many bytes together; fewer only at the body's end."""
        gathered: list[Buffer] = []
        wanted = self.size + size
        while self.size < wanted and not self.ended:
            try:
                piece = await anext(self._pieces)
            except StopAsyncIteration:
                self._end()
                break
            self._sent_size += len(piece)
            if self._decoder is None:
                self._add(gathered, piece)
            else:
                self._decode(self._decoder, piece, gathered)
        return gathered

    def _decode(self, decoder: Decoder, piece: bytes, gathered: list[Buffer]) -> None:
        for event in decoder.feed(piece):
            if self._keeps_framing:
                self._framing.append(event)
            if isinstance(event, Data):
                self._add(gathered, event.data)
            elif isinstance(event, Trailers):
                self.trailers = event.values

    def take_framing(self) -> list[Event]:
        """The framing's events since the last time, where they are signed."""
        taken, self._framing = self._framing, []
        return taken

    def _add(self, gathered: list[Buffer], piece: Buffer) -> None:
        size = len(piece)
        if not size:
            return
        self.size += size
        if self.size > self._limit:
            raise self._too_large(ProposedSize=self.size, MaxSizeAllowed=self._limit)
        if self._claims.size is not None and self.size > self._claims.size:
            raise self._wrong_size()
        if size >= MIN_PIECE or not gathered:
            gathered.append(piece)
        elif isinstance(gathered[-1], bytearray):
            gathered[-1] += piece
        else:
            gathered.append(bytearray(piece))

    def _end(self) -> None:
        self.ended = True
        if self._decoder is not None:
            self._decoder.finish()
        if self._claims.size not in (None, self.size) or self._claims.sent_size not in (None, self._sent_size):
            raise self._wrong_size()

    def _wrong_size(self) -> IncompleteBody:
        return IncompleteBody(NumberBytesExpected=self._claims.size, NumberBytesProvided=self.size)


class _Hashes:
    """Every digest of one body: MD5, the CRCs and, where it can, SHA-256 by the chunker, which also cuts the blocks;
    the other SHAs beside it, and those of signed chunks.
    """

    def __init__(self, algorithms: Iterable[str], chunks: ChunkChain | None = None) -> None:
        wanted = frozenset(algorithms)
        self._signatures = None if chunks is None else _Signatures(chunks)
        apart = wanted & _SHAS.keys() - BESIDE_MD5
        self._chunker = Chunker(tuple(wanted - apart))
        self._shas = {name: _SHAS[name](usedforsecurity=False) for name in apart}
        self._running: tuple[asyncio.Future[list[Block]], ...] = ()

    @property
    def running(self) -> bool:
        """Whether threads are at work."""
        return bool(self._running)

    def feed(self, batch: list[Buffer], framing: Iterable[Event] = ()) -> list[Block]:
        """The blocks that these bytes complete; the batch is empty then. Raises SignatureDoesNotMatch."""
        self._feed_signatures(framing)
        self._feed_shas(batch)
        return self._feed_chunker(batch)

    def start(self, batch: list[Buffer], framing: Iterable[Event] = ()) -> None:
        """The same in threads; `settle` gives the blocks. The bytes before must have been settled."""
        run = asyncio.get_running_loop().run_in_executor
        self._running = (run(None, self._feed_shas, tuple(batch)),) if self._shas else ()
        self._running += (run(None, self._feed_chunker, batch),)
        if self._signatures is not None:
            self._running += (run(None, self._feed_signatures, framing),)

    async def settle(self) -> list[Block]:
        """Wait for the threads, if there are any. A cancelled caller leaves them to their end, which is near.

        Raises SignatureDoesNotMatch.
        """
        if not self._running:
            return []
        await asyncio.wait(self._running)
        done, self._running = self._running, ()
        return [block for future in done for block in future.result()]

    def finish(self) -> list[Block]:
        """The blocks that the end completes."""
        return [Block._make(block) for block in self._chunker.finish()]

    def md5(self) -> bytes:
        """Of all the bytes."""
        return self._chunker.md5()

    def digest(self, name: str) -> bytes:
        """Of all the bytes, by one of the algorithms given."""
        sha = self._shas.get(name)
        return self._chunker.digest(name) if sha is None else sha.digest()

    def _feed_chunker(self, batch: list[Buffer]) -> list[Block]:
        """Empties the batch: a piece that stands in a block is let go of."""
        feed, blocks = self._chunker.feed, []
        batch.reverse()
        while batch:
            blocks += [Block._make(block) for block in feed(batch.pop())]
        return blocks

    def _feed_shas(self, batch: Iterable[Buffer]) -> list[Block]:
        for sha in self._shas.values():
            for piece in batch:
                sha.update(piece)
        return []

    def _feed_signatures(self, framing: Iterable[Event]) -> list[Block]:
        if self._signatures is not None:
            self._signatures.feed(framing)
        return []


class _Signatures:
    """The signed chunks of a body, each verified when its last byte is hashed."""

    def __init__(self, chain: ChunkChain) -> None:
        self._chain = chain
        self._sha = hashlib.sha256()
        self._signature: str | None = None
        """Of the chunk that is being hashed."""

    def feed(self, framing: Iterable[Event]) -> None:
        """Raise SignatureDoesNotMatch for the first chunk, or trailer, that is not what was signed."""
        for event in framing:
            if isinstance(event, Data):
                self._sha.update(event.data)
            elif isinstance(event, ChunkStart):
                self._end_chunk()
                self._signature = event.signature
            elif isinstance(event, Trailers):
                self._end_chunk()
                if event.signature:
                    self._chain.check_trailer(event.values, event.signature)

    def _end_chunk(self) -> None:
        if self._signature is not None:
            self._chain.check_chunk(self._sha.hexdigest(), self._signature)
            self._sha = hashlib.sha256()
            self._signature = None


_SHAS: Final = {"sha1": hashlib.sha1, "sha256": hashlib.sha256}
