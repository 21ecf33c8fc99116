"""Multipart uploads: a folder each, with the upload's record and a sidecar for every part.

Completing moves no byte. The parts' list is written beside the data under the object's content id, then the object's
sidecar is renamed into place: from that rename on the bytes are the object's. Marking the upload completed and
removing the parts' sidecars comes after, and is made up for where a crash prevented it: an upload is completed when a
version of its key has its content.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache

from post3.errors import InvalidPart, NoSuchUpload, ServiceUnavailable
from post3.model.bucket import Bucket
from post3.model.listing import ListQuery, Page, collapse
from post3.model.object import Guard, ObjectVersion, Part, no_guard
from post3.model.record import Entry
from post3.model.upload import Upload
from post3.storage.filesystem.blobs import condemn
from post3.storage.filesystem.layout import KeyPlace, content_id, ledger_file, parts_file
from post3.storage.filesystem.sidecar import (
    dump,
    dump_part,
    dump_upload,
    inline_body,
    load,
    load_part,
    load_upload,
    read_file,
)
from post3.storage.filesystem.store import Store, logger
from post3.storage.filesystem.versions import FilesystemVersions

RECORD = "upload.json"


class FilesystemUploads(FilesystemVersions):
    """The role Uploads. Completing one puts a version, so it stands on that role."""

    async def create_upload(self, bucket: Bucket, upload: Upload) -> Upload:
        """See Uploads."""

        def create(place: KeyPlace) -> Upload:
            made = replace(upload, content=content_id(place, secrets.token_hex(14)), initiated=self.now())
            folder = place.upload(upload.upload_id)
            os.makedirs(folder, 0o700, exist_ok=True)
            self.store.disk.replace(f"{place.folder}/new", f"{folder}/{RECORD}", dump_upload(made))
            self.store.disk.sync_folder(os.path.dirname(folder))
            return made

        return await self.store.change(bucket, upload.key, create)

    async def get_upload(self, bucket: Bucket, key: str, upload_id: str) -> Upload:
        """See Uploads."""
        self.store.check(bucket)
        return read_upload(self.store.place(bucket, key), upload_id, bucket.name)

    async def list_uploads(self, bucket: Bucket, query: ListQuery) -> Page[Upload]:
        """See Uploads. They are few, and read one by one."""
        self.store.check(bucket)
        return await self.store.run(self._list_uploads, bucket, query)

    def _list_uploads(self, bucket: Bucket, query: ListQuery) -> Page[Upload]:
        parent = f"{self.store.folder(bucket)}/uploads"
        records = (read_file(f"{parent}/{name}/{RECORD}") for name in os.listdir(parent))
        uploads = [load_upload(record, bucket.name) for record in records if record]
        shown = [one for one in uploads if one.version_id is None and one.key.startswith(query.prefix)]
        return collapse(sorted(shown, key=lambda upload: (upload.key, upload.upload_id)), query)

    async def put_part(self, bucket: Bucket, upload: Upload, part: Part) -> Part:
        """See Uploads."""

        def put(place: KeyPlace) -> Part:
            open_upload(place, upload, bucket.name)
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
            self.store.disk.replace(f"{place.folder}/new", path, dump(dump_part(stored)), inline_body(stored))
            if entry is not None:
                self.store.disk.remove(entry)
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
            return await self.store.run(parts_of_upload, place, owner, bucket.name, after, limit)
        if owner.body is not None:
            parts: Sequence[Part] = (owner.body,)
        else:
            parts = await self.store.run(read_parts, self.store.folder(bucket), owner.content)
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
    ) -> ObjectVersion:
        """See Uploads."""

        def finish(place: KeyPlace) -> ObjectVersion:
            known = read_upload(place, upload.upload_id, bucket.name)
            done = self._completed(place, bucket, known)
            if done is not None:
                return done
            if known.version_id is not None:
                raise NoSuchUpload(UploadId=upload.upload_id)
            chosen = _chosen(place, known, parts)
            condemn(self.store, place, known.content)
            write_parts(self.store, place, known.content, chosen)
            whole = replace(version, parts=len(chosen), body=None)
            stored = self.put(place, bucket, whole, guard, journal, content=known.content)
            self.store.disk.remove(ledger_file(place.folder, known.content))
            self._complete(place, known, stored, chosen)
            return stored

        return await self.store.change(bucket, upload.key, finish)

    def _completed(self, place: KeyPlace, bucket: Bucket, upload: Upload) -> ObjectVersion | None:
        """The object that an upload became; also where a crash came before the upload was marked."""
        for version in self.store.versions(place, bucket.name):
            if version.content == upload.content:
                return replace(version, noncurrent=self._noncurrent(place, bucket, version))
        return None

    def _complete(self, place: KeyPlace, upload: Upload, version: ObjectVersion, chosen: Sequence[Part]) -> None:
        """Mark an upload completed, and drop its parts' sidecars; the bytes of those not chosen go to the ledger.

        The object is there already: a failure here is logged, and made up for later.
        """
        try:
            folder = place.upload(upload.upload_id)
            owned = {part.blob.id for part in chosen}
            names = part_names(folder)
            for name in names:
                part = read_part(f"{folder}/{name}")
                if part is not None and part.blob.inline is None and part.blob.id not in owned:
                    condemn(self.store, place, part.blob.id)
            record = dump_upload(replace(upload, version_id=version.version_id))
            self.store.disk.replace(f"{place.folder}/new", f"{folder}/{RECORD}", record)
            for name in names:
                os.unlink(f"{folder}/{name}")
        except OSError:
            logger.exception("a completed upload could not be put away")

    async def abort_upload(self, bucket: Bucket, upload: Upload) -> None:
        """See Uploads."""

        def abort(place: KeyPlace) -> None:
            known = open_upload(place, upload, bucket.name)
            done = self._completed(place, bucket, known)
            if done is not None:
                self._complete(place, known, done, read_parts(place.folder, known.content))
                raise NoSuchUpload(UploadId=upload.upload_id)
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


def read_upload(place: KeyPlace, upload_id: str, bucket: str) -> Upload:
    """An upload's record. Raises NoSuchUpload, also for an id that never was one."""
    content = None
    if upload_id.isascii() and upload_id.isalnum() and len(upload_id) <= 64:
        content = read_file(f"{place.upload(upload_id)}/{RECORD}")
    if content is None:
        raise NoSuchUpload(UploadId=upload_id)
    return load_upload(content, bucket)


