"""What headers and a bucket's default ask for."""

from __future__ import annotations

from typing import Any, Final

import pytest

from post3.errors import InvalidArgument, MalformedXML, OperationNotImplemented, S3Error
from post3.model.encryption import Encryption, as_headers, check_read, from_document, from_headers, to_document
from tests.conftest import ENCRYPTIONS, a_bucket

SSE: Final = "x-amz-server-side-encryption"
KEY_ID: Final = f"{SSE}-aws-kms-key-id"
BUCKET_KEY: Final = f"{SSE}-bucket-key-enabled"


def a_document(**default: str) -> dict[str, Any]:
    return {"Rule": {"ApplyServerSideEncryptionByDefault": default}}


@pytest.mark.parametrize("encryption", ENCRYPTIONS, ids=str)
def test_what_answers_tell_may_be_asked_for(encryption: Encryption | None) -> None:
    assert from_headers(as_headers(encryption)) == encryption


def test_the_headers_are_those_of_s3() -> None:
    assert as_headers(Encryption("AES256")) == {SSE: "AES256"}
    assert as_headers(Encryption("aws:kms", "mine")) == {SSE: "aws:kms", KEY_ID: "mine"}


@pytest.mark.parametrize("value", ["true", "false", "True"])
def test_a_bucket_key_changes_nothing(value: str) -> None:
    assert from_headers({BUCKET_KEY: value}) is None
    assert from_headers({SSE: "AES256", BUCKET_KEY: value}) == Encryption("AES256")


@pytest.mark.parametrize(
    ("headers", "name"),
    [
        ({SSE: "AES192"}, SSE),
        ({SSE: "aes:kms"}, SSE),
        ({SSE: "aes256"}, SSE),
        ({SSE: ""}, SSE),
        ({SSE: "AES256", KEY_ID: "mine"}, KEY_ID),
        ({SSE: "aws:kms"}, KEY_ID),
        ({SSE: "aws:kms", KEY_ID: ""}, KEY_ID),
        ({KEY_ID: "mine"}, KEY_ID),
        ({BUCKET_KEY: "yes"}, BUCKET_KEY),
    ],
)
def test_headers_that_make_no_sense_are_refused_by_name(headers: dict[str, str], name: str) -> None:
    with pytest.raises(InvalidArgument) as refused:
        from_headers(headers)
    assert refused.value.details["ArgumentName"] == name


def test_two_layers_of_encryption_are_not_implemented() -> None:
    with pytest.raises(OperationNotImplemented):
        from_headers({SSE: "aws:kms:dsse", KEY_ID: "mine"})


@pytest.mark.parametrize("headers", [{SSE: "AES256"}, {KEY_ID: "mine"}])
def test_a_read_asks_for_no_encryption(headers: dict[str, str]) -> None:
    check_read({"range": "bytes=0-1"})
    with pytest.raises(InvalidArgument):
        check_read(headers)


def test_a_document_tells_the_default() -> None:
    assert from_document(a_document(SSEAlgorithm="AES256")) == Encryption("AES256")
    of_kms = a_document(SSEAlgorithm="aws:kms", KMSMasterKeyID="mine")
    assert from_document(of_kms) == Encryption("aws:kms", "mine")


def test_a_document_is_kept_as_it_means() -> None:
    kept = to_document({"Rule": {**a_document(SSEAlgorithm="AES256")["Rule"], "BucketKeyEnabled": "true"}})
    rule = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}, "BucketKeyEnabled": "true"}
    assert kept == {"Rule": rule}
    assert to_document(kept) == kept
    assert from_document(kept) == Encryption("AES256")


@pytest.mark.parametrize(
    ("tree", "error"),
    [
        ({}, MalformedXML),
        ({"Rule": {}}, MalformedXML),
        ({"Rule": "text"}, MalformedXML),
        ({"Rule": [a_document(SSEAlgorithm="AES256")["Rule"]] * 2}, MalformedXML),
        (a_document(), MalformedXML),
        (a_document(SSEAlgorithm="AES192"), InvalidArgument),
        (a_document(SSEAlgorithm="aws:kms"), InvalidArgument),
        (a_document(SSEAlgorithm="AES256", KMSMasterKeyID="mine"), InvalidArgument),
        (a_document(SSEAlgorithm="aws:kms:dsse", KMSMasterKeyID="mine"), OperationNotImplemented),
        ({"Rule": {**a_document(SSEAlgorithm="AES256")["Rule"], "BucketKeyEnabled": "perhaps"}}, MalformedXML),
        (
            {"Rule": {**a_document(SSEAlgorithm="AES256")["Rule"], "BlockedEncryptionTypes": {}}},
            OperationNotImplemented,
        ),
    ],
)
def test_a_document_that_makes_no_sense_is_refused(tree: dict[str, Any], error: type[S3Error]) -> None:
    with pytest.raises(error):
        to_document(tree)


def test_a_bucket_tells_its_default() -> None:
    assert a_bucket("photos").default_encryption is None
    document = to_document(a_document(SSEAlgorithm="aws:kms", KMSMasterKeyID="mine"))
    assert a_bucket("photos", configurations={"encryption": document}).default_encryption == Encryption(
        "aws:kms", "mine"
    )
