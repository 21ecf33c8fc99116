"""Cross-origin rules: which fits a question, what is told of it, and what may be put."""

from __future__ import annotations

import json
from typing import Any, Final

import pytest

from post3.errors import InvalidRequest, MalformedXML
from post3.model.cors import (
    MAX_REQUESTED,
    METHODS,
    RESPONSE_HEADERS,
    SUBRESOURCE,
    Question,
    Rule,
    answer,
    from_document,
    matches,
    of_bucket,
    read_question,
    to_document,
)
from post3.model.tree import Tree
from post3.s3.xml import parse, render
from tests.conftest import a_bucket

PAGE: Final = "https://app.example"
VARY: Final = "Origin, Access-Control-Request-Headers, Access-Control-Request-Method"
LEAST: Final = {"AllowedOrigin": "*", "AllowedMethod": "GET"}


def rule(origins: str = PAGE, methods: str = "GET", headers: str = "", **more: Any) -> Rule:
    """A rule whose lists are given with spaces between."""
    return Rule(tuple(origins.split()), tuple(methods.split()), tuple(headers.split()), **more)


@pytest.mark.parametrize(
    ("pattern", "value"),
    [
        ("https://app.example", "https://app.example"),
        ("*", ""),
        ("*", "null"),
        ("*", "https://app.example:8080"),
        ("*suffix", "suffix"),
        ("*suffix", "foo.suffix"),
        ("prefix*", "prefix"),
        ("prefix*", "prefix.suffix"),
        ("start*end", "startend"),
        ("start*end", "start12end"),
        ("https://*.app.example", "https://a.b.app.example"),
        ("aba*aba", "abaaba"),
    ],
)
def test_a_pattern_matches(pattern: str, value: str) -> None:
    assert matches(pattern, value)


@pytest.mark.parametrize(
    ("pattern", "value"),
    [
        ("https://app.example", "https://app.example/"),
        ("https://app.example", "https://app.example:443"),
        ("https://app.example", "http://app.example"),
        ("https://app.example", "https://App.example"),
        ("https://app.example", "https://app.example.evil"),
        ("*suffix", "foo.suffix.get"),
        ("prefix*", "bla.prefix"),
        ("start*end", "0start12end"),
        ("https://*.app.example", "https://app.example"),
        ("https://*.app.example", "https://evilapp.example"),
        ("aba*aba", "aba"),
        ("aba*aba", "ababa"),
        ("", "x"),
        ("https://app.example?", "https://app.example?x"),
        ("https://app.exampl.", "https://app.example"),
    ],
)
def test_a_pattern_does_not_match(pattern: str, value: str) -> None:
    assert not matches(pattern, value)


@pytest.mark.parametrize(
    ("question", "fits"),
    [
        (Question(PAGE, "GET"), True),
        (Question("https://other.example", "PUT"), True),
        (Question(PAGE, "DELETE"), False),
        (Question(PAGE, "get"), False),
        (Question("https://evil.example", "GET"), False),
        (Question(PAGE, "GET", ("content-type",)), True),
        (Question(PAGE, "GET", ("content-type", "x-amz-date", "x-amz-")), True),
        (Question(PAGE, "GET", ("content-type", "x-other")), False),
        (Question(PAGE, "GET", ("x-amz",)), False),
    ],
)
def test_a_rule_fits_when_origin_method_and_every_header_do(question: Question, fits: bool) -> None:
    made = rule(f"{PAGE} https://*.example.org https://other.example", "GET PUT", "Content-Type X-Amz-*")
    assert made.fits(question) == fits


def test_a_rule_that_names_no_header_allows_none() -> None:
    assert rule().fits(Question(PAGE, "GET"))
    assert not rule().fits(Question(PAGE, "GET", ("content-type",)))


def test_nobody_may_ask_for_more_headers_than_can_be_looked_at() -> None:
    names = tuple(f"x-{number}" for number in range(MAX_REQUESTED + 1))
    assert rule(headers="*").fits(Question(PAGE, "GET", names[1:]))
    assert not rule(headers="*").fits(Question(PAGE, "GET", names))


def test_the_first_rule_that_fits_is_told() -> None:
    rules = [rule(methods="PUT", max_age=1), rule(max_age=2), rule(max_age=3), rule("*", max_age=4)]
    assert answer(rules, Question(PAGE, "GET"))["access-control-max-age"] == "2"
    assert answer(rules, Question("https://other.example", "GET"))["access-control-max-age"] == "4"


def test_no_rule_tells_nothing() -> None:
    assert answer([], Question(PAGE, "GET")) == {}
    assert answer([rule(methods="PUT"), rule("https://other.example")], Question(PAGE, "GET")) == {}


def test_all_of_a_rule_is_told() -> None:
    made = rule("https://*.example", "GET PUT", "*", exposed=("ETag", "x-amz-meta-a"), max_age=0, id="one")
    told = answer([made], Question("https://a.example", "PUT", ("content-type", "x-amz-acl")))
    assert told == {
        "access-control-allow-origin": "https://a.example",
        "access-control-allow-credentials": "true",
        "access-control-allow-methods": "GET, PUT",
        "access-control-allow-headers": "content-type, x-amz-acl",
        "access-control-expose-headers": "ETag, x-amz-meta-a",
        "access-control-max-age": "0",
        "vary": VARY,
    }
    assert told.keys() == RESPONSE_HEADERS


