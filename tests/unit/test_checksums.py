"""Checksums of whole objects, made from those of their parts."""

from __future__ import annotations

import base64
import hashlib
import random
import zlib
from collections.abc import Callable

import pytest

from post3._chunker import crc32c, crc64nvme
from post3.errors import InvalidRequest
from post3.model.checksums import (
    DEFAULT_TYPES,
    DIGEST_SIZES,
    check_type,
    combine,
    composite,
    encode,
    etag_of_parts,
    full_object,
    parse_algorithm,
)

CRCS: dict[str, Callable[[bytes], int]] = {"crc32": zlib.crc32, "crc32c": crc32c, "crc64nvme": crc64nvme}
DATA = random.Random(2).randbytes(100_000)


@pytest.mark.parametrize("algorithm", CRCS)
@pytest.mark.parametrize("place", [0, 1, 7, 50_000, 99_999, 100_000])
def test_the_crc_of_a_whole_comes_from_those_of_its_halves(algorithm: str, place: int) -> None:
    crc = CRCS[algorithm]
    first, second = DATA[:place], DATA[place:]
    assert combine(algorithm, crc(first), crc(second), len(second)) == crc(DATA)


@pytest.mark.parametrize("algorithm", CRCS)
def test_a_crc_can_be_combined_over_terabytes(algorithm: str) -> None:
    """Of so many zeros and one more, whichever comes first."""
    one = CRCS[algorithm](bytes(1))
    many, size = one, 1
    while size < 2**43:
        many, size = combine(algorithm, many, many, size), 2 * size
    assert combine(algorithm, many, one, 1) == combine(algorithm, one, many, size)


@pytest.mark.parametrize("algorithm", CRCS)
def test_a_full_object_value_is_that_of_the_bytes(algorithm: str) -> None:
    crc, size = CRCS[algorithm], DIGEST_SIZES[algorithm]
    pieces = [DATA[:10], b"", DATA[10:60_000], DATA[60_000:]]
    parts = [(encode(crc(piece).to_bytes(size, "big")), len(piece)) for piece in pieces]
    assert full_object(algorithm, parts) == encode(crc(DATA).to_bytes(size, "big"))
    assert full_object(algorithm, parts[:1]) == parts[0][0]


def test_the_published_check_values_hold() -> None:
    """Of `123456789`, as https://reveng.sourceforge.io/crc-catalogue/all.htm has them."""
    values = {"crc32": 0xCBF43926, "crc32c": 0xE3069283, "crc64nvme": 0xAE8B14860A799888}
    for algorithm, value in values.items():
        crc = CRCS[algorithm]
        assert crc(b"123456789") == value
        assert combine(algorithm, crc(b"1234"), crc(b"56789"), 5) == value


def test_a_composite_value_is_the_digest_of_digests_and_their_count() -> None:
    digests = [hashlib.sha256(part).digest() for part in (b"a", b"b", b"c")]
    whole = composite("sha256", lambda data: hashlib.sha256(data).digest(), [encode(digest) for digest in digests])
    assert whole == base64.b64encode(hashlib.sha256(b"".join(digests)).digest()).decode() + "-3"


def test_the_etag_of_parts_is_the_md5_of_md5s_and_their_count() -> None:
    md5s = [hashlib.md5(part, usedforsecurity=False) for part in (b"a", b"b")]
    expected = hashlib.md5(b"".join(md5.digest() for md5 in md5s), usedforsecurity=False).hexdigest()
    assert etag_of_parts([md5.hexdigest() for md5 in md5s]) == f"{expected}-2"


@pytest.mark.parametrize("algorithm", DIGEST_SIZES)
def test_each_algorithm_has_a_default_type(algorithm: str) -> None:
    assert check_type(algorithm, None) == DEFAULT_TYPES[algorithm]
    assert check_type(algorithm, DEFAULT_TYPES[algorithm]) == DEFAULT_TYPES[algorithm]


@pytest.mark.parametrize(
    ("algorithm", "checksum_type"),
    [
        ("sha1", "FULL_OBJECT"),
        ("sha256", "FULL_OBJECT"),
        ("crc64nvme", "COMPOSITE"),
        ("crc32", "composite"),
        ("crc32", ""),
    ],
)
def test_pairs_that_do_not_exist_are_refused(algorithm: str, checksum_type: str) -> None:
    with pytest.raises(InvalidRequest):
        check_type(algorithm, checksum_type)


@pytest.mark.parametrize("algorithm", ["crc32", "crc32c"])
def test_two_crcs_can_be_either(algorithm: str) -> None:
    assert check_type(algorithm, "FULL_OBJECT") == "FULL_OBJECT"
    assert check_type(algorithm, "COMPOSITE") == "COMPOSITE"


def test_an_algorithm_is_known_in_any_case() -> None:
    assert parse_algorithm(None) == ""
    assert parse_algorithm("CRC64NVME") == "crc64nvme"
    for name in ("", "MD5", "crc-32"):
        with pytest.raises(InvalidRequest):
            parse_algorithm(name)
