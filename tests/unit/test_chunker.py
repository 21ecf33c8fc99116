"""What the chunker must give, by a ten-line reference, by the standard library and by published values."""

import copy
import hashlib
import pickle
import random
import sys
import threading
import tracemalloc
import zlib
from array import array
from collections.abc import Callable, Iterator
from functools import cache, partial
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from post3 import _chunker
from post3._chunker import BLOCK_SIZE, PIECE_SIZE, Chunker, crc32, crc32c, crc64nvme, piece_crcs

ALGORITHMS = ("crc32", "crc32c", "crc64nvme", "sha1", "sha256")
CRC32 = 0xEDB88320
CRC32C = 0x82F63B78
CRC64NVME = 0x9A6C9329AC4BC9B5
CRCS = [(crc32, CRC32, 32), (crc32c, CRC32C, 32), (crc64nvme, CRC64NVME, 64)]
SIZES = (
    *(0, 1, 55, 56, 63, 64, 65, 119, 120, 128, 2047, 2048, 4096),
    *(PIECE_SIZE - 1, PIECE_SIZE, PIECE_SIZE + 1, 2 * PIECE_SIZE + 63),
    *(BLOCK_SIZE - 1, BLOCK_SIZE, BLOCK_SIZE + 1, 2 * BLOCK_SIZE, 3 * BLOCK_SIZE + PIECE_SIZE + 77),
)
BODY = random.Random(1321).randbytes(max(SIZES))

Blocks = list[tuple[bytes, bytes]]


@pytest.fixture(scope="module", params=["fast", "tables"], autouse=True)
def path(request: pytest.FixtureRequest) -> Iterator[str]:
    """Every test runs on both ways to compute a CRC; without carry-less multiplication they are the same."""
    _chunker._use_tables(request.param == "tables")
    yield request.param
    _chunker._use_tables(False)


# --- The reference ----------------------------------------------------------------------------------------------


@cache
def remainders(polynomial: int) -> list[int]:
    values = list(range(256))
    for _ in range(8):
        values = [value >> 1 ^ (polynomial if value & 1 else 0) for value in values]
    return values


def reference_crc(data: bytes, polynomial: int, width: int) -> int:
    table, ones = remainders(polynomial), (1 << width) - 1
    value = ones
    for byte in data:
        value = table[(value ^ byte) & 255] ^ value >> 8
    return value ^ ones


def cut(data: bytes, size: int) -> list[bytes]:
    return [data[start : start + size] for start in range(0, len(data), size)]


def reference_crcs(block: bytes) -> bytes:
    return b"".join(reference_crc(piece, CRC64NVME, 64).to_bytes(8, "big") for piece in cut(block, PIECE_SIZE))


@cache
def reference_blocks(size: int) -> Blocks:
    return [(block, reference_crcs(block)) for block in cut(BODY[:size], BLOCK_SIZE)]


@cache
def reference_digests(size: int) -> dict[str, bytes]:
    body = BODY[:size]
    return {
        "crc32": zlib.crc32(body).to_bytes(4, "big"),
        "crc32c": reference_crc(body, CRC32C, 32).to_bytes(4, "big"),
        "crc64nvme": reference_crc(body, CRC64NVME, 64).to_bytes(8, "big"),
        "sha1": hashlib.sha1(body, usedforsecurity=False).digest(),
        "sha256": hashlib.sha256(body).digest(),
    }


def md5(data: bytes) -> bytes:
    return hashlib.md5(data, usedforsecurity=False).digest()


def fed(chunker: Chunker, *pieces: bytes | bytearray) -> Blocks:
    """All blocks of a body that arrives in these pieces."""
    blocks = [block for piece in pieces for block in chunker.feed(piece)]
    return blocks + chunker.finish()


def cuts_of(size: int) -> st.SearchStrategy[list[int]]:
    """Where to cut a body: anywhere, around every boundary, and twice at one place, for an empty piece."""
    near = {place + by for place in range(0, size + 1, PIECE_SIZE) for by in (-64, -1, 0, 1, 63)}
    places = st.integers(0, size) | st.sampled_from(sorted(place for place in near if 0 <= place <= size))
    return st.lists(places, max_size=40).map(lambda cuts: sorted([0, *cuts, size]))


