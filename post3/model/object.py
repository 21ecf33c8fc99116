"""What an object is: versions, the parts they are made of, and the stored bytes behind each part."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, NamedTuple, TypeAlias

from post3.model.encryption import Encryption, Envelope
from post3.model.grants import Grants

NULL_VERSION: Final = "null"
"""The id of a version put while its bucket was not versioned."""
NEW_VERSION: Final = ""
"""Asks the store for an id of its own making."""


class Block(NamedTuple):
    """At most 1 MiB of a blob, as the chunker yields it."""

    data: bytes
    crcs: bytes
    """CRC64NVME of each 64 KiB piece of data, 8 bytes each, big-endian."""


@dataclass(frozen=True, slots=True)
class Blob:
    """Stored bytes, named by whichever backend wrote them."""

    id: str
    size: int
    inline: Block | None = field(default=None, repr=False)
    """A small body, kept with its owner's record instead of by itself."""


@dataclass(frozen=True, slots=True)
class Part:
    """A run of an object's bytes: what one UploadPart sent, or all that PutObject sent."""

    number: int
    size: int
    etag: str
    modified: datetime
    blob: Blob
    checksums: Mapping[str, str] = field(default_factory=dict)
    """Algorithm ("crc32") to base64."""
    start: int = 0
    """Offset in the object, once it has one."""
    encryption: Envelope | None = None
    """None: the bytes are stored as they came."""

    def is_under(self, start: int | None, stop: int | None) -> bool:
        """Whether it has any of the object's bytes from start to stop; always, when none are named."""
        if start is None and stop is None:
            return True
        return (stop is None or self.start < stop) and (start or 0) < self.start + self.size


@dataclass(frozen=True, slots=True)
class ObjectVersion:
    """One version of one key, whole; a delete marker is a version without bytes."""

    bucket: str
    key: str
    version_id: str
    modified: datetime
    owner: str
    """Not always the bucket's."""
    sequence: int = 0
    """Order within the key, given by the store: microseconds since 1970, at least one more than the key's newest."""
    revision: int = 0
    """One more at every change of this record."""
    noncurrent: datetime | None = None
    """When it stopped being current."""
    storage_class: str = "STANDARD"
    size: int = 0
    etag: str = ""
    """Without quotes; they exist only in headers and XML."""
    is_delete_marker: bool = False
    content: str = ""
    """Names these very bytes: two puts of one version id differ. Set by the backend."""
    body: Part | None = None
    """An object of one body carries its part: no second query."""
    parts: int = 0
    """Otherwise, how many there are."""
    checksums: Mapping[str, str] = field(default_factory=dict)
    checksum_type: str = ""
    """FULL_OBJECT or COMPOSITE; empty without checksums."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """content-type, cache-control, …: lower-case names to values as they came."""
    metadata: Mapping[str, str] = field(default_factory=dict)
    """User metadata, without the prefix x-amz-meta-."""
    tags: Mapping[str, str] = field(default_factory=dict)
    """Sorted by key."""
    acl: Grants | None = None
    """None: the owner alone."""
    encryption: Encryption | None = None


Guard: TypeAlias = Callable[[ObjectVersion | None, ObjectVersion | None], None]
"""Given the key's current version and the one about to be replaced or deleted (None: there is none); raises to refuse.
Pure; may be called again when somebody else was faster."""


def no_guard(_current: ObjectVersion | None, _replaced: ObjectVersion | None) -> None:
    """Let every change happen."""
