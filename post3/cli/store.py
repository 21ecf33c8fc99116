"""Subcommands that work on a store beside its servers: `post3 gc`."""

from __future__ import annotations

import argparse
import asyncio
import logging
import sys
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any, Final

from post3.cli.server import add_option, store_name
from post3.config import OPTIONS, ConfigError, Settings, parse_duration
from post3.storage.protocol import Backend, Collected

UNITS: Final = ("bytes", "KiB", "MiB", "GiB", "TiB")


def add_store_options(parser: argparse.ArgumentParser) -> None:
    """Add what names a store, as `serve` takes it."""
    for option in OPTIONS:
        if option.of_store:
            add_option(parser, option)


def load_settings(arguments: argparse.Namespace) -> Settings:
    """The settings that the options and the environment name. Raises ConfigError."""
    fields = {option.field for option in OPTIONS}
    settings = Settings.load({name: value for name, value in vars(arguments).items() if name in fields})
    settings.check_store()
    if settings.backend == "memory":
        raise ConfigError("--backend memory holds nothing that another process could see.")
    return settings


def with_store(arguments: argparse.Namespace, work: Callable[[Backend, Settings], Awaitable[None]]) -> int:
    """Open the store, work on it, close it; the exit status."""
    from post3.app import create_backend  # noqa: PLC0415  # late: --help needs none of it

    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s: %(message)s", level=logging.WARNING)

    async def run() -> None:
        settings = load_settings(arguments)
        backend = create_backend(settings)
        try:
            await backend.open()
        except (OSError, ValueError) as error:
            raise ConfigError(f"Cannot open the store {store_name(settings)}: {error}") from error
        try:
            await work(backend, settings)
        finally:
            await backend.close()

    try:
        asyncio.run(run())
    except ConfigError as error:
        print(f"{arguments.parser.prog}: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"{arguments.parser.prog}: stopped; what was done stays done.", file=sys.stderr)
        return 130
    return 0


def add_gc(commands: argparse._SubParsersAction[Any]) -> None:
    """Add `gc` to the parser."""
    parser = commands.add_parser(
        "gc",
        help="free the space of what was replaced or deleted",
        description="Free the bytes that nothing has owned for a while, at once, and say how much that was. Servers do "
        "so by themselves from time to time; this may run beside them.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "--older-than",
        metavar="TIME",
        help="how long they must have been without an owner, such as 0s or 2d [default: the grace period, --gc-grace]",
    )
    add_store_options(parser)
    add_option(parser, next(option for option in OPTIONS if option.field == "gc_grace"))
    parser.set_defaults(run=gc, parser=parser)


def gc(arguments: argparse.Namespace) -> int:
    """Collect until nothing is left that is due; the exit status."""

    async def collect(backend: Backend, settings: Settings) -> None:
        older_than = _older_than(arguments.older_than, settings)
        total = Collected()
        while (freed := await backend.collect_garbage(older_than)) != Collected():
            total = Collected(total.blobs + freed.blobs, total.size + freed.size, total.uploads + freed.uploads)
            if sys.stderr.isatty():
                print(f"  {_told(total)} so far", file=sys.stderr)
        print(f"Freed {_told(total)}.")

    return with_store(arguments, collect)


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


def human_size(size: int) -> str:
    """So many bytes as people read them."""
    number, unit = float(size), 0
    while number >= 1024 and unit + 1 < len(UNITS):
        number, unit = number / 1024, unit + 1
    return f"{size} bytes" if unit == 0 else f"{number:.1f} {UNITS[unit]}"
