"""Documents by kind and id, and the journal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

from post3.errors import NoSuchRecord
from post3.model.bucket import Bucket
from post3.model.record import Entry, Record
from post3.storage.documents import to_json
from post3.storage.postgres.checks import bucket_id, check_revision
from post3.storage.postgres.connections import Row, Session
from post3.storage.postgres.failures import AgainError
from post3.storage.postgres.rows import entry_columns, entry_place, load_entry, load_record
from post3.storage.postgres.store import Store
from post3.storage.protocol import Change


class PostgresRecords:
    """The role Records."""

    store: Store

    async def get_record(self, kind: str, id: str) -> Record:
        """See Records."""
        row = await self.store.connections.row("get_record", kind, id.encode())
        if row is None:
            raise NoSuchRecord
        return load_record(row)

    async def update_record(self, kind: str, id: str, change: Change[Record | None]) -> Record | None:
        """See Records."""

        async def update(session: Session) -> Record | None:
            row = await session.row("get_record", kind, id.encode())
            new = change(None if row is None else load_record(row))
            if new is None and row is None:
                return None
            written = await _write_record(session, kind, id, row, new)
            if written is None:
                raise AgainError
            if new is None:
                return None
            return replace(new, kind=kind, id=id, revision=written["revision"], modified=written["modified"])

        return await self.store.connections.change(update)

    async def list_records(self, kind: str, after: str = "", limit: int = 1000) -> list[Record]:
        """See Records."""
        return [
            load_record(row) for row in await self.store.connections.rows("list_records", kind, after.encode(), limit)
        ]


async def _write_record(session: Session, kind: str, id: str, old: Row | None, new: Record | None) -> Row | None:
    """Write it, or delete it, unless somebody was faster: then nothing is returned."""
    seen = () if old is None else (old["revision"], old["modified"])
    if new is None:
        return await session.row("delete_record", kind, id.encode(), *seen)
    name = "create_record" if old is None else "change_record"
    return await session.row(name, kind, id.encode(), to_json(new.document), *seen)


class PostgresJournal:
    """The role Journal."""

    store: Store

    async def append(self, bucket: Bucket, entries: Sequence[Entry]) -> None:
        """See Journal."""

        async def append(session: Session) -> None:
            check_revision(bucket, await session.value("share_bucket", bucket_id(bucket)))
            await note(session, bucket, entries)

        await self.store.connections.transact(append)

    async def take(self, stream: str, limit: int, lease: timedelta) -> list[Entry]:
        """See Journal."""

        async def take(session: Session) -> list[Entry]:
            rows = await session.rows("take_journal", stream, limit, lease)
            return [load_entry(row) for row in sorted(rows, key=lambda row: row["id"])]

        return await self.store.connections.change(take)

    async def settle(self, entries: Sequence[Entry]) -> None:
        """See Journal."""
        places = [entry_place(entry) for entry in entries]

        async def settle(session: Session) -> None:
            await session.rows("settle_journal", [bucket for bucket, _ in places], [id for _, id in places])

        await self.store.connections.change(settle)


async def note(session: Session, bucket: Bucket, entries: Sequence[Entry]) -> None:
    """Write entries in the transaction of the change that they tell of."""
    if entries:
        await session.rows("append_journal", bucket_id(bucket), *entry_columns(tuple(entries)))
