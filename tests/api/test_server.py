"""What the edge does with requests, good and bad, seen on the wire. The answers are made up by `tests.edge`."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import random
import signal
import socket
import ssl
import struct
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from email.utils import parsedate_to_datetime
from pathlib import Path
from socket import SHUT_RDWR, SO_LINGER, SOL_SOCKET
from threading import Thread
from time import monotonic, sleep, time
from typing import Any

import pytest

from post3.app import create_app
from post3.config import Settings
from post3.server import serve
from tests.rawhttp import Connection, Incomplete
from tests.servers import Process, Server, connect, end, read_line, running_edge

MIB = 1024 * 1024


@pytest.fixture(scope="module", params=["http", "https"])
def scheme(request: pytest.FixtureRequest) -> str:
    """TLS must change nothing."""
    return str(request.param)


@pytest.fixture(scope="module")
def edge(tmp_path_factory: pytest.TempPathFactory, scheme: str) -> Iterator[Server]:
    env = {"STALL": "1", "GRACEFUL_TCP_CLOSE_TIMEOUT": "0.5"}
    with running_edge(tmp_path_factory.mktemp("edge"), env, scheme=scheme) as running:
        yield running


@pytest.fixture
def connection(edge: Server) -> Iterator[Connection]:
    with connect(edge) as connection:
        yield connection


def told(edge: Server) -> dict[str, int]:
    """What the edge's answers saw since it was last asked."""
    with connect(edge) as connection:
        seen: dict[str, int] = json.loads(connection.get("/told").body)
        return seen


def echoed(connection: Connection, target: str, *headers: str, method: str = "GET") -> dict[str, Any]:
    """The request as the edge passed it on."""
    seen: dict[str, Any] = json.loads(connection.get(target, *headers, method=method).body)
    return seen


def eventually(edge: Server, name: str, times: int = 1) -> bool:
    """Whether it is seen that often within some seconds."""
    deadline = monotonic() + 5
    seen = 0
    while monotonic() < deadline:
        seen += told(edge).get(name, 0)
        if seen >= times:
            return True
        sleep(0.05)
    return False


# Requests


@pytest.mark.parametrize(
    ("target", "bucket", "key"),
    [
        ("/b/a%2Fb", "b", "a/b"),
        ("/b/a//b", "b", "a//b"),
        ("/b//a", "b", "/a"),
        ("/b/a/../c", "b", "a/../c"),
        ("/b/./a", "b", "./a"),
        ("/b/k/", "b", "k/"),
        ("/b/", "b", ""),
        ("/b", "b", ""),
        ("/", "", ""),
        ("/b/a+b", "b", "a+b"),
        ("/b/%00%7F", "b", "\0\x7f"),
        ("/b/%C3%A9", "b", "é"),
        ("/b/" + "k" * 1024, "b", "k" * 1024),
        ("/b/k%3Fv?x=%3F", "b", "k?v"),
        ("http://localhost/b/k", "b", "k"),
        ("http://localhost", "", ""),
    ],
)
def test_a_path_is_decoded_once_and_never_normalised(
    connection: Connection, target: str, bucket: str, key: str
) -> None:
    seen = echoed(connection, target)

    assert (seen["bucket"], seen["key"]) == (bucket, key)


def test_a_query_is_decoded_and_its_subresources_are_known(connection: Connection) -> None:
    seen = echoed(connection, "/b/k?acl&prefix=a%2Fb+c&prefix=second&empty=")

    assert seen["query"] == {"acl": "", "prefix": "a/b c", "empty": ""}
    assert seen["valueless"] == ["acl", "empty"]


def test_the_target_s_host_counts_when_it_names_one(connection: Connection) -> None:
    assert echoed(connection, "http://other:80/b/k?x=1")["headers"]["host"] == "other:80"


def test_header_values_are_trimmed_and_repeated_ones_joined(connection: Connection) -> None:
    seen = echoed(connection, "/b", "X-Amz-Meta-A:  one  two \t", "x-amz-meta-b: 1", "X-AMZ-META-B: 2")

    assert seen["headers"]["x-amz-meta-a"] == "one  two"
    assert seen["headers"]["x-amz-meta-b"] == "1,2"


