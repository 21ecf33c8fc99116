"""Multipart uploads over HTTP: begin, send, list, complete, abort."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from tests.api.asking import (
    MIN_PART,
    PART,
    ask,
    begin,
    complete,
    content,
    error_of,
    history,
    lacks,
    md5,
    md5_of_parts,
    put_in_parts,
    refusal,
    send,
    set_versioning,
)
from tests.servers import Server

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


# From beginning to end


def test_an_object_is_made_of_its_parts(s3: S3Client, s3_bucket: str) -> None:
    begun = s3.create_multipart_upload(
        Bucket=s3_bucket,
        Key="key",
        ContentType="text/plain",
        CacheControl="no-store",
        Metadata={"colour": "blue"},
        StorageClass="STANDARD_IA",
    )
    assert (begun["Bucket"], begun["Key"]) == (s3_bucket, "key")
    upload_id = begun["UploadId"]
    parts = send(s3, s3_bucket, "key", upload_id, PART, b"end")
    assert [part["ETag"] for part in parts] == [md5(PART), md5(b"end")]
    assert refusal(s3.head_object, Bucket=s3_bucket, Key="key") == (404, "404")
    done = complete(s3, s3_bucket, "key", upload_id, parts)
    assert (done["Bucket"], done["Key"], done["ETag"]) == (s3_bucket, "key", md5_of_parts(PART, b"end"))
    assert done["Location"].endswith(f"/{s3_bucket}/key")
    got = s3.get_object(Bucket=s3_bucket, Key="key")
    assert got["Body"].read() == PART + b"end"
    assert (got["ETag"], got["ContentLength"]) == (done["ETag"], MIN_PART + 3)
    assert (got["ContentType"], got["CacheControl"]) == ("text/plain", "no-store")
    assert (got["Metadata"], got["StorageClass"]) == ({"colour": "blue"}, "STANDARD_IA")


def test_a_single_small_part_is_enough(s3: S3Client, s3_bucket: str) -> None:
    assert put_in_parts(s3, s3_bucket, "key", b"small")["ETag"] == md5_of_parts(b"small")
    assert put_in_parts(s3, s3_bucket, "empty", b"")["ETag"] == md5_of_parts(b"")
    assert (content(s3, s3_bucket, "key"), content(s3, s3_bucket, "empty")) == (b"small", b"")


def test_an_upload_replaces_the_object_only_when_completed(s3: S3Client, s3_bucket: str) -> None:
    s3.put_object(Bucket=s3_bucket, Key="key", Body=b"old", Metadata={"old": "1"})
    upload_id = begin(s3, s3_bucket, "key", Metadata={"new": "2"})
    parts = send(s3, s3_bucket, "key", upload_id, b"new")
    assert content(s3, s3_bucket, "key") == b"old"
    complete(s3, s3_bucket, "key", upload_id, parts)
    got = s3.get_object(Bucket=s3_bucket, Key="key")
    assert (got["Body"].read(), got["Metadata"]) == (b"new", {"new": "2"})


def test_uploads_of_one_key_do_not_mix(s3: S3Client, s3_bucket: str) -> None:
    first, second = begin(s3, s3_bucket, "key"), begin(s3, s3_bucket, "key")
    parts = send(s3, s3_bucket, "key", first, b"first")
    others = send(s3, s3_bucket, "key", second, b"second")
    complete(s3, s3_bucket, "key", second, others)
    assert content(s3, s3_bucket, "key") == b"second"
    complete(s3, s3_bucket, "key", first, parts)
    assert content(s3, s3_bucket, "key") == b"first"


@pytest.mark.parametrize("key", ["a b+c%2F", "ümläut/日本", "//", "k" * 1024])
def test_any_key_can_be_uploaded_in_parts(s3: S3Client, s3_bucket: str, key: str) -> None:
    assert put_in_parts(s3, s3_bucket, key, b"part")["Key"] == key
    assert content(s3, s3_bucket, key) == b"part"


def test_a_key_of_more_than_1024_bytes_begins_nothing(s3: S3Client, s3_bucket: str) -> None:
    refused = refusal(s3.create_multipart_upload, Bucket=s3_bucket, Key="k" * 1025)
    assert refused == (400, "KeyTooLongError")


def test_the_location_is_a_url_that_names_the_object(server: Server, s3: S3Client, s3_bucket: str) -> None:
    done = put_in_parts(s3, s3_bucket, "a b/ü", b"part")
    assert done["Location"] == f"{server.url}/{s3_bucket}/a%20b/%C3%BC"


# Parts


def test_a_part_sent_again_takes_the_place_of_the_first(s3: S3Client, s3_bucket: str) -> None:
    upload_id = begin(s3, s3_bucket, "key")
    old = send(s3, s3_bucket, "key", upload_id, b"old")
    new = send(s3, s3_bucket, "key", upload_id, b"new")
    assert [part["ETag"] for part in s3.list_parts(Bucket=s3_bucket, Key="key", UploadId=upload_id)["Parts"]] == [
        md5(b"new")
    ]
    refused = refusal(complete, s3=s3, bucket=s3_bucket, key="key", upload_id=upload_id, parts=old)
    assert refused == (400, "InvalidPart")
    complete(s3, s3_bucket, "key", upload_id, new)
    assert content(s3, s3_bucket, "key") == b"new"


def test_parts_may_have_gaps_and_come_in_any_order(s3: S3Client, s3_bucket: str) -> None:
    upload_id = begin(s3, s3_bucket, "key")
    named: list[Any] = []
    for number, data in ((10_000, b"end"), (7, PART)):
        etag = s3.upload_part(Bucket=s3_bucket, Key="key", UploadId=upload_id, PartNumber=number, Body=data)["ETag"]
        named.insert(0, {"PartNumber": number, "ETag": etag})
    complete(s3, s3_bucket, "key", upload_id, named)
    assert content(s3, s3_bucket, "key") == PART + b"end"
    assert content(s3, s3_bucket, "key", PartNumber=10_000) == b"end"
    assert refusal(s3.get_object, Bucket=s3_bucket, Key="key", PartNumber=2) == (416, "InvalidPartNumber")


def test_parts_that_are_not_named_are_left_out(s3: S3Client, s3_bucket: str) -> None:
    upload_id = begin(s3, s3_bucket, "key")
    parts = send(s3, s3_bucket, "key", upload_id, b"left out", b"kept", b"left out")
    complete(s3, s3_bucket, "key", upload_id, parts[1:2])
    assert content(s3, s3_bucket, "key") == b"kept"


@pytest.mark.parametrize("number", ["0", "-1", "10001", "one", "", "+1", "99999999999999999999"])
def test_a_part_has_a_number_up_to_ten_thousand(server: Server, s3: S3Client, s3_bucket: str, number: str) -> None:
    upload_id = begin(s3, s3_bucket, "key")
    answer = ask(server, "PUT", f"/{s3_bucket}/key?partNumber={number}&uploadId={upload_id}", body=b"x")
    assert (answer.status, answer.code, answer.text("ArgumentName")) == (400, "InvalidArgument", "partNumber")


def test_a_part_with_a_wrong_digest_is_not_kept(server: Server, s3: S3Client, s3_bucket: str) -> None:
    upload_id = begin(s3, s3_bucket, "key")
    send(s3, s3_bucket, "key", upload_id, b"right")
    target = f"/{s3_bucket}/key?partNumber=1&uploadId={upload_id}"
    for name, value, code in (
        ("content-md5", "1B2M2Y8AsgTpgAmY7PhCfg==", "BadDigest"),
        ("content-md5", "nonsense", "InvalidDigest"),
        ("x-amz-checksum-sha1", "AAAAAAAAAAAAAAAAAAAAAAAAAAA=", "BadDigest"),
        ("x-amz-content-sha256", "0" * 64, "XAmzContentSHA256Mismatch"),
    ):
        answer = ask(server, "PUT", target, {name: value}, b"wrong")
        assert (answer.status, answer.code) == (400, code)
    (part,) = s3.list_parts(Bucket=s3_bucket, Key="key", UploadId=upload_id)["Parts"]
    assert part["ETag"] == md5(b"right")


def test_a_part_in_chunks_of_http_is_put_together(server: Server, s3: S3Client, s3_bucket: str) -> None:
    upload_id = begin(s3, s3_bucket, "key")
    answer = ask(server, "PUT", f"/{s3_bucket}/key?partNumber=1&uploadId={upload_id}", body=[b"a", b"b"])
    assert (answer.status, answer.headers["etag"]) == (200, md5(b"ab"))


def test_a_part_number_without_an_upload_is_no_put(server: Server, s3: S3Client, s3_bucket: str) -> None:
    s3.put_object(Bucket=s3_bucket, Key="key", Body=b"old")
    for query in ("partNumber=1", "uploadId=1"):
        assert ask(server, "PUT", f"/{s3_bucket}/key?{query}", body=b"new").status in (400, 405, 501)
    assert content(s3, s3_bucket, "key") == b"old"


# Completing


@pytest.mark.parametrize("written", ['"{}"', "{}", "&quot;{}&quot;"])
def test_etags_are_named_with_and_without_quotes(server: Server, s3: S3Client, s3_bucket: str, written: str) -> None:
    upload_id = begin(s3, s3_bucket, "key")
    (part,) = send(s3, s3_bucket, "key", upload_id, b"all")
    etag = written.format(part["ETag"].strip('"'))
    document = (
        f"<CompleteMultipartUpload><Part><ETag>{etag}</ETag><PartNumber>1</PartNumber></Part></CompleteMultipartUpload>"
    )
    assert ask(server, "POST", f"/{s3_bucket}/key?uploadId={upload_id}", body=document.encode()).status == 200
    assert content(s3, s3_bucket, "key") == b"all"


def test_every_part_but_the_last_has_5_mib(s3: S3Client, s3_bucket: str) -> None:
    upload_id = begin(s3, s3_bucket, "key")
    parts = send(s3, s3_bucket, "key", upload_id, PART[1:], b"end")
    error = error_of(complete, s3=s3, bucket=s3_bucket, key="key", upload_id=upload_id, parts=parts)
    assert (error["Code"], error["PartNumber"]) == ("EntityTooSmall", "1")
    assert (error["ProposedSize"], error["MinSizeAllowed"]) == (str(MIN_PART - 1), str(MIN_PART))
    assert refusal(s3.head_object, Bucket=s3_bucket, Key="key") == (404, "404")
    complete(s3, s3_bucket, "key", upload_id, parts[:1])


def test_parts_are_named_in_ascending_order(s3: S3Client, s3_bucket: str) -> None:
    upload_id = begin(s3, s3_bucket, "key")
    parts = send(s3, s3_bucket, "key", upload_id, b"one", b"two")
    refused = refusal(complete, s3=s3, bucket=s3_bucket, key="key", upload_id=upload_id, parts=parts[::-1])
    assert refused == (400, "InvalidPartOrder")
    assert len(s3.list_parts(Bucket=s3_bucket, Key="key", UploadId=upload_id)["Parts"]) == 2


def test_of_a_part_named_twice_the_last_counts(s3: S3Client, s3_bucket: str) -> None:
    upload_id = begin(s3, s3_bucket, "key")
    (old,) = send(s3, s3_bucket, "key", upload_id, b"old")
    (new,) = send(s3, s3_bucket, "key", upload_id, b"new")
    complete(s3, s3_bucket, "key", upload_id, [old, new])
    assert content(s3, s3_bucket, "key") == b"new"


@pytest.mark.parametrize(
    "named",
    [
        {"PartNumber": 2},
        {"ETag": '"d41d8cd98f00b204e9800998ecf8427e"'},
        {"ETag": "nonsense"},
        {"ChecksumCRC32": "AAAAAA=="},
    ],
    ids=lambda named: next(iter(named)),
)
def test_a_part_that_is_not_there_completes_nothing(s3: S3Client, s3_bucket: str, named: dict[str, Any]) -> None:
    upload_id = begin(s3, s3_bucket, "key")
    (part,) = send(s3, s3_bucket, "key", upload_id, b"all")
    error = error_of(complete, s3=s3, bucket=s3_bucket, key="key", upload_id=upload_id, parts=[{**part, **named}])
    assert (error["Code"], error["UploadId"]) == ("InvalidPart", upload_id)
    assert error["PartNumber"] == str(named.get("PartNumber", 1))
    complete(s3, s3_bucket, "key", upload_id, [part])


ONE = "<Part><PartNumber>1</PartNumber><ETag>{}</ETag></Part>"


@pytest.mark.parametrize(
    ("document", "code"),
    [
        ("", "MalformedXML"),
        ("no xml", "MalformedXML"),
        ("<CompleteMultipartUpload>", "MalformedXML"),
        (f"<Other>{ONE}</Other>", "MalformedXML"),
        ("<CompleteMultipartUpload><Part/></CompleteMultipartUpload>", "MalformedXML"),
        ("<CompleteMultipartUpload><Part><PartNumber>1</PartNumber></Part></CompleteMultipartUpload>", "MalformedXML"),
        ("<CompleteMultipartUpload><Part><ETag>{}</ETag></Part></CompleteMultipartUpload>", "MalformedXML"),
        (f"<CompleteMultipartUpload>{ONE.replace('>1<', '>one<')}</CompleteMultipartUpload>", "MalformedXML"),
        (f"<CompleteMultipartUpload>{ONE.replace('>1<', '>0<')}</CompleteMultipartUpload>", "MalformedXML"),
        (f"<!DOCTYPE a><CompleteMultipartUpload>{ONE}</CompleteMultipartUpload>", "MalformedXML"),
        ("<CompleteMultipartUpload></CompleteMultipartUpload>", "InvalidRequest"),
    ],
)
def test_a_completion_that_is_none_leaves_the_upload(
    server: Server, s3: S3Client, s3_bucket: str, document: str, code: str
) -> None:
    upload_id = begin(s3, s3_bucket, "key")
    (part,) = send(s3, s3_bucket, "key", upload_id, b"all")
    body = document.replace("{}", part["ETag"]).encode()
    answer = ask(server, "POST", f"/{s3_bucket}/key?uploadId={upload_id}", body=body)
    assert (answer.status, answer.code) == (400, code)
    complete(s3, s3_bucket, "key", upload_id, [part])


def test_the_size_of_the_whole_is_held_to_what_was_promised(s3: S3Client, s3_bucket: str) -> None:
    upload_id = begin(s3, s3_bucket, "key")
    parts = send(s3, s3_bucket, "key", upload_id, b"four")
    refused = refusal(complete, s3=s3, bucket=s3_bucket, key="key", upload_id=upload_id, parts=parts, MpuObjectSize=5)
    assert refused == (400, "InvalidRequest")
    complete(s3, s3_bucket, "key", upload_id, parts, MpuObjectSize=4)
    assert content(s3, s3_bucket, "key") == b"four"


def test_the_same_completion_again_answers_the_same(s3: S3Client, s3_bucket: str) -> None:
    set_versioning(s3, s3_bucket, "Enabled")
    upload_id = begin(s3, s3_bucket, "key")
    parts = send(s3, s3_bucket, "key", upload_id, PART, b"end")
    told = [complete(s3, s3_bucket, "key", upload_id, parts) for _ in range(3)]
    for one in told:
        del one["ResponseMetadata"]
    assert told[0] == told[1] == told[2]
    assert history(s3, s3_bucket, "key") == [told[0]["VersionId"]]


def test_a_completion_whose_object_was_replaced_is_not_repeated(s3: S3Client, s3_bucket: str) -> None:
    upload_id = begin(s3, s3_bucket, "key")
    parts = send(s3, s3_bucket, "key", upload_id, b"uploaded")
    complete(s3, s3_bucket, "key", upload_id, parts)
    s3.put_object(Bucket=s3_bucket, Key="key", Body=b"newer")
    refused = refusal(complete, s3=s3, bucket=s3_bucket, key="key", upload_id=upload_id, parts=parts)
    assert refused == (404, "NoSuchUpload")
    assert content(s3, s3_bucket, "key") == b"newer"


def test_many_completions_at_once_make_one_object(s3: S3Client, s3_bucket: str) -> None:
    set_versioning(s3, s3_bucket, "Enabled")
    upload_id = begin(s3, s3_bucket, "key")
    parts = send(s3, s3_bucket, "key", upload_id, b"all")
    with ThreadPoolExecutor(6) as threads:
        told = list(threads.map(lambda _: complete(s3, s3_bucket, "key", upload_id, parts), range(6)))
    assert len({one["VersionId"] for one in told}) == 1
    assert history(s3, s3_bucket, "key") == [told[0]["VersionId"]]


def test_an_object_is_versioned_as_its_bucket_is_when_completed(s3: S3Client, s3_bucket: str) -> None:
    upload_id = begin(s3, s3_bucket, "key")
    parts = send(s3, s3_bucket, "key", upload_id, b"all")
    set_versioning(s3, s3_bucket, "Enabled")
    made = complete(s3, s3_bucket, "key", upload_id, parts)
    assert s3.head_object(Bucket=s3_bucket, Key="key")["VersionId"] == made["VersionId"] != "null"


def test_a_completed_object_may_be_older_than_its_completion(s3: S3Client, s3_bucket: str) -> None:
    put_in_parts(s3, s3_bucket, "key", b"all")
    modified = s3.head_object(Bucket=s3_bucket, Key="key")["LastModified"]
    assert datetime.now(UTC) - modified < timedelta(minutes=5)


# Uploads that are not there


@pytest.mark.parametrize(
    ("method", "query"),
    [
        ("PUT", "partNumber=1&uploadId={}"),
        ("POST", "uploadId={}"),
        ("GET", "uploadId={}"),
        ("DELETE", "uploadId={}"),
    ],
)
@pytest.mark.parametrize("which", ["", "none", "%00", "../..", "0" * 32, "of another key", "aborted", "completed"])
def test_an_upload_that_is_not_open_is_not_found(
    server: Server, s3: S3Client, s3_bucket: str, method: str, query: str, which: str
) -> None:
    upload_id, part = which, "d41d8cd98f00b204e9800998ecf8427e"
    if which == "of another key":
        upload_id = begin(s3, s3_bucket, "other")
    elif which in ("aborted", "completed"):
        upload_id = begin(s3, s3_bucket, "key")
        parts = send(s3, s3_bucket, "key", upload_id, b"all")
        if which == "completed":
            complete(s3, s3_bucket, "key", upload_id, parts)
            s3.delete_object(Bucket=s3_bucket, Key="key")
        else:
            s3.abort_multipart_upload(Bucket=s3_bucket, Key="key", UploadId=upload_id)
    body = f"<CompleteMultipartUpload>{ONE.format(part)}</CompleteMultipartUpload>".encode()
    answer = ask(server, method, f"/{s3_bucket}/key?{query.format(upload_id)}", body=body)
    assert (answer.status, answer.code) == (404, "NoSuchUpload")
    assert lacks(s3.list_objects_v2(Bucket=s3_bucket), "Contents")


def test_an_aborted_upload_leaves_the_object_alone(server: Server, s3: S3Client, s3_bucket: str) -> None:
    s3.put_object(Bucket=s3_bucket, Key="key", Body=b"old")
    upload_id = begin(s3, s3_bucket, "key")
    send(s3, s3_bucket, "key", upload_id, b"new")
    answer = ask(server, "DELETE", f"/{s3_bucket}/key?uploadId={upload_id}")
    assert (answer.status, answer.body) == (204, b"")
    assert content(s3, s3_bucket, "key") == b"old"
    assert lacks(s3.list_multipart_uploads(Bucket=s3_bucket), "Uploads")


# Listing parts


def test_parts_are_listed_by_number(s3: S3Client, s3_bucket: str) -> None:
    upload_id = begin(s3, s3_bucket, "key", StorageClass="ONEZONE_IA")
    for number, data in ((3, b"three"), (1, b"1"), (2, b"zwei")):
        s3.upload_part(Bucket=s3_bucket, Key="key", UploadId=upload_id, PartNumber=number, Body=data)
    page = s3.list_parts(Bucket=s3_bucket, Key="key", UploadId=upload_id)
    told = [(part["PartNumber"], part["Size"], part["ETag"]) for part in page["Parts"]]
    assert told == [(1, 1, md5(b"1")), (2, 4, md5(b"zwei")), (3, 5, md5(b"three"))]
    assert all(datetime.now(UTC) - part["LastModified"] < timedelta(minutes=5) for part in page["Parts"])
    assert (page["Bucket"], page["Key"], page["UploadId"]) == (s3_bucket, "key", upload_id)
    assert (page["StorageClass"], page["MaxParts"], page["IsTruncated"]) == ("ONEZONE_IA", 1000, False)
    assert (page["PartNumberMarker"], page["NextPartNumberMarker"]) == (0, 3)
    assert page["Owner"] == page["Initiator"] == s3.list_buckets(Prefix=s3_bucket)["Owner"]


def test_an_upload_without_parts_is_an_empty_list(s3: S3Client, s3_bucket: str) -> None:
    page = s3.list_parts(Bucket=s3_bucket, Key="key", UploadId=begin(s3, s3_bucket, "key"))
    assert lacks(page, "Parts")
    assert (page["IsTruncated"], page["NextPartNumberMarker"]) == (False, 0)


@pytest.mark.parametrize("limit", [1, 2, 3])
def test_pages_of_parts_follow_each_other(s3: S3Client, s3_bucket: str, limit: int) -> None:
    upload_id = begin(s3, s3_bucket, "key")
    send(s3, s3_bucket, "key", upload_id, b"1", b"2", b"3")
    found: list[int] = []
    marker = 0
    while True:
        page = s3.list_parts(Bucket=s3_bucket, Key="key", UploadId=upload_id, MaxParts=limit, PartNumberMarker=marker)
        found += [part["PartNumber"] for part in page["Parts"]]
        assert (page["PartNumberMarker"], page["MaxParts"]) == (marker, limit)
        marker = page["NextPartNumberMarker"]
        if not page["IsTruncated"]:
            break
        assert len(page["Parts"]) == limit
    assert found == [1, 2, 3]


def test_a_marker_behind_the_last_part_is_an_empty_list(s3: S3Client, s3_bucket: str) -> None:
    upload_id = begin(s3, s3_bucket, "key")
    send(s3, s3_bucket, "key", upload_id, b"1")
    page = s3.list_parts(Bucket=s3_bucket, Key="key", UploadId=upload_id, PartNumberMarker=10)
    assert lacks(page, "Parts")
    assert (page["PartNumberMarker"], page["NextPartNumberMarker"], page["IsTruncated"]) == (10, 0, False)


def test_an_empty_limit_or_marker_is_none(server: Server, s3: S3Client, s3_bucket: str) -> None:
    upload_id = begin(s3, s3_bucket, "key")
    send(s3, s3_bucket, "key", upload_id, b"1")
    answer = ask(server, "GET", f"/{s3_bucket}/key?uploadId={upload_id}&max-parts=&part-number-marker=")
    assert (answer.text("MaxParts"), answer.texts("PartNumber")) == ("1000", ["1"])


@pytest.mark.parametrize("query", ["max-parts=-1", "max-parts=few", "part-number-marker=-1", "part-number-marker=x"])
def test_a_page_of_parts_refuses_what_is_no_number(server: Server, s3: S3Client, s3_bucket: str, query: str) -> None:
    answer = ask(server, "GET", f"/{s3_bucket}/key?uploadId={begin(s3, s3_bucket, 'key')}&{query}")
    assert (answer.status, answer.code) == (400, "InvalidArgument")
