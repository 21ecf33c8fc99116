"""The SDK's rules, without a network: parts, names, digests, what is the same, pages, batches, a resume's record."""

from __future__ import annotations

import hashlib
import io
import zlib
from base64 import b64encode
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from post3.client import Denied, InvalidArgument, ObjectInfo, S3Error, UnsafeKey
from post3.client.calls import quoted, range_header
from post3.client.deletion import delete_all
from post3.client.directories import LocalFile
from post3.client.errors import s3_error
from post3.client.locations import Remote, check_names, parse_location
from post3.client.model import GiB, MiB
from post3.client.pages import object_pages
from post3.client.resume import Plan, parse_plan
from post3.client.sources import guessed_type, open_source
from post3.client.steps import Call, Progress, Script
from post3.client.syncing import Filter, Reading, compare
from post3.client.transfers import GROWTH, MOST_PARTS, SMALLEST_PART, part_size_of, spans
from post3.client.verification import digest_of

TIB = 1024 * GiB
NOON = datetime(2026, 11, 25, 12, 0, 0, 500_000, UTC)
NOON_NS = int(NOON.timestamp() * 1e9)


# Parts


@given(st.integers(0, 10_000), st.integers(1, 3_000))
def test_spans_cover_everything_once_in_order(size: int, part_size: int) -> None:
    found = list(spans(size, part_size))
    assert [span.number for span in found] == list(range(1, len(found) + 1))
    assert [span.start for span in found] == [0, *(span.stop for span in found)][: len(found)]
    assert sum(span.size for span in found) == size
    assert all(0 < span.size <= part_size for span in found)


