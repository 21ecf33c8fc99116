"""Users and keys in every store, right whoever dies or races; and the buckets made at the start."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from post3.auth.credentials import CredentialsError, Key, User
from post3.model.grants import canned
from post3.model.identity import ROOT, Identity
from post3.model.record import Record
from post3.storage.filesystem.backend import FilesystemBackend
from post3.storage.protocol import Backend, Change, Records
from post3.users.credentials import StoredCredentials
from post3.users.store import (
    EMAIL_OF,
    KEY,
    KnownUsers,
    add_key,
    add_user,
    list_keys,
    list_users,
    remove_key,
    remove_user,
)
from post3.workers.buckets import make_buckets
from tests.databases import fresh_schema, postgres_backend

ALICE = Identity("alice", "Alice é", "Alice@example.com", is_admin=True)
BOB = Identity("bob", "bob")


async def refused(work: Awaitable[Any]) -> str:
    with pytest.raises(CredentialsError) as error:
        await work
    return str(error.value)


# One after another


async def test_users_and_keys_are_listed_as_they_were_added(backend: Backend) -> None:
    await add_user(backend, BOB)
    await add_user(backend, ALICE)
    second = await add_key(backend, "alice", "KEY2", "open sesame")
    first = await add_key(backend, "alice", "KEY1", "open/sesame é")
    assert first == Key("KEY1", "open/sesame é", Identity("alice", "Alice é", "", is_admin=True))
    users = await list_users(backend)
    assert [user.identity for user in users] == [ALICE, BOB]
    assert users[0].keys == (Key("KEY1", "open/sesame é", ALICE), Key("KEY2", "open sesame", ALICE))
    assert second.secret_key == "open sesame"
    assert users[1].keys == ()
    assert await list_keys(backend) == list(users[0].keys) == await list_keys(backend, "alice")
    assert await list_keys(backend, "bob") == []


async def test_a_key_is_drawn_where_none_is_given(backend: Backend) -> None:
    await add_user(backend, BOB)
    keys = [await add_key(backend, "bob") for _ in range(3)]
    for key in keys:
        assert len(key.access_key) == 20
        assert key.access_key == key.access_key.upper()
        assert key.access_key.isalnum()
        assert len(key.secret_key) == 40
        assert key.secret_key.isalnum()
    assert len({key.access_key for key in keys} | {key.secret_key for key in keys}) == 6


async def test_ids_addresses_and_access_keys_are_given_once(backend: Backend) -> None:
    await add_user(backend, ALICE)
    await add_user(backend, BOB)
    await add_key(backend, "alice", "KEY")
    assert await refused(add_user(backend, Identity("alice", "x"))) == "There is a user alice already."
    said = await refused(add_user(backend, Identity("carol", "x", "ALICE@example.com")))
    assert said == "Another user has the email address ALICE@example.com."
    for user in ("alice", "bob"):
        assert await refused(add_key(backend, user, "KEY")) == "The access key KEY is taken."
    assert [(user.identity, len(user.keys)) for user in await list_users(backend)] == [(ALICE, 1), (BOB, 0)]


async def test_what_is_not_there_is_missed(backend: Backend) -> None:
    for work in (remove_user(backend, "bob"), add_key(backend, "bob"), list_keys(backend, "bob")):
        assert await refused(work) == "There is no user bob in this store."
    assert await refused(remove_key(backend, "KEY")) == "There is no access key KEY in this store."


async def test_what_may_not_be_is_refused(backend: Backend) -> None:
    await add_user(backend, BOB)
    for work, said in (
        (add_user(backend, Identity("a b", "x")), "The id must be "),
        (add_user(backend, Identity(ROOT.id, "x")), "The id must be "),
        (add_user(backend, Identity("a", "x\n")), "The display name must be "),
        (add_user(backend, Identity("a", "x", "nobody")), "The email address must be "),
        (add_key(backend, "bob", "a/b"), "The access key must be "),
        (add_key(backend, "bob", "KEY", "short"), "The secret key must be "),
    ):
        assert (await refused(work)).startswith(said)
    assert await list_users(backend) == [User(BOB)]


async def test_a_removed_user_is_gone_with_keys_and_address_for_good(backend: Backend) -> None:
    await add_user(backend, ALICE)
    await add_key(backend, "alice", "KEY", "12345678")
    removed = await remove_user(backend, "alice")
    assert removed == User(ALICE, (Key("KEY", "12345678", ALICE),))
    assert await list_users(backend) == []
    assert await backend.list_records(KEY) == await backend.list_records(EMAIL_OF) == []
    await add_user(backend, Identity("bob", "x", ALICE.email))
    await add_key(backend, "bob", "KEY")
    await add_user(backend, Identity("alice", "Another"))
    assert [len(user.keys) for user in await list_users(backend)] == [0, 1]


async def test_a_removed_key_is_gone_and_can_be_given_again(backend: Backend) -> None:
    await add_user(backend, ALICE)
    await add_user(backend, BOB)
    await add_key(backend, "alice", "KEY")
    await add_key(backend, "alice", "OTHER")
    assert await remove_key(backend, "KEY") == "alice"
    assert [key.access_key for key in await list_keys(backend)] == ["OTHER"]
    await add_key(backend, "bob", "KEY")
    assert [key.access_key for key in await list_keys(backend, "bob")] == ["KEY"]


# At once


async def attempt(work: Awaitable[Any]) -> bool:
    try:
        await work
    except CredentialsError:
        return False
    return True


async def test_of_racing_users_of_one_id_or_address_one_is_added(backend: Backend) -> None:
    added = await asyncio.gather(*(attempt(add_user(backend, ALICE)) for _ in range(10)))
    assert added.count(True) == 1
    ids = [f"user-{number}" for number in range(10)]
    added = await asyncio.gather(*(attempt(add_user(backend, Identity(id, id, "one@example.com"))) for id in ids))
    assert added.count(True) == 1
    winner = Identity(ids[added.index(True)], ids[added.index(True)], "one@example.com")
    assert [user.identity for user in await list_users(backend)] == [ALICE, winner]


async def test_of_racing_keys_that_are_alike_one_is_added(backend: Backend) -> None:
    ids = [f"user-{number}" for number in range(10)]
    for id in ids:
        await add_user(backend, Identity(id, id))
    added = await asyncio.gather(*(attempt(add_key(backend, id, "KEY")) for id in ids))
    assert added.count(True) == 1
    assert [key.identity.id for key in await list_keys(backend)] == [ids[added.index(True)]]


async def test_a_key_that_races_with_the_end_of_its_user_is_theirs_or_nobodys(backend: Backend) -> None:
    for number in range(20):
        await add_user(backend, BOB)
        keys = [f"KEY-{number}-{key}" for key in range(3)]
        await asyncio.gather(remove_user(backend, "bob"), *(attempt(add_key(backend, "bob", key)) for key in keys))
        assert await list_users(backend) == []
        await add_user(backend, BOB)
        assert await list_keys(backend) == []
        assert all([await attempt(add_key(backend, "bob", key)) for key in keys])
        await remove_user(backend, "bob")
    assert await backend.list_records(KEY) == []


class Meanwhile:
    """Records as a process uses them to which, before it does this with a kind for the nth time, something happens."""

    def __init__(
        self, records: Records, method: str, kind: str, happens: Callable[[], Awaitable[Any]], nth: int = 1
    ) -> None:
        self._records = records
        self._when = method, kind
        self._left = nth
        self._happens = happens
        self.get_record = records.get_record

    async def update_record(self, kind: str, id: str, change: Change[Record | None]) -> Record | None:
        await self._let_happen("update", kind)
        return await self._records.update_record(kind, id, change)

    async def list_records(self, kind: str, after: str = "", limit: int = 1000) -> list[Record]:
        await self._let_happen("list", kind)
        return await self._records.list_records(kind, after, limit)

    async def _let_happen(self, method: str, kind: str) -> None:
        self._left -= (method, kind) == self._when
        if self._left == 0:
            self._left = -1
            await self._happens()


async def test_a_user_who_goes_while_getting_a_key_gets_none(backend: Backend) -> None:
    await add_user(backend, BOB)
    records = Meanwhile(backend, "update", KEY, lambda: remove_user(backend, "bob"))
    assert await refused(add_key(records, "bob", "KEY")) == "There is no user bob in this store."
    assert await backend.list_records(KEY) == []


async def test_a_user_who_is_another_by_now_gets_no_key_either(backend: Backend) -> None:
    async def replace_bob() -> None:
        await remove_user(backend, "bob")
        await add_user(backend, BOB)

    await add_user(backend, BOB)
    records = Meanwhile(backend, "update", KEY, replace_bob)
    assert await refused(add_key(records, "bob", "KEY")) == "There is no user bob in this store."
    assert await list_keys(backend) == []


async def test_what_comes_while_a_user_is_removed_stays(backend: Backend) -> None:
    async def add_carol() -> None:
        await add_user(backend, Identity("carol", "x", "c@example.com"))
        await add_key(backend, "carol", "KEY")

    await add_user(backend, BOB)
    # Users are read, carol comes, and what belongs to none of the users is swept away.
    await remove_user(Meanwhile(backend, "list", KEY, add_carol, nth=2), "bob")
    assert [key.access_key for key in await list_keys(backend)] == ["KEY"]
    assert [user.identity.email for user in await list_users(backend)] == ["c@example.com"]


async def test_what_a_user_left_is_not_the_next_one_s_of_that_id(backend: Backend) -> None:
    await add_user(backend, Identity("bob", "x", "b@example.com"))
    await add_key(backend, "bob", "KEY")
    with pytest.raises(DiedError):
        await remove_user(Dying(backend, 2, made=True), "bob")
    assert await list_users(backend) == []
    await add_user(backend, BOB)
    assert await list_users(backend) == [User(BOB)]
    await add_user(backend, Identity("carol", "x", "b@example.com"))
    await add_key(backend, "carol", "KEY")
    assert [(user.identity.email, len(user.keys)) for user in await list_users(backend)] == [
        ("", 0),
        ("b@example.com", 1),
    ]


async def test_of_many_changes_at_once_the_last_look_sees_all(backend: Backend) -> None:
    known = KnownUsers(backend)
    done = False

    async def keep_reading() -> None:
        while not done:
            await known.read()
            await asyncio.sleep(0)

    reading = asyncio.create_task(keep_reading())
    await asyncio.gather(*(add_user(backend, Identity(f"user-{n}", "x")) for n in range(10)))
    await asyncio.gather(*(add_key(backend, f"user-{n}", f"KEY-{n}") for n in range(10)))
    await asyncio.gather(*(remove_user(backend, f"user-{n}") for n in range(5)))
    done = True
    await reading
    await known.read()
    assert list(known.users) == await list_users(backend)
    assert [key.access_key for user in known.users for key in user.keys] == [f"KEY-{n}" for n in range(5, 10)]
    assert not await known.read()


# Cut short


class DiedError(Exception):
    """The process is gone."""


class Dying:
    """Records as a process uses them that dies at its nth change, before or after it is made."""

    def __init__(self, records: Records, changes: int, *, made: bool) -> None:
        self._records = records
        self._left = changes
        self._made = made
        self.list_records = records.list_records

    async def get_record(self, kind: str, id: str) -> Record:
        self._check()
        return await self._records.get_record(kind, id)

    async def update_record(self, kind: str, id: str, change: Change[Record | None]) -> Record | None:
        self._check()
        self._left -= 1
        if self._left == 0 and not self._made:
            raise DiedError
        written = await self._records.update_record(kind, id, change)
        self._check()
        return written

    def _check(self) -> None:
        if self._left <= 0:
            raise DiedError


Step: TypeAlias = Callable[[Records], Awaitable[Any]]
STEPS: dict[str, Step] = {
    "add user": lambda records: add_user(records, ALICE),
    "add key": lambda records: add_key(records, "bob", "NEW"),
    "remove key": lambda records: remove_key(records, "OLD"),
    "remove user": lambda records: remove_user(records, "bob"),
}


@pytest.mark.parametrize("made", [False, True])
@pytest.mark.parametrize("step", STEPS)
async def test_a_change_that_is_cut_short_anywhere_is_seen_and_can_be_made_good(
    backend: Backend, step: str, made: bool
) -> None:
    for changes in count(1):
        await add_user(backend, Identity("bob", "bob", "bob@example.com"))
        await add_key(backend, "bob", "OLD")
        known = KnownUsers(backend)
        await known.read()
        died = False
        try:
            await STEPS[step](Dying(backend, changes, made=made))
        except DiedError:
            died = True
        # Whatever it did, a reader sees it.
        await known.read()
        now = await list_users(backend)
        assert list(known.users) == now
        assert {user.identity.id for user in now} <= {"alice", "bob"}
        # And whatever it left, all can be removed, and made anew by somebody else.
        for user in now:
            await remove_user(backend, user.identity.id)
        await add_user(backend, Identity("carol", "x", ALICE.email))
        await add_user(backend, Identity("dave", "x", "bob@example.com"))
        await add_key(backend, "carol", "OLD")
        await add_key(backend, "dave", "NEW")
        for id in ("carol", "dave"):
            await remove_user(backend, id)
        assert await backend.list_records(KEY) == await backend.list_records(EMAIL_OF) == []
        if not died:
            break
    assert changes > 3


async def test_a_reader_looks_on_until_a_change_that_was_cut_short_is_old(
    backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(DiedError):
        await add_user(Dying(backend, 1, made=True), BOB)
    known = KnownUsers(backend)
    assert [await known.read() for _ in range(3)] == [True] * 3
    await add_user(backend, BOB)
    assert await known.read()
    assert await known.read()
    monkeypatch.setattr("post3.users.store.PENDING_FOR", timedelta(0))
    await add_user(backend, ALICE)
    assert [await known.read() for _ in range(3)] == [True, False, False]


# Several servers


@pytest.fixture(params=["filesystem", "postgres"])
async def two(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[tuple[Backend, Backend]]:
    """Two servers' hold on one store."""
    schema = fresh_schema()
    make: Callable[[], Backend] = (
        partial(postgres_backend, schema=schema)
        if request.param == "postgres"
        else partial(FilesystemBackend, tmp_path / "store", durable=False)
    )
    one, other = make(), make()
    await one.open()
    await other.open()
    yield one, other
    await one.close()
    await other.close()


