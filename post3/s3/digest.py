"""Stored bytes digested once more, for copies whose digests are not known already."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection

from post3._chunker import Chunker
from post3.model.checksums import encode
from post3.model.object import Block


def digest(algorithm: str, data: bytes) -> bytes:
    """The digest of a few bytes, by an algorithm's name in headers."""
    chunker = Chunker((algorithm,))
    chunker.feed(data)
    chunker.finish()
    return chunker.digest(algorithm)


class Redigested:
    """The blocks of a stream of stored bytes; when it has ended, their size, ETag and checksums."""

    def __init__(self, source: AsyncIterator[bytes], algorithms: Collection[str]) -> None:
        self._source = source
        self._algorithms = tuple(algorithms)
        self._chunker = Chunker(self._algorithms)

    async def blocks(self) -> AsyncIterator[Block]:
        """The blocks, digested in a thread."""
        async for data in self._source:
            for pair in await asyncio.to_thread(self._chunker.feed, data):
                yield Block(*pair)
        for pair in self._chunker.finish():
            yield Block(*pair)

    @property
    def size(self) -> int:
        """Bytes."""
        return self._chunker.size

    @property
    def etag(self) -> str:
        """MD5 in hexadecimal."""
        return self._chunker.md5().hex()

    @property
    def checksums(self) -> dict[str, str]:
        """Base64 by algorithm."""
        return {algorithm: encode(self._chunker.digest(algorithm)) for algorithm in self._algorithms}
