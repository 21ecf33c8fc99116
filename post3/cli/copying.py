"""Commands that copy and move: `post3 cp`, `post3 mv`."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Final

import click

from post3.cli.asking import (
    FAILED,
    Callback,
    ObjectCommand,
    dry_run_option,
    json_option,
    print_json,
    progress_bar,
    reason,
    shown,
    with_client,
)
from post3.cli.commands import complain
from post3.cli.input import Input
from post3.cli.places import PLACE, Place, S3Path, Standard
from post3.cli.sizes import counted, human_size
from post3.cli.transfers import LARGE, Moving, Plan, Transfer, move_one, plan
from post3.client.errors import ClientError, Unreachable
from post3.config import ConfigError

if TYPE_CHECKING:
    from post3.client import Client

WORKERS: Final = 4

recursive_option = click.option("-r", "--recursive", is_flag=True, help="all that is in a folder, or below a prefix")
resume_option = click.option(
    "--resume", is_flag=True, help="keep what an interrupted download has, in FILE.part, and go on from there next time"
)


@click.command("cp", cls=ObjectCommand)
@click.argument("sources", nargs=-1, required=True, type=PLACE, metavar="SOURCE...", help="what to copy; - is stdin")
@click.argument("target", type=PLACE, help="where to; with a slash at the end, into it; - is stdout")
@recursive_option
@resume_option
@dry_run_option
@json_option
@with_client
@click.pass_context
def cp(
    ctx: click.Context,
    client: Client,
    sources: Sequence[Place],
    target: Place,
    recursive: bool,
    resume: bool,
    dry_run: bool,
    as_json: bool,
) -> int:
    """Copy files and objects: up, down, or from key to key on the server.

    Large ones go in parts, several at a time. What is downloaded appears whole and verified, or not at all.
    """
    if any(isinstance(place, Standard) for place in (*sources, target)):
        return _stream(client, sources, target, recursive or dry_run)
    todo = plan(client, sources, target, recursive=recursive)
    return _carry_out(ctx, todo, partial(move_one, client, resume=resume), "copied", dry_run, as_json)


@click.command("mv", cls=ObjectCommand)
@click.argument("sources", nargs=-1, required=True, type=PLACE, metavar="SOURCE...", help="what to move")
@click.argument("target", type=PLACE, help="where to; with a slash at the end, into it")
@recursive_option
@dry_run_option
@json_option
@with_client
@click.pass_context
def mv(
    ctx: click.Context,
    client: Client,
    sources: Sequence[Place],
    target: Place,
    recursive: bool,
    dry_run: bool,
    as_json: bool,
) -> int:
    """Move files and objects: each is copied, and deleted where it was once the copy is verified."""
    if any(isinstance(place, Standard) for place in (*sources, target)):
        raise ConfigError("mv cannot move standard input or output; use cp.")

    def move(transfer: Transfer, progress: Callback | None) -> None:
        moving = Moving(client, transfer)
        move_one(client, transfer, progress)
        moving.finish()

    todo = plan(client, sources, target, recursive=recursive)
    return _carry_out(ctx, todo, move, "moved", dry_run, as_json)


def _stream(client: Client, sources: Sequence[Place], target: Place, has_more: bool) -> int:
    """From standard input, or to standard output."""
    match sources, target:
        case [Standard()], S3Path(bucket, key) if not target.is_folder and not has_more:
            with progress_bar("stdin") as progress:
                client.put_object(bucket, key, Input(sys.stdin.fileno()), progress=progress)
        case [S3Path(bucket, key)], Standard() if not has_more:
            write_out(client, bucket, key)
        case _:
            raise ConfigError("- stands for one stream: post3 cp - s3://bucket/key, or post3 cp s3://bucket/key -")
    return 0


def write_out(client: Client, bucket: str, key: str) -> None:
    """Write an object to standard output."""
    with client.get_object(bucket, key) as body:
        for piece in body:
            sys.stdout.buffer.write(piece)
    sys.stdout.buffer.flush()


@dataclass(slots=True)
class _Outcome:
    """What became of a plan."""

    done: list[Transfer] = field(default_factory=list)
    failed: list[tuple[Transfer, Exception]] = field(default_factory=list)

    @property
    def size(self) -> int:
        return sum(transfer.size or 0 for transfer in self.done)


def _carry_out(
    ctx: click.Context,
    todo: Plan,
    move: Callable[[Transfer, Callback | None], None],
    verb: str,
    dry_run: bool,
    as_json: bool,
) -> int:
    """Do what is planned, tell of it; the exit status. A single failure of a single transfer is raised."""
    for omitted in todo.omitted:
        complain(ctx, f"Left out {shown(omitted)}.")
    outcome = _Outcome(done=list(todo.transfers)) if dry_run else _move_all(todo.transfers, move)
    if outcome.failed and len(todo.transfers) == 1:
        raise outcome.failed[0][1]
    for transfer, error in outcome.failed:
        complain(ctx, f"{shown(str(transfer.source))} was not {verb}: {reason(error)}")
    if as_json:
        _print_outcome(outcome, dry_run)
    elif dry_run:
        for transfer in outcome.done:
            print(f"would {transfer.kind}  {shown(str(transfer.source))}  {shown(str(transfer.target))}")
    elif outcome.done or not outcome.failed:
        print(f"{verb.capitalize()} {counted(len(outcome.done), 'file')}, {human_size(outcome.size)}.")
    return FAILED if outcome.failed else 0


def _print_outcome(outcome: _Outcome, dry_run: bool) -> None:
    print_json(
        {
            "done": [transfer.document() for transfer in outcome.done],
            "failed": [{**transfer.document(), "error": reason(error)} for transfer, error in outcome.failed],
            "bytes": outcome.size,
            "dry_run": dry_run,
        }
    )


def _move_all(transfers: Sequence[Transfer], move: Callable[[Transfer, Callback | None], None]) -> _Outcome:
    """Small ones side by side, then large ones, each of which uses several connections.

    Raises Unreachable, and KeyboardInterrupt when everything that was under way has ended.
    """
    outcome = _Outcome()
    total = sum(transfer.size or 0 for transfer in transfers)

    def one(progress: Callback | None, transfer: Transfer) -> None:
        try:
            move(transfer, progress)
        except Unreachable:
            raise
        except (ClientError, OSError, ConfigError) as error:
            outcome.failed.append((transfer, error))
        else:
            outcome.done.append(transfer)

    what = str(transfers[0].source) if len(transfers) == 1 else counted(len(transfers), "file")
    with progress_bar(what, total) as progress:
        small = [transfer for transfer in transfers if (transfer.size or 0) <= LARGE]
        _side_by_side([partial(one, progress, transfer) for transfer in small])
        for transfer in transfers:
            if (transfer.size or 0) > LARGE:
                one(progress, transfer)
    return outcome


def _side_by_side(jobs: Sequence[Callable[[], None]]) -> None:
    """Do jobs; after a failure, or Ctrl-C, those that have begun are ended, and no more begun."""
    with ThreadPoolExecutor(WORKERS) as pool:
        try:
            for done in as_completed([pool.submit(job) for job in jobs]):
                done.result()
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
