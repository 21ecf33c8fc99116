"""Subcommands for who may use a store: `post3 user add|list|remove` and `post3 key add|list|remove`."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

from post3.auth.credentials import CredentialsError, User
from post3.cli.store import add_store_options, with_store
from post3.config import ConfigError
from post3.errors import S3Error
from post3.model.identity import Identity
from post3.storage.protocol import Backend
from post3.users import store

WHEN = "A running server knows of it within a second."


def add_user(commands: argparse._SubParsersAction[Any]) -> None:
    """Add `user` and its subcommands to the parser."""
    kinds = _add_group(
        commands,
        "user",
        "add, list and remove users",
        "Add, list and remove the users that are kept in the store, also while servers run on it.",
    )
    add = _add(kinds, "add", _add_one, "add a user", f"Add a user, who can do nothing before `post3 key add`. {WHEN}")
    add.add_argument("id", metavar="ID", help="the name that grants and policies use, such as alice")
    add.add_argument("--display-name", metavar="NAME", help="the name that listings show [default: ID]")
    add.add_argument("--email", metavar="ADDRESS", default="", help="an address by which grants may name the user")
    add.add_argument("--admin", action="store_true", help="let the user do everything, as the root key does")
    _add(kinds, "list", _list, "list all users", "List all users that are kept in the store.")
    remove = _add(
        kinds,
        "remove",
        _remove,
        "remove a user and all the user's keys",
        f"Remove a user and all the user's keys. Buckets and objects stay, and stay owned by the id. {WHEN}",
    )
    remove.add_argument("id", metavar="ID", help="whom to remove")


def add_key(commands: argparse._SubParsersAction[Any]) -> None:
    """Add `key` and its subcommands to the parser."""
    kinds = _add_group(
        commands,
        "key",
        "add, list and remove users' keys",
        "Add, list and remove the keys of users that are kept in the store, also while servers run on it.",
    )
    add = _add(
        kinds, "add", _add_key, "give a user a key", f"Give a user a key, and show its secret this one time. {WHEN}"
    )
    add.add_argument("user", metavar="USER", help="the id of the user")
    add.add_argument("--access-key", metavar="KEY", help="the public half [default: 20 capitals and digits]")
    add.add_argument(
        "--secret-key-file",
        metavar="FILE",
        help="a file that holds the secret half, or - for standard input [default: 40 letters and digits]",
    )
    listing = _add(kinds, "list", _list_keys, "list keys", "List the keys of all users, or of one, without secrets.")
    listing.add_argument("user", metavar="USER", nargs="?", help="the id of the user")
    remove = _add(kinds, "remove", _remove_key, "take a key away", f"Take a key away from its user. {WHEN}")
    remove.add_argument("key", metavar="KEY", help="the public half of the key")


def _add_group(
    commands: argparse._SubParsersAction[Any], name: str, help: str, description: str
) -> argparse._SubParsersAction[Any]:
    parser = commands.add_parser(name, help=help, description=description, allow_abbrev=False)

    parser.set_defaults(run=_missing, parser=parser)
    kinds: argparse._SubParsersAction[Any] = parser.add_subparsers(
        title="commands", metavar="COMMAND", parser_class=type(parser)
    )
    return kinds


def _missing(arguments: argparse.Namespace) -> int:
    parser: argparse.ArgumentParser = arguments.parser
    parser.error("name a command: add, list or remove")


def _add(
    kinds: argparse._SubParsersAction[Any],
    name: str,
    work: Callable[[Backend, argparse.Namespace], Awaitable[None]],
    help: str,
    description: str,
) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = kinds.add_parser(name, help=help, description=description, allow_abbrev=False)

    def run(arguments: argparse.Namespace) -> int:
        async def in_store(backend: Backend, _settings: object) -> None:
            try:
                await work(backend, arguments)
            except (CredentialsError, S3Error) as error:
                raise ConfigError(error.message if isinstance(error, S3Error) else str(error)) from error

        return with_store(arguments, in_store)

    parser.set_defaults(run=run, parser=parser)
    parser.add_argument("--json", action="store_true", help="print one JSON document instead of text for people")
    add_store_options(parser)
    return parser


# Users


async def _add_one(backend: Backend, arguments: argparse.Namespace) -> None:
    name = arguments.id if arguments.display_name is None else arguments.display_name
    identity = Identity(arguments.id, name, arguments.email, arguments.admin)
    await store.add_user(backend, identity)
    if arguments.json:
        _print_json(_document(User(identity)))
    else:
        print(f"Added the user {identity.id}, who has no key yet: post3 key add {identity.id}")


async def _list(backend: Backend, arguments: argparse.Namespace) -> None:
    users = await store.list_users(backend)
    if arguments.json:
        _print_json({"users": [_document(user) for user in users]})
        return
    rows = [
        (user.identity.id, user.identity.display_name, user.identity.email, _kind(user), str(len(user.keys)))
        for user in users
    ]
    _print_table(("ID", "NAME", "EMAIL", "KIND", "KEYS"), rows, "There are no users in the store.")


async def _remove(backend: Backend, arguments: argparse.Namespace) -> None:
    removed = await store.remove_user(backend, arguments.id)
    buckets = [bucket.name for bucket in await backend.list_buckets(arguments.id)]
    if arguments.json:
        _print_json({**_document(removed), "buckets": buckets})
        return
    print(f"Removed the user {arguments.id} with {_count(len(removed.keys), 'key')}.")
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


async def _add_key(backend: Backend, arguments: argparse.Namespace) -> None:
    secret_key = None if arguments.secret_key_file is None else _read_secret(arguments.secret_key_file)
    key = await store.add_key(backend, arguments.user, arguments.access_key, secret_key)
    # A secret that came from a file is no news.
    secret = {} if secret_key is not None else {"secret_key": key.secret_key}
    if arguments.json:
        _print_json({"user": arguments.user, "access_key": key.access_key, **secret})
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


async def _list_keys(backend: Backend, arguments: argparse.Namespace) -> None:
    keys = await store.list_keys(backend, arguments.user)
    if arguments.json:
        _print_json({"keys": [{"user": key.identity.id, "access_key": key.access_key} for key in keys]})
        return
    rows = [(key.access_key, key.identity.id) for key in keys]
    _print_table(("ACCESS KEY", "USER"), rows, "There are no such keys in the store.")


async def _remove_key(backend: Backend, arguments: argparse.Namespace) -> None:
    user = await store.remove_key(backend, arguments.key)
    if arguments.json:
        _print_json({"user": user, "access_key": arguments.key})
    else:
        print(f"Removed the key {arguments.key} of the user {user}.")


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
