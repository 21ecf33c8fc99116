"""The changes that a store makes, one by one, for tests that cut them short; and what can be seen before and after."""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any, Final, TypeAlias

import pytest

from post3.errors import BucketAlreadyExists, NoSuchBucket, NoSuchKey, NoSuchUpload, S3Error
from post3.model.bucket import Bucket
from post3.model.listing import CommonPrefix, Listed, ListQuery
from post3.model.object import NULL_VERSION
from post3.model.record import Entry, Record
from post3.model.upload import Upload
from post3.storage.listed import listed
from post3.storage.protocol import Backend
from tests.conftest import (
    AT_ONCE,
    KIB,
    MIB,
    a_version,
    collect_all,
    content_of,
    create_bucket,
    create_upload,
    etag_of,
    finish,
    get,
    part_of,
    put,
    put_marker,
    put_part,
    set_versioning,
    some_bytes,
    write,
)

INLINE: Final = some_bytes(5 * KIB)
STORED: Final = some_bytes(MIB + 70 * KIB)
"""Two blocks."""
OLD: Final = some_bytes(40 * KIB, seed=1)
PART: Final = some_bytes(30 * KIB, seed=2)
KEYS: Final = ("key", "other", "new")
Act: TypeAlias = Callable[[Any], Awaitable[object]]


async def nothing(_backend: Backend) -> None:
    """Before a change that needs nothing."""


@dataclass(frozen=True, slots=True)
class Case:
    """A change, what was there before, and how it is refused when it was made already."""

    act: Act
    prepare: Act
    made: tuple[type[S3Error], ...] = ()
    repeats: bool = True
    """Made twice is the same as made once."""
    tells: bool = False
    """It writes to the journal."""
    from_open: bool = False
    """Opening the store is part of it."""


class Cases(dict[str, Case]):
    """Changes by name."""

    def case(self, name: str, prepare: Act = nothing, *made: type[S3Error], **more: bool) -> Callable[[Act], Act]:
        """Add one: what was there before, and how it is refused when it was made already."""

        def register(act: Act) -> Act:
            self[name] = Case(act, prepare, made, **more)
            return act

        return register


CASES: Final = Cases()
case = CASES.case


async def _bucket(backend: Backend) -> Bucket:
    return await backend.get_bucket("bucket")


async def plain(backend: Backend) -> None:
    """A bucket with objects of every kind."""
    bucket = await create_bucket(backend, "bucket")
    await put(backend, bucket, "key", OLD)
    await put(backend, bucket, "other", STORED)


async def plain_inline(backend: Backend) -> None:
    await plain(backend)
    await put(backend, await _bucket(backend), "key", b"old")


async def parts(backend: Backend) -> None:
    """An object that came in parts."""
    bucket = await create_bucket(backend, "bucket")
    upload = await create_upload(backend, bucket, "key", 7)
    sent = [await put_part(backend, bucket, upload, number, data) for number, data in ((1, OLD), (3, PART))]
    await finish(backend, bucket, upload, sent)


async def versioned(backend: Backend) -> None:
    await plain(backend)
    await put(backend, await set_versioning(backend, "bucket", "Enabled"), "key", b"second")


async def uploading(backend: Backend) -> None:
    """An object, and an upload that would replace it: a large part, a small one, and one that will not be chosen."""
    await plain(backend)
    bucket = await _bucket(backend)
    upload = await create_upload(backend, bucket, "key", 1)
    for number, data in ((1, OLD), (2, b"small"), (3, PART)):
        await put_part(backend, bucket, upload, number, data)


async def with_new(backend: Backend) -> None:
    await plain(backend)
    await put(backend, await _bucket(backend), "new", b"old")


async def the_upload(backend: Backend) -> Upload:
    return await backend.get_upload(await _bucket(backend), "key", f"{1:016x}{1:016x}")


async def empty_bucket(backend: Backend) -> None:
    """A bucket that holds no objects, but an upload."""
    bucket = await create_bucket(backend, "bucket")
    await put_part(backend, bucket, await create_upload(backend, bucket, "key", 1), 1, PART)


@case("put inline", plain)
async def _put_inline(backend: Backend) -> None:
    await put(backend, await _bucket(backend), "new", INLINE)


@case("put stored", plain)
async def _put_stored(backend: Backend) -> None:
    await put(backend, await _bucket(backend), "new", STORED)


