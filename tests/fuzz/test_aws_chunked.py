"""aws-chunked under random splits, cuts and bytes: the same events, or an S3 error, and nothing else."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from post3.errors import BadDigest, IncompleteBody, S3Error
from post3.s3.aws_chunked import FORMS, MIN_CHUNK, Form, Trailers
from post3.s3.body import Body
from tests.bodies import UNSIGNED, bytes_of, crc32, cut_at, decode, frame, framed_headers, make_request, merged
from tests.fuzz.bounds import bounded

forms = st.sampled_from(sorted(set(FORMS.values())))
places = st.lists(st.integers(0, 3 * MIN_CHUNK), max_size=30)
tails = st.binary(max_size=200)
larger_chunks = st.lists(
    st.builds(lambda seed, size: seed * size + seed, st.binary(min_size=1, max_size=4), st.just(MIN_CHUNK)), max_size=2
)
names = st.text("abcdefghijklmnopqrstuvwxyz0123456789-", min_size=1, max_size=20).map("x-".__add__)
values = st.text([chr(code) for code in range(0x21, 0x7F)], max_size=40)
trailers = st.dictionaries(names, values, max_size=4)


@st.composite
def bodies(draw: st.DrawFn) -> tuple[Form, list[bytes], dict[str, str]]:
    """A form, chunks of which the last may be small, and trailers where the form has them."""
    form = draw(forms)
    tail = draw(tails)
    return form, [*draw(larger_chunks), *([tail] if tail else [])], draw(trailers) if form.trailers else {}


@bounded
@given(bodies(), places)
def test_any_split_of_a_body_decodes_to_the_same(
    body: tuple[Form, list[bytes], dict[str, str]], cuts: list[int]
) -> None:
    form, chunks, told = body
    wire = frame(chunks, form, told)
    events = decode(cut_at(wire, cuts), form)
    assert bytes_of(events) == b"".join(chunks)
    assert [event.values for event in events if isinstance(event, Trailers)] == [told]
    assert list(merged(events)) == list(merged(decode([wire], form)))


@bounded
@given(bodies(), st.data())
def test_a_body_cut_short_is_incomplete(body: tuple[Form, list[bytes], dict[str, str]], data: st.DataObject) -> None:
    form, chunks, told = body
    wire = frame(chunks, form, told)
    kept = wire[: data.draw(st.integers(0, len(wire) - 1))]
    with pytest.raises(IncompleteBody):
        decode([kept], form)


@bounded
@given(bodies(), places, st.data())
def test_a_body_with_one_byte_changed_gives_events_or_an_s3_error(
    body: tuple[Form, list[bytes], dict[str, str]], cuts: list[int], data: st.DataObject
) -> None:
    form, chunks, told = body
    wire = bytearray(frame(chunks, form, told))
    wire[data.draw(st.integers(0, len(wire) - 1))] = data.draw(st.integers(0, 255))
    assert outcome(cut_at(bytes(wire), cuts), form) == outcome([bytes(wire)], form)


SIZES = [b"0", b"5", b"2000", b"ffffffffffffffff"]
BREAKS = [b"\r", b"\n", b"\r\n", b";", b":", b" ", b"\x00"]
WORDS = [b";chunk-signature=", b"abcdef", b"x-amz-trailer-signature:", b"x-amz-checksum-crc32:", b"hello", b"a" * 5000]
scraps = st.sampled_from([*SIZES, *BREAKS, *WORDS])


@bounded
@given(st.one_of(st.binary(max_size=300), st.lists(scraps, max_size=20).map(b"".join)), forms, places)
@example(b"0\r\n\r\n\r\n", FORMS[UNSIGNED], [])
@example(b"\r\n\r\n", FORMS[UNSIGNED], [1])
def test_any_bytes_give_events_or_an_s3_error(wire: bytes, form: Form, cuts: list[int]) -> None:
    assert outcome(cut_at(wire, cuts), form) == outcome([wire], form)


def outcome(pieces: list[bytes], form: Form) -> object:
    """What comes of it: bytes and trailers, or the code of the S3 error. Anything else that is raised passes."""
    try:
        return list(merged(decode(pieces, form)))
    except S3Error as error:
        return error.code


@bounded
@given(st.binary(max_size=300), places, st.sampled_from(sorted(FORMS)), st.integers(0, 400))
async def test_any_bytes_give_a_body_or_an_s3_error(wire: bytes, cuts: list[int], name: str, told: int) -> None:
    body = Body(make_request(cut_at(wire, cuts), framed_headers(name, told)))
    try:
        taken = [block.data async for block in body.blocks()]
    except S3Error:
        return
    assert sum(map(len, taken)) == told == body.size


@bounded
@given(st.binary(max_size=2 * MIN_CHUNK), places, st.booleans())
async def test_a_body_is_verified_however_it_is_cut(data: bytes, cuts: list[int], right: bool) -> None:
    told = {"x-amz-checksum-crc32": crc32(data if right else data + b"x")}
    wire = frame([data] if data else [], FORMS[UNSIGNED], told)
    headers = framed_headers(UNSIGNED, len(data), "x-amz-checksum-crc32")
    body = Body(make_request(cut_at(wire, cuts), headers))
    if not right:
        with pytest.raises(BadDigest):
            await body.whole()
    else:
        assert await body.whole() == data
