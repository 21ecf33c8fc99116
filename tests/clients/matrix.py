"""The matrix: what came of every client's rounds, as a table that can be written into a page."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from tests.clients.going import NONE, Outcome
from tests.clients.steps import STEPS

BEGIN: Final = "<!-- the matrix, written by python -m tests.clients --write -->"
END: Final = "<!-- end of the matrix -->"
Rounds = dict[tuple[str, str, str], Outcome]
"""By client, store and way."""


def table(clients: Iterable[str], rounds: Rounds, missing: Mapping[str, str]) -> str:
    """A row for each client: its version, its ways and each step; for one that is not here, why."""
    head = ["client", "version", "ways", *STEPS]
    rows = [head, ["---"] * len(head)]
    for client in clients:
        found = {(store, way): outcome for (name, store, way), outcome in rounds.items() if name == client}
        gone = [client, "", f"not here: {missing.get(client)}", *("" for _ in STEPS)]
        rows.append(_row(client, found) if found else gone)
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |" for row in rows)


def failures(rounds: Rounds) -> list[str]:
    """A line for each round that failed."""
    return [f"{', '.join(which)}: {outcome.failure}" for which, outcome in rounds.items() if outcome.failure]


def written(page: str, matrix: str) -> str:
    """The page with the matrix between its marks; rows of clients that were not tried stay. Raises ValueError."""
    before, begin, rest = page.partition(BEGIN)
    old, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the page must have the lines {BEGIN!r} and {END!r}, between which the matrix is written")
    return f"{before}{BEGIN}\n\n{_merged(old, matrix)}\n\n{END}{after}"


def _merged(old: str, new: str) -> str:
    """The new table; with the old one's other rows, when both have the same columns."""
    before, now = old.strip().splitlines(), new.splitlines()
    kept = before if before[:1] == now[:1] else []
    return "\n".join({row.partition(" | ")[0]: row for row in [*kept, *now]}.values())


def _row(client: str, found: Mapping[tuple[str, str], Outcome]) -> list[str]:
    versions = sorted({outcome.version for outcome in found.values()})
    failed = {way for (_, way), outcome in found.items() if outcome.failure}
    ways = dict.fromkeys(f"{way} (failed)" if way in failed else way for _, way in found)
    return [client, ", ".join(versions), ", ".join(ways), *(_cell(step, found.values()) for step in STEPS)]


def _cell(step: str, outcomes: Iterable[Outcome]) -> str:
    """`ok` when it was so in every round, the dash when the client has nothing for it."""
    results: Sequence[str] = sorted({outcome.steps.get(step, "failed") for outcome in outcomes})
    return results[0] if len(results) == 1 else "failed" if "failed" in results else f"{NONE} by some ways"
