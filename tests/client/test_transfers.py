"""Both clients against real servers: uploads by parts, downloads by ranges, folders, sync."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from post3 import Client
from post3.client import Action, ClientError, InvalidArgument, MiB, NotFound, UnsafeKey
from tests.client.test_objects import LARGE, Pipe, content


def keys(client: Client, bucket: str, prefix: str = "") -> list[str]:
    return [one.key for one in client.list_objects(bucket, prefix)]


def fill(root: Path, **files: str) -> Path:
    """Files of a folder by name, with `__` for a slash."""
    for name, text in files.items():
        path = root / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def tree(root: Path) -> dict[str, str]:
    return {str(path.relative_to(root)): path.read_text() for path in sorted(root.rglob("*")) if path.is_file()}


# By parts


def test_a_source_goes_by_parts_side_by_side(client: Client, bucket: str) -> None:
    moved: list[int] = []
    told = client.multipart_upload(
        bucket, "key", Pipe(LARGE), part_size=5 * MiB, workers=3, metadata={"a": "b"}, progress=moved.append
    )
    assert (told.size, told.etag[-2:], sum(moved), len(moved)) == (len(LARGE), "-4", len(LARGE), 4)
    assert content(client, bucket, "key") == LARGE
    assert client.head_object(bucket, "key").metadata == {"a": "b"}
    whole = client.s3.head_object(Bucket=bucket, Key="key", ChecksumMode="ENABLED")
    assert (whole["ChecksumType"], "-" in whole["ChecksumCRC32"]) == ("FULL_OBJECT", False)


def test_an_empty_source_is_one_empty_part(client: Client, bucket: str) -> None:
    assert client.multipart_upload(bucket, "key", iter([])).etag.endswith("-1")
    assert content(client, bucket, "key") == b""


def test_parts_and_workers_that_cannot_be_are_refused_before_anything_is_sent(client: Client, bucket: str) -> None:
    for part_size, workers in [(5 * MiB - 1, 4), (6 * 1024 * MiB, 4), (8 * MiB, 0)]:
        with pytest.raises(InvalidArgument):
            client.multipart_upload(bucket, "key", LARGE, part_size=part_size, workers=workers)
    for part_size, workers in [(0, 4), (8 * MiB, 0)]:
        with pytest.raises(InvalidArgument):
            client.download(bucket, "key", "never", part_size=part_size, workers=workers)


def test_a_source_that_needs_too_many_parts_is_refused_and_leaves_no_upload(
    client: Client, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("post3.client.uploads.MOST_PARTS", 2)
    with pytest.raises(InvalidArgument, match="larger part_size"):
        client.multipart_upload(bucket, "key", Pipe(LARGE), part_size=5 * MiB, workers=1)
    assert "Uploads" not in client.s3.list_multipart_uploads(Bucket=bucket)


# By ranges


@pytest.mark.parametrize("part_size", [1 * MiB, len(LARGE) // 2, len(LARGE), 100 * MiB])
def test_a_download_is_whole_whatever_its_parts_are(
    client: Client, bucket: str, tmp_path: Path, part_size: int
) -> None:
    put = client.put_object(bucket, "key", LARGE)
    moved: list[int] = []
    path = tmp_path / "new" / "file"
    told = client.download(bucket, "key", path, part_size=part_size, progress=moved.append)
    assert path.read_bytes() == LARGE
    assert sum(moved) == len(LARGE)
    assert (told.etag, told.size) == (put.etag, len(LARGE))
    assert told.modified is not None
    assert path.stat().st_mtime == told.modified.timestamp()
    assert os.listdir(path.parent) == ["file"]


def test_an_empty_object_becomes_an_empty_file_and_replaces_what_was_there(
    client: Client, bucket: str, tmp_path: Path
) -> None:
    client.put_object(bucket, "key", b"")
    path = tmp_path / "file"
    path.write_text("before")
    assert client.download(bucket, "key", str(path)).size == 0
    assert path.read_bytes() == b""


def test_what_does_not_exist_leaves_no_file(client: Client, bucket: str, tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        client.download(bucket, "missing", tmp_path / "file")
    assert os.listdir(tmp_path) == []


def test_a_version_is_downloaded_by_its_id(client: Client, bucket: str, tmp_path: Path) -> None:
    client.s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    first = client.put_object(bucket, "key", LARGE).version_id
    client.put_object(bucket, "key", b"later")
    client.download(bucket, "key", tmp_path / "file", version_id=first, part_size=5 * MiB)
    assert (tmp_path / "file").read_bytes() == LARGE


def test_somebody_elses_part_file_is_left_alone(client: Client, bucket: str, tmp_path: Path) -> None:
    client.put_object(bucket, "key", LARGE)
    (tmp_path / "file.part").write_text("mine")
    with pytest.raises(ClientError, match="in the way"):
        client.download(bucket, "key", tmp_path / "file")
    assert (tmp_path / "file.part").read_text() == "mine"
    assert os.listdir(tmp_path) == ["file.part"]


def test_a_folder_is_no_file_to_download_to(client: Client, bucket: str, tmp_path: Path) -> None:
    client.put_object(bucket, "small", b"1")
    client.put_object(bucket, "large", LARGE)
    for key in ("small", "large"):
        with pytest.raises(ClientError, match="is a folder"):
            client.download(bucket, key, tmp_path)
    assert os.listdir(tmp_path) == []


# Folders


def test_a_folder_goes_up_and_comes_down(client: Client, bucket: str, tmp_path: Path) -> None:
    source = fill(tmp_path / "source", a="1", b__c="22", b__d__e="333")
    (source / "large").write_bytes(LARGE)
    moved: list[int] = []
    up = client.upload_directory(bucket, source, "photos", progress=moved.append)
    assert (up.uploaded, up.bytes, sum(moved)) == (4, len(LARGE) + 6, len(LARGE) + 6)
    assert keys(client, bucket) == ["photos/a", "photos/b/c", "photos/b/d/e", "photos/large"]
    client.put_object(bucket, "photos/", b"")
    client.put_object(bucket, "photos/b/", b"")
    client.put_object(bucket, "photosphere", b"of another folder")
    moved.clear()
    down = client.download_directory(bucket, "photos/", tmp_path / "target", progress=moved.append)
    assert (down.downloaded, down.bytes, sum(moved)) == (4, len(LARGE) + 6, len(LARGE) + 6)
    assert (tmp_path / "target" / "large").read_bytes() == LARGE
    (tmp_path / "target" / "large").unlink()
    assert tree(tmp_path / "target") == {"a": "1", "b/c": "22", "b/d/e": "333"}


def test_what_is_no_file_or_leads_out_of_the_folder_is_left_out_and_told(
    client: Client, bucket: str, tmp_path: Path
) -> None:
    fill(tmp_path, secret="s")
    root = fill(tmp_path / "root", a="1", sub__b="2")
    (root / "out").symlink_to(tmp_path / "secret")
    (root / "in").symlink_to("sub/b")
    (root / "loop").symlink_to(".")
    (root / "away").symlink_to(tmp_path)
    (root / "nowhere").symlink_to("missing")
    os.mkfifo(root / "pipe")
    told = client.upload_directory(bucket, root)
    assert keys(client, bucket) == ["a", "in", "sub/b"]
    assert content(client, bucket, "in") == b"2"
    assert [one.removeprefix(f"{root}/") for one in told.omitted] == [
        "away: a link that leads out of the folder",
        "loop: a link to a folder",
        "nowhere: a link that leads nowhere",
        "out: a link that leads out of the folder",
        "pipe: neither a file nor a folder",
    ]
    with pytest.raises(FileNotFoundError):
        client.upload_directory(bucket, tmp_path / "missing")


@pytest.mark.parametrize("name", ["../evil", "a/../../evil", "/etc/evil", "a//b", "./a", "a/.", "..", "a\0b"])
def test_a_key_that_is_no_path_inside_the_folder_writes_nothing(
    client: Client, bucket: str, tmp_path: Path, name: str
) -> None:
    client.put_object(bucket, "p/fine", b"")
    client.put_object(bucket, f"p/{name}", b"evil")
    with pytest.raises(UnsafeKey, match="cannot be the name of a file"):
        client.download_directory(bucket, "p", tmp_path / "target")
    with pytest.raises(UnsafeKey, match="cannot be the name of a file"):
        client.sync(f"s3://{bucket}/p", tmp_path / "target")
    assert os.listdir(tmp_path) == []


def test_keys_that_would_be_file_and_folder_at_once_are_told_before_anything_is_written(
    client: Client, bucket: str, tmp_path: Path
) -> None:
    for key in ("a", "a/b/c", "z"):
        client.put_object(bucket, key, b"1")
    with pytest.raises(UnsafeKey, match="'a' and 'a/b/c' clash"):
        client.download_directory(bucket, "", tmp_path / "target")
    assert os.listdir(tmp_path) == []


def test_a_link_in_the_target_leads_no_download_out_of_it(client: Client, bucket: str, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    target = fill(tmp_path / "target", kept="1")
    (target / "link").symlink_to(tmp_path / "outside")
    client.put_object(bucket, "link/new/evil", b"evil")
    with pytest.raises(UnsafeKey, match="a link leads out"):
        client.download_directory(bucket, "", target)
    assert os.listdir(tmp_path / "outside") == []
    fill(tmp_path, precious="kept")
    (target / "file").symlink_to(tmp_path / "precious")
    client.delete_object(bucket, "link/new/evil")
    client.put_object(bucket, "file", b"new")
    client.download_directory(bucket, "", target)
    assert (tmp_path / "precious").read_text() == "kept"
    assert (target / "file").read_text() == "new"


# Sync


def test_sync_moves_what_differs_and_nothing_else(client: Client, bucket: str, tmp_path: Path) -> None:
    source, place = fill(tmp_path / "source", a="1", b__c="22"), f"s3://{bucket}/p"
    assert client.sync(source, place, dry_run=True).uploaded == 2
    assert keys(client, bucket) == []
    first = client.sync(source, place)
    assert (first.uploaded, first.skipped, first.bytes) == (2, 0, 3)
    assert client.sync(source, place).skipped == 2
    fill(source, a="x")
    os.utime(source / "a", (2**32, 2**32))
    os.utime(source / "b" / "c", (2**32, 2**32))
    again = client.sync(source, place)
    assert again.actions == (Action("upload", str(source / "a"), f"{place}/a", 1),), "b/c is only newer, not other"
    assert content(client, bucket, "p/a") == b"x"


def test_sync_brings_down_what_differs_in_time_and_content(client: Client, bucket: str, tmp_path: Path) -> None:
    place, target = f"s3://{bucket}/p/", tmp_path / "target"
    for key in ("p/a", "p/b/c", "p/b/", "q"):
        client.put_object(bucket, key, key if not key.endswith("/") else "")
    assert client.sync(place, target).downloaded == 2
    assert tree(target) == {"a": "p/a", "b/c": "p/b/c"}
    assert client.sync(place, target).skipped == 2
    fill(target, a="own")
    os.utime(target / "b" / "c", (1, 1))
    told = client.sync(place, target)
    assert (told.downloaded, told.skipped) == (1, 1), "the one is other, the other only of another time"
    assert tree(target) == {"a": "p/a", "b/c": "p/b/c"}


def test_sync_copies_between_two_places_of_s3(client: Client, bucket: str) -> None:
    client.put_object(bucket, "p/a", "1", metadata={"m": "1"})
    client.put_object(bucket, "p/large", LARGE)
    source, target = f"s3://{bucket}/p", f"s3://{bucket}/copies"
    told = client.sync(source, target)
    assert (told.copied, told.bytes) == (2, 1 + len(LARGE))
    assert client.head_object(bucket, "copies/a").metadata == {"m": "1"}
    assert client.sync(source, target).skipped == 2, "though the copy of the large one has another ETag"
    client.put_object(bucket, "copies/a", "2")
    client.put_object(bucket, "p/a", "3")
    client.put_object(bucket, "copies/more", "")
    assert client.sync(source, target, delete=True).deleted == 1
    assert keys(client, bucket, "copies/") == ["copies/a", "copies/large"]


def test_sync_deletes_only_when_told_and_never_what_a_pattern_keeps_out(
    client: Client, bucket: str, tmp_path: Path
) -> None:
    source, place = fill(tmp_path / "source", keep="1", sub__x__log="2", y__log="3"), f"s3://{bucket}"
    for key in ("old", "old.log"):
        client.put_object(bucket, key, "")
    (source / "sub" / "x" / "log").rename(source / "sub" / "x.log")
    told = client.sync(source, place, exclude=["*.log"], include=["sub/*"])
    assert keys(client, bucket) == ["keep", "old", "old.log", "sub/x.log", "y/log"]
    assert (told.uploaded, told.deleted) == (3, 0)
    told = client.sync(source, place, delete=True, dry_run=True, exclude=["*.log"])
    assert told.actions == (Action("delete", "", f"{place}/old"),)
    client.sync(source, place, delete=True, exclude=["*.log"])
    assert keys(client, bucket) == ["keep", "old.log", "sub/x.log", "y/log"]
    fill(source, more="1", own__log="")
    client.sync(place, source, delete=True, exclude=["own/*"])
    assert sorted(tree(source)) == ["keep", "old.log", "own/log", "sub/x.log", "y/log"]


def test_sync_deletes_nothing_that_the_source_has_but_leaves_out(client: Client, bucket: str, tmp_path: Path) -> None:
    source, place = fill(tmp_path / "source", a="1"), f"s3://{bucket}"
    (tmp_path / "outside").mkdir()
    (source / "link").symlink_to(tmp_path / "outside")
    (source / "dangling").symlink_to(tmp_path / "nothing")
    for key in ("link/x", "dangling", "linked", "old"):
        client.put_object(bucket, key, "")
    assert client.sync(source, place, delete=True).deleted == 2
    assert keys(client, bucket) == ["a", "dangling", "link/x"]


@pytest.mark.parametrize(("source", "target"), [("p", ""), ("", "p"), ("p/q", "p"), ("p", "p")])
def test_sync_refuses_places_that_are_in_one_another(client: Client, bucket: str, source: str, target: str) -> None:
    client.put_object(bucket, "p/q/x", "")
    with pytest.raises(InvalidArgument, match="in one another"):
        client.sync(f"s3://{bucket}/{source}", f"s3://{bucket}/{target}", delete=True)
    assert keys(client, bucket) == ["p/q/x"]


def test_sync_needs_s3_on_one_side_and_a_source_that_exists(client: Client, bucket: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidArgument, match="s3://"):
        client.sync(tmp_path, tmp_path / "other")
    with pytest.raises(InvalidArgument, match="names no bucket"):
        client.sync("s3:///p", tmp_path)
    with pytest.raises(FileNotFoundError):
        client.sync(tmp_path / "missing", f"s3://{bucket}")
