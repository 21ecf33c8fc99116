"""Commands for the database behind a store: `post3 db shell|dump|backup|restore|reset|upgrade`."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from post3.cli.commands import Command, Group, with_settings
from post3.cli.server import store_name
from post3.cli.sizes import human_size
from post3.cli.store import STORE_OPTIONS, load_settings
from post3.config import ConfigError, Settings

if TYPE_CHECKING:
    from post3.storage.postgres.database import Database
    from post3.storage.postgres.embedded import EmbeddedDatabase


class OnDatabase(Command):
    """A command that works on the database behind a store."""

    wrong = (OSError, ValueError)
    stopped = "stopped; nothing was changed."


class Commands(Group):
    """The commands of `db`."""

    command_class = OnDatabase


@click.group("db", cls=Commands)
def db() -> None:
    """Run PostgreSQL's own programs against the database of a store.

    That is the one that post3 runs itself in the data directory, whether it runs at the moment or not, or the one that
    DATABASE_URL names.
    """


def _on_database(work: Callable[..., int | None]) -> Callable[..., int | None]:
    """A command's function, of one that is given the settings, the database, and its own arguments."""

    @with_settings(STORE_OPTIONS)
    @wraps(work)
    def run(given: Mapping[str, str], **values: Any) -> int | None:
        from post3.app import create_database  # noqa: PLC0415  # late: --help needs none of it

        settings = load_settings(given)
        database = create_database(settings)
        if work.__name__ != "restore" and settings.database_url is None and not (settings.data_dir / "pg").exists():
            raise ConfigError(f"There is no PostgreSQL store in {settings.data_dir}: say --data-dir.")
        return work(settings, database, **values)

    return run


@db.command("shell", short_help="look into it with psql")
@click.argument("words", nargs=-1, metavar="[-- OPTION]...", help="options of psql, after --")
@_on_database
def shell(_settings: Settings, database: Database, words: tuple[str, ...]) -> int:
    """Open psql on the database."""
    from post3.storage.postgres.maintenance import reached  # noqa: PLC0415

    with reached(database) as place:
        return place.run_in_front("psql", *words)


@db.command("dump", short_help="write it to one file")
@click.argument("file", type=Path, help="the file to make")
@_on_database
def dump(settings: Settings, database: Database, file: Path) -> None:
    """Write the store to one new file, as it is at this moment, while it serves.

    The file can be restored into any PostgreSQL that is not older.
    """
    from post3.storage.postgres import maintenance  # noqa: PLC0415

    size = maintenance.dump(database, settings.pg_schema, file, _progress)
    print(f"Dumped {human_size(size)} to {file}.")


@db.command("backup", short_help="copy post3's own PostgreSQL to a folder")
@click.argument("folder", type=Path, help="the folder to make")
@_on_database
def backup(_settings: Settings, database: Database, folder: Path) -> None:
    """Copy the whole PostgreSQL of the data directory to a new folder, while it serves.

    With the log that --pg-archive keeps after it, it can be restored as it was at any point in time.
    """
    from post3.storage.postgres.maintenance import back_up  # noqa: PLC0415

    size = back_up(_own(database), folder, _progress)
    print(f"Backed up {human_size(size)} to {folder}.")


@db.command("restore", short_help="bring back what dump or backup wrote")
@click.argument("source", type=Path, metavar="FILE|FOLDER", help="what dump or backup wrote")
@click.option(
    "--to", metavar="TIME", help="the point in time to restore, such as 2026-11-23T10:00:00Z (local without a zone)"
)
@_on_database
def restore(settings: Settings, database: Database, source: Path, to: str | None) -> None:
    """Bring back the file of a dump, or the folder of a backup, into a store that holds nothing.

    With --pg-archive, a backup is brought to the last moment that the archived log knows, or to the one of --to.
    """
    from post3.storage.postgres.maintenance import restore_backup, restore_dump  # noqa: PLC0415

    until = _moment(to)
    if source.is_dir():
        restore_backup(_own(database), source, settings.pg_archive, until)
        when = f", as it was at {until.isoformat(' ')}" if until is not None else ""
        print(f"Restored {source} to {settings.data_dir}{when}.")
        return
    if until is not None:
        raise ConfigError("--to needs the folder of a backup; a dump is of one moment.")
    restore_dump(database, settings.pg_schema, source)
    print(f"Restored {source}.")


@db.command("reset", short_help="empty the store: everything in it is gone")
@click.option("--yes", is_flag=True, help="do not ask first")
@_on_database
def reset(settings: Settings, database: Database, yes: bool) -> None:
    """Drop the schema with all buckets, objects, users and keys in it. There is no way back but a dump or a backup.

    The next server makes it anew. No server may run on it.
    """
    from post3.storage.postgres import maintenance  # noqa: PLC0415

    where = f"the schema {settings.pg_schema} of {store_name(settings)}"
    if not yes:
        if not sys.stdin.isatty():
            raise ConfigError(f"This would destroy all that is in {where}: say --yes if that is what you want.")
        if input(f"Destroy all that is in {where}? Write yes: ") != "yes":
            raise ConfigError("Nothing was changed.")
    there = maintenance.reset(database, settings.pg_schema)
    print(f"Emptied {where}." if there else f"There is no {where.removeprefix('the ')}: nothing to empty.")


@db.command("upgrade", short_help="bring post3's own PostgreSQL to the newest version installed")
@_on_database
def upgrade(settings: Settings, database: Database) -> None:
    """Bring the PostgreSQL of the data directory to the newest version that is installed.

    The old version must be there too, and no server run. The old cluster stays beside the new one until you remove it.
    """
    from post3.storage.postgres import maintenance  # noqa: PLC0415

    before, after, kept = maintenance.upgrade(_own(database))
    print(f"Upgraded {settings.data_dir} from PostgreSQL {before} to {after}. Remove {kept} when you are content.")


def _own(database: Database) -> EmbeddedDatabase:
    from post3.storage.postgres.embedded import EmbeddedDatabase  # noqa: PLC0415

    if not isinstance(database, EmbeddedDatabase):
        raise ConfigError(
            "This is for post3's own PostgreSQL in --data-dir; the one behind --database-url (DATABASE_URL) is cared "
            "for where it runs."
        )
    return database


def _moment(text: str | None) -> datetime | None:
    try:
        return None if text is None else datetime.fromisoformat(text).astimezone()
    except ValueError:
        raise ConfigError(f"--to is {text!r}, but must be a time such as 2026-11-23T10:00:00Z.") from None


def _progress(size: int) -> None:
    if sys.stderr.isatty():
        print(f"\r  {human_size(size)} so far", end="", file=sys.stderr, flush=True)
