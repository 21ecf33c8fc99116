"""The round by obstore, the Python face of Rust's object_store."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from datetime import timedelta
from importlib.metadata import version

import obstore
from obstore.store import S3Store

from tests.clients.rounds import BUCKET, Round
from tests.clients.steps import Unseekable


def store(**more: str) -> S3Store:
    """The bucket, set up from the environment."""
    allow = {"allow_http": os.environ["AWS_ENDPOINT_URL"].startswith("http:")}
    virtual = os.environ["STYLE"] == "virtual"
    return S3Store(BUCKET, virtual_hosted_style_request=virtual, client_options=allow, **more)


def pieces(stream: Unseekable) -> Iterator[bytes]:
    while piece := stream.read(100_000):
        yield piece


class Obstore(Round):
    """obstore has no operations on buckets."""

    version = version("obstore")

    def __init__(self) -> None:
        super().__init__()
        self.store = store()

    def speaks(self, key: str) -> bool:
        return "//" not in key and not key.endswith("/")  # its paths have no empty segments

    def put(self, key: str, data: bytes) -> None:
        self.store.put(key, data, use_multipart=False)

    def get(self, key: str) -> bytes:
        return bytes(self.store.get(key).bytes())

    def put_in_parts(self, key: str, data: bytes) -> None:
        self.store.put(key, data, use_multipart=True, chunk_size=5 * 2**20)

    def put_stream(self, key: str, stream: Unseekable) -> None:
        self.store.put(key, pieces(stream))

    def get_range(self, key: str, start: int, stop: int) -> bytes:
        return bytes(self.store.get_range(key, start=start, end=stop))

    def put_described(self, key: str, content_type: str, metadata: dict[str, str]) -> None:
        self.store.put(key, b"", attributes={"Content-Type": content_type, **metadata})

    def description(self, key: str) -> tuple[str, dict[str, str]]:
        got = dict(self.store.get(key).attributes)
        return got.pop("Content-Type"), got

    def listed(self, prefix: str) -> list[str]:
        return [one["path"] for batch in self.store.list(prefix or None) for one in batch]

    def copy(self, source: str, target: str) -> None:
        self.store.copy(source, target)

    def presigned_put(self, key: str) -> str:
        return str(self._link("PUT", key))

    def presigned_get(self, key: str) -> str:
        return str(self._link("GET", key))

    def _link(self, method: str, key: str) -> str:
        return str(obstore.sign(self.store, method, key, timedelta(minutes=5)))

    def put_as_stranger(self, key: str) -> None:
        store(secret_access_key="wrong").put(key, b"by a stranger")

    def delete(self, keys: Sequence[str]) -> None:
        self.store.delete(list(keys))


if __name__ == "__main__":
    Obstore().go()