def test_header_bytes_that_are_no_utf_8_survive(connection: Connection) -> None:
    assert echoed(connection, "/b", "x-amz-meta-a: \udce9")["headers"]["x-amz-meta-a"] == "\udce9"


@pytest.mark.parametrize("method", ["GET", "PUT", "POST", "DELETE", "OPTIONS", "FROB", "get"])
def test_every_method_reaches_the_dispatcher(connection: Connection, method: str) -> None:
    assert echoed(connection, "/b/k", "content-length: 0", method=method)["method"] == method


@pytest.mark.parametrize(
    "head",
    [
        "GET /b\n\n",
        "GET  /b HTTP/1.1\n\n",
        "GET /b HTTP/2.0\n\n",
        "nonsense\n\n",
        "GET /b HTTP/1.1\nno colon\n\n",
        "GET /b HTTP/1.1\ncontent-length : 5\n\n",
        "GET /b HTTP/1.1\nx-a: 1\n folded: 2\n\n",
        "GET /b HTTP/1.1\nx-ä: 1\n\n",
        "GET /b HTTP/1.1\n: 1\n\n",
        "GET /b HTTP/1.1\nx-a: 1\rcontent-length: 5\n\n",
        "GET /b HTTP/1.1\nx-a: 1\0\n\n",
        "PUT /b HTTP/1.1\ncontent-length: -1\n\n",
        "PUT /b HTTP/1.1\ncontent-length: +1\n\n",
        "PUT /b HTTP/1.1\ncontent-length:\n\n",
        "PUT /b HTTP/1.1\ncontent-length: 1\ncontent-length: 1\n\n",
        "PUT /b HTTP/1.1\ncontent-length: 1\ntransfer-encoding: chunked\n\n",
        "PUT /b HTTP/1.1\ntransfer-encoding: gzip, chunked\n\n",
    ],
)
def test_a_head_that_could_be_read_in_two_ways_is_refused_in_xml(connection: Connection, head: str) -> None:
    connection.send(head)
    answer = connection.answer()

    assert (answer.status, answer.code) == (400, "InvalidRequest")
    assert answer.headers["connection"] == "close"
    assert connection.is_closed()


def test_a_line_that_ends_with_lf_alone_is_refused(connection: Connection) -> None:
    connection.send(b"GET /b HTTP/1.1\r\nx-a: 1\ncontent-length: 5\r\n\r\n")

    assert connection.answer().code == "InvalidRequest"


@pytest.mark.parametrize("target", ["/b/%FF", "*", "b/k", "//k", "/b/\udcff", "/b/ä", "ftp://h/b"])
def test_a_target_that_is_no_uri_is_refused_in_xml(connection: Connection, target: str) -> None:
    connection.send(f"GET {target} HTTP/1.1\n\n")
    answer = connection.answer()

    assert answer.status == 400
    assert answer.code in ("InvalidURI", "InvalidRequest")


def test_a_header_section_of_nearly_16_kib_is_taken(connection: Connection) -> None:
    assert connection.get("/b", "x-amz-meta-a: " + "a" * 16_000).status == 200


@pytest.mark.parametrize("size", [16_500, 100_000])
def test_a_header_section_too_large_is_refused_in_xml(connection: Connection, size: int) -> None:
    answer = connection.get("/b", "x-amz-meta-a: " + "a" * size)

    assert (answer.status, answer.code) == (400, "RequestHeaderSectionTooLarge")
    assert connection.is_closed()


def test_requests_sent_at_once_are_answered_in_turn(connection: Connection) -> None:
    connection.send(
        "PUT /read HTTP/1.1\ncontent-length: 3\n\nabc"
        "PUT /refuse HTTP/1.1\ncontent-length: 3\n\nabc"
        "GET /b/second HTTP/1.1\n\n"
    )

    assert connection.answer().body == b"3"
    assert connection.answer().code == "AccessDenied"
    assert json.loads(connection.answer().body)["key"] == "second"


# Bodies


def test_a_body_is_read_whole(connection: Connection) -> None:
    connection.send(f"PUT /read HTTP/1.1\ncontent-length: {3 * MIB}\n\n")
    connection.send(b"x" * 3 * MIB)

    assert connection.answer().body == str(3 * MIB).encode()
    assert connection.get("/b").status == 200


