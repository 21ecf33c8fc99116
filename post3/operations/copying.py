"""Copying: an object, or a range of one into a part, without a byte through the client."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final
from urllib.parse import unquote_to_bytes

from post3.auth.authorisation import Rights
from post3.errors import AccessDenied, InvalidArgument, InvalidRange, InvalidRequest, NoSuchKey, NoSuchVersion
from post3.model.bucket import Bucket
from post3.model.checksums import DEFAULT_ALGORITHM, parse_algorithm
from post3.model.encryption import HEADER, as_headers
from post3.model.names import check_key, parse_version_id
from post3.model.object import NULL_VERSION, Blob, ObjectVersion, Part
from post3.model.tagging import Tags
from post3.model.tree import Tree
from post3.operations.encrypting import asked_for, envelope_of, may_stay, moved, seal_for, sealed
from post3.operations.granting import check_tags, object_access
from post3.operations.multipart import open_upload, part_algorithms, shown_checksums
from post3.operations.objects import (
    check_early,
    checksum_elements,
    part_number,
    put_whole,
    read,
)
from post3.operations.storing import give_owner, store
from post3.s3.call import Call
from post3.s3.digest import Redigested
from post3.s3.headers import (
    directive,
    parse_copy_range,
    quoted,
    read_conditions,
    requested_tags,
    storage_class,
    stored_headers,
    user_metadata,
    write_conditions,
)
from post3.s3.message import Response, document
from post3.s3.router import COPY_SOURCE, Needs, operation

REDIRECT: Final = "x-amz-website-redirect-location"
MAX_COPY: Final = 5 * 2**30
"""Bytes that one copy may move; more goes by parts.
Source: https://docs.aws.amazon.com/AmazonS3/latest/API/API_CopyObject.html"""


@dataclass(frozen=True, slots=True)
class Source:
    """What is copied from."""

    bucket: Bucket
    version: ObjectVersion
    is_named: bool
    """Whether the version was named by its id."""


async def source_of(call: Call) -> Source:
    """The version that x-amz-copy-source names, its conditions held. A marker, or what is absent, cannot be copied."""
    name, key, version_id = parse_copy_source(call.headers[COPY_SOURCE])
    bucket = call.bucket if name == call.bucket.name else await call.backend.get_bucket(name)
    rights = call.rights_in(bucket)
    if call.headers.get("x-amz-source-expected-bucket-owner", bucket.owner) != bucket.owner:
        raise AccessDenied
    version = await _readable_source(call, bucket, rights, key, version_id)
    read_conditions(call.headers, "x-amz-copy-source-", call.now).check_copy(version.etag, version.modified)
    return Source(bucket, version, version_id is not None)


async def _readable_source(
    call: Call, bucket: Bucket, rights: Rights, key: str, version_id: str | None
) -> ObjectVersion:
    """The version to copy, when whoever asks may read it. Raises AccessDenied, and what is wrong with it."""
    try:
        version = await call.backend.get_version(bucket, key, version_id)
        if version.is_delete_marker:
            if version_id is None:
                raise NoSuchKey(Key=key)
            raise InvalidRequest("The source of a copy may not specifically refer to a delete marker by version id.")
    except (NoSuchKey, NoSuchVersion, InvalidRequest) as error:
        raise rights.hide(error, key) from None
    rights.check_version("s3:GetObject", "READ", version, is_named=version_id is not None)
    return version


def parse_copy_source(value: str) -> tuple[str, str, str | None]:
    """Bucket, key and version id of `bucket/key?versionId=id`, percent-encoded once. Raises InvalidArgument.

    A literal `+` is a blank, as on AWS: some clients write the header as a form's value.
    """
    path, has_version, version_id = value.rpartition("?versionId=")
    try:
        decoded = unquote_to_bytes((path if has_version else value).replace("+", " ")).decode()
    except UnicodeError:
        decoded = ""
    bucket, _, key = decoded.removeprefix("/").partition("/")
    if not bucket or not key:
        raise InvalidArgument(
            "Copy Source must mention the source bucket and key: sourcebucket/sourcekey",
            ArgumentName=COPY_SOURCE,
            ArgumentValue=value,
        )
    return bucket, key, parse_version_id(version_id) if has_version else None


@operation("PUT", "object", COPY_SOURCE, action="s3:PutObject", needs=Needs.WRITE, is_slow=True)
async def copy_object(call: Call) -> Response:
    """Make an object of another one's bytes, with its metadata or new."""
    check_key(call.key)
    conditions = write_conditions(call.headers)
    object_access(call, call.bucket)  # refused before anything is moved
    encryption = asked_for(call, call.bucket)
    source = await source_of(call)
    version = replace(_described(call, source), encryption=encryption)
    _check_difference(call, source, version)
    check_tags(call, call.bucket, version.tags)
    if source.version.size > MAX_COPY:
        raise InvalidRequest(
            f"The specified copy source is larger than the maximum allowable size for a copy source: {MAX_COPY}"
        )
    await check_early(call, conditions)

    async def put(bucket: Bucket, body: Part) -> ObjectVersion:
        return await put_whole(call, bucket, version, body, algorithm, conditions)

    algorithm = _algorithm(call, source)
    original = source.version.body
    if original is not None and algorithm in original.checksums and may_stay(call, original, encryption):
        envelope = moved(call, source.version, original, encryption, 1)
        blob = await call.backend.copy_blob(source.bucket, original.blob, call.bucket, call.key)
        copied = replace(original, number=1, blob=blob, encryption=envelope)
        stored = await give_owner(call, blob, lambda blob, bucket: put(bucket, copied))
    else:
        digested = Redigested(read(call, source.version, 0, source.version.size, source.bucket), (algorithm,))
        seal = seal_for(call, encryption, 1)

        async def own(blob: Blob, bucket: Bucket) -> ObjectVersion:
            size, etag, envelope = digested.size, digested.etag, envelope_of(seal)
            body = Part(1, size, etag, version.modified, blob, digested.checksums, encryption=envelope)
            return await put(bucket, body)

        stored = await store(call, sealed(digested.blocks(), seal), own)
    headers = {**_source_headers(source), **as_headers(stored.encryption)}
    if call.bucket.versioning:
        headers["x-amz-version-id"] = stored.version_id
    result = {**_result(stored.modified, stored.etag, stored.checksums), "ChecksumType": stored.checksum_type}
    return document("CopyObjectResult", result, headers=headers)


