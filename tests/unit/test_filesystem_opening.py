"""Opening a directory: only what is ours, whole and on this machine; by several processes, which come and go."""

from __future__ import annotations

import asyncio
import builtins
import io
import itertools
import json
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest

from post3.storage.filesystem import durable, opening
from post3.storage.filesystem.backend import FilesystemBackend
from post3.storage.filesystem.durable import boot_id
from post3.storage.filesystem.layout import FORMAT
from tests.conftest import create_bucket, get, keys, put


def a_store(root: Path, **options: Any) -> FilesystemBackend:
    return FilesystemBackend(root, durable=False, **options)


async def open_and_close(root: Path, **options: Any) -> None:
    backend = a_store(root, **options)
    await backend.open()
    await backend.close()


def open_files() -> int:
    """How many files this process has open, where the system tells."""
    return len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0


async def refusal(root: Path, **options: Any) -> str:
    """The sentence with which a directory is refused, which names it and leaves nothing open."""
    before = open_files()
    backend = a_store(root, **options)
    with pytest.raises((OSError, ValueError)) as caught:
        await backend.open()
    await backend.close()
    assert str(root) in str(caught.value)
    assert open_files() <= before
    return str(caught.value)


def owner(root: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((root / "lock" / "owner").read_text())
    return document


def write_owner(root: Path, *, seconds_ago: float = 0, **fields: object) -> None:
    document = {"host": "elsewhere", "boot": "another", "clean": False, **fields}
    path = root / "lock" / "owner"
    path.write_text(json.dumps(document))
    now = path.stat().st_mtime
    os.utime(path, (now - seconds_ago, now - seconds_ago))


async def test_a_new_directory_is_made_with_those_above_it(tmp_path: Path) -> None:
    root = tmp_path / "not" / "yet" / "there"
    await open_and_close(root)
    assert (root / "format").read_text() == f"{FORMAT}\n"
    assert root.stat().st_mode & 0o077 == 0, "others can read it"


@pytest.mark.parametrize("names", [(), ("lost+found",), ("buckets", "new"), opening.FOLDERS])
async def test_an_empty_disk_and_a_beginning_that_was_cut_short_are_taken(
    tmp_path: Path, names: tuple[str, ...]
) -> None:
    for name in names:
        (tmp_path / name).mkdir()
    await open_and_close(tmp_path)
    assert (tmp_path / "format").exists()


@pytest.mark.parametrize("name", ["thesis.txt", ".git", "buckets.bak", "index.sqlite"])
async def test_a_directory_of_something_else_is_refused_and_left_as_it_is(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("mine")
    assert "not empty" in await refusal(tmp_path)
    assert os.listdir(tmp_path) == [name]


async def test_a_file_in_place_of_the_directory_is_refused(tmp_path: Path) -> None:
    root = tmp_path / "file"
    root.write_text("mine")
    assert "is a file" in await refusal(root)
    assert root.read_text() == "mine"


async def test_a_file_above_the_directory_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    backend = a_store(tmp_path / "file" / "store")
    with pytest.raises(ValueError, match="is a file"):
        await backend.open()
    await backend.close()


@pytest.mark.parametrize("found", ["2\n", "", "99999999999999999999999999999999", "\x00\xff"])
async def test_another_format_is_refused_and_nothing_is_made(tmp_path: Path, found: str) -> None:
    (tmp_path / "format").write_bytes(found.encode("latin-1"))
    message = await refusal(tmp_path)
    assert "the post3 that wrote it" in message
    assert len(message) < 400
    assert os.listdir(tmp_path) == ["format"]


async def test_a_directory_that_cannot_be_written_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    await open_and_close(tmp_path)
    monkeypatch.setattr(os, "access", lambda *_args, **_kwargs: False)
    assert "not writable" in await refusal(tmp_path)


@pytest.mark.parametrize("call", ["mkdir", "listdir"])
async def test_a_disk_that_refuses_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    root = tmp_path / "store"
    real: Callable[..., Any] = getattr(os, call)

    def refuse(path: str, *args: Any, **kwargs: Any) -> Any:
        if str(path).startswith(str(root)):
            raise PermissionError(13, "Permission denied", path)
        return real(path, *args, **kwargs)

    monkeypatch.setattr(os, call, refuse)
    message = await refusal(root)
    assert "Permission denied" in message
    assert "Check its permissions" in message


# Network disks


def mounts(*lines: str) -> Callable[..., Any]:
    """The file that the system lists its disks in, saying this."""
    real = builtins.open

    def fake(path: Any, *args: Any, **kwargs: Any) -> Any:
        return io.StringIO("\n".join(lines) + "\n") if path == "/proc/self/mountinfo" else real(path, *args, **kwargs)

    return fake


ROOT_DISK: Final = "20 1 8:1 / / rw - ext4 /dev/sda1 rw"


@pytest.mark.parametrize(
    ("kind", "mount"), [("nfs4", ""), ("cifs", "/store"), ("fuse.sshfs", "/store"), ("9p", "/store/inner")]
)
async def test_a_network_disk_is_refused_unless_allowed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, mount: str
) -> None:
    root = tmp_path / "store" / "inner"
    line = f"21 20 0:40 / {tmp_path}{mount} rw,relatime shared:1 - {kind} host:/export rw"
    monkeypatch.setattr(durable, "open", mounts(ROOT_DISK, line), raising=False)
    message = await refusal(root)
    assert kind in message
    assert "--allow-network-disk" in message
    assert not root.exists()
    await open_and_close(root, allow_network_disk=True)


@pytest.mark.parametrize(
    "line",
    [
        "21 20 0:40 / {there}-other rw - nfs4 host:/export rw",
        "21 20 0:40 / {there}/below rw - nfs4 host:/export rw",
        "21 20 8:2 / {there} rw - xfs /dev/sdb rw",
        "nonsense",
        "",
    ],
)
async def test_a_local_disk_is_taken_wherever_network_disks_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str
) -> None:
    root = tmp_path / "store"
    monkeypatch.setattr(durable, "open", mounts(ROOT_DISK, line.format(there=root)), raising=False)
    await open_and_close(root)


