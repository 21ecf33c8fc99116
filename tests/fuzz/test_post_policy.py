"""POST policies under random documents and forms: what the conditions do not allow is refused, and nothing breaks."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from post3.auth.post_policy import PostPolicy, parse_post_policy, substitute_filename
from post3.errors import AccessDenied, InvalidPolicyDocument
from tests.fuzz.bounds import bounded

EXPIRATION = "2035-12-30T12:00:00Z"
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
names = st.sampled_from(
    ["key", "acl", "content-type", "x-amz-meta-a", "x-amz-date", "success_action_status", "tagging"]
)
forms = st.dictionaries(names, texts, min_size=1)


@st.composite
def conditions_of(draw: st.DrawFn, fields: dict[str, str]) -> list[Any]:
    """Conditions that cover these fields and hold for them, in any order, form and case."""
    found: list[Any] = []
    for name, value in fields.items():
        spelling = draw(st.sampled_from([name, name.upper(), name.title()]))
        prefix = value[: draw(st.integers(0, len(value)))]
        lists = name == "content-type" and ("," in value or value != value.strip(" \t"))
        forms = [{spelling: value}, ["eq", f"${spelling}", value]]
        found.append(draw(st.sampled_from(forms if lists else [*forms, ["Starts-With", f"${spelling}", prefix]])))
    return draw(st.permutations(found))


def parse(conditions: list[Any]) -> PostPolicy:
    document = json.dumps({"expiration": EXPIRATION, "conditions": conditions})
    return parse_post_policy(base64.b64encode(document.encode()).decode())


def allows(condition: Any, name: str, value: str) -> bool:
    """Whether a condition lets a field have a value, as the documentation has it."""
    operator, field, expected = ["eq", *next(iter(condition.items()))] if isinstance(condition, dict) else condition
    if field.removeprefix("$").lower() != name:
        return True
    if operator == "eq":
        return bool(value == expected)
    items = [item.strip(" \t") for item in value.split(",")] if name == "content-type" else [value]
    return all(item.startswith(expected) for item in items)


@bounded
@given(forms, texts, st.data())
def test_a_form_passes_until_one_of_its_values_is_changed_to_one_not_allowed(
    fields: dict[str, str], other: str, data: st.DataObject
) -> None:
    fields["bucket"] = "photos"
    conditions = data.draw(conditions_of(fields))
    policy = parse(conditions)
    policy.check_fields(fields, "photos")
    name = data.draw(st.sampled_from(sorted(fields)))
    assume(not all(allows(condition, name, other) for condition in conditions))
    with pytest.raises(AccessDenied, match="Policy Condition failed"):
        policy.check_fields({**fields, name: other}, "photos")


@bounded
@given(forms, st.data())
def test_a_form_passes_until_a_condition_is_taken_away(fields: dict[str, str], data: st.DataObject) -> None:
    fields["bucket"] = "photos"
    conditions = data.draw(conditions_of(fields))
    taken = data.draw(st.integers(0, len(conditions) - 1))
    policy = parse(conditions[:taken] + conditions[taken + 1 :])
    with pytest.raises(AccessDenied, match="Extra input fields"):
        policy.check_fields(fields, "photos")


@bounded
@given(forms, texts, texts.filter(lambda text: text != "photos"), st.data())
def test_no_form_passes_into_another_bucket(
    fields: dict[str, str], told: str, bucket: str, data: st.DataObject
) -> None:
    policy = parse([{"bucket": "photos"}, *data.draw(conditions_of(fields))])
    for form in (fields, {**fields, "bucket": told}, {**fields, "bucket": "photos"}):
        with pytest.raises(AccessDenied):
            policy.check_fields(form, bucket)


words = st.sampled_from(
    ["eq", "starts-with", "content-length-range", "$key", "key", "expiration", "conditions", EXPIRATION]
)
leaves = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | words
documents = st.recursive(
    leaves, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(words | st.text(max_size=5), inner, max_size=3)
)
whole = st.fixed_dictionaries({"expiration": st.just(EXPIRATION), "conditions": st.lists(documents, max_size=4)})


def parsed_or_refused(encoded: str) -> None:
    """Parse it; anything but a policy or the one error passes."""
    try:
        policy = parse_post_policy(encoded)
    except InvalidPolicyDocument as error:
        error.message.encode("utf-8")
        return
    assert policy.conditions or policy.size_range
    with pytest.raises(AccessDenied):
        policy.check_fields({"never": "named"}, "photos")


@bounded
@given(documents | whole)
def test_any_json_is_a_policy_or_refused(document: object) -> None:
    parsed_or_refused(base64.b64encode(json.dumps(document).encode()).decode())


scraps = st.sampled_from(
    ['"', "\\", "\\u", "\\ud800", "[", "]", "{", "}", ":", ",", "1e999", "NaN", "9" * 5000, " ", "$"]
)


@bounded
@given(st.text(max_size=100) | st.lists(scraps | words.map(json.dumps), max_size=30).map("".join))
def test_any_text_is_a_policy_or_refused(text: str) -> None:
    for encoded in (text, base64.b64encode(text.encode("utf-8", "surrogatepass")).decode()):
        parsed_or_refused(encoded)


@bounded
@given(st.lists(st.none() | st.text("{}filename/ ", max_size=12)), texts)
def test_a_filename_goes_wherever_it_is_asked_for_and_nowhere_else(pieces: list[str | None], filename: str) -> None:
    value = "".join("${filename}" if piece is None else piece for piece in pieces)
    expected = "".join(filename if piece is None else piece for piece in pieces)
    assert substitute_filename({"key": value}, filename) == {"key": expected}
