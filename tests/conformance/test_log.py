"""The filesystem's log: what was answered is there after a loss of power, though no sidecar was synced.

A loss of power is played on a copy of the directory, taken while the store is open: what the log is to keep safe, the
sidecars of versions and the index, is put back to what it was before, or torn, and everything else, which was synced,
stays as it is. (test_crashes.py has the order of the syncs, and what the death of a process leaves.)
"""

from __future__ import annotations

import asyncio
import errno
import json
import os
import shutil
import sys
import threading
import time
import tracemalloc
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import pytest

from post3.errors import NoSuchKey, NoSuchVersion, ServiceUnavailable
from post3.model.bucket import Bucket
from post3.model.listing import Listed, ListQuery
from post3.model.object import NULL_VERSION
from post3.storage.filesystem import _files, log, recovery
from post3.storage.filesystem.backend import FilesystemBackend
from post3.storage.filesystem.durable import boot_id
from tests.conformance import changes
from tests.conformance.changes import OLD, sight
from tests.conftest import create_bucket, get, keys, put, set_versioning

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="other systems have no log")

CASES: Final = changes.CASES
SMALL: Final = b"small"
ANOTHER: Final = "00000000-0000-0000-0000-000000000000"
"""The id of another boot."""


@pytest.fixture(autouse=True)
def has_log(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever disk the tests are on: a layer over others syncs well enough for them."""
    monkeypatch.setattr(log, "disk_kind", lambda _path: "ext4")


@asynccontextmanager
async def opened(root: Path, *, durable: bool = True) -> AsyncIterator[FilesystemBackend]:
    backend = FilesystemBackend(root, durable=durable)
    await backend.open()
    try:
        yield backend
    finally:
        await backend.close()


def refuse(*_args: object) -> None:
    """What a disk does that has failed."""
    raise OSError(errno.EIO, os.strerror(errno.EIO))


def sidecars(root: Path) -> dict[str, Path]:
    return {str(path.relative_to(root)): path for path in root.glob("buckets/*/versions/*/*/*.json")}


def tear(path: Path) -> None:
    """What a disk may make of a file that was renamed and not synced."""
    path.write_bytes(b"")


def lose_power(live: Path, before: Path, cut: Path, spoil: Callable[[Path], None] | None = None) -> None:
    """The directory as a loss of power may leave it: changed sidecars as they were before, or spoiled."""
    shutil.copytree(live, cut)
    old, new = sidecars(before), sidecars(cut)
    for name, path in new.items():
        if name in old and path.read_bytes() == old[name].read_bytes():
            continue
        if spoil is not None:
            spoil(path)
        elif name in old:
            shutil.copy2(old[name], path)
        else:
            path.unlink()
    for name in old.keys() - new.keys():
        if spoil is None and (cut / name).parents[3].exists():
            (cut / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(old[name], cut / name)
    for path in cut.glob("index.sqlite*"):
        path.unlink()
    shutil.copy2(before / "index.sqlite", cut / "index.sqlite")
    start_again(cut)


def start_again(root: Path) -> None:
    """Let what a directory tells of the machine be of an earlier start."""
    owner = json.loads((root / "lock/owner").read_text())
    (root / "lock/owner").write_text(json.dumps(owner | {"boot": ANOTHER, "clean": False}))
    for path in (root / "log").iterdir():
        path.write_bytes(path.read_bytes().replace(boot_id().encode(), ANOTHER.encode(), 1))


async def prepared(root: Path, name: str) -> None:
    async with opened(root) as backend:
        await CASES[name].prepare(backend)


@pytest.mark.parametrize("spoil", [None, tear, Path.unlink], ids=["undone", "torn", "gone"])
@pytest.mark.parametrize("name", [name for name in CASES if not CASES[name].from_open])
async def test_what_was_answered_is_made_again(tmp_path: Path, name: str, spoil: Callable[[Path], None] | None) -> None:
    before, live, cut = tmp_path / "before", tmp_path / "live", tmp_path / "cut"
    await prepared(before, name)
    shutil.copytree(before, live)
    async with opened(live) as backend:
        await CASES[name].act(backend)
        after = await sight(backend)
        lose_power(live, before, cut, spoil)
    async with opened(cut) as backend:
        assert await sight(backend) == after
    assert not log.log_files(str(cut))


@pytest.fixture
async def bucket(tmp_path: Path) -> Bucket:
    async with opened(tmp_path / "before") as backend:
        bucket = await create_bucket(backend, "bucket")
        await put(backend, bucket, "old", SMALL)
    shutil.copytree(tmp_path / "before", tmp_path / "live")
    return bucket


async def after_loss(root: Path, spoil: Callable[[Path], None] | None = None) -> FilesystemBackend:
    """The store of `live` after a loss of power, open."""
    lose_power(root / "live", root / "before", root / "cut", spoil)
    backend = FilesystemBackend(root / "cut", durable=False)
    await backend.open()
    return backend


async def test_a_store_that_is_closed_leaves_no_log(tmp_path: Path, bucket: Bucket) -> None:
    async with opened(tmp_path / "live") as backend:
        await put(backend, bucket, "key", SMALL)
        assert len(log.log_files(str(tmp_path / "live"))) == 2
    assert not log.log_files(str(tmp_path / "live"))


async def test_the_last_of_several_changes_counts(tmp_path: Path, bucket: Bucket) -> None:
    async with opened(tmp_path / "live") as backend:
        for number in range(5):
            await put(backend, bucket, "key", f"{number}".encode())
        await put(backend, bucket, "gone", SMALL)
        await backend.delete_version(bucket, "gone", NULL_VERSION)
        await backend.delete_version(bucket, "old", NULL_VERSION)
        await put(backend, bucket, "old", b"again")
        cut = await after_loss(tmp_path)
    assert await keys(cut, bucket) == ["key", "old"]
    assert (await get(cut, bucket, "key"), await get(cut, bucket, "old")) == (b"4", b"again")
    await cut.close()


@pytest.mark.parametrize("lost", [1, 10, 1000])
async def test_a_log_is_read_up_to_where_it_was_torn(tmp_path: Path, bucket: Bucket, lost: int) -> None:
    async with opened(tmp_path / "live") as backend:
        await put(backend, bucket, "first", SMALL)
        await put(backend, bucket, "second", bytes(5000))
        (segment, _) = sorted(Path(path) for path in log.log_files(str(tmp_path / "live")))
        lose_power(tmp_path / "live", tmp_path / "before", tmp_path / "cut")
    torn = tmp_path / "cut/log" / segment.name
    end = len(torn.read_bytes().rstrip(b"\0"))
    # The body's zeros are part of the record, too.
    with torn.open("r+b") as file:
        file.seek(end + 5000 - lost)
        file.write(b"\xff" * lost)
    async with opened(tmp_path / "cut") as cut:
        assert await keys(cut, bucket) == ["first", "old"]
        assert await get(cut, bucket, "first") == SMALL


async def test_a_deleted_bucket_stays_deleted(tmp_path: Path, bucket: Bucket) -> None:
    async with opened(tmp_path / "live") as backend:
        await put(backend, bucket, "key", SMALL)
        for key in ("key", "old"):
            await backend.delete_version(bucket, key, NULL_VERSION)
        await backend.delete_bucket(bucket)
        other = await create_bucket(backend, "bucket")
        cut = await after_loss(tmp_path)
    assert await keys(cut, other) == []
    assert await cut.list_buckets() == [other]
    await cut.close()


async def test_a_checkpoint_of_one_process_does_not_let_another_s_log_undo_it(tmp_path: Path, bucket: Bucket) -> None:
    """The older process's log says that the key is there; that it was removed is in no log any more."""
    async with opened(tmp_path / "live") as one, opened(tmp_path / "live") as other:
        await put(one, bucket, "key", SMALL)
        await put(one, bucket, "old", b"changed")
        await other.delete_version(bucket, "key", NULL_VERSION)
        await asyncio.to_thread(other.store.log.checkpoint)
        # Twice, so that the file that told of it is used again.
        await put(other, bucket, "other", SMALL)
        await asyncio.to_thread(other.store.log.checkpoint)
        await put(other, bucket, "other", b"changed")
        await put(one, bucket, "new", SMALL)
        # What the checkpoint brought to the disk is there; what came later may not be.
        shutil.copytree(tmp_path / "live", tmp_path / "synced")
        for path in (tmp_path / "synced/buckets").glob("*/versions/*/*/new~*"):
            path.unlink()
        lose_power(tmp_path / "live", tmp_path / "synced", tmp_path / "cut")
    async with opened(tmp_path / "cut") as cut:
        assert await keys(cut, bucket) == ["new", "old", "other"]
        assert await get(cut, bucket, "old") == await get(cut, bucket, "other") == b"changed"


async def test_the_two_files_of_a_log_take_turns(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, bucket: Bucket
) -> None:
    monkeypatch.setattr(log, "LIMIT", 20_000)
    synced = 0

    def counting(fd: int, path: bytes, sync: Callable[[int, bytes], None] = _files.sync_all) -> None:
        nonlocal synced
        sync(fd, path)
        synced += 1

    monkeypatch.setattr(_files, "sync_all", counting)
    async with opened(tmp_path / "live") as backend:
        for number in range(100):
            await put(backend, bucket, f"key-{number % 10}", f"{number} ".encode() + bytes(1000))
        segments = backend.store.log.segments
        assert all(0 <= segment.size < 3 * 20_000 for segment in segments)
        lose_power(tmp_path / "live", tmp_path / "live", tmp_path / "cut")
    assert synced >= 3
    async with opened(tmp_path / "cut") as cut:
        for number in range(90, 100):
            assert (await get(cut, bucket, f"key-{number % 10}")).startswith(f"{number} ".encode())


async def test_a_change_that_fails_after_it_was_logged_is_void(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, bucket: Bucket
) -> None:
    async with opened(tmp_path / "live") as backend:
        with monkeypatch.context() as patched:
            patched.setattr(_files, "place_many", lambda files: [errno.EIO for _ in files])
            with pytest.raises(OSError, match="Input/output error"):
                await put(backend, bucket, "old", b"new")
            with pytest.raises(OSError, match="Input/output error"):
                await put(backend, bucket, "new", b"new")
        assert await get(backend, bucket, "old") == SMALL
        assert await keys(backend, bucket) == ["old"]
        await put(backend, bucket, "other", SMALL)
        shutil.copytree(tmp_path / "live", tmp_path / "killed")
        lose_power(tmp_path / "live", tmp_path / "before", tmp_path / "cut")
    for root in (tmp_path / "cut", tmp_path / "killed"):
        async with opened(root) as again:
            assert await get(again, bucket, "old") == SMALL
            assert await keys(again, bucket) == ["old", "other"]


async def test_a_checkpoint_that_cannot_be_noted_voids_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, bucket: Bucket
) -> None:
    def full(*_args: Any, **_options: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    async with opened(tmp_path / "live") as backend:
        await put(backend, bucket, "key", SMALL)
        with monkeypatch.context() as patched:
            patched.setattr(_files, "place_many", lambda files: [errno.EIO for _ in files])
            # The log cannot tell either that nothing was made: that takes a checkpoint.
            patched.setattr(log, "_what_stands", full)
            with pytest.raises(OSError, match="Input/output error"):
                await put(backend, bucket, "old", b"new")
        with monkeypatch.context() as patched:
            patched.setattr(backend.store.disk, "replace", full)
            for _ in range(3):
                with pytest.raises(ServiceUnavailable, match="The disk is full"):
                    await put(backend, bucket, "other", SMALL)
        await put(backend, bucket, "other", SMALL)
        cut = await after_loss(tmp_path)
    assert await get(cut, bucket, "old") == SMALL
    assert await get(cut, bucket, "other") == SMALL
    await cut.close()


@pytest.mark.parametrize("body", [SMALL, OLD])
async def test_a_full_disk_refuses_a_put_and_harms_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, bucket: Bucket, body: bytes
) -> None:
    def full(_fd: int, _data: Any, _place: int) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    async with opened(tmp_path / "live") as backend:
        with monkeypatch.context() as patched:
            patched.setattr(os, "pwrite", full)
            with pytest.raises(ServiceUnavailable, match="The disk is full"):
                await put(backend, bucket, "old", body)
        assert await get(backend, bucket, "old") == SMALL
        await put(backend, bucket, "old", body)
        cut = await after_loss(tmp_path)
    assert await get(cut, bucket, "old") == body
    await cut.close()


