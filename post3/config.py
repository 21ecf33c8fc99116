"""What may be set, from flags and environment: one table makes both, and the help."""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeAlias
from urllib.parse import parse_qsl, urlsplit

from post3.auth.access import host_name, is_loopback_name
from post3.auth.credentials import ACCESS_KEY, SECRET_KEY, Key, Rule
from post3.errors import InvalidBucketName
from post3.model.identity import ROOT
from post3.model.kms import NO_KEYS, ONLY_KEY, MasterKeys, parse_master_key, parse_master_keys
from post3.model.names import check_bucket_name

Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network

DEFAULT_PORT: Final = 9000
MAX_WORKERS: Final = 256
MAX_CONNECTIONS: Final = 1000

_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_BUCKET_ACLS: Final = frozenset({"", "private", "public-read", "public-read-write", "authenticated-read"})
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


class NewBucket(NamedTuple):
    """A bucket to make at the start."""

    name: str
    canned_acl: str = ""
    """Empty for none."""


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
    users: Path | None = None
    buckets: tuple[NewBucket, ...] = ()
    sigv2_links: bool = True
    sigv2_headers: bool = False
    master_keys: Path | None = None
    master_key: str = field(default="", repr=False)
    access_key: str = field(default="", repr=False)
    secret_key: str = field(default="", repr=False)

    @property
    def root_key(self) -> Key | None:
        """What root signs with."""
        return Key(self.access_key, self.secret_key, ROOT) if self.access_key else None

    def read_master_keys(self) -> MasterKeys:
        """What objects are encrypted with, as it is set now. Raises ConfigError."""
        if self.master_keys is None:
            return MasterKeys(ONLY_KEY, {ONLY_KEY: parse_master_key(self.master_key)}) if self.master_key else NO_KEYS
        if self.master_key:
            raise ConfigError(
                "POST3_MASTER_KEY and --master-keys (POST3_MASTER_KEYS) are both set; put the key into the file, under "
                f"the name {ONLY_KEY}."
            )
        try:
            return parse_master_keys(self.master_keys.read_text(encoding="utf-8"))
        except UnicodeDecodeError:
            raise ConfigError(f"--master-keys names {str(self.master_keys)!r}, which is not UTF-8.") from None
        except OSError as error:
            why = error.strerror or "there can be no such file"
            raise ConfigError(f"--master-keys names {str(self.master_keys)!r}, which cannot be read: {why}.") from None
        except ValueError as error:
            raise ConfigError(f"--master-keys names {str(self.master_keys)!r}, but {error}.") from None

    @property
    def has_credentials(self) -> bool:
        """Whether requests need keys, whatever users the store has."""
        return bool(self.access_key) or self.users is not None

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
        chosen.update(_root_keys(environment))
        chosen[MASTER_KEY.field] = MASTER_KEY.value(MASTER_KEY.names[0], environment)
        return cls(**chosen)

    def check(self) -> None:
        """Raise ConfigError for settings that do not go together.

        Whether they would open the store to strangers is seen when it is open: it may have users (check_reach).
        """
        self.check_store()
        if self.backend == "memory" and self.workers > 1:
            raise ConfigError(
                f"--backend memory works with one worker, not with {self.workers}: each would hold objects of its own."
            )
        if self.tls_key is not None and self.tls_cert is None:
            raise ConfigError("--tls-key (POST3_TLS_KEY) needs --tls-cert (POST3_TLS_CERT) beside it.")
        self.read_master_keys()
        if self.has_credentials or self.backend == "memory":
            check_reach(self, self.has_credentials)

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


def check_reach(settings: Settings, has_credentials: bool) -> None:
    """Raise ConfigError for settings that would open the store to strangers, or ask for keys and for none.

    `has_credentials` tells whether anybody has a key, users in the store included.
    """
    if settings.allow_anonymous:
        if has_credentials:
            raise ConfigError(
                "--allow-anonymous (POST3_ALLOW_ANONYMOUS=1) lets everyone in without a key, but "
                f"{_asks_for_keys(settings)}; leave one of them out."
            )
        return
    host = settings.host
    if not has_credentials and not is_loopback_name(host_name(host) if ":" not in host else host):
        raise ConfigError(
            f"Listening on {host} would let everyone who reaches it read and write; listen on 127.0.0.1, set "
            "POST3_ACCESS_KEY and POST3_SECRET_KEY (or --users, or make users with post3 user add and post3 key add), "
            "or say --allow-anonymous (POST3_ALLOW_ANONYMOUS=1) if that is what you want."
        )


def _asks_for_keys(settings: Settings) -> str:
    """What does so, to go on with a sentence."""
    if settings.access_key:
        return "there is a root key"
    return "--users (POST3_USERS) names a file of users" if settings.users else "users of the store have keys"


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
    is_on: bool = False
    """Whether the switch is on by default; then the help shows --no- and what that does."""
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


class Variable(NamedTuple):
    """A setting that the environment alone may make, since other users can see a command's options."""

    field: str
    names: tuple[str, ...]
    """The variable, and perhaps another server's that says the same. With _FILE behind it, each names a file with the
    value.
    """
    rule: Rule

    def value(self, name: str, environment: Mapping[str, str]) -> str:
        """What the variable of this name says, or its file; empty when there is neither. Raises ConfigError."""
        own, of_file = environment.get(name), environment.get(f"{name}_FILE")
        if own is not None and of_file is not None:
            raise ConfigError(f"{name} and {name}_FILE are both set; leave one of them out.")
        source, text = (name, own) if of_file is None else (f"The file of {name}_FILE", _read_value(name, of_file))
        try:
            return "" if text is None else self.rule.parse(text)
        except ValueError:
            raise ConfigError(f"{source} is not shown here, but must be {self.rule.allowed}.") from None


