"""What a bucket's policy says of a request: allowed, denied, or nothing.

A statement speaks of a question when its principals, its actions, its resources and every condition do. One Deny
outweighs any number of Allows. What a policy leaves unsaid, others decide: the owner's rights, and the ACLs.

Condition keys are compared in lower case. Only a tag's name, behind the slash of `s3:ExistingObjectTag/Team`, keeps its
case: `policy_patterns.fold_key` does it for the policy, and whoever makes a Question does it for the context.

Sources: https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucket-policies.html,
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_grammar.html,
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import Enum
from typing import Final, NoReturn

from post3.errors import MalformedPolicy
from post3.model.policy_patterns import Context
from post3.model.policy_public import narrows
from post3.model.policy_statement import Fields, Statement, StatementReader, check_fields, refuse

MAX_SIZE: Final = 20 * 1024
"""Bytes of UTF-8 that a policy may have."""

_WITH_VARIABLES: Final = "2012-10-17"
_WITHOUT_VARIABLES: Final = "2008-10-17"
_FIELDS: Final = frozenset({"Version", "Id", "Statement"})


class Verdict(Enum):
    """What a policy says of a question."""

    ALLOW = "allow"
    DENY = "deny"
    NONE = "none"
    """No statement speaks of it."""


@dataclass(frozen=True, slots=True)
class Question:
    """Whether somebody may do something."""

    principal: str | None
    """The user's id; None for the anonymous."""
    action: str
    """`s3:GetObject`."""
    resource: str
    """`bucket` or `bucket/key`."""
    context: Context
    """The request's condition keys, as `fold_key` makes them, with their values. Variables are filled from it alone."""


@dataclass(frozen=True, slots=True)
class Policy:
    """A bucket's policy."""

    statements: tuple[Statement, ...]
    keys: frozenset[str]
    """The condition keys that its statements ask for, folded."""

    def mentions(self, key_prefix: str) -> bool:
        """Whether a condition or a variable asks for a key that begins so (folded: `s3:existingobjecttag/`)."""
        return any(key.startswith(key_prefix) for key in self.keys)


def evaluate(policy: Policy, question: Question) -> Verdict:
    """What a policy says of a question; a Deny outweighs every Allow."""
    action = question.action.lower()
    verdict = Verdict.NONE
    for statement in policy.statements:
        if statement.allows and verdict is Verdict.ALLOW:
            continue
        if statement.speaks_of(question.principal, action, question.resource, question.context):
            if not statement.allows:
                return Verdict.DENY
            verdict = Verdict.ALLOW
    return verdict


def is_public(policy: Policy) -> bool:
    """Whether the policy allows something to everybody, wherever they come from. Denials do not count, as on AWS."""
    return any(
        statement.allows and statement.principals.everyone and not any(map(narrows, statement.conditions))
        for statement in policy.statements
    )


def parse_policy(text: str, bucket: str) -> Policy:
    """The policy that a document says, for the bucket that it is put on. Raises MalformedPolicy."""
    document = _load(text)
    check_fields(document, _FIELDS)
    version = document.get("Version", _WITHOUT_VARIABLES)
    if version not in (_WITH_VARIABLES, _WITHOUT_VARIABLES):
        refuse("The policy must contain a valid version string", version)
    if not isinstance(document.get("Id", ""), str):
        refuse("Invalid policy syntax.", document["Id"])
    reader = StatementReader(bucket, version == _WITH_VARIABLES)
    statements = tuple(map(reader.read, _elements(document)))
    return Policy(statements, frozenset().union(*(statement.keys for statement in statements)))


def _load(text: str) -> Fields:
    if len(text.encode(errors="surrogatepass")) > MAX_SIZE:
        refuse("Policy exceeds the maximum allowed document size.")
    try:
        document = json.loads(text, object_pairs_hook=_unique, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        raise MalformedPolicy from None
    if not isinstance(document, dict):
        refuse("Policies must be valid JSON and the first byte must be '{'")
    return document


def _unique(pairs: list[tuple[str, object]]) -> Fields:
    known = dict(pairs)
    if len(known) < len(pairs):
        names = [name for name, _ in pairs]
        refuse("Duplicate fields in policy.", next(name for name in names if names.count(name) > 1))
    return known


def _no_constant(name: str) -> NoReturn:
    raise ValueError(name)


def _elements(document: Fields) -> list[object]:
    if "Statement" not in document:
        refuse("Missing required field Statement")
    found = document["Statement"]
    listed: list[object] = found if isinstance(found, list) else [found]
    if not listed:
        refuse("Could not parse the policy: Statement is empty!")
    return listed
