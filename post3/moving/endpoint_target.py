"""An S3 endpoint as the target of a copy: bodies wait, checked, in a file, and go with their digests."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from tempfile import SpooledTemporaryFile
from typing import TYPE_CHECKING, Any, Final

from post3.client.connection import DEFAULT_REGION
from post3.model.bucket import Bucket
from post3.model.object import NULL_VERSION, ObjectVersion, Part
from post3.model.tagging import to_header
from post3.moving import comparing
from post3.moving.bucket_documents import put_document
from post3.moving.connection import RefusedError, ask
from post3.moving.digests import Digesting
from post3.moving.endpoint import EndpointSide
from post3.moving.sides import MovingError, Read, Whole

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

IN_MEMORY: Final = 4 << 20
"""Bytes of a body that wait in memory; what is above goes to a temporary file."""
MAX_PUT: Final = 5 << 30
PARAMETERS: Final = {
    "cache-control": "CacheControl",
    "content-disposition": "ContentDisposition",
    "content-encoding": "ContentEncoding",
    "content-language": "ContentLanguage",
    "content-type": "ContentType",
    "expires": "Expires",
    "x-amz-website-redirect-location": "WebsiteRedirectLocation",
}
"""What boto3 calls an object's headers."""


@dataclass(frozen=True, slots=True)
class _Sent:
    """What is known of a version from its put alone."""

    version_id: str
    parts: tuple[Part, ...]
    modified: datetime = field(default_factory=lambda: datetime.now(UTC))


class EndpointTarget(EndpointSide):
    """An endpoint that is copied to."""

    by_id = False
    amend = None
    cannot_keep = frozenset(
        {
            *(comparing.VERSION_ID, comparing.ORDER, comparing.DATE, comparing.OWNER, comparing.ACL),
            *(comparing.STORAGE_CLASS, comparing.ENCRYPTION, comparing.CHECKSUMS, comparing.ETAG, comparing.PARTS),
        }
    )

    def __init__(self, client: S3Client) -> None:
        super().__init__(client)
        self._left: dict[str, list[str]] = {}
        """Of buckets that were there: what differs, and was left so."""
        self._sent: dict[tuple[str, str], _Sent] = {}
        """What was put last under a key, until it is looked at."""

    # Buckets

    async def prepare(self, wanted: Bucket, there: Bucket | None, *, overwrite: bool) -> list[str]:
        """See Target. A bucket that shall have versions has them from the beginning; they are suspended at the end."""
        name = wanted.name
        if there is None:
            await ask(self.client.create_bucket, Bucket=name, **self._location())
            there = Bucket(id="", name=name, owner=wanted.owner, created=wanted.created, acl=wanted.acl)
        elif not overwrite and (differing := _settable(wanted, there)):
            if wanted.versioning and there.versioning != "Enabled":
                await self._resume_versioning(wanted, there)
            self._left[name] = differing
            return differing
        if wanted.versioning and there.versioning != "Enabled":
            await self._set_versioning(name, "Enabled")
        for selector in _settable(wanted, there):
            try:
                await put_document(self.client, wanted, selector)
            except RefusedError:
                continue  # seen when the bucket is compared at the end
        return []

    async def _resume_versioning(self, wanted: Bucket, there: Bucket) -> None:
        """Let a bucket that is there take versions once more; they are suspended again at the end, as the source's are.

        Raises MovingError where it does not have them as the source has: versions would replace one another.
        """
        if there.versioning != wanted.versioning:
            how = "with versioning suspended" if there.versioning else "without versioning"
            raise MovingError(f"the bucket is there {how}, and the source's has versions")
        await self._set_versioning(wanted.name, "Enabled")

    def _location(self) -> dict[str, Any]:
        region = self.client.meta.region_name
        return {} if region == DEFAULT_REGION else {"CreateBucketConfiguration": {"LocationConstraint": region}}

    async def _set_versioning(self, name: str, status: str) -> None:
        await ask(self.client.put_bucket_versioning, Bucket=name, VersioningConfiguration={"Status": status})

    async def finish(self, wanted: Bucket) -> list[str]:
        """See Target."""
        left = self._left.get(wanted.name, [])
        if wanted.versioning == "Suspended" and "versioning" not in left:
            await self._set_versioning(wanted.name, "Suspended")
        state = await self.bucket(wanted.name)
        if state is None:
            raise MovingError("the bucket is there no more")
        return [what for what in comparing.bucket_differences(wanted, state.bucket) if what not in left]

    # Versions

    def adapted(self, whole: Whole) -> Whole:
        """See Target. What cannot be kept is seen when it is compared."""
        return whole

    async def whole(self, version: ObjectVersion) -> Whole:
        """See Side: what was just put there. Its order is that of the puts; an answer shows no owner, and no ACL."""
        sent = self._sent.pop((version.bucket, version.key))
        known = replace(version, content="", version_id=sent.version_id, owner="", acl=None, modified=sent.modified)
        if version.is_delete_marker:
            return Whole(known)
        found = await self.described(replace(known, parts=len(sent.parts)))
        return replace(found, parts=sent.parts)

    async def put(self, whole: Whole, read: Read, replaced: ObjectVersion | None) -> None:
        """See Target."""
        version = whole.version
        if version.is_delete_marker:
            answer = await ask(self.client.delete_object, Bucket=version.bucket, Key=version.key)
            if not answer.get("DeleteMarker"):
                raise MovingError("the endpoint made no delete marker")
            self._remember(version, answer)
        elif version.parts:
            await self._put_in_parts(whole, read)
        else:
            await self._put_body(whole, read)

    async def _put_body(self, whole: Whole, read: Read) -> None:
        version = whole.version
        if version.size > MAX_PUT:
            raise MovingError("it is larger than 5 GiB, and the source does not tell what parts it came in")
        algorithm = next(iter(version.checksums), None) if version.checksum_type == "FULL_OBJECT" else None
        async with _waiting(whole, whole.parts[0], read, algorithm) as sent:
            answer = await ask(self.client.put_object, **_place(version), **_described(version), **sent)
        self._remember(version, answer)

    async def _put_in_parts(self, whole: Whole, read: Read) -> None:
        version = whole.version
        algorithm = next(iter(version.checksums), None)
        begun = (
            {}
            if algorithm is None
            else {
                "ChecksumAlgorithm": algorithm.upper(),
                "ChecksumType": version.checksum_type,
            }
        )
        answer = await ask(self.client.create_multipart_upload, **_place(version), **_described(version), **begun)
        upload = {**_place(version), "UploadId": answer["UploadId"]}
        try:
            done = [await self._put_part(whole, part, read, algorithm, upload) for part in whole.parts]
            answer = await ask(self.client.complete_multipart_upload, **upload, MultipartUpload={"Parts": done})
        except BaseException:
            await asyncio.shield(self._abort(upload))
            raise
        self._remember(version, answer, whole.parts)

    def _remember(self, version: ObjectVersion, answer: Any, parts: tuple[Part, ...] = ()) -> None:
        sent = _Sent(answer.get("VersionId", NULL_VERSION), parts)
        self._sent[version.bucket, version.key] = sent

    async def _put_part(
        self, whole: Whole, part: Part, read: Read, algorithm: str | None, upload: Mapping[str, Any]
    ) -> dict[str, Any]:
        async with _waiting(whole, part, read, algorithm) as sent:
            answer = await ask(self.client.upload_part, **upload, PartNumber=part.number, **sent)
        checksums = {name: value for name, value in sent.items() if name.startswith("Checksum")}
        return {"PartNumber": part.number, "ETag": answer["ETag"], **checksums}

    async def _abort(self, upload: Mapping[str, Any]) -> None:
        try:
            await ask(self.client.abort_multipart_upload, **upload)
        except MovingError:
            return  # what stopped the upload is told; the endpoint has an open one more

    async def delete(self, version: ObjectVersion) -> None:
        """See Target."""
        named = {"VersionId": version.content} if version.content else {}
        await ask(self.client.delete_object, **_place(version), **named)


