"""Versions that were read lately: a sidecar that is read again is not parsed again.

Each read opens the file, so it sees whatever any process made of it. Only where that is, byte by byte, what was read
before, it is the version that was parsed then. Nobody changes a version, so all may share it.
"""

from __future__ import annotations

from post3.model.object import ObjectVersion
from post3.storage.filesystem.sidecar import inline_body, parse_version, read_file
from post3.storage.known import Known, size_of


class KnownVersions:
    """Those of a process, by the paths of their sidecars. For one thread."""

    def __init__(self) -> None:
        self._known: Known[str, tuple[bytes, ObjectVersion]] = Known()
        """What stands before the body, and the version, which has the body."""

    def read(self, path: str, bucket: str) -> ObjectVersion | None:
        """The version whose sidecar this is; None when there is none. Raises InternalError for one that is damaged."""
        content = read_file(path)
        if content is None:
            self._known.forget(path)
            return None
        known = self._known.get(path)
        if known is not None and _is_of(content, *known):
            return known[1]
        version = parse_version(content, path, bucket)
        body = len(inline_body(version.body))
        document = content[: len(content) - body]
        self._known.keep(path, (document, version), size_of(len(document), body))
        return version


def _is_of(content: bytes, document: bytes, version: ObjectVersion) -> bool:
    body = inline_body(version.body)
    return len(content) == len(document) + len(body) and content.startswith(document) and content.endswith(body)
