"""Objects: put, get, look at."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import nullcontext
from dataclasses import replace
from typing import Final

from post3.errors import (
    InvalidArgument,
    InvalidPartNumber,
    InvalidRange,
    InvalidRequest,
    MethodNotAllowed,
    NoSuchKey,
    NotModified,
    S3Error,
)
from post3.model.bucket import Bucket
from post3.model.checksums import DEFAULT_ALGORITHM
from post3.model.conditions import WriteConditions
from post3.model.encryption import as_headers, check_read
from post3.model.identity import ANONYMOUS
from post3.model.names import check_key, parse_part_number
from post3.model.object import Blob, ObjectVersion, Part
from post3.model.ranges import ByteRange, runs
from post3.model.tree import Tree
from post3.operations.encrypting import (
    as_wanted,
    asked_for,
    begun,
    check_known,
    envelope_of,
    read_run,
    seal_for,
    sealed,
)
from post3.operations.granting import check_tags, object_access
from post3.operations.storing import store
from post3.s3.call import Call
from post3.s3.headers import (
    READ_CONDITIONS,
    checksum_headers,
    content_range,
    heeds_range,
    http_date,
    overrides,
    parse_range,
    quoted,
    read_conditions,
    requested_tags,
    storage_class,
    stored_headers,
    user_metadata,
    version_headers,
    write_conditions,
)
from post3.s3.message import Response, document
from post3.s3.router import Needs, operation
from post3.storage.pieces import check_pieces

SMALL: Final = 64 * 1024
"""Bytes of a body that are answered in one piece, with everything known before the status is sent."""


@operation("PUT", "object", needs=Needs.WRITE)
async def put_object(call: Call) -> Response:
    """Store the request's body as the key's current version."""
    call.require_length()
    stored = await put(call)
    return Response(headers=put_headers(call.bucket, stored))


async def put(call: Call) -> ObjectVersion:
    """Store the request's body as its key's current version, described by its headers."""
    check_key(call.key)
    headers = call.headers
    conditions = write_conditions(headers)
    object_access(call, call.bucket)  # refused before the body is sent
    encryption = asked_for(call, call.bucket)
    version = ObjectVersion(
        bucket=call.bucket.name,
        key=call.key,
        version_id="",
        modified=call.now,
        owner="",
        storage_class=storage_class(headers),
        headers=stored_headers(headers),
        metadata=user_metadata(headers),
        encryption=encryption,
        tags=requested_tags(headers),
    )
    check_tags(call, call.bucket, version.tags)
    await check_early(call, conditions)
    body = call.body(DEFAULT_ALGORITHM)
    seal = seal_for(call, encryption, 1)

    async def own(blob: Blob, bucket: Bucket) -> ObjectVersion:
        modified, envelope = version.modified, envelope_of(seal)
        whole = Part(1, body.size, body.etag, modified, blob, body.checksums, encryption=envelope)
        return await put_whole(call, bucket, version, whole, body.sent or DEFAULT_ALGORITHM, conditions)

    return await store(call, sealed(body.blocks(), seal), own)


async def put_whole(
    call: Call, bucket: Bucket, version: ObjectVersion, body: Part, algorithm: str, conditions: WriteConditions
) -> ObjectVersion:
    """Make the version of this one stored part the current one, as the bucket takes it now: under its versioning,
    ownership controls, policy, block of public access and encryption. Of the part's checksums, an object has one.
    """
    check_tags(call, bucket, version.tags)
    owner, acl = object_access(call, bucket)
    version, body = await as_wanted(call, bucket, version, body)
    whole = replace(
        version,
        version_id=bucket.version_to_put,
        owner=owner,
        acl=acl,
        size=body.size,
        etag=body.etag,
        body=body,
        checksums={algorithm: body.checksums[algorithm]},
        checksum_type="FULL_OBJECT",
    )
    return await call.backend.put_version(bucket, whole, conditions.for_put)


async def check_early(call: Call, conditions: WriteConditions) -> None:
    """Refuse a put whose condition fails already before its body is sent; it is decided for good with the write."""
    if not conditions.judges_puts:
        return
    try:
        current: ObjectVersion | None = await call.backend.get_version(call.bucket, call.key)
    except NoSuchKey:
        current = None
    conditions.for_put(current, None)


def put_headers(bucket: Bucket, stored: ObjectVersion) -> dict[str, str]:
    """What the answer to a put tells of the version that it made."""
    checksums = checksum_headers(stored.checksums, stored.checksum_type)
    told = {"etag": quoted(stored.etag), **checksums, **as_headers(stored.encryption)}
    if bucket.versioning == "Enabled":
        told["x-amz-version-id"] = stored.version_id
    return told


@operation("GET", "object", parameters=("partNumber",), needs=Needs.READ)
async def get_object(call: Call) -> Response:
    """The bytes, or a range of them, or one part."""
    version = await readable(call)
    response, start, stop = await _described(call, version)
    if start < stop:
        response.body = at_hand(version, start, stop) or await _stored(call, version, start, stop)
    return response


def at_hand(version: ObjectVersion, start: int, stop: int) -> bytes:
    """The version's bytes from start to before stop where its record has them, as those of most small objects have;
    empty where they are to be asked for. Raises InternalError for damaged ones.
    """
    body = version.body
    if body is None or body.blob.inline is None or body.encryption is not None:
        return b""
    data, crcs = body.blob.inline
    check_pieces(data, crcs, body.blob.id)
    return data[start:stop]


async def _stored(call: Call, version: ObjectVersion, start: int, stop: int) -> bytes | AsyncIterator[bytes]:
    """The version's bytes from start to before stop, in one piece or in runs."""
    stream = read(call, version, start, stop)
    if stop - start <= SMALL:
        return b"".join([run async for run in stream])
    return stream if version.encryption is None else await begun(stream)


