"""The command that makes one place like another: `post3 sync`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from post3.cli.asking import (
    ObjectCommand,
    dry_run_option,
    json_option,
    print_json,
    progress_bar,
    shown,
    with_client,
)
from post3.cli.commands import complain
from post3.cli.places import PLACE, Place, Standard
from post3.cli.sizes import counted, human_size
from post3.config import ConfigError

if TYPE_CHECKING:
    from post3.client import Client, Transferred


@click.command("sync", cls=ObjectCommand)
@click.argument("source", type=PLACE, help="the folder, or s3://bucket/prefix, to be like")
@click.argument("target", type=PLACE, help="the one to change")
@click.option("--delete", is_flag=True, help="delete from the target what the source has not")
@click.option("--exclude", multiple=True, metavar="PATTERN", help="leave out names that it fits, such as '*.tmp'")
@click.option("--include", multiple=True, metavar="PATTERN", help="take them all the same")
@dry_run_option
@json_option
@with_client
@click.pass_context
def sync(
    ctx: click.Context,
    client: Client,
    source: Place,
    target: Place,
    delete: bool,
    exclude: Sequence[str],
    include: Sequence[str],
    dry_run: bool,
    as_json: bool,
) -> None:
    """Copy what is missing or differs, up, down, or from prefix to prefix; what is the same already is skipped.

    Sizes are compared, then times, and where those do not tell, ETags. Patterns are the shell's; * fits slashes too.
    """
    if isinstance(source, Standard) or isinstance(target, Standard):
        raise ConfigError("sync takes folders and s3://bucket/prefix, not standard input or output.")
    with progress_bar("sync") as progress:
        done = client.sync(
            str(source),
            str(target),
            delete=delete,
            dry_run=dry_run,
            exclude=exclude,
            include=include,
            progress=progress,
        )
    for omitted in done.omitted:
        complain(ctx, f"Left out {shown(omitted)}.")
    _tell(done, dry_run, as_json)


def _tell(done: Transferred, dry_run: bool, as_json: bool) -> None:
    if as_json:
        actions = [
            {"action": one.kind, "source": one.source, "target": one.target, "size": one.size} for one in done.actions
        ]
        print_json({"done": actions, "skipped": done.skipped, "bytes": done.bytes, "dry_run": dry_run})
        return
    if dry_run:
        for one in done.actions:
            print("  ".join(shown(word) for word in (f"would {one.kind}", one.source, one.target) if word))
        return
    moved = done.uploaded + done.downloaded + done.copied
    print(
        f"Copied {counted(moved, 'file')}, {human_size(done.bytes)}; deleted {done.deleted}, "
        f"skipped {done.skipped} that were the same."
    )
