"""Heads of every kind: refused, or read in one way."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sanic.exceptions import BadRequest

from post3.errors import InvalidURI
from post3.server._plain import parse_plain
from post3.server.head import check_lines, check_target, parse_headers, parse_request_line
from tests.fuzz.bounds import bounded

NAMES = st.sampled_from(["Content-Length", "transfer-encoding", "expect", "x-a", "X-A", "", " ", "x a", "\u212a"])
VALUES = st.sampled_from(["1", "chunked", "100-continue", " \t", "a,b", "\x0b1", "\xa0"]) | st.text(max_size=8)
LINES = st.builds("{}{}{}".format, NAMES, st.sampled_from([":", ": ", "", ":\t"]), VALUES)


@bounded
@given(st.lists(LINES, max_size=5), st.sampled_from(["1.0", "1.1"]))
def test_what_was_read_reads_alike_when_it_is_written_again(lines: list[str], version: str) -> None:
    try:
        headers = parse_headers(lines, version)
    except BadRequest:
        return
    assert parse_headers([f"{name}: {value}" for name, value in headers.items()], version) == headers
    assert not {"content-length", "transfer-encoding"} <= headers.keys()
    assert all(name == name.lower() and name.isascii() and " " not in name for name in headers)


METHODS = st.sampled_from(["GET", "PUT", "HEAD", "get", "", "GET\t"])
TARGETS = st.builds("{}{}".format, st.sampled_from(["/", "/b/k?x=%41&y", "*", "", "http://h/"]), st.text(max_size=4))
VERSIONS = st.sampled_from(["HTTP/1.1", "HTTP/1.1", "HTTP/1.1", "HTTP/1.0", "HTTP/1.1 ", "http/1.1"])
PLAIN_LINES = st.builds(
    "{}{}{}".format,
    st.sampled_from(["Host", "host", "Content-Length", "x-amz-date", "A!#$%&'*+-.^_`|~9", "expect"]),
    st.sampled_from([":", ": ", ":\t "]),
    st.sampled_from(["1", "0" * 19, "a  b\tc", "\t", "", "~", "AWS4 x=y,", "\x7f", "a\r", "a\nb: c", "a\0"]),
)


def read_slowly(head: bytes) -> tuple[str, str, dict[str, str]] | None:
    """Method, target and headers of a head of HTTP/1.1, None for any other and for what is refused."""
    text = head.decode(errors="surrogateescape")
    line, *lines = text.split("\r\n")
    try:
        method, target, version = parse_request_line(line)
        headers = parse_headers(lines, version)
        check_target(target)
        check_lines(text, len(lines))
    except (BadRequest, InvalidURI):
        return None
    return (method, target, headers) if version == "1.1" else None


@bounded
@given(METHODS, TARGETS, VERSIONS, st.lists(LINES | PLAIN_LINES, max_size=5), st.binary(max_size=4))
def test_what_is_read_as_plain_is_read_alike_by_the_rules(
    method: str, target: str, version: str, lines: list[str], behind: bytes
) -> None:
    text = "\r\n".join([f"{method} {target} {version}", *lines])
    head = text.encode("utf-8", "surrogatepass")
    plain = parse_plain(bytearray(head + behind), len(head))

    assert plain is None or plain == read_slowly(head)


@bounded
@given(st.binary(max_size=64), st.binary(max_size=64))
def test_any_bytes_are_plain_or_not(start: bytes, rest: bytes) -> None:
    head = b"GET /" + start + b" HTTP/1.1\r\n" + rest
    plain = parse_plain(bytearray(head), len(head))

    assert plain is None or plain == read_slowly(head)


@pytest.mark.parametrize(
    "lines", [[], ["Host: a:9000", "X-Amz-Date:\t20261122T171100Z ", "content-length: 12", "A: b  c", "B:"]]
)
def test_what_clients_send_is_plain(lines: list[str]) -> None:
    head = "\r\n".join(["PUT /b/k%20?x=1&y=+ HTTP/1.1", *lines]).encode()

    assert parse_plain(bytearray(head + b"\r\n\r\nbody"), len(head)) == read_slowly(head)
    assert parse_plain(bytearray(head), len(head)) is not None


@pytest.mark.parametrize("end", [-1, 6])
def test_a_head_ends_in_its_buffer(end: int) -> None:
    with pytest.raises(ValueError, match="buffer"):
        parse_plain(bytearray(b"GET /"), end)
