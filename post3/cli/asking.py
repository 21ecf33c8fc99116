"""What the commands on objects share: whom they ask, how failures end them, and what they print."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import wraps
from typing import Any, Final, TypeAlias

import click

from post3.cli.commands import WRONG, Command, complain
from post3.client.errors import ClientError, Denied, InvalidArgument, NotFound, Unreachable
from post3.config import ConfigError

FAILED: Final = 1
NOT_FOUND: Final = 3
DENIED: Final = 4
UNREACHABLE: Final = 5

Callback: TypeAlias = Callable[[int], None]


class ObjectCommand(Command):
    """A command that asks a server; how it ends tells what went wrong."""

    wrong = (ConfigError, ClientError, OSError)

    def told(self, ctx: click.Context, error: Exception) -> int:
        """Tell of a failure; the exit status for it."""
        complain(ctx, reason(error))
        return status_of(error)


def status_of(error: Exception) -> int:
    """The exit status that tells of this failure."""
    for kinds, status in (
        ((ConfigError, InvalidArgument), WRONG),
        ((NotFound, FileNotFoundError), NOT_FOUND),
        ((Denied, PermissionError), DENIED),
        ((Unreachable,), UNREACHABLE),
    ):
        if isinstance(error, kinds):
            return status
    return FAILED


def reason(error: Exception) -> str:
    """What went wrong, as a sentence."""
    if isinstance(error, OSError) and error.strerror and error.filename:
        return f"{error.filename}: {error.strerror}"
    return str(error)


def with_client(work: Callable[..., Any]) -> Callable[..., Any]:
    """A command's function, of one that is given a client first; it takes the options that say whom to ask."""

    @click.option(
        "--endpoint",
        metavar="URL",
        help="the server [POST3_ENDPOINT, AWS_ENDPOINT_URL_S3 or AWS_ENDPOINT_URL; default: http://127.0.0.1:9000]",
    )
    @click.option(
        "--profile",
        metavar="NAME",
        help="whose keys to use, of those in the AWS files [AWS_PROFILE; default: those of AWS_ACCESS_KEY_ID, else of "
        "the default profile, else none]",
    )
    @wraps(work)
    def run(endpoint: str | None, profile: str | None, **values: Any) -> Any:
        from post3.client import Client  # noqa: PLC0415  # late: wrong usage needs no boto3

        with Client(endpoint, profile=profile) as client:
            return work(client, **values)

    return run


json_option = click.option("--json", "as_json", is_flag=True, help="print JSON: one document on a line")
dry_run_option = click.option("--dry-run", is_flag=True, help="tell what would be done, and do nothing")


def print_json(document: Mapping[str, Any]) -> None:
    """Print it on one line."""
    print(json.dumps(document))


def shown(text: str) -> str:
    """A key or path for people: what could move the cursor, or more, is escaped."""
    return "".join(letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in text)


@contextmanager
def progress_bar(what: str, total: int | None = None) -> Iterator[Callback | None]:
    """A function that is told of bytes moved, and shows them on standard error if that is a terminal; else None."""
    if not sys.stderr.isatty():
        yield None
        return
    from post3.cli.bars import bar  # noqa: PLC0415  # late: only people need rich

    with bar(shown(what), total) as progress:
        yield progress
