"""Heads of every kind: refused, or read in one way."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from sanic.exceptions import BadRequest

from post3.server.head import parse_headers
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
