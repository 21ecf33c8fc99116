"""What a bucket is, and which version ids its objects get."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Literal

from post3.model import encryption
from post3.model.encryption import Encryption
from post3.model.grants import Grants
from post3.model.object import NEW_VERSION, NULL_VERSION
from post3.model.tree import Tree

VersioningStatus = Literal["", "Enabled", "Suspended"]
VERSIONING_STATES: Final[Mapping[str, VersioningStatus]] = {"Enabled": "Enabled", "Suspended": "Suspended"}


@dataclass(frozen=True, slots=True)
class Bucket:
    """A bucket as it was when it was loaded."""

    id: str
    """Given by the store; a bucket made again is another bucket."""
    name: str
    owner: str
    created: datetime
    revision: int = 1
    """One more at every change; statements compare it (StaleBucket)."""
    region: str = ""
    """The LocationConstraint that it was made with; empty is us-east-1."""
    configurations: Mapping[str, Tree] = field(default_factory=dict)
    """Documents by subresource: "versioning" -> {"Status": "Enabled"}."""
    acl: Grants | None = None
    """None: the owner alone."""

    @property
    def versioning(self) -> VersioningStatus:
        """Empty when versioning was never set."""
        status = self.configurations.get("versioning", {}).get("Status")
        return VERSIONING_STATES.get(str(status), "")

    @property
    def version_to_put(self) -> str:
        """The version id that a put asks the store for."""
        return NEW_VERSION if self.versioning == "Enabled" else NULL_VERSION

    @property
    def default_encryption(self) -> Encryption | None:
        """What an object gets whose request asks for none; None: it is stored as it comes."""
        document = self.configurations.get(encryption.SUBRESOURCE)
        return None if document is None else encryption.from_document(document)

    @property
    def policy(self) -> str | None:
        """The bucket policy's text, byte for byte as it was put."""
        text = self.configurations.get("policy", {}).get("Text")
        return text if isinstance(text, str) else None
