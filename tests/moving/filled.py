"""Stores with everything in them that a copy must bring over, and what can be seen of a store."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from post3._chunker import crc32
from post3.model.checksums import encode
from post3.model.encryption import Encryption
from post3.model.grants import ALL_USERS, Grant
from post3.model.identity import Identity
from post3.model.listing import CommonPrefix, ListQuery
from post3.model.object import ObjectVersion, Part
from post3.model.upload import Upload, upload_id_at
from post3.moving.copying import Job, copy_store
from post3.moving.planning import Wishes
from post3.moving.report import Report
from post3.moving.sides import Source, Target
from post3.moving.store import StoreSide
from post3.storage.listed import as_version
from post3.storage.protocol import Backend
from post3.users import store as users
from tests.conftest import (
    AN_ENVELOPE,
    KIB,
    LONG_AGO,
    MIB,
    SOME_TAGS,
    a_bucket,
    a_version,
    content_of,
    etag_of,
    facts,
    put,
    put_marker,
    set_versioning,
    some_bytes,
    write,
)

DATAS: Final = {
    "a": b"small",
    "b/empty": b"",
    "b/stored": some_bytes(40 * KIB),
    "c/large": some_bytes(2 * MIB + 77),
    "ü/~%\u2028": b"an odd key",
}
PARTS: Final = {1: some_bytes(5 * MIB, 1), 2: some_bytes(5 * MIB, 2), 3: some_bytes(70 * KIB, 3)}
ALICE: Final = Identity("alice", "Alice", "alice@example.com")
ACL: Final = (Grant("alice", "FULL_CONTROL"), Grant(ALL_USERS, "READ"))
HEADERS: Final = {"content-type": "text/plain", "cache-control": "no-cache"}
CONFIGURATIONS: Final[dict[str, Any]] = {
    "cors": {"CORSRule": [{"AllowedMethod": ["GET"], "AllowedOrigin": ["https://example.com"]}]},
    "policy": {
        "Text": '{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Principal":"*","Action":"s3:DeleteBucket",'
        '"Resource":"arn:aws:s3:::plain"}]}'
    },
    "tagging": {"TagSet": {"Tag": [{"Key": "team", "Value": "red"}]}},
}


async def fill(backend: Backend) -> None:
    """A plain bucket, and one with versions."""
    await users.add_user(backend, ALICE)
    await users.add_key(backend, "alice", "ALICEKEY", "alice-secret-key")
    plain = await backend.create_bucket(
        replace(a_bucket("plain", configurations=CONFIGURATIONS), region="eu-central-1", acl=ACL)
    )
    for key, data in DATAS.items():
        await put(backend, plain, key, data, owner="alice", headers=HEADERS)
    await put(
        backend,
        plain,
        "described",
        b"described",
        owner="alice",
        acl=ACL,
        tags=SOME_TAGS,
        metadata={"colour": "blue"},
        headers=HEADERS,
        storage_class="STANDARD_IA",
        checksums={"crc32": encode(crc32(b"described").to_bytes(4, "big"))},
        checksum_type="FULL_OBJECT",
    )
    await put_parts(backend, "plain", "in parts", PARTS)
    await backend.create_bucket(a_bucket("versioned"))
    await put(backend, await backend.get_bucket("versioned"), "key", b"null", headers=HEADERS)
    versioned = await set_versioning(backend, "versioned", "Enabled")
    for data in (b"first", some_bytes(20 * KIB), b"third"):
        await put(backend, versioned, "key", data, headers=HEADERS)
    await put_marker(backend, versioned, "key")
    await put(backend, versioned, "key", b"fourth", headers=HEADERS)
    await put(backend, versioned, "hidden", b"hidden", headers=HEADERS)
    await put_marker(backend, versioned, "hidden")
    await put_parts(backend, "versioned", "in parts", {1: PARTS[1], 2: PARTS[3]})


async def put_parts(backend: Backend, name: str, key: str, datas: dict[int, bytes]) -> ObjectVersion:
    """An object whose ETag is that of its parts."""
    bucket = await backend.get_bucket(name)
    upload = Upload(name, key, upload_id_at(1, f"{len(key):016x}"), LONG_AGO, "alice")
    upload = await backend.create_upload(bucket, upload)
    parts = []
    for number, data in datas.items():
        blob = await write(backend, bucket, data, key)
        parts.append(await backend.put_part(bucket, upload, Part(number, len(data), etag_of(data), LONG_AGO, blob)))
    etag = f"{etag_of(b''.join(bytes.fromhex(part.etag) for part in parts))}-{len(parts)}"
    size = sum(map(len, datas.values()))
    version = a_version(bucket, key, size=size, etag=etag, parts=len(parts), headers=HEADERS, owner="alice")
    return await backend.finish_upload(bucket, upload, version, parts)


async def put_encrypted(backend: Backend) -> None:
    """An object whose bytes only a master key could open."""
    bucket = await backend.create_bucket(a_bucket("secret"))
    data = some_bytes(30 * KIB)
    blob = await write(backend, bucket, data)
    body = Part(1, len(data) - 16, "0" * 32, LONG_AGO, blob, encryption=AN_ENVELOPE)
    version = a_version(bucket, "key", body=body, size=body.size, etag=body.etag, encryption=Encryption("AES256"))
    await backend.put_version(bucket, version)


# What can be seen


async def sight(backend: Backend) -> dict[str, object]:
    """All buckets, versions, parts and bytes, without the names that a store gives by itself."""
    seen: dict[str, object] = {}
    for bucket in await backend.list_buckets():
        seen[bucket.name] = replace(bucket, id="", revision=0)
        for listed in await versions_of(backend, bucket.name):
            version = await backend.get_version(bucket, listed.key, listed.version_id)
            parts = await backend.list_parts(bucket, version)
            seen[f"{bucket.name}/{listed.key}@{listed.version_id}"] = (
                _plain(version),
                [replace(part, blob=replace(part.blob, id="", inline=None), modified=LONG_AGO) for part in parts],
                await content_of(backend, bucket, version) if version.encryption is None else b"",
            )
    return seen


def _plain(version: ObjectVersion) -> ObjectVersion:
    return replace(facts(version), content="", revision=0, body=None)


async def versions_of(backend: Backend, name: str) -> list[ObjectVersion]:
    """All versions of a bucket, as they are listed."""
    page = await backend.list_versions(await backend.get_bucket(name), ListQuery(all_versions=True, limit=10_000))
    return [as_version(name, entry) for entry in page.entries if not isinstance(entry, CommonPrefix)]


async def copied(source: Backend | Source, target: Backend | Target, *buckets: str, **wishes: bool) -> Report:
    """Copy one store into another; the report."""
    dry_run = wishes.pop("dry_run", False)
    report = Report()
    from_ = source if hasattr(source, "holding") else StoreSide(source)
    to = target if hasattr(target, "cannot_keep") else StoreSide(target)
    await copy_store(from_, to, Job(buckets, Wishes(**wishes), dry_run), report)  # type: ignore[arg-type]  # the same
    return report


def problems(report: Report, *sorts: str) -> dict[str, int]:
    """What was found, and how often; of these sorts."""
    return {
        f"{name}: {what}" if name else what: finding.count
        for name, sort, findings in report.findings()
        if sort in (sorts or ("failed", "different", "lost"))
        for what, finding in findings.items()
    }
