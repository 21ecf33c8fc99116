"""What would take the server's time or memory is refused before it does, as an attack by hand once showed."""

from __future__ import annotations

import pytest

from post3.errors import InvalidRequest, MalformedXML, OperationNotImplemented
from post3.model.names import parse_part_number
from post3.s3.body import parse_claims
from post3.s3.headers import heeds_range, parse_http_date, write_conditions
from post3.s3.xml import MAX_ELEMENTS, parse
from tests.oracle.model import make_request

ETAG = "0123456789abcdef0123456789abcdef"
MODIFIED = parse_http_date("Thu, 01 Jan 2026 00:00:00 GMT")


@pytest.mark.parametrize(("text", "number"), [("1", 1), ("10000", 10_000), ("00007", 7)])
def test_a_part_has_a_number_from_one_to_ten_thousand(text: str, number: int) -> None:
    assert parse_part_number(text) == number


@pytest.mark.parametrize(
    "text", ["", "0", "-1", "10001", "00000199999", "1" + "0" * 5000, "\uff11", "1.0", "1e3", " 1"]
)
def test_no_other_number_is_a_parts(text: str) -> None:
    assert parse_part_number(text) is None


@pytest.mark.parametrize(
    "body",
    [
        b"<Delete>" + b"<a/>" * (MAX_ELEMENTS + 1) + b"</Delete>",
        b"<Delete>" + b"<a>" * 100_000,
        b"<Delete " + b" ".join(b"a%d=''" % number for number in range(60_000)) + b"/>",
    ],
    ids=["elements", "depth", "attributes"],
)
def test_a_document_of_too_much_is_refused(body: bytes) -> None:
    with pytest.raises(MalformedXML):
        parse(body, "Delete")


def test_a_completion_of_ten_thousand_parts_is_not_too_much() -> None:
    checksums = "".join(f"<Checksum{name}>AAAA==</Checksum{name}>" for name in ("CRC32", "CRC32C", "SHA1", "SHA256"))
    part = f'<Part><PartNumber>1</PartNumber><ETag>"{ETAG}"</ETag>{checksums}</Part>'
    tree = parse(
        f"<CompleteMultipartUpload>{part * 10_000}</CompleteMultipartUpload>".encode(), "CompleteMultipartUpload"
    )
    parts = tree["Part"]
    assert isinstance(parts, list)
    assert len(parts) == 10_000


@pytest.mark.parametrize("name", ["if-modified-since", "if-unmodified-since"])
def test_a_condition_that_writes_do_not_have_is_refused(name: str) -> None:
    with pytest.raises(OperationNotImplemented):
        write_conditions({name: "Thu, 01 Jan 2026 00:00:00 GMT"})


@pytest.mark.parametrize(
    ("value", "heeded"),
    [
        (f'"{ETAG}"', True),
        ('"another"', False),
        (f'W/"{ETAG}"', False),
        ("Thu, 01 Jan 2026 00:00:00 GMT", True),
        ("Thu, 01 Jan 2026 00:00:01 GMT", False),
        ("nonsense", False),
    ],
)
def test_a_range_is_heeded_only_of_what_if_range_names(value: str, heeded: bool) -> None:
    assert MODIFIED is not None
    assert heeds_range({"if-range": value}, ETAG, MODIFIED) is heeded
    assert heeds_range({}, ETAG, MODIFIED)


def test_a_decoded_length_without_framing_is_refused() -> None:
    headers = {"content-encoding": "aws-chunked", "x-amz-decoded-content-length": "5"}
    with pytest.raises(InvalidRequest):
        parse_claims(make_request("PUT", "/bucket/key", headers=headers))
