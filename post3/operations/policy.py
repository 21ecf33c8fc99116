"""Bucket policies: text that comes back byte for byte, and what it means for the public."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from post3.errors import AccessDenied, MalformedPolicy, NoSuchBucketPolicy
from post3.model import ownership, public_access
from post3.model.bucket import Bucket
from post3.model.grants import is_public as grants_publicly
from post3.model.policy import is_public, parse_policy
from post3.s3.call import Call
from post3.s3.message import Response, document
from post3.s3.router import operation

MAX_POLICY: Final = 20 * 1024
"""Bytes.
Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucket-policies.html"""


@operation("GET", "bucket", "policy")
async def get_bucket_policy(call: Call) -> Response:
    """The policy as it was put."""
    policy = call.bucket.policy
    if policy is None:
        raise NoSuchBucketPolicy(BucketName=call.bucket.name)
    return Response(headers={"content-type": "application/json"}, body=policy.encode())


@operation("PUT", "bucket", "policy")
async def put_bucket_policy(call: Call) -> Response:
    """Put a policy in place of the one there; in force for every request that begins after the answer."""
    try:
        text = (await call.whole_body(MAX_POLICY)).decode()
    except UnicodeDecodeError:
        raise MalformedPolicy("Policies must be valid JSON in UTF-8.") from None
    policy = parse_policy(text, call.bucket.name)

    def change(bucket: Bucket) -> Bucket:
        if public_access.of_bucket(bucket).block_public_policy and is_public(policy):
            raise AccessDenied("Public policies are blocked by the bucket's BlockPublicPolicy setting.")
        return replace(bucket, configurations={**bucket.configurations, "policy": {"Text": text}})

    await call.update_bucket(change)
    return Response(204)


@operation("DELETE", "bucket", "policy")
async def delete_bucket_policy(call: Call) -> Response:
    """Delete the policy; there may be none."""

    def change(bucket: Bucket) -> Bucket:
        others = {name: tree for name, tree in bucket.configurations.items() if name != "policy"}
        return replace(bucket, configurations=others)

    await call.update_bucket(change)
    return Response(204)


@operation("GET", "bucket", "policyStatus")
async def get_bucket_policy_status(call: Call) -> Response:
    """Whether policy or ACL make the bucket public, as far as its block of public access lets them."""
    bucket, block = call.bucket, public_access.of_bucket(call.bucket)
    by_policy = (
        bucket.policy is not None
        and not block.restrict_public_buckets
        and is_public(parse_policy(bucket.policy, bucket.name))
    )
    by_acl = (
        bucket.acl is not None
        and not ownership.ignores_acls(bucket)
        and not block.ignore_public_acls
        and grants_publicly(bucket.acl)
    )
    return document("PolicyStatus", {"IsPublic": by_policy or by_acl})
