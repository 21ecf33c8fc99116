"""The certificate that the server shows, and its key: read from their files, and read again when these change."""

from __future__ import annotations

import asyncio
import logging
import os
import ssl
from pathlib import Path
from typing import Final, NoReturn

from post3.config import ConfigError

logger = logging.getLogger("post3")

PERIOD: Final = 1.0
"""Seconds between two looks at the files."""


class Certificate:
    """A pair of files, and what they hold."""

    def __init__(self, cert: Path, key: Path | None = None) -> None:
        """`cert` has the server's certificate and those that lead to a root, in this order, as PEM; `key`, or `cert`
        itself, the private key without a passphrase. Raises ConfigError.
        """
        self._cert, self._key = cert, key or cert
        self._loaded = self._stamp()
        self.context = load_context(self._cert, self._key)
        """For new connections; another one when the files have changed."""

    async def follow(self) -> NoReturn:
        """Look at the files for ever, and take what is new in them once they have come to rest."""
        seen = self._loaded
        while True:
            await asyncio.sleep(PERIOD)
            before, seen = seen, await asyncio.to_thread(self._stamp)
            if seen == before and seen != self._loaded:
                self._loaded = seen
                await asyncio.to_thread(self._reload)

    def _reload(self) -> None:
        try:
            self.context = load_context(self._cert, self._key)
        except ConfigError as error:
            logger.warning("The TLS certificate stays as it was: %s", error)

    def _stamp(self) -> tuple[object, ...]:
        """What differs when one of the files is another one, also behind symbolic links."""
        return (_stamp_of(self._cert), _stamp_of(self._key))


def load_context(cert: Path, key: Path) -> ssl.SSLContext:
    """What connections are made with: TLS 1.2 or later, with this certificate and key. Raises ConfigError."""
    _check_pem(cert, b"CERTIFICATE-----", "certificate")
    _check_pem(key, b"PRIVATE KEY-----", "private key")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION
    context.set_alpn_protocols(["http/1.1"])
    try:
        context.load_cert_chain(cert, key, password=_no_passphrase)
    except ssl.SSLError as error:
        what = "do not belong together" if error.reason == "KEY_VALUES_MISMATCH" else f"cannot be used: {error}"
        raise ConfigError(f"The certificate {cert} and the private key {key} {what}.") from None
    except OSError as error:
        raise ConfigError(f"Cannot read the certificate {cert} or its key {key}: {error.strerror}.") from None
    return context


def _check_pem(path: Path, mark: bytes, name: str) -> None:
    """Raise ConfigError unless the file can be read and has something of this name, not encrypted."""
    try:
        found = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"Cannot read the {name} {path}: {error.strerror}.") from None
    if mark not in found:
        raise ConfigError(f"{path} holds no {name} in PEM form.")


def _no_passphrase() -> NoReturn:
    # Without this, OpenSSL would ask for it on the terminal.
    raise ConfigError("The private key has a passphrase; give one without.")


def _stamp_of(path: Path) -> tuple[int, ...] | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)
