"""How a command of `post3` is made: its options from the table of settings, its errors in one line, its exit status.

A command is imported when it is named. The list of all commands is a table of texts (post3/cli/__init__.py), so that
`post3 --help` imports none of them.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from importlib import import_module
from typing import Any, Final, NamedTuple, TypeVar

import click
from click.shell_completion import CompletionItem

from post3.config import ConfigError, Option

F = TypeVar("F", bound=Callable[..., Any])

WRONG: Final = 2
"""The exit status for wrong usage or settings."""
COMPLETE_VARIABLE: Final = "_POST3_COMPLETE"
"""Set when a shell asks what may follow."""
INTERRUPTED: Final = 130
"""As a shell tells of SIGINT."""
BROKEN_PIPE: Final = 141
"""As a shell tells of SIGPIPE."""
CONTEXT: Final = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


class Command(click.Command):
    """A command whose failures are told in one line; invoking it gives the exit status."""

    wrong: tuple[type[Exception], ...] = (ConfigError,)
    """What is wrong usage or settings: told with status 2."""
    stopped: str = "stopped; what was done stays done."
    """What Ctrl-C leaves."""

    def invoke(self, ctx: click.Context) -> int:
        """Run it."""
        try:
            return super().invoke(ctx) or 0
        except BrokenPipeError:
            return _nobody_reads()
        except self.wrong as error:
            return self.told(ctx, error)
        except KeyboardInterrupt:
            complain(ctx, self.stopped)
            return INTERRUPTED

    def told(self, ctx: click.Context, error: Exception) -> int:
        """Tell of a failure; the exit status for it."""
        complain(ctx, str(error))
        return WRONG


class Group(click.Group):
    """Commands of one noun; by itself it only says which there are."""

    command_class = Command

    def __init__(self, *args: Any, **attributes: Any) -> None:
        super().__init__(*args, **{**attributes, "invoke_without_command": True, "callback": _name_a_command})


@click.pass_context
def _name_a_command(ctx: click.Context) -> None:
    if ctx.invoked_subcommand is None:
        assert isinstance(ctx.command, click.Group)  # noqa: S101  # it is the callback of groups
        *most, last = ctx.command.list_commands(ctx)
        ctx.fail(f"name a command: {', '.join(most)} or {last}")


class Listed(NamedTuple):
    """A row of the list of commands."""

    place: str
    """`module:attribute`, imported when the command is named."""
    help: str
    section: str


class Program(Group):
    """All commands, each imported when it is named."""

    def __init__(self, listed: Mapping[str, Listed], **attributes: Any) -> None:
        super().__init__("post3", context_settings=dict(CONTEXT), **attributes)
        self._listed = listed

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Their names, in the order of the table."""
        return list(self._listed)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of this name, or None."""
        if cmd_name not in self._listed:
            return None
        module, _, attribute = self._listed[cmd_name].place.partition(":")
        command: click.Command = getattr(import_module(module), attribute)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the table, by sections."""
        for section in dict.fromkeys(row.section for row in self._listed.values()):
            with formatter.section(section):
                formatter.write_dl([(name, row.help) for name, row in self._listed.items() if row.section == section])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """What begins so."""
        if incomplete.startswith("-"):
            return super().shell_complete(ctx, incomplete)
        return [
            CompletionItem(name, help=row.help) for name, row in self._listed.items() if name.startswith(incomplete)
        ]

    def main(  # type: ignore[override]  # standalone_mode is no overload here
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        **extra: Any,
    ) -> int:
        """Run it; the exit status, with which it ends the process in standalone mode."""
        if COMPLETE_VARIABLE in os.environ:
            import_module("post3.cli.completion")
        status = self._run(args, complete_var, extra)
        if standalone_mode:
            sys.exit(status)
        return status

    def _run(self, args: Sequence[str] | None, complete_var: str | None, extra: dict[str, Any]) -> int:
        try:
            status: int = super().main(args, "post3", complete_var, standalone_mode=False, **extra) or 0
            sys.stdout.flush()
        except click.UsageError as error:
            complain(error.ctx, f"{error.format_message()} (see {_name(error.ctx)} --help)")
            return error.exit_code
        except click.ClickException as error:
            complain(None, error.format_message())
            return error.exit_code
        except click.Abort:
            return INTERRUPTED
        except BrokenPipeError:
            return _nobody_reads()
        return status


def _nobody_reads() -> int:
    """Whoever read has enough; nor may the interpreter's own last flush complain."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    return BROKEN_PIPE


def complain(ctx: click.Context | None, message: str) -> None:
    """Say in one line what is wrong, and which command says so."""
    print(f"{_name(ctx)}: {' '.join(message.split())}", file=sys.stderr, flush=True)


def _name(ctx: click.Context | None) -> str:
    return ctx.command_path if ctx is not None else "post3"


# Options of the table in post3/config.py


class Switch(click.Option):
    """A switch that is shown by what changes its default."""

    def __init__(self, *args: Any, is_on: bool = False, **attributes: Any) -> None:
        super().__init__(*args, **attributes)
        self._shown = (self.secondary_opts if is_on else self.opts)[0]

    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:
        """The one flag, and what it does."""
        return self._shown, self.help or ""


def setting(option: Option) -> Callable[[F], F]:
    """Give a command an option of the table, with its variable and default in the help."""
    variable = f"{option.variable}=0" if option.is_on else option.variable
    text = f"{option.help} [{variable}; default: {option.default}]"
    if option.metavar:
        return click.option(
            option.flag, option.field, metavar=option.metavar, help=text, default=None, multiple=option.repeats
        )
    flags = f"{option.flag}/{option.flag.replace('--', '--no-', 1)}"
    return click.option(flags, option.field, cls=Switch, is_on=option.is_on, help=text, default=None)


def with_settings(options: Sequence[Option]) -> Callable[[F], F]:
    """Give a command options of the table; its function is given them as one mapping, `given`.

    It has the texts of what was given alone, by the names of the fields, as Settings.load takes them.
    """

    def decorate(work: F) -> F:
        @wraps(work)
        def run(**values: Any) -> Any:
            taken = {option.field: values.pop(option.field) for option in options}
            return work(
                given={name: _text(value) for name, value in taken.items() if value not in (None, ())}, **values
            )

        decorated: Any = run
        for option in reversed(options):
            decorated = setting(option)(decorated)
        result: F = decorated
        return result

    return decorate


def _text(value: Any) -> str:
    """As the variable has it: a switch as 1 or 0, all values of an option that repeats between commas."""
    if isinstance(value, bool):
        return "1" if value else "0"
    return ",".join(value) if isinstance(value, tuple) else str(value)
