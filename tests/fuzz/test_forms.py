"""Upload forms under random splits, cuts and bytes: the same form, or an S3 error, and nothing else."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from post3.errors import MalformedPOSTRequest, S3Error
from post3.s3.forms import MAX_FORM, MAX_PADDING, FormDecoder, parse_boundary
from tests.bodies import cut_at
from tests.forms import decode_form, encode_form
from tests.fuzz.bounds import bounded

boundary_ends = "0123456789abcXYZ'()+_,./:=?-"
boundaries = st.builds(lambda body, end: (body + end).encode(), st.text(boundary_ends + " ", max_size=69),
                       st.sampled_from(boundary_ends))  # fmt: skip
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)
names = st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\\%"), max_size=20)
fields = st.dictionaries(names.map(str.lower).filter(lambda name: name != "file"), texts, max_size=6)
filenames = st.none() | st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="/\\%"), max_size=30)
places = st.lists(st.integers(0, 2000), max_size=30)


def contents(boundary: bytes) -> st.SearchStrategy[bytes]:
    """Bytes that never hold the boundary at the beginning of a line, but nearly."""
    scraps = [b"\r", b"\n", b"\r\n", b"-", b"--", boundary, boundary[:-1], b"\r\n--" + boundary[:-1], b"--\r\n", b"x"]
    near = st.lists(st.sampled_from(scraps), max_size=20).map(b"".join)
    return (st.binary(max_size=500) | near).filter(lambda data: b"\r\n--" + boundary not in b"\r\n" + data)


@bounded
@given(boundaries, fields, filenames, places, st.data())
def test_any_form_split_anywhere_decodes_to_the_same(
    boundary: bytes, told: dict[str, str], filename: str | None, cuts: list[int], data: st.DataObject
) -> None:
    values = {name: value for name, value in told.items() if (b"\r\n--" + boundary) not in f"\r\n{value}".encode()}
    content = data.draw(contents(boundary))
    behind = [("submit", data.draw(contents(boundary)))]
    wire = encode_form(values.items(), content, filename=filename, boundary=boundary, behind=behind)
    decoded = decode_form(cut_at(wire, cuts), boundary)
    assert decoded.data == content
    assert decoded.ready == (values, filename, "image/jpeg")
    assert parse_boundary(f'multipart/form-data; boundary="{boundary.decode()}"') == boundary


@bounded
@given(fields, places, st.data())
def test_a_form_cut_short_is_malformed(told: dict[str, str], cuts: list[int], data: st.DataObject) -> None:
    wire = encode_form(told.items(), data.draw(contents(b"b")), boundary=b"bcdefghi")
    kept = wire[: data.draw(st.integers(0, len(wire) - 3))]
    with pytest.raises(MalformedPOSTRequest):
        decode_form(cut_at(kept, cuts), b"bcdefghi")


@bounded
@given(fields, places, st.data())
def test_a_form_with_one_byte_changed_gives_a_form_or_an_s3_error(
    told: dict[str, str], cuts: list[int], data: st.DataObject
) -> None:
    wire = bytearray(encode_form(told.items(), b"bytes", boundary=b"b"))
    wire[data.draw(st.integers(0, len(wire) - 1))] = data.draw(st.integers(0, 255))
    assert outcome(cut_at(bytes(wire), cuts)) == outcome([bytes(wire)])


DISPOSITION = b"Content-Disposition: form-data; name="
BOUNDARIES = [b"--b", b"\r\n--b", b"--b--", b"\r\n--b--", b"--b\r\n"]
HEADERS = [
    DISPOSITION,
    DISPOSITION + b"file\r\n\r\n",
    DISPOSITION + b'"key"\r\n\r\n',
    b"; filename*=utf-8''%41",
    b"X: y",
]
BREAKS = [b"\r", b"\n", b"\r\n", b"\r\n\r\n", b" ", b"\x00", b'"', b"\\", b";", b"\xff", b"-"]
LONGS = [b"a" * MAX_FORM, b" " * MAX_PADDING, b"\r\n" * 5000]
scraps = st.sampled_from([*BOUNDARIES, *BOUNDARIES, *HEADERS, *HEADERS, *BREAKS, *LONGS])


@bounded
@given(st.binary(max_size=300) | st.lists(scraps, max_size=30).map(b"".join), places)
@example(b"--b\r\n\r\n\r\n--b--", [1])
@example(b"--b\r\n" + DISPOSITION + b"file\r\n\r\n--b--", [40, 47])
def test_any_bytes_give_a_form_or_an_s3_error(wire: bytes, cuts: list[int]) -> None:
    assert outcome(cut_at(wire, cuts)) == outcome([wire])


def outcome(pieces: list[bytes]) -> object:
    """What comes of it: the form, or the code of the S3 error. Anything else that is raised passes."""
    try:
        return decode_form(pieces, b"b")
    except S3Error as error:
        return error.code


@bounded
@given(st.text(max_size=100) | st.text(max_size=80).map("multipart/form-data;".__add__))
@example("multipart/form-data; boundary=" + "b" * 10_000)
def test_any_content_type_gives_a_boundary_or_an_s3_error(content_type: str) -> None:
    try:
        boundary = parse_boundary(content_type)
    except S3Error:
        return
    assert 1 <= len(boundary) <= 70
    assert list(FormDecoder(boundary).feed(b"--" + boundary)) == []
