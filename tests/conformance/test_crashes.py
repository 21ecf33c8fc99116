"""Whenever a process dies, what was answered is whole, and what was interrupted is wholly done or wholly not.

Each change runs in a process of its own, which dies at its first step on the disk; then again, in a copy of the same
store, where it dies at the second; and so on until the change comes to its end. After each death the store is looked
at: by a process that opens it then, or by one that has had it open all the time. A step is a call that changes a file
or a folder, or a commit of the index. A write dies half-way.

The deaths of this module are those of a process. What a loss of power needs is the order of the syncs, tested at the
end. The store in memory has nothing to come back to, so these are tests of the filesystem alone.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import json
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any, Final, NoReturn, TypeAlias

import pytest

from post3.errors import BucketAlreadyExists, NoSuchBucket, NoSuchKey, NoSuchUpload, S3Error
from post3.model.bucket import Bucket
from post3.model.listing import CommonPrefix, ListQuery
from post3.model.object import NULL_VERSION, ObjectVersion
from post3.model.record import Entry, Record
from post3.model.upload import Upload
from post3.storage.filesystem.backend import FilesystemBackend
from tests.conftest import (
    AT_ONCE,
    KIB,
    MIB,
    collect_all,
    content_of,
    create_bucket,
    create_upload,
    etag_of,
    finish,
    get,
    put,
    put_marker,
    put_part,
    set_versioning,
    some_bytes,
)

INLINE: Final = some_bytes(5 * KIB)
STORED: Final = some_bytes(MIB + 70 * KIB)
"""Two blocks, in a data file."""
OLD: Final = some_bytes(40 * KIB, seed=1)
PART: Final = some_bytes(30 * KIB, seed=2)
KEYS: Final = ("key", "other", "new")
CUT: Final = 99
"""The exit code of a process that died at its step."""
Act: TypeAlias = Callable[[FilesystemBackend], Awaitable[object]]


# Dying


class Cut:
    """Ends the process at the step of this number."""

    CALLS: Final = (
        "write",
        "rename",
        "replace",
        "unlink",
        "rmdir",
        "mkdir",
        "utime",
        "fsync",
        "open",
        "link",
        "symlink",
    )

    def __init__(self, step: int) -> None:
        self._left = step
        self._armed = False

    def install(self) -> None:
        for name in self.CALLS:
            setattr(os, name, self._wrapped(name, getattr(os, name)))
        factory = functools.partial(_Connection, self)
        connect: Callable[..., sqlite3.Connection] = sqlite3.connect
        setattr(sqlite3, "connect", functools.partial(connect, factory=factory))  # noqa: B010 - mypy knows better

    def arm(self) -> None:
        self._armed = True

    def step(self) -> bool:
        """Whether this is the step to die at."""
        if not self._armed:
            return False
        self._left -= 1
        return self._left == 0

    def _wrapped(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            if self._changes(name, args) and self.step():
                if name == "write":
                    call(args[0], args[1][: len(args[1]) // 2])
                os._exit(CUT)
            return call(*args, **kwargs)

        return wrapped

    @staticmethod
    def _changes(name: str, args: tuple[Any, ...]) -> bool:
        # Locks are opened over and over, and left as they are.
        return name != "open" or bool(args[1] & os.O_CREAT and "/lock/" not in str(args[0]))


class _Connection(sqlite3.Connection):
    def __init__(self, cut: Cut, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._cut = cut

    def execute(self, sql: str, *args: Any) -> sqlite3.Cursor:
        if sql == "COMMIT" and self._cut.step():
            os._exit(CUT)
        return super().execute(sql, *args)

    def executescript(self, sql: str) -> sqlite3.Cursor:
        done = super().executescript(sql)
        if self._cut.step():
            os._exit(CUT)
        return done


def run_cut(root: str, name: str, step: int) -> NoReturn:
    """Make a change, and die at its step, or at its end."""

    async def run() -> None:
        case, cut = CASES[name], Cut(step)
        cut.install()
        if case.from_open:
            cut.arm()
        backend = a_store(root)
        await backend.open()
        cut.arm()
        await case.act(backend)
        os._exit(0)

    try:
        asyncio.run(run())
    finally:
        os._exit(1)


def serve_cuts() -> None:
    """Fork a process for each line that is read, and tell how it ended: forking is quick, and safe without threads."""
    for line in sys.stdin:
        root, name, step = json.loads(line)
        pid = os.fork()
        if not pid:
            run_cut(root, name, step)
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)


class Cutter:
    """Has changes made by processes that die."""

    def __init__(self, stdin: IO[str], stdout: IO[str]) -> None:
        self._stdin, self._stdout = stdin, stdout

    def dies(self, root: Path, name: str, step: int) -> bool:
        """Whether the process died at its step; False when the change came to its end before."""
        print(json.dumps([str(root), name, step]), file=self._stdin, flush=True)
        code = int(self._stdout.readline())
        assert code in {0, CUT}, f"the change failed instead of being cut at step {step}"
        return code == CUT


@pytest.fixture(scope="module")
def cutter() -> Iterator[Cutter]:
    command = [sys.executable, "-m", __name__]
    home = Path(__file__).parents[2]
    with subprocess.Popen(command, cwd=home, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        yield Cutter(process.stdin, process.stdout)
        process.stdin.close()


# The changes


@dataclass(frozen=True, slots=True)
class Case:
    """A change, what was there before, and how it is refused when it was made already."""

    act: Act
    prepare: Act
    made: tuple[type[S3Error], ...] = ()
    repeats: bool = True
    """Made twice is the same as made once."""
    tells: bool = False
    """It writes to the journal."""
    from_open: bool = False
    """Opening the store is part of it."""


CASES: Final[dict[str, Case]] = {}


async def _nothing(_backend: FilesystemBackend) -> None:
    pass


def case(name: str, prepare: Act = _nothing, *made: type[S3Error], **more: bool) -> Callable[[Act], Act]:
    def register(act: Act) -> Act:
        CASES[name] = Case(act, prepare, made, **more)
        return act

    return register


async def _bucket(backend: FilesystemBackend) -> Bucket:
    return await backend.get_bucket("bucket")


async def plain(backend: FilesystemBackend) -> None:
    """A bucket with objects of every kind."""
    bucket = await create_bucket(backend, "bucket")
    await put(backend, bucket, "key", OLD)
    await put(backend, bucket, "other", STORED)


async def plain_inline(backend: FilesystemBackend) -> None:
    await plain(backend)
    await put(backend, await _bucket(backend), "key", b"old")


async def parts(backend: FilesystemBackend) -> None:
    """An object that came in parts."""
    bucket = await create_bucket(backend, "bucket")
    upload = await create_upload(backend, bucket, "key", 7)
    sent = [await put_part(backend, bucket, upload, number, data) for number, data in ((1, OLD), (3, PART))]
    await finish(backend, bucket, upload, sent)


async def versioned(backend: FilesystemBackend) -> None:
    await plain(backend)
    await put(backend, await set_versioning(backend, "bucket", "Enabled"), "key", b"second")


async def uploading(backend: FilesystemBackend) -> None:
    """An object, and an upload that would replace it: a large part, a small one, and one that will not be chosen."""
    await plain(backend)
    bucket = await _bucket(backend)
    upload = await create_upload(backend, bucket, "key", 1)
    for number, data in ((1, OLD), (2, b"small"), (3, PART)):
        await put_part(backend, bucket, upload, number, data)


async def with_new(backend: FilesystemBackend) -> None:
    await plain(backend)
    await put(backend, await _bucket(backend), "new", b"old")


async def the_upload(backend: FilesystemBackend) -> Upload:
    return await backend.get_upload(await _bucket(backend), "key", f"{1:016x}{1:016x}")


async def empty_bucket(backend: FilesystemBackend) -> None:
    """A bucket that holds no objects, but an upload."""
    bucket = await create_bucket(backend, "bucket")
    await put_part(backend, bucket, await create_upload(backend, bucket, "key", 1), 1, PART)


@case("put inline", plain)
async def _put_inline(backend: FilesystemBackend) -> None:
    await put(backend, await _bucket(backend), "new", INLINE)


@case("put stored", plain)
async def _put_stored(backend: FilesystemBackend) -> None:
    await put(backend, await _bucket(backend), "new", STORED)


@case("replace stored by inline", plain)
@case("replace inline by inline", plain_inline)
@case("replace parts by inline", parts)
async def _replace_by_inline(backend: FilesystemBackend) -> None:
    await put(backend, await _bucket(backend), "key", INLINE)


@case("replace stored by stored", plain)
@case("replace parts by stored", parts)
async def _replace_by_stored(backend: FilesystemBackend) -> None:
    await put(backend, await _bucket(backend), "key", STORED)


@case("put a version", versioned, repeats=False)
async def _put_version(backend: FilesystemBackend) -> None:
    await put(backend, await _bucket(backend), "key", STORED)


@case("put a marker", versioned, repeats=False)
async def _put_marker(backend: FilesystemBackend) -> None:
    await put_marker(backend, await _bucket(backend), "key")


@case("change a version", plain_inline)
async def _update(backend: FilesystemBackend) -> None:
    change = functools.partial(replace, metadata={"colour": "blue"})
    await backend.update_version(await _bucket(backend), "key", None, change)


@case("delete stored", plain)
@case("delete inline", plain_inline)
@case("delete parts", parts)
@case("delete the older version", versioned)
async def _delete(backend: FilesystemBackend) -> None:
    await backend.delete_version(await _bucket(backend), "key", NULL_VERSION)


@case("delete the newest version", versioned, repeats=False)
async def _delete_newest(backend: FilesystemBackend) -> None:
    bucket = await _bucket(backend)
    newest = await backend.get_version(bucket, "key")
    await backend.delete_version(bucket, "key", newest.version_id)


@case("put with a journal", plain, repeats=False, tells=True)
@case("replace with a journal", with_new, tells=True)
async def _put_journal(backend: FilesystemBackend) -> None:
    await put(backend, await _bucket(backend), "new", INLINE, journal=[Entry("told", {"key": "new"})])


@case("delete with a journal", plain, tells=True)
async def _delete_journal(backend: FilesystemBackend) -> None:
    entries = [Entry("told", {"key": "key"})]
    await backend.delete_version(await _bucket(backend), "key", NULL_VERSION, journal=entries)


@case("create an upload", plain, repeats=False)
async def _create_upload(backend: FilesystemBackend) -> None:
    bucket = await _bucket(backend)
    known = (await backend.list_uploads(bucket, ListQuery())).entries
    await create_upload(backend, bucket, "key", len(known) + 1)


@case("put a stored part", uploading)
async def _put_part(backend: FilesystemBackend) -> None:
    await put_part(backend, await _bucket(backend), await the_upload(backend), 4, STORED)


@case("put an inline part", uploading)
async def _put_inline_part(backend: FilesystemBackend) -> None:
    await put_part(backend, await _bucket(backend), await the_upload(backend), 4, b"four")


@case("replace a part", uploading)
async def _replace_part(backend: FilesystemBackend) -> None:
    await put_part(backend, await _bucket(backend), await the_upload(backend), 1, STORED)


@case("finish an upload", uploading)
async def _finish(backend: FilesystemBackend) -> None:
    bucket, upload = await _bucket(backend), await the_upload(backend)
    # A completed upload answers the same again, and has no parts any more.
    sent = [] if upload.version_id else await backend.list_parts(bucket, upload, limit=2)
    await finish(backend, bucket, upload, sent)


@case("abort an upload", uploading, NoSuchUpload)
async def _abort(backend: FilesystemBackend) -> None:
    await backend.abort_upload(await _bucket(backend), await the_upload(backend))


@case("create a bucket", _nothing, BucketAlreadyExists)
async def _create_bucket(backend: FilesystemBackend) -> None:
    await create_bucket(backend, "bucket")


@case("change a bucket", plain)
async def _update_bucket(backend: FilesystemBackend) -> None:
    await set_versioning(backend, "bucket", "Enabled")


@case("delete a bucket", empty_bucket, NoSuchBucket)
async def _delete_bucket(backend: FilesystemBackend) -> None:
    await backend.delete_bucket(await _bucket(backend))


@case("change a record", plain)
async def _update_record(backend: FilesystemBackend) -> None:
    await backend.update_record("lease", "one", lambda _: Record("lease", "one", {"holder": "me"}))


@case("collect garbage", plain)
async def _collect(backend: FilesystemBackend) -> None:
    bucket = await _bucket(backend)
    await put(backend, bucket, "key", INLINE)
    await put(backend, bucket, "key", OLD)
    await collect_all(backend)


@case("open a new store", from_open=True)
async def _open(_backend: FilesystemBackend) -> None:
    pass


async def without_index(backend: FilesystemBackend) -> None:
    await uploading(backend)
    # What is open is not lost before it is closed; the copies are made after that.
    os.unlink(f"{backend.store.root}/index.sqlite")


async def with_damaged_index(backend: FilesystemBackend) -> None:
    await without_index(backend)
    with open(f"{backend.store.root}/index.sqlite", "wb") as file:  # noqa: ASYNC230 - a small file of a test
        file.write(b"no index" * 1000)


async def with_empty_index(backend: FilesystemBackend) -> None:
    await with_damaged_index(backend)
    os.truncate(f"{backend.store.root}/index.sqlite", 0)


@case("make the index again", without_index, from_open=True)
@case("make a damaged index again", with_damaged_index, from_open=True)
@case("fill an empty index", with_empty_index, from_open=True)
async def _open_without_index(_backend: FilesystemBackend) -> None:
    pass


# Looking


def a_store(root: Path | str) -> FilesystemBackend:
    return FilesystemBackend(Path(root), durable=False)


@contextlib.asynccontextmanager
async def opened(root: Path) -> AsyncIterator[FilesystemBackend]:
    backend = a_store(root)
    await backend.open()
    try:
        yield backend
    finally:
        await backend.close()


async def sight(backend: FilesystemBackend) -> object:
    """All that can be seen, without what the store names by itself; and GET, HEAD and LIST agree."""
    buckets = [await _sight_of(backend, bucket) for bucket in await backend.list_buckets()]
    records = [(record.id, record.document) for record in await backend.list_records("lease")]
    return buckets, records


async def _sight_of(backend: FilesystemBackend, bucket: Bucket) -> object:
    listed = (await backend.list_versions(bucket, ListQuery(all_versions=True))).entries
    versions = [version for version in listed if isinstance(version, ObjectVersion)]
    for key in KEYS:
        await _agree(backend, bucket, key, [version for version in versions if version.key == key])
    shown = [(one.key, one.version_id == NULL_VERSION, one.etag, one.is_delete_marker) for one in versions]
    datas = [etag_of(await get(backend, bucket, one.key, one.version_id)) for one in versions if one.size]
    metadatas = [(await backend.get_version(bucket, one.key, one.version_id)).metadata for one in versions]
    return bucket.name, bucket.versioning, shown, datas, metadatas, await _uploads(backend, bucket)


async def _agree(backend: FilesystemBackend, bucket: Bucket, key: str, versions: list[ObjectVersion]) -> None:
    current = (await backend.list_versions(bucket, ListQuery(prefix=key))).entries
    if not versions:
        assert not current
        with pytest.raises(NoSuchKey):
            await backend.get_version(bucket, key)
        return
    newest = await backend.get_version(bucket, key)
    assert versions[0].version_id == newest.version_id
    assert [one.content for one in current if isinstance(one, ObjectVersion)] == (
        [] if newest.is_delete_marker else [newest.content]
    )
    for listed in versions:
        found = await backend.get_version(bucket, key, listed.version_id)
        assert (found.content, found.sequence, found.revision) == (listed.content, listed.sequence, listed.revision)
        assert len(await content_of(backend, bucket, found)) == found.size


async def _uploads(backend: FilesystemBackend, bucket: Bucket) -> object:
    seen = []
    for upload in (await backend.list_uploads(bucket, ListQuery())).entries:
        assert not isinstance(upload, CommonPrefix)
        parts = await backend.list_parts(bucket, upload)
        for part in parts:
            runs = backend.read_blob(bucket, part.blob, 0, part.size)
            assert etag_of(b"".join([run async for run in runs])) == part.etag
        seen.append([(part.number, part.etag) for part in parts])
    return seen


async def left_over(backend: FilesystemBackend) -> list[str]:
    """The files that nothing that can be seen accounts for."""
    owned: set[str] = set()
    for bucket in await backend.list_buckets():
        for version in (await backend.list_versions(bucket, ListQuery(all_versions=True))).entries:
            assert isinstance(version, ObjectVersion)
            whole = await backend.get_version(bucket, version.key, version.version_id)
            owned.update(part.blob.id for part in await backend.list_parts(bucket, whole))
            owned.update([f"{whole.content}.parts"] if whole.parts else [])
        for upload in (await backend.list_uploads(bucket, ListQuery())).entries:
            assert isinstance(upload, Upload)
            owned.update(part.blob.id for part in await backend.list_parts(bucket, upload))
    return _files_but(Path(backend.store.root), owned)


def _files_but(root: Path, owned: set[str]) -> list[str]:
    data = [path for path in root.glob("buckets/*/data/*/*/*") if path.name not in owned]
    waiting = [path for pattern in WAITING for path in root.glob(pattern)]
    nameless = [path for path in root.glob("buckets/*/uploads/*") if not (path / "upload.json").exists()]
    return [str(path.relative_to(root)) for path in (*data, *waiting, *nameless)]


WAITING: Final = ("new/*/*", "buckets/*/ledger/*", "buckets/*/aborted/*", "trash/*", "journal/*/*.pending")


async def prepared(root: Path, name: str) -> object:
    """A store as it is before the change, closed; and what is seen of it."""
    async with opened(root) as backend:
        await CASES[name].prepare(backend)
        await collect_all(backend)
        return await sight(backend)


async def check_death(backend: FilesystemBackend, name: str, before: object) -> tuple[bool, object]:
    """Whether the interrupted change was made, and what is seen once it is made again."""
    seen = await sight(backend)
    await collect_all(backend)
    assert await sight(backend) == seen, "the collector took what was owned"
    assert not await left_over(backend)
    told = await backend.take("told", 10, AT_ONCE)
    assert len(told) == int(CASES[name].tells and seen != before), "the journal tells what is not so"
    try:
        await CASES[name].act(backend)
    except CASES[name].made:
        assert seen != before
    await collect_all(backend)
    assert not await left_over(backend)
    again = await sight(backend)
    return seen != before, seen if seen != before and not CASES[name].repeats else again


@pytest.mark.parametrize("watched", [False, True], ids=["opened again", "open all the time"])
@pytest.mark.parametrize("name", CASES)
async def test_a_change_that_is_cut_short_is_made_wholly_or_not_at_all(
    cutter: Cutter, tmp_path: Path, name: str, watched: bool
) -> None:
    before = await prepared(tmp_path / "base", name)
    whole = tmp_path / "whole"
    shutil.copytree(tmp_path / "base", whole)
    async with opened(whole) as backend:
        await CASES[name].act(backend)
        after = await sight(backend)
    died, step, made = True, 0, False
    while died:
        step += 1
        copy = tmp_path / f"step {step}"
        shutil.copytree(tmp_path / "base", copy)
        if watched:
            async with opened(copy) as backend:
                died = cutter.dies(copy, name, step)
                made, again = await check_death(backend, name, before)
        else:
            died = cutter.dies(copy, name, step)
            async with opened(copy) as backend:
                made, again = await check_death(backend, name, before)
        assert again == after, f"died at step {step}"
        shutil.rmtree(copy)
    assert made or before == after, "the change was answered, and is not there"
    assert step > 1, "nothing was cut"


# The loss of power


@dataclass(frozen=True, slots=True)
class Event:
    """Something done to the disk."""

    what: str
    path: str
    target: str = ""


class Diary:
    """What is done to a store's files and folders, in order, but for the making of what need not last."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, root: Path) -> None:
        self.events: list[Event] = []
        self._root = f"{root}/"
        self._paths: dict[int, str] = {}
        self._keep(monkeypatch, "open", self._opened)
        self._keep(monkeypatch, "write", lambda _, fd, *_args: self._add("write", self._paths.get(fd, "")))
        self._keep(monkeypatch, "fsync", lambda _, fd: self._add("sync", self._paths[fd]))
        self._keep(monkeypatch, "rename", lambda _, path, target: self._add("rename", path, target))
        self._keep(monkeypatch, "mkdir", lambda _, path, *_args: self._add("make", path))
        self._keep(monkeypatch, "unlink", lambda _, path, *_args: self._add("unlink", path))

    def _keep(self, monkeypatch: pytest.MonkeyPatch, name: str, note: Callable[..., None]) -> None:
        call: Callable[..., Any] = getattr(os, name)

        def kept(*args: Any, **kwargs: Any) -> Any:
            result = call(*args, **kwargs)
            if not kwargs.get("dir_fd"):
                note(result, *args)
            return result

        monkeypatch.setattr(os, name, kept)

    def _opened(self, fd: int, path: Any, flags: int, *_mode: int) -> None:
        self._paths[fd] = str(path)
        if flags & os.O_CREAT:
            self._add("make", str(path))

    def _add(self, what: str, path: str, target: str = "") -> None:
        own = os.path.dirname(path) == f"{self._root}new"
        if what != "make" or not (own or path.startswith((f"{self._root}lock/", f"{self._root}index.sqlite"))):
            self.events.append(Event(what, path, target))

    def find(self, what: str, path: str, after: int = -1) -> int:
        """Where in the diary this was done first after that place; -1 when it never was."""
        wanted = Event(what, path)
        places = enumerate(self.events)
        return next((place for place, event in places if place > after and replace(event, target="") == wanted), -1)

    def last(self, what: str, path: str, before: int) -> int:
        return max((place for place in range(before) if self.events[place] == Event(what, path)), default=-1)

    def breaches(self) -> list[str]:
        """What a loss of power after the last event could undo, or leave half-done."""
        found: list[str] = []
        for place, event in enumerate(self.events):
            if event.what == "rename":
                found += self._of_rename(place, event)
            elif event.what == "make" and not self._moved_on(event.path, place):
                folder = os.path.dirname(event.path)
                if self.find("sync", folder, place) < 0:
                    found.append(f"{event.path} was made, and its folder not synced")
            elif event.what == "unlink" and event.path.endswith(".json") and "/versions/" in event.path:
                if self.find("sync", os.path.dirname(event.path), place) < 0:
                    found.append(f"{event.path} was removed, and its folder not synced")
            elif event.what == "write" and "/data/" in event.path and self.find("sync", event.path, place) < 0:
                found.append(f"{event.path} was written and not synced")
        return found

    def _of_rename(self, place: int, event: Event) -> Iterator[str]:
        if self.last("write", event.path, place) > self.last("sync", event.path, place):
            yield f"{event.target} was renamed into place before it was synced"
        if self.find("sync", os.path.dirname(event.target), place) < 0:
            yield f"{event.target} was renamed into place, and its folder not synced"

    def _moved_on(self, path: str, place: int) -> bool:
        """Whether it was renamed, or removed, later: then that is what counts."""
        return self.find("rename", path, place) >= 0 or self.find("unlink", path, place) >= 0


