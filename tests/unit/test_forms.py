"""The decoder of upload forms: what clients send, and what is refused."""

from __future__ import annotations

import time

import pytest

from post3.errors import InvalidArgument, MalformedPOSTRequest, MaxPostPreDataLengthExceededError, PreconditionFailed
from post3.s3.forms import MAX_FORM, MAX_HEADERS, MAX_PARTS, Data, End, FieldsReady, FormDecoder, parse_boundary
from tests.bodies import cut
from tests.forms import BOUNDARY, Field, decode_form, encode_form

LONG = bytes(range(256)) * 1024
FIELDS = [("key", "user/${filename}"), ("Content-Type", "text/plain"), ("x-amz-meta-tag", "")]


def form_of_parts(*parts: bytes, boundary: bytes = b"b") -> bytes:
    """A form of parts as they are."""
    return b"".join(b"--%s\r\n%s\r\n" % (boundary, part) for part in parts) + b"--%s--\r\n" % boundary


def part(disposition: str, content: bytes = b"", more: str = "") -> bytes:
    return f"Content-Disposition: {disposition}\r\n{more}\r\n".encode() + content


FILE = part('form-data; name="file"', b"bytes")


def only_filename(disposition: str) -> str | None:
    """The filename of a form of one file with this Content-Disposition."""
    return decode_form([form_of_parts(part(disposition))], b"b").ready.filename


@pytest.mark.parametrize("boundary", ["b", "----=_Part_1_2.3", "'()+_,-./:=?", "two words", "b" * 70])
def test_a_boundary_may_be_quoted(boundary: str) -> None:
    assert parse_boundary(f'multipart/form-data; boundary="{boundary}"') == boundary.encode()


@pytest.mark.parametrize("boundary", ["b", "----=_Part_1_2.3", "----WebKitFormBoundary7MA4YWxkTrZu0gW", "b" * 70])
def test_a_boundary_need_not_be_quoted(boundary: str) -> None:
    assert parse_boundary(f"Multipart/Form-Data;charset=utf-8 ; BOUNDARY={boundary} ") == boundary.encode()


@pytest.mark.parametrize("content_type", ["", "text/plain", "multipart/mixed; boundary=b", "application/x-form; a=b"])
def test_another_media_type_is_refused_as_s3_does(content_type: str) -> None:
    with pytest.raises(PreconditionFailed) as caught:
        parse_boundary(content_type)
    assert caught.value.details == {"Condition": "Bucket POST must be of the enclosure-type multipart/form-data"}


@pytest.mark.parametrize(
    "parameters",
    [
        "",
        "; charset=utf-8",
        "; boundary=",
        '; boundary=""',
        f"; boundary={'b' * 71}",
        '; boundary="ends in a space "',
        "; boundary=b@d",
        "; boundary=b\u00e4",
        '; boundary="b',
        "; boundary=a; boundary=b",
        "; boundary=a, text/plain",
    ],
)
def test_a_missing_or_wrong_boundary_is_malformed(parameters: str) -> None:
    with pytest.raises(MalformedPOSTRequest):
        parse_boundary(f"multipart/form-data{parameters}")


def test_a_form_gives_its_fields_then_the_file_then_its_end() -> None:
    events = list(FormDecoder(BOUNDARY).feed(encode_form(FIELDS, b"bytes")))
    fields = {"key": "user/${filename}", "content-type": "text/plain", "x-amz-meta-tag": ""}
    assert events == [FieldsReady(fields, "photo.jpg", "image/jpeg"), Data(b"bytes"), End()]


@pytest.mark.parametrize("size", [1, 2, 3, 7, 100, 1_000_000])
def test_it_does_not_matter_where_the_bytes_are_cut(size: int) -> None:
    wire = (
        b"preamble\r\n" + encode_form(FIELDS, b"\r" + LONG + b"\r\n", behind=[("submit", "\r\nUpload")]) + b"\r\nmore"
    )
    decoded = decode_form(cut(wire, size))
    assert decoded.data == b"\r" + LONG + b"\r\n"
    assert decoded.ready == decode_form([wire]).ready


def test_a_form_as_python_requests_sends_it() -> None:
    wire = form_of_parts(
        part('form-data; name="key"; filename="key"', b"foo.txt"),
        part('form-data; name="pOLICy"; filename="pOLICy"', b"e30="),
        part('form-data; name="file"; filename="file"', b"bar"),
    )
    decoded = decode_form([wire], b"b")
    assert decoded == (FieldsReady({"key": "foo.txt", "policy": "e30="}, "file", ""), b"bar")


