"""Users and keys as records of the store, changed while servers use them.

A user is one record. A key and an email address are one record each, by themselves, so that no two users can get the
same. They name their user's id and *token*, which is drawn anew whenever a user is made: they count only while that
very user is there. So removing a user is one step, whatever else is left behind; left-overs are dead for good, never
revived by a user who gets the same id later, and anybody may sweep them away or take their place.

    user   <id>          display_name, admin, token
    email  <address>     user, token
    key    <access key>  user, token, secret_key
    users  changes       pending: the changes under way, each with the time of its begin

Each change enters itself in `changes` before it changes anything, and leaves when it has. Who reads may keep what it
read while that record stays the same and nobody stands in it: of a change whose process died half way, whatever it did
is seen, since it stands there still. Entries of the dead are dropped by a later change.
"""

from __future__ import annotations

import secrets
import string
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Final

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
from post3.errors import NoSuchRecord
from post3.model.identity import Identity
from post3.model.record import Record
from post3.model.tree import Tree
from post3.storage.protocol import Records

USER: Final = "user"
EMAIL_OF: Final = "email"
KEY: Final = "key"
CHANGES: Final = ("users", "changes")
"""The record that differs whenever users or keys do."""
PENDING_FOR: Final = timedelta(hours=1)
"""How old a pending change is when its process has certainly died; they take seconds."""
PAGE: Final = 10_000

_ACCESS_KEY_LETTERS: Final = string.ascii_uppercase + "234567"
_SECRET_LETTERS: Final = string.ascii_letters + string.digits


class _ChangedError(Exception):
    """The record is not what it was a moment ago."""


# Changes


async def add_user(records: Records, identity: Identity) -> None:
    """Make a user, who has no key yet. Raises CredentialsError when the id or the email address is taken, or wrong."""
    _check("The id", USER_ID, identity.id)
    _check("The display name", DISPLAY_NAME, identity.display_name)
    if identity.email:
        _check("The email address", EMAIL, identity.email)
    token = secrets.token_hex(8)
    document: Tree = {"display_name": identity.display_name, "admin": identity.is_admin, "token": token}
    async with _changing(records):
        if not await _claim(records, USER, identity.id, document):
            raise CredentialsError(f"There is a user {identity.id} already.")
        # Only now that the user is there does their claim count.
        claim: Tree = {"user": identity.id, "token": token, "email": identity.email}
        if identity.email and not await _claim(records, EMAIL_OF, identity.email.lower(), claim):
            await records.update_record(USER, identity.id, _without(lambda user: user["token"] == token))
            raise CredentialsError(f"Another user has the email address {identity.email}.")


async def remove_user(records: Records, id: str) -> User:
    """Remove a user, whose keys die in the same step; whatever they own stays as it is. Raises CredentialsError."""
    async with _changing(records):
        removed = next((user for user in await list_users(records) if user.identity.id == id), None)
        if removed is None:
            raise _no_such_user(id)
        await records.update_record(USER, id, lambda _: None)
        await _sweep(records)
        return removed


async def add_key(records: Records, user_id: str, access_key: str | None = None, secret_key: str | None = None) -> Key:
    """Give a user a key. What is not given is drawn: 20 capitals and digits, and a secret of 40 letters and digits.

    Raises CredentialsError when there is no such user, the access key is taken, or a half is wrong.
    """
    access_key = _draw(_ACCESS_KEY_LETTERS, 20) if access_key is None else access_key
    secret_key = _draw(_SECRET_LETTERS, 40) if secret_key is None else secret_key
    _check("The access key", ACCESS_KEY, access_key)
    _check("The secret key", SECRET_KEY, secret_key)
    async with _changing(records):
        user = await _get(records, USER, user_id)
        if user is None:
            raise _no_such_user(user_id)
        claim: Tree = {"user": user_id, "token": user.document["token"], "secret_key": secret_key}
        if not await _claim(records, KEY, access_key, claim):
            raise CredentialsError(f"The access key {access_key} is taken.")
        if not await _counts(records, claim):
            # Removed in the meantime, and perhaps swept before this key was there.
            await _sweep(records)
            raise _no_such_user(user_id)
    return Key(access_key, secret_key, _identity(user, ""))


async def remove_key(records: Records, access_key: str) -> str:
    """Take a key away from its user, whose id is returned. Raises CredentialsError when nobody has it."""
    async with _changing(records):
        held = await _get(records, KEY, access_key)
        if held is None or not await _counts(records, held.document):
            raise CredentialsError(f"There is no access key {access_key} in this store.")
        user_id = str(held.document["user"])
        await records.update_record(KEY, access_key, _without(lambda claim: claim["user"] == user_id))
        return user_id


@asynccontextmanager
async def _changing(records: Records) -> AsyncIterator[None]:
    """Have whoever reads look again from now on, also when this process dies before it is through."""
    token = secrets.token_hex(8)
    await records.update_record(*CHANGES, lambda old: _pending(old, token, begins=True))
    try:
        yield
    finally:
        await records.update_record(*CHANGES, lambda old: _pending(old, token, begins=False))


def _pending(old: Record | None, token: str, *, begins: bool) -> Record:
    now = datetime.now(UTC)
    waiting = _waiting(old)
    pending: Tree = {
        other: began
        for other, began in waiting.items()
        if other != token and isinstance(began, datetime) and now - began < PENDING_FOR
    }
    return Record(*CHANGES, {"pending": {**pending, token: now} if begins else pending})