@case("replace stored by inline", plain)
@case("replace inline by inline", plain_inline)
@case("replace parts by inline", parts)
async def _replace_by_inline(backend: Backend) -> None:
    await put(backend, await _bucket(backend), "key", INLINE)


@case("replace stored by stored", plain)
@case("replace parts by stored", parts)
async def _replace_by_stored(backend: Backend) -> None:
    await put(backend, await _bucket(backend), "key", STORED)


@case("put a version", versioned, repeats=False)
async def _put_version(backend: Backend) -> None:
    await put(backend, await _bucket(backend), "key", STORED)


@case("put a marker", versioned, repeats=False)
async def _put_marker(backend: Backend) -> None:
    await put_marker(backend, await _bucket(backend), "key")


@case("restore an older version", versioned)
async def _restore(backend: Backend) -> None:
    bucket = await _bucket(backend)
    body = part_of(await write(backend, bucket, STORED, "key"), STORED)
    version = a_version(bucket, "key", version_id=f"{7:016x}{7:016x}", sequence=7, body=body, size=body.size)
    await backend.put_version(bucket, version, restored=True)


@case("restore an object in parts", uploading)
async def _restore_parts(backend: Backend) -> None:
    bucket, upload = await _bucket(backend), await the_upload(backend)
    sent = [] if upload.version_id else await backend.list_parts(bucket, upload, limit=2)
    size, later = sum(part.size for part in sent), 2**52
    version = a_version(bucket, "key", sequence=later, size=size, etag="etag-2", parts=len(sent))
    await backend.finish_upload(bucket, upload, version, sent, restored=True)


@case("change a version", plain_inline)
async def _update(backend: Backend) -> None:
    change = functools.partial(replace, metadata={"colour": "blue"})
    await backend.update_version(await _bucket(backend), "key", None, change)


@case("delete stored", plain)
@case("delete inline", plain_inline)
@case("delete parts", parts)
@case("delete the older version", versioned)
async def _delete(backend: Backend) -> None:
    await backend.delete_version(await _bucket(backend), "key", NULL_VERSION)


@case("delete the newest version", versioned, repeats=False)
async def _delete_newest(backend: Backend) -> None:
    bucket = await _bucket(backend)
    newest = await backend.get_version(bucket, "key")
    await backend.delete_version(bucket, "key", newest.version_id)


@case("put with a journal", plain, repeats=False, tells=True)
@case("replace with a journal", with_new, tells=True)
async def _put_journal(backend: Backend) -> None:
    await put(backend, await _bucket(backend), "new", INLINE, journal=[Entry("told", {"key": "new"})])


@case("delete with a journal", plain, tells=True)
async def _delete_journal(backend: Backend) -> None:
    entries = [Entry("told", {"key": "key"})]
    await backend.delete_version(await _bucket(backend), "key", NULL_VERSION, journal=entries)


@case("create an upload", plain, repeats=False)
async def _create_upload(backend: Backend) -> None:
    bucket = await _bucket(backend)
    known = (await backend.list_uploads(bucket, ListQuery())).entries
    await create_upload(backend, bucket, "key", len(known) + 1)


@case("put a stored part", uploading)
async def _put_part(backend: Backend) -> None:
    await put_part(backend, await _bucket(backend), await the_upload(backend), 4, STORED)


@case("put an inline part", uploading)
async def _put_inline_part(backend: Backend) -> None:
    await put_part(backend, await _bucket(backend), await the_upload(backend), 4, b"four")


@case("replace a part", uploading)
async def _replace_part(backend: Backend) -> None:
    await put_part(backend, await _bucket(backend), await the_upload(backend), 1, STORED)


@case("finish an upload", uploading)
async def _finish(backend: Backend) -> None:
    bucket, upload = await _bucket(backend), await the_upload(backend)
    # A completed upload answers the same again, and has no parts any more.
    sent = [] if upload.version_id else await backend.list_parts(bucket, upload, limit=2)
    await finish(backend, bucket, upload, sent)


@case("abort an upload", uploading, NoSuchUpload)
async def _abort(backend: Backend) -> None:
    await backend.abort_upload(await _bucket(backend), await the_upload(backend))


@case("create a bucket", nothing, BucketAlreadyExists)
async def _create_bucket(backend: Backend) -> None:
    await create_bucket(backend, "bucket")


@case("change a bucket", plain)
async def _update_bucket(backend: Backend) -> None:
    await set_versioning(backend, "bucket", "Enabled")


