"""The headers that a presigned URL keeps in its query."""

from __future__ import annotations

import pytest

from post3.errors import InvalidArgument
from post3.s3.presigned import hoisted_headers

V4 = {"X-Amz-Algorithm": "AWS4-HMAC-SHA256", "X-Amz-Credential": "c", "X-Amz-Signature": "s", "X-Amz-Date": "d"}
V2 = {"AWSAccessKeyId": "a", "Signature": "s", "Expires": "1"}


@pytest.mark.parametrize("signed", [V4, V2])
def test_a_presigned_url_keeps_headers_in_its_query(signed: dict[str, str]) -> None:
    query = {
        **signed,
        "X-Amz-Acl": "public-read",
        "x-amz-meta-a.b_c": " é ",
        "x-id": "PutObject",
        "prefix": "x-amz-acl",
    }

    assert hoisted_headers(query) == {"x-amz-acl": "public-read", "x-amz-meta-a.b_c": "é"}


def test_the_query_of_no_presigned_url_keeps_none() -> None:
    assert hoisted_headers({"x-amz-acl": "public-read", "uploads": ""}) == {}


def test_what_speaks_of_bytes_that_the_signer_did_not_have_is_none() -> None:
    query = {
        **V4,
        "x-amz-checksum-crc32": "AAAAAA==",
        "x-amz-sdk-checksum-algorithm": "CRC32",
        "X-Amz-Content-Sha256": "UNSIGNED-PAYLOAD",
        "x-amz-checksum-mode": "ENABLED",
    }

    assert hoisted_headers(query) == {"x-amz-checksum-mode": "ENABLED"}


@pytest.mark.parametrize(
    ("name", "value"),
    [("x-amz-meta-a", "1\r\nset-cookie: 2"), ("x-amz-meta-a", "\0"), ("x-amz-meta-a: b", "1"), ("x-amz-meta-é", "1")],
)
def test_what_no_header_could_be_is_refused(name: str, value: str) -> None:
    with pytest.raises(InvalidArgument):
        hoisted_headers({**V4, name: value})