async def test_the_disk_mounted_last_over_another_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [f"2{number} 20 0:4 / {tmp_path} rw - {kind} x rw" for number, kind in enumerate(("nfs4", "ext4"))]
    monkeypatch.setattr(durable, "open", mounts(ROOT_DISK, *lines), raising=False)
    await open_and_close(tmp_path)
    monkeypatch.setattr(durable, "open", mounts(ROOT_DISK, *reversed(lines)), raising=False)
    assert "nfs4" in await refusal(tmp_path)


async def test_a_link_to_a_network_disk_is_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "disk")
    line = f"21 20 0:40 / {tmp_path}/disk rw - nfs host:/export rw"
    monkeypatch.setattr(durable, "open", mounts(ROOT_DISK, line), raising=False)
    assert "nfs" in await refusal(tmp_path / "link")


async def test_a_space_in_the_name_of_a_mount_is_understood(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tmp_path / "my disk"
    line = f"21 20 0:40 / {tmp_path}/my\\040disk rw - nfs4 host:/export rw"
    monkeypatch.setattr(durable, "open", mounts(ROOT_DISK, line), raising=False)
    assert "nfs4" in await refusal(root)


# Owners


async def test_the_live_owner_of_another_machine_is_named(tmp_path: Path) -> None:
    await open_and_close(tmp_path)
    write_owner(tmp_path)
    message = await refusal(tmp_path)
    assert "elsewhere" in message
    assert "PostgreSQL" in message
    assert owner(tmp_path)["host"] == "elsewhere"


@pytest.mark.parametrize(
    "fields", [{"seconds_ago": 3600}, {"clean": True}, {"host": socket.gethostname()}, {"boot": boot_id()}]
)
async def test_an_owner_that_is_dead_done_or_this_machine_is_followed(tmp_path: Path, fields: dict[str, Any]) -> None:
    await open_and_close(tmp_path)
    write_owner(tmp_path, **fields)
    await open_and_close(tmp_path)
    assert owner(tmp_path) == {"host": socket.gethostname(), "boot": boot_id(), "clean": True, "durable": False}


@pytest.mark.parametrize("content", ["", "{", "\x00" * 60, "[]", "5", '"x"'])
async def test_an_owner_that_cannot_be_read_stops_nobody(tmp_path: Path, content: str) -> None:
    backend = a_store(tmp_path)
    await backend.open()
    await put(backend, await create_bucket(backend, "bucket"), "key", b"data")
    await backend.close()
    (tmp_path / "lock" / "owner").write_text(content)
    again = a_store(tmp_path)
    await again.open()
    assert await keys(again, await again.get_bucket("bucket")) == ["key"]
    await again.close()


async def test_a_live_owner_shows_that_it_lives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("post3.storage.filesystem.backend.HEARTBEAT", opening.HEARTBEAT / 1000)
    backend = a_store(tmp_path)
    await backend.open()
    os.utime(tmp_path / "lock" / "owner", (0, 0))
    await asyncio.sleep(0.1)
    assert (tmp_path / "lock" / "owner").stat().st_mtime > 0
    await backend.close()


# Several at once


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
async def test_it_is_clean_when_the_last_one_has_left(tmp_path: Path, order: tuple[int, ...]) -> None:
    stores = [a_store(tmp_path) for _ in range(3)]
    for store in stores:
        await store.open()
        assert not owner(tmp_path)["clean"]
    bucket = await create_bucket(stores[0], "bucket")
    for number in order:
        assert not owner(tmp_path)["clean"]
        await put(stores[number], bucket, f"key-{number}", b"data")
        await stores[number].close()
    assert owner(tmp_path)["clean"]
    await open_and_close(tmp_path)
    assert not os.listdir(tmp_path / "new")


async def test_who_comes_back_is_not_clean_while_others_stay(tmp_path: Path) -> None:
    stays, comes = a_store(tmp_path), a_store(tmp_path)
    await stays.open()
    await comes.open()
    await comes.close()
    assert not owner(tmp_path)["clean"]
    back = a_store(tmp_path)
    await back.open()
    await stays.close()
    assert not owner(tmp_path)["clean"]
    await back.close()
    assert owner(tmp_path)["clean"]


async def test_many_open_a_new_directory_at_once(tmp_path: Path) -> None:
    root = tmp_path / "new" / "store"
    stores = [a_store(root) for _ in range(8)]
    await asyncio.gather(*(store.open() for store in stores))
    bucket = await create_bucket(stores[0], "bucket")
    await asyncio.gather(*(put(store, bucket, str(number), b"data") for number, store in enumerate(stores)))
    assert await keys(stores[3], bucket) == [str(number) for number in range(8)]
    await asyncio.gather(*(store.close() for store in stores))
    assert owner(root)["clean"]


async def test_opening_sweeps_away_what_the_dead_had_on_its_way_and_nothing_of_the_living(tmp_path: Path) -> None:
    living = a_store(tmp_path)
    await living.open()
    mine = tmp_path / "new" / os.path.basename(living.store.disk.fresh) / "mine"
    mine.write_bytes(b"on its way")
    dead = tmp_path / "new" / "dead"
    (dead / "bucket" / "versions").mkdir(parents=True)
    (dead / "file").write_bytes(b"left")
    await living.collect_garbage(opening.HEARTBEAT)
    assert mine.exists()
    assert not dead.exists()
    dead.mkdir()
    mine.unlink()
    await living.close()
    await open_and_close(tmp_path)
    assert not os.listdir(tmp_path / "new")


async def test_whoever_joins_a_damaged_index_is_told_what_to_do(tmp_path: Path) -> None:
    first = a_store(tmp_path)
    await first.open()
    for name in ("index.sqlite", "index.sqlite-wal", "index.sqlite-shm"):
        (tmp_path / name).rename(tmp_path / "lock" / name)
    (tmp_path / "index.sqlite").write_bytes(b"no index" * 1000)
    assert "stop all post3 processes" in await refusal(tmp_path)
    await first.close()
    await open_and_close(tmp_path)


def remove_empty_folders(root: Path) -> None:
    for folder in sorted(root.rglob("*"), reverse=True):
        if folder.is_dir() and not os.listdir(folder):
            folder.rmdir()


async def test_a_copy_without_its_empty_folders_is_whole(tmp_path: Path) -> None:
    backend = a_store(tmp_path)
    await backend.open()
    bucket = await create_bucket(backend, "bucket")
    await put(backend, bucket, "key", b"data")
    await backend.close()
    remove_empty_folders(tmp_path)
    again = a_store(tmp_path)
    await again.open()
    assert await get(again, bucket, "key") == b"data"
    await put(again, bucket, "large", bytes(100_000))
    await again.delete_bucket(await create_bucket(again, "other"))
    await again.close()
