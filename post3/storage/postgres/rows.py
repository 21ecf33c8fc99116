"""Rows: what the model's records are as columns, and back."""

from __future__ import annotations

import json
import re
import struct
import uuid
from datetime import datetime
from functools import partial
from typing import Any, Final

from post3.model.bucket import Bucket
from post3.model.listing import CommonPrefix, Listed
from post3.model.object import Blob, Block, ObjectVersion, Part
from post3.model.record import Entry, Record
from post3.model.upload import Upload
from post3.storage.documents import (
    Document,
    acl_member,
    encryption_member,
    envelope_member,
    load_acl,
    load_encryption,
    load_envelope,
    load_tags,
    load_tree,
    microseconds,
    moment,
    tags_member,
    to_json,
)
from post3.storage.postgres.connections import Row
from post3.storage.postgres.names import new_id

INLINE: Final = 16 * 1024
"""Bytes of a body up to which it stands in its version's row."""

EPOCH: Final = 946_684_800_000_000
"""From when PostgreSQL counts the microseconds of a time: 2000-01-01 in those since 1970."""

_CHECKSUMS: Final = re.compile(r'"checksums":\{([^}]*)\},"checksum_type":"(\w*)"').search
_NAMES: Final = re.compile(r'"(\w+)":').findall

_BOOLEANS: Final = (False, True)


def blob_id(blob: Blob) -> uuid.UUID:
    """The database's name of it."""
    return uuid.UUID(blob.id)


def text(value: str) -> str:
    """An id as the database can be asked for it; no version or upload has one that it could not hold."""
    return value if value.isascii() and "\0" not in value else "?"


# Buckets


def bucket_document(bucket: Bucket) -> str:
    """What has no column."""
    return to_json({"region": bucket.region, "configurations": dict(bucket.configurations), **acl_member(bucket.acl)})


def load_bucket(row: Row) -> Bucket:
    """The bucket of a row."""
    document: Document = json.loads(row["document"])
    return Bucket(
        id=str(row["id"]),
        name=row["name"],
        owner=row["owner"],
        created=row["created"],
        revision=row["revision"],
        region=document["region"],
        configurations=load_tree(document["configurations"]),
        acl=load_acl(document),
    )


# Versions


def version_document(version: ObjectVersion) -> str:
    """What has no column."""
    document: Document = {
        "headers": dict(version.headers),
        "metadata": dict(version.metadata),
        "checksums": dict(version.checksums),
        "checksum_type": version.checksum_type,
        **acl_member(version.acl),
        **encryption_member(version.encryption),
        **tags_member(version.tags),
    }
    body = version.body
    if body is not None:
        document["body"] = {
            "number": body.number,
            "size": body.size,
            "etag": body.etag,
            "modified": microseconds(body.modified),
            "stored": body.blob.size,
            "checksums": dict(body.checksums),
            **envelope_member(body.encryption),
        }
    return to_json(document)


def version_values(version: ObjectVersion) -> tuple[Any, ...]:
    """The columns is_delete_marker to checksums, as the statements that put take them."""
    inline = small_block(version.body.blob if version.body is not None else None)
    return (
        version.is_delete_marker,
        version.parts,
        version.size,
        version.etag,
        version.storage_class,
        version.owner,
        version_document(version),
        None if inline is None else inline.crcs,
        None if inline is None else inline.data,
        shown_checksums(version),
    )


def small_block(blob: Blob | None) -> Block | None:
    """The bytes that go into their owner's row; None when there are none, or they go into blocks."""
    return blob.inline if blob is not None and blob.size <= INLINE else None


def load_version(bucket: str, row: Row) -> ObjectVersion:
    """The version of a row, with its body."""
    document: Document = json.loads(row["document"])
    described = document.get("body")
    body = None
    if described is not None:
        data = row["body"]
        inline = None if data is None else Block(data, row["crcs"])
        body = Part(
            described["number"],
            described["size"],
            described["etag"],
            moment(described["modified"]),
            Blob(str(row["content"]), described["stored"], inline),
            described["checksums"],
            encryption=load_envelope(described),
        )
    return _version(bucket, row, document, body)


def load_page(row: Row) -> list[Listed | CommonPrefix]:
    """The entries of a page, which is one row of columns (sql/listing.sql)."""
    if row["keys"] is None:
        return []
    count = len(row["latest"])
    told = _texts(row["checksums"], count)
    shown = {text: _shown_checksums(text) for text in set(told)}
    columns = (
        _texts(row["keys"], count),
        _numbers(row["sequences"], count),
        _texts(row["version_ids"], count),
        [EPOCH + time for time in _numbers(row["times"], count)],
        _numbers(row["sizes"], count),
        _texts(row["etags"], count),
        _texts(row["owners"], count),
        _texts(row["storage_classes"], count),
        [shown[text][0] for text in told],
        [shown[text][1] for text in told],
        map(_BOOLEANS.__getitem__, row["markers"]),
        map(_BOOLEANS.__getitem__, row["latest"]),
    )
    # As Listed._make would, without a call of a function for each.
    listed = map(partial(tuple.__new__, Listed), zip(*columns, strict=True))
    if "commons" not in row:
        return list(listed)
    pairs = zip(listed, _texts(row["commons"], count), strict=True)
    return [CommonPrefix(prefix) if prefix else entry for entry, prefix in pairs]


