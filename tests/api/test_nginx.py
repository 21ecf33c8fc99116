"""Behind nginx as `docs/nginx.conf` sets it up."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.config import Config

from tests.api.asking import md5, put_in_parts
from tests.nginx import NAME, Nginx, in_front_of
from tests.rawhttp import Connection, Incomplete
from tests.resolving import resolving
from tests.servers import post3_serve, read_line, running_edge

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

MIB = 1024 * 1024


@pytest.fixture(scope="module")
def proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nginx]:
    """nginx in front of post3."""
    flags = ["--backend", "fs", "--durability", "relaxed", "--domain", NAME, "--trusted-proxy", "127.0.0.1"]
    with (
        post3_serve(*flags, cwd=tmp_path_factory.mktemp("post3")) as server,
        in_front_of(server, tmp_path_factory.mktemp("nginx")) as running,
    ):
        yield running


@pytest.fixture(scope="module")
def edge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nginx]:
    """nginx in front of the edge with answers that are made up."""
    with (
        running_edge(tmp_path_factory.mktemp("edge"), {"PROXIES": "127.0.0.1"}) as server,
        in_front_of(server, tmp_path_factory.mktemp("nginx")) as running,
    ):
        yield running


@pytest.fixture(scope="module", params=["path", "virtual"])
def s3(request: pytest.FixtureRequest, proxy: Nginx) -> Iterator[S3Client]:
    """boto3 through nginx, in each style of addresses."""
    with resolving(NAME):
        client = boto3.client(
            "s3",
            endpoint_url=proxy.url,
            region_name="us-east-1",
            aws_access_key_id="anyone",
            aws_secret_access_key="anything",
            verify=str(proxy.folder / "cert.pem"),
            config=Config(s3={"addressing_style": request.param}, retries={"total_max_attempts": 1}, read_timeout=60),
        )
        client.create_bucket(Bucket=f"in-{request.param}")
        yield client
        client.close()


@pytest.fixture
def bucket(s3: S3Client) -> str:
    return f"in-{s3.meta.config.s3['addressing_style']}"  # type: ignore[attr-defined]  # the stubs leave it out


def echoed(connection: Connection, target: str, *headers: str) -> dict[str, Any]:
    """The request as post3's edge saw it."""
    seen: dict[str, Any] = json.loads(connection.get(target, *headers).body)
    return seen


KEYS = (
    "a//b",
    "/a",
    "a%2Fb",
    "a b",
    "a+b",
    "a/../b",
    "a/./b",
    "ключ/é/日本/😀",
    "a?b#c",
    "a&b=c;d",
    "'\"<>\\^`{|}~",
    "a/",
    "%",
    "%25",
    "k" * 1024,
)


@pytest.mark.parametrize("key", KEYS)
def test_every_key_arrives_as_it_was_sent(s3: S3Client, bucket: str, key: str) -> None:
    s3.put_object(Bucket=bucket, Key=key, Body=key.encode(), Metadata={"my_name": "1", "my.name": "2"})
    got = s3.get_object(Bucket=bucket, Key=key)

    assert got["Body"].read() == key.encode()
    assert got["Metadata"] == {"my_name": "1", "my.name": "2"}
    assert key in [one["Key"] for one in s3.list_objects_v2(Bucket=bucket)["Contents"]]


@pytest.mark.parametrize(
    "path",
    ["/b//a", "/b/a%2Fb", "/b/a%2fb", "/b/a/../c", "/b/%61", "/b/a+b%20c", "/b/%2E%2E/x", "/b/%C3%A9", "/b/a%25"],
)
def test_path_query_and_host_are_the_very_bytes_that_were_sent(edge: Nginx, path: str) -> None:
    query = "prefix=a%2fb+c%20d&&acl&x=%C3%A9"
    with edge.connect() as connection:
        connection.send(f"GET {path}?{query} HTTP/1.1\nHost: My-Bucket.{NAME}:8443\n\n")
        seen = json.loads(connection.answer().body)

    assert (seen["path"], seen["raw_query"]) == (path, query)
    assert seen["headers"]["host"] == f"My-Bucket.{NAME}:8443"
    assert seen["host_bucket"] == "my-bucket"


