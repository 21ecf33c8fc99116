"""botocore's model as judge of what is answered: every element has a name that the model knows, and is in its place."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import AsyncIterator, Mapping
from typing import Any, Final
from xml.etree.ElementTree import Element

import pytest
from botocore.awsrequest import HeadersDict
from botocore.model import Shape
from botocore.parsers import create_parser
from botocore.serialize import create_serializer
from defusedxml.ElementTree import fromstring

from post3.dispatch import Dispatcher
from post3.storage.memory import MemoryBackend
from tests.gates import open_gate
from tests.oracle.model import SERVICE, make_request

TAGGING: Final = b"<Tagging><TagSet><Tag><Key>team</Key><Value>red</Value></Tag></TagSet></Tagging>"
PART: Final = b"p" * (5 * 2**20)


class Store:
    """A dispatcher over a fresh store, asked without a wire."""

    def __init__(self, dispatcher: Dispatcher) -> None:
        self._dispatcher = dispatcher

    async def ask(
        self, method: str, path: str, query: str = "", headers: Mapping[str, str] | None = None, body: bytes = b""
    ) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and body of the answer."""
        response = await self._dispatcher.handle(make_request(method, path, query, headers, body))
        content = response.body
        if not isinstance(content, bytes):
            content = b"".join([piece async for piece in content])
        return response.status, response.headers, content


@pytest.fixture
async def store() -> AsyncIterator[Store]:
    """A bucket, versioned, with an object of parts, one of a single body, a marker and an upload under way."""
    backend = MemoryBackend()
    await backend.open()
    store = Store(Dispatcher(backend, open_gate()))
    await store.ask("PUT", "/bucket")
    versioning = b"<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>"
    await store.ask("PUT", "/bucket", "versioning", body=versioning)
    for key in ("a", "b", "dir/c", "gone"):
        await store.ask("PUT", f"/bucket/{key}", body=key.encode())
    await store.ask("DELETE", "/bucket/gone")
    for path in ("/bucket", "/bucket/a"):
        await store.ask("PUT", path, "tagging", body=TAGGING)
    await store.ask("POST", "/bucket/open", "uploads")
    yield store
    await backend.close()


async def upload_of_parts(store: Store) -> tuple[str, bytes]:
    """An upload with two parts, and the document that completes it."""
    headers = {"x-amz-checksum-algorithm": "CRC32"}
    _, _, body = await store.ask("POST", "/bucket/parts", "uploads", headers)
    upload_id = text_of(body, "UploadId")
    etags = []
    for number, data in ((1, PART), (2, b"end")):
        _, told, _ = await store.ask("PUT", "/bucket/parts", f"partNumber={number}&uploadId={upload_id}", body=data)
        etags.append(told["etag"])
    parts = "".join(f"<Part><PartNumber>{n}</PartNumber><ETag>{e}</ETag></Part>" for n, e in enumerate(etags, 1))
    return upload_id, f"<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>".encode()


def text_of(body: bytes, name: str) -> str:
    """The text of the first element of this name."""
    return next(element.text or "" for element in fromstring(body).iter() if local(element) == name)


def local(element: Element) -> str:
    """An element's name without its namespace."""
    return str(element.tag).rpartition("}")[2]


def unknown_elements(element: Element, shape: Shape, path: str) -> list[str]:
    """The paths of elements that the model does not have at their place."""
    if shape.type_name == "list":
        return unknown_elements(element, shape.member, path)  # type: ignore[attr-defined]
    if shape.type_name != "structure":
        return [f"{path}/{local(child)}" for child in element]
    members: dict[str, Shape] = {}
    for name, member in shape.members.items():  # type: ignore[attr-defined]
        flattened = member.type_name == "list" and member.serialization.get("flattened")
        item = member.member.serialization.get("name") if flattened else None
        members[member.serialization.get("name") or item or name] = member
        members[name] = member
    found = []
    for child in element:
        name = local(child)
        if name not in members:
            found.append(f"{path}/{name}")
            continue
        member = members[name]
        if member.type_name == "list" and not member.serialization.get("flattened"):
            for item in child:
                found += unknown_elements(item, member.member, f"{path}/{name}/{local(item)}")  # type: ignore[attr-defined]
        else:
            found += unknown_elements(child, member, f"{path}/{name}")
    return found


