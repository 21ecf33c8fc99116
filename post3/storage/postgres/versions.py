"""Versions of keys: each change is one statement that acts only on what its guard has seen."""

from __future__ import annotations

import secrets
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from post3.errors import NoSuchKey, NoSuchVersion, ServiceUnavailable
from post3.model.bucket import Bucket
from post3.model.listing import Listed, ListQuery, Page
from post3.model.object import NULL_VERSION, Blob, Guard, ObjectVersion, no_guard
from post3.model.record import Entry
from post3.storage.places import check_named, taken
from post3.storage.postgres.blobs import COLLECTED, bring_in
from post3.storage.postgres.checks import bucket_id, check_row, refuse
from post3.storage.postgres.connections import Row, Session
from post3.storage.postgres.failures import AgainError
from post3.storage.postgres.listing import list_versions
from post3.storage.postgres.names import new_id
from post3.storage.postgres.records import note
from post3.storage.postgres.rows import (
    blob_id,
    load_version,
    shown_checksums,
    small_block,
    text,
    version_document,
    version_values,
)
from post3.storage.postgres.small import SmallPuts
from post3.storage.postgres.store import Store
from post3.storage.protocol import Change

HOT: Final = 3
"""Attempts after which the writers of a key queue."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What a guard was asked about: the key's current version, and the one with the id in question."""

    current: ObjectVersion | None
    named: ObjectVersion | None


class PostgresVersions:
    """The role Versions."""

    store: Store

    async def put_version(
        self,
        bucket: Bucket,
        version: ObjectVersion,
        guard: Guard = no_guard,
        journal: Sequence[Entry] = (),
        *,
        restored: bool = False,
    ) -> ObjectVersion:
        """See Versions. A small body without journal is one statement, one round trip; two in place of a large one."""
        blob = version.body.blob if version.body is not None else None
        putting = Putting(bucket, version, stored_as(blob), guard, restored=restored)
        connections = self.store.connections
        if journal or putting.stored is not None:

            async def put(session: Session) -> ObjectVersion:
                await putting.prepare(session)
                if blob is not None and putting.stored is not None:
                    await bring_in(session, blob, putting.stored)
                made = await putting.put(session)
                await note(session, bucket, journal)
                return made

            return await connections.transact(put)
        if putting.is_simple:
            return await putting.put_small(self.store.small)
        return await connections.change(putting.put_alone)

    async def get_version(self, bucket: Bucket, key: str, version_id: str | None = None) -> ObjectVersion:
        """See Versions."""
        if version_id is None:
            return await self.store.current.get(bucket, key)
        row = await self.store.connections.row("get_version", bucket_id(bucket), key.encode(), text(version_id))
        return _found(bucket, key, version_id, row)

    async def update_version(
        self,
        bucket: Bucket,
        key: str,
        version_id: str | None,
        change: Change[ObjectVersion],
        journal: Sequence[Entry] = (),
    ) -> ObjectVersion:
        """See Versions."""

        async def update(session: Session) -> ObjectVersion:
            old = await _get(session, bucket, key, version_id)
            new = change(old)
            row = await session.row(
                "update_version",
                *(bucket_id(bucket), bucket.revision, key.encode(), uuid.UUID(old.content), old.revision),
                *(version_id is None, old.version_id, new.owner, new.etag, new.storage_class),
                *(version_document(new), shown_checksums(new)),
            )
            if row is None:
                await refuse(session, bucket)
            if row is None or row["revision"] is None:
                raise AgainError
            await note(session, bucket, journal)
            return replace(new, revision=row["revision"])

        if journal:
            return await self.store.connections.transact(update)
        return await self.store.connections.change(update)

    async def delete_version(
        self, bucket: Bucket, key: str, version_id: str, guard: Guard = no_guard, journal: Sequence[Entry] = ()
    ) -> ObjectVersion | None:
        """See Versions."""

        async def delete(session: Session) -> ObjectVersion | None:
            seen = await look(session, bucket, key, version_id, guard)
            current, named = (None, None) if seen is None else (seen.current, seen.named)
            if seen is not None and named is None:
                return None
            row = await session.row(
                "delete_version",
                *(bucket_id(bucket), bucket.revision, key.encode(), text(version_id), seen is not None),
                *(*_mark(current), *_mark(named)),
            )
            if row is None:
                await refuse(session, bucket)
                raise AgainError
            if row["version_id"] is None:
                if seen is not None:
                    raise AgainError
                return None
            await note(session, bucket, journal)
            return load_version(bucket.name, row)

        if journal:
            return await self.store.connections.transact(delete)
        return await self.store.connections.change(delete)

    async def list_versions(self, bucket: Bucket, query: ListQuery) -> Page[Listed]:
        """See Versions."""
        return await list_versions(self.store.connections, bucket, query)