@case("delete a bucket", empty_bucket, NoSuchBucket)
async def _delete_bucket(backend: Backend) -> None:
    await backend.delete_bucket(await _bucket(backend))


@case("change a record", plain)
async def _update_record(backend: Backend) -> None:
    await backend.update_record("lease", "one", lambda _: Record("lease", "one", {"holder": "me"}))


@case("collect garbage", plain)
async def _collect(backend: Backend) -> None:
    bucket = await _bucket(backend)
    await put(backend, bucket, "key", INLINE)
    await put(backend, bucket, "key", OLD)
    await collect_all(backend)


# What can be seen


async def sight(backend: Backend) -> object:
    """All that can be seen, without what the store names by itself; and GET, HEAD and LIST agree."""
    buckets = [await _sight_of(backend, bucket) for bucket in await backend.list_buckets()]
    records = [(record.id, record.document) for record in await backend.list_records("lease")]
    return buckets, records


async def _sight_of(backend: Backend, bucket: Bucket) -> object:
    entries = (await backend.list_versions(bucket, ListQuery(all_versions=True))).entries
    versions = [version for version in entries if isinstance(version, Listed)]
    for key in KEYS:
        await _agree(backend, bucket, key, [version for version in versions if version.key == key])
    shown = [(one.key, one.version_id == NULL_VERSION, one.etag, one.is_delete_marker) for one in versions]
    datas = [etag_of(await get(backend, bucket, one.key, one.version_id)) for one in versions if one.size]
    metadatas = [(await backend.get_version(bucket, one.key, one.version_id)).metadata for one in versions]
    return bucket.name, bucket.versioning, shown, datas, metadatas, await _uploads(backend, bucket)


async def _agree(backend: Backend, bucket: Bucket, key: str, versions: list[Listed]) -> None:
    current = (await backend.list_versions(bucket, ListQuery(prefix=key))).entries
    if not versions:
        assert not current
        with pytest.raises(NoSuchKey):
            await backend.get_version(bucket, key)
        return
    newest = await backend.get_version(bucket, key)
    assert versions[0].version_id == newest.version_id
    assert list(current) == ([] if newest.is_delete_marker else [listed(newest, is_latest=True)])
    for place, version in enumerate(versions):
        found = await backend.get_version(bucket, key, version.version_id)
        assert version == listed(found, is_latest=place == 0)
        assert len(await content_of(backend, bucket, found)) == found.size


async def _uploads(backend: Backend, bucket: Bucket) -> object:
    seen = []
    for upload in (await backend.list_uploads(bucket, ListQuery())).entries:
        assert not isinstance(upload, CommonPrefix)
        parts = await backend.list_parts(bucket, upload)
        for part in parts:
            runs = backend.read_blob(bucket, part.blob, 0, part.size)
            assert etag_of(b"".join([run async for run in runs])) == part.etag
        seen.append([(part.number, part.etag) for part in parts])
    return seen


async def owned_blobs(backend: Backend) -> tuple[set[str], set[str]]:
    """The names of all bytes that something seen owns, and the contents of the objects that came in parts."""
    blobs: set[str] = set()
    contents: set[str] = set()
    for bucket in await backend.list_buckets():
        for version in (await backend.list_versions(bucket, ListQuery(all_versions=True))).entries:
            assert isinstance(version, Listed)
            whole = await backend.get_version(bucket, version.key, version.version_id)
            blobs.update(part.blob.id for part in await backend.list_parts(bucket, whole))
            contents.update([whole.content] if whole.parts else [])
        for upload in (await backend.list_uploads(bucket, ListQuery())).entries:
            assert isinstance(upload, Upload)
            blobs.update(part.blob.id for part in await backend.list_parts(bucket, upload))
    return blobs, contents


async def check_interrupted(
    backend: Backend, case: Case, before: object, left_over: Callable[[], Awaitable[object]]
) -> tuple[bool, object]:
    """Whether the interrupted change was made, and what is seen once it is made again; nothing must be left over."""
    seen = await sight(backend)
    await collect_all(backend)
    assert await sight(backend) == seen, "the collector took what was owned"
    assert not await left_over()
    told = await backend.take("told", 10, AT_ONCE)
    assert len(told) == int(case.tells and seen != before), "the journal tells what is not so"
    try:
        await case.act(backend)
    except case.made:
        assert seen != before
    await collect_all(backend)
    assert not await left_over()
    again = await sight(backend)
    return seen != before, seen if seen != before and not case.repeats else again
