"""An S3 endpoint as a side of a copy: what it shows of its buckets and objects."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from botocore.exceptions import BotoCoreError

from post3._chunker import BLOCK_SIZE
from post3.client.connection import DEFAULT_REGION
from post3.errors import S3Error
from post3.model.bucket import Bucket
from post3.model.checksums import DIGEST_SIZES
from post3.model.encryption import HEADER, KEY_ID_HEADER, SSE_S3, Encryption
from post3.model.grants import Grant, Grants, from_document
from post3.model.identity import Identity
from post3.model.object import NULL_VERSION, Blob, ObjectVersion, Part
from post3.model.tree import one, text
from post3.moving import comparing
from post3.moving.bucket_documents import read_documents
from post3.moving.connection import RAW, RefusedError, ask, in_thread
from post3.moving.listing import is_of_post3, objects, placed, versions
from post3.moving.sides import BucketState, GoneError, MovingError, Whole
from post3.s3.headers import STORED_HEADERS
from post3.s3.xml import parse

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

NO_ACLS: Final = frozenset({"NotImplemented", "MethodNotAllowed", "AccessControlListNotSupported", "AccessDenied"})


class EndpointSide:
    """What both a source and a target behind an endpoint can do."""

    is_store = False

    def __init__(self, client: S3Client) -> None:
        self.client = client
        self._has_acls = True
        self._created: dict[str, datetime] = {}

    # Buckets

    async def names(self) -> list[str]:
        """See Side."""
        return list(await self._listed())

    async def _listed(self) -> dict[str, datetime]:
        """Names of all buckets, and when they were made."""
        entries = (await ask(self.client.list_buckets)).get("Buckets", [])
        self._created = {entry["Name"]: entry["CreationDate"] for entry in entries}
        return self._created

    async def bucket(self, name: str) -> BucketState | None:
        """See Side."""
        try:
            region = (await ask(self.client.head_bucket, Bucket=name)).get("BucketRegion", DEFAULT_REGION)
        except GoneError:
            return None
        owner, acl, lost = await self._bucket_rights(name)
        bucket = Bucket(
            id="",
            name=name,
            owner=owner,
            created=await self._made_at(name),
            region="" if region == DEFAULT_REGION else region,
            acl=acl,
        )
        documents = await read_documents(self.client, bucket)
        return BucketState(replace(bucket, configurations=documents.read), (*lost, *documents.lost))

    async def _made_at(self, name: str) -> datetime:
        """When the bucket was made; only the list of all tells, and not to everybody."""
        if name not in self._created:
            try:
                await self._listed()
            except RefusedError:
                self._created = {}
        return self._created.setdefault(name, datetime.now(UTC))

    async def _bucket_rights(self, name: str) -> tuple[str, Grants | None, tuple[str, ...]]:
        try:
            answer = await ask(self.client.get_bucket_acl, Bucket=name)
            return *rights_of(answer[RAW]), ()
        except (RefusedError, S3Error) as error:
            return "", None, (f"the bucket's {comparing.ACL} ({error.code})",)

    # Versions

    async def keys(self, bucket: str) -> AsyncIterator[list[ObjectVersion]]:
        """See Side."""
        status = (await ask(self.client.get_bucket_versioning, Bucket=bucket)).get("Status")
        held: list[ObjectVersion] = []
        async for version in (versions if status else objects)(self.client, bucket):
            if held and held[0].key != version.key:
                yield placed(held[::-1])
                held = []
            held.append(version)
        if held:
            yield placed(held[::-1])

    async def headed(self, version: ObjectVersion, **more: Any) -> Any:
        """The answer to HEAD, and its headers."""
        named = {"VersionId": version.content} if version.content else {}
        asked = {"Bucket": version.bucket, "Key": version.key, "ChecksumMode": "ENABLED"}
        answer = await ask(self.client.head_object, **asked, **named, **more)
        return answer, answer["ResponseMetadata"]["HTTPHeaders"]

    async def described(self, version: ObjectVersion) -> Whole:
        """What HEAD and the object's tags tell, without its parts."""
        answer, headers = await self.headed(version)
        kind = headers.get(HEADER)
        checksums = _checksums(headers)
        tags = await self._tags(version) if int(headers.get("x-amz-tagging-count", 0)) else {}
        described = replace(
            version,
            size=answer["ContentLength"],
            etag=answer["ETag"].strip('"'),
            storage_class=headers.get("x-amz-storage-class", "STANDARD"),
            checksums=checksums,
            checksum_type=_checksum_type(headers, checksums),
            headers={name: headers[name] for name in STORED_HEADERS if name in headers},
            metadata=answer.get("Metadata", {}),
            tags=tags,
            encryption=None if kind is None else Encryption(kind, headers.get(KEY_ID_HEADER, "")),
        )
        return Whole(described, proves=kind in (None, SSE_S3))

    async def _tags(self, version: ObjectVersion) -> dict[str, str]:
        named = {"VersionId": version.content} if version.content else {}
        answer = await ask(self.client.get_object_tagging, Bucket=version.bucket, Key=version.key, **named)
        return {tag["Key"]: tag["Value"] for tag in sorted(answer["TagSet"], key=lambda tag: tag["Key"])}


