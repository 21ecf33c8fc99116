"""The round by s5cmd."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence

from tests.clients.commands import Command, folder, program, source
from tests.clients.rounds import BUCKET
from tests.clients.steps import Unseekable, said


class S5cmd(Command):
    """At an address of one's own it uses the path."""

    version = said(program(), "version").decode().strip().removeprefix("v").partition("-")[0]
    options = ("--endpoint-url", os.environ["AWS_ENDPOINT_URL"])

    def speaks(self, key: str) -> bool:
        return not key.endswith("/")  # it takes it for a folder to put the file in

    def make_bucket(self) -> None:
        self.do("mb", self.where)

    def has_bucket(self) -> bool:
        return f"s3://{BUCKET}" in self.do("ls").split()

    def put(self, key: str, data: bytes) -> None:
        self.do("cp", "--raw", source(data), self.url(key))

    def get(self, key: str) -> bytes:
        return self.raw("cat", "--raw", self.url(key))

    def put_in_parts(self, key: str, data: bytes) -> None:
        self.do("cp", "--part-size", "5", source(data), self.url(key))

    def put_stream(self, key: str, stream: Unseekable) -> None:
        self.do("pipe", "--part-size", "5", self.url(key), stdin=stream.read())

    def put_described(self, key: str, content_type: str, metadata: dict[str, str]) -> None:
        words = [word for name, value in metadata.items() for word in ("--metadata", f"{name}={value}")]
        self.do("cp", *words, "--content-type", content_type, source(b""), self.url(key))

    def description(self, key: str) -> tuple[str, dict[str, str]]:
        got = json.loads(self.do("head", self.url(key)))
        return got["content_type"], {name.lower(): value for name, value in got["metadata"].items()}

    def put_many(self, keys: Sequence[str]) -> None:
        self.do("cp", f"{folder(keys)}/", self.url("many/"))

    def listed(self, prefix: str) -> list[str]:
        try:
            lines = self.do("--json", "ls", self.url(f"{prefix}*")).splitlines()
        except AssertionError as error:
            if "no object found" in str(error):  # to it an empty list is a failure
                return []
            raise
        return [json.loads(line)["key"].removeprefix(f"{self.where}/") for line in lines]

    def copy(self, source: str, target: str) -> None:
        self.do("cp", "--raw", self.url(source), self.url(target))

    def presigned_get(self, key: str) -> str:
        return self.do("presign", "--expire", "5m", self.url(key)).strip()

    def put_as_stranger(self, key: str) -> None:
        self.do("cp", source(b"by a stranger"), self.url(key), secret="wrong")

    def delete(self, keys: Sequence[str]) -> None:
        self.do("rm", self.url("*"))

    def remove_bucket(self) -> None:
        self.do("rb", self.where)


if __name__ == "__main__":
    S5cmd().go()
