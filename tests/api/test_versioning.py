"""Versions over HTTP: enabled, suspended, null versions, markers."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from tests.api.asking import (
    ask,
    begin,
    complete,
    content,
    error_of,
    history,
    lacks,
    put_in_parts,
    refusal,
    send,
    set_versioning,
)
from tests.servers import Server

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


@pytest.fixture
def versioned(s3: S3Client, s3_bucket: str) -> str:
    """A fresh bucket with versioning enabled."""
    set_versioning(s3, s3_bucket, "Enabled")
    return s3_bucket


def put(s3: S3Client, bucket: str, data: bytes, key: str = "key") -> str:
    """Put an object; its version's id, as far as it is told."""
    return s3.put_object(Bucket=bucket, Key=key, Body=data).get("VersionId", "")


def listed(server: Server, bucket: str) -> list[tuple[str, str, str]]:
    """Key, id and whether it is the latest, of all versions and markers in their order."""
    answer = ask(server, "GET", f"/{bucket}?versions")
    return list(zip(answer.texts("Key"), answer.texts("VersionId"), answer.texts("IsLatest"), strict=True))


# The state


def test_versioning_is_never_set_at_first(server: Server, s3: S3Client, s3_bucket: str) -> None:
    assert lacks(s3.get_bucket_versioning(Bucket=s3_bucket), "Status", "MFADelete")
    assert ask(server, "GET", f"/{s3_bucket}?versioning").texts("Status") == []


def test_versioning_is_enabled_and_suspended_again_and_again(s3: S3Client, s3_bucket: str) -> None:
    for status in ("Suspended", "Enabled", "Enabled", "Suspended", "Enabled"):
        set_versioning(s3, s3_bucket, status)
        assert s3.get_bucket_versioning(Bucket=s3_bucket)["Status"] == status


@pytest.mark.parametrize(
    ("document", "status", "code"),
    [
        ("", 400, "MalformedXML"),
        ("no xml", 400, "MalformedXML"),
        ("<Other><Status>Enabled</Status></Other>", 400, "MalformedXML"),
        ("<VersioningConfiguration/>", 400, "IllegalVersioningConfigurationException"),
        ("<VersioningConfiguration><Status>enabled</Status></VersioningConfiguration>", 400, "MalformedXML"),
        ("<VersioningConfiguration><Status>Disabled</Status></VersioningConfiguration>", 400, "MalformedXML"),
        ("<VersioningConfiguration><Status></Status></VersioningConfiguration>", 400, "MalformedXML"),
        (
            "<VersioningConfiguration><Status>Enabled</Status><MfaDelete>Enabled</MfaDelete></VersioningConfiguration>",
            501,
            "NotImplemented",
        ),
    ],
)
def test_a_state_that_does_not_exist_changes_nothing(
    server: Server, s3: S3Client, s3_bucket: str, document: str, status: int, code: str
) -> None:
    answer = ask(server, "PUT", f"/{s3_bucket}?versioning", body=document.encode())
    assert (answer.status, answer.code) == (status, code)
    assert lacks(s3.get_bucket_versioning(Bucket=s3_bucket), "Status")


def test_a_state_whose_digest_is_wrong_changes_nothing(server: Server, s3: S3Client, s3_bucket: str) -> None:
    document = b"<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>"
    answer = ask(server, "PUT", f"/{s3_bucket}?versioning", {"content-md5": "1B2M2Y8AsgTpgAmY7PhCfg=="}, document)
    assert (answer.status, answer.code) == (400, "BadDigest")
    assert lacks(s3.get_bucket_versioning(Bucket=s3_bucket), "Status")


# Enabled


def test_every_put_is_a_version_of_its_own(server: Server, s3: S3Client, versioned: str) -> None:
    ids = [put(s3, versioned, data) for data in (b"one", b"two", b"three")]
    assert len(set(ids)) == 3
    assert "null" not in ids
    for version_id, data in zip(ids, (b"one", b"two", b"three"), strict=True):
        got = s3.get_object(Bucket=versioned, Key="key", VersionId=version_id)
        assert (got["Body"].read(), got["VersionId"]) == (data, version_id)
        head = s3.head_object(Bucket=versioned, Key="key", VersionId=version_id)
        assert (head["ContentLength"], head["VersionId"]) == (len(data), version_id)
    current = s3.get_object(Bucket=versioned, Key="key")
    assert (current["Body"].read(), current["VersionId"]) == (b"three", ids[2])
    assert listed(server, versioned) == [
        ("key", ids[2], "true"),
        ("key", ids[1], "false"),
        ("key", ids[0], "false"),
    ]


