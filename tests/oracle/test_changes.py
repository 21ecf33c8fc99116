"""Every operation changes what it names, and of all else in the store not a byte.

Which operations there are comes from post3's table, so that a new one fails here by name until it has its row; what
botocore's model knows beside them is asked as botocore asks it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import pytest

from post3.operations import OPERATIONS
from post3.operations.unsupported import UNSUPPORTED
from tests.conftest import collect_all
from tests.forms import encode_form
from tests.memories import bring_back, everything
from tests.oracle.filled import Filled, completion, differences
from tests.oracle.model import SERVICE, operations
from tests.oracle.rights import BATCH, CORS, FORM_HEADERS, FROM_A_PAGE, TAGS

NOT_YET: Final = frozenset(names[0] for names in UNSUPPORTED.values())
OTHER_TAGS: Final = TAGS.replace(b"<Value>b", b"<Value>c")
PRIVATE: Final = {"x-amz-acl": "private"}


@dataclass(frozen=True, slots=True)
class Row:
    """A request that succeeds, and all that may, and must, be different after it."""

    method: str
    target: str
    changes: frozenset[str] = frozenset()
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


def row(method: str, target: str, *changes: str, **more: Any) -> Row:
    return Row(method, target, frozenset(changes), **more)


def configuration(method: str, name: str, body: bytes = b"", **more: Any) -> tuple[Row, ...]:
    """A subresource of a bucket: nothing but it, and the count of the bucket's changes, is another."""
    return (row(method, f"/bucket?{name}", f"bucket: {name}", "bucket: revision", body=body, **more),)


def reading(*targets: str, **more: Any) -> tuple[Row, ...]:
    return tuple(row("GET", target, **more) for target in targets)


def on_version(method: str, name: str, changed: str, **more: Any) -> tuple[Row, ...]:
    """A subresource of the current version, and of one that is named."""
    return (
        row(method, f"/bucket/key?{name}", f"bucket/key@3: {changed}", "bucket/key@3: revision", **more),
        row(
            method,
            f"/bucket/key?{name}&versionId={{old}}",
            f"bucket/key@2: {changed}",
            "bucket/key@2: revision",
            **more,
        ),
        row(method, f"/bucket/key?{name}&versionId=null", f"bucket/key@1: {changed}", "bucket/key@1: revision", **more),
    )


NEW_VERSION: Final = ("+ bucket/key@new", "bucket/key@3: noncurrent")
NEW_NULL: Final = ("- other/key@1", "+ other/key@new", "other/key@3: noncurrent")
"""Where versioning is suspended, the version `null` is another, and the current one stays."""
REPLACED: Final = ("- plain/key@1", "+ plain/key@new")
PART_OF: Final = "partNumber={}&uploadId={{upload}}"
FROM: Final = {"x-amz-copy-source": "bucket/key?versionId={old}"}


def writing(method: str, **more: Any) -> tuple[Row, ...]:
    """An object put, to a new key and to one that is there, however its bucket keeps versions."""
    return (
        row(method, "/bucket/key", *NEW_VERSION, **more),
        row(method, "/bucket/gone", "+ bucket/gone@new", "bucket/gone@2: noncurrent", **more),
        row(method, "/bucket/key/new", "+ bucket/key/new@new", **more),
        row(method, "/other/key", *NEW_NULL, **more),
        row(method, "/plain/key", *REPLACED, **more),
    )


def batch(*objects: bytes) -> bytes:
    return b"<Delete>" + b"".join(b"<Object>" + one + b"</Object>" for one in objects) + b"</Delete>"


