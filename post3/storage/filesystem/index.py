"""The index: what listings show, in SQLite, derived from the sidecars.

The sidecars are the truth; the index makes listing independent of how many keys there are. A change notes its
*intent* in the index (committed, not synced), renames or unlinks the sidecar, and then *settles*: the key's rows
change and the intent goes, in one transaction. A listing that meets an intent reads that key's sidecars instead of
its rows, so GET and LIST never disagree, even when a process died between rename and settlement.

One thread of each process uses SQLite for whoever asks. It puts the intents and settlements of all requests at hand
into one transaction. Who makes many changes at once has a connection of its own (`write`).
"""

from __future__ import annotations

import contextlib
import fcntl
import functools
import heapq
import logging
import os
import queue
import secrets
import sqlite3
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias, TypeVar

from post3.model.listing import Listed, ListQuery, Page, collapse
from post3.model.object import NULL_VERSION, ObjectVersion
from post3.storage.documents import microseconds
from post3.storage.filesystem.scan import END, Scan, place_of, shown_of

logger = logging.getLogger("post3")
T = TypeVar("T")
VERSION: Final = 1
MAX_BATCH: Final = 256
CHECKPOINT_SECONDS: Final = 30.0

SCHEMA: Final = """
CREATE TABLE versions (
    bucket TEXT NOT NULL, key BLOB NOT NULL, sequence INTEGER NOT NULL, version_id TEXT NOT NULL,
    is_current INTEGER NOT NULL, is_marker INTEGER NOT NULL, modified INTEGER NOT NULL, size INTEGER NOT NULL,
    etag TEXT NOT NULL, owner TEXT NOT NULL, storage_class TEXT NOT NULL, checksums TEXT NOT NULL,
    checksum_type TEXT NOT NULL, content TEXT NOT NULL, revision INTEGER NOT NULL,
    PRIMARY KEY (bucket, key, sequence DESC)
) WITHOUT ROWID;
CREATE INDEX listed ON versions (bucket, key) WHERE is_current AND NOT is_marker;
CREATE TABLE intents (bucket TEXT NOT NULL, key BLOB NOT NULL, token TEXT NOT NULL, PRIMARY KEY (bucket, key, token))
WITHOUT ROWID;
"""
ANEW: Final = "DROP TABLE IF EXISTS versions; DROP TABLE IF EXISTS intents;"


Work: TypeAlias = Callable[[sqlite3.Connection], Any]
"""Something to do in a transaction. It returns no cursor: freed in another thread, that would disturb the next one."""
Truth: TypeAlias = Callable[[str, str], Sequence[ObjectVersion]]
"""Reads a key's sidecars: a bucket's id and a key to all its versions, in no order."""


@dataclass(frozen=True, slots=True)
class Intent:
    """A change of a key that is about to be made."""

    bucket: str
    """Its id."""
    key: str
    token: str = field(default_factory=functools.partial(secrets.token_hex, 8))
    """Tells it from others of the key."""


@dataclass(slots=True)
class Settlement:
    """What a change did."""

    intent: Intent
    is_alone: bool
    """Whether the key has no other version."""
    put: ObjectVersion | None = None
    """In place of the one with the same id."""
    gone: str | None = None
    """The id of a version that was removed."""


