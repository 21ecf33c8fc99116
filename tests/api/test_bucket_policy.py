"""Bucket policies over HTTP: their text, what they allow and deny whom, and from when on."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

from tests.api.asking import PART, ask, begin, complete, content, error_of, refusal, send, set_versioning
from tests.api.conftest import flags_of, new_bucket
from tests.api.people import (
    ALL_USERS,
    ALT,
    AUTHENTICATED,
    MAIN,
    ROOT_KEY,
    THIRD,
    ask_as,
    client_of,
    may,
    policy,
    statement,
    told,
    users_document,
)
from tests.servers import Server, post3_serve

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

DENIED: Final = (403, "AccessDenied")


# The text


def test_the_text_comes_back_byte_for_byte(closed: Server, main: S3Client, bucket_of_main: str) -> None:
    text = ' {"Statement":\n[' + json.dumps(statement(bucket_of_main, "s3:GetObject", Sid="é 漢")) + "],\t"
    text += '"Id": "\N{GRINNING FACE}",   "Version":"2008-10-17" } \r\n'
    answer = ask_as(closed, MAIN, "PUT", f"/{bucket_of_main}?policy", body=text.encode())
    assert (answer.status, answer.body) == (204, b"")
    answer = ask_as(closed, MAIN, "GET", f"/{bucket_of_main}?policy")
    assert (answer.status, answer.body) == (200, text.encode())
    assert answer.headers["content-type"] == "application/json"
    assert main.get_bucket_policy(Bucket=bucket_of_main)["Policy"] == text


def test_without_a_policy_there_is_none(main: S3Client, bucket_of_main: str) -> None:
    assert refusal(main.get_bucket_policy, Bucket=bucket_of_main) == (404, "NoSuchBucketPolicy")
    for _ in range(2):
        deleted: Any = main.delete_bucket_policy(Bucket=bucket_of_main)
        assert deleted["ResponseMetadata"]["HTTPStatusCode"] == 204
    main.put_bucket_policy(Bucket=bucket_of_main, Policy=policy(statement(bucket_of_main, "s3:GetObject")))
    main.delete_bucket_policy(Bucket=bucket_of_main)
    assert refusal(main.get_bucket_policy, Bucket=bucket_of_main) == (404, "NoSuchBucketPolicy")


def test_what_is_no_policy_leaves_the_old_one(closed: Server, main: S3Client, bucket_of_main: str) -> None:
    old = policy(statement(bucket_of_main, "s3:GetObject"))
    main.put_bucket_policy(Bucket=bucket_of_main, Policy=old)
    for wrong in (
        "{}",
        "[]",
        "policy",
        policy(),
        policy({"Effect": "Allow"}),
        policy(statement("another-bucket", "s3:GetObject")),
        policy(statement(bucket_of_main, "ec2:Run")),
        policy(statement(bucket_of_main, "s3:GetObject", Condition={"StringEqual": {"aws:Referer": "x"}})),
        policy({**statement(bucket_of_main, "s3:GetObject"), "NotPrincipal": "*"}),
        '{"Version": "2012-10-17", "Version": "2012-10-17"}',
    ):
        assert refusal(main.put_bucket_policy, Bucket=bucket_of_main, Policy=wrong) == (400, "MalformedPolicy"), wrong
    not_utf8 = ask_as(closed, MAIN, "PUT", f"/{bucket_of_main}?policy", body=old.encode() + b"\xff")
    assert (not_utf8.status, not_utf8.code) == (400, "MalformedPolicy")
    assert ask_as(closed, MAIN, "PUT", f"/{bucket_of_main}?policy").status == 400
    assert ask_as(closed, MAIN, "PUT", f"/{bucket_of_main}?policy", body=b" " * 20_481).status == 400
    assert main.get_bucket_policy(Bucket=bucket_of_main)["Policy"] == old


def test_the_largest_policy_fits(main: S3Client, bucket_of_main: str) -> None:
    text = policy(statement(bucket_of_main, "s3:GetObject"))
    text += " " * (20 * 1024 - len(text))
    main.put_bucket_policy(Bucket=bucket_of_main, Policy=text)
    assert main.get_bucket_policy(Bucket=bucket_of_main)["Policy"] == text


def test_the_status_tells_whether_the_public_gets_anything(main: S3Client, bucket_of_main: str) -> None:
    def is_public() -> bool:
        return main.get_bucket_policy_status(Bucket=bucket_of_main)["PolicyStatus"]["IsPublic"]

    assert not is_public()
    for statement_, public in (
        (statement(bucket_of_main, "s3:GetObject"), True),
        (statement(bucket_of_main, "s3:GetObject", to=ALT), False),
        (statement(bucket_of_main, "s3:GetObject", effect="Deny"), False),
        (
            statement(bucket_of_main, "s3:GetObject", Condition={"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}),
            False,
        ),
        (statement(bucket_of_main, "s3:GetObject", Condition={"IpAddress": {"aws:SourceIp": "0.0.0.0/0"}}), True),
        (statement(bucket_of_main, "s3:GetObject", Condition={"StringLike": {"aws:Referer": "me"}}), True),
    ):
        main.put_bucket_policy(Bucket=bucket_of_main, Policy=policy(statement_))
        assert is_public() == public, statement_
    main.delete_bucket_policy(Bucket=bucket_of_main)
    assert not is_public()
    for group in (ALL_USERS, AUTHENTICATED):
        main.put_bucket_acl(Bucket=bucket_of_main, GrantReadACP=f"uri={group}", GrantFullControl=f"id={MAIN.id}")
        assert is_public()


# Whom and what


def test_whom_a_policy_names_is_let_in(
    main: S3Client, alt: S3Client, third: S3Client, anyone: S3Client, bucket_of_main: str
) -> None:
    main.put_object(Bucket=bucket_of_main, Key="key", Body=b"data")
    named: Any = {"Bucket": bucket_of_main, "Key": "key"}
    everybody = {"alt": alt, "third": third, "anyone": anyone}
    for principal, lets_in in (
        ("*", {"alt", "third", "anyone"}),
        ({"AWS": "*"}, {"alt", "third", "anyone"}),
        ({"AWS": f"arn:aws:iam:::user/{ALT.id}"}, {"alt"}),
        ({"AWS": ALT.id}, {"alt"}),
        ({"CanonicalUser": [ALT.id, THIRD.id]}, {"alt", "third"}),
        ({"AWS": ["arn:aws:iam::123456789012:root", f"arn:aws:iam::123456789012:user/{THIRD.id}"]}, {"third"}),
    ):
        allowed = {**statement(bucket_of_main, "s3:GetObject"), "Principal": principal}
        main.put_bucket_policy(Bucket=bucket_of_main, Policy=policy(allowed))
        assert {name for name, client in everybody.items() if may(client.get_object, **named)} == lets_in, principal
        for client in everybody.values():
            assert not may(client.put_object, **named)
            assert not may(client.list_objects_v2, Bucket=bucket_of_main)


def test_a_denial_outweighs_everything_but_administrators(
    main: S3Client, alt: S3Client, admin: S3Client, root: S3Client, bucket_of_main: str
) -> None:
    named: Any = {"Bucket": bucket_of_main, "Key": "key"}
    main.put_object(**named, Body=b"data", ACL="public-read")
    main.put_bucket_policy(
        Bucket=bucket_of_main,
        Policy=policy(
            statement(bucket_of_main, "s3:*"),
            statement(bucket_of_main, ["s3:GetObject", "s3:PutObject"], effect="Deny"),
        ),
    )
    for client in (main, alt):
        assert not may(client.get_object, **named)
        assert not may(client.put_object, **named)
        assert may(client.get_object_acl, **named)
    for client in (admin, root):
        assert content(client, bucket_of_main, "key") == b"data"


def test_a_denial_for_others_leaves_whom_it_names(main: S3Client, alt: S3Client, third: S3Client) -> None:
    bucket = new_bucket(main)
    main.put_object(Bucket=bucket, Key="key", ACL="public-read")
    deny = {**statement(bucket, "s3:GetObject", effect="Deny"), "NotPrincipal": {"AWS": [MAIN.id, ALT.id]}}
    del deny["Principal"]
    main.put_bucket_policy(Bucket=bucket, Policy=policy(deny))
    assert may(main.get_object, Bucket=bucket, Key="key")
    assert may(alt.get_object, Bucket=bucket, Key="key")
    assert not may(third.get_object, Bucket=bucket, Key="key")


def test_owners_can_always_mend_the_policy_itself(main: S3Client, alt: S3Client, bucket_of_main: str) -> None:
    locked = policy(
        statement(bucket_of_main, "*", effect="Deny", key=None), statement(bucket_of_main, "*", effect="Deny")
    )
    main.put_bucket_policy(Bucket=bucket_of_main, Policy=locked)
    assert not may(main.list_objects_v2, Bucket=bucket_of_main)
    assert not may(main.put_object, Bucket=bucket_of_main, Key="key")
    assert not may(main.put_bucket_acl, Bucket=bucket_of_main, ACL="private")
    assert not may(main.get_bucket_policy_status, Bucket=bucket_of_main)
    assert not may(main.delete_bucket, Bucket=bucket_of_main)
    assert not may(alt.get_bucket_policy, Bucket=bucket_of_main)
    assert not may(alt.delete_bucket_policy, Bucket=bucket_of_main)
    assert main.get_bucket_policy(Bucket=bucket_of_main)["Policy"] == locked
    main.put_bucket_policy(Bucket=bucket_of_main, Policy=locked)
    main.delete_bucket_policy(Bucket=bucket_of_main)
    assert may(main.list_objects_v2, Bucket=bucket_of_main)


def test_rights_on_the_policy_can_be_given(main: S3Client, alt: S3Client, bucket_of_main: str) -> None:
    text = policy(statement(bucket_of_main, ["s3:GetBucketPolicy", "s3:PutBucketPolicy"], to=ALT, key=None))
    main.put_bucket_policy(Bucket=bucket_of_main, Policy=text)
    assert alt.get_bucket_policy(Bucket=bucket_of_main)["Policy"] == text
    alt.put_bucket_policy(Bucket=bucket_of_main, Policy=text)
    assert not may(alt.delete_bucket_policy, Bucket=bucket_of_main)


def test_each_action_is_given_alone(main: S3Client, alt: S3Client, bucket_of_main: str) -> None:
    named: Any = {"Bucket": bucket_of_main, "Key": "key"}
    at: Any = {"Bucket": bucket_of_main}
    main.put_object(**named, Body=b"data")
    upload = begin(main, bucket_of_main, "up")
    of_upload: Any = {"Bucket": bucket_of_main, "Key": "up", "UploadId": upload}
    calls: dict[str, tuple[Any, Any]] = {
        "s3:GetObject": (alt.get_object, named),
        "s3:GetObjectAcl": (alt.get_object_acl, named),
        "s3:PutObjectAcl": (alt.put_object_acl, {**named, "ACL": "private"}),
        "s3:PutObject": (alt.put_object, {**at, "Key": "other"}),
        "s3:ListMultipartUploadParts": (alt.list_parts, of_upload),
        "s3:ListBucket": (alt.list_objects_v2, at),
        "s3:ListBucketVersions": (alt.list_object_versions, at),
        "s3:ListBucketMultipartUploads": (alt.list_multipart_uploads, at),
        "s3:GetBucketAcl": (alt.get_bucket_acl, at),
        "s3:PutBucketAcl": (alt.put_bucket_acl, {**at, "ACL": "private"}),
        "s3:GetBucketVersioning": (alt.get_bucket_versioning, at),
        "s3:GetBucketLocation": (alt.get_bucket_location, at),
        "s3:GetBucketPolicyStatus": (alt.get_bucket_policy_status, at),
        "s3:PutBucketPublicAccessBlock": (alt.delete_public_access_block, at),
        "s3:PutBucketOwnershipControls": (alt.delete_bucket_ownership_controls, at),
        "s3:AbortMultipartUpload": (alt.abort_multipart_upload, of_upload),
        "s3:DeleteObject": (alt.delete_object, {**at, "Key": "other"}),
    }
    for action in calls:
        main.put_bucket_policy(
            Bucket=bucket_of_main,
            Policy=policy(
                statement(bucket_of_main, action, to=ALT), statement(bucket_of_main, action, to=ALT, key=None)
            ),
        )
        allowed = {name for name, (call, parameters) in calls.items() if may(call, **parameters)}
        assert allowed == {action}


def test_attributes_need_the_right_to_read_too(main: S3Client, alt: S3Client, bucket_of_main: str) -> None:
    named: Any = {"Bucket": bucket_of_main, "Key": "key"}
    main.put_object(**named)
    for actions, allowed in ((["s3:GetObjectAttributes"], False), (["s3:GetObject"], False), (["s3:GetObject*"], True)):
        main.put_bucket_policy(Bucket=bucket_of_main, Policy=policy(statement(bucket_of_main, actions, to=ALT)))
        assert may(alt.get_object_attributes, **named, ObjectAttributes=["ETag"]) == allowed


def test_resources_are_keys_and_patterns(main: S3Client, alt: S3Client, bucket_of_main: str) -> None:
    text = policy(
        statement(bucket_of_main, "s3:PutObject", to=ALT, key="home/${aws:username}/*"),
        statement(bucket_of_main, "s3:PutObject", to=ALT, key="ph?to"),
        statement(bucket_of_main, "s3:PutObject", to=ALT, key="home/*/locked", effect="Deny"),
    )
    main.put_bucket_policy(Bucket=bucket_of_main, Policy=text)
    for key, allowed in (
        (f"home/{ALT.id}/a", True),
        (f"home/{ALT.id}/é/ü b", True),
        (f"home/{ALT.id}/locked", False),
        (f"home/{THIRD.id}/a", False),
        ("home/a", False),
        ("photo", True),
        ("phto", False),
        ("photos", False),
    ):
        assert may(alt.put_object, Bucket=bucket_of_main, Key=key) == allowed, key


# Conditions


def lets(main: S3Client, bucket: str, conditions: Any, action: str = "s3:GetObject", **more: Any) -> None:
    """Put a policy that allows somebody something under conditions."""
    main.put_bucket_policy(Bucket=bucket, Policy=policy(statement(bucket, action, Condition=conditions, **more)))


@pytest.mark.parametrize(
    ("conditions", "headers", "allowed"),
    [
        ({"IpAddress": {"aws:SourceIp": "127.0.0.0/8"}}, {}, True),
        ({"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}, {}, False),
        ({"NotIpAddress": {"aws:SourceIp": ["127.0.0.1"]}}, {}, False),
        ({"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}, {"x-forwarded-for": "10.1.2.3"}, False),
        ({"Bool": {"aws:SecureTransport": "true"}}, {}, False),
        ({"Bool": {"aws:SecureTransport": "true"}}, {"x-forwarded-proto": "https"}, False),
        ({"Bool": {"aws:SecureTransport": False}}, {}, True),
        ({"StringLike": {"aws:Referer": "http://www.example.com/*"}}, {"referer": "http://www.example.com/a"}, True),
        ({"StringLike": {"aws:Referer": "http://www.example.com/*"}}, {"referer": "http://example.com/a"}, False),
        ({"StringLike": {"aws:Referer": "http://www.example.com/*"}}, {}, False),
        ({"Null": {"aws:Referer": True}}, {}, True),
        ({"StringEquals": {"aws:UserAgent": "me"}}, {"user-agent": "me"}, True),
        ({"StringEquals": {"aws:PrincipalType": "Anonymous"}}, {}, True),
        ({"Null": {"aws:userid": "false"}}, {}, False),
        ({"DateGreaterThan": {"aws:CurrentTime": "2020-01-01T00:00:00Z"}}, {}, True),
        ({"DateGreaterThan": {"aws:CurrentTime": "2999-01-01T00:00:00Z"}}, {}, False),
        ({"StringEquals": {"s3:VersionId": "null"}}, {}, False),
    ],
)
def test_conditions_on_where_a_request_comes_from(
    closed: Server,
    main: S3Client,
    bucket_of_main: str,
    conditions: Any,
    headers: dict[str, str],
    allowed: bool,
) -> None:
    main.put_object(Bucket=bucket_of_main, Key="key")
    lets(main, bucket_of_main, conditions)
    assert ask(closed, "GET", f"/{bucket_of_main}/key", headers).status == (200 if allowed else 403)


def test_conditions_on_how_it_is_signed(main: S3Client, alt: S3Client, closed: Server, bucket_of_main: str) -> None:
    main.put_object(Bucket=bucket_of_main, Key="key")
    link = alt.generate_presigned_url("get_object", {"Bucket": bucket_of_main, "Key": "key"}).removeprefix(closed.url)
    for conditions, header, query in (
        ({"StringEquals": {"s3:authType": "REST-QUERY-STRING"}}, 403, 200),
        ({"StringEquals": {"s3:authType": "REST-HEADER"}}, 200, 403),
        ({"StringEquals": {"s3:signatureversion": "AWS4-HMAC-SHA256"}}, 200, 403),
        ({"StringEquals": {"s3:signatureversion": "AWS"}}, 403, 200),
        ({"NumericLessThan": {"s3:signatureAge": 600_000}}, 200, 403),
        ({"StringEquals": {"aws:username": ALT.id}}, 200, 200),
    ):
        lets(main, bucket_of_main, conditions)
        assert ask_as(closed, ALT, "GET", f"/{bucket_of_main}/key").status == header, conditions
        assert ask(closed, "GET", link).status == query, conditions


def test_conditions_on_prefix_and_delimiter(main: S3Client, alt: S3Client, bucket_of_main: str) -> None:
    main.put_object(Bucket=bucket_of_main, Key="home/alt/key")
    conditions = {
        "StringLike": {"s3:prefix": "home/alt/*"},
        "StringEqualsIfExists": {"s3:delimiter": "/"},
        "NumericLessThanEqualsIfExists": {"s3:max-keys": "10"},
    }
    lets(main, bucket_of_main, conditions, "s3:ListBucket", to=ALT, key=None)
    for call in (alt.list_objects, alt.list_objects_v2):
        for parameters, allowed in (
            ({"Prefix": "home/alt/"}, True),
            ({"Prefix": "home/alt/", "Delimiter": "/", "MaxKeys": 10}, True),
            ({"Prefix": "home/alt/", "Delimiter": "-"}, False),
            ({"Prefix": "home/alt/", "MaxKeys": 11}, False),
            ({"Prefix": "home/"}, False),
            ({}, False),
        ):
            assert may(call, Bucket=bucket_of_main, **parameters) == allowed, parameters


def test_conditions_on_the_list_that_a_put_gives(main: S3Client, alt: S3Client, bucket_of_main: str) -> None:
    main.put_bucket_policy(
        Bucket=bucket_of_main,
        Policy=policy(
            statement(bucket_of_main, "s3:PutObject", to=ALT),
            statement(
                bucket_of_main, "s3:PutObject", effect="Deny", Condition={"StringLike": {"s3:x-amz-acl": "public*"}}
            ),
            statement(
                bucket_of_main, "s3:PutObject", effect="Deny", Condition={"Null": {"s3:x-amz-grant-read": False}}
            ),
        ),
    )
    named: Any = {"Bucket": bucket_of_main, "Key": "key"}
    main.put_object(**named)
    for call, more in (
        (alt.put_object, {}),
        (alt.create_multipart_upload, {}),
        (alt.copy_object, {"CopySource": named, "MetadataDirective": "REPLACE"}),
    ):
        assert may(call, **{**named, **more})
        assert may(call, **{**named, **more, "ACL": "bucket-owner-full-control"})
        assert not may(call, **{**named, **more, "ACL": "public-read"})
        assert not may(call, **{**named, **more, "GrantRead": f"id={THIRD.id}"})


def test_a_policy_can_ask_that_the_owner_gets_everything(main: S3Client, alt: S3Client, bucket_of_main: str) -> None:
    owner = f"id={MAIN.id}"
    conditions = {"StringEquals": {"s3:x-amz-grant-full-control": owner}}
    lets(main, bucket_of_main, conditions, "s3:PutObject", to=ALT)
    assert not may(alt.put_object, Bucket=bucket_of_main, Key="key")
    alt.put_object(Bucket=bucket_of_main, Key="key", Body=b"data", GrantFullControl=owner)
    assert content(main, bucket_of_main, "key") == b"data"
    assert told(main.get_object_acl(Bucket=bucket_of_main, Key="key")) == [(MAIN.id, "FULL_CONTROL")]


def test_a_policy_can_ask_that_nothing_is_overwritten(main: S3Client, alt: S3Client, bucket_of_main: str) -> None:
    """As https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes-enforce.html shows it."""
    main.put_bucket_policy(
        Bucket=bucket_of_main,
        Policy=policy(
            statement(bucket_of_main, "s3:PutObject", to=ALT, Condition={"Null": {"s3:if-none-match": "false"}}),
            statement(
                bucket_of_main, "s3:PutObject", to=ALT, Condition={"Bool": {"s3:ObjectCreationOperation": "false"}}
            ),
        ),
    )
    named: Any = {"Bucket": bucket_of_main, "Key": "key"}
    assert not may(alt.put_object, **named)
    assert not may(alt.put_object, **named, IfMatch="*")
    alt.put_object(**named, IfNoneMatch="*")
    assert refusal(alt.put_object, **named, IfNoneMatch="*") == (412, "PreconditionFailed")
    upload = begin(alt, bucket_of_main, "parts")
    parts: Any = send(alt, bucket_of_main, "parts", upload, b"part")
    of_upload: Any = {"Bucket": bucket_of_main, "Key": "parts", "UploadId": upload, "MultipartUpload": {"Parts": parts}}
    assert not may(alt.complete_multipart_upload, **of_upload)
    alt.complete_multipart_upload(**of_upload, IfNoneMatch="*")


# Versions


def test_versions_have_actions_of_their_own(main: S3Client, alt: S3Client, bucket_of_main: str) -> None:
    set_versioning(main, bucket_of_main, "Enabled")
    named: Any = {"Bucket": bucket_of_main, "Key": "key"}
    first = main.put_object(**named, Body=b"first")["VersionId"]
    main.put_object(**named, Body=b"second")
    for action, call, more in (
        ("s3:GetObject", alt.get_object, {}),
        ("s3:GetObject", alt.head_object, {}),
        ("s3:GetObjectAcl", alt.get_object_acl, {}),
        ("s3:PutObjectAcl", alt.put_object_acl, {"ACL": "private"}),
        ("s3:DeleteObject", alt.delete_object, {}),
    ):
        of_version = action.replace("Object", "ObjectVersion")
        for allowed in (action, of_version):
            main.put_bucket_policy(Bucket=bucket_of_main, Policy=policy(statement(bucket_of_main, allowed, to=ALT)))
            if allowed == of_version or call != alt.delete_object:
                assert may(call, **named, **more) == (allowed == action), (allowed, call)
            if allowed == action or call != alt.delete_object:
                assert may(call, **named, **more, VersionId=first) == (allowed == of_version), (allowed, call)
    alt.delete_object(**named, VersionId=first)
    assert len(main.list_object_versions(Bucket=bucket_of_main)["Versions"]) == 1


def test_conditions_on_the_version(main: S3Client, alt: S3Client, bucket_of_main: str) -> None:
    set_versioning(main, bucket_of_main, "Enabled")
    named: Any = {"Bucket": bucket_of_main, "Key": "key"}
    first = main.put_object(**named, Body=b"first")["VersionId"]
    second = main.put_object(**named, Body=b"second")["VersionId"]
    own = new_bucket(alt)
    keeps_first = statement(
        bucket_of_main, "s3:*", effect="Deny", to=ALT, Condition={"StringEquals": {"s3:VersionId": first}}
    )
    main.put_bucket_policy(Bucket=bucket_of_main, Policy=policy(statement(bucket_of_main, "s3:*", to=ALT), keeps_first))
    assert may(alt.get_object, **named)
    assert may(alt.get_object, **named, VersionId=second)
    assert not may(alt.get_object, **named, VersionId=first)
    assert may(alt.copy_object, Bucket=own, Key="copy", CopySource={**named, "VersionId": second})
    assert not may(alt.copy_object, Bucket=own, Key="copy", CopySource={**named, "VersionId": first})
    assert not may(alt.delete_object, **named, VersionId=first)
    batch: Any = {"Objects": [{"Key": "key", "VersionId": first}, {"Key": "key", "VersionId": second}]}
    deleted = alt.delete_objects(Bucket=bucket_of_main, Delete=batch)
    assert [one["VersionId"] for one in deleted["Deleted"]] == [second]
    assert [(one["VersionId"], one["Code"]) for one in deleted["Errors"]] == [(first, "AccessDenied")]


# Several keys, and two buckets


def test_each_key_of_a_batch_is_judged_alone(
    main: S3Client, alt: S3Client, anyone: S3Client, bucket_of_main: str
) -> None:
    keys = ["open/a", "open/b", "open/locked", "shut/a", "open/absent"]
    for key in keys[:-1]:
        main.put_object(Bucket=bucket_of_main, Key=key)
    text = policy(
        statement(bucket_of_main, "s3:DeleteObject", to=ALT, key="open/*"),
        statement(bucket_of_main, "s3:DeleteObject", key="*/locked", effect="Deny"),
    )
    main.put_bucket_policy(Bucket=bucket_of_main, Policy=text)
    batch: Any = {"Objects": [{"Key": key} for key in keys]}
    answer = anyone.delete_objects(Bucket=bucket_of_main, Delete=batch)
    assert [(one["Key"], one["Code"]) for one in answer["Errors"]] == [(key, "AccessDenied") for key in keys]
    answer = alt.delete_objects(Bucket=bucket_of_main, Delete=batch)
    assert [one["Key"] for one in answer["Deleted"]] == ["open/a", "open/b", "open/absent"]
    assert [(one["Key"], one["Code"]) for one in answer["Errors"]] == [
        ("open/locked", "AccessDenied"),
        ("shut/a", "AccessDenied"),
    ]
    batch["Quiet"] = True
    quiet: Any = alt.delete_objects(Bucket=bucket_of_main, Delete=batch)
    assert "Deleted" not in quiet
    assert len(quiet["Errors"]) == 2
    left = [one["Key"] for one in main.list_objects_v2(Bucket=bucket_of_main)["Contents"]]
    assert left == ["open/locked", "shut/a"]


def test_a_copy_needs_both_sides(main: S3Client, alt: S3Client) -> None:
    source, target = new_bucket(main), new_bucket(main)
    main.put_object(Bucket=source, Key="key", Body=PART)
    upload = begin(main, target, "up")
    copy: Any = {"Bucket": target, "Key": "copy", "CopySource": {"Bucket": source, "Key": "key"}}
    part: Any = {**copy, "Key": "up", "UploadId": upload, "PartNumber": 1}
    reads = policy(statement(source, "s3:GetObject", to=ALT))
    writes = policy(statement(target, "s3:PutObject", to=ALT))
    for on_source, on_target, allowed in (
        (None, None, False),
        (reads, None, False),
        (None, writes, False),
        (reads, writes, True),
        (policy(statement(source, "s3:GetObjectVersion", to=ALT)), writes, False),
    ):
        for bucket, text in ((source, on_source), (target, on_target)):
            if text is None:
                main.delete_bucket_policy(Bucket=bucket)
            else:
                main.put_bucket_policy(Bucket=bucket, Policy=text)
        assert may(alt.copy_object, **copy) == allowed
        assert may(alt.upload_part_copy, **part) == allowed
    assert main.list_objects_v2(Bucket=target)["KeyCount"] == 1


@pytest.mark.parametrize("spelling", ["{}/open/key", "/{}/open/key", "{}%2Fopen/ke%79", "/{}/open/key?versionId=null"])
def test_conditions_on_the_source_of_a_copy(closed: Server, main: S3Client, bucket_of_main: str, spelling: str) -> None:
    """However the source is written: what a condition names is what is read."""
    source = new_bucket(main)
    for key in ("open/key", "shut/key"):
        main.put_object(Bucket=source, Key=key)
    main.put_bucket_policy(Bucket=source, Policy=policy(statement(source, "s3:GetObject*", to=ALT)))
    conditions = {"StringLike": {"s3:x-amz-copy-source": f"{source}/open/*"}}
    lets(main, bucket_of_main, conditions, "s3:PutObject", to=ALT)
    named = spelling.format(source)
    for value, status in ((named, 200), (named.replace("open", "shut"), 403)):
        headers = {"x-amz-copy-source": value}
        assert ask_as(closed, ALT, "PUT", f"/{bucket_of_main}/copy", headers).status == status, value
    lets(main, bucket_of_main, {"Null": {"s3:x-amz-copy-source": True}}, "s3:PutObject", to=ALT)
    assert ask_as(closed, ALT, "PUT", f"/{bucket_of_main}/copy", {"x-amz-copy-source": named}).status == 403
    assert ask_as(closed, ALT, "PUT", f"/{bucket_of_main}/put", body=b"data").status == 200


def test_conditions_on_the_directive_of_a_copy(main: S3Client, alt: S3Client, bucket_of_main: str) -> None:
    own = new_bucket(alt)
    alt.put_object(Bucket=own, Key="key")
    lets(main, bucket_of_main, {"StringEquals": {"s3:x-amz-metadata-directive": "COPY"}}, "s3:PutObject", to=ALT)
    copy: Any = {"Bucket": bucket_of_main, "Key": "copy", "CopySource": {"Bucket": own, "Key": "key"}}
    assert not may(alt.copy_object, **copy)
    assert not may(alt.copy_object, **copy, MetadataDirective="REPLACE")
    assert may(alt.copy_object, **copy, MetadataDirective="COPY")


def test_a_denial_comes_before_what_is_wrong_with_the_encryption(
    closed: Server, main: S3Client, bucket_of_main: str
) -> None:
    """s3-tests: test_bucket_policy_put_obj_enc. Whoever may not put so is told nothing of what would be right."""
    header = "x-amz-server-side-encryption"
    conditions = {"StringNotEquals": {f"s3:{header}": "AES256"}}
    allowed = statement(bucket_of_main, "s3:PutObject", to=ALT)
    denied = statement(bucket_of_main, "s3:PutObject", effect="Deny", Condition=conditions)
    for statements, code in (((allowed, denied), "AccessDenied"), ((allowed,), "InvalidArgument")):
        main.put_bucket_policy(Bucket=bucket_of_main, Policy=policy(*statements))
        answer = ask_as(closed, ALT, "PUT", f"/{bucket_of_main}/key", {header: "AES192"}, b"data")
        assert (answer.status, answer.code) == (403 if code == "AccessDenied" else 400, code)


def test_uploads_need_the_right_to_put_at_each_step(main: S3Client, alt: S3Client, bucket_of_main: str) -> None:
    lets(main, bucket_of_main, {}, "s3:PutObject", to=ALT, key="open/*")
    assert not may(alt.create_multipart_upload, Bucket=bucket_of_main, Key="shut/key")
    upload = begin(alt, bucket_of_main, "open/key")
    named: Any = {"Bucket": bucket_of_main, "Key": "open/key", "UploadId": upload}
    parts = send(alt, bucket_of_main, "open/key", upload, b"part")
    lets(main, bucket_of_main, {}, "s3:GetObject", to=ALT)
    assert not may(alt.upload_part, **named, PartNumber=2, Body=b"part")
    assert not may(alt.complete_multipart_upload, **named, MultipartUpload={"Parts": parts})
    lets(main, bucket_of_main, {}, "s3:PutObject", to=ALT)
    complete(alt, bucket_of_main, "open/key", upload, parts)
    assert content(alt, bucket_of_main, "open/key") == b"part"


# What others own


def test_a_policy_does_not_give_away_what_others_own(
    main: S3Client, alt: S3Client, third: S3Client, bucket_of_main: str
) -> None:
    main.put_bucket_policy(Bucket=bucket_of_main, Policy=policy(statement(bucket_of_main, "s3:*")))
    alt.put_object(Bucket=bucket_of_main, Key="alt")
    main.put_object(Bucket=bucket_of_main, Key="main")
    for client in (main, third):
        assert may(client.get_object, Bucket=bucket_of_main, Key="main")
        assert not may(client.get_object, Bucket=bucket_of_main, Key="alt")
        assert not may(client.put_object_acl, Bucket=bucket_of_main, Key="alt", ACL="public-read")
    main.put_bucket_policy(
        Bucket=bucket_of_main, Policy=policy(statement(bucket_of_main, "s3:GetObject", effect="Deny"))
    )
    assert not may(alt.get_object, Bucket=bucket_of_main, Key="alt"), "a denial holds for the owner of an object too"


# What is absent


def test_an_absent_key_is_told_to_whom_may_list_it(
    closed: Server, main: S3Client, alt: S3Client, bucket_of_main: str
) -> None:
    conditions = {"StringLike": {"s3:prefix": "public/*"}}
    lets(main, bucket_of_main, conditions, "s3:ListBucket", key=None)
    own = new_bucket(alt)
    for key, status in (("public/absent", 404), ("private/absent", 403)):
        code = {404: "NoSuchKey", 403: "AccessDenied"}[status]
        named: Any = {"Bucket": bucket_of_main, "Key": key}
        assert refusal(alt.get_object, **named) == (status, code)
        assert refusal(alt.head_object, **named)[0] == status
        assert refusal(alt.get_object_acl, **named) == (status, code)
        assert refusal(alt.put_object_acl, **named, ACL="private") == (status, code)
        assert refusal(alt.get_object_attributes, **named, ObjectAttributes=["ETag"]) == (status, code)
        assert refusal(alt.copy_object, Bucket=own, Key="copy", CopySource=named) == (status, code)
        assert ask(closed, "GET", f"/{bucket_of_main}/{key}?prefix=public/x").status == status
        assert ask(closed, "GET", f"/{bucket_of_main}/{key}?prefix=private/x").status == status


# From when on


def test_a_change_holds_from_the_next_request_on(
    main: S3Client, alt: S3Client, anyone: S3Client, bucket_of_main: str
) -> None:
    named: Any = {"Bucket": bucket_of_main, "Key": "key"}
    main.put_object(**named)
    for _ in range(5):
        lets(main, bucket_of_main, {}, "s3:*Object")
        for client in (alt, anyone):
            assert may(client.get_object, **named)
            assert may(client.put_object, Bucket=bucket_of_main, Key="new")
        main.delete_bucket_policy(Bucket=bucket_of_main)
        for client in (alt, anyone):
            assert not may(client.get_object, **named)
            assert not may(client.put_object, Bucket=bucket_of_main, Key="new")
        main.put_object_acl(**named, ACL="public-read")
        assert may(anyone.get_object, **named)
        main.put_object_acl(**named, ACL="private")
        assert not may(anyone.get_object, **named)
        main.put_bucket_acl(Bucket=bucket_of_main, ACL="public-read-write")
        assert may(anyone.put_object, Bucket=bucket_of_main, Key="new")
        assert may(main.put_object, Bucket=bucket_of_main, Key="new")
        main.put_bucket_acl(Bucket=bucket_of_main, ACL="private")
        assert not may(anyone.put_object, Bucket=bucket_of_main, Key="new")


@pytest.mark.parametrize("store", ["filesystem", "postgres"])
def test_a_change_holds_at_once_on_every_server_of_the_store(tmp_path: Path, store: str) -> None:
    (tmp_path / "users.json").write_text(users_document(MAIN, ALT))
    flags = [*flags_of(store), "--users", "users.json"]
    with (
        post3_serve(*flags, cwd=tmp_path, env=ROOT_KEY) as one,
        post3_serve(*flags, cwd=tmp_path, env=ROOT_KEY) as other,
        closing(client_of(one, MAIN)) as main,
        closing(client_of(other, ALT)) as alt,
        closing(client_of(other, None)) as anyone,
    ):
        bucket = new_bucket(main)
        named: Any = {"Bucket": bucket, "Key": "key"}
        main.put_object(**named)
        own = new_bucket(alt)
        copy: Any = {"Bucket": own, "Key": "copy", "CopySource": named}
        batch: Any = {"Bucket": bucket, "Delete": {"Objects": [{"Key": "absent"}]}}
        for _ in range(5):
            lets(main, bucket, {}, "s3:*Object")
            assert may(alt.get_object, **named)
            assert may(anyone.put_object, Bucket=bucket, Key="new", Body=PART)
            assert may(alt.copy_object, **copy)
            assert "Errors" not in alt.delete_objects(**batch)
            main.delete_bucket_policy(Bucket=bucket)
            assert not may(alt.get_object, **named)
            assert not may(anyone.put_object, Bucket=bucket, Key="new", Body=PART)
            assert not may(alt.copy_object, **copy)
            assert len(alt.delete_objects(**batch)["Errors"]) == 1


def test_a_put_that_loses_its_right_while_it_is_sent_is_refused(
    closed: Server, main: S3Client, bucket_of_main: str
) -> None:
    lets(main, bucket_of_main, {}, "s3:PutObject")

    def body() -> Any:
        yield PART
        main.delete_bucket_policy(Bucket=bucket_of_main)
        yield PART

    answer = ask(closed, "PUT", f"/{bucket_of_main}/key", body=body())
    assert (answer.status, answer.code) == DENIED
    assert main.list_objects_v2(Bucket=bucket_of_main)["KeyCount"] == 0


def test_a_refusal_says_no_more_than_that(main: S3Client, alt: S3Client, bucket_of_main: str) -> None:
    lets(main, bucket_of_main, {"StringEquals": {"aws:Referer": "secret"}})
    error = error_of(alt.get_object, Bucket=bucket_of_main, Key="key")
    assert error["Code"] == "AccessDenied"
    assert error["Message"] == "Access Denied"
    assert MAIN.id not in str(error)
