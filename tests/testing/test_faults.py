"""What goes wrong when it is told to: slow, refused, cut off; and only there, and only so often."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection, IncompleteRead
from typing import TYPE_CHECKING

import pytest
from botocore.config import Config
from botocore.exceptions import (
    ClientError,
    ConnectionClosedError,
    HTTPClientError,
    IncompleteReadError,
    ResponseStreamingError,
)

from post3.testing import S3Server

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

LARGE = bytes(range(256)) * 4096 * 8
"""8 MiB."""


def refusal(client: S3Client) -> tuple[str, int]:
    with pytest.raises(ClientError) as error:
        client.list_buckets()
    told = error.value.response
    return told["Error"]["Code"], told["ResponseMetadata"]["HTTPStatusCode"]


def names(client: S3Client, bucket: str) -> list[str]:
    return [entry["Key"] for entry in client.list_objects_v2(Bucket=bucket).get("Contents", [])]


# Slow


def test_a_slow_answer_takes_its_time(s3: S3Server, client: S3Client) -> None:
    with s3.faults.slow(0.2, times=1):
        began = time.monotonic()
        client.list_buckets()
        assert time.monotonic() - began >= 0.2


def test_a_client_without_patience_gives_up(s3: S3Server) -> None:
    hasty = s3.client(config=Config(read_timeout=0.1, retries={"total_max_attempts": 1}))
    with s3.faults.slow(60) as fault:
        with pytest.raises(HTTPClientError, match="Read timeout"):
            hasty.list_buckets()
        assert fault.hits == 1
    assert hasty.list_buckets()["Buckets"] == []


def test_ending_a_slow_fault_lets_its_requests_go(s3: S3Server, client: S3Client) -> None:
    fault = s3.faults.slow(60)
    with ThreadPoolExecutor() as pool:
        waiting = pool.submit(client.list_buckets)
        fault.wait()
        assert not waiting.done()
        fault.end()
        assert waiting.result(timeout=10)["Buckets"] == []


def test_waiting_for_a_request_that_does_not_come_ends(s3: S3Server) -> None:
    with pytest.raises(TimeoutError, match="No request met the fault"):
        s3.faults.slow(1).wait(0.01)


# Refused


def test_a_failure_is_503_slow_down(s3: S3Server, client: S3Client) -> None:
    with s3.faults.fail():
        assert refusal(client) == ("SlowDown", 503)
    assert client.list_buckets()["Buckets"] == []


def test_a_failure_may_be_any_of_s3s(s3: S3Server, client: S3Client) -> None:
    for fault, told in (
        (s3.faults.fail(500, times=1), ("InternalError", 500)),
        (s3.faults.fail(status=503, code="SlowDown", times=1), ("SlowDown", 503)),
        (s3.faults.fail(code="AccessDenied", times=1), ("AccessDenied", 403)),
        (s3.faults.fail(404, "NoSuchUpload", times=1), ("NoSuchUpload", 404)),
        (s3.faults.fail(599, "Unheard", times=1), ("Unheard", 599)),
    ):
        assert refusal(client) == told
        assert fault.is_over


def test_a_failure_has_its_message(s3: S3Server, client: S3Client) -> None:
    s3.faults.fail(code="SlowDown", message="Not so fast.", times=1)
    with pytest.raises(ClientError, match="Not so fast"):
        client.list_buckets()


def test_nothing_is_done_by_what_fails(s3: S3Server, client: S3Client, bucket: str) -> None:
    with s3.faults.fail(), pytest.raises(ClientError):
        client.put_object(Bucket=bucket, Key="key", Body=LARGE)
    assert names(client, bucket) == []


def test_boto3_tries_again_over_failures(s3: S3Server) -> None:
    patient = s3.client(config=Config(retries={"total_max_attempts": 3, "mode": "standard"}))
    fault = s3.faults.fail(times=2)
    assert patient.list_buckets()["Buckets"] == []
    assert fault.hits == 2
    assert [request.status for request in s3.requests] == [503, 503, 200]


@pytest.mark.parametrize(
    ("status", "code", "told"),
    [
        (418, None, "Which error has the status 418"),
        (None, "Unheard", "no code of S3's"),
        (200, "SlowDown", "status is 200"),
    ],
)
def test_a_failure_that_cannot_be_is_told(s3: S3Server, status: int | None, code: str | None, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        s3.faults.fail(status, code)


# Cut off


def test_a_cut_answer_never_comes_though_all_is_done(s3: S3Server, client: S3Client, bucket: str) -> None:
    with s3.faults.cut(operation="PutObject") as fault, pytest.raises(ConnectionClosedError):
        client.put_object(Bucket=bucket, Key="key", Body=b"hello")
    assert fault.hits == 1
    assert names(client, bucket) == ["key"]
    assert [request.status for request in s3.requests] == [200, 0, 200]


@pytest.mark.parametrize("after", [0, 1, 100_000, len(LARGE) - 1])
def test_an_answer_is_cut_after_so_many_bytes(s3: S3Server, client: S3Client, bucket: str, after: int) -> None:
    client.put_object(Bucket=bucket, Key="key", Body=LARGE)
    s3.faults.cut(after, times=1)
    body = client.get_object(Bucket=bucket, Key="key")["Body"]
    assert body.read(after) == LARGE[:after]
    with pytest.raises((IncompleteReadError, ResponseStreamingError)):
        body.read()
    assert client.get_object(Bucket=bucket, Key="key")["Body"].read() == LARGE


def test_a_document_is_cut_too(s3: S3Server) -> None:
    s3.faults.cut(after_bytes=20)
    connection = HTTPConnection(s3.url.removeprefix("http://"), timeout=10)
    connection.request("GET", "/")
    with pytest.raises(IncompleteRead) as error:
        connection.getresponse().read()
    connection.close()
    assert error.value.partial == b'<?xml version="1.0" '


def test_an_answer_that_is_too_short_to_be_cut_does_not_meet_the_fault(
    s3: S3Server, client: S3Client, bucket: str
) -> None:
    client.put_object(Bucket=bucket, Key="key", Body=b"hello")
    with s3.faults.cut(after_bytes=5) as fault:
        assert client.get_object(Bucket=bucket, Key="key")["Body"].read() == b"hello"
        assert client.head_object(Bucket=bucket, Key="key")["ContentLength"] == 5
        assert fault.hits == 0


@pytest.mark.parametrize("after", [0, 1, 1_000_000])
def test_a_cut_request_leaves_nothing(s3: S3Server, client: S3Client, bucket: str, after: int) -> None:
    with s3.faults.cut_request(after) as fault, pytest.raises(ConnectionClosedError):
        client.put_object(Bucket=bucket, Key="key", Body=LARGE)
    assert fault.hits == 1
    assert names(client, bucket) == []


def test_a_request_that_is_cut_at_once_needs_no_body(s3: S3Server, client: S3Client) -> None:
    with s3.faults.cut_request(), pytest.raises(ConnectionClosedError):
        client.list_buckets()


def test_a_request_that_is_too_short_to_be_cut_does_not_meet_the_fault(
    s3: S3Server, client: S3Client, bucket: str
) -> None:
    with s3.faults.cut_request(after_bytes=100_000) as fault:
        client.put_object(Bucket=bucket, Key="key", Body=b"hello")
        assert fault.hits == 0


def test_a_slow_operation_is_cut_as_well(s3: S3Server, client: S3Client, bucket: str) -> None:
    upload = client.create_multipart_upload(Bucket=bucket, Key="key")["UploadId"]
    etag = client.upload_part(Bucket=bucket, Key="key", UploadId=upload, PartNumber=1, Body=b"hello")["ETag"]
    for fault in (s3.faults.cut_request(10, operation="CompleteMultipartUpload", times=1), s3.faults.cut(times=1)):
        with pytest.raises(ConnectionClosedError):
            client.complete_multipart_upload(
                Bucket=bucket,
                Key="key",
                UploadId=upload,
                MultipartUpload={"Parts": [{"ETag": etag, "PartNumber": 1}]},
            )
        assert fault.is_over
    assert names(client, bucket) == ["key"]


# Where, and how often


def test_only_what_a_fault_is_about_meets_it(s3: S3Server, client: S3Client, bucket: str) -> None:
    client.create_bucket(Bucket="another")
    with s3.faults.fail(method="PUT", bucket=bucket, key="key", operation="PutObject") as fault:
        client.put_object(Bucket="another", Key="key")
        client.put_object(Bucket=bucket, Key="key2")
        client.put_object_tagging(Bucket="another", Key="key", Tagging={"TagSet": []})
        client.list_objects_v2(Bucket=bucket)
        assert fault.hits == 0
        with pytest.raises(ClientError):
            client.put_object(Bucket=bucket, Key="key")
        assert fault.hits == 1


def test_faults_come_one_after_the_other(s3: S3Server, client: S3Client) -> None:
    s3.faults.fail(times=1)
    s3.faults.fail(500, times=1)
    assert [refusal(client), refusal(client)] == [("SlowDown", 503), ("InternalError", 500)]
    assert client.list_buckets()["Buckets"] == []


def test_a_request_may_meet_several_faults(s3: S3Server, client: S3Client) -> None:
    with s3.faults.slow(0.05) as slow, s3.faults.fail() as fail:
        refusal(client)
    assert (slow.hits, fail.hits) == (1, 1)


def test_a_fault_ends_with_its_with(s3: S3Server, client: S3Client) -> None:
    with s3.faults.fail() as fault:
        refusal(client)
    assert fault.is_over
    assert client.list_buckets()["Buckets"] == []


def test_clearing_and_a_reset_end_all_faults(s3: S3Server, client: S3Client) -> None:
    for end in (s3.faults.clear, s3.reset):
        s3.faults.fail()
        s3.faults.cut()
        end()
        assert client.list_buckets()["Buckets"] == []


@pytest.mark.parametrize(
    ("about", "told"),
    [
        ({"times": 0}, "times is 0"),
        ({"method": "get"}, "must be one of DELETE, GET"),
        ({"operation": "Getobject"}, "operation is 'Getobject'"),
    ],
)
def test_a_fault_about_nothing_is_told(s3: S3Server, about: dict[str, object], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        s3.faults.fail(**about)  # type: ignore[arg-type]  # that is the point


def test_numbers_below_nothing_are_told(s3: S3Server) -> None:
    for make in (s3.faults.slow, s3.faults.cut, s3.faults.cut_request):
        with pytest.raises(ValueError, match="must not be negative"):
            make(-1)
