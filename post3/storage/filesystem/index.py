"""The index: what listings show, in SQLite, derived from the sidecars.

The sidecars are the truth; the index makes listing independent of how many keys there are. A change notes its
*intent* in the index (committed, not synced), renames or unlinks the sidecar, and then *settles*: the key's rows
change and the intent goes, in one transaction. A listing that meets an intent reads that key's sidecars instead of
its rows, so GET and LIST never disagree, even when a process died between rename and settlement.

One thread of each process uses SQLite. It puts the intents and settlements of all requests at hand into one
transaction.
"""

from __future__ import annotations

import contextlib
import fcntl
import heapq
import logging
import os
import queue
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
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


Truth: TypeAlias = Callable[[str, str], Sequence[ObjectVersion]]
"""Reads a key's sidecars: a bucket's id and a key to all its versions, in no order."""


@dataclass(slots=True)
class _Job:
    work: Callable[[sqlite3.Connection], Any]
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
        self._connection: sqlite3.Connection | None = None
        self._turns = -1

    def open(self) -> bool:
        """Open or create it, and start its thread; tells whether it has to be filled from the sidecars.

        Raises sqlite3.DatabaseError for a file that is no index.
        """
        # Keys are nobody else's to read: SQLite would make the file, and those beside it, for everyone.
        os.close(os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        connection = sqlite3.connect(self._path, check_same_thread=False, isolation_level=None, timeout=30)
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute(f"PRAGMA synchronous = {'NORMAL' if self._durable else 'OFF'}")
            connection.execute("PRAGMA cache_size = -16384")
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            if version not in (0, VERSION):
                raise sqlite3.DatabaseError(f"index of version {version}")
            if not version:
                connection.executescript(f"BEGIN IMMEDIATE; {ANEW} {SCHEMA} COMMIT;")
        except sqlite3.DatabaseError:
            connection.close()
            raise
        self._connection = connection
        turns = f"{os.path.dirname(self._mark)}/index"
        self._turns = os.open(turns, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        self._thread = threading.Thread(target=self._run, name="post3-index", daemon=True)
        self._thread.start()
        return not version

    def filled(self) -> None:
        """Note that it shows what the sidecars say; before that, the next start fills it anew."""
        self.submit(lambda db: db.execute(f"PRAGMA user_version = {VERSION}") and None, writes=True).result()

    def close(self) -> None:
        """Finish what is queued, bring it to the disk, and end the thread."""
        if self._thread is not None:
            self._jobs.put(None)
            self._thread.join()
            self._thread = None
            os.close(self._turns)

    def _run(self) -> None:
        connection = self._connection
        assert connection is not None  # noqa: S101 - open() has just set it
        checkpointed, dirty = time.monotonic(), False
        while True:
            try:
                first = self._jobs.get(timeout=CHECKPOINT_SECONDS if dirty else None)
            except queue.Empty:
                first = _Job(lambda _: None, writes=False, done=Future())
            jobs, ending = self._batch(first)
            dirty = self._perform(connection, jobs) or dirty
            if ending or (dirty and time.monotonic() - checkpointed > CHECKPOINT_SECONDS):
                self._checkpoint(connection)
                checkpointed, dirty = time.monotonic(), False
            if ending:
                connection.close()
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

    def _perform(self, connection: sqlite3.Connection, jobs: list[_Job]) -> bool:
        """Do the jobs: those that write in one transaction, then those that read; tells whether any wrote."""
        # Who went away asks no more; from here on a job cannot be cancelled, and its result always has a taker.
        jobs = [job for job in jobs if job.done.set_running_or_notify_cancel()]
        writes = [job for job in jobs if job.writes]
        if writes:
            self._write(connection, writes)
        for job in jobs:
            if not job.writes:
                try:
                    job.done.set_result(job.work(connection))
                except BaseException as error:
                    self._doubt(error)
                    job.done.set_exception(error)
        return bool(writes)

    def _write(self, connection: sqlite3.Connection, jobs: list[_Job]) -> None:
        """Do jobs in one transaction; when one of them fails, each in one of its own: none suffers for another."""
        try:
            with self._turn():
                connection.execute("BEGIN IMMEDIATE")
                results = [job.work(connection) for job in jobs]
                connection.execute("COMMIT")
        except BaseException as error:
            with contextlib.suppress(sqlite3.Error):
                connection.execute("ROLLBACK")
            if len(jobs) > 1 and not isinstance(error, sqlite3.OperationalError):
                for job in jobs:
                    self._write(connection, [job])
                return
            self._doubt(error)
            for job in jobs:
                job.done.set_exception(error)
        else:
            for job, result in zip(jobs, results, strict=True):
                job.done.set_result(result)

    @contextlib.contextmanager
    def _turn(self) -> Iterator[None]:
        """Wait for other processes in the kernel's queue: SQLite itself sleeps, up to a tenth of a second a time."""
        fcntl.flock(self._turns, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.flock(self._turns, fcntl.LOCK_UN)

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

    def intend(self, bucket: str, key: str, token: str) -> Future[None]:
        """Note that a key is about to change."""
        row = (bucket, key.encode(), token)

        def work(db: sqlite3.Connection) -> None:
            db.execute("INSERT INTO intents VALUES (?, ?, ?)", row)

        return self.submit(work, writes=True)

    def settle(
        self,
        bucket: str,
        key: str,
        token: str,
        *,
        put: ObjectVersion | None = None,
        gone: str | None = None,
        is_alone: bool = False,
    ) -> Future[None]:
        """Note what a change did: which version was put, in place of the one with the same id, or which is gone.

        `is_alone` where the key has no other version.
        """

        def work(db: sqlite3.Connection) -> None:
            name = key.encode()
            removed = put.version_id if put is not None else gone
            if is_alone and removed is not None:
                db.execute("DELETE FROM versions WHERE bucket = ? AND key = ?", (bucket, name))
                if put is not None:
                    _insert(db, bucket, [put], is_current=True)
            elif removed is not None:
                _forget(db, bucket, name, removed)
                if put is not None:
                    _insert(db, bucket, [put])
                _mark_current(db, bucket, name)
            db.execute("DELETE FROM intents WHERE bucket = ? AND key = ? AND token = ?", (bucket, name, token))

        return self.submit(work, writes=True)

    # What follows is called in threads and waits for the index's own.

    def refresh(self, bucket: str, key: str, versions: Sequence[ObjectVersion]) -> None:
        """Replace all that is known of a key, and forget its intents; its lock is held and these are its sidecars."""

        def work(db: sqlite3.Connection) -> None:
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
