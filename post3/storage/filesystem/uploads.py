"""Multipart uploads: a folder each, with the upload's record and a sidecar for every part.

Completing moves no byte. The parts' list is written beside the data under the object's content id, then the object's
sidecar is renamed into place: from that rename on the bytes are the object's. Marking the upload completed and
removing the parts' sidecars comes after, and is made up for where a crash prevented it: an upload is completed when a
version of its key has its content.
"""

from __future__ import annotations

import os
import secrets
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import replace

from post3.errors import InvalidPart, NoSuchBucket, NoSuchUpload, ServiceUnavailable
from post3.model.bucket import Bucket
from post3.model.listing import ListQuery, Page, collapse
from post3.model.object import Guard, ObjectVersion, Part, no_guard
from post3.model.record import Entry
from post3.model.upload import Upload
from post3.storage.filesystem.blobs import condemn, forgive
from post3.storage.filesystem.layout import KeyPlace, content_id, key_place, ledger_file
from post3.storage.filesystem.parts import (
    RECORD,
    complete,
    complete_left,
    part_file,
    part_names,
    parts_of_version,
    read_part,
    read_upload,
    version_of_upload,
    write_parts,
)
from post3.storage.filesystem.sidecar import dump, dump_part, dump_upload, inline_body, load_upload, read_file
from post3.storage.filesystem.store import Store
from post3.storage.filesystem.versions import FilesystemVersions


class FilesystemUploads(FilesystemVersions):
    """The role Uploads. Completing one puts a version, so it stands on that role."""

    async def create_upload(self, bucket: Bucket, upload: Upload) -> Upload:
        """See Uploads."""

        def create(place: KeyPlace) -> Upload:
            made = replace(upload, content=content_id(place, secrets.token_hex(14)), initiated=self.now())
            folder = place.upload(upload.upload_id)
            os.makedirs(folder, 0o700, exist_ok=True)
            self.store.disk.replace(f"{folder}/{RECORD}", dump_upload(made))
            self.store.disk.sync_folder(os.path.dirname(folder))
            return made

        return await self.store.change(bucket, upload.key, create)

    async def get_upload(self, bucket: Bucket, key: str, upload_id: str) -> Upload:
        """See Uploads."""
        self.store.check(bucket)
        return read_upload(self.store, self.store.place(bucket, key), upload_id, bucket.name)

    async def list_uploads(self, bucket: Bucket, query: ListQuery) -> Page[Upload]:
        """See Uploads. They are few, and read one by one."""
        self.store.check(bucket)
        try:
            return await self.store.run(self._list_uploads, bucket, query)
        except FileNotFoundError:
            raise NoSuchBucket(BucketName=bucket.name) from None

    def _list_uploads(self, bucket: Bucket, query: ListQuery) -> Page[Upload]:
        folder = self.store.folder(bucket)
        records = (read_file(f"{folder}/uploads/{name}/{RECORD}") for name in os.listdir(f"{folder}/uploads"))
        uploads = [load_upload(record, bucket.name) for record in records if record]
        wanted = [one for one in uploads if one.version_id is None and one.key.startswith(query.prefix)]
        # Completed ones whose record does not say so yet are left out.
        shown = [one for one in wanted if version_of_upload(self.store, key_place(folder, one.key), one) is None]
        shown.sort(key=lambda upload: (upload.key, upload.upload_id))
        return collapse(shown, query)

    async def put_part(self, bucket: Bucket, upload: Upload, part: Part) -> Part:
        """See Uploads."""

        def put(place: KeyPlace) -> Part:
            open_upload(self.store, place, upload, bucket.name)
            entry = None
            if part.blob.inline is None:
                entry = ledger_file(place.folder, part.blob.id)
                if not os.path.exists(entry):
                    raise ServiceUnavailable(
                        "The bytes took too long to be stored and were collected. Send them again."
                    )
            path = part_file(place, upload, part.number)
            old = read_part(path)
            if old is not None and old.blob.inline is None:
                condemn(self.store, place, old.blob.id)
            stored = replace(part, modified=self.now(), start=0)
            self.store.disk.replace(path, dump(dump_part(stored)), inline_body(stored))
            if entry is not None:
                forgive(entry)
            return stored

        return await self.store.change(bucket, upload.key, put)

    async def list_parts(
        self,
        bucket: Bucket,
        owner: Upload | ObjectVersion,
        after: int = 0,
        limit: int = 10_000,
        start: int | None = None,
        stop: int | None = None,
    ) -> list[Part]:
        """See Uploads."""
        self.store.check(bucket)
        if isinstance(owner, Upload):
            place = self.store.place(bucket, owner.key)
            return await self.store.run(parts_of_upload, self.store, place, owner, bucket.name, after, limit)
        if owner.body is not None:
            parts: Sequence[Part] = (owner.body,)
        else:
            parts = await self.store.run(parts_of_version, self.store.folder(bucket), owner)
        if start is not None or stop is not None:
            parts = _under(parts, start or 0, owner.size if stop is None else min(stop, owner.size))
        first = bisect_right(parts, after, key=lambda part: part.number)
        return list(parts[first : first + limit])

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
        """See Uploads."""

        def finish(place: KeyPlace) -> ObjectVersion:
            known = read_upload(self.store, place, upload.upload_id, bucket.name)
            done = version_of_upload(self.store, place, known)
            if done is not None:
                complete_left(self.store, place, done)
                return replace(done, noncurrent=self._noncurrent(place, bucket, done))
            if known.version_id is not None:
                raise NoSuchUpload(UploadId=upload.upload_id)
            chosen = _chosen(place, known, parts)
            condemn(self.store, place, known.content)
            write_parts(self.store, place, known.content, chosen)
            whole = replace(version, parts=len(chosen), body=None)
            stored = self.put(place, bucket, whole, guard, journal, known.content, restored=restored)
            complete(self.store, place, known, stored, chosen)
            return stored

        return await self.store.change(bucket, upload.key, finish)

    async def abort_upload(self, bucket: Bucket, upload: Upload) -> None:
        """See Uploads."""

        def abort(place: KeyPlace) -> None:
            open_upload(self.store, place, upload, bucket.name)
            folder = place.upload(upload.upload_id)
            os.utime(folder)
            self.store.disk.move(folder, f"{place.folder}/aborted/{os.path.basename(folder)}")

        await self.store.change(bucket, upload.key, abort)


