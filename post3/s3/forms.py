"""The body of a browser's upload form: `multipart/form-data`, of which one part is the file and the rest are fields.

    body      = [preamble CRLF] "--" boundary line *part "--" boundary "--" *padding [CRLF epilogue]
    part      = headers CRLF bytes CRLF "--" boundary line
    line      = *padding CRLF                                   padding is spaces and tabs
    headers   = 1*(name ":" value CRLF)                         Content-Disposition: form-data; name="…"; filename="…"

The decoder is a machine of four states. Bytes go in as they arrive, split anywhere; events come out:

    CONTENT --CRLF "--" boundary--> BOUNDARY LINE --CRLF--> HEADERS --empty line--> CONTENT
                                         `---"--"---> EPILOGUE

What content means changes as the parts go by: the preamble is dropped, fields are kept, the file is handed on, and
whatever follows the file is dropped again, as S3 does.

- The file is handed on as it comes, as views of what was fed: nothing is copied, and it may have any size. Only a
  delimiter that is cut in two has to be remembered, and of that only how many bytes have come: its one carriage return
  is its first byte, so bytes that turn out not to be a delimiter cannot hold the beginning of another.
- All that comes before the file's first byte, boundaries and headers included, is bounded together; that bounds the
  fields' number and size as well. What follows the file is not kept, but its headers and the parts' number are bounded.
- Names of fields are case-insensitive and lower case here. The values of fields of one name are joined by commas in
  the order sent: that is what a policy's conditions are to be compared with.
- The file is the part called `file`; a filename does not make one, as some clients give every field a filename.
- A line that begins with a delimiter and goes on in another way is refused: RFC 2046 forbids it inside a part, and
  another parser on the way may have seen an end there. So are line ends other than CRLF.

Fields and filenames may hold any character that UTF-8 can say, line breaks included: whoever puts them into a header
must see to that.

Sources: RFC 7578, RFC 2046 (5.1.1),
https://html.spec.whatwg.org/multipage/form-control-infrastructure.html#multipart-form-data,
https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-HTTPPOSTForms.html,
https://docs.aws.amazon.com/AmazonS3/latest/userguide/HTTPPOSTForms.html (fields of one name)
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from enum import Enum, auto
from typing import Final, NamedTuple, TypeAlias
from urllib.parse import unquote

from post3.errors import InvalidArgument, MalformedPOSTRequest, MaxPostPreDataLengthExceededError, PreconditionFailed

Buffer: TypeAlias = bytes | memoryview

MAX_FORM: Final = 20_480
"""Bytes of everything before the file's first one: "20 KB", and the figure in S3's own error."""
MAX_HEADERS: Final = 8192
"""Bytes of one part's headers."""
MAX_PARTS: Final = 1000
"""Parts of a form, those behind the file counted too."""
MAX_PADDING: Final = 256
"""Bytes of a boundary's line behind the boundary. Nobody sends any; gateways were allowed to."""
FILE_FIELD: Final = "file"

_CRLF: Final = b"\r\n"
_EMPTY_LINE: Final = b"\r\n\r\n"
_BOUNDARY: Final = re.compile(r"[0-9A-Za-z'()+_,./:=? -]{0,69}[0-9A-Za-z'()+_,./:=?-]")
_LINE: Final = re.compile(rb"(--)?[ \t]*")
_LAST_LINE: Final = re.compile(rb"--[ \t]*")
_HEADER: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+:[^\x00-\x08\x0a-\x1f\x7f]*")
_PARAMETER: Final = re.compile(
    r"""[ \t]*;[ \t]*(?:([!#$%&'*+.^_`|~0-9A-Za-z-]+)=(?:"((?:[^"\\]|\\.)*)"|([^\s;"\\]+)))?"""
)
_EXTENDED: Final = re.compile(r"utf-8'[^']*'([!#$&+.^_`|~0-9a-z%-]*)", re.IGNORECASE)
_QUOTED_PAIR: Final = re.compile(r'\\(["\\])')
"""Only of these two: browsers send a path's backslashes as they are."""
_BROWSER_ESCAPES: Final = {"%22": '"', "%0D": "\r", "%0A": "\n"}
_BROWSER_ESCAPE: Final = re.compile("%22|%0D|%0A", re.IGNORECASE)
_IDENTITIES: Final = frozenset({"", "7bit", "8bit", "binary"})
"""Content-Transfer-Encodings that encode nothing."""


class FieldsReady(NamedTuple):
    """All fields, once the file begins; its bytes follow as Data."""

    fields: Mapping[str, str]
    """By lower-case name, in the order sent."""
    filename: str | None
    """Of the file: what stands behind the last slash or backslash. None when the part tells none, empty when nobody
    chose a file."""
    content_type: str
    """Of the file's part; empty when it tells none."""


