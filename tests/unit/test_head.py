"""A request's head, read as HTTP has it."""

from __future__ import annotations

import pytest
from sanic.exceptions import BadRequest

from post3.errors import InvalidURI
from post3.server.head import check_lines, check_target, parse_headers, parse_request_line


def test_blanks_around_a_value_are_no_part_of_it() -> None:
    assert parse_headers(["Content-Length: \t5 \t", "x-a:b c "], "1.1") == {"content-length": "5", "x-a": "b c"}


def test_a_repeated_header_has_all_its_values_in_order() -> None:
    assert parse_headers(["x-a: 1", "x-b: 2", "X-A: 3", "x-a:"], "1.1") == {"x-a": "1,3,", "x-b": "2"}


def test_a_transfer_coding_is_told_in_lower_case() -> None:
    assert parse_headers(["transfer-encoding: Chunked"], "1.1") == {"transfer-encoding": "chunked"}


@pytest.mark.parametrize(("expects", "kept"), [("100-Continue", True), ("200-ok", False), ("", False)])
def test_an_expectation_is_kept_if_it_is_known(expects: str, kept: bool) -> None:
    assert ("expect" in parse_headers([f"expect: {expects}"], "1.1")) == kept


@pytest.mark.parametrize(
    "lines",
    [
        ["no colon"],
        [": no name"],
        ["x a: 1"],
        [" folded: 1"],
        ["x-\xe4: 1"],
        ["content-length: 1", "content-length: 1"],
        ["content-length: 1", "Transfer-Encoding: chunked"],
        ["transfer-encoding: chunked", "transfer-encoding: chunked"],
        ["transfer-encoding: gzip, chunked"],
        ["transfer-encoding:"],
        ["content-length: 0x5"],
        ["content-length: \xb2"],
        ["content-length:"],
        ["content-length: \x0c5"],
        ["content-length:\xa05"],
        ["transfer-encoding: \x0bchunked"],
        ["transfer-encoding: \x1fchunked"],
        ["transfer-encoding: chun\u212aed"],  # the Kelvin sign, whose small letter is k
        ["\u212aey: 1"],
    ],
)
def test_headers_that_could_be_read_in_two_ways_are_refused(lines: list[str]) -> None:
    with pytest.raises(BadRequest):
        parse_headers(lines, "1.1")


def test_http_1_0_has_no_chunks() -> None:
    with pytest.raises(BadRequest):
        parse_headers(["transfer-encoding: chunked"], "1.0")


@pytest.mark.parametrize("head", ["a\r\nb\nc", "a\r\nb\rc", "a\r\nb\0c", "a\r\nb\r\nc"])
def test_a_line_never_ends_in_its_middle(head: str) -> None:
    with pytest.raises(BadRequest):
        check_lines(head, 1)


@pytest.mark.parametrize(
    "line", ["GET /", "GET / HTTP/2.0", "GET  / HTTP/1.1", "GET / x HTTP/1.1", "GET / http/1.1", ""]
)
def test_a_request_line_has_three_words(line: str) -> None:
    with pytest.raises(BadRequest):
        parse_request_line(line)


def test_a_target_that_is_no_uri_is_named() -> None:
    with pytest.raises(InvalidURI) as refused:
        check_target("nowhere")
    assert refused.value.details == {"URI": "nowhere"}
