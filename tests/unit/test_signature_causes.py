"""A signature that does not match tells what happened, if it is one of the usual accidents."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta
from typing import Any
from urllib.parse import quote

import pytest
from botocore.auth import BaseSigner, SigV4Auth
from botocore.credentials import Credentials

from post3.auth.authentication import LOG_PAUSE, MAX_VARIANTS
from post3.auth.sent import Sent
from post3.auth.signature_causes import v4_variants
from post3.auth.sigv4 import EMPTY_SHA256, canonical_request, parse_header
from post3.errors import SignatureDoesNotMatch
from tests import signing
from tests.signing import KEY, SECRET, authenticator, now, signed


def cause(sent: Sent, **options: Any) -> str:
    """What the error says beyond AWS's message."""
    with pytest.raises(SignatureDoesNotMatch) as refused:
        authenticator(**options).authenticate(sent, now())
    assert refused.value.message.startswith(SignatureDoesNotMatch.__doc__ or "?")
    return refused.value.message.removeprefix(SignatureDoesNotMatch.__doc__ or "").strip()


def arriving(sent: Sent, **headers: str | None) -> Sent:
    changed = {**sent.headers, **{name.replace("_", "-"): value for name, value in headers.items()}}
    return replace(sent, headers={name: value for name, value in changed.items() if value is not None})


@pytest.mark.parametrize("signer", [signing.v4_header(), signing.v4_query()])
@pytest.mark.parametrize(
    ("signed_host", "headers", "names"),
    [
        ("s3.example", {"host": "10.0.0.5:9000", "x_forwarded_host": "s3.example"}, ()),
        ("s3.example", {"host": "10.0.0.5:9000", "x_forwarded_host": "s3.example, other"}, ()),
        ("s3.example", {"host": "10.0.0.5:9000"}, ("s3.example",)),
        ("s3.example:9000", {"host": "s3.example"}, ()),
        ("s3.example", {"host": "s3.example:9000"}, ()),
        ("s3.example:8443", {"host": "s3.example", "x_forwarded_port": "8443"}, ()),
        ("localhost:9000", {"host": "127.0.0.1:9000"}, ()),
        ("[::1]:9000", {"host": "localhost:9000"}, ()),
    ],
)
def test_a_rewritten_host_is_told(
    signer: BaseSigner, signed_host: str, headers: dict[str, str], names: Iterable[str]
) -> None:
    told = cause(arriving(signed(signer, host=signed_host), **headers), names=names)

    assert told == (
        f"The request was signed for Host {signed_host!r}, but arrived for Host {headers['host']!r}: a proxy may have "
        "rewritten it (pass Host on unchanged)."
    )


@pytest.mark.parametrize(
    ("name", "before", "after"),
    [
        ("accept-encoding", "identity", "gzip"),
        ("accept-encoding", "gzip", ""),
        ("content-type", "text/plain", "text/plain; charset=utf-8"),
        ("content-type", "text/plain; charset=UTF-8", "text/plain"),
        ("content-type", "", "application/octet-stream"),
        ("cache-control", "", "no-cache"),
        ("range", "bytes=0-1,4-5", "bytes=0-1, 4-5"),
        ("x-amz-meta-a", "Ã¼", "ü"),
    ],
)
def test_a_rewritten_header_is_told(name: str, before: str, after: str) -> None:
    told = cause(arriving(signed(signing.v4_header(), headers={name: before}), **{name: after}))

    assert told.startswith(f"The request was signed with the header {name} {before!r}, but arrived with {after!r}")


def test_a_header_that_did_not_arrive_is_told() -> None:
    sent = signed(signing.v4_header(), headers={"content-type": "text/plain", "x-amz-acl": "private"})

    assert cause(arriving(sent, x_amz_acl=None)) == (
        "Signed headers did not arrive: 'x-amz-acl'. A proxy may have removed them."
    )


@pytest.mark.parametrize("signer", [signing.v4_header(), signing.v4_query(), signing.v2_header(), signing.v2_query()])
def test_another_method_is_told(signer: BaseSigner) -> None:
    assert cause(replace(signed(signer), method="HEAD")) == (
        "The request was signed for the method GET, but arrived as 'HEAD'."
    )


def test_another_hash_of_the_body_is_told() -> None:
    sent = signed(signing.v4_header(), "PUT", body=b"")

    assert repr(EMPTY_SHA256) in cause(arriving(sent, x_amz_content_sha256="UNSIGNED-PAYLOAD"))


@pytest.mark.parametrize("white", ["\n", "\r\n", " ", "\t"])
@pytest.mark.parametrize("signer", [signing.v4_header, signing.v4_query, signing.v2_header, signing.v2_query])
def test_white_space_around_the_secret_is_told(white: str, signer: Any) -> None:
    assert "white space around it, in the client's" in cause(signed(signer(KEY, SECRET + white)))
    assert "server knows it with white space" in cause(signed(signer()), secret=white + SECRET)


