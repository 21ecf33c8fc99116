"""Buckets over HTTP: list, create, look at, delete."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from tests.api.asking import ask, begin, content, error_of, lacks, refusal, send, set_versioning
from tests.api.conftest import new_bucket
from tests.servers import Server

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


NO_REGION = b"<CreateBucketConfiguration><LocationConstraint>no region</LocationConstraint></CreateBucketConfiguration>"


def several(s3: S3Client, *suffixes: str) -> tuple[str, list[str]]:
    """A prefix that nobody else uses, and buckets that begin with it."""
    prefix = f"list-{uuid.uuid4().hex}"
    names = [f"{prefix}-{suffix}" for suffix in suffixes]
    for name in names:
        s3.create_bucket(Bucket=name)
    return prefix, names


def test_a_list_shows_a_new_bucket_with_its_date_and_region(s3: S3Client, s3_bucket: str) -> None:
    listed = s3.list_buckets(Prefix=s3_bucket)
    assert [bucket["Name"] for bucket in listed["Buckets"]] == [s3_bucket]
    assert listed["Buckets"][0]["BucketRegion"] == "us-east-1"
    assert abs(listed["Buckets"][0]["CreationDate"] - datetime.now(UTC)) < timedelta(minutes=5)
    assert listed["Owner"]["ID"]
    assert listed["Prefix"] == s3_bucket


def test_a_list_without_limit_is_no_page(s3: S3Client, s3_bucket: str) -> None:
    listed = s3.list_buckets()
    assert s3_bucket in [bucket["Name"] for bucket in listed["Buckets"]]
    assert lacks(listed, "ContinuationToken")
    assert lacks(listed, "Prefix")


def test_pages_of_buckets_follow_each_other_by_name(s3: S3Client) -> None:
    prefix, names = several(s3, "c", "a", "b", "e", "d")
    pages = []
    token = ""
    while True:
        page = s3.list_buckets(Prefix=prefix, MaxBuckets=2, ContinuationToken=token)
        pages.append([bucket["Name"] for bucket in page["Buckets"]])
        token = page.get("ContinuationToken", "")
        if not token:
            break
    assert pages == [sorted(names)[:2], sorted(names)[2:4], sorted(names)[4:]]


def test_a_page_that_holds_just_all_buckets_has_no_token(s3: S3Client) -> None:
    prefix, _ = several(s3, "a", "b")
    assert lacks(s3.list_buckets(Prefix=prefix, MaxBuckets=2), "ContinuationToken")


def test_a_prefix_without_buckets_is_an_empty_list(s3: S3Client) -> None:
    assert s3.list_buckets(Prefix=f"nothing-{uuid.uuid4().hex}")["Buckets"] == []


def test_buckets_are_listed_by_region(s3: S3Client) -> None:
    prefix, names = several(s3, "a", "c")
    s3.create_bucket(Bucket=f"{prefix}-b", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    abroad = s3.list_buckets(Prefix=prefix, BucketRegion="eu-west-1")["Buckets"]
    assert [(bucket["Name"], bucket["BucketRegion"]) for bucket in abroad] == [(f"{prefix}-b", "eu-west-1")]
    first = s3.list_buckets(Prefix=prefix, BucketRegion="us-east-1", MaxBuckets=1)
    assert [bucket["Name"] for bucket in first["Buckets"]] == names[:1]
    rest = s3.list_buckets(Prefix=prefix, BucketRegion="us-east-1", ContinuationToken=first["ContinuationToken"])
    assert [bucket["Name"] for bucket in rest["Buckets"]] == names[1:]


@pytest.mark.parametrize(
    "query",
    ["max-buckets=0", "max-buckets=-1", "max-buckets=many", "continuation-token=%21", "bucket-region=not%20one"],
)
def test_a_list_of_buckets_refuses_what_makes_no_sense(server: Server, query: str) -> None:
    answer = ask(server, "GET", f"/?{query}")
    assert (answer.status, answer.code) == (400, "InvalidArgument")


def test_a_new_bucket_is_told_its_location(server: Server) -> None:
    name = f"new-{uuid.uuid4().hex}"
    answer = ask(server, "PUT", f"/{name}")
    assert (answer.status, answer.headers["location"], answer.body) == (200, f"/{name}", b"")


@pytest.mark.parametrize("name", ["abc", "1ab", "a.b.c", "a-b-c", "n" * 63, "192.168.5.123a"])
def test_a_bucket_may_be_called(s3: S3Client, name: str) -> None:
    s3.create_bucket(Bucket=name)
    s3.delete_bucket(Bucket=name)


@pytest.mark.parametrize(
    "name",
    [
        "a",
        "aa",
        "n" * 64,
        "Upper",
        "under_score",
        "_ab",
        "foo-",
        "-foo",
        ".foo",
        "foo.",
        "foo..bar",
        "foo.-bar",
        "foo-.bar",
        "192.168.5.123",
        "xn--foo",
        "foo-s3alias",
        "foo--ol-s3",
        "foo%20bar",
        "f%C3%BC%C3%BC",
    ],
)
def test_a_bucket_may_not_be_called(server: Server, name: str) -> None:
    answer = ask(server, "PUT", f"/{name}")
    assert (answer.status, answer.code) == (400, "InvalidBucketName")


def test_its_owner_may_make_a_bucket_again_and_its_objects_stay(s3: S3Client, s3_bucket: str) -> None:
    s3.put_object(Bucket=s3_bucket, Key="kept", Body=b"kept")
    s3.create_bucket(Bucket=s3_bucket)
    assert content(s3, s3_bucket, "kept") == b"kept"


def test_a_bucket_is_where_it_was_made(s3: S3Client) -> None:
    name = f"far-{uuid.uuid4().hex}"
    s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": "ap-south-1"})
    assert s3.get_bucket_location(Bucket=name)["LocationConstraint"] == "ap-south-1"
    assert s3.head_bucket(Bucket=name)["BucketRegion"] == "ap-south-1"


def test_the_first_region_has_no_name(server: Server, s3: S3Client, s3_bucket: str) -> None:
    assert s3.get_bucket_location(Bucket=s3_bucket).get("LocationConstraint") is None
    assert s3.head_bucket(Bucket=s3_bucket)["BucketRegion"] == "us-east-1"
    answer = ask(server, "GET", f"/{s3_bucket}?location")
    assert answer.body.endswith(
        b'<LocationConstraint xmlns="http://s3.amazonaws.com/doc/2006-03-01/"></LocationConstraint>'
    )


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"no xml", "MalformedXML"),
        (b"<Other/>", "MalformedXML"),
        (b"<CreateBucketConfiguration>", "MalformedXML"),
        (NO_REGION, "InvalidLocationConstraint"),
        (b'<!DOCTYPE a [<!ENTITY b "c">]><CreateBucketConfiguration/>', "MalformedXML"),
    ],
)
def test_a_configuration_that_is_none_makes_no_bucket(server: Server, s3: S3Client, body: bytes, code: str) -> None:
    name = f"none-{uuid.uuid4().hex}"
    answer = ask(server, "PUT", f"/{name}", body=body)
    assert (answer.status, answer.code) == (400, code)
    assert refusal(s3.head_bucket, Bucket=name) == (404, "404")


def test_object_lock_is_refused_rather_than_promised(s3: S3Client) -> None:
    name = f"locked-{uuid.uuid4().hex}"
    assert refusal(s3.create_bucket, Bucket=name, ObjectLockEnabledForBucket=True) == (501, "NotImplemented")
    assert refusal(s3.head_bucket, Bucket=name) == (404, "404")


def test_a_look_at_a_bucket_that_is_not_there_has_no_body(server: Server) -> None:
    answer = ask(server, "HEAD", f"/none-{uuid.uuid4().hex}")
    assert (answer.status, answer.body) == (404, b"")
    assert answer.headers["x-amz-request-id"]


@pytest.mark.parametrize(
    ("method", "rest"),
    [
        ("GET", ""),
        ("GET", "?list-type=2"),
        ("GET", "?versions"),
        ("GET", "?uploads"),
        ("GET", "?location"),
        ("GET", "?versioning"),
        ("DELETE", ""),
        ("GET", "/key"),
        ("PUT", "/key"),
        ("DELETE", "/key"),
        ("POST", "/key?uploads"),
        ("PUT", "/key?partNumber=1&uploadId=1"),
        ("GET", "/key?uploadId=1"),
        ("DELETE", "/key?uploadId=1"),
    ],
)
def test_a_bucket_that_is_not_there_is_named(server: Server, method: str, rest: str) -> None:
    name = f"none-{uuid.uuid4().hex}"
    answer = ask(server, method, f"/{name}{rest}", body=b"")
    assert (answer.status, answer.code, answer.text("BucketName")) == (404, "NoSuchBucket", name)


def test_an_empty_bucket_is_deleted_and_may_be_made_again(s3: S3Client, s3_bucket: str) -> None:
    s3.put_object(Bucket=s3_bucket, Key="gone", Body=b"gone")
    s3.delete_object(Bucket=s3_bucket, Key="gone")
    s3.delete_bucket(Bucket=s3_bucket)
    assert refusal(s3.head_bucket, Bucket=s3_bucket) == (404, "404")
    assert refusal(s3.get_object, Bucket=s3_bucket, Key="gone") == (404, "NoSuchBucket")
    s3.create_bucket(Bucket=s3_bucket)
    assert s3.list_objects_v2(Bucket=s3_bucket)["KeyCount"] == 0


def test_a_bucket_made_again_has_forgotten_its_versioning(s3: S3Client, s3_bucket: str) -> None:
    set_versioning(s3, s3_bucket, "Enabled")
    s3.delete_bucket(Bucket=s3_bucket)
    s3.create_bucket(Bucket=s3_bucket)
    assert lacks(s3.get_bucket_versioning(Bucket=s3_bucket), "Status")
    assert lacks(s3.put_object(Bucket=s3_bucket, Key="a", Body=b"a"), "VersionId")


def test_a_bucket_with_an_object_is_not_deleted(s3: S3Client, s3_bucket: str) -> None:
    s3.put_object(Bucket=s3_bucket, Key="kept", Body=b"kept")
    error = error_of(s3.delete_bucket, Bucket=s3_bucket)
    assert (error["Code"], error["BucketName"]) == ("BucketNotEmpty", s3_bucket)
    assert content(s3, s3_bucket, "kept") == b"kept"


def test_a_bucket_with_nothing_but_a_marker_is_not_deleted(s3: S3Client, s3_bucket: str) -> None:
    set_versioning(s3, s3_bucket, "Enabled")
    marker = s3.delete_object(Bucket=s3_bucket, Key="never-was")["VersionId"]
    assert refusal(s3.delete_bucket, Bucket=s3_bucket) == (409, "BucketNotEmpty")
    s3.delete_object(Bucket=s3_bucket, Key="never-was", VersionId=marker)
    s3.delete_bucket(Bucket=s3_bucket)


def test_a_bucket_with_hidden_versions_is_not_deleted(s3: S3Client, s3_bucket: str) -> None:
    set_versioning(s3, s3_bucket, "Enabled")
    version = s3.put_object(Bucket=s3_bucket, Key="hidden", Body=b"hidden")["VersionId"]
    marker = s3.delete_object(Bucket=s3_bucket, Key="hidden")["VersionId"]
    s3.delete_object(Bucket=s3_bucket, Key="hidden", VersionId=marker)
    assert refusal(s3.delete_bucket, Bucket=s3_bucket) == (409, "BucketNotEmpty")
    s3.delete_object(Bucket=s3_bucket, Key="hidden", VersionId=version)
    s3.delete_bucket(Bucket=s3_bucket)


def test_an_upload_in_progress_does_not_keep_its_bucket(s3: S3Client, s3_bucket: str) -> None:
    upload_id = begin(s3, s3_bucket, "open")
    send(s3, s3_bucket, "open", upload_id, b"part")
    s3.delete_bucket(Bucket=s3_bucket)
    s3.create_bucket(Bucket=s3_bucket)
    assert lacks(s3.list_multipart_uploads(Bucket=s3_bucket), "Uploads")
    assert refusal(s3.list_parts, Bucket=s3_bucket, Key="open", UploadId=upload_id) == (404, "NoSuchUpload")


def test_a_bucket_is_refused_to_whoever_expects_another_owner(s3: S3Client, s3_bucket: str) -> None:
    owner = s3.list_buckets(Prefix=s3_bucket)["Owner"]["ID"]
    s3.head_bucket(Bucket=s3_bucket, ExpectedBucketOwner=owner)
    assert refusal(s3.list_objects_v2, Bucket=s3_bucket, ExpectedBucketOwner="111122223333") == (403, "AccessDenied")
    assert refusal(s3.delete_bucket, Bucket=s3_bucket, ExpectedBucketOwner="111122223333") == (403, "AccessDenied")
    s3.head_bucket(Bucket=s3_bucket)


def test_two_buckets_keep_their_objects_apart(s3: S3Client, s3_bucket: str) -> None:
    other = new_bucket(s3)
    s3.put_object(Bucket=s3_bucket, Key="same", Body=b"here")
    s3.put_object(Bucket=other, Key="same", Body=b"there")
    s3.delete_object(Bucket=other, Key="same")
    assert content(s3, s3_bucket, "same") == b"here"