@operation("HEAD", "object", parameters=("partNumber",), action="s3:GetObject", needs=Needs.READ)
async def head_object(call: Call) -> Response:
    """All that get_object would answer, but for the bytes."""
    try:
        version = await readable(call)
    except NoSuchKey as error:
        # Ceph tells so of what is simply not there; AWS leaves the header out, and no client minds.
        error.headers.setdefault("x-amz-delete-marker", "false")
        raise
    response, _, _ = await _described(call, version)
    return response


async def readable(call: Call) -> ObjectVersion:
    """The version asked for; a delete marker raises what S3 answers for it."""
    version = await call.version()
    if version.is_delete_marker:
        raise call.hidden(hidden_by(version, named=call.version_id is not None))
    return version


def version_header(call: Call, version: ObjectVersion) -> dict[str, str]:
    """The version's id, where the bucket has had versions."""
    return {"x-amz-version-id": version.version_id} if call.bucket.versioning else {}


def hidden_by(marker: ObjectVersion, *, named: bool) -> S3Error:
    """The error for a marker: the key seems absent, but a marker named by its id cannot be read at all.

    Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/DeleteMarker.html
    """
    headers = {"x-amz-delete-marker": "true", "x-amz-version-id": marker.version_id}
    if named:
        headers |= {"allow": "DELETE", "last-modified": http_date(marker.modified)}
        return MethodNotAllowed(headers=headers, Method="GET", ResourceType="DeleteMarker")
    return NoSuchKey(headers=headers, Key=marker.key)


def check_conditions(call: Call, version: ObjectVersion) -> None:
    """Raise PreconditionFailed, or NotModified with the headers that a cache renews (RFC 9110, 15.4.5)."""
    if READ_CONDITIONS.isdisjoint(call.headers):
        return
    try:
        read_conditions(call.headers, now=call.now).check_read(version.etag, version.modified)
    except NotModified as error:
        told = version_headers(version, shows_version=bool(call.bucket.versioning))
        error.headers.update((name, told[name]) for name in _RENEWED if name in told)
        raise


