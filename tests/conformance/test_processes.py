"""Several processes use one store at once, and one of them may die: what each was answered holds for all.

The store in memory is one process's own, so these are tests of the others. The processes are real: each runs one of the
tasks below over and over in a store of its own making, and tells what it was answered, a line of JSON each.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeAlias

import pytest

from post3.errors import (
    BucketNotEmpty,
    NoSuchBucket,
    NoSuchKey,
    OperationAborted,
    PreconditionFailed,
    ServiceUnavailable,
    StaleBucket,
)
from post3.model.bucket import Bucket
from post3.model.listing import Listed, ListQuery
from post3.model.object import NULL_VERSION, ObjectVersion
from post3.model.record import Record
from post3.storage.filesystem.backend import FilesystemBackend
from post3.storage.listed import listed
from post3.storage.postgres.backend import PostgresBackend
from post3.storage.postgres.database import RemoteDatabase
from post3.storage.protocol import Backend
from tests.conftest import AT_ONCE, KIB, collect_all, create_bucket, get, keys, put, set_versioning, some_bytes
from tests.databases import database_url, fresh_schema

KEYS: Final = ("one", "two", "three")
SIZES: Final = (0, 3 * KIB, 20 * KIB)
"""Nothing, a body in the sidecar, a data file."""
Tell: TypeAlias = Callable[..., None]
Task: TypeAlias = Callable[[Backend, str, Tell], Awaitable[None]]
TASKS: Final[dict[str, Task]] = {}


def task(work: Task) -> Task:
    TASKS[work.__name__] = work
    return work


# What the other processes do


async def loaded(backend: Backend) -> Bucket:
    return await backend.get_bucket("bucket")


def named(who: str, number: int) -> bytes:
    """Bytes that tell who wrote them."""
    return f"{who} {number} ".encode() + some_bytes(SIZES[number % 3], number)


@task
async def change(backend: Backend, who: str, _tell: Tell) -> None:
    """Put, overwrite, delete and list a few keys that others change too; what is listed by itself can be read."""
    bucket, luck = await loaded(backend), random.Random(who)
    for number in range(150):
        key = luck.choice(KEYS)
        if luck.random() < 0.3:
            await backend.delete_version(bucket, key, NULL_VERSION)
        else:
            await again(partial(put, backend, bucket, key, named(who, number)))
        assert set(await keys(backend, bucket)) <= set(KEYS)


@task
async def change_own(backend: Backend, who: str, tell: Tell) -> None:
    """Put and delete keys of one's own, and tell each answer; whoever asks afterwards sees what was told."""
    bucket = await loaded(backend)
    for number in range(10_000):
        key = f"{who}-{number % 7}"
        if number % 5 == 4:
            await backend.delete_version(bucket, key, NULL_VERSION)
            tell(key, None, 0)
        else:
            stored = await again(partial(put, backend, bucket, key, named(who, number), metadata={"n": str(number)}))
            tell(key, stored.etag, number)


@task
async def win(backend: Backend, who: str, tell: Tell) -> None:
    """Be the first to put each of many keys."""
    bucket = await loaded(backend)

    def absent(current: ObjectVersion | None, _replaced: ObjectVersion | None) -> None:
        if current is not None:
            raise PreconditionFailed

    async def race(number: int) -> None:
        with contextlib.suppress(PreconditionFailed):
            await put(backend, bucket, f"race-{number}", who.encode(), guard=absent)
            tell(number)

    for start in range(0, 200, 20):
        await asyncio.gather(*(race(number) for number in range(start, start + 20)))


@task
async def put_into_what_is_deleted(backend: Backend, _who: str, tell: Tell) -> None:
    """Put into a bucket that another process deletes and makes again, until it is told to end."""
    number = 0
    while not await ended(backend):
        number += 1
        with contextlib.suppress(NoSuchBucket, StaleBucket):
            bucket = await loaded(backend)
            await put(backend, bucket, f"key-{number}", named("me", number))
            tell(bucket.id, f"key-{number}")
        # Now and then the bucket is to be found empty.
        await asyncio.sleep(random.random() / 100)