def _settable(wanted: Bucket, there: Bucket) -> list[str]:
    """What differs of two buckets' documents. Versions that are to be suspended are so at the end only."""
    differing = comparing.bucket_differences(wanted, there)
    ignored = {comparing.ACL, comparing.OWNER}
    if wanted.versioning == "Suspended" and there.versioning == "Enabled":
        ignored.add("versioning")
    return [what for what in differing if what not in ignored]


def _place(version: ObjectVersion) -> dict[str, Any]:
    return {"Bucket": version.bucket, "Key": version.key}


def _described(version: ObjectVersion) -> dict[str, Any]:
    """Headers, metadata and tags, as boto3 calls them."""
    given: dict[str, Any] = {PARAMETERS[name]: value for name, value in version.headers.items() if name in PARAMETERS}
    if "Expires" in given:
        given["Expires"] = parsedate_to_datetime(given["Expires"])
    if version.tags:
        given["Tagging"] = to_header(version.tags)
    return {**given, "Metadata": dict(version.metadata)}


@asynccontextmanager
async def _waiting(whole: Whole, part: Part, read: Read, algorithm: str | None) -> AsyncIterator[dict[str, Any]]:
    """A part's bytes as a request sends them, read to their end and found to be right."""
    digests = Digesting(whole, part, () if algorithm is None else (algorithm,))
    with SpooledTemporaryFile(max_size=IN_MEMORY) as file:
        async for block in digests.blocks(read(part)):
            await asyncio.to_thread(file.write, block.data)
        file.seek(0)
        sent = {
            "Body": file,
            "ContentLength": part.size,
            "ContentMD5": base64.b64encode(digests.md5).decode("ascii"),
        }
        if algorithm is not None:
            sent[f"Checksum{algorithm.upper()}"] = digests.checksum(algorithm)
        yield sent
