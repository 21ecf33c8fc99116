"""Losses of power, for real, under load: run by hand as root on Linux (`tox -e power`).

The store stands on an ext4 of its own, in a file. While twelve clients put and delete, the file system is shut down,
as by a loss of power: at once, with nothing written that was not, its journal as it stands (EXT4_IOC_SHUTDOWN). The
server is killed, the file system mounted again, the server started, and everything that was answered must be there;
what was not answered may be there or not; and lists must show what gets give. With `--durability relaxed` this fails.
"""

from __future__ import annotations

import argparse
import fcntl
import http.client
import os
import random
import signal
import struct
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from xml.etree.ElementTree import fromstring

from tests.servers import Server, post3_serve

SHUTDOWN: Final = 0x8004587D
"""EXT4_IOC_SHUTDOWN."""
NO_FLUSH: Final = 2
CLIENTS: Final = 12
KEYS: Final = 40
"""Of each client."""
SIZES: Final = (0, 100, 4_000, 9_000, 40_000)
"""Nothing, in the sidecar, in a file of its own."""
SHORT: Final = (2.0, 14.0)
"""Seconds before the power goes, at least and at most."""
LONG: Final = 35.0
"""In every third round: a checkpoint is among them."""
_S3: Final = {"s3": "http://s3.amazonaws.com/doc/2006-03-01/"}


def sh(*command: str | Path) -> str:
    """What a command prints. Raises CalledProcessError."""
    return subprocess.run([*map(str, command)], check=True, capture_output=True, text=True).stdout.strip()


@dataclass
class Disk:
    """A file system in a file."""

    device: str
    place: Path

    def lose_power(self) -> None:
        """Forget all that it has not written."""
        fd = os.open(self.place, os.O_RDONLY)
        try:
            fcntl.ioctl(fd, SHUTDOWN, struct.pack("I", NO_FLUSH))
        finally:
            os.close(fd)

    def mount_again(self) -> None:
        """As after a start."""
        sh("umount", self.place)
        sh("mount", self.device, self.place)


@contextmanager
def a_disk(folder: Path) -> Iterator[Disk]:
    """A new ext4, mounted; it is gone afterwards."""
    image, place = folder / "disk.img", folder / "disk"
    place.mkdir()
    with image.open("wb") as file:
        file.truncate(4 * 2**30)
    sh("mkfs.ext4", "-q", "-F", image)
    device = sh("losetup", "--direct-io=on", "--find", "--show", image)
    try:
        sh("mount", device, place)
        try:
            yield Disk(device, place)
        finally:
            sh("umount", place)
    finally:
        sh("losetup", "--detach", device)


def ask(server: Server, method: str, path: str, body: bytes = b"") -> tuple[int, bytes]:
    """One request on a connection of its own."""
    with closing(http.client.HTTPConnection(server.host, server.port, timeout=30)) as connection:
        connection.request(method, path, body)
        answer = connection.getresponse()
        return answer.status, answer.read()


@dataclass
class Truth:
    """What clients were answered, and what they were not."""

    answered: dict[str, bytes | None] = field(default_factory=dict)
    """Bodies by key; None for a key that was deleted."""
    open: dict[int, tuple[str, bytes | None]] = field(default_factory=dict)
    """The change of each client that was under way."""
    count: int = 0

    def check(self, server: Server) -> None:
        """Raise AssertionError for anything that is not as it may be; what was open is known then."""
        there: dict[str, int] = {}
        maybe = list(self.open.values())
        for key in sorted(self.answered.keys() | {key for key, _ in maybe}):
            status, body = ask(server, "GET", f"/power/{key}")
            found = body if status == 200 else None
            assert status in (200, 404), f"{key} was answered {status}: {body[:200]!r}"
            may_be = [self.answered.get(key), *(other for name, other in maybe if name == key)]
            assert found in may_be, f"{key} is {_start(found)}, and none of {[*map(_start, may_be)]}"
            self.answered[key] = found
            if found is not None:
                there[key] = len(found)
        listed = dict(self._listed(server))
        assert listed == there, f"lists and gets differ: {set(listed.items()) ^ set(there.items())}"
        self.open.clear()
        print(f"  {len(self.answered)} keys are as they were answered, {len(there)} of them objects", flush=True)

    @staticmethod
    def _listed(server: Server) -> Iterator[tuple[str, int]]:
        status, page = ask(server, "GET", "/power?list-type=2")
        assert status == 200
        for entry in fromstring(page).findall("s3:Contents", _S3):  # noqa: S314 - from the server under test
            yield str(entry.findtext("s3:Key", "", _S3)), int(entry.findtext("s3:Size", "", _S3))


def _start(body: bytes | None) -> str:
    return "gone" if body is None else repr(body[:40])


def change(server: Server, truth: Truth, client: int, seed: int) -> None:
    """Put and delete one's own keys until the server answers no more."""
    luck, number = random.Random(seed), 0
    with closing(http.client.HTTPConnection(server.host, server.port, timeout=30)) as connection:
        while True:
            number += 1
            key = f"{client}-{luck.randrange(KEYS)}"
            size = luck.choice(SIZES)
            body = None if luck.random() < 0.25 else f"{seed} {number} ".encode().ljust(size, b".")[:size]
            truth.open[client] = key, body
            try:
                connection.request("DELETE" if body is None else "PUT", f"/power/{key}", body or b"")
                answer = connection.getresponse()
                answer.read()
            except (OSError, http.client.HTTPException):
                return
            if answer.status not in (200, 204):
                return
            truth.answered[key] = body
            truth.count += 1
            del truth.open[client]


def work_until_the_power_goes(disk: Disk, server: Server, truth: Truth, number: int) -> None:
    """Put load on the server, take the power away, and kill what is left of it."""
    clients = [
        threading.Thread(target=change, args=(server, truth, client, number * CLIENTS + client))
        for client in range(CLIENTS)
    ]
    before = truth.count
    for client in clients:
        client.start()
    seconds = LONG if number % 3 == 0 else random.uniform(*SHORT)
    time.sleep(seconds)
    disk.lose_power()
    time.sleep(0.3)
    os.killpg(server.process.pid, signal.SIGKILL)
    for client in clients:
        client.join(60)
    print(f"round {number}: {truth.count - before} answers in {seconds:.0f} s, {len(truth.open)} open", flush=True)


def main() -> None:
    """Lose power, and look, as many times as are wanted."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=8, help="losses of power (default: %(default)s)")
    parser.add_argument("--durability", default="full", help="the server's (default: %(default)s)")
    arguments = parser.parse_args()
    rounds, durability = arguments.rounds, ("--durability", arguments.durability)
    with tempfile.TemporaryDirectory(prefix="post3-power-") as name, a_disk(Path(name)) as disk:
        serve = ("--backend", "fs", "--data-dir", str(disk.place / "data"), "--workers", "2", *durability)
        truth = Truth()
        for number in range(rounds):
            with post3_serve(*serve, cwd=Path(name)) as server:
                if number:
                    truth.check(server)
                assert ask(server, "PUT", "/power")[0] == 200
                work_until_the_power_goes(disk, server, truth, number)
            disk.mount_again()
        with post3_serve(*serve, cwd=Path(name)) as server:
            truth.check(server)
    print(f"nothing was lost of {truth.count} answers in {rounds} losses of power")


if __name__ == "__main__":
    main()