async def test_another_server_knows_of_a_change_within_a_second(two: tuple[Backend, Backend]) -> None:
    one, other = two
    known = StoredCredentials(other)
    await known.open()

    async def knows(access_key: str, *, whether: bool) -> bool:
        """Asked all the time, as requests do, and then once more a second later."""
        loop = asyncio.get_running_loop()
        end = loop.time() + 1.0
        while loop.time() < end:
            await known.refresh()
            await asyncio.sleep(0.01)
        await known.refresh()
        return (known.find(access_key) is not None) == whether

    await add_user(one, ALICE)
    await add_key(one, "alice", "KEY")
    assert await knows("KEY", whether=True)
    await remove_key(one, "KEY")
    assert await knows("KEY", whether=False)
    await add_key(one, "alice", "KEY")
    await asyncio.sleep(1.0)
    await known.refresh()
    assert known.find("KEY") is not None
    await remove_user(one, "alice")
    assert await knows("KEY", whether=False)
    assert known.by_id("alice") is None
    await known.close()


async def test_two_servers_change_users_at_once(two: tuple[Backend, Backend]) -> None:
    added = await asyncio.gather(
        *(
            attempt(add_user(two[number % 2], Identity(f"{number}", "x", f"{number // 2}@example.com")))
            for number in range(20)
        )
    )
    assert added.count(True) == 10
    users = await list_users(two[0])
    assert sorted(user.identity.email for user in users) == [f"{number}@example.com" for number in range(10)]
    added = await asyncio.gather(
        *(
            attempt(add_key(two[number % 2], user.identity.id, f"KEY-{number // 4}"))
            for number, user in enumerate(users * 2)
        )
    )
    assert added.count(True) == 5
    assert len(await list_keys(two[1])) == 5


