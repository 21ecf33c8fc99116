"""What a multipart upload is until it is completed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from post3.model.encryption import Encryption
from post3.model.grants import Grants


@dataclass(frozen=True, slots=True)
class Upload:
    """All that the object will have, and the version id once completed."""

    bucket: str
    key: str
    upload_id: str
    """Sorts by birth: the order of ListMultipartUploads."""
    initiated: datetime
    owner: str
    content: str = ""
    """What its object's content will be. Set by the backend."""
    storage_class: str = "STANDARD"
    headers: Mapping[str, str] = field(default_factory=dict)
    metadata: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    checksum_algorithm: str = ""
    checksum_type: str = ""
    acl: Grants | None = None
    """Of the object; None: its owner alone."""
    encryption: Encryption | None = None
    """Of each part, as it was asked for at the beginning."""
    version_id: str | None = None
    """Set when completed: a completed upload stays known, so that a repeated Complete answers the same."""


def upload_id_at(microseconds: int, random: str) -> str:
    """An upload id that sorts by the time of its making; random is 16 hexadecimal digits."""
    return f"{microseconds:016x}{random}"
