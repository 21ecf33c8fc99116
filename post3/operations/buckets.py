"""Buckets: list, create, look at, delete."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Final

from post3.errors import BucketAlreadyExists, InvalidArgument, InvalidLocationConstraint, OperationNotImplemented
from post3.model import ownership, tagging
from post3.model.bucket import Bucket
from post3.model.grants import Grants, from_headers, in_force
from post3.model.names import check_bucket_name
from post3.model.tree import Tree, text
from post3.operations.tokens import next_token, parse_token
from post3.s3.call import Call
from post3.s3.message import Response, document
from post3.s3.router import Needs, operation

DEFAULT_REGION: Final = "us-east-1"
MAX_BUCKETS: Final = 10_000
"""The most that one answer holds.
Source: https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListBuckets.html"""
_REGION: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,62}", re.ASCII)


@operation("GET", "root", action="s3:ListAllMyBuckets", needs=Needs.USER, loads_bucket=False)
async def list_buckets(call: Call) -> Response:
    """All buckets of whoever asks (an administrator sees everybody's), or a page of them; of one region, if named."""
    limit = call.int_parameter("max-buckets", MAX_BUCKETS, 1, MAX_BUCKETS)
    prefix, after = call.query.get("prefix", ""), parse_token(call.query.get("continuation-token", ""))
    buckets = await _owned(call, prefix, after, limit + 1)
    page, truncated = buckets[:limit], len(buckets) > limit
    return document(
        "ListAllMyBucketsResult",
        {
            "Owner": {"ID": call.identity.id, "DisplayName": call.identity.display_name},
            "Buckets": {"Bucket": [_told(bucket) for bucket in page]},
            "Prefix": prefix or None,
            "ContinuationToken": next_token(page[-1].name) if truncated else None,
        },
    )


async def _owned(call: Call, prefix: str, after: str, limit: int) -> list[Bucket]:
    region = call.query.get("bucket-region", "")
    if region and not _REGION.fullmatch(region):
        raise InvalidArgument(
            f"Argument value {region} is not a valid AWS Region", ArgumentName="bucket-region", ArgumentValue=region
        )
    owner = None if call.identity.is_admin else call.identity.id
    found: list[Bucket] = []
    while True:
        met = await call.backend.list_buckets(owner, prefix, after, limit)
        found += [bucket for bucket in met if region in ("", bucket.region or DEFAULT_REGION)]
        if len(met) < limit or len(found) >= limit:
            return found[:limit]
        after = met[-1].name


def _told(bucket: Bucket) -> dict[str, str | datetime]:
    return {"Name": bucket.name, "CreationDate": bucket.created, "BucketRegion": bucket.region or DEFAULT_REGION}


@operation("PUT", "bucket", needs=Needs.USER, loads_bucket=False)
async def create_bucket(call: Call) -> Response:
    """Make a bucket. Its owner may make it again, and it stays as it was, as in AWS's first region; but not with
    another ACL.
    """
    name, owner = call.request.address.bucket, call.identity.id
    check_bucket_name(name)
    acl = from_headers(call.headers, owner, owner, call.directory, of_bucket=True)
    asked_for = await call.optional_document("CreateBucketConfiguration")
    region = _requested_region(asked_for)
    configurations = {**_ownership_controls(call, acl), **_tagging(asked_for)}
    bucket = Bucket(
        id="",
        name=name,
        owner=owner,
        created=call.now,
        region=region,
        configurations=configurations,
        acl=acl,
    )
    try:
        await call.backend.create_bucket(bucket)
    except BucketAlreadyExists:
        existing = await call.backend.get_bucket(name)
        if existing.owner != owner or in_force(existing.acl, owner) != in_force(acl, owner):
            raise
    return Response(headers={"location": f"/{name}"})


def _ownership_controls(call: Call, acl: Grants | None) -> dict[str, Tree]:
    """What x-amz-object-ownership says, as a new bucket keeps it. Raises InvalidBucketAclWithObjectOwnership."""
    value = call.headers.get("x-amz-object-ownership")
    if value is None:
        return {}
    asked_for = ownership.from_header(value)
    ownership.check_bucket_acl(asked_for, acl, call.identity.id)
    return {ownership.SUBRESOURCE: ownership.to_document(asked_for)}


def _tagging(configuration: Tree) -> dict[str, Tree]:
    """The document's Tags, as a new bucket keeps them."""
    tags = tagging.bucket_tags(configuration, "Tags") if "Tags" in configuration else {}
    return {tagging.SUBRESOURCE: tagging.to_document(tags)} if tags else {}


def _requested_region(configuration: Tree) -> str:
    for element in ("Location", "Bucket"):
        if configuration.get(element):
            raise OperationNotImplemented(Element=element)
    region = text(configuration, "LocationConstraint") or ""
    if region and not _REGION.fullmatch(region):
        raise InvalidLocationConstraint(LocationConstraint=region)
    return "" if region == DEFAULT_REGION else region


@operation("HEAD", "bucket", action="s3:ListBucket", needs=Needs.LIST)
async def head_bucket(call: Call) -> Response:
    """Tell that the bucket is there, and where."""
    return Response(headers={"x-amz-bucket-region": call.bucket.region or DEFAULT_REGION})


@operation("GET", "bucket", "location")
async def get_bucket_location(call: Call) -> Response:
    """The region the bucket was made in; empty for the first, us-east-1."""
    return document("LocationConstraint", call.bucket.region)


@operation("DELETE", "bucket")
async def delete_bucket(call: Call) -> Response:
    """Delete an empty bucket; uploads in progress do not keep it."""
    await call.commit(call.backend.delete_bucket)
    return Response(204)
