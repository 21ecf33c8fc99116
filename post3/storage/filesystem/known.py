"""Versions that were read lately: a sidecar that is read again is not parsed again.

Each read opens the file, so it sees whatever any process made of it. Only where that is, byte by byte, what was read
before, it is the version that was parsed then. Nobody changes a version, so all may share it.
"""

from __future__ import annotations

from typing import Final

from post3.model.object import ObjectVersion
from post3.storage.filesystem.sidecar import inline_body, parse_version, read_file

MOST: Final = 32 * 2**20
"""Bytes of memory for all of a process, about."""
PARSED: Final = 2600
"""Bytes of memory of a version beside its body, about."""


class KnownVersions:
    """So many of them, by the paths of their sidecars; the one that came first goes first. For one thread."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[bytes, ObjectVersion]] = {}
        """What stands before the body, and the version, which has the body."""
        self._size = 0

    def read(self, path: str, bucket: str) -> ObjectVersion | None:
        """The version whose sidecar this is; None when there is none. Raises InternalError for one that is damaged."""
        content = read_file(path)
        known = self._known.get(path)
        if known is not None:
            if content is not None and _is_of(content, *known):
                return known[1]
            self._forget(path)
        if content is None:
            return None
        version = parse_version(content, path, bucket)
        self._known[path] = content[: len(content) - len(inline_body(version.body))], version
        self._size += _size(*self._known[path])
        while self._size > MOST:
            self._forget(next(iter(self._known)))
        return version

    def _forget(self, path: str) -> None:
        self._size -= _size(*self._known.pop(path))


def _is_of(content: bytes, document: bytes, version: ObjectVersion) -> bool:
    body = inline_body(version.body)
    return len(content) == len(document) + len(body) and content.startswith(document) and content.endswith(body)


def _size(document: bytes, version: ObjectVersion) -> int:
    return len(document) + len(inline_body(version.body)) + PARSED