def _read_value(name: str, path: str) -> str:
    """The file's text without the end of its line. Raises ConfigError."""
    try:
        return Path(path).read_text(encoding="utf-8").removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError:
        raise ConfigError(f"{name}_FILE names {path!r}, which is not UTF-8.") from None
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or "there can be no such file"
        raise ConfigError(f"{name}_FILE names {path!r}, which cannot be read: {why}.") from None


def _root_keys(environment: Mapping[str, str]) -> dict[str, str]:
    """Both halves of the root key, from one family of variables; or nothing."""
    for names in zip(*(variable.names for variable in VARIABLES), strict=True):
        found = [variable.value(name, environment) for variable, name in zip(VARIABLES, names, strict=True)]
        if all(found):
            return {variable.field: value for variable, value in zip(VARIABLES, found, strict=True)}
        if any(found):
            there, missing = names if found[0] else reversed(names)
            raise ConfigError(f"{there} is set, but {missing} is not; a key needs both.")
    return {}


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
    """A URL that PostgreSQL's drivers understand; what is wrong with it is found before a driver could show it."""
    url = urlsplit(text)
    users, _, hosts = url.netloc.rpartition("@")
    # An @ or / that stands in a password as it is would make the rest of it a part of something else.
    if url.scheme not in ("postgres", "postgresql") or url.fragment or "@" in users + url.path:
        raise ValueError
    query = dict(parse_qsl(url.query, strict_parsing=True)) if url.query else {}
    ports = [host.rpartition("]")[2].partition(":")[2] for host in hosts.split(",")]
    for port in filter(None, [*ports, *query.get("port", "").split(",")]):
        if not (port.isascii() and port.isdigit() and 0 < int(port) < 2**16):
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


def _parse_buckets(text: str) -> tuple[NewBucket, ...]:
    """`name` or `name:canned-acl`, with commas between them."""
    buckets = []
    for word in filter(None, (part.strip() for part in text.split(","))):
        name, colon, canned_acl = word.partition(":")
        try:
            check_bucket_name(name)
        except InvalidBucketName:
            raise ValueError(text) from None
        if canned_acl not in _BUCKET_ACLS or bool(colon) != bool(canned_acl):
            raise ValueError(text)
        buckets.append(NewBucket(name, canned_acl))
    if len({bucket.name for bucket in buckets}) < len(buckets):
        raise ValueError(text)
    return tuple(buckets)


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
        "a URL such as postgresql://user:password@host:5432/name, with an @ in a password written %40, and a / %2F",
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
    Option(
        "users",
        "--users",
        _parse_path,
        "the path of a file",
        "a JSON file of users and their keys, read again whenever it changes; see docs/running.md for its form",
        "none",
        "FILE",
    ),
    Option(
        "master_keys",
        "--master-keys",
        _parse_path,
        "the path of a file",
        "a JSON file of named master keys, to encrypt objects with; see docs/encryption.md for its form",
        "none",
        "FILE",
    ),
    Option(
        "buckets",
        "--buckets",
        _parse_buckets,
        "different names of buckets (3 to 63 characters each) with commas between them, each with or without a colon "
        "and its ACL (private, public-read, public-read-write or authenticated-read), such as photos,site:public-read",
        "buckets to make at the start where they are missing, such as photos,site:public-read",
        "none",
        "NAME[:ACL],...",
    ),
    Option(
        "sigv2_links",
        "--sigv2",
        _parse_switch,
        "1 or 0",
        "refuse links and forms with the old signature version 2, which many libraries still make",
        "taken",
        is_on=True,
    ),
    Option(
        "sigv2_headers",
        "--allow-sigv2",
        _parse_switch,
        "1 or 0",
        "take the old signature version 2 in the Authorization header too",
        "no",
    ),
)

VARIABLES: Final = (
    Variable("access_key", ("POST3_ACCESS_KEY", "MINIO_ROOT_USER"), ACCESS_KEY),
    Variable("secret_key", ("POST3_SECRET_KEY", "MINIO_ROOT_PASSWORD"), SECRET_KEY),
)
MASTER_KEY: Final = Variable(
    "master_key",
    ("POST3_MASTER_KEY",),
    Rule(re.compile(r"[A-Za-z0-9+/]{43}="), "32 bytes in base64, as openssl rand -base64 32 makes them"),
)
VARIABLES_HELP: Final = (
    "Set by the environment alone, as other users can see a command's options: POST3_ACCESS_KEY and POST3_SECRET_KEY, "
    "the root key, which may do anything; where neither is set, MINIO_ROOT_USER and MINIO_ROOT_PASSWORD. With "
    "_FILE behind its name, each names a file that holds the value. Without any key, whether root's, of a user of "
    "--users or of one in the store (post3 user add, post3 key add), everyone on this machine may read and write. "
    "POST3_MASTER_KEY, likewise with or without _FILE, is the one master key that objects are encrypted with."
)
