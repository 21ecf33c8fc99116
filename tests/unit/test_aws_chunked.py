"""The aws-chunked decoder, form by form, and what it refuses."""

from __future__ import annotations

import pytest

from post3.errors import IncompleteBody, InvalidChunkSizeError, InvalidRequest, MalformedTrailerError
from post3.s3.aws_chunked import (
    FORMS,
    MAX_LINE,
    MAX_TRAILERS,
    MIN_CHUNK,
    ChunkStart,
    Data,
    Decoder,
    End,
    Event,
    Form,
    Trailers,
)
from tests.bodies import SIGNATURE, SIGNED, SIGNED_TRAILER, UNSIGNED, bytes_of, cut, decode, frame, merged

TRAILER = {"x-amz-checksum-crc32c": "sOO8/Q=="}
LONG = bytes(range(256)) * 64


def body(chunks: list[bytes], name: str, trailers: dict[str, str] | None = None) -> list[Event]:
    return decode([frame(chunks, FORMS[name], trailers)], FORMS[name])


def test_an_unsigned_body_gives_chunks_bytes_trailers_and_an_end() -> None:
    assert body([LONG, b"tail"], UNSIGNED, TRAILER) == [
        ChunkStart(len(LONG), ""),
        Data(LONG),
        ChunkStart(4, ""),
        Data(b"tail"),
        ChunkStart(0, ""),
        Trailers(TRAILER, ""),
        End(),
    ]


def test_a_signed_body_gives_the_signature_of_each_chunk() -> None:
    assert body([b"bytes"], SIGNED) == [
        ChunkStart(5, SIGNATURE),
        Data(b"bytes"),
        ChunkStart(0, SIGNATURE),
        Trailers({}, ""),
        End(),
    ]


def test_signed_trailers_come_with_their_signature_apart() -> None:
    assert Trailers(TRAILER, SIGNATURE) in body([b"bytes"], SIGNED_TRAILER, TRAILER)


def test_an_elliptic_signature_is_padded_with_asterisks() -> None:
    form = FORMS["STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD"]
    signature = "30440220" * 16 + "*" * 16
    wire = frame([b"bytes"], form).replace(SIGNATURE.encode(), signature.encode())
    assert decode([wire], form)[0] == ChunkStart(5, signature)


@pytest.mark.parametrize("name", FORMS)
def test_an_empty_body_has_only_its_last_chunk(name: str) -> None:
    events = body([], name)
    assert bytes_of(events) == b""
    assert isinstance(events[0], ChunkStart)
    assert events[-1] == End()


def test_bytes_that_look_like_framing_are_bytes() -> None:
    chunk = b"\r\n0\r\n\r\n"
    assert bytes_of(body([chunk], UNSIGNED)) == chunk


def test_a_piece_inside_a_chunk_is_handed_on_as_it_is() -> None:
    decoder = Decoder(FORMS[UNSIGNED])
    assert list(decoder.feed(b"2800000\r\n")) == [ChunkStart(40 * 2**20, "")]
    piece = bytes(256_000)
    (event,) = decoder.feed(piece)
    assert isinstance(event, Data)
    assert event.data is piece


def test_a_piece_that_holds_framing_too_is_not_copied() -> None:
    piece = b"5\r\nbytes\r\n0\r\n\r\n"
    views = [event.data for event in Decoder(FORMS[UNSIGNED]).feed(piece) if isinstance(event, Data)]
    assert [view.obj for view in views if isinstance(view, memoryview)] == [piece]


@pytest.mark.parametrize("name", FORMS)
def test_it_does_not_matter_where_the_bytes_are_cut(name: str) -> None:
    form = FORMS[name]
    wire = frame([LONG, b"tail"], form, TRAILER if form.trailers else None)
    whole = list(merged(decode([wire], form)))
    for size in (1, 2, 3, 7, 100):
        assert list(merged(decode(cut(wire, size), form))) == whole


@pytest.mark.parametrize("end", ["\n", " ", "\t", ""])
def test_white_space_around_a_trailer_is_no_part_of_it(end: str) -> None:
    wire = f"0\r\nX-Amz-Checksum-CRC32C: sOO8/Q=={end}\r\n\r\n".encode()
    for pieces in ([wire], cut(wire, 1)):
        assert Trailers(TRAILER, "") in decode(pieces)