def test_versions_keep_headers_and_metadata_of_their_own(s3: S3Client, versioned: str) -> None:
    ids = [
        s3.put_object(Bucket=versioned, Key="key", Body=b"x", ContentType=kind, Metadata={"kind": kind})["VersionId"]
        for kind in ("a/1", "a/2")
    ]
    for version_id, kind in zip(ids, ("a/1", "a/2"), strict=True):
        head = s3.head_object(Bucket=versioned, Key="key", VersionId=version_id)
        assert (head["ContentType"], head["Metadata"]) == (kind, {"kind": kind})


def test_the_newest_version_left_becomes_current(server: Server, s3: S3Client, versioned: str) -> None:
    ids = [put(s3, versioned, data) for data in (b"one", b"two", b"three")]
    answer = ask(server, "DELETE", f"/{versioned}/key?versionId={ids[2]}")
    assert (answer.status, answer.headers["x-amz-version-id"]) == (204, ids[2])
    assert "x-amz-delete-marker" not in answer.headers
    assert content(s3, versioned, "key") == b"two"
    s3.delete_object(Bucket=versioned, Key="key", VersionId=ids[0])
    assert listed(server, versioned) == [("key", ids[1], "true")]
    s3.delete_object(Bucket=versioned, Key="key", VersionId=ids[1])
    assert refusal(s3.get_object, Bucket=versioned, Key="key") == (404, "NoSuchKey")
    s3.delete_bucket(Bucket=versioned)


def test_a_version_that_is_gone_is_named(s3: S3Client, versioned: str) -> None:
    gone, kept = put(s3, versioned, b"gone"), put(s3, versioned, b"kept")
    s3.delete_object(Bucket=versioned, Key="key", VersionId=gone)
    error = error_of(s3.get_object, Bucket=versioned, Key="key", VersionId=gone)
    assert (error["Code"], error["Key"], error["VersionId"]) == ("NoSuchVersion", "key", gone)
    assert refusal(s3.head_object, Bucket=versioned, Key="key", VersionId=gone) == (404, "404")
    assert refusal(s3.get_object, Bucket=versioned, Key="other", VersionId=kept) == (404, "NoSuchVersion")
    s3.delete_object(Bucket=versioned, Key="key", VersionId=gone)
    assert content(s3, versioned, "key") == b"kept"


def test_an_upload_makes_a_version_too(s3: S3Client, versioned: str) -> None:
    old = put(s3, versioned, b"old")
    new = put_in_parts(s3, versioned, "key", b"new")["VersionId"]
    assert history(s3, versioned, "key") == [new, old]
    assert content(s3, versioned, "key", VersionId=new) == b"new"


def test_many_puts_at_once_are_as_many_versions(s3: S3Client, versioned: str) -> None:
    datas = [str(number).encode() for number in range(16)]
    with ThreadPoolExecutor(8) as threads:
        ids = list(threads.map(lambda data: put(s3, versioned, data), datas))
    assert sorted(history(s3, versioned, "key")) == sorted(ids)
    for version_id, data in zip(ids, datas, strict=True):
        assert content(s3, versioned, "key", VersionId=version_id) == data


# Markers