class Plain(SigV4Auth):
    """Signs the path as other services want it: normalised, and encoded once more than it is."""

    def _modify_request_before_signing(self, request: Any) -> None:
        super()._modify_request_before_signing(request)  # type: ignore[misc]  # a private method, without a type
        request.headers["X-Amz-Content-SHA256"] = EMPTY_SHA256


@pytest.mark.parametrize(
    ("path", "told"),
    [("/bucket/a%20b", "encoded twice"), ("/bucket//a/./b", "normalised"), ("/bucket/a//", "normalised")],
)
def test_a_path_written_otherwise_is_told(path: str, told: str) -> None:
    assert told in cause(signed(Plain(Credentials(KEY, SECRET), "s3", "us-east-1"), target=path))


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ("/bucket/a%20b", "/bucket/a%2Bb", "where a plus sign is a space"),
        ("/bucket/a+b", "/bucket/a%20b", "where a space is a plus sign"),
        ("/bucket", "/bucket/", "without the slash at its end"),
        ("/bucket/", "/bucket", "with a slash at its end"),
        ("/bucket/k?a=1%2B2", "/bucket/k?a=1+2", "a plus sign stands for itself"),
        ("/bucket/k?a=1+2", "/bucket/k?a=1%202", "a space is a plus sign"),
        ("/bucket/k", "/bucket/k?utm_source=mail", "without its parameters"),
    ],
)
def test_another_path_or_query_is_told(before: str, after: str, told: str) -> None:
    path, _, query = after.partition("?")

    assert told in cause(replace(signed(signing.v4_header(), target=before), path=path, query=query))


def test_a_bucket_of_the_host_is_told() -> None:
    sent = replace(signed(signing.v4_header()), path="/key", is_virtual_host=True)

    assert "with the bucket, which the Host names" in cause(sent)
    by_version_2 = replace(signed(signing.v2_header(), target="/key"), is_virtual_host=True)
    assert cause(by_version_2) == "The request was signed without the bucket, which the Host names."


@pytest.mark.parametrize(("before", "after"), [("text/plain", "text/plain; charset=utf-8"), ("", "text/plain")])
def test_another_content_type_is_told_by_version_2_too(before: str, after: str) -> None:
    sent = signed(signing.v2_header(), headers={"content-type": before})

    assert f"signed with the header content-type {before!r}" in cause(arriving(sent, content_type=after))


@pytest.mark.parametrize("signer", [signing.v4_header, signing.v4_query, signing.v2_header, signing.v2_query])
def test_whoever_does_not_hold_the_secret_is_told_nothing(signer: Any, caplog: pytest.LogCaptureFixture) -> None:
    assert cause(signed(signer(KEY, "another secret"), "HEAD")) == ""
    assert cause(replace(signed(signer()), path="/bucket/other")) == ""
    assert caplog.records == []


def test_the_variants_are_bounded_and_all_different() -> None:
    headers = {f"x-amz-meta-{number}": "ü, b" for number in range(100)}
    sent = signed(signing.v4_header(), headers={**headers, "x-forwarded-host": "a,b", "content-type": "a/b"})
    request = canonical_request(sent, parse_header(sent, now()))

    variants = [variant.text() for _, variant in v4_variants(request, sent, [f"s{number}" for number in range(99)])]

    assert MAX_VARIANTS < len(variants) < 500, "so the bound of whoever tries them matters"
    assert request.text() not in variants[:MAX_VARIANTS]
    assert len(set(variants[:MAX_VARIANTS])) == MAX_VARIANTS


def test_the_log_tells_the_cause_once_a_minute_and_no_secret(caplog: pytest.LogCaptureFixture) -> None:
    sent = replace(signed(signing.v4_query(secret=f"{SECRET}\n")))
    verifier, start = authenticator(), now()

    with caplog.at_level(logging.WARNING, "post3"):
        for later in (timedelta(0), timedelta(seconds=59), LOG_PAUSE, LOG_PAUSE + timedelta(seconds=1)):
            with pytest.raises(SignatureDoesNotMatch):
                verifier.authenticate(sent, start + later)

    assert [record.getMessage() for record in caplog.records] == 2 * [
        f"A signature by key {KEY!r} does not match. The request was signed with the secret key and white space around "
        "it, in the client's configuration."
    ]
    assert SECRET not in caplog.text


def test_the_log_is_bounded(caplog: pytest.LogCaptureFixture) -> None:
    verifier, at = authenticator(), now()

    for number in range(300):
        sent = arriving(signed(signing.v4_query(), host=f"h{number}"), host="other", x_forwarded_host=f"h{number}")
        with pytest.raises(SignatureDoesNotMatch):
            verifier.authenticate(sent, at)

    assert len(caplog.records) == 256


def test_a_line_of_the_log_is_one_line(caplog: pytest.LogCaptureFixture) -> None:
    sent = signed(signing.v4_query(), target=f"/bucket/{quote('a' + chr(10) + 'b')}")

    cause(replace(sent, method="HEAD"))

    assert "\n" not in caplog.records[0].getMessage()
