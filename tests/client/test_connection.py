"""Where a client speaks to, and with which keys."""

from __future__ import annotations

import inspect
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from post3 import AsyncClient, Client
from post3.client import Denied, InvalidArgument, asynchronous
from post3.client.connection import endpoint_of
from tests.api.people import MAIN
from tests.client.facade import opened
from tests.servers import ROOT, Server


def test_the_endpoint_told_comes_before_post3s_variable_and_that_before_awss() -> None:
    known = {
        "POST3_ENDPOINT": "http://one:1",
        "AWS_ENDPOINT_URL_S3": "http://two:2",
        "AWS_ENDPOINT_URL": "https://three",
    }
    assert endpoint_of("http://told/", known) == "http://told"
    found = []
    for name in tuple(known):
        found.append(endpoint_of(None, known))
        known[name] = ""
    assert found == ["http://one:1", "http://two:2", "https://three"]
    assert endpoint_of(None, known) == "http://127.0.0.1:9000"


@pytest.mark.parametrize(
    "wrong", ["localhost:9000", "ftp://host", "http://", "http://host?a=b", "host", "http://host:x"]
)
def test_what_is_no_endpoint_is_told_with_how_it_is_written(wrong: str) -> None:
    with pytest.raises(InvalidArgument, match=r"write it as http://127\.0\.0\.1:9000"):
        Client(wrong)


@pytest.mark.parametrize(
    "wrong", [{"access_key": "a"}, {"secret_key": "s"}, {"session_token": "t"}, {"retries": -1}], ids=str
)
def test_arguments_that_do_not_go_together_are_refused(wrong: dict[str, Any]) -> None:
    for client in (Client, AsyncClient):
        with pytest.raises(InvalidArgument):
            client(**wrong)


def test_keys_come_from_arguments_then_the_environment_then_a_profile(
    closed: Server, kind: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def reaches(**options: Any) -> bool:
        """Whether the server knows who asks: nobody else may list buckets of their own."""
        with opened(kind, closed.url, **options) as client:
            try:
                list(client.list_buckets())
            except Denied:
                return False
            return True

    assert not reaches()
    assert reaches(access_key=MAIN.access_key, secret_key=MAIN.secret_key)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", MAIN.access_key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", MAIN.secret_key)
    assert reaches()
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    profile = tmp_path / "credentials"
    profile.write_text(f"[team]\naws_access_key_id = {MAIN.access_key}\naws_secret_access_key = {MAIN.secret_key}\n")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(profile))
    assert reaches(profile="team")
    monkeypatch.setenv("AWS_PROFILE", "team")
    assert reaches()


def test_a_profile_that_is_not_there_is_told(kind: str) -> None:
    with (
        pytest.raises(InvalidArgument, match="nobodys"),
        opened(kind, "http://127.0.0.1:9", profile="nobodys") as client,
    ):
        list(client.list_buckets())


def test_without_keys_nothing_is_signed_and_nobody_asks_a_cloud_machine(
    server: Server, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as metadata:
        address = f"http://127.0.0.1:{metadata.getsockname()[1]}"
        monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", address)
        monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", address)
        with opened(kind, server.url) as client:
            list(client.list_buckets())
            assert "Signature" not in client.presign("bucket", "key")
        metadata.settimeout(0)
        with pytest.raises(BlockingIOError):
            metadata.accept()


def test_both_clients_have_the_same_methods_with_the_same_arguments() -> None:
    def surface(kind: type) -> dict[str, list[tuple[str, Any, Any]]]:
        return {
            name: [(one.name, one.kind, one.default) for one in inspect.signature(method).parameters.values()]
            for name, method in inspect.getmembers(kind, callable)
            if not name.startswith("_") or name == "__init__"
        }

    assert surface(AsyncClient) == surface(Client)
    assert len(surface(Client)) > 17


def test_without_the_extra_asyncclient_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asynchronous, "find_spec", lambda _: None)
    with pytest.raises(ImportError, match=r"pip install 'post3\[async\]'"):
        AsyncClient()


@pytest.mark.parametrize("first", ["import post3", "import post3.client, post3.client.errors", "import post3.cli"])
def test_importing_post3_loads_neither_boto3_nor_the_server(first: str) -> None:
    code = f"{first}, sys; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60
    )
    loaded = set(done.stdout.split())
    assert "post3" in loaded
    assert loaded & {"boto3", "botocore", "aiobotocore", "aiohttp", "sanic", "post3.app", "post3.server"} == set()


def test_both_clients_are_named_by_post3() -> None:
    code = "from post3 import Client, AsyncClient; print(Client.__module__, AsyncClient.__module__)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.split() == ["post3.client.client", "post3.client.asynchronous"]