# --- Published values -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("message", "digest"),
    [
        (b"", "d41d8cd98f00b204e9800998ecf8427e"),
        (b"a", "0cc175b9c0f1b6a831c399e269772661"),
        (b"abc", "900150983cd24fb0d6963f7d28e17f72"),
        (b"message digest", "f96b697d7cb7938d525a2f31aaf161d0"),
        (b"abcdefghijklmnopqrstuvwxyz", "c3fcd3d76192e4007dfb496cca67e13b"),
        (b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789", "d174ab98d277d9f5a5611c2c9f419d9f"),
        (b"1234567890" * 8, "57edf4a22be3c955ac49da2e2107b67a"),
    ],
)
def test_md5_gives_the_suite_of_rfc_1321(message: bytes, digest: str) -> None:
    chunker = Chunker()
    fed(chunker, message)
    assert chunker.md5().hex() == digest
    assert _chunker._md5(message).hex() == digest


@pytest.mark.parametrize(
    ("crc", "check"),
    [(crc32, 0xCBF43926), (crc32c, 0xE3069283), (crc64nvme, 0xAE8B14860A799888)],
)
def test_crcs_give_the_check_values_of_the_catalogue(crc: Callable[[bytes], int], check: int) -> None:
    assert crc(b"123456789") == check
    assert crc(b"") == 0


@pytest.mark.parametrize(
    ("message", "value"),
    [
        (bytes(32), 0x8A9136AA),
        (b"\xff" * 32, 0x62A8AB43),
        (bytes(range(32)), 0x46DD794E),
        (bytes(range(31, -1, -1)), 0x113FDB5C),
    ],
)
def test_crc32c_gives_the_examples_of_rfc_3720(message: bytes, value: int) -> None:
    assert crc32c(message) == value


@pytest.mark.parametrize(
    ("message", "value"),
    [
        (bytes(4096), 0x6482D367EB22B64E),
        (b"\xff" * 4096, 0xC0DDBA7302ECA3AC),
        (bytes(range(256)) * 16, 0x3E729F5F6750449C),
        (bytes(range(255, -1, -1)) * 16, 0x9A2DF64B8E9E517E),
    ],
)
def test_crc64nvme_gives_the_examples_of_the_nvme_specification(message: bytes, value: int) -> None:
    assert crc64nvme(message) == value


# --- CRCs -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("crc", "polynomial", "width"), CRCS)
def test_crcs_of_every_length_agree_with_the_reference(
    crc: Callable[[bytes], int], polynomial: int, width: int
) -> None:
    for size in range(300):
        assert crc(BODY[:size]) == reference_crc(BODY[:size], polynomial, width)


@pytest.mark.parametrize(("crc", "polynomial", "width"), CRCS)
@given(data=st.binary(max_size=1000), start=st.integers(0, 40), stop=st.integers(0, 1000))
@settings(deadline=None)
def test_crcs_at_any_address_continue_from_what_came_before(
    crc: Callable[..., int], polynomial: int, width: int, data: bytes, start: int, stop: int
) -> None:
    data = data[start:]
    first, second = memoryview(data)[:stop], memoryview(data)[stop:]
    assert crc(second, crc(first)) == crc(data) == reference_crc(data, polynomial, width)


def test_crc32_is_that_of_zlib() -> None:
    assert crc32(BODY) == zlib.crc32(BODY)
    assert crc32(BODY, value=7) == zlib.crc32(BODY, 7)


def test_tables_and_the_fast_path_agree(path: str) -> None:
    body = memoryview(BODY)[: 2 * PIECE_SIZE]
    both = []
    for tables in (True, False):
        _chunker._use_tables(tables)
        both.append([crc(body[start:]) for crc, _, _ in CRCS for start in range(100)])
    _chunker._use_tables(path == "tables")
    assert both[0] == both[1]


@pytest.mark.parametrize("value", [-1, 1 << 64])
def test_a_value_that_is_no_crc_is_refused(value: int) -> None:
    for crc, _, _ in CRCS:
        with pytest.raises(OverflowError):
            crc(b"", value)
    with pytest.raises(OverflowError, match="32 bits"):
        crc32(b"", 1 << 32)


@pytest.mark.parametrize("size", SIZES)
def test_piece_crcs_are_those_of_each_piece(size: int) -> None:
    assert piece_crcs(BODY[:size]) == b"".join(crcs for _, crcs in reference_blocks(size))


