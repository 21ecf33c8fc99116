"""Conditions: each operator by examples, and what a request without the key gets."""

from __future__ import annotations

import pytest

from post3.errors import MalformedPolicy
from tests.policies import holds, policy, statement

NEGATED = {
    "StringEquals": "StringNotEquals",
    "StringEqualsIgnoreCase": "StringNotEqualsIgnoreCase",
    "StringLike": "StringNotLike",
    "NumericEquals": "NumericNotEquals",
    "DateEquals": "DateNotEquals",
    "IpAddress": "NotIpAddress",
    "ArnEquals": "ArnNotEquals",
    "ArnLike": "ArnNotLike",
}
KEY = "aws:Test"

EXAMPLES = [
    ("StringEquals", "a", "a", True),
    ("StringEquals", "a", "A", False),
    ("StringEquals", "a*", "ab", False),
    ("StringEquals", ["a", "b"], "b", True),
    ("StringEquals", 5, "5", True),
    ("StringEquals", True, "true", True),
    ("StringEqualsIgnoreCase", "Ab", "aB", True),
    ("StringEqualsIgnoreCase", "Ab", "ac", False),
    ("StringLike", "a*c?", "abbcd", True),
    ("StringLike", "a*c?", "abbc", False),
    ("StringLike", "A*", "ab", False),
    ("StringLike", "", "", True),
    ("NumericEquals", "10", "10.0", True),
    ("NumericEquals", 10, "1e1", True),
    ("NumericEquals", "9007199254740993", "9007199254740992", False),
    ("NumericEquals", "10", "ten", False),
    ("NumericLessThan", "10", "9", True),
    ("NumericLessThan", "10", "10", False),
    ("NumericLessThanEquals", "10", "10", True),
    ("NumericLessThanEquals", "10", "10.5", False),
    ("NumericGreaterThan", "-1", "0", True),
    ("NumericGreaterThan", "-1", "-1", False),
    ("NumericGreaterThanEquals", "0.5", ".5", True),
    ("NumericGreaterThanEquals", "0.5", "NaN", False),
    ("DateEquals", "2024-02-29T12:00:00Z", "2024-02-29T13:00:00+01:00", True),
    ("DateEquals", "2024-02-29", "1709164800", True),
    ("DateEquals", "2024", "2024-01-01T00:00:00Z", True),
    ("DateEquals", "2024-02", "2024-02-01T00:00:00Z", True),
    ("DateLessThan", "2024-02-29T12:00:00Z", "2024-02-29T11:59:59.999Z", True),
    ("DateLessThan", "2024-02-29T12:00:00Z", "2024-02-29T12:00:00Z", False),
    ("DateLessThan", "2024-02-29T12:00:00Z", "yesterday", False),
    ("DateLessThanEquals", "2024-02-29T12:00:00Z", "2024-02-29T12:00:00Z", True),
    ("DateGreaterThan", 1709164800, "2024-02-29T00:00:01Z", True),
    ("DateGreaterThan", 1709164800, "2024-02-29T00:00:00Z", False),
    ("DateGreaterThanEquals", "2024-02-29T00:00:00", "2024-02-29T00:00:00Z", True),
    ("Bool", "true", "true", True),
    ("Bool", True, "TRUE", True),
    ("Bool", "false", "true", False),
    ("Bool", ["true", "false"], "false", True),
    ("Bool", "true", "yes", False),
    ("BinaryEquals", "AQID", "AQID", True),
    ("BinaryEquals", "AQID", "AQIE", False),
    ("BinaryEquals", "AQID", "é", False),
    ("IpAddress", "203.0.113.0/24", "203.0.113.9", True),
    ("IpAddress", "203.0.113.7/24", "203.0.113.9", True),
    ("IpAddress", "203.0.113.0/24", "203.0.114.9", False),
    ("IpAddress", "203.0.113.9", "203.0.113.9", True),
    ("IpAddress", "203.0.113.9", "203.0.113.8", False),
    ("IpAddress", "203.0.113.0/24", "::ffff:203.0.113.9", True),
    ("IpAddress", "2001:DB8:1234:5678::/64", "2001:db8:1234:5678::1", True),
    ("IpAddress", "2001:DB8:1234:5678::/64", "2001:db8:1234:5679::1", False),
    ("IpAddress", "2001:DB8:1234:5678::/64", "203.0.113.9", False),
    ("IpAddress", ["10.0.0.0/8", "::1"], "::1", True),
    ("IpAddress", "0.0.0.0/0", "unknown", False),
    ("ArnEquals", "arn:aws:sns:*:123:x*", "arn:aws:sns:eu-west-1:123:xy:z", True),
    ("ArnEquals", "arn:aws:sns:*:123:x*", "arn:aws:sns:eu-west-1:124:xy", False),
    ("ArnLike", "arn:aws:s3:::photos", "arn:aws:s3:::photos", True),
    ("ArnLike", "arn:aws:s3:::photo?", "arn:aws:s3:::photos", True),
    ("ArnLike", "arn:aws:s3:::photos", "arn:aws:s3:::Photos", False),
    ("ArnLike", "arn:aws:s*::123:x", "arn:aws:s3:eu:x::123:x", False),
    ("ArnLike", "*", "arn:aws:s3:::photos", True),
    ("ArnLike", "*", "photos", False),
]


