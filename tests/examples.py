"""`python -m tests.examples`: every script in examples/ against a live server on both backends (`tox -e examples`).

The server has keys, so that every signature is checked. A script has passed when its status is 0 and it left neither a
bucket nor a file behind.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Final

import boto3

from tests.browser import CHROMIUM, Visit, in_chromium, without_a_browser
from tests.databases import passable_folder
from tests.servers import environment, post3_serve, read_line, started

FOLDER: Final = Path(__file__).parent.parent / "examples"
EXAMPLES: Final = {path.stem: path for path in sorted(FOLDER.iterdir()) if path.suffix in {".py", ".sh"}}
BACKENDS: Final = ("fs", "pg")
SECONDS: Final = 120
KEY: Final = {"AWS_ACCESS_KEY_ID": "admin", "AWS_SECRET_ACCESS_KEY": "open sesame"}
Example = Callable[[Path, Mapping[str, str]], None]
"""Runs in a folder, told all by the environment; raises Failed."""


class Failed(Exception):
    """An example that does not do as it says; the message has what it printed."""


def command(path: Path) -> list[str]:
    """What runs the script."""
    return [sys.executable if path.suffix == ".py" else "bash", str(path)]


def run(path: Path, folder: Path, env: Mapping[str, str]) -> None:
    """A script that ends by itself. Raises Failed."""
    try:
        done = subprocess.run(
            command(path),
            cwd=folder,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=SECONDS,
        )
    except subprocess.TimeoutExpired as error:
        raise Failed(f"it takes longer than {SECONDS} s") from error
    if done.returncode:
        raise Failed(f"status {done.returncode}\n{done.stdout}")


def run_visited(path: Path, visit: Visit, folder: Path, env: Mapping[str, str]) -> None:
    """A script that prints an address and waits for a visitor. Raises Failed."""
    with started(command(path), folder, env) as process:
        try:
            visit(read_line(process).rpartition(" ")[2])
            process.wait(SECONDS)
        except Exception as error:
            raise Failed(f"{type(error).__name__}: {error}\n{process.complained()}") from error
        if process.returncode:
            raise Failed(f"status {process.returncode}\n{process.complained()}")


def ways(name: str) -> dict[str, Example]:
    """The example, or by name each way to run it."""
    path = EXAMPLES[name]
    if name != "browser_upload":
        return {name: partial(run, path)}
    visits = {f"{name}, the form alone": without_a_browser}
    if CHROMIUM:
        visits[f"{name}, in Chromium"] = partial(in_chromium, CHROMIUM)
    return {way: partial(run_visited, path, visit) for way, visit in visits.items()}


def leftovers(url: str, folder: Path) -> list[str]:
    """What there is though every example cleans up: buckets, and files in the folder of temporary ones."""
    s3 = boto3.client(
        "s3",
        endpoint_url=url,
        region_name="us-east-1",
        aws_access_key_id=KEY["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=KEY["AWS_SECRET_ACCESS_KEY"],
    )
    buckets = [f"s3://{bucket.get('Name')}" for bucket in s3.list_buckets()["Buckets"]]
    return buckets + [path.name for path in folder.iterdir()]


def told(url: str, folder: Path) -> dict[str, str]:
    """The environment of the examples: this server, its key, nothing of ours."""
    ours = {name: value for name, value in environment().items() if not name.startswith("AWS_")}
    nothing = {"AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull}
    path = f"{Path(sys.executable).parent}{os.pathsep}{ours['PATH']}"
    return {**ours, **KEY, **nothing, "POST3_ENDPOINT": url, "TMPDIR": str(folder), "PATH": path}


def passes(name: str, example: Example, url: str) -> bool:
    """Run it, and print a line of what came of it."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        try:
            example(folder, told(url, folder))
            left = leftovers(url, folder)
            result = f"left behind {', '.join(left)}" if left else "ok"
        except Failed as failed:
            result = f"failed: {failed}"
    print(f"{name}: {result} ({time.monotonic() - began:.1f} s)", flush=True)
    return result == "ok"


def try_backend(backend: str, names: list[str]) -> bool:
    """Whether all those examples pass at a server on this backend."""
    flags = ["--backend", backend, "--data-dir", "data", "--durability", "relaxed"]
    keys = {"POST3_ACCESS_KEY": KEY["AWS_ACCESS_KEY_ID"], "POST3_SECRET_KEY": KEY["AWS_SECRET_ACCESS_KEY"]}
    with passable_folder() as folder, post3_serve(*flags, cwd=folder, env=keys) as server:
        named = [named for name in names for named in ways(name).items()]
        passed = [passes(f"{backend}, {way}", example, server.url) for way, example in named]
        return all(passed)


def main() -> int:
    """0 when every example passed on every backend."""
    parser = argparse.ArgumentParser(prog="python -m tests.examples", description=__doc__.partition("\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(EXAMPLES))
    parser.add_argument("--backend", choices=BACKENDS, action="append", help="both, unless told")
    given = parser.parse_args()
    if unknown := set(given.names) - set(EXAMPLES):
        parser.error(f"there is no example {', '.join(sorted(unknown))}; there are {', '.join(EXAMPLES)}")
    began = time.monotonic()
    passed = [try_backend(backend, given.names or list(EXAMPLES)) for backend in given.backend or BACKENDS]
    print(f"{'all passed' if all(passed) else 'not all passed'} ({time.monotonic() - began:.1f} s)")
    return 0 if all(passed) else 1


if __name__ == "__main__":
    sys.exit(main())
