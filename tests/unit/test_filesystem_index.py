"""The index shows what the sidecars say: in order, whatever was lost of it, and what is not shown costs nothing."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import sqlite3
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, closing
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from post3.errors import NoSuchKey
from post3.model.bucket import Bucket
from post3.model.listing import CommonPrefix, Listed, ListQuery, Page, collapse
from post3.model.object import NULL_VERSION, ObjectVersion
from post3.storage.documents import moment
from post3.storage.filesystem import parts, scan
from post3.storage.filesystem.backend import FilesystemBackend
from post3.storage.filesystem.index import Index, Intent, Work
from post3.storage.filesystem.layout import KeyPlace, key_place, key_stripe
from post3.storage.filesystem.store import Store
from post3.storage.listed import listed
from tests.conftest import create_bucket, get, keys, names, put, put_in_parts, put_marker, set_versioning

Truths = dict[tuple[str, str], list[ObjectVersion]]

letters = st.text("a/|é𝄞\0", min_size=1, max_size=5)
prefixes = st.sampled_from(["", "", "a", "a/", "/", "é", "a|", "𝄞"])
delimiters = st.sampled_from(["", "/", "|", "|/", "//", "é", "a/"])
queries = st.builds(
    ListQuery,
    prefix=prefixes,
    delimiter=delimiters,
    after=st.one_of(st.just(""), letters, letters.map(lambda key: f"{key}/")),
    after_sequence=st.integers(0, 7),
    limit=st.integers(0, 6),
    all_versions=st.booleans(),
).map(lambda query: query if query.all_versions else replace(query, after_sequence=0))
"""What can be asked: only a list of versions goes on within a key."""


@st.composite
def histories(draw: st.DrawFn) -> list[ObjectVersion]:
    """The versions of one key, without the key."""
    sequences = draw(st.lists(st.integers(1, 6), min_size=1, max_size=4, unique=True))
    null = draw(st.sampled_from([0, *sequences]))
    return [version(sequence, null=sequence == null, marker=draw(st.booleans())) for sequence in sequences]


def version(
    sequence: int, *, key: str = "", null: bool = False, marker: bool = False, bucket: str = "b"
) -> ObjectVersion:
    made = NULL_VERSION if null else f"{sequence:016x}{0:016x}"
    shown = ObjectVersion("b", key, made, moment(sequence * 1_000_001), "bob", sequence, is_delete_marker=marker)
    return replace(shown, size=sequence, etag=f"etag-{sequence}", content=f"content-{sequence}", revision=1)


def of_key(key: str, versions: Sequence[ObjectVersion]) -> list[ObjectVersion]:
    return [replace(one, key=key) for one in versions]


class Opened:
    """An index that stands alone, with what the sidecars would say."""

    def __init__(self, folder: Path) -> None:
        self.truths: Truths = {}
        self.asked: list[str] = []
        self.index = Index(str(folder / "index.sqlite"), str(folder / "mark"), self.truth, durable=False)
        self._buckets = 0

    def truth(self, bucket: str, key: str) -> list[ObjectVersion]:
        self.asked.append(key)
        return self.truths.get((bucket, key), [])

    def bucket(self) -> str:
        """A bucket that nothing is known of."""
        self._buckets += 1
        return f"bucket-{self._buckets}"

    def page(self, bucket: str, query: ListQuery) -> Page[Listed]:
        return self.index.page(bucket, query).result(10)[0]

    def steps(self, bucket: str, query: ListQuery) -> int:
        """What a page costs: the steps of SQLite's machine."""
        count = [0]

        def step() -> int:
            count[0] += 1
            return 0

        self.index.submit(lambda db: db.set_progress_handler(step, 1), writes=False).result(10)
        self.page(bucket, query)
        self.index.submit(lambda db: db.set_progress_handler(None, 1), writes=False).result(10)
        return count[0]


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Opened]:
    opened = Opened(tmp_path_factory.mktemp("index"))
    assert opened.index.open()
    yield opened
    opened.index.close()


