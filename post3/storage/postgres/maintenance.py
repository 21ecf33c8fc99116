"""What people do with the database behind a store, by PostgreSQL's own programs: look into it, dump it, back it up,
bring it back, upgrade it.

A dump is one file of one schema, and can be restored into any PostgreSQL that is not older. A backup is a copy of the
whole cluster, made while it runs; with the write-ahead log that is archived after it, it is restored as it was at any
point in time. A store that holds anything is never restored over.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit

import asyncpg

from post3.storage.postgres.binaries import Binaries, find_binaries
from post3.storage.postgres.cluster import ROLE, Cluster, last_words, quoted
from post3.storage.postgres.connections import Connections, application_name
from post3.storage.postgres.database import Database, RemoteDatabase
from post3.storage.postgres.embedded import EmbeddedDatabase
from post3.storage.postgres.failures import LOST

_SCHEMA: Final = re.compile(r"^\d+; .* SCHEMA - (\S+) ", re.MULTILINE)
POLL: Final = 0.5
"""Seconds between two looks at how far it is."""

Progress = Callable[[int], None]
"""Told now and then how many bytes there are."""


@dataclass(frozen=True, slots=True)
class Reached:
    """A database that runs, and the programs that speak to it."""

    binaries: Binaries
    conninfo: str
    environment: Mapping[str, str]

    def command(self, program: str, *words: str | Path) -> list[str]:
        """The words of a command that connects to it."""
        return [self.binaries.program(program), "--dbname", self.conninfo, *map(str, words)]

    def run(self, program: str, *words: str | Path, look: Callable[[], None] = lambda: None) -> None:
        """Run it to its end, and look meanwhile. Raises ValueError with what it complained of."""
        with tempfile.TemporaryFile("w+") as complaints:
            process = subprocess.Popen(  # noqa: S603 - PostgreSQL's own program
                self.command(program, *words),
                env={**os.environ, **self.environment},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=complaints,
            )
            try:
                while process.poll() is None:
                    with contextlib.suppress(subprocess.TimeoutExpired):
                        process.wait(POLL)
                    look()
            except BaseException:
                process.terminate()
                process.wait()
                raise
            complaints.seek(0)
            if process.returncode:
                raise ValueError(f"{program} failed: {last_words(complaints.read())}")

    def run_in_front(self, program: str, *words: str) -> int:
        """Let a person work with it; its exit status."""
        process = subprocess.Popen(self.command(program, *words), env={**os.environ, **self.environment})  # noqa: S603
        while True:
            with contextlib.suppress(KeyboardInterrupt):  # its own affair
                return process.wait()


@contextmanager
def reached(database: Database) -> Iterator[Reached]:
    """The database, running meanwhile. Raises ValueError, OSError where it does not."""
    try:
        if isinstance(database, EmbeddedDatabase):
            place = asyncio.run(database.start())
            conninfo = " ".join(f"{_WORDS.get(name, name)}={_quoted(str(value))}" for name, value in place.items())
            yield Reached(_binaries(database), conninfo, {})
        elif isinstance(database, RemoteDatabase):
            conninfo, password = without_password(database.url)
            yield Reached(_binaries(database), conninfo, {"PGPASSWORD": password} if password else {})
    finally:
        asyncio.run(database.stop())


def _binaries(database: Database) -> Binaries:
    """The programs that fit a database: of its version where it is post3's own and made already, else the newest."""
    return find_binaries(database.cluster.major() if isinstance(database, EmbeddedDatabase) else None)


_WORDS: Final = {"database": "dbname"}


def _quoted(value: str) -> str:
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


def without_password(url: str) -> tuple[str, str]:
    """A URL that may stand in a list of processes, and its password."""
    parts = urlsplit(url)
    user, at, hosts = parts.netloc.rpartition("@")
    name, _, password = user.partition(":")
    named = parse_qsl(parts.query, keep_blank_values=True)
    password = next((value for key, value in named if key == "password"), unquote(password))
    query = urlencode([(key, value) for key, value in named if key != "password"])
    return parts._replace(netloc=f"{name}{at}{hosts}", query=query).geturl(), password


# Dumps


