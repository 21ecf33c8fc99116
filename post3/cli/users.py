"""Commands for who may use a store: `post3 user add|list|remove` and `post3 key add|list|remove`."""

from __future__ import annotations

import json
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import wraps
from pathlib import Path
from typing import Any

import click

from post3.auth.credentials import CredentialsError, User
from post3.cli.commands import Group, with_settings
from post3.cli.store import STORE_OPTIONS, with_store
from post3.config import ConfigError
from post3.errors import S3Error
from post3.model.identity import Identity
from post3.storage.protocol import Backend
from post3.users import store

WHEN = "A running server knows of it within a second."


def in_store(work: Callable[..., Awaitable[None]]) -> Callable[..., None]:
    """A command's function, of one that is given the open store, whether to print JSON (`as_json`), and its own."""

    @click.option("--json", "as_json", is_flag=True, help="print one JSON document instead of text for people")
    @with_settings(STORE_OPTIONS)
    @wraps(work)
    def run(given: Mapping[str, str], **values: Any) -> None:
        async def in_open_store(backend: Backend, _settings: object) -> None:
            try:
                await work(backend, **values)
            except (CredentialsError, S3Error) as error:
                raise ConfigError(error.message if isinstance(error, S3Error) else str(error)) from error

        with_store(given, in_open_store)

    return run


# Users


@click.group("user", cls=Group)
def user() -> None:
    """Add, list and remove the users that are kept in the store, also while servers run on it."""


@user.command("add", help=f"Add a user, who can do nothing before `post3 key add`. {WHEN}", short_help="add a user")
@click.argument("id", help="the name that grants and policies use, such as alice")
@click.option("--display-name", metavar="NAME", help="the name that listings show [default: ID]")
@click.option("--email", metavar="ADDRESS", default="", help="an address by which grants may name the user")
@click.option("--admin", is_flag=True, help="let the user do everything, as the root key does")
@in_store
async def add_user(backend: Backend, id: str, display_name: str | None, email: str, admin: bool, as_json: bool) -> None:
    """Add a user, and say what to do next."""
    identity = Identity(id, id if display_name is None else display_name, email, admin)
    await store.add_user(backend, identity)
    if as_json:
        _print_json(_document(User(identity)))
    else:
        print(f"Added the user {identity.id}, who has no key yet: post3 key add {identity.id}")


@user.command("list", short_help="list all users")
@in_store
async def list_users(backend: Backend, as_json: bool) -> None:
    """List all users that are kept in the store."""
    users = await store.list_users(backend)
    if as_json:
        _print_json({"users": [_document(user) for user in users]})
        return
    rows = [
        (user.identity.id, user.identity.display_name, user.identity.email, _kind(user), str(len(user.keys)))
        for user in users
    ]
    _print_table(("ID", "NAME", "EMAIL", "KIND", "KEYS"), rows, "There are no users in the store.")


@user.command(
    "remove",
    help=f"Remove a user and all the user's keys. Buckets and objects stay, and stay owned by the id. {WHEN}",
    short_help="remove a user and all the user's keys",
)
@click.argument("id", help="whom to remove")
@in_store
async def remove_user(backend: Backend, id: str, as_json: bool) -> None:
    """Remove a user, and say what stays."""
    removed = await store.remove_user(backend, id)
    buckets = [bucket.name for bucket in await backend.list_buckets(id)]
    if as_json:
        _print_json({**_document(removed), "buckets": buckets})
        return
    print(f"Removed the user {id} with {_count(len(removed.keys), 'key')}.")
    if buckets:
        many = "1000 buckets or more" if len(buckets) == 1000 else _count(len(buckets), "bucket")
        print(f"{many} of theirs stay: {', '.join(buckets[:10])}{', …' if len(buckets) > 10 else ''}")


def _document(user: User) -> dict[str, Any]:
    identity = user.identity
    return {
        "id": identity.id,
        "display_name": identity.display_name,
        "email": identity.email,
        "admin": identity.is_admin,
        "keys": [key.access_key for key in user.keys],
    }


def _kind(user: User) -> str:
    return "admin" if user.identity.is_admin else "user"


# Keys


@click.group("key", cls=Group)
def key() -> None:
    """Add, list and remove the keys of users that are kept in the store, also while servers run on it."""


@key.command(
    "add", help=f"Give a user a key, and show its secret this one time. {WHEN}", short_help="give a user a key"
)
@click.argument("user", help="the id of the user")
@click.option("--access-key", metavar="KEY", help="the public half [default: 20 capitals and digits]")
@click.option(
    "--secret-key-file",
    metavar="FILE",
    help="a file that holds the secret half, or - for standard input [default: 40 letters and digits]",
)
@in_store
async def add_key(
    backend: Backend, user: str, access_key: str | None, secret_key_file: str | None, as_json: bool
) -> None:
    """Give a user a key, and show it."""
    secret_key = None if secret_key_file is None else _read_secret(secret_key_file)
    key = await store.add_key(backend, user, access_key, secret_key)
    # A secret that came from a file is no news.
    secret = {} if secret_key is not None else {"secret_key": key.secret_key}
    if as_json:
        _print_json({"user": user, "access_key": key.access_key, **secret})
        return
    print(f"access key: {key.access_key}")
    if secret:
        print(f"secret key: {key.secret_key}\nThe secret key is not shown again.")


def _read_secret(file: str) -> str:
    """The secret in a file, without the end of its line. Raises CredentialsError."""
    try:
        data = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
        return data.decode().removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError:
        raise CredentialsError(f"The secret key in {file} is not UTF-8.") from None
    except OSError as error:
        raise CredentialsError(f"The secret key cannot be read: {error.strerror}: {file}") from None


@key.command("list", short_help="list keys")
@click.argument("user", required=False, help="the id of the user [default: all users]")
@in_store
async def list_keys(backend: Backend, user: str | None, as_json: bool) -> None:
    """List the keys of all users, or of one, without secrets."""
    keys = await store.list_keys(backend, user)
    if as_json:
        _print_json({"keys": [{"user": key.identity.id, "access_key": key.access_key} for key in keys]})
        return
    rows = [(key.access_key, key.identity.id) for key in keys]
    _print_table(("ACCESS KEY", "USER"), rows, "There are no such keys in the store.")


@key.command("remove", help=f"Take a key away from its user. {WHEN}", short_help="take a key away")
@click.argument("key", help="the public half of the key")
@in_store
async def remove_key(backend: Backend, key: str, as_json: bool) -> None:
    """Take a key away, and say from whom."""
    user = await store.remove_key(backend, key)
    if as_json:
        _print_json({"user": user, "access_key": key})
    else:
        print(f"Removed the key {key} of the user {user}.")


# What is printed


def _print_json(document: dict[str, Any]) -> None:
    print(json.dumps(document, indent=2))


def _print_table(head: Sequence[str], rows: Sequence[Sequence[str]], empty: str) -> None:
    if not rows:
        print(empty)
        return
    widths = [max(len(row[column]) for row in (head, *rows)) for column in range(len(head))]
    for row in (head, *rows):
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def _count(number: int, noun: str) -> str:
    return f"{number or 'no'} {noun}{'' if number == 1 else 's'}"
