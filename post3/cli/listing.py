"""Commands that tell what there is: `post3 ls`, `post3 du`."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

import click

from post3.cli.asking import NOT_FOUND, ObjectCommand, json_option, print_json, shown, with_client
from post3.cli.commands import complain
from post3.cli.places import IN_S3, S3Path
from post3.cli.sizes import counted, human_size
from post3.client.model import ObjectInfo, Prefix

if TYPE_CHECKING:
    from post3.client import Client


@click.command("ls", cls=ObjectCommand)
@click.argument(
    "path",
    type=IN_S3,
    required=False,
    metavar="[s3://bucket/key]",
    help="s3://bucket, or s3://bucket/ and what keys begin with",
)
@click.option("-r", "--recursive", is_flag=True, help="list all keys, without folding them at slashes")
@json_option
@with_client
@click.pass_context
def ls(ctx: click.Context, client: Client, path: S3Path | None, recursive: bool, as_json: bool) -> int:
    """List buckets, or the keys of one in order: what lies between slashes is shown as a folder."""
    if path is None:
        return _list_buckets(client, as_json)
    count = 0
    for entry in client.list_objects(path.bucket, path.key or None, delimiter=None if recursive else "/"):
        count += 1
        if as_json:
            print_json(_document(entry))
        else:
            print(_line(entry))
    if path.key and not count:
        complain(ctx, f"Nothing begins with {path}.")
        return NOT_FOUND
    return 0


def _list_buckets(client: Client, as_json: bool) -> int:
    for bucket in client.list_buckets():
        if as_json:
            print_json({"bucket": bucket.name, "created": _iso(bucket.created)})
        else:
            print(f"{_local(bucket.created)}  {S3Path(bucket.name)}")
    return 0


def _document(entry: ObjectInfo | Prefix) -> dict[str, object]:
    if isinstance(entry, Prefix):
        return {"prefix": entry.prefix}
    return {"key": entry.key, "size": entry.size, "modified": _iso(entry.modified), "etag": entry.etag}


def _line(entry: ObjectInfo | Prefix) -> str:
    if isinstance(entry, Prefix):
        return f"{'':16}  {'folder':>11}  {shown(entry.prefix)}"
    return f"{_local(entry.modified)}  {human_size(entry.size):>11}  {shown(entry.key)}"


def _iso(time: datetime | None) -> str | None:
    return time.isoformat() if time else None


def _local(time: datetime | None) -> str:
    return f"{time.astimezone():%Y-%m-%d %H:%M}" if time else " " * 16


@click.command("du", cls=ObjectCommand)
@click.argument("path", type=IN_S3, help="s3://bucket, or s3://bucket/ and what keys begin with")
@json_option
@with_client
def du(client: Client, path: S3Path, as_json: bool) -> None:
    """Add up the sizes of all objects whose keys begin so (of versions, the current ones)."""
    count = size = 0
    for entry in client.list_objects(path.bucket, path.key or None):
        if isinstance(entry, ObjectInfo):
            count, size = count + 1, size + entry.size
    if as_json:
        print_json({"path": str(path), "objects": count, "bytes": size})
    else:
        print(f"{human_size(size)} in {counted(count, 'object')}  {shown(str(path))}")
