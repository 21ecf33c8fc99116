"""Multipart uploads and their parts, which become an object's without moving."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import replace

from post3.errors import InvalidPart, NoSuchUpload, NoSuchVersion, ServiceUnavailable
from post3.model.bucket import Bucket
from post3.model.listing import ListQuery, Page
from post3.model.object import Blob, Guard, ObjectVersion, Part, no_guard
from post3.model.record import Entry
from post3.model.upload import Upload
from post3.storage.postgres.blobs import COLLECTED, bring_in
from post3.storage.postgres.checks import bucket_id, check_revision, check_row, refuse
from post3.storage.postgres.connections import Row, Session
from post3.storage.postgres.failures import AgainError
from post3.storage.postgres.listing import list_uploads
from post3.storage.postgres.names import new_id
from post3.storage.postgres.records import note
from post3.storage.postgres.rows import (
    blob_id,
    load_part,
    load_upload,
    load_version,
    part_document,
    small_block,
    text,
    upload_document,
)
from post3.storage.postgres.store import Store
from post3.storage.postgres.versions import Putting

END = 2**63 - 1
"""Behind the last byte of anything."""


class PostgresUploads:
    """The role Uploads."""

    store: Store

    async def create_upload(self, bucket: Bucket, upload: Upload) -> Upload:
        """See Uploads."""
        content = new_id()

        async def create(session: Session) -> Upload:
            values = (upload.key.encode(), upload.upload_id, content, upload.owner, upload_document(upload))
            row = await session.row("create_upload", bucket_id(bucket), bucket.revision, *values)
            if row is None:
                await refuse(session, bucket)
                raise AgainError
            return replace(upload, content=str(content), initiated=row["initiated"], version_id=None)

        return await self.store.connections.change(create)

    async def get_upload(self, bucket: Bucket, key: str, upload_id: str) -> Upload:
        """See Uploads."""
        row = await self.store.connections.row("get_upload", bucket_id(bucket), key.encode(), text(upload_id))
        return _known(bucket, upload_id, row)

    async def list_uploads(self, bucket: Bucket, query: ListQuery) -> Page[Upload]:
        """See Uploads."""
        return await list_uploads(self.store.connections, bucket, query)

    async def put_part(self, bucket: Bucket, upload: Upload, part: Part) -> Part:
        """See Uploads."""
        waits = part.blob.inline is None
        small = small_block(part.blob)
        id = blob_id(part.blob) if waits else new_id()

        async def put(session: Session) -> Part:
            content, _ = await _lock(session, bucket, upload, "share_upload")
            if small is None:
                await bring_in(session, part.blob, id)
            row = await session.row(
                "put_part",
                *(bucket_id(bucket), content, part.number, part.size, id, part.blob.size, part.etag),
                *(part_document(part), waits, small and small.crcs, small and small.data),
            )
            if row is None or row["modified"] is None:
                if waits and row is not None and not row["claimed"]:
                    raise ServiceUnavailable(COLLECTED)
                raise AgainError
            return replace(part, modified=row["modified"], start=0, blob=Blob(str(id), part.blob.size, small))

        return await self.store.connections.transact(put)

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
        if isinstance(owner, Upload):
            return await self._list_parts_of_upload(bucket, owner, after, limit)
        if owner.body is not None or not owner.parts:
            row = await self.store.connections.row("check_bucket", bucket_id(bucket))
            check_revision(bucket, None if row is None else row["revision"])
            is_listed = owner.body is not None and owner.body.number > after and limit > 0
            return [owner.body] if owner.body is not None and is_listed and owner.body.is_under(start, stop) else []
        values: tuple[object, ...] = (bucket_id(bucket), uuid.UUID(owner.content), after, limit)
        if start is None and stop is None:
            rows = await self.store.connections.rows("list_parts_of_content", *values)
        else:
            rows = await self.store.connections.rows(
                "list_parts_of_range", *values, start or 0, END if stop is None else stop
            )
        check_row(bucket, rows[0] if rows else None)
        parts = [load_part(row) for row in rows if row["number"] is not None]
        if not parts:
            await self._check_content(bucket, owner)
        return parts

    async def _list_parts_of_upload(self, bucket: Bucket, upload: Upload, after: int, limit: int) -> list[Part]:
        values = (upload.key.encode(), text(upload.upload_id), after, limit)
        rows = await self.store.connections.rows("list_parts_of_upload", bucket_id(bucket), *values)
        first = check_row(bucket, rows[0] if rows else None)
        if first["upload_id"] is None or first["version_id"] is not None:
            raise NoSuchUpload(UploadId=upload.upload_id)
        return [load_part(row) for row in rows if row["number"] is not None]

    async def _check_content(self, bucket: Bucket, version: ObjectVersion) -> None:
        row = await self.store.connections.row("has_parts", bucket_id(bucket), uuid.UUID(version.content))
        if row is None or not row[0]:
            raise NoSuchVersion(Key=version.key, VersionId=version.version_id)

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
        putting = Putting(bucket, replace(version, body=None, parts=len(parts)), None, guard, restored=restored)

        async def finish(session: Session) -> ObjectVersion:
            content, finished = await _lock(session, bucket, upload, "lock_upload", completed=True)
            if finished is not None:
                return finished
            putting.stored = content
            await putting.prepare(session)
            # Judged before the parts are looked at, as in any other store.
            stored = await putting.put(session)
            await _place(session, bucket, content, parts)
            place = (bucket_id(bucket), upload.key.encode(), upload.upload_id)
            await session.rows("complete_upload", *place, stored.version_id)
            await note(session, bucket, journal)
            return stored

        return await self.store.connections.transact(finish)

    async def abort_upload(self, bucket: Bucket, upload: Upload) -> None:
        """See Uploads."""

        async def abort(session: Session) -> None:
            await _lock(session, bucket, upload, "lock_upload")
            await session.rows("abort_upload", bucket_id(bucket), upload.key.encode(), upload.upload_id)

        await self.store.connections.transact(abort)


def _known(bucket: Bucket, upload_id: str, row: Row | None) -> Upload:
    row = check_row(bucket, row)
    if row["upload_id"] is None:
        raise NoSuchUpload(UploadId=upload_id)
    return load_upload(bucket.name, row)


async def _lock(
    session: Session, bucket: Bucket, upload: Upload, how: str, *, completed: bool = False
) -> tuple[uuid.UUID, ObjectVersion | None]:
    """Lock bucket and upload; its content. Raises NoSuchUpload for one that is not open, unless a completed one will
    do: then its object too.
    """
    check_revision(bucket, await session.value("share_bucket", bucket_id(bucket)))
    row = await session.row(how, bucket_id(bucket), upload.key.encode(), text(upload.upload_id))
    if row is not None and row["version_id"] is None:
        return row["content"], None
    if row is not None and completed:
        made = await session.row("get_version", bucket_id(bucket), upload.key.encode(), row["version_id"])
        if made is not None and made["version_id"] is not None and made["content"] == row["content"]:
            return row["content"], load_version(bucket.name, made)
    raise NoSuchUpload(UploadId=upload.upload_id)


async def _place(session: Session, bucket: Bucket, content: uuid.UUID, parts: Sequence[Part]) -> None:
    """Give the parts their places, one behind the other, and the others to the ledger."""
    numbers = [part.number for part in parts]
    starts, end = [], 0
    for part in parts:
        starts.append(end)
        end += part.size
    blobs = [blob_id(part.blob) for part in parts]
    placed = await session.rows("place_parts", bucket_id(bucket), content, numbers, blobs, starts)
    missing = set(numbers) - {row["number"] for row in placed}
    if missing:
        raise InvalidPart(PartNumber=min(missing))
    await session.rows("drop_other_parts", bucket_id(bucket), content, numbers)
