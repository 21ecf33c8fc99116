"""Whom a statement of a bucket policy speaks of.

A user of post3 is an account of its own, and has one id. An ARN of a user speaks of the one of that id, whichever
account it names (`ACCOUNT:user/ID`), and of the one of a tenant (the id `TENANT$ID`); never of the account as a whole.
Roles, services and federated users are understood and match no user, since post3 has none.

Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_principal.html
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

_USER_ID: Final = re.compile(r"[^\s*?:]+")
_PLAIN: Final = re.compile(r"[^*?]+")
_ARN: Final = re.compile(r"arn:aws[a-z-]*:(?:iam|sts)::([^\s:*?]*):([a-z-]+)(?:/([^*?]+))?")
_OTHERS: Final = frozenset(
    {"role", "assumed-role", "federated-user", "saml-provider", "oidc-provider", "group", "instance-profile"}
)


@dataclass(frozen=True, slots=True)
class Principals:
    """A set of users."""

    everyone: bool
    """Everybody, the anonymous among them."""
    ids: frozenset[str] = frozenset()

    def include(self, user: str | None) -> bool:
        """Whether a user is meant; None is the anonymous."""
        return self.everyone or user in self.ids


def parse_principals(element: object) -> Principals:
    """The value of a Principal or NotPrincipal. Raises ValueError, with what is wrong, for what names nobody."""
    if element == "*":
        return Principals(everyone=True)
    if not isinstance(element, dict) or not element:
        raise ValueError(element)
    ids = {user for kind, names in element.items() for name in _listed(names) for user in _users(kind, name)}
    return Principals("*" in ids, frozenset(ids - {"*"}))


def _listed(names: object) -> list[str]:
    listed: list[Any] = names if isinstance(names, list) else [names]
    if not listed or not all(isinstance(name, str) for name in listed):
        raise ValueError(names)
    return listed


def _users(kind: str, name: str) -> Iterator[str]:
    if kind == "AWS":
        yield from ["*"] if name == "*" else _aws_users(name)
    elif kind not in ("CanonicalUser", "Service", "Federated") or not _PLAIN.fullmatch(name):
        raise ValueError(name)
    elif kind == "CanonicalUser":
        yield name


def _aws_users(name: str) -> Iterator[str]:
    if _USER_ID.fullmatch(name):
        yield name
        return
    arn = _ARN.fullmatch(name)
    if arn is None:
        raise ValueError(name)
    account, kind, rest = arn.groups()
    if kind == "user" and rest:
        yield from {rest, f"{account}${rest}"} if account else {rest}
    elif kind == "root" and account and not rest:
        yield account
    elif kind not in _OTHERS or not rest:
        raise ValueError(name)
