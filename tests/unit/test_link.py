"""Headers that a link carries in its query."""

from __future__ import annotations

from dataclasses import replace

import pytest

from post3.errors import InvalidArgument
from post3.s3.link import with_headers_of_link
from post3.s3.message import Request
from tests.bodies import make_request

V4 = {
    "X-Amz-Algorithm": "AWS4-HMAC-SHA256",
    "X-Amz-Credential": "KEY/20261122//s3/aws4_request",
    "X-Amz-Signature": "0",
}
V2 = {"AWSAccessKeyId": "KEY", "Signature": "x", "Expires": "2000000000"}
LINKS = pytest.mark.parametrize("link", [V4, V2], ids=["version 4", "version 2"])


def asked(query: dict[str, str], headers: dict[str, str] | None = None) -> Request:
    return make_request((), headers, query=query)


@LINKS
def test_a_parameter_that_is_a_header_s_means_what_the_header_does(link: dict[str, str]) -> None:
    request = asked({**link, "x-amz-acl": "public-read", "X-Amz-Meta-Told": " a b "}, {"host": "h"})

    headers = with_headers_of_link(request).headers
    assert {name: headers[name] for name in ("host", "x-amz-acl", "x-amz-meta-told")} == {
        "host": "h",
        "x-amz-acl": "public-read",
        "x-amz-meta-told": "a b",
    }


def test_without_a_signature_in_the_query_nothing_there_is_a_header() -> None:
    request = asked({"x-amz-acl": "public-read", "Expires": "1"}, {"authorization": "AWS4-HMAC-SHA256 …"})

    assert with_headers_of_link(request) is request


def test_what_signs_a_link_of_version_4_and_tells_of_its_body_is_no_header() -> None:
    told = {
        **V4,
        "X-Amz-Date": "20261122T000000Z",
        "X-Amz-Expires": "60",
        "X-Amz-SignedHeaders": "host",
        "X-Amz-Content-Sha256": "UNSIGNED-PAYLOAD",
        "x-amz-checksum-crc32": "AAAAAA==",
        "x-amz-sdk-checksum-algorithm": "CRC32",
    }

    assert with_headers_of_link(asked(told, {"host": "h"})).headers == {"host": "h"}


def test_what_version_2_signs_as_a_header_is_one() -> None:
    told = {**V2, "x-amz-checksum-crc32": "AAAAAA==", "x-amz-content-sha256": "UNSIGNED-PAYLOAD"}

    headers = with_headers_of_link(asked(told)).headers
    assert headers == {name: told[name] for name in ("x-amz-checksum-crc32", "x-amz-content-sha256")}


@LINKS
def test_a_header_is_not_there_twice_with_different_values(link: dict[str, str]) -> None:
    request = asked({**link, "x-amz-acl": "private"}, {"x-amz-acl": "private"})
    assert with_headers_of_link(request).headers == {"x-amz-acl": "private"}

    for query in ({**request.query, "x-amz-acl": "public-read"}, {**request.query, "X-Amz-Acl": "public-read"}):
        with pytest.raises(InvalidArgument, match="there twice"):
            with_headers_of_link(replace(request, query=query))


@LINKS
@pytest.mark.parametrize("value", ["a\nx-amz-acl:public-read", "a\r", "\0", "\x7f"])
def test_what_no_header_can_hold_is_refused(link: dict[str, str], value: str) -> None:
    with pytest.raises(InvalidArgument):
        with_headers_of_link(asked({**link, "x-amz-meta-a": value}))
