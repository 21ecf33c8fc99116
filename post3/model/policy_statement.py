"""One rule of a bucket policy: whom it speaks of, what they do, to what, and when.

Sources: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements.html,
https://docs.aws.amazon.com/AmazonS3/latest/userguide/s3-arn-format.html
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any, Final, NoReturn, TypeAlias

from post3.errors import MalformedPolicy
from post3.model.policy_conditions import Condition, Presence, parse_condition, parse_operator
from post3.model.policy_patterns import Context, Glob, Template, fold_key, parse_glob, parse_template
from post3.model.policy_principals import Principals, parse_principals

Fields: TypeAlias = dict[str, Any]
"""An object of JSON."""

_FIELDS: Final = frozenset(
    {"Sid", "Effect", "Principal", "NotPrincipal", "Action", "NotAction", "Resource", "NotResource", "Condition"}
)
_ACTION: Final = re.compile(r"\*|s3:[A-Za-z*?]+", re.IGNORECASE | re.ASCII)
_RESOURCE: Final = re.compile(r"arn:(?:aws[a-z-]*|\*):s3:::(.+)", re.DOTALL)
_CONDITION_KEY: Final = re.compile(r"[A-Za-z0-9-]+:\S.*", re.ASCII)
_PLACE: Final = re.compile(r"\$\{[^}]*\}")


@dataclass(frozen=True, slots=True)
class Statement:
    """One rule of a policy. Each `not_…` says that its list names what is left out."""

    allows: bool
    principals: Principals
    not_principals: bool
    actions: tuple[Glob, ...]
    """Of lower case."""
    not_actions: bool
    resources: tuple[Template, ...]
    not_resources: bool
    conditions: tuple[Condition | Presence, ...]

    def speaks_of(self, principal: str | None, action: str, resource: str, context: Context) -> bool:
        """Whether the statement applies to a user's action, which is in lower case, on a resource."""
        return (
            any(glob.matches(action) for glob in self.actions) != self.not_actions
            and self.principals.include(principal) != self.not_principals
            and any(template.matches(resource, context) for template in self.resources) != self.not_resources
            and all(condition.holds(context) for condition in self.conditions)
        )

    @property
    def keys(self) -> frozenset[str]:
        """The condition keys that it asks for, itself or through a variable."""
        asked = frozenset(condition.key for condition in self.conditions)
        return asked.union(*(part.variables for part in (*self.conditions, *self.resources)))


def refuse(message: str, found: object = None) -> NoReturn:
    """Raise MalformedPolicy, with what was found in the policy as a detail."""
    raise MalformedPolicy(message, Detail=None if found is None else _told(found))


def _told(found: object) -> str | None:
    try:
        return json.dumps(found)[:256]
    except RecursionError:
        return None


def _shown(name: str) -> str:
    """A name of the policy's own as a message has it: short, and of plain characters."""
    return json.dumps(name)[1:-1][:128]


def check_fields(element: Fields, known: frozenset[str]) -> None:
    """Raise MalformedPolicy for a field that is not known."""
    unknown = next((name for name in element if name not in known), None)
    if unknown is not None:
        refuse(f"Unknown field {_shown(unknown)}")


def _either(element: Fields, name: str) -> tuple[object, bool]:
    """The value of Name or NotName, and whether it was the latter."""
    if name in element and f"Not{name}" in element:
        refuse(f"Statement must have only one of {name} and Not{name}")
    if name not in element and f"Not{name}" not in element:
        refuse(f"Missing required field {name}")
    negated = name not in element
    return element[f"Not{name}" if negated else name], negated


def _strings(found: object, message: str) -> list[str]:
    listed: list[Any] = found if isinstance(found, list) else [found]
    if not listed or not all(isinstance(one, str) for one in listed):
        refuse(message, found)
    return listed


def _value(found: object) -> str:
    """A value of a condition, which JSON may have as a number or a boolean."""
    if isinstance(found, bool):
        return str(found).lower()
    if isinstance(found, str | int | float):
        return str(found)
    raise ValueError(found)