@pytest.mark.parametrize(("operator", "wanted", "found", "expected"), EXAMPLES)
def test_an_operator_compares_the_request_with_the_policy(
    operator: str, wanted: object, found: str, expected: bool
) -> None:
    assert holds({operator: {KEY: wanted}}, {KEY: found}) is expected
    if operator in NEGATED:
        assert holds({NEGATED[operator]: {KEY: wanted}}, {KEY: found}) is not expected


@pytest.mark.parametrize("operator", sorted({operator for operator, *_ in EXAMPLES}))
def test_a_missing_key_fails_unless_the_operator_is_negated_or_asks_only_if_it_exists(operator: str) -> None:
    wanted = next(wanted for known, wanted, *_ in EXAMPLES if known == operator)
    absent: list[dict[str, str | list[str]]] = [{}, {KEY: []}]
    for context in absent:
        assert not holds({operator: {KEY: wanted}}, context)
        assert holds({f"{operator}IfExists": {KEY: wanted}}, context)
        assert holds({f"ForAllValues:{operator}": {KEY: wanted}}, context)
        assert not holds({f"ForAnyValue:{operator}": {KEY: wanted}}, context)
        assert not holds({f"ForAnyValue:{operator}IfExists": {KEY: wanted}}, context)
        if operator in NEGATED:
            assert holds({NEGATED[operator]: {KEY: wanted}}, context)
            assert holds({f"{NEGATED[operator]}IfExists": {KEY: wanted}}, context)
            assert not holds({f"ForAnyValue:{NEGATED[operator]}": {KEY: wanted}}, context)


def test_only_if_it_exists_still_judges_what_exists() -> None:
    assert holds({"StringEqualsIfExists": {KEY: "a"}}, {KEY: "a"})
    assert not holds({"StringEqualsIfExists": {KEY: "a"}}, {KEY: "b"})
    assert not holds({"StringNotEqualsIfExists": {KEY: "a"}}, {KEY: "a"})


@pytest.mark.parametrize(
    ("operator", "found", "expected"),
    [
        ("ForAllValues:StringEquals", ["a"], True),
        ("ForAllValues:StringEquals", ["a", "b"], True),
        ("ForAllValues:StringEquals", ["a", "c"], False),
        ("ForAnyValue:StringEquals", ["a", "c"], True),
        ("ForAnyValue:StringEquals", ["c", "d"], False),
        ("ForAllValues:StringNotEquals", ["c", "d"], True),
        ("ForAllValues:StringNotEquals", ["a", "c"], False),
        ("ForAnyValue:StringNotEquals", ["a", "c"], True),
        ("ForAnyValue:StringNotEquals", ["a", "b"], False),
        ("StringEquals", ["c", "a"], True),
        ("StringNotEquals", ["c", "a"], False),
    ],
)
def test_several_values_of_a_request_are_asked_all_or_any(operator: str, found: list[str], expected: bool) -> None:
    assert holds({operator: {KEY: ["a", "b"]}}, {KEY: found}) is expected


def test_null_asks_whether_a_key_is_there() -> None:
    for wanted in ("true", True, "True"):
        assert holds({"Null": {KEY: wanted}}, {})
        assert holds({"Null": {KEY: wanted}}, {KEY: []})
        assert not holds({"Null": {KEY: wanted}}, {KEY: ""})
    assert holds({"Null": {KEY: "false"}}, {KEY: ""})
    assert not holds({"Null": {KEY: "false"}}, {})
    assert holds({"Null": {KEY: ["true", "false"]}}, {})


def test_every_key_of_every_operator_must_hold() -> None:
    conditions = {"StringEquals": {"aws:A": "1", "aws:B": "2"}, "Bool": {"aws:C": "true"}}
    context = {"aws:A": "1", "aws:B": "2", "aws:C": "true"}
    assert holds(conditions, context)
    for key in context:
        assert not holds(conditions, context | {key: "no"})
    assert holds({}, {})


