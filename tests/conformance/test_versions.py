"""What every store promises about versions of keys."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Final

import pytest

from post3.errors import NoSuchKey, NoSuchVersion, PreconditionFailed, ServiceUnavailable, StaleBucket
from post3.model.bucket import Bucket
from post3.model.grants import Grants
from post3.model.listing import Listed, ListQuery
from post3.model.object import NULL_VERSION, Guard, ObjectVersion
from post3.storage.protocol import Backend
from tests.conftest import (
    ACLS,
    AN_ACL,
    KIB,
    LONG_AGO,
    MIB,
    SOME_TAGS,
    a_version,
    collect_all,
    content_of,
    create_upload,
    etag_of,
    facts,
    finish,
    get,
    history,
    keys,
    part_of,
    put,
    put_marker,
    put_part,
    read,
    set_versioning,
    some_bytes,
    write,
)

SIZES: Final = (0, 1, 16 * KIB - 1, 16 * KIB, 16 * KIB + 1, 100 * KIB)


def refuse(_current: ObjectVersion | None, _replaced: ObjectVersion | None) -> None:
    """A guard that lets nothing happen."""
    raise PreconditionFailed


class Watching:
    """A guard that remembers what it was asked about."""

    def __init__(self) -> None:
        self.asked: list[tuple[str | None, str | None]] = []

    def __call__(self, current: ObjectVersion | None, replaced: ObjectVersion | None) -> None:
        self.asked.append((_id_of(current), _id_of(replaced)))


def _id_of(version: ObjectVersion | None) -> str | None:
    return version.version_id if version else None


# Putting and getting


@pytest.mark.parametrize("size", SIZES)
async def test_what_was_put_is_there(backend: Backend, bucket: Bucket, size: int) -> None:
    data = some_bytes(size)
    stored = await put(
        backend,
        bucket,
        "key",
        data,
        owner="carol",
        storage_class="GLACIER_IR",
        checksums={"crc32": "AAAAAA==", "sha256": "x"},
        checksum_type="FULL_OBJECT",
        headers={"content-type": "text/plain", "cache-control": "no-cache"},
        metadata={"colour": "red", "": "empty name"},
    )
    assert (stored.bucket, stored.key, stored.version_id, stored.owner) == (bucket.name, "key", NULL_VERSION, "carol")
    assert (stored.size, stored.etag, stored.storage_class) == (size, etag_of(data), "GLACIER_IR")
    assert stored.checksums == {"crc32": "AAAAAA==", "sha256": "x"}
    assert stored.checksum_type == "FULL_OBJECT"
    assert stored.headers == {"content-type": "text/plain", "cache-control": "no-cache"}
    assert stored.metadata == {"colour": "red", "": "empty name"}
    assert stored.noncurrent is None
    assert not stored.is_delete_marker
    found = await backend.get_version(bucket, "key")
    assert facts(found) == facts(stored)
    assert facts(await backend.get_version(bucket, "key", NULL_VERSION)) == facts(stored)
    assert await content_of(backend, bucket, found) == data


@pytest.mark.parametrize("acl", ACLS, ids=str)
@pytest.mark.parametrize("size", [1, 100 * KIB])
async def test_a_version_keeps_its_acl(backend: Backend, bucket: Bucket, size: int, acl: Grants | None) -> None:
    stored = await put(backend, bucket, "key", some_bytes(size), acl=acl)
    assert stored.acl == acl
    assert facts(await backend.get_version(bucket, "key")) == facts(stored)
    again = await put(backend, bucket, "key", some_bytes(size, 1))
    assert again.acl is None
    assert (await backend.get_version(bucket, "key")).acl is None


async def test_each_version_has_an_acl_of_its_own(backend: Backend, versioned: Bucket) -> None:
    stored = [await put(backend, versioned, "key", b"data", acl=acl) for acl in ACLS]
    for version in stored:
        assert (await backend.get_version(versioned, "key", version.version_id)).acl == version.acl
        deleted = await backend.delete_version(versioned, "key", version.version_id)
        assert deleted is not None
        assert deleted.acl == version.acl


@pytest.mark.parametrize("size", [1, 100 * KIB])
async def test_a_version_keeps_its_tags(backend: Backend, bucket: Bucket, size: int) -> None:
    stored = await put(backend, bucket, "key", some_bytes(size), tags=SOME_TAGS)
    assert list(stored.tags.items()) == list(SOME_TAGS.items())
    assert facts(await backend.get_version(bucket, "key")) == facts(stored)
    again = await put(backend, bucket, "key", some_bytes(size, 1))
    assert (again.tags, (await backend.get_version(bucket, "key")).tags) == ({}, {})


async def test_each_version_has_tags_of_its_own(backend: Backend, versioned: Bucket) -> None:
    stored = [await put(backend, versioned, "key", b"data", tags=tags) for tags in (SOME_TAGS, {"n": "1"}, {})]
    for version in stored:
        assert (await backend.get_version(versioned, "key", version.version_id)).tags == version.tags
        deleted = await backend.delete_version(versioned, "key", version.version_id)
        assert deleted is not None
        assert deleted.tags == version.tags


async def test_the_store_sets_what_is_its_own(backend: Backend, bucket: Bucket) -> None:
    before = datetime.now(UTC) - timedelta(seconds=1)
    stored = await put(
        backend, bucket, "key", b"data", sequence=7, revision=7, content="mine", noncurrent=LONG_AGO, modified=LONG_AGO
    )
    assert before <= stored.modified <= datetime.now(UTC) + timedelta(seconds=1)
    assert stored.modified.utcoffset() == timedelta(0)
    assert abs(stored.sequence - stored.modified.timestamp() * 1e6) < 1e6
    assert stored.revision > 0
    assert stored.content not in ("", "mine")
    assert stored.noncurrent is None
    assert facts(await backend.get_version(bucket, "key")) == facts(stored)


async def test_any_text_comes_back_as_it_went_in(backend: Backend, bucket: Bucket) -> None:
    texts = ["", "\0", "é🦄", "\udcff\udc80", '"\\', "\n\r\t", "\u2028", "null", " x ", "\x7f"]
    metadata = {f"name-{number}": text for number, text in enumerate(texts)}
    await put(backend, bucket, "key", b"data", metadata=metadata, headers={"content-type": "\0\udcff"}, etag="x")
    found = await backend.get_version(bucket, "key")
    assert found.metadata == metadata
    assert found.headers == {"content-type": "\0\udcff"}


async def test_a_key_without_versions_is_missed(backend: Backend, bucket: Bucket) -> None:
    with pytest.raises(NoSuchKey):
        await backend.get_version(bucket, "key")
    with pytest.raises(NoSuchVersion):
        await backend.get_version(bucket, "key", NULL_VERSION)
    with pytest.raises(NoSuchKey):
        await backend.update_version(bucket, "key", None, lambda old: old)
    with pytest.raises(NoSuchVersion):
        await backend.update_version(bucket, "key", NULL_VERSION, lambda old: old)


async def test_a_version_that_is_not_there_is_missed(backend: Backend, versioned: Bucket) -> None:
    stored = await put(backend, versioned, "key", b"data")
    other = await put(backend, versioned, "other", b"data")
    for missing in (
        NULL_VERSION,
        "0" * 32,
        "..",
        "",
        stored.version_id[:-1],
        stored.version_id + "0",
        other.version_id,
    ):
        with pytest.raises(NoSuchVersion):
            await backend.get_version(versioned, "key", missing)
        with pytest.raises(NoSuchVersion):
            await backend.update_version(versioned, "key", missing, lambda old: old)
        assert await backend.delete_version(versioned, "key", missing) is None
    assert await history(backend, versioned, "key") == [stored.version_id]


async def test_putting_the_same_id_replaces_it(backend: Backend, bucket: Bucket) -> None:
    first = await put(backend, bucket, "key", some_bytes(100 * KIB), metadata={"old": "yes"})
    second = await put(backend, bucket, "key", b"new", headers={"content-type": "x"})
    assert first.version_id == second.version_id == NULL_VERSION
    assert first.content != second.content
    found = await backend.get_version(bucket, "key")
    assert facts(found) == facts(second)
    assert found.metadata == {}
    assert await content_of(backend, bucket, found) == b"new"
    assert await history(backend, bucket, "key") == [NULL_VERSION]
    assert (await collect_all(backend)).size == 100 * KIB


async def test_two_puts_of_the_same_bytes_differ_in_content(backend: Backend, bucket: Bucket) -> None:
    contents = {(await put(backend, bucket, "key", b"same")).content for _ in range(3)}
    assert len(contents) == 3


async def test_a_new_version_leaves_the_older_ones(backend: Backend, versioned: Bucket) -> None:
    stored = [await put(backend, versioned, "key", some_bytes(size, 1)) for size in SIZES]
    assert len({version.version_id for version in stored}) == len(SIZES)
    assert facts(await backend.get_version(versioned, "key")) == facts(stored[-1])
    assert await history(backend, versioned, "key") == [version.version_id for version in reversed(stored)]
    for version, size in zip(stored, SIZES, strict=True):
        found = await backend.get_version(versioned, "key", version.version_id)
        assert replace(facts(found), noncurrent=None) == facts(version)
        assert (found.noncurrent is None) == (version is stored[-1])
        assert await content_of(backend, versioned, found) == some_bytes(size, 1)


async def test_a_new_id_tells_its_place(backend: Backend, versioned: Bucket) -> None:
    stored = await put(backend, versioned, "key", b"data")
    assert re.fullmatch("[0-9a-f]{32}", stored.version_id)
    assert int(stored.version_id[:16], 16) == stored.sequence


async def test_the_sequence_is_strict_within_a_microsecond(backend: Backend, versioned: Bucket) -> None:
    one_by_one = [await put_marker(backend, versioned, "key") for _ in range(50)]
    at_once = await asyncio.gather(*(put_marker(backend, versioned, "key") for _ in range(100)))
    sequences = [version.sequence for version in one_by_one]
    assert sequences == sorted(set(sequences))
    everything = sorted([*one_by_one, *at_once], key=lambda version: version.sequence)
    assert len({version.sequence for version in everything}) == 150
    assert everything[:50] == one_by_one
    assert await history(backend, versioned, "key") == [version.version_id for version in reversed(everything)]
    assert (await backend.get_version(versioned, "key")).version_id == everything[-1].version_id


async def test_a_replaced_null_version_becomes_the_newest(backend: Backend, bucket: Bucket) -> None:
    await put(backend, bucket, "key", b"null")
    enabled = await set_versioning(backend, bucket.name, "Enabled")
    named = [await put(backend, enabled, "key", b"named") for _ in range(2)]
    null = await put(backend, enabled, "key", b"null again", version_id=NULL_VERSION)
    assert null.sequence > max(version.sequence for version in named)
    assert await history(backend, enabled, "key") == [NULL_VERSION, named[1].version_id, named[0].version_id]
    assert facts(await backend.get_version(enabled, "key")) == facts(null)
    assert await get(backend, enabled, "key", NULL_VERSION) == b"null again"


async def test_versions_know_when_they_stopped_being_current(backend: Backend, versioned: Bucket) -> None:
    first = await put(backend, versioned, "key", b"1")
    second = await put(backend, versioned, "key", b"2")
    left = (await backend.get_version(versioned, "key", first.version_id)).noncurrent
    assert left is not None
    assert left.utcoffset() == timedelta(0)
    assert abs(left - second.modified) < timedelta(seconds=1)
    await backend.delete_version(versioned, "key", second.version_id)
    assert (await backend.get_version(versioned, "key", first.version_id)).noncurrent is None
    assert facts(await backend.get_version(versioned, "key")) == facts(first)


async def test_keys_do_not_touch_each_other(backend: Backend, versioned: Bucket) -> None:
    one = await put(backend, versioned, "one", b"1")
    two = await put(backend, versioned, "two", b"2")
    await put_marker(backend, versioned, "two")
    await backend.update_version(versioned, "two", two.version_id, lambda old: replace(old, metadata={"a": "b"}))
    await backend.delete_version(versioned, "two", two.version_id)
    assert facts(await backend.get_version(versioned, "one")) == facts(one)


async def test_buckets_do_not_touch_each_other(backend: Backend, bucket: Bucket, versioned: Bucket) -> None:
    await put(backend, bucket, "key", b"plain")
    await put(backend, versioned, "key", b"versioned")
    await put_marker(backend, versioned, "key")
    await backend.delete_version(versioned, "key", NULL_VERSION)
    assert await get(backend, bucket, "key") == b"plain"
    assert await keys(backend, versioned) == []


# Markers


async def test_a_marker_hides_the_object(backend: Backend, versioned: Bucket) -> None:
    version = await put(backend, versioned, "key", b"data")
    marker = await put_marker(backend, versioned, "key")
    found = await backend.get_version(versioned, "key")
    assert found == marker
    assert found.is_delete_marker
    assert found.body is None
    assert await keys(backend, versioned) == []
    assert await keys(backend, versioned, all_versions=True) == ["key", "key"]
    assert await get(backend, versioned, "key", version.version_id) == b"data"
    assert await backend.list_parts(versioned, marker) == []


async def test_deleting_the_marker_shows_the_object_again(backend: Backend, versioned: Bucket) -> None:
    version = await put(backend, versioned, "key", b"data")
    marker = await put_marker(backend, versioned, "key")
    assert await backend.delete_version(versioned, "key", marker.version_id) == marker
    assert facts(await backend.get_version(versioned, "key")) == facts(version)
    assert await keys(backend, versioned) == ["key"]


async def test_a_marker_takes_the_place_of_the_null_version(backend: Backend, bucket: Bucket) -> None:
    await put(backend, bucket, "key", some_bytes(20 * KIB))
    suspended = await set_versioning(backend, bucket.name, "Suspended")
    marker = await put_marker(backend, suspended, "key")
    assert await history(backend, suspended, "key") == [NULL_VERSION]
    assert await backend.get_version(suspended, "key") == marker
    assert (await collect_all(backend)).size == 20 * KIB
    await put(backend, suspended, "key", b"back")
    assert await get(backend, suspended, "key") == b"back"


async def test_a_marker_on_a_key_without_versions_is_kept(backend: Backend, versioned: Bucket) -> None:
    marker = await put_marker(backend, versioned, "key")
    assert await backend.get_version(versioned, "key") == marker
    assert await history(backend, versioned, "key") == [marker.version_id]


# Deleting


async def test_a_deleted_version_is_gone_and_given_back(backend: Backend, bucket: Bucket) -> None:
    stored = await put(backend, bucket, "key", b"data")
    deleted = await backend.delete_version(bucket, "key", NULL_VERSION)
    assert deleted is not None
    assert facts(deleted) == facts(stored)
    with pytest.raises(NoSuchKey):
        await backend.get_version(bucket, "key")
    assert await keys(backend, bucket, all_versions=True) == []
    assert await backend.delete_version(bucket, "key", NULL_VERSION) is None


async def test_the_newest_version_left_becomes_current(backend: Backend, versioned: Bucket) -> None:
    stored = [await put(backend, versioned, "key", data) for data in (b"1", b"2", b"3", b"4")]
    await backend.delete_version(versioned, "key", stored[1].version_id)
    assert await get(backend, versioned, "key") == b"4"
    await backend.delete_version(versioned, "key", stored[3].version_id)
    assert await get(backend, versioned, "key") == b"3"
    await backend.delete_version(versioned, "key", stored[2].version_id)
    assert facts(await backend.get_version(versioned, "key")) == facts(stored[0])
    assert await history(backend, versioned, "key") == [stored[0].version_id]
    assert await keys(backend, versioned) == ["key"]


@pytest.mark.parametrize("newer", [1, 2, 5])
async def test_all_versions_can_be_deleted_from_the_newest_down_to_the_null_one(
    backend: Backend, bucket: Bucket, newer: int
) -> None:
    ids = [(await put(backend, bucket, "key", b"0")).version_id]
    versioned = await set_versioning(backend, bucket.name, "Enabled")
    ids += [(await put(backend, versioned, "key", b"%d" % number)).version_id for number in range(1, newer + 1)]
    while ids:
        assert (await backend.get_version(versioned, "key")).version_id == ids[-1]
        assert await history(backend, versioned, "key") == ids[::-1]
        deleted = await backend.delete_version(versioned, "key", ids.pop())
        assert deleted is not None
    assert await keys(backend, versioned) == []
    with pytest.raises(NoSuchKey):
        await backend.get_version(versioned, "key")


async def test_a_key_can_be_put_again(backend: Backend, versioned: Bucket) -> None:
    first = await put(backend, versioned, "key", b"1")
    await backend.delete_version(versioned, "key", first.version_id)
    second = await put(backend, versioned, "key", b"2")
    assert second.version_id != first.version_id
    assert await get(backend, versioned, "key") == b"2"


# Guards


async def test_a_guard_sees_the_current_version_and_the_replaced_one(backend: Backend, bucket: Bucket) -> None:
    watching = Watching()
    await put(backend, bucket, "key", guard=watching)
    await put(backend, bucket, "key", guard=watching)
    enabled = await set_versioning(backend, bucket.name, "Enabled")
    named = (await put(backend, enabled, "key", guard=watching)).version_id
    await put(backend, enabled, "key", guard=watching, version_id=NULL_VERSION)
    await backend.delete_version(enabled, "key", named, watching)
    await backend.delete_version(enabled, "key", named, watching)
    await backend.delete_version(enabled, "nowhere", named, watching)
    assert watching.asked == [
        (None, None),
        ("null", "null"),
        ("null", None),
        (named, "null"),
        ("null", named),
        ("null", None),
        (None, None),
    ]


async def test_a_guard_sees_all_of_a_version(backend: Backend, bucket: Bucket) -> None:
    stored = await put(backend, bucket, "key", b"data", metadata={"a": "b"}, headers={"content-type": "x"})
    seen: list[ObjectVersion | None] = []
    await put(backend, bucket, "key", guard=lambda current, replaced: seen.extend((current, replaced)))
    assert [version and facts(version) for version in seen[-2:]] == [facts(stored), facts(stored)]


async def test_a_noncurrent_version_is_the_same_wherever_it_is_seen(backend: Backend, versioned: Bucket) -> None:
    """Lifecycle asks, in a guard, since when it is noncurrent."""
    old = await put(backend, versioned, "key", b"old", metadata={"a": "b"})
    await put(backend, versioned, "key", b"new")
    found = facts(await backend.get_version(versioned, "key", old.version_id))
    assert found.noncurrent is not None
    seen: list[ObjectVersion | None] = []

    def watch(_current: ObjectVersion | None, replaced: ObjectVersion | None) -> None:
        seen.append(replaced)

    def change(old: ObjectVersion) -> ObjectVersion:
        seen.append(old)
        return old

    updated = await backend.update_version(versioned, "key", old.version_id, change)
    assert facts(updated) == replace(found, revision=updated.revision)
    deleted = await backend.delete_version(versioned, "key", old.version_id, watch)
    before, doomed = (version and facts(version) for version in seen[-2:])
    assert before == found
    assert doomed == replace(found, revision=updated.revision)
    assert deleted is not None
    assert facts(deleted) == doomed


async def test_a_guard_sees_markers(backend: Backend, versioned: Bucket) -> None:
    marker = await put_marker(backend, versioned, "key")
    seen: list[ObjectVersion | None] = []
    await put(backend, versioned, "key", guard=lambda current, replaced: seen.extend((current, replaced)))
    assert seen[-2:] == [marker, None]


@pytest.mark.parametrize("size", [3, 100 * KIB])
async def test_a_guard_that_raises_leaves_everything_as_it_was(backend: Backend, versioned: Bucket, size: int) -> None:
    old = await put(backend, versioned, "key", b"old")
    new = await put(backend, versioned, "key", b"new")
    data = some_bytes(size)
    body = part_of(await write(backend, versioned, data), data)
    upload = await create_upload(backend, versioned, "key")
    part = await put_part(backend, versioned, upload, 1, data)
    refused = a_version(versioned, "key", body=body, size=size)
    before = await backend.list_versions(versioned, ListQuery(all_versions=True))
    with pytest.raises(PreconditionFailed):
        await backend.put_version(versioned, refused, refuse)
    with pytest.raises(PreconditionFailed):
        await backend.put_version(versioned, replace(refused, version_id=old.version_id), refuse)
    with pytest.raises(PreconditionFailed):
        await backend.put_version(versioned, replace(refused, key="other"), refuse)
    with pytest.raises(PreconditionFailed):
        await backend.delete_version(versioned, "key", new.version_id, refuse)
    with pytest.raises(PreconditionFailed):
        await backend.delete_version(versioned, "nowhere", "null", refuse)
    with pytest.raises(PreconditionFailed):
        await finish(backend, versioned, upload, [part], guard=refuse)
    assert await backend.list_versions(versioned, ListQuery(all_versions=True)) == before
    assert facts(await backend.get_version(versioned, "key")) == facts(new)
    assert await get(backend, versioned, "key", old.version_id) == b"old"
    assert await backend.get_upload(versioned, "key", upload.upload_id) == upload
    assert [part.number for part in await backend.list_parts(versioned, upload)] == [1]
    # The bytes are still there for somebody who may.
    stored = await backend.put_version(versioned, refused)
    assert await content_of(backend, versioned, stored) == data
    assert await content_of(backend, versioned, await finish(backend, versioned, upload, [part])) == data


async def test_two_hundred_racing_guards_let_one_win(backend: Backend, bucket: Bucket) -> None:
    def only_when_absent(current: ObjectVersion | None, _replaced: ObjectVersion | None) -> None:
        if current is not None:
            raise PreconditionFailed

    datas = [f"racer {number}".encode() for number in range(200)]
    outcomes = await asyncio.gather(
        *(put(backend, bucket, "key", data, guard=only_when_absent) for data in datas), return_exceptions=True
    )
    won = [number for number, outcome in enumerate(outcomes) if isinstance(outcome, ObjectVersion)]
    assert len(won) == 1
    assert sum(isinstance(outcome, PreconditionFailed) for outcome in outcomes) == 199
    assert await get(backend, bucket, "key") == datas[won[0]]


async def test_of_racing_compare_and_swaps_none_is_lost(backend: Backend, bucket: Bucket) -> None:
    def unchanged_since(seen: ObjectVersion) -> Guard:
        def guard(current: ObjectVersion | None, _replaced: ObjectVersion | None) -> None:
            if current is None or current.etag != seen.etag:
                raise PreconditionFailed

        return guard

    async def increment() -> None:
        while True:
            seen = await backend.get_version(bucket, "counter")
            counted = int(await content_of(backend, bucket, seen)) + 1
            try:
                await put(backend, bucket, "counter", b"%d" % counted, guard=unchanged_since(seen))
            except PreconditionFailed:
                continue
            return

    await put(backend, bucket, "counter", b"0")
    await asyncio.gather(*(increment() for _ in range(20)))
    assert await get(backend, bucket, "counter") == b"20"


async def test_a_guard_protects_a_version_from_a_racing_update(backend: Backend, bucket: Bucket) -> None:
    """A legal hold that was answered holds against every delete that is answered later."""

    def not_held(_current: ObjectVersion | None, doomed: ObjectVersion | None) -> None:
        if doomed is not None and doomed.metadata.get("hold"):
            raise PreconditionFailed

    for number in range(10):
        key = f"key-{number}"
        await put(backend, bucket, key, b"data")
        hold = backend.update_version(bucket, key, None, lambda old: replace(old, metadata={"hold": "on"}))
        delete = backend.delete_version(bucket, key, NULL_VERSION, not_held)
        held, deleted = await asyncio.gather(hold, delete, return_exceptions=True)
        if isinstance(held, ObjectVersion):
            assert isinstance(deleted, PreconditionFailed)
            assert await get(backend, bucket, key) == b"data"
        else:
            assert isinstance(held, NoSuchKey)
            assert isinstance(deleted, ObjectVersion)


# Updating


async def test_an_update_moves_nothing_else(backend: Backend, versioned: Bucket) -> None:
    first = await put(backend, versioned, "key", b"1", metadata={"n": "1"})
    second = await put(backend, versioned, "key", some_bytes(100 * KIB))
    updated = await backend.update_version(versioned, "key", first.version_id, _tag("blue"))
    assert updated.revision == first.revision + 1
    assert replace(facts(updated), noncurrent=None) == replace(
        facts(first), metadata={"tag": "blue"}, revision=updated.revision
    )
    assert facts(await backend.get_version(versioned, "key", first.version_id)) == facts(updated)
    assert facts(await backend.get_version(versioned, "key")) == facts(second)
    current = await backend.update_version(versioned, "key", None, _tag("red"))
    assert facts(current) == replace(facts(second), metadata={"tag": "red"}, revision=second.revision + 1)
    assert await history(backend, versioned, "key") == [second.version_id, first.version_id]
    assert await get(backend, versioned, "key", first.version_id) == b"1"
    assert await get(backend, versioned, "key") == some_bytes(100 * KIB)
    assert (await collect_all(backend)).blobs == 0
    assert await get(backend, versioned, "key") == some_bytes(100 * KIB)


@pytest.mark.parametrize("current", [True, False])
async def test_an_update_gives_a_version_an_acl_and_takes_it_away(
    backend: Backend, versioned: Bucket, current: bool
) -> None:
    stored = await put(backend, versioned, "key", b"data", metadata={"n": "1"})
    other = await put(backend, versioned, "other" if current else "key", b"other")
    version_id = None if current else stored.version_id
    for revision, acl in enumerate((*ACLS, *ACLS), stored.revision + 1):
        change: Callable[[ObjectVersion], ObjectVersion] = partial(replace, acl=acl)
        updated = await backend.update_version(versioned, "key", version_id, change)
        assert replace(facts(updated), noncurrent=None) == replace(facts(stored), acl=acl, revision=revision)
        assert facts(await backend.get_version(versioned, "key", version_id)) == facts(updated)
    assert facts(await backend.get_version(versioned, other.key)) == facts(other)


@pytest.mark.parametrize("size", [4, 100 * KIB])
@pytest.mark.parametrize("current", [True, False])
async def test_an_update_of_tags_changes_nothing_else(
    backend: Backend, versioned: Bucket, current: bool, size: int
) -> None:
    stored = await put(backend, versioned, "key", some_bytes(size), metadata={"n": "1"}, acl=AN_ACL)
    other = await put(backend, versioned, "other" if current else "key", b"other", tags={"n": "2"})
    version_id = None if current else stored.version_id
    for revision, tags in enumerate((SOME_TAGS, {"n": "1"}, {}, SOME_TAGS), stored.revision + 1):
        change: Callable[[ObjectVersion], ObjectVersion] = partial(replace, tags=tags)
        updated = await backend.update_version(versioned, "key", version_id, change)
        assert replace(facts(updated), noncurrent=None) == replace(facts(stored), tags=tags, revision=revision)
        assert facts(await backend.get_version(versioned, "key", version_id)) == facts(updated)
    assert await content_of(backend, versioned, updated) == some_bytes(size)
    assert facts(await backend.get_version(versioned, other.key)) == facts(other)


async def test_an_update_of_something_else_leaves_a_versions_tags(backend: Backend, bucket: Bucket) -> None:
    await put(backend, bucket, "key", b"data", tags=SOME_TAGS)
    change: Callable[[ObjectVersion], ObjectVersion] = partial(replace, acl=AN_ACL)
    assert (await backend.update_version(bucket, "key", None, change)).tags == SOME_TAGS
    assert (await backend.get_version(bucket, "key")).tags == SOME_TAGS


async def test_an_update_of_something_else_leaves_a_versions_acl(backend: Backend, bucket: Bucket) -> None:
    await put(backend, bucket, "key", b"data", acl=AN_ACL)
    assert (await backend.update_version(bucket, "key", None, _tag("blue"))).acl == AN_ACL
    assert (await backend.get_version(bucket, "key")).acl == AN_ACL


async def test_a_marker_can_be_updated(backend: Backend, versioned: Bucket) -> None:
    marker = await put_marker(backend, versioned, "key")
    updated = await backend.update_version(versioned, "key", None, _tag("blue"))
    assert updated == replace(marker, metadata={"tag": "blue"}, revision=marker.revision + 1)
    assert await backend.get_version(versioned, "key") == updated


async def test_a_refused_update_leaves_everything_as_it_was(backend: Backend, bucket: Bucket) -> None:
    def refuse_change(_old: ObjectVersion) -> ObjectVersion:
        raise PreconditionFailed

    stored = await put(backend, bucket, "key", b"data")
    with pytest.raises(PreconditionFailed):
        await backend.update_version(bucket, "key", None, refuse_change)
    assert facts(await backend.get_version(bucket, "key")) == facts(stored)


async def test_of_racing_version_updates_none_is_lost(backend: Backend, bucket: Bucket) -> None:
    def adding(name: str) -> Callable[[ObjectVersion], ObjectVersion]:
        return lambda old: replace(old, metadata={**old.metadata, name: "yes"})

    stored = await put(backend, bucket, "key", b"data")
    await asyncio.gather(*(backend.update_version(bucket, "key", None, adding(str(n))) for n in range(50)))
    found = await backend.get_version(bucket, "key")
    assert set(found.metadata) == {str(n) for n in range(50)}
    assert found.revision == stored.revision + 50
    assert await content_of(backend, bucket, found) == b"data"


def _tag(colour: str) -> Callable[[ObjectVersion], ObjectVersion]:
    return lambda old: replace(old, metadata={"tag": colour})


# Races


async def test_racing_puts_leave_one_of_them_whole(backend: Backend, bucket: Bucket) -> None:
    datas = [some_bytes(size, seed) for seed in range(5) for size in (10, 17 * KIB, 70 * KIB)]
    stored = await asyncio.gather(*(put(backend, bucket, "key", data) for data in datas))
    found = await backend.get_version(bucket, "key")
    won = [number for number, version in enumerate(stored) if version.content == found.content]
    assert len(won) == 1
    assert await content_of(backend, bucket, found) == datas[won[0]]
    assert await history(backend, bucket, "key") == [NULL_VERSION]
    large = sum(len(data) for data in datas if len(data) > 16 * KIB)
    kept = len(datas[won[0]]) if len(datas[won[0]]) > 16 * KIB else 0
    assert (await collect_all(backend)).size == large - kept
    assert await get(backend, bucket, "key") == datas[won[0]]


async def test_racing_puts_and_deletes_leave_the_newest_current(backend: Backend, versioned: Bucket) -> None:
    async def come_and_go(number: int) -> ObjectVersion | None:
        stored = await put(backend, versioned, "key", b"%d" % number)
        if number % 3:
            await backend.delete_version(versioned, "key", stored.version_id)
            return None
        return stored

    outcomes = await asyncio.gather(*(come_and_go(number) for number in range(60)))
    left = sorted((kept for kept in outcomes if kept), key=lambda kept: kept.sequence, reverse=True)
    assert len(left) == 20
    assert await history(backend, versioned, "key") == [version.version_id for version in left]
    current = await backend.get_version(versioned, "key")
    assert current.version_id == left[0].version_id
    assert current.noncurrent is None
    page = await backend.list_versions(versioned, ListQuery(all_versions=True))
    assert [isinstance(entry, Listed) and entry.is_latest for entry in page.entries] == [True] + [False] * 19


async def test_of_racing_deletes_one_is_given_the_version(backend: Backend, bucket: Bucket) -> None:
    stored = await put(backend, bucket, "key", some_bytes(20 * KIB))
    outcomes = await asyncio.gather(*(backend.delete_version(bucket, "key", NULL_VERSION) for _ in range(10)))
    assert [facts(outcome) for outcome in outcomes if outcome] == [facts(stored)]
    assert (await collect_all(backend)).size == 20 * KIB


@pytest.mark.parametrize("size", [1 * KIB, 70 * KIB])
async def test_a_reader_sees_the_old_object_or_the_new_one_whole(backend: Backend, bucket: Bucket, size: int) -> None:
    done = False

    async def write_often() -> None:
        nonlocal done
        for seed in range(30):
            await put(backend, bucket, "key", some_bytes(size + seed, seed), metadata={"seed": str(seed)})
            await asyncio.sleep(0)
        done = True

    async def read_often() -> int:
        seen = 0
        while not done:
            version = await backend.get_version(bucket, "key")
            assert await content_of(backend, bucket, version) == some_bytes(version.size, int(version.metadata["seed"]))
            assert await keys(backend, bucket) == ["key"]
            seen += 1
            await asyncio.sleep(0)
        return seen

    await put(backend, bucket, "key", some_bytes(size), metadata={"seed": "0"})
    _, *seen = await asyncio.gather(write_often(), read_often(), read_often())
    assert sum(seen) > 0


async def test_a_key_with_a_version_is_never_missed(backend: Backend, versioned: Bucket) -> None:
    done = False

    async def come_and_go() -> None:
        nonlocal done
        for _ in range(60):
            newest = await put(backend, versioned, "key", b"come and gone")
            await asyncio.sleep(0)
            await backend.delete_version(versioned, "key", newest.version_id)
            await asyncio.sleep(0)
        done = True

    async def look() -> None:
        while not done:
            seen.add(await content_of(backend, versioned, await backend.get_version(versioned, "key")))
            assert await keys(backend, versioned) == ["key"]
            await asyncio.sleep(0)

    await put(backend, versioned, "key", b"stays")
    seen: set[bytes] = set()
    await asyncio.gather(come_and_go(), *(look() for _ in range(4)))
    assert seen == {b"stays", b"come and gone"}


async def test_a_put_with_an_older_bucket_is_refused_as_stale(backend: Backend, bucket: Bucket) -> None:
    data = some_bytes(MIB + 1)
    body = part_of(await write(backend, bucket, data), data)
    enabled = await set_versioning(backend, bucket.name, "Enabled")
    with pytest.raises(StaleBucket):
        await backend.put_version(bucket, a_version(bucket, "key", body=body, size=len(data)))
    assert await keys(backend, enabled, all_versions=True) == []
    # The body is already stored: only the last step is repeated.
    stored = await backend.put_version(enabled, a_version(enabled, "key", body=body, size=len(data)))
    assert stored.version_id != NULL_VERSION
    assert await get(backend, enabled, "key") == data


async def test_bytes_have_one_owner(backend: Backend, bucket: Bucket) -> None:
    data = some_bytes(MIB + 1)
    body = part_of(await write(backend, bucket, data), data)
    await backend.put_version(bucket, a_version(bucket, "key", body=body, size=len(data)))
    with pytest.raises(ServiceUnavailable):
        await backend.put_version(bucket, a_version(bucket, "other", body=body, size=len(data)))
    assert await keys(backend, bucket) == ["key"]
    assert await get(backend, bucket, "key") == data


# Keys

KEYS: Final = (
    *("a", "a/", "a/b", "a/b/", "a//b", "/", "//", "/a", "//a", "///", "a/b/c/d/e/f/g/h/i/j/k/l/m/n/o/p"),
    *(".", "..", "./", "../", "../..", "../../etc/passwd", "a/../b", "a/./b", "/..", "...", ".hidden", "a.", "a/."),
    *("%", "%%", "%2F", "%2f", "a%2Fb", "%00", "100%", "%C3%A9", "%zz", "+", "a+b", "a b", " ", " a", "a "),
    *(
        "\0",
        "a\0b",
        "a\0",
        "\n",
        "a\nb",
        "\r\n",
        "\t",
        "\x01",
        "\x7f",
        "\x1b[31m",
        "\\",
        "a\\b",
        "C:\\x",
        '"',
        "'",
        "a'b",
    ),
    *("case", "Case", "CASE", "é", "e\u0301", "\xc5", "\u212b", "ß", "ss", "İ", "🦄", "👨‍👩‍👧", "\ud7ff", "\ue000"),
    *("\uffff", "\U00010000", "\U0010ffff", "\u200b", "\u202e", "\ufeff"),
    *("x" * 1024, "é" * 512, "🦄" * 256, "/" * 1024, "%" * 1024, "\0" * 1024, "." * 1024, "y" * 255 + "/" + "y" * 256),
    *("null", "a~null", "a~null.json", "a.json", ".json", "bucket.json", "index.sqlite", "index.sqlite-wal", "format"),
    *(
        "versions",
        "versions/",
        "data",
        "ledger",
        "uploads",
        "trash",
        "lock",
        "lock/owner",
        "tmp",
        ".tmp",
        "~",
        "a~",
        "a~b",
    ),
    *(
        "CON",
        "nul",
        "con.txt",
        "aux/",
        "a:b",
        "a*b?",
        "<a>|b",
        "-rf",
        "$HOME",
        "`x`",
        "_",
        "a_c",
        "[a-z]",
        "{}",
        "#",
        "?",
    ),
)


@pytest.mark.parametrize("key", KEYS)
async def test_any_key_is_a_key(backend: Backend, versioned: Bucket, key: str) -> None:
    first = await put(backend, versioned, key, b"first")
    second = await put(backend, versioned, key, some_bytes(17 * KIB))
    assert (first.key, second.key) == (key, key)
    assert await keys(backend, versioned) == [key]
    assert await keys(backend, versioned, prefix=key) == [key]
    assert await history(backend, versioned, key) == [second.version_id, first.version_id]
    assert await get(backend, versioned, key) == some_bytes(17 * KIB)
    await backend.update_version(versioned, key, first.version_id, _tag("blue"))
    assert (await backend.get_version(versioned, key, first.version_id)).metadata == {"tag": "blue"}
    await backend.delete_version(versioned, key, second.version_id)
    assert await get(backend, versioned, key) == b"first"
    upload = await create_upload(backend, versioned, key)
    part = await put_part(backend, versioned, upload, 1, b"part")
    assert (await backend.list_uploads(versioned, ListQuery())).entries == (upload,)
    await finish(backend, versioned, upload, [part])
    assert await get(backend, versioned, key) == b"part"


async def test_all_keys_live_side_by_side(backend: Backend, bucket: Bucket) -> None:
    assert len(set(KEYS)) == len(KEYS)
    for key in KEYS:
        await put(backend, bucket, key, key.encode())
    assert await keys(backend, bucket) == sorted(KEYS, key=str.encode)
    for key in KEYS:
        assert await get(backend, bucket, key) == key.encode()
    for number, key in enumerate(KEYS):
        if number % 2:
            await backend.delete_version(bucket, key, NULL_VERSION)
    assert await keys(backend, bucket) == sorted(KEYS[::2], key=str.encode)
    assert [await get(backend, bucket, key) for key in KEYS[::2]] == [key.encode() for key in KEYS[::2]]


async def test_a_large_object_comes_back(backend: Backend, bucket: Bucket) -> None:
    data = some_bytes(3 * MIB + 12345)
    stored = await put(backend, bucket, "key", data)
    assert stored.body is not None
    assert await read(backend, bucket, stored.body.blob) == data
    assert await get(backend, bucket, "key") == data
