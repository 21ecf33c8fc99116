"""Upload forms as browsers encode them, and what a decoder makes of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from post3.s3.forms import Data, End, FieldsReady, FormDecoder

BOUNDARY = b"----WebKitFormBoundary7MA4YWxkTrZu0gW"
Field = tuple[str, str | bytes]


class Decoded(NamedTuple):
    """A whole form."""

    ready: FieldsReady
    data: bytes


def encode_form(
    fields: Iterable[Field],
    data: bytes,
    *,
    filename: str | None = "photo.jpg",
    content_type: str | None = "image/jpeg",
    boundary: bytes = BOUNDARY,
    behind: Iterable[Field] = (),
) -> bytes:
    """The form's bytes: the fields, the file, and the fields behind it."""
    told = "" if content_type is None else f"\r\nContent-Type: {content_type}"
    named = "" if filename is None else f'; filename="{_escape(filename)}"'
    parts = [_part(_escape(name), value) for name, value in fields]
    parts.append(f'Content-Disposition: form-data; name="file"{named}{told}\r\n\r\n'.encode() + data)
    parts += [_part(_escape(name), value) for name, value in behind]
    return b"".join(b"--%s\r\n%s\r\n" % (boundary, part) for part in parts) + b"--%s--\r\n" % boundary


def _part(name: str, value: str | bytes) -> bytes:
    value = value if isinstance(value, bytes) else value.encode()
    return f'Content-Disposition: form-data; name="{name}"\r\n\r\n'.encode() + value


def _escape(name: str) -> str:
    return name.replace("\n", "%0A").replace("\r", "%0D").replace('"', "%22")


def decode_form(pieces: Sequence[bytes], boundary: bytes = BOUNDARY) -> Decoded:
    """The whole form, whose events must come in their order; raises what the decoder raises."""
    decoder = FormDecoder(boundary)
    ready: list[FieldsReady] = []
    data = b""
    ended = 0
    for piece in pieces:
        for event in decoder.feed(piece):
            if isinstance(event, FieldsReady):
                ready.append(event)
            elif isinstance(event, Data):
                assert ready, "bytes of the file come behind the fields"
                assert not ended, "and before the end"
                assert event.data, "and there are some"
                data += event.data
            else:
                assert isinstance(event, End)
                ended += 1
    decoder.finish()
    assert len(ready) == ended == 1
    return Decoded(ready[0], data)