def test_keys_are_compared_in_any_case_but_tags_by_their_own() -> None:
    assert holds({"StringEquals": {"S3:Prefix": "a"}}, {"s3:prefix": "a"})
    assert holds({"StringEquals": {"s3:existingobjecttag/Team": "a"}}, {"s3:ExistingObjectTag/Team": "a"})
    assert not holds({"StringEquals": {"s3:ExistingObjectTag/team": "a"}}, {"s3:ExistingObjectTag/Team": "a"})


def test_variables_stand_in_the_values_of_strings_and_arns() -> None:
    mine = {"StringLike": {"s3:prefix": "home/${aws:username}/*"}}
    assert holds(mine, {"s3:prefix": "home/ann/x", "aws:username": "ann"})
    assert not holds(mine, {"s3:prefix": "home/bob/x", "aws:username": "ann"})
    assert not holds(mine, {"s3:prefix": "home//x"})
    arn = {"ArnLike": {"aws:SourceArn": "arn:aws:s3:::${aws:username}-*"}}
    assert holds(arn, {"aws:SourceArn": "arn:aws:s3:::ann-1", "aws:username": "ann"})
    assert not holds(arn, {"aws:SourceArn": "arn:aws:s3:::bob-1", "aws:username": "ann"})


def test_a_value_that_a_variable_cannot_have_equals_nothing() -> None:
    context = {"s3:ExistingObjectTag/Team": "red"}
    same = {"s3:ExistingObjectTag/Team": "${aws:PrincipalTag/Team}"}
    assert not holds({"StringEquals": same}, context)
    assert holds({"StringNotEquals": same}, context)
    assert holds({"StringEquals": {"s3:ExistingObjectTag/Team": ["${aws:PrincipalTag/Team}", "red"]}}, context)


def test_the_older_version_knows_no_variables() -> None:
    mine = {"StringEquals": {"s3:prefix": "${aws:username}"}}
    assert holds(mine, {"s3:prefix": "${aws:username}", "aws:username": "ann"}, Version="2008-10-17")
    assert not holds(mine, {"s3:prefix": "ann", "aws:username": "ann"}, Version="2008-10-17")


@pytest.mark.parametrize(
    "operator",
    [
        "",
        "stringequals",
        "StringEqual",
        "StringMatches",
        "NullIfExists",
        "ForAllValues:Null",
        "ForSomeValues:StringEquals",
        "ForAnyValue:",
        "ForAnyValue:ForAnyValue:StringEquals",
        "StringEqualsIfExistsIfExists",
        "IfExists",
        "BinaryNotEquals",
    ],
)
def test_an_unknown_operator_is_refused(operator: str) -> None:
    with pytest.raises(MalformedPolicy, match=f"^MalformedPolicy: Invalid Condition type : {operator}"):
        policy(statement(Condition={operator: {KEY: "true"}}))


@pytest.mark.parametrize(
    ("operator", "wanted"),
    [
        ("NumericEquals", "ten"),
        ("NumericEquals", ""),
        ("NumericEquals", "1e9999"),
        ("NumericEquals", "NaN"),
        ("NumericEquals", "٣"),
        ("NumericEquals", "${aws:x}"),
        ("DateEquals", "yesterday"),
        ("DateEquals", "2024-13-01"),
        ("Bool", "yes"),
        ("Bool", 1),
        ("Null", "maybe"),
        ("BinaryEquals", "no base64!"),
        ("IpAddress", "10.0.0.0/33"),
        ("IpAddress", "10.0.0"),
        ("IpAddress", "10.0.0.0/255.0.0.0"),
        ("IpAddress", "*"),
        ("ArnLike", "photos"),
        ("ArnLike", "arn:aws:s3:photos"),
        ("StringEquals", "${aws:x"),
        ("StringEquals", None),
        ("StringEquals", {}),
        ("StringEquals", []),
        ("StringEquals", ["a", ["b"]]),
    ],
)
def test_a_value_that_an_operator_cannot_read_is_refused(operator: str, wanted: object) -> None:
    with pytest.raises(MalformedPolicy, match="Policy has an invalid condition value"):
        policy(statement(Condition={operator: {KEY: wanted}}))


@pytest.mark.parametrize("key", ["", "prefix", ":prefix", "s3:", "a b:c"])
def test_a_key_without_a_service_is_refused(key: str) -> None:
    with pytest.raises(MalformedPolicy, match="Policy has an invalid condition key"):
        policy(statement(Condition={"StringEquals": {key: "a"}}))


@pytest.mark.parametrize("conditions", [None, [], "a", {"StringEquals": {}}, {"StringEquals": "a"}])
def test_a_condition_must_be_an_object_of_objects(conditions: object) -> None:
    told = statement() | {"Condition": conditions}
    with pytest.raises(MalformedPolicy, match=r"Invalid policy syntax\."):
        policy(told)
