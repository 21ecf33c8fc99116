"""When a statement of a bucket policy holds: its conditions, and the operators that they are made of.

A condition compares each value of the request's key with each value of the policy. It holds when any pair matches;
a negated operator holds when none does. `ForAllValues:` asks it of every value of the request, `ForAnyValue:` of one.

A key that the request lacks matches nothing: the condition fails, or holds when it is negated, or ends in `IfExists`,
or begins with `ForAllValues:`; under `ForAnyValue:` it fails in any case. A value of the request that an operator
cannot read (no number, no address) matches nothing either, nor does a value of the policy whose variable the request
does not fill. A value of the policy that the operator cannot read is refused.

Sources: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html,
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-single-vs-multi-valued-context-keys.html
"""

from __future__ import annotations

import base64
import operator
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from enum import Enum
from functools import partial
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Any, Final, TypeAlias, TypeVar

from post3.model.policy_patterns import Context, Template, parse_template

Test: TypeAlias = Callable[[str, Context], bool]
"""Whether a value of the request matches one value of the policy."""

Parse: TypeAlias = Callable[[str, bool], tuple[Test, frozenset[str]]]
"""A value of the policy, and whether variables mean something in it, as a test and the keys of its variables.
Raises ValueError.
"""

_T = TypeVar("_T")

_NUMBER: Final = re.compile(r"[+-]?(?:\d{1,40}(?:\.\d{0,40})?|\.\d{1,40})(?:[eE][+-]?\d{1,3})?", re.ASCII)
_SECONDS: Final = re.compile(r"-?\d{5,15}(?:\.\d{1,9})?", re.ASCII)
_SHORT_DATE: Final = re.compile(r"\d{4}(?:-\d\d)?", re.ASCII)
_NETWORK: Final = re.compile(r"[0-9a-fA-F:.]+(?:/\d{1,3})?", re.ASCII)
_BOOLEANS: Final = {"true": True, "false": False}
_ANY_ARN: Final = "arn:*:*:*:*:*"


def _string(
    text: str, variables: bool, *, wildcards: bool = False, ignores_case: bool = False
) -> tuple[Test, frozenset[str]]:
    template = parse_template(text, wildcards=wildcards, variables=variables, ignores_case=ignores_case)
    return template.matches, template.variables


def _arn(text: str, variables: bool) -> tuple[Test, frozenset[str]]:
    """An ARN, each of whose six parts is a pattern of its own; only the last may contain colons."""
    parts = (_ANY_ARN if text == "*" else text).split(":", 5)
    if len(parts) < 6 or parts[0] != "arn":
        raise ValueError("not an ARN")
    templates = [parse_template(part, wildcards=True, variables=variables) for part in parts]
    return partial(_arn_matches, templates), frozenset().union(*(template.variables for template in templates))


def _arn_matches(templates: Sequence[Template], text: str, context: Context) -> bool:
    parts = text.split(":", 5)
    return len(parts) == len(templates) and all(
        template.matches(part, context) for template, part in zip(templates, parts, strict=True)
    )


def _fixed(read: Callable[[str], _T], compare: Callable[[_T, _T], bool]) -> Parse:
    """Values that are read into another type and compared in it, that of the request first."""

    def parse(text: str, _variables: bool) -> tuple[Test, frozenset[str]]:
        wanted = read(text)

        def matches(found: str, _context: Context) -> bool:
            try:
                return compare(read(found), wanted)
            except ValueError:
                return False

        return matches, frozenset()

    return parse


def _number(text: str) -> Decimal:
    if not _NUMBER.fullmatch(text):
        raise ValueError("not a number")
    return Decimal(text)


def _moment(text: str) -> float:
    """Seconds since 1970 of a date of ISO 8601, UTC where it does not say, or of such seconds themselves."""
    if _SECONDS.fullmatch(text):
        return float(text)
    if _SHORT_DATE.fullmatch(text):
        text += "-01-01"[len(text) - 4 :]
    moment = datetime.fromisoformat(text)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _boolean(text: str) -> bool:
    known = _BOOLEANS.get(text.lower())
    if known is None:
        raise ValueError("neither true nor false")
    return known


def _binary(text: str) -> bytes:
    return base64.b64decode(text, validate=True)


def _address(text: str) -> IPv4Address | IPv6Address:
    address = ip_address(text)
    return getattr(address, "ipv4_mapped", None) or address


def _network(text: str, _variables: bool) -> tuple[Test, frozenset[str]]:
    """A range of addresses; bits behind the prefix are ignored, as AWS ignores them."""
    if not _NETWORK.fullmatch(text):
        raise ValueError("not an address or a range of them")
    network = ip_network(text, strict=False)

    def matches(found: str, _context: Context) -> bool:
        try:
            return _address(found) in network
        except ValueError:
            return False

    return matches, frozenset()