@task
async def put_as_configured(backend: Backend, _who: str, tell: Tell) -> None:
    """Put as the bucket says, which another process changes all the while."""
    while not await ended(backend):
        with contextlib.suppress(StaleBucket):
            bucket = await loaded(backend)
            stored = await put(backend, bucket, "key", b"data")
            tell(bucket.revision, stored.version_id == NULL_VERSION, stored.sequence)


@task
async def put_many_at_once(backend: Backend, who: str, _tell: Tell) -> None:
    """Leave no moment without a put."""

    async def keep_on(lane: int) -> None:
        while not await ended(backend):
            with contextlib.suppress(StaleBucket):
                await put(backend, await loaded(backend), f"{who}-{lane}", b"data")

    await asyncio.gather(*(keep_on(lane) for lane in range(16)))


@task
async def collect(backend: Backend, _who: str, _tell: Tell) -> None:
    """Collect at once what nothing owns, until told to end."""
    while not await ended(backend):
        await backend.collect_garbage(AT_ONCE)


async def ended(backend: Backend) -> bool:
    return bool(await backend.list_records("ended"))


async def end(backend: Backend) -> None:
    """Tell the other processes to end."""
    await backend.update_record("ended", "now", lambda _: Record("ended", "now", {}))


async def again(work: Callable[[], Awaitable[ObjectVersion]]) -> ObjectVersion:
    """Do it until the collector, who waits for nothing here, does not come between the bytes and their owner."""
    while True:
        with contextlib.suppress(ServiceUnavailable):
            return await work()


def open_at(place: str) -> Backend:
    """The store of that place: a directory, or a schema behind the URL of its database."""
    if place.startswith("/"):
        return FilesystemBackend(Path(place), durable=False)
    url, _, schema = place.rpartition("#")
    return PostgresBackend(RemoteDatabase(url), schema=schema, connections=4, durable=False)


async def _main(place: str, name: str, who: str) -> None:
    backend = open_at(place)
    await backend.open()
    print("ready", flush=True)
    sys.stdin.readline()
    await TASKS[name](backend, who, lambda *told: print(json.dumps(told), flush=True))
    await backend.close()


# What this process asks of them


@dataclass(slots=True)
class Worker:
    """Another process, at its task."""

    process: asyncio.subprocess.Process
    told: list[Any] = field(default_factory=list)
    """All that it was answered, so far."""
    listening: asyncio.Task[None] | None = None

    async def has_told(self) -> bool:
        return bool(self.told)

    async def begin(self) -> None:
        """Let it go to its task, as soon as it can."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        assert await self.process.stdout.readline() == b"ready\n"
        self.process.stdin.write(b"begin\n")
        self.listening = asyncio.create_task(self.listen())

    async def listen(self) -> None:
        assert self.process.stdout is not None
        async for line in self.process.stdout:
            self.told.append(json.loads(line))
        await self.process.wait()

    async def end(self) -> None:
        """Wait for its end, which is to be a good one."""
        assert self.listening is not None
        await self.listening
        assert self.process.returncode == 0

    async def kill(self) -> None:
        """End it, wherever it is."""
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()
        await (self.listening or self.listen())


@contextlib.asynccontextmanager
async def working(place: str, name: str, *who: str) -> AsyncIterator[list[Worker]]:
    """Processes at a task, one for each name; none outlives the block."""
    workers: list[Worker] = []
    try:
        for each in who:
            command = (sys.executable, "-m", __name__, place, name, each)
            home = Path(__file__).parents[2]
            pipe = asyncio.subprocess.PIPE
            workers.append(Worker(await asyncio.create_subprocess_exec(*command, cwd=home, stdin=pipe, stdout=pipe)))
        for worker in workers:
            await worker.begin()
        yield workers
    finally:
        for worker in workers:
            await worker.kill()


async def until(holds: Callable[[], Awaitable[bool]]) -> None:
    """Wait until something is so, for not too long."""
    for _ in range(4000):
        if await holds():
            return
        await asyncio.sleep(0.005)
    raise AssertionError("it never came")


@pytest.fixture(params=["filesystem", "postgres"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where a store is, for all processes."""
    return str(tmp_path / "store") if request.param == "filesystem" else f"{database_url()}#{fresh_schema()}"


