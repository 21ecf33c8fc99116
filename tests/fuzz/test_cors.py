"""Cross-origin rules under random questions: nobody is told more than a rule says, and soon."""

from __future__ import annotations

from fnmatch import translate
from re import fullmatch
from time import process_time

from hypothesis import given
from hypothesis import strategies as st

from post3.errors import InvalidRequest, MalformedXML
from post3.model.cors import (
    ANY,
    MAX_REQUESTED,
    METHODS,
    RESPONSE_HEADERS,
    Question,
    Rule,
    answer,
    from_document,
    matches,
    read_question,
    to_document,
)
from tests.fuzz.bounds import bounded

letters = st.text("ab.:/", max_size=4)
patterns = letters | st.builds("{}*{}".format, letters, letters)
names = st.text("abX-", min_size=1, max_size=3)
rules = st.builds(
    Rule,
    st.lists(patterns, min_size=1, max_size=3).map(tuple),
    st.lists(st.sampled_from(METHODS), min_size=1, max_size=3).map(tuple),
    st.lists(names | st.builds("{}*{}".format, names, names) | st.just("*"), max_size=3).map(tuple),
    st.lists(names, max_size=2).map(tuple),
    st.none() | st.integers(0, 10**9),
    st.none() | st.text("ab", max_size=3),
)
questions = st.builds(
    Question,
    letters.filter(bool) | st.just("https://a"),
    st.sampled_from([*METHODS, "OPTIONS", "get", ""]),
    st.lists(names.map(str.lower), max_size=3, unique=True).map(tuple),
)
several = st.lists(rules, max_size=4)


def fits(pattern: str, value: str) -> bool:
    """The same by other means."""
    assert not set("?[]") & set(pattern)
    return fullmatch(translate(pattern), value) is not None


@bounded
@given(patterns, letters)
def test_a_pattern_means_what_a_shell_s_does(pattern: str, value: str) -> None:
    assert matches(pattern, value) == fits(pattern, value)


@bounded
@given(several, questions)
def test_no_rule_is_told_to_an_origin_a_method_or_a_header_that_it_does_not_name(
    told: list[Rule], question: Question
) -> None:
    fitting = [
        rule
        for rule in told
        if question.method in rule.methods
        and any(fits(origin, question.origin) for origin in rule.origins)
        and all(any(fits(name.lower(), header) for name in rule.headers) for header in question.headers)
    ]
    headers = answer(told, question)
    assert bool(headers) == bool(fitting)
    if fitting:
        assert headers["access-control-allow-origin"] in (ANY, question.origin)
        assert (headers["access-control-allow-origin"] == ANY) == (ANY in fitting[0].origins)
        assert headers["access-control-allow-methods"].split(", ") == list(fitting[0].methods)
        assert headers.keys() <= RESPONSE_HEADERS


@bounded
@given(several, questions)
def test_credentials_are_never_allowed_to_all(told: list[Rule], question: Question) -> None:
    headers = answer(told, question)
    assert not (headers.get("access-control-allow-origin") == ANY and "access-control-allow-credentials" in headers)


@bounded
@given(st.lists(rules, min_size=1, max_size=4))
def test_every_document_is_read_as_it_was_told(told: list[Rule]) -> None:
    assert from_document(to_document(told)) == told


trees = st.recursive(
    st.none() | st.text(max_size=4) | st.integers() | st.booleans() | st.sampled_from(["*", "GET", "**", "30"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["CORSRule", "ID", "AllowedOrigin", "AllowedMethod", "AllowedHeader", "MaxAgeSeconds"])
            | st.text(max_size=2),
            inner,
            max_size=5,
        )
    ),
    max_leaves=20,
)


@bounded
@given(st.dictionaries(st.sampled_from(["CORSRule", "Other"]), trees, max_size=2))
def test_any_document_is_read_or_refused(tree: dict[str, object]) -> None:
    try:
        told = from_document(tree)  # type: ignore[arg-type]  # that is the point
    except (MalformedXML, InvalidRequest):
        return
    assert from_document(to_document(told)) == told


@bounded
@given(st.text(), st.text(), st.text())
def test_any_headers_are_a_question(origin: str, method: str, headers: str) -> None:
    question = read_question(
        {"origin": origin, "access-control-request-method": method, "access-control-request-headers": headers}, "GET"
    )
    assert (question is None) == (origin == "")
    if question is not None:
        assert question.method == (method or "GET")
        assert all(name and name == name.strip() and "," not in name for name in question.headers)


def test_the_worst_rules_and_the_worst_question_take_no_time() -> None:
    patterns = tuple(f"x{number}*{'y' * 20}" for number in range(1200))  # what 64 KiB hold
    worst = Rule(("*",), ("GET",), (*patterns, "*"))
    asked = ", ".join(f"x{'y' * 100}{number}" for number in range(MAX_REQUESTED))
    question = read_question({"origin": "a" * 8000, "access-control-request-headers": asked}, "GET")
    assert question is not None
    began = process_time()
    assert answer([worst], question)
    assert process_time() - began < 1
    many = read_question({"origin": "a", "access-control-request-headers": "a," * 8000}, "GET")
    assert many == Question("a", "GET", ("a",))