def _texts(column: bytes, count: int) -> list[str]:
    """So many, with a byte FF between any two. Where all are the same, as owners mostly are, that is seen at once."""
    first, _, rest = column.partition(b"\xff")
    if rest.startswith(first) and column == b"\xff".join([first] * count):
        return [first.decode()] * count
    # Python tells the byte as a surrogate, which UTF-8 does not have.
    return column.decode("utf-8", "surrogateescape").split("\udcff")


def _numbers(column: bytes, count: int) -> tuple[int, ...]:
    return struct.unpack(f">{count}q", column)


def shown_checksums(version: ObjectVersion) -> str:
    """What lists show of its checksums, as a row keeps it: their names, and their type."""
    return f"{','.join(version.checksums)}:{version.checksum_type}"


def _shown_checksums(text: str) -> tuple[str, str]:
    """Names and type; of a row that does not keep them, by its document.

    Reading all of a thousand documents would take most of a page's time. Only members before the checksums could be
    taken for them, and those (headers and metadata) hold nothing but strings, whose quotes are escaped.
    """
    if not text.startswith("{"):
        names, _, checksum_type = text.partition(":")
        return names, checksum_type
    found = _CHECKSUMS(text)
    return ("", "") if found is None else (",".join(_NAMES(found[1])), found[2])


def _version(bucket: str, row: Row, document: Document, body: Part | None) -> ObjectVersion:
    noncurrent: datetime | None = row["noncurrent"]
    return ObjectVersion(
        bucket=bucket,
        key=row["key"].decode(),
        version_id=row["version_id"],
        modified=row["modified"],
        owner=row["owner"],
        sequence=row["sequence"],
        revision=row["revision"],
        noncurrent=noncurrent,
        storage_class=row["storage_class"],
        size=row["size"],
        etag=row["etag"],
        is_delete_marker=row["is_delete_marker"],
        content=str(row["content"]),
        body=body,
        parts=row["parts"],
        checksums=document["checksums"],
        checksum_type=document["checksum_type"],
        headers=document["headers"],
        metadata=document["metadata"],
        tags=load_tags(document),
        acl=load_acl(document),
        encryption=load_encryption(document),
    )


# Uploads and parts


def upload_document(upload: Upload) -> str:
    """What has no column."""
    return to_json(
        {
            "storage_class": upload.storage_class,
            "headers": dict(upload.headers),
            "metadata": dict(upload.metadata),
            "checksum_algorithm": upload.checksum_algorithm,
            "checksum_type": upload.checksum_type,
            **acl_member(upload.acl),
            **encryption_member(upload.encryption),
            **tags_member(upload.tags),
        }
    )


def load_upload(bucket: str, row: Row) -> Upload:
    """The upload of a row."""
    document: Document = json.loads(row["document"])
    document |= {"acl": load_acl(document), "encryption": load_encryption(document)}
    return Upload(
        bucket=bucket,
        key=row["key"].decode(),
        upload_id=row["upload_id"],
        initiated=row["initiated"],
        owner=row["owner"],
        content=str(row["content"]),
        version_id=row["version_id"],
        **document,
    )


def part_document(part: Part) -> str:
    """What has no column."""
    return to_json({"checksums": dict(part.checksums), **envelope_member(part.encryption)})


def load_part(row: Row) -> Part:
    """The part of a row."""
    document: Document = json.loads(row["document"])
    return Part(
        number=row["number"],
        size=row["size"],
        etag=row["etag"],
        modified=row["modified"],
        blob=Blob(str(row["blob_id"]), row["stored"]),
        checksums=document["checksums"],
        start=row["start"] or 0,
        encryption=load_envelope(document),
    )


# Records and journal


def load_record(row: Row) -> Record:
    """The record of a row."""
    document = load_tree(json.loads(row["document"]))
    return Record(row["kind"], row["id"].decode(), document, row["revision"], row["modified"])


def entry_columns(entries: tuple[Entry, ...]) -> tuple[list[uuid.UUID], list[str], list[str]]:
    """New ids, streams and documents, as the statement that appends them takes them."""
    return (
        [new_id() for _ in entries],
        [entry.stream for entry in entries],
        [to_json(entry.document) for entry in entries],
    )


def load_entry(row: Row) -> Entry:
    """The entry of a row; its id names the bucket's part of the journal too."""
    return Entry(row["stream"], load_tree(json.loads(row["document"])), f"{row['bucket_id']}.{row['id']}")


def entry_place(entry: Entry) -> tuple[int, uuid.UUID]:
    """Bucket and id of an entry."""
    bucket, _, id = entry.id.partition(".")
    return int(bucket), uuid.UUID(id)
