"""The round by s3cmd."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from urllib.parse import urlsplit

from tests.clients.commands import Command, program, source
from tests.clients.rounds import BUCKET
from tests.clients.steps import Unseekable, file, said

PARTS = "--multipart-chunk-size-mb=5"
ENDPOINT = urlsplit(os.environ["AWS_ENDPOINT_URL"])
HOST = {"path": ENDPOINT.netloc, "virtual": f"%(bucket)s.{ENDPOINT.netloc}"}


class S3cmd(Command):
    """Takes the keys from the environment, all else by options."""

    version = said(program(), "--version").split()[-1].decode()
    options = (
        f"--config={file('s3cfg')}",
        f"--host={ENDPOINT.netloc}",
        f"--host-bucket={HOST[os.environ['STYLE']]}",
        f"--region={os.environ['AWS_REGION']}",
        f"--ca-certs={os.environ['CURL_CA_BUNDLE']}",
        "--ssl" if ENDPOINT.scheme == "https" else "--no-ssl",
    )

    def speaks(self, key: str) -> bool:
        return not key.endswith("/")  # it takes it for a folder to put the file in

    def make_bucket(self) -> None:
        self.do("mb", self.where)

    def has_bucket(self) -> bool:
        return f"s3://{BUCKET}" in self.do("ls").split()

    def put(self, key: str, data: bytes) -> None:
        self.do("put", source(data), self.url(key))

    def get(self, key: str) -> bytes:
        return self.raw("get", self.url(key), "-")

    def put_in_parts(self, key: str, data: bytes) -> None:
        self.do("put", PARTS, source(data), self.url(key))

    def put_stream(self, key: str, stream: Unseekable) -> None:
        self.do("put", PARTS, "-", self.url(key), stdin=stream.read())

    def get_range(self, key: str, start: int, stop: int) -> bytes:
        """It goes on with what it had begun, to the end."""
        begun = file("begun")
        begun.write_bytes(bytes(start))
        self.do("get", "--continue", self.url(key), begun)
        return begun.read_bytes()[start:stop]

    def put_described(self, key: str, content_type: str, metadata: dict[str, str]) -> None:
        words = [f"--add-header=x-amz-meta-{name}:{value}" for name, value in metadata.items()]
        self.do("put", *words, f"--mime-type={content_type}", source(b""), self.url(key))

    def description(self, key: str) -> tuple[str, dict[str, str]]:
        said = self.do("info", self.url(key))
        got = dict(re.findall(r"^ *x-amz-meta-([^:]+): *(.*)$", said, re.MULTILINE))
        got.pop("s3cmd-attrs")  # it keeps the file's mode and times there
        return re.findall(r"MIME type: *(.*)", said)[0], got

    def listed(self, prefix: str) -> list[str]:
        lines = self.do("ls", "--recursive", self.url(prefix)).splitlines()
        return [line.partition(f" {self.where}/")[2] for line in lines]

    def copy(self, source: str, target: str) -> None:
        self.do("cp", self.url(source), self.url(target))

    def presigned_get(self, key: str) -> str:
        return self.do("signurl", self.url(key), "+300").strip()

    def put_as_stranger(self, key: str) -> None:
        self.do("put", source(b"by a stranger"), self.url(key), secret="wrong")

    def delete(self, keys: Sequence[str]) -> None:
        self.do("del", "--recursive", "--force", self.where)

    def remove_bucket(self) -> None:
        self.do("rb", self.where)


if __name__ == "__main__":
    # This one thing has no option.
    file("s3cfg").write_text(f"[default]\nsignurl_use_https = {ENDPOINT.scheme == 'https'}\n")
    S3cmd().go()