def _effect(element: Fields) -> bool:
    """Whether a statement allows."""
    if "Effect" not in element:
        refuse("Missing required field Effect")
    effect = element["Effect"]
    if not isinstance(effect, str):
        refuse("Invalid policy syntax.", effect)
    if effect not in ("Allow", "Deny"):
        refuse(f"Invalid effect: {_shown(effect)}")
    return effect == "Allow"


def _principals(element: Fields, allows: bool) -> tuple[Principals, bool]:
    found, negated = _either(element, "Principal")
    if negated and allows:
        refuse("Allow with NotPrincipal is not allowed.")
    try:
        return parse_principals(found), negated
    except ValueError:
        refuse("Invalid principal in policy", found)


def _actions(element: Fields) -> tuple[tuple[Glob, ...], bool]:
    found, negated = _either(element, "Action")
    listed = _strings(found, "Policy has invalid action")
    for action in listed:
        if not _ACTION.fullmatch(action):
            refuse("Policy has invalid action", action)
    return tuple(parse_glob(action.lower()) for action in listed), negated


def _check_operator(name: str) -> None:
    if name == "Null":
        return
    try:
        parse_operator(name)
    except ValueError:
        refuse(f"Invalid Condition type : {_shown(name)}")


@dataclass(frozen=True, slots=True)
class StatementReader:
    """How the statements of one policy are read."""

    bucket: str
    """The bucket that the policy is put on; each resource must lie in it."""
    variables: bool
    """Whether `${…}` means something, as from version 2012-10-17 on."""

    def read(self, element: object) -> Statement:
        """The statement that a part of the document says. Raises MalformedPolicy."""
        if not isinstance(element, dict):
            refuse("Invalid policy syntax.", element)
        check_fields(element, _FIELDS)
        if not isinstance(element.get("Sid", ""), str):
            refuse("Invalid policy syntax.", element["Sid"])
        allows = _effect(element)
        principals, not_principals = _principals(element, allows)
        actions, not_actions = _actions(element)
        resources, not_resources = self._resources(element)
        conditions = self._conditions(element.get("Condition", {}))
        return Statement(allows, principals, not_principals, actions, not_actions, resources, not_resources, conditions)

    def _resources(self, element: Fields) -> tuple[tuple[Template, ...], bool]:
        found, negated = _either(element, "Resource")
        return tuple(map(self._resource, _strings(found, "Policy has invalid resource"))), negated

    def _resource(self, text: str) -> Template:
        arn = _RESOURCE.fullmatch(text)
        # A variable may turn out to be anything, the name of the bucket too.
        if arn is None or not parse_glob(_PLACE.sub("*", arn[1]).partition("/")[0]).matches(self.bucket):
            refuse("Policy has invalid resource", text)
        try:
            return parse_template(arn[1], wildcards=True, variables=self.variables)
        except ValueError:
            refuse("Policy has invalid resource", text)

    def _conditions(self, found: object) -> tuple[Condition | Presence, ...]:
        if not isinstance(found, dict):
            refuse("Invalid policy syntax.", found)
        conditions: list[Condition | Presence] = []
        for operator, asked in found.items():
            _check_operator(operator)
            if not isinstance(asked, dict) or not asked:
                refuse("Invalid policy syntax.", {operator: asked})
            conditions += (self._condition(operator, key, values) for key, values in asked.items())
        return tuple(conditions)

    def _condition(self, operator: str, key: str, values: object) -> Condition | Presence:
        if not _CONDITION_KEY.fullmatch(key):
            refuse("Policy has an invalid condition key", key)
        listed = values if isinstance(values, list) else [values]
        try:
            if not listed:
                raise ValueError
            return parse_condition(operator, fold_key(key), map(_value, listed), self.variables)
        except ValueError:
            refuse("Policy has an invalid condition value", {operator: {key: values}})
