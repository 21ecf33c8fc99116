"""Headers under random text: a value, or an S3 error, and nothing else; and what was written is read again."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta, timezone

from hypothesis import example, given
from hypothesis import strategies as st

from post3.errors import InvalidArgument, InvalidRange, S3Error
from post3.s3 import headers
from post3.s3.aws_chunked import FORMS
from post3.s3.body import Body, parse_claims
from tests.bodies import make_request
from tests.fuzz.bounds import bounded

# A header's value: what is not UTF-8 arrives as surrogates.
values = st.text(st.characters(exclude_categories=["Cs", "Cc"]) | st.sampled_from("\t\udc80\udcff"), max_size=40)
zones = st.integers(-23 * 60, 23 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
moments = st.datetimes(datetime(1900, 1, 2), datetime(9998, 1, 1), timezones=zones)
numbers = st.integers(0, 2**63).map(str) | st.text("0123456789", min_size=1, max_size=30) | st.just("9" * 5000)


@bounded
@given(moments)
def test_a_date_survives_to_the_second(moment: datetime) -> None:
    assert headers.parse_http_date(headers.http_date(moment)) == moment.replace(microsecond=0)


@bounded
@given(moments)
def test_a_date_in_iso_form_survives_whole(moment: datetime) -> None:
    assert headers.parse_http_date(moment.isoformat()) == moment


dates = st.builds(
    "{}{} {} {} {}:{}:{} {}".format,
    st.sampled_from(["Mon, ", "Monday, ", "", "x, "]),
    numbers,
    st.sampled_from(["Jan", "feb", "13", "x", ""]),
    numbers,
    numbers,
    numbers,
    numbers,
    st.sampled_from(["GMT", "-0000", "+9999", "+99999999999", "EST", "", "Z"]),
)


@bounded
@given(values | dates | st.builds("{}-{}-{}T{}:{}:{}Z".format, *[numbers] * 6))
@example("0001-01-01T00:00:00+23:59")
@example("Mon, 01 Jan 0001 00:00:00 +2359")
@example("Fri, 31 Dec 9999 23:59:59 -2359")
@example("٢٠٢٦-02-03")
def test_any_date_is_a_moment_or_none(value: str) -> None:
    moment = headers.parse_http_date(value)
    assert moment is None or moment.tzinfo is not None
    conditions = headers.read_conditions({"if-modified-since": value, "if-unmodified-since": value})
    assert conditions.failed("a", datetime(2026, 1, 1, tzinfo=UTC)) in (
        "",
        "If-Modified-Since",
        "If-Unmodified-Since",
    )


@bounded
@given(st.lists(st.text("0123456789abcdef-", min_size=1, max_size=40), min_size=1, max_size=5), st.booleans())
def test_etags_survive_with_and_without_quotes(etags: list[str], quoted: bool) -> None:
    value = ", ".join(map(headers.quoted, etags) if quoted else etags)
    assert headers.parse_etags(value) == tuple(etags)


ranges = st.builds(
    "{}{}{}{}".format, st.sampled_from(["bytes=", "bytes", "b="]), numbers | st.just(""), st.just("-"), numbers
)


@bounded
@given(values | ranges | st.builds("bytes={}-{}".format, numbers, numbers | st.just("")))
def test_any_range_is_some_bytes_or_none(value: str) -> None:
    found = headers.parse_range(value)
    if found is None:
        return
    try:
        start, stop = found.of(1000)
    except InvalidRange:
        return
    assert 0 <= start < stop <= 1000


@bounded
@given(st.integers(0, 10**17), st.integers(1, 10**17))
def test_a_range_survives(start: int, size: int) -> None:
    value = f"bytes={start}-{start + size - 1}"
    assert headers.parse_copy_range(value) == (start, start + size)
    found = headers.parse_range(value)
    assert found is not None
    assert found.of(start + size) == (start, start + size)
    assert headers.content_range(start, start + size, 10**18) == f"{value.replace('=', ' ')}/{10**18}"


@bounded
@given(values | ranges | st.builds("bytes={}-{}".format, numbers, numbers))
def test_any_copy_range_is_some_bytes_or_invalid_argument(value: str) -> None:
    try:
        start, stop = headers.parse_copy_range(value)
    except InvalidArgument:
        return
    assert 0 <= start < stop


READERS: Mapping[str, Callable[[Mapping[str, str]], object]] = {
    "content-md5": headers.content_md5,
    "content-length": lambda told: headers.parse_size(told, "content-length"),
    "content-encoding": headers.stored_headers,
    "if-match": headers.read_conditions,
    "x-amz-checksum-crc32": headers.checksum_values,
    "x-amz-checksum-sha256": headers.checksum_values,
    "x-amz-content-sha256": headers.content_sha256,
    "x-amz-if-match-last-modified-time": headers.write_conditions,
    "x-amz-if-match-size": headers.write_conditions,
    "x-amz-meta-a": headers.user_metadata,
    "x-amz-storage-class": headers.storage_class,
    "x-amz-trailer": headers.trailing_checksum,
}
base64s = st.text("ABCDabcd0189+/=-", max_size=48)


@bounded
@given(st.sampled_from(sorted(READERS)), values | numbers | base64s)
def test_any_header_is_read_or_refused(name: str, value: str) -> None:
    with contextlib.suppress(S3Error):
        READERS[name]({name: value})


BODY_HEADERS = {
    "content-length": numbers,
    "content-md5": base64s,
    "x-amz-checksum-crc32": base64s | st.just("AAAAAA=="),
    "x-amz-checksum-sha1": base64s,
    "x-amz-content-sha256": st.sampled_from(sorted(FORMS)) | values | st.just("UNSIGNED-PAYLOAD"),
    "x-amz-decoded-content-length": numbers,
    "x-amz-trailer": st.sampled_from(["x-amz-checksum-crc32", "x-amz-checksum-sha1"]) | values,
}


@bounded
@given(st.fixed_dictionaries({}, optional=BODY_HEADERS))
def test_any_headers_describe_a_body_or_are_refused(told: dict[str, str]) -> None:
    request = make_request((), told)
    try:
        claims = parse_claims(request)
        body = Body(request)
    except S3Error:
        return
    assert body.expected_size == claims.size
    assert bool(body.sent) == bool(claims.trailer or claims.checksums)
