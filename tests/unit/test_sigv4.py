"""Signature Version 4 by the examples of AWS's documentation, and what else a server must refuse."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import pytest

from post3.auth.authentication import Proof
from post3.auth.sent import Sent
from post3.auth.sigv4 import EMPTY_SHA256, Credential, canonical_path, canonical_query, parse_credential
from post3.errors import (
    AccessDenied,
    AuthorizationHeaderMalformed,
    AuthorizationQueryParametersError,
    InvalidAccessKeyId,
    InvalidArgument,
    InvalidRequest,
    InvalidToken,
    OperationNotImplemented,
    RequestTimeTooSkewed,
    S3Error,
    SignatureDoesNotMatch,
)
from tests import signing
from tests.signing import ALICE, KEY, authenticator, now, signed

DOCUMENTED: Final = datetime(2013, 5, 24, tzinfo=UTC)
SCOPE: Final = f"{KEY}/20130524/us-east-1/s3/aws4_request"
HOST: Final = "examplebucket.s3.amazonaws.com"


def documented(
    method: str,
    path: str,
    query: str,
    headers: Mapping[str, str],
    signed_headers: str,
    signature: str,
    host: str = HOST,
) -> Sent:
    authorization = f"AWS4-HMAC-SHA256 Credential={SCOPE},SignedHeaders={signed_headers},Signature={signature}"
    return Sent(
        method,
        path,
        query,
        {"host": host, "x-amz-date": "20130524T000000Z", "authorization": authorization, **headers},
        "examplebucket",
        True,
    )


GET_OBJECT: Final = documented(
    "GET",
    "/test.txt",
    "",
    {"range": "bytes=0-9", "x-amz-content-sha256": EMPTY_SHA256},
    "host;range;x-amz-content-sha256;x-amz-date",
    "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
)
PUT_OBJECT: Final = documented(
    "PUT",
    "/test%24file.text",
    "",
    {
        "date": "Fri, 24 May 2013 00:00:00 GMT",
        "x-amz-storage-class": "REDUCED_REDUNDANCY",
        "x-amz-content-sha256": "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072",
    },
    "date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class",
    "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd",
)
GET_LIFECYCLE: Final = documented(
    "GET",
    "/",
    "lifecycle",
    {"x-amz-content-sha256": EMPTY_SHA256},
    "host;x-amz-content-sha256;x-amz-date",
    "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543",
)
LIST_OBJECTS: Final = documented(
    "GET",
    "/",
    "prefix=J&max-keys=2",
    {"x-amz-content-sha256": EMPTY_SHA256},
    "host;x-amz-content-sha256;x-amz-date",
    "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7",
)
PRESIGNED: Final = Sent(
    "GET",
    "/test.txt",
    "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request"
    "&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host"
    "&X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404",
    {"host": HOST},
    "examplebucket",
    True,
)
CHUNKED: Final = {
    "content-encoding": "aws-chunked",
    "x-amz-decoded-content-length": "66560",
    "x-amz-storage-class": "REDUCED_REDUNDANCY",
}
STREAMED: Final = documented(
    "PUT",
    "/examplebucket/chunkObject.txt",
    "",
    {**CHUNKED, "content-length": "66824", "x-amz-content-sha256": "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"},
    "content-encoding;content-length;host;x-amz-content-sha256;x-amz-date;x-amz-decoded-content-length;"
    "x-amz-storage-class",
    "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9",
    host="s3.amazonaws.com",
)
STREAMED_WITH_TRAILER: Final = documented(
    "PUT",
    "/examplebucket/chunkObject.txt",
    "",
    {
        **CHUNKED,
        "x-amz-content-sha256": "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER",
        "x-amz-trailer": "x-amz-checksum-crc32c",
    },
    "content-encoding;host;x-amz-content-sha256;x-amz-date;x-amz-decoded-content-length;x-amz-storage-class;"
    "x-amz-trailer",
    "106e2a8a18243abcf37539882f36619c00e2dfc72633413f02d3b74544bfeb8e",
    host="s3.amazonaws.com",
)


def authenticate(sent: Sent, at: datetime = DOCUMENTED, **options: Any) -> Proof:
    return authenticator(**options).authenticate(sent, at)


def with_headers(sent: Sent, **headers: str | None) -> Sent:
    """The request with these headers changed, or without those that are None."""
    changed = {**sent.headers, **{name.replace("_", "-"): value for name, value in headers.items()}}
    return replace(sent, headers={name: value for name, value in changed.items() if value is not None})


def with_authorization(old: str, new: str, sent: Sent = GET_OBJECT) -> Sent:
    return with_headers(sent, authorization=sent.headers["authorization"].replace(old, new))


# AWS's examples


@pytest.mark.parametrize("sent", [GET_OBJECT, PUT_OBJECT, GET_LIFECYCLE, LIST_OBJECTS])
def test_the_documented_headers_verify(sent: Sent) -> None:
    proof = authenticate(sent, DOCUMENTED + timedelta(seconds=5))

    assert proof == Proof(
        ALICE, sent.headers["x-amz-content-sha256"], None, "header", "AWS4-HMAC-SHA256", timedelta(seconds=5)
    )


def test_the_documented_presigned_url_verifies_for_a_day() -> None:
    day = timedelta(days=1)

    assert authenticate(PRESIGNED, DOCUMENTED + day) == Proof(
        ALICE, "UNSIGNED-PAYLOAD", None, "query", "AWS4-HMAC-SHA256", day
    )
    with pytest.raises(AccessDenied, match="Request has expired") as refused:
        authenticate(PRESIGNED, DOCUMENTED + day + timedelta(seconds=1))
    assert refused.value.details == {
        "X-Amz-Expires": "86400",
        "Expires": "2013-05-25T00:00:00Z",
        "ServerTime": "2013-05-25T00:00:01Z",
    }


def test_the_documented_chunks_verify_in_their_order_alone() -> None:
    signatures = [
        "ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648",
        "0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497",
        "b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9",
    ]
    hashes = [hashlib.sha256(b"a" * size).hexdigest() for size in (65536, 1024, 0)]
    chunks = authenticate(STREAMED).chunks
    assert chunks is not None

    with pytest.raises(SignatureDoesNotMatch) as refused:
        chunks.check_chunk(hashes[1], signatures[1])
    assert refused.value.details["StringToSign"].startswith("AWS4-HMAC-SHA256-PAYLOAD\n20130524T000000Z\n")
    for sha256, signature in zip(hashes, signatures, strict=True):
        chunks.check_chunk(sha256, signature)
    with pytest.raises(SignatureDoesNotMatch):
        chunks.check_chunk(hashes[2], signatures[2])


def test_the_documented_trailer_verifies() -> None:
    signatures = [
        "b474d8862b1487a5145d686f57f013e54db672cee1c953b3010fb58501ef5aa2",
        "1c1344b170168f8e65b41376b44b20fe354e373826ccbbe2c1d40a8cae51e5c7",
        "2ca2aba2005185cf7159c6277faf83795951dd77a3a99e6e65d5c9f85863f992",
    ]
    trailer = "d81f82fc3505edab99d459891051a732e8730629a2e4a59689829ca17fe2e435"
    chunks = authenticate(STREAMED_WITH_TRAILER).chunks
    assert chunks is not None
    for size, signature in zip((65536, 1024, 0), signatures, strict=True):
        chunks.check_chunk(hashlib.sha256(b"a" * size).hexdigest(), signature)

    with pytest.raises(SignatureDoesNotMatch):
        chunks.check_trailer({"x-amz-checksum-crc32c": "sOO8/A=="}, trailer)
    chunks.check_trailer({"x-amz-checksum-crc32c": "sOO8/Q=="}, trailer)


# The Authorization header


@pytest.mark.parametrize(("old", "new"), [(",", ", "), (",", " ,  "), ("SHA256 ", "SHA256   ")])
def test_spaces_between_the_components_are_free(old: str, new: str) -> None:
    assert authenticate(with_authorization(old, new)).identity == ALICE


@pytest.mark.parametrize("order", [(2, 0, 1), (1, 2, 0), (1, 0, 2), (0, 2, 1)], ids=str)
def test_the_components_may_come_in_any_order(order: tuple[int, ...]) -> None:
    components = GET_OBJECT.headers["authorization"].removeprefix("AWS4-HMAC-SHA256 ").split(",")
    value = "AWS4-HMAC-SHA256 " + ", ".join(components[number] for number in order)
    assert authenticate(with_headers(GET_OBJECT, authorization=value)).identity == ALICE


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("Credential=", "Credentials=", "requires the component Credential"),
        ("SignedHeaders=", "", "requires the component SignedHeaders"),
        (",Signature=", ",Signature=,Signature=", "there twice"),
        (",Signature=", ",Signature=0,Signature=", "Signature is there twice"),
        (",Signature=", ",Signatures=", "requires the component Signature"),
        ("/20130524/", "/20130525/", 'Invalid credential date "20130525"'),
        ("/20130524/", "/2013/", "mal-formed"),
        ("/s3/", "/ec2/", 'incorrect service "ec2"'),
        ("aws4_request", "aws5_request", 'incorrect terminal "aws5_request"'),
        (KEY, "", "non-empty Access Key"),
        (SCOPE, "nonsense", "mal-formed"),
    ],
)
def test_a_malformed_header_says_what_is_wrong(old: str, new: str, told: str) -> None:
    with pytest.raises(AuthorizationHeaderMalformed, match=told):
        authenticate(with_authorization(old, new))


def test_a_mismatch_tells_all_that_was_signed() -> None:
    with pytest.raises(SignatureDoesNotMatch) as refused:
        authenticate(with_headers(GET_OBJECT, range="bytes=0-8"))

    canonical = f"GET\n/test.txt\n\nhost:{HOST}\nrange:bytes=0-8\nx-amz-content-sha256:{EMPTY_SHA256}\n"
    canonical += "x-amz-date:20130524T000000Z\n\nhost;range;x-amz-content-sha256;x-amz-date\n" + EMPTY_SHA256
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    to_sign = f"AWS4-HMAC-SHA256\n20130524T000000Z\n20130524/us-east-1/s3/aws4_request\n{digest}"
    assert refused.value.status == 403
    assert refused.value.message == SignatureDoesNotMatch.__doc__
    assert refused.value.details == {
        "AWSAccessKeyId": KEY,
        "StringToSign": to_sign,
        "SignatureProvided": "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
        "StringToSignBytes": to_sign.encode().hex(" "),
        "CanonicalRequest": canonical,
        "CanonicalRequestBytes": canonical.encode().hex(" "),
    }


def test_an_unknown_key_is_named() -> None:
    with pytest.raises(InvalidAccessKeyId) as refused:
        authenticate(with_authorization(KEY, "AKIAUNKNOWN"))

    assert refused.value.details == {"AWSAccessKeyId": "AKIAUNKNOWN"}


@pytest.mark.parametrize("region", ["", "eu-west-7", "anything at all"])
def test_any_region_is_taken(region: str) -> None:
    assert authenticate(signed(signing.v4_header(region=region)), now()).identity == ALICE


def test_an_access_key_may_contain_slashes() -> None:
    told = parse_credential("a/b/c/20130524//s3/aws4_request", AuthorizationHeaderMalformed)

    assert told == Credential("a/b/c", "20130524", "")
    assert told.scope == "20130524//s3/aws4_request"


def test_the_hash_of_the_body_is_required() -> None:
    with pytest.raises(InvalidRequest, match="Missing required header for this request: x-amz-content-sha256"):
        authenticate(with_headers(GET_OBJECT, x_amz_content_sha256=None))


@pytest.mark.parametrize("value", ["", "abc", "UNSIGNED", "STREAMING-AWS4-HMAC-SHA256", EMPTY_SHA256[1:]])
def test_another_hash_of_the_body_is_refused(value: str) -> None:
    with pytest.raises(InvalidArgument, match="x-amz-content-sha256 must be") as refused:
        authenticate(with_headers(GET_OBJECT, x_amz_content_sha256=value))

    assert refused.value.details["ArgumentValue"] == value


def test_asymmetric_signatures_are_not_implemented() -> None:
    with pytest.raises(OperationNotImplemented, match="AWS4-ECDSA-P256-SHA256"):
        authenticate(with_authorization("AWS4-HMAC-SHA256", "AWS4-ECDSA-P256-SHA256"))
    with pytest.raises(OperationNotImplemented, match="STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD"):
        authenticate(with_headers(GET_OBJECT, x_amz_content_sha256="STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD"))


# What must be signed


@pytest.mark.parametrize("sent", [GET_OBJECT, PRESIGNED])
@pytest.mark.parametrize("name", ["x_amz_acl", "x_amz_meta_a", "content_md5"])
def test_a_header_that_somebody_added_is_refused(sent: Sent, name: str) -> None:
    with pytest.raises(AccessDenied, match="not signed") as refused:
        authenticate(with_headers(sent, **{name: "value"}))

    assert refused.value.details == {"HeadersNotSigned": name.replace("_", "-")}


@pytest.mark.parametrize("signer", [signing.v4_header(), signing.v4_query()])
def test_a_header_without_a_meaning_may_be_added(signer: Any) -> None:
    sent = with_headers(signed(signer), via="1.1 proxy", x_forwarded_for="10.0.0.1", content_type="text/plain")

    assert authenticate(sent, now()).identity == ALICE


def test_a_signed_header_that_is_empty_must_arrive() -> None:
    sent = signed(signing.v4_header(), headers={"content-type": ""})

    assert authenticate(sent, now()).identity == ALICE
    with pytest.raises(SignatureDoesNotMatch, match="did not arrive: 'content-type'"):
        authenticate(with_headers(sent, content_type=None), now())


def test_spaces_in_a_row_count_once() -> None:
    sent = signed(signing.v4_header(), headers={"x-amz-meta-a": "a   b\tc"})

    assert authenticate(sent, now()).identity == ALICE
    assert authenticate(with_headers(sent, x_amz_meta_a="a b c"), now()).identity == ALICE


# Times


def test_date_stands_in_for_x_amz_date() -> None:
    """s3-tests: test_object_create_date_and_amz_date."""
    sent = signed(signing.v4_header(), headers={"Date": "now"})

    assert "x-amz-date" not in sent.headers
    assert sent.headers["date"].endswith("-0000")
    assert authenticate(sent, now()).identity == ALICE


@pytest.mark.parametrize("minutes", [-15, 15])
def test_a_clock_may_differ_by_a_quarter_of_an_hour(minutes: int) -> None:
    assert authenticate(GET_OBJECT, DOCUMENTED + timedelta(minutes=minutes)).identity == ALICE


@pytest.mark.parametrize(
    ("minutes", "told"), [(-16, "960 seconds ahead of the server's clock"), (75, "4500 seconds behind the server's")]
)
def test_a_clock_that_differs_more_is_told_by_how_much(minutes: int, told: str) -> None:
    with pytest.raises(RequestTimeTooSkewed, match=told) as refused:
        authenticate(GET_OBJECT, DOCUMENTED + timedelta(minutes=minutes))

    assert refused.value.details["RequestTime"] == "20130524T000000Z"
    assert refused.value.details["MaxAllowedSkewMilliseconds"] == "900000"
    assert refused.value.details["ServerTime"].endswith("00Z")


@pytest.mark.parametrize("date", [None, "", "yesterday", "20130532T000000Z", "Tue, 07 Jul 1950 21:53:04 GMT"])
def test_a_request_without_a_date_is_refused(date: str | None) -> None:
    with pytest.raises(AccessDenied, match="requires a valid Date or x-amz-date header"):
        authenticate(with_headers(GET_OBJECT, x_amz_date=date))


# Presigned


def with_query(old: str, new: str) -> Sent:
    return replace(PRESIGNED, query=PRESIGNED.query.replace(old, new))


@pytest.mark.parametrize(
    ("old", "new", "error", "told"),
    [
        ("X-Amz-Expires=86400", "X-Amz-Expires=604801", AccessDenied, "less than a week"),
        ("X-Amz-Expires=86400", "X-Amz-Expires=-1", AccessDenied, "non-negative"),
        ("X-Amz-Expires=86400", "X-Amz-Expires=0", AccessDenied, "Request has expired"),
        ("X-Amz-Expires=86400", "X-Amz-Expires=day", AuthorizationQueryParametersError, "should be a number"),
        ("X-Amz-Expires=86400", "X-Amz-Expires=86399", SignatureDoesNotMatch, "does not match"),
        ("&X-Amz-Date=20130524T000000Z", "", AuthorizationQueryParametersError, "requires the X-Amz-Algorithm"),
        ("T000000Z", "", AuthorizationQueryParametersError, "ISO8601 Long Format"),
        ("=20130524T", "=20130525T", AuthorizationQueryParametersError, "Invalid credential date"),
        ("X-Amz-Date=", "X-Amz-Date=1&X-Amz-Date=", AuthorizationQueryParametersError, "there twice"),
        ("HMAC", "ECDSA", AuthorizationQueryParametersError, "only supports"),
        ("AWS4-HMAC-SHA256", "AWS4-ECDSA-P256-SHA256", OperationNotImplemented, "ECDSA"),
        ("%2Fs3%2F", "%2Fiam%2F", AuthorizationQueryParametersError, 'incorrect service "iam"'),
        ("X-Amz-Signature", "X-Amz-Security-Token=t&X-Amz-Signature", InvalidToken, "token"),
        ("X-Amz-Signature", "X-Amz-Content-Sha256=x&X-Amz-Signature", InvalidArgument, "must be"),
    ],
)
def test_a_wrong_presigned_url_says_what_is_wrong(old: str, new: str, error: type[S3Error], told: str) -> None:
    with pytest.raises(error, match=told):
        authenticate(with_query(old, new))


def test_a_presigned_url_is_not_valid_before_its_time() -> None:
    assert authenticate(PRESIGNED, DOCUMENTED - timedelta(minutes=15)).identity == ALICE
    with pytest.raises(AccessDenied, match="Request is not yet valid"):
        authenticate(PRESIGNED, DOCUMENTED - timedelta(minutes=16))


def test_a_presigned_url_may_cover_the_body() -> None:
    digest = hashlib.sha256(b"body").hexdigest()
    in_query = signed(signing.v4_query(), "PUT", f"/bucket/key?X-Amz-Content-Sha256={digest}")
    in_header = signed(signing.v4_query(), "PUT", headers={"X-Amz-Content-Sha256": digest})

    # botocore signs UNSIGNED-PAYLOAD whatever the query says
    with pytest.raises(SignatureDoesNotMatch, match="'UNSIGNED-PAYLOAD'"):
        authenticate(in_query, now())
    assert authenticate(in_header, now()).payload == digest


def test_chunks_need_a_signature_to_begin_with() -> None:
    streamed = {"x_amz_content_sha256": "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"}
    anonymous = Sent("PUT", "/b/k", "", {"host": "h"}, "b", False)

    for sent in (PRESIGNED, anonymous, signed(signing.v2_header(), "PUT", headers={})):
        at = DOCUMENTED if sent is PRESIGNED else now()
        with pytest.raises(S3Error):
            authenticate(with_headers(sent, **streamed), at)
    assert authenticate(with_headers(PRESIGNED, x_amz_content_sha256=EMPTY_SHA256)).payload == "UNSIGNED-PAYLOAD"


# Canonical forms


@pytest.mark.parametrize(
    ("path", "canonical"),
    [
        ("/", "/"),
        ("/b//a/../.", "/b//a/../."),
        ("/b/%c3%a9", "/b/%C3%A9"),
        ("/b/%7Ea", "/b/~a"),
        ("/b/a%2Fb", "/b/a/b"),
        ("/b/a+b", "/b/a%2Bb"),
        ("/b/(a)", "/b/%28a%29"),
        ("/b/%2541", "/b/%2541"),
        ("/b/%ff", "/b/%FF"),
    ],
)
def test_a_path_is_decoded_once_and_encoded_once(path: str, canonical: str) -> None:
    assert canonical_path(path) == canonical


@pytest.mark.parametrize(
    ("query", "canonical"),
    [
        ("", ""),
        ("acl", "acl="),
        ("b=2&a=1&a=0&", "a=0&a=1&b=2"),
        ("a-b=1&a=1", "a=1&a-b=1"),
        ("prefix=a+b/%2b", "prefix=a%20b%2F%2B"),
        ("a=b=c", "a=b%3Dc"),
        ("b=1&X-Amz-Signature=00&a=1", "a=1&b=1"),
    ],
)
def test_a_query_is_sorted_and_encoded_once(query: str, canonical: str) -> None:
    assert canonical_query(query) == canonical


def test_a_parameter_has_one_value() -> None:
    """They are signed sorted: whoever is on the way could choose which comes first."""
    once, twice = (signed(signing.v4_header(), target=f"/bucket?prefix=a&prefix={second}") for second in ("a", "b"))

    assert authenticator().authenticate(once, now()).identity == ALICE
    with pytest.raises(InvalidArgument, match="there twice"):
        authenticator().authenticate(twice, now())
