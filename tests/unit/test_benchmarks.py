"""The pure parts of the benchmarks: what they send, what they read, and how targets are judged."""

from __future__ import annotations

import json
import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest

from benchmarks import measures, report
from benchmarks import workloads as loads
from benchmarks.bodies import MIB, body_of, spread
from benchmarks.client import Outcome, Reply, _Received, send_all
from benchmarks.micro import sent_of
from benchmarks.peers import FS, PG, PREDECESSOR_PG, RCLONE, VERSITYGW, parse_peer
from benchmarks.results import Results, Row, Sample
from benchmarks.run import chosen
from benchmarks.running import FORGIVEN, check
from benchmarks.signing import Body, Signer
from benchmarks.stores import Failure, Scale
from benchmarks.targets import MET, MISSED, TARGETS, UNKNOWN, Beside, Flat, Small, verdict
from benchmarks.workloads import list_name, workloads
from benchmarks.wrk import MARK, parse_output
from post3.errors import SignatureDoesNotMatch
from tests.signing import KEY, SECRET, authenticator, now

SIGNER = Signer(KEY, SECRET, "127.0.0.1:9000")


def rows(*figures: tuple[str, str, float]) -> Results:
    return Results(Row(workload, column, "req/s", [Sample(rate, 0.001)]) for workload, column, rate in figures)


# What is sent


@pytest.mark.parametrize(
    "raw",
    [
        SIGNER.get("/bucket/folder/key"),
        SIGNER.get("/bucket/key", (0, MIB)),
        SIGNER.put("/bucket/a key+~", Body(b"body")),
        SIGNER.put("/bucket/key", Body(b"part"), {"partNumber": "1", "uploadId": "a/b+c="}),
        SIGNER.request("GET", "/bucket", {"list-type": "2", "delimiter": "/", "start-after": "a b/c"}),
        SIGNER.request("POST", "/bucket/key", {"uploads": ""}),
        SIGNER.delete_objects("bucket", ["one", "two"]),
    ],
)
def test_post3_takes_the_signature_of_a_prepared_request(raw: bytes) -> None:
    assert authenticator().authenticate(sent_of(raw), now()).kind == "header"


def test_post3_refuses_a_prepared_request_for_another_key() -> None:
    raw = SIGNER.get("/bucket/one").replace(b"/bucket/one ", b"/bucket/two ")
    with pytest.raises(SignatureDoesNotMatch):
        authenticator().authenticate(sent_of(raw), now())


def test_a_put_says_what_its_body_is() -> None:
    head, _, body = SIGNER.put("/bucket/key", Body(b"hello")).partition(b"\r\n\r\n")
    assert body == b"hello"
    assert b"content-length: 5\r\n" in head
    assert b"x-amz-checksum-crc32: NhCmhg==\r\n" in head
    assert b"2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824" in head


def test_a_signature_is_of_its_time() -> None:
    yesterday = datetime.now(UTC) - timedelta(days=1)
    assert f"/{yesterday:%Y%m%d}/".encode() in SIGNER.request("GET", "/bucket", now=yesterday)


@pytest.mark.parametrize("size", [4096, MIB])
def test_bodies_differ_by_key_and_are_the_same_again(size: int) -> None:
    assert body_of("one", size).data == body_of("one", size).data
    assert len({body_of(f"key-{number}", size).data for number in range(20)}) == 20
    assert len(body_of("one", size).data) == size


def test_keys_are_spread_over_all_folders() -> None:
    keys = [spread("put", number) for number in range(4000)]
    folders = [key.split("/")[1] for key in keys]
    assert len(set(keys)) == 4000
    assert len(set(folders)) == 256
    assert max(map(folders.count, set(folders))) < 50


# What is chosen


def test_workloads_are_chosen_by_name_or_pattern() -> None:
    every = workloads(Scale())
    assert [one.name for one in chosen(["GET*"], every)][:2] == ["GET 4 KiB", "GET 1 MiB"]
    assert [one.name for one in chosen(["mix", "HEAD"], every)] == ["mix", "HEAD"]
    assert chosen(None, every) == every


