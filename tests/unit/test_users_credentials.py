"""What a server knows of users and keys, how fast it learns, and what it does when it cannot."""

from __future__ import annotations

import asyncio
import json
import logging
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from post3.auth.credentials import Key
from post3.config import ConfigError
from post3.errors import SlowDown
from post3.model.identity import ROOT, Identity
from post3.model.record import Record
from post3.storage.memory import MemoryBackend
from post3.users import credentials as module
from post3.users.credentials import StoredCredentials
from post3.users.store import CHANGES, add_key, add_user, remove_key, remove_user

ROOT_KEY = Key("ROOT", "12345678", ROOT)


class Store(MemoryBackend):
    """Counts how often it is asked whether anything changed; answers when it is let."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = 0
        self.fails = False
        self.answers = asyncio.Event()
        self.answers.set()

    async def get_record(self, kind: str, id: str) -> Record:
        if (kind, id) == CHANGES:
            self.asked += 1
            if self.fails:
                raise SlowDown("The database cannot be reached at the moment; try again.")
            await self.answers.wait()
        return await super().get_record(kind, id)


class Clock:
    """A clock that goes when it is told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def store() -> AsyncIterator[Store]:
    """A store with a user whose key is KEY."""
    store = Store()
    await store.open()
    await add_user(store, Identity("alice", "Alice", "a@example.com"))
    await add_key(store, "alice", "KEY", "12345678")
    yield store
    await store.close()


@pytest.fixture
async def known(store: Store, clock: Clock) -> AsyncIterator[StoredCredentials]:
    credentials = StoredCredentials(store, clock=clock)
    await credentials.open()
    store.asked = 0
    yield credentials
    await credentials.close()


def write(path: Path, *users: object) -> None:
    """Write a users file as an editor does."""
    new = path.with_suffix(".new")
    new.write_text(json.dumps({"users": users}))
    new.replace(path)


def a_user(id: str, *access_keys: str, email: str = "") -> dict[str, object]:
    keys = [{"access_key": access_key, "secret_key": "12345678"} for access_key in access_keys]
    return {"id": id, "email": email, "keys": keys}


async def settle() -> None:
    """Let tasks that wait for nothing end, and threads with short work."""
    for _ in range(20):
        await asyncio.sleep(0)


# How often it looks


async def test_what_the_store_has_is_known_from_the_start(known: StoredCredentials) -> None:
    key = known.find("KEY")
    assert key is not None
    assert key.identity == Identity("alice", "Alice", "a@example.com") == known.by_id("alice")
    assert known.by_email("A@example.com") == key.identity
    assert not known.is_empty


async def test_nobody_looks_again_within_half_a_second(known: StoredCredentials, store: Store, clock: Clock) -> None:
    clock.now += 0.49
    for _ in range(100):
        await known.refresh()
    await settle()
    assert store.asked == 0


async def test_after_half_a_second_one_looks_and_nobody_waits(
    known: StoredCredentials, store: Store, clock: Clock
) -> None:
    store.answers.clear()
    clock.now += 0.6
    async with asyncio.timeout(2):
        for _ in range(100):
            await known.refresh()
    await settle()
    assert store.asked == 1
    store.answers.set()
    await settle()
    await known.refresh()
    await settle()
    assert store.asked == 1


async def test_after_a_second_all_wait_for_the_one_that_looks(
    known: StoredCredentials, store: Store, clock: Clock
) -> None:
    await remove_key(store, "KEY")
    store.asked = 0
    store.answers.clear()
    clock.now += 1.0
    waiting = [asyncio.create_task(known.refresh()) for _ in range(100)]
    await settle()
    assert not any(task.done() for task in waiting)
    store.answers.set()
    await asyncio.gather(*waiting)
    assert store.asked == 1
    assert known.find("KEY") is None


async def test_one_who_gives_up_waiting_keeps_nobody_from_learning(
    known: StoredCredentials, store: Store, clock: Clock
) -> None:
    await remove_key(store, "KEY")
    store.answers.clear()
    clock.now += 1.0
    first, second = asyncio.create_task(known.refresh()), asyncio.create_task(known.refresh())
    await settle()
    first.cancel()
    await settle()
    store.answers.set()
    await second
    assert first.cancelled()
    assert known.find("KEY") is None


