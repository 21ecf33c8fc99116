"""Objects over HTTP: put, get, look at; keys, headers, metadata, ranges, parts, attributes."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from contextlib import closing
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from http.client import HTTPConnection
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest

from post3.s3.aws_chunked import FORMS
from tests.api.asking import (
    PART,
    ask,
    checksum,
    content,
    error_of,
    lacks,
    md5,
    put_in_parts,
    refusal,
    set_versioning,
)
from tests.bodies import SIGNED, SIGNED_TRAILER, UNSIGNED, frame
from tests.servers import Server

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

DIGITS = b"0123456789"
KEYS = [
    "plain",
    "a//b",
    "//a",
    "/",
    "//",
    ".",
    "..",
    "./a",
    "a/../b",
    "../../etc/passwd",
    "folder/",
    "with space",
    " space around ",
    "plus+plus",
    "per%cent",
    "%2F",
    "a%2Fb%2fc",
    "quest?ion",
    "ha#sh",
    "amp&er=sand",
    "semi;colon:comma,",
    "quo\"te'<tag>",
    "back\\slash",
    "tilde~.parent(1)*!@$^`|{}[]",
    "ümläut",
    "日本語/キー",
    "emoji-😀",
    "e\u0301 beside \u00e9",
    "line\nfeed\ttab\rreturn",
    "bell\x07 and \x7f",
    "con",
    "aux.txt ",
    ".hidden",
    "a" * 1024,
    "é" * 512,
    "😀" * 256,
    "/".join(["d"] * 512),
]


# Bytes in, bytes out


@pytest.mark.parametrize("size", [0, 1, 16 * 1024, 16 * 1024 + 1, 64 * 1024, 64 * 1024 + 1, 2**20 + 7, 3 * 2**20])
def test_what_was_put_is_got(s3: S3Client, s3_bucket: str, size: int) -> None:
    data = (PART + PART)[:size]
    assert s3.put_object(Bucket=s3_bucket, Key="key", Body=data)["ETag"] == md5(data)
    got = s3.get_object(Bucket=s3_bucket, Key="key")
    assert got["Body"].read() == data
    assert (got["ETag"], got["ContentLength"], got["AcceptRanges"]) == (md5(data), size, "bytes")
    assert s3.head_object(Bucket=s3_bucket, Key="key")["ContentLength"] == size


def test_a_put_without_a_body_makes_an_empty_object(server: Server, s3: S3Client, s3_bucket: str) -> None:
    answer = ask(server, "PUT", f"/{s3_bucket}/empty", {"content-length": "0"})
    assert (answer.status, answer.headers["etag"], answer.body) == (200, md5(b""), b"")
    assert content(s3, s3_bucket, "empty") == b""


def test_a_put_that_does_not_tell_its_length_is_refused(server: Server, s3: S3Client, s3_bucket: str) -> None:
    answer = ask(server, "PUT", f"/{s3_bucket}/key")
    assert (answer.status, answer.code) == (411, "MissingContentLength")
    assert refusal(s3.head_object, Bucket=s3_bucket, Key="key") == (404, "404")


def test_a_put_replaces_the_object_and_all_that_described_it(s3: S3Client, s3_bucket: str) -> None:
    s3.put_object(Bucket=s3_bucket, Key="key", Body=b"old", Metadata={"old": "1"}, CacheControl="no-store")
    s3.put_object(Bucket=s3_bucket, Key="key", Body=b"newer", Metadata={"new": "2"})
    got = s3.get_object(Bucket=s3_bucket, Key="key")
    assert (got["Body"].read(), got["Metadata"]) == (b"newer", {"new": "2"})
    assert lacks(got, "CacheControl")


def test_a_body_in_chunks_of_http_is_put_together(server: Server, s3: S3Client, s3_bucket: str) -> None:
    answer = ask(server, "PUT", f"/{s3_bucket}/chunked", body=[b"one ", b"two ", b"three"])
    assert answer.status == 200
    assert content(s3, s3_bucket, "chunked") == b"one two three"


@pytest.mark.parametrize("form", [UNSIGNED, SIGNED, SIGNED_TRAILER])
def test_the_framing_of_aws_chunked_is_not_stored(server: Server, s3: S3Client, s3_bucket: str, form: str) -> None:
    data = PART[:100_000]
    trailers = {"x-amz-checksum-crc32": checksum("CRC32", data)} if FORMS[form].trailers else {}
    headers = {
        "x-amz-content-sha256": form,
        "x-amz-decoded-content-length": str(len(data)),
        "content-encoding": "aws-chunked",
        **({"x-amz-trailer": "x-amz-checksum-crc32"} if trailers else {}),
    }
    body = frame([data[:65_536], data[65_536:]], FORMS[form], trailers)
    answer = ask(server, "PUT", f"/{s3_bucket}/framed", headers, body)
    assert (answer.status, answer.headers["etag"]) == (200, md5(data)), answer.body
    got = s3.get_object(Bucket=s3_bucket, Key="framed", ChecksumMode="ENABLED")
    assert got["Body"].read() == data
    assert lacks(got, "ContentEncoding")
    if trailers:
        assert got["ChecksumCRC32"] == checksum("CRC32", data)


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        ({"x-amz-trailer": "x-amz-checksum-crc32"}, 400, "MalformedTrailerError"),
        ({"x-amz-trailer": "x-amz-checksum-md4"}, 400, "InvalidRequest"),
        ({"x-amz-decoded-content-length": "9"}, 400, "IncompleteBody"),
        ({"x-amz-decoded-content-length": "nine"}, 400, "InvalidArgument"),
        ({"x-amz-content-sha256": "STREAMING-SOMETHING-ELSE"}, 400, "InvalidArgument"),
    ],
)
def test_framing_that_is_not_as_announced_stores_nothing(
    server: Server, s3: S3Client, s3_bucket: str, headers: dict[str, str], status: int, code: str
) -> None:
    told = {"x-amz-content-sha256": UNSIGNED, "x-amz-decoded-content-length": "10", **headers}
    answer = ask(server, "PUT", f"/{s3_bucket}/framed", told, frame([DIGITS], FORMS[UNSIGNED], {}))
    assert (answer.status, answer.code) == (status, code)
    assert refusal(s3.head_object, Bucket=s3_bucket, Key="framed") == (404, "404")


def test_a_framed_body_must_tell_its_decoded_length(server: Server, s3_bucket: str) -> None:
    told = {"x-amz-content-sha256": UNSIGNED}
    answer = ask(server, "PUT", f"/{s3_bucket}/framed", told, frame([DIGITS], FORMS[UNSIGNED], {}))
    assert (answer.status, answer.code) == (411, "MissingContentLength")


# Digests


def test_a_right_md5_is_accepted(s3: S3Client, s3_bucket: str) -> None:
    right = base64.b64encode(hashlib.md5(DIGITS, usedforsecurity=False).digest()).decode()
    s3.put_object(Bucket=s3_bucket, Key="key", Body=DIGITS, ContentMD5=right)
    assert content(s3, s3_bucket, "key") == DIGITS


def test_a_wrong_md5_leaves_the_old_object(s3: S3Client, s3_bucket: str) -> None:
    s3.put_object(Bucket=s3_bucket, Key="key", Body=b"old")
    wrong = base64.b64encode(hashlib.md5(b"other", usedforsecurity=False).digest()).decode()
    error = error_of(s3.put_object, Bucket=s3_bucket, Key="key", Body=DIGITS, ContentMD5=wrong)
    assert error["Code"] == "BadDigest"
    assert error["CalculatedDigest"] == base64.b64encode(bytes.fromhex(md5(DIGITS).strip('"'))).decode()
    assert content(s3, s3_bucket, "key") == b"old"


@pytest.mark.parametrize("value", ["", "__invalid__", "000", "not base64 encoded checksum", "MTIz", "dGVzdC1zdHJpbmc="])
def test_what_is_no_md5_is_refused(server: Server, s3: S3Client, s3_bucket: str, value: str) -> None:
    answer = ask(server, "PUT", f"/{s3_bucket}/key", {"content-md5": value}, DIGITS)
    assert (answer.status, answer.code, answer.text("Content-MD5")) == (400, "InvalidDigest", value)
    assert refusal(s3.head_object, Bucket=s3_bucket, Key="key") == (404, "404")


def test_a_body_of_another_sha256_than_signed_leaves_the_old_object(
    server: Server, s3: S3Client, s3_bucket: str
) -> None:
    s3.put_object(Bucket=s3_bucket, Key="key", Body=b"old")
    signed = hashlib.sha256(b"other").hexdigest()
    answer = ask(server, "PUT", f"/{s3_bucket}/key", {"x-amz-content-sha256": signed}, DIGITS)
    assert (answer.status, answer.code) == (400, "XAmzContentSHA256Mismatch")
    assert content(s3, s3_bucket, "key") == b"old"


# Keys


@pytest.mark.parametrize("key", KEYS, ids=lambda key: quote(key[:20], safe=""))
def test_a_key_is_any_text(s3: S3Client, s3_bucket: str, key: str) -> None:
    s3.put_object(Bucket=s3_bucket, Key=key, Body=key.encode())
    assert content(s3, s3_bucket, key) == key.encode()
    assert s3.head_object(Bucket=s3_bucket, Key=key)["ContentLength"] == len(key.encode())
    assert [entry["Key"] for entry in s3.list_objects_v2(Bucket=s3_bucket)["Contents"]] == [key]
    s3.delete_object(Bucket=s3_bucket, Key=key)
    assert refusal(s3.head_object, Bucket=s3_bucket, Key=key) == (404, "404")


def test_keys_that_look_alike_are_different_objects(s3: S3Client, s3_bucket: str) -> None:
    alike = ["a", "A", "a/", "/a", "//a", "a//", "./a", "a/.", "a%", "a%25", "é", "e\u0301", "a ", "a+", "a%20", "a."]
    for key in alike:
        s3.put_object(Bucket=s3_bucket, Key=key, Body=key.encode())
    assert [content(s3, s3_bucket, key).decode() for key in alike] == alike
    assert [entry["Key"] for entry in s3.list_objects(Bucket=s3_bucket)["Contents"]] == sorted(alike)


def test_an_object_may_stand_beside_those_below_its_name(s3: S3Client, s3_bucket: str) -> None:
    for key in ("a/b/c", "a/b", "a", "a/b/"):
        s3.put_object(Bucket=s3_bucket, Key=key, Body=key.encode())
    s3.delete_object(Bucket=s3_bucket, Key="a/b")
    assert [content(s3, s3_bucket, key) for key in ("a", "a/b/", "a/b/c")] == [b"a", b"a/b/", b"a/b/c"]


def test_a_path_is_decoded_once(server: Server, s3: S3Client, s3_bucket: str) -> None:
    ask(server, "PUT", f"/{s3_bucket}/a%2520b+c%2F..%2f.", body=b"once")
    assert content(s3, s3_bucket, "a%20b+c/../.") == b"once"


@pytest.mark.parametrize("method", ["PUT", "GET", "HEAD", "DELETE"])
@pytest.mark.parametrize("key", ["k" * 1025, "é" * 512 + "k", "/" * 1025])
def test_a_key_of_more_than_1024_bytes_is_refused(server: Server, s3_bucket: str, method: str, key: str) -> None:
    answer = ask(server, method, f"/{s3_bucket}/{quote(key)}", body=b"x" if method == "PUT" else b"")
    assert answer.status == 400
    if method != "HEAD":
        assert (answer.code, answer.text("MaxSizeAllowed")) == ("KeyTooLongError", "1024")


@pytest.mark.parametrize("path", ["%ff", "%c3", "a%80b", "%ed%a0%80"])
def test_a_key_that_is_no_utf8_is_refused(server: Server, s3_bucket: str, path: str) -> None:
    answer = ask(server, "PUT", f"/{s3_bucket}/{path}", body=b"x")
    assert (answer.status, answer.code) == (400, "InvalidURI")


# Headers that are kept


def test_headers_are_kept_as_they_were_sent(s3: S3Client, s3_bucket: str) -> None:
    sent = {
        "ContentType": "text/plain; charset=utf-8",
        "CacheControl": "max-age=3600, public",
        "ContentDisposition": 'attachment; filename="a b.txt"',
        "ContentLanguage": "de, en",
        "ContentEncoding": "gzip, br",
        "Expires": datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC),
        "WebsiteRedirectLocation": "/elsewhere",
        "StorageClass": "STANDARD_IA",
        "Metadata": {"colour": "blue"},
    }
    s3.put_object(Bucket=s3_bucket, Key="key", Body=DIGITS, **sent)  # type: ignore[arg-type]
    for got in (s3.get_object(Bucket=s3_bucket, Key="key"), s3.head_object(Bucket=s3_bucket, Key="key")):
        assert {name: got[name] for name in sent} == sent  # type: ignore[literal-required]


def test_an_object_without_a_type_is_binary(server: Server, s3: S3Client, s3_bucket: str) -> None:
    ask(server, "PUT", f"/{s3_bucket}/key", body=DIGITS)
    assert s3.head_object(Bucket=s3_bucket, Key="key")["ContentType"] == "binary/octet-stream"


def test_the_standard_class_is_not_told_by_reads(server: Server, s3: S3Client, s3_bucket: str) -> None:
    s3.put_object(Bucket=s3_bucket, Key="key", Body=DIGITS, StorageClass="STANDARD")
    assert "x-amz-storage-class" not in ask(server, "HEAD", f"/{s3_bucket}/key").headers


@pytest.mark.parametrize("name", ["COLD", "standard", "GLACIER", "DEEP_ARCHIVE"])
def test_a_class_that_cannot_be_read_at_once_is_refused(server: Server, s3_bucket: str, name: str) -> None:
    answer = ask(server, "PUT", f"/{s3_bucket}/key", {"x-amz-storage-class": name}, DIGITS)
    assert (answer.status, answer.code) == (400, "InvalidStorageClass")


def test_a_type_may_be_empty(server: Server, s3: S3Client, s3_bucket: str) -> None:
    assert ask(server, "PUT", f"/{s3_bucket}/key", {"content-type": ""}, DIGITS).status == 200
    assert content(s3, s3_bucket, "key") == DIGITS


@pytest.mark.parametrize(
    ("sent", "kept"),
    [("aws-chunked", None), ("gzip,aws-chunked", "gzip"), ("aws-chunked, gzip", "gzip"), ("gzip", "gzip")],
)
def test_the_coding_of_the_transfer_is_not_the_object_s(
    server: Server, s3_bucket: str, sent: str, kept: str | None
) -> None:
    # Without x-amz-content-sha256: STREAMING-… the body is plain, whatever this header says.
    ask(server, "PUT", f"/{s3_bucket}/key", {"content-encoding": sent}, DIGITS)
    answer = ask(server, "GET", f"/{s3_bucket}/key")
    assert (answer.headers.get("content-encoding"), answer.body) == (kept, DIGITS)


def test_dates_are_those_of_http_and_agree_with_the_list(server: Server, s3: S3Client, s3_bucket: str) -> None:
    before = datetime.now(UTC).replace(microsecond=0)
    s3.put_object(Bucket=s3_bucket, Key="key", Body=DIGITS)
    told = ask(server, "HEAD", f"/{s3_bucket}/key").headers["last-modified"]
    assert told.endswith(" GMT")
    modified = parsedate_to_datetime(told)
    assert before <= modified <= datetime.now(UTC)
    listed = s3.list_objects_v2(Bucket=s3_bucket)["Contents"][0]["LastModified"]
    assert listed.replace(microsecond=0) == modified


# User metadata


def test_metadata_has_lower_case_names_and_any_printable_value(s3: S3Client, s3_bucket: str) -> None:
    sent = {"Mixed-Case": "Value", "under_score": "a, b; c=d", "quoted": '"x" \\ y', "empty": "", "n": "1" * 500}
    s3.put_object(Bucket=s3_bucket, Key="key", Body=DIGITS, Metadata=sent)
    kept = {name.lower(): value for name, value in sent.items()}
    assert s3.head_object(Bucket=s3_bucket, Key="key")["Metadata"] == kept
    assert s3.get_object(Bucket=s3_bucket, Key="key")["Metadata"] == kept


def test_metadata_in_utf8_comes_back_byte_for_byte(server: Server, s3_bucket: str) -> None:
    value = "Größe 日本 😀"
    ask(server, "PUT", f"/{s3_bucket}/key", {"x-amz-meta-note": value.encode()}, DIGITS)
    told = ask(server, "HEAD", f"/{s3_bucket}/key").headers["x-amz-meta-note"]
    assert told.encode("latin-1").decode() == value


def test_metadata_of_one_name_sent_twice_is_joined(server: Server, s3: S3Client, s3_bucket: str) -> None:
    ask(server, "PUT", f"/{s3_bucket}/key", {"x-amz-meta-a": "1", "X-Amz-Meta-A": "2"}, DIGITS)
    assert s3.head_object(Bucket=s3_bucket, Key="key")["Metadata"] == {"a": "1,2"}


def test_metadata_may_have_2_kib_in_all(s3: S3Client, s3_bucket: str) -> None:
    fits = {"a": "v" * 1000, "b": "v" * 1046}
    s3.put_object(Bucket=s3_bucket, Key="key", Body=DIGITS, Metadata=fits)
    assert s3.head_object(Bucket=s3_bucket, Key="key")["Metadata"] == fits
    error = error_of(s3.put_object, Bucket=s3_bucket, Key="key", Body=b"new", Metadata={**fits, "c": ""})
    assert (error["Code"], error["Size"], error["MaxSizeAllowed"]) == ("MetadataTooLarge", "2049", "2048")
    assert content(s3, s3_bucket, "key") == DIGITS


# Ranges


@pytest.mark.parametrize(
    ("wanted", "found", "told"),
    [
        ("bytes=0-3", b"0123", "bytes 0-3/10"),
        ("bytes=0-0", b"0", "bytes 0-0/10"),
        ("bytes=4-6", b"456", "bytes 4-6/10"),
        ("bytes=9-9", b"9", "bytes 9-9/10"),
        ("bytes=4-", b"456789", "bytes 4-9/10"),
        ("bytes=0-", DIGITS, "bytes 0-9/10"),
        ("bytes=8-100", b"89", "bytes 8-9/10"),
        ("bytes=0-99999999999999999999999", DIGITS, "bytes 0-9/10"),
        ("bytes=-3", b"789", "bytes 7-9/10"),
        ("bytes=-10", DIGITS, "bytes 0-9/10"),
        ("bytes=-15", DIGITS, "bytes 0-9/10"),
    ],
)
def test_a_range_is_answered_in_part(s3: S3Client, s3_bucket: str, wanted: str, found: bytes, told: str) -> None:
    s3.put_object(Bucket=s3_bucket, Key="key", Body=DIGITS)
    got = s3.get_object(Bucket=s3_bucket, Key="key", Range=wanted)
    assert (got["Body"].read(), got["ContentRange"], got["ContentLength"]) == (found, told, len(found))
    assert got["ResponseMetadata"]["HTTPStatusCode"] == 206
    assert got["ETag"] == md5(DIGITS)
    head = s3.head_object(Bucket=s3_bucket, Key="key", Range=wanted)
    assert (head["ContentRange"], head["ContentLength"]) == (told, len(found))


@pytest.mark.parametrize(
    "wanted",
    [
        "bytes=1-0",
        "bytes=-1-",
        "bytes=0--1",
        "bytes=0-1,3-4",
        "bytes=-",
        "bytes=a-b",
        "bytes 0-3",
        "0-3",
        "items=0-3",
        "bytes=",
        "",
    ],
)
def test_a_range_that_makes_no_sense_is_ignored(server: Server, s3: S3Client, s3_bucket: str, wanted: str) -> None:
    s3.put_object(Bucket=s3_bucket, Key="key", Body=DIGITS)
    answer = ask(server, "GET", f"/{s3_bucket}/key", {"range": wanted})
    assert (answer.status, answer.body) == (200, DIGITS)
    assert "content-range" not in answer.headers


@pytest.mark.parametrize("wanted", ["bytes=10-", "bytes=10-20", "bytes=100-200", "bytes=-0"])
def test_a_range_beyond_the_end_is_refused_with_the_size(s3: S3Client, s3_bucket: str, wanted: str) -> None:
    s3.put_object(Bucket=s3_bucket, Key="key", Body=DIGITS)
    error = error_of(s3.get_object, Bucket=s3_bucket, Key="key", Range=wanted)
    assert (error["Code"], error["ActualObjectSize"], error["RangeRequested"]) == ("InvalidRange", "10", wanted)
    assert refusal(s3.head_object, Bucket=s3_bucket, Key="key", Range=wanted) == (416, "416")


@pytest.mark.parametrize("wanted", ["bytes=0-0", "bytes=0-", "bytes=-1"])
def test_an_empty_object_has_no_range(s3: S3Client, s3_bucket: str, wanted: str) -> None:
    s3.put_object(Bucket=s3_bucket, Key="key", Body=b"")
    assert refusal(s3.get_object, Bucket=s3_bucket, Key="key", Range=wanted) == (416, "InvalidRange")


@pytest.mark.parametrize(
    ("start", "stop"), [(0, 1), (65_535, 65_537), (2**20 - 1, 2**20 + 1), (100, 2**20 + 65_536), (2**21, 2**21 + 7)]
)
def test_a_range_may_cross_pieces_and_blocks(s3: S3Client, s3_bucket: str, start: int, stop: int) -> None:
    data = hashlib.shake_128(b"range").digest(2**21 + 7)
    s3.put_object(Bucket=s3_bucket, Key="key", Body=data)
    assert content(s3, s3_bucket, "key", Range=f"bytes={start}-{stop - 1}") == data[start:stop]


# Parts


def test_a_part_is_got_by_its_number(s3: S3Client, s3_bucket: str) -> None:
    etag = put_in_parts(s3, s3_bucket, "key", PART, b"end")["ETag"]
    for number, data, told in ((1, PART, "bytes 0-5242879/5242883"), (2, b"end", "bytes 5242880-5242882/5242883")):
        got = s3.get_object(Bucket=s3_bucket, Key="key", PartNumber=number)
        assert got["Body"].read() == data
        assert (got["ContentRange"], got["PartsCount"], got["ETag"]) == (told, 2, etag)
        assert got["ResponseMetadata"]["HTTPStatusCode"] == 206
        head = s3.head_object(Bucket=s3_bucket, Key="key", PartNumber=number)
        assert (head["ContentLength"], head["PartsCount"]) == (len(data), 2)
    error = error_of(s3.get_object, Bucket=s3_bucket, Key="key", PartNumber=3)
    assert (error["Code"], error["ActualPartCount"], error["PartNumberRequested"]) == ("InvalidPartNumber", "2", "3")
    assert refusal(s3.head_object, Bucket=s3_bucket, Key="key", PartNumber=3) == (416, "416")
    assert content(s3, s3_bucket, "key", Range="bytes=5242878-5242881") == PART[-2:] + b"en"


def test_a_plain_object_is_its_own_first_part(s3: S3Client, s3_bucket: str) -> None:
    s3.put_object(Bucket=s3_bucket, Key="key", Body=DIGITS)
    got = s3.get_object(Bucket=s3_bucket, Key="key", PartNumber=1)
    assert (got["Body"].read(), got["ContentRange"]) == (DIGITS, "bytes 0-9/10")
    assert lacks(got, "PartsCount")
    error = error_of(s3.get_object, Bucket=s3_bucket, Key="key", PartNumber=2)
    assert (error["Code"], error["ActualPartCount"]) == ("InvalidPartNumber", "1")


@pytest.mark.parametrize("number", ["0", "-1", "10001", "one", "", "1e1", "99999999999999999999"])
def test_a_part_number_is_one_of_ten_thousand(server: Server, s3: S3Client, s3_bucket: str, number: str) -> None:
    s3.put_object(Bucket=s3_bucket, Key="key", Body=DIGITS)
    answer = ask(server, "GET", f"/{s3_bucket}/key?partNumber={number}")
    assert (answer.status, answer.code, answer.text("ArgumentName")) == (400, "InvalidArgument", "partNumber")


def test_a_range_of_a_part_is_refused(s3: S3Client, s3_bucket: str) -> None:
    s3.put_object(Bucket=s3_bucket, Key="key", Body=DIGITS)
    refused = refusal(s3.get_object, Bucket=s3_bucket, Key="key", PartNumber=1, Range="bytes=0-1")
    assert refused == (400, "InvalidRequest")


# Overrides


OVERRIDES: Mapping[str, tuple[str, str]] = {
    "response-content-type": ("content-type", "text/x-other"),
    "response-content-language": ("content-language", "fr"),
    "response-expires": ("expires", "Thu, 01 Dec 2033 16:00:00 GMT"),
    "response-cache-control": ("cache-control", "no-cache, no-store"),
    "response-content-disposition": ("content-disposition", 'attachment; filename="bla ü.txt"'),
    "response-content-encoding": ("content-encoding", "aaa"),
}


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_reader_may_override_the_headers_of_the_answer(
    server: Server, s3: S3Client, s3_bucket: str, method: str
) -> None:
    s3.put_object(Bucket=s3_bucket, Key="key", Body=DIGITS, ContentType="text/plain", ContentLanguage="de")
    query = "&".join(f"{name}={quote(value)}" for name, (_, value) in OVERRIDES.items())
    answer = ask(server, method, f"/{s3_bucket}/key?{query}")
    told = {header: answer.headers[header].encode("latin-1").decode() for header, _ in OVERRIDES.values()}
    assert told == dict(OVERRIDES.values())
    plain = ask(server, method, f"/{s3_bucket}/key").headers
    assert (plain["content-type"], plain["content-language"]) == ("text/plain", "de")


def test_an_override_cannot_add_a_header_of_its_own(server: Server, s3: S3Client, s3_bucket: str) -> None:
    s3.put_object(Bucket=s3_bucket, Key="key", Body=DIGITS)
    answer = ask(server, "GET", f"/{s3_bucket}/key?response-content-type=a%0d%0ax-evil:%201")
    assert answer.body == DIGITS
    assert "x-evil" not in answer.headers


# What is not there


def test_a_key_that_is_not_there_is_named(server: Server, s3_bucket: str) -> None:
    answer = ask(server, "GET", f"/{s3_bucket}/some%20key")
    assert (answer.status, answer.code, answer.text("Key")) == (404, "NoSuchKey", "some key")
    assert answer.text("RequestId") == answer.headers["x-amz-request-id"]
    assert answer.headers["content-type"] == "application/xml"


def test_an_error_can_be_read_even_if_the_key_cannot_be_written_in_xml(server: Server, s3_bucket: str) -> None:
    answer = ask(server, "GET", f"/{s3_bucket}/a%00%07%ef%bf%bfb")
    assert (answer.code, answer.text("Key")) == ("NoSuchKey", "a\ufffd\ufffd\ufffdb")


def test_a_look_at_a_key_that_is_not_there_has_no_body(server: Server, s3_bucket: str) -> None:
    answer = ask(server, "HEAD", f"/{s3_bucket}/absent")
    assert (answer.status, answer.body) == (404, b"")
    assert answer.headers["x-amz-request-id"]


@pytest.mark.parametrize("version_id", ["nonsense", "HPniJFCxqTsMuIH9KX8K8wEjNUgmABCD", "../../a", "0" * 31, "%00"])
def test_an_id_that_no_version_can_have_is_refused(
    server: Server, s3: S3Client, s3_bucket: str, version_id: str
) -> None:
    s3.put_object(Bucket=s3_bucket, Key="key", Body=DIGITS)
    for method in ("GET", "DELETE"):
        answer = ask(server, method, f"/{s3_bucket}/key?versionId={version_id}")
        assert (answer.status, answer.code, answer.text("ArgumentName")) == (400, "InvalidArgument", "versionId")
    assert content(s3, s3_bucket, "key") == DIGITS


def test_an_empty_version_id_is_refused(server: Server, s3: S3Client, s3_bucket: str) -> None:
    s3.put_object(Bucket=s3_bucket, Key="key", Body=DIGITS)
    for method in ("GET", "DELETE"):
        answer = ask(server, method, f"/{s3_bucket}/key?versionId=")
        assert (answer.status, answer.code) == (400, "InvalidArgument")
    assert content(s3, s3_bucket, "key") == DIGITS


def test_an_object_without_versioning_is_version_null(s3: S3Client, s3_bucket: str) -> None:
    s3.put_object(Bucket=s3_bucket, Key="key", Body=DIGITS)
    got = s3.get_object(Bucket=s3_bucket, Key="key", VersionId="null")
    assert got["Body"].read() == DIGITS
    assert lacks(got, "VersionId")
    absent = "0" * 32
    assert refusal(s3.get_object, Bucket=s3_bucket, Key="key", VersionId=absent) == (404, "NoSuchVersion")


# GetObjectAttributes


def test_attributes_are_those_that_are_named(s3: S3Client, s3_bucket: str) -> None:
    s3.put_object(Bucket=s3_bucket, Key="key", Body=DIGITS, ChecksumAlgorithm="SHA256", StorageClass="STANDARD_IA")
    told = s3.get_object_attributes(
        Bucket=s3_bucket, Key="key", ObjectAttributes=["ETag", "Checksum", "ObjectParts", "StorageClass", "ObjectSize"]
    )
    assert told["ETag"] == md5(DIGITS).strip('"')
    assert told["Checksum"] == {"ChecksumSHA256": checksum("SHA256", DIGITS), "ChecksumType": "FULL_OBJECT"}
    assert (told["ObjectSize"], told["StorageClass"]) == (10, "STANDARD_IA")
    assert lacks(told, "ObjectParts")
    assert datetime.now(UTC) - told["LastModified"] < timedelta(minutes=5)
    less = s3.get_object_attributes(Bucket=s3_bucket, Key="key", ObjectAttributes=["ObjectSize"])
    assert {"ETag", "Checksum", "StorageClass"}.isdisjoint(less)
    assert less["ObjectSize"] == 10


def test_attributes_tell_of_parts_by_the_page(s3: S3Client, s3_bucket: str) -> None:
    made = put_in_parts(s3, s3_bucket, "key", PART, PART, b"end")
    first = s3.get_object_attributes(
        Bucket=s3_bucket, Key="key", ObjectAttributes=["ETag", "ObjectParts", "ObjectSize"], MaxParts=2
    )
    assert first["ETag"] == made["ETag"].strip('"')
    assert first["ObjectSize"] == 2 * len(PART) + 3
    parts = first["ObjectParts"]
    assert (parts["TotalPartsCount"], parts["MaxParts"], parts["PartNumberMarker"]) == (3, 2, 0)
    assert (parts["IsTruncated"], parts["NextPartNumberMarker"]) == (True, 2)
    assert [(part["PartNumber"], part["Size"]) for part in parts["Parts"]] == [(1, len(PART)), (2, len(PART))]
    rest = s3.get_object_attributes(
        Bucket=s3_bucket, Key="key", ObjectAttributes=["ObjectParts"], MaxParts=2, PartNumberMarker=2
    )["ObjectParts"]
    assert [(part["PartNumber"], part["Size"]) for part in rest["Parts"]] == [(3, 3)]
    assert rest["IsTruncated"] is False
    beyond = s3.get_object_attributes(
        Bucket=s3_bucket, Key="key", ObjectAttributes=["ObjectParts"], PartNumberMarker=10
    )["ObjectParts"]
    assert (beyond["NextPartNumberMarker"], beyond["TotalPartsCount"], "Parts" in beyond) == (0, 3, False)


def test_attributes_tell_of_one_version(s3: S3Client, s3_bucket: str) -> None:
    set_versioning(s3, s3_bucket, "Enabled")
    old = s3.put_object(Bucket=s3_bucket, Key="key", Body=b"old")["VersionId"]
    new = s3.put_object(Bucket=s3_bucket, Key="key", Body=b"newer")["VersionId"]
    told = s3.get_object_attributes(Bucket=s3_bucket, Key="key", VersionId=old, ObjectAttributes=["ObjectSize"])
    assert (told["ObjectSize"], told["VersionId"]) == (3, old)
    told = s3.get_object_attributes(Bucket=s3_bucket, Key="key", ObjectAttributes=["ObjectSize"])
    assert (told["ObjectSize"], told["VersionId"]) == (5, new)
    s3.delete_object(Bucket=s3_bucket, Key="key")
    refused = refusal(s3.get_object_attributes, Bucket=s3_bucket, Key="key", ObjectAttributes=["ETag"])
    assert refused == (404, "NoSuchKey")


@pytest.mark.parametrize("named", ["", "Colour", "ETag,Colour", "etag"])
def test_attributes_that_do_not_exist_are_refused(server: Server, s3: S3Client, s3_bucket: str, named: str) -> None:
    s3.put_object(Bucket=s3_bucket, Key="key", Body=DIGITS)
    answer = ask(server, "GET", f"/{s3_bucket}/key?attributes", {"x-amz-object-attributes": named})
    assert (answer.status, answer.code) == (400, "InvalidArgument")


def test_parameters_that_nobody_knows_are_ignored_by_reads(server: Server, s3: S3Client, s3_bucket: str) -> None:
    s3.put_object(Bucket=s3_bucket, Key="key", Body=json.dumps({}).encode())
    assert ask(server, "GET", f"/{s3_bucket}/key?something=1&else=2").body == b"{}"


# Reading what changes meanwhile


@pytest.mark.parametrize("change", ["put", "delete"])
def test_a_reader_gets_the_whole_object_that_it_began_with(
    server: Server, s3: S3Client, s3_bucket: str, change: str
) -> None:
    """s3-tests: test_atomic_read_*. More than sockets hold, so that most of it is not yet read when it is gone."""
    s3.put_object(Bucket=s3_bucket, Key="key", Body=PART * 6)
    with closing(HTTPConnection(server.host, server.port, timeout=30)) as connection:
        connection.request("GET", f"/{s3_bucket}/key")
        answer = connection.getresponse()
        begun = answer.read(1000)
        if change == "put":
            s3.put_object(Bucket=s3_bucket, Key="key", Body=bytes(len(PART) * 6))
        else:
            s3.delete_object(Bucket=s3_bucket, Key="key")
        assert begun + answer.read() == PART * 6
