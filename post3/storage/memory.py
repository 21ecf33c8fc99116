"""Keeping in memory: the reference backend, whose behaviour the others are held to.

Plain dictionaries, obviously right rather than fast. No method awaits between looking and changing, so each change is
one step of the event loop: that is all there is to its atomicity. Nothing outlives the process.
"""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Final

from post3._chunker import PIECE_SIZE
from post3.errors import (
    BucketAlreadyExists,
    BucketNotEmpty,
    InternalError,
    InvalidPart,
    NoSuchBucket,
    NoSuchKey,
    NoSuchRecord,
    NoSuchUpload,
    NoSuchVersion,
    ServiceUnavailable,
    StaleBucket,
)
from post3.model.bucket import Bucket
from post3.model.clock import Clock, system_clock
from post3.model.listing import Listed, ListQuery, Page, collapse
from post3.model.object import NEW_VERSION, Blob, Block, Guard, ObjectVersion, Part, no_guard
from post3.model.record import Entry, Record
from post3.model.upload import Upload
from post3.storage.listed import listed
from post3.storage.pieces import CRC_SIZE, check_pieces, widened
from post3.storage.places import check_place
from post3.storage.protocol import About, Backend, Change, Collected

INLINE: Final = 16 * 1024
"""A body of so many bytes stays with its owner, as in the stores that write to disks."""
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
COMPLETED_ARE_KNOWN_FOR: Final = timedelta(days=7)


@dataclass(slots=True)
class _Held:
    """A bucket and what is in it."""

    bucket: Bucket
    versions: dict[str, dict[str, ObjectVersion]] = field(default_factory=dict)
    """By key, then by version id; a key without versions is not there."""
    uploads: dict[tuple[str, str], Upload] = field(default_factory=dict)
    """By key and upload id; completed ones too."""

    def current_and(self, key: str, version_id: str) -> tuple[ObjectVersion | None, ObjectVersion | None]:
        """What a guard is asked about: the key's current version, and the one with this id."""
        versions = self.versions.get(key, {})
        return next(iter(_newest_first(versions)), None), versions.get(version_id)

    def version(self, key: str, version_id: str | None) -> ObjectVersion:
        """The named version, or the current one."""
        current, named = self.current_and(key, version_id or "")
        if version_id is not None and named is None:
            raise NoSuchVersion(Key=key, VersionId=version_id)
        found = current if version_id is None else named
        if found is None:
            raise NoSuchKey(Key=key)
        return found

    def check_place(self, version: ObjectVersion) -> None:
        """Raise unless a version may be restored where it says."""
        standing = self.versions.get(version.key, {}).values()
        check_place(self.bucket, version, [(other.version_id, other.sequence) for other in standing])

    def neighbours(self, version: ObjectVersion) -> tuple[ObjectVersion | None, ObjectVersion | None]:
        """The next newer and the next older version of the key, of other ids."""
        others = [other for id, other in self.versions.get(version.key, {}).items() if id != version.version_id]
        newer = [other for other in others if other.sequence > version.sequence]
        older = [other for other in others if other.sequence < version.sequence]
        return (
            min(newer, key=lambda other: other.sequence, default=None),
            max(older, key=lambda other: other.sequence, default=None),
        )

    def listed(self, query: ListQuery) -> Iterator[Listed]:
        """By key, newest first within a key; only what the query wants to see of each key."""
        for key in sorted(self.versions):
            if key < query.after or not key.startswith(query.prefix):
                continue
            newest, *older = _newest_first(self.versions[key])
            if query.all_versions or not newest.is_delete_marker:
                yield listed(newest, is_latest=True)
            if query.all_versions:
                yield from (listed(version, is_latest=False) for version in older)

    def upload(self, key: str, upload_id: str) -> Upload:
        """The upload, open or completed."""
        if (key, upload_id) not in self.uploads:
            raise NoSuchUpload(UploadId=upload_id)
        return self.uploads[key, upload_id]

    def open_upload(self, upload: Upload) -> Upload:
        """The upload as it is now, if it still is one."""
        known = self.upload(upload.key, upload.upload_id)
        if known.version_id is not None:
            raise NoSuchUpload(UploadId=upload.upload_id)
        return known

    def finished(self, upload: Upload) -> ObjectVersion:
        """The object that a completed upload became, unless another took its place."""
        made = self.versions.get(upload.key, {}).get(upload.version_id or "")
        if made is None or made.content != upload.content:
            raise NoSuchUpload(UploadId=upload.upload_id)
        return made


