"""A store with something of everything in it, and all that can be told of it, thing by thing."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any, Final, TypeAlias

from post3.dispatch import Dispatcher
from post3.model.bucket import Bucket
from post3.model.listing import ListQuery
from post3.model.object import ObjectVersion
from post3.model.record import Record
from post3.storage.memory import MemoryBackend
from tests.conftest import content_of, read, some_bytes
from tests.encrypting import KEYS
from tests.gates import open_gate
from tests.memories import everything
from tests.oracle.model import make_request
from tests.oracle.rights import BLOCK, CORS, ENCRYPTION, OWNERSHIP, POLICY, TAGS, VERSIONING

Thing: TypeAlias = dict[str, Any]
"""Its fields, each compared by itself; bytes among them."""
LARGE: Final = some_bytes(40_000)
"""Too large to stay with its owner's record."""
TAGGED: Final = {"x-amz-tagging": "a=b", "x-amz-meta-colour": "blue", "x-amz-acl": "public-read"}
SUSPENDED: Final = VERSIONING.replace(b"Enabled", b"Suspended")
CONFIGURATIONS: Final[Mapping[str, bytes]] = {
    "cors": CORS,
    "encryption": ENCRYPTION,
    "ownershipControls": OWNERSHIP,
    "policy": POLICY,
    "publicAccessBlock": BLOCK,
    "tagging": TAGS,
}