def test_a_delete_hides_the_object_behind_a_marker(server: Server, s3: S3Client, versioned: str) -> None:
    version = put(s3, versioned, b"hidden")
    answer = ask(server, "DELETE", f"/{versioned}/key")
    marker = answer.headers["x-amz-version-id"]
    assert (answer.status, answer.headers["x-amz-delete-marker"]) == (204, "true")
    assert marker not in (version, "null")
    assert listed(server, versioned) == [("key", marker, "true"), ("key", version, "false")]
    assert content(s3, versioned, "key", VersionId=version) == b"hidden"


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_hidden_object_seems_absent_and_tells_of_its_marker(
    server: Server, s3: S3Client, versioned: str, method: str
) -> None:
    put(s3, versioned, b"hidden")
    marker = s3.delete_object(Bucket=versioned, Key="key")["VersionId"]
    answer = ask(server, method, f"/{versioned}/key")
    assert (answer.status, answer.headers["x-amz-delete-marker"]) == (404, "true")
    assert answer.headers["x-amz-version-id"] == marker
    assert answer.body == b"" if method == "HEAD" else answer.code == "NoSuchKey"


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_marker_cannot_be_read(server: Server, s3: S3Client, versioned: str, method: str) -> None:
    put(s3, versioned, b"hidden")
    marker = s3.delete_object(Bucket=versioned, Key="key")["VersionId"]
    answer = ask(server, method, f"/{versioned}/key?versionId={marker}")
    assert (answer.status, answer.headers["x-amz-delete-marker"]) == (405, "true")
    assert answer.headers["allow"] == "DELETE"
    assert answer.headers["last-modified"].endswith(" GMT")
    assert answer.headers["x-amz-version-id"] == marker
    if method == "GET":
        assert (answer.code, answer.text("ResourceType")) == ("MethodNotAllowed", "DeleteMarker")


def test_deleting_the_marker_brings_the_object_back(server: Server, s3: S3Client, versioned: str) -> None:
    version = put(s3, versioned, b"back")
    marker = s3.delete_object(Bucket=versioned, Key="key")["VersionId"]
    answer = ask(server, "DELETE", f"/{versioned}/key?versionId={marker}")
    assert (answer.status, answer.headers["x-amz-delete-marker"]) == (204, "true")
    assert answer.headers["x-amz-version-id"] == marker
    assert content(s3, versioned, "key") == b"back"
    assert listed(server, versioned) == [("key", version, "true")]


def test_every_delete_puts_a_marker_even_where_nothing_is(server: Server, s3: S3Client, versioned: str) -> None:
    first = s3.delete_object(Bucket=versioned, Key="never-was")["VersionId"]
    second = s3.delete_object(Bucket=versioned, Key="never-was")["VersionId"]
    assert listed(server, versioned) == [("never-was", second, "true"), ("never-was", first, "false")]
    assert refusal(s3.get_object, Bucket=versioned, Key="never-was") == (404, "NoSuchKey")


def test_a_put_on_top_of_a_marker_is_current(server: Server, s3: S3Client, versioned: str) -> None:
    old = put(s3, versioned, b"old")
    marker = s3.delete_object(Bucket=versioned, Key="key")["VersionId"]
    new = put(s3, versioned, b"new")
    assert content(s3, versioned, "key") == b"new"
    assert [version_id for _, version_id, _ in listed(server, versioned)] == [new, marker, old]


def test_an_old_marker_goes_without_a_change_to_the_current_object(s3: S3Client, versioned: str) -> None:
    marker = s3.delete_object(Bucket=versioned, Key="key")["VersionId"]
    put(s3, versioned, b"current")
    s3.delete_object(Bucket=versioned, Key="key", VersionId=marker)
    assert content(s3, versioned, "key") == b"current"


# Null versions


def test_an_object_from_before_is_version_null(server: Server, s3: S3Client, s3_bucket: str) -> None:
    assert put(s3, s3_bucket, b"before") == ""
    set_versioning(s3, s3_bucket, "Enabled")
    assert s3.head_object(Bucket=s3_bucket, Key="key")["VersionId"] == "null"
    after = put(s3, s3_bucket, b"after")
    assert content(s3, s3_bucket, "key", VersionId="null") == b"before"
    assert listed(server, s3_bucket) == [("key", after, "true"), ("key", "null", "false")]
    s3.delete_object(Bucket=s3_bucket, Key="key", VersionId=after)
    assert content(s3, s3_bucket, "key") == b"before"
    answer = ask(server, "DELETE", f"/{s3_bucket}/key?versionId=null")
    assert (answer.status, answer.headers["x-amz-version-id"]) == (204, "null")
    assert listed(server, s3_bucket) == []