@dataclass(slots=True)
class _Waiting:
    """A journal's entry and when it is due."""

    entry: Entry
    due: datetime


class MemoryBackend(Backend):
    """A store that forgets."""

    def __init__(self, *, clock: Clock = system_clock) -> None:
        self._clock = clock
        self._buckets: dict[str, _Held] = {}
        self._blobs: dict[str, tuple[Block, ...]] = {}
        self._parts: dict[str, dict[int, Part]] = {}
        """By the content of an upload, which becomes that of its object: completing moves nothing."""
        self._holds: Counter[str] = Counter()
        """Blobs, and contents with parts, that somebody goes on reading, and how many do."""
        self._ledger: dict[str, datetime] = {}
        """Blobs, and contents with parts, that nothing owns; and since when."""
        self._records: dict[tuple[str, str], Record] = {}
        self._journal: dict[str, _Waiting] = {}

    # Buckets

    async def create_bucket(self, bucket: Bucket) -> Bucket:
        if bucket.name in self._buckets:
            raise BucketAlreadyExists(BucketName=bucket.name)
        created = replace(bucket, id=_new_id(), revision=1)
        self._buckets[bucket.name] = _Held(created)
        return created

    async def get_bucket(self, name: str) -> Bucket:
        return self._named(name).bucket

    async def update_bucket(self, name: str, change: Change[Bucket]) -> Bucket:
        held = self._named(name)
        held.bucket = replace(change(held.bucket), revision=held.bucket.revision + 1)
        return held.bucket

    async def delete_bucket(self, bucket: Bucket) -> None:
        held = self._held(bucket)
        if held.versions:
            raise BucketNotEmpty(BucketName=bucket.name)
        for upload in held.uploads.values():
            self._disown(upload.content)
        del self._buckets[bucket.name]

    async def list_buckets(
        self, owner: str | None = None, prefix: str = "", after: str = "", limit: int = 1000
    ) -> list[Bucket]:
        names = sorted(name for name in self._buckets if name.startswith(prefix) and name > after)
        buckets = [self._buckets[name].bucket for name in names]
        return [bucket for bucket in buckets if owner in (None, bucket.owner)][:limit]

    def _named(self, name: str) -> _Held:
        if name not in self._buckets:
            raise NoSuchBucket(BucketName=name)
        return self._buckets[name]

    def _there(self, bucket: Bucket) -> _Held:
        """What is in the bucket, changed or not."""
        held = self._named(bucket.name)
        if held.bucket.id != bucket.id:
            raise NoSuchBucket(BucketName=bucket.name)
        return held

    def _held(self, bucket: Bucket) -> _Held:
        """What is in the bucket, unless it is not as the caller loaded it."""
        held = self._there(bucket)
        if held.bucket.revision != bucket.revision:
            raise StaleBucket(BucketName=bucket.name)
        return held

    # Blobs

    async def write_blob(self, bucket: Bucket, key: str, blocks: AsyncIterator[Block]) -> Blob:
        del key  # a process that ends forgets everything; nothing has to be found again
        self._there(bucket)
        written = tuple([block async for block in blocks])
        size = sum(len(block.data) for block in written)
        if size > INLINE:
            return self._keep(written, size)
        inline = Block(b"".join(block.data for block in written), b"".join(block.crcs for block in written))
        return Blob(_new_id(), size, inline)

    async def read_blob(self, bucket: Bucket, blob: Blob, start: int, stop: int) -> AsyncIterator[bytes]:
        # From here on the reader itself holds the blocks: whoever frees them does not disturb it.
        blocks = self._blocks(blob)
        end = 0
        for block in blocks:
            begin, end = end, end + len(block.data)
            if max(start, begin) < min(stop, end):
                yield _verified(blob, block, max(start - begin, 0), min(stop - begin, len(block.data)))

    @asynccontextmanager
    async def hold(self, bucket: Bucket, version: ObjectVersion) -> AsyncIterator[None]:
        name = _bytes_of(version)
        self._holds[name] += 1
        try:
            yield
        finally:
            self._holds -= Counter([name])

    async def copy_blob(self, bucket: Bucket, blob: Blob, target: Bucket, key: str) -> Blob:
        del key
        self._held(bucket)
        self._held(target)
        blocks = self._blocks(blob)
        return replace(blob, id=_new_id()) if blob.inline else self._keep(blocks, blob.size)

    async def discard_blob(self, bucket: Bucket, blob: Blob) -> None:
        if blob.id in self._ledger:
            self._free(blob.id)

    async def collect_garbage(self, older_than: timedelta) -> Collected:
        now = self._clock()
        due = [name for name, since in self._ledger.items() if now - since >= older_than and name not in self._holds]
        freed = [size for name in due for size in self._free(name)]
        return Collected(blobs=len(freed), size=sum(freed), uploads=self._forget_completed(now))

    def _blocks(self, blob: Blob) -> tuple[Block, ...]:
        if blob.inline is not None:
            return (blob.inline,)
        if blob.id not in self._blobs:
            raise InternalError("Stored bytes are gone.")
        return self._blobs[blob.id]

    def _keep(self, blocks: tuple[Block, ...], size: int) -> Blob:
        blob = Blob(_new_id(), size)
        self._blobs[blob.id] = blocks
        self._disown(blob.id)
        return blob

    def _claim(self, blob: Blob) -> None:
        """Take bytes out of the ledger, for an owner."""
        if blob.inline is None and self._ledger.pop(blob.id, None) is None:
            raise ServiceUnavailable("The bytes waited too long for their owner and were collected.")

    def _disown(self, name: str) -> None:
        """Enter a blob, or a content with parts, into the ledger. Inline bytes leave nothing behind."""
        if name in self._blobs or name in self._parts:
            self._ledger[name] = self._clock()

    def _free(self, name: str) -> list[int]:
        """Forget a blob, or a content with all its parts, and tell the sizes."""
        del self._ledger[name]
        blobs = [name, *(part.blob.id for part in self._parts.pop(name, {}).values())]
        freed = [self._blobs.pop(blob) for blob in blobs if blob in self._blobs]
        return [sum(len(block.data) for block in blocks) for blocks in freed]

    # Versions

    async def put_version(
        self,
        bucket: Bucket,
        version: ObjectVersion,
        guard: Guard = no_guard,
        journal: Sequence[Entry] = (),
        *,
        restored: bool = False,
    ) -> ObjectVersion:
        held = self._held(bucket)
        guard(*held.current_and(version.key, version.version_id))
        if restored:
            held.check_place(version)
        if version.body is not None:
            self._claim(version.body.blob)
        return self._keep_version(held, replace(version, content=_new_id()), journal, restored=restored)

    async def get_version(self, bucket: Bucket, key: str, version_id: str | None = None) -> ObjectVersion:
        return self._held(bucket).version(key, version_id)

    async def update_version(
        self,
        bucket: Bucket,
        key: str,
        version_id: str | None,
        change: Change[ObjectVersion],
        journal: Sequence[Entry] = (),
    ) -> ObjectVersion:
        held = self._held(bucket)
        old = held.version(key, version_id)
        updated = replace(change(old), revision=old.revision + 1)
        held.versions[key][old.version_id] = updated
        self._note(journal)
        return updated

    async def delete_version(
        self, bucket: Bucket, key: str, version_id: str, guard: Guard = no_guard, journal: Sequence[Entry] = ()
    ) -> ObjectVersion | None:
        held = self._held(bucket)
        current, doomed = held.current_and(key, version_id)
        guard(current, doomed)
        if doomed is None:
            return None
        versions = held.versions[key]
        del versions[version_id]
        if not versions:
            del held.versions[key]
        elif doomed is current:
            heir = _newest_first(versions)[0]
            versions[heir.version_id] = replace(heir, noncurrent=None)
        self._disown(_bytes_of(doomed))
        self._note(journal)
        return doomed

    async def list_versions(self, bucket: Bucket, query: ListQuery) -> Page[Listed]:
        return collapse(self._held(bucket).listed(query), query)

    def _keep_version(
        self, held: _Held, version: ObjectVersion, journal: Sequence[Entry], *, restored: bool
    ) -> ObjectVersion:
        return self._restore(held, version, journal) if restored else self._make_current(held, version, journal)

    def _restore(self, held: _Held, version: ObjectVersion, journal: Sequence[Entry]) -> ObjectVersion:
        replaced = held.versions.get(version.key, {}).get(version.version_id)
        newer, older = held.neighbours(version)
        stored = replace(
            version,
            revision=replaced.revision + 1 if replaced else 1,
            noncurrent=newer.modified if newer else None,
        )
        versions = held.versions.setdefault(version.key, {})
        if older is not None:
            versions[older.version_id] = replace(older, noncurrent=stored.modified)
        versions[stored.version_id] = stored
        if replaced is not None:
            self._disown(_bytes_of(replaced))
        self._note(journal)
        return stored

    def _make_current(self, held: _Held, version: ObjectVersion, journal: Sequence[Entry]) -> ObjectVersion:
        current, replaced = held.current_and(version.key, version.version_id)
        now = self._clock()
        sequence = max(_microseconds(now), current.sequence + 1 if current else 0)
        stored = replace(
            version,
            version_id=version.version_id if version.version_id != NEW_VERSION else f"{sequence:016x}{_new_id()[:16]}",
            modified=now,
            sequence=sequence,
            revision=replaced.revision + 1 if replaced else 1,
            noncurrent=None,
        )
        versions = held.versions.setdefault(version.key, {})
        if current is not None:
            versions[current.version_id] = replace(current, noncurrent=now)
        versions[stored.version_id] = stored
        if replaced is not None:
            self._disown(_bytes_of(replaced))
        self._note(journal)
        return stored

    # Uploads

    async def create_upload(self, bucket: Bucket, upload: Upload) -> Upload:
        held = self._held(bucket)
        created = replace(upload, content=_new_id(), initiated=self._clock(), version_id=None)
        held.uploads[upload.key, upload.upload_id] = created
        self._parts[created.content] = {}
        return created

    async def get_upload(self, bucket: Bucket, key: str, upload_id: str) -> Upload:
        return self._held(bucket).upload(key, upload_id)

    async def list_uploads(self, bucket: Bucket, query: ListQuery) -> Page[Upload]:
        uploads = self._held(bucket).uploads
        return collapse(
            (
                uploads[key, upload_id]
                for key, upload_id in sorted(uploads)
                if key.startswith(query.prefix) and uploads[key, upload_id].version_id is None
            ),
            query,
        )

    async def put_part(self, bucket: Bucket, upload: Upload, part: Part) -> Part:
        parts = self._parts[self._held(bucket).open_upload(upload).content]
        self._claim(part.blob)
        if part.number in parts:
            self._disown(parts[part.number].blob.id)
        parts[part.number] = replace(part, modified=self._clock(), start=0)
        return parts[part.number]

    async def list_parts(
        self,
        bucket: Bucket,
        owner: Upload | ObjectVersion,
        after: int = 0,
        limit: int = 10_000,
        start: int | None = None,
        stop: int | None = None,
    ) -> list[Part]:
        held = self._held(bucket)
        if isinstance(owner, Upload):
            parts = list(self._parts[held.open_upload(owner).content].values())
        else:
            parts = [part for part in self._parts_of(owner) if part.is_under(start, stop)]
        return sorted((part for part in parts if part.number > after), key=lambda part: part.number)[:limit]

    async def finish_upload(
        self,
        bucket: Bucket,
        upload: Upload,
        version: ObjectVersion,
        parts: Sequence[Part],
        guard: Guard = no_guard,
        journal: Sequence[Entry] = (),
        *,
        restored: bool = False,
    ) -> ObjectVersion:
        held = self._held(bucket)
        known = held.upload(upload.key, upload.upload_id)
        if known.version_id is not None:
            return held.finished(known)
        guard(*held.current_and(version.key, version.version_id))
        if restored:
            held.check_place(version)
        there = self._parts[known.content]
        for part in parts:
            if part.number not in there or there[part.number].blob.id != part.blob.id:
                raise InvalidPart(PartNumber=part.number)
        chosen = _one_after_another(there[part.number] for part in parts)
        for part in there.values():
            if part.number not in chosen:
                self._disown(part.blob.id)
        self._parts[known.content] = chosen
        made = replace(version, content=known.content, body=None, parts=len(chosen))
        stored = self._keep_version(held, made, journal, restored=restored)
        held.uploads[known.key, known.upload_id] = replace(known, version_id=stored.version_id)
        return stored

    async def abort_upload(self, bucket: Bucket, upload: Upload) -> None:
        held = self._held(bucket)
        known = held.open_upload(upload)
        del held.uploads[known.key, known.upload_id]
        self._disown(known.content)

    def _parts_of(self, version: ObjectVersion) -> list[Part]:
        if version.body is not None or not version.parts:
            return [version.body] if version.body else []
        if version.content not in self._parts:
            raise NoSuchVersion(Key=version.key, VersionId=version.version_id)
        return list(self._parts[version.content].values())

    def _forget_completed(self, now: datetime) -> int:
        forgotten = 0
        for held in self._buckets.values():
            for at, upload in list(held.uploads.items()):
                if upload.version_id is not None and now - upload.initiated > COMPLETED_ARE_KNOWN_FOR:
                    del held.uploads[at]
                    forgotten += 1
        return forgotten

    # Records

    async def get_record(self, kind: str, id: str) -> Record:
        if (kind, id) not in self._records:
            raise NoSuchRecord
        return self._records[kind, id]

    async def update_record(self, kind: str, id: str, change: Change[Record | None]) -> Record | None:
        old = self._records.get((kind, id))
        new = change(old)
        if new is None:
            self._records.pop((kind, id), None)
            return None
        revision = old.revision + 1 if old else 1
        stored = replace(new, kind=kind, id=id, revision=revision, modified=self._clock())
        self._records[kind, id] = stored
        return stored

    async def list_records(self, kind: str, after: str = "", limit: int = 1000) -> list[Record]:
        ids = sorted(id for of, id in self._records if of == kind and id > after)
        return [self._records[kind, id] for id in ids[:limit]]

    # Journal

    async def append(self, bucket: Bucket, entries: Sequence[Entry]) -> None:
        self._held(bucket)
        self._note(entries)

    async def take(self, stream: str, limit: int, lease: timedelta) -> list[Entry]:
        now = self._clock()
        due = [told for told in self._journal.values() if told.entry.stream == stream and told.due <= now]
        taken = {told.entry.id for told in sorted(due, key=lambda told: told.due)[:limit]}
        for told in due:
            if told.entry.id in taken:
                told.due = now + lease
        return [told.entry for told in due if told.entry.id in taken]

    async def settle(self, entries: Sequence[Entry]) -> None:
        for entry in entries:
            self._journal.pop(entry.id, None)

    def _note(self, entries: Sequence[Entry]) -> None:
        for entry in entries:
            noted = replace(entry, id=_new_id())
            self._journal[noted.id] = _Waiting(noted, self._clock())

    # The store itself

    async def open(self) -> None:
        """Nothing to get ready."""

    async def close(self) -> None:
        """Nothing to give back."""

    async def ping(self) -> None:
        """Memory serves as long as the process does."""

    async def about(self) -> About:
        """See Backend."""
        return About("memory", len(self._ledger))


def _verified(blob: Blob, block: Block, start: int, stop: int) -> bytes:
    """The block's bytes from start to stop, after all the pieces that they lie in were compared with their CRCs."""
    begin, end = widened(start, stop, len(block.data))
    pieces = block.data[begin:end]
    check_pieces(pieces, block.crcs[begin // PIECE_SIZE * CRC_SIZE : -(-end // PIECE_SIZE) * CRC_SIZE], blob.id)
    return pieces[start - begin : stop - begin]


def _bytes_of(version: ObjectVersion) -> str:
    """What the ledger calls the version's bytes."""
    return version.body.blob.id if version.body else version.content


def _newest_first(versions: dict[str, ObjectVersion]) -> list[ObjectVersion]:
    return sorted(versions.values(), key=lambda version: version.sequence, reverse=True)


def _one_after_another(parts: Iterable[Part]) -> dict[int, Part]:
    """The parts by number, each starting where the one before it ends."""
    placed: dict[int, Part] = {}
    start = 0
    for part in parts:
        placed[part.number] = replace(part, start=start)
        start += part.size
    return placed


def _new_id() -> str:
    return secrets.token_hex(16)


def _microseconds(time: datetime) -> int:
    return (time - EPOCH) // timedelta(microseconds=1)