async def test_when_a_sync_fails_nothing_is_changed_and_the_next_start_has_everything(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, bucket: Bucket
) -> None:
    async with opened(tmp_path / "live") as backend:
        await put(backend, bucket, "key", SMALL)
        monkeypatch.setattr(_files, "sync_all", refuse)
        with pytest.raises(ServiceUnavailable):
            await asyncio.to_thread(backend.store.log.checkpoint)
        for body in (SMALL, OLD):
            with pytest.raises(ServiceUnavailable, match="The disk failed"):
                await put(backend, bucket, "later", body)
        with pytest.raises(ServiceUnavailable):
            await backend.delete_version(bucket, "key", NULL_VERSION)
        assert await get(backend, bucket, "key") == SMALL
        lose_power(tmp_path / "live", tmp_path / "before", tmp_path / "cut", tear)
        monkeypatch.undo()
    # A sync would have succeeded now, but who knows of what.
    assert log.log_files(str(tmp_path / "live"))
    for root in (tmp_path / "cut", tmp_path / "live"):
        async with opened(root) as again:
            assert await get(again, bucket, "key") == SMALL
            assert await keys(again, bucket) == ["key", "old"]
            await put(again, bucket, "later", SMALL)


async def test_a_sync_of_the_log_that_fails_is_no_success(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, bucket: Bucket
) -> None:
    async with opened(tmp_path / "live") as backend:
        with monkeypatch.context() as patched:
            patched.setattr(os, "fdatasync", refuse)
            with pytest.raises(ServiceUnavailable, match="The disk failed"):
                await put(backend, bucket, "key", SMALL)
        with pytest.raises(NoSuchKey):
            await get(backend, bucket, "key")
        with pytest.raises(ServiceUnavailable, match="The disk failed"):
            await put(backend, bucket, "key", SMALL)


