"""Bucket policies under random statements, questions and text: what holds of every policy."""

from __future__ import annotations

import json
from fnmatch import translate
from re import fullmatch
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from post3.errors import MalformedPolicy
from post3.model.policy import Policy, Question, Verdict, evaluate, is_public, parse_policy
from post3.model.policy_patterns import fold_key, parse_glob
from tests.fuzz.bounds import bounded
from tests.policies import ARN, BUCKET, document, policy, statement

USERS = ["ann", "bob", "acme$ann"]
ACTIONS = ["s3:GetObject", "s3:PutObject", "s3:ListBucket"]
KEYS = ["s3:prefix", "aws:SourceIp", "aws:SourceVpc", "aws:username", "s3:ExistingObjectTag/Team"]
VALUES = ["a", "ab", "ann", "10", "10.0.0.1", "2024-01-01", "true", "arn:aws:s3:::a", "AQID", ""]

OPERATORS: dict[str, list[Any]] = {
    "StringEquals": ["a", "${aws:username}", "${s3:prefix, 'a'}"],
    "StringLike": ["a*", "?", "*${aws:username}*"],
    "StringEqualsIgnoreCase": ["A"],
    "StringNotEquals": ["a", "${aws:username}"],
    "StringNotLike": ["a*"],
    "NumericLessThan": ["11", 5],
    "NumericNotEquals": ["10"],
    "DateGreaterThan": ["2023-01-01"],
    "Bool": ["true", False],
    "BinaryEquals": ["AQID"],
    "IpAddress": ["10.0.0.0/8", "0.0.0.0/0", "::/0"],
    "NotIpAddress": ["10.0.0.0/8"],
    "ArnLike": ["arn:aws:s3:::*", "*"],
    "ArnNotEquals": ["arn:aws:s3:::a"],
}


@st.composite
def conditions(draw: st.DrawFn) -> dict[str, Any]:
    if draw(st.booleans()):
        return {}
    name = draw(st.sampled_from(sorted(OPERATORS)))
    values = draw(st.lists(st.sampled_from(OPERATORS[name]), min_size=1, max_size=2))
    prefix = draw(st.sampled_from(["", "", "ForAllValues:", "ForAnyValue:"]))
    suffix = draw(st.sampled_from(["", "", "IfExists"]))
    found: dict[str, Any] = {f"{prefix}{name}{suffix}": {draw(st.sampled_from(KEYS)): values}}
    if draw(st.booleans()):
        found["Null"] = {draw(st.sampled_from(KEYS)): draw(st.sampled_from(["true", "false"]))}
    return found


principals = st.just("*") | st.lists(st.sampled_from([*USERS, "*", "arn:aws:iam::acme:user/ann"]), min_size=1).map(
    lambda users: {"AWS": users}
)
actions = st.lists(st.sampled_from([*ACTIONS, "s3:*", "*", "s3:Get*", "S3:?UTOBJECT"]), min_size=1, max_size=3)
resources = st.lists(
    st.sampled_from([ARN, f"{ARN}/*", f"{ARN}*", f"{ARN}/a", f"{ARN}/${{aws:username}}"]), min_size=1, max_size=3
)


@st.composite
def statements(draw: st.DrawFn, effects: tuple[str, ...] = ("Allow", "Deny")) -> dict[str, Any]:
    effect = draw(st.sampled_from(effects))
    names = [draw(st.sampled_from([name, f"Not{name}"])) for name in ("Principal", "Action", "Resource")]
    names[0] = "Principal" if effect == "Allow" else names[0]
    told = dict(zip(names, (draw(principals), draw(actions), draw(resources)), strict=True))
    return {"Effect": effect, "Condition": draw(conditions())} | told


contexts = st.dictionaries(st.sampled_from(KEYS).map(fold_key), st.lists(st.sampled_from(VALUES), max_size=2))
questions = st.builds(
    Question,
    st.sampled_from([None, *USERS]),
    st.sampled_from(ACTIONS),
    st.sampled_from([BUCKET, f"{BUCKET}/a", f"{BUCKET}/ann"]),
    contexts,
)
everything = st.builds(
    Question,
    st.none() | st.text(),
    st.text(),
    st.text(),
    st.dictionaries(st.sampled_from(KEYS).map(fold_key) | st.text(), st.lists(st.text(), max_size=3)),
)
several = st.lists(statements(), min_size=1, max_size=4)


