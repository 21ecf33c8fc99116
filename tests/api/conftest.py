"""Fixtures for tests over HTTP: a real server on each store, and boto3 to speak to it."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import TYPE_CHECKING

import boto3
import pytest
from botocore.config import Config

from tests.databases import database_url, fresh_schema
from tests.servers import Server, post3_serve

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

FLAGS = {
    "memory": ["--backend", "memory"],
    "filesystem": ["--backend", "fs", "--data-dir", "data", "--durability", "relaxed"],
}


STORES = (*FLAGS, "postgres")


def flags_of(store: str) -> list[str]:
    """How `post3 serve` is told to use such a store, of its own."""
    if store != "postgres":
        return FLAGS[store]
    return ["--database-url", database_url(), "--pg-schema", fresh_schema(), "--durability", "relaxed"]


@pytest.fixture(scope="session", params=STORES)
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server; one for each store, for the whole session."""
    with post3_serve(*flags_of(request.param), cwd=tmp_path_factory.mktemp("server")) as running:
        yield running


@pytest.fixture(scope="session")
def s3(server: Server) -> Iterator[S3Client]:
    """A boto3 client of the server, that tries everything once."""
    config = Config(s3={"addressing_style": "path"}, retries={"total_max_attempts": 1}, read_timeout=30)
    client = boto3.client(
        "s3",
        endpoint_url=server.url,
        region_name="us-east-1",
        aws_access_key_id="anyone",
        aws_secret_access_key="anything",
        config=config,
    )
    yield client
    client.close()


@pytest.fixture
def s3_bucket(s3: S3Client) -> str:
    """The name of a fresh bucket."""
    return new_bucket(s3)


def new_bucket(s3: S3Client) -> str:
    """Make a bucket that nobody else uses; its name."""
    name = f"test-{uuid.uuid4().hex}"
    s3.create_bucket(Bucket=name)
    return name
