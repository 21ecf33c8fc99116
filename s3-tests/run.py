"""Runs the Ceph s3-tests against post3 on one of its stores, and holds the outcome to known-failures.txt.

    python s3-tests/run.py --backend fs            the areas that post3 serves
    python s3-tests/run.py --backend pg --only acl --only cors
    python s3-tests/run.py --dry                   what would run

The suite itself is not part of post3: `s3-tests/upstream` (a git submodule) or the folder that S3TESTS_DIR names. What
it needs is in the dependency group `compliance`. A test that fails and is not listed fails the run, and so does one
that is listed and passes. A run of all areas writes its figures into docs/conformance.md.
"""

from __future__ import annotations

import argparse
import base64
import configparser
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple, TypeAlias
from xml.etree import ElementTree

HERE: Final = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from tests.databases import passable_folder  # noqa: E402  # behind the path that finds it
from tests.servers import post3_serve  # noqa: E402

COMMIT: Final = "8f0ae7b404a3a2fcf7038bf1e6bf29544fe9b6a3"
NEEDS: Final = ("boto3", "httplib2", "isodate", "lxml", "munch", "pytest_timeout", "pytz", "requests", "xdist", "yaml")
SERVED: Final = (
    "acl",
    "anonymous/raw",
    "auth/http",
    "auth/http (sigv2)",
    "bucket encryption",
    "bucket policy",
    "buckets",
    "checksum",
    "conditional read",
    "conditional write",
    "copy",
    "cors",
    "delete-batch",
    "encryption sse-kms",
    "encryption sse-s3",
    "listing-v1",
    "listing-v2",
    "metadata/headers",
    "multipart",
    "object attributes",
    "object ownership",
    "objects",
    "post-object form",
    "presigned",
    "public access block",
    "ranges",
    "tagging",
    "versions",
)
"""Areas that post3 serves."""
ALONE: Final = frozenset({"test_s3.py::test_list_buckets_paginated"})
"""Wants that its user owns nothing else meanwhile."""
ALL: Final = "all"
OUTPUT: Final = Path(tempfile.gettempdir()) / "post3-s3-tests.txt"
"""What the suite printed last."""
PAGE: Final = HERE.parent / "docs" / "conformance.md"
Figures: TypeAlias = dict[str, tuple[int, int]]
"""By area: passed, and of how many."""
TIME_LIMIT: Final = 120
"""Seconds for one test."""
BACKENDS: Final = ("fs", "pg", "memory")


class Failure(NamedTuple):
    """A test that is known to fail."""

    test: str
    backend: str
    """`fs`, `pg`, `memory`, or `*` for all."""
    reason: str


class Outcome(NamedTuple):
    """What became of a test."""

    test: str
    """file::function, with its parameters."""
    passed: bool
    told: str


def areas() -> dict[str, str]:
    """The area of each of the suite's functions, `file::function`; several are joined by a comma."""
    lines = (HERE / "areas.tsv").read_text(encoding="utf-8").splitlines()
    return dict(line.split("\t") for line in lines)


