"""Sidecars: what a record is as one line of JSON, with the bytes of a small body behind it."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Mapping
from typing import Any

from post3.errors import InternalError
from post3.model.bucket import Bucket
from post3.model.object import Blob, Block, ObjectVersion, Part
from post3.model.upload import Upload
from post3.storage.documents import (
    Document,
    acl_member,
    encryption_member,
    envelope_member,
    load_acl,
    load_encryption,
    load_envelope,
    load_tree,
    microseconds,
    moment,
    tags_member,
    to_json,
)
from post3.storage.filesystem import _files


def dump(document: Mapping[str, Any]) -> bytes:
    """One line."""
    return to_json(document).encode("ascii") + b"\n"


def read_file(path: str) -> bytes | None:
    """A small file whole; None when it is not there."""
    return _files.read(path.encode())


def read_document(path: str) -> Document | None:
    """The JSON of a file; None when it is not there."""
    content = read_file(path)
    return None if content is None else load(content)[0]


def load(content: bytes) -> tuple[Document, bytes]:
    """The document of a sidecar, and the bytes behind it."""
    line, _, rest = content.partition(b"\n")
    document: Document = json.loads(line)
    return document, rest


def dump_part(part: Part, *, embedded: bool = False) -> Document:
    """A part's document. The bytes of a small body stand behind it in the file, or, embedded, in it as base64."""
    document: Document = {
        "number": part.number,
        "size": part.size,
        "etag": part.etag,
        "modified": microseconds(part.modified),
        "blob": part.blob.id,
        "stored": part.blob.size,
        "checksums": dict(part.checksums),
        **envelope_member(part.encryption),
    }
    if part.start:
        document["start"] = part.start
    if part.blob.inline is not None:
        document["crcs"] = part.blob.inline.crcs.hex()
        if embedded:
            document["body"] = base64.b64encode(part.blob.inline.data).decode("ascii")
    return document


def load_part(document: Document, body: bytes = b"") -> Part:
    """The part of a document, and of the bytes behind it."""
    inline = None
    if "crcs" in document:
        data = base64.b64decode(document["body"]) if "body" in document else body
        inline = Block(data, bytes.fromhex(document["crcs"]))
    return Part(
        number=document["number"],
        size=document["size"],
        etag=document["etag"],
        modified=moment(document["modified"]),
        blob=Blob(document["blob"], document["stored"], inline),
        checksums=document["checksums"],
        start=document.get("start", 0),
        encryption=load_envelope(document),
    )


def inline_body(part: Part | None) -> bytes:
    """The bytes that stand behind a part's document."""
    return part.blob.inline.data if part is not None and part.blob.inline is not None else b""


def dump_version(version: ObjectVersion) -> bytes:
    """The whole sidecar of a version."""
    document: Document = {
        "key": version.key,
        "version_id": version.version_id,
        "modified": microseconds(version.modified),
        "owner": version.owner,
        "sequence": version.sequence,
        "revision": version.revision,
        "content": version.content,
        "is_delete_marker": version.is_delete_marker,
        "storage_class": version.storage_class,
        "size": version.size,
        "etag": version.etag,
        "parts": version.parts,
        "checksums": dict(version.checksums),
        "checksum_type": version.checksum_type,
        "headers": dict(version.headers),
        "metadata": dict(version.metadata),
        **acl_member(version.acl),
        **encryption_member(version.encryption),
        **tags_member(version.tags),
    }
    if version.body is not None:
        document["body"] = dump_part(version.body)
    return dump(document) + inline_body(version.body)


def load_version(content: bytes, bucket: str) -> ObjectVersion:
    """The version of a sidecar."""
    document, rest = load(content)
    body = document.pop("body", None)
    document |= {
        "modified": moment(document["modified"]),
        "acl": load_acl(document),
        "encryption": load_encryption(document),
    }
    return ObjectVersion(bucket=bucket, body=load_part(body, rest) if body else None, **document)


def read_version(path: str, bucket: str) -> ObjectVersion | None:
    """The version whose sidecar this is; None when there is none. Raises InternalError for one that is damaged."""
    content = read_file(path)
    return None if content is None else parse_version(content, path, bucket)


def parse_version(content: bytes, path: str, bucket: str) -> ObjectVersion:
    """The version of a sidecar that was read from there. Raises InternalError for one that is damaged."""
    try:
        return load_version(content, bucket)
    except (ValueError, TypeError, KeyError) as error:
        name = os.path.basename(path)
        raise InternalError(f"The stored record {name} is damaged: {error}. Restore it from a backup.") from error


def dump_upload(upload: Upload) -> bytes:
    """An upload's record."""
    return dump(
        {
            "key": upload.key,
            "upload_id": upload.upload_id,
            "initiated": microseconds(upload.initiated),
            "owner": upload.owner,
            "content": upload.content,
            "storage_class": upload.storage_class,
            "headers": dict(upload.headers),
            "metadata": dict(upload.metadata),
            "checksum_algorithm": upload.checksum_algorithm,
            "checksum_type": upload.checksum_type,
            "version_id": upload.version_id,
            **acl_member(upload.acl),
            **encryption_member(upload.encryption),
            **tags_member(upload.tags),
        }
    )


def load_upload(content: bytes, bucket: str) -> Upload:
    """The upload of a record."""
    document, _ = load(content)
    document |= {
        "initiated": moment(document["initiated"]),
        "acl": load_acl(document),
        "encryption": load_encryption(document),
    }
    return Upload(bucket=bucket, **document)


def dump_bucket(bucket: Bucket) -> bytes:
    """A bucket's record."""
    return dump(
        {
            "id": bucket.id,
            "name": bucket.name,
            "owner": bucket.owner,
            "created": microseconds(bucket.created),
            "revision": bucket.revision,
            "region": bucket.region,
            "configurations": dict(bucket.configurations),
            **acl_member(bucket.acl),
        }
    )


def load_bucket(content: bytes) -> Bucket:
    """The bucket of a record."""
    document, _ = load(content)
    document |= {
        "created": moment(document["created"]),
        "configurations": load_tree(document["configurations"]),
        "acl": load_acl(document),
    }
    return Bucket(**document)
