"""What every store promises about buckets."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial
from typing import Any, TypeAlias

import pytest

from post3.errors import BucketAlreadyExists, BucketNotEmpty, InvalidLocationConstraint, NoSuchBucket, StaleBucket
from post3.model.bucket import Bucket
from post3.model.grants import Grants
from post3.model.listing import Listed, ListQuery
from post3.model.object import ObjectVersion, Part
from post3.model.record import Entry
from post3.model.tree import Tree
from post3.model.upload import Upload
from post3.storage.protocol import Backend
from tests.conftest import (
    ACLS,
    AN_ACL,
    KIB,
    LONG_AGO,
    MIB,
    a_bucket,
    a_version,
    collect_all,
    create_bucket,
    create_upload,
    finish,
    get,
    history,
    keys,
    part_of,
    put,
    put_in_parts,
    put_marker,
    put_part,
    set_versioning,
    some_bytes,
    write,
)

CONFIGURATIONS: dict[str, Tree] = {
    "versioning": {"Status": "Enabled"},
    "cors": {"CORSRule": [{"AllowedOrigin": ["*"], "MaxAgeSeconds": 3000, "ID": None}, {"AllowedMethod": "PUT é\x00"}]},
}


async def test_a_created_bucket_is_there(backend: Backend) -> None:
    asked = replace(a_bucket("photos", configurations=CONFIGURATIONS), region="eu-west-1")
    created = await backend.create_bucket(asked)
    assert created.id
    assert created == replace(asked, id=created.id, revision=created.revision)
    assert await backend.get_bucket("photos") == created


async def test_a_taken_name_is_refused(backend: Backend) -> None:
    first = await create_bucket(backend, "photos", owner="alice")
    await put(backend, first, "key", b"data")
    with pytest.raises(BucketAlreadyExists):
        await create_bucket(backend, "photos", owner="bob")
    assert await backend.get_bucket("photos") == first
    assert await get(backend, first, "key") == b"data"


async def test_of_racing_creations_one_wins(backend: Backend) -> None:
    racers = [create_bucket(backend, "photos", owner=f"owner-{number}") for number in range(20)]
    outcomes = await asyncio.gather(*racers, return_exceptions=True)
    created = [outcome for outcome in outcomes if isinstance(outcome, Bucket)]
    assert len(created) == 1
    assert sum(isinstance(outcome, BucketAlreadyExists) for outcome in outcomes) == 19
    assert await backend.get_bucket("photos") == created[0]


async def test_a_bucket_that_is_not_there_is_missed(backend: Backend) -> None:
    nowhere = replace(a_bucket("nowhere"), id="1")
    with pytest.raises(NoSuchBucket):
        await backend.get_bucket("nowhere")
    with pytest.raises(NoSuchBucket):
        await backend.update_bucket("nowhere", lambda bucket: bucket)
    with pytest.raises(NoSuchBucket):
        await backend.delete_bucket(nowhere)
    assert await backend.list_buckets() == []


async def test_an_update_raises_the_revision_by_one(backend: Backend, bucket: Bucket) -> None:
    updated = await backend.update_bucket(bucket.name, lambda old: replace(old, configurations=CONFIGURATIONS))
    assert updated == replace(bucket, configurations=CONFIGURATIONS, revision=bucket.revision + 1)
    assert await backend.get_bucket(bucket.name) == updated
    again = await backend.update_bucket(bucket.name, lambda old: replace(old, configurations={}))
    assert again == replace(bucket, revision=bucket.revision + 2)


@pytest.mark.parametrize("acl", ACLS, ids=str)
async def test_a_created_bucket_keeps_its_acl(backend: Backend, acl: Grants | None) -> None:
    created = await backend.create_bucket(replace(a_bucket("photos"), acl=acl))
    assert created.acl == acl
    assert await backend.get_bucket("photos") == created
    assert await backend.list_buckets() == [created]


async def test_an_update_gives_a_bucket_an_acl_and_takes_it_away(backend: Backend, bucket: Bucket) -> None:
    for acl in (*ACLS, *ACLS):
        change: Callable[[Bucket], Bucket] = partial(replace, acl=acl)
        updated = await backend.update_bucket(bucket.name, change)
        assert updated.acl == acl
        assert await backend.get_bucket(bucket.name) == updated


async def test_an_update_of_something_else_leaves_a_buckets_acl(backend: Backend) -> None:
    created = await backend.create_bucket(replace(a_bucket("photos"), acl=AN_ACL))
    enabled = await set_versioning(backend, "photos", "Enabled")
    assert enabled.acl == AN_ACL
    assert await backend.get_bucket("photos") == replace(enabled, revision=created.revision + 1)


async def test_a_refused_change_leaves_the_bucket_as_it_was(backend: Backend, bucket: Bucket) -> None:
    def refuse(_bucket: Bucket) -> Bucket:
        raise InvalidLocationConstraint

    with pytest.raises(InvalidLocationConstraint):
        await backend.update_bucket(bucket.name, refuse)
    assert await backend.get_bucket(bucket.name) == bucket
    await put(backend, bucket, "still as it was loaded")


async def test_of_racing_updates_none_is_lost(backend: Backend, bucket: Bucket) -> None:
    def count(old: Bucket) -> Bucket:
        counted = int(str(old.configurations.get("count", {}).get("N", 0)))
        return replace(old, configurations={"count": {"N": counted + 1}})

    await asyncio.gather(*(backend.update_bucket(bucket.name, count) for _ in range(50)))
    counted = await backend.get_bucket(bucket.name)
    assert counted.configurations == {"count": {"N": 50}}
    assert counted.revision == bucket.revision + 50


async def test_a_deleted_bucket_is_gone(backend: Backend, bucket: Bucket) -> None:
    await backend.delete_bucket(bucket)
    with pytest.raises(NoSuchBucket):
        await backend.get_bucket(bucket.name)
    with pytest.raises(NoSuchBucket):
        await backend.delete_bucket(bucket)
    with pytest.raises(NoSuchBucket):
        await put(backend, bucket, "key")
    assert await backend.list_buckets() == []


async def test_a_bucket_made_again_is_another_one(backend: Backend, bucket: Bucket) -> None:
    upload = await create_upload(backend, bucket, "key")
    await backend.delete_bucket(bucket)
    again = await create_bucket(backend, bucket.name)
    assert again.id != bucket.id
    with pytest.raises(NoSuchBucket):
        await put(backend, bucket, "key")
    with pytest.raises(NoSuchBucket):
        await backend.get_upload(bucket, "key", upload.upload_id)
    with pytest.raises(NoSuchBucket):
        await backend.delete_bucket(bucket)
    assert await backend.get_bucket(bucket.name) == again
    assert (await backend.list_versions(again, ListQuery(all_versions=True))).entries == ()
    assert (await backend.list_uploads(again, ListQuery())).entries == ()


async def test_an_object_keeps_its_bucket_alive(backend: Backend, bucket: Bucket) -> None:
    version = await put(backend, bucket, "key", b"data")
    with pytest.raises(BucketNotEmpty):
        await backend.delete_bucket(bucket)
    assert await get(backend, bucket, "key") == b"data"
    await backend.delete_version(bucket, "key", version.version_id)
    await backend.delete_bucket(bucket)


async def test_an_object_of_parts_keeps_its_bucket_alive(backend: Backend, bucket: Bucket) -> None:
    version = await put_in_parts(backend, bucket, "key", b"data")
    with pytest.raises(BucketNotEmpty):
        await backend.delete_bucket(bucket)
    await backend.delete_version(bucket, "key", version.version_id)
    await backend.delete_bucket(bucket)


async def test_a_marker_keeps_its_bucket_alive(backend: Backend, versioned: Bucket) -> None:
    marker = await put_marker(backend, versioned, "key")
    with pytest.raises(BucketNotEmpty):
        await backend.delete_bucket(versioned)
    await backend.delete_version(versioned, "key", marker.version_id)
    await backend.delete_bucket(versioned)


async def test_a_noncurrent_version_keeps_its_bucket_alive(backend: Backend, versioned: Bucket) -> None:
    await put(backend, versioned, "key", b"data")
    marker = await put_marker(backend, versioned, "key")
    await backend.delete_version(versioned, "key", marker.version_id)
    with pytest.raises(BucketNotEmpty):
        await backend.delete_bucket(versioned)


async def test_uploads_do_not_keep_their_bucket_alive(backend: Backend, bucket: Bucket) -> None:
    upload = await create_upload(backend, bucket, "key")
    await put_part(backend, bucket, upload, 1, some_bytes(100 * KIB))
    await put_part(backend, bucket, upload, 2, b"small")
    completed = await create_upload(backend, bucket, "other", 2)
    version = await finish(backend, bucket, completed, [await put_part(backend, bucket, completed, 1, b"data")])
    await backend.delete_version(bucket, "other", version.version_id)
    await backend.delete_bucket(bucket)
    assert (await collect_all(backend)).size == 100 * KIB


async def test_a_put_that_was_answered_keeps_its_bucket_alive(backend: Backend) -> None:
    for number in range(20):
        bucket = await create_bucket(backend, f"bucket-{number}")
        names = [f"key-{n}" for n in range(6)]
        puts = [put(backend, bucket, name, name.encode()) for name in names]
        *answers, deletion = await asyncio.gather(*puts, _delete_later(backend, bucket, number), return_exceptions=True)
        stored = [name for name, answer in zip(names, answers, strict=True) if isinstance(answer, ObjectVersion)]
        assert all(isinstance(answer, ObjectVersion | NoSuchBucket) for answer in answers), answers
        if stored:
            assert isinstance(deletion, BucketNotEmpty)
            assert await keys(backend, bucket) == stored
            assert [await get(backend, bucket, name) for name in stored] == [name.encode() for name in stored]
        else:
            assert deletion is None
            with pytest.raises(NoSuchBucket):
                await backend.get_bucket(bucket.name)


async def _delete_later(backend: Backend, bucket: Bucket, turns: int) -> None:
    for _ in range(turns):
        await asyncio.sleep(0)
    await backend.delete_bucket(bucket)


async def test_buckets_are_listed_by_name(backend: Backend) -> None:
    for name, owner in [("b", "bob"), ("a-2", "alice"), ("c", "alice"), ("a.1", "bob"), ("a", "alice"), ("b2", "bob")]:
        await create_bucket(backend, name, owner)

    async def listed(*arguments: Any, **named: Any) -> list[str]:
        return [bucket.name for bucket in await backend.list_buckets(*arguments, **named)]

    assert await listed() == ["a", "a-2", "a.1", "b", "b2", "c"]
    assert await listed("alice") == ["a", "a-2", "c"]
    assert await listed("nobody") == []
    assert await listed(prefix="a") == ["a", "a-2", "a.1"]
    assert await listed(prefix="a.") == ["a.1"]
    assert await listed(prefix="_") == []
    assert await listed(after="a.1") == ["b", "b2", "c"]
    assert await listed(after="aa") == ["b", "b2", "c"]
    assert await listed(limit=2) == ["a", "a-2"]
    assert await listed(limit=0) == []
    assert await listed("bob", prefix="b", after="b", limit=1) == ["b2"]
    assert await backend.list_buckets(prefix="c") == [await backend.get_bucket("c")]


# No configuration takes effect late.

Call: TypeAlias = Callable[[Backend, Bucket, Upload, Part], Awaitable[object]]

CALLS: dict[str, Call] = {
    "delete_bucket": lambda store, bucket, upload, part: store.delete_bucket(bucket),
    "copy_blob": lambda store, bucket, upload, part: store.copy_blob(bucket, part.blob, bucket, "key"),
    "put_version": lambda store, bucket, upload, part: store.put_version(bucket, a_version(bucket, "new", body=part)),
    "put_version, a marker": lambda store, bucket, upload, part: put_marker(store, bucket, "key"),
    "get_version": lambda store, bucket, upload, part: store.get_version(bucket, "key"),
    "get_version of no key": lambda store, bucket, upload, part: store.get_version(bucket, "nowhere"),
    "update_version": lambda store, bucket, upload, part: store.update_version(
        bucket, "key", None, lambda old: replace(old, metadata={"changed": "yes"})
    ),
    "delete_version": lambda store, bucket, upload, part: store.delete_version(bucket, "key", "null"),
    "list_versions": lambda store, bucket, upload, part: store.list_versions(bucket, ListQuery()),
    "create_upload": lambda store, bucket, upload, part: create_upload(store, bucket, "key", 99),
    "get_upload": lambda store, bucket, upload, part: store.get_upload(bucket, upload.key, upload.upload_id),
    "list_uploads": lambda store, bucket, upload, part: store.list_uploads(bucket, ListQuery()),
    "put_part": lambda store, bucket, upload, part: store.put_part(bucket, upload, replace(part, number=2)),
    "list_parts": lambda store, bucket, upload, part: store.list_parts(bucket, upload),
    "finish_upload": lambda store, bucket, upload, part: finish(store, bucket, upload, []),
    "abort_upload": lambda store, bucket, upload, part: store.abort_upload(bucket, upload),
    "append": lambda store, bucket, upload, part: store.append(bucket, [Entry("stream", {})]),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS.keys())
async def test_whoever_has_the_older_bucket_is_refused_as_stale(backend: Backend, bucket: Bucket, call: Call) -> None:
    """A put with an older bucket, and everything else."""
    version = await put(backend, bucket, "key", b"data")
    upload = await create_upload(backend, bucket, "key")
    await put_part(backend, bucket, upload, 1, b"part")
    unowned = part_of(await write(backend, bucket, b"unowned"), b"unowned")
    newer = await set_versioning(backend, bucket.name, "Suspended")
    with pytest.raises(StaleBucket):
        await call(backend, bucket, upload, unowned)
    assert await backend.get_bucket(bucket.name) == newer
    listed = await backend.list_versions(newer, ListQuery(all_versions=True))
    assert [entry.key for entry in listed.entries if isinstance(entry, Listed)] == ["key"]
    assert (await backend.get_version(newer, "key")).revision == version.revision
    assert [part.number for part in await backend.list_parts(newer, upload)] == [1]
    assert (await backend.list_uploads(newer, ListQuery())).entries == (upload,)
    assert await backend.take("stream", 10, LONG_AGO - LONG_AGO) == []


@pytest.mark.parametrize("size", [1, MIB + 1])
async def test_bytes_for_a_bucket_that_changed_are_taken_and_its_newest_form_owns_them(
    backend: Backend, bucket: Bucket, size: int
) -> None:
    """They come but once: only whoever gives them an owner has to know the bucket as it is."""
    data = some_bytes(size)
    newer = await set_versioning(backend, bucket.name, "Enabled")
    body = part_of(await write(backend, bucket, data, "key"), data)
    with pytest.raises(StaleBucket):
        await backend.put_version(bucket, a_version(bucket, "key", body=body, size=size))
    put = await backend.put_version(newer, a_version(newer, "key", body=body, size=size))
    assert await history(backend, newer, "key") == [put.version_id] != ["null"]
    assert await get(backend, newer, "key") == data


WRITING: dict[str, Call] = {
    "write_blob": lambda store, bucket, upload, part: write(store, bucket, some_bytes(MIB + 1)),
}


@pytest.mark.parametrize("call", [*CALLS.values(), *WRITING.values()], ids=[*CALLS, *WRITING])
async def test_whoever_has_a_bucket_that_is_gone_is_told_so(backend: Backend, bucket: Bucket, call: Call) -> None:
    upload = await create_upload(backend, bucket, "key")
    unowned = part_of(await write(backend, bucket, b"unowned"), b"unowned")
    await backend.delete_bucket(bucket)
    with pytest.raises(NoSuchBucket):
        await call(backend, bucket, upload, unowned)


async def test_a_bucket_of_the_same_revision_but_made_again_is_told_apart(backend: Backend, bucket: Bucket) -> None:
    await backend.delete_bucket(bucket)
    again = await create_bucket(backend, bucket.name)
    assert again.revision == bucket.revision
    with pytest.raises(NoSuchBucket):
        await put_marker(backend, bucket, "key")
    assert (await backend.list_versions(again, ListQuery(all_versions=True))).entries == ()


async def test_after_an_update_no_put_with_the_older_bucket_lands(backend: Backend, bucket: Bucket) -> None:
    older = bucket
    for number in range(20):
        puts = [asyncio.ensure_future(put(backend, older, f"key-{number}-{n}", b"data")) for n in range(6)]
        for _ in range(number):
            await asyncio.sleep(0)
        newer = await set_versioning(backend, bucket.name, "Enabled")
        landed = await keys(backend, newer, prefix=f"key-{number}-")
        answers = await asyncio.gather(*puts, return_exceptions=True)
        assert all(isinstance(answer, ObjectVersion | StaleBucket) for answer in answers), answers
        assert landed == [answer.key for answer in answers if isinstance(answer, ObjectVersion)]
        assert await keys(backend, newer, prefix=f"key-{number}-") == landed
        older = newer


async def test_a_put_asks_for_the_id_that_the_bucket_wants(backend: Backend, bucket: Bucket) -> None:
    await put(backend, bucket, "key", b"before")
    assert await history(backend, bucket, "key") == ["null"]
    enabled = await set_versioning(backend, bucket.name, "Enabled")
    named = await put(backend, enabled, "key", b"versioned")
    assert await history(backend, enabled, "key") == [named.version_id, "null"]
    suspended = await set_versioning(backend, bucket.name, "Suspended")
    await put(backend, suspended, "key", b"after")
    assert await history(backend, suspended, "key") == ["null", named.version_id]
    assert await get(backend, suspended, "key") == b"after"
    assert await get(backend, suspended, "key", named.version_id) == b"versioned"
