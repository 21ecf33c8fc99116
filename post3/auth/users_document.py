"""Users as a JSON document, which people write: what is wrong with it is told in one line, with its place.

    {"users": [{"id": "…", "display_name": "…", "email": "…", "admin": false,
                "keys": [{"access_key": "…", "secret_key": "…"}]}]}

A user needs an id, and a key both its halves.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, Final

from post3.auth.credentials import (
    ACCESS_KEY,
    DISPLAY_NAME,
    EMAIL,
    SECRET_KEY,
    USER_ID,
    CredentialsError,
    Key,
    Rule,
    User,
)
from post3.model.identity import Identity

_USER_MEMBERS: Final = frozenset({"id", "display_name", "email", "admin", "keys"})
_KEY_MEMBERS: Final = frozenset({"access_key", "secret_key"})


def parse_users(text: str) -> tuple[User, ...]:
    """The users that a document names. Raises CredentialsError, which begins with the place."""
    try:
        document = json.loads(text, object_pairs_hook=_object)
    except json.JSONDecodeError as error:
        raise CredentialsError(f"line {error.lineno}, column {error.colno} is not JSON") from None
    except RecursionError:
        raise CredentialsError("the document is nested too deeply") from None
    members = _members(document, "", known={"users"}, required=["users"])
    reading = _Reading()
    return tuple(reading.user(value, place) for value, place in _items(members["users"], "users"))


class _Reading:
    """One reading of a document; remembers what must not come twice."""

    def __init__(self) -> None:
        self._places: dict[tuple[str, str], str] = {}

    def user(self, value: Any, place: str) -> User:
        members = _members(value, place, known=_USER_MEMBERS, required=["id"])
        id = self._unique(members, place, "id", USER_ID)
        identity = Identity(
            id,
            _text(members, place, "display_name", DISPLAY_NAME, id),
            self._unique(members, place, "email", EMAIL),
            _switch(members, place, "admin"),
        )
        keys = _items(members.get("keys", []), f"{place}.keys")
        return User(identity, tuple(self._key(key, at, identity) for key, at in keys))

    def _key(self, value: Any, place: str, identity: Identity) -> Key:
        members = _members(value, place, known=_KEY_MEMBERS, required=["access_key", "secret_key"])
        access_key = self._unique(members, place, "access_key", ACCESS_KEY)
        return Key(access_key, _text(members, place, "secret_key", SECRET_KEY), identity)

    def _unique(self, members: dict[str, Any], place: str, name: str, rule: Rule) -> str:
        text = _text(members, place, name, rule)
        if text:
            at = f"{place}.{name}"
            first = self._places.setdefault((name, text.lower() if rule is EMAIL else text), at)
            if first != at:
                raise CredentialsError(f"{at} is the same as {first}")
        return text


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise CredentialsError(f"an object has the member {_shown(twice)} twice")
    return members


def _members(value: Any, place: str, *, known: Iterable[str], required: Iterable[str]) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise CredentialsError(f"{place or 'the document'} must be an object")
    for name in value:
        if name not in known:
            raise CredentialsError(f"{_join(place, _shown(name))} is not known")
    for name in required:
        if name not in value:
            raise CredentialsError(f"{_join(place, name)} is missing")
    return value


def _items(value: Any, place: str) -> list[tuple[Any, str]]:
    """Each item of a list with its place."""
    if not isinstance(value, list):
        raise CredentialsError(f"{place} must be a list")
    return [(item, f"{place}[{number}]") for number, item in enumerate(value)]


def _text(members: dict[str, Any], place: str, name: str, rule: Rule, default: str = "") -> str:
    """A member's text; the default where it is missing, or is empty and need not be there."""
    value = members.get(name, "")
    if value == "" and name in ("display_name", "email"):
        return default
    if not isinstance(value, str):
        raise CredentialsError(f"{place}.{name} must be a string")
    try:
        return rule.parse(value)
    except CredentialsError as error:
        raise CredentialsError(f"{place}.{name} {error}") from None


def _switch(members: dict[str, Any], place: str, name: str) -> bool:
    value = members.get(name, False)
    if not isinstance(value, bool):
        raise CredentialsError(f"{place}.{name} must be true or false")
    return value


def _join(place: str, name: str) -> str:
    return f"{place}.{name}" if place else name


def _shown(name: str) -> str:
    """A member's name on one line, of whatever it is made."""
    return name if name.isidentifier() else ascii(name)[:80]
