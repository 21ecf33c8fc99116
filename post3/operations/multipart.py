"""Multipart uploads: begin, send parts, complete, abort, look at what has arrived."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

from post3.errors import (
    BadDigest,
    EntityTooLarge,
    EntityTooSmall,
    InvalidPart,
    InvalidPartOrder,
    InvalidRequest,
    MalformedXML,
    NoSuchKey,
    NoSuchUpload,
    NoSuchVersion,
)
from post3.model.bucket import Bucket
from post3.model.checksums import (
    DEFAULT_ALGORITHM,
    DIGEST_SIZES,
    check_type,
    composite,
    etag_of_parts,
    full_object,
    parse_algorithm,
)
from post3.model.encryption import HEADER, KEY_ID_HEADER, as_headers
from post3.model.names import check_key, parse_part_number
from post3.model.object import Blob, ObjectVersion, Part
from post3.model.tree import Tree, each, text
from post3.model.upload import Upload, upload_id_at
from post3.operations.encrypting import asked_for, envelope_of, seal_for, sealed
from post3.operations.granting import check_tags, completed_access, object_access, parties
from post3.operations.objects import (
    checksum_elements,
    part_number,
    put_headers,
)
from post3.operations.storing import store
from post3.s3.call import Call
from post3.s3.digest import digest
from post3.s3.headers import (
    checksum_headers,
    checksum_values,
    quoted,
    requested_tags,
    storage_class,
    stored_headers,
    user_metadata,
    write_conditions,
)
from post3.s3.message import Response, document
from post3.s3.router import Needs, operation

MIN_PART: Final = 5 * 2**20
"""Bytes of every part but the last.
Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html"""
MAX_OBJECT: Final = 5 * 2**40
"""Bytes of a whole object."""
MAX_DOCUMENT: Final = 8 * 2**20
"""Bytes: ten thousand parts, each with its ETag and checksums."""


@operation("POST", "object", "uploads", action="s3:PutObject", needs=Needs.WRITE)
async def create_multipart_upload(call: Call) -> Response:
    """Begin; all that the object will have besides its bytes is said now."""
    check_key(call.key)
    headers = call.headers
    algorithm = parse_algorithm(headers.get("x-amz-checksum-algorithm"))
    wanted_type = headers.get("x-amz-checksum-type")
    if wanted_type and not algorithm:
        raise InvalidRequest(
            "The x-amz-checksum-type header can only be used with the x-amz-checksum-algorithm header."
        )
    upload = Upload(
        bucket=call.bucket.name,
        key=call.key,
        upload_id=upload_id_at(int(call.now.timestamp() * 1_000_000), secrets.token_hex(8)),
        initiated=call.now,
        owner=call.identity.id,
        storage_class=storage_class(headers),
        headers=stored_headers(headers),
        metadata=user_metadata(headers),
        tags=requested_tags(headers),
        checksum_algorithm=algorithm,
        checksum_type=check_type(algorithm, wanted_type) if algorithm else "",
    )

    async def create(bucket: Bucket) -> Upload:
        check_tags(call, bucket, upload.tags)
        acl = object_access(call, bucket)[1]
        return await call.backend.create_upload(bucket, replace(upload, acl=acl, encryption=asked_for(call, bucket)))

    told = as_headers((await call.commit(create)).encryption)
    if algorithm:
        told |= {"x-amz-checksum-algorithm": algorithm.upper(), "x-amz-checksum-type": upload.checksum_type}
    tree = {"Bucket": upload.bucket, "Key": upload.key, "UploadId": upload.upload_id}
    return document("InitiateMultipartUploadResult", tree, headers=told)


async def open_upload(call: Call) -> Upload:
    """The upload that uploadId names, when whoever asks may go on with it. Raises NoSuchUpload, also when it is
    completed.
    """
    upload = await _allowed_upload(call, call.bucket)
    if upload.version_id is not None:
        raise NoSuchUpload(UploadId=upload.upload_id)
    return upload


async def _allowed_upload(call: Call, bucket: Bucket) -> Upload:
    """The upload named by uploadId, open or completed. Raises AccessDenied; NoSuchUpload for whoever may know that."""
    try:
        upload = await call.backend.get_upload(bucket, call.key, call.query["uploadId"])
    except NoSuchUpload:
        call.check_upload(None)
        raise
    call.check_upload(upload)
    return upload


def part_algorithms(upload: Upload) -> tuple[str, ...]:
    """The checksums that every part of an upload gets, whatever the client sends: those that completing it needs."""
    return (upload.checksum_algorithm or DEFAULT_ALGORITHM,)


def shown_checksums(upload: Upload, part: Part) -> Mapping[str, str]:
    """The checksums that answers show of a part: the upload's own, else what the client sent."""
    if upload.checksum_algorithm:
        return {upload.checksum_algorithm: part.checksums[upload.checksum_algorithm]}
    sent = {name: value for name, value in part.checksums.items() if name != DEFAULT_ALGORITHM}
    return sent or part.checksums


