"""Names that lead to this machine for a test: not every system resolves what stands below localhost."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch


@contextmanager
def resolving(*domains: str) -> Iterator[None]:
    """In this process, these names and those below them are 127.0.0.1."""
    real = socket.getaddrinfo

    def getaddrinfo(host: Any, *arguments: Any, **options: Any) -> Any:
        is_ours = any(host == domain or str(host).endswith(f".{domain}") for domain in domains)
        return real("127.0.0.1" if is_ours else host, *arguments, **options)

    with patch.object(socket, "getaddrinfo", getaddrinfo):
        yield