# Buckets at the start


async def test_buckets_are_made_where_they_are_missing(backend: Backend) -> None:
    await make_buckets(backend, [("one", ""), ("two", "")])
    made = {bucket.name: bucket for bucket in await backend.list_buckets()}
    await make_buckets(backend, [("two", ""), ("three", "")], ALICE)
    now = {bucket.name: bucket for bucket in await backend.list_buckets()}
    assert sorted(now) == ["one", "three", "two"]
    assert {name: now[name] for name in made} == made
    assert [now[name].owner for name in ("one", "two", "three")] == [ROOT.id, ROOT.id, "alice"]


async def test_several_servers_may_make_the_same_buckets_at_once(two: tuple[Backend, Backend]) -> None:
    names = [(f"bucket-{number}", "") for number in range(5)]
    await asyncio.gather(*(make_buckets(backend, names) for backend in two * 3))
    assert [(bucket.name, "") for bucket in await two[0].list_buckets()] == names


async def test_a_bucket_has_its_acl_from_its_first_moment(backend: Backend) -> None:
    await make_buckets(backend, [("one", ""), ("two", "public-read")])
    await make_buckets(backend, [("one", "public-read"), ("two", "private")])
    one, two = await backend.list_buckets()
    assert one.acl is None
    assert two.acl == canned("public-read", ROOT.id, ROOT.id, of_bucket=True)