def dump(database: Database, schema: str, file: Path, progress: Progress) -> int:
    """Dump the schema into a new file; its size. Raises ValueError."""
    if file.exists():
        raise ValueError(f"{file} exists already; name another, or remove it.")
    making = file.with_name(f".{file.name}.part")
    with reached(database) as place:
        os.close(os.open(making, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600))
        try:
            place.run(
                *("pg_dump", "--format=custom", "--compress=1", "--no-owner", "--no-privileges"),
                *(f"--schema={_pattern(schema)}", f"--file={making}"),
                look=lambda: progress(making.stat().st_size),
            )
            _sync(making)
            making.rename(file)
        except BaseException:
            making.unlink(missing_ok=True)
            raise
    _sync(file.parent)
    return file.stat().st_size


def restore_dump(database: Database, schema: str, file: Path) -> None:
    """Bring a dump back, all of it or nothing, into a database whose schema holds nothing. Raises ValueError.

    Before anything else it is seen that it is a dump: no store is made for what is none.
    """
    contents = subprocess.run(  # noqa: S603 - PostgreSQL's own program
        [_binaries(database).program("pg_restore"), "--list", str(file)], capture_output=True, text=True, check=False
    )
    if contents.returncode:
        raise ValueError(f"{file} cannot be read as a dump: {last_words(contents.stderr)}")
    dumped = _SCHEMA.findall(contents.stdout)
    if dumped != [schema]:
        raise ValueError(f"{file} is a dump of the schema {', '.join(dumped) or '(none)'}: say --pg-schema.")
    with reached(database) as place:
        asyncio.run(_check_empty(database, schema))
        place.run("pg_restore", "--clean", "--if-exists", "--single-transaction", "--no-owner", "--no-privileges", file)


async def _check_empty(database: Database, schema: str) -> None:
    """Raise ValueError unless the schema holds nothing and no server uses it."""
    connections = Connections(database, schema, 1, durable=True)
    try:
        if await connections.value("count_servers", application_name(schema)):
            raise ValueError("A post3 server uses this database: stop it first.")
        if not await connections.value("has_buckets", schema):
            return
        if await connections.value("holds_anything"):
            raise ValueError(
                f"The schema {schema} there holds objects already, and they would be lost: name another --data-dir, "
                "another database or another --pg-schema."
            )
    except (*LOST, asyncpg.PostgresError) as error:
        raise ValueError(f"PostgreSQL at {database} does not let post3 in: {error}") from error
    finally:
        await connections.close()


def reset(database: Database, schema: str) -> bool:
    """Drop the schema with all that the store holds, as one step; False where there is none.

    Raises ValueError while a server uses it, and for a schema that is not post3's.
    """
    with reached(database) as place:
        if not asyncio.run(_is_resettable(database, schema)):
            return False
        place.run("psql", "--no-psqlrc", "--set=ON_ERROR_STOP=1", f"--command=DROP SCHEMA {_pattern(schema)} CASCADE")
        return True


async def _is_resettable(database: Database, schema: str) -> bool:
    """Whether the schema is there. Raises ValueError unless it is post3's and no server uses it."""
    connections = Connections(database, schema, 1, durable=True)
    try:
        if not await connections.value("has_schema", schema):
            return False
        if not await connections.value("has_migrations"):
            raise ValueError(f"The schema {schema} there was not made by post3, and is left alone: say --pg-schema.")
        if await connections.value("count_servers", application_name(schema)):
            raise ValueError("A post3 server uses this database: stop it first.")
        return True
    except (*LOST, asyncpg.PostgresError) as error:
        raise ValueError(f"PostgreSQL at {database} does not let post3 in: {error}") from error
    finally:
        await connections.close()


def _pattern(schema: str) -> str:
    """The name as pg_dump takes it: as it is."""
    return f'"{schema}"'


# Backups


def back_up(database: EmbeddedDatabase, folder: Path, progress: Progress) -> int:
    """Copy the cluster, as it is at the end, into a new folder; its size. Raises ValueError."""
    if folder.exists():
        raise ValueError(f"{folder} exists already; name another, or remove it.")
    making = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(making, ignore_errors=True)
    with reached(database) as place:
        try:
            place.run(
                *("pg_basebackup", f"--pgdata={making}", "--checkpoint=fast", "--wal-method=stream"),
                look=lambda: progress(_size(making)),
            )
            making.rename(folder)
        except BaseException:
            shutil.rmtree(making, ignore_errors=True)
            raise
    _sync(folder.parent)
    return _size(folder)