def test_a_piece_inside_the_file_is_handed_on_as_it_is() -> None:
    decoder = FormDecoder(BOUNDARY)
    head, _, _ = encode_form([], b"").partition(b"\r\n\r\n")
    list(decoder.feed(head + b"\r\n\r\n"))
    piece = bytes(256_000)
    (event,) = decoder.feed(piece)
    assert isinstance(event, Data)
    assert event.data is piece


def test_a_piece_that_holds_a_boundary_too_is_not_copied() -> None:
    wire = encode_form([], LONG)
    views = [event.data for event in FormDecoder(BOUNDARY).feed(wire) if isinstance(event, Data)]
    assert [view.obj for view in views if isinstance(view, memoryview)] == [wire]


def test_an_empty_file_has_no_bytes() -> None:
    assert decode_form([encode_form(FIELDS, b"", filename="")]).ready.filename == ""
    assert decode_form([encode_form(FIELDS, b"")]).data == b""


def test_a_part_without_content_may_end_at_once() -> None:
    empty = part('form-data; name="key"').removesuffix(b"\r\n")
    decoded = decode_form([form_of_parts(empty, FILE)], b"b")
    assert decoded == (FieldsReady({"key": ""}, None, ""), b"bytes")


@pytest.mark.parametrize(
    "near",
    [
        b"--%s",
        b"\n--%s",
        b"\r--%s",
        b"\r\n-%s",
        b"\r\r\n-%s",
        b"\r\n--\r\n%s",
        b"\r\n\r\n%s",
        b"\r\n--%s"[:-1],
        b"\r\n--%s"[:-2] + b"\r",
        b"\r\n",
        b"\r",
    ],
)
def test_what_is_nearly_a_boundary_is_data(near: bytes) -> None:
    data = b"x" + near.replace(b"%s", BOUNDARY)
    for content in (data, data * 3, data + BOUNDARY[:-1] + b"\r\n", b"\r\n--" + BOUNDARY[:-1] + b"x" + data):
        wire = encode_form([], content)
        for size in (1, 2, 5, len(wire)):
            assert decode_form(cut(wire, size)).data == content


def test_padding_of_transports_is_skipped() -> None:
    wire = encode_form(FIELDS, b"bytes").replace(BOUNDARY + b"\r\n", BOUNDARY + b" \t \r\n")
    for end in (b"--\r\n", b"-- \t\r\n", b"--", b"-- \t"):
        padded = wire.removesuffix(b"--\r\n") + end
        for size in (1, len(padded)):
            assert decode_form(cut(padded, size)).data == b"bytes"


def test_preamble_and_epilogue_are_skipped() -> None:
    wire = b"\r\nnot--%s yet\r\n" % BOUNDARY + encode_form(FIELDS, b"bytes") + b"--" + BOUNDARY + b"\nwhatever"
    assert decode_form([wire]).data == b"bytes"


def test_a_body_may_begin_with_a_line_end() -> None:
    assert decode_form([b"\r\n" + encode_form(FIELDS, b"bytes")]).data == b"bytes"


def test_fields_of_one_name_are_joined_by_commas() -> None:
    fields = [("x-amz-meta-tag", "Ninja"), ("key", "k"), ("X-Amz-Meta-TAG", "Stallman"), ("x-amz-meta-tag", "")]
    assert decode_form([encode_form(fields, b"")]).ready.fields == {"x-amz-meta-tag": "Ninja,Stallman,", "key": "k"}


def test_what_follows_the_file_is_ignored() -> None:
    behind: list[Field] = [("key", "other"), ("submit", b"\xff" * 3 * MAX_FORM)]
    decoded = decode_form([encode_form([("key", "k")], b"bytes", behind=behind)])
    assert decoded == (FieldsReady({"key": "k"}, "photo.jpg", "image/jpeg"), b"bytes")


def test_what_follows_the_file_must_be_well_formed() -> None:
    with pytest.raises(MalformedPOSTRequest):
        decode_form([form_of_parts(FILE, b"no headers\r\n\r\n")], b"b")


@pytest.mark.parametrize("name", ["file", "FILE", "File"])
def test_the_file_is_the_part_of_that_name_in_any_case(name: str) -> None:
    assert decode_form([form_of_parts(part(f'form-data; name="{name}"', b"bytes"))], b"b").data == b"bytes"


def test_a_form_without_a_file_is_refused() -> None:
    wire = form_of_parts(part('form-data; name="key"; filename="f"', b"k"))
    for body in (wire, wire.removesuffix(b"\r\n")):
        with pytest.raises(InvalidArgument) as caught:
            decode_form([body], b"b")
        assert caught.value.message == "POST requires exactly one file upload per request."
        assert caught.value.details == {"ArgumentName": "file", "ArgumentValue": "0"}


