"""The server's time: set, ahead, standing still; and what it decides."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from http.client import HTTPConnection
from typing import TYPE_CHECKING

import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from post3.testing import S3Server
from post3.testing.clock import SettableClock

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

THEN = datetime(2001, 2, 3, 4, 5, 6, tzinfo=UTC)
MOMENT = timedelta(seconds=10)


@pytest.fixture
def clock() -> SettableClock:
    return SettableClock()


def get(s3: S3Server, link: str) -> tuple[int, bytes]:
    connection = HTTPConnection(s3.url.removeprefix("http://"), timeout=10)
    connection.request("GET", link.removeprefix(s3.url))
    response = connection.getresponse()
    told = response.status, response.read()
    connection.close()
    return told


# By itself


def test_it_goes_with_the_systems_until_it_is_set(clock: SettableClock) -> None:
    before = datetime.now(UTC)
    assert before <= clock.now() <= datetime.now(UTC)


def test_it_goes_on_from_where_it_is_set(clock: SettableClock) -> None:
    clock.set(THEN)
    first, second = clock.now(), clock.now()
    assert THEN <= first < second < THEN + MOMENT


def test_it_stands_still_when_frozen(clock: SettableClock) -> None:
    clock.freeze()
    assert clock.now() == clock.now()
    clock.freeze(THEN)
    assert clock.now() == THEN


def test_a_frozen_clock_is_moved_and_stays_frozen(clock: SettableClock) -> None:
    clock.freeze(THEN)
    clock.advance(days=1, minutes=5)
    assert clock.now() == THEN + timedelta(days=1, minutes=5)
    clock.set(THEN)
    assert clock.now() == THEN


def test_it_advances_from_where_it_is(clock: SettableClock) -> None:
    clock.set(THEN)
    clock.advance(timedelta(days=1))
    clock.advance(hours=-1)
    assert THEN <= clock.now() - timedelta(hours=23) < THEN + MOMENT


def test_it_goes_as_before_when_its_with_is_over(clock: SettableClock) -> None:
    with clock.set(THEN):
        with clock.freeze(), clock.advance(days=1):
            assert clock.now() == clock.now()
        assert THEN <= clock.now() < THEN + MOMENT
    assert clock.now() > THEN + timedelta(days=365)


def test_a_reset_makes_it_right(clock: SettableClock) -> None:
    clock.freeze(THEN)
    clock.checks_requests = True
    clock.reset()
    assert datetime.now(UTC) - clock.now() < MOMENT
    assert clock.checks_requests is False


def test_zones_are_understood(clock: SettableClock) -> None:
    clock.freeze(datetime(2001, 2, 3, 6, 5, 6, tzinfo=timezone(timedelta(hours=2))))
    assert (clock.now(), clock.now().tzinfo) == (THEN, UTC)


def test_what_it_cannot_show_is_refused_and_changes_nothing(clock: SettableClock) -> None:
    clock.freeze(THEN)
    with pytest.raises(ValueError, match="has no time zone"):
        clock.set(datetime(2001, 2, 3))
    with pytest.raises(ValueError, match="begin with 1970"):
        clock.freeze(datetime(1969, 12, 31, tzinfo=UTC))
    with pytest.raises(ValueError, match="begin with 1970"):
        clock.advance(days=-365 * 40)
    with pytest.raises(ValueError, match="no such date"):
        clock.advance(days=365 * 9000)
    assert clock.now() == THEN


# In the server


def test_what_is_stored_has_the_clocks_dates(s3: S3Server, client: S3Client) -> None:
    s3.clock.freeze(THEN)
    client.create_bucket(Bucket="bucket")
    client.put_object(Bucket="bucket", Key="key", Body=b"hello")
    client.create_multipart_upload(Bucket="bucket", Key="large")
    (bucket,) = client.list_buckets()["Buckets"]
    (key,) = client.list_objects_v2(Bucket="bucket")["Contents"]
    (upload,) = client.list_multipart_uploads(Bucket="bucket")["Uploads"]
    part = client.upload_part(Bucket="bucket", Key="large", UploadId=upload["UploadId"], PartNumber=1, Body=b"hello")
    (listed,) = client.list_parts(Bucket="bucket", Key="large", UploadId=upload["UploadId"])["Parts"]
    assert part["ETag"] == listed["ETag"]
    assert bucket["CreationDate"] == key["LastModified"] == upload["Initiated"] == listed["LastModified"] == THEN
    assert client.head_object(Bucket="bucket", Key="key")["LastModified"] == THEN


def test_versions_keep_their_order_whatever_the_clock_does(s3: S3Server, client: S3Client, bucket: str) -> None:
    client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    put = [client.put_object(Bucket=bucket, Key="key", Body=b"one")["VersionId"]]
    for back in (0, 1):
        s3.clock.freeze(THEN - timedelta(days=back))
        put.append(client.put_object(Bucket=bucket, Key="key", Body=b"another")["VersionId"])
    listed = client.list_object_versions(Bucket=bucket)["Versions"]
    assert [version["VersionId"] for version in listed] == put[::-1]


def test_a_link_expires_when_the_clock_says_so(s3: S3Server, client: S3Client, bucket: str) -> None:
    client.put_object(Bucket=bucket, Key="key", Body=b"hello")
    for version in ("s3", "s3v4"):
        signer = s3.client(config=Config(signature_version=version))
        link = signer.generate_presigned_url("get_object", {"Bucket": bucket, "Key": "key"}, ExpiresIn=3600)
        with s3.clock.advance(minutes=59):
            assert get(s3, link) == (200, b"hello")
        with s3.clock.advance(minutes=61):
            status, told = get(s3, link)
        assert status == 403
        assert b"Request has expired" in told


def test_a_link_is_not_yet_valid_when_the_clock_says_so(s3: S3Server, bucket: str) -> None:
    client = s3.client(config=Config(signature_version="s3v4"))
    link = client.generate_presigned_url("get_object", {"Bucket": bucket, "Key": "key"})
    s3.clock.advance(hours=-1)
    assert b"Request is not yet valid" in get(s3, link)[1]


def test_a_condition_on_a_date_to_come_is_none_until_the_clock_shows_it(
    s3: S3Server, client: S3Client, bucket: str
) -> None:
    s3.clock.set(THEN)
    client.put_object(Bucket=bucket, Key="key", Body=b"hello")
    soon = THEN + timedelta(minutes=1)
    # RFC 9110, 13.1.3: a date later than the server's own time is ignored.
    assert client.get_object(Bucket=bucket, Key="key", IfModifiedSince=soon)["Body"].read() == b"hello"
    s3.clock.advance(minutes=2)
    with pytest.raises(ClientError) as error:
        client.get_object(Bucket=bucket, Key="key", IfModifiedSince=soon)
    assert error.value.response["Error"]["Code"] == "304"


def test_policies_look_at_the_clock(s3: S3Server, client: S3Client, bucket: str) -> None:
    client.put_object(Bucket=bucket, Key="key", Body=b"hello")
    statement = {
        "Effect": "Allow",
        "Principal": "*",
        "Action": "s3:GetObject",
        "Resource": f"arn:aws:s3:::{bucket}/*",
        "Condition": {"DateLessThan": {"aws:CurrentTime": "2001-02-04T00:00:00Z"}},
    }
    client.delete_public_access_block(Bucket=bucket)
    client.put_bucket_policy(Bucket=bucket, Policy=json.dumps({"Version": "2012-10-17", "Statement": [statement]}))
    assert get(s3, f"/{bucket}/key")[0] == 403
    s3.clock.set(THEN)
    assert get(s3, f"/{bucket}/key") == (200, b"hello")


def test_signed_requests_go_on_whatever_the_clock_shows(s3: S3Server, client: S3Client) -> None:
    for moment in (THEN, THEN + timedelta(days=365 * 100)):
        with s3.clock.set(moment):
            assert client.list_buckets()["Buckets"] == []


def test_the_time_of_signed_requests_is_held_against_the_clock_when_asked_for(s3: S3Server, client: S3Client) -> None:
    s3.clock.checks_requests = True
    assert client.list_buckets()["Buckets"] == []
    s3.clock.advance(minutes=20)
    with pytest.raises(ClientError) as error:
        client.list_buckets()
    assert error.value.response["Error"]["Code"] == "RequestTimeTooSkewed"


def test_a_form_expires_when_the_clock_says_so(s3: S3Server, client: S3Client, bucket: str) -> None:
    form = client.generate_presigned_post(bucket, "key", ExpiresIn=3600)
    assert post(s3, form["fields"]) == 204
    s3.clock.advance(minutes=61)
    assert post(s3, form["fields"]) == 403


def post(s3: S3Server, fields: dict[str, str]) -> int:
    parts = [f'--x\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{text}\r\n' for name, text in fields.items()]
    parts.append('--x\r\nContent-Disposition: form-data; name="file"\r\n\r\nhello\r\n--x--\r\n')
    connection = HTTPConnection(s3.url.removeprefix("http://"), timeout=10)
    connection.request("POST", "/bucket", "".join(parts), {"content-type": "multipart/form-data; boundary=x"})
    response = connection.getresponse()
    response.read()
    connection.close()
    return response.status
