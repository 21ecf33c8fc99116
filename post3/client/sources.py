"""What can be stored: bytes, text, files, streams that may not rewind, iterables; each is read once, front to back."""

from __future__ import annotations

import io
import mimetypes
import os
from collections.abc import Callable, Iterable, Iterator
from typing import BinaryIO, TypeAlias, cast

from post3.client.errors import InvalidArgument

Bytes: TypeAlias = bytes | bytearray | memoryview
Source: TypeAlias = Bytes | str | os.PathLike[str] | BinaryIO | Iterable[bytes]


class Reader:
    """Bytes to store, read in pieces of any size."""

    def __init__(self, read: Callable[[int], bytes], size: int | None, close: Callable[[], None] | None = None) -> None:
        self.size = size
        """How many bytes there are from here on; None when only reading tells."""
        self._read = read
        self._close = close
        self._ahead = b""

    def read(self, size: int) -> bytes:
        """So many bytes; fewer only at the end."""
        pieces, self._ahead = [self._ahead[:size]], self._ahead[size:]
        missing = size - len(pieces[0])
        while missing and (piece := self._read(missing)):
            pieces.append(_checked(piece))
            missing -= len(piece)
        return b"".join(pieces)

    def peek(self, size: int) -> bytes:
        """The same as read, but they will be read again."""
        self._ahead = self.read(size) + self._ahead
        return self._ahead[:size]

    def close(self) -> None:
        """Close what was opened here; a stream that came open stays open."""
        if self._close is not None:
            self._close()


def open_source(source: Source) -> Reader:
    """A reader of it; text is UTF-8, a path is a file. Raises InvalidArgument for what has no bytes, and OSError."""
    if isinstance(source, str):
        source = source.encode()
    if isinstance(source, bytes | bytearray | memoryview):
        return Reader(io.BytesIO(source).read, memoryview(source).nbytes)
    if isinstance(source, os.PathLike):
        # Unbuffered, as pieces are large.
        file = open(source, "rb", buffering=0)  # noqa: SIM115  # the reader closes it
        return Reader(cast(Callable[[int], bytes], file.read), os.fstat(file.fileno()).st_size, file.close)
    if hasattr(source, "read"):
        stream = cast(BinaryIO, source)
        return Reader(stream.read, _rest_of(stream))
    if isinstance(source, Iterable):
        return Reader(_Pieces(iter(source)).read, None)
    raise InvalidArgument(
        f"A {type(source).__name__} has no bytes: give bytes, text, a path, a binary file or an iterable."
    )


def guessed_type(source: Source) -> str | None:
    """The media type that a file's name tells; of a compressed one it would be that of what is inside, so none."""
    if not isinstance(source, os.PathLike):
        return None
    kind, packed = mimetypes.guess_type(os.fspath(source))
    return kind if packed is None else None


class _Pieces:
    """An iterable of bytes, read like a file."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._rest = memoryview(b"")

    def read(self, size: int) -> bytes:
        while not self._rest:
            piece = next(self._pieces, None)
            if piece is None:
                return b""
            self._rest = memoryview(_checked(piece))
        taken, self._rest = self._rest[:size], self._rest[size:]
        return bytes(taken)


def _checked(piece: object) -> bytes:
    if not isinstance(piece, bytes | bytearray | memoryview):
        raise InvalidArgument(f"The source gives {type(piece).__name__} where bytes belong; open files in binary mode.")
    return bytes(piece)


def _rest_of(stream: BinaryIO) -> int | None:
    """How many bytes are left in a stream that can tell."""
    try:
        here = stream.tell()
        end = stream.seek(0, os.SEEK_END)
        stream.seek(here)
    except (AttributeError, OSError, ValueError):
        return None
    return max(0, end - here)