class Putting:
    """A version on its way in: looked at, judged, put; again when somebody was faster."""

    def __init__(
        self,
        bucket: Bucket,
        version: ObjectVersion,
        stored: uuid.UUID | None,
        guard: Guard,
        *,
        restored: bool,
    ) -> None:
        self._bucket = bucket
        self._version = version
        self._key = version.key.encode()
        self._guard = guard
        self._tries = 0
        self._is_restored = restored
        self._is_plain = not bucket.versioning and version.version_id == NULL_VERSION and not restored
        self.stored = stored
        self._claims = version.body is not None and version.body.blob.inline is None
        blob = version.body.blob if version.body is not None else None
        # The name of bytes in the row is theirs alone, and as good as a new one.
        self._content = str(new_id()) if blob is None or blob.inline is None else blob.id

    @property
    def is_simple(self) -> bool:
        """Whether it may well be made together with others, given that its body stands in its row."""
        return self._is_plain and self._guard is no_guard

    async def put_small(self, small: SmallPuts) -> ObjectVersion:
        """Together with others; alone where it is not that simple."""
        record = version_values(self._version)
        put = await small.put(self._bucket, self._key, self._content, record, self.put_alone)
        return put if isinstance(put, ObjectVersion) else self._made(put)

    async def put_alone(self, session: Session) -> ObjectVersion:
        """In a statement of its own; where the key is hot, in a transaction that queues first."""
        if self._tries < HOT:
            return await self.put(session)
        async with session.connection.transaction():
            await self.prepare(session)
            return await self.put(session)

    async def prepare(self, session: Session) -> None:
        """In a transaction: queue, where the key is hot."""
        if self._tries >= HOT:
            await session.rows("wait_in_line", bucket_id(self._bucket), self._key)

    async def put(self, session: Session) -> ObjectVersion:
        """Judge and put. Raises AgainError when somebody was faster, and what the guard raises."""
        self._tries += 1
        seen = await look(session, self._bucket, self._version.key, self._version.version_id, self._guard)
        if self._is_restored:
            check_named(self._bucket, self._version)
        row = await self._put(session, seen)
        if row is None:
            await refuse(session, self._bucket)
            raise AgainError
        if row["version_id"] is None:
            if self._is_restored and row["is_taken"]:
                raise taken(self._version)
            if self._claims and not row["claimed"]:
                raise ServiceUnavailable(COLLECTED)
            self._is_plain = False
            raise AgainError
        return self._made(row)

    async def _put(self, session: Session, seen: Seen | None) -> Row | None:
        version = self._version
        target = (bucket_id(self._bucket), self._bucket.revision, self._key, self.stored or self._content)
        record = version_values(version)
        values: tuple[Any, ...] = (
            *(*target, self.stored, self._claims, *record),
            *(seen is not None, *_mark(seen.named if seen else None)),
        )
        if self._is_plain and self._tries == 1:
            return await session.row("put_null", *values)
        current = _mark(seen.current if seen else None)
        if self._is_restored:
            place = (version.version_id, version.sequence, version.modified)
            return await session.row("restore_version", *values, *place, *current)
        random = secrets.token_hex(8)
        return await session.row("put_version", *values, text(version.version_id), random, *current)

    def _made(self, row: Row) -> ObjectVersion:
        version, content = self._version, str(self.stored or self._content)
        body = version.body
        if body is not None and body.blob.id != content:
            body = replace(body, blob=replace(body.blob, id=content))
        return replace(
            version,
            version_id=row["version_id"],
            sequence=row["sequence"],
            modified=row["modified"],
            revision=row["revision"],
            noncurrent=row["noncurrent"] if self._is_restored else None,
            content=content,
            body=body,
        )


def stored_as(blob: Blob | None) -> uuid.UUID | None:
    """The name of the body's blocks; None for one that stands in its version's row."""
    if blob is None or small_block(blob) is not None:
        return None
    return blob_id(blob) if blob.inline is None else new_id()


async def look(session: Session, bucket: Bucket, key: str, version_id: str, guard: Guard) -> Seen | None:
    """What the guard has seen and let pass; None where nobody looks. No lock is held."""
    if guard is no_guard:
        return None
    rows = await session.rows("get_current_and_named", bucket_id(bucket), key.encode(), text(version_id))
    check_row(bucket, rows[0] if rows else None)
    versions = [(row["is_current"], load_version(bucket.name, row)) for row in rows if row["version_id"] is not None]
    current = next((version for is_current, version in versions if is_current), None)
    named = next((version for _, version in versions if version.version_id == version_id), None)
    guard(current, named)
    return Seen(current, named)


def _mark(version: ObjectVersion | None) -> tuple[uuid.UUID | None, int | None]:
    """By what a version is known again: its bytes, and its record."""
    return (None, None) if version is None else (uuid.UUID(version.content), version.revision)


async def _get(session: Session, bucket: Bucket, key: str, version_id: str | None) -> ObjectVersion:
    if version_id is None:
        asked = [bucket_id(bucket)], [key.encode()], [None], [None]
        return _found(bucket, key, None, await session.row("get_current", *asked))
    row = await session.row("get_version", bucket_id(bucket), key.encode(), text(version_id))
    return _found(bucket, key, version_id, row)


def _found(bucket: Bucket, key: str, version_id: str | None, row: Row | None) -> ObjectVersion:
    row = check_row(bucket, row)
    if row["version_id"] is not None:
        return load_version(bucket.name, row)
    if version_id is None:
        raise NoSuchKey(Key=key)
    raise NoSuchVersion(Key=key, VersionId=version_id)
