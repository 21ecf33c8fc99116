"""docs/configuration.md, made from the table of settings: `python -m tests.settings_table` writes it."""

from __future__ import annotations

from pathlib import Path

from post3.config import MASTER_KEY, OPTIONS, VARIABLES, VARIABLES_HELP, Option

FILE = Path(__file__).parent.parent / "docs" / "configuration.md"


def page() -> str:
    """The whole page."""
    return "\n".join(
        [
            "# Configuration",
            "",
            "Made from the table of settings by `python -m tests.settings_table`; a test compares them.",
            "",
            "Each option of `post3 serve` has an environment variable that says the same; the option wins. Options "
            "with a • name the store and how it is kept; commands that open one (`gc`, `user`, `key`, `db`, `info`) "
            "take them. There is no file of settings: an environment file (systemd, Compose) is one.",
            "",
            "| option | variable | takes | default | |",
            "|---|---|---|---|---|",
            *(_row(option) for option in OPTIONS),
            "",
            "## By the environment alone",
            "",
            VARIABLES_HELP,
            "",
            "| variable | instead of it | takes |",
            "|---|---|---|",
            *(
                f"| `{one.names[0]}` | {', '.join(f'`{name}`' for name in one.names[1:])} | {_cell(one.rule.allowed)} |"
                for one in (*VARIABLES, MASTER_KEY)
            ),
            "",
        ]
    )


def _row(option: Option) -> str:
    flag = option.flag.replace("--", "--no-", 1) if option.is_on else f"{option.flag} {option.metavar}".strip()
    mark = " •" if option.of_store else ""
    cells = (f"`{flag}`{mark}", f"`{option.variable}`", option.allowed, option.default, option.help)
    return "| " + " | ".join(_cell(cell) for cell in cells) + " |"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    FILE.write_text(page(), encoding="utf-8")
