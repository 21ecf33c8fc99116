"""`python -m tests.clients`: every client against every store, and a table of what came of it (`tox -e clients`).

The first store is tried by all of a client's ways, the others by its first.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.clients.going import OK, Outcome, go_round
from tests.clients.matrix import BEGIN, END, Rounds, failures, table, written
from tests.clients.programs import CLIENTS, EVERY_WAY, Missing, tool
from tests.clients.ways import TRANSPORTS, Way, serving
from tests.databases import passable_folder

STORES = {
    "fs": ["--backend", "fs", "--data-dir", "data", "--durability", "relaxed"],
    "pg": ["--backend", "pg", "--data-dir", "data", "--durability", "relaxed"],
    "memory": ["--backend", "memory"],
}
Commands = Mapping[str, Sequence[str]]
"""By client."""
Ways = Mapping[str, Sequence[str]]
"""By client."""


def installed(names: Sequence[str], is_quick: bool) -> tuple[Commands, Mapping[str, str]]:
    """Each client's command; and of those that are not here, why."""
    commands, missing = {}, {}
    for name in names:
        try:
            if is_quick and CLIENTS[name].program:
                tool(CLIENTS[name].program)
            commands[name] = CLIENTS[name].install()
        except Missing as why:
            missing[name] = str(why)
            print(f"{name}: not here: {why}", flush=True)
    return commands, missing


def ways_of(client: str, asked: Sequence[str], is_first: bool) -> Sequence[str]:
    """The ways that a client goes to a store."""
    return asked or (CLIENTS[client].ways if is_first else CLIENTS[client].ways[:1])


def tell_round(client: str, command: Sequence[str], store: str, name: str, way: Way) -> Outcome:
    """Go a round and tell how it ended."""
    began = time.monotonic()
    outcome = go_round([*command], way)
    print(f"{client}, {store}, {name}: {outcome.failure or OK} ({time.monotonic() - began:.1f} s)", flush=True)
    return outcome


def try_transport(transport: str, store: str, commands: Commands, ways: Ways, jobs: int) -> Rounds:
    """All rounds of one transport, at one server, so many at a time."""
    with (
        passable_folder() as folder,
        serving(transport, STORES[store], folder) as served,
        ThreadPoolExecutor(jobs) as going,
    ):
        rounds = {
            (client, store, name): going.submit(tell_round, client, command, store, name, way)
            for way in served
            for client, command in commands.items()
            if (name := f"{transport} {way.style}") in ways[client]
        }
        return {which: outcome.result() for which, outcome in rounds.items()}


def try_store(store: str, commands: Commands, ways: Ways, jobs: int) -> Rounds:
    """All rounds of one store."""
    rounds: Rounds = {}
    for transport in TRANSPORTS:
        if any(way.startswith(f"{transport} ") for client in commands for way in ways[client]):
            rounds |= try_transport(transport, store, commands, ways, jobs)
    return rounds


def arguments() -> argparse.Namespace:
    """What the command was told."""
    parser = argparse.ArgumentParser(prog="python -m tests.clients", description=__doc__)
    parser.add_argument("--client", action="append", choices=CLIENTS, metavar="NAME", help=", ".join(CLIENTS))
    parser.add_argument("--backend", action="append", choices=STORES, help="again for another (default: fs and pg)")
    parser.add_argument("--way", action="append", choices=EVERY_WAY, help="instead of each client's own ways")
    parser.add_argument("--quick", action="store_true", help="what comes as ready-made packages, by one way")
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="rounds at a time (default: 1)")
    parser.add_argument("--all", action="store_true", help="fail, too, for a client that is not here")
    parser.add_argument("--write", type=Path, metavar="PAGE", help="write the table into this page, between its marks")
    given = parser.parse_args()
    try:  # now, and not when all is run
        written(given.write.read_text(encoding="utf-8") if given.write else f"{BEGIN}{END}", "")
    except (OSError, ValueError) as error:
        parser.error(f"--write: {error}")
    return given


def main() -> int:
    """0 when no round failed."""
    given = arguments()
    began = time.monotonic()
    stores = given.backend or ["fs", "pg"]
    names = given.client or [name for name in CLIENTS if CLIENTS[name].is_quick or not given.quick]
    commands, missing = installed(names, given.quick)
    rounds: Rounds = {}
    for store in stores:
        is_first = store == stores[0] and not given.quick
        rounds |= try_store(store, commands, {name: ways_of(name, given.way, is_first) for name in names}, given.jobs)
    matrix = table(names, rounds, missing)
    failed = failures(rounds)
    print(f"\n{matrix}\n", *failed, f"{', '.join(stores)}: {(time.monotonic() - began) / 60:.1f} minutes.", sep="\n")
    if given.write:
        given.write.write_text(written(given.write.read_text(encoding="utf-8"), matrix), encoding="utf-8")
    return 1 if failed or (given.all and missing) else 0


if __name__ == "__main__":
    sys.exit(main())