@dataclass(slots=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes


class Filled:
    """Four buckets.

    `bucket` and `other` have every configuration, a key of three versions (`null`, then two), keys that resemble it, a
    key under a marker, an object of parts, and two uploads of one key with parts; the versioning of `other` is
    suspended by now. `plain` was never versioned. `empty` has nothing but an upload.
    """

    def __init__(self) -> None:
        self.backend = MemoryBackend()
        self.ids: dict[str, str] = {}
        """Of what requests name: {old}, {current}, {marker}, {upload}, {etag}."""
        self._dispatcher = Dispatcher(self.backend, open_gate(), KEYS)
        self._labels: dict[str, str] = {}
        """Versions by what names their bytes, and uploads by their ids; whatever has none is new."""

    async def ask(
        self, method: str, target: str, headers: Mapping[str, str] | None = None, body: bytes = b""
    ) -> Answer:
        """What is answered, read to its end."""
        path, _, query = target.partition("?")
        response = await self._dispatcher.handle(make_request(method, path, query, headers, body))
        told = response.body if isinstance(response.body, bytes) else b"".join([run async for run in response.body])
        return Answer(response.status, response.headers, told)

    async def fill(self) -> None:
        """Put everything there, and name it."""
        await self.backend.open()
        for name in ("bucket", "other"):
            await self._fill_bucket(name)
        await self._put("/other?versioning", SUSPENDED)
        await self._put("/plain")
        for key in ("key", "key2"):
            await self._put(f"/plain/{key}", LARGE)
        await self._put("/empty")
        await self._begin("/empty/upload")
        await self.backend.update_record("user", "somebody", lambda _old: Record("user", "somebody", {"name": "S."}))
        await self._label()

    async def _fill_bucket(self, name: str) -> None:
        await self._put(f"/{name}")
        for subresource, document in CONFIGURATIONS.items():
            await self._put(f"/{name}?{subresource}", document.replace(b":::bucket", f":::{name}".encode()))
        await self._put(f"/{name}/key", b"from before versioning")
        await self._put(f"/{name}?versioning", VERSIONING)
        await self._put(f"/{name}?acl", headers={"x-amz-acl": "authenticated-read"})
        for key, data in (("key", LARGE), ("key", b"current"), ("key2", b"another"), ("ke", LARGE), ("key/", b"")):
            await self._put(f"/{name}/{key}", data, TAGGED)
        await self._put(f"/{name}/gone", LARGE)
        assert (await self.ask("DELETE", f"/{name}/gone")).status == 204
        upload = await self._begin(f"/{name}/parts")
        etag = (await self._put(f"/{name}/parts?partNumber=1&uploadId={upload}", LARGE)).headers["etag"]
        assert (await self.ask("POST", f"/{name}/parts?uploadId={upload}", body=completion(etag))).status == 200
        for _ in range(2):
            upload = await self._begin(f"/{name}/upload")
            for number in (1, 2):
                answer = await self._put(f"/{name}/upload?partNumber={number}&uploadId={upload}", LARGE)
                self.ids["etag"] = answer.headers["etag"]

    async def _put(self, target: str, body: bytes = b"", headers: Mapping[str, str] | None = None) -> Answer:
        answer = await self.ask("PUT", target, headers, body)
        assert answer.status in (200, 204), (target, answer)
        return answer

    async def _begin(self, path: str) -> str:
        answer = await self.ask("POST", f"{path}?uploads")
        return answer.body.partition(b"<UploadId>")[2].partition(b"</UploadId>")[0].decode()

    async def _label(self) -> None:
        """Call versions of a key, and its uploads, 1, 2 and so on, oldest first."""
        for bucket in await self.backend.list_buckets():
            versions = [version async for version in self._all_versions(bucket)]
            uploads: Any = (await self.backend.list_uploads(bucket, ListQuery())).entries
            count: dict[str, int] = {}
            for version in reversed(versions):
                count[version.key] = count.get(version.key, 0) + 1
                self._labels[version.content] = str(count[version.key])
                if bucket.name == "bucket":
                    self.ids[f"{version.key} {count[version.key]}"] = version.version_id
            count.clear()
            for upload in uploads:
                count[upload.key] = count.get(upload.key, 0) + 1
                self._labels[upload.upload_id] = str(count[upload.key])
                self.ids[f"{bucket.name} {upload.key} {count[upload.key]}"] = upload.upload_id
        self.ids |= {
            "old": self.ids["key 2"],
            "current": self.ids["key 3"],
            "marker": self.ids["gone 2"],
            "upload": self.ids["bucket upload 1"],
        }

    def filled(self, text: str) -> str:
        """The text with ids in place of their names."""
        for name, id in self.ids.items():
            text = text.replace(f"{{{name}}}", id)
        return text

    async def things(self) -> dict[str, Thing]:
        """All that is there: bucket, bucket/key@version, bucket/key^upload, records and the journal's entries."""
        found: dict[str, Thing] = {}
        for bucket in await self.backend.list_buckets():
            found[bucket.name] = fields_of(bucket, "configurations") | dict(bucket.configurations)
            found |= {name: thing async for name, thing in self._versions_of(bucket)}
            found |= {name: thing async for name, thing in self._uploads_of(bucket)}
        kept = everything(self.backend)
        found |= {f"record {kind} {id}": fields_of(record) for (kind, id), record in kept["_records"].items()}
        return found | {f"entry {id}": {"entry": entry} for id, entry in kept["_journal"].items()}

    async def _all_versions(self, bucket: Bucket) -> AsyncIterator[ObjectVersion]:
        listed: Any = await self.backend.list_versions(bucket, ListQuery(all_versions=True))
        for entry in listed.entries:
            yield await self.backend.get_version(bucket, entry.key, entry.version_id)

    async def _versions_of(self, bucket: Bucket) -> AsyncIterator[tuple[str, Thing]]:
        async for version in self._all_versions(bucket):
            label = self._labels.get(version.content, "new")
            data = await content_of(self.backend, bucket, version)
            yield f"{bucket.name}/{version.key}@{label}", fields_of(version) | {"bytes": data}

    async def _uploads_of(self, bucket: Bucket) -> AsyncIterator[tuple[str, Thing]]:
        for upload in everything(self.backend)["_buckets"][bucket.name].uploads.values():
            name = f"{bucket.name}/{upload.key}^{self._labels.get(upload.upload_id, 'new')}"
            if upload.version_id is not None:
                yield f"{name} completed", fields_of(upload)
                continue
            parts = await self.backend.list_parts(bucket, upload)
            told = {f"part {part.number}": (part, await read(self.backend, bucket, part.blob)) for part in parts}
            yield name, fields_of(upload) | told


def fields_of(record: Any, *left_out: str) -> Thing:
    return {field.name: getattr(record, field.name) for field in fields(record) if field.name not in left_out}


def completion(etag: str) -> bytes:
    """The document that names part 1 alone."""
    return (
        f"<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>{etag}</ETag></Part></CompleteMultipartUpload>"
    ).encode()


def differences(before: Mapping[str, Thing], after: Mapping[str, Thing]) -> Iterator[str]:
    """`+ thing` and `- thing` for what came and went, `thing: field` for what is no longer the same."""
    yield from (f"+ {name}" for name in after.keys() - before.keys())
    yield from (f"- {name}" for name in before.keys() - after.keys())
    for name in before.keys() & after.keys():
        old, new = before[name], after[name]
        for field in old.keys() | new.keys():
            if (field in old, old.get(field)) != (field in new, new.get(field)):
                yield f"{name}: {field}"
