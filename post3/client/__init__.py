"""The SDK: Client over boto3, AsyncClient over aiobotocore; both are loaded when they are asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from post3.client.errors import (
    ClientError,
    Conflict,
    Damaged,
    Denied,
    InvalidArgument,
    NotFound,
    PreconditionFailed,
    S3Error,
    Unreachable,
    UnsafeKey,
)
from post3.client.model import Action, Bucket, GiB, MiB, ObjectInfo, Prefix, Transferred

if TYPE_CHECKING:
    from post3.client.asynchronous import AsyncBody, AsyncClient
    from post3.client.body import Body
    from post3.client.client import Client

__all__ = [
    "Action",
    "AsyncBody",
    "AsyncClient",
    "Body",
    "Bucket",
    "Client",
    "ClientError",
    "Conflict",
    "Damaged",
    "Denied",
    "GiB",
    "InvalidArgument",
    "MiB",
    "NotFound",
    "ObjectInfo",
    "PreconditionFailed",
    "Prefix",
    "S3Error",
    "Transferred",
    "Unreachable",
    "UnsafeKey",
]


def __getattr__(name: str) -> object:
    """Import boto3, or aiobotocore, only when it is needed."""
    if name == "Client":
        from post3.client.client import Client  # noqa: PLC0415  # boto3 is slow to import

        return Client
    if name == "Body":
        from post3.client.body import Body  # noqa: PLC0415  # the same

        return Body
    if name in ("AsyncClient", "AsyncBody"):
        from post3.client import asynchronous  # noqa: PLC0415  # an extra, and slow to import

        return getattr(asynchronous, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
