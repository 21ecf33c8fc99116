"""What may be set, from flags and environment: one table makes both, and the help."""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeAlias
from urllib.parse import urlsplit

from post3.auth.access import host_name, is_loopback_name

Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network

DEFAULT_PORT: Final = 9000
MAX_WORKERS: Final = 256
MAX_CONNECTIONS: Final = 1000

_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_TRUE: Final = frozenset({"1", "true", "yes", "on"})
_FALSE: Final = frozenset({"", "0", "false", "no", "off"})


class ConfigError(ValueError):
    """A setting that cannot be; the message is one sentence for people."""


class Endpoint(NamedTuple):
    """Where to listen."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


DEFAULT_ENDPOINT: Final = Endpoint("127.0.0.1", DEFAULT_PORT)


@dataclass(frozen=True, slots=True)
class Settings:
    """All that a server is told before it starts."""

    backend: str = "pg"
    data_dir: Path = Path("post3-data")
    database_url: str | None = None
    pg_schema: str = "post3"
    pg_connections: int = 8
    pg_user: str | None = None
    pg_archive: Path | None = None
    endpoint: Endpoint = DEFAULT_ENDPOINT
    workers: int = 1
    durability: str = "full"
    gc_grace: timedelta = timedelta(hours=1)
    domains: tuple[str, ...] = ()
    tls_cert: Path | None = None
    tls_key: Path | None = None
    trusted_proxies: tuple[Network, ...] = ()
    allow_anonymous: bool = False
    allow_network_disk: bool = False
    access_log: bool = False

    @property
    def host(self) -> str:
        """The name or address to listen on."""
        return self.endpoint.host

    @property
    def port(self) -> int:
        """The port to listen on; 0 picks a free one."""
        return self.endpoint.port

    @property
    def durable(self) -> bool:
        """Whether an answer waits until the disk has the bytes."""
        return self.durability == "full"

    @classmethod
    def load(cls, flags: Mapping[str, str] | None = None, environment: Mapping[str, str] | None = None) -> Settings:
        """The settings from flags (by the names of the fields), else from the environment. Raises ConfigError."""
        flags = flags or {}
        environment = os.environ if environment is None else environment
        chosen: dict[str, Any] = {}
        for option in OPTIONS:
            for source, values, key in (
                (option.flag, flags, option.field),
                (option.variable, environment, option.variable),
            ):
                if key in values:
                    chosen[option.field] = option.value(source, values[key])
                    break
        return cls(**chosen)

    def check(self) -> None:
        """Raise ConfigError for settings that do not go together, or would open the store to strangers."""
        self.check_store()
        if self.backend == "memory" and self.workers > 1:
            raise ConfigError(
                f"--backend memory works with one worker, not with {self.workers}: each would hold objects of its own."
            )
        if self.tls_key is not None and self.tls_cert is None:
            raise ConfigError("--tls-key (POST3_TLS_KEY) needs --tls-cert (POST3_TLS_CERT) beside it.")
        host = self.host
        if not self.allow_anonymous and not is_loopback_name(host_name(host) if ":" not in host else host):
            raise ConfigError(
                f"Listening on {host} would let everyone who reaches it read and write; listen on 127.0.0.1, or say "
                "--allow-anonymous (POST3_ALLOW_ANONYMOUS=1) if that is what you want."
            )

    def check_store(self) -> None:
        """Raise ConfigError for settings of a store that do not go together."""
        own = [flag for flag, value in (("--pg-user", self.pg_user), ("--pg-archive", self.pg_archive)) if value]
        if own and self.backend != "pg":
            raise ConfigError(f"{own[0]} is for --backend pg, not for --backend {self.backend}.")
        if own and self.database_url is not None:
            raise ConfigError(
                f"{own[0]} is for post3's own PostgreSQL; with --database-url (DATABASE_URL) whoever runs that "
                "database decides."
            )


class Option(NamedTuple):
    """A row of the table: one field of Settings, its flag, its variable, and what it takes."""

    field: str
    flag: str
    parse: Callable[[str], object]
    """Raises ValueError."""
    allowed: str
    """What it takes, to end the sentence `… must be`."""
    help: str
    default: str
    metavar: str = ""
    """Empty for a switch."""
    of_store: bool = False
    """Whether every command that opens a store takes it."""
    named: str = ""
    """The environment variable, where it has a name of its own."""
    is_secret: bool = False
    """Whether its value may not be shown."""
    repeats: bool = False
    """Whether the flag may be given several times: its values are then joined by commas."""

    @property
    def variable(self) -> str:
        """The environment variable that says the same."""
        return self.named or "POST3_" + self.flag.removeprefix("--").replace("-", "_").upper()

    def value(self, source: str, text: str) -> object:
        """The text's value. Raises ConfigError, naming the flag or variable that it came from."""
        try:
            return self.parse(text)
        except ValueError:
            what = "is not shown here" if self.is_secret else f"is {text!r}"
            raise ConfigError(f"{source} {what}, but must be {self.allowed}.") from None


