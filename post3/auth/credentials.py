"""Who has which keys, as far as a process knows: what a signature is verified with, and whom grants name."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, NamedTuple, Protocol

from post3.model.identity import ANONYMOUS, ROOT, Identity

RESERVED_IDS: Final = frozenset({ROOT.id, ANONYMOUS.id})
"""Ids that nobody may be given: who had one would own what root or the anonymous made."""


class CredentialsError(ValueError):
    """Users or keys that cannot be; the message is one line for people, and shows no secret."""


class Rule(NamedTuple):
    """What a text may be."""

    pattern: re.Pattern[str]
    allowed: str
    """To end the sentence `… must be`."""

    def parse(self, text: str) -> str:
        """The text. Raises CredentialsError, which does not show it: it may be a secret in the wrong place."""
        if not self.pattern.fullmatch(text):
            raise CredentialsError(f"must be {self.allowed}")
        return text


ACCESS_KEY: Final = Rule(
    re.compile(r"[!-+\-.0-~]{3,128}"),  # signatures and their scopes are told with commas and slashes
    "3 to 128 printable ASCII characters without spaces, commas and slashes",
)
SECRET_KEY: Final = Rule(
    re.compile(r"[^\x00-\x1f\x7f-\x9f\ud800-\udfff]{8,128}"), "8 to 128 characters, none of them a control character"
)
USER_ID: Final = Rule(
    re.compile(r"(?!(?:" + "|".join(map(re.escape, sorted(RESERVED_IDS))) + r")\Z)[A-Za-z0-9_.@+=$-]{1,128}"),
    f"1 to 128 letters, digits and _.@+=$- (and not {ROOT.id}, which is root's)",
)
DISPLAY_NAME: Final = Rule(
    re.compile(r"[^\x00-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]{0,256}"),
    "at most 256 characters, none of them a control character",
)
EMAIL: Final = Rule(
    re.compile(
        r"""(?=.{3,254}\Z)[^\s@,;"'<>\x00-\x1f\x7f-\x9f\ud800-\udfff]+@[^\s@,;"'<>\x00-\x1f\x7f-\x9f\ud800-\udfff]+"""
    ),
    "an email address such as me@example.com",
)


@dataclass(frozen=True, slots=True)
class Key:
    """What somebody signs with."""

    access_key: str
    secret_key: str = field(repr=False)
    identity: Identity


@dataclass(frozen=True, slots=True)
class User:
    """Somebody with all their keys."""

    identity: Identity
    keys: tuple[Key, ...] = ()


class Credentials(Protocol):
    """Everybody known."""

    async def refresh(self) -> None:
        """Make sure that what is known is at most a second old. Compares clocks; waits for I/O only when it must."""

    def find(self, access_key: str) -> Key | None:
        """The key with this public half; None when nobody has it."""

    def by_id(self, id: str) -> Identity | None:
        """Whoever has this id; root always has."""

    def by_email(self, email: str) -> Identity | None:
        """Whoever has this address, however its letters are written."""

    @property
    def is_empty(self) -> bool:
        """Whether nobody has a key, so that requests need none. Never true again once it was false."""


class StaticCredentials:
    """Credentials that stay as they are."""

    def __init__(self, keys: Iterable[Key] = (), identities: Iterable[Identity] = ()) -> None:
        """`identities` are known beside those of the keys: grants may name who has no key."""
        self._keys = {key.access_key: key for key in keys}
        everybody = (ROOT, *identities, *(key.identity for key in self._keys.values()))
        self._by_id = {identity.id: identity for identity in everybody}
        self._by_email = {identity.email.lower(): identity for identity in everybody if identity.email}

    async def refresh(self) -> None:
        """See Credentials."""

    def find(self, access_key: str) -> Key | None:
        """See Credentials."""
        return self._keys.get(access_key)

    def by_id(self, id: str) -> Identity | None:
        """See Credentials."""
        return self._by_id.get(id)

    def by_email(self, email: str) -> Identity | None:
        """See Credentials."""
        return self._by_email.get(email.lower())

    @property
    def is_empty(self) -> bool:
        """See Credentials."""
        return not self._keys


class Source(NamedTuple):
    """Users, and where they come from."""

    name: str
    """To begin a sentence, such as `The users file`."""
    users: Sequence[User]


def merge(*sources: Source) -> tuple[StaticCredentials, tuple[str, ...]]:
    """All users together, and a sentence for each clash: of two users of one id, two keys or two addresses that are
    alike, that of the earlier source is in force."""
    merging = _Merging()
    for source in sources:
        for user in source.users:
            merging.add(source.name, user)
    return StaticCredentials(merging.keys.values(), merging.identities.values()), tuple(merging.clashes)


class _Merging:
    def __init__(self) -> None:
        self.identities: dict[str, Identity] = {}
        self.keys: dict[str, Key] = {}
        self.clashes: list[str] = []
        self._emails: set[str] = set()

    def add(self, source: str, user: User) -> None:
        identity = user.identity
        if identity.id in self.identities:
            self.clashes.append(
                f"{source} names a user {identity.id} who is known already; that one and their keys are ignored."
            )
            return
        if identity.email.lower() in self._emails:
            self.clashes.append(f"{source} gives the user {identity.id} an email address that another user has.")
            identity = replace(identity, email="")
        elif identity.email:
            self._emails.add(identity.email.lower())
        self.identities[identity.id] = identity
        for key in user.keys:
            self._add_key(source, replace(key, identity=identity))

    def _add_key(self, source: str, key: Key) -> None:
        if key.access_key in self.keys:
            self.clashes.append(
                f"{source} gives the user {key.identity.id} the access key {key.access_key}, which "
                f"{self.keys[key.access_key].identity.id} has already; it stays theirs."
            )
            return
        self.keys[key.access_key] = key
