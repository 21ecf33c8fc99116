"""The command that serves: `post3 serve`."""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import re
import selectors
import signal
import socket
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import click

from post3._version import __version__
from post3.cli.commands import Command, with_settings
from post3.cli.processes import supervise
from post3.config import OPTIONS, VARIABLES_HELP, ConfigError, Endpoint, Settings

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop

BACKLOG: Final = 1024
STORES: Final = {
    "pg": ("post3.storage.postgres.backend", "post3.storage.postgres.embedded"),
    "fs": ("post3.storage.filesystem.backend",),
    "memory": (),
}
"""The modules that a store's workers need, and no other's."""


@click.command("serve", cls=Command, epilog=VARIABLES_HELP)
@with_settings(OPTIONS)
@click.option(
    "--port", type=click.IntRange(0, 0xFFFF), metavar="PORT", help="the port of --host alone; 0 picks a free one"
)
@click.option(
    "--print-url", is_flag=True, help="print nothing but the URL, as one line, when it is ready: for programs"
)
@click.option("--stop-on-eof", is_flag=True, help="stop when standard input ends, as it does with whoever started it")
def serve(given: dict[str, str], port: int | None, print_url: bool, stop_on_eof: bool) -> int:
    """Serve S3 until SIGTERM or SIGINT (Ctrl-C).

    Where an option names an environment variable, that says the same; the option wins.
    """
    # Until there is something to finish, a signal ends it at once. An exception could be lost in somebody's import.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: os._exit(0))
    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s: %(message)s", level=logging.WARNING)
    chosen = _at_port(Settings.load(given), given.get("endpoint", ""), port)
    chosen.check()
    life = _standard_input() if stop_on_eof else None
    listening = listen(chosen.endpoint, chosen.workers)
    tell = partial(_tell_url if print_url else _tell, chosen, listening[0].getsockname())
    wrong = _serve(chosen, listening, tell, life)
    if wrong:
        raise ConfigError(wrong)
    return 0


def _serve(settings: Settings, listening: list[socket.socket], tell: Callable[[str], None], life: int | None) -> str:
    """Why it could not start, or ""."""
    if settings.workers == 1:
        return work(settings, listening, 0, tell, life=life)
    for module in ("post3.app", "post3.dispatch", *STORES[settings.backend]):
        import_module(module)  # once for all workers, who share it
    _loop_factory()
    return supervise(settings.workers, partial(work, settings, listening), tell, partial(_close, listening), life)


def _at_port(settings: Settings, host: str, port: int | None) -> Settings:
    """The settings with the port that --port names, beside the --host that was given. Raises ConfigError."""
    if port is None:
        return settings
    if re.search(r":\d+$", host.rpartition("]")[2]):
        raise ConfigError(f"--port {port} and --host {host} both name a port; leave one of them out.")
    return replace(settings, endpoint=settings.endpoint._replace(port=port))


def _standard_input() -> int:
    """The standard input, whose end can be waited for. Raises ConfigError."""
    with selectors.DefaultSelector() as selector:
        try:
            return selector.register(0, selectors.EVENT_READ).fd
        except (OSError, ValueError):
            raise ConfigError("--stop-on-eof needs a standard input that stays open, such as a pipe.") from None


def _close(listening: list[socket.socket]) -> None:
    for one in listening:
        one.close()