@pytest.mark.parametrize(
    "wire",
    [
        b"A\ndummy data\r\n0\r\n\r\n",
        b"A\r\ndummy data0\r\n\r\n",
        b"A\r\nXYZ\r\ndummy data\r\n0\r\n\r\n",
        b"B\r\ndummy data\r\n0\r\n\r\n",
        b"A\r\ndummy data\n\r0\r\n\r\n",
        b"A\r\nA\r\ndummy data\r\n0\r\n\r\n",
        b"invalid\r\ndummy data\r\n0\r\n\r\n",
        b"-1\r\n",
        b"+5\r\nbytes\r\n0\r\n\r\n",
        b"0x5\r\nbytes\r\n0\r\n\r\n",
        b" 5\r\nbytes\r\n0\r\n\r\n",
        b"\r\n",
        b"11111111111111111\r\n",
        b"5;chunk-signature=" + SIGNATURE.encode() + b"\r\nbytes\r\n",
    ],
)
def test_broken_framing_is_an_incomplete_body(wire: bytes) -> None:
    for pieces in ([wire], cut(wire, 1)):
        with pytest.raises(IncompleteBody):
            decode(pieces)


@pytest.mark.parametrize("extension", ["", ";", ";chunk-signature=", ";chunk-signature=xyz", ";signature=ab", ";a;b"])
def test_a_signed_chunk_without_a_signature_is_refused(extension: str) -> None:
    with pytest.raises(IncompleteBody):
        decode([f"5{extension}\r\nbytes\r\n".encode()], FORMS[SIGNED])


@pytest.mark.parametrize("name", FORMS)
def test_a_body_cut_short_anywhere_is_incomplete(name: str) -> None:
    form = FORMS[name]
    wire = frame([b"bytes"], form, TRAILER if form.trailers else None)
    for size in range(len(wire)):
        decoder = Decoder(form)
        list(decoder.feed(wire[:size]))
        assert not decoder.ended
        with pytest.raises(IncompleteBody):
            decoder.finish()


def test_nothing_may_stand_behind_the_end() -> None:
    decoder = Decoder(FORMS[UNSIGNED])
    assert End() in list(decoder.feed(b"0\r\n\r\n"))
    assert decoder.ended
    with pytest.raises(InvalidRequest):
        list(decoder.feed(b"\r\n"))


def test_only_the_last_chunk_may_be_small() -> None:
    assert bytes_of(body([bytes(MIN_CHUNK), b"x"], UNSIGNED)) == bytes(MIN_CHUNK) + b"x"
    with pytest.raises(InvalidChunkSizeError) as caught:
        body([bytes(MIN_CHUNK), bytes(MIN_CHUNK - 1), b"x"], UNSIGNED)
    assert caught.value.details == {"Chunk": "3", "BadChunkSize": str(MIN_CHUNK - 1)}


@pytest.mark.parametrize(
    "trailers",
    [
        b"no-colon\r\n",
        b":no-name\r\n",
        b"two words:x\r\n",
        b"a:\x00\r\n",
        b"a:\xff\r\n",
        b"a:x\r\nA:y\r\n",
        b"a:b\nc\r\n",
    ],
)
def test_a_malformed_trailer_is_refused(trailers: bytes) -> None:
    with pytest.raises(MalformedTrailerError):
        decode([b"0\r\n" + trailers + b"\r\n"])


def test_a_form_without_trailers_takes_none() -> None:
    with pytest.raises(MalformedTrailerError):
        body([b"bytes"], SIGNED, TRAILER)


def test_signed_trailers_need_their_signature_behind_them() -> None:
    last = f"0;chunk-signature={SIGNATURE}\r\n"
    signature = f"x-amz-trailer-signature:{SIGNATURE}\r\n"
    for trailers in ("", "a:b\r\n", f"{signature}a:b\r\n"):
        with pytest.raises(MalformedTrailerError):
            decode([f"{last}{trailers}\r\n".encode()], FORMS[SIGNED_TRAILER])


def test_lines_are_bounded() -> None:
    def line(size: int) -> bytes:
        return b"0\r\na:" + b"x" * (size - 2) + b"\r\n\r\n"

    for size in (MAX_LINE, 7, 1):
        assert Trailers({"a": "x" * (MAX_LINE - 2)}, "") in decode(cut(line(MAX_LINE), size))
        with pytest.raises(IncompleteBody):
            decode(cut(line(MAX_LINE + 1), size))


def test_a_line_without_end_is_not_waited_for() -> None:
    decoder = Decoder(FORMS[UNSIGNED])
    for _ in range(MAX_LINE // 100):
        assert list(decoder.feed(b"1" * 100)) == []
    with pytest.raises(IncompleteBody):
        list(decoder.feed(b"1" * 100))


def test_trailers_are_bounded_together() -> None:
    lines = [f"n{number}:{'x' * 1000}\r\n".encode() for number in range(MAX_TRAILERS // 1000 + 1)]
    with pytest.raises(MalformedTrailerError):
        decode([b"0\r\n", *lines, b"\r\n"])


def test_a_form_says_what_the_body_carries() -> None:
    assert FORMS[UNSIGNED] == Form(signed=False, trailers=True)
    assert FORMS[SIGNED] == Form(signed=True, trailers=False)
    assert FORMS[SIGNED_TRAILER] == Form(signed=True, trailers=True)
