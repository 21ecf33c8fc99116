"""Real input, real clients, real crashes: what a release has to stand, run by hand (`tox -e acceptance`).

A tree of some 5,000 files goes up and down by `aws s3 sync`, a file of 2 GiB by multipart, with the server's memory
watched; a server killed under load serves all that it answered; a thousand races of DeleteBucket against PUT lose
nothing; two hundred racing writers make one object. Each step prints what it saw, and fails with a sentence.
"""

from __future__ import annotations

import argparse
import filecmp
import hashlib
import http.client
import os
import random
import shutil
import signal
import subprocess
import sys
import sysconfig
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree.ElementTree import fromstring

from tests.servers import Server, end, post3_serve

MIB = 2**20
MEMORY_LIMIT = 150
"""MiB of all the server's processes together."""


@dataclass
class Memory:
    """The most memory that a server's processes had together, in MiB of PSS: shared pages count once."""

    pid: int
    most: float = 0.0
    ended: threading.Event = field(default_factory=threading.Event)

    def watch(self) -> None:
        """Look five times a second, until ended."""
        while not self.ended.wait(0.2):
            self.most = max(self.most, sum(map(pss, family(self.pid))))


def family(pid: int) -> list[int]:
    """A process and all below it."""
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
    except FileNotFoundError:
        return []
    return [pid, *(one for child in children for one in family(int(child)))]


def pss(pid: int) -> float:
    """MiB of a process, shared pages divided among those who share them; 0 when it is gone."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    return sum(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024


@contextmanager
def watched(server: Server, what: str) -> Iterator[None]:
    """Measure a step: its time and the most memory; fails when that is too much."""
    memory, began = Memory(server.process.pid), time.monotonic()
    watcher = threading.Thread(target=memory.watch)
    watcher.start()
    try:
        yield
    finally:
        memory.ended.set()
        watcher.join()
    print(f"  {what}: {time.monotonic() - began:.1f} s, at most {memory.most:.0f} MiB", flush=True)
    assert memory.most < MEMORY_LIMIT, f"{what} took {memory.most:.0f} MiB, over {MEMORY_LIMIT}"


def aws(server: Server, *words: str | Path) -> None:
    """The AWS CLI against the server."""
    command = [Path(sys.executable).parent / "aws", "--no-sign-request", "--endpoint-url", server.url, "s3", *words]
    subprocess.run([*map(str, command), "--only-show-errors"], check=True)


def ask(
    server: Server, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None
) -> tuple[int, bytes]:
    """One request on a connection of its own: with several workers, any of them answers."""
    with closing(http.client.HTTPConnection(server.host, server.port, timeout=60)) as connection:
        connection.request(method, path, body, headers or {})
        answer = connection.getresponse()
        return answer.status, answer.read()


def tree_of_files(target: Path) -> int:
    """Copy some 5,000 files of this Python's own library; how many."""
    count = 0
    for parent, _, names in os.walk(sysconfig.get_path("stdlib")):
        for name in names:
            source = Path(parent) / name
            if count < 5000 and source.is_file() and not source.is_symlink():
                copy = target / source.relative_to(sysconfig.get_path("stdlib"))
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(source, copy)
                count += 1
    return count


def same_tree(one: Path, other: Path) -> bool:
    """Whether two trees hold the same files, byte for byte."""
    names = [sorted(path.relative_to(root) for path in root.rglob("*") if path.is_file()) for root in (one, other)]
    return names[0] == names[1] and not filecmp.cmpfiles(one, other, [str(name) for name in names[0]], shallow=False)[1]


def round_trip_of_a_tree(server: Server, work: Path) -> None:
    """Sync up, sync down, compare."""
    up, down = work / "up", work / "down"
    count = tree_of_files(up)
    ask(server, "PUT", "/tree")
    with watched(server, f"sync of {count} files up"):
        aws(server, "sync", up, "s3://tree")
    with watched(server, f"sync of {count} files down"):
        aws(server, "sync", "s3://tree", down)
    assert same_tree(up, down), "the tree that came back differs"