class Writer:
    """A connection that writes, from one thread at a time."""

    def __init__(self, path: str, turns: str, *, durable: bool) -> None:
        """`turns` is the file that is locked by whoever writes. Raises sqlite3.DatabaseError."""
        self.connection = sqlite3.connect(path, check_same_thread=False, isolation_level=None, timeout=30)
        try:
            self.connection.execute("PRAGMA journal_mode = WAL")
            self.connection.execute(f"PRAGMA synchronous = {'NORMAL' if durable else 'OFF'}")
            self.connection.execute("PRAGMA cache_size = -16384")
            self._turns = os.open(turns, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        except BaseException:
            self.connection.close()
            raise

    def write(self, works: Sequence[Work]) -> list[Any]:
        """Do work in one transaction, or none of it. Raises sqlite3.Error, and what the work does."""
        # Other processes are waited for in the kernel's queue: SQLite itself sleeps, up to a tenth of a second a time.
        fcntl.flock(self._turns, fcntl.LOCK_EX)
        try:
            self.connection.execute("BEGIN IMMEDIATE")
            results = [work(self.connection) for work in works]
            self.connection.execute("COMMIT")
            return results
        except BaseException:
            with contextlib.suppress(sqlite3.Error):
                self.connection.execute("ROLLBACK")
            raise
        finally:
            fcntl.flock(self._turns, fcntl.LOCK_UN)

    def close(self) -> None:
        """Let go."""
        self.connection.close()
        os.close(self._turns)


@dataclass(slots=True)
class _Job:
    work: Work
    writes: bool
    done: Future[Any]


class Index:
    """The index of one store, used from any thread."""

    def __init__(self, path: str, mark: str, truth: Truth, *, durable: bool = True) -> None:
        """`mark` is the file that tells up to when the index is known to be on the disk; `truth` reads sidecars."""
        self._path = path
        self._mark = mark
        self._truth = truth
        self._durable = durable
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._writer: Writer | None = None
        self._own: Writer | None = None
        """That of `write`."""
        self._writing = threading.Lock()
        self._is_dirty = False

    def open(self) -> bool:
        """Open or create it, and start its thread; tells whether it has to be filled from the sidecars.

        Raises sqlite3.DatabaseError for a file that is no index.
        """
        # Keys are nobody else's to read: SQLite would make the file, and those beside it, for everyone.
        os.close(os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        writer = self._open_writer()
        try:
            (version,) = writer.connection.execute("PRAGMA user_version").fetchone()
            if version not in (0, VERSION):
                raise sqlite3.DatabaseError(f"index of version {version}")
            if not version:
                writer.connection.executescript(f"BEGIN IMMEDIATE; {ANEW} {SCHEMA} COMMIT;")
            self._own = self._open_writer()
        except sqlite3.DatabaseError:
            writer.close()
            raise
        self._writer = writer
        self._thread = threading.Thread(target=self._run, name="post3-index", daemon=True)
        self._thread.start()
        return not version

    def _open_writer(self) -> Writer:
        return Writer(self._path, f"{os.path.dirname(self._mark)}/index", durable=self._durable)

    def filled(self) -> None:
        """Note that it shows what the sidecars say; before that, the next start fills it anew."""
        self.submit(lambda db: db.execute(f"PRAGMA user_version = {VERSION}") and None, writes=True).result()

    def close(self) -> None:
        """Finish what is queued, bring it to the disk, and end the thread."""
        if self._thread is not None:
            self._jobs.put(None)
            self._thread.join()
            self._thread = None

    def _run(self) -> None:
        writer, own = self._writer, self._own
        assert writer is not None and own is not None  # noqa: S101, PT018 - open() has just set them
        checkpointed = time.monotonic()
        while True:
            try:
                first = self._jobs.get(timeout=CHECKPOINT_SECONDS if self._is_dirty else None)
            except queue.Empty:
                first = _nothing()
            jobs, ending = self._batch(first)
            self._perform(writer, jobs)
            if ending or (self._is_dirty and time.monotonic() - checkpointed > CHECKPOINT_SECONDS):
                self._is_dirty = False
                self._checkpoint(writer.connection)
                checkpointed = time.monotonic()
            if ending:
                writer.close()
                own.close()
                return

    def _batch(self, first: _Job | None) -> tuple[list[_Job], bool]:
        """What waits in the queue, as one batch; and whether the end was among it."""
        jobs: list[_Job] = []
        job = first
        while job is not None:
            jobs.append(job)
            if len(jobs) == MAX_BATCH:
                return jobs, False
            try:
                job = self._jobs.get_nowait()
            except queue.Empty:
                return jobs, False
        return jobs, True

    def _perform(self, writer: Writer, jobs: list[_Job]) -> None:
        """Do the jobs: those that write in one transaction, then those that read."""
        # Who went away asks no more; from here on a job cannot be cancelled, and its result always has a taker.
        jobs = [job for job in jobs if job.done.set_running_or_notify_cancel()]
        writes = [job for job in jobs if job.writes]
        if writes:
            self._is_dirty = True
            self._write(writer, writes)
        for job in jobs:
            if not job.writes:
                try:
                    job.done.set_result(job.work(writer.connection))
                except BaseException as error:
                    self._doubt(error)
                    job.done.set_exception(error)

    def _write(self, writer: Writer, jobs: list[_Job]) -> None:
        """Do jobs in one transaction; when one of them fails, each in one of its own: none suffers for another."""
        try:
            results = writer.write([job.work for job in jobs])
        except BaseException as error:
            if len(jobs) > 1 and not isinstance(error, sqlite3.OperationalError):
                for job in jobs:
                    self._write(writer, [job])
                return
            self._doubt(error)
            for job in jobs:
                job.done.set_exception(error)
        else:
            for job, result in zip(jobs, results, strict=True):
                job.done.set_result(result)

    def write(self, works: Sequence[Work]) -> None:
        """Do work in one transaction, in the thread that calls. Raises sqlite3.Error."""
        own = self._own
        assert own is not None  # noqa: S101 - it is open
        try:
            with self._writing:
                own.write(works)
        except sqlite3.Error as error:
            self._doubt(error)
            raise
        if not self._is_dirty:
            self._is_dirty = True
            self._jobs.put(_nothing())  # else its thread would not wake up to make a checkpoint

    def _doubt(self, error: BaseException) -> None:
        """Have the index made again at the next start when SQLite finds its file damaged."""
        if type(error) is sqlite3.DatabaseError:
            logger.error("the index is damaged and will be made again at the next start: %s", error)
            with contextlib.suppress(OSError), open(f"{self._mark}.doubtful", "w", encoding="ascii"):
                pass

    def _checkpoint(self, connection: sqlite3.Connection) -> None:
        """Bring the index to the disk, and note since when: after a power cut, only what changed later is looked at."""
        since = time.time()
        try:
            (_, logged, brought) = connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
            if logged == brought:
                temporary = f"{self._mark}.{os.getpid()}"
                with open(temporary, "w", encoding="ascii") as file:
                    file.write(f"{since}\n")
                os.replace(temporary, self._mark)
        except (sqlite3.Error, OSError) as error:
            logger.warning("the index could not be brought to the disk: %s", error)

    def submit(self, work: Callable[[sqlite3.Connection], T], *, writes: bool) -> Future[T]:
        """Have the index's thread do something."""
        done: Future[T] = Future()
        self._jobs.put(_Job(work, writes, done))
        return done

    def intend(self, intent: Intent) -> Future[None]:
        """Note that a key is about to change."""
        return self.submit(intending([intent]), writes=True)

    def settle(self, settlement: Settlement) -> Future[None]:
        """Note what a change did, and that it is done."""
        return self.submit(settling([settlement]), writes=True)

    # What follows is called in threads and waits for the index's own.

    def refresh(self, bucket: str, key: str, versions: Sequence[ObjectVersion]) -> None:
        """Replace all that is known of a key, and forget its intents; its lock is held and these are its sidecars."""
        self.refresh_many(bucket, {key: versions})

    def refresh_many(self, bucket: str, keys: Mapping[str, Sequence[ObjectVersion]]) -> None:
        """The same for several keys of a bucket."""

        def work(db: sqlite3.Connection) -> None:
            for key, versions in keys.items():
                name = key.encode()
                db.execute("DELETE FROM versions WHERE bucket = ? AND key = ?", (bucket, name))
                _insert(db, bucket, versions)
                _mark_current(db, bucket, name)
                db.execute("DELETE FROM intents WHERE bucket = ? AND key = ?", (bucket, name))

        self.submit(work, writes=True).result()

    def fill(self, bucket: str, versions: Sequence[ObjectVersion]) -> None:
        """Add versions of a bucket that is being read from its sidecars; known ones are replaced."""

        def work(db: sqlite3.Connection) -> None:
            for version in versions:
                identity = (bucket, version.key.encode(), version.version_id)
                db.execute("DELETE FROM versions WHERE bucket = ? AND key = ? AND version_id = ?", identity)
            _insert(db, bucket, versions)
            for key in {version.key for version in versions}:
                _mark_current(db, bucket, key.encode())

        self.submit(work, writes=True).result()

    def forget(self, bucket: str) -> None:
        """Drop all that is known of a bucket."""

        def work(db: sqlite3.Connection) -> None:
            db.execute("DELETE FROM versions WHERE bucket = ?", (bucket,))
            db.execute("DELETE FROM intents WHERE bucket = ?", (bucket,))

        self.submit(work, writes=True).result()

    def clear(self) -> None:
        """Drop everything."""

        def work(db: sqlite3.Connection) -> None:
            db.execute("DELETE FROM versions")
            db.execute("DELETE FROM intents")

        self.submit(work, writes=True).result()

    def buckets(self) -> set[str]:
        """The buckets that anything is known of."""
        known = "SELECT DISTINCT bucket FROM versions UNION SELECT bucket FROM intents"
        return self.submit(lambda db: {row[0] for row in db.execute(known)}, writes=False).result()

    def keys(self, bucket: str) -> set[str]:
        """All the keys known of a bucket."""
        known = "SELECT DISTINCT key FROM versions WHERE bucket = ?"
        return self.submit(lambda db: {row[0].decode() for row in db.execute(known, (bucket,))}, writes=False).result()

    def intents(self) -> list[tuple[str, str]]:
        """Bucket and key of every change that has not settled."""
        known = "SELECT DISTINCT bucket, key FROM intents"
        return self.submit(lambda db: [(row[0], row[1].decode()) for row in db.execute(known)], writes=False).result()

    def page(self, bucket: str, query: ListQuery) -> Future[tuple[Page[Listed], list[str]]]:
        """A page of a bucket, and the keys whose change had not settled."""

        def work(db: sqlite3.Connection) -> tuple[Page[Listed], list[str]]:
            # One transaction: a change that settles meanwhile is seen wholly as it was, intent and rows.
            db.execute("BEGIN")
            try:
                start = max(query.prefix, query.after).encode()
                wanted = (bucket, start, query.prefix.encode() + END)
                rows = db.execute("SELECT DISTINCT key FROM intents WHERE bucket = ? AND key >= ? AND key < ?", wanted)
                unsettled = sorted(key.decode() for (key,) in rows)
                candidates = Scan(db, bucket, query, frozenset(unsettled)).candidates()
                if unsettled:
                    changed = [
                        shown for key in unsettled for shown in shown_of(self._truth(bucket, key), query.all_versions)
                    ]
                    candidates = heapq.merge(candidates, changed, key=place_of)
                return collapse(candidates, query), unsettled
            finally:
                db.execute("COMMIT")

        return self.submit(work, writes=False)


def _nothing() -> _Job:
    return _Job(lambda _: None, writes=False, done=Future())


def intending(intents: Sequence[Intent]) -> Work:
    """Notes that keys are about to change."""
    rows = [(intent.bucket, intent.key.encode(), intent.token) for intent in intents]

    def work(db: sqlite3.Connection) -> None:
        db.executemany("INSERT INTO intents VALUES (?, ?, ?)", rows)

    return work


def settling(settlements: Sequence[Settlement]) -> Work:
    """Notes what changes did, and that they are done."""

    def work(db: sqlite3.Connection) -> None:
        for settlement in settlements:
            _settle(db, settlement)

    return work


def _settle(db: sqlite3.Connection, settlement: Settlement) -> None:
    bucket, key = settlement.intent.bucket, settlement.intent.key.encode()
    put = settlement.put
    removed = put.version_id if put is not None else settlement.gone
    if settlement.is_alone and removed is not None:
        db.execute("DELETE FROM versions WHERE bucket = ? AND key = ?", (bucket, key))
        if put is not None:
            _insert(db, bucket, [put], is_current=True)
    elif removed is not None:
        _forget(db, bucket, key, removed)
        if put is not None:
            _insert(db, bucket, [put])
        _mark_current(db, bucket, key)
    db.execute("DELETE FROM intents WHERE bucket = ? AND key = ? AND token = ?", (bucket, key, settlement.intent.token))


def _insert(
    db: sqlite3.Connection, bucket: str, versions: Sequence[ObjectVersion], *, is_current: bool = False
) -> None:
    rows = [
        (
            bucket,
            version.key.encode(),
            version.sequence,
            version.version_id,
            is_current,
            version.is_delete_marker,
            microseconds(version.modified),
            version.size,
            version.etag,
            version.owner,
            version.storage_class,
            ",".join(version.checksums),
            version.checksum_type,
            version.content,
            version.revision,
        )
        for version in versions
    ]
    db.executemany(f"INSERT OR REPLACE INTO versions VALUES ({', '.join('?' * 15)})", rows)  # noqa: S608 - only question marks


def _forget(db: sqlite3.Connection, bucket: str, key: bytes, version_id: str) -> None:
    """Drop one version. An id that the store made tells its place in the key's order; null may be anywhere."""
    if version_id == NULL_VERSION:
        db.execute("DELETE FROM versions WHERE bucket = ? AND key = ? AND version_id = ?", (bucket, key, version_id))
    else:
        sequence = int(version_id[:16], 16)
        db.execute("DELETE FROM versions WHERE bucket = ? AND key = ? AND sequence = ?", (bucket, key, sequence))


def _mark_current(db: sqlite3.Connection, bucket: str, key: bytes) -> None:
    """Let exactly the newest version of a key be current: it, and the one before it, are all that may have changed."""
    two = "SELECT sequence FROM versions WHERE bucket = ? AND key = ? ORDER BY sequence DESC LIMIT 2"
    for place, (sequence,) in enumerate(db.execute(two, (bucket, key)).fetchall()):
        db.execute(
            "UPDATE versions SET is_current = ? WHERE bucket = ? AND key = ? AND sequence = ?",
            (place == 0, bucket, key, sequence),
        )
