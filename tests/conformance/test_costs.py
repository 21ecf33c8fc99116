"""What each hot path of the filesystem costs the disk and the index, as counts: none of it may grow unnoticed.

Times are for benchmarks. PostgreSQL's side of this is tests/api/test_round_trips.py.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import sqlite3
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable
from pathlib import Path
from typing import Any

import pytest

from post3.model.bucket import Bucket
from post3.model.listing import ListQuery
from post3.model.object import NULL_VERSION
from post3.storage.filesystem import _files, log
from post3.storage.filesystem.backend import FilesystemBackend
from post3.storage.filesystem.layout import key_stripe
from tests.conftest import MIB, create_bucket, put, some_bytes

SMALL = b"4" * 4096
LARGE = some_bytes(3 * MIB)


class Costs:
    """Counts what is done to the disk, through the interpreter or without it, and what the index executes."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, backend: FilesystemBackend) -> None:
        self.counted: Counter[str] = Counter()
        self.backend = backend
        self._is_on = False
        for name in ("open", "write", "pwrite", "fsync", "fdatasync", "rename", "unlink", "mkdir", "stat", "listdir"):
            counted = "sync" if name in ("fsync", "fdatasync") else name
            monkeypatch.setattr(os, name, self._counting(counted, getattr(os, name)))
        _files.watch(lambda step, _path, _target: self._add(step))
        # Both connections: that of its thread, and that of many puts at once.
        backend.store.index.submit(self._trace, writes=False).result()
        backend.store.index.write([self._trace])

    def _trace(self, db: sqlite3.Connection) -> None:
        db.set_trace_callback(lambda _: self._add("sql"))

    def _add(self, what: str) -> None:
        if self._is_on:
            self.counted[what] += 1

    def _counting(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*args: Any, **kwargs: Any) -> Any:
            self._add(name)
            return call(*args, **kwargs)

        return counted

    def _settle(self) -> None:
        while self.backend.small.is_busy:
            time.sleep(0.001)
        self.backend.store.index.submit(lambda _: None, writes=False).result()

    async def of(self, work: Callable[[], Awaitable[object]]) -> dict[str, int]:
        """What this work costs until the index has settled, too."""
        self._settle()
        self.counted.clear()
        self._is_on = True
        await work()
        self._settle()
        self._is_on = False
        return dict(self.counted)


@pytest.fixture(autouse=True)
def has_log(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever disk the tests are on: a layer over others syncs well enough for them."""
    monkeypatch.setattr(log, "disk_kind", lambda _path: "ext4")


@pytest.fixture
async def costs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> AsyncIterator[Costs]:
    backend = FilesystemBackend(tmp_path)
    await backend.open()
    try:
        yield Costs(monkeypatch, backend)
    finally:
        _files.watch(None)
        await backend.close()


@pytest.fixture
async def bucket(costs: Costs) -> Bucket:
    made = await create_bucket(costs.backend, "bucket")
    await put(costs.backend, made, "key", SMALL)
    await put(costs.backend, made, "large", LARGE)
    return made


async def test_a_small_put_is_one_sync_and_one_file(costs: Costs, bucket: Bucket) -> None:
    cost = await costs.of(lambda: put(costs.backend, bucket, "key", SMALL))
    assert {name: cost.get(name, 0) for name in ("open", "write", "pwrite", "rename", "sync", "mkdir")} == {
        "open": 1,
        "write": 1,
        "pwrite": 1,
        "rename": 1,
        "sync": 1,
        "mkdir": 0,
    }
    # Two transactions: the intent; and rows away, row, intent away.
    assert cost["sql"] <= 8, cost


async def test_a_put_of_a_new_key_makes_its_folders_and_syncs_none(costs: Costs, bucket: Bucket) -> None:
    cost = await costs.of(lambda: put(costs.backend, bucket, "another", SMALL))
    assert cost["mkdir"] <= 2
    assert cost["sync"] == 1


def keys_apart(costs: Costs, bucket: Bucket, number: int = 16) -> list[str]:
    """Keys that share no lock with each other: those that do wait for each other, and so make one batch more."""
    apart: dict[str, str] = {}
    for count in itertools.count():
        place = costs.backend.store.place(bucket, f"key-{count}")
        apart.setdefault(key_stripe(place.folder, place.stem), f"key-{count}")
        if len(apart) == number:
            break
    return list(apart.values())


async def at_once(costs: Costs, works: Iterable[Coroutine[Any, Any, object]]) -> None:
    """Do changes together: those that come while the first ones wait for the log."""
    with costs.backend.store.locks.held("log"):
        tasks = [asyncio.ensure_future(work) for work in works]
        for _ in range(10):
            await asyncio.sleep(0)
    await asyncio.gather(*tasks)


async def test_puts_at_once_share_their_syncs_and_transactions(costs: Costs, bucket: Bucket) -> None:
    keys = keys_apart(costs, bucket)

    def puts() -> Iterable[Coroutine[Any, Any, object]]:
        return (put(costs.backend, bucket, key, SMALL) for key in keys)

    await at_once(costs, puts())
    cost = await costs.of(lambda: at_once(costs, puts()))
    # Some go ahead at once, the others gather meanwhile.
    assert cost["sync"] <= 2, cost
    assert cost["sql"] <= 16 * 4 + 2 * 4, cost


async def test_deletes_at_once_share_their_syncs_and_transactions(costs: Costs, bucket: Bucket) -> None:
    names = keys_apart(costs, bucket)
    await asyncio.gather(*(put(costs.backend, bucket, name, SMALL) for name in names))
    deletes = (costs.backend.delete_version(bucket, name, NULL_VERSION) for name in names)
    cost = await costs.of(lambda: at_once(costs, deletes))
    assert cost["unlink"] == 16
    assert cost["sync"] <= 2, cost
    assert cost["sql"] <= 16 * 3 + 2 * 4, cost


async def test_a_small_get_reads_one_file_and_asks_no_index(costs: Costs, bucket: Bucket) -> None:
    async def get() -> None:
        version = await costs.backend.get_version(bucket, "key")
        assert version.body is not None
        runs = [run async for run in costs.backend.read_blob(bucket, version.body.blob, 0, len(SMALL))]
        assert b"".join(runs) == SMALL

    cost = await costs.of(get)
    # The bucket's record is looked at, the sidecar is read in one call of its own.
    assert cost == {"stat": 1}


async def test_a_large_put_syncs_nothing_block_by_block(costs: Costs, bucket: Bucket) -> None:
    cost = await costs.of(lambda: put(costs.backend, bucket, "large", LARGE))
    # A file and its folder each: the ledger's entry, the data, the old bytes' entry; and the log.
    assert cost["sync"] <= 7, cost
    assert cost["sql"] <= 8, cost


async def test_a_delete_is_one_sync(costs: Costs, bucket: Bucket) -> None:
    cost = await costs.of(lambda: costs.backend.delete_version(bucket, "key", NULL_VERSION))
    assert (cost["unlink"], cost["sync"]) == (1, 1)
    assert cost["sql"] <= 8, cost


@pytest.mark.parametrize("query", [ListQuery(), ListQuery(delimiter="/")])
async def test_a_page_is_a_few_statements_and_no_file(costs: Costs, bucket: Bucket, query: ListQuery) -> None:
    for number in range(30):
        await put(costs.backend, bucket, f"{number}/x", SMALL)
    cost = await costs.of(lambda: costs.backend.list_versions(bucket, query))
    assert cost.pop("stat") == 1  # of the bucket
    assert cost.pop("sql") <= 5
    assert cost == {}