def test_the_client_is_who_nginx_says_it_is(edge: Nginx) -> None:
    with edge.connect() as connection:
        seen = echoed(
            connection,
            "/b/k",
            "X-Forwarded-For: 192.0.2.66",
            "X-Forwarded-Proto: http",
            "Forwarded: for=192.0.2.66;proto=http",
            "X-Forwarded-Host: elsewhere",
        )

    assert (seen["remote"], seen["is_secure"]) == ("127.0.0.1", True)
    assert seen["headers"]["host"] == "localhost"


def test_twenty_mebibytes_arrive_both_ways(s3: S3Client, bucket: str, proxy: Nginx) -> None:
    data = random.Random(5).randbytes(20 * MIB)
    put = s3.put_object(Bucket=bucket, Key="large", Body=data, ChecksumAlgorithm="SHA256")
    got = s3.get_object(Bucket=bucket, Key="large", ChecksumMode="ENABLED")["Body"].read()

    assert put["ETag"] == md5(data)
    assert hashlib.sha256(got).digest() == hashlib.sha256(data).digest()
    assert not [file for kind in ("body", "proxy") for file in (proxy.folder / kind).rglob("*") if file.is_file()]


def test_the_location_of_an_upload_is_what_the_client_can_ask_for(s3: S3Client, bucket: str, proxy: Nginx) -> None:
    location = put_in_parts(s3, bucket, "a b/ü", b"1")["Location"]
    host = f"{bucket}.{NAME}:{proxy.port}/" if bucket == "in-virtual" else f"{NAME}:{proxy.port}/{bucket}/"

    assert location == f"https://{host}a%20b/%C3%BC"


def test_many_requests_go_over_few_connections_to_post3(tmp_path: Path) -> None:
    with (
        running_edge(tmp_path, {"ACCESS_LOG": "1"}) as server,
        in_front_of(server, tmp_path) as edge,
        edge.connect() as connection,
    ):
        for number in range(100):
            assert echoed(connection, f"/b/{number}")["key"] == str(number)
        peers = {read_line(server.process).split()[1] for _ in range(100)}

    assert len(peers) == 1


def test_a_client_that_expects_100_gets_it(edge: Nginx) -> None:
    with edge.connect() as connection:
        connection.send("PUT /read HTTP/1.1\nHost: localhost\ncontent-length: 5\nexpect: 100-continue\n\n")
        assert connection.answer().status == 100
        connection.send("12345")
        assert connection.answer().body == b"5"
        assert connection.get("/b").status == 200


@pytest.mark.parametrize("framing", ["content-length: 100000", "transfer-encoding: chunked"])
def test_a_body_that_was_refused_is_not_taken_for_the_next_request(edge: Nginx, framing: str) -> None:
    inner = "GET /poisoned HTTP/1.1\nHost: localhost\n\n".replace("\n", "\r\n").encode()
    body = inner * (100_000 // len(inner) + 1)
    body = body[:100_000] if "length" in framing else b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
    for _ in range(20):
        with edge.connect() as connection:
            connection.send(f"PUT /refuse HTTP/1.1\nHost: localhost\n{framing}\n\n")
            connection.send(body)
            assert connection.answer().code == "AccessDenied"
        with edge.connect() as connection:
            assert echoed(connection, "/b/next")["key"] == "next"


def test_an_upload_reaches_post3_before_it_is_complete(edge: Nginx) -> None:
    with edge.connect() as connection:
        connection.send("PUT /peek HTTP/1.1\nHost: localhost\ncontent-length: 100\n\n12345")
        assert connection.answer().body == b"seen"


def test_an_answer_that_is_cut_stays_incomplete(edge: Nginx) -> None:
    with edge.connect() as connection:
        connection.send("GET /stream?length=30&pieces=3&fails=2 HTTP/1.1\nHost: localhost\n\n")
        with pytest.raises((Incomplete, ConnectionError)):
            connection.answer()
