"""How clients reach post3: by virtual host and by path, over TLS, and behind proxies."""

from __future__ import annotations

import hashlib
import json
import os
import random
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from time import monotonic, sleep
from typing import TYPE_CHECKING, Any, Literal

import boto3
import pytest
from botocore.config import Config

from tests.api.asking import md5, put_in_parts
from tests.api.test_cli import assert_one_line, post3
from tests.certificates import make_pem, pem, split, trusting
from tests.rawhttp import Connection
from tests.resolving import resolving
from tests.servers import Server, connect, end, post3_serve, read_line, running_edge, started

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

Style = Literal["path", "virtual"]
MIB = 1024 * 1024
FS = ("--backend", "fs", "--durability", "relaxed")
DOMAIN = "s3.example.com"


def write_pair(folder: Path, pair: bytes | None = None) -> tuple[str, str]:
    """Paths of a certificate and its key, replaced as most programs do: by renaming."""
    for name, content in zip(("cert.pem", "key.pem"), split(pair or pem()), strict=True):
        (folder / "new").write_bytes(content)
        os.replace(folder / "new", folder / name)
    return str(folder / "cert.pem"), str(folder / "key.pem")


def tls_flags(folder: Path) -> list[str]:
    cert, key = write_pair(folder)
    return ["--tls-cert", cert, "--tls-key", key]


def client_of(server: Server, style: Style, folder: Path) -> S3Client:
    """boto3 with what it does by default but for the style, tries and trust."""
    return boto3.client(
        "s3",
        endpoint_url=f"{server.scheme}://{DOMAIN}:{server.port}",
        region_name="us-east-1",
        aws_access_key_id="anyone",
        aws_secret_access_key="anything",
        verify=str(folder / "cert.pem"),
        config=Config(s3={"addressing_style": style}, retries={"total_max_attempts": 1}, read_timeout=60),
    )


# Virtual hosts


@pytest.fixture(scope="module", params=["http", "https"])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, Path]]:
    """A server with a domain, and the folder of its certificate."""
    folder = tmp_path_factory.mktemp("reached")
    tls = tls_flags(folder) if request.param == "https" else []
    if not tls:
        write_pair(folder)
    with post3_serve(*FS, "--domain", f"localhost,{DOMAIN}", *tls, cwd=folder) as running, resolving(DOMAIN):
        yield running, folder


@pytest.fixture(params=["path", "virtual"])
def style(request: pytest.FixtureRequest) -> Style:
    return "path" if request.param == "path" else "virtual"


@pytest.fixture
def s3(server: tuple[Server, Path], style: Style) -> Iterator[S3Client]:
    client = client_of(server[0], style, server[1])
    yield client
    client.close()


@pytest.fixture
def bucket(s3: S3Client, style: Style) -> str:
    # AWS' own SDKs never put a name with dots into a host of TLS: no wildcard covers it.
    name = f"by-{style}"
    s3.create_bucket(Bucket=name)
    return name


def test_boto3_does_what_it_does_in_each_style(s3: S3Client, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="a//b/../ü +%2F", Body=b"1")

    assert s3.get_object(Bucket=bucket, Key="a//b/../ü +%2F")["Body"].read() == b"1"
    assert [one["Key"] for one in s3.list_objects_v2(Bucket=bucket)["Contents"]][:1] == ["a//b/../ü +%2F"]
    assert bucket in [one["Name"] for one in s3.list_buckets()["Buckets"]]
    s3.copy_object(Bucket=bucket, Key="copy", CopySource={"Bucket": bucket, "Key": "a//b/../ü +%2F"})
    deleted = s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "copy"}, {"Key": "a//b/../ü +%2F"}]})
    assert len(deleted["Deleted"]) == 2


def test_the_location_of_an_upload_is_in_the_client_s_own_style(
    s3: S3Client, bucket: str, style: Style, server: tuple[Server, Path]
) -> None:
    location = put_in_parts(s3, bucket, "a b/ü", b"1")["Location"]
    at = f"{DOMAIN}:{server[0].port}"

    host = f"{bucket}.{at}/" if style == "virtual" else f"{at}/{bucket}/"
    assert location == f"{server[0].scheme}://{host}a%20b/%C3%BC"


