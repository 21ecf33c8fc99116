"""The round by pyarrow's S3FileSystem, which is the AWS SDK for C++."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

import pyarrow
from pyarrow import fs

from tests.clients.rounds import BUCKET, Round
from tests.clients.steps import Unseekable


def filesystem(**more: str) -> Any:
    """It, with the keys of the environment."""
    endpoint = urlsplit(os.environ["AWS_ENDPOINT_URL"])
    virtual = os.environ["STYLE"] == "virtual"
    return fs.S3FileSystem(
        endpoint_override=endpoint.netloc,
        scheme=endpoint.scheme,
        region=os.environ["AWS_REGION"],
        allow_bucket_creation=True,
        allow_bucket_deletion=True,
        force_virtual_addressing=virtual,
        **more,
    )


class Pyarrow(Round):
    """Names an object `bucket/key`; sends a content type, but drops metadata of the user's without a word."""

    version = pyarrow.__version__

    def __init__(self) -> None:
        super().__init__()
        self.files = filesystem()

    def speaks(self, key: str) -> bool:
        return "//" not in key and not key.endswith("/")  # it refuses empty segments

    def make_bucket(self) -> None:
        self.files.create_dir(BUCKET)

    def has_bucket(self) -> bool:
        return bool(self.files.get_file_info(BUCKET).type == fs.FileType.Directory)

    def put(self, key: str, data: bytes) -> None:
        with self.files.open_output_stream(f"{BUCKET}/{key}") as target:
            target.write(data)

    def get(self, key: str) -> bytes:
        with self.files.open_input_stream(f"{BUCKET}/{key}") as source:
            return bytes(source.read())

    def put_in_parts(self, key: str, data: bytes) -> None:
        self.put(key, data)

    def put_stream(self, key: str, stream: Unseekable) -> None:
        with self.files.open_output_stream(f"{BUCKET}/{key}") as target:
            while piece := stream.read(100_000):
                target.write(piece)

    def get_range(self, key: str, start: int, stop: int) -> bytes:
        with self.files.open_input_file(f"{BUCKET}/{key}") as source:
            return bytes(source.read_at(stop - start, start))

    def listed(self, prefix: str) -> list[str]:
        selector = fs.FileSelector(f"{BUCKET}/{prefix}".rstrip("/"), recursive=True, allow_not_found=True)
        found = self.files.get_file_info(selector)
        return [one.path.removeprefix(f"{BUCKET}/") for one in found if one.type == fs.FileType.File]

    def copy(self, source: str, target: str) -> None:
        self.files.copy_file(f"{BUCKET}/{source}", f"{BUCKET}/{target}")

    def put_as_stranger(self, key: str) -> None:
        with filesystem(access_key=os.environ["AWS_ACCESS_KEY_ID"], secret_key="wrong").open_output_stream(
            f"{BUCKET}/{key}"
        ) as target:
            target.write(b"by a stranger")

    def delete(self, keys: Sequence[str]) -> None:
        self.files.delete_dir_contents(BUCKET)

    def remove_bucket(self) -> None:
        self.files.delete_dir(BUCKET)


if __name__ == "__main__":
    Pyarrow().go()
