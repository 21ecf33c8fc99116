"""Deleting: by key, in batches, by prefix, and a bucket with all that is in it; and making one."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice

from post3.client.calls import given
from post3.client.errors import Conflict, Denied, NotFound, s3_error
from post3.client.pages import object_pages, only_objects, upload_pages, version_pages
from post3.client.steps import Call, Script

BATCH = 1000
"""The most keys of one DeleteObjects: https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteObjects.html"""

# What XML 1.0 cannot write, and what no two parsers read alike.
_NOT_XML = re.compile("[\0-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")


def create_bucket(bucket: str, region: str, *, exist_ok: bool) -> Script[None]:
    """Make a bucket; with `exist_ok` one of one's own may be there."""
    # post3, and S3's first region, which must not be named, say yes to making one's own bucket again.
    place = {"LocationConstraint": region} if region != "us-east-1" else None
    if not exist_ok and (yield from _exists(bucket)):
        about = f"create_bucket of s3://{bucket}"
        raise s3_error("BucketAlreadyOwnedByYou", "The bucket is yours already", 409, None, about)
    try:
        yield Call("create_bucket", {"Bucket": bucket, **given(CreateBucketConfiguration=place)})
    except Conflict as error:
        if not exist_ok or error.code != "BucketAlreadyOwnedByYou":
            raise


def _exists(bucket: str) -> Script[bool]:
    """Whether there is such a bucket that one may see."""
    try:
        yield Call("head_bucket", {"Bucket": bucket})
    except (NotFound, Denied):
        return False
    return True


def delete_bucket(bucket: str, *, force: bool) -> Script[None]:
    """Delete a bucket; with `force` all that is in it first: uploads, versions, delete markers."""
    if force:
        uploads = upload_pages(bucket)
        while uploads.call is not None:
            for upload in uploads.take((yield uploads.call)):
                yield Call("abort_multipart_upload", {"Bucket": bucket, **upload})
        versions = version_pages(bucket)
        while versions.call is not None:
            yield from delete_all(bucket, versions.take((yield versions.call)))
    yield Call("delete_bucket", {"Bucket": bucket})


def delete_object(bucket: str, key: str, *, version_id: str | None = None) -> Script[None]:
    """Delete an object, or one version of it; nothing happens when there is none."""
    yield Call("delete_object", {"Bucket": bucket, "Key": key, **given(VersionId=version_id)})


def delete_prefix(bucket: str, prefix: str) -> Script[int]:
    """Delete every object whose key begins so; how many."""
    deleted = 0
    pages = object_pages(bucket, prefix)
    while pages.call is not None:
        found = only_objects(pages.take((yield pages.call)))
        deleted += yield from delete_all(bucket, ({"Key": one.key} for one in found))
    return deleted


def delete_all(bucket: str, names: Iterable[Mapping[str, str]]) -> Script[int]:
    """Delete what these name, by Key and perhaps VersionId; how many. Raises the first refusal of a batch."""
    deleted = 0
    for batch in _batches(names):
        plain = [one for one in batch if not _NOT_XML.search(one["Key"])]
        if plain:
            answer = yield Call("delete_objects", {"Bucket": bucket, "Delete": {"Objects": plain, "Quiet": True}})
            _check(bucket, answer.get("Errors", []), len(plain))
        for one in batch:
            if _NOT_XML.search(one["Key"]):
                yield Call("delete_object", {"Bucket": bucket, **one})
        deleted += len(batch)
    return deleted


def _check(bucket: str, refused: list[Mapping[str, str]], asked: int) -> None:
    if not refused:
        return
    first = refused[0]
    about = f"{len(refused)} of {asked} keys were not deleted, the first s3://{bucket}/{first.get('Key', '')}"
    code = first.get("Code", "InternalError")
    status = 403 if code == "AccessDenied" else 200  # of one key of a batch S3 tells no status
    raise s3_error(code, first.get("Message", ""), status, None, about)


def _batches(names: Iterable[Mapping[str, str]]) -> Iterator[list[Mapping[str, str]]]:
    rest = iter(names)
    while batch := list(islice(rest, BATCH)):
        yield batch
