"""POST policies: what a document may say, and which forms it allows."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from post3.auth.post_policy import Condition, PostPolicy, parse_post_policy, substitute_filename
from post3.errors import AccessDenied, InvalidPolicyDocument

EXPIRATION = "2015-12-30T12:00:00.000Z"
NOON = datetime(2015, 12, 30, 12, tzinfo=UTC)
BUCKET = {"bucket": "photos"}

# Of https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-post-example.html
EXAMPLE = [
    {"bucket": "sigv4examplebucket"},
    ["starts-with", "$key", "user/user1/"],
    {"acl": "public-read"},
    {"success_action_redirect": "http://sigv4examplebucket.s3.amazonaws.com/successful_upload.html"},
    ["starts-with", "$Content-Type", "image/"],
    {"x-amz-meta-uuid": "14365123651274"},
    {"x-amz-server-side-encryption": "AES256"},
    ["starts-with", "$x-amz-meta-tag", ""],
    {"x-amz-credential": "AKIAIOSFODNN7EXAMPLE/20151229/us-east-1/s3/aws4_request"},
    {"x-amz-algorithm": "AWS4-HMAC-SHA256"},
    {"x-amz-date": "20151229T000000Z"},
]
EXAMPLE_FIELDS = {
    "key": "user/user1/${filename}",
    "acl": "public-read",
    "success_action_redirect": "http://sigv4examplebucket.s3.amazonaws.com/successful_upload.html",
    "content-type": "image/jpeg",
    "x-amz-meta-uuid": "14365123651274",
    "x-amz-server-side-encryption": "AES256",
    "x-amz-credential": "AKIAIOSFODNN7EXAMPLE/20151229/us-east-1/s3/aws4_request",
    "x-amz-algorithm": "AWS4-HMAC-SHA256",
    "x-amz-date": "20151229T000000Z",
    "x-amz-meta-tag": "",
    "policy": "…",
    "x-amz-signature": "8afdbf4008c03f22c2cd3cdb72e4afbb1f6a588f3255ac628749a66d7f09699e",
}


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def parse_document(document: Any) -> PostPolicy:
    return parse_post_policy(encoded(json.dumps(document)))


def policy_of(*conditions: Any) -> PostPolicy:
    return parse_document({"expiration": EXPIRATION, "conditions": list(conditions)})


def check(conditions: list[Any], fields: dict[str, str], bucket: str = "photos") -> None:
    """Check a form against conditions, one on the bucket among them."""
    policy_of(BUCKET, *conditions).check_fields(fields, bucket)


def failure(conditions: list[Any], fields: dict[str, str], bucket: str = "photos") -> str:
    """Why such a form is denied."""
    with pytest.raises(AccessDenied) as caught:
        check(conditions, fields, bucket)
    return caught.value.message.removeprefix("Invalid according to Policy: ")


def refusal(text: str) -> str:
    """Why such a document is none."""
    with pytest.raises(InvalidPolicyDocument) as caught:
        parse_post_policy(encoded(text))
    return caught.value.message.removeprefix("Invalid Policy: ")


def refusal_of(*conditions: Any) -> str:
    return refusal(json.dumps({"expiration": EXPIRATION, "conditions": list(conditions)}))


def test_the_example_of_aws_allows_its_form() -> None:
    policy = policy_of(*EXAMPLE)
    policy.check_time(NOON)
    policy.check_fields(substitute_filename(EXAMPLE_FIELDS, "picture.jpg"), "sigv4examplebucket")
    assert policy.size_range is None


def test_a_policy_is_its_expiration_and_its_conditions() -> None:
    text = '["starts-with", "$Key", "Us\u00e9r/"]'
    assert policy_of(BUCKET, json.loads(text), ["content-length-range", 1, 10]) == PostPolicy(
        NOON,
        (
            Condition("eq", "bucket", "photos", '["eq", "$bucket", "photos"]'),
            Condition("starts-with", "key", "Us\u00e9r/", text),
        ),
        (1, 10),
    )


def test_a_policy_holds_until_it_expires() -> None:
    policy = policy_of(BUCKET)
    policy.check_time(NOON)
    with pytest.raises(AccessDenied, match=r"Invalid according to Policy: Policy expired\."):
        policy.check_time(NOON + timedelta(microseconds=1))


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2015-12-30T12:00:00Z", NOON),
        ("2015-12-30T12:00:00.000Z", NOON),
        ("2015-12-30T12:00:00.5Z", NOON + timedelta(seconds=0.5)),
        ("2015-12-30T12:00:00.000001999Z", NOON + timedelta(microseconds=1)),
    ],
)
def test_an_expiration_is_a_time_in_gmt(text: str, moment: datetime) -> None:
    assert parse_document({"expiration": text, "conditions": [BUCKET]}).expiration == moment


@pytest.mark.parametrize(
    "text",
    [
        "",
        "soon",
        "2015-12-30",
        "2015-12-30T12:00Z",
        "2015-12-30T12:00:00",
        "2015-12-30 12:00:00Z",
        "2015-12-30 12:00:00.123456+00:00",
        "2015-12-30T12:00:00+00:00",
        "2015-12-30T12:00:00.Z",
        "2015-12-30t12:00:00z",
        "2015-02-30T12:00:00Z",
        "2015-12-30T12:00:60Z",
        "0000-12-30T12:00:00Z",
        " 2015-12-30T12:00:00Z",
        "2015-12-30T12:00:00Z\n",
        "٢٠١٥-12-30T12:00:00Z",
        1451476800,
        None,
        ["2015-12-30T12:00:00Z"],
    ],
)
def test_another_expiration_is_refused(text: object) -> None:
    document = json.dumps({"expiration": text, "conditions": [BUCKET]})
    assert refusal(document) == f"Invalid 'expiration' value: '{text}'"


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        ({"conditions": [BUCKET]}, "Policy missing expiration."),
        ({"EXPIRATION": EXPIRATION, "conditions": [BUCKET]}, "Unexpected: 'EXPIRATION'"),
        ({"expiration": EXPIRATION}, "Policy missing conditions."),
        ({"expiration": EXPIRATION, "conditions": []}, "Policy missing conditions."),
        ({"expiration": EXPIRATION, "CONDITIONS": [BUCKET]}, "Unexpected: 'CONDITIONS'"),
        ({"expiration": EXPIRATION, "conditions": BUCKET}, "Invalid 'conditions' value: must be a List."),
        ({"expiration": EXPIRATION, "conditions": None}, "Invalid 'conditions' value: must be a List."),
        ({"expiration": EXPIRATION, "conditions": [BUCKET], "Statement": []}, "Unexpected: 'Statement'"),
        ([EXPIRATION], "Invalid JSON."),
        ("expiration", "Invalid JSON."),
        (None, "Invalid JSON."),
    ],
)
def test_both_members_are_required_and_no_other_is_known(document: object, reason: str) -> None:
    assert refusal(json.dumps(document)) == reason


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        '{"expiration": "2015-12-30T12:00:00Z", "conditions": [{"bucket": "photos"},]}',
        '{"expiration": "2015-12-30T12:00:00Z", "expiration": "2035-12-30T12:00:00Z", "conditions": [{"acl": "x"}]}',
        '{"expiration": "2015-12-30T12:00:00Z", "conditions": [{"acl": "private", "acl": "public-read"}]}',
        '{"expiration": "2015-12-30T12:00:00Z", "conditions": [["content-length-range", 0, NaN]]}',
        '{"expiration": "2015-12-30T12:00:00Z", "conditions": [["content-length-range", 0, Infinity]]}',
        '{"expiration": "2015-12-30T12:00:00Z", "conditions": [{"acl": "\\ud800"}]}',
        '{"expiration": "2015-12-30T12:00:00Z", "conditions": [{"acl": "\\q"}]}',
        "{'expiration': '2015-12-30T12:00:00Z', 'conditions': [{'acl': 'x'}]}",
        "\ufeff{}",
        "[" * 15_000,
        '{"a":' * 3_000,
        "1" * 5_000,
    ],
)
def test_what_is_not_json_is_refused(text: str) -> None:
    assert refusal(text) == "Invalid JSON."


@pytest.mark.parametrize("text", ["e30", "e3=0", "e30=e30=", "{}", "e30-", "\u00e9", "gA=="])
def test_what_is_not_base64_of_utf_8_is_refused(text: str) -> None:
    with pytest.raises(InvalidPolicyDocument) as caught:
        parse_post_policy(text)
    assert caught.value.message == "Invalid Policy: Invalid base64 encoding."


def test_base64_may_have_line_breaks() -> None:
    text = base64.encodebytes(json.dumps({"expiration": EXPIRATION, "conditions": [BUCKET]}).encode()).decode()
    assert "\n" in text.strip()
    assert parse_post_policy(text.replace("\n", "\r\n")) == policy_of(BUCKET)


def test_the_escapes_of_aws_are_understood() -> None:
    text = r'{"expiration": "2015-12-30T12:00:00Z", "conditions": [{"key": "\$\v\\$\\\\v\u00e9\""}]}'
    assert parse_post_policy(encoded(text)).conditions[0].value == '$\v\\$\\\\v\u00e9"'


def test_an_escaped_backslash_before_a_dollar_sign_stands_for_itself() -> None:
    check([["starts-with", "$key", r"\$foo"]], {"key": r"\$foo.txt"})


def test_names_and_operators_are_taken_in_any_case() -> None:
    fields = {"key": "foo.txt", "acl": "private", "content-type": "text/plain"}
    conditions = [["StArTs-WiTh", "$KeY", "foo"], {"AcL": "private"}, ["EQ", "$CoNtEnT-TyPe", "text/plain"]]
    policy_of({"bUcKeT": "photos"}, ["Content-Length-Range", 0, 1024], *conditions).check_fields(fields, "photos")


@pytest.mark.parametrize(
    ("condition", "value"),
    [
        ({"x": "value"}, "Value"),
        ({"x": "value"}, "value "),
        (["eq", "$x", "value"], "valu"),
        (["eq", "$x", ""], "value"),
        (["starts-with", "$x", "value"], "Value"),
        (["starts-with", "$x", "value"], "valu"),
        (["starts-with", "$x", "value"], ""),
    ],
)
def test_values_are_compared_exactly(condition: Any, value: str) -> None:
    assert failure([condition], {"x": value}).startswith("Policy Condition failed: [")


def test_a_failed_condition_is_told_as_s3_tells_it() -> None:
    assert failure([{"ACL": 'a "b"'}], {"acl": "c"}) == 'Policy Condition failed: ["eq", "$ACL", "a \\"b\\""]'
    assert failure([["Starts-With", "$Key", "a"]], {"key": "b"}) == (
        'Policy Condition failed: ["Starts-With", "$Key", "a"]'
    )


def test_every_condition_of_a_field_must_hold() -> None:
    conditions = [["starts-with", "$key", "a"], ["starts-with", "$key", "ab"], {"key": "abc"}]
    check(conditions, {"key": "abc"})
    assert failure(conditions, {"key": "abd"}) == 'Policy Condition failed: ["eq", "$key", "abc"]'


def test_an_absent_field_begins_with_nothing() -> None:
    check([["starts-with", "$x-amz-server-side-encryption", ""]], {})
    check([["starts-with", "$content-type", ""]], {})


@pytest.mark.parametrize(
    "condition", [["starts-with", "$x-amz-meta-foo", "bar"], ["starts-with", "$x", "x"], ["eq", "$x", ""], {"x": "y"}]
)
def test_an_absent_field_fails_other_conditions(condition: Any) -> None:
    assert failure([condition], {}).startswith("Policy Condition failed: [")


@pytest.mark.parametrize("name", ["key", "", "key$"])
def test_a_condition_without_a_dollar_sign_never_holds(name: str) -> None:
    condition = ["eq", name, "k"]
    assert failure([condition], {"key": "k", name: "k"}) == f"Policy Condition failed: {json.dumps(condition)}"
    assert failure([["starts-with", name, ""]], {}).startswith("Policy Condition failed: [")


def test_a_content_type_with_commas_is_a_list_whose_every_item_must_begin_so() -> None:
    condition = ["starts-with", "$Content-Type", "image/"]
    check([condition], {"content-type": "image/jpg,image/png, image/gif"})
    for value in ("image/jpg,text/plain", "text/plain,image/jpg", "image/jpg,", ",image/jpg"):
        assert failure([condition], {"content-type": value}).startswith("Policy Condition failed: [")


def test_other_fields_and_exact_matches_know_no_lists() -> None:
    check([["starts-with", "$x", "a"], {"content-type": "a,b"}], {"x": "a,b", "content-type": "a,b"})
    assert failure([{"content-type": "a"}], {"content-type": "a,a"}).startswith("Policy Condition failed: [")


def test_every_field_must_be_covered() -> None:
    assert failure([{"key": "k"}], {"key": "k", "acl": "private"}) == "Extra input fields: acl"


@pytest.mark.parametrize(
    "name",
    [
        "awsaccesskeyid",
        "signature",
        "x-amz-signature",
        "policy",
        "file",
        "x-ignore-foo",
        "x-amz-checksum-sha256",
        "x-amz-checksum-algorithm",
    ],
)
def test_some_fields_need_no_condition(name: str) -> None:
    check([], {name: "x"})
    assert failure([{name: "y"}], {name: "x"}).startswith("Policy Condition failed: ["), "but may have one"


@pytest.mark.parametrize(
    "name",
    [
        "x-amz-credential",
        "x-amz-algorithm",
        "x-amz-date",
        "x-amz-security-token",
        "x-ignored",
        "x-amz-checksum",
        "submit",
    ],
)
def test_other_fields_need_one(name: str) -> None:
    assert failure([], {name: "x"}) == f"Extra input fields: {name}"


def test_the_bucket_must_be_covered_though_it_is_no_field() -> None:
    with pytest.raises(AccessDenied, match="Extra input fields: bucket"):
        policy_of({"key": "k"}).check_fields({"key": "k"}, "photos")


def test_the_bucket_is_the_one_addressed() -> None:
    assert failure([], {}, "other") == 'Policy Condition failed: ["eq", "$bucket", "photos"]'
    assert failure([], {"bucket": "photos"}, "other") == 'Policy Condition failed: ["eq", "$bucket", "photos"]'
    policy_of(["starts-with", "$bucket", "pho"]).check_fields({}, "photos")


def test_a_field_that_names_the_bucket_must_fit_too() -> None:
    check([], {"bucket": "photos"})
    assert failure([], {"bucket": "other"}) == 'Policy Condition failed: ["eq", "$bucket", "photos"]'


@pytest.mark.parametrize(
    ("conditions", "expected"),
    [
        ([], None),
        ([["content-length-range", 0, 1024]], (0, 1024)),
        ([["content-length-range", "5", "10"]], (5, 10)),
        ([["content-length-range", 0, 10**17]], (0, 10**17)),
        ([["content-length-range", 0, 100], ["content-length-range", 10, 200]], (10, 100)),
        ([["content-length-range", 10, 5]], (10, 5)),
    ],
)
def test_sizes_are_those_that_every_range_allows(
    conditions: list[list[object]], expected: tuple[int, int] | None
) -> None:
    assert policy_of(BUCKET, *conditions).size_range == expected


@pytest.mark.parametrize(
    "bounds",
    [[0, -1], [-1, 0], ["-1", "0"], ["a", "10"], ["", ""], [0, 512.0], [0, None], [False, True], ["٣", 5], [0, 10**30]],
)
def test_bounds_that_are_no_numbers_of_bytes_are_refused(bounds: list[object]) -> None:
    reason = "Invalid content-length-range: its arguments must be numbers of bytes."
    assert refusal_of(["content-length-range", *bounds]) == reason


@pytest.mark.parametrize(
    ("condition", "reason"),
    [
        (["content-length-range", 0], "Invalid content-length-range: wrong number of arguments."),
        (["content-length-range", 0, 1, 2], "Invalid content-length-range: wrong number of arguments."),
        (["eq", "$key"], "Invalid eq: wrong number of arguments."),
        (["eq", "$key", "a", "b"], "Invalid eq: wrong number of arguments."),
        (["starts-with"], "Invalid starts-with: wrong number of arguments."),
        (["eq", "$key", 1], "Invalid eq: its arguments must be strings."),
        (["eq", None, "a"], "Invalid eq: its arguments must be strings."),
        (["ends-with", "$key", "a"], "Invalid Condition: unknown operation 'ends-with'."),
        ([], "Invalid Condition: missing operation identifier."),
        ([1, "$key", "a"], "Invalid Condition: missing operation identifier."),
        ("eq", "Invalid condition test: must be a List or Object."),
        (True, "Invalid condition test: must be a List or Object."),
        ({"key": 1}, "Invalid Simple-Condition: value must be a string."),
        ({"key": None}, "Invalid Simple-Condition: value must be a string."),
        ({}, "Invalid Simple-Condition: Simple-Conditions must have exactly one property specified."),
        (
            {"key": "a", "acl": "b"},
            "Invalid Simple-Condition: Simple-Conditions must have exactly one property specified.",
        ),
    ],
)
def test_a_condition_of_another_form_is_refused(condition: object, reason: str) -> None:
    assert refusal_of(BUCKET, condition) == reason


def test_the_name_of_the_file_is_put_into_every_field() -> None:
    fields = {"key": "user/${filename}/${filename}", "x-amz-meta-name": "${filename}", "acl": "$filename ${FILENAME}"}
    assert substitute_filename(fields, "a${filename}b") == {
        "key": "user/a${filename}b/a${filename}b",
        "x-amz-meta-name": "a${filename}b",
        "acl": "$filename ${FILENAME}",
    }


def test_an_empty_name_is_put_in_and_a_missing_one_is_not() -> None:
    assert substitute_filename({"key": "user/${filename}"}, "") == {"key": "user/"}
    assert substitute_filename({"key": "user/${filename}"}, None) == {"key": "user/${filename}"}