async def test_the_log_of_a_dead_process_is_forgotten_by_those_that_live(tmp_path: Path, bucket: Bucket) -> None:
    async with opened(tmp_path / "live") as backend:
        dead = log.Segment(f"{tmp_path}/live/log/dead-0", "boot")
        dead.append([log.Change(f"bucket~{bucket.id}/versions/aa/bb/x~{'0' * 32}~null.json", b"{}")], 0, 1)
        await asyncio.to_thread(backend.store.log.tend)
        assert dead.path in log.log_files(f"{tmp_path}/live")
        dead.close()
        await asyncio.to_thread(backend.store.log.tend)
        assert dead.path not in log.log_files(f"{tmp_path}/live")
        assert await keys(backend, bucket) == ["old"]


async def test_who_joins_does_as_the_first_does(tmp_path: Path, bucket: Bucket) -> None:
    async with opened(tmp_path / "live") as _, opened(tmp_path / "live", durable=False) as joined:
        await put(joined, bucket, "key", SMALL)
        cut = await after_loss(tmp_path)
    assert await get(cut, bucket, "key") == SMALL
    await cut.close()


async def test_versions_of_a_key_are_made_again_in_their_order(tmp_path: Path, bucket: Bucket) -> None:
    async with opened(tmp_path / "live") as backend:
        versioned = await set_versioning(backend, "bucket", "Enabled")
        made = [await put(backend, versioned, "key", f"{number}".encode()) for number in range(3)]
        await backend.delete_version(versioned, "key", made[1].version_id)
        cut = await after_loss(tmp_path)
    assert await get(cut, versioned, "key") == b"2"
    assert await get(cut, versioned, "key", made[0].version_id) == b"0"
    with pytest.raises(NoSuchVersion):
        await get(cut, versioned, "key", made[1].version_id)
    await cut.close()