def test_a_bucket_with_dots_has_a_host_too(tmp_path: Path) -> None:
    with post3_serve(*FS, "--domain", "localhost", cwd=tmp_path) as server, Connection(server.port) as connection:
        for request in (
            "PUT / HTTP/1.1\nHost: My.Own.Bucket.localhost:80\ncontent-length: 0\n\n",
            "PUT /k/1 HTTP/1.1\nHost: my.own.bucket.localhost\ncontent-length: 1\n\n1",
        ):
            connection.send(request)
            assert connection.answer().status == 200
        assert connection.get("/my.own.bucket/k/1").body == b"1"


def test_what_is_below_a_domain_is_served_without_credentials_and_nothing_else(tmp_path: Path) -> None:
    flags = ("--domain", "a.example", "--domain", "B.example,c.example")
    with post3_serve(*FS, *flags, cwd=tmp_path) as server, Connection(server.port) as connection:
        statuses = {}
        for host in ("a.example", "x.a.example", "x.b.example:1", "c.example", "127.0.0.1", "d.example", "xa.example"):
            connection.send(f"GET / HTTP/1.1\nHost: {host}\n\n")
            statuses[host] = connection.answer().status

    assert statuses == {
        "a.example": 200,
        "x.a.example": 404,
        "x.b.example:1": 404,
        "c.example": 200,
        "127.0.0.1": 200,
        "d.example": 403,
        "xa.example": 403,
    }


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_the_dispatcher_is_told_what_was_sent_and_by_whom(tmp_path: Path, scheme: str) -> None:
    with running_edge(tmp_path, scheme=scheme) as edge, connect(edge) as connection:
        connection.send(f"GET /a%2Fb//c?x=%61&&acl HTTP/1.1\nHost: B.{DOMAIN}:1\nX-Forwarded-For: 192.0.2.1\n\n")
        seen = json.loads(connection.answer().body)

    assert {name: seen[name] for name in ("path", "raw_query", "bucket", "key", "host_bucket")} == {
        "path": "/a%2Fb//c",
        "raw_query": "x=%61&&acl",
        "bucket": "b",
        "key": "a/b//c",
        "host_bucket": "b",
    }
    assert (seen["remote"], seen["is_secure"]) == ("127.0.0.1", scheme == "https")


# Proxies


@pytest.mark.parametrize(
    ("proxies", "remote", "is_secure"), [("127.0.0.1/32", "192.0.2.1", True), ("192.0.2.0/24", "127.0.0.1", False)]
)
def test_only_a_trusted_proxy_is_believed(tmp_path: Path, proxies: str, remote: str, is_secure: bool) -> None:
    env = {"PROXIES": proxies, "ACCESS_LOG": "1"}
    with running_edge(tmp_path, env) as edge, connect(edge) as connection:
        headers = ("X-Forwarded-For: 192.0.2.66", "x-forwarded-for: 192.0.2.1", "X-Forwarded-Proto: https")
        seen = json.loads(connection.get("/b/k", *headers, f"X-Forwarded-Host: b.{DOMAIN}").body)
        logged = read_line(edge.process).split()[1]

    assert (seen["remote"], seen["is_secure"]) == (remote, is_secure)
    assert (seen["host_bucket"], seen["headers"]["host"]) == ("", "localhost")
    assert logged.partition(":")[0] == remote


def test_a_proxy_that_ends_tls_makes_the_location_https(tmp_path: Path) -> None:
    with post3_serve(*FS, "--trusted-proxy", "127.0.0.1", cwd=tmp_path) as server:
        client = boto3.client(
            "s3",
            endpoint_url=server.url,
            region_name="us-east-1",
            aws_access_key_id="anyone",
            aws_secret_access_key="anything",
        )
        client.create_bucket(Bucket="bucket")
        assert put_in_parts(client, "bucket", "k", b"1")["Location"] == f"{server.url}/bucket/k"
        client.meta.events.register("before-send.s3", lambda request, **_: proxied(request))
        location = put_in_parts(client, "bucket", "k", b"1")["Location"]
        client.close()

    assert location == f"{server.url.replace('http', 'https')}/bucket/k"


def proxied(request: Any) -> None:
    """As a proxy passes it on."""
    request.headers["X-Forwarded-Proto"] = "https"


# TLS