@pytest.mark.parametrize("origins", ["*", f"{PAGE} *"])
def test_a_rule_for_all_says_so_and_wants_no_credentials(origins: str) -> None:
    assert answer([rule(origins)], Question(PAGE, "GET")) == {
        "access-control-allow-origin": "*",
        "access-control-allow-methods": "GET",
        "vary": VARY,
    }


@pytest.mark.parametrize(
    ("headers", "question"),
    [
        ({}, None),
        ({"origin": ""}, None),
        ({"access-control-request-method": "GET"}, None),
        ({"origin": PAGE}, Question(PAGE, "PUT")),
        ({"origin": PAGE, "access-control-request-method": "GET"}, Question(PAGE, "GET")),
        ({"origin": PAGE, "access-control-request-method": ""}, Question(PAGE, "PUT")),
        (
            {"origin": PAGE, "access-control-request-headers": "X-B,, x-a ,x-b,\t X-C"},
            Question(PAGE, "PUT", ("x-b", "x-a", "x-c")),
        ),
        ({"origin": PAGE, "access-control-request-headers": " , "}, Question(PAGE, "PUT")),
    ],
)
def test_a_question_is_read_from_headers(headers: dict[str, str], question: Question | None) -> None:
    assert read_question(headers, "PUT") == question


# Documents


def document(*rules: str) -> Tree:
    """What XML becomes."""
    inner = "".join(f"<CORSRule>{one}</CORSRule>" for one in rules)
    return parse(f"<CORSConfiguration>{inner}</CORSConfiguration>".encode(), "CORSConfiguration")


WHOLE: Final = [
    Rule(("https://*.example", "null", ""), METHODS, ("*", "X-Amz-*", ""), ("ETag", "x-ä"), 3000, "the first"),
    Rule(("*",), ("GET",), id=""),
    Rule((PAGE, PAGE), ("HEAD", "HEAD"), max_age=0),
]


def test_what_is_told_or_stored_is_read_again() -> None:
    tree = to_document(WHOLE)
    assert from_document(parse(render("CORSConfiguration", tree), "CORSConfiguration")) == WHOLE
    stored = json.loads(json.dumps(tree))
    assert of_bucket(a_bucket("photos", configurations={SUBRESOURCE: stored})) == WHOLE


def test_a_rule_says_only_what_was_put() -> None:
    tree = document("<AllowedMethod>GET</AllowedMethod><AllowedOrigin>*</AllowedOrigin>")
    assert to_document(from_document(tree)) == {"CORSRule": [{"AllowedOrigin": ["*"], "AllowedMethod": ["GET"]}]}


def test_a_bucket_without_the_document_has_no_rules() -> None:
    assert of_bucket(a_bucket("photos")) == ()


@pytest.mark.parametrize(
    "tree",
    [
        {},
        {"CORSRule": ""},
        {"CORSRule": {}},
        {"CORSRule": {"AllowedOrigin": "*"}},
        {"CORSRule": {"AllowedMethod": "GET"}},
        {"CORSRule": LEAST, "Other": ""},
        {"CORSRule": {**LEAST, "AllowedHeaders": "*"}},
        {"CORSRule": {**LEAST, "AllowedHeader": {"Name": "*"}}},
        {"CORSRule": {**LEAST, "AllowedHeader": ["*", {"Name": "*"}]}},
        {"CORSRule": {**LEAST, "ID": ["a", "b"]}},
        *({"CORSRule": {**LEAST, "MaxAgeSeconds": value}} for value in ("", "-1", "1.5", "1e3", "²", "1" * 11, True)),
        {"CORSRule": {**LEAST, "MaxAgeSeconds": ["1", "2"]}},
        {"CORSRule": [LEAST, ""]},
    ],
)
def test_a_document_of_another_shape_is_refused(tree: Tree) -> None:
    with pytest.raises(MalformedXML):
        from_document(tree)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        *(
            ({"AllowedMethod": ["GET", method]}, f"HTTP method in CORS config. Unsupported method is {method}$")
            for method in ("OPTIONS", "PATCH", "get", "GET ", "")
        ),
        ({"AllowedOrigin": ["https://*.a.*", "*"]}, 'AllowedOrigin "https://.*" can not have more than one wildcard'),
        ({"AllowedHeader": "x-*-*"}, 'AllowedHeader "x-.*" can not have more than one wildcard'),
        ({"ExposeHeader": "*"}, "wildcard for ExposeHeader"),
        ({"ID": "x" * 256}, "255"),
    ],
)
def test_a_value_that_cannot_be_is_refused(more: Tree, message: str) -> None:
    with pytest.raises(InvalidRequest, match=message):
        from_document({"CORSRule": {**LEAST, **more}})


def test_a_hundred_rules_are_enough() -> None:
    assert len(from_document({"CORSRule": [LEAST] * 100})) == 100
    with pytest.raises(InvalidRequest, match="100"):
        from_document({"CORSRule": [LEAST] * 101})
