"""Whether a file's bytes are an object's: which of the digests that a server tells can be computed here.

The MD5 of an ETag, where it is one, else a checksum of the whole object. An object made by parts elsewhere may have
neither: then its size and the ETag that every range was asked under are all there is to compare.
Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity.html
"""

from __future__ import annotations

import base64
import hashlib
import re
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

Algorithm = Literal["md5", "sha256", "sha1", "crc32"]
_MD5 = re.compile("[0-9a-f]{32}")
_WHOLE: Mapping[str, Algorithm] = {"ChecksumSHA256": "sha256", "ChecksumSHA1": "sha1", "ChecksumCRC32": "crc32"}


@dataclass(frozen=True, slots=True)
class Digest:
    """A digest that bytes should have, in lower-case hex."""

    algorithm: Algorithm
    value: str

    def fits(self, pieces: Iterable[bytes | bytearray]) -> bool:
        """Whether the bytes have it."""
        if self.algorithm == "crc32":
            crc = 0
            for piece in pieces:
                crc = zlib.crc32(piece, crc)
            return f"{crc:08x}" == self.value
        hashed = hashlib.new(self.algorithm, usedforsecurity=False)
        for piece in pieces:
            hashed.update(piece)
        return hashed.hexdigest() == self.value


def md5_of(etag: str) -> Digest | None:
    """The MD5 that an ETag is, by its look."""
    return Digest("md5", etag) if _MD5.fullmatch(etag) else None


def digest_of(answer: Mapping[str, Any]) -> Digest | None:
    """A digest of the whole object that an answer to HEAD tells, if there is one to be computed here."""
    encrypted = answer.get("ServerSideEncryption", "AES256") != "AES256" or "SSECustomerAlgorithm" in answer
    md5 = None if encrypted else md5_of(answer.get("ETag", "").strip('"'))  # else the ETag is no MD5
    if md5 is not None:
        return md5
    for name, algorithm in _WHOLE.items():
        value = answer.get(name, "")
        if value and "-" not in value and answer.get("ChecksumType", "FULL_OBJECT") == "FULL_OBJECT":
            return Digest(algorithm, base64.b64decode(value).hex())
    return None
