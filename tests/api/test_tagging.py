"""Tags over HTTP: of objects, their versions, uploads, copies and forms, and of buckets."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any, Final

import pytest

from tests.api.asking import PART, ask, begin, complete, content, lacks, put_in_parts, refusal, send, set_versioning
from tests.api.conftest import new_bucket
from tests.api.people import ALT
from tests.conftest import KIB, MIB, some_bytes
from tests.forms import BOUNDARY, encode_form
from tests.servers import Server

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

DENIED: Final = (403, "AccessDenied")
SIZES: Final = (0, 100, 100 * KIB, 3 * MIB)
"""Bytes: of none, of a body that stands beside its version, of one block, of several."""


def tag_set(**tags: str) -> Any:
    return {"TagSet": [{"Key": key, "Value": value} for key, value in tags.items()]}


def tags_of(s3: S3Client, bucket: str, key: str, **more: Any) -> list[tuple[str, str]]:
    told = s3.get_object_tagging(Bucket=bucket, Key=key, **more)["TagSet"]
    return [(tag["Key"], tag["Value"]) for tag in told]


# Objects


def test_an_object_has_no_tags_to_begin_with(s3: S3Client, s3_bucket: str) -> None:
    s3.put_object(Bucket=s3_bucket, Key="key", Body=b"data")
    assert tags_of(s3, s3_bucket, "key") == []
    assert lacks(s3.head_object(Bucket=s3_bucket, Key="key"), "TagCount")


@pytest.mark.parametrize("size", SIZES)
def test_tags_are_put_replaced_and_deleted_and_nothing_else_changes(s3: S3Client, s3_bucket: str, size: int) -> None:
    data = some_bytes(size)
    s3.put_object(Bucket=s3_bucket, Key="key", Body=data, Metadata={"colour": "blue"}, ACL="public-read")
    before = s3.head_object(Bucket=s3_bucket, Key="key")
    time.sleep(1.1)
    for tags in ({"b": "2", "a": ""}, {"é": "日本 +="}, {}):
        s3.put_object_tagging(Bucket=s3_bucket, Key="key", Tagging=tag_set(**tags))
        assert tags_of(s3, s3_bucket, "key") == sorted(tags.items())
        after = s3.head_object(Bucket=s3_bucket, Key="key")
        assert after.get("TagCount", 0) == len(tags)
        for name in ("LastModified", "ETag", "ContentLength", "Metadata", "ContentType"):
            assert after[name] == before[name]
    s3.put_object_tagging(Bucket=s3_bucket, Key="key", Tagging=tag_set(a="1"))
    deleted = s3.delete_object_tagging(Bucket=s3_bucket, Key="key")
    assert (deleted["ResponseMetadata"]["HTTPStatusCode"], lacks(deleted, "VersionId")) == (204, True)
    assert tags_of(s3, s3_bucket, "key") == []
    assert content(s3, s3_bucket, "key") == data
    listed = s3.list_objects_v2(Bucket=s3_bucket)["Contents"]
    assert [entry["LastModified"].replace(microsecond=0) for entry in listed] == [before["LastModified"]]
    assert len(s3.get_object_acl(Bucket=s3_bucket, Key="key")["Grants"]) == 2


def test_a_get_tells_how_many_tags_there_are(s3: S3Client, s3_bucket: str) -> None:
    s3.put_object(Bucket=s3_bucket, Key="key", Body=b"data", Tagging="a=1&b=2&c")
    assert s3.get_object(Bucket=s3_bucket, Key="key")["TagCount"] == 3
    assert s3.get_object(Bucket=s3_bucket, Key="key", Range="bytes=1-2")["TagCount"] == 3
    assert s3.head_object(Bucket=s3_bucket, Key="key")["TagCount"] == 3


@pytest.mark.parametrize("size", SIZES)
def test_an_object_is_put_with_tags(s3: S3Client, s3_bucket: str, size: int) -> None:
    s3.put_object(Bucket=s3_bucket, Key="key", Body=some_bytes(size), Tagging="foo=bar&bar&my+key=%C3%A9%3D")
    assert tags_of(s3, s3_bucket, "key") == [("bar", ""), ("foo", "bar"), ("my key", "é=")]
    assert content(s3, s3_bucket, "key") == some_bytes(size)
    s3.put_object(Bucket=s3_bucket, Key="key", Body=b"again")
    assert tags_of(s3, s3_bucket, "key") == []


@pytest.mark.parametrize(
    ("tagging", "code"),
    [
        ("a=b&a=c", "InvalidArgument"),
        ("a=b=c", "InvalidArgument"),
        ("=b", "InvalidTag"),
        ("aws:a=b", "InvalidTag"),
        ("a=b%0A", "InvalidTag"),
        ("&".join(f"{number}" for number in range(11)), "InvalidTag"),
    ],
)
def test_an_object_with_wrong_tags_is_refused(s3: S3Client, s3_bucket: str, tagging: str, code: str) -> None:
    s3.put_object(Bucket=s3_bucket, Key="key", Body=b"data", Tagging="n=1")
    source = {"Bucket": s3_bucket, "Key": "key"}
    asked: dict[str, Any] = {"Bucket": s3_bucket, "Key": "key", "Tagging": tagging}
    assert refusal(s3.put_object, Body=b"new", **asked) == (400, code)
    assert refusal(s3.create_multipart_upload, **asked) == (400, code)
    assert refusal(s3.copy_object, CopySource=source, TaggingDirective="REPLACE", **asked) == (400, code)
    assert content(s3, s3_bucket, "key") == b"data"
    assert tags_of(s3, s3_bucket, "key") == [("n", "1")]
    assert lacks(s3.list_multipart_uploads(Bucket=s3_bucket), "Uploads")


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "MalformedXML"),
        (b"<Tagging/>", "MalformedXML"),
        (b"<Tagging><TagSet><Tag><Key>a</Key></Tag></TagSet></Tagging>", "MalformedXML"),
        (b"<TagSet><Tag><Key>a</Key><Value/></Tag></TagSet>", "MalformedXML"),
        (b"<Tagging><TagSet><Tag><Key/><Value/></Tag></TagSet></Tagging>", "InvalidTag"),
        (b"<Tagging><TagSet>" + b"<Tag><Key>a</Key><Value/></Tag>" * 2 + b"</TagSet></Tagging>", "InvalidTag"),
        (b"<Tagging><TagSet><Tag><Key>" + b"k" * 129 + b"</Key><Value/></Tag></TagSet></Tagging>", "InvalidTag"),
    ],
)
@pytest.mark.parametrize("path", ["", "/key"])
def test_a_wrong_document_changes_nothing(
    server: Server, s3: S3Client, s3_bucket: str, path: str, body: bytes, code: str
) -> None:
    s3.put_object(Bucket=s3_bucket, Key="key", Body=b"data", Tagging="n=1")
    s3.put_bucket_tagging(Bucket=s3_bucket, Tagging=tag_set(n="1"))
    answer = ask(server, "PUT", f"/{s3_bucket}{path}?tagging", body=body)
    assert (answer.status, answer.code) == (400, code)
    assert tags_of(s3, s3_bucket, "key") == [("n", "1")]
    assert s3.get_bucket_tagging(Bucket=s3_bucket) is not None
    assert content(s3, s3_bucket, "key") == b"data"


def test_the_tags_of_what_is_not_there_are_missed(s3: S3Client, s3_bucket: str) -> None:
    for key, more in (("absent", {}), ("key", {"VersionId": "0" * 32})):
        s3.put_object(Bucket=s3_bucket, Key="key", Body=b"data")
        expected = (404, "NoSuchVersion" if more else "NoSuchKey")
        named: dict[str, Any] = {"Bucket": s3_bucket, "Key": key, **more}
        assert refusal(s3.get_object_tagging, **named) == expected
        assert refusal(s3.put_object_tagging, Tagging=tag_set(a="1"), **named) == expected
        assert refusal(s3.delete_object_tagging, **named) == expected
    assert refusal(s3.get_object_tagging, Bucket=f"{s3_bucket}-not", Key="key") == (404, "NoSuchBucket")


# Versions


def test_each_version_has_tags_of_its_own(s3: S3Client, s3_bucket: str) -> None:
    s3.put_object(Bucket=s3_bucket, Key="key", Body=b"null", Tagging="n=0")
    set_versioning(s3, s3_bucket, "Enabled")
    first = s3.put_object(Bucket=s3_bucket, Key="key", Body=b"first", Tagging="n=1")["VersionId"]
    second = s3.put_object(Bucket=s3_bucket, Key="key", Body=b"second")["VersionId"]
    assert s3.get_object_tagging(Bucket=s3_bucket, Key="key")["VersionId"] == second
    assert s3.get_object_tagging(Bucket=s3_bucket, Key="key", VersionId="null")["VersionId"] == "null"
    put = s3.put_object_tagging(Bucket=s3_bucket, Key="key", VersionId=first, Tagging=tag_set(n="one"))
    assert put["VersionId"] == first
    assert s3.put_object_tagging(Bucket=s3_bucket, Key="key", Tagging=tag_set(n="2"))["VersionId"] == second
    found = {id: tags_of(s3, s3_bucket, "key", VersionId=id) for id in ("null", first, second)}
    assert found == {"null": [("n", "0")], first: [("n", "one")], second: [("n", "2")]}
    assert s3.delete_object_tagging(Bucket=s3_bucket, Key="key", VersionId="null")["VersionId"] == "null"
    assert s3.delete_object_tagging(Bucket=s3_bucket, Key="key")["VersionId"] == second
    assert [tags_of(s3, s3_bucket, "key", VersionId=id) for id in ("null", first, second)] == [[], [("n", "one")], []]
    bodies = [content(s3, s3_bucket, "key", VersionId=id) for id in ("null", first, second)]
    assert bodies == [b"null", b"first", b"second"]


def test_a_delete_marker_has_no_tags_to_ask_for(s3: S3Client, s3_bucket: str) -> None:
    set_versioning(s3, s3_bucket, "Enabled")
    version = s3.put_object(Bucket=s3_bucket, Key="key", Body=b"data", Tagging="n=1")["VersionId"]
    marker = s3.delete_object(Bucket=s3_bucket, Key="key")["VersionId"]
    for more in ({}, {"VersionId": marker}):
        named: dict[str, Any] = {"Bucket": s3_bucket, "Key": "key", **more}
        assert refusal(s3.get_object_tagging, **named) == (405, "MethodNotAllowed")
        assert refusal(s3.put_object_tagging, Tagging=tag_set(a="1"), **named) == (405, "MethodNotAllowed")
        assert refusal(s3.delete_object_tagging, **named) == (405, "MethodNotAllowed")
    assert tags_of(s3, s3_bucket, "key", VersionId=version) == [("n", "1")]


# Uploads and copies


def test_an_upload_s_object_has_its_tags(s3: S3Client, s3_bucket: str) -> None:
    put_in_parts(s3, s3_bucket, "key", PART, b"end", Tagging="b=2&a=1")
    assert tags_of(s3, s3_bucket, "key") == [("a", "1"), ("b", "2")]
    s3.put_object_tagging(Bucket=s3_bucket, Key="key", Tagging=tag_set(c="3"))
    assert tags_of(s3, s3_bucket, "key") == [("c", "3")]
    assert content(s3, s3_bucket, "key") == PART + b"end"
    assert s3.get_object(Bucket=s3_bucket, Key="key", PartNumber=2)["TagCount"] == 1


def test_tags_put_while_an_upload_is_under_way_are_replaced_by_its_own(s3: S3Client, s3_bucket: str) -> None:
    s3.put_object(Bucket=s3_bucket, Key="key", Body=b"before", Tagging="old=1")
    upload_id = begin(s3, s3_bucket, "key", Tagging="new=1")
    parts = send(s3, s3_bucket, "key", upload_id, b"data")
    s3.put_object_tagging(Bucket=s3_bucket, Key="key", Tagging=tag_set(old="2"))
    complete(s3, s3_bucket, "key", upload_id, parts)
    assert tags_of(s3, s3_bucket, "key") == [("new", "1")]
    complete(s3, s3_bucket, "key", upload_id, parts)
    assert tags_of(s3, s3_bucket, "key") == [("new", "1")]


@pytest.mark.parametrize(
    ("asked", "tags"),
    [
        ({}, [("n", "1")]),
        ({"TaggingDirective": "COPY"}, [("n", "1")]),
        ({"MetadataDirective": "REPLACE"}, [("n", "1")]),
        ({"TaggingDirective": "REPLACE"}, []),
        ({"TaggingDirective": "REPLACE", "Tagging": "b=2&a"}, [("a", ""), ("b", "2")]),
        ({"TaggingDirective": "COPY", "Tagging": "b=2"}, [("n", "1")]),
        ({"Tagging": "b=2"}, [("n", "1")]),
    ],
    ids=str,
)
def test_a_copy_has_its_source_s_tags_or_the_request_s(
    s3: S3Client, s3_bucket: str, asked: dict[str, Any], tags: list[tuple[str, str]]
) -> None:
    s3.put_object(Bucket=s3_bucket, Key="key", Body=b"data", Tagging="n=1", Metadata={"colour": "blue"})
    for bucket in (s3_bucket, new_bucket(s3)):
        s3.copy_object(Bucket=bucket, Key="copy", CopySource=f"{s3_bucket}/key", **asked)
        assert tags_of(s3, bucket, "copy") == tags
        kept = {} if "MetadataDirective" in asked else {"colour": "blue"}
        assert s3.head_object(Bucket=bucket, Key="copy")["Metadata"] == kept
    assert tags_of(s3, s3_bucket, "key") == [("n", "1")]


def test_a_copy_of_an_older_version_has_that_one_s_tags(s3: S3Client, s3_bucket: str) -> None:
    set_versioning(s3, s3_bucket, "Enabled")
    first = s3.put_object(Bucket=s3_bucket, Key="key", Body=b"first", Tagging="n=1")["VersionId"]
    s3.put_object(Bucket=s3_bucket, Key="key", Body=b"second", Tagging="n=2")
    s3.copy_object(Bucket=s3_bucket, Key="key", CopySource=f"{s3_bucket}/key?versionId={first}")
    assert tags_of(s3, s3_bucket, "key") == [("n", "1")]


def test_an_unknown_directive_is_refused(server: Server, s3: S3Client, s3_bucket: str) -> None:
    s3.put_object(Bucket=s3_bucket, Key="key", Body=b"data")
    headers = {"x-amz-copy-source": f"{s3_bucket}/key", "x-amz-tagging-directive": "MERGE"}
    answer = ask(server, "PUT", f"/{s3_bucket}/copy", headers)
    assert (answer.status, answer.code) == (400, "InvalidArgument")
    assert answer.text("ArgumentName") == "x-amz-tagging-directive"


def test_other_tags_alone_make_no_copy_to_itself(s3: S3Client, s3_bucket: str) -> None:
    s3.put_object(Bucket=s3_bucket, Key="key", Body=b"data", Tagging="n=1")
    asked: dict[str, Any] = {"Bucket": s3_bucket, "Key": "key", "CopySource": f"{s3_bucket}/key"}
    asked |= {"TaggingDirective": "REPLACE", "Tagging": "n=2"}
    assert refusal(s3.copy_object, **asked) == (400, "InvalidRequest")
    s3.copy_object(**asked, MetadataDirective="REPLACE")
    assert tags_of(s3, s3_bucket, "key") == [("n", "2")]


@pytest.mark.parametrize("query", ["", "?uploads", "?partNumber=1&uploadId=0"])
@pytest.mark.parametrize("method", ["GET", "PUT", "POST", "DELETE"])
def test_tags_are_promised_only_where_they_are_kept(
    server: Server, s3: S3Client, s3_bucket: str, method: str, query: str
) -> None:
    s3.put_object(Bucket=s3_bucket, Key="key", Body=b"data")
    if (method, query) in {("PUT", ""), ("POST", "?uploads")}:
        assert ask(server, method, f"/{s3_bucket}/key{query}", {"x-amz-tagging": "a=b"}, b"data").status == 200
        return
    answer = ask(server, method, f"/{s3_bucket}/key{query}", {"x-amz-tagging": "a=b"}, b"data")
    assert answer.status in (405, 501)
    assert content(s3, s3_bucket, "key") == b"data"


# Forms


def post(server: Server, bucket: str, *fields: tuple[str, str]) -> Any:
    body = encode_form([("key", "form"), *fields], b"data")
    return ask(
        server, "POST", f"/{bucket}", {"content-type": f"multipart/form-data; boundary={BOUNDARY.decode()}"}, body
    )


def test_a_form_s_object_has_the_tags_of_its_document(server: Server, s3: S3Client, s3_bucket: str) -> None:
    tagging = "<Tagging><TagSet><Tag><Key>b</Key><Value>&amp;</Value></Tag></TagSet></Tagging>"
    assert post(server, s3_bucket, ("tagging", tagging)).code == "InvalidTag"
    tagging = "<Tagging><TagSet><Tag><Key>b é</Key><Value>1+1=2</Value></Tag></TagSet></Tagging>"
    assert post(server, s3_bucket, ("Tagging", tagging)).status == 204
    assert tags_of(s3, s3_bucket, "form") == [("b é", "1+1=2")]
    assert post(server, s3_bucket, ("tagging", "")).status == 204
    assert tags_of(s3, s3_bucket, "form") == []


@pytest.mark.parametrize("tagging", ["a=b", "<Tagging/>", "<Tagging>", "<Other/>"])
def test_a_form_with_a_wrong_document_is_refused(server: Server, s3: S3Client, s3_bucket: str, tagging: str) -> None:
    answer = post(server, s3_bucket, ("tagging", tagging))
    assert (answer.status, answer.code) == (400, "MalformedXML")
    assert lacks(s3.list_objects_v2(Bucket=s3_bucket), "Contents")


# Buckets


def test_a_bucket_s_tags_are_put_replaced_and_deleted(s3: S3Client, s3_bucket: str) -> None:
    missing = (404, "NoSuchTagSet")
    assert refusal(s3.get_bucket_tagging, Bucket=s3_bucket) == missing
    set_versioning(s3, s3_bucket, "Enabled")
    for tags in ({"b": "2", "a": ""}, {f"{number}": "v" for number in range(50)}):
        put = s3.put_bucket_tagging(Bucket=s3_bucket, Tagging=tag_set(**tags))
        assert put["ResponseMetadata"]["HTTPStatusCode"] == 204
        told = s3.get_bucket_tagging(Bucket=s3_bucket)["TagSet"]
        assert [(tag["Key"], tag["Value"]) for tag in told] == sorted(tags.items())
    too_many = tag_set(**{f"{number}": "v" for number in range(51)})
    assert refusal(s3.put_bucket_tagging, Bucket=s3_bucket, Tagging=too_many) == (400, "BadRequest")
    assert len(s3.get_bucket_tagging(Bucket=s3_bucket)["TagSet"]) == 50
    assert s3.delete_bucket_tagging(Bucket=s3_bucket)["ResponseMetadata"]["HTTPStatusCode"] == 204
    assert refusal(s3.get_bucket_tagging, Bucket=s3_bucket) == missing
    s3.delete_bucket_tagging(Bucket=s3_bucket)
    assert s3.get_bucket_versioning(Bucket=s3_bucket)["Status"] == "Enabled"


def test_an_empty_set_of_tags_is_none(s3: S3Client, s3_bucket: str) -> None:
    s3.put_bucket_tagging(Bucket=s3_bucket, Tagging=tag_set(a="1"))
    s3.put_bucket_tagging(Bucket=s3_bucket, Tagging=tag_set())
    assert refusal(s3.get_bucket_tagging, Bucket=s3_bucket) == (404, "NoSuchTagSet")


def test_a_bucket_is_made_with_tags(s3: S3Client, s3_bucket: str) -> None:
    name = f"{s3_bucket}-tagged"
    wrong: Any = {"Tags": [{"Key": "aws:a", "Value": "1"}]}
    assert refusal(s3.create_bucket, Bucket=name, CreateBucketConfiguration=wrong) == (400, "InvalidTag")
    assert refusal(s3.get_bucket_tagging, Bucket=name) == (404, "NoSuchBucket")
    asked: Any = {"LocationConstraint": "eu-west-1", "Tags": [{"Key": "b", "Value": "2"}, {"Key": "a", "Value": ""}]}
    s3.create_bucket(Bucket=name, CreateBucketConfiguration=asked)
    told = s3.get_bucket_tagging(Bucket=name)["TagSet"]
    assert told == [{"Key": "a", "Value": ""}, {"Key": "b", "Value": "2"}]
    assert s3.get_bucket_location(Bucket=name)["LocationConstraint"] == "eu-west-1"


def test_a_bucket_s_tags_are_not_its_objects(s3: S3Client, s3_bucket: str) -> None:
    s3.put_object(Bucket=s3_bucket, Key="key", Body=b"data", Tagging="n=1")
    s3.put_bucket_tagging(Bucket=s3_bucket, Tagging=tag_set(a="1"))
    assert tags_of(s3, s3_bucket, "key") == [("n", "1")]
    s3.delete_bucket_tagging(Bucket=s3_bucket)
    assert tags_of(s3, s3_bucket, "key") == [("n", "1")]
    assert content(s3, s3_bucket, "key") == b"data"


# Where there are users


def test_a_policy_opens_what_has_a_tag_and_no_more(main: S3Client, alt: S3Client, bucket_of_main: str) -> None:
    statement = {
        "Effect": "Allow",
        "Principal": {"AWS": f"arn:aws:iam:::user/{ALT.id}"},
        "Action": "s3:GetObject",
        "Resource": f"arn:aws:s3:::{bucket_of_main}/*",
        "Condition": {"StringEquals": {"s3:ExistingObjectTag/security": "public"}},
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    main.put_bucket_policy(Bucket=bucket_of_main, Policy=policy)
    at: Any = {"Bucket": bucket_of_main, "Key": "key"}
    main.put_object(**at, Body=b"data")
    assert refusal(alt.get_object, **at) == DENIED
    assert refusal(alt.put_object_tagging, **at, Tagging=tag_set(security="public")) == DENIED
    main.put_object_tagging(**at, Tagging=tag_set(security="public"))
    got = alt.get_object(**at)
    assert (got["Body"].read(), lacks(got, "TagCount")) == (b"data", True)
    assert refusal(alt.get_object_tagging, **at) == DENIED
    main.delete_object_tagging(**at)
    assert refusal(alt.get_object, **at) == DENIED


def test_strangers_get_nothing_of_tags(main: S3Client, alt: S3Client, anyone: S3Client, bucket_of_main: str) -> None:
    main.put_object(Bucket=bucket_of_main, Key="key", Body=b"data", ACL="public-read", Tagging="n=1")
    main.put_bucket_tagging(Bucket=bucket_of_main, Tagging=tag_set(n="1"))
    for other in (alt, anyone):
        assert lacks(other.get_object(Bucket=bucket_of_main, Key="key"), "TagCount")
        for key in ("key", "absent"):
            at: Any = {"Bucket": bucket_of_main, "Key": key}
            assert refusal(other.get_object_tagging, **at) == DENIED
            assert refusal(other.put_object_tagging, **at, Tagging=tag_set(n="2")) == DENIED
            assert refusal(other.delete_object_tagging, **at) == DENIED
        assert refusal(other.get_bucket_tagging, Bucket=bucket_of_main) == DENIED
        assert refusal(other.put_bucket_tagging, Bucket=bucket_of_main, Tagging=tag_set(n="2")) == DENIED
        assert refusal(other.delete_bucket_tagging, Bucket=bucket_of_main) == DENIED
    assert tags_of(main, bucket_of_main, "key") == [("n", "1")]
    assert main.get_bucket_tagging(Bucket=bucket_of_main)["TagSet"] == [{"Key": "n", "Value": "1"}]


def test_root_and_administrators_see_and_set_everybody_s_tags(
    main: S3Client, root: S3Client, admin: S3Client, bucket_of_main: str
) -> None:
    main.put_object(Bucket=bucket_of_main, Key="key", Body=b"data", Tagging="n=1")
    for number, one in enumerate((root, admin), 2):
        assert tags_of(one, bucket_of_main, "key") == [("n", str(number - 1))]
        one.put_object_tagging(Bucket=bucket_of_main, Key="key", Tagging=tag_set(n=str(number)))
    assert tags_of(main, bucket_of_main, "key") == [("n", "3")]


def test_signed_requests_carry_tags(main: S3Client, bucket_of_main: str) -> None:
    main.put_object(Bucket=bucket_of_main, Key="key", Body=b"data", Tagging="a%20b=c+d&e")
    assert tags_of(main, bucket_of_main, "key") == [("a b", "c d"), ("e", "")]
    assert main.head_object(Bucket=bucket_of_main, Key="key")["TagCount"] == 2
    main.put_bucket_tagging(Bucket=bucket_of_main, Tagging=tag_set(a="1"))
    assert main.get_bucket_tagging(Bucket=bucket_of_main)["TagSet"] == [{"Key": "a", "Value": "1"}]
