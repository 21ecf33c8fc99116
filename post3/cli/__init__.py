"""The program `post3`: the list of its commands."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Final

import click

from post3._version import __version__
from post3.cli.commands import INTERRUPTED, Listed, Program

OBJECTS: Final = "Buckets and objects"
SERVING: Final = "Serving"
STORES: Final = "Stores"
SHELL: Final = "This program"

COMMANDS: Final = {
    "serve": Listed("post3.cli.server:serve", "serve S3", SERVING),
    "ls": Listed("post3.cli.listing:ls", "list buckets, or what is in one", OBJECTS),
    "cp": Listed("post3.cli.copying:cp", "copy files and objects, up, down, or on the server", OBJECTS),
    "mv": Listed("post3.cli.copying:mv", "move them: copy, verify, delete", OBJECTS),
    "rm": Listed("post3.cli.objects:rm", "delete objects", OBJECTS),
    "mb": Listed("post3.cli.buckets:mb", "make buckets", OBJECTS),
    "rb": Listed("post3.cli.buckets:rb", "remove buckets", OBJECTS),
    "cat": Listed("post3.cli.objects:cat", "write objects to standard output", OBJECTS),
    "sync": Listed("post3.cli.syncing:sync", "make one place like another: copy what differs", OBJECTS),
    "presign": Listed("post3.cli.objects:presign", "print a link to an object for whoever has it", OBJECTS),
    "du": Listed("post3.cli.listing:du", "add up the sizes of objects", OBJECTS),
    "info": Listed("post3.cli.info:info", "what a store holds, and of which version all is", STORES),
    "gc": Listed("post3.cli.store:gc", "free the space of what was replaced or deleted", STORES),
    "copy-store": Listed("post3.cli.copy_store:copy_store", "copy a store into another", STORES),
    "user": Listed("post3.cli.users:user", "add, list and remove users", STORES),
    "key": Listed("post3.cli.users:key", "add, list and remove users' keys", STORES),
    "db": Listed(
        "post3.cli.db:db", "look into a store's database, dump it, back it up, restore, empty, upgrade it", STORES
    ),
    "completion": Listed("post3.cli.completion:completion", "print what completes these commands in a shell", SHELL),
}
"""Where each command is, and what it does; nothing is imported before it is named."""

EPILOG: Final = """\b
Exit status:
    0  done
    1  some of it failed
    2  wrong usage or settings
    3  not found
    4  denied
    5  the server cannot be reached
  130  stopped by Ctrl-C
  141  nobody read on (a broken pipe)"""

program: Final = click.version_option(__version__, prog_name="post3", message="%(prog)s %(version)s")(
    Program(COMMANDS, help="S3-compatible object storage that runs anywhere.", epilog=EPILOG)
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; the exit status."""
    status = program.main(arguments, standalone_mode=False)
    if status == INTERRUPTED:
        # A second Ctrl-C leaves threads behind that wait for a silent server, and the interpreter would wait for them.
        sys.stdout.flush()
        os._exit(status)
    return status