# --- Blocks and digests -----------------------------------------------------------------------------------------


def test_an_empty_body_has_no_blocks() -> None:
    chunker = Chunker(ALGORITHMS)
    assert chunker.feed(b"") == []
    assert chunker.finish() == []
    assert chunker.size == 0
    assert chunker.md5() == md5(b"")
    assert {name: chunker.digest(name) for name in ALGORITHMS} == reference_digests(0)


@pytest.mark.parametrize("size", SIZES)
def test_a_body_in_one_piece_gives_its_blocks_and_digests(size: int) -> None:
    chunker = Chunker(ALGORITHMS)
    assert fed(chunker, BODY[:size]) == reference_blocks(size)
    assert chunker.size == size
    assert chunker.md5() == _chunker._md5(BODY[:size]) == md5(BODY[:size])
    assert {name: chunker.digest(name) for name in ALGORITHMS} == reference_digests(size)


@given(data=st.data(), size=st.sampled_from(SIZES), wanted=st.sets(st.sampled_from(ALGORITHMS)))
@settings(deadline=None)
def test_where_a_body_is_cut_does_not_matter(data: st.DataObject, size: int, wanted: set[str]) -> None:
    chunker = Chunker(wanted)
    cuts = data.draw(cuts_of(size))
    body = memoryview(BODY)
    blocks: Blocks = []
    for start, stop in pairwise(cuts):
        blocks += chunker.feed(body[start:stop])
        assert chunker.size == stop
        assert len(blocks) == stop // BLOCK_SIZE
    assert blocks + chunker.finish() == reference_blocks(size)
    assert chunker.md5() == md5(BODY[:size])
    assert {name: chunker.digest(name) for name in wanted} == {name: reference_digests(size)[name] for name in wanted}


@pytest.mark.parametrize("step", [1, 63, 64, 65, 1000])
def test_a_body_in_very_small_pieces_gives_the_same(step: int) -> None:
    size = 2 * PIECE_SIZE + 63
    chunker = Chunker()
    assert fed(chunker, *cut(BODY[:size], step)) == reference_blocks(size)
    assert chunker.md5() == md5(BODY[:size])


@pytest.mark.parametrize("step", [PIECE_SIZE - 1, 256_000, BLOCK_SIZE, BLOCK_SIZE + 1])
def test_a_body_in_pieces_of_a_network_gives_the_same(step: int) -> None:
    chunker = Chunker()
    assert fed(chunker, *cut(BODY, step)) == reference_blocks(len(BODY))
    assert chunker.md5() == md5(BODY)


def test_blocks_and_their_crcs_are_bytes() -> None:
    for data, crcs in fed(Chunker(), bytearray(BODY)):
        assert type(data) is bytes
        assert type(crcs) is bytes


@pytest.mark.parametrize(
    "view",
    [bytearray(BODY), memoryview(BODY), memoryview(BODY[1:])[3:], array("I", BODY[:4000]), memoryview(BODY).cast("b")],
    ids=["bytearray", "memoryview", "unaligned", "array of integers", "signed"],
)
def test_any_contiguous_buffer_is_taken(view: "bytearray | memoryview | array[int]") -> None:
    chunker = Chunker()
    blocks = chunker.feed(view) + chunker.finish()
    assert b"".join(data for data, _ in blocks) == bytes(view)
    assert chunker.md5() == md5(bytes(view))
    assert piece_crcs(view) == b"".join(crcs for _, crcs in blocks)


def test_what_is_not_a_contiguous_buffer_is_refused_and_harmless() -> None:
    chunker = Chunker()
    chunker.feed(b"before")
    for call in (chunker.feed, piece_crcs, crc32, crc32c, crc64nvme):
        with pytest.raises(BufferError, match="contiguous"):
            call(memoryview(b"abcd")[::2])
        with pytest.raises(TypeError, match="bytes-like"):
            call("text")  # type: ignore[arg-type]
    assert fed(chunker, b" and after") == [(b"before and after", piece_crcs(b"before and after"))]


def test_the_callers_buffer_may_change_afterwards() -> None:
    buffer = bytearray(BODY[:5000])
    chunker = Chunker(["sha256"])
    chunker.feed(buffer)
    buffer[:] = bytes(5000)
    buffer.clear()  # would raise BufferError while somebody holds on to it
    assert chunker.finish() == [(BODY[:5000], piece_crcs(BODY[:5000]))]
    assert chunker.digest("sha256") == hashlib.sha256(BODY[:5000]).digest()


