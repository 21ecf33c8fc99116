"""Real input, real clients, real crashes: what a release has to stand, run by hand (`tox -e acceptance`).

A tree of some 5,000 files goes up and down by `aws s3 sync`, a file of 2 GiB by multipart, with the server's memory
watched; a thousand races of DeleteBucket against PUT lose nothing; two hundred racing writers make one object; an
upload and a download that take a minute end whole with a grace period of one second; a server killed under load, and
the PostgreSQL behind it, serve all that was answered. Each step prints what it saw, and fails with a sentence.
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
from contextlib import closing, contextmanager, suppress
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
    """A process and all below it, in whichever thread they were born; a PostgreSQL is a family of its own."""
    children: list[str] = []
    try:
        for thread in Path(f"/proc/{pid}/task").iterdir():
            children += (thread / "children").read_text(encoding="ascii").split()
    except (FileNotFoundError, ProcessLookupError):
        return [pid] if Path(f"/proc/{pid}").exists() else []
    return [pid, *(one for child in map(int, children) if not is_postgres(child) for one in family(child))]


def is_postgres(pid: int) -> bool:
    """Whether it is a PostgreSQL that somebody else started."""
    try:
        return Path(f"/proc/{pid}/comm").read_text(encoding="utf-8").strip() == "postgres"
    except (FileNotFoundError, ProcessLookupError):
        return False


def postgres_of(work: Path) -> list[int]:
    """The PostgreSQL in the data directory: the process that leads, and all below it."""
    leader = int((work / "data/pg/data/postmaster.pid").read_text(encoding="utf-8").splitlines()[0])
    children = Path(f"/proc/{leader}/task/{leader}/children").read_text(encoding="ascii").split()
    return [leader, *map(int, children)]


def kill(pids: list[int]) -> None:
    """Kill them all, those that have not ended before."""
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


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


@dataclass
class Answered:
    """What a server answered while it took files: key and MD5 of each object that was answered 200 last."""

    objects: dict[str, str] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)
    refused: int = 0

    def upload(self, server: Server, seed: int, ended: threading.Event) -> None:
        """Put objects until told to end, or the server is gone."""
        chance = random.Random(seed)
        for number in range(100_000):
            data = chance.randbytes(chance.choice([10, 4096, 20_000, 300_000, 3 * MIB]))
            key = f"{seed}-{number % 300}"
            with self.lock:
                self.objects.pop(key, None)
            try:
                status, _ = ask(server, "PUT", f"/killed/{key}", data)
            except (OSError, http.client.HTTPException):
                return
            with self.lock:
                if status == 200:
                    self.objects[key] = hashlib.md5(data, usedforsecurity=False).hexdigest()
                else:
                    assert status == 503, f"PUT answered {status}"
                    self.refused += 1
            if ended.is_set():
                return

    def check(self, server: Server) -> int:
        """What was answered is there, and what is listed can be read; how many are listed."""
        for key, md5 in list(self.objects.items()):
            status, body = ask(server, "GET", f"/killed/{key}")
            assert status == 200, f"{key} was answered 200, and is {status} after the kill: {body!r}"
            assert hashlib.md5(body, usedforsecurity=False).hexdigest() == md5, f"{key} differs after the kill"
        shown = dict(listed(server, "killed"))
        for key, size in shown.items():
            status, body = ask(server, "GET", f"/killed/{key}")
            assert (status, len(body)) == (200, size), f"{key} is listed with {size} bytes and gives {status}"
        return len(shown)


@contextmanager
def load(server: Server, answered: Answered, turn: int) -> Iterator[None]:
    """Eight clients that put objects meanwhile."""
    ended = threading.Event()
    with ThreadPoolExecutor(8) as pool:
        uploads = [pool.submit(answered.upload, server, turn * 100 + number, ended) for number in range(8)]
        try:
            yield
        finally:
            ended.set()
    for upload in uploads:
        upload.result()


def kill_under_load(flags: list[str], work: Path, rounds: int, victims: str) -> None:
    """Kill a server, or its PostgreSQL, or both while it takes files; look for what it had answered, by itself again
    or by the next one.
    """
    answered = Answered()
    for turn in range(rounds):
        with post3_serve(*flags, cwd=work) as server:
            ask(server, "PUT", "/killed")
            with load(server, answered, turn):
                time.sleep(random.Random(turn).uniform(1.0, 4.0))
                kill(
                    (family(server.process.pid) if "post3" in victims else [])
                    + (postgres_of(work) if "PostgreSQL" in victims else [])
                )
                time.sleep(0 if "post3" in victims else 2)
            if "post3" not in victims:
                wait_for(server)
                answered.check(server)
        with post3_serve(*flags, cwd=work) as server:
            shown = answered.check(server)
        print(
            f"  {victims} killed, {turn + 1}: {len(answered.objects)} answered objects whole, {shown} listed"
            f"{f', {answered.refused} refused' if answered.refused else ''}",
            flush=True,
        )


def wait_for(server: Server) -> None:
    """Until it serves again by itself."""
    began = time.monotonic()
    while (status := ask(server, "GET", "/killed")[0]) != 200:
        assert status == 503, f"a listing answered {status}"
        assert time.monotonic() - began < 60, "the server has not come back by itself for a minute"
        time.sleep(0.1)


def slow_transfers(server: Server, seconds: int) -> None:
    """Uploads and downloads that take so long, while what nobody owns is collected after one second."""
    size = 24 * MIB
    data = random.Random(2).randbytes(size)
    ask(server, "PUT", "/slow")
    assert ask(server, "PUT", "/slow/read", data)[0] == 200
    upload_id = multipart(server, "/slow/parts", data[: 6 * MIB])

    def send(path: str) -> int:
        with closing(http.client.HTTPConnection(server.host, server.port, timeout=60)) as connection:
            connection.putrequest("PUT", path)
            connection.putheader("Content-Length", str(size))
            connection.endheaders()
            for piece in paced(data, seconds):
                connection.send(piece)
            return connection.getresponse().status

    def receive(path: str) -> bytes:
        with closing(http.client.HTTPConnection(server.host, server.port, timeout=60)) as connection:
            connection.request("GET", path)
            answer = connection.getresponse()
            got = b"".join(answer.read(size // 120) for _ in paced(data, seconds))
            return got + answer.read()

    with ThreadPoolExecutor(3) as pool:
        sent = [pool.submit(send, path) for path in ("/slow/written", f"/slow/parts?partNumber=2&uploadId={upload_id}")]
        received = pool.submit(receive, "/slow/read")
        time.sleep(2)
        # What is being read is nobody's now.
        assert ask(server, "DELETE", "/slow/read")[0] == 204
        assert [upload.result() for upload in sent] == [200, 200], "a slow upload was refused"
        assert received.result() == data, "a slow download came back different"
    assert ask(server, "GET", "/slow/written")[1] == data
    print(f"  with a grace period of 1 s, two uploads and a download of {seconds} s end whole", flush=True)


def multipart(server: Server, path: str, first: bytes) -> str:
    """Begin an upload with its first part; its id."""
    _, answer = ask(server, "POST", f"{path}?uploads")
    upload_id = fromstring(answer).findtext("{http://s3.amazonaws.com/doc/2006-03-01/}UploadId")  # noqa: S314 - our own
    assert upload_id, answer
    assert ask(server, "PUT", f"{path}?partNumber=1&uploadId={upload_id}", first)[0] == 200
    return upload_id


def paced(data: bytes, seconds: int) -> Iterator[bytes]:
    """The data in 120 pieces, over so many seconds."""
    size = len(data) // 120
    for number in range(120):
        time.sleep(seconds / 120)
        yield data[number * size : (number + 1) * size if number < 119 else len(data)]


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
    parser.add_argument("--slow", type=int, default=60, help="seconds of a slow transfer (default: %(default)s)")
    chosen = parser.parse_args()
    for workers in chosen.workers:
        print(f"{chosen.backend}, {workers} workers", flush=True)
        with tempfile.TemporaryDirectory(prefix="post3-") as folder:
            work = Path(folder)
            work.chmod(0o711)  # where we are root, PostgreSQL runs as somebody else
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
            with post3_serve(*flags, "--gc-grace", "1s", cwd=work) as server:
                slow_transfers(server, chosen.slow)
            for victims in ("post3", "PostgreSQL", "post3 and PostgreSQL") if chosen.backend == "pg" else ("post3",):
                kill_under_load(flags, work, chosen.kills, victims)


if __name__ == "__main__":
    main()