def expected(truths: dict[str, list[ObjectVersion]], query: ListQuery) -> Page[Listed]:
    """The page by the model alone."""
    candidates: list[Listed] = []
    for _, versions in sorted(truths.items()):
        newest_first = sorted(versions, key=lambda one: -one.sequence)
        shown = [listed(one, is_latest=one is newest_first[0]) for one in newest_first]
        candidates += shown if query.all_versions else [one for one in shown[:1] if not one.is_delete_marker]
    return collapse([one for one in candidates if one.key.startswith(query.prefix)], query)


@settings(max_examples=400, deadline=None)
@given(
    settled=st.dictionaries(letters, histories(), max_size=8),
    unsettled=st.dictionaries(letters, st.tuples(histories() | st.just([]), histories() | st.just([])), max_size=3),
    query=queries,
)
def test_a_page_is_what_the_model_makes_of_the_sidecars(
    alone: Opened,
    settled: dict[str, list[ObjectVersion]],
    unsettled: dict[str, tuple[list[ObjectVersion], list[ObjectVersion]]],
    query: ListQuery,
) -> None:
    bucket = alone.bucket()
    truths = {key: of_key(key, versions) for key, versions in settled.items()}
    with pytest.MonkeyPatch.context() as patched:
        # Pages of a few keys are to end within the rows that are read at a time, too.
        patched.setattr(scan, "ROWS", 2)
        patched.setattr(scan, "MAX_ROWS", 4)
        rows = dict(truths)
        for key, (before, after) in unsettled.items():
            rows[key], truths[key] = of_key(key, before), of_key(key, after)
            alone.index.intend(Intent(bucket, key, "token"))
        for key, versions in rows.items():
            alone.index.fill(bucket, versions)
            alone.truths[bucket, key] = truths[key]
        assert alone.page(bucket, query) == expected(truths, query)


@pytest.mark.parametrize("all_versions", [False, True])
def test_a_key_on_its_way_out_takes_no_common_prefix_along(alone: Opened, all_versions: bool) -> None:
    bucket = alone.bucket()
    alone.index.fill(bucket, [version(1, key=key) for key in ("a/1", "a/2", "b/1", "c", "c0", "d/1")])
    for key in ("a/1", "b/1", "c"):
        alone.index.intend(Intent(bucket, key, "token"))
    page = alone.page(bucket, ListQuery(delimiter="/", all_versions=all_versions))
    assert names(page) == ["a/", "c0", "d/"]


def test_the_keys_of_unsettled_changes_are_told_with_the_page(alone: Opened) -> None:
    bucket = alone.bucket()
    for key in ("a", "b/1", "b/2", "c"):
        alone.index.intend(Intent(bucket, key, "token"))
    _, unsettled = alone.index.page(bucket, ListQuery(prefix="b/")).result(10)
    assert unsettled == ["b/1", "b/2"]
    assert alone.asked[-2:] == ["b/1", "b/2"]


def test_a_change_that_fails_spoils_none_of_those_in_its_batch(alone: Opened) -> None:
    bucket = alone.bucket()
    blocked = alone.index.submit(lambda _: time.sleep(0.1), writes=False)

    def fail(_db: sqlite3.Connection) -> None:
        raise sqlite3.IntegrityError("of its own")

    good = [alone.index.submit(lambda db: db.execute("SELECT 1").fetchone(), writes=True) for _ in range(2)]
    bad = alone.index.submit(fail, writes=True)
    blocked.result(10)
    assert [job.result(10) for job in good] == [(1,), (1,)]
    with pytest.raises(sqlite3.IntegrityError):
        bad.result(10)
    alone.index.fill(bucket, [version(1, key="key")])
    assert len(alone.page(bucket, ListQuery()).entries) == 1


# What a page costs


def many(prefix: str, count: int) -> list[ObjectVersion]:
    return [version(1, key=f"{prefix}{number:05d}") for number in range(count)]


def filled(alone: Opened, *versions: list[ObjectVersion]) -> str:
    bucket = alone.bucket()
    for some in versions:
        alone.index.fill(bucket, some)
    return bucket


@pytest.mark.parametrize("all_versions", [False, True])
def test_keys_hidden_by_a_common_prefix_cost_nothing(alone: Opened, all_versions: bool) -> None:
    query = ListQuery(delimiter="/", limit=5, all_versions=all_versions)
    few, lots = (filled(alone, *(many(f"{one}/", count) for one in "abcdef")) for count in (300, 3000))
    assert alone.steps(bucket=lots, query=query) < alone.steps(few, query) * 1.1
    assert len(alone.page(lots, query).entries) == 5


