"""post3 and others beside it, measured in one run: rates, processor time and memory, and which targets are met.

On Linux, with wrk (Debian: apt-get install wrk). Servers listen on loopback; their stores are in a folder that is gone
at the end, unless --keep names one. docs/performance.md tells how to read what is printed.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

if __name__ == "__main__":
    # Beside the package and not in it; behind what is installed, which is what should be measured.
    sys.path[0:1] = []
    sys.path.append(str(Path(__file__).resolve().parent.parent))

from benchmarks import peers, report
from benchmarks.fill import fill
from benchmarks.peers import LISTS, PLAIN, TLS, Kind, Place, Server
from benchmarks.running import START_UP, Plan, Run, servers, tell
from benchmarks.stores import QUICK, Scale
from benchmarks.workloads import Workload, workloads
from benchmarks.wrk import find_wrk
from post3.storage.filesystem.durable import disk_kind


def main() -> None:
    """Measure, and print a table."""
    arguments = _parser().parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("benchmarks: ended by a signal"))
    scale = QUICK if arguments.quick else Scale()
    plan_seconds = arguments.seconds or (2.0 if arguments.quick else 5.0)
    rounds = arguments.rounds or (1 if arguments.quick else 3)
    wanted = chosen(arguments.only, workloads(scale))
    if arguments.list:
        print("\n".join([*(one.name for one in workloads(scale)), START_UP]))
        return
    find_wrk()
    with _folder(arguments.keep) as folder:
        plan = Plan(plan_seconds, rounds, scale, folder)
        kinds = _placed(_kinds(arguments), {one.group for one in wanted}, folder)
        _fill_lists(kinds, scale)
        run, told = _measure(plan, kinds, arguments.peer, wanted, starts=_wants_starts(arguments.only))
        told |= {"what": "a quick run: these figures show that it works, and nothing else"} if arguments.quick else {}
        _tell(arguments, run, told)  # before the stores are deleted, which takes minutes


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="benchmarks/run.py", description=__doc__)
    parser.add_argument("--rounds", type=int, help="of which the median counts (default: 3)")
    parser.add_argument("--seconds", type=float, help="of each round (default: 5)")
    parser.add_argument("--only", nargs="+", metavar="WORKLOAD", help="these alone; a * stands for anything")
    parser.add_argument("--list", action="store_true", help="print the names of the workloads, and measure nothing")
    parser.add_argument("--quick", action="store_true", help="one short round of everything, with fewer objects")
    parser.add_argument("--backends", default="fs,pg", help="post3's stores, with commas (default: %(default)s)")
    parser.add_argument("--durability", choices=("full", "relaxed", "both"), default="both", help="of post3 fs")
    parser.add_argument(
        "--keep", type=Path, metavar="DIR", help="keep the stores here, and use those of an earlier run"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything there too")
    parser.add_argument("--write", type=Path, metavar="PAGE", help="put the tables into a page, between its marks")
    parser.add_argument(
        "--peer",
        type=_peer,
        action="append",
        default=[],
        metavar="NAME=URL,ACCESS,SECRET,PID",
        help="a server that runs already; may be given several times",
    )
    for name, text in PROGRAMS.items():
        parser.add_argument(f"--{name}", metavar="PATH", help=f"the program of {text}, to be measured too")
    return parser


PROGRAMS = {
    "post3-server": "the predecessor (cargo install post3-server)",
    "versitygw": "versitygw (go install github.com/versity/versitygw/cmd/versitygw@latest)",
    "minio": "MinIO (go install github.com/minio/minio@latest)",
    "rclone": "rclone (go install github.com/rclone/rclone@latest)",
    "weed": "SeaweedFS (go install github.com/seaweedfs/seaweedfs/weed@latest)",
}


def _peer(text: str) -> Server:
    try:
        return peers.parse_peer(text)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r} is no NAME=URL,ACCESS,SECRET,PID of a server that runs, such as "
            "other=http://127.0.0.1:9001,KEY,SECRET,4711"
        ) from None


def _kinds(arguments: argparse.Namespace) -> list[Kind]:
    found = []
    for backend in arguments.backends.split(","):
        if backend not in ("fs", "pg"):
            raise SystemExit(f"benchmarks: --backends knows fs and pg, not {backend!r}")
        if backend == "pg" or arguments.durability != "relaxed":
            found.append(peers.post3(backend))
        if backend == "fs" and arguments.durability != "full":
            found.append(peers.post3(backend, "relaxed"))
    if arguments.post3_server:
        found += [peers.predecessor(arguments.post3_server, backend) for backend in ("fs", "pg")]
    makers = {"versitygw": peers.versitygw, "minio": peers.minio, "rclone": peers.rclone, "weed": peers.weed}
    return found + [make(getattr(arguments, name)) for name, make in makers.items() if getattr(arguments, name)]


def _placed(kinds: Sequence[Kind], groups: set[str], folder: Path) -> list[tuple[Kind, Place]]:
    """Each with a place of its own; those that can also over TLS and with lists alone, where that is measured."""
    certificate = peers.make_certificate(folder) if TLS in groups else None
    with_tls = [
        peers.over_tls(kind) for kind in kinds if kind.name in (peers.FS, peers.PG, peers.VERSITYGW, peers.RCLONE)
    ]
    with_lists = [peers.for_lists(kind) for kind in kinds if kind.name in (peers.FS, peers.PG)]
    wanted = {PLAIN: [*kinds], TLS: with_tls, LISTS: with_lists}
    return [
        (kind, Place(folder / _folder_name(kind), peers.free_port(), certificate if group == TLS else None))
        for group, each in wanted.items()
        for kind in each
        if group in groups or group == PLAIN
    ]


def _folder_name(kind: Kind) -> str:
    return "-".join(filter(None, [kind.name.replace(" ", "-").lower(), kind.group]))


def _fill_lists(kinds: Sequence[tuple[Kind, Place]], scale: Scale) -> None:
    for kind, place in kinds:
        if kind.group == LISTS:
            tell(f"{kind.name} gets buckets of {', '.join(f'{count:,}' for count in scale.lists)} keys")
            place.store.mkdir(parents=True, exist_ok=True)
            place.folder.chmod(0o711)
            fill(kind.backend, place.store, scale.lists)


def chosen(only: Sequence[str] | None, every: Sequence[Workload]) -> list[Workload]:
    """Those that fit a name or pattern; all, where there are none. Raises SystemExit for one that fits nothing."""
    if only is None:
        return list(every)
    for pattern in only:
        if pattern != START_UP and not any(_fits(one.name, pattern) for one in every):
            raise SystemExit(f"benchmarks: there is no workload {pattern!r}; --list tells them all")
    return [one for one in every if any(_fits(one.name, pattern) for pattern in only)]


def _fits(name: str, pattern: str) -> bool:
    return Path(name.replace("/", "_")).match(pattern.replace("/", "_"))


def _wants_starts(only: Sequence[str] | None) -> bool:
    return only is None or START_UP in only


def _measure(
    plan: Plan,
    kinds: Sequence[tuple[Kind, Place]],
    given: Sequence[Server],
    wanted: Sequence[Workload],
    *,
    starts: bool,
) -> tuple[Run, dict[str, str]]:
    with servers(kinds, given) as running:
        run = Run(plan, running)
        for workload in wanted:
            run.measure(workload)
    if starts:
        run.measure_starts(running)
    told = {
        "measured": f"{report.today()}; {plan.rounds} rounds of {plan.seconds:g} seconds, medians",
        **report.machine(),
        "file system": " ".join(sorted({disk_kind(str(place.folder)) for _, place in kinds})) or "not told",
        "post3": f"{version('post3')}, 2 workers",
        **{kind.name: kind.version for kind, _ in kinds if kind.version},
    }
    return run, told


@contextmanager
def _folder(kept: Path | None) -> Iterator[Path]:
    if kept is not None:
        kept.mkdir(parents=True, exist_ok=True)
        yield kept.resolve()
        return
    # On a disk, which /tmp often is not.
    place = "/var/tmp" if os.path.isdir("/var/tmp") else None  # noqa: S108  # a folder of our own is made in it
    with tempfile.TemporaryDirectory(prefix="post3-benchmark-", dir=place) as name:
        folder = Path(name)
        folder.chmod(0o711)
        yield folder


def _tell(arguments: argparse.Namespace, run: Run, told: dict[str, str]) -> None:
    text = report.markdown(run.results, told)
    print(text)
    if arguments.json:
        arguments.json.write_text(report.as_json(run.results, told), encoding="utf-8")
    if arguments.write:
        try:
            report.write_between(arguments.write, text)
        except (OSError, ValueError) as error:
            raise SystemExit(f"benchmarks: --write: {error}") from None


if __name__ == "__main__":
    main()