@pytest.mark.parametrize("expects", [False, True], ids=["at once", "100-continue"])
def test_a_body_keeps_its_order_however_it_is_cut(connection: Connection, expects: bool) -> None:
    """Large pieces are kept as they came, small ones are copied together; the next request may be right behind."""
    sizes = random.Random(7).choices([1, 100, 16_383, 16_384, 70_000, 300_000], k=40)
    body = random.Random(8).randbytes(sum(sizes))
    expect = "expect: 100-continue\n" if expects else ""
    connection.send(f"PUT /digest HTTP/1.1\ncontent-length: {len(body)}\n{expect}\n")
    if expects:
        assert connection.answer().status == 100
    start = 0
    for size in sizes[:-1]:
        connection.send(body[start : start + size])
        start += size
        sleep(0.002)
    connection.send(body[start:] + b"PUT /read HTTP/1.1\r\ncontent-length: 3\r\n\r\nabc")

    assert connection.answer().body == hashlib.sha256(body).hexdigest().encode()
    assert connection.answer().body == b"3"
    assert connection.get("/b").status == 200


@pytest.mark.parametrize("coding", ["chunked", "Chunked", " CHUNKED "])
def test_a_chunked_body_is_read_without_its_chunks(connection: Connection, coding: str) -> None:
    connection.send(f"PUT /read HTTP/1.1\ntransfer-encoding: {coding}\n\n5\n12345\nA;name=value\n1234567890\n0\n\n")

    assert connection.answer().body == b"15"
    assert connection.get("/b").status == 200


def test_a_request_with_neither_length_nor_chunks_has_an_empty_body(connection: Connection) -> None:
    connection.send("PUT /read HTTP/1.1\n\n")

    assert connection.answer().body == b"0"
    assert connection.get("/b").status == 200


@pytest.mark.parametrize(
    "chunks",
    [
        "5\n12345\n0\nx-trailer: 1\n\n",
        "xyz\n12345\n0\n\n",
        "-5\n\n0\n\n",
        "5\n1234567890\n",
        "0x5\n12345\n0\n\n",
        " 5\n12345\n0\n\n",
        "\n5\n12345\n0\n\n",
        "5;" + "x" * 100,
    ],
)
def test_chunks_that_are_none_are_refused(connection: Connection, chunks: str) -> None:
    connection.send(f"PUT /read HTTP/1.1\ntransfer-encoding: chunked\n\n{chunks}")
    answer = connection.answer()

    assert (answer.status, answer.code) == (400, "InvalidRequest")
    assert answer.headers["connection"] == "close"
    assert connection.is_closed()


def test_a_client_that_expects_100_gets_it_when_the_body_is_wanted(connection: Connection) -> None:
    connection.send("PUT /read HTTP/1.1\ncontent-length: 5\nexpect: 100-continue\n\n")
    assert connection.answer().status == 100

    connection.send("12345")
    assert connection.answer().body == b"5"
    assert connection.get("/b").status == 200


def test_an_early_refusal_under_expect_continue_sends_no_100(connection: Connection) -> None:
    connection.send("PUT /refuse HTTP/1.1\ncontent-length: 5\nexpect: 100-continue\n\n")
    answer = connection.answer()

    assert (answer.status, answer.code) == (403, "AccessDenied")
    assert answer.headers["connection"] == "close"
    assert connection.is_closed()


def test_an_answer_to_an_expected_body_of_no_bytes_keeps_the_connection(connection: Connection) -> None:
    connection.send("PUT /refuse HTTP/1.1\ncontent-length: 0\nexpect: 100-continue\n\n")

    assert connection.answer().status == 403
    assert connection.get("/b").status == 200


@pytest.mark.parametrize("expect", ["200", "", "100-Continue, 200"])
def test_an_expectation_that_nobody_knows_is_overlooked(connection: Connection, expect: str) -> None:
    connection.send(f"PUT /read HTTP/1.1\ncontent-length: 5\nexpect: {expect}\n\n12345")

    assert connection.answer().body == b"5"


