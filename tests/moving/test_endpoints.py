"""From a store to an S3 endpoint, from there to another store: what S3 can say is kept, and the rest is told."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from post3.model.grants import Grant
from post3.model.object import ObjectVersion
from post3.moving.connection import connect
from post3.moving.endpoint import EndpointSource
from post3.moving.endpoint_target import EndpointTarget
from post3.moving.store import StoreSide
from post3.storage.memory import MemoryBackend
from tests.conftest import SOME_TAGS, content_of, create_bucket, get, put, set_versioning
from tests.moving.conftest import ANYBODY
from tests.moving.filled import CONFIGURATIONS, DATAS, HEADERS, PARTS, copied, problems, put_encrypted, versions_of
from tests.servers import post3_serve

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

    from post3.storage.protocol import Backend


async def body_of(client: S3Client, bucket: str, key: str, **more: Any) -> bytes:
    return client.get_object(Bucket=bucket, Key=key, **more)["Body"].read()


async def test_what_s3_can_say_is_kept(filled: MemoryBackend, client: S3Client) -> None:
    report = await copied(filled, EndpointTarget(client))
    assert problems(report, "failed", "different") == {}
    assert problems(report, "failed", "different") == {}
    for key, data in DATAS.items():
        assert await body_of(client, "plain", key) == data
    found = client.head_object(Bucket="plain", Key="described", ChecksumMode="ENABLED")
    assert (found["Metadata"], found["ContentType"], found["CacheControl"]) == (
        {"colour": "blue"},
        HEADERS["content-type"],
        HEADERS["cache-control"],
    )
    described = await filled.get_version(await filled.get_bucket("plain"), "described")
    assert found["ChecksumCRC32"] == described.checksums["crc32"]
    tags = client.get_object_tagging(Bucket="plain", Key="described")["TagSet"]
    assert {tag["Key"]: tag["Value"] for tag in tags} == SOME_TAGS


async def test_an_object_in_parts_keeps_its_etag(filled: MemoryBackend, client: S3Client) -> None:
    await copied(filled, EndpointTarget(client))
    source = await filled.get_version(await filled.get_bucket("plain"), "in parts")
    found = client.head_object(Bucket="plain", Key="in parts")
    assert found["ETag"] == f'"{source.etag}"'
    second = client.head_object(Bucket="plain", Key="in parts", PartNumber=2)
    assert (second["ContentLength"], second["PartsCount"]) == (len(PARTS[2]), 3)
    assert await body_of(client, "plain", "in parts") == b"".join(PARTS.values())


async def test_versions_keep_their_order_with_markers_between(filled: MemoryBackend, client: S3Client) -> None:
    await copied(filled, EndpointTarget(client))
    ours = [(one.key, one.is_delete_marker, one.etag) for one in await versions_of(filled, "versioned")]
    side = EndpointSource(client)
    theirs = [
        (one.key, one.is_delete_marker, one.etag)
        async for versions in side.keys("versioned")
        for one in reversed(versions)
    ]
    assert theirs == ours
    assert await body_of(client, "versioned", "key") == b"fourth"


async def test_configurations_are_put(filled: MemoryBackend, client: S3Client) -> None:
    await copied(filled, EndpointTarget(client))
    state = await EndpointSource(client).bucket("plain")
    assert state is not None
    assert state.bucket.configurations["policy"] == CONFIGURATIONS["policy"]
    assert client.get_bucket_cors(Bucket="plain")["CORSRules"] == [
        {"AllowedMethods": ["GET"], "AllowedOrigins": ["https://example.com"]}
    ]
    assert client.get_bucket_tagging(Bucket="plain")["TagSet"] == [{"Key": "team", "Value": "red"}]
    assert client.get_bucket_versioning(Bucket="versioned")["Status"] == "Enabled"


async def test_what_an_endpoint_cannot_keep_is_told(filled: MemoryBackend, client: S3Client) -> None:
    report = await copied(filled, EndpointTarget(client))
    lost = {bucket.name: {what: one.count for what, one in bucket.lost.items()} for bucket in report.buckets}
    assert lost["plain"] == {
        "date": 7,
        "owner": 7,
        "ACL": 1,
        "storage class": 1,
        "the bucket's ACL": 1,
        "the bucket's owner": 1,
    }
    assert lost["versioned"].keys() == {"date", "owner", "version id", "the bucket's owner"}
    assert lost["versioned"]["version id"] == len(await versions_of(filled, "versioned"))
    assert report.buckets[0].lost["ACL"].examples == ["described"]
    assert problems(report, "failed", "different") == {}
    assert not report.is_whole


async def test_a_second_copy_to_an_endpoint_copies_nothing(filled: MemoryBackend, client: S3Client) -> None:
    first = await copied(filled, EndpointTarget(client))
    again = await copied(filled, EndpointTarget(client))
    assert (again.total("copied"), again.total("equal")) == (0, first.total("copied"))
    assert again.is_equal


async def test_what_changed_since_is_brought_to_the_endpoint(filled: MemoryBackend, client: S3Client) -> None:
    await copied(filled, EndpointTarget(client))
    plain, versioned = await filled.get_bucket("plain"), await filled.get_bucket("versioned")
    await put(filled, plain, "a", b"changed")
    await filled.delete_version(plain, "b/stored", "null")
    await put(filled, versioned, "key", b"fifth")
    refused = await copied(filled, EndpointTarget(client))
    assert problems(refused, "different") == {
        "plain: the target has another one in its place": 1,
        "plain: only the target has it": 1,
    }
    report = await copied(filled, EndpointTarget(client), overwrite=True, delete=True)
    assert (report.total("copied"), report.total("deleted")) == (1, 1)
    assert problems(report, "failed", "different") == {}
    assert await body_of(client, "plain", "a") == b"changed"
    assert await body_of(client, "versioned", "key") == b"fifth"
    assert (await copied(filled, EndpointTarget(client))).total("copied") == 0


async def test_a_bucket_whose_versions_are_suspended_takes_more_of_them(client: S3Client) -> None:
    source, name = MemoryBackend(), "suspended"
    await create_bucket(source, name)
    for turn in ("first", "second"):
        bucket = await set_versioning(source, name, "Enabled")
        for number in range(2):
            await put(source, bucket, "key", f"{turn} {number}".encode())
        await set_versioning(source, name, "Suspended")
        report = await copied(source, EndpointTarget(client))
        assert problems(report, "failed") == {}
        # The bucket differs from now on, and is left so.
        client.put_bucket_tagging(Bucket=name, Tagging={"TagSet": [{"Key": "own", "Value": "1"}]})
    versions = client.list_object_versions(Bucket=name)["Versions"]
    bodies = [await body_of(client, name, "key", VersionId=one["VersionId"]) for one in versions]
    assert bodies == [b"second 1", b"second 0", b"first 1", b"first 0"]
    assert client.get_bucket_versioning(Bucket=name)["Status"] == "Suspended"


async def test_a_bucket_without_running_versions_is_refused_for_a_source_that_has_them(client: S3Client) -> None:
    source, name = MemoryBackend(), "running"
    await create_bucket(source, name)
    bucket = await set_versioning(source, name, "Enabled")
    await put(source, bucket, "key", b"1")
    client.create_bucket(Bucket=name)
    for status in ("Enabled", "Suspended"):
        client.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": status})
    report = await copied(source, EndpointTarget(client))
    assert report.total("copied") == 0
    assert not report.is_equal
    assert client.list_objects_v2(Bucket=name)["KeyCount"] == 0


async def test_versions_in_another_order_are_replaced_when_asked(filled: MemoryBackend, client: S3Client) -> None:
    await copied(filled, EndpointTarget(client), "versioned")
    client.put_object(Bucket="versioned", Key="hidden", Body=b"the target's own")
    await put(filled, await filled.get_bucket("versioned"), "hidden", b"the source's")
    report = await copied(filled, EndpointTarget(client), "versioned")
    assert problems(report, "different") == {"versioned: the target has another one in its place": 1}
    report = await copied(filled, EndpointTarget(client), "versioned", overwrite=True)
    assert problems(report, "failed", "different") == {}
    assert await body_of(client, "versioned", "hidden") == b"the source's"


async def test_encrypted_bytes_are_not_given_to_an_endpoint(filled: MemoryBackend, client: S3Client) -> None:
    await put_encrypted(filled)
    report = await copied(filled, EndpointTarget(client), "secret")
    (told,) = problems(report, "failed")
    assert "it is encrypted" in told
    assert "Contents" not in client.list_objects_v2(Bucket="secret")


async def test_damaged_bytes_never_reach_the_endpoint(filled: MemoryBackend, client: S3Client) -> None:
    bucket = await filled.get_bucket("plain")
    await filled.update_version(bucket, "described", None, partial(replace, checksums={"crc32": "AAAAAA=="}))
    report = await copied(filled, EndpointTarget(client), "plain")
    (told,) = problems(report, "failed")
    assert "the CRC32 of the body is" in told
    assert "described" not in [entry["Key"] for entry in client.list_objects_v2(Bucket="plain")["Contents"]]


# From an endpoint


async def filled_server(filled: Backend, client: S3Client) -> None:
    """What the store holds, behind the endpoint."""
    assert (await copied(filled, EndpointTarget(client))).is_equal


async def test_a_store_keeps_all_that_the_endpoint_tells(
    filled: MemoryBackend, client: S3Client, postgres: Backend
) -> None:
    await filled_server(filled, client)
    report = await copied(EndpointSource(client), StoreSide(postgres, ()))
    assert problems(report) == {}
    plain = await postgres.get_bucket("plain")
    assert plain.configurations.keys() == CONFIGURATIONS.keys()
    for key, data in DATAS.items():
        assert await get(postgres, plain, key) == data
    described = await postgres.get_version(plain, "described")
    before = client.head_object(Bucket="plain", Key="described")
    assert (described.tags, described.metadata) == (SOME_TAGS, {"colour": "blue"})
    assert described.headers == HEADERS
    assert described.modified.replace(microsecond=0) == before["LastModified"]
    parted = await postgres.get_version(plain, "in parts")
    assert parted.etag == (await filled.get_version(await filled.get_bucket("plain"), "in parts")).etag
    assert [part.size for part in await postgres.list_parts(plain, parted)] == [len(data) for data in PARTS.values()]
    assert await content_of(postgres, plain, parted) == b"".join(PARTS.values())


async def test_version_ids_of_post3_are_kept(filled: MemoryBackend, client: S3Client, postgres: Backend) -> None:
    await filled_server(filled, client)
    await copied(EndpointSource(client), StoreSide(postgres, ()), "versioned")
    page = client.list_object_versions(Bucket="versioned")
    theirs = {one["VersionId"]: one["LastModified"] for one in [*page["Versions"], *page["DeleteMarkers"]]}
    ours = {one.version_id: one.modified for one in await versions_of(postgres, "versioned")}
    assert ours == theirs
    assert [one.etag for one in await versions_of(postgres, "versioned")] == [
        one.etag for one in await versions_of(filled, "versioned")
    ]


async def test_a_second_copy_from_an_endpoint_copies_nothing(filled: MemoryBackend, client: S3Client) -> None:
    await filled_server(filled, client)
    target = MemoryBackend()
    first = await copied(EndpointSource(client), StoreSide(target, ()))
    client.put_object(Bucket="plain", Key="later", Body=b"later")
    again = await copied(EndpointSource(client), StoreSide(target, ()))
    assert (again.total("copied"), again.total("equal")) == (1, first.total("copied"))


async def test_what_came_from_somebody_unknown_is_roots(client: S3Client) -> None:
    client.create_bucket(Bucket="bucket")
    client.put_object(Bucket="bucket", Key="public", Body=b"x", ACL="public-read")

    class Others(EndpointSource):
        async def whole(self, version: ObjectVersion) -> Any:
            whole = await super().whole(version)
            acl = (Grant("somebody", "FULL_CONTROL"), Grant("somebody else", "READ"))
            return replace(whole, version=replace(whole.version, acl=acl))

        async def keys(self, bucket: str) -> AsyncIterator[list[ObjectVersion]]:
            async for versions in super().keys(bucket):
                yield [replace(one, owner="somebody") for one in versions]

    target = MemoryBackend()
    report = await copied(Others(client), StoreSide(target, ()))
    assert problems(report) == {"bucket: owner": 1, "bucket: ACL": 1}
    assert (await target.get_version(await target.get_bucket("bucket"), "public")).owner == "post3"
    target = MemoryBackend()
    report = await copied(EndpointSource(client), StoreSide(target, ()))
    assert problems(report) == {}
    acl = (await target.get_version(await target.get_bucket("bucket"), "public")).acl
    assert acl is not None
    assert len(acl) == 2


async def test_bytes_that_changed_on_the_way_are_not_stored(filled: MemoryBackend, client: S3Client) -> None:
    await filled_server(filled, client)

    class Damaging(EndpointSource):
        async def read(self, whole: Any, part: Any) -> AsyncIterator[bytes]:
            async for piece in super().read(whole, part):
                yield piece if whole.version.key not in ("a", "in parts") else b"\0" + piece[1:]

    target = MemoryBackend()
    report = await copied(Damaging(client), StoreSide(target, ()), "plain")
    assert all("the source is damaged; nothing was stored" in told for told in problems(report))
    assert sum(problems(report).values()) == 2
    assert {"a", "in parts"}.isdisjoint({one.key for one in await versions_of(target, "plain")})
    assert (await copied(EndpointSource(client), StoreSide(target, ()), "plain")).is_whole


async def test_an_object_that_changes_meanwhile_is_left_for_the_next_copy(client: S3Client) -> None:
    client.create_bucket(Bucket="bucket")
    client.put_object(Bucket="bucket", Key="key", Body=b"before")

    class Changing(EndpointSource):
        async def whole(self, version: ObjectVersion) -> Any:
            client.put_object(Bucket="bucket", Key="key", Body=b"after")
            return await super().whole(version)

    target = MemoryBackend()
    report = await copied(Changing(client), StoreSide(target, ()))
    assert (report.total("gone"), report.total("copied")) == (1, 0)
    assert (await copied(EndpointSource(client), StoreSide(target, ()))).total("copied") == 1


async def test_where_an_endpoint_does_not_tell_the_parts_the_bytes_come_as_one(
    filled: MemoryBackend, client: S3Client
) -> None:
    await filled_server(filled, client)

    class Silent(EndpointSource):
        async def _parts(self, version: ObjectVersion) -> Any:
            return None if "-" in version.etag else await super()._parts(version)

    target = MemoryBackend()
    report = await copied(Silent(client), StoreSide(target, ()), "plain")
    assert problems(report) == {"plain: parts": 1}
    bucket = await target.get_bucket("plain")
    found = await target.get_version(bucket, "in parts")
    assert (found.parts, found.etag) == (0, client.head_object(Bucket="plain", Key="in parts")["ETag"].strip('"'))
    assert await get(target, bucket, "in parts") == b"".join(PARTS.values())


async def test_an_etag_that_is_no_digest_proves_nothing_and_is_kept(client: S3Client) -> None:
    client.create_bucket(Bucket="bucket")
    client.put_object(Bucket="bucket", Key="key", Body=b"data")

    class Managed(EndpointSource):
        async def whole(self, version: ObjectVersion) -> Any:
            whole = await super().whole(version)
            parts = tuple(replace(part, etag="f" * 32) for part in whole.parts)
            return replace(whole, version=replace(whole.version, etag="f" * 32), parts=parts, proves=False)

        async def read(self, whole: Any, part: Any) -> AsyncIterator[bytes]:
            async for piece in super().read(replace(whole, version=replace(whole.version, etag=ETAG)), part):
                yield piece

    target = MemoryBackend()
    report = await copied(Managed(client), StoreSide(target, ()))
    assert problems(report) == {}
    assert (await target.get_version(await target.get_bucket("bucket"), "key")).etag == "f" * 32


ETAG = "8d777f385d3dfec8815d20f7496026dc"
"""The MD5 of `data`."""


async def test_documents_that_post3_has_not_are_told(client: S3Client, monkeypatch: pytest.MonkeyPatch) -> None:
    client.create_bucket(Bucket="bucket")
    monkeypatch.setattr(client, "get_bucket_website", lambda **_: {"IndexDocument": {"Suffix": "index.html"}})
    report = await copied(EndpointSource(client), StoreSide(MemoryBackend(), ()))
    assert problems(report) == {"bucket: the bucket's website": 1}


async def test_from_one_endpoint_to_another(filled: MemoryBackend, client: S3Client, tmp_path: Path) -> None:
    await filled_server(filled, client)
    with post3_serve("--backend", "memory", cwd=tmp_path) as server, closing(connect(server.url, ANYBODY, 8)) as other:
        report = await copied(EndpointSource(client), EndpointTarget(other))
        assert problems(report, "failed", "different") == {}
        for key, data in DATAS.items():
            assert await body_of(other, "plain", key) == data
        etag = client.head_object(Bucket="plain", Key="in parts")["ETag"]
        assert other.head_object(Bucket="plain", Key="in parts")["ETag"] == etag
        assert (await copied(EndpointSource(client), EndpointTarget(other))).total("copied") == 0
