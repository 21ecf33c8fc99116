"""One server for all, emptied before each test."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from botocore.config import Config

from post3.testing import S3Server, server

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


@pytest.fixture(scope="session")
def started() -> Iterator[S3Server]:
    with server() as s3:
        yield s3


@pytest.fixture
def s3(started: S3Server) -> S3Server:
    started.reset()
    return started


@pytest.fixture
def client(s3: S3Server) -> S3Client:
    """A client that asks once, and waits for ten seconds at most."""
    return s3.client(config=Config(retries={"total_max_attempts": 1}, connect_timeout=10, read_timeout=10))


@pytest.fixture
def bucket(client: S3Client) -> str:
    client.create_bucket(Bucket="bucket")
    return "bucket"
