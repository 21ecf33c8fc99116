"""Copies over HTTP: of objects, and of ranges into parts."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from tests.api.asking import (
    ALGORITHMS,
    PART,
    ask,
    begin,
    checksum,
    complete,
    composite,
    content,
    error_of,
    lacks,
    md5,
    md5_of_parts,
    put_in_parts,
    refusal,
    send,
    set_versioning,
)
from tests.api.conftest import new_bucket
from tests.servers import Server

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

DATA = b"some bytes to copy"
HOUR = timedelta(hours=1)


@pytest.fixture
def source(s3: S3Client, s3_bucket: str) -> dict[str, str]:
    """An object with headers and metadata of its own."""
    s3.put_object(
        Bucket=s3_bucket,
        Key="source",
        Body=DATA,
        ContentType="text/plain",
        CacheControl="no-store",
        WebsiteRedirectLocation="/away",
        Metadata={"colour": "blue"},
        StorageClass="STANDARD_IA",
    )
    return {"Bucket": s3_bucket, "Key": "source"}


# What is copied


def test_a_copy_has_the_bytes_the_headers_and_the_metadata(s3: S3Client, s3_bucket: str, source: Any) -> None:
    copied = s3.copy_object(Bucket=s3_bucket, Key="copy", CopySource=source)
    assert copied["CopyObjectResult"]["ETag"] == md5(DATA)
    assert datetime.now(UTC) - copied["CopyObjectResult"]["LastModified"] < timedelta(minutes=5)
    got = s3.get_object(Bucket=s3_bucket, Key="copy")
    assert got["Body"].read() == DATA
    assert (got["ContentType"], got["CacheControl"], got["Metadata"]) == ("text/plain", "no-store", {"colour": "blue"})


def test_a_copy_has_neither_the_class_nor_the_redirect(s3: S3Client, s3_bucket: str, source: Any) -> None:
    s3.copy_object(Bucket=s3_bucket, Key="copy", CopySource=source)
    head = s3.head_object(Bucket=s3_bucket, Key="copy")
    assert lacks(head, "StorageClass")
    assert lacks(head, "WebsiteRedirectLocation")


def test_a_copy_may_be_given_a_class_and_a_redirect(s3: S3Client, s3_bucket: str, source: Any) -> None:
    s3.copy_object(
        Bucket=s3_bucket, Key="copy", CopySource=source, StorageClass="ONEZONE_IA", WebsiteRedirectLocation="/here"
    )
    head = s3.head_object(Bucket=s3_bucket, Key="copy")
    assert (head["StorageClass"], head["WebsiteRedirectLocation"]) == ("ONEZONE_IA", "/here")
    assert head["Metadata"] == {"colour": "blue"}


def test_metadata_that_is_sent_counts_only_where_it_replaces(s3: S3Client, s3_bucket: str, source: Any) -> None:
    s3.copy_object(Bucket=s3_bucket, Key="same", CopySource=source, Metadata={"size": "9"}, ContentType="a/b")
    same = s3.head_object(Bucket=s3_bucket, Key="same")
    assert (same["Metadata"], same["ContentType"]) == ({"colour": "blue"}, "text/plain")
    s3.copy_object(
        Bucket=s3_bucket, Key="other", CopySource=source, Metadata={"size": "9"}, MetadataDirective="REPLACE"
    )
    other = s3.head_object(Bucket=s3_bucket, Key="other")
    assert (other["Metadata"], other["ContentType"]) == ({"size": "9"}, "binary/octet-stream")
    assert lacks(other, "CacheControl")


def test_a_directive_that_does_not_exist_is_refused(server: Server, s3_bucket: str, source: Any) -> None:
    headers = {"x-amz-copy-source": f"{s3_bucket}/source", "x-amz-metadata-directive": "MERGE"}
    answer = ask(server, "PUT", f"/{s3_bucket}/copy", headers, b"")
    assert (answer.status, answer.code) == (400, "InvalidArgument")


@pytest.mark.parametrize("size", [0, 1, 16 * 1024 + 1, 2**20 + 1])
def test_a_copy_into_another_bucket_outlives_its_source(s3: S3Client, s3_bucket: str, size: int) -> None:
    other = new_bucket(s3)
    s3.put_object(Bucket=s3_bucket, Key="key", Body=PART[:size])
    s3.copy_object(Bucket=other, Key="key", CopySource={"Bucket": s3_bucket, "Key": "key"})
    s3.delete_object(Bucket=s3_bucket, Key="key")
    s3.delete_bucket(Bucket=s3_bucket)
    assert content(s3, other, "key") == PART[:size]


def test_a_copy_of_parts_is_of_one_body(s3: S3Client, s3_bucket: str) -> None:
    put_in_parts(s3, s3_bucket, "parts", PART, b"end")
    copied = s3.copy_object(Bucket=s3_bucket, Key="copy", CopySource={"Bucket": s3_bucket, "Key": "parts"})
    assert copied["CopyObjectResult"]["ETag"] == md5(PART + b"end")
    assert lacks(s3.head_object(Bucket=s3_bucket, Key="copy", PartNumber=1), "PartsCount")
    assert content(s3, s3_bucket, "copy") == PART + b"end"


# To itself


def test_a_copy_to_itself_without_a_change_is_refused(s3: S3Client, s3_bucket: str, source: Any) -> None:
    refused = refusal(s3.copy_object, Bucket=s3_bucket, Key="source", CopySource=source)
    assert refused == (400, "InvalidRequest")
    refused = refusal(s3.copy_object, Bucket=s3_bucket, Key="source", CopySource=source, Metadata={"colour": "red"})
    assert refused == (400, "InvalidRequest")
    assert s3.head_object(Bucket=s3_bucket, Key="source")["Metadata"] == {"colour": "blue"}


@pytest.mark.parametrize(
    "change",
    [
        {"MetadataDirective": "REPLACE", "Metadata": {"colour": "red"}},
        {"StorageClass": "STANDARD"},
        {"WebsiteRedirectLocation": "/here"},
        {"ChecksumAlgorithm": "SHA1"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_a_copy_to_itself_may_change_what_describes_it(
    s3: S3Client, s3_bucket: str, source: Any, change: dict[str, Any]
) -> None:
    s3.copy_object(Bucket=s3_bucket, Key="source", CopySource=source, **change)
    assert content(s3, s3_bucket, "source") == DATA
    expected = change.get("Metadata", {"colour": "blue"})
    assert s3.head_object(Bucket=s3_bucket, Key="source")["Metadata"] == expected


def test_an_old_version_may_be_copied_over_the_newest(s3: S3Client, s3_bucket: str) -> None:
    set_versioning(s3, s3_bucket, "Enabled")
    old = s3.put_object(Bucket=s3_bucket, Key="key", Body=b"old")["VersionId"]
    s3.put_object(Bucket=s3_bucket, Key="key", Body=b"new")
    source: Any = {"Bucket": s3_bucket, "Key": "key", "VersionId": old}
    copied = s3.copy_object(Bucket=s3_bucket, Key="key", CopySource=source)
    assert copied["CopySourceVersionId"] == old
    assert copied["VersionId"] not in (old, "")
    assert content(s3, s3_bucket, "key") == b"old"


# How the source is named


@pytest.mark.parametrize(
    "key",
    ["a b", "a+b", "a%2Bb", "a/b//c", "?versionId=1", "a?b", "ümläut 日本", "%", "a&b=c#d", "/", "with?versionId"],
)
def test_any_key_can_be_copied(s3: S3Client, s3_bucket: str, key: str) -> None:
    s3.put_object(Bucket=s3_bucket, Key=key, Body=key.encode())
    s3.copy_object(Bucket=s3_bucket, Key="copy", CopySource={"Bucket": s3_bucket, "Key": key})
    assert content(s3, s3_bucket, "copy") == key.encode()


@pytest.mark.parametrize(
    ("written", "key"),
    [
        ("{}/a+b", "a b"),
        ("{}/a%20b", "a b"),
        ("/{}/a b", "a b"),
        ("{}/a%2Bb", "a+b"),
        ("{}%2Fa%2Fb", "a/b"),
        ("/{}/a%252Fb", "a%2Fb"),
        ("{}/a?b", "a?b"),
        ("{}/a%3Fb", "a?b"),
        ("{}/a?versionId=null", "a"),
    ],
)
def test_a_source_is_decoded_once(server: Server, s3: S3Client, s3_bucket: str, written: str, key: str) -> None:
    s3.put_object(Bucket=s3_bucket, Key=key, Body=DATA)
    answer = ask(server, "PUT", f"/{s3_bucket}/copy", {"x-amz-copy-source": written.format(s3_bucket)}, b"")
    assert (answer.status, answer.text("ETag")) == (200, md5(DATA)), answer.body


@pytest.mark.parametrize(
    "written", ["", "/", "{}", "{}/", "/{}", "/{}/", "//a", "{}/a?versionId=", "{}/a?versionId=1", "{}/%ff", "%"]
)
def test_a_source_that_names_nothing_is_refused(server: Server, s3_bucket: str, written: str) -> None:
    answer = ask(server, "PUT", f"/{s3_bucket}/copy", {"x-amz-copy-source": written.format(s3_bucket)}, b"")
    assert (answer.status, answer.code) == (400, "InvalidArgument")


def test_a_source_that_is_not_there_makes_no_object(s3: S3Client, s3_bucket: str) -> None:
    for absent, code in (
        ({"Bucket": s3_bucket, "Key": "absent"}, "NoSuchKey"),
        (
            {"Bucket": "no-such-bucket", "Key": "absent"},
            "NoSuchBucket",
        ),
    ):
        refused = refusal(s3.copy_object, Bucket=s3_bucket, Key="copy", CopySource=absent)
        assert refused == (404, code)
    assert refusal(s3.head_object, Bucket=s3_bucket, Key="copy") == (404, "404")


def test_a_copy_into_a_bucket_that_is_not_there_is_refused(s3: S3Client, source: Any) -> None:
    refused = refusal(s3.copy_object, Bucket="no-such-bucket", Key="copy", CopySource=source)
    assert refused == (404, "NoSuchBucket")


def test_a_source_of_another_owner_than_expected_is_refused(s3: S3Client, s3_bucket: str, source: Any) -> None:
    refused = refusal(
        s3.copy_object,
        Bucket=s3_bucket,
        Key="copy",
        CopySource=source,
        ExpectedSourceBucketOwner="111122223333",
    )
    assert refused == (403, "AccessDenied")


# Versions and markers


def test_a_version_is_copied_by_its_id(s3: S3Client, s3_bucket: str) -> None:
    set_versioning(s3, s3_bucket, "Enabled")
    target = new_bucket(s3)
    old = s3.put_object(Bucket=s3_bucket, Key="key", Body=b"old")["VersionId"]
    new = s3.put_object(Bucket=s3_bucket, Key="key", Body=b"new")["VersionId"]
    for version_id, data in ((old, b"old"), (new, b"new")):
        copied = s3.copy_object(
            Bucket=target, Key="copy", CopySource={"Bucket": s3_bucket, "Key": "key", "VersionId": version_id}
        )
        assert copied["CopySourceVersionId"] == version_id
        assert lacks(copied, "VersionId")
        assert content(s3, target, "copy") == data
    current = s3.copy_object(Bucket=target, Key="copy", CopySource={"Bucket": s3_bucket, "Key": "key"})
    assert current["CopySourceVersionId"] == new
    absent: Any = {"Bucket": s3_bucket, "Key": "key", "VersionId": "0" * 32}
    assert refusal(s3.copy_object, Bucket=target, Key="copy", CopySource=absent) == (404, "NoSuchVersion")


def test_a_copy_into_a_suspended_bucket_is_version_null(s3: S3Client, s3_bucket: str, source: Any) -> None:
    set_versioning(s3, s3_bucket, "Suspended")
    copied = s3.copy_object(Bucket=s3_bucket, Key="copy", CopySource=source)
    assert copied["VersionId"] == "null"
    assert lacks(copied, "CopySourceVersionId")


def test_a_marker_cannot_be_copied(s3: S3Client, s3_bucket: str) -> None:
    set_versioning(s3, s3_bucket, "Enabled")
    s3.put_object(Bucket=s3_bucket, Key="key", Body=DATA)
    marker = s3.delete_object(Bucket=s3_bucket, Key="key")["VersionId"]
    current: Any = {"Bucket": s3_bucket, "Key": "key"}
    assert refusal(s3.copy_object, Bucket=s3_bucket, Key="copy", CopySource=current) == (404, "NoSuchKey")
    named = {**current, "VersionId": marker}
    assert refusal(s3.copy_object, Bucket=s3_bucket, Key="copy", CopySource=named) == (400, "InvalidRequest")


# Conditions of the source


HELD: list[dict[str, Any]] = [
    {"CopySourceIfMatch": md5(DATA)},
    {"CopySourceIfMatch": md5(DATA).strip('"')},
    {"CopySourceIfNoneMatch": md5(b"other")},
    {"CopySourceIfModifiedSince": datetime.now(UTC) - HOUR},
    {"CopySourceIfModifiedSince": datetime.now(UTC) + HOUR},
    {"CopySourceIfUnmodifiedSince": datetime.now(UTC) + HOUR},
    # A matching ETag outdoes the date.
    {"CopySourceIfMatch": md5(DATA), "CopySourceIfUnmodifiedSince": datetime.now(UTC) - HOUR},
]
FAILED: list[tuple[str, dict[str, Any]]] = [
    ("If-Match", {"CopySourceIfMatch": md5(b"other")}),
    ("If-None-Match", {"CopySourceIfNoneMatch": md5(DATA)}),
    ("If-None-Match", {"CopySourceIfNoneMatch": md5(DATA), "CopySourceIfModifiedSince": datetime.now(UTC) - HOUR}),
    ("If-Unmodified-Since", {"CopySourceIfUnmodifiedSince": datetime.now(UTC) - HOUR}),
]


@pytest.mark.parametrize("conditions", HELD, ids="+".join)
def test_a_copy_is_made_when_its_source_is_as_demanded(
    s3: S3Client, s3_bucket: str, source: Any, conditions: dict[str, Any]
) -> None:
    s3.copy_object(Bucket=s3_bucket, Key="copy", CopySource=source, **conditions)
    assert content(s3, s3_bucket, "copy") == DATA
    upload_id = begin(s3, s3_bucket, "parts")
    part = {"Bucket": s3_bucket, "Key": "parts", "UploadId": upload_id, "PartNumber": 1}
    s3.upload_part_copy(**part, CopySource=source, **conditions)  # type: ignore[arg-type]


@pytest.mark.parametrize(("failed", "conditions"), FAILED, ids=lambda value: value if isinstance(value, str) else "")
def test_no_copy_is_made_when_its_source_is_not_as_demanded(
    s3: S3Client, s3_bucket: str, source: Any, failed: str, conditions: dict[str, Any]
) -> None:
    error = error_of(s3.copy_object, Bucket=s3_bucket, Key="copy", CopySource=source, **conditions)
    assert (error["Code"], error["Condition"]) == ("PreconditionFailed", f"x-amz-copy-source-{failed}")
    assert refusal(s3.head_object, Bucket=s3_bucket, Key="copy") == (404, "404")
    upload_id = begin(s3, s3_bucket, "parts")
    part = {"Bucket": s3_bucket, "Key": "parts", "UploadId": upload_id, "PartNumber": 1}
    refused = refusal(s3.upload_part_copy, **part, CopySource=source, **conditions)
    assert refused == (412, "PreconditionFailed")
    assert lacks(s3.list_parts(Bucket=s3_bucket, Key="parts", UploadId=upload_id), "Parts")


def test_a_source_not_modified_since_its_own_date_is_not_copied(s3: S3Client, s3_bucket: str, source: Any) -> None:
    modified = s3.head_object(Bucket=s3_bucket, Key="source")["LastModified"]
    refused = refusal(
        s3.copy_object, Bucket=s3_bucket, Key="copy", CopySource=source, CopySourceIfModifiedSince=modified
    )
    assert refused == (412, "PreconditionFailed")
    s3.copy_object(Bucket=s3_bucket, Key="copy", CopySource=source, CopySourceIfUnmodifiedSince=modified)


# Checksums


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_copy_has_the_checksum_that_is_asked_for(s3: S3Client, s3_bucket: str, source: Any, algorithm: Any) -> None:
    result: Any = s3.copy_object(Bucket=s3_bucket, Key="copy", CopySource=source, ChecksumAlgorithm=algorithm)
    told = result["CopyObjectResult"]
    assert (told[f"Checksum{algorithm}"], told["ChecksumType"]) == (checksum(algorithm, DATA), "FULL_OBJECT")
    assert {name for name in told if name.startswith("Checksum")} == {f"Checksum{algorithm}", "ChecksumType"}
    head: Any = s3.head_object(Bucket=s3_bucket, Key="copy", ChecksumMode="ENABLED")
    assert head[f"Checksum{algorithm}"] == checksum(algorithm, DATA)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_copy_keeps_the_kind_of_checksum_of_its_source(s3: S3Client, s3_bucket: str, algorithm: Any) -> None:
    sent: Any = {f"Checksum{algorithm}": checksum(algorithm, DATA)}
    s3.put_object(Bucket=s3_bucket, Key="key", Body=DATA, **sent)
    result: Any = s3.copy_object(Bucket=s3_bucket, Key="copy", CopySource={"Bucket": s3_bucket, "Key": "key"})
    told = result["CopyObjectResult"]
    assert told[f"Checksum{algorithm}"] == checksum(algorithm, DATA)
    assert {name for name in told if name.startswith("Checksum")} == {f"Checksum{algorithm}", "ChecksumType"}


def test_the_copy_of_a_composite_checksum_is_of_the_whole(s3: S3Client, s3_bucket: str) -> None:
    put_in_parts(s3, s3_bucket, "parts", DATA, ChecksumAlgorithm="CRC32")
    result: Any = s3.copy_object(Bucket=s3_bucket, Key="copy", CopySource={"Bucket": s3_bucket, "Key": "parts"})
    assert result["CopyObjectResult"]["ChecksumCRC32"] == checksum("CRC32", DATA)
    assert result["CopyObjectResult"]["ChecksumType"] == "FULL_OBJECT"


def test_an_algorithm_that_does_not_exist_is_refused(server: Server, s3_bucket: str, source: Any) -> None:
    headers = {"x-amz-copy-source": f"{s3_bucket}/source", "x-amz-checksum-algorithm": "MD4"}
    answer = ask(server, "PUT", f"/{s3_bucket}/copy", headers, b"")
    assert (answer.status, answer.code) == (400, "InvalidRequest")


# Into parts


def test_an_object_can_be_made_of_ranges_of_others(s3: S3Client, s3_bucket: str) -> None:
    s3.put_object(Bucket=s3_bucket, Key="big", Body=PART + DATA)
    upload_id = begin(s3, s3_bucket, "made")
    parts = []
    for number, (start, stop) in enumerate([(9, 9 + len(PART)), (0, len(PART)), (5, 6)], 1):
        copied = s3.upload_part_copy(
            Bucket=s3_bucket,
            Key="made",
            UploadId=upload_id,
            PartNumber=number,
            CopySource={"Bucket": s3_bucket, "Key": "big"},
            CopySourceRange=f"bytes={start}-{stop - 1}",
        )
        assert copied["CopyPartResult"]["ETag"] == md5((PART + DATA)[start:stop])
        parts.append({"PartNumber": number, "ETag": copied["CopyPartResult"]["ETag"]})
    complete(s3, s3_bucket, "made", upload_id, parts)
    assert content(s3, s3_bucket, "made") == (PART + DATA)[9 : 9 + len(PART)] + PART + PART[5:6]


def test_a_part_is_a_whole_object_when_no_range_is_named(s3: S3Client, s3_bucket: str) -> None:
    made = put_in_parts(s3, s3_bucket, "source", PART, b"end")
    upload_id = begin(s3, s3_bucket, "made")
    copied = s3.upload_part_copy(
        Bucket=s3_bucket,
        Key="made",
        UploadId=upload_id,
        PartNumber=7,
        CopySource=f"{s3_bucket}/source",
        CopySourceIfMatch=made["ETag"],
    )["CopyPartResult"]
    assert copied["ETag"] == md5(PART + b"end")
    done = complete(s3, s3_bucket, "made", upload_id, [{"PartNumber": 7, "ETag": copied["ETag"]}])
    assert done["ETag"] == md5_of_parts(PART + b"end")
    assert content(s3, s3_bucket, "made", Range="bytes=-5") == PART[-2:] + b"end"


def test_an_empty_object_can_be_a_part(s3: S3Client, s3_bucket: str) -> None:
    s3.put_object(Bucket=s3_bucket, Key="empty", Body=b"")
    upload_id = begin(s3, s3_bucket, "made")
    copied = s3.upload_part_copy(
        Bucket=s3_bucket, Key="made", UploadId=upload_id, PartNumber=1, CopySource=f"{s3_bucket}/empty"
    )["CopyPartResult"]
    complete(s3, s3_bucket, "made", upload_id, [{"PartNumber": 1, "ETag": copied["ETag"]}])
    assert content(s3, s3_bucket, "made") == b""


@pytest.mark.parametrize(
    "wanted",
    [
        "0-2",
        "bytes=0",
        "bytes=hello-world",
        "bytes=0-2,3-5",
        "bytes=2-1",
        "bytes=-2",
        "bytes=1-",
        "bytes=-",
        "bytes=0-bar",
    ],
)
def test_a_copied_range_names_its_first_and_last_byte(s3: S3Client, s3_bucket: str, source: Any, wanted: str) -> None:
    upload_id = begin(s3, s3_bucket, "made")
    part = {"Bucket": s3_bucket, "Key": "made", "UploadId": upload_id, "PartNumber": 1}
    refused = refusal(s3.upload_part_copy, **part, CopySource=source, CopySourceRange=wanted)
    assert refused == (400, "InvalidArgument")


@pytest.mark.parametrize("wanted", ["bytes=0-18", "bytes=18-18", "bytes=100-200"])
def test_a_copied_range_lies_within_its_source(s3: S3Client, s3_bucket: str, source: Any, wanted: str) -> None:
    upload_id = begin(s3, s3_bucket, "made")
    part = {"Bucket": s3_bucket, "Key": "made", "UploadId": upload_id, "PartNumber": 1}
    assert refusal(s3.upload_part_copy, **part, CopySource=source, CopySourceRange=wanted)[1] == "InvalidRange"
    s3.upload_part_copy(**part, CopySource=source, CopySourceRange="bytes=0-17")  # type: ignore[arg-type]


def test_a_copied_part_has_the_checksum_of_its_upload(s3: S3Client, s3_bucket: str, source: Any) -> None:
    upload_id = begin(s3, s3_bucket, "made", ChecksumAlgorithm="SHA256")
    part: Any = {"Bucket": s3_bucket, "Key": "made", "UploadId": upload_id}
    copied = s3.upload_part_copy(**part, PartNumber=1, CopySource=source)["CopyPartResult"]
    assert copied["ChecksumSHA256"] == checksum("SHA256", DATA)
    named = {"PartNumber": 1, "ETag": copied["ETag"], "ChecksumSHA256": copied["ChecksumSHA256"]}
    assert complete(s3, s3_bucket, "made", upload_id, [named])["ChecksumSHA256"] == composite("SHA256", DATA)


def test_a_version_can_be_copied_into_a_part(s3: S3Client, s3_bucket: str) -> None:
    set_versioning(s3, s3_bucket, "Enabled")
    key = "with space+plus"
    old = s3.put_object(Bucket=s3_bucket, Key=key, Body=b"old")["VersionId"]
    s3.put_object(Bucket=s3_bucket, Key=key, Body=b"newer")
    upload_id = begin(s3, s3_bucket, "made")
    copied = s3.upload_part_copy(
        Bucket=s3_bucket,
        Key="made",
        UploadId=upload_id,
        PartNumber=1,
        CopySource=f"{s3_bucket}/{key}?versionId={old}",
    )
    assert copied["CopySourceVersionId"] == old
    assert copied["CopyPartResult"]["ETag"] == md5(b"old")


def test_a_copy_into_an_upload_that_is_not_there_is_refused(s3: S3Client, s3_bucket: str, source: Any) -> None:
    part = {"Bucket": s3_bucket, "Key": "made", "PartNumber": 1, "CopySource": source}
    assert refusal(s3.upload_part_copy, **part, UploadId="none") == (404, "NoSuchUpload")
    upload_id = begin(s3, s3_bucket, "made")
    complete(s3, s3_bucket, "made", upload_id, send(s3, s3_bucket, "made", upload_id, b"all"))
    assert refusal(s3.upload_part_copy, **part, UploadId=upload_id) == (404, "NoSuchUpload")
