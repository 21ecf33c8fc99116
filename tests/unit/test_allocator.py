"""Memory that is free goes back to the system, and is looked after only when there is something to do."""

from __future__ import annotations

import asyncio
import gc
import subprocess
import sys
import weakref
from contextlib import suppress

import pytest

from post3 import allocator
from post3.allocator import KEPT, Heap, give_back_forever

MIB = 2**20
HELD = 200
PROGRAM = f"""
import os
from post3.allocator import Heap

def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE")

heap = Heap()
heap.use_again()
before = resident()
blocks = [(os.urandom({MIB}), os.urandom(20_000)) for _ in range({HELD})]
between = [small for _, small in blocks]  # behind each block stays something
held = resident()
del blocks
heap.give_back()
print(held - before, resident() - before)
"""


def test_blocks_that_were_freed_go_back_also_from_between_others() -> None:
    told = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True).stdout
    held, left = map(int, told.split())
    assert held >= HELD * MIB
    assert left < KEPT + HELD * 20_000 + 16 * MIB


class Told(Heap):
    """A heap that tells the next of these amounts whenever it is asked what is free."""

    def __init__(self, *amounts: int) -> None:
        self.amounts = list(amounts)
        self.given_back = 0
        self.ended = asyncio.Event()

    def free(self) -> int:
        if not self.amounts:
            self.ended.set()
            return 0
        return self.amounts.pop(0)

    def give_back(self) -> None:
        self.given_back += 1


@pytest.mark.parametrize(
    ("amounts", "times"),
    [
        ((0, KEPT, KEPT), 0),
        ((2 * KEPT, 2 * KEPT), 1),  # asked once more behind it
        ((2 * KEPT, 2 * KEPT, 2 * KEPT, 2 * KEPT), 1),
        ((2 * KEPT, 2 * KEPT, 3 * KEPT, 2 * KEPT), 2),
    ],
    ids=["little is free", "much is free", "it stays as it is", "it becomes another amount"],
)
async def test_it_is_given_back_when_much_has_become_free(
    monkeypatch: pytest.MonkeyPatch, amounts: tuple[int, ...], times: int
) -> None:
    monkeypatch.setattr(allocator, "PAUSE", 0)
    heap = Told(*amounts)
    task = asyncio.create_task(give_back_forever(heap))
    await heap.ended.wait()
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    assert heap.given_back == times


async def test_cycles_are_looked_for_by_the_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(allocator, "PAUSE", 0)
    heap, one = Told(0, 0), Told()
    one.ended = one  # type: ignore[assignment]  # a cycle
    seen = weakref.ref(one)
    gc.disable()
    try:
        del one
        task = asyncio.create_task(give_back_forever(heap))
        await heap.ended.wait()
    finally:
        gc.enable()
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    assert seen() is None
