"""The round by mc, MinIO's client of the command line."""

from __future__ import annotations

import json
import os
import re
import shlex
from collections.abc import Sequence
from pathlib import Path

from tests.clients.commands import Command, folder, program, source
from tests.clients.rounds import BUCKET, TYPE
from tests.clients.steps import Unseekable, curl, file, said, same


def version() -> str:
    """What it says; one that `go install` made says nothing, but has its module's version in it."""
    said_version = said(program(), "--version").split()[2].decode()
    if said_version.startswith("RELEASE"):
        return said_version
    found = re.search(rb"mod\tgithub.com/minio/mc\tv([^\t\n]+)", Path(program()).read_bytes())
    return found[1].decode() if found else said_version


class Mc(Command):
    """Names an object `alias/bucket/key`."""

    version = version()
    options = ("--config-dir", str(file("mc")))
    where = f"post3/{BUCKET}"

    def alias(self, name: str, secret: str) -> None:
        style = "on" if os.environ["STYLE"] == "path" else "off"
        keys = (os.environ["AWS_ACCESS_KEY_ID"], secret)
        self.do("alias", "set", name, os.environ["AWS_ENDPOINT_URL"], *keys, "--path", style)

    def speaks(self, key: str) -> bool:
        return not key.endswith("/")  # it takes it for a folder to put the file in

    def make_bucket(self) -> None:
        self.alias("post3", os.environ["AWS_SECRET_ACCESS_KEY"])
        self.do("mb", self.where)

    def has_bucket(self) -> bool:
        return f"{BUCKET}/" in self.do("ls", "post3").split()

    def put(self, key: str, data: bytes) -> None:
        self.do("cp", source(data), self.url(key))

    def get(self, key: str) -> bytes:
        return self.raw("cat", self.url(key))

    def put_in_parts(self, key: str, data: bytes) -> None:
        self.put(key, data)  # of 16 MiB

    def put_stream(self, key: str, stream: Unseekable) -> None:
        self.do("pipe", self.url(key), stdin=stream.read())

    def get_range(self, key: str, start: int, stop: int) -> bytes:
        return self.raw("cat", "--offset", str(start), self.url(key))[: stop - start]

    def metadata(self) -> None:
        """Its option cannot say a semicolon."""
        self.do("cp", "--attr", f"Content-Type={TYPE};plain=one, two;with-dash=a=b", source(b""), self.url("metadata"))
        got = json.loads(self.do("stat", "--json", self.url("metadata")))["metadata"]
        wanted = {"Content-Type": TYPE, "X-Amz-Meta-Plain": "one, two", "X-Amz-Meta-With-Dash": "a=b"}
        same({name: got.get(name) for name in wanted}, wanted)

    def put_many(self, keys: Sequence[str]) -> None:
        self.do("cp", "--recursive", f"{folder(keys)}/", self.url("many/"))

    def listed(self, prefix: str) -> list[str]:
        lines = self.do("ls", "--recursive", "--json", self.url(prefix)).splitlines()
        return [prefix + json.loads(line)["key"] for line in lines]

    def copy(self, source: str, target: str) -> None:
        self.do("cp", self.url(source), self.url(target))

    def presigned_get(self, key: str) -> str:
        return str(json.loads(self.do("share", "download", "--json", self.url(key)))["share"])

    def presigned(self) -> None:
        """Its link to upload is a form: a POST policy, as words for curl."""
        key = "presigned/a b+ü"
        shared = json.loads(self.do("share", "upload", "--json", self.url(key)))["share"]
        _, *words = shlex.split(shared.replace("<FILE>", str(file("small"))))
        curl(*words)
        same(curl(self.presigned_get(key)), self.small)

    def put_as_stranger(self, key: str) -> None:
        self.alias("stranger", "a-wrong-secret")  # shorter than eight letters it refuses by itself
        self.do("cp", source(b"by a stranger"), f"stranger/{BUCKET}/{key}")

    def delete(self, keys: Sequence[str]) -> None:
        self.do("rm", "--recursive", "--force", self.where)

    def remove_bucket(self) -> None:
        self.do("rb", self.where)


if __name__ == "__main__":
    Mc().go()
