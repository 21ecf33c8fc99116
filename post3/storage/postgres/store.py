"""What all roles of the store share: connections, what is asked together, and limits."""

from __future__ import annotations

from typing import Final

from post3.storage.postgres.connections import Connections
from post3.storage.postgres.current import CurrentVersions
from post3.storage.postgres.database import Database
from post3.storage.postgres.holds import Holds
from post3.storage.postgres.small import SmallPuts

READ_AHEAD: Final = 32
"""Blocks that all streams of a process together read ahead of their clients."""


class Budget:
    """So much of something for all."""

    def __init__(self, size: int) -> None:
        self._left = size

    def take(self, count: int) -> bool:
        """Take so much, if there is."""
        if count > self._left:
            return False
        self._left -= count
        return True

    def give_back(self, count: int) -> None:
        """What was taken."""
        self._left += count


class Store:
    """A database with a schema in it."""

    def __init__(self, database: Database, schema: str, connections: int, *, durable: bool) -> None:
        self.database = database
        self.schema = schema
        self.connections = Connections(database, schema, connections, durable=durable)
        self.current = CurrentVersions(self.connections)
        self.small = SmallPuts(self.connections)
        self.read_ahead = Budget(READ_AHEAD)
        self.holds = Holds(self.connections.session)