@pytest.mark.parametrize("all_versions", [False, True])
def test_keys_before_and_behind_the_page_cost_nothing(alone: Opened, all_versions: bool) -> None:
    query = ListQuery(prefix="m", after="m00002", limit=5, all_versions=all_versions)
    alone_there, among_many = (filled(alone, many("a", count), many("m", 300), many("z", count)) for count in (1, 3000))
    assert alone.steps(among_many, query) < alone.steps(alone_there, query) * 1.1
    in_small, in_large = (filled(alone, many("m", count)) for count in (300, 3000))
    assert alone.steps(in_large, query) < alone.steps(in_small, query) * 1.1


def test_deleted_keys_and_older_versions_cost_a_list_of_objects_nothing(alone: Opened) -> None:
    few, lots = alone.bucket(), alone.bucket()
    for bucket, count in ((few, 1), (lots, 2000)):
        alone.index.fill(bucket, [version(2, key=f"gone-{number}", marker=True) for number in range(count)])
        alone.index.fill(bucket, [version(number + 1, key="old") for number in range(count)])
        alone.index.fill(bucket, many("z", 10))
    assert alone.steps(lots, ListQuery()) < alone.steps(few, ListQuery()) * 1.1


def test_versions_of_a_key_behind_the_page_cost_nothing(alone: Opened) -> None:
    few, lots = alone.bucket(), alone.bucket()
    for bucket, count in ((few, 300), (lots, 3000)):
        alone.index.fill(bucket, [version(number + 1, key="key") for number in range(count)])
    query = ListQuery(all_versions=True, limit=5)
    assert alone.steps(lots, query) < alone.steps(few, query) * 1.1
    later = replace(query, after="key", after_sequence=200)
    assert alone.steps(lots, later) < alone.steps(few, later) * 1.1


def test_unsettled_keys_outside_the_page_are_not_read(alone: Opened) -> None:
    bucket = alone.bucket()
    for key in ("a", "m", "z"):
        alone.index.intend(Intent(bucket, key, "token"))
    alone.asked.clear()
    alone.page(bucket, ListQuery(prefix="m"))
    assert alone.asked == ["m"]


# What is lost of it


@asynccontextmanager
async def opened(root: Path) -> AsyncIterator[FilesystemBackend]:
    backend = FilesystemBackend(root, durable=False)
    await backend.open()
    try:
        yield backend
    finally:
        await backend.close()


KEYS: Final = ("a", "b/1", "é", "parts")


async def fill(backend: FilesystemBackend) -> Bucket:
    """Some of everything that the index knows."""
    await create_bucket(backend, "other")
    plain = await create_bucket(backend, "bucket")
    await put(backend, plain, "a", b"old")
    bucket = await set_versioning(backend, "bucket", "Enabled")
    for key in KEYS:
        await put(backend, bucket, key, key.encode())
    await put(backend, bucket, "é", b"again", checksums={"crc32": "AAAAAA=="}, checksum_type="FULL_OBJECT")
    await put_in_parts(backend, bucket, "parts", b"one", b"two")
    await put_marker(backend, bucket, "a")
    suspended = await set_versioning(backend, "bucket", "Suspended")
    await put(backend, suspended, "b/1", b"null")
    await backend.delete_version(suspended, "b/1", NULL_VERSION)
    return suspended


async def rows(backend: FilesystemBackend) -> list[Any]:
    def read(db: sqlite3.Connection) -> list[Any]:
        return [db.execute(f"SELECT * FROM {table} ORDER BY 1, 2, 3").fetchall() for table in ("versions", "intents")]

    return await asyncio.wrap_future(backend.store.index.submit(read, writes=False))


def spoil(path: Path, start: int = 0) -> None:
    path.write_bytes(path.read_bytes()[:start] + b"\x5a" * max(8192, path.stat().st_size - start))


def foreign(path: Path) -> None:
    path.unlink()
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA user_version = 7")
        db.execute("CREATE TABLE something (else_)")


def change_index(root: Path, *statements: str) -> None:
    with closing(sqlite3.connect(root / "index.sqlite")) as db:
        for statement in statements:
            db.execute(statement)
        db.commit()