def test_a_workload_that_there_is_not_is_refused() -> None:
    with pytest.raises(SystemExit, match="no workload 'COPY'"):
        chosen(["mix", "COPY"], workloads(Scale()))


def test_names_of_workloads_differ() -> None:
    names = [workload.name for workload in workloads(Scale())]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize(
    "text", ["", "name", "name=http://h:1,a,s", "name=ftp://h:1,a,s,1", "=http://h:1,a,s,1", "n=http://h:1,a,s,x"]
)
def test_a_peer_that_is_told_wrongly_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".*"):
        parse_peer(text)


@pytest.mark.usefixtures("processes")
def test_a_peer_is_told_by_address_key_and_process() -> None:
    peer = parse_peer("other=http://127.0.0.1:9001/,KEY,SECRET,10")
    assert (peer.name, peer.url, peer.roots) == ("other", "http://127.0.0.1:9001", (10,))
    assert (peer.signer.access_key, peer.signer.secret_key, peer.signer.host) == ("KEY", "SECRET", "127.0.0.1:9001")


# What is read


def test_the_line_of_the_script_is_read() -> None:
    outcome = parse_output(
        f"Running 1s test\n  1 threads and 16 connections\n{MARK} 5000 2000000 123 0 0 0 1500 9000\n"
    )
    assert (outcome.requests, outcome.seconds, outcome.size) == (5000, 2.0, 123)
    assert (outcome.median, outcome.slow) == (0.0015, 0.009)
    assert outcome.failures == {}


def test_replies_of_failure_are_told() -> None:
    outcome = parse_output(f"{MARK} 10 1000000 0 7 1 2 0 0\n")
    assert outcome.failures == {"replies of 4xx or 5xx": 7, "broken connections": 1, "replies that came late": 2}


def test_a_few_refusals_of_another_server_are_forgiven() -> None:
    outcome = Outcome(2000, 1.0, failures={"500 InternalError": 2})
    check(outcome, FORGIVEN)
    with pytest.raises(Failure, match="2 500 InternalError"):
        check(outcome)
    with pytest.raises(Failure, match="3 500 InternalError"):
        check(replace(outcome, failures={"500 InternalError": 3}), FORGIVEN)


class _Refusing(BaseHTTPRequestHandler):
    """Refuses every second request."""

    protocol_version = "HTTP/1.1"
    asked: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        self.asked.append(self.path)
        self.send_response(500 if len(self.asked) % 2 else 200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_args: object) -> None:
        pass


def test_what_is_refused_while_a_server_is_filled_is_sent_again() -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Refusing) as server:
        threading.Thread(target=server.serve_forever).start()
        url = f"http://127.0.0.1:{server.server_address[1]}"
        requests = [f"GET /{number} HTTP/1.1\r\nHost: x\r\n\r\n".encode() for number in range(3)]
        try:
            assert send_all(url, requests, 1, again=3).failures == {}
            assert _Refusing.asked == ["/0", "/0", "/1", "/1", "/2", "/2"]
            assert send_all(url, requests, 1, again=1).failures == {"500": 1}
        finally:
            server.shutdown()


def test_output_without_counts_is_a_failure() -> None:
    with pytest.raises(ValueError, match="unable to connect"):
        parse_output("unable to connect to 127.0.0.1:9000 Connection refused\n")


def received(*pieces: bytes, is_head: bool = False) -> Reply | None:
    reply, under_way = None, _Received(is_head=is_head)
    for piece in pieces:
        assert reply is None
        reply = under_way.feed(piece)
    return reply


