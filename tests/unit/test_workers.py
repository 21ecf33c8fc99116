"""What runs without a request: leases and the collector."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import timedelta

import pytest

from post3.errors import SlowDown
from post3.model.record import Record
from post3.storage.memory import MemoryBackend
from post3.storage.protocol import Change, Collected
from post3.workers.garbage import collect_forever
from post3.workers.lease import LEASE_SECONDS, Lease


class Clock:
    """A clock that goes when it is told to, and lets who sleeps on it wake up."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += seconds
        await asyncio.sleep(0)


@pytest.fixture
async def backend() -> AsyncIterator[MemoryBackend]:
    backend = MemoryBackend()
    await backend.open()
    yield backend
    await backend.close()


async def test_one_of_two_holds_a_lease(backend: MemoryBackend) -> None:
    one, other = Lease(backend, "work"), Lease(backend, "work")
    assert await one.hold()
    assert not await other.hold()
    assert await one.hold()


async def test_leases_of_different_work_do_not_meet(backend: MemoryBackend) -> None:
    assert await Lease(backend, "work").hold()
    assert await Lease(backend, "other").hold()


async def test_a_lease_that_was_given_back_can_be_taken_at_once(backend: MemoryBackend) -> None:
    one, other = Lease(backend, "work"), Lease(backend, "work")
    await one.hold()
    await other.release()
    assert not await other.hold()
    await one.release()
    assert await other.hold()
    assert not await one.hold()


async def test_a_lease_is_taken_when_nobody_renewed_it_for_long_enough(backend: MemoryBackend) -> None:
    clock = Clock()
    one, other = Lease(backend, "work", clock), Lease(backend, "work", clock)
    await one.hold()
    assert not await other.hold()
    clock.now += LEASE_SECONDS - 1
    assert not await other.hold()
    clock.now += 1
    assert await other.hold()
    assert not await one.hold()


async def test_a_lease_that_is_renewed_is_never_taken(backend: MemoryBackend) -> None:
    clock = Clock()
    one, other = Lease(backend, "work", clock), Lease(backend, "work", clock)
    for _ in range(10):
        assert await one.hold()
        assert not await other.hold()
        clock.now += LEASE_SECONDS - 1


class Collecting(MemoryBackend):
    """Counts its collections; the first one fails."""

    def __init__(self, failure: Exception | None = None) -> None:
        super().__init__()
        self._failure = failure or OSError("the disk is away")
        self.asked: list[timedelta] = []
        self.enough_at = 0
        self.enough = asyncio.Event()

    async def collect_garbage(self, older_than: timedelta) -> Collected:
        self.asked.append(older_than)
        if len(self.asked) == self.enough_at:
            self.enough.set()
        if len(self.asked) == 1:
            raise self._failure
        return await super().collect_garbage(older_than)


async def run_until(count: int, backend: Collecting, grace: timedelta, clock: Clock) -> None:
    backend.enough_at = count
    task = asyncio.create_task(collect_forever(backend, grace, clock=clock, sleep=clock.sleep))
    await backend.enough.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_garbage_is_collected_every_quarter_of_the_grace_period_whatever_happens() -> None:
    backend, clock = Collecting(), Clock()
    began, grace = clock.now, timedelta(minutes=8)
    await run_until(3, backend, grace, clock)
    assert backend.asked == [grace] * 3
    assert 360 <= clock.now - began <= 400


@pytest.mark.parametrize(("failure", "is_told_whole"), [(SlowDown("It is away."), False), (OSError("odd"), True)])
async def test_a_store_that_is_away_is_one_line_in_the_log(
    caplog: pytest.LogCaptureFixture, failure: Exception, is_told_whole: bool
) -> None:
    await run_until(2, Collecting(failure), timedelta(minutes=8), Clock())
    (told,) = [record for record in caplog.records if "could not be collected" in record.getMessage()]
    assert bool(told.exc_info) == is_told_whole
    assert is_told_whole or "It is away." in told.getMessage()


async def test_a_collector_that_ends_lets_another_begin_at_once() -> None:
    backend, clock = Collecting(), Clock()
    await run_until(1, backend, timedelta(seconds=4), clock)
    assert await Lease(backend, "garbage").hold()


async def test_a_collector_waits_for_the_one_that_has_the_lease() -> None:
    backend, clock = Collecting(), Clock()
    holder = Lease(backend, "garbage", clock)
    await holder.hold()
    task = asyncio.create_task(collect_forever(backend, timedelta(0), clock=clock, sleep=clock.sleep))
    for _ in range(20):
        await asyncio.sleep(0)
    assert backend.asked == []
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


class Finishing(MemoryBackend):
    """Its first change goes to its end, whoever is cancelled meanwhile, as those of PostgreSQL do."""

    def __init__(self) -> None:
        super().__init__()
        self.begun = asyncio.Event()

    async def update_record(self, kind: str, id: str, change: Change[Record | None]) -> Record | None:
        if not self.begun.is_set():
            self.begun.set()
            with suppress(asyncio.CancelledError):
                await asyncio.Event().wait()
        return await super().update_record(kind, id, change)


async def test_a_collector_that_is_cancelled_in_a_change_ends_behind_it() -> None:
    backend, clock = Finishing(), Clock()
    task = asyncio.create_task(collect_forever(backend, timedelta(0), clock=clock, sleep=clock.sleep))
    await backend.begun.wait()
    task.cancel()
    await asyncio.wait_for(task, timeout=5)
    assert await Lease(backend, "garbage").hold()