def parse_endpoint(text: str) -> Endpoint:
    """`HOST`, `HOST:PORT`, `[::1]` or `[::1]:PORT`. Raises ValueError."""
    match = re.fullmatch(r"(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9_.-]*[A-Za-z_.-][A-Za-z0-9_.-]*))(?::(\d{1,5}))?", text)
    if match is None:
        raise ValueError(text)
    if match[1]:
        ipaddress.IPv6Address(match[1])
    port = int(match[3]) if match[3] else DEFAULT_PORT
    if port > 0xFFFF:
        raise ValueError(text)
    return Endpoint(match[1] or match[2], port)


def parse_duration(text: str) -> timedelta:
    """A whole number and a unit: `30s`, `5m`, `1h`, `2d`. Raises ValueError."""
    match = re.fullmatch(r"(\d{1,6})([smhd])", text.strip())
    if match is None:
        raise ValueError(text)
    return timedelta(seconds=int(match[1]) * _UNITS[match[2]])


def parse_domains(text: str) -> tuple[str, ...]:
    """Names of hosts between commas: `a.example,b.example`. Raises ValueError."""
    return tuple(_parse_domain(part) for part in _listed(text))


def _parse_domain(text: str) -> str:
    name = text.lower().removesuffix(".")
    labels = name.split(".")
    if len(name) > 253 or not all(re.fullmatch(r"(?!-)[a-z0-9_-]{1,63}(?<!-)", label) for label in labels):
        raise ValueError(text)
    if labels[-1].isdigit():  # an IPv4 address, which has no names below it
        raise ValueError(text)
    return name


def parse_networks(text: str) -> tuple[Network, ...]:
    """Addresses and networks between commas: `127.0.0.1,10.0.0.0/8,::1`. Raises ValueError."""
    return tuple(ipaddress.ip_network(part) for part in _listed(text))


def _listed(text: str) -> list[str]:
    return [part.strip() for part in text.split(",")] if text.strip() else []


def _parse_switch(text: str) -> bool:
    if text.lower() in _TRUE:
        return True
    if text.lower() in _FALSE:
        return False
    raise ValueError(text)


def _parse_workers(text: str) -> int:
    number = int(text)
    if not 1 <= number <= MAX_WORKERS:
        raise ValueError(text)
    return number


def _parse_connections(text: str) -> int:
    number = int(text)
    if not 1 <= number <= MAX_CONNECTIONS:
        raise ValueError(text)
    return number


def _parse_url(text: str) -> str:
    if urlsplit(text).scheme not in ("postgres", "postgresql"):
        raise ValueError
    return text


def _parse_schema(text: str) -> str:
    if not re.fullmatch(r"[a-z_][a-z0-9_]{0,62}", text) or text.startswith("pg_"):
        raise ValueError(text)
    return text


def _parse_name(text: str) -> str:
    if not text:
        raise ValueError(text)
    return text


def _parse_path(text: str) -> Path:
    if not text or "\0" in text:
        raise ValueError(text)
    return Path(text)


