"""Which operation a request is for, and that nothing falls through to a neighbour."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pytest

from post3.errors import MethodNotAllowed, OperationNotImplemented, S3Error
from post3.s3.address import parse_path, parse_query, valueless_names
from post3.s3.call import Call
from post3.s3.message import Request, Response
from post3.s3.router import COPY_SOURCE, OPERATIONS, Needs, Operation, Router, add, operation
from tests.bodies import stream


async def answer(_call: Call) -> Response:
    return Response()


def row(name: str, method: str, level: str, *selectors: str, parameters: tuple[str, ...] = ()) -> Operation:
    assert level in ("root", "bucket", "object")
    return Operation(
        name=name,
        method=method,
        level=level,  # type: ignore[arg-type]
        selectors=frozenset(selectors),
        parameters=frozenset(parameters),
        action=f"s3:{name}",
        handler=answer,
        needs=Needs.OWNER,
    )


TABLE = {
    made.name: made
    for made in (
        row("ListBuckets", "GET", "root"),
        row("ListObjects", "GET", "bucket"),
        row("ListObjectsV2", "GET", "bucket", "list-type=2"),
        row("CreateBucket", "PUT", "bucket"),
        row("DeleteBucket", "DELETE", "bucket"),
        row("GetBucketAcl", "GET", "bucket", "acl"),
        row("PutBucketAcl", "PUT", "bucket", "acl"),
        row("PutBucketLifecycleConfiguration", "PUT", "bucket", "lifecycle"),
        row("DeleteObjects", "POST", "bucket", "delete"),
        row("GetObject", "GET", "object", parameters=("uploads",)),
        row("PutObject", "PUT", "object"),
        row("CopyObject", "PUT", "object", COPY_SOURCE),
        row("UploadPart", "PUT", "object", "uploadId"),
        row("UploadPartCopy", "PUT", "object", "uploadId", COPY_SOURCE),
        row("PutObjectRetention", "PUT", "object", "retention"),
        row("CreateMultipartUpload", "POST", "object", "uploads"),
        row("DeleteObject", "DELETE", "object"),
        row("AbortMultipartUpload", "DELETE", "object", "uploadId"),
    )
}
ROUTER = Router(TABLE)


def request(line: str, headers: Mapping[str, str] | None = None) -> Request:
    method, url = line.split(" ")
    path, _, query = url.partition("?")
    return Request(
        id="1",
        method=method,
        path=path,
        address=parse_path(path),
        query=parse_query(query),
        headers=headers or {},
        body=stream(()),
        valueless=valueless_names(query),
    )


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ("GET /", "ListBuckets"),
        ("GET /b", "ListObjects"),
        ("GET /b/", "ListObjects"),
        ("GET /b?prefix=x&marker=", "ListObjects"),
        ("GET /b?list-type=1", "ListObjects"),
        ("GET /b?list-type=2&prefix=", "ListObjectsV2"),
        ("GET /b?acl", "GetBucketAcl"),
        ("GET /b?acl=", "GetBucketAcl"),
        ("PUT /b?acl", "PutBucketAcl"),
        ("POST /b?delete", "DeleteObjects"),
        ("PUT /b/k", "PutObject"),
        ("PUT /b/k?x-id=PutObject", "PutObject"),
        ("PUT /b/k?partNumber=1&uploadId=u", "UploadPart"),
        ("DELETE /b/k?versionId=", "DeleteObject"),
        ("DELETE /b/k?uploadId=u", "AbortMultipartUpload"),
        ("POST /b/k?uploads", "CreateMultipartUpload"),
        ("GET /b/k?uploads", "GetObject"),
        ("GET /b/k?unknown", "GetObject"),
        ("PUT /b/k?X-Amz-Signature=abc&X-Amz-Expires=60", "PutObject"),
    ],
)
def test_a_request_is_for_one_operation(line: str, name: str) -> None:
    assert ROUTER.resolve(request(line)).name == name


def test_a_copy_source_makes_a_put_a_copy() -> None:
    headers = {COPY_SOURCE: "/b/other"}
    assert ROUTER.resolve(request("PUT /b/k", headers)).name == "CopyObject"
    assert ROUTER.resolve(request("PUT /b/k?uploadId=u&partNumber=1", headers)).name == "UploadPartCopy"
    assert ROUTER.resolve(request("GET /b/k", headers)).name == "GetObject"


@pytest.mark.parametrize(
    ("line", "error"),
    [
        # a subresource that nobody knows
        ("PUT /b?newthing", OperationNotImplemented),
        ("DELETE /b?newthing", OperationNotImplemented),
        ("DELETE /b?newthing=", OperationNotImplemented),
        ("PUT /b/k?newthing", OperationNotImplemented),
        ("DELETE /b/k?newthing", OperationNotImplemented),
        ("DELETE /b/k?newthing&versionId=v", OperationNotImplemented),
        ("POST /b?delete&newthing", OperationNotImplemented),
        # a subresource of another level
        ("DELETE /b?retention", OperationNotImplemented),
        ("DELETE /b?uploadId=u", OperationNotImplemented),
        ("DELETE /b/k?lifecycle", OperationNotImplemented),
        ("PUT /b/k?acl", OperationNotImplemented),
        ("PUT /b?retention", OperationNotImplemented),
        # a subresource that is known, but not with this method
        ("DELETE /b?acl", MethodNotAllowed),
        ("DELETE /b?lifecycle", MethodNotAllowed),
        ("DELETE /b/k?retention", MethodNotAllowed),
        ("PUT /b?delete", MethodNotAllowed),
        ("PUT /b/k?uploads", MethodNotAllowed),
        # two at once
        ("PUT /b?acl&lifecycle", MethodNotAllowed),
        ("GET /b?acl&list-type=2", MethodNotAllowed),
        ("DELETE /b/k?uploadId=u&uploads", MethodNotAllowed),
        # methods that are not there
        ("PATCH /b/k", MethodNotAllowed),
        ("DELETE /", MethodNotAllowed),
        ("POST /b/k", MethodNotAllowed),
    ],
)
def test_nothing_falls_through_to_a_neighbour(line: str, error: type[S3Error]) -> None:
    with pytest.raises(error):
        ROUTER.resolve(request(line))


def test_the_refusal_names_what_was_asked_for() -> None:
    with pytest.raises(MethodNotAllowed) as caught:
        ROUTER.resolve(request("DELETE /b?acl"))
    assert caught.value.details == {"Method": "DELETE", "ResourceType": "acl"}
    with pytest.raises(OperationNotImplemented) as unknown:
        ROUTER.resolve(request("DELETE /b?newthing"))
    assert unknown.value.details == {"Header": "newthing"}


@pytest.fixture
def table() -> Iterator[dict[str, Operation]]:
    """The real table, emptied for one test."""
    before = dict(OPERATIONS)
    OPERATIONS.clear()
    yield OPERATIONS
    OPERATIONS.clear()
    OPERATIONS.update(before)


def test_a_name_is_declared_once(table: dict[str, Operation]) -> None:
    add(row("GetBucketAcl", "GET", "bucket", "acl"))
    with pytest.raises(ValueError, match="GetBucketAcl is declared twice"):
        add(row("GetBucketAcl", "GET", "bucket", "policy"))
    assert list(table) == ["GetBucketAcl"]


def test_two_operations_must_be_told_apart(table: dict[str, Operation]) -> None:
    add(row("GetBucketAcl", "GET", "bucket", "acl"))
    with pytest.raises(ValueError, match="GetBucketGrants cannot be told from GetBucketAcl"):
        add(row("GetBucketGrants", "GET", "bucket", "acl"))
    add(row("PutBucketAcl", "PUT", "bucket", "acl"))
    add(row("GetObjectAcl", "GET", "object", "acl"))
    assert list(table) == ["GetBucketAcl", "PutBucketAcl", "GetObjectAcl"]


def test_a_function_becomes_the_operation_of_its_name(table: dict[str, Operation]) -> None:
    @operation("GET", "object", "legal-hold")
    async def get_object_legal_hold(_call: Call) -> Response:
        return Response()

    declared = table["GetObjectLegalHold"]
    assert (declared.method, declared.level) == ("GET", "object")
    assert declared.selectors == {"legal-hold"}
    assert declared.action == "s3:GetObjectLegalHold"
    assert declared.handler is get_object_legal_hold
    assert declared.loads_bucket
    assert not declared.is_slow
