"""The round by restic, which keeps a repository of its own making in the bucket: files go in and come back out of it.

Names and metadata are restic's, and its copies and parts none: those steps it has not. It lists its locks past a page.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from tests.clients.commands import Command, program
from tests.clients.rounds import BUCKET
from tests.clients.steps import Lacks, Unseekable, file, said, same, sha256, signed

REPOSITORY = {
    "RESTIC_REPOSITORY": f"s3:{os.environ['AWS_ENDPOINT_URL']}/{BUCKET}",
    "RESTIC_PASSWORD": "tests-of-clients",
    "RESTIC_CACHE_DIR": str(file("restic-cache")),
}
LOCKS = tuple(hashlib.sha256(f"{number}".encode()).hexdigest() for number in range(1100))
"""Names that locks could have."""


class Restic(Command):
    """A key is a file of the last backup."""

    version = said(program(), "version").split()[1].decode()
    refusals = ("Access Denied",)  # the answer to a HEAD has no body
    options = ("--option", f"s3.bucket-lookup={'dns' if os.environ['STYLE'] == 'virtual' else 'path'}")

    def make_bucket(self) -> None:
        self.do("init")

    def has_bucket(self) -> bool:
        return '"id"' in self.do("cat", "config")

    def put(self, key: str, data: bytes) -> None:
        path = Path(os.environ["WORK"], "backup", key)
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(data)
        self.do("backup", path, "--tag", key)

    def get(self, key: str) -> bytes:
        return self.raw("dump", "--tag", key, "latest", Path(os.environ["WORK"], "backup", key))

    def parts(self) -> None:
        raise Lacks  # from 200 MiB on

    def put_stream(self, key: str, stream: Unseekable) -> None:
        self.do("backup", "--stdin", "--stdin-filename", key, "--tag", key, stdin=stream.read())

    def stream(self) -> None:
        with file("large").open("rb") as body:
            self.put_stream("stream", Unseekable(body))
        same(sha256([self.raw("dump", "--tag", "stream", "latest", "/stream")]), sha256([self.large]))

    def ranges(self) -> None:
        """Blobs are ranges of its packs: another file with the same bytes in it is put together of those."""
        self.put("longer", self.small + self.large)
        same(sha256([self.get("longer")]), sha256([self.small, self.large]))
        self.do("check", "--read-data")

    def odd_keys(self) -> None:
        raise Lacks

    def pages(self) -> None:
        signed("-T", os.devnull, keys=[f"locks/{name}" for name in LOCKS])
        same(sorted(self.do("list", "locks", "--no-lock", "--quiet").split()), sorted(LOCKS))

    def presigned(self) -> None:
        raise Lacks

    def put_as_stranger(self, key: str) -> None:
        self.do("cat", "config", secret="wrong")

    def stranger(self) -> None:
        self.do("unlock", "--remove-all")
        super().stranger()

    def deletion(self) -> None:
        same(self.do("list", "locks", "--no-lock", "--quiet").split(), [])
        ids = self.do("list", "snapshots", "--quiet").split()
        same(len(ids), 3)
        self.do("forget", "--prune", *ids)
        same(self.do("list", "snapshots", "--quiet").split(), [])
        same(self.do("list", "packs", "--quiet").split(), [])


if __name__ == "__main__":
    os.environ.update(REPOSITORY)
    Restic().go()
