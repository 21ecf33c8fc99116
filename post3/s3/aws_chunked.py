"""The framing that SDKs put around a body which they sign or check while they send it: `Content-Encoding: aws-chunked`.

A body is a run of chunks, the last of them empty, and behind it perhaps trailers:

    body     = *chunk last trailers CRLF
    chunk    = size [signature] CRLF bytes CRLF          size in hexadecimal, counting the bytes alone
    last     = 0 [signature] CRLF
    signature = ";chunk-signature=" hex
    trailers = *(name ":" value CRLF) ["x-amz-trailer-signature:" hex CRLF]

Which of the optional things are there is told by the header x-amz-content-sha256, and by nothing in the body:

    STREAMING-UNSIGNED-PAYLOAD-TRAILER              no signatures, trailers
    STREAMING-AWS4-HMAC-SHA256-PAYLOAD              signatures, no trailers
    STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER      signatures, trailers, and a signature of the trailers
    …-ECDSA-P256-SHA256-…                           the same; signatures are padded with asterisks

It looks like the chunks of HTTP/1.1 and lies inside them: this framing belongs to S3 and passes through every proxy.

The decoder is a machine of five states. Bytes go in as they arrive, split anywhere; events come out:

    HEADER --size > 0--> DATA --all bytes--> BOUNDARY --CRLF--> HEADER
       `-----size 0----> TRAILERS --empty line--> ENDED

- A chunk's bytes are handed on as they come, as views of what was fed: nothing is copied and a chunk has no largest
  size (SDKs send 40 MiB as one). Only lines are kept until they are whole, and those are bounded.
- Every chunk but the last one with bytes has at least 8 KiB, as S3 demands. So a body cannot cost a thousand times its
  size in work by consisting of chunks of one byte.
- Signatures are parsed and handed out, not verified: that needs the key. Whoever verifies them hashes the Data events
  between a ChunkStart and the next.

Errors are those of S3 itself: broken framing is IncompleteBody, a bad trailer MalformedTrailerError.

Sources: https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming.html,
https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming-trailers.html
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Final, NamedTuple, TypeAlias

from post3.errors import IncompleteBody, InvalidChunkSizeError, InvalidRequest, MalformedTrailerError

Buffer: TypeAlias = bytes | memoryview

MAX_LINE: Final = 4096
"""Bytes of a chunk's header or of one trailer."""
MAX_TRAILERS: Final = 16_384
"""Bytes of all trailers together."""
MIN_CHUNK: Final = 8192
"""Bytes of every chunk but the last one that has any."""
TRAILER_SIGNATURE: Final = "x-amz-trailer-signature"

_CRLF: Final = b"\r\n"
_UNSIGNED_HEADER: Final = re.compile(rb"([0-9a-fA-F]{1,16})()")
_SIGNED_HEADER: Final = re.compile(rb"([0-9a-fA-F]{1,16});chunk-signature=([0-9a-fA-F]+\**)")
_TRAILER: Final = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+)[ \t]*:([\t\n\x20-\x7e]*)")
"""A token (RFC 9110, 5.6.2) and printable text. Some senders end the value with a line feed before the CRLF."""


class Form(NamedTuple):
    """What a body's framing carries besides bytes."""

    signed: bool
    trailers: bool


FORMS: Final[Mapping[str, Form]] = {
    "STREAMING-UNSIGNED-PAYLOAD-TRAILER": Form(signed=False, trailers=True),
    "STREAMING-AWS4-HMAC-SHA256-PAYLOAD": Form(signed=True, trailers=False),
    "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER": Form(signed=True, trailers=True),
    "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD": Form(signed=True, trailers=False),
    "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD-TRAILER": Form(signed=True, trailers=True),
}
"""By the value of x-amz-content-sha256."""


class ChunkStart(NamedTuple):
    """A chunk begins; its bytes follow as Data. The last one has none."""

    size: int
    signature: str
    """Hexadecimal, empty in the unsigned form."""


class Data(NamedTuple):
    """Bytes of the chunk that began last."""

    data: Buffer
    """A view of what was fed."""


class Trailers(NamedTuple):
    """All trailers, once they are whole; also when there are none."""

    values: Mapping[str, str]
    """By lower-case name, in the order sent."""
    signature: str
    """Hexadecimal, empty in the unsigned form."""


class End(NamedTuple):
    """The body is whole; nothing may follow."""


Event: TypeAlias = ChunkStart | Data | Trailers | End
_Step: TypeAlias = tuple[Event | None, int]
"""An event, and the position behind what made it."""


