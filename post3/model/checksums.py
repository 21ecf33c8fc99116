"""Checksums and ETags of whole objects, made from those of their parts.

A COMPOSITE value is the digest of the parts' digests, with their count behind a dash; a FULL_OBJECT value is that of
the bytes themselves. CRCs are linear, so the CRC of a whole can be combined from those of its parts:
crc(a + b) = crc(a) · x^(8·len(b)) xor crc(b), in the polynomials over GF(2) modulo the CRC's own.
Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity.html
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Literal

from post3.errors import InvalidRequest

ChecksumType = Literal["FULL_OBJECT", "COMPOSITE"]
DIGEST_SIZES: Final = {"crc32": 4, "crc32c": 4, "crc64nvme": 8, "sha1": 20, "sha256": 32}
"""The algorithms, by their names in headers, and the bytes of their digests."""
DEFAULT_TYPES: Final[dict[str, ChecksumType]] = {
    "crc32": "COMPOSITE",
    "crc32c": "COMPOSITE",
    "crc64nvme": "FULL_OBJECT",
    "sha1": "COMPOSITE",
    "sha256": "COMPOSITE",
}
DEFAULT_ALGORITHM: Final = "crc64nvme"
"""What S3 computes when the client names no algorithm."""


@dataclass(frozen=True, slots=True)
class _Polynomial:
    """A CRC's polynomial in reflected form: the highest power in the lowest bit."""

    bits: int
    value: int

    def multiply(self, a: int, b: int) -> int:
        """a · b modulo the polynomial."""
        product = 0
        top = 1 << (self.bits - 1)
        while b:
            if b & top:
                product ^= a
            b = (b << 1) & ((top << 1) - 1)
            a = (a >> 1) ^ self.value if a & 1 else a >> 1
        return product


_POLYNOMIALS: Final = {
    "crc32": _Polynomial(32, 0xEDB88320),
    "crc32c": _Polynomial(32, 0x82F63B78),
    "crc64nvme": _Polynomial(64, 0x9A6C9329AC4BC9B5),
}


@lru_cache(maxsize=256)
def _shift(algorithm: str, size: int) -> int:
    """x^(8 · size) modulo the algorithm's polynomial; parts are mostly of one size, so few are ever computed."""
    polynomial = _POLYNOMIALS[algorithm]
    one = 1 << (polynomial.bits - 1)
    power, square, exponent = one, one >> 1, 8 * size
    while exponent:
        if exponent & 1:
            power = polynomial.multiply(power, square)
        square = polynomial.multiply(square, square)
        exponent >>= 1
    return power


def combine(algorithm: str, first: int, second: int, second_size: int) -> int:
    """The CRC of two runs of bytes, one behind the other, given the CRC of each and the second one's size in bytes."""
    return _POLYNOMIALS[algorithm].multiply(first, _shift(algorithm, second_size)) ^ second


def encode(digest: bytes) -> str:
    """A digest as headers and XML show it."""
    return base64.b64encode(digest).decode("ascii")


def full_object(algorithm: str, parts: Sequence[tuple[str, int]]) -> str:
    """The checksum of a whole object from each part's checksum (base64) and size; CRCs alone can do that."""
    total = 0
    for checksum, size in parts:
        total = combine(algorithm, total, int.from_bytes(base64.b64decode(checksum), "big"), size)
    return encode(total.to_bytes(DIGEST_SIZES[algorithm], "big"))


def composite(algorithm: str, digest: Callable[[bytes], bytes], checksums: Sequence[str]) -> str:
    """The checksum of the parts' checksums, with their count; `digest` computes the algorithm's."""
    return f"{encode(digest(b''.join(map(base64.b64decode, checksums))))}-{len(checksums)}"


def etag_of_parts(etags: Sequence[str]) -> str:
    """The ETag of an object made of parts: the MD5 of their MD5s, with their count."""
    whole = hashlib.md5(b"".join(map(bytes.fromhex, etags)), usedforsecurity=False)
    return f"{whole.hexdigest()}-{len(etags)}"


def check_type(algorithm: str, checksum_type: str | None) -> ChecksumType:
    """The type that an upload's checksum will have. Raises InvalidRequest for a pair that does not exist."""
    if checksum_type is None:
        return DEFAULT_TYPES[algorithm]
    wrong = (
        checksum_type not in ("FULL_OBJECT", "COMPOSITE")
        or (checksum_type == "FULL_OBJECT" and algorithm not in _POLYNOMIALS)
        or (checksum_type == "COMPOSITE" and algorithm == "crc64nvme")
    )
    if wrong:
        raise InvalidRequest(
            f"The {checksum_type} checksum type cannot be used with the {algorithm} checksum algorithm."
        )
    return "FULL_OBJECT" if checksum_type == "FULL_OBJECT" else "COMPOSITE"


def parse_algorithm(name: str | None) -> str:
    """An algorithm's name in lower case, empty for None. Raises InvalidRequest for one that does not exist."""
    if name is None:
        return ""
    if name.lower() not in DIGEST_SIZES:
        valid = ", ".join(algorithm.upper() for algorithm in DIGEST_SIZES)
        raise InvalidRequest(
            f"Checksum algorithm provided is unsupported. Please try again with any of the valid types: [{valid}]"
        )
    return name.lower()
