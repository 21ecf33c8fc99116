"""A store of post3 as a side of a copy, through its protocol: nothing is lost between two of them."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from typing import Final, TypeVar

from post3.errors import (
    BucketAlreadyExists,
    NoSuchBucket,
    NoSuchKey,
    NoSuchUpload,
    NoSuchVersion,
    OperationAborted,
    PreconditionFailed,
    S3Error,
    StaleBucket,
)
from post3.model.bucket import Bucket
from post3.model.grants import GROUPS, Grant, Grants
from post3.model.identity import ANONYMOUS, ROOT
from post3.model.listing import CommonPrefix, ListQuery
from post3.model.object import Blob, Guard, ObjectVersion, Part
from post3.model.upload import Upload
from post3.moving import comparing
from post3.moving.digests import Digesting, check_etag
from post3.moving.sides import BucketState, GoneError, MovingError, Read, Whole
from post3.storage.listed import as_version
from post3.storage.protocol import Backend, Change

T = TypeVar("T")
PAGE: Final = 1000
ATTEMPTS: Final = 10
"""To do something to a bucket that somebody else keeps changing."""


class StoreSide:
    """A store, open."""

    is_store = True
    by_id = True

    def __init__(self, backend: Backend, users: Collection[str] | None = None) -> None:
        """`users` are those who may own things here; None where owners stay as they are: the other side is a store."""
        self.backend = backend
        self._users = None if users is None else frozenset({*users, ROOT.id, ANONYMOUS.id})
        self._buckets: dict[str, Bucket] = {}
        self.cannot_keep: frozenset[str] = frozenset()

    # Buckets

    async def names(self) -> list[str]:
        """See Side."""
        names: list[str] = []
        while page := await self.backend.list_buckets(after=names[-1] if names else "", limit=PAGE):
            names += [bucket.name for bucket in page]
        return names

    async def bucket(self, name: str) -> BucketState | None:
        """See Side."""
        try:
            return BucketState(await self._load(name), await self._uploads_of(name))
        except NoSuchBucket:
            return None

    async def _load(self, name: str) -> Bucket:
        self._buckets[name] = bucket = await self.backend.get_bucket(name)
        return bucket

    async def _uploads_of(self, name: str) -> tuple[str, ...]:
        page = await self._in(name, lambda bucket: self.backend.list_uploads(bucket, ListQuery(limit=1)))
        return ("open multipart uploads",) if page.entries else ()

    async def _in(self, name: str, work: Callable[[Bucket], Awaitable[T]]) -> T:
        """Work with the bucket as it is now."""
        for _ in range(ATTEMPTS):
            bucket = self._buckets.get(name) or await self._load(name)
            try:
                return await work(bucket)
            except StaleBucket:
                del self._buckets[name]
        raise MovingError(f"the bucket {name} keeps changing")

    async def prepare(self, wanted: Bucket, there: Bucket | None, *, overwrite: bool) -> list[str]:
        """See Target. A bucket that is there keeps its id and its age."""
        wanted = self._adapted_bucket(wanted)
        if there is None:
            try:
                self._buckets[wanted.name] = await self.backend.create_bucket(wanted)
                return []
            except BucketAlreadyExists:
                there = await self._load(wanted.name)
        differing = comparing.bucket_differences(wanted, there)
        if not differing:
            return []
        if overwrite:
            self._buckets[wanted.name] = await self.backend.update_bucket(wanted.name, _as(wanted))
            return []
        if wanted.versioning and not there.versioning:
            raise MovingError("the bucket is there without versioning, and the source's has versions")
        return differing

    async def finish(self, wanted: Bucket) -> list[str]:
        """See Target. Whether what it was made of is kept was seen when it was made; only ids of others are lost."""
        adapted = self._adapted_bucket(wanted)
        return comparing.bucket_differences(wanted, adapted)

    def _adapted_bucket(self, bucket: Bucket) -> Bucket:
        owner, acl = self._adapted_rights(bucket.owner, bucket.acl)
        return replace(bucket, owner=owner, acl=acl)

    # Versions

    async def keys(self, bucket: str) -> AsyncIterator[list[ObjectVersion]]:
        """See Side."""
        held: list[ObjectVersion] = []
        async for version in self._listed(bucket):
            if held and held[0].key != version.key:
                yield held[::-1]
                held = []
            held.append(version)
        if held:
            yield held[::-1]

    async def _listed(self, name: str) -> AsyncIterator[ObjectVersion]:
        query = ListQuery(all_versions=True, limit=PAGE)
        while True:
            page = await self._page(name, query)
            for version in page:
                yield version
            if len(page) < PAGE:
                return
            query = replace(query, after=page[-1].key, after_sequence=page[-1].sequence)

    async def _page(self, name: str, query: ListQuery) -> Sequence[ObjectVersion]:
        page = await self._in(name, lambda bucket: self.backend.list_versions(bucket, query))
        return [as_version(name, entry) for entry in page.entries if not isinstance(entry, CommonPrefix)]

    async def whole(self, version: ObjectVersion) -> Whole:
        """See Side."""

        async def load(bucket: Bucket) -> Whole:
            found = await self.backend.get_version(bucket, version.key, version.version_id)
            parts = await self.backend.list_parts(bucket, found) if found.parts else []
            return Whole(found, tuple(parts) if found.body is None else (found.body,))

        try:
            return await self._in(version.bucket, load)
        except (NoSuchKey, NoSuchVersion, NoSuchBucket):
            raise GoneError("it is there no more") from None

    def holding(self, whole: Whole) -> AbstractAsyncContextManager[None]:
        """See Source."""
        return self.backend.hold(self._buckets[whole.version.bucket], whole.version)

    def read(self, whole: Whole, part: Part) -> AsyncIterator[bytes]:
        """See Source. The store compares each piece with its CRC."""
        return self.backend.read_blob(self._buckets[whole.version.bucket], part.blob, 0, part.blob.size)

    # What a target does

    def adapted(self, whole: Whole) -> Whole:
        """See Target. What comes from an endpoint may belong to somebody whom nobody knows here: root gets it."""
        version = whole.version
        if self._users is None:
            return whole
        owner, acl = self._adapted_rights(version.owner, version.acl)
        lost = (*whole.lost, *((comparing.OWNER,) if owner != version.owner else ()))
        if acl is None and version.acl not in (None, (Grant(version.owner, "FULL_CONTROL"),)):
            lost = (*lost, comparing.ACL)
        if version.encryption is not None:
            lost = (*lost, comparing.ENCRYPTION)
        return replace(whole, version=replace(version, owner=owner, acl=acl, encryption=None), lost=lost)

    def _adapted_rights(self, owner: str, acl: Grants | None) -> tuple[str, Grants | None]:
        """Owner and list with users whom this store knows; no list where it names others, or just the owner."""
        if self._users is None:
            return owner, acl
        known = owner if owner in self._users else ROOT.id
        grants = tuple(replace_grantee(grant, owner, known) for grant in acl or ())
        if not grants or grants == (Grant(known, "FULL_CONTROL"),):
            return known, None
        return known, grants if all(grant.grantee in self._users | GROUPS for grant in grants) else None

    async def put(self, whole: Whole, read: Read, replaced: ObjectVersion | None) -> None:
        """See Target."""
        version = whole.version
        if replaced is not None and replaced.sequence > version.sequence:
            await self.delete(replaced)  # a version never goes back to an older place
        guard = free if replaced is None else _let
        if version.parts:
            await self._put_in_parts(whole, read, guard)
        elif whole.parts:
            await self._put_body(whole, read, guard)
        else:
            await self._put_back(replace(version, body=None), guard)

    async def _put_back(self, version: ObjectVersion, guard: Guard) -> None:
        await self._in(version.bucket, lambda bucket: self.backend.put_version(bucket, version, guard, restored=True))

    async def _put_body(self, whole: Whole, read: Read, guard: Guard) -> None:
        version, part = whole.version, whole.parts[0]
        digests = Digesting(whole, part)
        blob = await self._write(version, digests, part, read)
        body = replace(part, blob=blob, etag=part.etag or digests.etag)
        try:
            await self._put_back(replace(version, body=body), guard)
        except S3Error:
            await self._discard(version.bucket, blob)
            raise

    async def _write(self, version: ObjectVersion, digests: Digesting, part: Part, read: Read) -> Blob:
        bucket = self._buckets.get(version.bucket) or await self._load(version.bucket)
        return await self.backend.write_blob(bucket, version.key, digests.blocks(read(part)))

    async def _discard(self, name: str, blob: Blob) -> None:
        await self._in(name, lambda bucket: self.backend.discard_blob(bucket, blob))

    async def _put_in_parts(self, whole: Whole, read: Read, guard: Guard) -> None:
        version = whole.version
        upload = await self._upload(version)
        there = await self._in(version.bucket, lambda bucket: self.backend.list_parts(bucket, upload))
        known = {part.number: part for part in there}
        parts: list[Part] = []
        for part in whole.parts:
            found = known.get(part.number)
            if found is None or not _is_same(found, part):
                found = await self._put_part(whole, part, read, upload)
            parts.append(found)
        try:
            check_etag(whole, [part.etag for part in parts])
            await self._in(
                version.bucket,
                lambda bucket: self.backend.finish_upload(bucket, upload, version, parts, guard, restored=True),
            )
        except (MovingError, OperationAborted, PreconditionFailed):
            # Trying again with the same parts would end the same.
            await self._in(version.bucket, lambda bucket: self.backend.abort_upload(bucket, upload))
            raise

    async def _upload(self, version: ObjectVersion) -> Upload:
        """The upload that this very version began before, else a new one."""
        known = f"{version.sequence:016x}{_digest(f'{version.version_id} {version.etag} {version.modified}')}"
        try:
            found = await self._in(version.bucket, lambda bucket: self.backend.get_upload(bucket, version.key, known))
            if found.version_id is None:
                return found
            known = f"{version.sequence:016x}{secrets.token_hex(8)}"  # it was completed once, and its object deleted
        except NoSuchUpload:
            pass
        wanted = _upload_of(version, known)
        return await self._in(version.bucket, lambda bucket: self.backend.create_upload(bucket, wanted))

    async def _put_part(self, whole: Whole, part: Part, read: Read, upload: Upload) -> Part:
        version = whole.version
        digests = Digesting(whole, part)
        blob = await self._write(version, digests, part, read)
        wanted = replace(part, blob=blob, etag=part.etag or digests.etag)
        try:
            return await self._in(version.bucket, lambda bucket: self.backend.put_part(bucket, upload, wanted))
        except S3Error:
            await self._discard(version.bucket, blob)
            raise

    async def amend(self, whole: Whole) -> None:
        """What Target's `amend` is here."""
        wanted = whole.version

        def change(old: ObjectVersion) -> ObjectVersion:
            return replace(
                old,
                owner=wanted.owner,
                storage_class=wanted.storage_class,
                checksums=wanted.checksums,
                checksum_type=wanted.checksum_type,
                headers=wanted.headers,
                metadata=wanted.metadata,
                tags=wanted.tags,
                acl=wanted.acl,
            )

        await self._in(
            wanted.bucket, lambda bucket: self.backend.update_version(bucket, wanted.key, wanted.version_id, change)
        )

    async def delete(self, version: ObjectVersion) -> None:
        """See Target."""
        await self._in(
            version.bucket, lambda bucket: self.backend.delete_version(bucket, version.key, version.version_id)
        )


