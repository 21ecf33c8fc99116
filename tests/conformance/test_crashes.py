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
import os
import shutil
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, NoReturn

import pytest

from post3.storage.filesystem import _files, log
from post3.storage.filesystem.backend import FilesystemBackend
from tests.conformance import changes
from tests.conformance.changes import (
    OLD,
    STORED,
    Cases,
    check_interrupted,
    owned_blobs,
    sight,
    uploading,
)
from tests.conformance.cutting import CUT, Cutter, cutting, serve_cuts
from tests.conftest import (
    collect_all,
    create_bucket,
    put,
)

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
        "pwrite",
        "fdatasync",
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
        _files.watch(self._watched)

    def _watched(self, _step: str, _path: str, _target: str) -> None:
        """A step in one go with others, without the interpreter."""
        if self.step():
            os._exit(CUT)

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
                if name in ("write", "pwrite"):
                    call(args[0], args[1][: len(args[1]) // 2], *args[2:])
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
        case, cut = CASES[name.removesuffix(LOGGED)], Cut(step)
        cut.install()
        if case.from_open:
            cut.arm()
        backend = a_store(root, durable=name.endswith(LOGGED))
        await backend.open()
        cut.arm()
        await case.act(backend)
        os._exit(0)

    try:
        asyncio.run(run())
    finally:
        os._exit(1)


@pytest.fixture(scope="module")
def cutter() -> Iterator[Cutter]:
    with cutting(__name__) as made:
        yield made


# The changes


CASES: Final = Cases(changes.CASES)
case = CASES.case
LOGGED: Final = " with a log"
"""Behind a case's name: what changes is logged, and synced. The others show what is left without."""
BY_LOG: Final = (
    "put inline",
    "replace inline by inline",
    "replace parts by stored",
    "delete inline",
    "change a version",
)


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


def a_store(root: Path | str, *, durable: bool = False) -> FilesystemBackend:
    return FilesystemBackend(Path(root), durable=durable)


@contextlib.asynccontextmanager
async def opened(root: Path) -> AsyncIterator[FilesystemBackend]:
    backend = a_store(root)
    await backend.open()
    try:
        yield backend
    finally:
        await backend.close()


async def left_over(backend: FilesystemBackend) -> list[str]:
    """The files that nothing that can be seen accounts for."""
    blobs, contents = await owned_blobs(backend)
    return _files_but(Path(backend.store.root), blobs | {f"{content}.parts" for content in contents})


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
    return await check_interrupted(backend, CASES[name], before, lambda: left_over(backend))


@pytest.mark.parametrize("watched", [False, True], ids=["opened again", "open all the time"])
@pytest.mark.parametrize("name", [*CASES, *(f"{name}{LOGGED}" for name in BY_LOG)])
async def test_a_change_that_is_cut_short_is_made_wholly_or_not_at_all(
    cutter: Cutter, tmp_path: Path, name: str, watched: bool
) -> None:
    case = name.removesuffix(LOGGED)
    before = await prepared(tmp_path / "base", case)
    whole = tmp_path / "whole"
    shutil.copytree(tmp_path / "base", whole)
    async with opened(whole) as backend:
        await CASES[case].act(backend)
        after = await sight(backend)
    died, step, made = True, 0, False
    while died:
        step += 1
        copy = tmp_path / f"step {step}"
        shutil.copytree(tmp_path / "base", copy)
        if watched:
            async with opened(copy) as backend:
                died = cutter.dies(str(copy), name, step)
                made, again = await check_death(backend, case, before)
        else:
            died = cutter.dies(str(copy), name, step)
            async with opened(copy) as backend:
                made, again = await check_death(backend, case, before)
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
        self._keep(monkeypatch, "pwrite", lambda _, fd, *_args: self._add("write", os.readlink(f"/proc/self/fd/{fd}")))
        self._keep(monkeypatch, "fdatasync", lambda _, fd: self._add("sync", os.readlink(f"/proc/self/fd/{fd}")))
        self._keep(monkeypatch, "rename", lambda _, path, target: self._add("rename", path, target))
        self._keep(monkeypatch, "mkdir", lambda _, path, *_args: self._add("make", path))
        self._keep(monkeypatch, "unlink", lambda _, path, *_args: self._add("unlink", path))
        _files.watch(lambda step, path, target: self._add("make" if step == "open" else step, path, target))

    def close(self) -> None:
        """Note no more."""
        _files.watch(None)

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

    def is_logged(self, place: int) -> bool:
        """Whether the log was written, and synced after that, before this place."""
        written = (at for at, event in enumerate(self.events) if event.what == "write" and "/log/" in event.path)
        last = max((at for at in written if at < place), default=-1)
        return last >= 0 and last < self.find("sync", self.events[last].path, last) < place

    def breaches(self) -> list[str]:
        """What a loss of power after the last event could undo, or leave half-done."""
        found: list[str] = []
        for place, event in enumerate(self.events):
            if "/versions/" in event.path + event.target:
                if event.what in ("rename", "unlink") and not self.is_logged(place):
                    found.append(f"{event.target or event.path} was changed before the log was synced")
            elif event.what == "rename":
                found += self._of_rename(place, event)
            elif event.what == "make" and not self._moved_on(event.path, place):
                folder = os.path.dirname(event.path)
                if self.find("sync", folder, place) < 0:
                    found.append(f"{event.path} was made, and its folder not synced")
            elif event.what == "write" and "/data/" in event.path and self.find("sync", event.path, place) < 0:
                found.append(f"{event.path} was written and not synced")
        return found

    def _of_rename(self, place: int, event: Event) -> Iterator[str]:
        if self.last("write", event.path, place) > self.last("sync", event.path, place):
            yield f"{event.target} was renamed into place before it was synced"
        if self.find("sync", os.path.dirname(event.target), place) < 0:
            yield f"{event.target} was renamed into place, and its folder not synced"
        folder = os.path.dirname(event.target)
        made = self.find("make", folder)
        # Else somebody else, who finds the folder, would answer before it lasts. A bucket, or an upload, has its own.
        is_shared = "/records/" in event.target
        if is_shared and -1 < made < place and not made < self.find("sync", os.path.dirname(folder), made) < place:
            yield f"{event.target} was renamed into a folder that was not yet synced where it stands"

    def _moved_on(self, path: str, place: int) -> bool:
        """Whether it was renamed, or removed, later: then that is what counts."""
        return self.find("rename", path, place) >= 0 or self.find("unlink", path, place) >= 0


@pytest.fixture(autouse=True)
def has_log(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever disk the tests are on: a layer over others syncs well enough for them."""
    monkeypatch.setattr(log, "disk_kind", lambda _path: "ext4")


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
    with monkeypatch.context() as patched, contextlib.closing(Diary(patched, root)) as diary:
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
    with monkeypatch.context() as patched, contextlib.closing(Diary(patched, tmp_path)) as diary:
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
    logged = max(at for at, event in enumerate(diary.events) if event.what == "sync" and "/log/" in event.path)
    forgiven = diary.find("unlink", f"{folder}/ledger/{stored.content}")
    assert -1 < named[0] < entered < written < synced < shown < logged < owned < forgiven
    if old is not None:
        (condemned,) = (place for place, event in enumerate(diary.events) if event.target.endswith(old.content))
        assert condemned < diary.find("sync", f"{folder}/ledger", condemned) < owned


async def test_a_relaxed_store_syncsnothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    async with opened(tmp_path / "store") as backend:
        with monkeypatch.context() as patched, contextlib.closing(Diary(patched, tmp_path / "store")) as diary:
            await put(backend, await create_bucket(backend, "bucket"), "key", STORED)
    assert not [event for event in diary.events if event.what == "sync"]


if __name__ == "__main__":
    serve_cuts(run_cut)