@operation("PUT", "object", "partNumber", "uploadId", action="s3:PutObject", needs=Needs.WRITE)
async def upload_part(call: Call) -> Response:
    """Store the request's body as a part, in place of one of the same number."""
    number = part_number(call)
    call.require_length()
    upload = await open_upload(call)
    body = call.body(*part_algorithms(upload))
    if body.sent and upload.checksum_algorithm not in ("", body.sent):
        raise InvalidRequest(
            f"Checksum Type mismatch occurred, expected checksum Type: {upload.checksum_algorithm}, "
            f"actual checksum Type: {body.sent}"
        )
    seal = seal_for(call, upload.encryption, number)

    async def own(blob: Blob, bucket: Bucket) -> Part:
        call.check_upload(upload)
        size, etag, envelope = body.size, body.etag, envelope_of(seal)
        part = Part(number, size, etag, call.now, blob, body.checksums, encryption=envelope)
        return await call.backend.put_part(bucket, upload, part)

    part = await store(call, sealed(body.blocks(), seal), own)
    checksums = checksum_headers(shown_checksums(upload, part), "")
    return Response(headers={"etag": quoted(part.etag), **checksums, **as_headers(upload.encryption)})


@dataclass(frozen=True, slots=True)
class Named:
    """A part as the completion names it."""

    number: int
    etag: str
    checksums: Mapping[str, str]


def _parse_completion(tree: Tree) -> list[Named]:
    """The parts in order; of a number named twice, the last. Raises MalformedXML, InvalidRequest, InvalidPartOrder."""
    named: list[Named] = []
    for element in each(tree, "Part"):
        one = _parse_named(element)
        if named and one.number == named[-1].number:
            named.pop()
        elif named and one.number < named[-1].number:
            raise InvalidPartOrder
        named.append(one)
    if not named:
        raise InvalidRequest("You must specify at least one part")
    return named


def _parse_named(element: Tree) -> Named:
    number, etag = parse_part_number(text(element, "PartNumber") or ""), text(element, "ETag")
    if etag is None or number is None:
        raise MalformedXML
    checksums = {name: text(element, f"Checksum{name.upper()}") for name in DIGEST_SIZES}
    return Named(number, etag.strip().strip('"').lower(), {name: value for name, value in checksums.items() if value})


def _choose(upload: Upload, named: Sequence[Named], uploaded: Mapping[int, Part]) -> list[Part]:
    """The parts that the object is made of. Raises InvalidPart, EntityTooSmall, EntityTooLarge."""
    chosen: list[Part] = []
    for one in named:
        part = uploaded.get(one.number)
        if part is None or part.etag != one.etag or not _agree(part.checksums, one.checksums):
            raise InvalidPart(UploadId=upload.upload_id, PartNumber=one.number, ETag=one.etag)
        chosen.append(part)
    for part in chosen[:-1]:
        if part.size < MIN_PART:
            raise EntityTooSmall(
                ProposedSize=part.size, MinSizeAllowed=MIN_PART, PartNumber=part.number, ETag=part.etag
            )
    total = sum(part.size for part in chosen)
    if total > MAX_OBJECT:
        raise EntityTooLarge(ProposedSize=total, MaxSizeAllowed=MAX_OBJECT)
    return chosen


def _agree(known: Mapping[str, str], named: Mapping[str, str]) -> bool:
    return all(known.get(algorithm) == value for algorithm, value in named.items())


def _whole_checksum(upload: Upload, parts: Sequence[Part]) -> tuple[dict[str, str], str]:
    """The object's checksum and its type."""
    algorithm = upload.checksum_algorithm or DEFAULT_ALGORITHM
    checksum_type = upload.checksum_type or "FULL_OBJECT"
    if checksum_type == "COMPOSITE":
        digests = [part.checksums[algorithm] for part in parts]
        value = composite(algorithm, lambda data: digest(algorithm, data), digests)
    else:
        value = full_object(algorithm, [(part.checksums[algorithm], part.size) for part in parts])
    return {algorithm: value}, checksum_type


def _check_promises(call: Call, upload: Upload, version: ObjectVersion) -> None:
    """Hold the completion to what its headers say of the object. Raises BadDigest, InvalidRequest."""
    size = call.headers.get("x-amz-mp-object-size")
    if size is not None and size != str(version.size):
        raise InvalidRequest(
            f"The provided 'x-amz-mp-object-size' header value {size} does not match what was computed: {version.size}"
        )
    wanted_type = call.headers.get("x-amz-checksum-type")
    if wanted_type is not None and wanted_type != version.checksum_type:
        raise InvalidRequest(
            f"The upload was created using the {version.checksum_type} checksum mode. "
            f"The complete request must use the same checksum mode."
        )
    for algorithm, value in checksum_values(call.headers).items():
        if version.checksums.get(algorithm) not in (value, f"{value}-{version.parts}"):
            raise BadDigest(f"The {algorithm} you specified did not match the calculated checksum.")


