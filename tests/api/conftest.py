"""Fixtures for tests over HTTP: real servers on each store, open and closed, and boto3 to speak to them."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.config import Config

from tests.api.people import ADMIN, ALT, MAIN, ROOT, ROOT_KEY, THIRD, client_of, users_document
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


def new_bucket(s3: S3Client, **more: Any) -> str:
    """Make a bucket that nobody else uses; its name."""
    name = new_name()
    s3.create_bucket(Bucket=name, **more)
    return name


def new_name() -> str:
    """A bucket's name that nobody uses."""
    return f"test-{uuid.uuid4().hex}"


# A server with credentials


@pytest.fixture(scope="session", params=STORES)
def closed(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that lets in whom it knows; one for each store, for the whole session."""
    folder = tmp_path_factory.mktemp("closed")
    with closed_server(request.param, folder) as running:
        yield running


@contextmanager
def closed_server(store: str, folder: Path, *flags: str) -> Iterator[Server]:
    """A server of everybody in tests.api.people on a new store."""
    (folder / "users.json").write_text(users_document(MAIN, ALT, THIRD, ADMIN))
    with post3_serve(*flags_of(store), "--users", "users.json", *flags, cwd=folder, env=ROOT_KEY) as running:
        yield running


@pytest.fixture(scope="session")
def main(closed: Server) -> Iterator[S3Client]:
    """The client of the user who owns nearly all buckets."""
    with closing(client_of(closed, MAIN)) as client:
        yield client


@pytest.fixture(scope="session")
def alt(closed: Server) -> Iterator[S3Client]:
    """The client of another user."""
    with closing(client_of(closed, ALT)) as client:
        yield client


@pytest.fixture(scope="session")
def third(closed: Server) -> Iterator[S3Client]:
    """The client of a third user."""
    with closing(client_of(closed, THIRD)) as client:
        yield client


@pytest.fixture(scope="session")
def admin(closed: Server) -> Iterator[S3Client]:
    """The client of a user who may do everything."""
    with closing(client_of(closed, ADMIN)) as client:
        yield client


@pytest.fixture(scope="session")
def root(closed: Server) -> Iterator[S3Client]:
    """The client of whoever holds the root keys."""
    with closing(client_of(closed, ROOT)) as client:
        yield client


@pytest.fixture(scope="session")
def anyone(closed: Server) -> Iterator[S3Client]:
    """A client that does not sign."""
    with closing(client_of(closed, None)) as client:
        yield client


@pytest.fixture
def bucket_of_main(main: S3Client) -> str:
    """The name of a fresh bucket."""
    return new_bucket(main)
