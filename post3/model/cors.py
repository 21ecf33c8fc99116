"""Cross-origin rules of a bucket: which web pages may ask for what, and what browsers are told of that.

A browser names the page's origin in Origin. Before a request that a form could not send it asks for leave with OPTIONS,
a preflight, and names the method and the headers to come. The first rule counts that allows the origin, the method, and
each of the headers that are named so; what it says is told with the answer, and the browser holds the page to it. Where
no rule fits nothing is told: the page cannot read the answer.

Sources: https://docs.aws.amazon.com/AmazonS3/latest/userguide/cors.html,
https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutBucketCors.html, https://fetch.spec.whatwg.org/#http-cors-protocol
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from post3.errors import InvalidRequest, MalformedXML
from post3.model.bucket import Bucket
from post3.model.tree import Tree, each, text, texts

SUBRESOURCE: Final = "cors"
"""Among a bucket's configurations."""
METHODS: Final = ("GET", "PUT", "POST", "DELETE", "HEAD")
ANY: Final = "*"
"""As an origin: all of them, but without credentials."""
MAX_DOCUMENT: Final = 64 * 1024
"""Bytes."""
MAX_RULES: Final = 100
MAX_ID: Final = 255
MAX_AGE_DIGITS: Final = 10
MAX_REQUESTED: Final = 100
"""Headers that one request may ask for: more are allowed by no rule, as each is held against each that a rule names."""
REQUEST_METHOD: Final = "access-control-request-method"
REQUEST_HEADERS: Final = "access-control-request-headers"
RESPONSE_HEADERS: Final = frozenset(
    {
        "access-control-allow-credentials",
        "access-control-allow-headers",
        "access-control-allow-methods",
        "access-control-allow-origin",
        "access-control-expose-headers",
        "access-control-max-age",
        "vary",
    }
)
"""All that an answer may tell of a rule."""
_VARY: Final = "Origin, Access-Control-Request-Headers, Access-Control-Request-Method"


@dataclass(frozen=True, slots=True)
class Question:
    """What a browser asks leave for."""

    origin: str
    method: str
    headers: tuple[str, ...] = ()
    """Those that it names beforehand, in lower case."""


@dataclass(frozen=True, slots=True)
class Rule:
    """A CORSRule. One `*` in an origin, or in a header, stands for any text."""

    origins: tuple[str, ...]
    methods: tuple[str, ...]
    headers: tuple[str, ...] = ()
    exposed: tuple[str, ...] = ()
    """Headers of answers that a page may read."""
    max_age: int | None = None
    """Seconds for which a browser need not ask again."""
    id: str | None = None

    def fits(self, question: Question) -> bool:
        """Whether it allows all that is asked for."""
        return (
            question.method in self.methods
            and any(matches(origin, question.origin) for origin in self.origins)
            and len(question.headers) <= MAX_REQUESTED
            and all(self._allows(header) for header in question.headers)
        )

    def _allows(self, header: str) -> bool:
        return any(matches(allowed.lower(), header) for allowed in self.headers)


Rules: TypeAlias = Sequence[Rule]


def matches(pattern: str, value: str) -> bool:
    """Whether the value is the pattern, whose `*`, if it has one, stands for any text, also for none."""
    start, star, end = pattern.partition("*")
    if not star:
        return value == pattern
    return len(value) >= len(start) + len(end) and value.startswith(start) and value.endswith(end)


# Requests and answers


def read_question(headers: Mapping[str, str], method: str) -> Question | None:
    """What a request's headers, by lower-case name, ask leave for; None without an origin.

    The method is the request's own, unless Access-Control-Request-Method names another.
    """
    origin = headers.get("origin")
    if not origin:
        return None
    named = (name.strip().lower() for name in headers.get(REQUEST_HEADERS, "").split(","))
    return Question(origin, headers.get(REQUEST_METHOD) or method, tuple(dict.fromkeys(filter(None, named))))


