"""The command that moves a store into another: `post3 copy-store`."""

from __future__ import annotations

import asyncio
import json
import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from post3.cli.commands import Command
from post3.config import ConfigError, Settings

if TYPE_CHECKING:
    from post3.moving.copying import Job
    from post3.moving.location import Location
    from post3.moving.opening import Place
    from post3.moving.report import Report
    from post3.storage.protocol import Backend

MAX_PARALLEL: Final = 64
EPILOG: Final = """\b
FROM and TO:
  fs:PATH               a directory, as --backend fs keeps it
  pg:PATH               the data directory of the PostgreSQL that post3 runs itself
  postgresql://…        a database
  http(s)://host:port   an S3 endpoint, with all buckets that its key sees

\b
Variables, for FROM (and with TO, for TO):
  POST3_FROM_ACCESS_KEY, POST3_FROM_SECRET_KEY, POST3_FROM_SESSION_TOKEN
                        the key for an endpoint [default: the usual AWS
                        variables and profiles, else none]
  POST3_FROM_REGION     its region [default: the profile's, else us-east-1]

\b
Exit status:
    0  all is there, and equal
    1  something differs, or failed; with --strict, or was lost
    2  wrong usage or settings
  130  stopped by Ctrl-C"""


class CopyStore(Command):
    """The command, and what Ctrl-C leaves."""

    stopped = "stopped; what was copied stays, and the same command goes on from there."


@dataclass(frozen=True, slots=True)
class Flags:
    """The options of one side."""

    side: str
    """FROM or TO."""
    profile: str | None
    schema: str | None


@click.command("copy-store", cls=CopyStore, epilog=EPILOG)
@click.argument("source", metavar="FROM")
@click.argument("target", metavar="TO")
@click.option("--bucket", "buckets", metavar="NAME", multiple=True, help="copy this bucket alone; may be repeated")
@click.option("--dry-run", is_flag=True, help="only tell what would be done")
@click.option("--overwrite", is_flag=True, help="replace what the target has otherwise")
@click.option("--delete", is_flag=True, help="delete, in the buckets that are copied, what only the target has")
@click.option("--strict", is_flag=True, help="end with status 1 also when the target could not keep everything")
@click.option(
    "--parallel",
    type=click.IntRange(1, MAX_PARALLEL),
    default=4,
    metavar="NUMBER",
    help="keys that are copied at a time [default: 4]",
)
@click.option("--from-profile", metavar="NAME", help="the AWS profile with the key for FROM")
@click.option("--to-profile", metavar="NAME", help="the AWS profile with the key for TO")
@click.option("--from-schema", metavar="NAME", help="the schema of FROM's database [POST3_PG_SCHEMA; default: post3]")
@click.option("--to-schema", metavar="NAME", help="the schema of TO's database [POST3_PG_SCHEMA; default: post3]")
@click.option("--json", "as_json", is_flag=True, help="print the report as one JSON document")
def copy_store(
    source: str,
    target: str,
    buckets: tuple[str, ...],
    dry_run: bool,
    overwrite: bool,
    delete: bool,
    strict: bool,
    parallel: int,
    from_profile: str | None,
    to_profile: str | None,
    from_schema: str | None,
    to_schema: str | None,
    as_json: bool,
) -> int:
    """Copy all that a store holds into another one: buckets, versions, records, users.

    What is there already, and equal, is not copied again: started again, the command goes on where it was. The report
    at the end tells what could not be kept. docs/moving.md tells the rest.
    """
    from post3.cli.copy_progress import text_of  # noqa: PLC0415  # late: --help needs none of it
    from post3.moving.copying import Job  # noqa: PLC0415
    from post3.moving.planning import Wishes  # noqa: PLC0415

    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s: %(message)s", level=logging.WARNING)
    job = Job(buckets, Wishes(overwrite, delete), dry_run, parallel)
    flags = Flags("FROM", from_profile, from_schema), Flags("TO", to_profile, to_schema)
    report = asyncio.run(_copy(*_places((source, target), flags, dry_run=dry_run), job))
    print(json.dumps({"dry_run": dry_run, **report.document()}, indent=2) if as_json else text_of(report, job))
    return 0 if report.is_equal and (report.is_whole or not strict) else 1


async def _copy(source: Place, target: Place, job: Job) -> Report:
    from post3.cli.copy_progress import watched  # noqa: PLC0415
    from post3.moving.copying import GaveUpError, copy_store  # noqa: PLC0415
    from post3.moving.opening import opened  # noqa: PLC0415
    from post3.moving.report import Report  # noqa: PLC0415
    from post3.moving.sides import MovingError  # noqa: PLC0415

    report = Report()
    try:
        async with opened(source, target, job.parallel * 2) as sides, watched(report):
            if not job.dry_run and not job.buckets:
                await sides.bring_users(report)
            await copy_store(sides.source, sides.target, job, report)
    except MovingError as error:
        raise ConfigError(str(error)) from error
    except GaveUpError as error:
        report.failed.add(f"given up: {error}", "")
    return report


def _places(texts: tuple[str, str], flags: tuple[Flags, Flags], *, dry_run: bool) -> tuple[Place, Place]:
    from post3.moving.location import LocationError, parse_location  # noqa: PLC0415

    try:
        source, target = (parse_location(text) for text in texts)
    except LocationError as error:
        raise ConfigError(str(error)) from error
    if (source, flags[0].schema) == (target, flags[1].schema):
        raise ConfigError(f"FROM and TO are both {source}.")
    _check_exists(source)
    return _place(source, flags[0]), _place(target, flags[1], is_only_looked_at=dry_run)


def _place(location: Location, flags: Flags, *, is_only_looked_at: bool = False) -> Place:
    from post3.moving.opening import Place, keys_from  # noqa: PLC0415

    try:
        keys = keys_from(os.environ, flags.side, flags.profile)
    except ValueError as error:
        raise ConfigError(str(error)) from error
    if flags.profile and location.is_store:
        raise ConfigError(f"--{flags.side.lower()}-profile is for an S3 endpoint, and {location} is none.")
    settings = _settings(location, flags.schema)
    if is_only_looked_at and location.is_store and not _exists(location):
        settings = replace(settings, backend="memory")  # looking must not make a store

    def make() -> Backend:
        from post3.app import create_backend  # noqa: PLC0415

        return create_backend(settings)

    return Place(location, make, keys)


def _settings(location: Location, schema: str | None) -> Settings:
    """The settings that open a store. Raises ConfigError."""
    given: Mapping[str, str] = {} if schema is None else {"pg_schema": schema}
    common = replace(Settings.load(given), database_url=None)
    match location.kind:
        case "fs":
            chosen = replace(common, backend="fs", data_dir=Path(location.place), pg_user=None, pg_archive=None)
        case "pg":
            chosen = replace(common, backend="pg", data_dir=Path(location.place))
        case "database":
            chosen = replace(common, backend="pg", database_url=location.place, pg_user=None, pg_archive=None)
        case _:
            return common
    chosen.check_store()
    return chosen


def _exists(location: Location) -> bool:
    """Whether there is a store; of a database only its opening can tell."""
    if location.kind not in ("fs", "pg"):
        return True
    return (Path(location.place) / ("format" if location.kind == "fs" else "pg")).exists()


def _check_exists(source: Location) -> None:
    """Raise ConfigError where opening would make a store."""
    if not _exists(source):
        kind = "filesystem" if source.kind == "fs" else "PostgreSQL"
        raise ConfigError(f"There is no {kind} store in {source.place}, so there is nothing to copy.")
