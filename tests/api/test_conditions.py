"""Conditions over HTTP: of reads, and of puts, copies, completions and deletes."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from tests.api.asking import (
    ask,
    begin,
    complete,
    content,
    error_of,
    history,
    lacks,
    md5,
    refusal,
    send,
    set_versioning,
)
from tests.servers import Server

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

DATA = b"the object"
ETAG = md5(DATA)
OTHER = md5(b"another")
NOW = datetime.now(UTC)


def http_date(moment: datetime) -> str:
    return format_datetime(moment, usegmt=True)


PAST, FUTURE = http_date(NOW - timedelta(days=1)), http_date(NOW + timedelta(days=1))


# Reads


READS: list[tuple[dict[str, str], int]] = [
    ({"if-match": ETAG}, 200),
    ({"if-match": ETAG.strip('"')}, 200),
    ({"if-match": "*"}, 200),
    ({"if-match": f"{OTHER}, {ETAG}"}, 200),
    ({"if-match": OTHER}, 412),
    ({"if-match": '""'}, 412),
    ({"if-none-match": OTHER}, 200),
    ({"if-none-match": ETAG}, 304),
    ({"if-none-match": ETAG.strip('"')}, 304),
    ({"if-none-match": f"W/{ETAG}"}, 304),
    ({"if-none-match": f"{OTHER}, {ETAG}"}, 304),
    ({"if-none-match": "*"}, 304),
    ({"if-modified-since": PAST}, 200),
    # A date to come is no date.
    ({"if-modified-since": FUTURE}, 200),
    ({"if-modified-since": "yesterday"}, 200),
    ({"if-unmodified-since": FUTURE}, 200),
    ({"if-unmodified-since": PAST}, 412),
    ({"if-unmodified-since": "yesterday"}, 200),
    # An ETag outdoes a date.
    ({"if-match": ETAG, "if-unmodified-since": PAST}, 200),
    ({"if-match": OTHER, "if-unmodified-since": FUTURE}, 412),
    ({"if-none-match": ETAG, "if-modified-since": PAST}, 304),
    ({"if-none-match": OTHER, "if-modified-since": PAST}, 200),
    # Both kinds must hold; what forbids comes before what spares.
    ({"if-match": ETAG, "if-none-match": ETAG}, 304),
    ({"if-match": OTHER, "if-none-match": ETAG}, 412),
    ({"if-match": ETAG, "if-none-match": OTHER}, 200),
    ({"if-unmodified-since": PAST, "if-none-match": ETAG}, 412),
]


@pytest.mark.parametrize(
    ("headers", "status"), READS, ids=lambda value: "-".join(value) if isinstance(value, dict) else ""
)
def test_a_read_is_answered_as_its_conditions_say(
    server: Server, s3: S3Client, s3_bucket: str, headers: dict[str, str], status: int
) -> None:
    s3.put_object(Bucket=s3_bucket, Key="key", Body=DATA)
    got = ask(server, "GET", f"/{s3_bucket}/key", headers)
    head = ask(server, "HEAD", f"/{s3_bucket}/key", headers)
    assert (got.status, head.status) == (status, status)
    assert head.body == b""
    if status == 200:
        assert got.body == DATA
    if status == 412:
        assert got.code == "PreconditionFailed"


def test_a_date_counts_in_whole_seconds(server: Server, s3: S3Client, s3_bucket: str) -> None:
    s3.put_object(Bucket=s3_bucket, Key="key", Body=DATA)
    modified = ask(server, "HEAD", f"/{s3_bucket}/key").headers["last-modified"]
    assert ask(server, "GET", f"/{s3_bucket}/key", {"if-modified-since": modified}).status == 304
    assert ask(server, "GET", f"/{s3_bucket}/key", {"if-unmodified-since": modified}).status == 200


@pytest.mark.parametrize(
    ("headers", "condition"),
    [({"if-match": OTHER}, "If-Match"), ({"if-unmodified-since": PAST}, "If-Unmodified-Since")],
)
def test_the_condition_that_fails_is_named(
    server: Server, s3: S3Client, s3_bucket: str, headers: dict[str, str], condition: str
) -> None:
    s3.put_object(Bucket=s3_bucket, Key="key", Body=DATA)
    assert ask(server, "GET", f"/{s3_bucket}/key", headers).text("Condition") == condition


def test_not_modified_renews_what_a_cache_keeps(server: Server, s3: S3Client, s3_bucket: str) -> None:
    set_versioning(s3, s3_bucket, "Enabled")
    put = s3.put_object(Bucket=s3_bucket, Key="key", Body=DATA, CacheControl="max-age=60")
    answer = ask(server, "GET", f"/{s3_bucket}/key", {"if-none-match": ETAG})
    assert (answer.status, answer.body, answer.headers["etag"]) == (304, b"", ETAG)
    assert (answer.headers["cache-control"], answer.headers["x-amz-version-id"]) == ("max-age=60", put["VersionId"])
    assert answer.headers["last-modified"].endswith(" GMT")
    assert answer.headers["x-amz-request-id"]
    assert "content-length" not in answer.headers


def test_conditions_come_before_ranges(server: Server, s3: S3Client, s3_bucket: str) -> None:
    s3.put_object(Bucket=s3_bucket, Key="key", Body=DATA)
    beyond = {"range": "bytes=100-"}
    assert ask(server, "GET", f"/{s3_bucket}/key", {**beyond, "if-none-match": ETAG}).status == 304
    assert ask(server, "GET", f"/{s3_bucket}/key", {**beyond, "if-match": OTHER}).status == 412
    part = ask(server, "GET", f"/{s3_bucket}/key", {"range": "bytes=0-2", "if-match": ETAG})
    assert (part.status, part.body) == (206, b"the")


def test_what_is_absent_is_absent_whatever_the_condition(server: Server, s3_bucket: str) -> None:
    for headers in ({"if-match": ETAG}, {"if-none-match": "*"}, {"if-unmodified-since": PAST}):
        assert ask(server, "GET", f"/{s3_bucket}/absent", headers).status == 404


# Puts, copies and completions


Write = Callable[..., Any]


def put(s3: S3Client, bucket: str, **conditions: Any) -> Any:
    return s3.put_object(Bucket=bucket, Key="key", Body=b"written", **conditions)


def copy(s3: S3Client, bucket: str, **conditions: Any) -> Any:
    s3.put_object(Bucket=bucket, Key="source", Body=b"written")
    return s3.copy_object(Bucket=bucket, Key="key", CopySource={"Bucket": bucket, "Key": "source"}, **conditions)


def completion(s3: S3Client, bucket: str, **conditions: Any) -> Any:
    upload_id = begin(s3, bucket, "key")
    return complete(s3, bucket, "key", upload_id, send(s3, bucket, "key", upload_id, b"written"), **conditions)


every_write = pytest.mark.parametrize("write", [put, copy, completion])


@every_write
def test_if_none_match_lets_nothing_be_overwritten(s3: S3Client, s3_bucket: str, write: Write) -> None:
    write(s3=s3, bucket=s3_bucket, IfNoneMatch="*")
    assert content(s3, s3_bucket, "key") == b"written"
    s3.put_object(Bucket=s3_bucket, Key="key", Body=DATA)
    error = error_of(write, s3=s3, bucket=s3_bucket, IfNoneMatch="*")
    assert (error["Code"], error["Condition"]) == ("PreconditionFailed", "If-None-Match")
    assert content(s3, s3_bucket, "key") == DATA


@every_write
def test_if_match_overwrites_what_the_writer_knows(s3: S3Client, s3_bucket: str, write: Write) -> None:
    s3.put_object(Bucket=s3_bucket, Key="key", Body=DATA)
    error = error_of(write, s3=s3, bucket=s3_bucket, IfMatch=OTHER)
    assert (error["Code"], error["Condition"]) == ("PreconditionFailed", "If-Match")
    assert content(s3, s3_bucket, "key") == DATA
    write(s3=s3, bucket=s3_bucket, IfMatch=ETAG)
    assert content(s3, s3_bucket, "key") == b"written"


@every_write
@pytest.mark.parametrize("etag", [ETAG, "*", "nonsense"])
def test_if_match_finds_nothing_where_nothing_is(s3: S3Client, s3_bucket: str, write: Write, etag: str) -> None:
    assert refusal(write, s3=s3, bucket=s3_bucket, IfMatch=etag) == (404, "NoSuchKey")
    assert refusal(s3.head_object, Bucket=s3_bucket, Key="key") == (404, "404")


@every_write
def test_a_write_may_demand_any_object_or_another_than_one(s3: S3Client, s3_bucket: str, write: Write) -> None:
    s3.put_object(Bucket=s3_bucket, Key="key", Body=DATA)
    assert refusal(write, s3=s3, bucket=s3_bucket, IfNoneMatch=ETAG) == (412, "PreconditionFailed")
    write(s3=s3, bucket=s3_bucket, IfNoneMatch=OTHER)
    write(s3=s3, bucket=s3_bucket, IfMatch="*")
    assert content(s3, s3_bucket, "key") == b"written"


@every_write
def test_a_hidden_object_is_absent_to_a_write(s3: S3Client, s3_bucket: str, write: Write) -> None:
    set_versioning(s3, s3_bucket, "Enabled")
    s3.put_object(Bucket=s3_bucket, Key="key", Body=DATA)
    s3.delete_object(Bucket=s3_bucket, Key="key")
    assert refusal(write, s3=s3, bucket=s3_bucket, IfMatch=ETAG) == (404, "NoSuchKey")
    assert refusal(write, s3=s3, bucket=s3_bucket, IfMatch="*") == (404, "NoSuchKey")
    write(s3=s3, bucket=s3_bucket, IfNoneMatch="*")
    assert content(s3, s3_bucket, "key") == b"written"
    assert len(history(s3, s3_bucket, "key")) == 3


@every_write
def test_only_the_current_version_counts_for_a_write(s3: S3Client, s3_bucket: str, write: Write) -> None:
    set_versioning(s3, s3_bucket, "Enabled")
    s3.put_object(Bucket=s3_bucket, Key="key", Body=DATA)
    newest = s3.put_object(Bucket=s3_bucket, Key="key", Body=b"newest")["ETag"]
    assert refusal(write, s3=s3, bucket=s3_bucket, IfMatch=ETAG) == (412, "PreconditionFailed")
    assert refusal(write, s3=s3, bucket=s3_bucket, IfNoneMatch=newest) == (412, "PreconditionFailed")
    assert len(history(s3, s3_bucket, "key")) == 2
    write(s3=s3, bucket=s3_bucket, IfMatch=newest)
    assert content(s3, s3_bucket, "key") == b"written"


def test_an_upload_survives_a_completion_whose_condition_fails(s3: S3Client, s3_bucket: str) -> None:
    s3.put_object(Bucket=s3_bucket, Key="key", Body=DATA)
    upload_id = begin(s3, s3_bucket, "key")
    parts = send(s3, s3_bucket, "key", upload_id, b"written")
    refused = refusal(complete, s3=s3, bucket=s3_bucket, key="key", upload_id=upload_id, parts=parts, IfNoneMatch="*")
    assert refused == (412, "PreconditionFailed")
    complete(s3, s3_bucket, "key", upload_id, parts, IfMatch=ETAG)
    # Said again, it is done already: the condition was judged then.
    complete(s3, s3_bucket, "key", upload_id, parts, IfMatch=ETAG)
    assert content(s3, s3_bucket, "key") == b"written"


def test_a_put_whose_condition_fails_is_refused_before_its_body(server: Server, s3: S3Client, s3_bucket: str) -> None:
    s3.put_object(Bucket=s3_bucket, Key="key", Body=DATA)
    headers = {"if-none-match": "*", "expect": "100-continue", "content-length": "1000000"}
    # No byte of the body is ever sent.
    assert ask(server, "PUT", f"/{s3_bucket}/key", headers).code == "PreconditionFailed"


# Deletes


def test_a_delete_may_demand_an_etag(s3: S3Client, s3_bucket: str) -> None:
    s3.put_object(Bucket=s3_bucket, Key="key", Body=DATA)
    error = error_of(s3.delete_object, Bucket=s3_bucket, Key="key", IfMatch=OTHER)
    assert (error["Code"], error["Condition"]) == ("PreconditionFailed", "If-Match")
    assert content(s3, s3_bucket, "key") == DATA
    s3.delete_object(Bucket=s3_bucket, Key="key", IfMatch=ETAG)
    assert refusal(s3.head_object, Bucket=s3_bucket, Key="key") == (404, "404")


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        ({"IfMatchSize": len(DATA) + 1}, {"IfMatchSize": len(DATA)}),
        ({"IfMatchLastModifiedTime": NOW - timedelta(days=1)}, {}),
        ({"IfMatch": ETAG, "IfMatchSize": 0}, {"IfMatch": "*", "IfMatchSize": len(DATA)}),
    ],
)
def test_a_delete_may_demand_a_size_or_a_date(
    s3: S3Client, s3_bucket: str, wrong: dict[str, Any], right: dict[str, Any]
) -> None:
    s3.put_object(Bucket=s3_bucket, Key="key", Body=DATA)
    assert refusal(s3.delete_object, Bucket=s3_bucket, Key="key", **wrong) == (412, "PreconditionFailed")
    assert content(s3, s3_bucket, "key") == DATA
    modified = s3.head_object(Bucket=s3_bucket, Key="key")["LastModified"]
    s3.delete_object(Bucket=s3_bucket, Key="key", **(right or {"IfMatchLastModifiedTime": modified}))
    assert refusal(s3.head_object, Bucket=s3_bucket, Key="key") == (404, "404")


@pytest.mark.parametrize(
    "headers", [{"x-amz-if-match-size": "big"}, {"x-amz-if-match-last-modified-time": "yesterday"}]
)
def test_a_condition_that_is_none_deletes_nothing(
    server: Server, s3: S3Client, s3_bucket: str, headers: dict[str, str]
) -> None:
    s3.put_object(Bucket=s3_bucket, Key="key", Body=DATA)
    answer = ask(server, "DELETE", f"/{s3_bucket}/key", headers)
    assert (answer.status, answer.code) == (400, "InvalidArgument")
    assert content(s3, s3_bucket, "key") == DATA


@pytest.mark.parametrize("status", ["", "Enabled", "Suspended"])
def test_what_is_absent_is_deleted_whatever_is_demanded(s3: S3Client, s3_bucket: str, status: str) -> None:
    if status:
        set_versioning(s3, s3_bucket, status)
    for etag in ("*", ETAG):
        assert s3.delete_object(Bucket=s3_bucket, Key="key", IfMatch=etag)["ResponseMetadata"]["HTTPStatusCode"] == 204
    assert history(s3, s3_bucket, "key") == []


def test_a_marker_is_there_but_has_no_etag(s3: S3Client, s3_bucket: str) -> None:
    set_versioning(s3, s3_bucket, "Enabled")
    s3.put_object(Bucket=s3_bucket, Key="key", Body=DATA)
    hidden = s3.delete_object(Bucket=s3_bucket, Key="key", IfMatch=ETAG)
    assert hidden["DeleteMarker"] is True
    assert refusal(s3.delete_object, Bucket=s3_bucket, Key="key", IfMatch=ETAG) == (412, "PreconditionFailed")
    s3.delete_object(Bucket=s3_bucket, Key="key", IfMatch="*")
    assert len(history(s3, s3_bucket, "key")) == 3


def test_the_delete_of_a_version_is_judged_by_that_version(s3: S3Client, s3_bucket: str) -> None:
    set_versioning(s3, s3_bucket, "Enabled")
    old = s3.put_object(Bucket=s3_bucket, Key="key", Body=DATA)["VersionId"]
    newest = s3.put_object(Bucket=s3_bucket, Key="key", Body=b"newest")
    demand = {"Bucket": s3_bucket, "Key": "key", "VersionId": old}
    assert refusal(s3.delete_object, **demand, IfMatch=newest["ETag"]) == (412, "PreconditionFailed")
    gone = s3.delete_object(**demand, IfMatch=ETAG)  # type: ignore[arg-type]
    assert lacks(gone, "DeleteMarker")
    assert history(s3, s3_bucket, "key") == [newest["VersionId"]]
    s3.delete_object(**demand, IfMatch=OTHER)  # type: ignore[arg-type]


def test_a_batch_judges_each_of_its_entries(s3: S3Client, s3_bucket: str) -> None:
    for key in ("a", "b", "c", "d"):
        s3.put_object(Bucket=s3_bucket, Key=key, Body=DATA)
    modified = s3.head_object(Bucket=s3_bucket, Key="d")["LastModified"]
    told = s3.delete_objects(
        Bucket=s3_bucket,
        Delete={
            "Objects": [
                {"Key": "a", "ETag": ETAG},
                {"Key": "b", "ETag": OTHER},
                {"Key": "c", "Size": len(DATA) + 1},
                {"Key": "d", "Size": len(DATA), "LastModifiedTime": modified, "ETag": "*"},
                {"Key": "absent", "ETag": OTHER},
            ]
        },
    )
    assert [one["Key"] for one in told["Deleted"]] == ["a", "d", "absent"]
    failed = [(one["Key"], one["Code"]) for one in told["Errors"]]
    assert failed == [("b", "PreconditionFailed"), ("c", "PreconditionFailed")]
    assert [entry["Key"] for entry in s3.list_objects_v2(Bucket=s3_bucket)["Contents"]] == ["b", "c"]


# Races


def outcomes(write: Callable[[int], Any], number: int = 12) -> list[str]:
    """What became of many writes at once."""

    def one(index: int) -> str:
        try:
            write(index)
        except ClientError as error:
            return error.response["Error"]["Code"]
        return "written"

    with ThreadPoolExecutor(number) as threads:
        return list(threads.map(one, range(number)))


def check_winner(s3: S3Client, bucket: str, found: list[str]) -> None:
    """One writer won, and its bytes are there."""
    assert found.count("written") == 1
    assert set(found) <= {"written", "PreconditionFailed", "ConditionalRequestConflict"}
    assert content(s3, bucket, "key") == str(found.index("written")).encode() * 20_000


@pytest.mark.parametrize("status", ["", "Enabled"])
def test_of_many_first_puts_one_wins(s3: S3Client, s3_bucket: str, status: str) -> None:
    if status:
        set_versioning(s3, s3_bucket, status)

    def write(index: int) -> None:
        s3.put_object(Bucket=s3_bucket, Key="key", Body=str(index).encode() * 20_000, IfNoneMatch="*")

    check_winner(s3, s3_bucket, outcomes(write))
    assert len(history(s3, s3_bucket, "key")) == 1


def test_of_many_puts_over_one_etag_one_wins(s3: S3Client, s3_bucket: str) -> None:
    etag = s3.put_object(Bucket=s3_bucket, Key="key", Body=DATA)["ETag"]

    def write(index: int) -> None:
        s3.put_object(Bucket=s3_bucket, Key="key", Body=str(index).encode() * 20_000, IfMatch=etag)

    check_winner(s3, s3_bucket, outcomes(write))


def test_of_many_first_copies_one_wins(s3: S3Client, s3_bucket: str) -> None:
    for index in range(12):
        s3.put_object(Bucket=s3_bucket, Key=f"source-{index}", Body=str(index).encode() * 20_000)

    def write(index: int) -> None:
        source: Any = {"Bucket": s3_bucket, "Key": f"source-{index}"}
        s3.copy_object(Bucket=s3_bucket, Key="key", CopySource=source, IfNoneMatch="*")

    check_winner(s3, s3_bucket, outcomes(write))


def test_of_many_first_completions_one_wins(s3: S3Client, s3_bucket: str) -> None:
    made = []
    for index in range(12):
        upload_id = begin(s3, s3_bucket, "key")
        made.append((upload_id, send(s3, s3_bucket, "key", upload_id, str(index).encode() * 20_000)))

    def write(index: int) -> None:
        complete(s3, s3_bucket, "key", *made[index], IfNoneMatch="*")

    check_winner(s3, s3_bucket, outcomes(write))


def test_of_many_deletes_of_one_etag_none_takes_a_newer_object(s3: S3Client, s3_bucket: str) -> None:
    etag = s3.put_object(Bucket=s3_bucket, Key="key", Body=DATA)["ETag"]

    def write(index: int) -> None:
        if index == 6:
            s3.put_object(Bucket=s3_bucket, Key="key", Body=b"newer")
        else:
            s3.delete_object(Bucket=s3_bucket, Key="key", IfMatch=etag)

    assert set(outcomes(write)) <= {"written", "PreconditionFailed"}
    assert content(s3, s3_bucket, "key") == b"newer"
