"""A request as the conditions of bucket policies see it.

Keys that a request does not carry are absent: operators tell that from empty values. What speaks of one object of
several, such as s3:versionid, is left to whoever asks about that object.
Sources: https://docs.aws.amazon.com/AmazonS3/latest/userguide/amazon-s3-policy-keys.html,
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Final
from urllib.parse import unquote_plus

from post3.auth.authentication import Proof
from post3.errors import S3Error
from post3.model.identity import ANONYMOUS
from post3.model.policy_patterns import fold_key
from post3.model.tagging import Tags
from post3.s3.headers import requested_tags
from post3.s3.message import Request

_FROM_HEADERS: Final[Mapping[str, str]] = {
    "referer": "aws:referer",
    "user-agent": "aws:useragent",
    "if-match": "s3:if-match",
    "if-none-match": "s3:if-none-match",
    **{
        f"x-amz-{name}": f"s3:x-amz-{name}"
        for name in (
            "acl",
            "content-sha256",
            "copy-source",
            "grant-full-control",
            "grant-read",
            "grant-read-acp",
            "grant-write",
            "grant-write-acp",
            "metadata-directive",
            "object-ownership",
            "server-side-encryption",
            "server-side-encryption-aws-kms-key-id",
            "server-side-encryption-customer-algorithm",
            "storage-class",
            "website-redirect-location",
        )
    },
}
_FROM_QUERY: Final[Mapping[str, str]] = {
    "prefix": "s3:prefix",
    "delimiter": "s3:delimiter",
    "max-keys": "s3:max-keys",
}
_CREATES: Final[Mapping[str, str]] = {
    "PutObject": "true",
    "CopyObject": "true",
    "CompleteMultipartUpload": "true",
    "CreateMultipartUpload": "false",
    "UploadPart": "false",
    "UploadPartCopy": "false",
}
"""Of the operations that s3:PutObject allows: whether they make an object, and so take conditions."""
_AUTH_TYPES: Final[Mapping[str, str]] = {"header": "REST-HEADER", "query": "REST-QUERY-STRING", "form": "POST"}


def policy_context(
    request: Request, proof: Proof, operation: str, now: datetime, tags: Tags | None = None
) -> Mapping[str, tuple[str, ...]]:
    """Folded condition keys to values, for the operation of this name.

    The tags are those of the request's document; None: its header may have some.
    """
    told = {key: (value,) for key, value in _conditions(request, proof, now)}
    if operation in _CREATES:
        told["s3:objectcreationoperation"] = (_CREATES[operation],)
    return {**told, **_of_tags(_tags_of_header(request) if tags is None else tags)}


def _tags_of_header(request: Request) -> Tags:
    try:
        return requested_tags(request.headers)
    except S3Error:  # it is for the operation to refuse it, to whoever may do the operation
        return {}


def _of_tags(tags: Tags) -> Mapping[str, tuple[str, ...]]:
    if not tags:
        return {}
    each = {fold_key(f"s3:RequestObjectTag/{key}"): (value,) for key, value in tags.items()}
    return {"s3:requestobjecttagkeys": tuple(tags), **each}


def _conditions(request: Request, proof: Proof, now: datetime) -> Iterator[tuple[str, str]]:
    yield "aws:currenttime", now.strftime("%Y-%m-%dT%H:%M:%SZ")
    yield "aws:epochtime", str(int(now.timestamp()))
    yield "aws:securetransport", "true" if request.is_secure else "false"
    if request.remote:
        yield "aws:sourceip", request.remote
    yield from _of_identity(proof)
    for name, key in _FROM_HEADERS.items():
        if name in request.headers:
            value = request.headers[name]
            yield key, _copied(value) if name == "x-amz-copy-source" else value
    for name, key in _FROM_QUERY.items():
        if name in request.query:
            yield key, request.query[name]


def _copied(value: str) -> str:
    """`bucket/key` of x-amz-copy-source, in whatever way it is encoded. Its version is another condition's."""
    path, has_version, _ = value.rpartition("?versionId=")
    return unquote_plus(path if has_version else value).removeprefix("/")


def _of_identity(proof: Proof) -> Iterator[tuple[str, str]]:
    if proof.identity != ANONYMOUS:
        yield "aws:userid", proof.identity.id
        yield "aws:username", proof.identity.id
        yield "aws:principaltype", "User"
    else:
        yield "aws:principaltype", "Anonymous"
    if proof.kind in _AUTH_TYPES:
        yield "s3:authtype", _AUTH_TYPES[proof.kind]
    if proof.version:
        yield "s3:signatureversion", proof.version
    if proof.age is not None:
        yield "s3:signatureage", str(int(proof.age.total_seconds() * 1000))