async def test_users_are_read_only_when_something_changed(
    known: StoredCredentials, store: Store, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def never(*_: object) -> list[Record]:
        raise AssertionError("nothing changed")

    with monkeypatch.context() as patch:
        patch.setattr(MemoryBackend, "list_records", never)
        clock.now += 1.0
        await known.refresh()
    await add_user(store, Identity("bob", "Bob"))
    clock.now += 1.0
    await known.refresh()
    assert known.by_id("bob") == Identity("bob", "Bob")


async def test_it_can_be_closed_while_it_looks(store: Store, clock: Clock) -> None:
    known = StoredCredentials(store, clock=clock)
    await known.open()
    store.answers.clear()
    clock.now += 0.6
    await known.refresh()
    await settle()
    await known.close()
    assert store.asked > 0


# A store that does not answer


async def test_in_an_outage_what_is_known_stays_and_is_told_once(
    known: StoredCredentials, store: Store, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    store.fails = True
    for _ in range(5):
        clock.now += 1.0
        await known.refresh()
        await settle()
    assert store.asked == 5
    assert known.find("KEY") is not None
    assert [record.getMessage() for record in caplog.records] == [
        "users and keys cannot be read, and stay as last known: "
        "SlowDown: The database cannot be reached at the moment; try again."
    ]
    assert caplog.records[0].exc_info is None or not caplog.records[0].exc_info

    store.fails = False
    await remove_key(store, "KEY")
    for _ in range(2):  # whoever finds the store back waits again
        clock.now += 1.0
        await known.refresh()
        await settle()
    assert known.find("KEY") is None
    store.fails = True
    clock.now += 1.0
    await known.refresh()
    assert len(caplog.records) == 2


async def test_nobody_waits_in_an_outage(
    known: StoredCredentials, store: Store, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PATIENCE", 0.01)
    store.answers.clear()
    clock.now += 1.0
    await known.refresh()  # until the patience ends
    monkeypatch.setattr(module, "PATIENCE", 60.0)
    for _ in range(10):
        clock.now += 1.0
        await asyncio.wait_for(known.refresh(), 5)
    await settle()
    assert known.find("KEY") is not None


async def test_without_a_store_nothing_starts(store: Store) -> None:
    store.fails = True
    with pytest.raises(OSError, match="cannot be reached"):
        await StoredCredentials(store).open()


# Open or closed


async def test_it_is_empty_as_long_as_nobody_ever_had_a_key(clock: Clock) -> None:
    store = MemoryBackend()
    known = StoredCredentials(store, clock=clock)
    await known.open()
    assert known.is_empty
    await add_user(store, Identity("alice", "Alice"))
    clock.now += 1.0
    await known.refresh()
    assert known.is_empty
    await add_key(store, "alice", "KEY")
    clock.now += 1.0
    await known.refresh()
    assert not known.is_empty


async def test_the_end_of_the_last_key_opens_nothing(known: StoredCredentials, store: Store, clock: Clock) -> None:
    await remove_user(store, "alice")
    clock.now += 1.0
    await known.refresh()
    assert known.find("KEY") is None
    assert not known.is_empty


async def test_a_users_file_without_users_lets_nobody_in(tmp_path: Path) -> None:
    write(tmp_path / "users.json")
    known = StoredCredentials(MemoryBackend(), users_file=tmp_path / "users.json")
    await known.open()
    assert not known.is_empty


# Several sources


async def test_root_comes_before_the_file_and_the_file_before_the_store(
    store: Store, clock: Clock, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    await add_user(store, Identity("bob", "Bob"))
    await add_key(store, "bob", "ROOT", "87654321")
    await add_key(store, "bob", "BOB", "87654321")
    write(tmp_path / "users.json", a_user("alice", "FILE", email="other@example.com"), a_user("carol", "ROOT"))
    known = StoredCredentials(store, ROOT_KEY, tmp_path / "users.json", clock=clock)
    await known.open()

    found = {name: getattr(known.find(name), "identity", None) for name in ("ROOT", "FILE", "KEY", "BOB")}
    assert found["ROOT"] is ROOT
    assert found["FILE"] == known.by_id("alice") == Identity("alice", "alice", "other@example.com")
    assert found["KEY"] is None
    assert found["BOB"] == known.by_id("bob")
    assert known.by_id("carol") is not None
    told = [record.getMessage() for record in caplog.records]
    assert [sentence.split(" ", 2)[:2] for sentence in told] == [["The", "users"], ["The", "store"], ["The", "store"]]

    await remove_key(store, "BOB")
    clock.now += 1.0
    await known.refresh()
    assert known.find("BOB") is None
    assert len(caplog.records) == len(told)
    assert "12345678" not in caplog.text
    assert "87654321" not in caplog.text


# The file


@pytest.fixture
async def from_file(tmp_path: Path, clock: Clock) -> AsyncIterator[StoredCredentials]:
    """Credentials with a users file, users.json, in which alice has the key FILE."""
    write(tmp_path / "users.json", a_user("alice", "FILE"))
    known = StoredCredentials(MemoryBackend(), users_file=tmp_path / "users.json", clock=clock)
    await known.open()
    yield known
    await known.close()


async def look(known: StoredCredentials, clock: Clock) -> None:
    clock.now += 1.0
    await known.refresh()


async def test_a_users_file_is_read_again_when_it_changes(
    from_file: StoredCredentials, clock: Clock, tmp_path: Path
) -> None:
    write(tmp_path / "users.json", a_user("bob", "BOBS"))
    clock.now += 0.49
    await from_file.refresh()
    await settle()
    assert from_file.find("FILE") is not None
    await look(from_file, clock)
    assert from_file.find("FILE") is None
    assert from_file.find("BOBS") is not None


async def test_a_users_file_that_stays_is_not_read_again(
    from_file: StoredCredentials, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: object, **__: object) -> str:
        raise AssertionError("nothing changed")

    monkeypatch.setattr(Path, "read_text", never)
    await look(from_file, clock)
    assert from_file.find("FILE") is not None


async def test_a_file_of_the_same_size_written_in_place_is_read_again(
    from_file: StoredCredentials, clock: Clock, tmp_path: Path
) -> None:
    path = tmp_path / "users.json"
    before = path.stat()
    path.write_text(path.read_text().replace("FILE", "ELIF"))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns + 1))
    await look(from_file, clock)
    assert from_file.find("ELIF") is not None


async def test_a_wrong_file_is_told_once_and_the_last_good_one_stays(
    from_file: StoredCredentials, clock: Clock, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "users.json"
    for times in (1, 2):
        write(path, a_user("bob", "BOBS"), {"id": "carol", "keys": [{"secret_key": "open sesame"}]}, *[{}] * times)
        for _ in range(3):
            await look(from_file, clock)
        assert [record.getMessage() for record in caplog.records] == [
            f"The users file {path} is wrong: users[1].keys[0].access_key is missing; the users that it named before "
            "stay in force"
        ] * times
    assert {record.levelno for record in caplog.records} == {logging.ERROR}
    assert from_file.find("FILE") is not None
    assert from_file.find("BOBS") is None
    write(path, a_user("bob", "BOBS"))
    await look(from_file, clock)
    assert from_file.find("BOBS") is not None
    assert len(caplog.records) == 2


async def test_a_file_that_is_gone_is_told_once_until_it_is_back(
    from_file: StoredCredentials, clock: Clock, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "users.json"
    for times in (1, 2):
        path.rename(tmp_path / "aside")
        for _ in range(3):
            await look(from_file, clock)
        assert from_file.find("FILE") is not None
        assert len(caplog.records) == times
        assert "No such file" in caplog.text
        (tmp_path / "aside").rename(path)
        await look(from_file, clock)
    write(path, a_user("bob", "BOBS"))
    await look(from_file, clock)
    assert from_file.find("BOBS") is not None


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "The users file {} cannot be read: No such file or directory."),
        (b"\xff", "The users file {} is not UTF-8."),
        (b'{"users": [{}]}', "The users file {} is wrong: users[0].id is missing."),
        (b'{"users": [}', "The users file {} is wrong: line 1, column 12 is not JSON."),
    ],
)
async def test_with_a_wrong_file_nothing_starts(tmp_path: Path, content: bytes | None, said: str) -> None:
    path = tmp_path / "users.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError) as refused:
        await StoredCredentials(MemoryBackend(), users_file=path).open()
    assert str(refused.value) == said.format(path)


async def test_a_byte_order_mark_is_no_error(tmp_path: Path) -> None:
    path = tmp_path / "users.json"
    path.write_bytes(b'\xef\xbb\xbf{"users": [{"id": "alice"}]}')
    known = StoredCredentials(MemoryBackend(), users_file=path)
    await known.open()
    assert known.by_id("alice") == Identity("alice", "alice")
