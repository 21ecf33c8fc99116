"""What a store that keeps shows after it was closed and opened again, by another program as it were."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, TypeAlias

import pytest

from post3.model.encryption import Encryption
from post3.model.grants import Grants
from post3.storage.filesystem.backend import FilesystemBackend
from post3.storage.protocol import Backend
from tests.conftest import (
    ACLS,
    AN_ACL,
    AN_ENVELOPE,
    ENCRYPTIONS,
    KIB,
    MIB,
    SOME_TAGS,
    a_bucket,
    a_version,
    create_bucket,
    create_upload,
    facts,
    finish,
    part_of,
    put,
    put_part,
    some_bytes,
    write,
)
from tests.databases import fresh_schema, postgres_backend

Opener: TypeAlias = Callable[[], Backend]
KEEPING: Final = ("filesystem", "postgres")


@pytest.fixture(params=KEEPING)
def opener(request: pytest.FixtureRequest, tmp_path: Path) -> Opener:
    """Makes the same store again and again."""
    if request.param == "filesystem":
        return lambda: FilesystemBackend(tmp_path / "store", durable=False)
    schema = fresh_schema()
    return lambda: postgres_backend(schema=schema)


@pytest.mark.parametrize("acl", ACLS, ids=str)
async def test_acls_are_there_after_the_store_was_opened_again(opener: Opener, acl: Grants | None) -> None:
    store = opener()
    await store.open()
    bucket = await store.create_bucket(replace(a_bucket("photos"), acl=acl))
    version = await put(store, bucket, "key", b"data", acl=acl)
    updated = await _updated(store, bucket, acl)
    waiting = await create_upload(store, bucket, "key", acl=acl)
    upload = await create_upload(store, bucket, "parts", acl=acl)
    made = await finish(store, bucket, upload, [await put_part(store, bucket, upload, 1, b"data")], acl=acl)
    await store.close()

    again = opener()
    await again.open()
    assert await again.get_bucket("photos") == bucket
    assert facts(await again.get_version(bucket, "key")) == facts(version)
    assert facts(await again.get_version(bucket, "updated")) == facts(updated)
    assert await again.get_version(bucket, "parts") == made
    assert await again.get_upload(bucket, "key", waiting.upload_id) == waiting
    assert (await again.get_upload(bucket, "parts", upload.upload_id)).acl == acl
    assert {version.acl, updated.acl, made.acl, waiting.acl, bucket.acl} == {acl}
    await again.close()


async def test_tags_are_there_after_the_store_was_opened_again(opener: Opener) -> None:
    store = opener()
    await store.open()
    bucket = await store.create_bucket(a_bucket("photos"))
    version = await put(store, bucket, "key", b"data", tags=SOME_TAGS)
    await put(store, bucket, "updated", b"data")
    updated = await store.update_version(bucket, "updated", None, lambda old: replace(old, tags=SOME_TAGS))
    upload = await create_upload(store, bucket, "key", tags=SOME_TAGS)
    await store.close()

    again = opener()
    await again.open()
    assert facts(await again.get_version(bucket, "key")) == facts(version)
    assert facts(await again.get_version(bucket, "updated")) == facts(updated)
    assert await again.get_upload(bucket, "key", upload.upload_id) == upload
    assert all(one.tags == SOME_TAGS for one in (version, updated, upload))
    await again.close()


async def _updated(store: Backend, bucket: Any, acl: Grants | None) -> Any:
    await put(store, bucket, "updated", b"data", acl=None if acl else AN_ACL)
    return await store.update_version(bucket, "updated", None, lambda old: replace(old, acl=acl))


@pytest.mark.parametrize("size", [10, 16 * KIB + 1, MIB + 1])
@pytest.mark.parametrize("encryption", ENCRYPTIONS, ids=str)
async def test_what_decrypts_is_there_after_the_store_was_opened_again(
    opener: Opener, encryption: Encryption | None, size: int
) -> None:
    store, data, envelope = opener(), some_bytes(size), AN_ENVELOPE if encryption else None
    await store.open()
    bucket = await create_bucket(store, "photos")

    async def encrypted(key: str) -> Any:
        # As an encrypted part is: smaller than the bytes that are stored of it.
        return replace(part_of(await write(store, bucket, data, key), data[:-3]), encryption=envelope)

    version = a_version(bucket, "key", body=await encrypted("key"), size=size - 3, encryption=encryption)
    put_so = await store.put_version(bucket, version)
    waiting = await create_upload(store, bucket, "waiting", encryption=encryption)
    part = await store.put_part(bucket, waiting, await encrypted("waiting"))
    upload = await create_upload(store, bucket, "parts", encryption=encryption)
    sent = await store.put_part(bucket, upload, await encrypted("parts"))
    made = await finish(store, bucket, upload, [sent], encryption=encryption)
    await store.close()

    again = opener()
    await again.open()
    assert facts(await again.get_version(bucket, "key")) == facts(put_so)
    assert put_so.encryption == encryption
    assert put_so.body is not None
    assert (put_so.body.encryption, put_so.body.size, put_so.body.blob.size) == (envelope, size - 3, size)
    assert await again.get_upload(bucket, "waiting", waiting.upload_id) == waiting
    assert await again.get_version(bucket, "parts") == made
    assert (waiting.encryption, made.encryption) == (encryption, encryption)
    for owner in (waiting, made):
        (listed,) = await again.list_parts(bucket, owner)
        assert (listed.encryption, listed.size, listed.blob.size) == (envelope, size - 3, size)
    assert part.encryption == envelope
    await again.close()
