"""The command that prints what completes `post3` in a shell, and how Bash asks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import click
from click.shell_completion import BashComplete, CompletionItem, add_completion_class, get_completion_class

from post3.cli.commands import COMPLETE_VARIABLE, Command

PLAIN: Final = "COMPREPLY+=($value)"


class Bash(BashComplete):
    """Bash cuts words at colons: `s3://bucket` comes as `s3`, `:`, `//bucket`, and the last of them is replaced."""

    # No space behind a folder, which goes on.
    source_template = BashComplete.source_template.replace(PLAIN, f"{PLAIN}; [[ $value == */ ]] && compopt -o nospace")
    cut = ""

    def get_completion_args(self) -> tuple[list[str], str]:
        """The words before the one at the cursor, and that one, as they were typed."""
        args, incomplete = super().get_completion_args()
        *words, last = joined([*args, incomplete])
        self.cut = last.removesuffix(incomplete) if incomplete != ":" else "s3:"
        return words, last

    def format_completion(self, item: CompletionItem) -> str:
        """What takes the place of the word at the cursor, as Bash sees it."""
        item.value = str(item.value).removeprefix(self.cut)
        return super().format_completion(item)


def joined(words: Sequence[str]) -> list[str]:
    """The words with those that were cut at the colon of `s3:` put together."""
    whole: list[str] = []
    for word in words:
        if whole and (whole[-1] == "s3:" or (whole[-1] == "s3" and word.startswith(":"))):
            whole[-1] += word
        else:
            whole.append(word)
    return whole


add_completion_class(Bash, "bash")


@click.command(
    "completion",
    cls=Command,
    epilog='\b\nbash:  eval "$(post3 completion bash)"\nzsh:   eval "$(post3 completion zsh)"\n'
    "fish:  post3 completion fish | source",
)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]), help="whose language to print it in")
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print the script that completes post3's commands, options, buckets and keys in a shell (bash from 4.4 on).

    For buckets and keys the server of --endpoint, or of the environment, is asked for a second at most.
    """
    of_shell: Any = get_completion_class(shell)
    print(of_shell(ctx.find_root().command, {}, "post3", COMPLETE_VARIABLE).source())