def _one_of(*words: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text not in words:
            raise ValueError(text)
        return text

    return parse


OPTIONS: Final = (
    Option(
        "backend",
        "--backend",
        _one_of("pg", "fs", "memory"),
        "pg, fs or memory",
        "where objects are kept: pg (PostgreSQL), fs (plain files in a directory) or memory (for tests; gone when the "
        "server stops)",
        "pg",
        "NAME",
        of_store=True,
    ),
    Option(
        "data_dir",
        "--data-dir",
        _parse_path,
        "the path of a directory",
        "the directory of the store: the files of --backend fs, or post3's own PostgreSQL; made if it is missing",
        "./post3-data",
        "DIR",
        of_store=True,
    ),
    Option(
        "database_url",
        "--database-url",
        _parse_url,
        "a URL such as postgresql://user:password@host:5432/name",
        "use this PostgreSQL (15 or later) instead of one of post3's own; better said by the variable, as other users "
        "can see a command's options",
        "none: post3 runs one in the data directory",
        "URL",
        of_store=True,
        named="DATABASE_URL",
        is_secret=True,
    ),
    Option(
        "pg_schema",
        "--pg-schema",
        _parse_schema,
        "a name of small letters, digits and _ that does not begin with pg_",
        "the schema in the database that is post3's",
        "post3",
        "NAME",
        of_store=True,
    ),
    Option(
        "pg_connections",
        "--pg-connections",
        _parse_connections,
        f"a whole number from 1 to {MAX_CONNECTIONS}",
        "the most connections to PostgreSQL that a worker uses (and one more while it moves something large)",
        "8",
        "N",
        of_store=True,
    ),
    Option(
        "pg_user",
        "--pg-user",
        _parse_name,
        "the name of a user",
        "where post3 is root: as whom its own PostgreSQL runs, which refuses to be root",
        "postgres, else nobody",
        "NAME",
        of_store=True,
    ),
    Option(
        "pg_archive",
        "--pg-archive",
        _parse_path,
        "the path of a directory",
        "archive the write-ahead log of post3's own PostgreSQL there, to restore any point in time",
        "none",
        "DIR",
        of_store=True,
    ),
    Option(
        "endpoint",
        "--host",
        parse_endpoint,
        "an address such as 127.0.0.1:9000, localhost or [::1]:9000",
        "the address to listen on; port 0 picks a free one",
        str(DEFAULT_ENDPOINT),
        "HOST[:PORT]",
    ),
    Option(
        "workers",
        "--workers",
        _parse_workers,
        f"a whole number from 1 to {MAX_WORKERS}",
        "how many processes serve; a good choice is one for each core",
        "1",
        "N",
    ),
    Option(
        "durability",
        "--durability",
        _one_of("full", "relaxed"),
        "full or relaxed",
        "full: what was answered survives the loss of power; relaxed: it may be lost (for tests)",
        "full",
        "HOW",
        of_store=True,
    ),
    Option(
        "gc_grace",
        "--gc-grace",
        parse_duration,
        "a whole number with a unit, such as 30s, 5m, 1h or 2d",
        "how long bytes that nothing owns are kept before they are collected",
        "1h",
        "TIME",
    ),
    Option(
        "domains",
        "--domain",
        parse_domains,
        "a name such as s3.example.com, or several between commas",
        "a name that leads to this server, as all names below it do: BUCKET.NAME addresses a bucket; may be given "
        "several times",
        "none: paths alone name buckets",
        "NAME",
        repeats=True,
    ),
    Option(
        "tls_cert",
        "--tls-cert",
        _parse_path,
        "the path of a file",
        "serve HTTPS with the certificate in this file, as PEM, followed by those that lead to its root; read again "
        "when it changes",
        "none: HTTP",
        "FILE",
    ),
    Option(
        "tls_key",
        "--tls-key",
        _parse_path,
        "the path of a file",
        "the certificate's private key, as PEM without a passphrase",
        "in the file of --tls-cert",
        "FILE",
    ),
    Option(
        "trusted_proxies",
        "--trusted-proxy",
        parse_networks,
        "an address or a network such as 127.0.0.1 or 10.0.0.0/8, or several between commas",
        "believe X-Forwarded-For, X-Forwarded-Proto and Forwarded from there; may be given several times",
        "none",
        "CIDR",
        repeats=True,
    ),
    Option(
        "allow_anonymous",
        "--allow-anonymous",
        _parse_switch,
        "1 or 0",
        "let everyone who reaches the address read and write, also from other machines",
        "no",
    ),
    Option(
        "allow_network_disk",
        "--allow-network-disk",
        _parse_switch,
        "1 or 0",
        "use a data directory on a network file system; its locks must work, and one machine alone may use it",
        "no",
        of_store=True,
    ),
    Option(
        "access_log",
        "--access-log",
        _parse_switch,
        "1 or 0",
        "write one line for each request to standard output",
        "no",
    ),
)