def test_suspended_puts_replace_each_other_and_keep_the_rest(server: Server, s3: S3Client, versioned: str) -> None:
    old = put(s3, versioned, b"old")
    set_versioning(s3, versioned, "Suspended")
    for data in (b"null one", b"null two"):
        # S3 does not tell the id of what it puts into a suspended bucket.
        assert put(s3, versioned, data) == ""
        assert content(s3, versioned, "key") == data
        assert listed(server, versioned) == [("key", "null", "true"), ("key", old, "false")]
    assert s3.head_object(Bucket=versioned, Key="key")["VersionId"] == "null"
    assert content(s3, versioned, "key", VersionId=old) == b"old"
    assert content(s3, versioned, "key", VersionId="null") == b"null two"


def test_a_suspended_upload_makes_version_null(server: Server, s3: S3Client, versioned: str) -> None:
    old = put(s3, versioned, b"old")
    set_versioning(s3, versioned, "Suspended")
    put(s3, versioned, b"null one")
    upload_id = begin(s3, versioned, "key")
    done = complete(s3, versioned, "key", upload_id, send(s3, versioned, "key", upload_id, b"null two"))
    assert lacks(done, "VersionId")
    assert content(s3, versioned, "key", VersionId="null") == b"null two"
    assert listed(server, versioned) == [("key", "null", "true"), ("key", old, "false")]


def test_a_suspended_delete_puts_a_marker_called_null(server: Server, s3: S3Client, versioned: str) -> None:
    old = put(s3, versioned, b"old")
    set_versioning(s3, versioned, "Suspended")
    put(s3, versioned, b"null")
    for _ in range(2):
        answer = ask(server, "DELETE", f"/{versioned}/key")
        assert (answer.status, answer.headers["x-amz-version-id"]) == (204, "null")
        assert answer.headers["x-amz-delete-marker"] == "true"
        assert listed(server, versioned) == [("key", "null", "true"), ("key", old, "false")]
    assert refusal(s3.get_object, Bucket=versioned, Key="key") == (404, "NoSuchKey")
    assert refusal(s3.get_object, Bucket=versioned, Key="key", VersionId="null") == (405, "MethodNotAllowed")
    gone = s3.delete_object(Bucket=versioned, Key="key", VersionId="null")
    assert (gone["DeleteMarker"], gone["VersionId"]) == (True, "null")
    assert content(s3, versioned, "key") == b"old"


def test_a_null_version_put_again_is_newer_than_all(server: Server, s3: S3Client, s3_bucket: str) -> None:
    put(s3, s3_bucket, b"before")
    set_versioning(s3, s3_bucket, "Enabled")
    middle = put(s3, s3_bucket, b"middle")
    set_versioning(s3, s3_bucket, "Suspended")
    put(s3, s3_bucket, b"after")
    assert content(s3, s3_bucket, "key") == b"after"
    assert listed(server, s3_bucket) == [("key", "null", "true"), ("key", middle, "false")]
    set_versioning(s3, s3_bucket, "Enabled")
    newest = put(s3, s3_bucket, b"newest")
    assert [version_id for _, version_id, _ in listed(server, s3_bucket)] == [newest, "null", middle]


def test_a_change_of_the_state_holds_for_the_very_next_request(s3: S3Client, s3_bucket: str) -> None:
    for _ in range(3):
        set_versioning(s3, s3_bucket, "Enabled")
        assert put(s3, s3_bucket, b"enabled") not in ("", "null")
        set_versioning(s3, s3_bucket, "Suspended")
        assert put(s3, s3_bucket, b"suspended") == ""
    assert len(history(s3, s3_bucket, "key")) == 4


def test_versions_of_one_key_are_no_business_of_another(server: Server, s3: S3Client, versioned: str) -> None:
    made: dict[str, Any] = {key: put(s3, versioned, key.encode(), key) for key in ("a", "a/", "a/b", "ab")}
    s3.delete_object(Bucket=versioned, Key="a", VersionId=made["a"])
    assert [key for key, _, _ in listed(server, versioned)] == ["a/", "a/b", "ab"]
    assert content(s3, versioned, "a/b") == b"a/b"
