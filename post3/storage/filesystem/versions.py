"""Versions: a sidecar each. The current one is that with the highest sequence; no file says so."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from typing import TypeAlias

from post3.errors import NoSuchKey, NoSuchVersion, ServiceUnavailable
from post3.model.bucket import Bucket
from post3.model.listing import Listed, ListQuery, Page
from post3.model.object import NEW_VERSION, NULL_VERSION, Guard, ObjectVersion, no_guard
from post3.model.record import Entry
from post3.storage.documents import microseconds
from post3.storage.filesystem.blobs import condemn, forgive
from post3.storage.filesystem.journal import FilesystemJournal
from post3.storage.filesystem.layout import KeyPlace, ledger_file
from post3.storage.filesystem.numbering import is_made, numbered
from post3.storage.filesystem.parts import complete_left
from post3.storage.filesystem.sidecar import dump_version, read_version
from post3.storage.filesystem.small import NotSmall, SmallChanges, is_small
from post3.storage.places import check_place
from post3.storage.protocol import Change

Read: TypeAlias = Callable[[str, str], ObjectVersion | None]
"""What makes a version of a sidecar: `read_version`, or `KnownVersions.read`."""


class FilesystemVersions(FilesystemJournal):
    """The role Versions. A change may write to the journal, so it stands on that role."""

    small: SmallChanges

    async def put_version(
        self,
        bucket: Bucket,
        version: ObjectVersion,
        guard: Guard = no_guard,
        journal: Sequence[Entry] = (),
        *,
        restored: bool = False,
    ) -> ObjectVersion:
        """See Versions."""
        if is_small(version) and not journal and not restored:
            with suppress(NotSmall):
                return await self.small.put(bucket, version, guard)
        return await self.store.change(
            bucket, version.key, lambda place: self.put(place, bucket, version, guard, journal, restored=restored)
        )

    def put(
        self,
        place: KeyPlace,
        bucket: Bucket,
        version: ObjectVersion,
        guard: Guard,
        journal: Sequence[Entry],
        content: str = "",
        *,
        restored: bool = False,
    ) -> ObjectVersion:
        """Put a version, with the key's lock held; a completed upload's comes with its content."""
        current = self.current(place, bucket)
        replaced = self._replaced(place, bucket, version.version_id, current)
        guard(current, replaced)
        if restored:
            check_place(bucket, version, self._standing(place, bucket))
        now = microseconds(version.modified) if restored else time.time_ns() // 1000
        stored = numbered(version, content, current, replaced, now, restored=restored)
        waiting = self._claim(place, stored)
        with self.store.indexed(place, bucket) as indexed, self.telling(place, replaced, stored, journal):
            if replaced is not None:
                self._condemn_bytes(place, replaced)
            path = place.sidecar(stored.version_id)
            self.store.log.replace(path, dump_version(stored), before=indexed.begin)
            indexed.settlement.put = stored
        if waiting is not None:
            forgive(waiting)
        return replace(stored, noncurrent=self._noncurrent(place, bucket, stored)) if restored else stored

    @staticmethod
    def _standing(place: KeyPlace, bucket: Bucket) -> Iterator[tuple[str, int]]:
        """Id and sequence of each version of a key; of those that the store named, the names tell it."""
        for version_id in place.version_ids():
            if version_id != NULL_VERSION:
                yield version_id, int(version_id[:16], 16)
            elif (null := read_version(place.sidecar(version_id), bucket.name)) is not None:
                yield version_id, null.sequence

    def current(self, place: KeyPlace, bucket: Bucket, read: Read = read_version) -> ObjectVersion | None:
        """The newest version of a key."""
        if not bucket.versioning:
            return read(place.sidecar(NULL_VERSION), bucket.name)
        while True:
            ids = place.version_ids()
            # Ids that the store made begin with their sequence: the newest is the last by name. Null's is inside.
            made = max((version_id for version_id in ids if version_id != NULL_VERSION), default=None)
            candidates = [made] if made is not None else []
            if NULL_VERSION in ids:
                candidates.append(NULL_VERSION)
            found = [read(place.sidecar(version_id), bucket.name) for version_id in candidates]
            versions = [version for version in found if version is not None]
            # Who reads without the lock may find that the newest was deleted meanwhile: then another one is the newest.
            if len(versions) == len(candidates):
                return max(versions, key=lambda version: version.sequence, default=None)

    def _replaced(
        self, place: KeyPlace, bucket: Bucket, version_id: str, current: ObjectVersion | None
    ) -> ObjectVersion | None:
        if version_id == NEW_VERSION:
            return None
        if current is not None and current.version_id == version_id:
            return current
        found = read_version(place.sidecar(version_id), bucket.name) if bucket.versioning else None
        return found and replace(found, noncurrent=self._noncurrent(place, bucket, found))

    @staticmethod
    def _claim(place: KeyPlace, version: ObjectVersion) -> str | None:
        """The ledger's entry of stored bytes, to be removed once they are owned. Raises ServiceUnavailable."""
        if version.body is None or version.body.blob.inline is not None:
            return None
        entry = ledger_file(place.folder, version.body.blob.id)
        if not os.path.exists(entry):
            raise ServiceUnavailable("The bytes took too long to be stored and were collected. Send them again.")
        return entry

    def _condemn_bytes(self, place: KeyPlace, version: ObjectVersion) -> None:
        """Let the collector have a version's bytes, unless its sidecar is found to name them still."""
        if version.parts:
            # A crash may have left its upload as if it were open: made up for as long as the version tells of it.
            complete_left(self.store, place, version)
        if version.parts or (version.body is not None and version.body.blob.inline is None):
            condemn(self.store, place, version.content)

    async def get_version(self, bucket: Bucket, key: str, version_id: str | None = None) -> ObjectVersion:
        """See Versions. Read on the event loop: small files, warm as a rule."""
        self.store.check(bucket)
        place, read = self.store.place(bucket, key), self.store.known.read
        if version_id is None:
            version = self.current(place, bucket, read)
            if version is None:
                raise NoSuchKey(Key=key)
            return version
        if version_id != NULL_VERSION and not is_made(version_id):
            raise NoSuchVersion(Key=key, VersionId=version_id)
        version = read(place.sidecar(version_id), bucket.name)
        if version is None:
            raise NoSuchVersion(Key=key, VersionId=version_id)
        return replace(version, noncurrent=self._noncurrent(place, bucket, version))

    def _noncurrent(self, place: KeyPlace, bucket: Bucket, version: ObjectVersion) -> datetime | None:
        """When a version stopped being current: when the next newer one was made."""
        if not bucket.versioning:
            return None
        made = (name for name in place.version_ids() if is_made(name) and int(name[:16], 16) > version.sequence)
        next_made = min(made, default=None)
        found = [None if next_made is None else read_version(place.sidecar(next_made), bucket.name)]
        if version.version_id != NULL_VERSION:
            found.append(read_version(place.sidecar(NULL_VERSION), bucket.name))
        newer = [other for other in found if other is not None and other.sequence > version.sequence]
        return min(newer, key=lambda other: other.sequence).modified if newer else None

    async def update_version(
        self,
        bucket: Bucket,
        key: str,
        version_id: str | None,
        change: Change[ObjectVersion],
        journal: Sequence[Entry] = (),
    ) -> ObjectVersion:
        """See Versions."""

        def update(place: KeyPlace) -> ObjectVersion:
            if version_id is None:
                old = self.current(place, bucket)
                missing: NoSuchKey | NoSuchVersion = NoSuchKey(Key=key)
            else:
                known = version_id == NULL_VERSION or is_made(version_id)
                old = read_version(place.sidecar(version_id), bucket.name) if known else None
                old = old and replace(old, noncurrent=self._noncurrent(place, bucket, old))
                missing = NoSuchVersion(Key=key, VersionId=version_id)
            if old is None:
                raise missing
            new = replace(change(old), revision=old.revision + 1)
            with self.store.indexed(place, bucket) as indexed, self.telling(place, old, new, journal):
                path = place.sidecar(old.version_id)
                self.store.log.replace(path, dump_version(new), before=indexed.begin)
                indexed.settlement.put = new
            return new if version_id is None else replace(new, noncurrent=self._noncurrent(place, bucket, new))

        return await self.store.change(bucket, key, update)

    async def delete_version(
        self, bucket: Bucket, key: str, version_id: str, guard: Guard = no_guard, journal: Sequence[Entry] = ()
    ) -> ObjectVersion | None:
        """See Versions."""
        if version_id == NULL_VERSION and not journal:
            with suppress(NotSmall):
                return await self.small.delete(bucket, key, guard)

        def delete(place: KeyPlace) -> ObjectVersion | None:
            current = self.current(place, bucket)
            known = version_id == NULL_VERSION or is_made(version_id)
            old = self._replaced(place, bucket, version_id, current) if known else None
            guard(current, old)
            if old is None:
                return None
            with self.store.indexed(place, bucket) as indexed, self.telling(place, old, None, journal):
                self._condemn_bytes(place, old)
                self.store.log.remove(place.sidecar(version_id), dump_version(old), before=indexed.begin)
                indexed.settlement.gone = version_id
            return old

        return await self.store.change(bucket, key, delete)

    async def list_versions(self, bucket: Bucket, query: ListQuery) -> Page[Listed]:
        """See Versions. What a dead process left unsettled is settled on the way."""
        self.store.check(bucket)
        page, unsettled = await asyncio.wrap_future(self.store.index.page(bucket.id, query))
        if unsettled:
            self.store.threads.submit(self.store.settle_left, bucket.name, bucket.id, unsettled)
        return page
