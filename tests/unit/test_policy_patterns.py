"""Patterns: what they match, and that no pattern takes long."""

from __future__ import annotations

import time

import pytest

from post3.model.policy_patterns import fold_key, parse_glob, parse_template


@pytest.mark.parametrize(
    ("pattern", "text", "expected"),
    [
        ("", "", True),
        ("", "a", False),
        ("a", "a", True),
        ("a", "A", False),
        ("a", "ab", False),
        ("*", "", True),
        ("*", "a/b\nc", True),
        ("**", "a", True),
        ("?", "", False),
        ("?", "\n", True),
        ("??", "a", False),
        ("a*", "a", True),
        ("a*", "ba", False),
        ("*a", "ba", True),
        ("*a", "ab", False),
        ("a*a", "a", False),
        ("a*a", "aa", True),
        ("a*b*c", "abc", True),
        ("a*b*c", "axbxxbxc", True),
        ("a*b*c", "acb", False),
        ("*ab*ab", "ab", False),
        ("*ab*ab", "abab", True),
        ("a*bc?e*f", "a-bcd-bcde-f", True),
        ("a*bc?e*f", "a-bcd-bce-f", False),
        ("a.c", "abc", False),
        ("a?[b]", "ax[b]", True),
        ("*?", "", False),
        ("*?x?*", "axb", True),
        ("*?x?*", "ax", False),
    ],
)
def test_stars_are_any_text_and_question_marks_any_character(pattern: str, text: str, expected: bool) -> None:
    assert parse_glob(pattern).matches(text) is expected


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        ("a*" * 4_000 + "b", "a" * 20_000),
        ("*" + "a*" * 4_000 + "b*", "a" * 20_000),
        ("*" + "a?*" * 2_000 + "b*", "a" * 20_000),
        ("*" + "?a" * 250 + "b*", "a" * 1_024),
        ("*" + "a" * 2_000 + "b*", "a" * 20_000),
    ],
)
def test_no_pattern_takes_long(pattern: str, text: str) -> None:
    glob = parse_glob(pattern)
    started = time.perf_counter()
    assert not glob.matches(text)
    assert time.perf_counter() - started < 2  # backtracking would take longer than the universe has


@pytest.mark.parametrize(
    ("pattern", "context", "text", "expected"),
    [
        ("home/${aws:username}/*", {"aws:username": ["ann"]}, "home/ann/x", True),
        ("home/${aws:username}/*", {"aws:username": ["ann"]}, "home/bob/x", False),
        ("home/${AWS:UserName}/*", {"aws:username": ["ann"]}, "home/ann/x", True),
        ("${aws:username}", {"aws:username": ["a*"]}, "a*", True),
        ("${aws:username}", {"aws:username": ["a*"]}, "ab", False),
        ("${aws:username}", {"aws:username": ["a", "b"]}, "a", False),
        ("*${aws:username}*", {}, "anything", False),
        ("${aws:username, 'nobody'}", {}, "nobody", True),
        ("${aws:username,'nobody' }", {"aws:username": ["ann"]}, "nobody", False),
        ("${aws:username, 'no*'}", {}, "nobody", False),
        ("${aws:username, ''}x", {}, "x", True),
        ("${aws:PrincipalTag/Team}", {"aws:principaltag/Team": ["red"]}, "red", True),
        ("${aws:PrincipalTag/Team}", {"aws:principaltag/team": ["red"]}, "red", False),
        ("${*}${?}${$}", {}, "*?$", True),
        ("${*}", {}, "x", False),
        ("a$b$", {}, "a$b$", True),
        ("?${s3:prefix}?*", {"s3:prefix": ["pp"]}, "xppx", True),
    ],
)
def test_variables_are_filled_from_the_request(
    pattern: str, context: dict[str, list[str]], text: str, expected: bool
) -> None:
    assert parse_template(pattern, wildcards=True, variables=True).matches(text, context) is expected


@pytest.mark.parametrize("pattern", ["${", "${}", "${ }", "${aws:username", "${a, b}", "${a, 'b}", "${a${b}}"])
def test_a_broken_variable_is_refused(pattern: str) -> None:
    with pytest.raises(ValueError, match="variable"):
        parse_template(pattern, wildcards=True, variables=True)


def test_without_variables_their_signs_are_text() -> None:
    template = parse_template("${aws:username}${*", wildcards=True, variables=False)
    assert template.matches("${aws:username}${x", {"aws:username": ["ann"]})
    assert template.variables == frozenset()


def test_case_is_ignored_on_both_sides() -> None:
    template = parse_template("Ab${s3:prefix}", wildcards=False, variables=True, ignores_case=True)
    assert template.matches("aBcD", {"s3:prefix": ["Cd"]})
    assert parse_template("AB", wildcards=False, variables=True, ignores_case=True).matches("ab", {})


def test_a_tag_keeps_the_case_of_its_name() -> None:
    assert fold_key("s3:ExistingObjectTag/Team/A") == "s3:existingobjecttag/Team/A"
    assert fold_key("AWS:SourceIp") == "aws:sourceip"
