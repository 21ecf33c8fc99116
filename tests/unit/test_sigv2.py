"""Signature Version 2 by the examples of AWS's documentation, and where it is taken."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Final

import pytest

from post3.auth.authentication import Proof
from post3.auth.sent import Sent
from post3.auth.sigv2 import SUBRESOURCES
from post3.errors import (
    AccessDenied,
    InvalidAccessKeyId,
    InvalidArgument,
    InvalidRequest,
    InvalidToken,
    RequestTimeTooSkewed,
    SignatureDoesNotMatch,
)
from post3.operations import OPERATIONS
from post3.s3.router import COPY_SOURCE
from tests import signing
from tests.signing import ALICE, KEY, authenticator, now, signed

DATE: Final = "Tue, 27 Mar 2007 19:36:42 +0000"
DOCUMENTED: Final = datetime(2007, 3, 27, 19, 36, 42, tzinfo=UTC)


def documented(
    signature: str,
    method: str = "GET",
    path: str = "/photos/puppy.jpg",
    query: str = "",
    headers: Mapping[str, str] | None = None,
    bucket: str = "awsexamplebucket1",
) -> Sent:
    told = {"host": "s3.us-west-1.amazonaws.com", "date": DATE, "authorization": f"AWS {KEY}:{signature}"}
    return Sent(method, path, query, {**told, **(headers or {})}, bucket, bool(bucket))


GET_OBJECT: Final = documented("qgk2+6Sv9/oM7G3qLEjTH1a1l1g=")
LIST: Final = documented(
    "m0WP8eCtspQl5Ahe6L1SozdX9YA=",
    path="/",
    query="prefix=photos&max-keys=50&marker=puppy",
    headers={"user-agent": "Mozilla/5.0", "date": "Tue, 27 Mar 2007 19:42:41 +0000"},
)
GET_ACL: Final = documented(
    "82ZHiFIjc+WbcwFKGUVEQspPn+0=", path="/", query="acl", headers={"date": "Tue, 27 Mar 2007 19:44:46 +0000"}
)


@pytest.mark.parametrize("sent", [GET_OBJECT, LIST, GET_ACL])
def test_the_documented_headers_verify(sent: Sent) -> None:
    proof = authenticator().authenticate(sent, DOCUMENTED)

    assert proof == Proof(ALICE, kind="header", version="AWS")


def test_a_mismatch_tells_what_was_signed() -> None:
    with pytest.raises(SignatureDoesNotMatch) as refused:
        authenticator().authenticate(replace(GET_OBJECT, path="/photos/kitten.jpg"), DOCUMENTED)

    text = f"GET\n\n\n{DATE}\n/awsexamplebucket1/photos/kitten.jpg"
    assert refused.value.details == {
        "AWSAccessKeyId": KEY,
        "StringToSign": text,
        "SignatureProvided": "qgk2+6Sv9/oM7G3qLEjTH1a1l1g=",
        "StringToSignBytes": text.encode().hex(" "),
    }


def test_an_unknown_key_is_named() -> None:
    with pytest.raises(InvalidAccessKeyId) as refused:
        authenticator("ANOTHER").authenticate(GET_OBJECT, DOCUMENTED)

    assert refused.value.details == {"AWSAccessKeyId": KEY}


@pytest.mark.parametrize("value", ["AWS nonsense", "AWS :", f"AWS {KEY}:", "AWS :abc", "AWS"])
def test_a_malformed_header_is_refused(value: str) -> None:
    with pytest.raises(InvalidArgument, match="Expected AwsAccessKeyId:signature"):
        authenticator().authenticate(
            replace(GET_OBJECT, headers={**GET_OBJECT.headers, "authorization": value}), DOCUMENTED
        )


# Where it is taken


def test_headers_are_taken_only_when_a_person_said_so() -> None:
    with pytest.raises(InvalidRequest, match="Please use AWS4-HMAC-SHA256"):
        authenticator(sigv2_headers=False).authenticate(GET_OBJECT, DOCUMENTED)
    assert authenticator(sigv2_headers=False).authenticate(signed(signing.v2_query()), now()).kind == "query"


def test_links_are_taken_unless_a_person_said_no() -> None:
    with pytest.raises(InvalidRequest, match="Please use AWS4-HMAC-SHA256"):
        authenticator(sigv2_links=False).authenticate(signed(signing.v2_query()), now())
    assert authenticator(sigv2_links=False).authenticate(GET_OBJECT, DOCUMENTED).kind == "header"


# Dates


@pytest.mark.parametrize("date", ["Bad Date", "", "Tue, 07 Jul 1950 21:53:04 GMT"])
def test_a_date_that_is_none_is_refused(date: str) -> None:
    """s3-tests: test_object_create_bad_date_invalid_aws2, …_empty_aws2, …_before_epoch_aws2."""
    with pytest.raises(AccessDenied, match="valid Date"):
        authenticator().authenticate(signed(signing.v2_header(), headers={"x-amz-date": date}), now())


@pytest.mark.parametrize("date", ["Tue, 07 Jul 2010 21:53:04 GMT", "Tue, 07 Jul 2030 21:53:04 GMT"])
def test_a_date_far_from_now_is_refused(date: str) -> None:
    """s3-tests: test_object_create_bad_date_before_today_aws2, …_after_today_aws2."""
    with pytest.raises(RequestTimeTooSkewed):
        authenticator().authenticate(signed(signing.v2_header(), headers={"x-amz-date": date}), now())


def test_x_amz_date_wins() -> None:
    sent = signed(signing.v2_header(), headers={"x-amz-date": f"{now():%a, %d %b %Y %H:%M:%S +0000}"})

    assert authenticator().authenticate(sent, now()).identity == ALICE


# Links


def test_a_link_is_valid_until_its_end() -> None:
    sent = signed(signing.v2_query(expires=60))
    soon = now()

    assert authenticator().authenticate(sent, soon + timedelta(seconds=30)) == Proof(ALICE, kind="query", version="AWS")
    with pytest.raises(AccessDenied, match="Request has expired") as refused:
        authenticator().authenticate(sent, soon + timedelta(seconds=65))
    assert refused.value.details.keys() == {"Expires", "ServerTime"}


@pytest.mark.parametrize("name", ["Signature", "AWSAccessKeyId", "Expires"])
@pytest.mark.parametrize("again", ["", "{0}=&", "{0}=1&{0}=1&", "{0}=1&{0}=2&{0}=3&"])
def test_a_link_needs_its_three_parameters_once(name: str, again: str) -> None:
    sent = signed(signing.v2_query())
    kept = "&".join(pair for pair in sent.query.split("&") if not pair.startswith(name))

    with pytest.raises(AccessDenied, match="requires the Signature, Expires and AWSAccessKeyId parameters"):
        authenticator().authenticate(replace(sent, query=again.format(name) + kept), now())


@pytest.mark.parametrize("value", ["soon", "-1", "1" * 40, "1.5"])
def test_the_end_of_a_link_is_a_number(value: str) -> None:
    sent = Sent("GET", "/b/k", f"AWSAccessKeyId={KEY}&Signature=x&Expires={value}", {"host": "h"}, "b", False)

    with pytest.raises(AccessDenied, match="should be seconds since epoch"):
        authenticator().authenticate(sent, now())


def test_what_a_link_keeps_in_its_query_was_signed_as_headers() -> None:
    sent = signed(signing.v2_query(), "PUT", headers={"x-amz-acl": "private"})
    assert "x-amz-acl=private" in sent.query

    for headers in ({"host": "h"}, {"host": "h", "x-amz-acl": "private"}):
        assert authenticator().authenticate(replace(sent, headers=headers), now()).identity == ALICE
    with pytest.raises(SignatureDoesNotMatch):
        authenticator().authenticate(replace(sent, headers={"host": "h", "x-amz-acl": "public-read"}), now())
    with pytest.raises(SignatureDoesNotMatch):
        authenticator().authenticate(replace(sent, query=f"{sent.query}&X-Amz-Acl=public-read"), now())


def test_a_token_of_temporary_credentials_is_refused() -> None:
    sent = signed(signing.v2_query())

    with pytest.raises(InvalidToken):
        authenticator().authenticate(replace(sent, query=f"{sent.query}&x-amz-security-token=t"), now())


@pytest.mark.parametrize("path", ["/bucket", "/bucket/"])
def test_a_bucket_is_signed_with_or_without_the_slash(path: str) -> None:
    for target in {"/bucket/", path}:
        sent = replace(signed(signing.v2_query(), target=target), path=path)
        assert authenticator().authenticate(sent, now()).identity == ALICE


def test_every_selector_of_an_operation_is_covered() -> None:
    """Else a link for one operation would serve another."""
    selectors = {selector for operation in OPERATIONS.values() for selector in operation.selectors}
    parameters = {name for name in selectors - {COPY_SOURCE} if "=" not in name}

    assert parameters - SUBRESOURCES == set()


def test_a_value_that_reads_like_another_parameter_is_not_taken_for_it() -> None:
    """`?response-expires=a&versionId=null` is signed like `?response-expires=a%26versionId%3Dnull`."""
    sent = signed(signing.v2_query(), target="/bucket/key?response-expires=a&versionId=null")
    joined = sent.query.replace("&versionId=null", "%26versionId%3Dnull")
    assert joined != sent.query

    assert authenticator().authenticate(sent, now()).identity == ALICE
    with pytest.raises(AccessDenied, match="reads like another"):
        authenticator().authenticate(replace(sent, query=joined), now())


def test_a_parameter_of_two_lines_is_not_taken_for_two_headers() -> None:
    sent = signed(signing.v2_header(), "PUT", headers={"x-amz-acl": "private", "x-amz-meta-a": "1"})
    link = signed(signing.v2_query(), "PUT", headers={"x-amz-acl": "private", "x-amz-meta-a": "1"})
    joined = link.query.replace("&x-amz-meta-a=1", "").replace(
        "x-amz-acl=private", "x-amz-acl=private%0Ax-amz-meta-a:1"
    )
    assert joined != link.query

    assert authenticator().authenticate(sent, now()).identity == ALICE
    with pytest.raises(AccessDenied, match="more than one line"):
        authenticator().authenticate(replace(link, query=joined), now())


def test_two_headers_are_not_taken_for_one_of_both_values() -> None:
    sent = signed(signing.v2_query(), "PUT", headers={"x-amz-meta-a": "1,2"})
    parted = sent.query.replace("x-amz-meta-a=1%2C2", "x-amz-meta-a=2")
    assert parted != sent.query

    with pytest.raises(SignatureDoesNotMatch):
        authenticator().authenticate(replace(sent, query=parted, headers={"host": "h", "x-amz-meta-a": "1"}), now())
