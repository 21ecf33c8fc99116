"""The public access block over HTTP: what each of its switches refuses to set, and what it no longer lets in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pytest

from tests.api.asking import begin, complete, content, refusal, send
from tests.api.conftest import new_bucket
from tests.api.people import (
    ALL_USERS,
    ALT,
    AUTHENTICATED,
    MAIN,
    access,
    ask_as,
    grant,
    may,
    policy,
    statement,
)
from tests.servers import Server

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

DENIED: Final = (403, "AccessDenied")
SWITCHES: Final = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")


def block(main: S3Client, bucket: str, *switches: str) -> None:
    """Turn these switches on and the others off."""
    settings: Any = {switch: switch in switches for switch in SWITCHES}
    main.put_public_access_block(Bucket=bucket, PublicAccessBlockConfiguration=settings)


# The document


def test_it_comes_back_and_goes(main: S3Client, bucket_of_main: str) -> None:
    missing = (404, "NoSuchPublicAccessBlockConfiguration")
    assert refusal(main.get_public_access_block, Bucket=bucket_of_main) == missing
    for on in ([], ["BlockPublicAcls"], ["IgnorePublicAcls", "RestrictPublicBuckets"], SWITCHES):
        block(main, bucket_of_main, *on)
        settings: Any = main.get_public_access_block(Bucket=bucket_of_main)["PublicAccessBlockConfiguration"]
        assert settings == {switch: switch in on for switch in SWITCHES}
    for _ in range(2):
        deleted: Any = main.delete_public_access_block(Bucket=bucket_of_main)
        assert deleted["ResponseMetadata"]["HTTPStatusCode"] == 204
    assert refusal(main.get_public_access_block, Bucket=bucket_of_main) == missing


def test_switches_that_are_not_named_are_off(main: S3Client, bucket_of_main: str) -> None:
    main.put_public_access_block(Bucket=bucket_of_main, PublicAccessBlockConfiguration={"BlockPublicPolicy": True})
    settings: Any = main.get_public_access_block(Bucket=bucket_of_main)["PublicAccessBlockConfiguration"]
    assert settings == {switch: switch == "BlockPublicPolicy" for switch in SWITCHES}


@pytest.mark.parametrize(
    "inner", ["", "<BlockPublicAcl>true</BlockPublicAcl>", "<BlockPublicAcls>yes</BlockPublicAcls>"]
)
def test_a_wrong_document_changes_nothing(closed: Server, main: S3Client, bucket_of_main: str, inner: str) -> None:
    block(main, bucket_of_main, *SWITCHES)
    body = f"<PublicAccessBlockConfiguration>{inner}</PublicAccessBlockConfiguration>".encode()
    assert ask_as(closed, MAIN, "PUT", f"/{bucket_of_main}?publicAccessBlock", body=body).status == 400
    settings: Any = main.get_public_access_block(Bucket=bucket_of_main)["PublicAccessBlockConfiguration"]
    assert settings == dict.fromkeys(SWITCHES, True)


def test_a_policy_can_deny_even_the_owner_to_look(main: S3Client, bucket_of_main: str) -> None:
    deny = statement(bucket_of_main, "s3:GetBucketPublicAccessBlock", effect="Deny", key=None)
    main.put_bucket_policy(Bucket=bucket_of_main, Policy=policy(deny))
    assert refusal(main.get_public_access_block, Bucket=bucket_of_main) == DENIED
    block(main, bucket_of_main, "BlockPublicAcls")


# BlockPublicAcls

PUBLIC: Final[list[Any]] = [
    {"ACL": "public-read"},
    {"ACL": "public-read-write"},
    {"ACL": "authenticated-read"},
    {"GrantRead": f"uri={ALL_USERS}"},
    {"GrantReadACP": f"uri={AUTHENTICATED}"},
]
PRIVATE: Final[list[Any]] = [{}, {"ACL": "private"}, {"GrantRead": f"id={ALT.id}", "GrantFullControl": f"id={MAIN.id}"}]


def test_public_lists_are_not_set_where_they_are_blocked(main: S3Client, bucket_of_main: str) -> None:
    source: Any = {"Bucket": bucket_of_main, "Key": "key"}
    main.put_object(**source, Body=b"data")
    block(main, bucket_of_main, "BlockPublicAcls")
    at: Any = {"Bucket": bucket_of_main}
    for given in PUBLIC:
        assert refusal(main.put_bucket_acl, **at, **given) == DENIED
        assert refusal(main.put_object_acl, **source, **given) == DENIED
        assert refusal(main.put_object, **at, Key="new", **given) == DENIED
        assert refusal(main.create_multipart_upload, **at, Key="new", **given) == DENIED
        assert refusal(main.copy_object, **at, Key="new", CopySource=source, **given) == DENIED
    public = access(MAIN, grant(MAIN, "FULL_CONTROL"), grant(ALL_USERS, "READ"))
    assert refusal(main.put_bucket_acl, **at, AccessControlPolicy=public) == DENIED
    assert refusal(main.put_object_acl, **source, AccessControlPolicy=public) == DENIED
    for given in PRIVATE:
        main.put_object(**at, Key="private", **given)
        main.copy_object(**at, Key="private", CopySource=source, **given)
        if given:
            main.put_object_acl(**source, **given)
            main.put_bucket_acl(**at, **given)


def test_blocking_leaves_the_lists_that_are_there(main: S3Client, alt: S3Client, anyone: S3Client) -> None:
    bucket = new_bucket(main, ACL="public-read")
    main.put_object(Bucket=bucket, Key="key", Body=b"data", ACL="public-read")
    block(main, bucket, "BlockPublicAcls")
    for client in (alt, anyone):
        assert content(client, bucket, "key") == b"data"
        assert may(client.list_objects_v2, Bucket=bucket)


def test_an_upload_that_began_before_the_block_ends_as_it_began(
    main: S3Client, anyone: S3Client, bucket_of_main: str
) -> None:
    upload = begin(main, bucket_of_main, "key", ACL="public-read")
    parts = send(main, bucket_of_main, "key", upload, b"data")
    block(main, bucket_of_main, "BlockPublicAcls", "IgnorePublicAcls")
    complete(main, bucket_of_main, "key", upload, parts)
    assert not may(anyone.get_object, Bucket=bucket_of_main, Key="key")


# IgnorePublicAcls


def test_public_lists_may_be_set_and_count_for_nothing(
    main: S3Client, alt: S3Client, anyone: S3Client, bucket_of_main: str
) -> None:
    named: Any = {"Bucket": bucket_of_main, "Key": "key"}
    main.put_bucket_acl(Bucket=bucket_of_main, ACL="public-read-write")
    main.put_object(**named, Body=b"data", GrantRead=f"uri={AUTHENTICATED}", GrantFullControl=f"id={MAIN.id}")
    assert may(alt.list_objects_v2, Bucket=bucket_of_main)
    assert may(alt.get_object, **named)
    block(main, bucket_of_main, "IgnorePublicAcls")
    for client in (alt, anyone):
        assert not may(client.list_objects_v2, Bucket=bucket_of_main)
        assert not may(client.put_object, Bucket=bucket_of_main, Key="new")
        assert not may(client.get_object, **named)
    assert not main.get_bucket_policy_status(Bucket=bucket_of_main)["PolicyStatus"]["IsPublic"]
    main.put_object_acl(**named, ACL="public-read")
    assert not may(anyone.get_object, **named)
    main.put_object_acl(**named, GrantRead=f"id={ALT.id}", GrantFullControl=f"id={MAIN.id}")
    assert may(alt.get_object, **named), "a user's own grant is not public"
    main.put_object_acl(**named, ACL="public-read")
    main.delete_public_access_block(Bucket=bucket_of_main)
    assert may(anyone.get_object, **named)


# BlockPublicPolicy


def test_public_policies_are_not_set_where_they_are_blocked(main: S3Client, bucket_of_main: str) -> None:
    at: Any = {"Bucket": bucket_of_main}
    private = policy(statement(bucket_of_main, "s3:GetObject", to=ALT))
    main.put_bucket_policy(**at, Policy=private)
    block(main, bucket_of_main, "BlockPublicPolicy")
    public = policy(statement(bucket_of_main, "s3:GetObject"))
    assert refusal(main.put_bucket_policy, **at, Policy=public) == DENIED
    assert main.get_bucket_policy(**at)["Policy"] == private
    narrow = statement(bucket_of_main, "s3:GetObject", Condition={"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}})
    main.put_bucket_policy(**at, Policy=policy(narrow))
    main.put_bucket_policy(**at, Policy=private)
    main.put_bucket_acl(**at, ACL="public-read")


def test_blocking_leaves_the_policy_that_is_there(main: S3Client, anyone: S3Client, bucket_of_main: str) -> None:
    main.put_object(Bucket=bucket_of_main, Key="key", Body=b"data")
    main.put_bucket_policy(Bucket=bucket_of_main, Policy=policy(statement(bucket_of_main, "s3:GetObject")))
    block(main, bucket_of_main, "BlockPublicPolicy")
    assert content(anyone, bucket_of_main, "key") == b"data"


# RestrictPublicBuckets


def test_a_public_policy_under_restriction_serves_the_owner_alone(
    main: S3Client, alt: S3Client, anyone: S3Client, admin: S3Client, bucket_of_main: str
) -> None:
    named: Any = {"Bucket": bucket_of_main, "Key": "key"}
    main.put_object(**named, Body=b"data")
    main.put_object(Bucket=bucket_of_main, Key="granted", ACL="public-read")
    main.put_bucket_policy(
        Bucket=bucket_of_main,
        Policy=policy(statement(bucket_of_main, "s3:GetObject"), statement(bucket_of_main, "s3:PutObject", to=ALT)),
    )
    assert may(anyone.get_object, **named)
    block(main, bucket_of_main, "RestrictPublicBuckets")
    for client in (alt, anyone):
        assert not may(client.get_object, **named)
        assert not may(client.get_object, Bucket=bucket_of_main, Key="granted")
        assert not may(client.put_object, **named)
    for client in (main, admin):
        assert content(client, bucket_of_main, "key") == b"data"
    assert not main.get_bucket_policy_status(Bucket=bucket_of_main)["PolicyStatus"]["IsPublic"]


def test_restriction_leaves_a_policy_that_is_not_public(main: S3Client, alt: S3Client, bucket_of_main: str) -> None:
    main.put_object(Bucket=bucket_of_main, Key="key", Body=b"data")
    main.put_bucket_policy(Bucket=bucket_of_main, Policy=policy(statement(bucket_of_main, "s3:GetObject", to=ALT)))
    block(main, bucket_of_main, "RestrictPublicBuckets")
    assert content(alt, bucket_of_main, "key") == b"data"
    main.put_bucket_acl(Bucket=bucket_of_main, ACL="public-read")
    assert may(alt.list_objects_v2, Bucket=bucket_of_main)
