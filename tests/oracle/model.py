"""botocore's model of S3, and requests as botocore would send them, in post3's own form."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any, Final
from urllib.parse import urlencode

import botocore.session
from botocore.model import ListShape, OperationModel, Shape, StringShape, StructureShape
from botocore.serialize import create_serializer

from post3.s3.address import parse_path, parse_query, valueless_names
from post3.s3.message import Request

SERVICE: Final = botocore.session.get_session().get_service_model("s3")
SAME_REQUEST: Final = {"ListDirectoryBuckets": "ListBuckets", "WriteGetObjectResponse": "PostObject"}
"""Operations whose request cannot be told from another's; those of directory buckets, and of object lambdas, go to an
address of their own."""
BROWSERS: Final = frozenset({"PostObject", "Preflight"})
"""The operations that the model does not know: no SDK sends them."""


def operations() -> list[str]:
    """All names in the model."""
    return sorted(SERVICE.operation_names)


LEAVES: Final[Mapping[str, Any]] = {
    "integer": 1,
    "long": 1,
    "boolean": True,
    "timestamp": "2026-01-01T00:00:00Z",
    "blob": b"x",
}
NAMED: Final[Mapping[str, str]] = {"Bucket": "bucket", "Key": "key", "CopySource": "bucket/source"}


def sample(shape: Shape, name: str = "") -> Any:
    """A value of the shape, as small as it may be."""
    if isinstance(shape, StructureShape):
        union = bool(shape.metadata.get("union"))
        members = [next(iter(shape.members))] if union else shape.required_members
        return {member: sample(shape.members[member], member) for member in members}
    if isinstance(shape, ListShape):
        return [sample(shape.member)]
    if isinstance(shape, StringShape):
        return shape.enum[0] if shape.enum else NAMED.get(name, "x" * int(shape.metadata.get("min", 1)))
    return LEAVES[shape.type_name]


def request_for(name: str) -> Request:
    """The least request for an operation, as botocore writes it."""
    operation = SERVICE.operation_model(name)
    params = sample(operation.input_shape) if operation.input_shape else {}
    sent = create_serializer("rest-xml").serialize_to_request(params, operation)
    path, _, fixed = sent["url_path"].partition("?")
    query = "&".join(part for part in (fixed, urlencode(sent["query_string"] or {})) if part)
    return make_request(sent["method"], path, query, {k.lower(): str(v) for k, v in sent["headers"].items()})


def make_request(
    method: str, path: str, query: str = "", headers: Mapping[str, str] | None = None, body: bytes = b""
) -> Request:
    """A request that never was on a wire."""

    async def chunks() -> AsyncIterator[bytes]:
        if body:
            yield body

    return Request(
        id="0123456789ABCDEF",
        method=method,
        path=path,
        address=parse_path(path),
        query=parse_query(query),
        headers={"host": "localhost", "content-length": str(len(body)), **(headers or {})},
        body=chunks(),
        valueless=valueless_names(query),
    )


def required_query(operation: OperationModel) -> set[str]:
    """The query keys without which a request for the operation is not one."""
    if operation.input_shape is None:
        return set()
    members = operation.input_shape.members
    return {
        members[name].serialization["name"]
        for name in operation.input_shape.required_members
        if members[name].serialization.get("location") == "querystring"
    }
