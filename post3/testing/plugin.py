"""pytest's fixtures, there wherever post3 is installed. What they need is imported when a test asks for them."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from post3.testing import S3Server

_OTHERWISE = (
    "AWS_CONFIG_FILE",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_DEFAULT_PROFILE",
    "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS",
    "AWS_PROFILE",
    "AWS_SESSION_TOKEN",
    "AWS_SHARED_CREDENTIALS_FILE",
)
"""Variables that would lead SDKs elsewhere, or with other keys."""


@pytest.fixture(scope="session")
def post3_server() -> Iterator[S3Server]:
    """An S3 server for the whole session, one for each worker of xdist. Tests want `post3_s3`, which is empty."""
    from post3.testing import server  # noqa: PLC0415

    with server() as s3:
        yield s3


@pytest.fixture
def post3_s3(post3_server: S3Server) -> S3Server:
    """An empty S3 server, without faults, its clock right: `client()`, `url`, `clock`, `faults`, `requests`."""
    post3_server.reset()
    return post3_server


@pytest.fixture
def post3_s3_environment(post3_s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[S3Server]:
    """An empty S3 server that is all of AWS for this test: what says plain `boto3.client("s3")` reaches it."""
    for name in _OTHERWISE:
        monkeypatch.delenv(name, raising=False)
    for name, value in post3_s3.environment.items():
        monkeypatch.setenv(name, value)
    before = _swap_session(None)
    yield post3_s3
    _swap_session(before)


def _swap_session(session: object) -> object:
    """Replace the session that boto3 keeps, whose keys are those of the environment in which it was made."""
    boto3 = sys.modules.get("boto3")
    if boto3 is None:
        return None
    before, boto3.DEFAULT_SESSION = boto3.DEFAULT_SESSION, session  # type: ignore[attr-defined]  # a plain module
    return before
