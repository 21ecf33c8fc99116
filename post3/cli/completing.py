"""What may follow in an address that is being typed: the server is asked, once and for a moment only."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from click.shell_completion import CompletionItem

from post3.client.model import Prefix

if TYPE_CHECKING:
    from post3.client import Client

MOST: Final = 200
PATIENCE: Final = 1.0
"""Seconds that a person waits for a completion."""


def complete_address(incomplete: str, parameters: Mapping[str, Any]) -> list[CompletionItem]:
    """The buckets, or the keys and folders, that begin as the address does; none where the server does not answer."""
    from post3.client import Client  # noqa: PLC0415  # late: boto3 is slow to import

    found: list[CompletionItem] = []
    # A shell has no place for an error.
    with (
        suppress(Exception),
        Client(
            parameters.get("endpoint"),
            profile=parameters.get("profile"),
            timeout=PATIENCE,
            connect_timeout=PATIENCE / 2,
            retries=0,
        ) as client,
    ):
        found.extend(CompletionItem(address) for address in islice(_addresses(client, incomplete), MOST))
    return found


def _addresses(client: Client, incomplete: str) -> Iterator[str]:
    bucket, slash, prefix = incomplete.removeprefix("s3://").partition("/")
    if not slash:
        yield from (f"s3://{one.name}/" for one in client.list_buckets() if one.name.startswith(bucket))
        return
    for entry in client.list_objects(bucket, prefix, delimiter="/"):
        yield f"s3://{bucket}/{entry.prefix if isinstance(entry, Prefix) else entry.key}"