def test_a_small_body_takes_little_memory() -> None:
    tracemalloc.start()
    try:
        chunker = Chunker()
        chunker.feed(BODY[:4096])
        blocks = chunker.finish()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert blocks[0][0] == BODY[:4096]
    assert peak < 4 * 4096


# --- Misuse -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("algorithms", [["md6"], ["crc32", "sha512"], "crc32", ["SHA256"], [1]])
def test_an_unknown_algorithm_is_named(algorithms: list[str]) -> None:
    with pytest.raises(ValueError, match=r"unknown checksum algorithm: .*(md6|sha512|c|SHA256|1)"):
        Chunker(algorithms)


def test_a_finished_chunker_takes_no_more() -> None:
    chunker = Chunker()
    chunker.finish()
    with pytest.raises(ValueError, match="finished"):
        chunker.feed(b"")
    with pytest.raises(ValueError, match="finished"):
        chunker.finish()
    assert chunker.md5() == md5(b"")


def test_digests_are_unknown_before_the_end() -> None:
    chunker = Chunker(["crc32"])
    chunker.feed(BODY)
    with pytest.raises(ValueError, match="after finish"):
        chunker.md5()
    with pytest.raises(ValueError, match="after finish"):
        chunker.digest("crc32")


def test_a_digest_that_was_not_asked_for_is_unknown() -> None:
    chunker = Chunker(["crc32"])
    chunker.finish()
    with pytest.raises(KeyError, match="sha1"):
        chunker.digest("sha1")


def test_what_failed_once_stays_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken:
        def __init__(self, *, usedforsecurity: bool) -> None: ...

        def update(self, block: bytes) -> None:
            raise MemoryError

    monkeypatch.setitem(vars(_chunker)["_SHA"], "sha1", Broken)
    for call in (partial(Chunker.feed, data=BODY), Chunker.finish):
        chunker = Chunker(["sha1"])
        chunker.feed(b"something")
        with pytest.raises(MemoryError):
            call(chunker)
        for again in (partial(chunker.feed, b""), chunker.finish, chunker.md5):
            with pytest.raises(ValueError, match=r"lost bytes|after finish"):
                again()


def test_a_chunker_can_be_neither_pickled_nor_copied() -> None:
    with pytest.raises(TypeError):
        pickle.dumps(Chunker())
    with pytest.raises(TypeError):
        copy.copy(Chunker())


def test_the_size_is_for_reading_only() -> None:
    with pytest.raises(AttributeError):
        Chunker().size = 1  # type: ignore[misc]


# --- Threads ----------------------------------------------------------------------------------------------------


@pytest.fixture
def no_preemption() -> Iterator[None]:
    """A thread loses the GIL only where it gives it away: then what another thread saw, it saw during such a call."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1000)
    yield
    sys.setswitchinterval(interval)


def repeat(call: Callable[[], object], until: threading.Event, never: threading.Event) -> threading.Thread:
    """A thread, already at work, that makes a call again and again; it says so when that was in vain."""
    begun = threading.Event()

    def work() -> None:
        begun.set()
        for _ in range(300):
            call()
            if until.is_set():
                return
        never.set()

    thread = threading.Thread(target=work)
    thread.start()
    begun.wait()
    return thread


@pytest.mark.usefixtures("no_preemption")
@pytest.mark.parametrize("call", [Chunker().feed, piece_crcs], ids=["feed", "piece_crcs"])
def test_other_threads_go_on_meanwhile(call: Callable[[bytes], object]) -> None:
    until, never = threading.Event(), threading.Event()
    thread = repeat(partial(call, BODY), until, never)
    until.set()
    thread.join()
    assert not never.is_set()


@pytest.mark.usefixtures("no_preemption")
def test_two_threads_cannot_use_one_chunker_at_once() -> None:
    chunker = Chunker()
    until, never = threading.Event(), threading.Event()
    thread = repeat(partial(chunker.feed, BODY), until, never)
    for call in (partial(chunker.feed, b"x"), chunker.finish):
        with pytest.raises(RuntimeError, match="another thread"):
            call()
    until.set()
    thread.join()
    assert chunker.size % len(BODY) == 0
    chunker.finish()
