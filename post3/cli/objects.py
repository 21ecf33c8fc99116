"""Commands on objects one by one: `post3 rm`, `post3 cat`, `post3 presign`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

import click

from post3.cli.asking import (
    ObjectCommand,
    dry_run_option,
    json_option,
    print_json,
    shown,
    with_client,
)
from post3.cli.commands import complain
from post3.cli.copying import write_out
from post3.cli.places import IN_S3, S3Path
from post3.cli.sizes import counted
from post3.client.errors import Denied
from post3.client.model import ObjectInfo
from post3.config import ConfigError, parse_duration

if TYPE_CHECKING:
    from post3.client import Client


@click.command("rm", cls=ObjectCommand)
@click.argument("paths", nargs=-1, required=True, type=IN_S3, metavar="s3://bucket/key...", help="what to delete")
@click.option("-r", "--recursive", is_flag=True, help="delete all that is below a prefix, or in a bucket")
@dry_run_option
@json_option
@with_client
def rm(client: Client, paths: Sequence[S3Path], recursive: bool, dry_run: bool, as_json: bool) -> None:
    """Delete objects; of a bucket that keeps versions, the current ones.

    With --recursive, s3://bucket/photos means the key photos and all that begins with photos/.
    """
    if not recursive and (folder := next((path for path in paths if path.is_folder), None)):
        raise ConfigError(f"{folder} names all that begins so; say --recursive to delete it.")
    found = [(path, list(_keys(client, path)) if recursive else [_key(client, path)]) for path in paths]
    if not dry_run:
        for path, keys in found:
            client.delete_objects(path.bucket, keys)
    deleted = [S3Path(path.bucket, key) for path, keys in found for key in keys]
    if as_json:
        print_json({"deleted": [str(path) for path in deleted], "dry_run": dry_run})
    elif dry_run:
        for path in deleted:
            print(f"would delete  {shown(str(path))}")
    else:
        print(f"Deleted {counted(len(deleted), 'object')}.")


def _key(client: Client, path: S3Path) -> str:
    """The key, if an object has it. Raises NotFound."""
    with suppress(Denied):  # who may delete need not be one who may read
        client.head_object(path.bucket, path.key)
    return path.key


def _keys(client: Client, path: S3Path) -> Iterator[str]:
    """All keys in a folder, and the one that is called as it is. Raises FileNotFoundError when there are none."""
    count = 0
    for entry in client.list_objects(path.bucket, path.key or None):
        if isinstance(entry, ObjectInfo) and (
            path.is_folder or entry.key == path.key or entry.key.startswith(f"{path.key}/")
        ):
            count += 1
            yield entry.key
    if path.key and not count:
        raise FileNotFoundError(f"Nothing is in {path}.")


@click.command("cat", cls=ObjectCommand)
@click.argument("paths", nargs=-1, required=True, type=IN_S3, metavar="s3://bucket/key...", help="what to print")
@with_client
def cat(client: Client, paths: Sequence[S3Path]) -> None:
    """Write objects to standard output, one after another."""
    for path in paths:
        if path.is_folder:
            raise ConfigError(f"{path} names no object.")
        write_out(client, path.bucket, path.key)


@click.command("presign", cls=ObjectCommand)
@click.argument("path", type=IN_S3, metavar="s3://bucket/key", help="what the link is for")
@click.option("--expires", metavar="TIME", default="1h", help="how long it holds, such as 90s, 1h or 7d [default: 1h]")
@click.option(
    "--method",
    type=click.Choice(["GET", "HEAD", "PUT", "DELETE"], case_sensitive=False),
    default="GET",
    help="what may be done with it [default: GET]",
)
@json_option
@with_client
@click.pass_context
def presign(ctx: click.Context, client: Client, path: S3Path, expires: str, method: str, as_json: bool) -> None:
    """Print a link that lets whoever has it read an object, or store or delete it; nobody is asked for it."""
    if not path.key:
        raise ConfigError(f"{path} names no object.")
    try:
        seconds = int(parse_duration(expires).total_seconds())
    except ValueError:
        raise ConfigError(
            f"--expires is {expires!r}, but must be a whole number with a unit, such as 90s, 5m, 1h or 7d."
        ) from None
    url = client.presign(path.bucket, path.key, method=method, expires=seconds)
    is_signed = "Signature=" in url
    if not is_signed:
        complain(ctx, "there is no key to sign the link with; it works only where everyone may do the same without it.")
    if as_json:
        print_json({"url": url, "method": method.upper(), "expires": seconds, "signed": is_signed})
    else:
        print(url)
