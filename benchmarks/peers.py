"""The servers that are measured: post3 on each store, and those of others, by the path of a program or already running.

Each is started with a store and a port of its own, as its makers say that it is run, with a key, so that signatures are
checked by all that can. The predecessor, the Rust program `post3-server`, cannot.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from time import monotonic, sleep
from typing import IO, Final

from benchmarks.client import ask
from benchmarks.database import Database, end_postmaster, postmaster, vacuum
from benchmarks.measures import pause, resume, tree
from benchmarks.signing import Signer

ACCESS: Final = "BENCHMARKKEY"
SECRET: Final = "benchmark-secret-0123456789"  # noqa: S105  # of servers that live as long as the run
START: Final = 120.0
"""Seconds that a server may take to answer."""
STOP: Final = 60.0
START_MARK: Final = "--- started\n"
"""In a server's log."""

FS: Final = "post3 fs"
RELAXED: Final = "post3 fs relaxed"
PG: Final = "post3 pg"
OURS: Final = (FS, RELAXED, PG)
PREDECESSOR_FS: Final = "predecessor fs"
PREDECESSOR_PG: Final = "predecessor pg"
VERSITYGW: Final = "versitygw"
MINIO: Final = "MinIO"
RCLONE: Final = "rclone"
SEAWEEDFS: Final = "SeaweedFS"

PLAIN, TLS, LISTS = "", "tls", "lists"
"""What a server is for: most workloads, those over TLS, and lists of stores that hold nothing else."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a server keeps things and listens."""

    folder: Path
    port: int
    certificate: tuple[Path, Path] | None = None
    """Of TLS: the certificate and its key."""

    @property
    def address(self) -> str:
        """As in a Host header."""
        return f"127.0.0.1:{self.port}"

    @property
    def store(self) -> Path:
        """The folder of what it keeps."""
        return self.folder / "store"


Command = Callable[[Place], list[str]]
Variables = Callable[[Place], Mapping[str, str]]


def _no_variables(_place: Place) -> dict[str, str]:
    return {}


@dataclass(frozen=True, slots=True)
class Kind:
    """How a server is run."""

    name: str
    """The head of its column."""
    command: Command
    variables: Variables = _no_variables
    group: str = PLAIN
    has_database: bool = False
    """Whether a PostgreSQL is to be started for it; post3 starts its own."""
    only_writes: bool = False
    """Whether only what writes is measured."""
    version: str = ""
    backend: str = ""
    """Of post3: `fs` or `pg`; empty for others."""
    ready: str = ""
    """What it says when all of its processes are ready; empty: its first answer tells that."""


@dataclass(slots=True)
class Server:
    """A server that can be asked."""

    name: str
    url: str
    signer: Signer
    roots: tuple[int, ...]
    """Processes whose trees it is made of, but for its database."""
    database: tuple[int, ...] = ()
    kind: Kind | None = None
    """None: somebody else started it."""
    place: Place | None = None
    started_in: float = 0.0
    """Seconds from its start to its first answer."""
    done: set[str] = field(default_factory=set)
    """What has been prepared in it."""
    tokens: list[str] = field(default_factory=list)
    """What the pages begin with, behind the first, that it needs for one list of all prefixes."""
    process: subprocess.Popen[bytes] | None = None
    own_database: Database | None = None
    log: IO[bytes] | None = None

    @property
    def group(self) -> str:
        """What it is for."""
        return PLAIN if self.kind is None else self.kind.group

    @property
    def everything(self) -> tuple[int, ...]:
        """All roots."""
        return (*self.roots, *self.database)

    def pause(self) -> None:
        """Let it rest."""
        pause(self.everything)

    def resume(self) -> None:
        """Let it go on."""
        resume(self.everything)

    def tidy(self) -> None:
        """Free what large bodies have replaced: post3 would keep it for an hour, and a database until it looks."""
        if self.own_database is not None:
            self.own_database.vacuum()
        if self.kind is None or self.place is None or not self.kind.backend:
            return
        words = ["--backend", self.kind.backend, "--data-dir", str(self.place.store), "--older-than", "0s"]
        command = [sys.executable, "-m", "post3", "gc", *words]
        subprocess.run(command, check=True, capture_output=True, cwd=self.place.folder, env=_environment())
        if self.kind.backend == "pg":
            vacuum(self.place.store)

    def ask_to_end(self) -> None:
        """Tell it to end, if it was started here, and do not wait for it."""
        self.resume()
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()

    def stop(self) -> None:
        """End it, if it was started here."""
        self.ask_to_end()
        if self.process is not None:
            _wait(self.process)
        if self.own_database is not None:
            self.own_database.stop()
        elif self.place is not None:
            end_postmaster(self.place.store)
        if self.log is not None:
            self.log.close()