def cut_short(root: Path) -> None:
    change_index(root, "DELETE FROM versions")
    (root / "lock" / "mark.doubtful").touch()


LOSSES: Final[dict[str, Callable[[Path], object]]] = {
    "missing": lambda root: (root / "index.sqlite").unlink(),
    "spoiled": lambda root: spoil(root / "index.sqlite"),
    "empty": lambda root: os.truncate(root / "index.sqlite", 0),
    "another program's": lambda root: foreign(root / "index.sqlite"),
    "doubtful": lambda root: (root / "lock" / "mark.doubtful").touch(),
    "of a repair that was cut short": cut_short,
}


@pytest.mark.parametrize("lose", LOSSES.values(), ids=LOSSES)
async def test_what_is_lost_is_made_again_from_the_sidecars(tmp_path: Path, lose: Callable[[Path], object]) -> None:
    async with opened(tmp_path) as backend:
        await fill(backend)
        before = await rows(backend)
    assert len(before[0]) == 8
    lose(tmp_path)
    async with opened(tmp_path) as backend:
        assert await rows(backend) == before
    assert not (tmp_path / "lock" / "mark.doubtful").exists()


async def test_damage_deep_inside_is_mended_at_the_start(tmp_path: Path) -> None:
    async with opened(tmp_path) as backend:
        await fill(backend)
        before = await rows(backend)
    spoil(tmp_path / "index.sqlite", start=4096)
    async with opened(tmp_path) as backend:
        assert await rows(backend) == before


async def test_damage_that_a_list_meets_hides_no_object_and_is_mended_at_the_next_start(tmp_path: Path) -> None:
    async with opened(tmp_path) as backend:
        bucket = await fill(backend)
        before = await rows(backend)
        await asyncio.wrap_future(backend.store.index.submit(_checkpointed, writes=False))
        spoil(tmp_path / "index.sqlite", start=4096)
        with pytest.raises(sqlite3.DatabaseError):
            await keys(backend, bucket)
        assert await get(backend, bucket, "é") == b"again"
    async with opened(tmp_path) as backend:
        assert await rows(backend) == before


def _checkpointed(db: sqlite3.Connection) -> None:
    """Everything is in the file, and nothing in memory."""
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    db.execute("PRAGMA cache_size = 0")
    db.execute("PRAGMA shrink_memory")


@pytest.fixture
async def cut_off(tmp_path: Path) -> tuple[Path, Bucket, list[Any]]:
    """A store as a loss of power leaves it, with the owner of another start of the machine; and what its index was."""
    async with opened(tmp_path / "live") as backend:
        bucket = await fill(backend)
        before = await rows(backend)
        shutil.copytree(tmp_path / "live", tmp_path / "copy")
    (tmp_path / "copy" / "lock" / "owner").write_text(json.dumps({"host": "here", "boot": "earlier", "clean": False}))
    os.utime(tmp_path / "copy" / "lock" / "owner", (0, 0))
    return tmp_path / "copy", bucket, before