@pytest.mark.parametrize("boot", [boot_id(), ANOTHER], ids=["the same", "another"])
async def test_what_stands_is_newer_than_the_log_unless_power_was_lost(
    tmp_path: Path, bucket: Bucket, boot: str
) -> None:
    """Somebody may have changed it without a log, or never made the change."""
    for number, key in enumerate(("newer", "gone")):
        async with opened(tmp_path / "live") as backend:
            await put(backend, bucket, key, b"first")
            (path,) = (path for name, path in sidecars(tmp_path / "live").items() if f"/{key}~" in name)
            old = path.read_bytes()
            await put(backend, bucket, key, b"second")
        segment = log.Segment(f"{tmp_path}/live/log/{number}-0", boot)
        name = str(path.relative_to(tmp_path / "live/buckets"))
        segment.append([log.Change(name, old, is_removal=key == "gone")], 0, 2**62)
        segment.close()
        if boot == ANOTHER:
            start_again(tmp_path / "live")
        async with opened(tmp_path / "live") as backend:
            if boot == boot_id():
                assert await get(backend, bucket, key) == b"second"
            elif key == "newer":
                assert await get(backend, bucket, key) == b"first"
            else:
                assert key not in await keys(backend, bucket)


async def test_a_damaged_sidecar_is_made_again_from_the_log(tmp_path: Path, bucket: Bucket) -> None:
    """A sync that failed may have left it so, without any loss of power."""
    async with opened(tmp_path / "live") as backend:
        await put(backend, bucket, "key", SMALL)
        shutil.copytree(tmp_path / "live", tmp_path / "cut")
    for name, path in sidecars(tmp_path / "cut").items():
        if "/key~" in name:
            tear(path)
    async with opened(tmp_path / "cut") as cut:
        assert await get(cut, bucket, "key") == SMALL