def _wait(process: subprocess.Popen[bytes]) -> None:
    try:
        process.wait(STOP)
    except subprocess.TimeoutExpired:
        left = tree([process.pid])
        for pid in left:
            os.kill(pid, 9)
        process.wait()


def start(kind: Kind, place: Place) -> Server:
    """Start it and wait until it answers. Raises SystemExit with what it said where it does not."""
    place.store.mkdir(parents=True, exist_ok=True)
    # A PostgreSQL may run as somebody else, who must be able to get there.
    place.folder.chmod(0o711)
    database = Database(place.folder / "database") if kind.has_database else None
    variables = dict(kind.variables(place))
    if database is not None:
        variables["DATABASE_URL"] = database.start()
    log = (place.folder / "log").open("ab", buffering=0)
    log.write(START_MARK.encode())
    began = monotonic()
    process = subprocess.Popen(
        kind.command(place),
        cwd=place.folder,
        env={**_environment(), **variables},
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
        process_group=0,  # Ctrl-C is for the benchmark, which ends its servers itself
    )
    server = Server(
        kind.name,
        f"{'https' if place.certificate else 'http'}://{place.address}",
        Signer(ACCESS, SECRET, place.address),
        (process.pid,),
        kind=kind,
        place=place,
        process=process,
        own_database=database,
        log=log,
    )
    try:
        server.started_in = _await_answer(server, began)
    except BaseException:
        server.stop()
        raise
    server.database = database.roots() if database is not None else postmaster(place.store)
    return server


def _await_answer(server: Server, began: float) -> float:
    assert server.process is not None
    assert server.place is not None
    assert server.kind is not None
    kind, log, answered = server.kind, server.place.folder / "log", 0.0
    while monotonic() < began + START:
        try:
            if not answered and ask(server.url, server.signer.request("GET", "/")).status < 500:
                answered = monotonic() - began
            if answered and kind.ready in log.read_text(errors="replace").rpartition(START_MARK)[2]:
                return answered
        except OSError:
            pass  # it does not listen yet
        sleep(0.005)
        if server.process.poll() is not None:
            break
    said = log.read_text(errors="replace").rpartition(START_MARK)[2].strip()
    raise SystemExit(f"benchmarks: {server.name} does not start; it said: {said[-2000:] or 'nothing'}")


def _environment() -> dict[str, str]:
    """This process's, without what would set a server."""
    foreign = ("POST3_", "SANIC_", "MINIO_", "RCLONE_", "VGW_", "ROOT_", "DATABASE_URL")
    return {name: value for name, value in os.environ.items() if not name.startswith(foreign)}


def free_port() -> int:
    """A port that nobody listens on, and that is far from the highest: some servers add 10,000 to it."""
    while True:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = int(probe.getsockname()[1])
        if port < 50_000:
            return port


def parse_peer(text: str) -> Server:
    """`NAME=URL,ACCESS,SECRET,PID`: a server that runs already. Raises ValueError."""
    name, _, rest = text.partition("=")
    url, access, secret, pid = rest.split(",")
    scheme, mark, host = url.rstrip("/").partition("://")
    if not name or not mark or scheme != "http" or not host:
        raise ValueError(text)
    if not tree([int(pid)]):
        raise ValueError(f"{text}: there is no process {pid}")
    return Server(name, f"{scheme}://{host}", Signer(access, secret, host), (int(pid),))


# How each is run


def post3(backend: str, durability: str = "full") -> Kind:
    """post3 itself, with 2 workers."""

    def command(place: Place) -> list[str]:
        words = [sys.executable, "-m", "post3", "serve", "--backend", backend, "--data-dir", str(place.store)]
        words += ["--host", place.address, "--workers", "2", "--durability", durability]
        if place.certificate is not None:
            cert, key = place.certificate
            words += ["--tls-cert", str(cert), "--tls-key", str(key)]
        return words

    relaxed = durability == "relaxed"
    return Kind(
        RELAXED if relaxed else f"post3 {backend}",
        command,
        lambda _place: {"POST3_ACCESS_KEY": ACCESS, "POST3_SECRET_KEY": SECRET},
        only_writes=relaxed,
        backend=backend,
        ready=" serves http",
    )


