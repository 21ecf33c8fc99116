"""Storing: in one request what is small, by parts what is large or of unknown length."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from itertools import count
from typing import Any

from post3.client.calls import given, quoted, unquoted
from post3.client.errors import ClientError, InvalidArgument
from post3.client.model import ObjectInfo
from post3.client.sources import Reader, Source, guessed_type, open_source
from post3.client.steps import Call, Local, Many, Progress, Script
from post3.client.transfers import (
    DEFAULT_PART,
    MOST_PARTS,
    SINGLE_PUT,
    check_part_size,
    check_workers,
    part_size_of,
)


def put_object(
    bucket: str,
    key: str,
    body: Source,
    *,
    content_type: str | None = None,
    metadata: Mapping[str, str] | None = None,
    if_match: str | None = None,
    if_none_match: str | None = None,
    workers: int = 4,
    progress: Progress,
) -> Script[ObjectInfo]:
    """Store a body: up to 8 MiB in one request, else by multipart."""
    stored = given(ContentType=content_type or guessed_type(body), Metadata=metadata)
    conditions = given(IfMatch=quoted(if_match), IfNoneMatch=quoted(if_none_match))
    reader: Reader = yield Local(lambda: open_source(body))
    try:
        first: bytes = yield Local(lambda: reader.peek(SINGLE_PUT + 1))
        if len(first) > SINGLE_PUT:
            return (yield from upload_parts(bucket, key, reader, DEFAULT_PART, workers, stored, conditions, progress))
        answer = yield Call("put_object", {"Bucket": bucket, "Key": key, "Body": first, **stored, **conditions})
        progress(len(first))
        return written(key, len(first), answer, stored)
    finally:
        reader.close()


def multipart_upload(
    bucket: str,
    key: str,
    source: Source,
    *,
    part_size: int = DEFAULT_PART,
    workers: int = 4,
    content_type: str | None = None,
    metadata: Mapping[str, str] | None = None,
    progress: Progress,
) -> Script[ObjectInfo]:
    """Store a source by parts, whatever its size."""
    check_part_size(part_size)
    check_workers(workers)
    stored = given(ContentType=content_type or guessed_type(source), Metadata=metadata)
    reader: Reader = yield Local(lambda: open_source(source))
    try:
        return (yield from upload_parts(bucket, key, reader, part_size, workers, stored, {}, progress))
    finally:
        reader.close()


def upload_parts(
    bucket: str,
    key: str,
    reader: Reader,
    part_size: int,
    workers: int,
    stored: Mapping[str, Any],
    conditions: Mapping[str, Any],
    progress: Progress,
) -> Script[ObjectInfo]:
    """Store what a reader gives, by parts, under those conditions. At most workers + 1 parts are in memory."""
    sent = 0

    def send(number: int, data: bytes, upload: Mapping[str, str]) -> Script[dict[str, Any]]:
        answer = yield Call("upload_part", {**upload, "PartNumber": number, "Body": data})
        progress(len(data))
        return finished_part(number, answer)

    def parts(upload: Mapping[str, str]) -> Iterator[Script[dict[str, Any]]]:
        nonlocal sent
        for number in count(1):
            data = reader.read(part_size_of(number, part_size, reader.size))
            if not data and number > 1:
                return
            if number > MOST_PARTS:
                raise InvalidArgument(
                    f"s3://{bucket}/{key} needs more than {MOST_PARTS} parts: use a larger part_size."
                )
            sent += len(data)
            yield send(number, data, upload)

    answer = yield from in_parts(bucket, key, stored, conditions, parts, workers)
    return written(key, sent, answer, stored)


def in_parts(
    bucket: str,
    key: str,
    stored: Mapping[str, Any],
    conditions: Mapping[str, Any],
    parts: Callable[[Mapping[str, str]], Iterable[Script[dict[str, Any]]]],
    workers: int,
) -> Script[Mapping[str, Any]]:
    """Make an object of parts, which are made given the upload; what its completion answers.

    Whatever goes wrong, Ctrl-C and cancellation included, aborts the upload on the server.
    """
    # A checksum of the whole object, which a later download can verify whatever ranges it reads.
    kept = {"ChecksumAlgorithm": "CRC32", "ChecksumType": "FULL_OBJECT"}
    created = yield Call("create_multipart_upload", {"Bucket": bucket, "Key": key, **kept, **stored})
    upload = {"Bucket": bucket, "Key": key, "UploadId": created["UploadId"]}
    try:
        done = yield Many(parts(upload), workers)
        answer: Mapping[str, Any] = yield Call(
            "complete_multipart_upload", {**upload, "MultipartUpload": {"Parts": done}, **conditions}
        )
    except BaseException:
        with suppress(ClientError):  # the first error is the one to tell
            yield Call("abort_multipart_upload", upload)
        raise
    return answer


def finished_part(number: int, answer: Mapping[str, Any]) -> dict[str, Any]:
    """How the completion names a part, given what its upload or copy answered."""
    return {"PartNumber": number, **{name: answer[name] for name in ("ETag", "ChecksumCRC32") if name in answer}}


def written(key: str, size: int, answer: Mapping[str, Any], stored: Mapping[str, Any]) -> ObjectInfo:
    """What is known of an object that was just stored."""
    return ObjectInfo(
        key,
        size,
        unquoted(answer.get("ETag", "")),
        content_type=stored.get("ContentType"),
        metadata=stored.get("Metadata", {}),
        version_id=answer.get("VersionId"),
    )
