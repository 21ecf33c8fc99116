"""Holds, by a session that does as it is told: what somebody relies on is locked, whatever happens meanwhile."""

from __future__ import annotations

import asyncio
import random
import uuid
from collections.abc import AsyncIterator, Iterator
from typing import Any, Final, cast

import pytest

from post3.storage.postgres import holds as holding
from post3.storage.postgres.connections import Session
from post3.storage.postgres.holds import Holds
from post3.storage.postgres.names import lock_key

ONE: Final = uuid.UUID(int=1)
OTHER: Final = uuid.UUID(int=2)


class Link:
    """A connection that can be lost."""

    def __init__(self) -> None:
        self._listeners: list[Any] = []
        self._closed = False

    def is_closed(self) -> bool:
        return self._closed

    def add_termination_listener(self, listener: Any) -> None:
        self._listeners.append(listener)

    def terminate(self) -> None:
        self._closed = True
        for listener in self._listeners:
            listener(self)


class Locks:
    """The database's side: sessions, of which the last one counts, and what it has locked."""

    def __init__(self) -> None:
        self.link = Link()
        self.locked: set[int] = set()
        self.asked: list[str] = []
        self.wrong: list[str] = []
        self.may_answer = asyncio.Event()
        self.may_answer.set()

    async def connect(self) -> Session:
        self.link, self.locked = Link(), set()
        return cast(Session, _Session(self))


class _Session:
    def __init__(self, locks: Locks) -> None:
        self._locks = locks
        self.connection = locks.link

    async def value(self, name: str, keys: list[int]) -> int:
        self._locks.asked.append(name)
        await self._locks.may_answer.wait()
        if self.connection.is_closed():
            raise ConnectionError
        for key in keys:
            # In the database, what is locked twice is locked until it is let go twice.
            if (key in self._locks.locked) != (name == "let_go"):
                self._locks.wrong.append(name)
            (self._locks.locked.add if name == "hold" else self._locks.locked.discard)(key)
        return len(keys)


@pytest.fixture
def locks(monkeypatch: pytest.MonkeyPatch) -> Iterator[Locks]:
    monkeypatch.setattr(holding, "PAUSE", 0.001)
    made = Locks()
    yield made
    assert not made.wrong


@pytest.fixture
async def holds(locks: Locks) -> AsyncIterator[Holds]:
    made = Holds(locks.connect)
    yield made
    await made.close()


async def turns(number: int = 10) -> None:
    """Let the others go on."""
    for _ in range(number):
        await asyncio.sleep(0)


async def test_what_is_held_is_locked_and_let_go_afterwards(holds: Holds, locks: Locks) -> None:
    async with holds.held(ONE):
        assert locks.locked == {lock_key(ONE)}
        async with holds.held(ONE), holds.held(OTHER):
            assert locks.locked == {lock_key(ONE), lock_key(OTHER)}
        await turns()
        assert locks.locked == {lock_key(ONE)}
    await turns()
    assert locks.locked == set()


async def test_what_is_wanted_again_while_something_else_is_being_locked_stays_locked(
    holds: Holds, locks: Locks
) -> None:
    async def hold_other() -> None:
        async with holds.held(OTHER):
            await release.wait()

    release = asyncio.Event()
    async with holds.held(ONE):
        locks.may_answer.clear()
        waiting = asyncio.ensure_future(hold_other())
    await turns()
    assert locks.asked[-1] == "hold"  # of the other one, and nobody wants this one
    async with holds.held(ONE):
        locks.may_answer.set()
        await turns()
        assert lock_key(ONE) in locks.locked
        release.set()
        await waiting


async def test_holds_that_are_asked_for_at_once_are_taken_in_one_statement(holds: Holds, locks: Locks) -> None:
    async def hold(id: uuid.UUID) -> None:
        async with holds.held(id):
            assert lock_key(id) in locks.locked
            await turns()

    await asyncio.gather(*(hold(uuid.UUID(int=number)) for number in range(100)))
    assert locks.asked.count("hold") == 1


async def test_a_connection_that_was_lost_takes_them_all_again(holds: Holds, locks: Locks) -> None:
    async with holds.held(ONE), holds.held(OTHER):
        locks.link.terminate()
        assert locks.link.is_closed()
        async with asyncio.timeout(5):
            await holds.settle()
        assert locks.locked == {lock_key(ONE), lock_key(OTHER)}


async def test_whoever_relies_on_a_hold_has_it(holds: Holds, locks: Locks) -> None:
    """However holders come and go, and however long the database takes to answer."""
    chance = random.Random(7)

    async def answer_now_and_then() -> None:
        while True:
            locks.may_answer.set()
            await turns(chance.randrange(3))
            locks.may_answer.clear()
            await turns(chance.randrange(6))

    async def come_and_go() -> None:
        for _ in range(100):
            id = uuid.UUID(int=chance.randrange(4))
            async with holds.held(id):
                await turns(chance.randrange(8))
                assert lock_key(id) in locks.locked
            await turns(chance.randrange(4))

    answering = asyncio.ensure_future(answer_now_and_then())
    await asyncio.gather(*(come_and_go() for _ in range(6)))
    answering.cancel()
    locks.may_answer.set()
    await turns()
    assert locks.locked == set()
