"""Where everything stands in the directory: names to paths and back. The only place that escapes.

    format                              the layout's version
    lock/                               files that are only ever locked, never deleted
    log/                                changes that the disk has, and their sidecars perhaps not yet (log.py)
    index.sqlite                        derived; deleted, it is made again
    buckets/NAME~ID/bucket.json
                    versions/ab/cd/KEY~VERSION.json     one line of JSON, then the bytes of a small body
                    data/ab/cd/CONTENT                  blocks, then the CRCs of their pieces (blobs.py)
                    data/ab/cd/CONTENT.parts            what a multipart object is made of
                    uploads/KEY~UPLOAD/upload.json, NNNNN.json      an upload and its parts
                    aborted/KEY~UPLOAD/                 the same, waiting for the collector
                    ledger/CONTENT                      bytes that nothing owns, naming their key
    new/PROCESS/                        what a process has on its way to a rename
    trash/                              deleted buckets
    records/KIND/ID.json                documents that are no objects
    journal/STREAM/                     what is to be told

KEY is the percent-encoded key cut to 120 bytes, `~`, and 32 hexadecimal digits of its SHA-256, of which `ab/cd` are the
first four. So any key works on any disk (`a` beside `a/b`, `..`, 1,024 bytes, names that differ in case only), and
folders stay small. The whole key is in the sidecar.
"""

from __future__ import annotations

import hashlib
import os
import zlib
from dataclasses import dataclass
from functools import lru_cache
from typing import Final
from urllib.parse import quote

from post3.model.names import is_version_id

FORMAT: Final = "1"
MAX_READABLE: Final = 120
"""Bytes of the percent-encoded key that a file's name begins with, for people; its hash tells it from others."""
KEY_STRIPES: Final = 1024
BUCKET_STRIPES: Final = 64


@lru_cache(maxsize=8192)
def key_stem(key: str) -> str:
    """How the names of all files of a key begin."""
    digest = hashlib.sha256(key.encode()).hexdigest()[:32]
    # `~` separates and is not escaped by quote; `.` and `-` are harmless within a name.
    return f"{quote(key, safe='').replace('~', '%7E')[:MAX_READABLE]}~{digest}"


def leaf_of(stem: str) -> str:
    """The folders that spread the keys: `ab/cd`."""
    digest = stem[-32:]
    return f"{digest[:2]}/{digest[2:4]}"


@dataclass(frozen=True, slots=True)
class KeyPlace:
    """Where one key's files stand."""

    folder: str
    """The bucket's."""
    key: str
    stem: str
    leaf: str

    @property
    def versions(self) -> str:
        """The folder of its sidecars, and of other keys'."""
        return f"{self.folder}/versions/{self.leaf}"

    @property
    def data(self) -> str:
        """The folder of its bytes, and of other keys'."""
        return f"{self.folder}/data/{self.leaf}"

    def sidecar(self, version_id: str) -> str:
        """The file of one version."""
        return f"{self.folder}/versions/{self.leaf}/{self.stem}~{version_id}.json"

    def version_ids(self) -> list[str]:
        """The ids of all its versions, in no order. A name that the store did not make is no version's."""
        start, end = f"{self.stem}~", ".json"
        try:
            names = os.listdir(self.versions)
        except FileNotFoundError:
            return []
        ids = (name[len(start) : -len(end)] for name in names if name.startswith(start) and name.endswith(end))
        return [id for id in ids if is_version_id(id)]

    def upload(self, upload_id: str) -> str:
        """The folder of one upload."""
        return f"{self.folder}/uploads/{self.stem}~{upload_id}"

    def uploads(self) -> list[str]:
        """The folders of all its uploads, aborted ones left out."""
        start = f"{self.stem}~"
        parent = f"{self.folder}/uploads"
        return [f"{parent}/{name}" for name in os.listdir(parent) if name.startswith(start)]


def key_place(folder: str, key: str) -> KeyPlace:
    """Where a key's files stand, in a bucket's folder."""
    stem = key_stem(key)
    return KeyPlace(folder, key, stem, leaf_of(stem))


def data_file(folder: str, content: str) -> str:
    """The file of a blob; its id begins with the digits that spread it."""
    return f"{folder}/data/{content[:2]}/{content[2:4]}/{content}"


def parts_file(folder: str, content: str) -> str:
    """The file that tells what a multipart object is made of."""
    return f"{data_file(folder, content)}.parts"


def ledger_file(folder: str, content: str) -> str:
    """The file that says: nothing owns these bytes."""
    return f"{folder}/ledger/{content}"


def content_id(place: KeyPlace, random: str) -> str:
    """The name for new bytes of a key: spread as the key is, and random behind that."""
    digest = place.stem[-32:]
    return f"{digest[:4]}{random}"


def bucket_folder(root: str, name: str, bucket_id: str) -> str:
    """A bucket's folder; a bucket made again has another."""
    return f"{root}/buckets/{name}~{bucket_id}"


def trash_folder(folder: str) -> str:
    """Where a bucket's folder goes when it is deleted."""
    buckets, name = os.path.split(folder)
    return f"{os.path.dirname(buckets)}/trash/{name}"


def key_stripe(folder: str, stem: str) -> str:
    """The lock that a key shares with some others; by a hash that is the same in every process."""
    return f"key-{zlib.crc32(f'{os.path.basename(folder)}/{stem}'.encode()) % KEY_STRIPES:04d}"


def bucket_stripe(name: str) -> str:
    """The lock that a bucket's name shares with some others."""
    return f"bucket-{zlib.crc32(name.encode()) % BUCKET_STRIPES:02d}"


def escape(name: str) -> str:
    """Any name as one file name that is neither hidden nor special, and cut where it is too long for a disk."""
    escaped = quote(name, safe="").replace(".", "%2E").replace("~", "%7E") or "%"
    if len(escaped) <= MAX_READABLE:
        return escaped
    return f"{escaped[:MAX_READABLE]}~{hashlib.sha256(name.encode()).hexdigest()[:32]}"
