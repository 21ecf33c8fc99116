"""Digests of bytes on their way: what was read must be what its record says, before anybody can see it."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterable
from typing import Final

from post3._chunker import Chunker
from post3.model.checksums import encode, etag_of_parts
from post3.model.object import Block, Part
from post3.moving.sides import MovingError, Whole

MD5: Final = re.compile(r"[0-9a-f]{32}", re.ASCII)


def is_md5(etag: str) -> bool:
    """Whether an ETag can be the MD5 of one body."""
    return MD5.fullmatch(etag) is not None


class Digesting:
    """One part's bytes as blocks, and their digests once they have ended."""

    def __init__(self, whole: Whole, part: Part, algorithms: Iterable[str] = ()) -> None:
        """Algorithms beside those of which the record has a checksum are computed, and compared with nothing."""
        self._whole = whole
        self._part = part
        self._is_plain = part.encryption is None
        self._size = part.size if self._is_plain else part.blob.size
        self._recorded = _checksums(whole, part)
        self._algorithms = {*self._recorded, *algorithms} if self._is_plain else set()
        self._chunker = Chunker(tuple(self._algorithms))

    async def blocks(self, pieces: AsyncIterator[bytes]) -> AsyncIterator[Block]:
        """The bytes as blocks. Raises MovingError before the last of them when they are not what the record says."""
        async for piece in pieces:
            for block in self._chunker.feed(piece):
                yield Block(*block)
        rest = self._chunker.finish()
        self._check()
        for block in rest:
            yield Block(*block)

    @property
    def md5(self) -> bytes:
        """The MD5 of all of them."""
        return self._chunker.md5()

    @property
    def etag(self) -> str:
        """The part's ETag: as it is known, else as it was found."""
        return self._part.etag or self.md5.hex()

    def checksum(self, algorithm: str) -> str:
        """The checksum, in base64."""
        return encode(self._chunker.digest(algorithm))

    def _check(self) -> None:
        if self._chunker.size != self._size:
            raise self._differs("size", str(self._chunker.size), str(self._size))
        if not self._is_plain:
            return  # stored bytes are compared by the source; the record's digests are those of the plain ones
        if self._whole.proves and is_md5(self._part.etag) and self.md5.hex() != self._part.etag:
            raise self._differs("MD5", self.md5.hex(), self._part.etag)
        for algorithm, recorded in self._recorded.items():
            if self.checksum(algorithm) != recorded:
                raise self._differs(algorithm.upper(), self.checksum(algorithm), recorded)

    def _differs(self, what: str, found: str, recorded: str) -> MovingError:
        of = f"part {self._part.number}" if self._whole.version.parts else "the body"
        return MovingError(
            f"the {what} of {of} is {found}, but the record says {recorded}: the source is damaged; nothing was stored"
        )


def _checksums(whole: Whole, part: Part) -> dict[str, str]:
    """What the record says of these very bytes: of the part, and of the object where that is its only body."""
    version = whole.version
    of_object = version.checksums if not version.parts and version.checksum_type == "FULL_OBJECT" else {}
    return {**of_object, **part.checksums}


def check_etag(whole: Whole, etags: list[str]) -> None:
    """Raise MovingError when the ETag of an object in parts is none of its parts' MD5s."""
    if not (whole.proves and whole.version.parts and all(map(is_md5, etags))):
        return
    found = etag_of_parts(etags)
    if whole.version.etag.endswith(f"-{len(etags)}") and found != whole.version.etag:
        raise MovingError(
            f"the ETag of the parts is {found}, but the record says {whole.version.etag}: the source is damaged; "
            "nothing was stored"
        )
