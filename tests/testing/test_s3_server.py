"""A server in the test's own process: there at once, its own, empty again, and gone."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from typing import TYPE_CHECKING

import pytest
from botocore.exceptions import ClientError

import post3.testing
from post3.testing import S3Server, server
from post3.testing.requests import RecordedRequest

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

LARGE = bytes(range(256)) * 4096 * 8
"""8 MiB."""


def code(error: pytest.ExceptionInfo[ClientError]) -> str:
    return error.value.response["Error"]["Code"]


def asked(s3: S3Server) -> list[tuple[str, int]]:
    return [(request.operation, request.status) for request in s3.requests]


def run(script: str, *options: str) -> str:
    """What a Python of its own prints; warnings are errors there."""
    command = [sys.executable, "-W", "error", *options, "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_it_keeps_what_it_is_given(client: S3Client, bucket: str) -> None:
    client.put_object(Bucket=bucket, Key="key", Body=LARGE)
    assert client.get_object(Bucket=bucket, Key="key")["Body"].read() == LARGE


def test_it_encrypts_when_asked_to(client: S3Client, bucket: str) -> None:
    client.put_object(Bucket=bucket, Key="key", Body=b"hello", ServerSideEncryption="AES256")
    got = client.get_object(Bucket=bucket, Key="key")
    assert (got["ServerSideEncryption"], got["Body"].read()) == ("AES256", b"hello")


def test_a_wrong_secret_is_refused(s3: S3Server) -> None:
    with pytest.raises(ClientError) as error:
        s3.client(aws_secret_access_key="not the secret").list_buckets()
    assert code(error) == "SignatureDoesNotMatch"


def test_an_unknown_key_is_refused(s3: S3Server) -> None:
    with pytest.raises(ClientError) as error:
        s3.client(aws_access_key_id="somebody").list_buckets()
    assert code(error) == "InvalidAccessKeyId"


def status_without_a_key(s3: S3Server) -> int:
    connection = HTTPConnection(s3.url.removeprefix("http://"), timeout=10)
    connection.request("PUT", "/bucket")
    status = connection.getresponse().status
    connection.close()
    return status


def test_nobody_gets_in_without_a_key_unless_all_may() -> None:
    with server() as closed, server(anonymous=True) as opened:
        assert (status_without_a_key(closed), status_without_a_key(opened)) == (403, 200)


def test_keys_may_be_chosen() -> None:
    with server(access_key="mine", secret_key="my own secret") as s3:
        assert s3.client().list_buckets()["Buckets"] == []
        assert s3.environment["AWS_ACCESS_KEY_ID"] == "mine"


def test_a_key_that_cannot_be_is_told() -> None:
    with pytest.raises(ValueError, match="secret_key must be 8 to 128 characters"):
        server(secret_key="short")


def test_a_reset_leaves_nothing(s3: S3Server, client: S3Client, bucket: str) -> None:
    client.put_object(Bucket=bucket, Key="key", Body=b"hello")
    s3.reset()
    assert s3.requests == ()
    assert client.list_buckets()["Buckets"] == []
    client.create_bucket(Bucket=bucket)
    assert client.list_objects_v2(Bucket=bucket)["KeyCount"] == 0


def test_what_is_under_way_at_a_reset_leaves_nothing_behind(s3: S3Server, client: S3Client, bucket: str) -> None:
    waiting = s3.faults.slow(60, operation="PutObject")
    with ThreadPoolExecutor() as pool:
        putting = pool.submit(client.put_object, Bucket=bucket, Key="key", Body=b"hello")
        waiting.wait()
        s3.reset()
        assert putting.result(timeout=10)["ResponseMetadata"]["HTTPStatusCode"] == 200
    assert client.list_buckets()["Buckets"] == []
    assert asked(s3) == [("ListBuckets", 200)]


def test_a_body_that_is_read_over_a_reset_is_whole(s3: S3Server, client: S3Client, bucket: str) -> None:
    client.put_object(Bucket=bucket, Key="key", Body=LARGE)
    body = client.get_object(Bucket=bucket, Key="key")["Body"]
    begin = body.read(10)
    s3.reset()
    assert begin + body.read() == LARGE


def test_requests_are_recorded_in_their_order(s3: S3Server, client: S3Client, bucket: str) -> None:
    client.put_object(Bucket=bucket, Key="a key", Body=b"")
    with pytest.raises(ClientError):
        client.head_object(Bucket=bucket, Key="another")
    link = client.generate_presigned_url("get_object", {"Bucket": bucket, "Key": "a key"})
    connection = HTTPConnection(s3.url.removeprefix("http://"), timeout=10)
    connection.request("GET", link.removeprefix(s3.url))
    assert connection.getresponse().read() == b""
    connection.request("PATCH", "/bucket")
    connection.getresponse().read()
    connection.close()
    assert s3.requests == (
        RecordedRequest("CreateBucket", "PUT", bucket, "", 200),
        RecordedRequest("PutObject", "PUT", bucket, "a key", 200),
        RecordedRequest("HeadObject", "HEAD", bucket, "another", 404),
        RecordedRequest("GetObject", "GET", bucket, "a key", 200),
        RecordedRequest("", "PATCH", bucket, "", 405),
    )


def test_two_servers_know_nothing_of_each_other() -> None:
    with server() as one, server() as other:
        one.client().create_bucket(Bucket="bucket")
        assert one.url != other.url
        assert other.client().list_buckets()["Buckets"] == []
        other.reset()
        assert len(one.client().list_buckets()["Buckets"]) == 1


def test_servers_may_start_in_threads_at_once() -> None:
    def use(_: int) -> int:
        with server(anonymous=True) as s3:
            return status_without_a_key(s3)

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(use, range(16))) == [200] * 16


def test_a_stopped_server_is_gone_with_its_thread_and_its_port() -> None:
    before = threading.enumerate()
    with server() as s3:
        port = int(s3.url.rpartition(":")[2])
        s3.client().create_bucket(Bucket="bucket")
        assert len(threading.enumerate()) == len(before) + 1
    assert threading.enumerate() == before
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=10)
    with pytest.raises(RuntimeError, match="is not started"):
        _ = s3.url


def test_it_may_be_started_again_and_is_empty_then() -> None:
    s3 = server()
    with s3:
        s3.client().create_bucket(Bucket="bucket")
        with pytest.raises(RuntimeError, match="is started already"):
            s3.start()
    with s3:
        assert s3.client().list_buckets()["Buckets"] == []


def test_it_stops_though_a_body_is_not_read_to_its_end_and_a_request_waits() -> None:
    with server() as s3, ThreadPoolExecutor() as pool:
        client = s3.client()
        client.create_bucket(Bucket="bucket")
        client.put_object(Bucket="bucket", Key="key", Body=LARGE)
        body = client.get_object(Bucket="bucket", Key="key")["Body"]
        fault = s3.faults.slow(60)
        waiting = pool.submit(s3.client().list_buckets)
        fault.wait()
        s3.stop()
        assert waiting.result(timeout=10)["ResponseMetadata"]["HTTPStatusCode"] == 200
        body.close()


def test_nothing_is_left_to_warn_about_at_the_end() -> None:
    run(
        "import post3.testing\n"
        "with post3.testing.server() as s3:\n"
        "    s3.client().create_bucket(Bucket='bucket')\n"
        "    s3.client().put_object(Bucket='bucket', Key='key', Body=b'hello')\n",
        "-X",
        "dev",
    )


def test_a_process_ends_though_its_server_was_not_stopped() -> None:
    assert run("import post3.testing as t\ns3 = t.server().start()\nprint(s3.client().list_buckets()['Buckets'])") == (
        "[]\n"
    )


# In what tests do


async def test_the_tests_own_loop_is_free_while_it_answers(s3: S3Server) -> None:
    host, port = s3.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(b"GET / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
    assert (await reader.read()).startswith(b"HTTP/1.1 403")
    writer.close()
    await writer.wait_closed()


async def test_it_may_be_started_and_stopped_within_a_running_loop() -> None:
    with server() as s3:
        buckets = await asyncio.to_thread(lambda: s3.client().list_buckets()["Buckets"])
    assert buckets == []


def test_a_fork_reaches_its_parents_server_and_leaves_it_alone(s3: S3Server, client: S3Client) -> None:
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            s3.client().create_bucket(Bucket="from-the-fork")
            s3.stop()
            status = 0
        finally:
            os._exit(status)
    assert os.waitpid(pid, 0)[1] == 0
    assert [bucket["Name"] for bucket in client.list_buckets()["Buckets"]] == ["from-the-fork"]


def test_a_fork_that_goes_on_does_not_keep_the_port() -> None:
    ended, end = os.pipe()
    began, begin = os.pipe()
    with server() as s3:
        port = int(s3.url.rpartition(":")[2])
        pid = os.fork()
        if pid == 0:
            os.close(end)
            os.write(begin, b"!")
            os.read(ended, 1)
            os._exit(0)
        os.read(began, 1)  # until then the fork may still have what it lets go of
    try:
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port), timeout=10)
    finally:
        for each in (end, ended, began, begin):
            os.close(each)
        os.waitpid(pid, 0)


def test_other_processes_reach_it_by_its_environment(s3: S3Server) -> None:
    command = [sys.executable, "-m", "awscli", "s3", "mb", "s3://bucket"]
    subprocess.run(command, env={**os.environ, **s3.environment}, check=True, capture_output=True, timeout=60)
    assert asked(s3) == [("CreateBucket", 200)]


def test_sanic_is_left_as_it_was_for_whoever_tests_it() -> None:
    told = run(
        "import post3.testing, sanic, sanic.http\n"
        "with post3.testing.server() as s3:\n    s3.client().list_buckets()\n"
        "print(getattr(sanic.http.Http, '__touched__', False), sanic.Sanic._app_registry)"
    )
    assert told == "False {}\n"


# What it costs those who do not use it


def test_importing_post3_brings_in_neither_the_fixture_nor_boto3() -> None:
    told = run(
        "import sys, post3; print([name for name in sys.modules if name.startswith(('post3.t', 'boto', 'sanic'))])"
    )
    assert told == "[]\n"


def test_importing_the_plugin_brings_in_pytest_alone() -> None:
    told = run(
        "import sys, pytest; before = set(sys.modules); import post3.testing.plugin; "
        "print(sorted(set(sys.modules) - before))"
    )
    assert told == "['post3', 'post3._version', 'post3.testing', 'post3.testing.plugin']\n"


def test_plain_import_of_post3_is_enough() -> None:
    assert run("import post3\nwith post3.testing.server() as s3: print(s3.url[:17])") == "http://127.0.0.1:\n"


def test_what_is_not_there_is_told() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        _ = post3.testing.nothing