ROWS: Final[Mapping[str, tuple[Row, ...]]] = {
    "ListBuckets": reading("/", "/?max-buckets=1"),
    "CreateBucket": (row("PUT", "/made", "+ made"), row("PUT", "/bucket", headers={"x-amz-acl": "authenticated-read"})),
    "HeadBucket": (row("HEAD", "/bucket"),),
    "DeleteBucket": (row("DELETE", "/empty", "- empty", "- empty/upload^1"),),
    "GetBucketLocation": reading("/bucket?location"),
    "ListObjects": reading("/bucket", "/bucket?prefix=key&delimiter=/&max-keys=1"),
    "ListObjectsV2": reading("/bucket?list-type=2", "/bucket?list-type=2&fetch-owner=true&max-keys=1"),
    "ListObjectVersions": reading("/bucket?versions", "/bucket?versions&key-marker=key&version-id-marker={old}"),
    "ListMultipartUploads": reading("/bucket?uploads", "/empty?uploads&max-uploads=1"),
    "GetBucketAcl": reading("/bucket?acl"),
    "PutBucketAcl": configuration("PUT", "acl", headers=PRIVATE),
    "GetBucketPolicy": reading("/bucket?policy"),
    "PutBucketPolicy": configuration(
        "PUT",
        "policy",
        b'{"Statement": {"Effect": "Deny", "Principal": "*", "Action": "s3:GetBucketTagging",'
        b' "Resource": "arn:aws:s3:::bucket"}}',
    ),
    "DeleteBucketPolicy": configuration("DELETE", "policy"),
    "GetBucketPolicyStatus": reading("/bucket?policyStatus"),
    "GetBucketVersioning": reading("/bucket?versioning", "/other?versioning", "/plain?versioning"),
    "PutBucketVersioning": configuration(
        "PUT", "versioning", b"<VersioningConfiguration><Status>Suspended</Status></VersioningConfiguration>"
    ),
    "GetBucketOwnershipControls": reading("/bucket?ownershipControls"),
    "PutBucketOwnershipControls": configuration(
        "PUT",
        "ownershipControls",
        b"<OwnershipControls><Rule><ObjectOwnership>BucketOwnerPreferred</ObjectOwnership></Rule></OwnershipControls>",
    ),
    "DeleteBucketOwnershipControls": configuration("DELETE", "ownershipControls"),
    "GetPublicAccessBlock": reading("/bucket?publicAccessBlock"),
    "PutPublicAccessBlock": configuration(
        "PUT",
        "publicAccessBlock",
        b"<PublicAccessBlockConfiguration><IgnorePublicAcls>true</IgnorePublicAcls></PublicAccessBlockConfiguration>",
    ),
    "DeletePublicAccessBlock": configuration("DELETE", "publicAccessBlock"),
    "Preflight": (row("OPTIONS", "/bucket/key", headers=FROM_A_PAGE), row("OPTIONS", "/bucket", headers=FROM_A_PAGE)),
    "GetBucketCors": reading("/bucket?cors"),
    "PutBucketCors": configuration("PUT", "cors", CORS.replace(b">GET<", b">PUT<")),
    "DeleteBucketCors": configuration("DELETE", "cors"),
    "GetBucketEncryption": reading("/bucket?encryption"),
    "PutBucketEncryption": configuration(
        "PUT",
        "encryption",
        b"<ServerSideEncryptionConfiguration><Rule><ApplyServerSideEncryptionByDefault><SSEAlgorithm>aws:kms"
        b"</SSEAlgorithm><KMSMasterKeyID>two</KMSMasterKeyID></ApplyServerSideEncryptionByDefault></Rule></ServerSideEncryptionConfiguration>",
    ),
    "DeleteBucketEncryption": configuration("DELETE", "encryption"),
    "GetBucketTagging": reading("/bucket?tagging"),
    "PutBucketTagging": configuration("PUT", "tagging", OTHER_TAGS),
    "DeleteBucketTagging": configuration("DELETE", "tagging"),
    "GetObjectTagging": reading("/bucket/key?tagging", "/bucket/key?tagging&versionId={old}"),
    "PutObjectTagging": on_version("PUT", "tagging", "tags", body=OTHER_TAGS),
    "DeleteObjectTagging": on_version("DELETE", "tagging", "tags")[:2],
    "PutObject": (
        *writing("PUT", body=b"new"),
        row("PUT", "/bucket/key", *NEW_VERSION, body=b"new", headers={"x-amz-tagging": "c=d", **PRIVATE}),
        row("PUT", "/bucket/other", "+ bucket/other@new", body=b"new" * 9000, headers={"if-none-match": "*"}),
    ),
    "PostObject": (
        row("POST", "/bucket", *NEW_VERSION, headers=FORM_HEADERS, body=encode_form([("key", "key")], b"new")),
        row("POST", "/other", *NEW_NULL, headers=FORM_HEADERS, body=encode_form([("key", "key")], b"new")),
        row("POST", "/plain", *REPLACED, headers=FORM_HEADERS, body=encode_form([("key", "key")], b"new")),
    ),
    "GetObject": (
        *reading("/bucket/key", "/bucket/key?versionId={old}", "/bucket/parts?partNumber=1"),
        *reading("/bucket/parts", headers={"range": "bytes=3-30000"}),
    ),
    "HeadObject": (row("HEAD", "/bucket/key"), row("HEAD", "/bucket/key?versionId={old}")),
    "GetObjectAttributes": reading("/bucket/parts?attributes", headers={"x-amz-object-attributes": "ETag,ObjectParts"}),
    "GetObjectAcl": reading("/bucket/key?acl", "/bucket/key?acl&versionId=null"),
    "PutObjectAcl": on_version("PUT", "acl", "acl", headers={"x-amz-acl": "authenticated-read"}),
    "DeleteObject": (
        row("DELETE", "/bucket/key", *NEW_VERSION),
        row("DELETE", "/bucket/absent", "+ bucket/absent@new"),
        row("DELETE", "/bucket/key?versionId={old}", "- bucket/key@2"),
        row("DELETE", "/bucket/key?versionId=null", "- bucket/key@1"),
        row("DELETE", "/bucket/key?versionId={current}", "- bucket/key@3", "bucket/key@2: noncurrent"),
        row("DELETE", "/bucket/gone?versionId={marker}", "- bucket/gone@2", "bucket/gone@1: noncurrent"),
        row("DELETE", "/bucket/key2?versionId={old}"),
        row("DELETE", "/other/key", *NEW_NULL),
        row("DELETE", "/plain/key", "- plain/key@1"),
        row("DELETE", "/plain/absent"),
    ),
    "DeleteObjects": (
        row("POST", "/bucket?delete", *NEW_VERSION, body=BATCH.replace(b"{key}", b"key")),
        row(
            "POST",
            "/bucket?delete",
            "- bucket/key@2",
            "- bucket/gone@2",
            "bucket/gone@1: noncurrent",
            body=batch(
                b"<Key>key</Key><VersionId>{old}</VersionId>", b"<Key>gone</Key><VersionId>{marker}</VersionId>"
            ),
        ),
        row("POST", "/other?delete", *NEW_NULL, body=batch(b"<Key>key</Key>")),
        row("POST", "/plain?delete", "- plain/key@1", body=batch(b"<Key>key</Key>", b"<Key>absent</Key>")),
    ),
    "CopyObject": (
        *writing("PUT", headers=FROM),
        row("PUT", "/bucket/key", *NEW_VERSION, headers={**FROM, "x-amz-metadata-directive": "REPLACE"}),
        row("PUT", "/empty/copy", "+ empty/copy@new", headers={"x-amz-copy-source": "bucket/parts"}),
    ),
    "CreateMultipartUpload": (
        row("POST", "/bucket/key?uploads", "+ bucket/key^new"),
        row("POST", "/bucket/upload?uploads", "+ bucket/upload^new"),
    ),
    "UploadPart": (
        row("PUT", f"/bucket/upload?{PART_OF.format(3)}", "bucket/upload^1: part 3", body=b"new" * 9000),
        row("PUT", f"/bucket/upload?{PART_OF.format(1)}", "bucket/upload^1: part 1", body=b"new"),
    ),
    "UploadPartCopy": (
        row("PUT", f"/bucket/upload?{PART_OF.format(3)}", "bucket/upload^1: part 3", headers=FROM),
        row("PUT", f"/bucket/upload?{PART_OF.format(1)}", "bucket/upload^1: part 1", headers=FROM),
    ),
    "CompleteMultipartUpload": (
        row(
            "POST",
            "/bucket/upload?uploadId={upload}",
            "- bucket/upload^1",
            "+ bucket/upload^1 completed",
            "+ bucket/upload@new",
            body=completion("{etag}"),
        ),
    ),
    "AbortMultipartUpload": (row("DELETE", "/bucket/upload?uploadId={upload}", "- bucket/upload^1"),),
    "ListParts": reading("/bucket/upload?uploadId={upload}", "/bucket/upload?uploadId={upload}&max-parts=1"),
}