_RENEWED: Final = ("cache-control", "expires", "last-modified", "x-amz-version-id")


async def _described(call: Call, version: ObjectVersion) -> tuple[Response, int, int]:
    """The answer without its body, and which bytes are its body."""
    headers = call.headers
    check_read(headers)
    check_conditions(call, version)
    wanted = parse_range(headers.get("range")) if heeds_range(headers, version.etag, version.modified) else None
    response = Response(headers=version_headers(version, shows_version=bool(call.bucket.versioning)))
    if version.tags and call.allows_version("s3:GetObjectTagging", None, version):
        response.headers["x-amz-tagging-count"] = str(len(version.tags))
    if call.query:
        response.headers.update(_overrides(call))
    start, stop = 0, version.size
    shown, shown_type = version.checksums, version.checksum_type
    if "partNumber" in call.query:
        if wanted is not None:
            raise InvalidRequest("Cannot specify both Range header and partNumber query parameter")
        part = await _part(call, version)
        start, stop = part.start, part.start + part.size
        if version.parts:
            response.headers["x-amz-mp-parts-count"] = str(version.parts)
            shown = _matching(part.checksums, version.checksums)
    elif wanted is not None:
        start, stop = _satisfied(wanted, version.size, headers["range"])
        shown = shown if stop - start == version.size else {}
    if start < stop and (wanted is not None or "partNumber" in call.query):
        response.status = 206
        response.headers["content-range"] = content_range(start, stop, version.size)
    if headers.get("x-amz-checksum-mode", "").upper() == "ENABLED":
        response.headers.update(checksum_headers(shown, shown_type))
    response.headers["content-length"] = str(stop - start)
    return response, start, stop


def _overrides(call: Call) -> dict[str, str]:
    """The headers that the query puts in place of the stored ones. Raises InvalidRequest unless somebody signed it.

    Else anybody could make a link by which a stranger's bytes are shown as a page.
    Source: https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html (Overriding response header values)
    """
    told = overrides(call.query)
    if told and call.identity == ANONYMOUS:
        raise InvalidRequest("Request specific response headers cannot be used for anonymous GET requests.")
    return told


def _satisfied(wanted: ByteRange, size: int, value: str) -> tuple[int, int]:
    """Start and stop within so many bytes. Raises InvalidRange, which tells of the size and of what was asked for."""
    try:
        return wanted.of(size)
    except InvalidRange as error:
        error.details["RangeRequested"] = value
        raise


def _matching(checksums: Mapping[str, str], wanted: Mapping[str, str]) -> dict[str, str]:
    """Of a part's checksums, those of the algorithms that its object has."""
    return {name: checksums[name] for name in wanted if name in checksums}


async def _part(call: Call, version: ObjectVersion) -> Part:
    number = part_number(call)
    parts = await call.backend.list_parts(call.bucket, version, after=number - 1, limit=1)
    if not parts or parts[0].number != number:
        raise InvalidPartNumber(ActualPartCount=version.parts or 1, PartNumberRequested=number)
    return parts[0]


def part_number(call: Call) -> int:
    """The part that the query names. Raises InvalidArgument."""
    text = call.query["partNumber"]
    number = parse_part_number(text)
    if number is None:
        raise InvalidArgument(
            "Part number must be an integer between 1 and 10000, inclusive",
            ArgumentName="partNumber",
            ArgumentValue=text,
        )
    return number