@bounded
@given(several, questions)
def test_a_statement_that_denies_always_wins(told: list[dict[str, Any]], question: Question) -> None:
    alone = [evaluate(policy(one), question) for one in told]
    together = evaluate(policy(*told), question)
    if Verdict.DENY in alone:
        assert together is Verdict.DENY
    else:
        assert together is (Verdict.ALLOW if Verdict.ALLOW in alone else Verdict.NONE)


@bounded
@given(several, questions, st.randoms(use_true_random=False))
def test_the_order_of_statements_does_not_matter(told: list[dict[str, Any]], question: Question, order: Any) -> None:
    shuffled = list(told)
    order.shuffle(shuffled)
    assert evaluate(policy(*told), question) is evaluate(policy(*shuffled), question)


@bounded
@given(several, statements(("Allow",)), questions)
def test_one_more_allow_takes_nothing_away(
    told: list[dict[str, Any]], more: dict[str, Any], question: Question
) -> None:
    before, after = evaluate(policy(*told), question), evaluate(policy(*told, more), question)
    assert after is before or (before is Verdict.NONE and after is Verdict.ALLOW)


@bounded
@given(several, everything)
def test_every_question_has_an_answer(told: list[dict[str, Any]], question: Question) -> None:
    assert evaluate(policy(*told), question) in Verdict


@bounded
@given(several, questions)
def test_only_the_keys_that_a_policy_mentions_can_change_its_answer(
    told: list[dict[str, Any]], question: Question
) -> None:
    asked = policy(*told)
    known = {key: values for key, values in question.context.items() if asked.mentions(key)}
    less = Question(question.principal, question.action, question.resource, known)
    assert evaluate(asked, question) is evaluate(asked, less)


@bounded
@given(actions, resources, st.lists(st.sampled_from(["vpc-1", "vpc-*", "${s3:prefix}"]), min_size=1, max_size=2))
def test_what_is_public_is_allowed_to_somebody_anonymous(
    action: list[str], resource: list[str], networks: list[str]
) -> None:
    asked = policy(
        statement(Action=action, Resource=resource, Condition={"StringLike": {"aws:SourceVpc": networks}}),
        statement(Action=action, Resource=resource, Principal={"AWS": "ann"}),
    )
    somewhere = {"aws:sourcevpc": ["vpc-elsewhere"], "s3:prefix": ["vpc-elsewhere"], "aws:username": ["a"]}
    verdicts = {
        evaluate(asked, Question(None, name, place, somewhere))
        for name in ACTIONS
        for place in (BUCKET, f"{BUCKET}/a", f"{BUCKET}/ann")
    }
    assert is_public(asked) == (Verdict.ALLOW in verdicts)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=8,
)
names = st.sampled_from(
    ["Sid", "Effect", "Principal", "NotPrincipal", "Action", "NotAction", "Resource", "NotResource", "Condition"]
)


def parse_or_refuse(text: str) -> Policy | None:
    try:
        return parse_policy(text, BUCKET)
    except MalformedPolicy as refused:
        refused.message.encode("ascii")
        return None


@bounded
@given(st.text() | json_values.map(json.dumps) | st.text("[]{}\",:'0\\ue", max_size=40))
@example('{"Statement": ' + "[" * 20_000)
@example('{"Statement": ' + '{"Effect":' * 600 + "1" + "}" * 601)
@example('{"Statement": ' + "9" * 5_000 + "}")
@example('{"Statement": [{"\ud800": 1}]}')
@example('{"Statement": [{"\\ud800": 1}]}')
def test_any_text_is_a_policy_or_malformed(text: str) -> None:
    parse_or_refuse(text)


@bounded
@given(statements(), names, json_values)
def test_any_element_is_read_or_malformed(told: dict[str, Any], name: str, found: Any) -> None:
    parse_or_refuse(document(told | {name: found}))


@bounded
@given(statements(), st.sampled_from(sorted(OPERATORS)) | st.text(max_size=10), json_values, everything)
def test_any_condition_is_read_or_malformed(
    told: dict[str, Any], operator: str, found: Any, question: Question
) -> None:
    told["Condition"] = {operator: {"s3:prefix": found}}
    asked = parse_or_refuse(document(told))
    if asked is not None:
        evaluate(asked, question)


@bounded
@given(st.text("ab*?", max_size=12), st.text("ab", max_size=12))
def test_a_pattern_matches_as_a_shell_would_match_it(pattern: str, text: str) -> None:
    assert parse_glob(pattern).matches(text) == (fullmatch(translate(pattern), text) is not None)