def restore_backup(database: EmbeddedDatabase, folder: Path, archive: Path | None, until: datetime | None) -> None:
    """Make the cluster anew from a backup and the log archived after it, as it was at a time, or as late as there is.

    Raises ValueError; then nothing is left of it.
    """
    if not (folder / "PG_VERSION").exists() or not (folder / "backup_label").exists():
        raise ValueError(f"{folder} is no backup made by post3 db backup.")
    if until is not None and archive is None:
        raise ValueError("A point in time is reached by the archived log: say where that is, with --pg-archive DIR.")
    target = until.astimezone(UTC).isoformat(" ") if until is not None else None
    # What is archived is read, never added to: the next restore goes the same way.
    cluster = Cluster(database.cluster.data_dir, database.cluster.user_name)
    _restore(cluster, folder, archive, target)


RECOVERY: Final = """\
restore_command = 'cp "{archive}/%f" "%p"'
recovery_target_action = 'promote'
hot_standby = off
"""
"""Nobody is let in before it is where it should be."""


def _restore(cluster: Cluster, backup: Path, archive: Path | None, target: str | None) -> None:
    cluster.prepare()
    with cluster.alone():
        if cluster.data.exists():
            raise ValueError(f"{cluster.data_dir} holds a store already: name an empty --data-dir.")
        coming = cluster.coming()
        settings = ""
        try:
            coming.take(backup)
            if archive is not None:
                coming.write("recovery.signal", "")
                settings = RECOVERY.format(archive=quoted(archive.absolute()))
            if target is not None:
                settings += f"recovery_target_time = '{target}'\n"
            coming.configure(settings)
            coming.launch(coming.binaries(coming.major()))
            coming.end()
            coming.configure()
            coming.data.rename(cluster.data)
        except BaseException:
            coming.end()
            shutil.rmtree(coming.data, ignore_errors=True)
            raise


def upgrade(database: EmbeddedDatabase) -> tuple[int, int, Path]:
    """Bring the cluster to the newest PostgreSQL that is installed; the version before and after, and where the old
    cluster stays. Raises ValueError; then all is as it was.
    """
    return _upgrade(database.cluster)


def _upgrade(cluster: Cluster) -> tuple[int, int, Path]:
    cluster.prepare()
    with cluster.alone():
        before, newest = cluster.major(), find_binaries().major
        if before is None:
            raise ValueError(f"{cluster.data_dir} holds no PostgreSQL store.")
        old = cluster.binaries(before)
        if before >= newest:
            raise ValueError(f"{cluster.data_dir} is PostgreSQL {before} already, and there is no newer one here.")
        new = cluster.binaries(newest)
        cluster.run()  # what a crash left is settled
        cluster.end()
        kept, coming = cluster.replaced(), cluster.coming()
        if kept.exists():
            raise ValueError(f"{kept} stays from an upgrade before: remove it first.")
        try:
            coming.make(new)
            coming.configure()
            cluster.run_program(
                *(new.program("pg_upgrade"), "--username", ROLE, "--socketdir", cluster.socket_folder()),
                *("--old-bindir", old.folder, "--new-bindir", new.folder),
                *("--old-datadir", cluster.data, "--new-datadir", coming.data),
                timeout=None,
                cwd=coming.data,
            )
            # It would remove what is at the old place, and that is the new one in a moment.
            (coming.data / "delete_old_cluster.sh").unlink(missing_ok=True)
        except BaseException:
            shutil.rmtree(coming.data, ignore_errors=True)
            raise
        cluster.data.rename(kept)
        coming.data.rename(cluster.data)
        return before, newest, kept


def _size(folder: Path) -> int:
    size = 0
    for place, _, names in os.walk(folder):
        for name in names:
            try:
                size += os.stat(os.path.join(place, name)).st_size
            except FileNotFoundError:
                continue
    return size


def _sync(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