def _under(parts: Sequence[Part], start: int, stop: int) -> Sequence[Part]:
    """The parts that hold an object's bytes from start to before stop."""
    if start >= stop:
        return ()
    first = bisect_right(parts, start, key=lambda part: part.start) - 1
    last = bisect_right(parts, stop - 1, key=lambda part: part.start)
    return parts[max(0, first) : last]


def open_upload(store: Store, place: KeyPlace, upload: Upload, bucket: str) -> Upload:
    """An upload's record, when it is not completed. Raises NoSuchUpload."""
    known = read_upload(store, place, upload.upload_id, bucket)
    if known.version_id is not None:
        raise NoSuchUpload(UploadId=upload.upload_id)
    return known


def parts_of_upload(store: Store, place: KeyPlace, upload: Upload, bucket: str, after: int, limit: int) -> list[Part]:
    """The parts that have arrived, above a number. Raises NoSuchUpload."""
    open_upload(store, place, upload, bucket)
    folder = place.upload(upload.upload_id)
    try:
        names = [name for name in part_names(folder) if int(name[:5]) > after]
    except FileNotFoundError:
        raise NoSuchUpload(UploadId=upload.upload_id) from None
    parts = [read_part(f"{folder}/{name}") for name in names[:limit]]
    open_upload(store, place, upload, bucket)  # it may have ended meanwhile, and its parts been taken away
    return [part for part in parts if part is not None]


def _chosen(place: KeyPlace, upload: Upload, parts: Sequence[Part]) -> list[Part]:
    """The parts with their places in the object. Raises InvalidPart for one that is no longer the upload's."""
    chosen, start = [], 0
    for part in parts:
        known = read_part(part_file(place, upload, part.number))
        if known is None or known.blob.id != part.blob.id:
            raise InvalidPart(PartNumber=part.number, ETag=part.etag)
        chosen.append(replace(known, start=start))
        start += known.size
    return chosen