class Data(NamedTuple):
    """Bytes of the file."""

    data: Buffer
    """A view of what was fed."""


class End(NamedTuple):
    """The file is whole. Whether the form is too, only finish() tells."""


Event: TypeAlias = FieldsReady | Data | End
_Step: TypeAlias = tuple[Event | None, int]
"""An event, and the position behind what made it."""


class _Part(NamedTuple):
    """What a part's headers tell."""

    name: str
    filename: str | None
    content_type: str


class _Content(Enum):
    """What the bytes between two delimiters are."""

    PREAMBLE = auto()
    FIELD = auto()
    FILE = auto()
    IGNORED = auto()


def parse_boundary(content_type: str) -> bytes:
    """The boundary that a request's Content-Type names.

    Raises PreconditionFailed for another media type, as S3 does, and MalformedPOSTRequest for a boundary that is
    missing, or not one to RFC 2046.
    """
    media_type, separator, rest = content_type.partition(";")
    if media_type.strip().lower() != "multipart/form-data":
        raise PreconditionFailed(Condition="Bucket POST must be of the enclosure-type multipart/form-data")
    boundary = _parameters(separator + rest.rstrip()).get("boundary", "")
    if not _BOUNDARY.fullmatch(boundary):
        raise MalformedPOSTRequest
    return boundary.encode("ascii")


class FormDecoder:
    """One form's decoder. After an error it is of no more use."""

    def __init__(self, boundary: bytes) -> None:
        self._delimiter = b"\r\n--" + boundary
        self._state: Callable[[bytes, int], _Step] = self._content
        self._kind = _Content.PREAMBLE
        self._matched = self._implied = 2  # bytes of a delimiter that have come; those that a line before it gave
        self._held = b""  # what has come of a line, or of headers, that are not whole yet
        self._size = 0  # bytes before the file, counted until it begins
        self._parts = 0
        self._name = ""  # of the field whose value comes
        self._value = bytearray()
        self._fields: dict[str, str] = {}

    def feed(self, data: bytes) -> Iterator[Event]:
        """What these bytes mean, as an iterator to be run to its end before the next bytes are fed.

        Raises MalformedPOSTRequest, MaxPostPreDataLengthExceededError, and InvalidArgument for a form without a file
        or with several.
        """
        position, size = 0, len(data)
        form = data[: MAX_FORM - self._size]
        self._size += len(form)
        while position < size:
            if not self._is_before_file:
                event, position = self._state(data, position)
            elif position < len(form):
                event, position = self._state(form, position)
            else:
                raise MaxPostPreDataLengthExceededError(MaxPostPreDataLengthBytes=MAX_FORM)
            if event is not None:
                yield event

    def finish(self) -> None:
        """Raise MalformedPOSTRequest unless the form was whole: no more bytes will come. InvalidArgument if it had no
        file."""
        if self._state == self._boundary_line and _LAST_LINE.fullmatch(self._held):
            self._close()
        if self._state != self._epilogue:
            raise MalformedPOSTRequest

    @property
    def _is_before_file(self) -> bool:
        return self._kind in (_Content.PREAMBLE, _Content.FIELD)

    def _content(self, data: bytes, position: int) -> _Step:
        start = position if self._matched else self._find_delimiter(data, position)
        if start > position:
            whole = position == 0 and start == len(data)
            return self._take(data if whole else memoryview(data)[position:start]), start
        return self._match_delimiter(data, position)

    def _find_delimiter(self, data: bytes, position: int) -> int:
        """Where the next delimiter begins, or perhaps begins because the data end within it; else the data's end."""
        start = data.find(self._delimiter, position)
        if start >= 0:
            return start
        start = data.rfind(b"\r", max(position, len(data) - len(self._delimiter) + 1))
        return start if start >= 0 and self._delimiter.startswith(data[start:]) else len(data)

    def _match_delimiter(self, data: bytes, position: int) -> _Step:
        """One more piece of what has begun like a delimiter; if it is none, what came of it before is content."""
        piece = data[position : position + len(self._delimiter) - self._matched]
        if not self._delimiter.startswith(piece, self._matched):
            content = self._delimiter[self._implied : self._matched]
            self._matched = self._implied = 0
            return self._take(content) if content else None, position
        self._matched += len(piece)
        if self._matched < len(self._delimiter):
            return None, position + len(piece)
        self._matched = self._implied = 0
        self._state = self._boundary_line
        return self._end_part(), position + len(piece)

    def _take(self, content: Buffer) -> Data | None:
        if self._kind is _Content.FILE:
            return Data(content)
        if self._kind is _Content.FIELD:
            self._value += content
        return None

    def _end_part(self) -> End | None:
        if self._kind is _Content.FILE:
            self._kind = _Content.IGNORED
            return End()
        if self._kind is _Content.FIELD:
            value = _decode(bytes(self._value))
            self._value.clear()
            before = self._fields.get(self._name)
            self._fields[self._name] = value if before is None else f"{before},{value}"
        return None

    def _boundary_line(self, data: bytes, position: int) -> _Step:
        line, position = self._read_until(_CRLF, MAX_PADDING, data, position)
        if line is None:
            return None, position
        match = _LINE.fullmatch(line)
        if match is None:
            raise MalformedPOSTRequest
        if match[1]:
            self._close()
        else:
            self._state = self._headers
        return None, position

    def _close(self) -> None:
        if self._is_before_file:
            raise _not_one_file(0)
        self._state = self._epilogue

    def _headers(self, data: bytes, position: int) -> _Step:
        headers, position = self._read_until(_EMPTY_LINE, MAX_HEADERS, data, position)
        if headers is None:
            return None, position
        self._parts += 1
        if self._parts > MAX_PARTS:
            raise MalformedPOSTRequest
        self._state = self._content
        self._matched = self._implied = len(_CRLF)  # a part may have no content and no line end of its own
        return self._begin_part(_parse_part(headers)), position

    def _begin_part(self, part: _Part) -> FieldsReady | None:
        is_file = part.name.lower() == FILE_FIELD
        if not self._is_before_file:
            if is_file:
                raise _not_one_file(2)
            return None
        self._kind = _Content.FILE if is_file else _Content.FIELD
        self._name = part.name.lower()
        return FieldsReady(self._fields, part.filename, part.content_type) if is_file else None

    def _epilogue(self, data: bytes, _position: int) -> _Step:
        return None, len(data)

    def _read_until(self, end: bytes, limit: int, data: bytes, position: int) -> tuple[bytes | None, int]:
        """The bytes before `end`, and the position behind it; None while it has not come."""
        held = len(self._held)
        piece = data[position : position + limit + len(end) - held]
        self._held += piece
        found = self._held.find(end, max(0, held - len(end) + 1))
        if found < 0:
            if len(self._held) == limit + len(end):
                raise MalformedPOSTRequest
            return None, position + len(piece)
        taken, self._held = self._held[:found], b""
        return taken, position + found + len(end) - held