# Their bodies are no documents of members: a bare text, and the object itself.
NO_ELEMENTS: Final = frozenset({"GetBucketLocation", "GetObject"})


def judge(name: str, status: int, headers: Mapping[str, str], body: bytes) -> Any:
    """The answer as botocore reads it, every element of it known to the model."""
    assert status < 300, body
    shape = SERVICE.operation_model(name).output_shape
    assert shape is not None
    if body and name not in NO_ELEMENTS:
        payload = shape.serialization.get("payload")
        document = shape.members[payload] if payload else shape
        assert unknown_elements(fromstring(body), document, name) == []
    parsed = as_botocore_reads(status, headers, body, shape)
    assert parsed["ResponseMetadata"]["HTTPStatusCode"] == status
    return parsed


def as_botocore_reads(status: int, headers: Mapping[str, str], body: bytes, shape: Shape) -> Any:
    """The answer as botocore's parser gives it to a program."""
    answer = {"status_code": status, "headers": HeadersDict(headers), "body": body}
    return create_parser("rest-xml").parse(answer, shape)


READS: Final = [
    ("ListBuckets", "/", "", {}, "Buckets"),
    ("GetBucketLocation", "/bucket", "location", {}, ""),
    ("GetBucketVersioning", "/bucket", "versioning", {}, "Status"),
    ("ListObjects", "/bucket", "delimiter=/&encoding-type=url&max-keys=2", {}, "NextMarker"),
    ("ListObjectsV2", "/bucket", "list-type=2&delimiter=/&fetch-owner=true&max-keys=2", {}, "NextContinuationToken"),
    ("ListObjectVersions", "/bucket", "versions&max-keys=2", {}, "NextVersionIdMarker"),
    ("ListObjectVersions", "/bucket", "versions", {}, "DeleteMarkers"),
    ("ListMultipartUploads", "/bucket", "uploads", {}, "Uploads"),
    ("GetBucketTagging", "/bucket", "tagging", {}, "TagSet"),
    ("GetObjectTagging", "/bucket/a", "tagging", {}, "TagSet"),
    ("GetObjectAttributes", "/bucket/a", "attributes", {"x-amz-object-attributes": "ETag,Checksum,ObjectSize"}, "ETag"),
]


@pytest.mark.parametrize(("name", "path", "query", "headers", "member"), READS)
async def test_a_read_is_answered_in_elements_of_the_model(
    store: Store, name: str, path: str, query: str, headers: dict[str, str], member: str
) -> None:
    parsed = judge(name, *await store.ask("GET", path, query, headers))
    assert not member or parsed[member]


async def test_an_upload_is_answered_in_elements_of_the_model_from_beginning_to_end(store: Store) -> None:
    judge("CreateMultipartUpload", *await store.ask("POST", "/bucket/other", "uploads"))
    upload_id, completion = await upload_of_parts(store)
    part = f"partNumber=3&uploadId={upload_id}"
    source = {"x-amz-copy-source": "/bucket/a"}
    judge("UploadPartCopy", *await store.ask("PUT", "/bucket/parts", part, source))
    listed = judge("ListParts", *await store.ask("GET", "/bucket/parts", f"uploadId={upload_id}"))
    assert [one["PartNumber"] for one in listed["Parts"]] == [1, 2, 3]
    query = f"uploadId={upload_id}"
    completed = judge("CompleteMultipartUpload", *await store.ask("POST", "/bucket/parts", query, body=completion))
    md5s = b"".join(hashlib.md5(data, usedforsecurity=False).digest() for data in (PART, b"end"))
    assert completed["ETag"] == f'"{hashlib.md5(md5s, usedforsecurity=False).hexdigest()}-2"'
    wanted = {"x-amz-object-attributes": "ObjectParts,Checksum,StorageClass"}
    told = judge("GetObjectAttributes", *await store.ask("GET", "/bucket/parts", "attributes", wanted))
    assert told["ObjectParts"]["TotalPartsCount"] == 2
    assert told["Checksum"]["ChecksumCRC32"].endswith("-2")