def listen(endpoint: Endpoint, count: int) -> list[socket.socket]:
    """Sockets that listen on it, one for each worker. Raises ConfigError.

    The kernel spreads connections over sockets of one port; from a socket that they share, whichever worker wakes first
    takes all that wait. This process holds them open, so that no connection is lost with a worker.
    """
    try:
        found = socket.getaddrinfo(endpoint.host, endpoint.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        # A name such as localhost means both kinds of address; the old one reaches every client.
        family, _, _, _, address = min(found, key=lambda info: info[0] != socket.AF_INET)
        # Alone on its port first: a port that is shared could be shared with somebody else's server.
        alone = socket.create_server(address[:2], family=family, backlog=BACKLOG)
        if count == 1 or sys.platform != "linux":
            return [alone] * count
        address = alone.getsockname()
        alone.close()
        return [
            socket.create_server(address[:2], family=family, backlog=BACKLOG, reuse_port=True) for _ in range(count)
        ]
    except OSError as error:
        raise ConfigError(f"Cannot listen on {endpoint}: {_reason(error, endpoint)}") from None


def _reason(error: OSError, endpoint: Endpoint) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"the port is taken; stop what uses it, or choose another with --host {endpoint._replace(port=0)}."
    if error.errno == errno.EACCES:
        return "that is not allowed; ports below 1024 need special rights."
    if isinstance(error, socket.gaierror) or error.errno == errno.EADDRNOTAVAIL:
        return "this machine has no such address."
    return f"{error.strerror or error}."


def work(
    settings: Settings,
    listening: list[socket.socket],
    number: int,
    ready: Callable[[str], None],
    parent: int | None = None,
    life: int | None = None,
) -> str:
    """Serve on the socket of this number until SIGTERM (or SIGINT, or the end of the pipes `parent` and `life`).

    `ready` is told who may read and write. Why it could not start, or "".
    """
    own = listening[number]
    _close([one for one in listening if one is not own])
    own.setblocking(False)
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        return runner.run(_work(settings, own, ready, parent, life))


def _heed_signals(parent: int | None, life: int | None) -> asyncio.Event:
    """What is set by SIGTERM, by SIGINT, and by the end of the parent or of what is read; called by a loop that runs.

    uvloop forgets a signal that comes between add_signal_handler and its first turn.
    """
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    for one in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(one, stop.set)
    if parent is not None:
        # Ctrl-C reaches all processes of a terminal; the parent says when to stop.
        loop.add_signal_handler(signal.SIGINT, lambda: None)
    for pipe in [one for one in (parent, life) if one is not None]:
        loop.add_reader(pipe, _read, loop, pipe, stop)
    return stop


def _read(loop: AbstractEventLoop, pipe: int, stop: asyncio.Event) -> None:
    """What is said is of no interest, but its end is."""
    if not os.read(pipe, 65_536):
        loop.remove_reader(pipe)
        stop.set()


async def _work(
    settings: Settings, listening: socket.socket, ready: Callable[[str], None], parent: int | None, life: int | None
) -> str:
    stop = _heed_signals(parent, life)
    # Late: --help and wrong options need no Sanic, and a signal ends the wait for it.
    from post3.app import create_app  # noqa: PLC0415
    from post3.server import serve as serve_on  # noqa: PLC0415

    try:
        app = create_app(settings)
    except ConfigError as error:
        return str(error)
    try:
        await serve_on(app, listening, stop, lambda: ready(app.ctx.who_may))
    except ConfigError as error:
        return str(error)
    except OSError as error:
        told = f"{error.strerror}: {error.filename}" if error.strerror and error.filename else str(error)
        return f"Cannot open the store {store_name(settings)}: {told}"
    except ValueError as error:
        return f"Cannot open the store {store_name(settings)}: {error}"
    return ""


def _loop_factory() -> Callable[[], AbstractEventLoop] | None:
    try:
        import uvloop  # noqa: PLC0415  # not on every system
    except ImportError:
        return None
    factory: Callable[[], AbstractEventLoop] = uvloop.new_event_loop
    return factory


def _tell(settings: Settings, address: tuple[str, int], who_may: str) -> None:
    """Print the one line that says that it serves, and whom."""
    workers = f", {settings.workers} workers" if settings.workers > 1 else ""
    where = f"{_url(settings, address)} from {store_name(settings)}{workers}"
    print(f"post3 {__version__} serves {where}. {who_may}", flush=True)


def _tell_url(settings: Settings, address: tuple[str, int], _who_may: str) -> None:
    print(_url(settings, address), flush=True)


def _url(settings: Settings, address: tuple[str, int]) -> str:
    host, port = address[:2]
    return f"{'http' if settings.tls_cert is None else 'https'}://{Endpoint(host, port)}"


def store_name(settings: Settings) -> str:
    """The store as people call it."""
    if settings.backend == "memory":
        return "memory (gone when it stops)"
    if settings.backend == "pg" and settings.database_url is not None:
        parts = urlsplit(settings.database_url)
        return f"PostgreSQL at {parts.netloc.rpartition('@')[2] or 'a socket'}{parts.path}"
    path = settings.data_dir
    kind = "PostgreSQL" if settings.backend == "pg" else "filesystem"
    return f"{path if path.is_absolute() else os.path.join('.', path)} ({kind})"