@pytest.fixture(scope="module")
def secure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, S3Client]]:
    """A server that speaks TLS, with two workers, and boto3 to speak to it; its bucket is `bucket`."""
    folder = tmp_path_factory.mktemp("secure")
    flags = (*FS, "--domain", DOMAIN, "--workers", "2", *tls_flags(folder))
    with post3_serve(*flags, cwd=folder) as server, resolving(DOMAIN):
        client = client_of(server, "path", folder)
        client.create_bucket(Bucket="bucket")
        yield server, client
        client.close()


def test_the_line_that_says_that_it_serves_says_https(secure: tuple[Server, S3Client]) -> None:
    assert f" serves https://127.0.0.1:{secure[0].port} from " in secure[0].line


def test_a_body_in_chunks_with_a_trailer_arrives(secure: tuple[Server, S3Client]) -> None:
    sent: list[Any] = []
    secure[1].meta.events.register("before-send.s3.PutObject", lambda request, **_: sent.append(request.headers))
    data = random.Random(1).randbytes(3 * MIB + 1)
    secure[1].put_object(Bucket="bucket", Key="trailer", Body=data)
    got = secure[1].get_object(Bucket="bucket", Key="trailer", ChecksumMode="ENABLED")

    headers = {name.lower(): str(value) for name, value in sent[0].items()}
    assert "STREAMING-UNSIGNED-PAYLOAD-TRAILER" in headers["x-amz-content-sha256"]
    assert "aws-chunked" in headers["content-encoding"]
    assert got["Body"].read() == data
    assert got["ChecksumCRC32"]
    assert not got.get("ContentEncoding")


def test_64_mebibytes_arrive_both_ways(secure: tuple[Server, S3Client]) -> None:
    data = random.Random(2).randbytes(64 * MIB)
    put = secure[1].put_object(Bucket="bucket", Key="large", Body=data)
    body = secure[1].get_object(Bucket="bucket", Key="large")["Body"]
    digest = hashlib.sha256()
    for piece in body.iter_chunks(MIB):
        digest.update(piece)

    assert put["ETag"] == md5(data)
    assert digest.digest() == hashlib.sha256(data).digest()


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_tls_1_2_and_1_3_are_spoken(secure: tuple[Server, S3Client], version: ssl.TLSVersion) -> None:
    context = trusting(pem())
    context.minimum_version = context.maximum_version = version
    with Connection(secure[0].port, tls=context) as connection:
        assert isinstance(connection.socket, ssl.SSLSocket)
        assert connection.socket.version() == version.name.replace("_", ".")
        assert connection.get("/").status == 200


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1_1 is deprecated:DeprecationWarning")
def test_older_tls_is_refused(secure: tuple[Server, S3Client]) -> None:
    context = trusting(pem())
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1

    with pytest.raises(ssl.SSLError, match=r"(?i)protocol.version"):
        Connection(secure[0].port, tls=context)


def test_plain_http_is_told_to_say_https(secure: tuple[Server, S3Client]) -> None:
    with Connection(secure[0].port) as connection:
        answer = connection.get("/")

    assert (answer.status, b"https" in answer.body) == (400, True)
    assert secure[0].process.complained() == ""


