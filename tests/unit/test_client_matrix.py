"""What the client matrix makes of a round's output, and the table that it writes."""

from __future__ import annotations

import pytest

from tests.clients.going import NONE, OK, Outcome, outcome_of
from tests.clients.matrix import BEGIN, END, failures, table, written
from tests.clients.steps import STEPS

ALL = dict.fromkeys(STEPS, OK)
TOLD = ["version 1.2", *(f"ok {step}" for step in STEPS)]


def cells(row: str) -> list[str]:
    return [cell.strip() for cell in row.strip("|").split("|")]


def test_a_round_is_well_when_every_step_was_told_of() -> None:
    assert outcome_of(0, [*TOLD[:3], "a warning", *TOLD[3:]]) == Outcome("1.2", ALL)


def test_a_step_that_the_client_lacks_is_told_as_a_dash() -> None:
    assert outcome_of(0, [f"none {STEPS[0]}" if STEPS[0] in line else line for line in TOLD]).steps[STEPS[0]] == NONE


@pytest.mark.parametrize(
    ("status", "lines"),
    [
        (1, TOLD),
        (0, TOLD[:-1]),
        (0, TOLD[1:]),
        (0, [TOLD[0], *reversed(TOLD[1:])]),
        (0, []),
    ],
)
def test_a_round_fails_by_its_status_or_by_what_it_does_not_tell(status: int, lines: list[str]) -> None:
    assert "exit status" in outcome_of(status, lines).failure


def test_a_failed_step_tells_why() -> None:
    outcome = outcome_of(1, [*TOLD[:2], "failed a small object: got 'a', not 'b'"])
    assert outcome.failure == "failed a small object: got 'a', not 'b'"
    assert failures({("one", "fs", "HTTP path"): outcome, ("two", "fs", "HTTP path"): Outcome("1", ALL)}) == [
        "one, fs, HTTP path: failed a small object: got 'a', not 'b'"
    ]


def test_a_cell_is_ok_only_when_every_round_was() -> None:
    rounds = {
        ("one", "fs", "HTTP path"): Outcome("1", ALL),
        ("one", "pg", "HTTP path"): Outcome("1", {**ALL, STEPS[2]: NONE}),
        ("one", "pg", "TLS path"): Outcome("1", {STEPS[0]: OK}, "failed"),
    }
    head, _, row = map(cells, table(["one"], rounds, {}).splitlines())
    assert row[:3] == ["one", "1", "HTTP path, TLS path (failed)"]
    assert dict(zip(head, row, strict=True)) | {"client": "", "version": "", "ways": ""} == {
        "client": "", "version": "", "ways": "", **dict.fromkeys(STEPS, "failed"), STEPS[0]: OK,
    }  # fmt: skip


def test_a_client_that_is_not_here_is_told_and_never_ok() -> None:
    row = cells(table(["one"], {}, {"one": "needs a|b"}).splitlines()[-1].replace("\\|", "/"))
    assert row == ["one", "", "not here: needs a/b", *[""] * len(STEPS)]


def test_the_table_is_written_between_the_marks_of_a_page() -> None:
    page = f"before\n{BEGIN}\nold\n{END}\nafter"
    assert written(page, "| new |") == f"before\n{BEGIN}\n\n| new |\n\n{END}\nafter"
    assert written(written(page, "x"), "| new |") == written(page, "| new |")
    with pytest.raises(ValueError, match="must have the lines"):
        written("a page", "| new |")


def test_rows_of_clients_that_were_not_tried_stay() -> None:
    rounds = {(name, "fs", "HTTP path"): Outcome(f"{name}-1", ALL) for name in ("one", "two")}
    page = written(f"{BEGIN}{END}", table(["one", "two"], rounds, {}))
    again = written(page, table(["one"], {("one", "fs", "HTTP path"): Outcome("one-2", ALL)}, {}))
    assert [cells(row)[1] for row in again.splitlines() if row.startswith(("| one", "| two"))] == ["one-2", "two-1"]
    assert again.count("| client |") == 1
