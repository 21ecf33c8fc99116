"""What the store calls a version, and where it stands among those of its key."""

from __future__ import annotations

import secrets
from dataclasses import replace

from post3.model.object import NEW_VERSION, ObjectVersion
from post3.storage.documents import moment


def numbered(
    version: ObjectVersion,
    content: str,
    current: ObjectVersion | None,
    replaced: ObjectVersion | None,
    now: int,
    *,
    restored: bool = False,
) -> ObjectVersion:
    """The version as it is stored: with its id, its place in the key's order, and the time, in microseconds."""
    sequence = now if current is None else max(now, current.sequence + 1)
    if restored:
        sequence = version.sequence
    # 16 digits of the sequence, so that ids sort by it, and 16 that nobody can guess.
    made = f"{sequence:016x}{secrets.token_hex(8)}"
    return replace(
        version,
        version_id=made if version.version_id == NEW_VERSION else version.version_id,
        sequence=sequence,
        revision=1 if replaced is None else replaced.revision + 1,
        content=content or (version.body.blob.id if version.body is not None else secrets.token_hex(16)),
        modified=moment(now),
        noncurrent=None,
    )


def is_made(version_id: str) -> bool:
    """Whether the store could have made this id; nothing else ever becomes part of a file's name."""
    return len(version_id) == 32 and set(version_id) <= _HEXADECIMAL


_HEXADECIMAL = frozenset("0123456789abcdef")
