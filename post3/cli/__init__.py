"""The program `post3`: the list of its commands."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import click

from post3._version import __version__
from post3.cli.commands import Listed, Program

SERVING: Final = "Serving"
STORES: Final = "Stores"
SHELL: Final = "This program"

COMMANDS: Final = {
    "serve": Listed("post3.cli.server:serve", "serve S3", SERVING),
    "info": Listed("post3.cli.info:info", "what a store holds, and of which version all is", STORES),
    "gc": Listed("post3.cli.store:gc", "free the space of what was replaced or deleted", STORES),
    "copy-store": Listed("post3.cli.copy_store:copy_store", "copy a store into another", STORES),
    "user": Listed("post3.cli.users:user", "add, list and remove users", STORES),
    "key": Listed("post3.cli.users:key", "add, list and remove users' keys", STORES),
    "db": Listed(
        "post3.cli.db:db", "look into the database of a store, dump it, back it up, restore it, upgrade it", STORES
    ),
    "completion": Listed("post3.cli.completion:completion", "print what completes these commands in a shell", SHELL),
}
"""Where each command is, and what it does; nothing is imported before it is named."""

EPILOG: Final = """\b
Exit status:
    0  done
    2  wrong usage or settings
  130  stopped by Ctrl-C
  141  nobody read on (a broken pipe)"""

program: Final = click.version_option(__version__, prog_name="post3", message="%(prog)s %(version)s")(
    Program(COMMANDS, help="S3-compatible object storage that runs anywhere.", epilog=EPILOG)
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; the exit status."""
    return program.main(arguments, standalone_mode=False)
