"""`python -m tests.clients`: every client by every way, and a table of what came of it (`tox -e clients`)."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from tests.clients.going import OK, go_round
from tests.clients.programs import CLIENTS, Missing
from tests.clients.ways import STYLES, TRANSPORTS, serving
from tests.databases import passable_folder

STORES = {
    "fs": ["--backend", "fs", "--data-dir", "data", "--durability", "relaxed"],
    "pg": ["--backend", "pg", "--data-dir", "data", "--durability", "relaxed"],
    "memory": ["--backend", "memory"],
}
Results = dict[tuple[str, str], str]
"""What came of it, by client and way."""


def installed(names: list[str]) -> dict[str, list[str] | str]:
    """Each client's command, or why there is none."""
    found: dict[str, list[str] | str] = {}
    for name in names:
        try:
            found[name] = CLIENTS[name]()
        except Missing as missing:
            found[name] = str(missing)
    return found


def try_transport(transport: str, store: list[str], folder: Path, commands: Mapping[str, list[str] | str]) -> Results:
    """All clients in both styles, at one server; each is told of when it is done."""
    results = {}
    with serving(transport, store, folder) as ways:
        for way in ways:
            for client, command in commands.items():
                began = time.monotonic()
                result = command if isinstance(command, str) else go_round(command, way)
                results[client, f"{transport}, {way.style}"] = result
                print(f"{client}, {transport}, {way.style}: {result} ({time.monotonic() - began:.1f} s)", flush=True)
    return results


def table(clients: list[str], results: Results) -> str:
    """The results as Markdown."""
    ways = [f"{transport}, {style}" for transport in TRANSPORTS for style in STYLES]
    rows = [["client", *ways], ["---"] * (len(ways) + 1)]
    rows += [[client, *(results[client, way].replace("|", "\\|") for way in ways)] for client in clients]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def main() -> int:
    """0 when every client went the round by every way."""
    parser = argparse.ArgumentParser(prog="python -m tests.clients", description=__doc__)
    parser.add_argument("--client", action="append", choices=CLIENTS, metavar="NAME", help=", ".join(CLIENTS))
    parser.add_argument("--backend", choices=STORES, default="fs")
    given = parser.parse_args()
    clients = given.client or list(CLIENTS)
    commands = installed(clients)
    results: Results = {}
    for transport in TRANSPORTS:
        with passable_folder() as folder:
            results |= try_transport(transport, STORES[given.backend], folder, commands)
    print(table(clients, results))
    return 0 if set(results.values()) == {OK} else 1


if __name__ == "__main__":
    sys.exit(main())
