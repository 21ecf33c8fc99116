"""What the database's failures mean: for a client, and for whoever could try once more."""

from __future__ import annotations

import logging
from typing import Final

import asyncpg

from post3.errors import S3Error, ServiceUnavailable, SlowDown

logger = logging.getLogger("post3")

LOST: Final = (
    asyncpg.PostgresConnectionError,
    asyncpg.CannotConnectNowError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    OSError,  # TimeoutError too
)
"""The connection is gone, or there is none: nobody knows what became of a change that was under way."""
RACES: Final = (
    asyncpg.UniqueViolationError,
    asyncpg.DeadlockDetectedError,
    asyncpg.SerializationError,
    asyncpg.InvalidCachedStatementError,
)
"""Somebody else was faster; nothing was changed, and the same once more may well succeed."""
_BUSY: Final = (
    asyncpg.InsufficientResourcesError,
    asyncpg.QueryCanceledError,
    asyncpg.LockNotAvailableError,
    asyncpg.IdleInTransactionSessionTimeoutError,
    *RACES,
)


class AgainError(Exception):
    """What a statement was told is no longer so: nothing was changed, begin again."""


def refusal(error: BaseException) -> S3Error | None:
    """The error to answer with, logged with its cause; None for what is no failure of the database's."""
    answer: S3Error
    if isinstance(error, asyncpg.ReadOnlySQLTransactionError):
        answer = ServiceUnavailable("The database only reads at the moment. Nothing was stored.")
    elif isinstance(error, asyncpg.DiskFullError):
        answer = ServiceUnavailable("The disk of the database is full. Nothing was stored.")
    elif isinstance(error, LOST):
        answer = SlowDown("The database cannot be reached at the moment; try again.")
    elif isinstance(error, _BUSY):
        answer = SlowDown("The database is busy; try again.")
    else:
        return None
    logger.warning("the database failed: %s: %s", type(error).__name__, str(error) or "no answer in time")
    return answer
