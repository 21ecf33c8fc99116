"""Copies that the server makes: in one request up to 5 GiB, by parts above."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import urlencode

from post3.client.calls import head_call, quoted
from post3.client.model import GiB, MiB, ObjectInfo
from post3.client.steps import Call, Progress, Script
from post3.client.transfers import Span, part_size_of, spans
from post3.client.uploads import finished_part, in_parts, written

LARGEST_COPY = 5 * GiB
"""Source: https://docs.aws.amazon.com/AmazonS3/latest/API/API_CopyObject.html"""
COPY_PART = 256 * MiB

# What describes an object beside its metadata, and would be lost where the metadata is replaced.
_DESCRIBED = ("ContentType", "CacheControl", "ContentDisposition", "ContentEncoding", "ContentLanguage", "Expires")


def copy(
    source_bucket: str,
    source_key: str,
    bucket: str,
    key: str,
    *,
    metadata: Mapping[str, str] | None = None,
    workers: int = 4,
    progress: Progress,
) -> Script[ObjectInfo]:
    """Copy an object with its description and tags; `metadata`, if given, takes the place of its own."""
    found = yield head_call(source_bucket, source_key)
    size: int = found["ContentLength"]
    described = {name: found[name] for name in _DESCRIBED if name in found}
    described["Metadata"] = found.get("Metadata", {}) if metadata is None else metadata
    # The same bytes that HEAD told of, even if somebody writes meanwhile.
    source = {
        "CopySource": {"Bucket": source_bucket, "Key": source_key},
        "CopySourceIfMatch": quoted(found["ETag"]),
    }
    if size > LARGEST_COPY:
        described.update((yield from _tags(source_bucket, source_key)))
        parts = _Parts(source, size, progress)
        answer = yield from in_parts(bucket, key, described, {}, parts.scripts, workers)
        return written(key, size, answer, described)
    replaced = {} if metadata is None else {"MetadataDirective": "REPLACE", **described}
    answer = yield Call("copy_object", {"Bucket": bucket, "Key": key, **source, **replaced})
    progress(size)
    return written(key, size, {**answer["CopyObjectResult"], **_version(answer)}, described)


class _Parts:
    """The copies of an object's parts."""

    def __init__(self, source: Mapping[str, Any], size: int, progress: Progress) -> None:
        self._source = source
        self._size = size
        self._progress = progress

    def scripts(self, upload: Mapping[str, str]) -> Iterator[Script[dict[str, Any]]]:
        """One script for each part."""
        for span in spans(self._size, part_size_of(1, COPY_PART, self._size)):
            yield self._copy(span, upload)

    def _copy(self, span: Span, upload: Mapping[str, str]) -> Script[dict[str, Any]]:
        run = {"PartNumber": span.number, "CopySourceRange": f"bytes={span.start}-{span.stop - 1}"}
        answer = yield Call("upload_part_copy", {**upload, **self._source, **run})
        self._progress(span.size)
        return finished_part(span.number, answer["CopyPartResult"])


def _tags(bucket: str, key: str) -> Script[Mapping[str, str]]:
    """The tags as an upload takes them; CopyObject keeps them by itself, parts do not."""
    answer = yield Call("get_object_tagging", {"Bucket": bucket, "Key": key})
    tags: Iterable[Mapping[str, str]] = answer.get("TagSet", [])
    text = urlencode({tag["Key"]: tag["Value"] for tag in tags})
    return {"Tagging": text} if text else {}


def _version(answer: Mapping[str, Any]) -> Mapping[str, str]:
    return {"VersionId": answer["VersionId"]} if "VersionId" in answer else {}