@given(st.integers(0, 50 * TIB // 10))
def test_ten_thousand_parts_hold_any_object(size: int) -> None:
    part_size = part_size_of(1, 8 * MiB, size)
    assert part_size >= 8 * MiB
    assert -(-size // part_size) <= MOST_PARTS


def test_parts_of_unknown_length_grow_until_the_largest_object_fits() -> None:
    for first in (SMALLEST_PART, 8 * MiB):
        sizes = [part_size_of(number, first, None) for number in range(1, MOST_PARTS + 1)]
        assert sizes[:GROWTH] == [first] * GROWTH
        assert sum(sizes) > 4.8 * TIB
        assert max(sizes) <= 5 * GiB
    assert part_size_of(MOST_PARTS, 5 * GiB, None) == 5 * GiB


def test_a_range_in_a_header_is_inclusive() -> None:
    assert range_header(None, None) is None
    assert range_header(0, 1) == "bytes=0-0"
    assert range_header(5, None) == "bytes=5-"
    assert range_header(None, 5) == "bytes=0-4"


def test_an_etag_is_quoted_once() -> None:
    assert [quoted(etag) for etag in ("abc", '"abc"', "*", None)] == ['"abc"', '"abc"', "*", None]


# Sources


@given(st.lists(st.binary(max_size=50)), st.lists(st.integers(1, 60)))
def test_a_reader_gives_all_bytes_in_the_sizes_asked_for(pieces: list[bytes], sizes: list[int]) -> None:
    data = b"".join(pieces)
    for source in (data, iter(pieces), io.BytesIO(data)):
        reader, stream = open_source(source), io.BytesIO(data)
        for size in [*sizes, 10_000]:
            assert reader.peek(size) == stream.getvalue()[stream.tell() :][:size]
            assert reader.read(size) == stream.read(size)
        assert reader.read(1) == b""


def test_a_source_that_can_tell_its_size_does(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"12345")
    with path.open("rb") as file:
        file.seek(2)
        sources: list[tuple[Any, int | None]] = [(b"123", 3), ("ü", 2), (path, 5), (file, 3), (iter([b"1"]), None)]
        for source, size in sources:
            reader = open_source(source)
            assert reader.size == size
            reader.close()
        assert not file.closed
    with pytest.raises(FileNotFoundError):
        open_source(tmp_path / "missing")


def test_a_type_is_guessed_from_a_path_alone() -> None:
    names: list[tuple[Any, str | None]] = [
        (Path("a.html"), "text/html"),
        (Path("a.tar.gz"), None),
        (Path("a"), None),
        ("a.html", None),
        (b"a.html", None),
    ]
    assert [guessed_type(source) for source, _ in names] == [kind for _, kind in names]


# Names


def test_locations_are_folders() -> None:
    assert parse_location("s3://b") == parse_location("s3://b/") == Remote("b", "")
    assert parse_location("s3://b/p") == parse_location("s3://b/p/") == Remote("b", "p/")
    assert parse_location("s3://b//p") == Remote("b", "/p/")
    assert parse_location("folder") == Path("folder")
    for wrong in ("s3://", "s3:///p"):
        with pytest.raises(InvalidArgument):
            parse_location(wrong)


def test_names_fit_in_one_folder_or_are_told() -> None:
    check_names(["a", "b/c", "b/d", "...", "a.b", "é/~", "b c"])
    for wrong in (["..", "a"], ["a", "a/b"], ["a/b/c", "a/b"], [""], ["a/"], ["/a"], ["a\0"]):
        with pytest.raises(UnsafeKey):
            check_names(wrong)


# Digests


def test_the_digest_of_a_whole_object_is_found_if_there_is_one() -> None:
    data = b"some bytes"
    md5 = hashlib.md5(data, usedforsecurity=False).hexdigest()
    crc = b64encode(zlib.crc32(data).to_bytes(4, "big")).decode()
    sha = b64encode(hashlib.sha256(data).digest()).decode()
    telling: list[tuple[Mapping[str, str], str]] = [
        ({"ETag": f'"{md5}"'}, "md5"),
        ({"ETag": f'"{md5}"', "ServerSideEncryption": "AES256"}, "md5"),
        ({"ETag": f'"{md5}-2"', "ChecksumCRC32": crc, "ChecksumType": "FULL_OBJECT"}, "crc32"),
        ({"ETag": f'"{md5}"', "ServerSideEncryption": "aws:kms", "ChecksumSHA256": sha}, "sha256"),
    ]
    for answer, algorithm in telling:
        digest = digest_of(answer)
        assert digest is not None
        assert digest.algorithm == algorithm
        assert digest.fits([data[:3], data[3:]])
        assert not digest.fits([data[:-1]])
    silent: list[Mapping[str, str]] = [
        {"ETag": f'"{md5}-2"'},
        {"ETag": f'"{md5}"', "ServerSideEncryption": "aws:kms"},
        {"ETag": f'"{md5}"', "SSECustomerAlgorithm": "AES256"},
        {"ETag": f'"{md5}-2"', "ChecksumCRC32": f"{crc}-2", "ChecksumType": "COMPOSITE"},
        {"ETag": f'"{md5}-2"', "ChecksumCRC64NVME": "AAAAAAAAAAA="},
    ]
    assert [digest_of(answer) for answer in silent] == [None] * len(silent)


# Sync


def a_file(size: int = 1, modified: int = NOON_NS) -> LocalFile:
    return LocalFile(Path("file"), "file", size, modified)


def an_object(size: int = 1, etag: str = "0" * 32) -> ObjectInfo:
    return ObjectInfo("key", size, etag, NOON)


def test_what_is_missing_or_of_another_size_differs() -> None:
    for source in (a_file(), an_object()):
        assert compare(source, None) is False
        assert compare(source, a_file(2) if isinstance(source, ObjectInfo) else an_object(2)) is False


def test_a_file_that_is_not_newer_is_the_objects() -> None:
    assert compare(a_file(modified=NOON_NS), an_object()) is True
    assert compare(a_file(modified=0), an_object()) is True
    assert isinstance(compare(a_file(modified=NOON_NS + 1_000_000), an_object()), Reading)
    assert compare(a_file(modified=NOON_NS + 1_000_000), an_object(etag="1-2")) is False


def test_a_file_is_the_objects_when_it_has_the_time_that_a_download_gave_it() -> None:
    given_by_download = NOON_NS - 500_000_000
    assert compare(an_object(), a_file(modified=given_by_download)) is True
    for other in (given_by_download + 1, given_by_download - 1_000_000_000):
        assert isinstance(compare(an_object(), a_file(modified=other)), Reading)
        assert compare(an_object(etag="1-2"), a_file(modified=other)) is False


def test_objects_are_the_same_by_etag_or_when_the_target_is_not_older() -> None:
    older = replace(an_object(etag="other"), modified=datetime(2020, 1, 1, tzinfo=UTC))
    assert compare(an_object(), replace(older, etag=an_object().etag)) is True
    assert compare(older, an_object()) is True
    assert compare(an_object(), older) is False


def test_an_inclusion_brings_back_what_an_exclusion_took() -> None:
    chosen = Filter(("*.log", "tmp/*"), ("keep*", "tmp/[ab]"))
    names = ["a", "a.log", "x/y.log", "keep.log", "tmp/a", "tmp/c"]
    assert [name for name in names if chosen.takes(name)] == ["a", "keep.log", "tmp/a"]
    assert Filter().takes("anything")
    assert not Filter(("A*",)).takes("A")
    assert Filter(("A*",)).takes("a"), "case counts"


# Resume


PLAN = Plan("bucket", "key", None, "etag", 25, 10)


def test_a_plan_goes_on_from_its_own_record() -> None:
    half = replace(PLAN, done=frozenset({1, 3}))
    assert PLAN.resumed(half.record()) == half
    assert [span.number for span in half.missing()] == [2]
    assert (PLAN.bytes_done(), half.bytes_done()) == (0, 15)
    assert replace(PLAN, part_size=7).resumed(half.record()) == half, "in the parts that were begun"


@pytest.mark.parametrize(
    "change", [{"etag": "new"}, {"size": 26}, {"key": "k"}, {"bucket": "b"}, {"version_id": "v"}], ids=str
)
def test_a_record_of_another_object_is_not_gone_on_with(change: Mapping[str, Any]) -> None:
    other = replace(PLAN, done=frozenset({1}), **change)
    assert PLAN.resumed(other.record()) == PLAN


@pytest.mark.parametrize("record", ["", "{", "[]", "null", '"text"', "{}", '{"done": [1]}'])
def test_what_is_no_record_is_not_gone_on_with(record: str) -> None:
    assert parse_plan(record) is None
    assert PLAN.resumed(record) == PLAN


def test_numbers_that_are_none_make_no_record() -> None:
    record = PLAN.record()
    assert parse_plan(record) == PLAN
    for old, new in (("10", "0"), ("10", '"10"'), ("25", "null"), ("[]", '["1"]'), ("[]", "5")):
        assert parse_plan(record.replace(old, new)) is None


# Pages and batches


def test_pages_are_asked_for_until_the_last_one() -> None:
    pages = object_pages("bucket", "p")
    assert pages.call == Call("list_objects_v2", {"Bucket": "bucket", "Prefix": "p"})
    one = {"Key": "p1", "Size": 1, "ETag": '"e"'}
    assert list(pages.take({"Contents": [one], "NextContinuationToken": "t"})) == [ObjectInfo("p1", 1, "e")]
    assert pages.call == Call("list_objects_v2", {"Bucket": "bucket", "Prefix": "p", "ContinuationToken": "t"})
    assert list(pages.take({})) == []
    assert pages.call is None


def answered(script: Script[Any], answer: Mapping[str, Any]) -> Iterator[Call]:
    """The calls of a script whose calls are all answered so."""
    step = next(script)
    try:
        while True:
            assert isinstance(step, Call)
            yield step
            step = script.send(answer)
    except StopIteration:
        return


def test_deletions_go_by_a_thousand_and_one_by_one_where_xml_has_no_words() -> None:
    names = [{"Key": f"{number}"} for number in range(1500)] + [{"Key": "\x02"}]
    calls = list(answered(delete_all("bucket", iter(names)), {}))
    assert [call.operation for call in calls] == ["delete_objects", "delete_objects", "delete_object"]
    assert [len(call.parameters["Delete"]["Objects"]) for call in calls[:2]] == [1000, 500]
    assert calls[2].parameters == {"Bucket": "bucket", "Key": "\x02"}


def test_a_refusal_in_a_batch_is_raised() -> None:
    refused = {"Errors": [{"Key": "a", "Code": "AccessDenied", "Message": "No"}, {"Key": "b", "Code": "Other"}]}
    with pytest.raises(Denied, match="2 of 3 keys were not deleted, the first s3://bucket/a: No"):
        list(answered(delete_all("bucket", ({"Key": key} for key in "abc")), refused))


# Errors and progress


def test_an_error_is_of_its_statuss_class_and_survives_pickling() -> None:
    import pickle

    error = pickle.loads(pickle.dumps(s3_error("AccessDenied", "No.", 403, "id", "put")))  # noqa: S301  # our own
    assert type(error) is Denied
    assert (error.code, error.message, error.status, error.request_id) == ("AccessDenied", "No.", 403, "id")
    assert str(error) == "put: No (AccessDenied)"
    assert type(s3_error("SlowDown", "", 503)) is S3Error
    assert str(s3_error("SlowDown", "", 503)) == "refused (SlowDown)"


def test_progress_is_told_of_bytes_and_not_of_none() -> None:
    told: list[int] = []
    progress = Progress(told.append)
    progress(0)
    progress(5)
    Progress(None)(5)
    assert told == [5]