async def test_a_log_that_names_something_else_is_not_followed(tmp_path: Path, bucket: Bucket) -> None:
    for name in (f"bucket~{bucket.id}/data/aa/bb/x", f"bucket~{bucket.id}/versions/../../x.json", "../lock/owner"):
        segment = log.Segment(f"{tmp_path}/live/log/{len(name)}-0", boot_id())
        segment.append([log.Change(name, b"x")], 0, 2**62)
        segment.close()
        with pytest.raises(ValueError, match="no sidecar"):
            await FilesystemBackend(tmp_path / "live").open()
        os.unlink(segment.path)


async def test_a_log_of_another_version_is_left_alone(tmp_path: Path, bucket: Bucket) -> None:
    (tmp_path / "live/log/x-0").write_bytes(log.HEADER.pack(log.MAGIC, 99, bytes(16), b"boot") + bytes(100))
    with pytest.raises(ValueError, match="version 99"):
        await FilesystemBackend(tmp_path / "live").open()
    assert bucket


async def test_the_index_is_told_of_what_is_made_again_whatever_the_clock_says(tmp_path: Path, bucket: Bucket) -> None:
    """A machine without a clock of its own may start in its past."""
    async with opened(tmp_path / "live") as backend:
        await put(backend, bucket, "key", SMALL)
        await put(backend, bucket, "old", b"longer than before")
        await backend.delete_version(bucket, "key", NULL_VERSION)
        await put(backend, bucket, "new", SMALL)
        lose_power(tmp_path / "live", tmp_path / "before", tmp_path / "cut")
    (tmp_path / "cut/lock/mark").write_text(f"{time.time() + 100_000}\n")
    async with opened(tmp_path / "cut") as cut:
        page = await cut.list_versions(bucket, ListQuery())
        assert [(entry.key, entry.size) for entry in page.entries if isinstance(entry, Listed)] == [
            ("new", len(SMALL)),
            ("old", len(b"longer than before")),
        ]


async def test_what_stands_behind_the_end_of_a_log_is_not_taken_for_sizes(tmp_path: Path) -> None:
    segment = log.Segment(str(tmp_path / "log"), "boot")
    segment.append([log.Change("bucket/versions/aa/bb/x.json", b"{}")], 0, 1)
    os.pwrite(segment.fd, b"\xff" * log.RECORD.size, segment.size)
    segment.close()
    tracemalloc.start()
    try:
        (record,) = recovery.read_log(segment.path, ("", 0))
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert record.content == b"{}"
    assert most < 2**20


async def test_a_put_that_is_cancelled_as_it_ends_does_not_wait_for_ever(tmp_path: Path, bucket: Bucket) -> None:
    async with opened(tmp_path / "live", durable=False) as backend:
        loop = asyncio.get_running_loop()
        for _ in range(50):
            putting = asyncio.ensure_future(put(backend, bucket, "key", SMALL))
            await asyncio.sleep(0)
            # Its answer is on its way to the loop when it is cancelled: both in one turn.
            while backend.small.is_busy:
                time.sleep(0.0005)  # noqa: ASYNC251 - so that the loop does not turn
            loop.call_soon(putting.cancel)
            putting.cancel()
            async with asyncio.timeout(10):
                await asyncio.wait([putting])
                await put(backend, bucket, "key", b"next")


async def test_all_whose_bytes_were_lost_hear_of_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, bucket: Bucket
) -> None:
    """The system tells of a failed sync once."""
    told = threading.Event()

    def once(fd: int, sync: Callable[[int], None] = os.fdatasync) -> None:
        if told.is_set():
            sync(fd)
            return
        told.set()
        time.sleep(0.2)
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    async with opened(tmp_path / "live") as backend:
        monkeypatch.setattr(os, "fdatasync", once)
        puts = (put(backend, bucket, f"key-{number}", OLD) for number in range(8))
        answers = await asyncio.gather(*puts, return_exceptions=True)
        assert all(isinstance(answer, ServiceUnavailable) for answer in answers)
        assert await keys(backend, bucket) == ["old"]


