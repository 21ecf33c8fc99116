"""What may be set, from flags and environment: one table makes both, and the help."""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Final, NamedTuple

from post3.auth.access import host_name, is_loopback_name

DEFAULT_PORT: Final = 9000
MAX_WORKERS: Final = 256

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

    backend: str | None = None
    data_dir: Path = Path("data")
    endpoint: Endpoint = DEFAULT_ENDPOINT
    workers: int = 1
    durability: str = "full"
    gc_grace: timedelta = timedelta(hours=1)
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
        if self.backend is None:
            raise ConfigError(
                "Which store? Say --backend fs --data-dir DIR (or POST3_BACKEND=fs POST3_DATA_DIR=DIR) to keep objects "
                "in a directory."
            )
        if self.backend == "memory" and self.workers > 1:
            raise ConfigError(
                f"--backend memory works with one worker, not with {self.workers}: each would hold objects of its own."
            )
        host = self.host
        if not self.allow_anonymous and not is_loopback_name(host_name(host) if ":" not in host else host):
            raise ConfigError(
                f"Listening on {host} would let everyone who reaches it read and write; listen on 127.0.0.1, or say "
                "--allow-anonymous (POST3_ALLOW_ANONYMOUS=1) if that is what you want."
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

    @property
    def variable(self) -> str:
        """The environment variable that says the same."""
        return "POST3_" + self.flag.removeprefix("--").replace("-", "_").upper()

    def value(self, source: str, text: str) -> object:
        """The text's value. Raises ConfigError, naming the flag or variable that it came from."""
        try:
            return self.parse(text)
        except ValueError:
            raise ConfigError(f"{source} is {text!r}, but must be {self.allowed}.") from None


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


def _parse_directory(text: str) -> Path:
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
        _one_of("fs", "memory"),
        "fs or memory",
        "where objects are kept: fs (a directory) or memory (for tests; gone when the server stops)",
        "none, it must be said",
        "NAME",
    ),
    Option(
        "data_dir",
        "--data-dir",
        _parse_directory,
        "the path of a directory",
        "the directory of --backend fs; made if it is missing",
        "./data",
        "DIR",
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
