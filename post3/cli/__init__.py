"""The command `post3`: its parser and its subcommands."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import NoReturn

from post3._version import __version__
from post3.cli import db, server, store, users


class Parser(argparse.ArgumentParser):
    """Tells what is wrong in one line."""

    def error(self, message: str) -> NoReturn:
        """Print the line and exit with status 2."""
        self.exit(2, f"{self.prog}: {message} (see {self.prog} --help)\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a subcommand; the exit status."""
    parser = Parser(prog="post3", description="S3-compatible object storage that runs anywhere.", allow_abbrev=False)
    parser.add_argument("--version", action="version", version=f"post3 {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", parser_class=Parser)
    server.add_serve(commands)
    store.add_gc(commands)
    users.add_user(commands)
    users.add_key(commands)
    db.add_db(commands)
    chosen, unknown = parser.parse_known_args(arguments)
    run = getattr(chosen, "run", None)
    if unknown:
        # Told by the command that does not know it, with its own help.
        (chosen.parser if run else parser).error(f"unrecognized arguments: {' '.join(unknown)}")
    if run is None:
        parser.error(f"name a command: {', '.join(commands.choices)}")
    status: int = run(chosen)
    return status