class EndpointSource(EndpointSide):
    """An endpoint that is copied from."""

    async def whole(self, version: ObjectVersion) -> Whole:
        """See Side."""
        lost = (
            ()
            if version.content in ("", NULL_VERSION) or is_of_post3(version.content, version.modified)
            else (comparing.VERSION_ID,)
        )
        if version.is_delete_marker:
            return Whole(version, lost=lost)
        found = await self.described(version)
        if found.version.etag != version.etag:
            raise GoneError("it changed meanwhile")
        parts = await self._parts(found.version)
        if parts is None:
            parts, lost = (_whole_body(found),), (*lost, comparing.PARTS)
        number = len(parts) if "-" in version.etag and comparing.PARTS not in lost else 0
        acl, lost_rights = await self._acl(version)
        described = replace(found.version, acl=acl, parts=number)
        return replace(found, version=described, parts=parts, lost=(*lost, *lost_rights))

    async def _parts(self, version: ObjectVersion) -> tuple[Part, ...] | None:
        """The parts that the object came in; None where the endpoint does not tell."""
        count = _part_count(version.etag)
        if not count:
            return (_whole_body(Whole(version)),)
        parts: list[Part] = []
        start = 0
        for number in range(1, count + 1):
            try:
                answer, headers = await self.headed(version, PartNumber=number)
            except (RefusedError, GoneError):
                return None
            size = answer["ContentLength"]
            parts.append(Part(number, size, "", version.modified, Blob("", size), _checksums(headers), start))
            start += size
        return tuple(parts) if start == version.size else None

    async def _acl(self, version: ObjectVersion) -> tuple[Grants | None, tuple[str, ...]]:
        """The object's list; asked for until the endpoint says that it has none."""
        if not self._has_acls:
            return None, ()
        named = {"VersionId": version.content} if version.content else {}
        try:
            answer = await ask(self.client.get_object_acl, Bucket=version.bucket, Key=version.key, **named)
            return rights_of(answer[RAW])[1], ()
        except RefusedError as error:
            self._has_acls = error.code not in NO_ACLS
            return None, (comparing.ACL,) if error.code == "AccessDenied" else ()
        except S3Error:
            return None, (comparing.ACL,)

    def holding(self, whole: Whole) -> AbstractAsyncContextManager[None]:
        """See Source. An endpoint holds nothing; what goes meanwhile is told as gone."""
        return nullcontext()

    async def read(self, whole: Whole, part: Part) -> AsyncIterator[bytes]:
        """See Source."""
        version = whole.version
        asked: dict[str, Any] = {"Bucket": version.bucket, "Key": version.key, "IfMatch": f'"{version.etag}"'}
        if version.content:
            asked["VersionId"] = version.content
        if version.parts and part.size:
            asked["Range"] = f"bytes={part.start}-{part.start + part.size - 1}"
        try:
            body = (await ask(self.client.get_object, **asked))["Body"]
        except RefusedError as error:
            if error.code == "PreconditionFailed":
                raise GoneError("it changed meanwhile") from error
            raise
        try:
            while data := await in_thread(partial(body.read, BLOCK_SIZE)):
                yield data
        except (BotoCoreError, OSError) as error:
            raise MovingError(f"the endpoint stopped sending: {error}") from error
        finally:
            body.close()


class _Anybody:
    """A directory in which everybody is: who is known is the target's to say."""

    def by_id(self, id: str) -> Identity:
        """The user of this id."""
        return Identity(id, id)

    def by_email(self, email: str) -> None:
        """Answers name nobody by an address."""


def rights_of(xml: bytes) -> tuple[str, Grants | None]:
    """Owner and list of an AccessControlPolicy; None where the owner alone has everything. Raises S3Error."""
    tree = parse(xml, "AccessControlPolicy")
    owner = text(one(tree, "Owner"), "ID") or ""
    grants = from_document(tree, owner, _Anybody()) if owner else ()
    return owner, None if grants in ((), (Grant(owner, "FULL_CONTROL"),)) else grants


def _checksums(headers: dict[str, str]) -> dict[str, str]:
    found = {algorithm: headers.get(f"x-amz-checksum-{algorithm}") for algorithm in DIGEST_SIZES}
    return {algorithm: value for algorithm, value in found.items() if value}


def _checksum_type(headers: dict[str, str], checksums: dict[str, str]) -> str:
    if not checksums:
        return ""
    said = headers.get("x-amz-checksum-type")
    return said or ("COMPOSITE" if any("-" in value for value in checksums.values()) else "FULL_OBJECT")


def _part_count(etag: str) -> int:
    """How many parts an ETag tells of; 0 for one body."""
    count = etag.partition("-")[2]
    return int(count) if count.isdigit() and int(count) <= 10_000 else 0


def _whole_body(whole: Whole) -> Part:
    """All bytes as one part; with the object's digests as far as they are of the bytes themselves."""
    version = whole.version
    checksums = {} if version.checksum_type == "COMPOSITE" else version.checksums
    etag = "" if _part_count(version.etag) else version.etag
    return Part(1, version.size, etag, version.modified, Blob("", version.size), checksums)
