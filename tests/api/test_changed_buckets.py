"""Buckets that change, go, and come again: before a request and while its body arrives, by this server or another.

A server keeps the buckets that it has met; nobody is to notice it. What may be done with a bucket that changed is
tested in tests/unit/test_dispatch.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from http.client import HTTPConnection
from typing import TYPE_CHECKING, Final, NamedTuple

import pytest

from tests.api.asking import PART, begin, complete, content, history, lacks, md5, refusal, send, set_versioning
from tests.api.conftest import flags_of, new_bucket
from tests.api.test_users import client
from tests.conftest import KIB, MIB, some_bytes
from tests.servers import Server, post3_serve

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

SIZES: Final = (100, 100 * KIB, 3 * MIB)
"""Bytes that stand beside their version, that are a block, and that are several."""
LARGE: Final = some_bytes(3 * MIB)
"""They are in the bucket before their version is."""


class Pair(NamedTuple):
    """Two servers of one store, and a client of each."""

    server: Server
    s3: S3Client
    other: S3Client


@pytest.fixture(scope="module", params=["filesystem", "postgres"])
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    folder, flags = tmp_path_factory.mktemp("pair"), flags_of(request.param)
    with (
        post3_serve(*flags, cwd=folder) as one,
        post3_serve(*flags, cwd=folder) as other,
        closing(client(one, "anyone", "anything")) as s3,
        closing(client(other, "anyone", "anything")) as s3_there,
    ):
        yield Pair(one, s3, s3_there)


def met_bucket(s3: S3Client) -> str:
    """A bucket that the server has met."""
    bucket = new_bucket(s3)
    s3.put_object(Bucket=bucket, Key="before", Body=b"before")
    return bucket


def make_again(s3: S3Client, bucket: str) -> None:
    """Empty the bucket, delete it, and make another of its name."""
    for entry in s3.list_objects(Bucket=bucket).get("Contents", []):
        s3.delete_object(Bucket=bucket, Key=entry["Key"])
    s3.delete_bucket(Bucket=bucket)
    s3.create_bucket(Bucket=bucket)


@contextmanager
def put_until(
    server: Server, bucket: str, data: bytes, stop: int, key: str = "key"
) -> Iterator[Callable[[], tuple[int, str]]]:
    """The body is sent up to there; what is given sends the rest, and tells the status with version id or code."""
    with closing(HTTPConnection(server.host, server.port, timeout=30)) as connection:
        connection.putrequest("PUT", f"/{bucket}/{key}")
        connection.putheader("content-length", str(len(data)))
        connection.endheaders(data[:stop])

        def rest() -> tuple[int, str]:
            connection.send(data[stop:])
            answer = connection.getresponse()
            code = answer.read().decode().partition("<Code>")[2].partition("<")[0]
            return answer.status, code or answer.getheader("x-amz-version-id", "null")

        yield rest


# One server


@pytest.mark.parametrize("size", SIZES)
def test_a_put_after_versioning_changed_makes_a_version(s3: S3Client, size: int) -> None:
    bucket = met_bucket(s3)
    for status in ("Enabled", "Suspended", "Enabled"):
        set_versioning(s3, bucket, status)
        put = s3.put_object(Bucket=bucket, Key="key", Body=some_bytes(size))
        assert lacks(put, "VersionId") is (status == "Suspended")
    assert content(s3, bucket, "key") == some_bytes(size)
    assert len(history(s3, bucket, "key")) == 3


@pytest.mark.parametrize("size", SIZES)
def test_a_put_into_a_bucket_that_was_made_again_succeeds(s3: S3Client, size: int) -> None:
    bucket = met_bucket(s3)
    make_again(s3, bucket)
    assert s3.put_object(Bucket=bucket, Key="key", Body=some_bytes(size))["ETag"] == md5(some_bytes(size))
    assert content(s3, bucket, "key") == some_bytes(size)
    assert [entry["Key"] for entry in s3.list_objects(Bucket=bucket)["Contents"]] == ["key"]


@pytest.mark.parametrize("size", SIZES)
def test_a_put_into_a_bucket_that_is_gone_is_told_so(s3: S3Client, size: int) -> None:
    bucket = met_bucket(s3)
    s3.delete_object(Bucket=bucket, Key="before")
    s3.delete_bucket(Bucket=bucket)
    assert refusal(s3.put_object, Bucket=bucket, Key="key", Body=some_bytes(size)) == (404, "NoSuchBucket")


@pytest.mark.parametrize(("size", "stop"), [(100, 50), (3 * MIB, MIB), (3 * MIB, 3 * MIB - 1)])
def test_versioning_that_changes_while_a_body_arrives_is_in_force(
    server: Server, s3: S3Client, size: int, stop: int
) -> None:
    bucket = met_bucket(s3)
    with put_until(server, bucket, some_bytes(size), stop) as rest:
        set_versioning(s3, bucket, "Enabled")
        status, version_id = rest()
    assert status == 200
    assert history(s3, bucket, "key") == [version_id] != ["null"]
    assert content(s3, bucket, "key") == some_bytes(size)


def test_a_small_body_goes_into_the_bucket_that_was_made_while_it_arrived(server: Server, s3: S3Client) -> None:
    bucket = met_bucket(s3)
    with put_until(server, bucket, b"small body", 5) as rest:
        make_again(s3, bucket)
        assert rest() == (200, "null")
    assert content(s3, bucket, "key") == b"small body"


@pytest.mark.parametrize("stop", [MIB, 3 * MIB - 1])
def test_what_is_stored_in_a_bucket_that_is_gone_gets_into_no_other(server: Server, s3: S3Client, stop: int) -> None:
    bucket = met_bucket(s3)
    with put_until(server, bucket, LARGE, stop) as rest:
        make_again(s3, bucket)
        assert rest() == (404, "NoSuchBucket")
    assert lacks(s3.list_objects(Bucket=bucket), "Contents")


def test_an_upload_goes_on_while_versioning_changes(s3: S3Client) -> None:
    bucket = met_bucket(s3)
    upload_id = begin(s3, bucket, "key")
    set_versioning(s3, bucket, "Enabled")
    parts = send(s3, bucket, "key", upload_id, PART, b"last")
    set_versioning(s3, bucket, "Suspended")
    assert lacks(complete(s3, bucket, "key", upload_id, parts), "VersionId")
    assert content(s3, bucket, "key") == PART + b"last"


@pytest.mark.parametrize("size", SIZES)
def test_an_upload_of_a_bucket_that_was_made_again_is_unknown(s3: S3Client, size: int) -> None:
    bucket = met_bucket(s3)
    upload_id = begin(s3, bucket, "key")
    parts = send(s3, bucket, "key", upload_id, b"part")
    make_again(s3, bucket)
    s3.put_object(Bucket=bucket, Key="before", Body=b"before")
    at = {"Bucket": bucket, "Key": "key", "UploadId": upload_id}
    assert refusal(s3.upload_part, **at, PartNumber=2, Body=some_bytes(size)) == (404, "NoSuchUpload")
    refused = refusal(s3.complete_multipart_upload, **at, MultipartUpload={"Parts": parts})
    assert refused == (404, "NoSuchUpload")


# Two servers of one store


@pytest.mark.parametrize("size", SIZES)
def test_a_put_heeds_what_another_server_changed(pair: Pair, size: int) -> None:
    bucket = met_bucket(pair.s3)
    for status in ("Enabled", "Suspended", "Enabled"):
        set_versioning(pair.other, bucket, status)
        put = pair.s3.put_object(Bucket=bucket, Key="key", Body=some_bytes(size))
        assert lacks(put, "VersionId") is (status == "Suspended")
    assert len(history(pair.s3, bucket, "key")) == 3


@pytest.mark.parametrize("size", SIZES)
def test_a_put_goes_into_the_bucket_that_another_server_made_again(pair: Pair, size: int) -> None:
    bucket = met_bucket(pair.s3)
    for _ in range(2):
        make_again(pair.other, bucket)
        pair.s3.put_object(Bucket=bucket, Key="key", Body=some_bytes(size))
        assert content(pair.other, bucket, "key") == content(pair.s3, bucket, "key") == some_bytes(size)


def test_a_small_body_goes_into_the_bucket_that_another_server_made_while_it_arrived(pair: Pair) -> None:
    bucket = met_bucket(pair.s3)
    with put_until(pair.server, bucket, b"small body", 5) as rest:
        make_again(pair.other, bucket)
        assert rest() == (200, "null")
    assert content(pair.s3, bucket, "key") == content(pair.other, bucket, "key") == b"small body"


@pytest.mark.parametrize("stop", [MIB, 3 * MIB - 1])
def test_large_puts_go_on_while_another_server_changes_the_bucket(pair: Pair, stop: int) -> None:
    bucket = met_bucket(pair.s3)
    for number, status in enumerate(["Enabled", "Suspended"] * 3):
        key = f"key-{number}"
        with put_until(pair.server, bucket, LARGE, stop, key) as rest:
            set_versioning(pair.other, bucket, status)
            answered, version_id = rest()
        assert answered == 200
        assert history(pair.other, bucket, key) == [version_id]
        assert (version_id == "null") is (status == "Suspended")
