"""Records: documents by kind and id, a file each."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Any

from post3.errors import NoSuchRecord
from post3.model.record import Record
from post3.storage.documents import load_tree, microseconds, moment
from post3.storage.filesystem.journal import FilesystemJournal
from post3.storage.filesystem.layout import escape
from post3.storage.filesystem.sidecar import dump, read_document
from post3.storage.filesystem.store import Store
from post3.storage.protocol import Change


class FilesystemRecords:
    """The role Records."""

    store: Store

    def _record_path(self, kind: str, id: str) -> str:
        return f"{self.store.root}/records/{escape(kind)}/{escape(id)}.json"

    async def get_record(self, kind: str, id: str) -> Record:
        """See Records."""
        record = await self.store.run(self._read_record, kind, id)
        if record is None:
            raise NoSuchRecord(Kind=kind, Id=id)
        return record

    def _read_record(self, kind: str, id: str) -> Record | None:
        document = read_document(self._record_path(kind, id))
        return None if document is None else _load(document)

    async def update_record(self, kind: str, id: str, change: Change[Record | None]) -> Record | None:
        """See Records."""
        return await self.store.finish(lambda: self._update_record(kind, id, change))

    def _update_record(self, kind: str, id: str, change: Change[Record | None]) -> Record | None:
        path = self._record_path(kind, id)
        with self.store.locks.held(f"record-{escape(kind)}"):
            old = self._read_record(kind, id)
            new = change(old)
            if new is None:
                if old is not None:
                    self.store.disk.remove(path)
                return None
            revision = 1 if old is None else old.revision + 1
            stored = replace(new, kind=kind, id=id, revision=revision, modified=FilesystemJournal.now())
            self.store.disk.replace(path, _dump(stored))
            return stored

    async def list_records(self, kind: str, after: str = "", limit: int = 1000) -> list[Record]:
        """See Records."""
        return await self.store.run(self._list_records, kind, after, limit)

    def _list_records(self, kind: str, after: str, limit: int) -> list[Record]:
        folder = f"{self.store.root}/records/{escape(kind)}"
        names = os.listdir(folder) if os.path.isdir(folder) else []
        documents = [read_document(f"{folder}/{name}") for name in names]
        records = [_load(document) for document in documents if document is not None]
        return sorted((record for record in records if record.id > after), key=lambda record: record.id)[:limit]


def _dump(record: Record) -> bytes:
    modified = None if record.modified is None else microseconds(record.modified)
    document: dict[str, Any] = {"kind": record.kind, "id": record.id, "document": record.document}
    return dump({**document, "revision": record.revision, "modified": modified})


def _load(document: dict[str, Any]) -> Record:
    tree = load_tree(document["document"])
    return Record(**{**document, "document": tree, "modified": moment(document["modified"])})