def _algorithm(call: Call, source: Source) -> str:
    """The checksum that the copy gets: the one asked for, else the source's kind."""
    asked_for = parse_algorithm(call.headers.get("x-amz-checksum-algorithm"))
    return asked_for or next(iter(source.version.checksums), DEFAULT_ALGORITHM)


def _described(call: Call, source: Source) -> ObjectVersion:
    """The new version, without its bytes: described as the source is, or as the request does."""
    if directive(call.headers, "x-amz-metadata-directive") == "REPLACE":
        headers, metadata = stored_headers(call.headers), user_metadata(call.headers)
    else:
        # Where readers of a website are sent on is the one header that is never copied.
        headers = {name: value for name, value in source.version.headers.items() if name != REDIRECT}
        headers |= {name: value for name, value in stored_headers(call.headers).items() if name == REDIRECT}
        metadata = dict(source.version.metadata)
    return ObjectVersion(
        bucket=call.bucket.name,
        key=call.key,
        version_id="",
        modified=call.now,
        owner="",
        storage_class=storage_class(call.headers),
        headers=headers,
        metadata=metadata,
        tags=_tags(call, source),
    )


def _tags(call: Call, source: Source) -> Tags:
    """The tags that the copy gets: the source's, when whoever asks may read those, or the request's."""
    if directive(call.headers, "x-amz-tagging-directive") == "REPLACE":
        return requested_tags(call.headers)
    if source.version.tags:
        rights = call.rights_in(source.bucket)
        rights.check_version("s3:GetObjectTagging", None, source.version, is_named=source.is_named)
    return source.version.tags


def _check_difference(call: Call, source: Source, version: ObjectVersion) -> None:
    """Refuse to copy an object to itself when nothing about it would change. An older version may become the newest."""
    same_place = (source.version.bucket, source.version.key) == (version.bucket, version.key)
    unchanged = call.headers.get("x-amz-metadata-directive", "COPY") == "COPY" and not call.headers.keys() & {
        HEADER,
        REDIRECT,
        "x-amz-checksum-algorithm",
        "x-amz-storage-class",
    }
    if same_place and unchanged and not source.is_named:
        raise InvalidRequest(
            "This copy request is illegal because it is trying to copy an object to itself without changing the "
            "object's metadata, storage class, website redirect location or encryption attributes."
        )


def _source_headers(source: Source) -> dict[str, str]:
    version_id = source.version.version_id
    return {} if version_id == NULL_VERSION else {"x-amz-copy-source-version-id": version_id}


def _result(modified: datetime, etag: str, checksums: Mapping[str, str]) -> Tree:
    return {"LastModified": modified, "ETag": quoted(etag), **checksum_elements(checksums)}


@operation(
    "PUT", "object", "partNumber", "uploadId", COPY_SOURCE, action="s3:PutObject", needs=Needs.WRITE, is_slow=True
)
async def upload_part_copy(call: Call) -> Response:
    """Make a part of another object's bytes, or of a range of them."""
    number = part_number(call)
    upload = await open_upload(call)
    source = await source_of(call)
    start, stop = _copied_range(call, source.version)
    algorithms = part_algorithms(upload)
    original = source.version.body

    async def own(blob: Blob, bucket: Bucket, described: Part) -> Part:
        call.check_upload(upload)
        return await call.backend.put_part(bucket, upload, replace(described, number=number, blob=blob))

    if (
        original is not None
        and stop - start == original.size
        and set(algorithms) <= set(original.checksums)
        and may_stay(call, original, upload.encryption)
    ):
        copied = replace(original, encryption=moved(call, source.version, original, upload.encryption, number))
        blob = await call.backend.copy_blob(source.bucket, original.blob, call.bucket, call.key)
        part = await give_owner(call, blob, lambda blob, bucket: own(blob, bucket, copied))
    else:
        seal = seal_for(call, upload.encryption, number)
        digested = Redigested(read(call, source.version, start, stop, source.bucket), algorithms)

        def described(blob: Blob) -> Part:
            size, etag, envelope = digested.size, digested.etag, envelope_of(seal)
            return Part(number, size, etag, call.now, blob, digested.checksums, encryption=envelope)

        part = await store(
            call, sealed(digested.blocks(), seal), lambda blob, bucket: own(blob, bucket, described(blob))
        )
    shown = shown_checksums(upload, part)
    headers = {**_source_headers(source), **as_headers(upload.encryption)}
    return document("CopyPartResult", _result(part.modified, part.etag, shown), headers=headers)


def _copied_range(call: Call, version: ObjectVersion) -> tuple[int, int]:
    """Which bytes are copied. Raises InvalidRange for a range that is not whole within the source."""
    value = call.headers.get("x-amz-copy-source-range")
    start, stop = (0, version.size) if value is None else parse_copy_range(value)
    if stop > version.size:
        raise InvalidRange(ActualObjectSize=version.size)
    if stop - start > MAX_COPY:
        raise InvalidRequest(
            f"The specified copy source is larger than the maximum allowable size for a copy source: {MAX_COPY}"
        )
    return start, stop
