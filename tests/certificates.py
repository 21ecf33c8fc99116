"""Certificates for tests, made when they are needed: no private key is kept anywhere."""

from __future__ import annotations

import ssl
import subprocess
import tempfile
from functools import cache
from pathlib import Path

NAMES = ("localhost", "s3.example.com", "*.s3.example.com")


def make_pem(*names: str) -> bytes:
    """A self-signed certificate for loopback and these names, and its key, as PEM."""
    told = ",".join(["IP:127.0.0.1", *(f"DNS:{name}" for name in names or NAMES)])
    with tempfile.TemporaryDirectory() as folder:
        key, cert = Path(folder, "key"), Path(folder, "cert")
        command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2"
        options = ["-subj", f"/CN={(names or NAMES)[0]}", "-addext", f"subjectAltName={told}"]
        subprocess.run(
            [*command.split(), *options, "-out", cert, "-keyout", key], check=True, capture_output=True, timeout=30
        )
        return cert.read_bytes() + key.read_bytes()


@cache
def pem() -> bytes:
    """One such pair for all tests that need no other."""
    return make_pem()


def split(pair: bytes) -> tuple[bytes, bytes]:
    """The certificate and the key."""
    mark = b"-----BEGIN PRIVATE KEY-----"
    cert, _, key = pair.partition(mark)
    return cert, mark + key


def trusting(pair: bytes) -> ssl.SSLContext:
    """What a client connects with that trusts this certificate and no other."""
    return ssl.create_default_context(cadata=split(pair)[0].decode())