async def test_after_a_failed_sync_nobody_joins_and_nobody_forgets(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, bucket: Bucket
) -> None:
    async with opened(tmp_path / "live") as other:
        async with opened(tmp_path / "live") as backend:
            await put(backend, bucket, "key", SMALL)
            with monkeypatch.context() as patched:
                patched.setattr(_files, "sync_all", refuse)
                with pytest.raises(ServiceUnavailable):
                    await asyncio.to_thread(backend.store.log.checkpoint)
            # Another process's sync succeeds: it has not been told.
            with pytest.raises(ServiceUnavailable, match="The disk failed"):
                await asyncio.to_thread(other.store.log.checkpoint)
            joining = FilesystemBackend(tmp_path / "live")
            with pytest.raises(ValueError, match="The disk failed"):
                await joining.open()
            lose_power(tmp_path / "live", tmp_path / "before", tmp_path / "cut", tear)
        assert log.log_files(str(tmp_path / "live"))
    for root in (tmp_path / "cut", tmp_path / "live"):
        async with opened(root) as again:
            assert await get(again, bucket, "key") == SMALL
            await put(again, bucket, "key", b"new")


async def test_what_was_deleted_stays_so_though_a_disk_lost_it(tmp_path: Path, bucket: Bucket) -> None:
    """The machine goes on, but the disk was mounted anew."""
    async with opened(tmp_path / "live") as backend:
        await backend.delete_version(bucket, "old", NULL_VERSION)
        shutil.copytree(tmp_path / "live", tmp_path / "cut")
    (old,) = sidecars(tmp_path / "before").items()
    shutil.copy2(old[1], tmp_path / "cut" / old[0])
    async with opened(tmp_path / "cut") as cut:
        assert await keys(cut, bucket) == []
        with pytest.raises(NoSuchKey):
            await get(cut, bucket, "old")


async def test_a_log_that_an_older_copy_left_is_not_read(tmp_path: Path, bucket: Bucket) -> None:
    (name, path) = next(iter(sidecars(tmp_path / "live").items()))
    segment = log.Segment(f"{tmp_path}/live/log/old-0", ANOTHER)
    segment.append([log.Change(name.removeprefix("buckets/"), path.read_bytes(), is_removal=True)], 0, 2**62)
    segment.close()
    async with opened(tmp_path / "live") as backend:
        assert await get(backend, bucket, "old") == SMALL


async def test_a_disk_that_is_not_known_to_sync_as_a_whole_has_no_log(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, bucket: Bucket
) -> None:
    monkeypatch.setattr(log, "disk_kind", lambda _path: "overlay")
    async with opened(tmp_path / "live") as backend:
        await put(backend, bucket, "key", SMALL)
        await backend.delete_version(bucket, "old", NULL_VERSION)
        assert not log.log_files(str(tmp_path / "live"))
        assert await keys(backend, bucket) == ["key"]


async def test_a_heart_that_misses_a_beat_goes_on(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, bucket: Bucket
) -> None:
    third = asyncio.Event()
    loop, calls = asyncio.get_running_loop(), 0

    def failing() -> None:
        nonlocal calls
        calls += 1
        if calls == 3:
            loop.call_soon_threadsafe(third.set)
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    monkeypatch.setattr("post3.storage.filesystem.backend.HEARTBEAT", timedelta(milliseconds=5))
    async with opened(tmp_path / "live") as backend:
        monkeypatch.setattr(backend.store.log, "tend", failing)
        await put(backend, bucket, "key", SMALL)
        async with asyncio.timeout(10):
            await third.wait()


async def test_a_put_into_a_store_that_is_closed_fails(tmp_path: Path, bucket: Bucket) -> None:
    async with opened(tmp_path / "live", durable=False) as backend:
        await asyncio.to_thread(backend.store.threads.shutdown)
        for _ in range(2):
            async with asyncio.timeout(10):
                with pytest.raises(RuntimeError):
                    await put(backend, bucket, "key", SMALL)


async def test_a_damaged_mark_is_told(tmp_path: Path, bucket: Bucket) -> None:
    segment = log.Segment(f"{tmp_path}/live/log/x-0", boot_id())
    segment.close()
    (tmp_path / "live/log/mark").write_text("nothing")
    with pytest.raises(ValueError, match="mark is damaged"):
        await FilesystemBackend(tmp_path / "live").open()
    assert bucket