def test_a_form_with_two_files_is_refused() -> None:
    with pytest.raises(InvalidArgument) as caught:
        decode_form([form_of_parts(FILE, FILE)], b"b")
    assert caught.value.details == {"ArgumentName": "file", "ArgumentValue": "2"}


@pytest.mark.parametrize(
    ("disposition", "filename"),
    [
        ('form-data; name="file"', None),
        ('form-data; name="file"; filename=""', ""),
        ("form-data; name=file; filename=plain.txt", "plain.txt"),
        ('FORM-DATA;NAME="file";FILENAME="a.txt";', "a.txt"),
        ('form-data; filename="before.txt"; name="file"', "before.txt"),
        ('form-data; name="file"; filename="a;b=c, d.txt"', "a;b=c, d.txt"),
        ('form-data; name="file"; filename="na\u00efve \u2014 \U0001f600.txt"', "na\u00efve \u2014 \U0001f600.txt"),
        ('form-data; name="file"; filename="%22quoted%22%0d%0A100%25.txt"', '"quoted"\r\n100%25.txt'),
        (r'form-data; name="file"; filename="\"quoted\" and b.txt"', '"quoted" and b.txt'),
        (r'form-data; name="file"; filename="one \\ two.txt"', " two.txt"),
        ('form-data; name="file"; filename="/home/betty/lolcatz.jpg"', "lolcatz.jpg"),
        (r'form-data; name="file"; filename="C:\Program Files\directory1\file.txt"', "file.txt"),
        (r'form-data; name="file"; filename="\\server\share/mixed.txt"', "mixed.txt"),
        ('form-data; name="file"; filename="directory/"', ""),
        ("form-data; name=\"file\"; filename*=UTF-8''na%C3%AFve%20%22.txt", 'na\u00efve ".txt'),
        ('form-data; name="file"; filename="old.txt"; filename*=utf-8\'en\'new%2Fer.txt', "er.txt"),
        ("form-data; name*=utf-8''f%69le; filename=x", "x"),
    ],
)
def test_a_filename_is_read_as_clients_write_it(disposition: str, filename: str | None) -> None:
    assert only_filename(disposition) == filename


def test_a_field_name_is_read_as_clients_write_it() -> None:
    wire = form_of_parts(part('form-data; name="a%22B\u00e9"', b"1"), part("form-data; name=x-AMZ-date", b"2"), FILE)
    assert decode_form([wire], b"b").ready.fields == {'a"b\u00e9': "1", "x-amz-date": "2"}


@pytest.mark.parametrize("encoding", ["binary", "8BIT", "7bit"])
def test_an_encoding_that_changes_nothing_is_taken(encoding: str) -> None:
    more = f"Content-Transfer-Encoding: {encoding}\r\nX-Other: ignored\r\n"
    assert decode_form([form_of_parts(part("form-data; name=file", b"bytes", more))], b"b").data == b"bytes"


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"\r\n",
        b"Content-Type: text/plain",
        b"Content-Disposition: file; name=file",
        b"Content-Disposition: form-data",
        b"Content-Disposition: form-data; filename=x",
        b"Content-Disposition: form-data; name",
        b"Content-Disposition: form-data; name=file name",
        b'Content-Disposition: form-data; name="file',
        b'Content-Disposition: form-data; name="file"x',
        b'Content-Disposition: form-data; name="file"; name="file"',
        b'Content-Disposition: form-data; name="\xff"',
        b'Content-Disposition: form-data; name="a\x00b"',
        b'Content-Disposition: form-data; name="a\nb"',
        b'Content-Disposition: form-data; name="a\rb"',
        b"Content-Disposition: form-data; name=file; filename*=x",
        b"Content-Disposition: form-data; name=file; filename*=latin1''x",
        b"Content-Disposition: form-data; name=file; filename*=utf-8''%ff",
        b"Content-Disposition: form-data; name=file\r\nContent-Disposition: form-data; name=file",
        b"Content-Disposition: form-data; name=file\r\n folded: line",
        b"Content-Disposition: form-data; name=file\r\nno colon",
        b"Content-Disposition : form-data; name=file",
        b"Content-Disposition: form-data; name=file\nContent-Type: text/plain",
        b"Content-Disposition: form-data; name=file\r\nContent-Transfer-Encoding: base64",
    ],
)
def test_a_part_with_wrong_headers_is_malformed(head: bytes) -> None:
    wire = form_of_parts(head + b"\r\n\r\nbytes")
    for pieces in ([wire], cut(wire, 1)):
        with pytest.raises(MalformedPOSTRequest):
            decode_form(pieces, b"b")