def known_failures() -> list[Failure]:
    """The list, from its file. Raises ValueError for a line that is none."""
    found = []
    for number, line in enumerate((HERE / "known-failures.txt").read_text(encoding="utf-8").splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        test, backend, reason = (*line.split(None, 2), "", "")[:3]
        if backend not in (*BACKENDS, "*") or not reason:
            raise ValueError(f"known-failures.txt, line {number}: a test, a backend (or *), and a reason")
        found.append(Failure(test, backend, reason))
    return found


def function_of(test: str) -> str:
    """A test without its parameters."""
    return test.partition("[")[0]


def suite() -> Path:
    """Where the suite is. Exits with a sentence when it is nowhere, or another one."""
    place = Path(os.environ.get("S3TESTS_DIR") or HERE / "upstream")
    if not (place / "s3tests/functional/test_s3.py").exists():
        sys.exit(
            f"There is no s3-tests suite in {place}: run git submodule update --init s3-tests/upstream, or name a "
            f"checkout of commit {COMMIT} in S3TESTS_DIR."
        )
    head = subprocess.run(["git", "-C", place, "rev-parse", "HEAD"], capture_output=True, text=True, check=False)
    if head.returncode == 0 and head.stdout.strip() != COMMIT:
        print(f"warning: the suite is at {head.stdout.strip()}, not at {COMMIT}", file=sys.stderr)
    return place


def users(template: str) -> str:
    """The users file that fits the configuration."""
    parser = configparser.ConfigParser(interpolation=None)
    parser.read_string(template)
    sections = [parser[name] for name in parser.sections() if "access_key" in parser[name]]
    return json.dumps(
        {
            "users": [
                {
                    "id": section["user_id"],
                    "display_name": section.get("display_name", section["user_id"]),
                    "email": section["email"],
                    "keys": [{"access_key": section["access_key"], "secret_key": section["secret_key"]}],
                }
                for section in sections
            ]
        }
    )


def master_keys() -> dict[str, object]:
    """The file of master keys, made for this run: those that the configuration names."""
    names = ("testkey-1", "testkey-2")
    return {"default": names[0], "keys": {name: base64.b64encode(os.urandom(32)).decode() for name in names}}


@contextmanager
def server(backend: str, workers: int, folder: Path) -> Iterator[int]:
    """A post3 with the suite's users and master keys; its port."""
    file = folder / "users.json"
    file.write_text(users((HERE / "s3tests.conf.in").read_text(encoding="utf-8")), encoding="utf-8")
    keys = folder / "master-keys.json"
    keys.write_text(json.dumps(master_keys()), encoding="utf-8")
    flags = ["--backend", backend, "--users", str(file), "--master-keys", str(keys)]
    flags += ["--allow-sigv2", "--durability", "relaxed"]
    if backend != "memory":
        flags += ["--data-dir", str(folder / "data"), "--workers", str(workers)]
    with post3_serve(*flags, cwd=folder) as running:
        yield running.port


def run_suite(place: Path, port: int, folder: Path, tests: Sequence[str], parallel: int) -> list[Outcome]:
    """Run these tests; what became of each."""
    conf, report = folder / "s3tests.conf", folder / "report.xml"
    conf.write_text(
        (HERE / "s3tests.conf.in").read_text(encoding="utf-8").replace("@PORT@", str(port)), encoding="utf-8"
    )
    command = [sys.executable, "-m", "pytest", "-q", "--no-header", "-p", "no:cacheprovider", "--tb=short"]
    command += [f"--junitxml={report}", f"--timeout={TIME_LIMIT}", "-o", "junit_family=xunit1"]
    command += ["-n", str(parallel)] if parallel > 1 else []
    environment = {**os.environ, "S3TEST_CONF": str(conf), "AWS_MAX_ATTEMPTS": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    with open(folder / "output.txt", "ab") as output:
        subprocess.run(
            [*command, *(f"s3tests/functional/{test}" for test in tests)],
            cwd=place,
            env=environment,
            stdout=output,
            stderr=output,
            check=False,
        )
    if not report.exists():
        sys.exit((folder / "output.txt").read_text(encoding="utf-8", errors="replace")[-5000:])
    return read_report(report)


def read_report(report: Path) -> list[Outcome]:
    """The outcomes in a report. Skipped is not passed; nor is a test whose teardown failed, which is told by itself."""
    troubles: dict[str, list[str]] = {}
    for case in ElementTree.parse(report).iter("testcase"):  # noqa: S314  # written by pytest just now
        test = f"{case.get('classname', '').rpartition('.')[2]}.py::{case.get('name')}"
        told = [f"{child.tag}: {child.get('message', '')}" for child in case if child.tag in _TROUBLES]
        troubles.setdefault(test, []).extend(told)
    return [Outcome(test, not told, "; ".join(told)) for test, told in troubles.items()]


_TROUBLES: Final = frozenset({"failure", "error", "skipped"})


def judge(outcomes: Sequence[Outcome], backend: str, selected: set[str]) -> list[str]:
    """What is not as the list of known failures says, a line each."""
    listed = {failure.test: failure for failure in known_failures() if failure.backend in (backend, "*")}
    wrong = []
    for outcome in outcomes:
        is_listed = outcome.test in listed or function_of(outcome.test) in listed
        if not outcome.passed and not is_listed:
            wrong.append(f"failed, and is not listed: {outcome.test}: {outcome.told[:300]}")
        elif outcome.passed and is_listed:
            wrong.append(f"passed, but is listed as failing: {outcome.test}")
    ran = {function_of(outcome.test) for outcome in outcomes}
    wrong += [f"did not run: {test}" for test in sorted(selected - ran)]
    wrong += [f"listed, but the suite has no such test: {test}" for test in listed if function_of(test) not in areas()]
    return wrong


def figures(outcomes: Sequence[Outcome], known: Mapping[str, str]) -> Figures:
    """For each area, and for `all`, how many functions passed, and how many ran. One passes if all its tests do."""
    by_function: dict[str, bool] = {}
    for outcome in outcomes:
        function = function_of(outcome.test)
        by_function[function] = by_function.get(function, True) and outcome.passed
    total, passed = Counter[str](), Counter[str]()
    for function, is_passed in by_function.items():
        for area in (known[function], ALL):
            total[area] += 1
            passed[area] += is_passed
    return {area: (passed[area], total[area]) for area in total}


def table(columns: Mapping[str, Figures]) -> list[str]:
    """A Markdown table: a row for each area, a column for each backend."""
    areas = {area for found in columns.values() for area in found}
    rows = [
        f"| {area} | {' | '.join(_of(found.get(area)) for found in columns.values())} |"
        for area in sorted(areas, key=lambda area: (area == ALL, area))
    ]
    return [f"| area | {' | '.join(columns)} |", f"|---{'|---' * len(columns)}|", *rows]


def _of(figure: tuple[int, int] | None) -> str:
    return "" if figure is None else f"{figure[0]} of {figure[1]}"


def read_table(text: str) -> dict[str, Figures]:
    """The columns of the page's table."""
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("|")]
    columns: dict[str, Figures] = {}
    for row in rows[2:]:
        for backend, cell in zip(rows[0][1:], row[1:], strict=True):
            passed, _, total = cell.partition(" of ")
            if total:
                columns.setdefault(backend, {})[row[0]] = (int(passed), int(total))
    return columns


def write_page(backend: str, found: Figures) -> None:
    """Put the figures of one backend into docs/conformance.md, with the list of known failures."""
    columns = read_table(PAGE.read_text(encoding="utf-8")) if PAGE.exists() else {}
    columns[backend] = found
    failures = [
        f"- `{failure.test}`{'' if failure.backend == '*' else f' ({failure.backend})'}: {failure.reason}"
        for failure in known_failures()
    ]
    lines = [
        "# Conformance",
        "",
        f"What passes of the [Ceph s3-tests](https://github.com/ceph/s3-tests) at commit {COMMIT[:12]}, in test",
        "functions, in the areas that post3 serves. Written by `python s3-tests/run.py --backend fs` (and `pg`), which",
        "fails when any test does otherwise than is said here.",
        "",
        *table({name: columns[name] for name in BACKENDS if name in columns}),
        "",
        "## Known failures",
        "",
        "Every function of these areas that does not pass, with the reason:",
        "",
        *failures,
        "",
    ]
    PAGE.write_text("\n".join(lines), encoding="utf-8")


def select(only: Sequence[str], known: Mapping[str, str]) -> list[str]:
    """The functions of these areas, or of all that post3 serves."""
    unknown = set(only) - {area for joined in known.values() for area in joined.split(", ")}
    if unknown:
        sys.exit(f"There is no area {', '.join(sorted(unknown))}; --dry tells which there are.")
    wanted = set(only or SERVED)
    return [test for test, area in known.items() if set(area.split(", ")) <= wanted]


def main() -> None:
    """Run it; the exit status is 1 when anything is not as the list says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backend", choices=BACKENDS, default="fs", help="the store (default: %(default)s)")
    parser.add_argument("--only", action="append", default=[], metavar="AREA", help="this area alone; may repeat")
    parser.add_argument("--dry", action="store_true", help="tell what would run")
    parser.add_argument("--parallel", type=int, default=2, metavar="N", help="tests at a time (default: %(default)s)")
    parser.add_argument("--workers", type=int, default=1, metavar="N", help="of the server (default: %(default)s)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every outcome there, as JSON")
    chosen = parser.parse_args()
    known = areas()
    tests = select(chosen.only, known)
    if chosen.dry:
        print("\n".join(f"{known[test]}: {test}" for test in sorted(tests, key=lambda test: (known[test], test))))
        print(f"{len(tests)} functions")
        return
    place = suite()
    if missing := [name for name in NEEDS if importlib.util.find_spec(name) is None]:
        sys.exit(f"The suite needs {', '.join(missing)}: pip install --group compliance.")
    with passable_folder() as folder, server(chosen.backend, chosen.workers, folder) as port:
        together = [test for test in tests if test not in ALONE]
        outcomes = run_suite(place, port, folder, together, chosen.parallel) if together else []
        for test in ALONE.intersection(tests):
            (folder / "report.xml").unlink(missing_ok=True)
            outcomes += run_suite(place, port, folder, [test], 1)
        shutil.copy(folder / "output.txt", OUTPUT)
    wrong = judge(outcomes, chosen.backend, set(tests))
    if chosen.json:
        told = {"backend": chosen.backend, "outcomes": [outcome._asdict() for outcome in outcomes]}
        chosen.json.write_text(json.dumps(told, indent=1), encoding="utf-8")
    found = figures(outcomes, known)
    if not chosen.only:
        write_page(chosen.backend, found)
    print("\n".join([f"s3-tests {COMMIT[:12]}", "", *table({chosen.backend: found}), ""]))
    print("\n".join([*wrong, f"{len(wrong)} unexpected; the suite's output: {OUTPUT}"]) if wrong else "As expected.")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
