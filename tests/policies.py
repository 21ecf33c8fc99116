"""Bucket policies for tests: short ways to write one and to ask one."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from post3.model.policy import Policy, Question, Verdict, evaluate, parse_policy
from post3.model.policy_patterns import fold_key

BUCKET = "photos"
ARN = f"arn:aws:s3:::{BUCKET}"


def statement(**fields: Any) -> dict[str, Any]:
    """A statement that lets everybody read every object, but for what is said; None leaves a field out."""
    told = {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": f"{ARN}/*"} | fields
    if "NotPrincipal" in fields:
        del told["Principal"]
    for name in ("Action", "Resource"):
        if f"Not{name}" in fields:
            del told[name]
    return {name: value for name, value in told.items() if value is not None}


def document(*statements: Any, **fields: Any) -> str:
    """The text of a policy of the newer version."""
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)} | fields)


def policy(*statements: Any, **fields: Any) -> Policy:
    """A policy, parsed."""
    return parse_policy(document(*statements, **fields), BUCKET)


def ask(
    asked: Policy,
    action: str = "s3:GetObject",
    key: str | None = "cat.jpg",
    *,
    by: str | None = None,
    context: Mapping[str, str | list[str]] | None = None,
) -> Verdict:
    """What a policy says of a request; without a key, one for the bucket itself."""
    resource = BUCKET if key is None else f"{BUCKET}/{key}"
    values = {
        fold_key(name): (value,) if isinstance(value, str) else tuple(value) for name, value in (context or {}).items()
    }
    return evaluate(asked, Question(by, action, resource, values))


def holds(conditions: Mapping[str, object], context: Mapping[str, str | list[str]], **fields: Any) -> bool:
    """Whether a statement under some conditions speaks of a request."""
    return ask(policy(statement(Condition=conditions), **fields), context=context) is Verdict.ALLOW
