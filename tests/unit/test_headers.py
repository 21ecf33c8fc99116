"""What S3's headers say, and what becomes of those that say it wrongly."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta, timezone

import pytest

from post3.errors import (
    BadDigest,
    InvalidArgument,
    InvalidDigest,
    InvalidRequest,
    InvalidStorageClass,
    MetadataTooLarge,
    S3Error,
)
from post3.model.conditions import ReadConditions, WriteConditions
from post3.model.object import ObjectVersion
from post3.model.ranges import ByteRange
from post3.s3 import headers
from post3.s3.aws_chunked import FORMS

NOON = datetime(2026, 2, 3, 12, 0, 0, tzinfo=UTC)
VERSION = ObjectVersion(
    bucket="bucket",
    key="key",
    version_id="v1",
    modified=NOON + timedelta(microseconds=999_999),
    owner="owner",
    size=5,
    etag="abc",
    headers={"content-type": "text/plain"},
    metadata={"colour": "blue"},
)


def test_a_date_is_told_in_utc_and_cut_to_the_second() -> None:
    assert headers.http_date(NOON + timedelta(microseconds=999_999)) == "Tue, 03 Feb 2026 12:00:00 GMT"
    assert headers.http_date(NOON.astimezone(timezone(timedelta(hours=5)))) == "Tue, 03 Feb 2026 12:00:00 GMT"


@pytest.mark.parametrize(
    "value",
    [
        "Tue, 03 Feb 2026 12:00:00 GMT",
        "Tue, 03 Feb 2026 12:00:00 -0000",
        "Tue, 03 Feb 2026 13:00:00 +0100",
        "Tuesday, 03-Feb-26 12:00:00 GMT",
        "Tue Feb  3 12:00:00 2026",
        "2026-02-03T12:00:00Z",
        "2026-02-03T13:00:00+01:00",
        "2026-02-03T12:00:00",
        "20260203T120000Z",
    ],
)
def test_dates_are_read_in_every_form_that_clients_use(value: str) -> None:
    assert headers.parse_http_date(value) == NOON


@pytest.mark.parametrize(
    "value", [None, "", "yesterday", "2026-13-01T00:00:00Z", "Tue, 99 Feb 2026 12:00:00 GMT", "9" * 5000]
)
def test_what_is_no_date_is_none(value: str | None) -> None:
    assert headers.parse_http_date(value) is None


@pytest.mark.parametrize(
    ("value", "etags"),
    [
        (None, ()),
        ('"abc"', ("abc",)),
        ("abc", ("abc",)),
        ("*", ("*",)),
        ('W/"abc"', ("abc",)),
        ('"abc", "def" ,ghi', ("abc", "def", "ghi")),
        ("", ("",)),
    ],
)
def test_etags_come_quoted_and_unquoted(value: str | None, etags: tuple[str, ...]) -> None:
    assert headers.parse_etags(value) == etags


@pytest.mark.parametrize(
    ("value", "meant"),
    [
        ("bytes=0-4", ByteRange(0, 5)),
        ("bytes=5-", ByteRange(5)),
        ("bytes=-5", ByteRange(suffix=5)),
        (" bytes=0-0 ", ByteRange(0, 1)),
        ("bytes=0-9223372036854775807", ByteRange(0, 10**18 + 1)),
        ("bytes=0-" + "9" * 5000, ByteRange(0, 10**18 + 1)),
        ("bytes=-" + "9" * 5000, ByteRange(suffix=10**18)),
    ],
)
def test_a_range_is_half_open_inside(value: str, meant: ByteRange) -> None:
    assert headers.parse_range(value) == meant


@pytest.mark.parametrize(
    "value",
    [None, "", "bytes=", "bytes=-", "bytes=5-4", "bytes=0-1,3-4", "lines=0-1", "bytes=a-b", "0-4", "bytes=-1-2"],
)
def test_a_range_that_means_nothing_is_ignored(value: str | None) -> None:
    assert headers.parse_range(value) is None


def test_a_copy_range_names_both_ends() -> None:
    assert headers.parse_copy_range("bytes=0-4") == (0, 5)
    assert headers.parse_copy_range("bytes=0-" + "9" * 5000) == (0, 10**18 + 1)


@pytest.mark.parametrize("value", ["0-2", "bytes=0", "bytes=hello-world", "bytes=0-2,3-5", "bytes=5-4", "bytes=-5", ""])
def test_a_copy_range_of_another_form_is_refused(value: str) -> None:
    """s3-tests: test_multipart_copy_improper_range."""
    with pytest.raises(InvalidArgument):
        headers.parse_copy_range(value)


def test_content_range_has_an_inclusive_end() -> None:
    assert headers.content_range(0, 5, 10) == "bytes 0-4/10"


def test_the_conditions_of_a_read_are_gathered() -> None:
    told = {"if-match": '"a"', "if-none-match": "b", "if-modified-since": "Tue, 03 Feb 2026 12:00:00 GMT"}
    assert headers.read_conditions(told) == ReadConditions(("a",), ("b",), NOON)
    assert headers.read_conditions({f"x-amz-copy-source-{name}": value for name, value in told.items()}) == (
        ReadConditions()
    )
    source = {"x-amz-copy-source-if-unmodified-since": "Tue, 03 Feb 2026 12:00:00 GMT"}
    assert headers.read_conditions(source, "x-amz-copy-source-") == ReadConditions(if_unmodified_since=NOON)


def test_the_conditions_of_a_write_are_gathered() -> None:
    told = {"if-match": "*", "x-amz-if-match-size": "5", "x-amz-if-match-last-modified-time": "2026-02-03T12:00:00Z"}
    assert headers.write_conditions(told) == WriteConditions(if_match=("*",), size=5, modified=NOON)
    assert headers.write_conditions({"if-none-match": "*"}) == WriteConditions(if_none_match=("*",))


@pytest.mark.parametrize(
    "told",
    [
        {"x-amz-if-match-size": "five"},
        {"x-amz-if-match-size": "-5"},
        {"x-amz-if-match-size": "9" * 5000},
        {"x-amz-if-match-last-modified-time": "yesterday"},
    ],
)
def test_a_condition_that_cannot_be_read_is_refused(told: dict[str, str]) -> None:
    with pytest.raises(InvalidArgument):
        headers.write_conditions(told)


def test_the_headers_that_an_object_keeps() -> None:
    told = {"content-type": "", "cache-control": "no-cache", "x-other": "x", "content-length": "5"}
    assert headers.stored_headers(told) == {"content-type": "", "cache-control": "no-cache"}
    assert headers.stored_headers({}) == {"content-type": "binary/octet-stream"}


@pytest.mark.parametrize(
    ("coding", "kept"),
    [("gzip", "gzip"), ("aws-chunked", None), ("AWS-Chunked, gzip", "gzip"), ("gzip,aws-chunked", "gzip"), ("", None)],
)
def test_the_transfer_own_coding_is_not_kept(coding: str, kept: str | None) -> None:
    assert headers.stored_headers({"content-encoding": coding}).get("content-encoding") == kept


def test_metadata_is_kept_by_the_rest_of_its_name() -> None:
    told = {"x-amz-meta-colour": "blue", "x-amz-meta-empty": "", "x-amz-acl": "private"}
    assert headers.user_metadata(told) == {"colour": "blue", "empty": ""}


def test_metadata_is_bounded_in_bytes() -> None:
    assert headers.user_metadata({"x-amz-meta-a": "x" * 2047})
    assert headers.user_metadata({"x-amz-meta-a": "\udcff" * 2047})
    for value in ("x" * 2048, "é" * 1024):
        with pytest.raises(MetadataTooLarge):
            headers.user_metadata({"x-amz-meta-a": value})


def test_a_storage_class_must_exist() -> None:
    assert headers.storage_class({}) == "STANDARD"
    assert headers.storage_class({"x-amz-storage-class": "STANDARD_IA"}) == "STANDARD_IA"
    for name in ("", "standard", "GLACIER"):
        with pytest.raises(InvalidStorageClass):
            headers.storage_class({"x-amz-storage-class": name})


def test_content_md5_is_sixteen_bytes() -> None:
    assert headers.content_md5({}) is None
    assert headers.content_md5({"content-md5": base64.b64encode(bytes(16)).decode()}) == bytes(16)
    for value in ("", "YWJyYWNhZGFicmE=", "rL0Y20xC+Fzt72VPzMSk2A", "not base64", "é"):
        with pytest.raises(InvalidDigest):
            headers.content_md5({"content-md5": value})


def test_one_checksum_may_be_sent() -> None:
    assert headers.checksum_values({"x-amz-checksum-crc32": "AAAAAA=="}) == {"crc32": "AAAAAA=="}
    assert headers.checksum_values({"x-amz-checksum-crc32": "AAAAAA==-3"}) == {"crc32": "AAAAAA==-3"}
    options = {"x-amz-checksum-mode": "ENABLED", "x-amz-checksum-type": "COMPOSITE", "x-amz-checksum-algorithm": "SHA1"}
    assert headers.checksum_values(options) == {}


@pytest.mark.parametrize(
    ("told", "error"),
    [
        ({"x-amz-checksum-crc32": "bad"}, BadDigest),
        ({"x-amz-checksum-crc32": ""}, BadDigest),
        ({"x-amz-checksum-crc64nvme": "AAAAAA=="}, BadDigest),
        ({"x-amz-checksum-crc32": "AAAAAA==", "x-amz-checksum-crc32c": "AAAAAA=="}, InvalidRequest),
        ({"x-amz-checksum-md5": "AAAAAA=="}, InvalidRequest),
    ],
)
def test_checksums_that_can_match_nothing_are_refused(told: dict[str, str], error: type[S3Error]) -> None:
    with pytest.raises(error):
        headers.checksum_values(told)


def test_a_trailer_is_a_checksum() -> None:
    assert headers.trailing_checksum({}) == ""
    assert headers.trailing_checksum({"x-amz-trailer": "X-Amz-Checksum-CRC32C"}) == "crc32c"
    for value in ("crc32c", "x-amz-checksum-", "x-amz-meta-a", "x-amz-checksum-crc32,x-amz-checksum-sha1"):
        with pytest.raises(InvalidRequest):
            headers.trailing_checksum({"x-amz-trailer": value})


@pytest.mark.parametrize("value", ["", "UNSIGNED-PAYLOAD", *FORMS, "0aF" * 21 + "0"])
def test_the_content_hash_is_a_hash_or_stands_for_none(value: str) -> None:
    assert headers.content_sha256({"x-amz-content-sha256": value}) == value


@pytest.mark.parametrize("value", ["unsigned-payload", "STREAMING-", "0" * 63, "0" * 65, "g" * 64])
def test_any_other_content_hash_is_refused(value: str) -> None:
    with pytest.raises(InvalidArgument):
        headers.content_sha256({"x-amz-content-sha256": value})


def test_an_answer_describes_its_version() -> None:
    told = headers.version_headers(VERSION, shows_version=True)
    assert told == {
        "accept-ranges": "bytes",
        "content-type": "text/plain",
        "etag": '"abc"',
        "last-modified": "Tue, 03 Feb 2026 12:00:00 GMT",
        "x-amz-meta-colour": "blue",
        "x-amz-version-id": "v1",
    }
    assert "x-amz-version-id" not in headers.version_headers(VERSION, shows_version=False)


def test_checksums_are_told_with_their_type() -> None:
    assert headers.checksum_headers({"crc32": "AAAAAA=="}, "FULL_OBJECT") == {
        "x-amz-checksum-crc32": "AAAAAA==",
        "x-amz-checksum-type": "FULL_OBJECT",
    }
    assert headers.checksum_headers({}, "FULL_OBJECT") == {}


def test_parameters_put_headers_in_place() -> None:
    query = {"response-content-type": "text/html", "response-expires": "x", "response-other": "y", "prefix": "z"}
    assert headers.overrides(query) == {"content-type": "text/html", "expires": "x"}


COPY = {"x-amz-copy-source": "bucket/key"}


@pytest.mark.parametrize(
    ("sent", "tags"),
    [
        ({}, {}),
        ({"x-amz-tagging": ""}, {}),
        ({"x-amz-tagging": "b=2&a"}, {"a": "", "b": "2"}),
        ({**COPY, "x-amz-tagging": "b=2"}, {}),
        ({**COPY, "x-amz-tagging": "b=2&b=3", "x-amz-tagging-directive": "COPY"}, {}),
        ({**COPY, "x-amz-tagging": "b=2", "x-amz-tagging-directive": "REPLACE"}, {"b": "2"}),
        ({**COPY, "x-amz-tagging-directive": "REPLACE"}, {}),
    ],
)
def test_a_copy_has_tags_of_its_own_only_where_it_says_so(sent: dict[str, str], tags: dict[str, str]) -> None:
    assert headers.requested_tags(sent) == tags


@pytest.mark.parametrize("name", ["x-amz-tagging-directive", "x-amz-metadata-directive"])
def test_a_directive_is_one_of_two(name: str) -> None:
    assert [headers.directive(sent, name) for sent in ({}, {name: "COPY"}, {name: "REPLACE"})] == [
        "COPY",
        "COPY",
        "REPLACE",
    ]
    for value in ("", "copy", "MERGE"):
        with pytest.raises(InvalidArgument) as refused:
            headers.directive({name: value}, name)
        assert refused.value.details == {"ArgumentName": name, "ArgumentValue": value}