def predecessor(path: str, backend: str) -> Kind:
    """The Rust program `post3-server`. It knows no keys; its options: `post3-server serve --help`."""

    def command(place: Place) -> list[str]:
        words = [path, "serve", "--host", place.address, "--backend", backend]
        return [*words, "--data-dir", str(place.store)] if backend == "fs" else words

    return Kind(f"predecessor {backend}", command, has_database=backend == "pg")


def versitygw(path: str) -> Kind:
    """https://github.com/versity/versitygw on a directory."""

    def command(place: Place) -> list[str]:
        words = [path, "--access", ACCESS, "--secret", SECRET, "--port", place.address, "--quiet", "--keep-alive"]
        if place.certificate is not None:
            cert, key = place.certificate
            words += ["--cert", str(cert), "--key", str(key)]
        return [*words, "posix", str(place.store)]

    return Kind(VERSITYGW, command, version=_version(path, "--version"))


def minio(path: str) -> Kind:
    """https://github.com/minio/minio on one directory."""
    variables = {"MINIO_ROOT_USER": ACCESS, "MINIO_ROOT_PASSWORD": SECRET, "MINIO_BROWSER": "off"}

    def command(place: Place) -> list[str]:
        return [path, "server", "--quiet", "--address", place.address, str(place.store)]

    return Kind(MINIO, command, lambda _place: variables, version=_version(path, "--version"))


def rclone(path: str) -> Kind:
    """https://rclone.org/commands/rclone_serve_s3/ on a directory."""

    def command(place: Place) -> list[str]:
        words = [path, "serve", "s3", "--config", str(place.folder / "rclone.conf"), "--addr", place.address]
        words += ["--auth-key", f"{ACCESS},{SECRET}"]
        if place.certificate is not None:
            cert, key = place.certificate
            words += ["--cert", str(cert), "--key", str(key)]
        return [*words, str(place.store)]

    return Kind(RCLONE, command, version=_version(path, "version"))


def weed(path: str) -> Kind:
    """https://github.com/seaweedfs/seaweedfs, all of it in one process."""

    def command(place: Place) -> list[str]:
        users = place.folder / "s3.json"
        keys = [{"accessKey": ACCESS, "secretKey": SECRET}]
        actions = ["Admin", "Read", "Write", "List", "Tagging"]
        users.write_text(json.dumps({"identities": [{"name": "all", "credentials": keys, "actions": actions}]}))
        words = [path, "server", f"-dir={place.store}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-s3", "-volume.max=50"]
        words += [f"-s3.config={users}", f"-s3.port={place.port}", f"-s3.port.grpc={free_port()}"]
        words += ["-s3.port.iceberg=0", "-s3.port.lance=0"]
        for part in ("master", "volume", "filer"):
            words += [f"-{part}.port={free_port()}", f"-{part}.port.grpc={free_port()}"]
        return [*words, "-master.volumeSizeLimitMB=1024"]

    return Kind(SEAWEEDFS, command, version=_version(path, "version"))


def over_tls(kind: Kind) -> Kind:
    """The same, over TLS."""
    return replace(kind, group=TLS)


def for_lists(kind: Kind) -> Kind:
    """The same, with nothing but lists."""
    return replace(kind, group=LISTS)


def _version(path: str, word: str) -> str:
    """What the program says of itself, in one line."""
    found = shutil.which(path)
    if found is None:
        raise SystemExit(f"benchmarks: there is no program {path}")
    said = subprocess.run([found, word], capture_output=True, text=True, check=False, timeout=30).stdout
    lines = [line for line in map(str.strip, said.splitlines()) if line]
    return " ".join(lines[:2])


def make_certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate for loopback, and its key."""
    cert, key = folder / "cert.pem", folder / "key.pem"
    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]
    names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost"]
    command = ["openssl", "req", "-x509", *curve, *names, "-out", str(cert), "-keyout", str(key)]
    subprocess.run(command, check=True, capture_output=True, timeout=30)
    return cert, key
