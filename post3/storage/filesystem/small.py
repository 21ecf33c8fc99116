"""Small changes: those at hand are made together.

An object whose body stands in its sidecar is that sidecar, and nothing else. One thread takes all puts and deletes of
such objects that wait, and makes them as one: their locks are taken in one go, their intents noted in one transaction,
their sidecars written in one go, logged with one sync, and renamed or removed in one go. While it waits for the disk
the next ones gather.

No lock is waited for: a change whose key somebody else holds, or that meets what stands in files of its own, is made by
itself, as all others are (Store.change).
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from post3.model.bucket import Bucket
from post3.model.object import NULL_VERSION, Guard, ObjectVersion
from post3.storage.filesystem import _files
from post3.storage.filesystem.index import Intent, Settlement, intending, settling
from post3.storage.filesystem.layout import KeyPlace, bucket_stripe, key_stripe
from post3.storage.filesystem.log import Change
from post3.storage.filesystem.numbering import numbered
from post3.storage.filesystem.sidecar import dump_version, parse_version
from post3.storage.filesystem.store import Store, logger

MOST: Final = 64
"""Changes that are made together."""


class NotSmall(Exception):
    """A change that is to be made by itself; nothing has happened."""


def is_small(version: ObjectVersion) -> bool:
    """Whether a version is its sidecar, and nothing else."""
    return version.body is not None and version.body.blob.inline is not None


@dataclass(slots=True, eq=False)
class SmallChange:
    """One of them, on its way."""

    place: KeyPlace
    bucket: Bucket
    version: ObjectVersion | None
    """What is put; None where the key is deleted."""
    guard: Guard
    answered: asyncio.Future[None]
    result: ObjectVersion | None = None
    """What was put, or deleted; None where nothing is to be made."""
    error: BaseException | None = None
    fresh: str = ""
    """Where the sidecar of what is put is written first."""
    sidecar: bytes = b""
    """Of what is put; or, where the key is deleted, the one that is."""
    is_over: bool = False
    """Whether there is a result, or an error."""

    @property
    def path(self) -> str:
        """The sidecar's place."""
        return self.place.sidecar(NULL_VERSION)

    @property
    def is_on(self) -> bool:
        """Whether it is to be made, and has not failed."""
        return self.result is not None and self.error is None


@dataclass(slots=True)
class Made:
    """What was made and is yet to be settled, and the locks that it keeps until then."""

    taken: list[int] = field(default_factory=list)
    settlements: list[Settlement] = field(default_factory=list)

    def leave(self) -> None:
        """Give the locks back, with everything settled that can be."""
        _files.leave_many(self.taken)
        self.taken, self.settlements = [], []