class Decoder:
    """One body's decoder. After an error it is of no more use."""

    def __init__(self, form: Form) -> None:
        self._form = form
        self._state: Callable[[bytes, int], _Step] = self._header
        self._line = b""  # what has come of a line that is not whole yet
        self._left = 0  # bytes still to come of the present chunk
        self._chunks = 0
        self._size = MIN_CHUNK  # of the chunk that began last
        self._trailers: dict[str, str] = {}
        self._trailers_size = 0

    @property
    def ended(self) -> bool:
        """Whether the body is whole."""
        return self._state == self._behind

    def feed(self, data: bytes) -> Iterator[Event]:
        """What these bytes mean, as an iterator to be run to its end before the next bytes are fed.

        Raises IncompleteBody, InvalidChunkSizeError, MalformedTrailerError, and InvalidRequest for bytes behind the
        end.
        """
        position, size = 0, len(data)
        while position < size:
            event, position = self._state(data, position)
            if event is not None:
                yield event
                if isinstance(event, Trailers):
                    yield End()

    def finish(self) -> None:
        """Raise IncompleteBody unless the body was whole: no more bytes will come."""
        if not self.ended:
            raise _broken()

    def _header(self, data: bytes, position: int) -> _Step:
        line, position = self._read_line(data, position)
        if line is None:
            return None, position
        match = (_SIGNED_HEADER if self._form.signed else _UNSIGNED_HEADER).fullmatch(line)
        if match is None:
            raise _broken()
        size = int(match[1], 16)
        self._chunks += 1
        if size and self._size < MIN_CHUNK:
            raise InvalidChunkSizeError(Chunk=self._chunks, BadChunkSize=self._size)
        self._size = self._left = size
        self._state = self._data if size else self._trailer
        return ChunkStart(size, match[2].decode("ascii")), position

    def _data(self, data: bytes, position: int) -> _Step:
        stop = min(len(data), position + self._left)
        self._left -= stop - position
        if not self._left:
            self._state = self._boundary
        whole = position == 0 and stop == len(data)
        return Data(data if whole else memoryview(data)[position:stop]), stop

    def _boundary(self, data: bytes, position: int) -> _Step:
        stop = position + 2 - len(self._line)
        self._line += data[position:stop]
        if not _CRLF.startswith(self._line):
            raise _broken()
        if self._line == _CRLF:
            self._line = b""
            self._state = self._header
        return None, min(stop, len(data))

    def _trailer(self, data: bytes, position: int) -> _Step:
        line, position = self._read_line(data, position)
        if line is None:
            return None, position
        if line:
            self._add_trailer(line)
            return None, position
        signature = self._trailers.pop(TRAILER_SIGNATURE, "") if self._form.signed else ""
        if self._form == (True, True) and not signature:
            raise MalformedTrailerError
        self._state = self._behind
        return Trailers(self._trailers, signature), position

    def _add_trailer(self, line: bytes) -> None:
        match = _TRAILER.fullmatch(line)
        self._trailers_size += len(line)
        if match is None or not self._form.trailers or self._trailers_size > MAX_TRAILERS:
            raise MalformedTrailerError
        name, value = match[1].decode("ascii").lower(), match[2].decode("ascii").strip()
        is_behind_signature = self._form.signed and TRAILER_SIGNATURE in self._trailers
        if name in self._trailers or is_behind_signature or "\n" in value:
            raise MalformedTrailerError
        self._trailers[name] = value

    def _behind(self, _data: bytes, _position: int) -> _Step:
        raise InvalidRequest("The request body goes on behind its last chunk.")

    def _read_line(self, data: bytes, position: int) -> tuple[bytes | None, int]:
        """The line that ends at the next CRLF, and the position behind it; None while it has not come whole."""
        if self._line.endswith(b"\r") and data[position] == 0x0A:
            line, stop = self._line[:-1], position + 1
        else:
            end = data.find(_CRLF, position, position + MAX_LINE + 2)
            if end < 0:
                return None, self._keep(data, position)
            line, stop = self._line + data[position:end], end + 2
        if len(line) > MAX_LINE:
            raise _broken()
        self._line = b""
        return line, stop

    def _keep(self, data: bytes, position: int) -> int:
        """Keep the beginning of a line; the position behind it."""
        self._line += data[position : position + MAX_LINE + 2]
        if len(self._line) > MAX_LINE + (1 if self._line.endswith(b"\r") else 0):
            raise _broken()
        return len(data)


def _broken() -> IncompleteBody:
    return IncompleteBody("The request body terminated unexpectedly")