async def test_what_a_loss_of_power_took_from_the_log_is_read_again(cut_off: tuple[Path, Bucket, list[Any]]) -> None:
    root, _, before = cut_off
    assert (root / "index.sqlite-wal").stat().st_size > 0
    (root / "lock" / "mark").write_text(f"{time.time() - 3600}\n")
    os.truncate(root / "index.sqlite-wal", (root / "index.sqlite-wal").stat().st_size // 2)
    async with opened(root) as backend:
        assert await rows(backend) == before


@pytest.mark.parametrize("mark", ["", "nonsense", "0\n", "an hour ago"])
async def test_rows_lost_with_the_power_come_back_and_rows_of_vanished_sidecars_go(
    cut_off: tuple[Path, Bucket, list[Any]], mark: str
) -> None:
    root, bucket, before = cut_off
    change_index(root, "DELETE FROM versions WHERE key = X'61'", "DELETE FROM intents")
    place = key_place(f"{root}/buckets/bucket~{bucket.id}", "é")
    for version_id in place.version_ids():
        os.unlink(place.sidecar(version_id))
    if mark:
        (root / "lock" / "mark").write_text(mark.replace("an hour ago", f"{time.time() - 3600}\n"))
    async with opened(root) as backend:
        assert await rows(backend) == [[row for row in before[0] if row[1] != "é".encode()], []]
        with pytest.raises(NoSuchKey):
            await backend.get_version(bucket, "é")


async def test_only_folders_that_changed_since_the_mark_are_read_again(
    cut_off: tuple[Path, Bucket, list[Any]],
) -> None:
    root, bucket, before = cut_off
    change_index(root, "DELETE FROM versions")
    (root / "lock" / "mark").write_text(f"{time.time() - 3600}\n")
    old = key_place(f"{root}/buckets/bucket~{bucket.id}", "é").versions
    os.utime(old, (time.time() - 7200,) * 2)
    async with opened(root) as backend:
        assert await rows(backend) == [[row for row in before[0] if row[1] != "é".encode()], []]


@pytest.mark.parametrize(("boot", "clean"), [("earlier", True), ("now", False), ("now", True)])
async def test_an_index_that_lost_no_power_is_trusted(
    cut_off: tuple[Path, Bucket, list[Any]], monkeypatch: pytest.MonkeyPatch, boot: str, clean: bool
) -> None:
    root, _, _ = cut_off
    change_index(root, "DELETE FROM versions")
    monkeypatch.setattr("post3.storage.filesystem.opening.boot_id", lambda: "now")
    (root / "lock" / "owner").write_text(json.dumps({"host": "here", "boot": boot, "clean": clean}))
    async with opened(root) as backend:
        assert await rows(backend) == [[], []]


async def test_without_a_boot_id_an_unclean_end_may_have_been_a_loss_of_power(
    cut_off: tuple[Path, Bucket, list[Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    root, _, before = cut_off
    change_index(root, "DELETE FROM versions")
    monkeypatch.setattr("post3.storage.filesystem.opening.boot_id", lambda: "")
    (root / "lock" / "owner").write_text(json.dumps({"host": "here", "boot": "", "clean": False}))
    async with opened(root) as backend:
        assert await rows(backend) == before


# What a dead process left unsettled


async def left_unsettled(backend: FilesystemBackend, bucket: Bucket) -> None:
    """As if a process had died between its renames and the index."""
    place = backend.store.place(bucket, "é")
    for version_id in place.version_ids():
        os.unlink(place.sidecar(version_id))
    backend.store.index.intend(Intent(bucket.id, "é", "dead"))
    backend.store.index.refresh(bucket.id, "parts", [])
    backend.store.index.intend(Intent(bucket.id, "parts", "dead"))


async def test_a_list_shows_and_settles_what_was_left_unsettled(tmp_path: Path) -> None:
    async with opened(tmp_path) as backend:
        bucket = await fill(backend)
        before = await rows(backend)
        await left_unsettled(backend, bucket)
        assert await keys(backend, bucket) == ["b/1", "parts"]
        for _ in range(500):
            if not (await rows(backend))[1]:
                break
            await asyncio.sleep(0.01)
        assert await rows(backend) == [[row for row in before[0] if row[1] != "é".encode()], []]


async def test_what_was_left_unsettled_settles_at_the_next_start(tmp_path: Path) -> None:
    async with opened(tmp_path) as backend:
        bucket = await fill(backend)
        before = await rows(backend)
        await left_unsettled(backend, bucket)
    async with opened(tmp_path) as backend:
        assert await rows(backend) == [[row for row in before[0] if row[1] != "é".encode()], []]


async def test_a_key_that_is_being_changed_is_not_settled_by_others(tmp_path: Path) -> None:
    async with opened(tmp_path) as backend:
        bucket = await fill(backend)
        place = backend.store.place(bucket, "a")
        with backend.store.locks.held(key_stripe(place.folder, place.stem)):
            backend.store.index.intend(Intent(bucket.id, "a", "alive"))
            backend.store.settle_left("bucket", bucket.id, ["a"])
            assert backend.store.index.intents() == [(bucket.id, "a")]
        backend.store.settle_left("bucket", bucket.id, ["a"])
        assert backend.store.index.intents() == []


async def test_what_is_known_of_buckets_that_are_gone_is_dropped(tmp_path: Path) -> None:
    async with opened(tmp_path) as backend:
        await fill(backend)
        before = await rows(backend)
        backend.store.index.fill("gone", [version(1, key="key")])
        backend.store.index.intend(Intent("gone", "key", "dead"))
    async with opened(tmp_path) as backend:
        assert await rows(backend) == before


async def test_a_list_of_common_prefixes_sees_unsettled_keys_too(tmp_path: Path) -> None:
    async with opened(tmp_path) as backend:
        bucket = await fill(backend)
        backend.store.index.refresh(bucket.id, "b/1", [])
        backend.store.index.intend(Intent(bucket.id, "b/1", "dead"))
        page = await backend.list_versions(bucket, ListQuery(delimiter="/"))
        assert CommonPrefix("b/") in page.entries


def test_nobody_else_may_read_the_index(tmp_path: Path) -> None:
    opened = Opened(tmp_path)
    assert opened.index.open()
    opened.index.fill("bucket", [])
    try:
        files = list(tmp_path.glob("**/index.sqlite*"))
        assert files
        assert [path.stat().st_mode & 0o077 for path in files] == [0] * len(files)
    finally:
        opened.index.close()


# The locks of a change


async def test_a_change_keeps_its_key_until_it_is_over_though_the_index_has_settled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An upload is noted as completed behind the settlement: nobody else may come in between."""
    free: list[bool] = []

    def complete(store: Store, place: KeyPlace, *rest: Any) -> None:
        store.index.intents()  # waits for all that was queued before
        with store.locks.tried(key_stripe(place.folder, place.stem)) as is_free:
            free.append(is_free)
        real(store, place, *rest)

    real = parts.complete
    monkeypatch.setattr("post3.storage.filesystem.uploads.complete", complete)
    async with opened(tmp_path) as backend:
        bucket = await create_bucket(backend, "bucket")
        await put_in_parts(backend, bucket, "key", b"one", b"two")
        assert free == [False]
        await put(backend, bucket, "key", b"the locks are given back")


async def test_a_key_stays_locked_until_its_change_is_settled(tmp_path: Path) -> None:
    """Else a later change, by another process, could be settled before it."""
    async with opened(tmp_path) as backend:
        bucket = await create_bucket(backend, "bucket")
        place = backend.store.place(bucket, "key")
        stripe = key_stripe(place.folder, place.stem)
        going, gone_on = threading.Event(), threading.Event()

        def hold(_: sqlite3.Connection) -> None:
            going.set()
            gone_on.wait(30)

        settle = backend.store.index.settle

        def held_up(*args: Any, **kwargs: Any) -> Any:
            backend.store.index.submit(hold, writes=True)
            going.wait(30)
            return settle(*args, **kwargs)

        backend.store.index.settle = held_up  # type: ignore[method-assign]  # so that it waits
        await put(backend, bucket, "key", b"x" * 20_000)
        with backend.store.locks.tried(stripe) as is_free:
            assert not is_free
        gone_on.set()
        assert await keys(backend, bucket) == ["key"]
        for _ in range(1000):
            with backend.store.locks.tried(stripe) as is_free:
                if is_free:
                    return
            await asyncio.sleep(0.01)
        raise AssertionError("the lock was never given back")


async def test_a_small_put_keeps_its_key_locked_until_it_is_settled(tmp_path: Path) -> None:
    async with opened(tmp_path) as backend:
        bucket = await create_bucket(backend, "bucket")
        place = backend.store.place(bucket, "key")
        stripe = key_stripe(place.folder, place.stem)
        gone_on, write, calls = threading.Event(), backend.store.index.write, 0

        def held_up(works: Sequence[Work]) -> None:
            nonlocal calls
            calls += 1
            if calls == 2:  # the intents came before
                gone_on.wait(30)
            write(works)

        backend.store.index.write = held_up  # type: ignore[method-assign]  # so that it waits
        await put(backend, bucket, "key", b"x")
        with backend.store.locks.tried(stripe) as is_free:
            assert not is_free
        assert await keys(backend, bucket) == ["key"]
        gone_on.set()
        for _ in range(1000):
            with backend.store.locks.tried(stripe) as is_free:
                if is_free:
                    assert not backend.store.index.intents()
                    return
            await asyncio.sleep(0.01)
        raise AssertionError("the lock was never given back")
