"""Documents by kind, which are no objects, and what the journal holds."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from post3.model.tree import Tree


@dataclass(frozen=True, slots=True)
class Record:
    """A document of the store's own: a lease, a user, a usage count."""

    kind: str
    id: str
    document: Tree
    revision: int = 0
    """One more at every change; 0 before it is stored."""
    modified: datetime | None = None
    """Set by the store."""


@dataclass(frozen=True, slots=True)
class Entry:
    """Something to be told later, written with the change that it tells of."""

    stream: str
    """Which teller it waits for: notification, access-log, …"""
    document: Tree
    id: str = ""
    """Given by the store."""