@pytest.fixture
async def store(place: str) -> AsyncIterator[Backend]:
    backend = open_at(place)
    await backend.open()
    await create_bucket(backend, "bucket")
    yield backend
    await backend.close()


async def check_whole(backend: Backend) -> None:
    """At rest, whatever is listed can be read, and nothing is left over."""
    await collect_all(backend)
    for bucket in await backend.list_buckets():
        page = await backend.list_versions(bucket, ListQuery(all_versions=True))
        assert not page.truncated
        current: dict[str, Listed] = {}
        for version in page.entries:
            assert isinstance(version, Listed)
            current.setdefault(version.key, version)
            found = await backend.get_version(bucket, version.key, version.version_id)
            assert version == listed(found, is_latest=current[version.key] is version)
            assert len(await get(backend, bucket, version.key, version.version_id)) == version.size
        for key, version in current.items():
            assert (await backend.get_version(bucket, key)).version_id == version.version_id
        assert await keys(backend, bucket) == sorted(current)


async def test_at_rest_lists_and_reads_of_keys_that_all_changed_agree(store: Backend, place: str) -> None:
    async with working(place, "change", "a", "b") as workers:
        await change(store, "c", print)
        for worker in workers:
            await worker.end()
    await check_whole(store)
    for key in {"one", "two", "three"} - set(await keys(store, await loaded(store))):
        with pytest.raises(NoSuchKey):
            await store.get_version(await loaded(store), key)


async def test_what_one_process_was_answered_all_others_see(store: Backend, place: str) -> None:
    bucket = await loaded(store)
    async with (
        working(place, "collect", "c") as collectors,
        working(place, "change_own", "a", "b") as workers,
    ):
        until = time.monotonic() + 4
        while time.monotonic() < until or not all(worker.told for worker in workers):
            await asyncio.sleep(0.01)
            for worker in workers:
                await check_told(store, bucket, worker)
        for worker in workers:
            await worker.kill()
        await end(store)
        await collectors[0].end()
    for worker in workers:
        assert len([etag for _, etag, _ in worker.told if etag is not None]) > 20, "next to nothing was tried"
    await check_whole(store)
    await check_left(store, bucket, workers)


async def check_told(backend: Backend, bucket: Bucket, worker: Worker) -> None:
    """A read that begins after an answer sees that change, or a later one of the key."""
    if not worker.told:
        return
    key, etag, number = worker.told[-1]
    listed = await keys(backend, bucket)
    try:
        found = await backend.get_version(bucket, key)
    except NoSuchKey:
        found = None
    if etag is not None and found is not None:
        assert number_of(found) >= number
    if etag is not None and found is None:
        assert await _later(worker, key, number), "what was put cannot be read"
    if etag is not None and key not in listed:
        assert await _later(worker, key, number), "what was put is not listed"


def number_of(version: ObjectVersion) -> int:
    """Which of its writer's puts it is."""
    return int(version.metadata["n"])


async def _later(worker: Worker, key: str, number: int) -> bool:
    """Whether it was deleted meanwhile; the answer may still be on its way here."""
    for _ in range(200):
        places = [place for place, (name, _, one) in enumerate(worker.told) if (name, one) == (key, number)]
        if any(name == key for name, _, _ in worker.told[places[-1] + 1 :]):
            return True
        await asyncio.sleep(0.01)
    return False


async def check_left(backend: Backend, bucket: Bucket, workers: list[Worker]) -> None:
    """What was answered last of each key is there; or what was asked after that, unanswered when its process died."""
    for worker in workers:
        last = {key: (etag, number) for key, etag, number in worker.told}
        _, unanswered = max((place, told[0]) for place, told in enumerate(worker.told))
        following = f"{unanswered[:2]}{(int(unanswered[2:]) + 1) % 7}"
        for key, (etag, number) in last.items():
            if key == following:
                continue
            if etag is None:
                with pytest.raises(NoSuchKey):
                    await backend.get_version(bucket, key)
            else:
                found = await backend.get_version(bucket, key)
                assert (found.etag, number_of(found)) == (etag, number)