async def test_a_copy_is_answered_in_elements_of_the_model(store: Store) -> None:
    answer = await store.ask("PUT", "/bucket/copy", headers={"x-amz-copy-source": "bucket/a"})
    parsed = judge("CopyObject", *answer)
    assert parsed["CopyObjectResult"]["ETag"] == f'"{hashlib.md5(b"a", usedforsecurity=False).hexdigest()}"'


async def test_a_batch_of_deletes_is_answered_in_elements_of_the_model(store: Store) -> None:
    batch = b"<Delete><Object><Key>a</Key></Object><Object><Key>" + b"k" * 1025 + b"</Key></Object></Delete>"
    parsed = judge("DeleteObjects", *await store.ask("POST", "/bucket", "delete", body=batch))
    assert [one["Key"] for one in parsed["Deleted"]] == ["a"]
    assert [one["Code"] for one in parsed["Errors"]] == ["KeyTooLongError"]


async def test_the_headers_of_an_object_are_those_of_the_model(store: Store) -> None:
    sent = {
        "content-type": "text/plain",
        "cache-control": "no-store",
        "content-disposition": "inline",
        "content-language": "de",
        "content-encoding": "gzip",
        "expires": "Thu, 01 Jan 2026 00:00:00 GMT",
        "x-amz-meta-colour": "blue",
        "x-amz-storage-class": "STANDARD_IA",
        "x-amz-tagging": "team=red&colour",
        "x-amz-website-redirect-location": "/elsewhere",
        "x-amz-checksum-sha256": base64.b64encode(hashlib.sha256(b"x").digest()).decode(),
    }
    put = judge("PutObject", *await store.ask("PUT", "/bucket/headers", headers=sent, body=b"x"))
    read = {"x-amz-checksum-mode": "ENABLED"}
    got = judge("GetObject", *await store.ask("GET", "/bucket/headers", headers=read))
    head = judge("HeadObject", *await store.ask("HEAD", "/bucket/headers", headers=read))
    for parsed in (got, head):
        assert parsed["VersionId"] == put["VersionId"]
        assert parsed["ChecksumSHA256"] == sent["x-amz-checksum-sha256"]
        assert (parsed["CacheControl"], parsed["ContentLanguage"]) == ("no-store", "de")
        assert (parsed["ContentEncoding"], parsed["ContentDisposition"]) == ("gzip", "inline")
        assert (parsed["StorageClass"], parsed["WebsiteRedirectLocation"]) == ("STANDARD_IA", "/elsewhere")
        assert parsed["Metadata"] == {"colour": "blue"}
        assert parsed["TagCount"] == 2
        assert parsed["ContentLength"] == 1


async def test_rules_of_origins_are_answered_in_elements_of_the_model_as_they_were_put(store: Store) -> None:
    rule = {
        "ID": "one",
        "AllowedMethods": ["GET", "PUT"],
        "AllowedOrigins": ["https://*.example", "null"],
        "AllowedHeaders": ["*"],
        "ExposeHeaders": ["ETag"],
        "MaxAgeSeconds": 60,
    }
    params = {"Bucket": "bucket", "CORSConfiguration": {"CORSRules": [rule, {**rule, "ID": "two"}]}}
    written = create_serializer("rest-xml").serialize_to_request(params, SERVICE.operation_model("PutBucketCors"))
    status, _, body = await store.ask("PUT", "/bucket", "cors", body=written["body"])
    assert (status, body) == (200, b"")
    parsed = judge("GetBucketCors", *await store.ask("GET", "/bucket", "cors"))
    assert parsed["CORSRules"] == params["CORSConfiguration"]["CORSRules"]  # type: ignore[index]  # a mere dict


async def test_an_error_is_one_that_botocore_can_read(store: Store) -> None:
    status, headers, body = await store.ask("GET", "/bucket/absent")
    shape = SERVICE.operation_model("GetObject").output_shape
    assert shape is not None
    parsed = as_botocore_reads(status, headers, body, shape)
    assert parsed["Error"]["Code"] == "NoSuchKey"
    assert parsed["ResponseMetadata"]["RequestId"] == headers["x-amz-request-id"]