@operation("POST", "object", "uploadId", action="s3:PutObject", needs=Needs.WRITE, is_slow=True)
async def complete_multipart_upload(call: Call) -> Response:
    """Make an object of the parts; the same completion again answers the same."""
    named = _parse_completion(await call.document("CompleteMultipartUpload", MAX_DOCUMENT))
    conditions = write_conditions(call.headers)
    upload, uploaded = await _upload_and_parts(call)
    if upload.version_id is not None:
        return _completed(call, await _completed_version(call, upload))
    parts = _choose(upload, named, {part.number: part for part in uploaded})
    # In a thread: the CRCs of ten thousand parts of as many sizes take seconds to combine.
    checksums, checksum_type = await asyncio.to_thread(_whole_checksum, upload, parts)
    version = ObjectVersion(
        bucket=upload.bucket,
        key=upload.key,
        version_id="",
        modified=call.now,
        owner="",
        storage_class=upload.storage_class,
        size=sum(part.size for part in parts),
        etag=etag_of_parts([part.etag for part in parts]),
        parts=len(parts),
        checksums=checksums,
        checksum_type=checksum_type,
        headers=upload.headers,
        metadata=upload.metadata,
        encryption=upload.encryption,
        tags=upload.tags,
    )
    _check_promises(call, upload, version)

    async def finish(bucket: Bucket) -> ObjectVersion:
        call.check_upload(upload)
        owner, acl = completed_access(bucket, upload)
        described = replace(version, version_id=bucket.version_to_put, owner=owner, acl=acl)
        return await call.backend.finish_upload(bucket, upload, described, parts, conditions.for_put)

    return _completed(call, await call.commit(finish))


async def _upload_and_parts(call: Call) -> tuple[Upload, Sequence[Part]]:
    """The upload and what has arrived, or the completed upload alone. Raises NoSuchUpload.

    The request's document is read by now, so a bucket that changed is loaded here: the call cannot be repeated.
    """
    upload = await call.commit(partial(_allowed_upload, call))
    if upload.version_id is not None:
        return upload, ()
    try:
        return upload, await call.commit(lambda bucket: call.backend.list_parts(bucket, upload))
    except NoSuchUpload:
        # The same completion, sent twice, may have won between the two looks.
        return await call.commit(partial(_allowed_upload, call)), ()


async def _completed_version(call: Call, upload: Upload) -> ObjectVersion:
    """The object that a completed upload became. Raises NoSuchUpload when it has been replaced or deleted since."""
    try:
        version = await call.commit(lambda bucket: call.backend.get_version(bucket, upload.key, upload.version_id))
    except (NoSuchKey, NoSuchVersion):
        raise NoSuchUpload(UploadId=upload.upload_id) from None
    if version.content != upload.content:
        raise NoSuchUpload(UploadId=upload.upload_id)
    return version


def _completed(call: Call, version: ObjectVersion) -> Response:
    headers = put_headers(call.bucket, version)
    told = {name: headers[name] for name in ("x-amz-version-id", HEADER, KEY_ID_HEADER) if name in headers}
    tree: Tree = {
        "Location": f"{call.request.base_url}{call.request.path}",
        "Bucket": version.bucket,
        "Key": version.key,
        "ETag": quoted(version.etag),
        **checksum_elements(version.checksums),
        "ChecksumType": version.checksum_type,
    }
    return document("CompleteMultipartUploadResult", tree, headers=told)


@operation("DELETE", "object", "uploadId", needs=Needs.UPLOAD)
async def abort_multipart_upload(call: Call) -> Response:
    """Forget the upload and its parts."""
    upload = await open_upload(call)

    async def abort(bucket: Bucket) -> None:
        call.check_upload(upload)
        await call.backend.abort_upload(bucket, upload)

    await call.commit(abort)
    return Response(204)


@operation("GET", "object", "uploadId", action="s3:ListMultipartUploadParts", needs=Needs.UPLOAD)
async def list_parts(call: Call) -> Response:
    """The parts that have arrived, by number."""
    limit = call.int_parameter("max-parts", 1000, 0, 1000)
    after = call.int_parameter("part-number-marker", 0, 0, 2**31 - 1)
    upload = await open_upload(call)
    parts = await call.backend.list_parts(call.bucket, upload, after=after, limit=limit + 1)
    page, truncated = parts[:limit], len(parts) > limit > 0
    return document(
        "ListPartsResult",
        {
            "Bucket": upload.bucket,
            "Key": upload.key,
            "UploadId": upload.upload_id,
            "PartNumberMarker": after,
            "NextPartNumberMarker": page[-1].number if page else 0,
            "MaxParts": limit,
            "IsTruncated": truncated,
            "Part": [_told_part(upload, part) for part in page],
            **parties(call, upload),
            "StorageClass": upload.storage_class,
            "ChecksumAlgorithm": upload.checksum_algorithm.upper() or None,
            "ChecksumType": upload.checksum_type or None,
        },
    )


def _told_part(upload: Upload, part: Part) -> Tree:
    return {
        "PartNumber": part.number,
        "LastModified": part.modified,
        "ETag": quoted(part.etag),
        "Size": part.size,
        **checksum_elements(shown_checksums(upload, part)),
    }
