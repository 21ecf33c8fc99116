"""Which conditions keep a statement for everybody from being public.

A statement stays private when it holds for fixed values alone of a key that says where a request comes from: no
wildcards, no variables, and no range of addresses as wide as the whole network.

Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/access-control-block-public-access.html, "The meaning of
'public'"
"""

from __future__ import annotations

from ipaddress import ip_network
from typing import Final

from post3.model.policy_conditions import Condition, Presence

_FIXING: Final = frozenset({"StringEquals", "StringEqualsIgnoreCase", "StringLike", "ArnEquals", "ArnLike"})
_KEYS: Final = frozenset(
    {
        "aws:principalaccount",
        "aws:principalarn",
        "aws:principalorgid",
        "aws:sourceaccount",
        "aws:sourcearn",
        "aws:sourceowner",
        "aws:sourcevpc",
        "aws:sourcevpce",
        "aws:userid",
        "s3:dataaccesspointaccount",
        "s3:dataaccesspointarn",
    }
)
_WIDEST: Final = {4: 8, 6: 32}
"""The shortest prefix of a range, by version of the protocol, that is not the public."""


def narrows(condition: Condition | Presence) -> bool:
    """Whether a condition limits a statement to some fixed origin."""
    if isinstance(condition, Presence) or condition.operator.holds_without_key:
        return False
    if condition.key == "aws:sourceip":
        return condition.operator.name == "IpAddress" and all(map(_is_narrow, condition.values))
    return condition.key in _KEYS and condition.operator.name in _FIXING and all(map(_is_fixed, condition.values))


def _is_fixed(value: str) -> bool:
    return not any(sign in value for sign in ("*", "?", "${"))


def _is_narrow(value: str) -> bool:
    network = ip_network(value, strict=False)
    return network.prefixlen >= _WIDEST[network.version]
