"""Every error has a status, a code and a message, and is told as XML."""

from __future__ import annotations

import re

import pytest

from post3 import errors
from post3.errors import (
    EncryptionNotConfigured,
    InvalidRange,
    KMSNotFoundException,
    NoSuchBucket,
    OperationNotImplemented,
    S3Error,
    StaleBucket,
)

CODES_OF_THEIR_OWN = (EncryptionNotConfigured, KMSNotFoundException, OperationNotImplemented, StaleBucket)
ERRORS = sorted(
    (value for value in vars(errors).values() if isinstance(value, type) and issubclass(value, S3Error)),
    key=lambda error: error.__name__,
)


def test_there_are_errors() -> None:
    assert len(ERRORS) > 30


@pytest.mark.parametrize("error", [error for error in ERRORS if error is not S3Error])
def test_every_error_has_a_status_a_code_and_a_message(error: type[S3Error]) -> None:
    assert error.status == 304 or 400 <= error.status < 600
    assert re.fullmatch(r"(KMS[.])?[A-Z][A-Za-z0-9]+", error.code)
    made = error()
    assert made.message, "messages are docstrings, which python -OO removes"
    assert made.message == " ".join(made.message.split()), "a message is one line"
    assert made.details == {}


@pytest.mark.parametrize("error", [error for error in ERRORS if error is not S3Error])
def test_no_error_speaks_for_the_class_above_it(error: type[S3Error]) -> None:
    assert error.__dict__.get("__doc__")
    assert error.code == error.__name__ or error in CODES_OF_THEIR_OWN


def test_a_message_of_its_own_stands_in_place() -> None:
    assert NoSuchBucket().message == "The specified bucket does not exist"
    assert NoSuchBucket("Gone.").message == "Gone."
    assert NoSuchBucket("").message == ""


def test_details_are_text_and_none_is_left_out() -> None:
    error = InvalidRange(ActualObjectSize=5, RangeRequested=None)
    assert error.details == {"ActualObjectSize": "5"}
    assert str(error) == "InvalidRange: The requested range is not satisfiable ActualObjectSize='5'"


def test_an_error_may_carry_headers() -> None:
    assert NoSuchBucket(headers={"x-amz-delete-marker": "true"}).headers == {"x-amz-delete-marker": "true"}
    assert NoSuchBucket().headers == {}
