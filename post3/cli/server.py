"""The subcommand that serves: `post3 serve`."""

from __future__ import annotations

import argparse
import asyncio
import errno
import logging
import os
import signal
import socket
import sys
from collections.abc import Callable
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from post3._version import __version__
from post3.cli.processes import supervise
from post3.config import OPTIONS, VARIABLES_HELP, ConfigError, Endpoint, Option, Settings

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop

BACKLOG: Final = 1024
STORES: Final = {
    "pg": ("post3.storage.postgres.backend", "post3.storage.postgres.embedded"),
    "fs": ("post3.storage.filesystem.backend",),
    "memory": (),
}
"""The modules that a store's workers need, and no other's."""


def add_serve(commands: argparse._SubParsersAction[Any]) -> None:
    """Add the subcommand to the parser."""
    parser = commands.add_parser(
        "serve",
        help="serve S3",
        description="Serve S3. Each option has an environment variable that says the same; the option wins.",
        epilog=VARIABLES_HELP,
        allow_abbrev=False,
    )
    for option in OPTIONS:
        add_option(parser, option)
    parser.set_defaults(run=serve, parser=parser)


def add_option(parser: argparse.ArgumentParser, option: Option) -> None:
    """Add an option to a parser, with its variable and default."""
    variable = f"{option.variable}=0" if option.is_on else option.variable
    text = f"{option.help} [{variable}; default: {option.default}]".replace("%", "%%")
    if option.repeats:
        parser.add_argument(
            option.flag, dest=option.field, metavar=option.metavar, help=text, default=argparse.SUPPRESS, action=_Joined
        )
        return
    if option.metavar:
        parser.add_argument(
            option.flag, dest=option.field, metavar=option.metavar, help=text, default=argparse.SUPPRESS
        )
        return
    for flag, value in ((option.flag, "1"), (option.flag.replace("--", "--no-", 1), "0")):
        parser.add_argument(
            flag,
            dest=option.field,
            action="store_const",
            const=value,
            help=text if (value == "0") == option.is_on else argparse.SUPPRESS,
            default=argparse.SUPPRESS,
        )


class _Joined(argparse.Action):
    """All values of a flag that repeats, between commas, as its variable has them."""

    def __call__(
        self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: Any, option_string: Any = None
    ) -> None:
        before = getattr(namespace, self.dest, None)
        setattr(namespace, self.dest, values if before is None else f"{before},{values}")


def serve(arguments: argparse.Namespace) -> int:
    """Serve until SIGINT or SIGTERM; the exit status."""
    # Until there is something to finish, a signal ends it at once. An exception could be lost in somebody's import.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: os._exit(0))
    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s: %(message)s", level=logging.WARNING)
    try:
        settings = Settings.load(
            {name: value for name, value in vars(arguments).items() if name not in ("run", "parser")}
        )
        settings.check()
        listening = listen(settings.endpoint, settings.workers)
    except ConfigError as error:
        return complain(str(error))
    tell = partial(_tell, settings, listening[0].getsockname())
    if settings.workers == 1:
        wrong = work(settings, listening, 0, tell)
    else:
        for module in ("post3.app", "post3.dispatch", *STORES[settings.backend]):
            import_module(module)  # once for all workers, who share it
        _loop_factory()
        wrong = supervise(settings.workers, partial(work, settings, listening), tell, partial(_close, listening))
    return complain(wrong) if wrong else 0


def _close(listening: list[socket.socket]) -> None:
    for one in listening:
        one.close()


def complain(message: str) -> int:
    """Say in one line what is wrong; the exit status for it."""
    print(f"post3 serve: {' '.join(message.split())}", file=sys.stderr, flush=True)
    return 2


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
) -> str:
    """Serve on the socket of this number until SIGTERM (or SIGINT, or the end of the pipe `parent`).

    `ready` is told who may read and write. Why it could not start, or "".
    """
    own = listening[number]
    _close([one for one in listening if one is not own])
    own.setblocking(False)
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        return runner.run(_work(settings, own, ready, parent))


def _heed_signals(parent: int | None) -> asyncio.Event:
    """What is set by SIGTERM, by SIGINT, and by the end of the parent; called by a loop that runs.

    uvloop forgets a signal that comes between add_signal_handler and its first turn.
    """
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    for one in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(one, stop.set)
    if parent is not None:
        # Ctrl-C reaches all processes of a terminal; the parent says when to stop.
        loop.add_signal_handler(signal.SIGINT, lambda: None)
        loop.add_reader(parent, _orphaned, loop, parent, stop)
    return stop


def _orphaned(loop: AbstractEventLoop, parent: int, stop: asyncio.Event) -> None:
    loop.remove_reader(parent)
    stop.set()


async def _work(settings: Settings, listening: socket.socket, ready: Callable[[str], None], parent: int | None) -> str:
    stop = _heed_signals(parent)
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
    host, port = address[:2]
    workers = f", {settings.workers} workers" if settings.workers > 1 else ""
    scheme = "http" if settings.tls_cert is None else "https"
    print(
        f"post3 {__version__} serves {scheme}://{Endpoint(host, port)} from {store_name(settings)}{workers}. {who_may}",
        flush=True,
    )


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