async def read(
    call: Call, version: ObjectVersion, start: int, stop: int, bucket: Bucket | None = None
) -> AsyncIterator[bytes]:
    """The version's bytes from start to before stop, in runs; of another bucket than the call's where one is given.

    They are all there to the end, also when the version is deleted meanwhile.
    """

    async def parts_in(bucket: Bucket) -> list[Part]:
        return await call.backend.list_parts(bucket, version, start=start, stop=stop)

    if version.body:
        parts = [version.body]
    elif bucket is not None:
        parts = await parts_in(bucket)
    else:
        # Who reads goes on when the bucket changes: nobody handles the request again once its answer is on its way.
        parts = await call.commit(parts_in, is_bound=True)
    check_known(call, parts)
    bucket = bucket or call.bucket
    wanted = tuple(runs(parts, start, stop))
    async with call.backend.hold(bucket, version) if len(wanted) > 1 else nullcontext():
        for run in wanted:
            async for data in read_run(call, bucket, version, run):
                yield data


ATTRIBUTES: Final = ("ETag", "Checksum", "ObjectParts", "StorageClass", "ObjectSize")
MAX_ATTRIBUTE_PARTS: Final = 1000


@operation("GET", "object", "attributes", needs=Needs.READ)
async def get_object_attributes(call: Call) -> Response:
    """What x-amz-object-attributes names of a version, and only that; whoever asks may read it too."""
    version = await readable(call)
    call.check_version("s3:GetObject", version)
    named = _named_attributes(call.headers)
    check_conditions(call, version)
    tree: dict[str, str | int | Tree | None] = {}
    if "ETag" in named:
        tree["ETag"] = version.etag
    if "Checksum" in named and version.checksums:
        tree["Checksum"] = {**checksum_elements(version.checksums), "ChecksumType": version.checksum_type or None}
    if "ObjectParts" in named and version.parts:
        tree["ObjectParts"] = await _object_parts(call, version)
    if "StorageClass" in named:
        tree["StorageClass"] = version.storage_class
    if "ObjectSize" in named:
        tree["ObjectSize"] = version.size
    headers = {"last-modified": http_date(version.modified)}
    if call.bucket.versioning:
        headers["x-amz-version-id"] = version.version_id
    return document("GetObjectAttributesResponse", tree, headers=headers)


def _named_attributes(headers: Mapping[str, str]) -> set[str]:
    value = headers.get("x-amz-object-attributes", "")
    named = {name.strip() for name in value.split(",") if name.strip()}
    if not named or not named <= set(ATTRIBUTES):
        raise InvalidArgument(
            f"Invalid attribute name specified; x-amz-object-attributes takes {', '.join(ATTRIBUTES)}.",
            ArgumentName="x-amz-object-attributes",
            ArgumentValue=value,
        )
    return named


def checksum_elements(checksums: Mapping[str, str]) -> dict[str, str]:
    """Checksums as XML elements: ChecksumCRC32 and the like."""
    return {f"Checksum{algorithm.upper()}": value for algorithm, value in checksums.items()}


async def _object_parts(call: Call, version: ObjectVersion) -> Tree:
    limit = _number(call.headers, "x-amz-max-parts", MAX_ATTRIBUTE_PARTS)
    after = _number(call.headers, "x-amz-part-number-marker", 0)
    limit = min(limit, MAX_ATTRIBUTE_PARTS)
    parts = await call.backend.list_parts(call.bucket, version, after=after, limit=limit + 1)
    page = parts[:limit]
    return {
        "PartsCount": version.parts,
        "PartNumberMarker": after,
        "NextPartNumberMarker": page[-1].number if page else 0,
        "MaxParts": limit,
        "IsTruncated": len(parts) > limit,
        "Part": [
            {
                "PartNumber": part.number,
                "Size": part.size,
                **checksum_elements(_matching(part.checksums, version.checksums)),
            }
            for part in page
        ],
    }


def _number(headers: Mapping[str, str], name: str, default: int) -> int:
    text = headers.get(name, "")
    if not text:
        return default
    if not (text.isascii() and text.isdigit() and len(text) <= 10):
        raise InvalidArgument(f"{name} must be a whole number.", ArgumentName=name, ArgumentValue=text)
    return int(text)