def _as(wanted: Bucket) -> Change[Bucket]:
    """The change of a bucket into one of the same owner, rights and configurations."""

    def change(bucket: Bucket) -> Bucket:
        return replace(bucket, owner=wanted.owner, acl=wanted.acl, configurations=wanted.configurations)

    return change


def free(_current: ObjectVersion | None, replaced: ObjectVersion | None) -> None:
    """A guard: nothing is to be replaced. Raises PreconditionFailed."""
    if replaced is not None:
        raise PreconditionFailed("Somebody put a version of this id meanwhile.")


def _let(_current: ObjectVersion | None, _replaced: ObjectVersion | None) -> None:
    """A guard: what is there may be replaced."""


def replace_grantee(grant: Grant, old: str, new: str) -> Grant:
    """The grant, to somebody else if it was somebody's."""
    return Grant(new, grant.permission) if grant.grantee == old else grant


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _upload_of(version: ObjectVersion, upload_id: str) -> Upload:
    return Upload(
        bucket=version.bucket,
        key=version.key,
        upload_id=upload_id,
        initiated=version.modified,
        owner=version.owner,
        storage_class=version.storage_class,
        headers=version.headers,
        metadata=version.metadata,
        tags=version.tags,
        checksum_algorithm=next(iter(version.checksums), ""),
        checksum_type=version.checksum_type,
        acl=version.acl,
        encryption=version.encryption,
    )


def _is_same(there: Part, part: Part) -> bool:
    """Whether a part that an earlier copy brought is this one; without ETag and checksums nobody can tell."""
    if there.size != part.size or there.encryption != part.encryption:
        return False
    if part.etag:
        return there.etag == part.etag
    return bool(part.checksums) and dict(there.checksums) == dict(part.checksums)
