"""Versions that need not be parsed again."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from post3.errors import InternalError
from post3.model.object import Blob, Block, ObjectVersion, Part
from post3.storage import known
from post3.storage.filesystem import known as known_sidecars
from post3.storage.filesystem import sidecar
from post3.storage.filesystem.known import KnownVersions
from post3.storage.filesystem.sidecar import dump_version

NOW = datetime(2026, 1, 2, tzinfo=UTC)


def a_version(key: str, body: bytes = b"body") -> ObjectVersion:
    part = Part(1, len(body), "etag", NOW, Blob("blob", len(body), Block(body, bytes(4))))
    return ObjectVersion("bucket", key, "null", NOW, "owner", body=part, size=len(body), etag="etag")


@pytest.fixture
def parsed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The paths of what was parsed."""
    paths: list[str] = []

    def parse(content: bytes, path: str, bucket: str) -> ObjectVersion:
        paths.append(path)
        return real(content, path, bucket)

    real = sidecar.parse_version
    monkeypatch.setattr(known_sidecars, "parse_version", parse)
    return paths


def written(folder: Path, key: str, body: bytes = b"body") -> str:
    path = folder / f"{key}.json"
    fresh = folder / "fresh"
    fresh.write_bytes(dump_version(a_version(key, body)))
    fresh.rename(path)
    return str(path)


def test_what_is_the_same_is_parsed_once(tmp_path: Path, parsed: list[str]) -> None:
    versions, path = KnownVersions(), written(tmp_path, "key")
    first = versions.read(path, "bucket")
    assert first == a_version("key")
    written(tmp_path, "key")  # another file, of the same bytes
    assert versions.read(path, "bucket") is first
    assert parsed == [path]


def test_whoever_changes_the_file_changes_what_is_read(tmp_path: Path, parsed: list[str]) -> None:
    versions, path = KnownVersions(), written(tmp_path, "key")
    times = os.stat(path)
    versions.read(path, "bucket")
    written(tmp_path, "key", b"ydob")
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert versions.read(path, "bucket") == a_version("key", b"ydob")
    assert parsed == [path, path]


def test_what_is_gone_is_gone(tmp_path: Path) -> None:
    versions, path = KnownVersions(), written(tmp_path, "key")
    versions.read(path, "bucket")
    os.unlink(path)
    assert versions.read(path, "bucket") is None
    assert versions.read(path, "bucket") is None
    written(tmp_path, "key")
    assert versions.read(path, "bucket") == a_version("key")


def test_what_is_damaged_is_told_each_time(tmp_path: Path) -> None:
    versions, path = KnownVersions(), written(tmp_path, "key")
    versions.read(path, "bucket")
    Path(path).write_bytes(b"{}\n")
    for _ in range(2):
        with pytest.raises(InternalError, match=r"key\.json is damaged"):
            versions.read(path, "bucket")
    written(tmp_path, "key")
    assert versions.read(path, "bucket") == a_version("key")


def test_the_first_ones_go_where_there_are_too_many(
    tmp_path: Path, parsed: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    body = bytes(10_000)
    monkeypatch.setattr(known, "MOST", 4 * (10_100 + known.VERSION))
    versions, paths = KnownVersions(), [written(tmp_path, f"key-{number}", body) for number in range(6)]
    for path in paths:
        versions.read(path, "bucket")
    assert len(versions._known._kept) == 4
    parsed.clear()
    for path in reversed(paths):
        assert versions.read(path, "bucket") == a_version(Path(path).stem, body)
    assert parsed == [paths[1], paths[0]]
    for path in paths:
        os.unlink(path)
        assert versions.read(path, "bucket") is None
    assert (versions._known._kept, versions._known.size) == ({}, 0)


def test_one_that_is_larger_than_all_may_be_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(known, "MOST", 100)
    versions, path = KnownVersions(), written(tmp_path, "key")
    assert versions.read(path, "bucket") == a_version("key")
    assert (versions._known._kept, versions._known.size) == ({}, 0)
