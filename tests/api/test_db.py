"""`post3 db`: what was dumped or backed up comes back, as it was; nothing is ever restored over."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from http.client import HTTPConnection
from pathlib import Path
from typing import Final

import pytest

from post3.storage.postgres.binaries import installed
from post3.storage.postgres.cluster import Cluster
from tests.conftest import MIB, some_bytes
from tests.databases import database_url, fresh_schema, passable_folder
from tests.servers import Server, environment, post3_serve

SMALL: Final = b"small"
LARGE: Final = some_bytes(3 * MIB + 5)


@pytest.fixture
def folder() -> Iterator[Path]:
    with passable_folder() as made:
        yield made


def db(*words: object, cwd: Path, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "post3", "db", *map(str, words)]
    return subprocess.run(
        command, cwd=cwd, env=environment(env), capture_output=True, text=True, timeout=100, check=False
    )


def done(run: subprocess.CompletedProcess[str]) -> str:
    """What it said when all went well."""
    assert run.returncode == 0, run.stderr
    return run.stdout


def refused(run: subprocess.CompletedProcess[str]) -> str:
    """The one line that says why not."""
    assert run.returncode == 2, run
    assert run.stderr.startswith("post3 db ")
    assert run.stderr.count("\n") == 1
    assert "Traceback" not in run.stderr
    return run.stderr


def ask(server: Server, method: str, path: str, body: bytes = b"") -> bytes:
    with closing(HTTPConnection(server.host, server.port, timeout=30)) as connection:
        connection.request(method, path, body)
        answer = connection.getresponse()
        got = answer.read()
        assert answer.status < 300, got
        return got


def fill(server: Server) -> None:
    ask(server, "PUT", "/bucket")
    ask(server, "PUT", "/bucket/small", SMALL)
    ask(server, "PUT", "/bucket/large", LARGE)


def check_filled(server: Server) -> None:
    assert ask(server, "GET", "/bucket/small") == SMALL
    assert ask(server, "GET", "/bucket/large") == LARGE
    ask(server, "PUT", "/bucket/new", LARGE)
    assert ask(server, "GET", "/bucket/new") == LARGE


# Dumps


def test_a_dump_of_a_serving_store_comes_back(folder: Path) -> None:
    with post3_serve("--data-dir", "one", cwd=folder) as server:
        fill(server)
        assert "Dumped 3." in done(db("dump", "one.dump", "--data-dir", "one", cwd=folder))
    dumped = (folder / "one.dump").stat()
    assert dumped.st_mode & 0o077 == 0
    assert "Restored" in done(db("restore", "one.dump", "--data-dir", "two", cwd=folder))
    assert Cluster(folder / "two").pid() is None
    with post3_serve("--data-dir", "two", cwd=folder) as server:
        check_filled(server)


def test_a_dump_goes_to_another_database_and_back(folder: Path) -> None:
    schema = fresh_schema()
    env = {"DATABASE_URL": database_url(), "POST3_PG_SCHEMA": schema}
    with post3_serve(cwd=folder, env=env) as server:
        fill(server)
    done(db("dump", "all.dump", cwd=folder, env=env))
    said = refused(db("restore", "all.dump", "--data-dir", "other", cwd=folder))
    assert schema in said
    assert "--pg-schema" in said
    done(db("restore", "all.dump", "--data-dir", "other", "--pg-schema", schema, cwd=folder))
    with post3_serve("--data-dir", "other", "--pg-schema", schema, cwd=folder) as server:
        check_filled(server)


def test_nothing_is_restored_over_or_dumped_over(folder: Path) -> None:
    with post3_serve("--data-dir", "one", cwd=folder) as server:
        fill(server)
        done(db("dump", "one.dump", "--data-dir", "one", cwd=folder))
        assert "stop it" in refused(db("restore", "one.dump", "--data-dir", "one", cwd=folder))
    assert "objects" in refused(db("restore", "one.dump", "--data-dir", "one", cwd=folder))
    assert "exists already" in refused(db("dump", "one.dump", "--data-dir", "one", cwd=folder))
    with post3_serve("--data-dir", "one", cwd=folder) as server:
        check_filled(server)


def test_a_damaged_dump_leaves_the_store_as_it_was(folder: Path) -> None:
    with post3_serve("--data-dir", "one", cwd=folder) as server:
        fill(server)
        done(db("dump", "one.dump", "--data-dir", "one", cwd=folder))
    whole = (folder / "one.dump").read_bytes()
    (folder / "cut.dump").write_bytes(whole[: len(whole) // 2])
    (folder / "no.dump").write_bytes(b"no dump at all")
    for name in ("no.dump", "none.dump"):
        assert name in refused(db("restore", name, "--data-dir", "two", cwd=folder))
        assert not (folder / "two").exists()
    refused(db("restore", "cut.dump", "--data-dir", "two", cwd=folder))
    with post3_serve("--data-dir", "two", cwd=folder) as server:
        assert b"<Bucket>" not in ask(server, "GET", "/")
    done(db("restore", "one.dump", "--data-dir", "two", cwd=folder))
    with post3_serve("--data-dir", "two", cwd=folder) as server:
        check_filled(server)


# Backups


def test_a_backup_and_its_archive_come_back_at_any_point_in_time(folder: Path) -> None:
    serving = ("--data-dir", "one", "--pg-archive", "wal")
    with post3_serve(*serving, cwd=folder) as server:
        fill(server)
        done(db("backup", "base", *serving, cwd=folder))
        ask(server, "PUT", "/bucket/later", LARGE)
        time.sleep(1)
        moment = datetime.now(UTC)
        time.sleep(1)
        ask(server, "DELETE", "/bucket/large")  # by mistake
        ask(server, "PUT", "/bucket/last", SMALL)
    assert any((folder / "wal").iterdir())

    target = ("--data-dir", "then", "--pg-archive", "wal", "--to", moment.isoformat())
    assert "as it was at" in done(db("restore", "base", *target, cwd=folder))
    with post3_serve("--data-dir", "then", cwd=folder) as server:
        assert ask(server, "GET", "/bucket/later") == LARGE
        assert b"<Key>last</Key>" not in ask(server, "GET", "/bucket")
        check_filled(server)

    done(db("restore", "base", "--data-dir", "latest", "--pg-archive", "wal", cwd=folder))
    with post3_serve("--data-dir", "latest", cwd=folder) as server:
        assert ask(server, "GET", "/bucket/last") == SMALL
        assert b"<Key>large</Key>" not in ask(server, "GET", "/bucket")

    done(db("restore", "base", "--data-dir", "alone", cwd=folder))
    with post3_serve("--data-dir", "alone", cwd=folder) as server:
        assert b"<Key>later</Key>" not in ask(server, "GET", "/bucket")
        check_filled(server)


def test_a_time_that_the_archive_does_not_reach_is_told_and_leaves_nothing(folder: Path) -> None:
    with post3_serve("--data-dir", "one", "--pg-archive", "wal", cwd=folder) as server:
        fill(server)
        done(db("backup", "base", "--data-dir", "one", cwd=folder))
    never = ("--data-dir", "two", "--pg-archive", "wal", "--to", "2100-01-01T00:00:00Z")
    assert "recovery target" in refused(db("restore", "base", *never, cwd=folder))
    assert not (folder / "two" / "pg" / "data").exists()
    done(db("restore", "base", "--data-dir", "two", cwd=folder))
    assert "already" in refused(db("restore", "base", "--data-dir", "two", cwd=folder))
    assert "already" in refused(db("backup", "base", "--data-dir", "one", cwd=folder))
    assert "no backup" in refused(db("restore", "wal", "--data-dir", "three", cwd=folder))


# The shell, and what is refused


def test_the_shell_runs_psql_beside_a_server_and_without_one(folder: Path) -> None:
    with post3_serve("--data-dir", "one", cwd=folder) as server:
        fill(server)
        count = ("shell", "--data-dir", "one", "--", "-Atc", "SELECT count(*) FROM post3.versions")
        assert done(db(*count, cwd=folder)) == "2\n"
    assert done(db(*count, cwd=folder)) == "2\n"
    assert Cluster(folder / "one").pid() is None
    env = {"DATABASE_URL": database_url()}
    assert done(db("shell", "--", "-Atc", "SELECT 1", cwd=folder, env=env)) == "1\n"


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (["dump", "x.dump", "--data-dir", "none"], ["no PostgreSQL store in none", "--data-dir"]),
        (["dump", "x.dump", "--backend", "fs"], ["--backend fs has no database"]),
        (["backup", "x", "--database-url", "postgresql://127.0.0.1:1/x"], ["--data-dir", "DATABASE_URL"]),
        (["restore", "x", "--to", "soon"], ["--to", "'soon'"]),
        (["upgrade", "--data-dir", "none"], ["no PostgreSQL store in none"]),
    ],
)
def test_what_cannot_be_is_told(tmp_path: Path, words: list[str], parts: list[str]) -> None:
    said = refused(db(*words, cwd=tmp_path))
    for part in parts:
        assert part in said
    assert not list(tmp_path.iterdir())


# Upgrades


def test_a_reset_empties_a_store_that_nobody_uses_and_asks_first(folder: Path) -> None:
    env = {"DATABASE_URL": database_url(), "POST3_PG_SCHEMA": fresh_schema()}
    with post3_serve(cwd=folder, env=env) as server:
        ask(server, "PUT", "/bucket")
        ask(server, "PUT", "/bucket/key", SMALL)
        assert "stop it first" in refused(db("reset", "--yes", cwd=folder, env=env))
    assert "say --yes" in refused(db("reset", cwd=folder, env=env))
    with post3_serve(cwd=folder, env=env) as server:
        assert ask(server, "GET", "/bucket/key") == SMALL
    assert done(db("reset", "--yes", cwd=folder, env=env)).startswith("Emptied the schema")
    assert "nothing to empty" in done(db("reset", "--yes", cwd=folder, env=env))
    with post3_serve(cwd=folder, env=env) as server:
        assert b"<Bucket>" not in ask(server, "GET", "/")


def test_a_schema_of_somebody_else_is_not_reset(folder: Path) -> None:
    env = {"DATABASE_URL": database_url(), "POST3_PG_SCHEMA": "public"}
    assert "not made by post3" in refused(db("reset", "--yes", cwd=folder, env=env))


def test_a_store_of_an_older_postgresql_is_upgraded(folder: Path) -> None:
    assert len(installed()) > 1, "This needs a PostgreSQL older than the wheel's: install the system's postgresql."
    newest, *_, oldest = installed()
    cluster = Cluster(folder / "one")
    cluster.prepare()
    coming = cluster.coming()
    coming.make(cluster.binaries(oldest.major))
    coming.data.rename(cluster.data)
    with post3_serve("--data-dir", "one", cwd=folder) as server:
        fill(server)
        assert "stop it" in refused(db("upgrade", "--data-dir", "one", cwd=folder))
    assert cluster.major() == oldest.major
    said = done(db("upgrade", "--data-dir", "one", cwd=folder))
    assert f"from PostgreSQL {oldest.major} to {newest.major}" in said
    assert (folder / "one" / "pg" / f"data-{oldest.major}" / "PG_VERSION").exists()
    assert not list((folder / "one").rglob("delete_old_cluster*")), "it would delete the new one"
    with post3_serve("--data-dir", "one", cwd=folder) as server:
        check_filled(server)
    assert "already" in refused(db("upgrade", "--data-dir", "one", cwd=folder))
