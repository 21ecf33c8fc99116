"""What S3 can do and post3 cannot yet: refused with 501, in XML, and nothing is changed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from post3.operations.unsupported import UNSUPPORTED
from tests.api.asking import ask, begin, content, lacks, refusal, set_versioning
from tests.servers import Server

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

DATA = b"untouched"
BUCKET_ROWS = [(method, selector) for method, level, selector in UNSUPPORTED if level == "bucket" and selector]
OBJECT_ROWS = [(method, selector) for method, level, selector in UNSUPPORTED if level == "object" and selector]


@pytest.fixture
def bucket(s3: S3Client, s3_bucket: str) -> str:
    """A bucket with an object, an old version of it, and an upload."""
    set_versioning(s3, s3_bucket, "Enabled")
    s3.put_object(Bucket=s3_bucket, Key="key", Body=b"old")
    s3.put_object(Bucket=s3_bucket, Key="key", Body=DATA, Metadata={"colour": "blue"})
    begin(s3, s3_bucket, "upload")
    return s3_bucket


def check_untouched(s3: S3Client, bucket: str) -> None:
    """The bucket is as the fixture made it."""
    got = s3.get_object(Bucket=bucket, Key="key")
    assert (got["Body"].read(), got["Metadata"]) == (DATA, {"colour": "blue"})
    listed = s3.list_object_versions(Bucket=bucket)
    assert len(listed["Versions"]) == 2
    assert lacks(listed, "DeleteMarkers")
    assert len(s3.list_multipart_uploads(Bucket=bucket)["Uploads"]) == 1
    assert s3.get_bucket_versioning(Bucket=bucket)["Status"] == "Enabled"


@pytest.mark.parametrize(("method", "selector"), BUCKET_ROWS)
def test_a_subresource_of_a_bucket_is_refused_and_changes_nothing(
    server: Server, s3: S3Client, bucket: str, method: str, selector: str
) -> None:
    answer = ask(server, method, f"/{bucket}?{selector}", body=b"<Some><Document/></Some>")
    assert (answer.status, answer.code) == (501, "NotImplemented")
    assert answer.headers["content-type"] == "application/xml"
    assert answer.text("RequestId") == answer.headers["x-amz-request-id"]
    check_untouched(s3, bucket)


@pytest.mark.parametrize(("method", "selector"), OBJECT_ROWS)
def test_a_subresource_of_an_object_is_refused_and_changes_nothing(
    server: Server, s3: S3Client, bucket: str, method: str, selector: str
) -> None:
    answer = ask(server, method, f"/{bucket}/key?{selector}", body=b"<Some><Document/></Some>")
    assert (answer.status, answer.code) == (501, "NotImplemented")
    check_untouched(s3, bucket)


@pytest.mark.parametrize(
    "query", ["retention=", "retention=x", "retention&versionId=null", "legal-hold&x-id=PutObjectLegalHold"]
)
def test_a_subresource_is_one_however_it_is_written(server: Server, s3: S3Client, bucket: str, query: str) -> None:
    answer = ask(server, "PUT", f"/{bucket}/key?{query}", body=b"new")
    assert (answer.status, answer.code) == (501, "NotImplemented")
    check_untouched(s3, bucket)


@pytest.mark.parametrize("path", ["", "/key"])
@pytest.mark.parametrize("method", ["PUT", "POST", "DELETE"])
@pytest.mark.parametrize("query", ["somethingNew", "somethingNew=", "acl&policy", "versioning&acl", "uploads&tagging"])
def test_what_nobody_knows_changes_nothing(
    server: Server, s3: S3Client, bucket: str, method: str, path: str, query: str
) -> None:
    answer = ask(server, method, f"/{bucket}{path}?{query}", body=b"<Some/>")
    assert (answer.status, answer.code) in ((501, "NotImplemented"), (405, "MethodNotAllowed"))
    check_untouched(s3, bucket)


@pytest.mark.parametrize("query", ["retention", "legal-hold", "uploadId=1", "attributes", "select", "restore"])
def test_a_subresource_of_objects_does_not_delete_the_bucket(
    server: Server, s3: S3Client, s3_bucket: str, query: str
) -> None:
    assert ask(server, "DELETE", f"/{s3_bucket}?{query}").status in (405, 501)
    s3.head_bucket(Bucket=s3_bucket)


@pytest.mark.parametrize(
    ("method", "target"),
    [("PATCH", "/{}/key"), ("POST", "/{}/key"), ("POST", "/"), ("PUT", "/"), ("DELETE", "/"), ("HEAD", "/")],
)
def test_a_method_that_does_not_fit_is_refused(
    server: Server, s3: S3Client, bucket: str, method: str, target: str
) -> None:
    answer = ask(server, method, target.format(bucket), body=b"x" if method != "HEAD" else None)
    assert answer.status in (405, 501)
    check_untouched(s3, bucket)


PROMISES = [
    {"x-amz-server-side-encryption-context": "e30="},
    {"x-amz-server-side-encryption-customer-algorithm": "AES256"},
    {"x-amz-object-lock-mode": "COMPLIANCE"},
    {"x-amz-object-lock-retain-until-date": "2030-01-01T00:00:00Z"},
    {"x-amz-object-lock-legal-hold": "ON"},
    {"x-amz-write-offset-bytes": "9"},
]


@pytest.mark.parametrize("headers", PROMISES, ids=lambda headers: next(iter(headers)))
def test_what_cannot_be_kept_is_not_promised(
    server: Server, s3: S3Client, bucket: str, headers: dict[str, str]
) -> None:
    for method, path, more in (
        ("PUT", "/key", {}),
        ("PUT", "/key", {"x-amz-copy-source": f"{bucket}/key", "x-amz-metadata-directive": "REPLACE"}),
        ("POST", "/key?uploads", {}),
    ):
        answer = ask(server, method, f"/{bucket}{path}", {**more, **headers}, b"new")
        assert (answer.status, answer.code, answer.text("Header")) == (501, "NotImplemented", next(iter(headers)))
    check_untouched(s3, bucket)


@pytest.mark.parametrize(
    "headers",
    [
        {"x-amz-acl": "private"},
        {"x-amz-acl": "bucket-owner-full-control"},
        {"x-amz-tagging": ""},
        {"x-amz-object-lock-legal-hold": "OFF"},
        {"x-amz-request-payer": "requester"},
        {"x-amz-something-new": "1"},
    ],
)
def test_what_is_so_anyway_may_be_said(server: Server, s3: S3Client, s3_bucket: str, headers: dict[str, str]) -> None:
    assert ask(server, "PUT", f"/{s3_bucket}/key", headers, DATA).status == 200
    assert content(s3, s3_bucket, "key") == DATA


def test_a_key_of_the_customer_s_is_refused_by_reads_too(server: Server, bucket: str) -> None:
    headers = {"x-amz-server-side-encryption-customer-algorithm": "AES256"}
    assert ask(server, "GET", f"/{bucket}/key", headers).code == "NotImplemented"


def test_boto3_sees_the_refusal_as_what_it_is(s3: S3Client, bucket: str) -> None:
    assert refusal(s3.get_bucket_website, Bucket=bucket) == (501, "NotImplemented")
    assert refusal(s3.get_object_retention, Bucket=bucket, Key="key") == (501, "NotImplemented")
    assert refusal(s3.delete_bucket_lifecycle, Bucket=bucket) == (501, "NotImplemented")
    refused = refusal(s3.put_object, Bucket=bucket, Key="key", Body=b"new", ServerSideEncryption="AES256")
    assert refused == (501, "NotImplemented")
    check_untouched(s3, bucket)