async def _claim(records: Records, kind: str, id: str, document: Tree) -> bool:
    """Write a record of this id, unless there is one that counts; whether it was written."""
    while True:
        held = await _get(records, kind, id)
        if held is not None and (kind == USER or await _counts(records, held.document)):
            return False
        try:
            await records.update_record(kind, id, _replacing(held, Record(kind, id, document)))
        except _ChangedError:
            continue
        return True


async def _sweep(records: Records) -> None:
    """Remove the keys and addresses of users who are gone."""
    users = {user.id: user for user in await _all(records, USER)}
    for kind in (KEY, EMAIL_OF):
        for held in await _all(records, kind):
            if _owner(users, held.document) is None and not await _counts(records, held.document):
                try:
                    await records.update_record(kind, held.id, _replacing(held, None))
                except _ChangedError:
                    continue  # somebody else took its place


def _replacing(seen: Record | None, new: Record | None) -> Callable[[Record | None], Record | None]:
    """The change of what was seen, and of nothing else."""

    def change(old: Record | None) -> Record | None:
        if old != seen:
            raise _ChangedError
        return new

    return change


def _without(chosen: Callable[[Tree], bool]) -> Callable[[Record | None], Record | None]:
    """The removal of a record, if it is the one that is meant."""
    return lambda old: None if old is None or chosen(old.document) else old


def _check(what: str, rule: Rule, text: str) -> None:
    try:
        rule.parse(text)
    except CredentialsError as error:
        raise CredentialsError(f"{what} {error}.") from None


def _draw(letters: str, count: int) -> str:
    return "".join(secrets.choice(letters) for _ in range(count))


def _no_such_user(id: str) -> CredentialsError:
    return CredentialsError(f"There is no user {id} in this store.")


async def copy_users(source: Records, target: Records) -> tuple[int, list[str]]:
    """Make the users of one store, with their keys, users of another; how many there were, and whom it has otherwise.

    A user whose very self is there already gets the keys that are missing. An address or a key that somebody else has
    stays theirs, and its user is told of.
    """
    others: set[str] = set()
    users = await _all(source, USER)
    owners = {user.id: user for user in users}
    async with _changing(target):
        for user in users:
            if not await _brought(target, user):
                others.add(user.id)
        for kind in (EMAIL_OF, KEY):
            for held in await _all(source, kind):
                owner = _owner(owners, held.document)
                if owner is not None and owner.id not in others and not await _brought(target, held):
                    others.add(owner.id)
    return len(users) - len(others), sorted(others)


async def _brought(target: Records, record: Record) -> bool:
    """Whether a record is in the target afterwards, as it is here."""
    if await _claim(target, record.kind, record.id, record.document):
        return True
    held = await _get(target, record.kind, record.id)
    return held is not None and held.document == record.document


# Reading


async def list_users(records: Records) -> list[User]:
    """All users by id, each with all their keys."""
    users = {user.id: user for user in await _all(records, USER)}
    emails = {
        owner.id: str(held.document["email"])
        for held in await _all(records, EMAIL_OF)
        if (owner := _owner(users, held.document)) is not None
    }
    found = {id: User(_identity(user, emails.get(id, ""))) for id, user in users.items()}
    for held in await _all(records, KEY):
        if (owner := _owner(users, held.document)) is not None:
            identity, keys = found[owner.id].identity, found[owner.id].keys
            key = Key(held.id, str(held.document["secret_key"]), identity)
            found[owner.id] = User(identity, (*keys, key))
    return list(found.values())


async def list_keys(records: Records, user_id: str | None = None) -> list[Key]:
    """All keys by user and access key, or those of one user. Raises CredentialsError when there is no such user."""
    users = await list_users(records)
    if user_id is not None and user_id not in {user.identity.id for user in users}:
        raise _no_such_user(user_id)
    return [key for user in users for key in user.keys if user_id in (None, user.identity.id)]


class KnownUsers:
    """The users of a store, as they were when they were last read."""

    def __init__(self, records: Records) -> None:
        self._records = records
        self._changes: Record | None = None
        self._were_read = False
        self.users: tuple[User, ...] = ()

    async def read(self) -> bool:
        """Read them anew if they may have changed: one record tells. Whether they were read."""
        changes = await _get(self._records, *CHANGES)
        if self._were_read and changes == self._changes and not _waiting(changes):
            return False
        self.users = tuple(await list_users(self._records))
        self._changes, self._were_read = changes, True
        return True


async def _get(records: Records, kind: str, id: str) -> Record | None:
    try:
        return await records.get_record(kind, id)
    except NoSuchRecord:
        return None


async def _all(records: Records, kind: str) -> list[Record]:
    found: list[Record] = []
    while True:
        page = await records.list_records(kind, found[-1].id if found else "", PAGE)
        found += page
        if len(page) < PAGE:
            return found


async def _counts(records: Records, claim: Tree) -> bool:
    """Whether the very user whom a key or an address names is there."""
    user = await _get(records, USER, str(claim["user"]))
    return user is not None and user.document["token"] == claim["token"]


def _owner(users: Mapping[str, Record], claim: Tree) -> Record | None:
    user = users.get(str(claim["user"]))
    return user if user is not None and user.document["token"] == claim["token"] else None


def _waiting(changes: Record | None) -> Tree:
    """The changes under way, by token."""
    pending = changes.document.get("pending") if changes is not None else None
    return pending if isinstance(pending, dict) else {}


def _identity(user: Record, email: str) -> Identity:
    return Identity(user.id, str(user.document["display_name"]), email, bool(user.document["admin"]))