@pytest.mark.parametrize(
    "wire",
    [
        b"",
        b"--",
        b"--b",
        b"b--\r\n",
        b"--b\n" + FILE + b"\r\n--b--\r\n",
        b"--b\r" + FILE + b"\r\n--b--\r\n",
        b"--b\r\n" + FILE + b"\n--b--\n",
        b"--b\r\n" + FILE + b"\r\n--b-\r\n",
        b"--b\r\n" + FILE + b"\r\n--b--x\r\n",
        b"--b\r\n" + FILE + b"\r\n--b\r\n",
        b"--b\r\n" + FILE + b"\r\n--b\r\n--",
        b"--b\r\n" + FILE + b"\r\n--boundary goes on\r\n--b--\r\n",
        b"--b" + b" " * 300 + b"\r\n" + FILE + b"\r\n--b--\r\n",
        (b"--b\r\n" + FILE + b"\r\n--b--\r\n").replace(b"\r\n", b"\n"),
        (b"--b\r\n" + FILE + b"\r\n--b--\r\n").replace(b"\r\n", b"\r"),
    ],
)
def test_broken_framing_is_malformed(wire: bytes) -> None:
    for pieces in ([wire], cut(wire, 1)):
        with pytest.raises(MalformedPOSTRequest):
            decode_form(pieces, b"b")


def test_a_form_cut_short_anywhere_is_malformed() -> None:
    wire = encode_form([("key", "k")], b"bytes", behind=[("submit", "x")]).removesuffix(b"\r\n")
    for size in range(len(wire)):
        with pytest.raises(MalformedPOSTRequest):
            decode_form([wire[:size]])


def test_a_value_that_is_not_utf_8_is_malformed() -> None:
    with pytest.raises(MalformedPOSTRequest):
        decode_form([encode_form([("key", b"\xff")], b"")])


def test_a_value_may_be_cut_within_a_character() -> None:
    wire = encode_form([("key", "\u2014\U0001f600")], b"")
    assert decode_form(cut(wire, 1)).ready.fields == {"key": "\u2014\U0001f600"}


def filled(size: int) -> bytes:
    """A form whose file begins behind this many bytes."""
    empty = encode_form([("x-ignore-me", "")], LONG).index(LONG)
    return encode_form([("x-ignore-me", "x" * (size - empty))], LONG)


def test_what_precedes_the_file_is_bounded() -> None:
    for size in (1, 1000, 10 * MAX_FORM):
        assert decode_form(cut(filled(MAX_FORM), size)).data == LONG
        with pytest.raises(MaxPostPreDataLengthExceededError) as caught:
            decode_form(cut(filled(MAX_FORM + 1), size))
        assert caught.value.details == {"MaxPostPreDataLengthBytes": "20480"}


@pytest.mark.parametrize("wire", [bytes(MAX_FORM + 1), form_of_parts(part("form-data; name=files", LONG))])
def test_a_body_without_a_file_is_not_waited_for(wire: bytes) -> None:
    for size in (1, 1000, len(wire)):
        with pytest.raises(MaxPostPreDataLengthExceededError):
            decode_form(cut(wire, size), b"b")


def test_the_headers_of_a_part_are_bounded() -> None:
    def form(size: int) -> bytes:
        head = b"Content-Disposition: form-data; name=key\r\nX: "
        return form_of_parts(head + b"x" * (size - len(head)) + b"\r\n\r\nk", FILE)

    for size in (1, 1000, 10 * MAX_HEADERS):
        assert decode_form(cut(form(MAX_HEADERS), size), b"b").ready.fields == {"key": "k"}
        with pytest.raises(MalformedPOSTRequest):
            decode_form(cut(form(MAX_HEADERS + 1), size), b"b")


def test_the_number_of_parts_is_bounded() -> None:
    other = part("form-data; name=x")
    assert decode_form([form_of_parts(FILE, *[other] * (MAX_PARTS - 1))], b"b").data == b"bytes"
    with pytest.raises(MalformedPOSTRequest):
        decode_form([form_of_parts(FILE, *[other] * MAX_PARTS)], b"b")


def test_hostile_headers_do_not_take_long() -> None:
    began = time.process_time()
    for text in (r'"' + "\\" * 8000, ";" * 8000, "; " * 4000, '"' * 8000, " " * 8000 + "x", '"x' + " ;" * 4000):
        with pytest.raises(MalformedPOSTRequest):
            decode_form([form_of_parts(part(f"form-data; name={text}"))], b"b")
    assert time.process_time() - began < 1
