"""Subcommands for the database behind a store: `post3 db shell|dump|backup|restore|upgrade`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from post3.cli.store import add_store_options, human_size, load_settings
from post3.config import ConfigError, Settings

if TYPE_CHECKING:
    from post3.storage.postgres.database import Database
    from post3.storage.postgres.embedded import EmbeddedDatabase

COMMANDS: Final = "shell, dump, backup, restore or upgrade"


def add_db(commands: argparse._SubParsersAction[Any]) -> None:
    """Add `db` and its subcommands to the parser."""
    parser = commands.add_parser(
        "db",
        help="look into the database of a store, dump it, back it up, restore it, upgrade it",
        description="Run PostgreSQL's own programs against the database of a store: the one that post3 runs itself in "
        "the data directory, whether it runs at the moment or not, or the one that DATABASE_URL names.",
        allow_abbrev=False,
    )
    parser.set_defaults(run=_missing, parser=parser)
    kinds = parser.add_subparsers(title="commands", metavar="COMMAND", parser_class=type(parser))
    shell = _add(kinds, "shell", _shell, "look into it with psql", "Open psql on the database.")
    shell.add_argument("words", nargs="*", metavar="-- OPTION", help="options of psql, after --")
    dump = _add(
        kinds,
        "dump",
        _dump,
        "write it to one file",
        "Write the store to one new file, as it is at this moment, while it serves. The file can be restored into any "
        "PostgreSQL that is not older.",
    )
    dump.add_argument("file", type=Path, metavar="FILE", help="the file to make")
    backup = _add(
        kinds,
        "backup",
        _back_up,
        "copy post3's own PostgreSQL to a folder",
        "Copy the whole PostgreSQL of the data directory to a new folder, while it serves. With the log that "
        "--pg-archive keeps after it, it can be restored as it was at any point in time.",
    )
    backup.add_argument("folder", type=Path, metavar="FOLDER", help="the folder to make")
    restore = _add(
        kinds,
        "restore",
        _restore,
        "bring back what dump or backup wrote",
        "Bring back the file of a dump, or the folder of a backup, into a store that holds nothing. With --pg-archive, "
        "a backup is brought to the last moment that the archived log knows, or to the one of --to.",
    )
    restore.add_argument("source", type=Path, metavar="FILE|FOLDER", help="what dump or backup wrote")
    restore.add_argument(
        "--to", metavar="TIME", help="the point in time to restore, such as 2026-11-23T10:00:00Z (local without a zone)"
    )
    _add(
        kinds,
        "upgrade",
        _upgrade,
        "bring post3's own PostgreSQL to the newest version installed",
        "Bring the PostgreSQL of the data directory to the newest version that is installed; the old version must be "
        "there too, and no server run. The old cluster stays beside the new one until you remove it.",
    )


def _add(
    kinds: argparse._SubParsersAction[Any],
    name: str,
    work: Callable[[argparse.Namespace, Settings, Database], int | None],
    help: str,
    description: str,
) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = kinds.add_parser(name, help=help, description=description, allow_abbrev=False)
    add_store_options(parser)

    def run(arguments: argparse.Namespace) -> int:
        from post3.app import create_database  # noqa: PLC0415  # late: --help needs none of it

        try:
            settings = load_settings(arguments)
            database = create_database(settings)
            if name != "restore" and settings.database_url is None and not (settings.data_dir / "pg").exists():
                raise ConfigError(f"There is no PostgreSQL store in {settings.data_dir}: say --data-dir.")
            return work(arguments, settings, database) or 0
        except (OSError, ValueError) as error:
            print(f"{parser.prog}: {' '.join(str(error).split())}", file=sys.stderr)
            return 2
        except KeyboardInterrupt:
            print(f"{parser.prog}: stopped; nothing was changed.", file=sys.stderr)
            return 130

    parser.set_defaults(run=run, parser=parser)
    return parser


def _missing(arguments: argparse.Namespace) -> int:
    parser: argparse.ArgumentParser = arguments.parser
    parser.error(f"name a command: {COMMANDS}")


def _shell(arguments: argparse.Namespace, _settings: Settings, database: Database) -> int:
    from post3.storage.postgres.maintenance import reached  # noqa: PLC0415

    with reached(database) as place:
        return place.run_in_front("psql", *arguments.words)


def _dump(arguments: argparse.Namespace, settings: Settings, database: Database) -> None:
    from post3.storage.postgres.maintenance import dump  # noqa: PLC0415

    size = dump(database, settings.pg_schema, arguments.file, _progress)
    print(f"Dumped {human_size(size)} to {arguments.file}.")


def _back_up(arguments: argparse.Namespace, _settings: Settings, database: Database) -> None:
    from post3.storage.postgres.maintenance import back_up  # noqa: PLC0415

    size = back_up(_own(database), arguments.folder, _progress)
    print(f"Backed up {human_size(size)} to {arguments.folder}.")


def _restore(arguments: argparse.Namespace, settings: Settings, database: Database) -> None:
    from post3.storage.postgres.maintenance import restore_backup, restore_dump  # noqa: PLC0415

    until = _moment(arguments.to)
    if arguments.source.is_dir():
        restore_backup(_own(database), arguments.source, settings.pg_archive, until)
        when = f", as it was at {until.isoformat(' ')}" if until is not None else ""
        print(f"Restored {arguments.source} to {settings.data_dir}{when}.")
        return
    if until is not None:
        raise ConfigError("--to needs the folder of a backup; a dump is of one moment.")
    restore_dump(database, settings.pg_schema, arguments.source)
    print(f"Restored {arguments.source}.")


def _upgrade(_arguments: argparse.Namespace, settings: Settings, database: Database) -> None:
    from post3.storage.postgres.maintenance import upgrade  # noqa: PLC0415

    before, after, kept = upgrade(_own(database))
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
