"""The round by s3fs, fsspec's file system on aiobotocore."""

from __future__ import annotations

import os
from collections.abc import Sequence
from importlib.metadata import version
from typing import Any

import s3fs

from tests.clients.rounds import BUCKET, Round
from tests.clients.steps import Unseekable
from tests.resolving import resolving


def filesystem(**more: Any) -> Any:
    """It, set up from the environment; without its cache of listings."""
    style = {"s3": {"addressing_style": os.environ["STYLE"]}}
    return s3fs.S3FileSystem(config_kwargs=style, use_listings_cache=False, skip_instance_cache=True, **more)


class S3fs(Round):
    """s3fs names an object `bucket/key`."""

    version = version("s3fs")

    def __init__(self) -> None:
        super().__init__()
        self.files = filesystem()

    def speaks(self, key: str) -> bool:
        return not key.endswith("/")  # fsspec takes it for a directory, and the slash away

    def make_bucket(self) -> None:
        self.files.mkdir(BUCKET)

    def has_bucket(self) -> bool:
        return BUCKET in self.files.ls("")

    def put(self, key: str, data: bytes) -> None:
        self.files.pipe_file(f"{BUCKET}/{key}", data)

    def get(self, key: str) -> bytes:
        return bytes(self.files.cat_file(f"{BUCKET}/{key}"))

    def put_in_parts(self, key: str, data: bytes) -> None:
        self.files.pipe_file(f"{BUCKET}/{key}", data, chunksize=5 * 2**20)

    def put_stream(self, key: str, stream: Unseekable) -> None:
        with self.files.open(f"{BUCKET}/{key}", "wb", block_size=5 * 2**20) as target:
            while piece := stream.read(100_000):
                target.write(piece)

    def get_range(self, key: str, start: int, stop: int) -> bytes:
        with self.files.open(f"{BUCKET}/{key}", "rb", block_size=10_000) as source:
            source.seek(start)
            return bytes(source.read(stop - start))

    def put_described(self, key: str, content_type: str, metadata: dict[str, str]) -> None:
        self.files.pipe_file(f"{BUCKET}/{key}", b"x", ContentType=content_type, Metadata=metadata)

    def description(self, key: str) -> tuple[str, dict[str, str]]:
        return self.files.info(f"{BUCKET}/{key}")["ContentType"], self.files.metadata(f"{BUCKET}/{key}")

    def listed(self, prefix: str) -> list[str]:
        found = self.files.find(f"{BUCKET}/{prefix}".rstrip("/"))
        return [name.removeprefix(f"{BUCKET}/") for name in found]

    def copy(self, source: str, target: str) -> None:
        self.files.cp_file(f"{BUCKET}/{source}", f"{BUCKET}/{target}")

    def presigned_put(self, key: str) -> str:
        return str(self.files.url(f"{BUCKET}/{key}", client_method="put_object"))

    def presigned_get(self, key: str) -> str:
        return str(self.files.sign(f"{BUCKET}/{key}"))

    def put_as_stranger(self, key: str) -> None:
        wrong = filesystem(key=os.environ["AWS_ACCESS_KEY_ID"], secret="wrong")
        wrong.pipe_file(f"{BUCKET}/{key}", b"by a stranger")

    def delete(self, keys: Sequence[str]) -> None:
        self.files.rm([f"{BUCKET}/{key}" for key in keys])

    def remove_bucket(self) -> None:
        self.files.rmdir(BUCKET)


if __name__ == "__main__":
    with resolving("s3.localhost"):
        S3fs().go()
