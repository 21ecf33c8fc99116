"""Commands that make and remove buckets: `post3 mb`, `post3 rb`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from post3.cli.asking import ObjectCommand, json_option, print_json, with_client
from post3.cli.places import BUCKET, S3Path
from post3.client.errors import ClientError, Conflict
from post3.config import ConfigError

if TYPE_CHECKING:
    from post3.client import Client


@click.command("mb", cls=ObjectCommand)
@click.argument("buckets", nargs=-1, required=True, type=BUCKET, metavar="s3://bucket...", help="the buckets to make")
@click.option("--exist-ok", is_flag=True, help="be content with a bucket of one's own that is there already")
@json_option
@with_client
def mb(client: Client, buckets: Sequence[S3Path], exist_ok: bool, as_json: bool) -> None:
    """Make buckets."""
    for place in buckets:
        client.create_bucket(place.bucket, exist_ok=exist_ok)
        if as_json:
            print_json({"bucket": place.bucket})
        else:
            print(f"Made {place}.")


@click.command("rb", cls=ObjectCommand)
@click.argument("buckets", nargs=-1, required=True, type=BUCKET, metavar="s3://bucket...", help="the buckets to remove")
@click.option("--force", is_flag=True, help="delete all that is in them first: objects, versions, uploads under way")
@json_option
@with_client
def rb(client: Client, buckets: Sequence[S3Path], force: bool, as_json: bool) -> None:
    """Remove buckets, which must be empty."""
    for place in buckets:
        try:
            client.delete_bucket(place.bucket, force=force)
        except Conflict as error:
            if error.code != "BucketNotEmpty" or force:
                raise
            told = f"{place} is not empty; --force deletes all that is in it."
            # Wrong usage is when nothing was done.
            raise ConfigError(told) if place == buckets[0] else ClientError(told) from error
        if as_json:
            print_json({"bucket": place.bucket})
        else:
            print(f"Removed {place}.")