async def test_of_those_who_race_to_be_first_exactly_one_wins(store: Backend, place: str) -> None:
    async with working(place, "win", "a", "b") as workers:
        mine: list[Any] = []
        await win(store, "c", lambda *told: mine.append(list(told)))
        for worker in workers:
            await worker.end()
    winners = {"a": workers[0].told, "b": workers[1].told, "c": mine}
    assert sorted(number for told in winners.values() for (number,) in told) == list(range(200))
    bucket = await loaded(store)
    for who, told in winners.items():
        for (number,) in told:
            assert await get(store, bucket, f"race-{number}") == who.encode()


async def test_a_put_that_was_answered_keeps_its_bucket_alive(store: Backend, place: str) -> None:
    async with working(place, "put_into_what_is_deleted", "a", "b") as workers:
        deleted: list[str] = []
        emptied: set[tuple[str, str]] = set()
        while len(deleted) + len(emptied) < 300:
            await asyncio.sleep(random.random() / 200)
            bucket = await loaded(store)
            try:
                await store.delete_bucket(bucket)
                deleted.append(bucket.id)
                await create_bucket(store, "bucket")
            except BucketNotEmpty:
                emptied.update([(bucket.id, key) for key in await empty(store, bucket)])
        await end(store)
        await asyncio.gather(*(worker.end() for worker in workers))
    bucket = await loaded(store)
    left = {(bucket.id, key) for key in await keys(store, bucket)}
    answered = {(bucket_id, key) for worker in workers for bucket_id, key in worker.told}
    assert answered <= emptied | left
    assert deleted
    assert emptied


async def empty(backend: Backend, bucket: Bucket) -> list[str]:
    listed = await keys(backend, bucket)
    for key in listed:
        assert await backend.delete_version(bucket, key, NULL_VERSION) is not None
    return listed


async def test_no_put_takes_a_configuration_that_was_changed_before(store: Backend, place: str) -> None:
    changes: dict[int, tuple[str, int]] = {}
    async with working(place, "put_as_configured", "a", "b") as workers:
        for number in range(100):
            status = ("Enabled", "Suspended")[number % 2]
            changed = await set_versioning(store, "bucket", status)
            changes[changed.revision] = (status, time.time_ns() // 1000)
            await asyncio.sleep(random.random() / 100)
        await end(store)
        await asyncio.gather(*(worker.end() for worker in workers))
    told = [one for worker in workers for one in worker.told if one[0] > 1]
    assert len(told) > 20, "next to nothing was tried"
    for revision, null, sequence in told:
        assert null == (changes[revision][0] == "Suspended")
        after = changes.get(revision + 1)
        # One process's clock is the other's.
        assert after is None or sequence <= after[1]
    await check_whole(store)


async def busy(backend: Backend) -> bool:
    return len({key[0] for key in await keys(backend, await loaded(backend))}) == 2


async def test_a_bucket_under_load_can_be_changed(store: Backend, place: str) -> None:
    async with working(place, "put_many_at_once", "a", "b") as workers:
        await until(lambda: busy(store))
        for number in range(20):
            with contextlib.suppress(OperationAborted):
                await set_versioning(store, "bucket", ("Enabled", "Suspended")[number % 2])
        changed = await loaded(store)
        await end(store)
        for worker in workers:
            await worker.end()
    assert changed.revision == 21, "a change found no moment without a put"


async def test_the_death_of_a_process_leaves_the_others_serving(store: Backend, place: str) -> None:
    bucket = await loaded(store)
    for turn in range(4):
        async with working(place, "change_own", f"{turn}") as (worker,):
            await until(worker.has_told)
            await asyncio.sleep(random.random() / 5)
            await worker.kill()
            await asyncio.wait_for(put(store, bucket, "alive", b"%d" % turn), 10)
            assert await get(store, bucket, "alive") == b"%d" % turn
            assert "alive" in await keys(store, bucket)
            await check_whole(store)


if __name__ == "__main__":
    asyncio.run(_main(*sys.argv[1:]))
