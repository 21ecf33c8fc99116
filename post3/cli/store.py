"""Commands that work on a store beside its servers: `post3 gc`."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from typing import Final

import click

from post3.cli.commands import Command, with_settings
from post3.cli.server import store_name
from post3.cli.sizes import human_size
from post3.config import OPTIONS, ConfigError, Settings, parse_duration
from post3.storage.protocol import Backend, Collected

STORE_OPTIONS: Final = tuple(option for option in OPTIONS if option.of_store)
"""What names a store, as `serve` takes it."""


def load_settings(given: Mapping[str, str]) -> Settings:
    """The settings that the options and the environment name. Raises ConfigError."""
    settings = Settings.load(given)
    settings.check_store()
    if settings.backend == "memory":
        raise ConfigError("--backend memory holds nothing that another process could see.")
    return settings


def with_store(given: Mapping[str, str], work: Callable[[Backend, Settings], Awaitable[None]]) -> None:
    """Open the store that the options name, work on it, close it. Raises ConfigError."""
    from post3.app import create_backend  # noqa: PLC0415  # late: --help needs none of it

    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s: %(message)s", level=logging.WARNING)

    async def run() -> None:
        settings = load_settings(given)
        backend = create_backend(settings)
        try:
            await backend.open()
        except (OSError, ValueError) as error:
            raise ConfigError(f"Cannot open the store {store_name(settings)}: {error}") from error
        try:
            await work(backend, settings)
        finally:
            await backend.close()

    asyncio.run(run())


@click.command("gc", cls=Command)
@click.option(
    "--older-than",
    metavar="TIME",
    help="how long they must have been without an owner, such as 0s or 2d [default: the grace period, --gc-grace]",
)
@with_settings((*STORE_OPTIONS, next(option for option in OPTIONS if option.field == "gc_grace")))
def gc(given: Mapping[str, str], older_than: str | None) -> None:
    """Free the bytes that nothing has owned for a while, at once, and say how much that was.

    Servers do so by themselves from time to time; this may run beside them.
    """

    async def collect(backend: Backend, settings: Settings) -> None:
        age = _older_than(older_than, settings)
        total = Collected()
        while (freed := await backend.collect_garbage(age)) != Collected():
            total = Collected(total.blobs + freed.blobs, total.size + freed.size, total.uploads + freed.uploads)
            if sys.stderr.isatty():
                print(f"  {_told(total)} so far", file=sys.stderr)
        print(f"Freed {_told(total)}.")

    with_store(given, collect)


def _older_than(text: str | None, settings: Settings) -> timedelta:
    try:
        return settings.gc_grace if text is None else parse_duration(text)
    except ValueError:
        raise ConfigError(
            f"--older-than is {text!r}, but must be a whole number with a unit, such as 0s, 5m, 1h or 2d."
        ) from None


def _told(freed: Collected) -> str:
    uploads = f", forgot {freed.uploads} completed uploads" if freed.uploads else ""
    return f"{human_size(freed.size)} in {freed.blobs} blobs{uploads}"
