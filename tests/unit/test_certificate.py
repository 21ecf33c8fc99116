"""Certificates and keys: read once they are whole, and told in one sentence when they are wrong."""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from time import monotonic

import pytest

from post3.config import ConfigError
from post3.server import Certificate
from tests.certificates import make_pem, pem, split


def write(folder: Path, cert: bytes, key: bytes) -> tuple[Path, Path]:
    """The two files."""
    (folder / "cert.pem").write_bytes(cert)
    (folder / "key.pem").write_bytes(key)
    return folder / "cert.pem", folder / "key.pem"


def test_a_key_stands_in_a_file_of_its_own_or_beside_the_certificate(tmp_path: Path) -> None:
    cert, key = write(tmp_path, *split(pem()))
    (tmp_path / "both.pem").write_bytes(pem())

    assert Certificate(cert, key).context is not Certificate(tmp_path / "both.pem").context


BROKEN = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"


@pytest.mark.parametrize(
    ("cert", "key", "told"),
    [
        (lambda: b"", lambda: split(pem())[1], "cert.pem holds no certificate in PEM form"),
        (lambda: split(pem())[0], lambda: b"nonsense", "key.pem holds no private key in PEM form"),
        (lambda: split(pem())[0], lambda: split(make_pem())[1], "do not belong together"),
        (lambda: BROKEN, lambda: split(pem())[1], "cannot be used"),
    ],
)
def test_wrong_files_are_told_by_name(
    tmp_path: Path, cert: Callable[[], bytes], key: Callable[[], bytes], told: str
) -> None:
    with pytest.raises(ConfigError, match=told) as caught:
        Certificate(*write(tmp_path, cert(), key()))
    assert "\n" not in str(caught.value)


def test_a_missing_file_and_a_folder_are_told_by_name(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"Cannot read the certificate .*no\.pem: No such file"):
        Certificate(tmp_path / "no.pem")
    with pytest.raises(ConfigError, match=r"Cannot read the certificate .*: Is a directory"):
        Certificate(tmp_path)


def test_a_passphrase_is_not_asked_for(tmp_path: Path) -> None:
    cert, key = write(tmp_path, *split(pem()))
    locked = tmp_path / "locked.pem"
    command = ["openssl", "pkey", "-in", str(key), "-aes-256-cbc", "-passout", "pass:secret", "-out", str(locked)]
    subprocess.run(command, check=True, capture_output=True, timeout=30)

    with pytest.raises(ConfigError, match="passphrase"):
        Certificate(cert, locked)


def write_in_place(cert: Path, content: bytes) -> None:
    cert.write_bytes(content)


def write_by_rename(cert: Path, content: bytes) -> None:
    """As most programs do."""
    (cert.parent / "new").write_bytes(content)
    os.replace(cert.parent / "new", cert)


def write_behind_links(cert: Path, content: bytes) -> None:
    """As certbot and Kubernetes do: the file is a link, and what it leads to is exchanged."""
    folder = cert.parent / f"version-{monotonic()}"
    folder.mkdir()
    (folder / cert.name).write_bytes(content)
    (cert.parent / "new").symlink_to(folder)
    os.replace(cert.parent / "new", cert.parent / "current")
    if not cert.is_symlink():
        cert.unlink(missing_ok=True)
        cert.symlink_to(cert.parent / "current" / cert.name)


async def until(claim: Callable[[], bool]) -> None:
    """Wait for it, some seconds at most."""
    async with asyncio.timeout(10):
        while not claim():  # noqa: ASYNC110  # nothing tells
            await asyncio.sleep(0.02)


@pytest.mark.parametrize("write_new", [write_in_place, write_by_rename, write_behind_links])
async def test_a_new_pair_is_taken_and_a_wrong_one_is_not(
    tmp_path: Path,
    write_new: Callable[[Path, bytes], None],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("post3.server.certificate.PERIOD", 0.05)
    cert = tmp_path / "both.pem"
    write_new(cert, pem())
    certificate = Certificate(cert)
    first = certificate.context
    following = asyncio.create_task(certificate.follow())
    try:
        await asyncio.sleep(0.3)
        assert certificate.context is first

        write_new(cert, make_pem())
        await until(lambda: certificate.context is not first)
        second = certificate.context

        write_new(cert, split(pem())[0])
        await until(lambda: bool(caplog.records))
        await asyncio.sleep(0.3)
        assert certificate.context is second
        assert [record.getMessage().count("\n") for record in caplog.records] == [0]
        assert "both.pem" in caplog.text

        write_new(cert, pem())
        await until(lambda: certificate.context is not second)
    finally:
        following.cancel()


async def test_a_pair_that_is_exchanged_one_file_at_a_time_makes_no_noise(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("post3.server.certificate.PERIOD", 0.3)
    cert, key = write(tmp_path, *split(pem()))
    certificate = Certificate(cert, key)
    first = certificate.context
    following = asyncio.create_task(certificate.follow())
    try:
        new_cert, new_key = split(make_pem())
        write_by_rename(cert, new_cert)
        await asyncio.sleep(0.05)
        write_by_rename(key, new_key)
        await until(lambda: certificate.context is not first)
        assert caplog.records == []
    finally:
        following.cancel()