def test_a_reply_is_whole_when_its_length_has_come() -> None:
    reply = received(b"HTTP/1.1 200 OK\r\nETag: x\r\nContent-Len", b"gth: 5\r\n\r\nhe", b"llo")
    assert reply is not None
    assert (reply.status, reply.body, reply.header("etag")) == (200, b"hello", "x")
    assert received(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhell") is None


def test_a_reply_in_chunks_is_whole_after_the_last_one() -> None:
    reply = received(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhe", b"llo\r\n", b"0\r\n\r\n")
    assert reply is not None
    assert reply.body == b"hello"


def test_a_reply_to_head_has_no_body_whatever_its_length() -> None:
    reply = received(b"HTTP/1.1 200 OK\r\ncontent-length: 4096\r\n\r\n", is_head=True)
    assert reply is not None
    assert reply.status == 200


# What processes take


@pytest.fixture
def processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """10 with a child 11, whose child is 12; and 20, of nobody's."""
    for pid, parent in ((10, 1), (11, 10), (12, 11), (20, 1)):
        folder = tmp_path / str(pid)
        folder.mkdir()
        # The fields of proc(5): utime, stime, and those of children that have ended.
        (folder / "stat").write_text(f"{pid} (a name) 1) S {parent} 0 0 0 0 0 0 0 0 0 {measures.TICKS} 0 {pid} 0 20 0")
        (folder / "smaps_rollup").write_text(
            f"00400000-7ffd ---p [rollup]\nRss: 900 kB\nPss: {pid} kB\nPss_Dirty: 5 kB\n"
        )
    (tmp_path / "meminfo").touch()
    monkeypatch.setattr(measures, "PROC", tmp_path)


@pytest.mark.usefixtures("processes")
def test_a_tree_is_a_process_and_all_that_descend_from_it() -> None:
    assert measures.tree([10]) == {10, 11, 12}
    assert measures.tree([11, 20]) == {11, 12, 20}
    assert measures.tree([99]) == set()


@pytest.mark.usefixtures("processes")
def test_processor_time_counts_children_that_have_ended() -> None:
    assert measures.cpu_seconds([10]) == pytest.approx(3 + (10 + 11 + 12) / measures.TICKS)


@pytest.mark.usefixtures("processes")
def test_memory_is_told_with_and_without_the_database() -> None:
    memory = measures.Memory([10], [12])
    memory.look()
    assert (memory.own, memory.all) == (21 * 1024, 33 * 1024)


# How targets are judged


def test_a_ratio_is_of_medians() -> None:
    mine = Row("GET 4 KiB", FS, "req/s", [Sample(rate, 0.0) for rate in (100.0, 900.0, 300.0)])
    theirs = Row("GET 4 KiB", RCLONE, "req/s", [Sample(rate, 0.0) for rate in (100.0, 200.0, 9.0)])
    assert Results([mine, theirs]).ratio("GET 4 KiB", FS, RCLONE) == 3.0


@pytest.mark.parametrize(("rate", "judged"), [(150.0, MET), (149.0, MISSED)])
def test_a_target_is_met_from_its_limit_on(rate: float, judged: str) -> None:
    results = rows(("GET 4 KiB", FS, rate), ("GET 4 KiB", RCLONE, 100.0))
    assert verdict(Beside("GET 4 KiB", FS, 1.5, RCLONE), results) == judged


def test_a_target_beside_nobody_is_not_measured() -> None:
    assert verdict(Beside("mix", FS, 1.3, VERSITYGW), rows(("mix", FS, 100.0))) == UNKNOWN


def test_a_row_that_failed_has_no_figure() -> None:
    failed = Row("mix", VERSITYGW, "req/s", [Sample(1.0, 0.0)], failure="7 replies of 4xx or 5xx")
    results = Results([failed, Row("mix", FS, "req/s", [Sample(2.0, 0.0)])])
    assert verdict(Beside("mix", FS, 1.3, VERSITYGW), results) == UNKNOWN
    assert "7 replies of 4xx or 5xx" in report.markdown(results, {})


def test_refusals_that_were_forgiven_are_told() -> None:
    results = Results([Row("PUT 4 KiB", RCLONE, "req/s", [Sample(1.0, 1.0, requests=2000, refused=1)])])
    assert "PUT 4 KiB on rclone: 1 of 2,000 requests were refused" in report.markdown(results, {})


@pytest.mark.parametrize(("slowest", "judged"), [(80.0, MET), (70.0, MISSED)])
def test_lists_are_flat_when_their_slowest_page_is(slowest: float, judged: str) -> None:
    pages = [(middle, delimiter) for middle in (False, True) for delimiter in (False, True)]
    few = [(list_name(10_000, middle=middle, delimiter=delimiter), PG, 100.0) for middle, delimiter in pages]
    many = [(list_name(1_000_000, middle=middle, delimiter=delimiter), PG, 100.0) for middle, delimiter in pages]
    many[2] = (*many[2][:2], slowest)
    assert verdict(Flat(PG, 1.3), rows(*few, *many)) == judged
    assert verdict(Flat(PG, 1.3), rows(*few, *many[1:])) == UNKNOWN


@pytest.mark.parametrize(("size", "judged"), [(300 * MIB, MET), (301 * MIB, MISSED)])
def test_memory_is_the_most_of_any_round_without_the_database(size: int, judged: str) -> None:
    samples = [Sample(1.0, 0.0, own_memory=MIB, memory=900 * MIB), Sample(1.0, 0.0, own_memory=size, memory=size)]
    assert verdict(Small(PG, 300), Results([Row("mix", PG, "req/s", samples)])) == judged


def test_every_target_is_of_a_workload_that_there_is() -> None:
    names = {workload.name for workload in workloads(Scale())}
    for target in TARGETS:
        if isinstance(target, Beside):
            assert target.workload in names
        if isinstance(target, Flat):
            assert {list_name(n, middle=True, delimiter=True) for n in (target.few, target.many)} <= names


def test_the_report_tells_rates_time_and_verdicts() -> None:
    results = rows(("PUT 4 KiB", PG, 4000.0), ("PUT 4 KiB", PREDECESSOR_PG, 1000.0))
    text = report.markdown(results, {"system": "one"})
    assert "| PUT 4 KiB, req/s | 4,000; 1.0 ms | 1,000; 1.0 ms |" in text
    assert f"| PUT 4 KiB | {PG} | ≥ 2.0 x {PREDECESSOR_PG} | 4.00 | met |" in text
    told = json.loads(report.as_json(results, {}))
    assert told["rows"][0]["samples"][0]["rate"] == 4000.0
    assert {"met", "not measured"} == {target["verdict"] for target in told["targets"]}


def test_a_page_takes_the_tables_between_its_marks(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"before\n{report.BEGIN}\nold\n{report.END}\nafter\n")
    report.write_between(page, "new\n")
    report.write_between(page, "newer\n")
    assert page.read_text() == f"before\n{report.BEGIN}\n\nnewer\n\n{report.END}\nafter\n"


def test_a_page_without_marks_is_left_alone(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("nothing")
    with pytest.raises(ValueError, match="no place for it"):
        report.write_between(page, "new")


@pytest.mark.parametrize(
    ("name", "steady"), [("PUT 64 MiB", False), ("PUT 64 MiB, TLS", True), ("PUT 4 KiB, TLS", False)]
)
def test_large_bodies_over_tls_are_not_mixed(monkeypatch: pytest.MonkeyPatch, name: str, steady: bool) -> None:
    """wrk takes the next request whenever it tries again to send the beginning of one."""
    told: list[bool] = []
    monkeypatch.setattr(loads, "run_wrk", lambda *_, steady: told.append(steady))
    url = "https://127.0.0.1:1" if name.endswith("TLS") else "http://127.0.0.1:1"
    store: Any = SimpleNamespace(server=SimpleNamespace(url=url), scale=Scale(written=1, large=1), signer=SIGNER)
    next(one for one in workloads(store.scale) if one.name == name).load(store, 1, 0.1)
    assert told == [steady]
