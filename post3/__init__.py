"""post3: S3-compatible object storage that runs anywhere, in a directory or in PostgreSQL."""

from typing import TYPE_CHECKING

from post3._version import __version__

if TYPE_CHECKING:
    from post3.app import create_app
    from post3.client import AsyncClient, Client

__all__ = ["AsyncClient", "Client", "__version__", "create_app"]


def __getattr__(name: str) -> object:
    """Import the server, or the SDK, only when it is asked for."""
    if name == "create_app":
        from post3.app import create_app  # noqa: PLC0415  # Sanic is slow to import, and many want less

        return create_app
    if name in ("AsyncClient", "Client"):
        from post3 import client  # noqa: PLC0415  # so is boto3

        return getattr(client, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
