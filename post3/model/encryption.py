"""Encryption with the server's own keys: what requests and buckets ask for, and what decrypts a part again.

Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/serv-side-encryption.html
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from post3.errors import InvalidArgument, MalformedXML, OperationNotImplemented
from post3.model.tree import Tree, one, text

SUBRESOURCE: Final = "encryption"
"""The name of the document among a bucket's configurations."""
HEADER: Final = "x-amz-server-side-encryption"
KEY_ID_HEADER: Final = f"{HEADER}-aws-kms-key-id"
BUCKET_KEY_HEADER: Final = f"{HEADER}-bucket-key-enabled"
SSE_S3: Final = "AES256"
SSE_KMS: Final = "aws:kms"
ALGORITHM: Final = "AES-256-GCM"


@dataclass(frozen=True, slots=True)
class Encryption:
    """How an object is to be encrypted, and how answers tell that it is."""

    kind: str
    """AES256 or aws:kms."""
    key_id: str = ""
    """Of the master key that was asked for; empty with AES256, which takes the server's default."""


@dataclass(frozen=True, slots=True)
class Envelope:
    """What a part's bytes are decrypted with, as long as there is its master key: nothing in it is secret by itself."""

    kind: str
    key_id: str
    """Of the master key that wraps the data key."""
    wrapped_key: bytes = field(repr=False)
    nonce: bytes
    """The part's share of the nonce of each block."""
    algorithm: str = ALGORITHM


def from_headers(headers: Mapping[str, str]) -> Encryption | None:
    """What a request asks for; None when it leaves that to the bucket.

    Raises InvalidArgument for what is unknown or does not go together, OperationNotImplemented for aws:kms:dsse.
    """
    # Whatever it says of bucket keys: they spare calls of another service, and here none is called.
    bucket_key = headers.get(BUCKET_KEY_HEADER, "false")
    if bucket_key.lower() not in ("true", "false"):
        raise _invalid(f"{BUCKET_KEY_HEADER} must be true or false.", BUCKET_KEY_HEADER, bucket_key)
    kind, key_id = headers.get(HEADER), headers.get(KEY_ID_HEADER)
    if kind is not None:
        return _parse(kind, key_id or "", HEADER, KEY_ID_HEADER)
    if key_id is not None:
        raise _invalid(f"{KEY_ID_HEADER} needs {HEADER}: {SSE_KMS} beside it.", KEY_ID_HEADER, key_id)
    return None


def check_read(headers: Mapping[str, str]) -> None:
    """Raise InvalidArgument when a read asks for encryption: how an object is stored was said when it was put."""
    for name in (HEADER, KEY_ID_HEADER):
        if name in headers:
            raise _invalid(f"{name} belongs to requests that write an object, not to those that read it.", name, "")


def as_headers(encryption: Encryption | None) -> dict[str, str]:
    """How an answer tells it."""
    if encryption is None:
        return {}
    told = {HEADER: encryption.kind}
    if encryption.kind == SSE_KMS:
        told[KEY_ID_HEADER] = encryption.key_id
    return told


def from_document(tree: Tree) -> Encryption:
    """The default in a ServerSideEncryptionConfiguration. Raises MalformedXML, and what from_headers raises."""
    default = one(_rule(tree), "ApplyServerSideEncryptionByDefault")
    kind = text(default, "SSEAlgorithm")
    if kind is None:
        raise MalformedXML
    return _parse(kind, text(default, "KMSMasterKeyID") or "", "SSEAlgorithm", "KMSMasterKeyID")


def to_document(tree: Tree) -> Tree:
    """A bucket's document as it is kept: what from_document reads, and whether bucket keys were asked for."""
    encryption, bucket_key = from_document(tree), text(_rule(tree), "BucketKeyEnabled") or "false"
    if bucket_key not in ("true", "false"):
        raise MalformedXML
    default = {"SSEAlgorithm": encryption.kind}
    if encryption.key_id:
        default["KMSMasterKeyID"] = encryption.key_id
    return {"Rule": {"ApplyServerSideEncryptionByDefault": default, "BucketKeyEnabled": bucket_key}}


def _rule(tree: Tree) -> Tree:
    """The only rule that there may be."""
    rule = one(tree, "Rule")
    if "BlockedEncryptionTypes" in rule:
        raise OperationNotImplemented(Element="BlockedEncryptionTypes")
    return rule


def _parse(kind: str, key_id: str, kind_name: str, key_name: str) -> Encryption:
    if kind == "aws:kms:dsse":
        raise OperationNotImplemented(Encryption=kind)
    if kind not in (SSE_S3, SSE_KMS):
        raise _invalid("The encryption method specified is not supported", kind_name, kind)
    if kind == SSE_S3 and key_id:
        raise _invalid(f"{key_name} goes with {SSE_KMS}, not with {SSE_S3}.", key_name, key_id)
    if kind == SSE_KMS and not key_id:
        raise _invalid(
            f"{SSE_KMS} needs {key_name}, the name of a master key; there is none that AWS manages.", key_name, ""
        )
    return Encryption(kind, key_id)


def _invalid(message: str, name: str, value: str) -> InvalidArgument:
    return InvalidArgument(message, ArgumentName=name, ArgumentValue=value or None)