def open_upload(place: KeyPlace, upload: Upload, bucket: str) -> Upload:
    """The same, of an upload that is not completed. Raises NoSuchUpload."""
    known = read_upload(place, upload.upload_id, bucket)
    if known.version_id is not None:
        raise NoSuchUpload(UploadId=upload.upload_id)
    return known


def part_file(place: KeyPlace, upload: Upload, number: int) -> str:
    """The sidecar of one part."""
    return f"{place.upload(upload.upload_id)}/{number:05d}.json"


def part_names(folder: str) -> list[str]:
    """The names of an upload's part sidecars, in order."""
    return sorted(name for name in os.listdir(folder) if name != RECORD)


def read_part(path: str) -> Part | None:
    """The part whose sidecar this is; None when there is none."""
    content = read_file(path)
    return None if content is None else load_part(*load(content))


def parts_of_upload(place: KeyPlace, upload: Upload, bucket: str, after: int, limit: int) -> list[Part]:
    """The parts that have arrived, above a number. Raises NoSuchUpload."""
    open_upload(place, upload, bucket)
    folder = place.upload(upload.upload_id)
    try:
        names = [name for name in part_names(folder) if int(name[:5]) > after]
    except FileNotFoundError:
        raise NoSuchUpload(UploadId=upload.upload_id) from None
    parts = [read_part(f"{folder}/{name}") for name in names[:limit]]
    open_upload(place, upload, bucket)  # it may have ended meanwhile, and its parts been taken away
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


def write_parts(store: Store, place: KeyPlace, content: str, parts: Sequence[Part]) -> None:
    """Write the list of an object's parts, small bodies with it."""
    documents = [dump_part(part, embedded=True) for part in parts]
    store.disk.replace(f"{place.folder}/new", parts_file(place.folder, content), dump({"parts": documents}))


@lru_cache(maxsize=8)
def _parse_parts(path: str, modified: int) -> tuple[Part, ...]:
    del modified  # it only tells one file from the next of that name
    content = read_file(path)
    return tuple(load_part(document) for document in json.loads(content or b'{"parts": []}')["parts"])


def read_parts(folder: str, content: str) -> tuple[Part, ...]:
    """The parts of an object by its content id; the lists read last are kept, as ranges come one after the other."""
    path = parts_file(folder, content)
    try:
        return _parse_parts(path, os.stat(path).st_mtime_ns)
    except FileNotFoundError:
        return ()


def remove_tree(path: str) -> None:
    """Remove a folder with all that is in it."""
    shutil.rmtree(path, ignore_errors=True)
