"""The command that prints what completes `post3` in a shell."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from post3.cli.commands import Command

VARIABLE = "_POST3_COMPLETE"


@click.command(
    "completion",
    cls=Command,
    epilog='\b\nbash:  eval "$(post3 completion bash)"\nzsh:   eval "$(post3 completion zsh)"\n'
    "fish:  post3 completion fish | source",
)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]), help="whose language to print it in")
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print the script that completes post3's commands and options in this shell (bash from 4.4 on)."""
    of_shell = get_completion_class(shell)
    assert of_shell is not None  # noqa: S101  # Choice lets in those alone that click knows
    print(of_shell(ctx.find_root().command, {}, "post3", VARIABLE).source())
