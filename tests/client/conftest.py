"""What tests of the SDK need: a server on each store, both clients of it, and no keys of whoever runs the tests."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from post3 import Client
from tests.api.conftest import closed, new_name, server
from tests.client.facade import KINDS, opened
from tests.servers import Server

__all__ = ["closed", "server"]


@pytest.fixture(autouse=True)
def _nobody(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No variable or profile tells keys or an endpoint."""
    for name in [name for name in os.environ if name.startswith(("AWS_", "POST3_ENDPOINT"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "no-config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "no-credentials"))


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    """Which client."""
    name: str = request.param
    return name


@pytest.fixture
def client(server: Server, kind: str) -> Iterator[Client]:
    """A client of the server, of each kind, used like the one that is not asynchronous."""
    with opened(kind, server.url) as made:
        yield made


@pytest.fixture
def bucket(client: Client) -> str:
    """A fresh bucket's name."""
    name = new_name()
    client.create_bucket(name)
    return name
