"""post3: S3-compatible object storage that runs anywhere, in a directory or in PostgreSQL."""

from importlib import import_module
from typing import TYPE_CHECKING

from post3._version import __version__

if TYPE_CHECKING:
    from post3.app import create_app

__all__ = ["__version__", "create_app"]


def __getattr__(name: str) -> object:
    """Import the server, and what tests use, only when it is asked for."""
    if name == "testing":
        return import_module("post3.testing")
    if name != "create_app":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from post3.app import create_app  # noqa: PLC0415  # Sanic is slow to import, and many want less

    return create_app
