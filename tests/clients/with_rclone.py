"""The round by rclone."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence

from tests.clients.commands import Command, folder, program, source
from tests.clients.rounds import BUCKET
from tests.clients.steps import Unseekable, file, said

PARTS = ("--s3-upload-cutoff", "5M", "--s3-chunk-size", "5M")
ONCE = ("--retries", "1", "--low-level-retries", "1")
REMOTE = {
    "RCLONE_CONFIG_POST3_TYPE": "s3",
    "RCLONE_CONFIG_POST3_PROVIDER": "Other",
    "RCLONE_CONFIG_POST3_ENV_AUTH": "true",
    "RCLONE_CONFIG_POST3_ENDPOINT": os.environ["AWS_ENDPOINT_URL"],
    "RCLONE_CONFIG_POST3_REGION": os.environ["AWS_REGION"],
    "RCLONE_CONFIG_POST3_FORCE_PATH_STYLE": str(os.environ["STYLE"] == "path").lower(),
    "RCLONE_CONFIG": str(file("rclone.conf")),
}
"""A remote called post3, told by the environment."""


class Rclone(Command):
    """Names an object `remote:bucket/key`."""

    version = said(program(), "version").split()[1].decode().removeprefix("v")
    refusals = ("SignatureDoesNotMatch", "status code: 403")  # its first request is a HEAD, whose answer has no body
    where = f"post3:{BUCKET}"

    def speaks(self, key: str) -> bool:
        return "//" not in key and not key.endswith("/")  # it thinks of folders, and folds the slashes

    def make_bucket(self) -> None:
        self.do("mkdir", self.where)

    def has_bucket(self) -> bool:
        return f"{BUCKET}/" in self.do("lsf", "post3:").split()

    def put(self, key: str, data: bytes) -> None:
        self.do("copyto", "--ignore-times", source(data), self.url(key))

    def get(self, key: str) -> bytes:
        return self.raw("cat", self.url(key))

    def put_in_parts(self, key: str, data: bytes) -> None:
        self.do("copyto", *PARTS, source(data), self.url(key))

    def put_stream(self, key: str, stream: Unseekable) -> None:
        self.do("rcat", *PARTS, self.url(key), stdin=stream.read())

    def get_range(self, key: str, start: int, stop: int) -> bytes:
        return self.raw("cat", "--offset", str(start), "--count", str(stop - start), self.url(key))

    def put_described(self, key: str, content_type: str, metadata: dict[str, str]) -> None:
        described = {"content-type": content_type, **metadata}
        words = [word for name, value in described.items() for word in ("--metadata-set", f"{name}={value}")]
        self.do("copyto", "--metadata", *words, source(b"x"), self.url(key))

    def description(self, key: str) -> tuple[str, dict[str, str]]:
        got = json.loads(self.do("lsjson", "--stat", "--metadata", self.url(key)))["Metadata"]
        return got["content-type"], {name: got[name] for name in got if name in {"plain", "with-dash"}}

    def put_many(self, keys: Sequence[str]) -> None:
        self.do("copy", folder(keys), self.url("many"))

    def listed(self, prefix: str) -> list[str]:
        return [prefix + name for name in self.do("lsf", "-R", "--files-only", self.url(prefix)).splitlines()]

    def copy(self, source: str, target: str) -> None:
        self.do("copyto", self.url(source), self.url(target))

    def presigned_get(self, key: str) -> str:
        return self.do("link", "--expire", "5m", self.url(key)).strip()

    def put_as_stranger(self, key: str) -> None:
        self.do("copyto", *ONCE, "--ignore-times", source(b"by a stranger"), self.url(key), secret="wrong")

    def delete(self, keys: Sequence[str]) -> None:
        self.do("delete", self.where)

    def remove_bucket(self) -> None:
        self.do("rmdir", self.where)


if __name__ == "__main__":
    file("rclone.conf").touch()
    os.environ.update(REMOTE)
    del os.environ["AWS_CA_BUNDLE"]  # rclone fails wherever it is set; SSL_CERT_FILE names the same file
    Rclone().go()
