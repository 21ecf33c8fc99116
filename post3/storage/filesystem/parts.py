"""Uploads and parts as files: how they are read, how their list is written, and how an upload ends.

An upload is completed when a version of its key has its content. That its record says so, and that the sidecars of its
parts are gone, comes after that; so everybody who reads a record asks for the version too, and whoever meets an upload
that a crash left behind makes up for the rest.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache

from post3.errors import InternalError, NoSuchUpload
from post3.model.object import ObjectVersion, Part
from post3.model.upload import Upload
from post3.storage.filesystem.blobs import condemn, forgive
from post3.storage.filesystem.layout import KeyPlace, ledger_file, parts_file
from post3.storage.filesystem.sidecar import dump, dump_part, dump_upload, load, load_part, load_upload, read_file
from post3.storage.filesystem.store import Store, logger

RECORD = "upload.json"


def read_upload(store: Store, place: KeyPlace, upload_id: str, bucket: str) -> Upload:
    """An upload's record. Raises NoSuchUpload, also for an id that never was one."""
    content = None
    if upload_id.isascii() and upload_id.isalnum() and len(upload_id) <= 64:
        content = read_file(f"{place.upload(upload_id)}/{RECORD}")
    if content is None:
        raise NoSuchUpload(UploadId=upload_id)
    return known_upload(store, place, content, bucket)


def known_upload(store: Store, place: KeyPlace, record: bytes, bucket: str) -> Upload:
    """The upload of a record, completed also when the record does not say so yet."""
    upload = load_upload(record, bucket)
    if upload.version_id is not None:
        return upload
    version = version_of_upload(store, place, upload)
    return upload if version is None else replace(upload, version_id=version.version_id)


def version_of_upload(store: Store, place: KeyPlace, upload: Upload) -> ObjectVersion | None:
    """The object that an upload became, if that is still there."""
    # The list of its parts stands longer than it does.
    if os.path.exists(parts_file(place.folder, upload.content)):
        for version in store.versions(place, upload.bucket):
            if version.content == upload.content:
                return version
    return None


def complete(store: Store, place: KeyPlace, upload: Upload, version: ObjectVersion, chosen: Sequence[Part]) -> None:
    """Mark an upload completed, and drop its parts' sidecars; the bytes of those not chosen go to the ledger.

    The object is there already: a failure here is logged, and made up for later, by the ledger's entry of its content.
    """
    try:
        folder = place.upload(upload.upload_id)
        owned = {part.blob.id for part in chosen}
        names = part_names(folder)
        for name in names:
            part = read_part(f"{folder}/{name}")
            if part is not None and part.blob.inline is None and part.blob.id not in owned:
                condemn(store, place, part.blob.id)
        store.disk.replace(f"{folder}/{RECORD}", dump_upload(replace(upload, version_id=version.version_id)))
        for name in names:
            os.unlink(f"{folder}/{name}")
        forgive(ledger_file(place.folder, upload.content))
    except OSError:
        logger.exception("a completed upload could not be put away")


def complete_left(store: Store, place: KeyPlace, version: ObjectVersion) -> None:
    """Complete what a crash left of the upload that a version came from."""
    for folder in place.uploads():
        record = read_file(f"{folder}/{RECORD}")
        upload = None if record is None else load_upload(record, version.bucket)
        if upload is not None and upload.content == version.content and len(os.listdir(folder)) > 1:
            complete(store, place, upload, version, read_parts(place.folder, version.content))


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


def write_parts(store: Store, place: KeyPlace, content: str, parts: Sequence[Part]) -> None:
    """Write the list of an object's parts, small bodies with it."""
    documents = [dump_part(part, embedded=True) for part in parts]
    store.disk.replace(parts_file(place.folder, content), dump({"parts": documents}))


@lru_cache(maxsize=8)
def _parse_parts(path: str, modified: int) -> tuple[Part, ...]:
    del modified  # it only tells one file from the next of that name
    content = read_file(path)
    try:
        return tuple(load_part(document) for document in json.loads(content or b'{"parts": []}')["parts"])
    except (ValueError, TypeError, KeyError) as error:
        name = os.path.basename(path)
        raise InternalError(f"The stored list {name} is damaged: {error}. Restore it from a backup.") from error


def read_parts(folder: str, content: str) -> tuple[Part, ...]:
    """The parts of an object by its content id; the lists read last are kept, as ranges come one after the other."""
    path = parts_file(folder, content)
    try:
        return _parse_parts(path, os.stat(path).st_mtime_ns)
    except FileNotFoundError:
        return ()


def parts_of_version(folder: str, version: ObjectVersion) -> tuple[Part, ...]:
    """The parts of an object. Raises InternalError unless all are known."""
    parts = read_parts(folder, version.content)
    if len(parts) != version.parts:
        raise InternalError(f"The stored list {version.content}.parts is gone, or damaged. Restore it from a backup.")
    return parts


def remove_tree(path: str) -> None:
    """Remove a folder with all that is in it."""
    shutil.rmtree(path, ignore_errors=True)
