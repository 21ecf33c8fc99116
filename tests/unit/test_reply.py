"""How an answer is written."""

from __future__ import annotations

import pytest

from post3.s3.reply import Ending, ending, head


@pytest.mark.parametrize(
    ("method", "version", "status", "length", "how"),
    [
        ("GET", "1.1", 200, 5, Ending.LENGTH),
        ("GET", "1.1", 200, 0, Ending.LENGTH),
        ("GET", "1.0", 200, 5, Ending.LENGTH),
        ("GET", "1.1", 200, None, Ending.CHUNKS),
        ("GET", "1.0", 200, None, Ending.CLOSE),
        ("HEAD", "1.1", 200, 5, Ending.NO_BODY),
        ("HEAD", "1.1", 404, None, Ending.NO_BODY),
        ("GET", "1.1", 304, 5, Ending.NO_BODY),
        ("DELETE", "1.1", 204, None, Ending.NO_BODY),
    ],
)
def test_a_body_ends_in_a_way_that_the_client_knows(
    method: str, version: str, status: int, length: int | None, how: Ending
) -> None:
    assert ending(method, version, status, length) is how


def test_a_head_is_a_status_line_and_headers() -> None:
    lines = head(404, {"content-type": "application/xml", "content-length": "5"}, "close").decode().split("\r\n")

    assert lines[:3] == ["HTTP/1.1 404 Not Found", "content-type: application/xml", "content-length: 5"]
    assert lines[3].startswith("date: ")
    assert lines[3].endswith(" GMT")
    assert lines[4:] == ["server: post3", "connection: close", "", ""]


def test_a_status_that_nobody_knows_has_no_phrase() -> None:
    assert head(299, {}).startswith(b"HTTP/1.1 299 \r\n")


@pytest.mark.parametrize("value", ["a\r\nb: c", "a\nb: c", "a\rb: c", "a\0b: c", "\r\n\r\nbody"])
def test_a_value_stays_in_its_line(value: str) -> None:
    lines = head(200, {"x-a": value}).split(b"\r\n")

    assert len(lines) == 6
    assert not {10, 13, 0} & set(b"".join(lines))


def test_bytes_that_are_no_utf_8_are_sent_as_they_came() -> None:
    assert b"x-a: \xe9\r\n" in head(200, {"x-a": "\udce9"})
