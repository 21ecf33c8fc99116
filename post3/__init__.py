"""post3: S3-compatible object storage that runs anywhere, in a directory or in PostgreSQL."""

from post3._version import __version__

__all__ = ["__version__"]