def _not_one_file(count: int) -> InvalidArgument:
    return InvalidArgument(
        "POST requires exactly one file upload per request.", ArgumentName=FILE_FIELD, ArgumentValue=count
    )


def _parse_part(headers: bytes) -> _Part:
    """What a part's headers tell. Raises MalformedPOSTRequest."""
    told = _parse_headers(headers)
    disposition, separator, rest = told.get("content-disposition", "").partition(";")
    parameters = _parameters(separator + rest)
    name = _text_parameter(parameters, "name")
    encoding = told.get("content-transfer-encoding", "").lower()
    if disposition.strip().lower() != "form-data" or name is None or encoding not in _IDENTITIES:
        raise MalformedPOSTRequest
    filename = _text_parameter(parameters, "filename")
    return _Part(name, None if filename is None else _last_component(filename), told.get("content-type", ""))


def _parse_headers(headers: bytes) -> dict[str, str]:
    """The headers by lower-case name, each at most once."""
    told: dict[str, str] = {}
    for line in _decode(headers).split("\r\n"):
        if not _HEADER.fullmatch(line):
            raise MalformedPOSTRequest
        name, _, value = line.partition(":")
        if name.lower() in told:
            raise MalformedPOSTRequest
        told[name.lower()] = value.strip(" \t")
    return told


def _parameters(text: str) -> dict[str, str]:
    """The parameters behind a header's value, by lower-case name. Raises MalformedPOSTRequest."""
    told: dict[str, str] = {}
    position = 0
    while position < len(text):
        match = _PARAMETER.match(text, position)
        if match is None:
            raise MalformedPOSTRequest
        position = match.end()
        name, quoted, token = match.groups()
        if name is None:
            continue
        if name.lower() in told:
            raise MalformedPOSTRequest
        told[name.lower()] = token if quoted is None else _QUOTED_PAIR.sub(r"\1", quoted)
    return told


def _text_parameter(parameters: Mapping[str, str], name: str) -> str | None:
    """A parameter that is text for people: extended (RFC 8187) if it is there so, else escaped as browsers do."""
    extended = parameters.get(f"{name}*")
    if extended is None:
        plain = parameters.get(name)
        return None if plain is None else _BROWSER_ESCAPE.sub(lambda match: _BROWSER_ESCAPES[match[0].upper()], plain)
    match = _EXTENDED.fullmatch(extended)
    if match is None:
        raise MalformedPOSTRequest
    try:
        return unquote(match[1], errors="strict")
    except UnicodeDecodeError:
        raise MalformedPOSTRequest from None


def _last_component(path: str) -> str:
    return re.split(r"[/\\]", path)[-1]


def _decode(data: bytes) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        raise MalformedPOSTRequest from None