class SmallChanges:
    """The small changes of one process, in buckets without versions."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._waiting: deque[SmallChange] = deque()
        self.is_busy = False
        """Whether some are on their way, or yet to be settled."""
        self._turn = threading.Lock()

    async def put(self, bucket: Bucket, version: ObjectVersion, guard: Guard) -> ObjectVersion:
        """Put a version that is small. Raises NotSmall, and what `put_version` does."""
        stored = await self._change(bucket, version.key, version, guard)
        assert stored is not None  # noqa: S101 - a put is made, or fails
        return stored

    async def delete(self, bucket: Bucket, key: str, guard: Guard) -> ObjectVersion | None:
        """Delete a key's only version, if there is one. Raises NotSmall, and what `delete_version` does."""
        return await self._change(bucket, key, None, guard)

    async def _change(
        self, bucket: Bucket, key: str, version: ObjectVersion | None, guard: Guard
    ) -> ObjectVersion | None:
        """Who is cancelled before it began has changed nothing, who comes later gets its result."""
        if bucket.versioning or not self._store.log.is_ready:
            raise NotSmall
        loop = asyncio.get_running_loop()
        place = self._store.place(bucket, key)
        one = SmallChange(place, bucket, version, guard, loop.create_future())
        async with self._store.turn(key_stripe(place.folder, place.stem)):
            self._enqueue(one)
            while not one.is_over:
                try:
                    await one.answered
                except asyncio.CancelledError:
                    if self._withdraw(one):
                        raise
                    one.answered = loop.create_future()
        if isinstance(one.error, (OSError, sqlite3.OperationalError)):
            raise self._store.refusal(one.error) from one.error
        if one.error is not None:
            raise one.error
        return one.result

    def _enqueue(self, one: SmallChange) -> None:
        with self._turn:
            if not self.is_busy:
                self._store.threads.submit(self._work)  # it waits for this turn
            self.is_busy = True
            self._waiting.append(one)

    def _withdraw(self, one: SmallChange) -> bool:
        with self._turn:
            if one not in self._waiting:
                return False
            self._waiting.remove(one)
            return True

    # In a thread

    def _work(self) -> None:
        """Make those that wait, until none does."""
        made = Made()
        while batch := self._next():
            try:
                made = self._make(batch, made)
            except BaseException as error:
                _fail(batch, error)
                self._settle(made)
            with contextlib.suppress(RuntimeError):  # the loop is gone, and nobody waits
                batch[0].answered.get_loop().call_soon_threadsafe(_answer, batch)
            if not self._waiting:
                self._settle(made)
        self._settle(made)

    def _next(self) -> list[SmallChange]:
        with self._turn:
            batch = [self._waiting.popleft() for _ in range(min(MOST, len(self._waiting)))]
            self.is_busy = bool(batch)
            return batch

    def _make(self, batch: Sequence[SmallChange], before: Made) -> Made:
        """Make those that can be, and settle in passing what was made before."""
        taken, found = _files.enter_many([self._entry(one) for one in batch])
        made = Made(taken)
        try:
            for one, (why, changed, content) in zip(batch, found, strict=True):
                self._prepare(one, why, changed, content)
            ready = [one for one in batch if one.is_on]
            if not ready:
                _files.leave_many(taken)
                return before
            intents = [Intent(one.bucket.id, one.place.key) for one in ready]
            self._note(intents, before)
            self._bring(ready)
            for one, intent in zip(ready, intents, strict=True):
                if one.is_on:
                    made.settlements.append(_settlement(one, intent))
                else:
                    self._undo(one)
        except BaseException:
            _files.leave_many(taken)
            raise
        return made

    def _entry(self, one: SmallChange) -> tuple[bytes, bytes, bytes, bytes, bytes]:
        """What `enter_many` asks for: gate, lock, record, key, sidecar."""
        folder, locks = one.place.folder, f"{self._store.root}/lock"
        lock, key = f"{locks}/{bucket_stripe(one.bucket.name)}", f"{locks}/{key_stripe(folder, one.place.stem)}"
        record = f"{folder}/bucket.json"
        return f"{lock}-gate".encode(), lock.encode(), record.encode(), key.encode(), one.path.encode()

    def _prepare(self, one: SmallChange, why: int, changed: int, content: bytes | None) -> None:
        """Find out what is to be made, with the key's lock held."""
        try:
            if why in (errno.EAGAIN, errno.EFBIG):
                raise NotSmall
            if why:
                raise OSError(why, os.strerror(why), one.path)
            self._store.check_changed(one.bucket, changed)
            current = None if content is None else parse_version(content, one.path, one.bucket.name)
            if current is not None and not is_small(current):
                raise NotSmall
            one.guard(current, current)
            if one.version is None:
                one.result, one.sidecar = current, content or b""
            else:
                one.result = numbered(one.version, "", current, current, time.time_ns() // 1000)
                one.sidecar = dump_version(one.result)
                one.fresh = self._store.disk.fresh_name()
        except BaseException as error:
            one.error = error

    def _note(self, intents: Sequence[Intent], before: Made) -> None:
        """Note what is about to change, in one transaction with the settlement of what was made before."""
        try:
            self._store.index.write([settling(before.settlements), intending(intents)])
        except BaseException:
            # The one must not suffer for the other.
            self._settle(before)
            self._store.index.write([intending(intents)])
        else:
            before.leave()

    def _settle(self, made: Made) -> None:
        """Have the index settle what was made, and give its locks back."""
        try:
            if made.settlements:
                self._store.index.write([settling(made.settlements)])
        except Exception:
            # It is made all the same, and its intents stay: until they are settled listings read the sidecars.
            logger.exception("the index could not settle changes")
        finally:
            made.leave()

    def _bring(self, ready: Sequence[SmallChange]) -> None:
        """Write sidecars, log them, and rename them into place, or remove them."""
        try:
            puts = [one for one in ready if one.version is not None]
            written = _files.write_many([(one.fresh.encode(), one.sidecar) for one in puts])
            for one, why in zip(puts, written, strict=True):
                _note_failure(one, why)
            ready = [one for one in ready if one.is_on]
            if not ready:
                return
            changes = [Change(one.path, one.sidecar, is_removal=one.version is None) for one in ready]
            with self._store.log.changing(changes):
                placed = _files.place_many([(one.fresh.encode(), one.path.encode()) for one in ready])
                for one, why in zip(ready, placed, strict=True):
                    _note_failure(one, why)
                if failed := [change for change, why in zip(changes, placed, strict=True) if why]:
                    self._store.log.void(failed)
        except BaseException as error:
            _fail(ready, error)

    def _undo(self, one: SmallChange) -> None:
        """Have nothing be left of one that failed, and the index say what the sidecars do."""
        with contextlib.suppress(OSError):
            os.unlink(one.fresh)
        try:
            versions = self._store.readable_versions(one.place, one.bucket.name)
            self._store.index.refresh(one.bucket.id, one.place.key, versions)
        except Exception:
            logger.exception("the index could not be told of a change that failed")


def _settlement(one: SmallChange, intent: Intent) -> Settlement:
    if one.version is None:
        return Settlement(intent, is_alone=True, gone=NULL_VERSION)
    return Settlement(intent, is_alone=True, put=one.result)


def _note_failure(one: SmallChange, why: int) -> None:
    if why:
        one.error = OSError(why, os.strerror(why), one.path)


def _fail(batch: Sequence[SmallChange], error: BaseException) -> None:
    for one in batch:
        one.error = one.error or error


def _answer(batch: Sequence[SmallChange]) -> None:
    """Tell those who wait, on their loop."""
    for one in batch:
        one.is_over = True
        if not one.answered.done():
            one.answered.set_result(None)
