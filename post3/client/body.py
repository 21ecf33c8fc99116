"""An object's bytes as they come."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from types import TracebackType
from typing import Any, Final, Self

from post3.client.calls import object_info
from post3.client.model import MiB, ObjectInfo
from post3.client.steps import Call
from post3.client.translation import translated

CHUNK: Final = MiB


class Body:
    """The bytes of an answer, to be read once; a context manager, since a connection waits behind it.

    Reading raises Damaged at the end when the bytes do not match the server's checksum, and Unreachable when the
    connection breaks.
    """

    def __init__(self, answer: Mapping[str, Any], call: Call, endpoint: str) -> None:
        self.info: ObjectInfo = object_info(call.parameters["Key"], answer)
        self._stream = answer["Body"]
        self._call = call
        self._endpoint = endpoint

    def read(self, n: int = -1, /) -> bytes:
        """So many bytes, fewer only at the end; all that is left by default."""
        data: bytes = self._told(lambda: self._stream.read(None if n < 0 else n))
        return data

    def __iter__(self) -> Iterator[bytes]:
        """The bytes in pieces of at most 1 MiB."""
        while piece := self.read(CHUNK):
            yield piece

    def close(self) -> None:
        """Give up what was not read."""
        self._stream.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def _told(self, function: Callable[[], bytes]) -> bytes:
        try:
            return function()
        except Exception as error:
            told = translated(error, self._call, self._endpoint)
            if told is error:
                raise
            raise told from error
