"""Lists of any length, page by page: what to ask for next, and what a page holds."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Generic, TypeVar
from urllib.parse import unquote_plus

from post3.client.calls import given, unquoted
from post3.client.model import Bucket, ObjectInfo, Prefix
from post3.client.steps import Call, Script

T = TypeVar("T")
Answer = Mapping[str, Any]


class Pages(Generic[T]):
    """A list under way: `call` asks for its next page, and is None behind the last one."""

    def __init__(self, call: Call, read: Callable[[Answer], Iterable[T]], after: Callable[[Answer], Answer]) -> None:
        self.call: Call | None = call
        self._first = call
        self._read = read
        self._after = after

    def take(self, answer: Answer) -> Iterable[T]:
        """The entries of a page, whose answer this is."""
        more = self._after(answer)
        self.call = Call(self._first.operation, {**self._first.parameters, **more}) if more else None
        return self._read(answer)

    def all(self) -> Script[list[T]]:
        """Every entry."""
        entries: list[T] = []
        while self.call is not None:
            entries += self.take((yield self.call))
        return entries


def bucket_pages() -> Pages[Bucket]:
    """All buckets."""
    return Pages(
        Call("list_buckets"),
        lambda answer: [Bucket(one["Name"], one.get("CreationDate")) for one in answer.get("Buckets", [])],
        lambda answer: given(ContinuationToken=answer.get("ContinuationToken") or None),
    )


def object_pages(bucket: str, prefix: str | None = None, delimiter: str | None = None) -> Pages[ObjectInfo | Prefix]:
    """The objects of a bucket in the order of their keys, with what they share up to a delimiter among them."""
    return Pages(
        Call("list_objects_v2", {"Bucket": bucket, **given(Prefix=prefix, Delimiter=delimiter)}),
        _objects_and_prefixes,
        lambda answer: given(ContinuationToken=answer.get("NextContinuationToken") or None),
    )


def only_objects(entries: Iterable[ObjectInfo | Prefix]) -> list[ObjectInfo]:
    """The objects of a list without a delimiter."""
    return [entry for entry in entries if isinstance(entry, ObjectInfo)]


def version_pages(bucket: str) -> Pages[Mapping[str, str]]:
    """Every version and every delete marker, as DeleteObjects names them."""
    return Pages(
        Call("list_object_versions", {"Bucket": bucket}),
        lambda answer: [
            {"Key": one["Key"], "VersionId": one["VersionId"]}
            for kind in ("Versions", "DeleteMarkers")
            for one in answer.get(kind, [])
        ],
        lambda answer: _markers(answer, KeyMarker="NextKeyMarker", VersionIdMarker="NextVersionIdMarker"),
    )


def upload_pages(bucket: str) -> Pages[Mapping[str, str]]:
    """Every multipart upload that nobody finished, as AbortMultipartUpload names it."""
    return Pages(
        # botocore asks for encoded keys in lists of objects by itself, but not here.
        Call("list_multipart_uploads", {"Bucket": bucket, "EncodingType": "url"}),
        lambda answer: [
            {"Key": unquote_plus(one["Key"]), "UploadId": one["UploadId"]} for one in answer.get("Uploads", [])
        ],
        lambda answer: _markers(
            {**answer, "NextKeyMarker": unquote_plus(answer.get("NextKeyMarker", ""))},
            KeyMarker="NextKeyMarker",
            UploadIdMarker="NextUploadIdMarker",
        ),
    )


def _objects_and_prefixes(answer: Answer) -> list[ObjectInfo | Prefix]:
    objects: list[ObjectInfo | Prefix] = [
        ObjectInfo(one["Key"], one["Size"], unquoted(one.get("ETag", "")), one.get("LastModified"))
        for one in answer.get("Contents", [])
    ]
    prefixes = [Prefix(one["Prefix"]) for one in answer.get("CommonPrefixes", [])]
    return sorted([*objects, *prefixes], key=_name) if prefixes else objects


def _name(entry: ObjectInfo | Prefix) -> bytes:
    """What S3 sorts by: the bytes of UTF-8."""
    return (entry.prefix if isinstance(entry, Prefix) else entry.key).encode("utf-8", "surrogatepass")


def _markers(answer: Answer, **names: str) -> Answer:
    """The markers that the next request takes from this answer."""
    if not answer.get("IsTruncated"):
        return {}
    return {name: answer[told] for name, told in names.items() if answer.get(told)}