def shown(port: int) -> bytes:
    """The certificate that the server shows to a new connection."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with Connection(port, tls=context) as connection:
        assert isinstance(connection.socket, ssl.SSLSocket)
        assert connection.get("/").status == 200
        return connection.socket.getpeercert(binary_form=True) or b""


def eventually_shows(port: int, pair: bytes) -> bool:
    """Whether it shows this certificate within some seconds."""
    wanted = ssl.PEM_cert_to_DER_cert(split(pair)[0].decode())
    deadline = monotonic() + 10
    while shown(port) != wanted:
        if monotonic() > deadline:
            return False
        sleep(0.05)
    return True


def test_a_new_certificate_is_shown_without_a_restart_and_a_wrong_one_is_not(tmp_path: Path) -> None:
    with post3_serve(*FS, *tls_flags(tmp_path), cwd=tmp_path) as server, connect(server) as old:
        assert old.get("/").status == 200
        new = make_pem()
        write_pair(tmp_path, new)
        assert eventually_shows(server.port, new)
        assert old.get("/").status == 200

        (tmp_path / "cert.pem").write_bytes(b"nonsense")
        deadline = monotonic() + 10
        while "cert.pem" not in server.process.complained():
            assert monotonic() < deadline
            sleep(0.05)
        assert eventually_shows(server.port, new)
        assert server.process.complained().count("\n") == 1

        write_pair(tmp_path)
        assert eventually_shows(server.port, pem())
        assert server.process.complained().count("\n") == 1


def test_it_stops_in_good_time_over_tls(tmp_path: Path) -> None:
    with post3_serve(*FS, *tls_flags(tmp_path), cwd=tmp_path) as server, connect(server) as idle:
        assert idle.get("/").status == 200
        with Connection(server.port):  # and one that never shakes hands
            server.process.terminate()
            assert idle.is_closed()
            status, seconds, _, complained = end(server)

    assert (status, complained) == (0, "")
    assert seconds < 3


@pytest.mark.parametrize("workers", ["1", "2"])
def test_files_that_are_no_pair_are_told_in_one_line(tmp_path: Path, workers: str) -> None:
    cert, key = write_pair(tmp_path)
    (tmp_path / "other.pem").write_bytes(split(make_pem())[1])
    flags = ("serve", *FS, "--host", "127.0.0.1:0", "--workers", workers)

    assert_one_line(post3(*flags, "--tls-cert", "no.pem", cwd=tmp_path), "certificate no.pem", "No such file")
    assert_one_line(post3(*flags, "--tls-cert", cert, cwd=tmp_path), "cert.pem", "no private key")
    assert_one_line(post3(*flags, "--tls-cert", cert, "--tls-key", cert, cwd=tmp_path), "cert.pem", "no private key")
    assert_one_line(
        post3(*flags, "--tls-cert", cert, "--tls-key", "other.pem", cwd=tmp_path), "other.pem", "do not belong together"
    )
    assert_one_line(post3(*flags, "--tls-key", key, cwd=tmp_path), "--tls-cert")


@pytest.mark.parametrize("mode", [["--single-process"], ["--workers", "2"]])
def test_sanic_s_own_command_speaks_tls_by_the_same_settings(tmp_path: Path, mode: list[str]) -> None:
    cert, key = write_pair(tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    env = {
        "POST3_BACKEND": "fs",
        "POST3_HOST": f"127.0.0.1:{port}",
        "POST3_TLS_CERT": cert,
        "POST3_TLS_KEY": key,
        "POST3_DOMAIN": DOMAIN,
    }
    with started([sys.executable, "-m", "sanic", "post3.app", *mode], tmp_path, env) as process:
        server = Server(process, "", "127.0.0.1", port, "https")
        deadline = monotonic() + 30
        while not serves_bucket_hosts(server):
            assert monotonic() < deadline, process.complained()
            sleep(0.1)
        sleep(0.5)  # a signal at once may hang Sanic's manager
        process.terminate()
        process.communicate(timeout=20)
        assert (process.returncode, process.complained()) == (0, "")


def serves_bucket_hosts(server: Server) -> bool:
    """Whether it is there by now; what it answers must be right."""
    try:
        connection = connect(server)
    except ConnectionError:
        return False
    with connection:
        connection.send(f"GET / HTTP/1.1\nHost: bucket.{DOMAIN}\n\n")
        assert connection.answer().code == "NoSuchBucket"
    return True


def test_sanic_s_own_options_of_tls_are_refused(tmp_path: Path) -> None:
    cert, key = write_pair(tmp_path)
    command = [sys.executable, "-m", "sanic", "post3.app", "--cert", cert, "--key", key]
    with started(command, tmp_path, {"POST3_BACKEND": "memory"}) as process:
        assert process.wait(30) != 0
        assert "POST3_TLS_CERT" in process.complained()


def test_the_aws_command_speaks_to_it(secure: tuple[Server, S3Client], tmp_path: Path) -> None:
    cert, _ = write_pair(tmp_path)
    env = {
        **os.environ,
        "AWS_ACCESS_KEY_ID": "anyone",
        "AWS_SECRET_ACCESS_KEY": "anything",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_CA_BUNDLE": cert,
    }
    command = f"{Path(sys.executable).parent}/aws --endpoint-url {secure[0].url} s3 cp {cert} s3://bucket/by-aws"
    run = subprocess.run(command.split(), env=env, capture_output=True, text=True, timeout=60, check=False)

    assert run.returncode == 0, run.stderr
    assert secure[1].get_object(Bucket="bucket", Key="by-aws")["Body"].read() == Path(cert).read_bytes()
