"""Servers to copy from and to, and stores that are filled."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from post3.moving.connection import Keys, connect
from post3.storage.memory import MemoryBackend
from tests.databases import postgres_backend
from tests.moving.filled import fill
from tests.servers import Server, post3_serve

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

    from post3.storage.postgres.backend import PostgresBackend

ANYBODY = Keys("anyone", "anything")


@pytest.fixture
async def filled() -> MemoryBackend:
    backend = MemoryBackend()
    await fill(backend)
    return backend


@pytest.fixture
async def postgres() -> AsyncIterator[PostgresBackend]:
    """An empty store."""
    backend = postgres_backend()
    await backend.open()
    yield backend
    await backend.close()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that lets everybody in."""
    with post3_serve("--backend", "memory", cwd=tmp_path_factory.mktemp("server")) as running:
        yield running


@pytest.fixture
def client(server: Server) -> Iterator[S3Client]:
    """A connection to it, as a copy makes it; nothing is there before and after."""
    with closing(connect(server.url, ANYBODY, 8)) as made:
        yield made
        for bucket in made.list_buckets()["Buckets"]:
            _empty(made, bucket["Name"])
            made.delete_bucket(Bucket=bucket["Name"])


def _empty(client: S3Client, bucket: str) -> None:
    client.delete_bucket_policy(Bucket=bucket)
    page = client.list_object_versions(Bucket=bucket)
    for version in [*page.get("Versions", []), *page.get("DeleteMarkers", [])]:
        client.delete_object(Bucket=bucket, Key=version["Key"], VersionId=version["VersionId"])