def round_trip_of_a_large_file(server: Server, work: Path, size: int) -> None:
    """Copy a file up by multipart and down again, compare."""
    up, down = work / "large", work / "large-back"
    block = random.Random(1).randbytes(MIB)
    with up.open("wb") as file:
        for number in range(size // MIB):
            file.write(number.to_bytes(8, "big") + block[8:])
    ask(server, "PUT", "/large")
    with watched(server, f"{size // MIB} MiB up"):
        aws(server, "cp", up, "s3://large/file")
    with watched(server, f"{size // MIB} MiB down"):
        aws(server, "cp", "s3://large/file", down)
    assert filecmp.cmp(up, down, shallow=False), "the file that came back differs"
    for path in (up, down):
        path.unlink()


def kill_under_load(flags: list[str], work: Path, rounds: int) -> None:
    """Kill a server and its workers while it takes files, start it again, and look for what it had answered."""
    answered: dict[str, str] = {}
    lock = threading.Lock()

    def upload(server: Server, seed: int) -> None:
        chance = random.Random(seed)
        for number in range(10_000):
            data = chance.randbytes(chance.choice([10, 4096, 20_000, 300_000, 3 * MIB]))
            key = f"{seed}-{number % 300}"
            with lock:
                answered.pop(key, None)
            try:
                status, _ = ask(server, "PUT", f"/killed/{key}", data)
            except (OSError, http.client.HTTPException):
                return
            if status == 200:
                with lock:
                    answered[key] = hashlib.md5(data, usedforsecurity=False).hexdigest()

    for turn in range(rounds):
        with post3_serve(*flags, cwd=work) as server:
            ask(server, "PUT", "/killed")
            with ThreadPoolExecutor(8) as pool:
                for number in range(8):
                    pool.submit(upload, server, turn * 100 + number)
                time.sleep(random.Random(turn).uniform(1.0, 4.0))
                for pid in family(server.process.pid):
                    os.kill(pid, signal.SIGKILL)
        with post3_serve(*flags, cwd=work) as server:
            shown = dict(listed(server, "killed"))
            for key, md5 in answered.items():
                status, body = ask(server, "GET", f"/killed/{key}")
                assert status == 200, f"{key} was answered 200, and is {status} after the kill"
                assert hashlib.md5(body, usedforsecurity=False).hexdigest() == md5, f"{key} differs after the kill"
            for key, size in shown.items():
                status, body = ask(server, "GET", f"/killed/{key}")
                assert (status, len(body)) == (200, size), f"{key} is listed with {size} bytes and gives {status}"
        print(f"  kill {turn + 1}: {len(answered)} answered objects whole, {len(shown)} listed", flush=True)


def listed(server: Server, bucket: str) -> Iterator[tuple[str, int]]:
    """Key and size of every object."""
    token = ""
    while True:
        query = f"list-type=2{token and '&continuation-token=' + token}"
        page = fromstring(ask(server, "GET", f"/{bucket}?{query}")[1])  # noqa: S314 - our own server's answer
        names = {"s3": "http://s3.amazonaws.com/doc/2006-03-01/"}
        for entry in page.findall("s3:Contents", names):
            yield entry.findtext("s3:Key", "", names), int(entry.findtext("s3:Size", "0", names))
        token = page.findtext("s3:NextContinuationToken", "", names)
        if not token:
            return


def races_of_deletes(server: Server, rounds: int) -> None:
    """DeleteBucket against PUT: an object that was answered 200 is there."""
    both = kept = deleted = 0
    with ThreadPoolExecutor(2) as pool:
        for number in range(rounds):
            bucket = f"race-{number}"
            assert ask(server, "PUT", f"/{bucket}")[0] == 200
            put = pool.submit(ask, server, "PUT", f"/{bucket}/key", b"x" * (20_000 if number % 3 == 0 else 10))
            gone = pool.submit(ask, server, "DELETE", f"/{bucket}")
            stored, removed = put.result()[0], gone.result()[0]
            assert stored in (200, 404), f"PUT answered {stored}"
            assert removed in (204, 409), f"DeleteBucket answered {removed}"
            both += stored == 200 and removed == 204
            if stored == 200:
                kept += 1
                assert ask(server, "GET", f"/{bucket}/key")[0] == 200, f"{bucket}/key was answered 200, and is gone"
                assert ask(server, "DELETE", f"/{bucket}/key")[0] == 204
                assert ask(server, "DELETE", f"/{bucket}")[0] == 204
            else:
                deleted += 1
    print(f"  {rounds} races: {kept} times the object stayed, {deleted} times the bucket went", flush=True)
    assert not both, f"{both} times both were answered with success"


def races_of_writers(server: Server, writers: int, rounds: int) -> None:
    """If-None-Match: * on one key: one writer wins, and it is that one's object."""
    ask(server, "PUT", "/writers")
    for turn in range(rounds):
        path = f"/writers/{turn}"

        def write(number: int, path: str = path) -> int:
            return ask(server, "PUT", path, str(number).encode(), {"If-None-Match": "*"})[0]

        with ThreadPoolExecutor(writers) as pool:
            answers = list(pool.map(write, range(writers)))
        won = [number for number, status in enumerate(answers) if status == 200]
        assert len(won) == 1, f"{len(won)} writers of {writers} were answered 200"
        assert set(answers) <= {200, 412, 409}, set(answers)
        assert ask(server, "GET", path)[1] == str(won[0]).encode()
    print(f"  {rounds} times {writers} writers: one won each time", flush=True)


def main() -> None:
    """Run it all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--backend", default="fs", help="the store (default: %(default)s)")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2], help="once with each (default: 1 2)")
    parser.add_argument("--size", type=int, default=2048, help="MiB of the large file (default: %(default)s)")
    parser.add_argument("--races", type=int, default=1000, help="DeleteBucket against PUT (default: %(default)s)")
    parser.add_argument("--kills", type=int, default=5, help="servers killed under load (default: %(default)s)")
    chosen = parser.parse_args()
    for workers in chosen.workers:
        print(f"{chosen.backend}, {workers} workers", flush=True)
        with tempfile.TemporaryDirectory(prefix="post3-") as folder:
            work = Path(folder)
            flags = ["--backend", chosen.backend, "--data-dir", str(work / "data"), "--workers", str(workers)]
            with post3_serve(*flags, cwd=work) as server:
                round_trip_of_a_tree(server, work)
                round_trip_of_a_large_file(server, work, chosen.size * MIB)
                races_of_deletes(server, chosen.races)
                races_of_writers(server, 200, 3)
                server.process.terminate()
                status, seconds, _, complaints = end(server)
                assert status == 0, f"the server ended with status {status}: {complaints}"
                print(f"  stopped in {seconds:.2f} s", flush=True)
            kill_under_load(flags, work, chosen.kills)


if __name__ == "__main__":
    main()
