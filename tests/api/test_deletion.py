"""Deletes over HTTP: of one key, of one version, of a batch."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any
from xml.sax.saxutils import escape

import pytest

from tests.api.asking import Answer, ask, content, history, lacks, refusal, set_versioning
from tests.servers import Server

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


def batch(server: Server, bucket: str, body: str | bytes) -> Answer:
    """A batch of deletes as its document stands here."""
    return ask(server, "POST", f"/{bucket}?delete", body=body.encode() if isinstance(body, str) else body)


def put_all(s3: S3Client, bucket: str, *keys: str) -> None:
    for key in keys:
        s3.put_object(Bucket=bucket, Key=key, Body=key.encode())


def keys(s3: S3Client, bucket: str) -> list[str]:
    return [entry["Key"] for entry in s3.list_objects_v2(Bucket=bucket).get("Contents", [])]


# One key


def test_a_deleted_object_is_gone(server: Server, s3: S3Client, s3_bucket: str) -> None:
    put_all(s3, s3_bucket, "a", "b")
    answer = ask(server, "DELETE", f"/{s3_bucket}/a")
    assert (answer.status, answer.body) == (204, b"")
    assert "x-amz-version-id" not in answer.headers
    assert "x-amz-delete-marker" not in answer.headers
    assert refusal(s3.get_object, Bucket=s3_bucket, Key="a") == (404, "NoSuchKey")
    assert keys(s3, s3_bucket) == ["b"]


def test_what_is_not_there_is_deleted_already(s3: S3Client, s3_bucket: str) -> None:
    for _ in range(2):
        assert s3.delete_object(Bucket=s3_bucket, Key="absent")["ResponseMetadata"]["HTTPStatusCode"] == 204
    assert refusal(s3.delete_object, Bucket="no-such-bucket", Key="absent") == (404, "NoSuchBucket")


def test_version_null_can_be_deleted_where_nothing_is_versioned(s3: S3Client, s3_bucket: str) -> None:
    put_all(s3, s3_bucket, "a")
    s3.delete_object(Bucket=s3_bucket, Key="a", VersionId="0" * 32)
    assert keys(s3, s3_bucket) == ["a"]
    s3.delete_object(Bucket=s3_bucket, Key="a", VersionId="null")
    assert keys(s3, s3_bucket) == []


# A batch


def test_a_batch_tells_of_each_key_in_order(s3: S3Client, s3_bucket: str) -> None:
    put_all(s3, s3_bucket, "a", "b", "c", "kept")
    told = s3.delete_objects(
        Bucket=s3_bucket, Delete={"Objects": [{"Key": "c"}, {"Key": "absent"}, {"Key": "a"}, {"Key": "b"}]}
    )
    assert told["Deleted"] == [{"Key": "c"}, {"Key": "absent"}, {"Key": "a"}, {"Key": "b"}]
    assert lacks(told, "Errors")
    assert keys(s3, s3_bucket) == ["kept"]


def test_a_thousand_keys_can_be_deleted_at_once(s3: S3Client, s3_bucket: str) -> None:
    put_all(s3, s3_bucket, "k0000", "k0500", "k0999")
    named: Any = [{"Key": f"k{number:04}"} for number in range(1000)]
    assert s3.delete_objects(Bucket=s3_bucket, Delete={"Objects": named})["Deleted"] == named
    assert keys(s3, s3_bucket) == []


def test_more_than_a_thousand_keys_are_refused_and_all_stay(s3: S3Client, s3_bucket: str) -> None:
    put_all(s3, s3_bucket, "k0000")
    named: Any = [{"Key": f"k{number:04}"} for number in range(1001)]
    assert refusal(s3.delete_objects, Bucket=s3_bucket, Delete={"Objects": named}) == (400, "MalformedXML")
    assert keys(s3, s3_bucket) == ["k0000"]


def test_a_quiet_batch_tells_of_failures_only(server: Server, s3: S3Client, s3_bucket: str) -> None:
    put_all(s3, s3_bucket, "a")
    too_long = "k" * 1025
    told = s3.delete_objects(
        Bucket=s3_bucket, Delete={"Quiet": True, "Objects": [{"Key": "a"}, {"Key": too_long}, {"Key": "absent"}]}
    )
    assert lacks(told, "Deleted")
    assert [(error["Key"], error["Code"]) for error in told["Errors"]] == [(too_long, "KeyTooLongError")]
    assert keys(s3, s3_bucket) == []
    answer = batch(server, s3_bucket, "<Delete><Quiet>true</Quiet><Object><Key>a</Key></Object></Delete>")
    assert (answer.status, answer.texts("Deleted"), len(answer.texts("DeleteResult"))) == (200, [], 1)


def test_odd_keys_are_deleted_as_they_are_written(server: Server, s3: S3Client, s3_bucket: str) -> None:
    odd = ["a b", " a ", "<tag>&amp;", 'quo"te', "ümläut/日本", "a//b", "a%20b", "+", "..", "😀"]
    put_all(s3, s3_bucket, *odd)
    entries = "".join(f"<Object><Key>{escape(key)}</Key></Object>" for key in odd)
    answer = batch(server, s3_bucket, f"<Delete>{entries}</Delete>")
    assert answer.texts("Key") == odd
    assert keys(s3, s3_bucket) == []


def test_a_batch_in_the_namespace_of_s3_is_the_same(server: Server, s3: S3Client, s3_bucket: str) -> None:
    put_all(s3, s3_bucket, "a")
    xmlns = 'xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'
    document = f"<?xml version='1.0'?>\n<Delete {xmlns}>\n  <Object>\n <Key>a</Key>\n </Object>\n</Delete>"
    assert batch(server, s3_bucket, document).texts("Key") == ["a"]
    assert keys(s3, s3_bucket) == []


@pytest.mark.parametrize(
    "document",
    [
        "",
        "no xml",
        "<Delete>",
        "<Delete/>",
        "<Delete></Delete>",
        "<Other><Object><Key>a</Key></Object></Other>",
        "<Delete><Object/></Delete>",
        "<Delete><Object><Key></Key></Object></Delete>",
        "<Delete><Object><VersionId>null</VersionId></Object></Delete>",
        "<Delete><Object>a</Object></Delete>",
        "<Delete><Object><Key>a</Key><Key>b</Key></Object></Delete>",
        "<Delete><Object><Key>a</Key><Size>big</Size></Object></Delete>",
        '<!DOCTYPE d [<!ENTITY e "a">]><Delete><Object><Key>&e;</Key></Object></Delete>',
        b"<Delete><Object><Key>\xff</Key></Object></Delete>",
    ],
)
def test_a_batch_that_is_none_deletes_nothing(
    server: Server, s3: S3Client, s3_bucket: str, document: str | bytes
) -> None:
    put_all(s3, s3_bucket, "a")
    answer = batch(server, s3_bucket, document)
    assert (answer.status, answer.code) == (400, "MalformedXML")
    assert keys(s3, s3_bucket) == ["a"]


def test_a_batch_whose_digest_is_wrong_deletes_nothing(server: Server, s3: S3Client, s3_bucket: str) -> None:
    put_all(s3, s3_bucket, "a")
    document = b"<Delete><Object><Key>a</Key></Object></Delete>"
    for name, value in (("content-md5", "1B2M2Y8AsgTpgAmY7PhCfg=="), ("x-amz-checksum-crc32", "AAAAAA==")):
        answer = ask(server, "POST", f"/{s3_bucket}?delete", {name: value}, document)
        assert (answer.status, answer.code) == (400, "BadDigest")
    assert keys(s3, s3_bucket) == ["a"]


def test_a_batch_for_a_bucket_that_is_not_there_is_refused(s3: S3Client) -> None:
    refused = refusal(s3.delete_objects, Bucket="no-such-bucket", Delete={"Objects": [{"Key": "a"}]})
    assert refused == (404, "NoSuchBucket")


# Versions in a batch


def test_a_batch_hides_keys_behind_markers(s3: S3Client, s3_bucket: str) -> None:
    set_versioning(s3, s3_bucket, "Enabled")
    put_all(s3, s3_bucket, "a")
    told = s3.delete_objects(Bucket=s3_bucket, Delete={"Objects": [{"Key": "a"}, {"Key": "never-was"}]})["Deleted"]
    for one in told:
        assert one["DeleteMarker"] is True
        assert lacks(one, "VersionId")
        assert history(s3, s3_bucket, one["Key"])[0] == one["DeleteMarkerVersionId"]
    assert keys(s3, s3_bucket) == []


def test_a_batch_deletes_versions_and_markers_for_good(s3: S3Client, s3_bucket: str) -> None:
    set_versioning(s3, s3_bucket, "Enabled")
    first = s3.put_object(Bucket=s3_bucket, Key="a", Body=b"first")["VersionId"]
    second = s3.put_object(Bucket=s3_bucket, Key="a", Body=b"second")["VersionId"]
    marker = s3.delete_object(Bucket=s3_bucket, Key="a")["VersionId"]
    told = s3.delete_objects(
        Bucket=s3_bucket,
        Delete={"Objects": [{"Key": "a", "VersionId": marker}, {"Key": "a", "VersionId": first}]},
    )["Deleted"]
    assert told[0] == {"Key": "a", "VersionId": marker, "DeleteMarker": True, "DeleteMarkerVersionId": marker}
    assert told[1] == {"Key": "a", "VersionId": first}
    assert history(s3, s3_bucket, "a") == [second]
    assert content(s3, s3_bucket, "a") == b"second"


def test_a_version_that_cannot_be_is_an_error_of_its_own(s3: S3Client, s3_bucket: str) -> None:
    put_all(s3, s3_bucket, "a")
    told = s3.delete_objects(
        Bucket=s3_bucket,
        Delete={"Objects": [{"Key": "a", "VersionId": "nonsense"}, {"Key": "b", "VersionId": "0" * 32}]},
    )
    errors = [(error["Key"], error["VersionId"], error["Code"]) for error in told["Errors"]]
    assert errors == [("a", "nonsense", "NoSuchVersion")]
    assert told["Deleted"] == [{"Key": "b", "VersionId": "0" * 32}]
    assert keys(s3, s3_bucket) == ["a"]


def test_a_key_named_twice_is_told_twice(s3: S3Client, s3_bucket: str) -> None:
    put_all(s3, s3_bucket, "a")
    told = s3.delete_objects(Bucket=s3_bucket, Delete={"Objects": [{"Key": "a"}, {"Key": "a"}]})
    assert told["Deleted"] == [{"Key": "a"}, {"Key": "a"}]


def test_every_one_of_many_equal_batches_reports_all_of_it(s3: S3Client, s3_bucket: str) -> None:
    set_versioning(s3, s3_bucket, "Enabled")
    named: Any = [
        {"Key": "a", "VersionId": s3.put_object(Bucket=s3_bucket, Key="a", Body=b"a")["VersionId"]} for _ in range(10)
    ]

    def delete(_: int) -> Any:
        return s3.delete_objects(Bucket=s3_bucket, Delete={"Objects": named})

    with ThreadPoolExecutor(5) as threads:
        for told in threads.map(delete, range(5)):
            assert told["Deleted"] == named
            assert lacks(told, "Errors")
    assert history(s3, s3_bucket, "a") == []