@pytest.mark.parametrize("name", [name for name in CASES if name != "collect garbage"])
async def test_what_was_answered_survives_the_loss_of_power(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str
) -> None:
    root, case = tmp_path / "store", CASES[name]
    if name != "open a new store":
        await prepared(root, name)
    backend = FilesystemBackend(root)
    if not case.from_open:
        await backend.open()
    with monkeypatch.context() as patched:
        diary = Diary(patched, root)
        if case.from_open:
            await backend.open()
        await case.act(backend)
    await backend.close()
    assert not diary.breaches()
    assert case.from_open or diary.events


@pytest.mark.parametrize("replacing", [False, True])
async def test_bytes_are_in_the_ledger_before_they_are_written_and_after_they_are_owned(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, replacing: bool
) -> None:
    backend = FilesystemBackend(tmp_path)
    await backend.open()
    bucket = await create_bucket(backend, "bucket")
    old = await put(backend, bucket, "key", OLD) if replacing else None
    with monkeypatch.context() as patched:
        diary = Diary(patched, tmp_path)
        stored = await put(backend, bucket, "key", STORED)
    await backend.close()
    folder = f"{tmp_path}/buckets/bucket~{bucket.id}"
    data = f"{folder}/data/{stored.content[:2]}/{stored.content[2:4]}"
    (sidecar,) = (event.target for event in diary.events if "/versions/" in event.target)
    named = [place for place, event in enumerate(diary.events) if event.target == f"{folder}/ledger/{stored.content}"]
    entered = diary.find("sync", f"{folder}/ledger", named[0])
    written = diary.find("write", f"{data}/{stored.content}")
    synced = diary.find("sync", f"{data}/{stored.content}", written)
    shown = diary.find("sync", data, synced)
    (owned,) = (place for place, event in enumerate(diary.events) if event.target == sidecar)
    kept = diary.find("sync", os.path.dirname(sidecar), owned)
    forgiven = diary.find("unlink", f"{folder}/ledger/{stored.content}")
    assert -1 < named[0] < entered < written < synced < shown < owned < kept < forgiven
    if old is not None:
        (condemned,) = (place for place, event in enumerate(diary.events) if event.target.endswith(old.content))
        assert condemned < diary.find("sync", f"{folder}/ledger", condemned) < owned


async def test_a_relaxed_store_syncs_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    async with opened(tmp_path / "store") as backend:
        with monkeypatch.context() as patched:
            diary = Diary(patched, tmp_path / "store")
            await put(backend, await create_bucket(backend, "bucket"), "key", STORED)
    assert not [event for event in diary.events if event.what == "sync"]


if __name__ == "__main__":
    serve_cuts()