@pytest.fixture
async def filled() -> AsyncIterator[Filled]:
    filled = Filled()
    await filled.fill()
    await collect_all(filled.backend)
    yield filled
    await filled.backend.close()


@pytest.mark.parametrize("name", sorted(set(OPERATIONS) - NOT_YET))
async def test_an_operation_changes_what_it_names_and_nothing_else(filled: Filled, name: str) -> None:
    if name not in ROWS:
        pytest.fail(f"{name} has no row here: say what it changes")
    begin = everything(filled.backend)
    before = await filled.things()
    wrong = []
    for one in ROWS[name]:
        bring_back(filled.backend, begin)
        headers = {name: filled.filled(value) for name, value in one.headers.items()}
        body = filled.filled(one.body.decode("latin-1")).encode("latin-1")
        answer = await filled.ask(one.method, filled.filled(one.target), headers, body)
        place = f"{one.method} {one.target}"
        if answer.status >= 300:
            wrong.append(f"{place}: {answer}")
        if not one.changes and everything(filled.backend) != begin:
            wrong.append(f"{place}: changed the store")
        # What the collector takes at once is nobody's; so the bytes of all that is there are still owned.
        await collect_all(filled.backend)
        changed = set(differences(before, await filled.things()))
        if changed != one.changes:
            wrong.append(f"{place}: not meant {changed - one.changes}, missing {one.changes - changed}")
    assert not wrong, "\n".join(wrong)