class Of(Enum):
    """How many of a key's values an operator asks for."""

    PLAIN = ""
    ALL = "ForAllValues:"
    ANY = "ForAnyValue:"


@dataclass(frozen=True, slots=True)
class Operator:
    """An operator by its parts: `ForAnyValue:` `StringNotEquals` `IfExists`."""

    name: str
    of: Of
    if_exists: bool

    @property
    def negated(self) -> bool:
        """Whether it asks that nothing matches."""
        return "Not" in self.name

    @property
    def holds_without_key(self) -> bool:
        """What it says of a request that lacks the key."""
        if self.of is Of.PLAIN:
            return self.negated or self.if_exists
        return self.of is Of.ALL


def _orders(kind: str, read: Callable[[str], Decimal] | Callable[[str], float]) -> Iterator[tuple[str, Parse]]:
    comparisons: dict[str, Callable[[Any, Any], bool]] = {
        "Equals": operator.eq,
        "NotEquals": operator.eq,
        "LessThan": operator.lt,
        "LessThanEquals": operator.le,
        "GreaterThan": operator.gt,
        "GreaterThanEquals": operator.ge,
    }
    for suffix, compare in comparisons.items():
        yield kind + suffix, _fixed(read, compare)


_OPERATORS: Final[Mapping[str, Parse]] = {
    "StringEquals": _string,
    "StringNotEquals": _string,
    "StringEqualsIgnoreCase": partial(_string, ignores_case=True),
    "StringNotEqualsIgnoreCase": partial(_string, ignores_case=True),
    "StringLike": partial(_string, wildcards=True),
    "StringNotLike": partial(_string, wildcards=True),
    "Bool": _fixed(_boolean, operator.eq),
    "BinaryEquals": _fixed(_binary, operator.eq),
    "IpAddress": _network,
    "NotIpAddress": _network,
    "ArnEquals": _arn,
    "ArnLike": _arn,
    "ArnNotEquals": _arn,
    "ArnNotLike": _arn,
    **dict(_orders("Numeric", _number)),
    **dict(_orders("Date", _moment)),
}
"""How each operator reads a value. Negated ones read and match like their opposites: the condition turns it around."""


@dataclass(frozen=True, slots=True)
class Condition:
    """What one operator asks of one key."""

    operator: Operator
    key: str
    """Folded."""
    values: tuple[str, ...]
    """As the policy has them."""
    tests: tuple[Test, ...]
    variables: frozenset[str]

    def holds(self, context: Context) -> bool:
        """Whether a request satisfies it."""
        found = context.get(self.key)
        if not found:
            return self.operator.holds_without_key
        matched = (any(test(value, context) for test in self.tests) for value in found)
        if self.operator.of is Of.PLAIN:
            return any(matched) != self.operator.negated
        fits = (one != self.operator.negated for one in matched)
        return all(fits) if self.operator.of is Of.ALL else any(fits)


@dataclass(frozen=True, slots=True)
class Presence:
    """What `Null` asks of one key: true wants it absent, false present."""

    key: str
    wanted: frozenset[bool]

    @property
    def variables(self) -> frozenset[str]:
        """None: they mean nothing here."""
        return frozenset()

    def holds(self, context: Context) -> bool:
        """Whether a request has the key, or lacks it, as is wanted."""
        return (not context.get(self.key)) in self.wanted


def parse_operator(text: str) -> Operator:
    """An operator's name. Raises ValueError for one that there is none of."""
    of = next(of for of in (Of.ALL, Of.ANY, Of.PLAIN) if text.startswith(of.value))
    name = text.removeprefix(of.value)
    known = Operator(name.removesuffix("IfExists"), of, name.endswith("IfExists"))
    if known.name not in _OPERATORS:
        raise ValueError(text)
    return known


def parse_condition(name: str, key: str, values: Iterable[str], variables: bool) -> Condition | Presence:
    """What one operator asks of one folded key. Raises ValueError for a value that the operator cannot read.

    `variables` says whether `${…}` means something, which is so from version 2012-10-17 on. The operator is known.
    """
    values = tuple(values)
    if name == "Null":
        return Presence(key, frozenset(map(_boolean, values)))
    known = parse_operator(name)
    read = [_OPERATORS[known.name](value, variables) for value in values]
    names = frozenset().union(*(keys for _, keys in read))
    return Condition(known, key, values, tuple(test for test, _ in read), names)
