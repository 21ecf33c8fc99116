"""What S3 can do and post3 cannot yet: answered with NotImplemented, so that nothing falls through to its neighbour."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Final, NoReturn

from post3.errors import InvalidArgument, OperationNotImplemented
from post3.model.encryption import HEADER
from post3.s3.address import Level
from post3.s3.call import Call
from post3.s3.router import Needs, Operation, add

UNSUPPORTED: Final[dict[tuple[str, Level, str], tuple[str, ...]]] = {
    ("DELETE", "bucket", "analytics"): ("DeleteBucketAnalyticsConfiguration",),
    ("DELETE", "bucket", "intelligent-tiering"): ("DeleteBucketIntelligentTieringConfiguration",),
    ("DELETE", "bucket", "inventory"): ("DeleteBucketInventoryConfiguration",),
    ("DELETE", "bucket", "lifecycle"): ("DeleteBucketLifecycle",),
    ("DELETE", "bucket", "metadataConfiguration"): ("DeleteBucketMetadataConfiguration",),
    ("DELETE", "bucket", "metadataTable"): ("DeleteBucketMetadataTableConfiguration",),
    ("DELETE", "bucket", "metrics"): ("DeleteBucketMetricsConfiguration",),
    ("DELETE", "bucket", "replication"): ("DeleteBucketReplication",),
    ("DELETE", "bucket", "website"): ("DeleteBucketWebsite",),
    ("DELETE", "object", "annotation"): ("DeleteObjectAnnotation",),
    ("GET", "bucket", "abac"): ("GetBucketAbac",),
    ("GET", "bucket", "accelerate"): ("GetBucketAccelerateConfiguration",),
    ("GET", "bucket", "analytics"): ("GetBucketAnalyticsConfiguration", "ListBucketAnalyticsConfigurations"),
    ("GET", "bucket", "intelligent-tiering"): (
        "GetBucketIntelligentTieringConfiguration",
        "ListBucketIntelligentTieringConfigurations",
    ),
    ("GET", "bucket", "inventory"): ("GetBucketInventoryConfiguration", "ListBucketInventoryConfigurations"),
    ("GET", "bucket", "lifecycle"): ("GetBucketLifecycleConfiguration", "GetBucketLifecycle"),
    ("GET", "bucket", "logging"): ("GetBucketLogging",),
    ("GET", "bucket", "metadataConfiguration"): ("GetBucketMetadataConfiguration",),
    ("GET", "bucket", "metadataTable"): ("GetBucketMetadataTableConfiguration",),
    ("GET", "bucket", "metrics"): ("GetBucketMetricsConfiguration", "ListBucketMetricsConfigurations"),
    ("GET", "bucket", "notification"): ("GetBucketNotificationConfiguration", "GetBucketNotification"),
    ("GET", "bucket", "object-lock"): ("GetObjectLockConfiguration",),
    ("GET", "bucket", "replication"): ("GetBucketReplication",),
    ("GET", "bucket", "requestPayment"): ("GetBucketRequestPayment",),
    ("GET", "bucket", "session"): ("CreateSession",),
    ("GET", "bucket", "website"): ("GetBucketWebsite",),
    ("GET", "object", "annotation"): ("GetObjectAnnotation", "ListObjectAnnotations"),
    ("GET", "object", "legal-hold"): ("GetObjectLegalHold",),
    ("GET", "object", "retention"): ("GetObjectRetention",),
    ("GET", "object", "torrent"): ("GetObjectTorrent",),
    ("POST", "bucket", "metadataConfiguration"): ("CreateBucketMetadataConfiguration",),
    ("POST", "bucket", "metadataTable"): ("CreateBucketMetadataTableConfiguration",),
    ("POST", "object", "restore"): ("RestoreObject",),
    ("POST", "object", "select"): ("SelectObjectContent",),
    ("PUT", "bucket", "abac"): ("PutBucketAbac",),
    ("PUT", "bucket", "accelerate"): ("PutBucketAccelerateConfiguration",),
    ("PUT", "bucket", "analytics"): ("PutBucketAnalyticsConfiguration",),
    ("PUT", "bucket", "intelligent-tiering"): ("PutBucketIntelligentTieringConfiguration",),
    ("PUT", "bucket", "inventory"): ("PutBucketInventoryConfiguration",),
    ("PUT", "bucket", "lifecycle"): ("PutBucketLifecycleConfiguration", "PutBucketLifecycle"),
    ("PUT", "bucket", "logging"): ("PutBucketLogging",),
    ("PUT", "bucket", "metadataAnnotationTable"): ("UpdateBucketMetadataAnnotationTableConfiguration",),
    ("PUT", "bucket", "metadataInventoryTable"): ("UpdateBucketMetadataInventoryTableConfiguration",),
    ("PUT", "bucket", "metadataJournalTable"): ("UpdateBucketMetadataJournalTableConfiguration",),
    ("PUT", "bucket", "metrics"): ("PutBucketMetricsConfiguration",),
    ("PUT", "bucket", "notification"): ("PutBucketNotificationConfiguration", "PutBucketNotification"),
    ("PUT", "bucket", "object-lock"): ("PutObjectLockConfiguration",),
    ("PUT", "bucket", "replication"): ("PutBucketReplication",),
    ("PUT", "bucket", "requestPayment"): ("PutBucketRequestPayment",),
    ("PUT", "bucket", "website"): ("PutBucketWebsite",),
    ("PUT", "object", "annotation"): ("PutObjectAnnotation",),
    ("PUT", "object", "encryption"): ("UpdateObjectEncryption",),
    ("PUT", "object", "legal-hold"): ("PutObjectLegalHold",),
    ("PUT", "object", "renameObject"): ("RenameObject",),
    ("PUT", "object", "retention"): ("PutObjectRetention",),
}
"""The operations by what tells them; where two names stand, their requests differ by a parameter at most."""

_HEADER_PREFIXES: Final = (
    "x-amz-server-side-encryption-context",
    "x-amz-server-side-encryption-customer-",
    "x-amz-copy-source-server-side-encryption",
    "x-amz-object-lock-",
    "x-amz-tagging",
    "x-amz-write-offset-bytes",
)
_HARMLESS: Final[Mapping[str, frozenset[str]]] = {
    # What these say is so without them.
    "x-amz-bucket-object-lock-enabled": frozenset({"false", "False"}),
    "x-amz-tagging-directive": frozenset({"COPY", "REPLACE"}),
    "x-amz-tagging": frozenset({""}),
    "x-amz-object-lock-legal-hold": frozenset({"OFF"}),
}
_HEEDED: Final[Mapping[str, frozenset[str]]] = {
    "x-amz-tagging": frozenset({"CopyObject", "CreateMultipartUpload", "PutObject"}),
    "x-amz-tagging-directive": frozenset({"CopyObject"}),
}
"""Headers that some operations know, and which."""


def refuse_unsupported_headers(headers: Mapping[str, str], operation: Operation) -> None:
    """Raise NotImplemented for a header that asks for what is not there: better refused than promised and ignored.

    Raises InvalidArgument for two that contradict each other.
    """
    if HEADER in headers and f"{HEADER}-customer-algorithm" in headers:
        raise InvalidArgument(
            f"{HEADER} asks for the server's keys, {HEADER}-customer-algorithm for one of yours.", ArgumentName=HEADER
        )
    for name in _doubtful(tuple(headers)):
        if operation.name not in _HEEDED.get(name, ()) and headers[name] not in _HARMLESS.get(name, ()):
            raise OperationNotImplemented(Header=name)


@lru_cache(maxsize=256)
def _doubtful(names: tuple[str, ...]) -> tuple[str, ...]:
    """The headers among these that may ask for what is not there; kept, as clients send the same ones all day."""
    return tuple(name for name in names if name in _HARMLESS or name.startswith(_HEADER_PREFIXES))


async def _refuse(call: Call) -> NoReturn:
    raise OperationNotImplemented(Operation=call.operation.name)


for (_method, _level, _selector), _names in UNSUPPORTED.items():
    add(
        Operation(
            name=_names[0],
            method=_method,
            level=_level,
            selectors=frozenset({_selector} - {""}),
            parameters=frozenset(),
            action=f"s3:{_names[0]}",
            handler=_refuse,
            needs=Needs.USER,
            loads_bucket=False,
        )
    )