def test_the_next_request_on_the_connection_is_not_eaten_as_body(connection: Connection) -> None:
    for _ in range(2):
        connection.send("PUT /refuse HTTP/1.1\ncontent-length: 100000\n\n")
        answer = connection.answer()
        assert answer.code == "AccessDenied"
        assert "connection" not in answer.headers
        connection.send(b"GET /b HTTP/1.1\r\n\r\n" * 5000 + b"x" * 5000)
    connection.send("PUT /peek HTTP/1.1\ntransfer-encoding: chunked\n\n5\n12345\n")
    assert connection.answer().body == b"seen"
    connection.send("5\n12345\n0\n\n")

    assert connection.get("/b").status == 200


def test_a_large_body_that_nobody_reads_is_cut_short(connection: Connection) -> None:
    connection.send(f"PUT /refuse HTTP/1.1\ncontent-length: {5 * 1024 * MIB}\n\n")
    answer = connection.answer()

    assert (answer.status, answer.code) == (403, "AccessDenied")
    assert answer.headers["connection"] == "close"
    with pytest.raises((ConnectionError, ssl.SSLError)):
        connection.send(b"x" * 256 * MIB)


def test_a_client_that_sends_on_still_reads_its_refusal(connection: Connection) -> None:
    connection.send(f"PUT /refuse HTTP/1.1\ncontent-length: {8 * MIB}\n\n")
    connection.send(b"x" * (MIB // 2))

    assert connection.answer().code == "AccessDenied"


def test_a_chunked_body_that_nobody_reads_ends_the_connection(connection: Connection) -> None:
    connection.send("PUT /refuse HTTP/1.1\ntransfer-encoding: chunked\n\n5\n12345\n")
    answer = connection.answer()

    assert answer.code == "AccessDenied"
    assert answer.headers["connection"] == "close"
    assert connection.is_closed()


def test_a_slow_body_is_waited_for(connection: Connection) -> None:
    connection.send("PUT /read HTTP/1.1\ncontent-length: 6\n\n")
    for _ in range(6):
        sleep(0.4)  # the edge's patience is one second
        connection.send("x")

    assert connection.answer().body == b"6"


@pytest.mark.parametrize("framing", ["content-length: 6\n\n123", "transfer-encoding: chunked\n\n6\n123"])
def test_a_body_that_stalls_ends_in_request_timeout(connection: Connection, framing: str) -> None:
    connection.send(f"PUT /read HTTP/1.1\n{framing}")
    answer = connection.answer()

    assert (answer.status, answer.code) == (400, "RequestTimeout")
    assert answer.headers["connection"] == "close"
    assert connection.is_closed()


def test_a_long_silent_commit_is_not_cut(connection: Connection) -> None:
    assert connection.get("/wait?seconds=2.5").body == b"done"


@pytest.mark.parametrize("leave", ["close", "reset", "half"])
def test_a_client_that_goes_away_cancels_its_request_without_noise(edge: Server, leave: str) -> None:
    told(edge)
    before = edge.process.complained()
    with connect(edge) as connection:
        connection.send("PUT /read HTTP/1.1\ncontent-length: 100\n\n12345")
        assert eventually(edge, "read", 5)
        if leave == "reset":
            connection.socket.setsockopt(SOL_SOCKET, SO_LINGER, struct.pack("ii", 1, 0))
        elif leave == "half":
            connection.socket.shutdown(SHUT_RDWR)

    assert eventually(edge, "cancelled")
    assert edge.process.complained() == before


def test_a_client_that_goes_away_while_it_sends_a_head_makes_no_noise(edge: Server) -> None:
    before = edge.process.complained()
    with connect(edge) as connection:
        connection.send("GET /b HTTP/1.1\nx-a: ")
        sleep(0.1)
    sleep(0.1)

    assert edge.process.complained() == before


def test_a_client_that_goes_away_cancels_a_waiting_request(edge: Server) -> None:
    told(edge)
    with connect(edge) as connection:
        connection.send("GET /wait?seconds=30 HTTP/1.1\n\n")
        sleep(0.1)

    assert eventually(edge, "cancelled")


def test_a_head_that_stalls_ends_in_request_timeout_and_an_idle_connection_in_silence(
    tmp_path: Path, scheme: str
) -> None:
    with (
        running_edge(tmp_path, {"REQUEST_TIMEOUT": "0.5", "KEEP_ALIVE_TIMEOUT": "1.5"}, scheme=scheme) as edge,
        connect(edge) as half,
        connect(edge) as idle,
    ):
        half.send("GET /b HTTP/1.1\nx-a: ")
        assert (half.answer().code, half.is_closed()) == ("RequestTimeout", True)
        assert idle.get("/b").status == 200
        assert idle.is_closed()
        assert edge.process.complained() == ""


# Answers


def test_every_answer_has_date_server_and_a_request_id(connection: Connection) -> None:
    ids = set()
    for target in ("/b", "/refuse", "/fail", "/stream", "/%FF"):
        headers = connection.get(target).headers
        assert abs(parsedate_to_datetime(headers["date"]).timestamp() - time()) < 5
        assert headers["server"] == "post3"
        assert len(headers["x-amz-request-id"]) == 16
        assert set(headers["x-amz-request-id"]) <= set("0123456789ABCDEF")
        ids.add(headers["x-amz-request-id"])
    connection.send("nonsense\n\n")
    headers = connection.answer().headers

    assert {"date", "server", "x-amz-request-id"} <= set(headers)
    assert len(ids) == 5


def test_head_keeps_the_content_length(connection: Connection) -> None:
    answer = connection.get("/status?is=200", method="HEAD")

    assert answer.headers["content-length"] == "5"
    assert connection.get("/b").status == 200


def test_an_error_that_answers_head_has_no_body(connection: Connection) -> None:
    assert connection.get("/refuse", method="HEAD").status == 403
    assert connection.get("/fail", method="HEAD").status == 500
    assert connection.get("/b").status == 200


def test_head_of_a_stream_reads_none_of_it_and_closes_it(edge: Server, connection: Connection) -> None:
    told(edge)

    assert connection.get("/stream?length=10&pieces=1", method="HEAD").headers["content-length"] == "10"
    assert connection.get("/b").status == 200
    assert "pieces" not in told(edge)


def test_a_body_s_own_length_counts(connection: Connection) -> None:
    assert connection.get("/read").headers["content-length"] == "1"


@pytest.mark.parametrize("status", [204, 304])
def test_an_answer_without_content_never_has_a_body(connection: Connection, status: int) -> None:
    answer = connection.get(f"/status?is={status}")

    assert answer.status == status
    assert answer.headers["etag"] == '"e"'
    assert not {"content-length", "transfer-encoding"} & set(answer.headers)
    assert connection.get("/b").status == 200


def test_a_header_s_value_never_becomes_a_header(connection: Connection) -> None:
    answer = connection.get("/header?is=a%0D%0Aset-cookie:%20b%00%0D%0A%0D%0Abody")

    assert answer.headers["x-told"] == "aset-cookie: bbody"
    assert "set-cookie" not in answer.headers
    assert connection.get("/b").status == 200


def test_a_mistake_of_ours_is_an_internal_error_and_logged_once(edge: Server, connection: Connection) -> None:
    answer = connection.get("/fail")

    assert (answer.status, answer.code) == (500, "InternalError")
    assert b"mistake" not in answer.body
    assert edge.process.complained().count(answer.headers["x-amz-request-id"]) == 1
    assert connection.get("/b").status == 200


def test_http_1_0_ends_with_its_answer_unless_it_asks_to_stay(edge: Server) -> None:
    with connect(edge) as connection:
        connection.send("GET /b HTTP/1.0\n\n")
        assert connection.answer().headers["connection"] == "close"
        assert connection.is_closed()
    with connect(edge) as connection:
        connection.send("GET /b HTTP/1.0\nconnection: keep-alive\n\n")
        assert connection.answer().headers["connection"] == "keep-alive"
        assert connection.get("/b").status == 200


def test_a_client_that_wants_to_close_is_obeyed(connection: Connection) -> None:
    assert connection.get("/b", "connection: close").headers["connection"] == "close"
    assert connection.is_closed()


# Streams


def test_a_stream_of_known_length_is_sent_as_it_is(connection: Connection) -> None:
    answer = connection.get("/stream?length=3000000&pieces=3&size=1000000")

    assert answer.body == b"x" * 3_000_000
    assert "transfer-encoding" not in answer.headers
    assert connection.get("/b").status == 200


def test_a_stream_of_unknown_length_is_sent_in_chunks(connection: Connection) -> None:
    answer = connection.get("/stream?pieces=3&size=1000000")

    assert answer.headers["transfer-encoding"] == "chunked"
    assert answer.body == b"x" * 3_000_000
    assert connection.get("/b").status == 200


@pytest.mark.parametrize("query", ["pieces=0", "pieces=3&size=0", "pieces=0&length=0"])
def test_a_stream_of_nothing_ends_well(connection: Connection, query: str) -> None:
    assert connection.get(f"/stream?{query}").body == b""
    assert connection.get("/b").status == 200


def test_a_stream_to_http_1_0_ends_with_the_connection(connection: Connection) -> None:
    connection.send("GET /stream?pieces=3 HTTP/1.0\nconnection: keep-alive\n\n")
    answer = connection.answer()

    assert answer.headers["connection"] == "close"
    assert "transfer-encoding" not in answer.headers
    assert answer.body == b"x" * 30


def test_an_error_before_the_first_piece_is_an_answer(edge: Server, connection: Connection) -> None:
    told(edge)

    assert connection.get("/stream?length=30&pieces=3&fails=0&s3").code == "NoSuchKey"
    assert connection.get("/stream?length=30&pieces=3&fails=0").code == "InternalError"
    assert connection.get("/stream?pieces=3&fails=0", method="GET").status == 500
    refused = connection.get("/stream?length=30&pieces=3&fails=0&page=*")
    assert (refused.status, refused.headers["access-control-allow-origin"]) == (500, "*")
    assert eventually(edge, "closed", 4)


@pytest.mark.parametrize(
    "query",
    [
        "length=30&pieces=3&fails=2",
        "length=30&pieces=3&fails=2&s3",
        "length=31&pieces=3",
        "length=29&pieces=3",
        "pieces=3&fails=2",
        "length=3000000&pieces=3&size=1000000&fails=2",
    ],
)
@pytest.mark.parametrize("version", ["1.1", "1.0"])
def test_a_cut_stream_never_looks_complete(edge: Server, connection: Connection, query: str, version: str) -> None:
    told(edge)
    connection.send(f"GET /stream?{query} HTTP/{version}\n\n")

    with pytest.raises((Incomplete, ConnectionError)):
        connection.answer()
    assert eventually(edge, "closed")


def test_a_stream_is_closed_when_its_reader_goes_away(edge: Server) -> None:
    told(edge)
    before = edge.process.complained()
    with connect(edge) as connection:
        connection.send("GET /stream?pieces=1000000&size=1000000 HTTP/1.1\n\n")
        connection.take(3_000_000)

    assert eventually(edge, "closed")
    assert edge.process.complained() == before


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_memory_stays_flat_while_a_reader_is_slow(tmp_path: Path, scheme: str) -> None:
    with running_edge(tmp_path, scheme=scheme) as edge, connect(edge, receive_buffer=65_536) as connection:
        assert connection.get("/b").status == 200
        before = resident(edge.process)
        connection.send(f"GET /stream?length={1000 * MIB}&pieces=1000&size={MIB} HTTP/1.1\n\n")
        for _ in range(10):
            connection.take(MIB // 2)
            sleep(0.05)

        assert resident(edge.process) - before < 8 * MIB
        assert told(edge)["pieces"] < 20


def resident(process: Process) -> int:
    """Bytes of memory that it holds."""
    pages = int(Path(f"/proc/{process.pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def test_a_reader_that_pauses_gets_its_answer_whole(edge: Server) -> None:
    with connect(edge, receive_buffer=16_384) as connection:
        size = 4 * MIB
        connection.send(f"GET /stream?length={size}&pieces=4&size={MIB} HTTP/1.1\nconnection: close\n\n")
        _, headers = connection.head()
        left = int(headers["content-length"])
        for _ in range(8):  # less than the stall of one second, but four times the time that Sanic gives a close
            left -= len(connection.take(60_000))
            sleep(0.25)

        assert connection.take(left) == b"x" * left
        assert connection.is_closed()


def test_a_reader_that_takes_nothing_for_long_is_cut(edge: Server) -> None:
    told(edge)
    with connect(edge, receive_buffer=16_384) as connection:
        connection.send(f"GET /stream?length={100 * MIB}&pieces=100&size={MIB} HTTP/1.1\n\n")

        assert eventually(edge, "closed")
        with pytest.raises((Incomplete, ConnectionError)):
            connection.answer()


# Stopping


@pytest.fixture
def own_edge(tmp_path: Path, scheme: str) -> Iterator[Server]:
    with running_edge(tmp_path, {"GRACEFUL_SHUTDOWN_TIMEOUT": "2"}, scheme=scheme) as running:
        yield running


def test_stopping_finishes_a_slow_upload_and_closes_idle_connections(own_edge: Server) -> None:
    with connect(own_edge) as idle, connect(own_edge) as half, connect(own_edge) as upload:
        assert idle.get("/b").status == 200
        half.send("GET /b HTTP/1.1\nx-a: ")
        upload.send("PUT /read HTTP/1.1\ncontent-length: 10\n\n12345")
        assert eventually(own_edge, "read", 5)
        own_edge.process.send_signal(signal.SIGTERM)
        assert idle.is_closed()
        assert half.answer().code == "ServiceUnavailable"
        sleep(0.5)
        upload.send("67890")
        answer = upload.answer()

        assert (answer.body, answer.headers["connection"]) == (b"10", "close")
        assert upload.is_closed()
    status, seconds, out, err = end(own_edge)
    assert (status, out, err) == (0, "finished\n", "")
    assert seconds < 1


def test_stopping_does_not_wait_for_ever(own_edge: Server) -> None:
    with connect(own_edge) as upload:
        upload.send("PUT /read HTTP/1.1\ncontent-length: 10\n\n12345")
        assert eventually(own_edge, "read", 5)
        own_edge.process.send_signal(signal.SIGTERM)
        status, seconds, out, err = end(own_edge)

    assert (status, out, err) == (0, "finished\n", "")
    assert 1.5 < seconds < 4


def test_the_access_log_has_a_line_for_each_request(tmp_path: Path, scheme: str) -> None:
    with running_edge(tmp_path, {"ACCESS_LOG": "1"}, scheme=scheme) as edge, connect(edge) as connection:
        answers = [connection.get(target) for target in ("/b/k?acl", "/refuse", "/stream?pieces=2&size=5")]
        lines = [read_line(edge.process).split(" ") for _ in answers]

    assert [line[2:6] for line in lines] == [
        ["GET", "/b/k?acl", "200", str(len(answers[0].body))],
        ["GET", "/refuse", "403", str(len(answers[1].body))],
        ["GET", "/stream?pieces=2&size=5", "200", "10"],
    ]
    assert [line[-1] for line in lines] == [answer.headers["x-amz-request-id"] for answer in answers]


def test_many_connections_are_served_at_once(edge: Server) -> None:
    bodies: list[bytes] = []

    def one() -> None:
        with connect(edge) as connection:
            bodies.append(connection.get("/wait?seconds=0.5").body)

    threads = [Thread(target=one) for _ in range(50)]
    began = monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)

    assert bodies == [b"done"] * 50
    assert monotonic() - began < 4


async def test_applications_with_names_of_their_own_share_a_process() -> None:
    stop = asyncio.Event()
    with ExitStack() as sockets:
        listening = [sockets.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(2)]
        ready = [asyncio.Event() for _ in listening]
        running = [
            asyncio.ensure_future(
                serve(create_app(Settings(backend="memory"), name=f"app-{number}"), one, stop, ready[number].set)
            )
            for number, one in enumerate(listening)
        ]
        for event in ready:
            await asyncio.wait_for(event.wait(), 10)
        statuses = [await asyncio.to_thread(status, one.getsockname()[1]) for one in listening]
        stop.set()
        await asyncio.gather(*running)

    assert statuses == [200, 200]


def status(port: int) -> int:
    """The status of one answer."""
    with Connection(port) as connection:
        return connection.get("/").status