def subresources() -> set[str]:
    """All that botocore's model and post3's table tell operations by; `select-type=2` only stands beside such a one."""
    uris = [SERVICE.operation_model(name).http["requestUri"] for name in operations()]
    known = {part for uri in uris for part in uri.partition("?")[2].split("&") if "=" not in part}
    return (known | {name for one in OPERATIONS.values() for name in one.selectors}) - {""}


@pytest.mark.parametrize("path", ["/", "/bucket", "/bucket/key"])
@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "POST", "DELETE"])
async def test_a_subresource_that_is_no_operation_changes_nothing(filled: Filled, method: str, path: str) -> None:
    begin = everything(filled.backend)
    level = {"/": "root", "/bucket": "bucket", "/bucket/key": "object"}[path]
    supported = {
        name
        for one in OPERATIONS.values()
        if (one.method, one.level) == (method, level) and one.name not in NOT_YET
        for name in one.selectors
    }
    wrong = []
    for name in sorted(subresources() - supported):
        for query in (name, f"{name}&versionId=null"):
            for body in (b"", b"<Some><Document/></Some>"):
                answer = await filled.ask(method, f"{path}?{query}", body=body)
                if everything(filled.backend) != begin:
                    wrong.append(f"{query}: {answer}")
                    bring_back(filled.backend, begin)
    assert not wrong, "\n".join(wrong)