def answer(rules: Rules, question: Question) -> dict[str, str]:
    """The headers, by lower-case name, that tell of the first rule that fits; none when no rule does."""
    rule = next((rule for rule in rules if rule.fits(question)), None)
    return {} if rule is None else _told(rule, question)


def _told(rule: Rule, question: Question) -> dict[str, str]:
    headers = {"access-control-allow-origin": ANY if ANY in rule.origins else question.origin}
    if ANY not in rule.origins:
        headers["access-control-allow-credentials"] = "true"
    headers["access-control-allow-methods"] = ", ".join(rule.methods)
    if question.headers:
        headers["access-control-allow-headers"] = ", ".join(question.headers)
    if rule.exposed:
        headers["access-control-expose-headers"] = ", ".join(rule.exposed)
    if rule.max_age is not None:
        headers["access-control-max-age"] = str(rule.max_age)
    headers["vary"] = _VARY
    return headers


# Documents


def from_document(tree: Tree) -> Rules:
    """The rules of a CORSConfiguration.

    Raises MalformedXML, also for an element that is not known, and InvalidRequest for a value that cannot be.
    """
    if not tree.keys() <= {"CORSRule"}:
        raise MalformedXML
    rules = [_rule(child) for child in each(tree, "CORSRule")]
    if not rules:
        raise MalformedXML
    if len(rules) > MAX_RULES:
        raise InvalidRequest(f"A CORS configuration may have no more than {MAX_RULES} rules.")
    return rules


_LISTS: Final = {
    "AllowedOrigin": "origins",
    "AllowedMethod": "methods",
    "AllowedHeader": "headers",
    "ExposeHeader": "exposed",
}
_ELEMENTS: Final = frozenset({"ID", *_LISTS, "MaxAgeSeconds"})


def _rule(tree: Tree) -> Rule:
    if not tree.keys() <= _ELEMENTS:
        raise MalformedXML
    lists = {field: tuple(texts(tree, element)) for element, field in _LISTS.items()}
    if not lists["origins"] or not lists["methods"]:
        raise MalformedXML
    rule = Rule(**lists, max_age=_max_age(tree), id=text(tree, "ID"))
    _check(rule)
    return rule


def _max_age(tree: Tree) -> int | None:
    value = tree.get("MaxAgeSeconds")
    if value is None or type(value) is int:
        return value
    told = (text(tree, "MaxAgeSeconds") or "").strip()
    if not (told.isascii() and told.isdigit() and len(told) <= MAX_AGE_DIGITS):
        raise MalformedXML
    return int(told)


def _check(rule: Rule) -> None:
    for method in rule.methods:
        if method not in METHODS:
            raise InvalidRequest(f"Found unsupported HTTP method in CORS config. Unsupported method is {method}")
    for element, values in (("AllowedOrigin", rule.origins), ("AllowedHeader", rule.headers)):
        for value in values:
            if value.count("*") > 1:
                raise InvalidRequest(f'{element} "{value}" can not have more than one wildcard.')
    for value in rule.exposed:
        if "*" in value:
            raise InvalidRequest(
                f'ExposeHeader "{value}" contains wildcard. We currently do not support wildcard for ExposeHeader.'
            )
    if rule.id is not None and len(rule.id) > MAX_ID:
        raise InvalidRequest(f"The ID of a CORS rule may have no more than {MAX_ID} characters.")


def to_document(rules: Rules) -> Tree:
    """The CORSConfiguration, to be stored and shown: all as it was put, the elements of a rule in a fixed order."""
    return {"CORSRule": [_element(rule) for rule in rules]}


def _element(rule: Rule) -> Tree:
    lists = {element: list(getattr(rule, field)) for element, field in _LISTS.items()}
    told = {"ID": rule.id, **lists, "MaxAgeSeconds": rule.max_age}
    return {element: value for element, value in told.items() if value is not None and value != []}


def of_bucket(bucket: Bucket) -> Rules:
    """A bucket's rules; none where it has no such document."""
    stored = bucket.configurations.get(SUBRESOURCE)
    return () if stored is None else from_document(stored)
