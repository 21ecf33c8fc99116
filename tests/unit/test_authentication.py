"""Which way a request is signed, and forms."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from botocore.auth import BaseSigner

from post3.auth.authentication import Proof
from post3.auth.sent import Sent
from post3.errors import (
    InvalidAccessKeyId,
    InvalidArgument,
    InvalidRequest,
    InvalidToken,
    OperationNotImplemented,
    SignatureDoesNotMatch,
)
from post3.model.identity import ANONYMOUS
from tests import signing
from tests.signing import ALICE, KEY, authenticator, now, signed, signed_form

ANY_REQUEST = Sent(
    "GET", "/b/k", "prefix=a&Expires=1&X-Amz-Expires=5", {"host": "h", "x-amz-acl": "private"}, "b", False
)


def test_a_request_without_a_signature_is_anonymous() -> None:
    assert authenticator().authenticate(ANY_REQUEST, now()) == Proof(ANONYMOUS, "", None, "", "", None)


@pytest.mark.parametrize("value", ["", "Basic YTpi", "Bearer abc", "AWS3 a:b", "aws4-hmac-sha256 Credential=a", "AWSx"])
def test_another_kind_of_authorization_is_refused(value: str) -> None:
    with pytest.raises(InvalidArgument, match="Unsupported Authorization Type") as refused:
        authenticator().authenticate(replace(ANY_REQUEST, headers={"authorization": value}), now())

    assert refused.value.details == {"ArgumentName": "Authorization", "ArgumentValue": value}


@pytest.mark.parametrize("query", ["X-Amz-Algorithm=a", "Signature=a", "X-Amz-Credential=a&AWSAccessKeyId=b"])
def test_only_one_signature_is_allowed(query: str) -> None:
    headers = {} if "&" in query else {"authorization": "Basic YTpi"}

    with pytest.raises(InvalidArgument, match="Only one auth mechanism allowed"):
        authenticator().authenticate(replace(ANY_REQUEST, query=query, headers=headers), now())


@pytest.mark.parametrize("signer", [signing.v4_header(), signing.v2_header()])
def test_a_token_of_temporary_credentials_is_refused(signer: BaseSigner) -> None:
    with pytest.raises(InvalidToken):
        authenticator().authenticate(signed(signer, headers={"x-amz-security-token": "token"}), now())


@pytest.mark.parametrize("trailer", ["", "-TRAILER"])
def test_asymmetric_signatures_of_chunks_are_not_overlooked(trailer: str) -> None:
    headers = {"x-amz-content-sha256": f"STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD{trailer}"}

    with pytest.raises(OperationNotImplemented):
        authenticator().authenticate(replace(ANY_REQUEST, headers=headers), now())


# Forms


def test_a_form_without_policy_and_signature_is_anonymous() -> None:
    assert authenticator().authenticate_form({"key": "a", "acl": "public-read"}, now()) == Proof(ANONYMOUS)


@pytest.mark.parametrize("signer", [signing.v4_form(), signing.v2_form()])
def test_a_form_needs_all_its_fields(signer: BaseSigner) -> None:
    fields = signed_form(signer)

    for name in fields:
        for less in ({other: fields[other] for other in fields if other != name}, {**fields, name: ""}):
            with pytest.raises(InvalidArgument, match=f"(?i)must contain a field named '{name}'") as refused:
                authenticator().authenticate_form(less, now())
            assert refused.value.status == 400


def test_a_form_tells_how_old_its_signature_is() -> None:
    fields = signed_form(signing.v4_form())

    proof = authenticator().authenticate_form(fields, now() + timedelta(days=3))

    assert proof.identity == ALICE
    assert proof.age is not None
    assert timedelta(days=3) <= proof.age < timedelta(days=3, minutes=1)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("x-amz-algorithm", "AWS4-ECDSA-P256-SHA256"),
        ("x-amz-credential", KEY),
        ("x-amz-credential", f"{KEY}/20010101/us-east-1/s3/aws4_request"),
        ("x-amz-date", "yesterday"),
        ("x-amz-date", "20010101T000000Z"),
    ],
)
def test_a_malformed_field_is_named(name: str, value: str) -> None:
    with pytest.raises(InvalidArgument) as refused:
        authenticator().authenticate_form({**signed_form(signing.v4_form()), name: value}, now())

    assert refused.value.details["ArgumentName"] in (name, "x-amz-date")


@pytest.mark.parametrize("signer", [signing.v4_form(), signing.v2_form()])
def test_a_wrong_form_is_refused(signer: BaseSigner) -> None:
    fields = signed_form(signer)

    with pytest.raises(InvalidAccessKeyId):
        authenticator("ANOTHER").authenticate_form(fields, now())
    with pytest.raises(InvalidToken):
        authenticator().authenticate_form({**fields, "x-amz-security-token": "token"}, now())
    with pytest.raises(SignatureDoesNotMatch) as refused:
        authenticator(secret="another").authenticate_form(fields, now())
    assert refused.value.details["StringToSign"] == fields["policy"]


def test_forms_of_version_2_can_be_refused() -> None:
    with pytest.raises(InvalidRequest, match="Please use AWS4-HMAC-SHA256"):
        authenticator(sigv2_links=False).authenticate_form(signed_form(signing.v2_form()), now())
