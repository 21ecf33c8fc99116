"""Access control lists over HTTP: how they are given, what each grant lets whom do, and what nobody gets by default."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

import pytest

from tests.api.asking import PART, ask, begin, complete, content, history, put_in_parts, refusal, send, set_versioning
from tests.api.conftest import new_bucket, new_name
from tests.api.people import (
    ADMIN,
    ALL_USERS,
    ALT,
    AUTHENTICATED,
    MAIN,
    ROOT,
    THIRD,
    Person,
    access,
    ask_as,
    grant,
    may,
    told,
)
from tests.servers import Server

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

DENIED: Final = (403, "AccessDenied")
LOG_DELIVERY: Final = "http://acs.amazonaws.com/groups/s3/LogDelivery"
OWNERS: Final = (MAIN.id, "FULL_CONTROL")
UNKNOWN_VERSION: Final = "0" * 32


# Nothing by default


def test_strangers_get_nothing_of_a_bucket(main: S3Client, alt: S3Client, anyone: S3Client) -> None:
    bucket = new_bucket(main)
    main.put_object(Bucket=bucket, Key="key", Body=b"data")
    upload = begin(main, bucket, "up")
    at: Any = {"Bucket": bucket}
    for other in (alt, anyone):
        denied: list[tuple[Callable[..., Any], dict[str, Any]]] = [
            (other.list_objects, {}),
            (other.list_objects_v2, {}),
            (other.list_object_versions, {}),
            (other.list_multipart_uploads, {}),
            (other.get_bucket_acl, {}),
            (other.put_bucket_acl, {"ACL": "public-read-write"}),
            (other.get_bucket_policy, {}),
            (other.put_bucket_policy, {"Policy": "{}"}),
            (other.delete_bucket_policy, {}),
            (other.get_bucket_policy_status, {}),
            (other.get_bucket_versioning, {}),
            (other.put_bucket_versioning, {"VersioningConfiguration": {"Status": "Enabled"}}),
            (other.get_bucket_location, {}),
            (other.get_public_access_block, {}),
            (other.delete_public_access_block, {}),
            (other.get_bucket_ownership_controls, {}),
            (other.delete_bucket_ownership_controls, {}),
            (other.delete_bucket, {}),
        ]
        for key in ("key", "absent"):
            denied += [
                (other.get_object, {"Key": key}),
                (other.get_object, {"Key": key, "VersionId": "null"}),
                (other.get_object, {"Key": key, "VersionId": UNKNOWN_VERSION}),
                (other.get_object_acl, {"Key": key}),
                (other.get_object_attributes, {"Key": key, "ObjectAttributes": ["ETag"]}),
                (other.put_object_acl, {"Key": key, "ACL": "public-read"}),
                (other.put_object, {"Key": key, "Body": b"new"}),
                (other.put_object, {"Key": key, "Body": b"new", "IfMatch": '"etag"'}),
                (other.delete_object, {"Key": key}),
                (other.delete_object, {"Key": key, "VersionId": "null"}),
                (other.create_multipart_upload, {"Key": key}),
                (other.copy_object, {"Key": "copy", "CopySource": {**at, "Key": key}}),
            ]
        for id in (upload, "unknown"):
            named = {"Key": "up", "UploadId": id}
            denied += [
                (other.upload_part, {**named, "PartNumber": 1, "Body": b"part"}),
                (other.upload_part_copy, {**named, "PartNumber": 1, "CopySource": {**at, "Key": "key"}}),
                (other.list_parts, named),
                (
                    other.complete_multipart_upload,
                    {**named, "MultipartUpload": {"Parts": [{"PartNumber": 1, "ETag": "e"}]}},
                ),
                (other.abort_multipart_upload, named),
            ]
        for call, parameters in denied:
            assert refusal(call, **at, **parameters) == DENIED, (call, parameters)
        for parameters in ({"Key": "key"}, {"Key": "absent"}):
            assert not may(other.head_object, **at, **parameters)
        assert not may(other.head_bucket, **at)
    batch: Any = {"Objects": [{"Key": "key"}, {"Key": "absent"}]}
    errors = alt.delete_objects(**at, Delete=batch)["Errors"]
    assert [(one["Key"], one["Code"]) for one in errors] == [("key", "AccessDenied"), ("absent", "AccessDenied")]
    # Nothing of nobody's batch is even read.
    assert refusal(anyone.delete_objects, **at, Delete=batch) == DENIED
    assert content(main, bucket, "key") == b"data"
    assert [one["Key"] for one in main.list_objects_v2(**at)["Contents"]] == ["key"]
    assert [one["UploadId"] for one in main.list_multipart_uploads(**at)["Uploads"]] == [upload]


def test_strangers_cannot_copy_from_a_bucket_into_their_own(main: S3Client, alt: S3Client) -> None:
    source, target = new_bucket(main), new_bucket(alt)
    main.put_object(Bucket=source, Key="key", Body=b"data")
    upload = begin(alt, target, "up")
    for key in ("key", "absent"):
        named: Any = {"Bucket": source, "Key": key}
        assert refusal(alt.copy_object, Bucket=target, Key="copy", CopySource=named) == DENIED
        copied = refusal(alt.upload_part_copy, Bucket=target, Key="up", UploadId=upload, PartNumber=1, CopySource=named)
        assert copied == DENIED
    assert alt.list_objects_v2(Bucket=target)["KeyCount"] == 0


def test_the_anonymous_make_no_buckets_and_see_none(anyone: S3Client) -> None:
    assert refusal(anyone.create_bucket, Bucket=new_name()) == DENIED
    assert refusal(anyone.list_buckets) == DENIED


def test_an_absent_bucket_is_told_to_everybody(alt: S3Client, anyone: S3Client) -> None:
    for client in (alt, anyone):
        assert refusal(client.list_objects_v2, Bucket="absent-bucket") == (404, "NoSuchBucket")
        assert refusal(client.get_object, Bucket="absent-bucket", Key="key") == (404, "NoSuchBucket")
        assert refusal(client.delete_bucket, Bucket="absent-bucket") == (404, "NoSuchBucket")


def test_unsupported_subresources_are_not_told_of_to_the_anonymous(closed: Server, main: S3Client) -> None:
    bucket = new_bucket(main)
    for target in (f"/{bucket}?tagging", f"/{bucket}/key?tagging", f"/{bucket}?cors"):
        assert ask(closed, "GET", target).code == "AccessDenied"


def test_everybody_lists_their_own_buckets_and_administrators_all(
    main: S3Client, alt: S3Client, admin: S3Client, root: S3Client
) -> None:
    of_main, of_alt = new_bucket(main, ACL="public-read-write"), new_bucket(alt)

    def names(client: S3Client) -> set[str]:
        return {one["Name"] for one in client.list_buckets()["Buckets"]} & {of_main, of_alt}

    assert names(main) == {of_main}
    assert names(alt) == {of_alt}
    assert names(admin) == names(root) == {of_main, of_alt}
    owner = alt.list_buckets()["Owner"]
    assert owner == {"ID": ALT.id, "DisplayName": ALT.display_name}


def test_administrators_may_do_everything(main: S3Client, admin: S3Client, root: S3Client) -> None:
    for client in (admin, root):
        bucket = new_bucket(main)
        main.put_bucket_acl(Bucket=bucket, AccessControlPolicy=access(MAIN))
        main.put_object(Bucket=new_bucket(main), Key="other")
        client.put_object(Bucket=bucket, Key="key", Body=b"data")
        assert content(client, bucket, "key") == b"data"
        assert told(client.get_bucket_acl(Bucket=bucket)) == []
        client.put_bucket_acl(Bucket=bucket, ACL="private")
        client.delete_object(Bucket=bucket, Key="key")
        client.delete_bucket(Bucket=bucket)


# How they are given


@pytest.mark.parametrize(
    ("canned", "groups"),
    [
        ("private", []),
        ("public-read", [(ALL_USERS, "READ")]),
        ("public-read-write", [(ALL_USERS, "READ"), (ALL_USERS, "WRITE")]),
        ("authenticated-read", [(AUTHENTICATED, "READ")]),
        ("aws-exec-read", []),
        ("log-delivery-write", [(LOG_DELIVERY, "WRITE"), (LOG_DELIVERY, "READ_ACP")]),
        ("bucket-owner-read", []),
        ("bucket-owner-full-control", []),
    ],
)
def test_canned_lists_of_buckets(main: S3Client, canned: Any, groups: list[tuple[str, str]]) -> None:
    at_once, later = new_bucket(main, ACL=canned), new_bucket(main)
    main.put_bucket_acl(Bucket=later, ACL=canned)
    for bucket in (at_once, later):
        acl = main.get_bucket_acl(Bucket=bucket)
        assert acl["Owner"] == {"ID": MAIN.id, "DisplayName": MAIN.display_name}
        assert told(acl) == [*groups, OWNERS]


@pytest.mark.parametrize(
    ("canned", "grants"),
    [
        ("private", [(ALT.id, "FULL_CONTROL")]),
        ("public-read", [(ALL_USERS, "READ"), (ALT.id, "FULL_CONTROL")]),
        ("public-read-write", [(ALL_USERS, "READ"), (ALL_USERS, "WRITE"), (ALT.id, "FULL_CONTROL")]),
        ("authenticated-read", [(AUTHENTICATED, "READ"), (ALT.id, "FULL_CONTROL")]),
        ("bucket-owner-read", [(ALT.id, "FULL_CONTROL"), (MAIN.id, "READ")]),
        ("bucket-owner-full-control", [(ALT.id, "FULL_CONTROL"), OWNERS]),
    ],
)
def test_canned_lists_of_objects(main: S3Client, alt: S3Client, canned: Any, grants: list[tuple[str, str]]) -> None:
    bucket = new_bucket(main, ACL="public-read-write")
    alt.put_object(Bucket=bucket, Key="put", ACL=canned)
    alt.put_object(Bucket=bucket, Key="later")
    alt.put_object_acl(Bucket=bucket, Key="later", ACL=canned)
    put_in_parts(alt, bucket, "parts", b"part", ACL=canned)
    alt.copy_object(Bucket=bucket, Key="copy", CopySource={"Bucket": bucket, "Key": "put"}, ACL=canned)
    for key in ("put", "later", "parts", "copy"):
        acl = alt.get_object_acl(Bucket=bucket, Key=key)
        assert acl["Owner"] == {"ID": ALT.id, "DisplayName": ALT.display_name}
        assert told(acl) == grants, key


def test_a_copy_has_no_list_of_its_source(main: S3Client, anyone: S3Client, bucket_of_main: str) -> None:
    main.put_object(Bucket=bucket_of_main, Key="key", Body=b"data", ACL="public-read")
    named: Any = {"Bucket": bucket_of_main, "Key": "key"}
    main.copy_object(Bucket=bucket_of_main, Key="copy", CopySource=named)
    main.copy_object(Bucket=bucket_of_main, Key="key", CopySource=named, MetadataDirective="REPLACE")
    for key in ("copy", "key"):
        assert told(main.get_object_acl(Bucket=bucket_of_main, Key=key)) == [OWNERS]
        assert not may(anyone.get_object, Bucket=bucket_of_main, Key=key)


HEADERS: Final[Any] = {
    "GrantRead": f'id="{ALT.id}", id="{THIRD.id}"',
    "GrantReadACP": f'emailAddress="{ALT.email.upper()}"',
    "GrantWriteACP": f"uri={AUTHENTICATED}",
    "GrantFullControl": f'id="{THIRD.id}"',
}
BY_HEADERS: Final = [
    (AUTHENTICATED, "WRITE_ACP"),
    (ALT.id, "READ"),
    (THIRD.id, "READ"),
    (ALT.id, "READ_ACP"),
    (THIRD.id, "FULL_CONTROL"),
]


def test_lists_by_header(main: S3Client, alt: S3Client, bucket_of_main: str) -> None:
    created = new_bucket(main, GrantWrite=f"id={ALT.id}", **HEADERS)
    assert told(main.get_bucket_acl(Bucket=created)) == [*BY_HEADERS[:3], (ALT.id, "WRITE"), *BY_HEADERS[3:]]
    main.put_bucket_acl(Bucket=bucket_of_main, **HEADERS)
    assert told(main.get_bucket_acl(Bucket=bucket_of_main)) == BY_HEADERS
    main.put_bucket_acl(Bucket=bucket_of_main, ACL="private")
    main.put_object(Bucket=bucket_of_main, Key="put", **HEADERS)
    main.put_object(Bucket=bucket_of_main, Key="later")
    main.put_object_acl(Bucket=bucket_of_main, Key="later", **HEADERS)
    put_in_parts(main, bucket_of_main, "parts", b"part", **HEADERS)
    source: Any = {"Bucket": created, "Key": "source"}
    alt.put_object(**source, GrantRead=f"id={MAIN.id}")
    main.copy_object(Bucket=bucket_of_main, Key="copy", CopySource=source, **HEADERS)
    for key in ("put", "later", "parts", "copy"):
        assert told(main.get_object_acl(Bucket=bucket_of_main, Key=key)) == BY_HEADERS, key


def test_lists_by_document(main: S3Client, bucket_of_main: str) -> None:
    grants = [grant(ALT, "READ"), grant(ALL_USERS, "READ_ACP"), grant(MAIN, "WRITE")]
    grants.append({"Grantee": {"Type": "AmazonCustomerByEmail", "EmailAddress": THIRD.email}, "Permission": "WRITE"})
    main.put_bucket_acl(Bucket=bucket_of_main, AccessControlPolicy=access(MAIN, *grants))
    main.put_object(Bucket=bucket_of_main, Key="key")
    main.put_object_acl(Bucket=bucket_of_main, Key="key", AccessControlPolicy=access(MAIN, *grants))
    acls: list[Any] = [
        main.get_bucket_acl(Bucket=bucket_of_main),
        main.get_object_acl(Bucket=bucket_of_main, Key="key"),
    ]
    for acl in acls:
        assert acl["Owner"] == {"ID": MAIN.id, "DisplayName": MAIN.display_name}
        assert acl["Grants"] == [
            {"Grantee": {"Type": "Group", "URI": ALL_USERS}, "Permission": "READ_ACP"},
            {
                "Grantee": {"Type": "CanonicalUser", "ID": ALT.id, "DisplayName": ALT.display_name},
                "Permission": "READ",
            },
            {
                "Grantee": {"Type": "CanonicalUser", "ID": MAIN.id, "DisplayName": MAIN.display_name},
                "Permission": "WRITE",
            },
            {
                "Grantee": {"Type": "CanonicalUser", "ID": THIRD.id, "DisplayName": THIRD.display_name},
                "Permission": "WRITE",
            },
        ]


def test_wrong_lists_change_nothing(main: S3Client, bucket_of_main: str) -> None:
    main.put_object(Bucket=bucket_of_main, Key="key")
    nobody = Person("nobody", "", "", "", "")
    by_email = {"Grantee": {"Type": "AmazonCustomerByEmail", "EmailAddress": "no@body.example"}, "Permission": "READ"}
    wrong: list[tuple[dict[str, Any], tuple[int, str]]] = [
        ({"ACL": "public-ready"}, (400, "InvalidArgument")),
        ({"ACL": "private", "GrantRead": f"id={ALT.id}"}, (400, "InvalidRequest")),
        ({"GrantRead": "id=nobody"}, (400, "InvalidArgument")),
        ({"GrantRead": "emailAddress=no@body.example"}, (400, "UnresolvableGrantByEmailAddress")),
        ({"GrantRead": "uri=http://example.com/group"}, (400, "InvalidArgument")),
        ({"GrantRead": "alt"}, (400, "InvalidArgument")),
        ({"AccessControlPolicy": access(MAIN, grant(nobody, "READ"))}, (400, "InvalidArgument")),
        ({"AccessControlPolicy": access(MAIN, by_email)}, (400, "UnresolvableGrantByEmailAddress")),
        ({"AccessControlPolicy": access(MAIN, grant(ALT, "DELETE"))}, (400, "MalformedACLError")),
        ({"AccessControlPolicy": access(ALT, grant(ALT, "READ"))}, DENIED),
        ({"AccessControlPolicy": {"Grants": [grant(ALT, "READ")]}}, (400, "MalformedACLError")),
        ({"AccessControlPolicy": access(MAIN, *[grant(ALT, "READ")] * 101)}, (400, "MalformedACLError")),
        ({}, (400, "MissingSecurityHeader")),
    ]
    for parameters, error in wrong:
        assert refusal(main.put_bucket_acl, Bucket=bucket_of_main, **parameters) == error, parameters
        assert refusal(main.put_object_acl, Bucket=bucket_of_main, Key="key", **parameters) == error, parameters
        if parameters and "AccessControlPolicy" not in parameters:
            assert refusal(main.put_object, Bucket=bucket_of_main, Key="new", **parameters) == error
            assert refusal(main.create_multipart_upload, Bucket=bucket_of_main, Key="new", **parameters) == error
            assert refusal(main.create_bucket, Bucket=new_name(), **parameters) == error
    assert refusal(main.put_object, Bucket=bucket_of_main, Key="new", ACL="log-delivery-write")[0] == 400
    assert told(main.get_bucket_acl(Bucket=bucket_of_main)) == [OWNERS]
    assert told(main.get_object_acl(Bucket=bucket_of_main, Key="key")) == [OWNERS]
    assert [one["Key"] for one in main.list_objects_v2(Bucket=bucket_of_main)["Contents"]] == ["key"]


def test_a_document_that_is_no_list_is_refused(closed: Server, bucket_of_main: str) -> None:
    for body in (b"<AccessControlPolicy/>", b"<AccessControlPolicy>", b"<Other/>", b"acl"):
        answer = ask_as(closed, MAIN, "PUT", f"/{bucket_of_main}?acl", body=body)
        assert answer.status == 400
        assert answer.code in ("MalformedXML", "MalformedACLError", "MissingSecurityHeader")


def test_the_list_of_what_is_absent_is_absent(main: S3Client, bucket_of_main: str) -> None:
    for parameters in ({}, {"VersionId": UNKNOWN_VERSION}):
        named: Any = {"Bucket": bucket_of_main, "Key": "absent", **parameters}
        assert refusal(main.get_object_acl, **named)[0] == 404
        assert refusal(main.put_object_acl, **named, ACL="private")[0] == 404
    set_versioning(main, bucket_of_main, "Enabled")
    main.delete_object(Bucket=bucket_of_main, Key="hidden")
    assert refusal(main.get_object_acl, Bucket=bucket_of_main, Key="hidden") == (404, "NoSuchKey")
    assert refusal(main.put_object_acl, Bucket=bucket_of_main, Key="hidden", ACL="private")[0] == 405


# What they let whom do

CLIENTS: Final = ("main", "alt", "third", "anyone")
OF_BUCKETS: Final = {
    "READ": {"list"},
    "WRITE": {"write"},
    "READ_ACP": {"read list"},
    "WRITE_ACP": {"write list"},
    "FULL_CONTROL": {"list", "write", "read list", "write list"},
}
OF_OBJECTS: Final = {
    "READ": {"read"},
    "WRITE": set[str](),
    "READ_ACP": {"read list"},
    "WRITE_ACP": {"write list"},
    "FULL_CONTROL": {"read", "read list", "write list"},
}
GRANTED: Final[Mapping[str, str | Person]] = {"alt": ALT, "authenticated": AUTHENTICATED, "all": ALL_USERS}
MEMBERS: Final = {"alt": {"alt"}, "authenticated": {"alt", "third"}, "all": {"alt", "third", "anyone"}}


@pytest.mark.parametrize("to", GRANTED)
@pytest.mark.parametrize("permission", OF_BUCKETS)
def test_what_a_grant_on_a_bucket_lets_do(
    request: pytest.FixtureRequest, main: S3Client, bucket_of_main: str, permission: str, to: str
) -> None:
    main.put_object(Bucket=bucket_of_main, Key="private", Body=b"data")
    acl = access(MAIN, grant(MAIN, "FULL_CONTROL"), grant(GRANTED[to], permission))
    main.put_bucket_acl(Bucket=bucket_of_main, AccessControlPolicy=acl)
    for name in ("alt", "third", "anyone"):
        client, powers = request.getfixturevalue(name), set[str]()
        if may(client.put_object, Bucket=bucket_of_main, Key="new", Body=b"new"):
            powers.add("write")
        assert may(client.delete_object, Bucket=bucket_of_main, Key="new") == ("write" in powers)
        if may(client.list_objects_v2, Bucket=bucket_of_main):
            powers.add("list")
        assert may(client.head_bucket, Bucket=bucket_of_main) == ("list" in powers)
        assert may(client.list_object_versions, Bucket=bucket_of_main) == ("list" in powers)
        assert may(client.list_multipart_uploads, Bucket=bucket_of_main) == ("list" in powers)
        if may(client.get_bucket_acl, Bucket=bucket_of_main):
            powers.add("read list")
        if may(client.put_bucket_acl, Bucket=bucket_of_main, AccessControlPolicy=acl):
            powers.add("write list")
        assert powers == (OF_BUCKETS[permission] if name in MEMBERS[to] else set()), name
        assert not may(client.get_object, Bucket=bucket_of_main, Key="private"), "objects have lists of their own"
        assert not may(client.get_bucket_policy, Bucket=bucket_of_main)
        assert not may(
            client.put_bucket_versioning, Bucket=bucket_of_main, VersioningConfiguration={"Status": "Enabled"}
        )
        assert not may(client.delete_bucket, Bucket=bucket_of_main)
        absent = refusal(client.get_object, Bucket=bucket_of_main, Key="absent")
        assert absent == ((404, "NoSuchKey") if "list" in powers else DENIED)
    assert content(main, bucket_of_main, "private") == b"data"


@pytest.mark.parametrize("to", GRANTED)
@pytest.mark.parametrize("permission", OF_OBJECTS)
def test_what_a_grant_on_an_object_lets_do(
    request: pytest.FixtureRequest, main: S3Client, bucket_of_main: str, permission: str, to: str
) -> None:
    named: Any = {"Bucket": bucket_of_main, "Key": "key"}
    main.put_object(**named, Body=b"data")
    acl = access(MAIN, grant(MAIN, "FULL_CONTROL"), grant(GRANTED[to], permission))
    main.put_object_acl(**named, AccessControlPolicy=acl)
    for name in ("alt", "third", "anyone"):
        client, powers = request.getfixturevalue(name), set[str]()
        if may(client.get_object, **named):
            powers.add("read")
        assert may(client.head_object, **named) == ("read" in powers)
        assert may(client.get_object_attributes, **named, ObjectAttributes=["ETag"]) == ("read" in powers)
        if may(client.get_object_acl, **named):
            powers.add("read list")
        if may(client.put_object_acl, **named, AccessControlPolicy=acl):
            powers.add("write list")
        assert powers == (OF_OBJECTS[permission] if name in MEMBERS[to] else set()), name
        assert not may(client.put_object, **named, Body=b"new"), "that is the bucket's to grant"
        assert not may(client.delete_object, **named)
        assert not may(client.list_objects_v2, Bucket=bucket_of_main)
    assert content(main, bucket_of_main, "key") == b"data"


def test_whoever_may_read_may_copy(main: S3Client, alt: S3Client, bucket_of_main: str) -> None:
    own = new_bucket(alt)
    named: Any = {"Bucket": bucket_of_main, "Key": "key"}
    main.put_object(Bucket=bucket_of_main, Key="key", Body=PART, GrantRead=f"id={ALT.id}")
    alt.copy_object(Bucket=own, Key="copy", CopySource=named)
    upload = begin(alt, own, "parts")
    part = alt.upload_part_copy(Bucket=own, Key="parts", UploadId=upload, PartNumber=1, CopySource=named)
    complete(alt, own, "parts", upload, [{"PartNumber": 1, "ETag": part["CopyPartResult"]["ETag"]}])
    assert content(alt, own, "copy") == content(alt, own, "parts") == PART
    assert not may(alt.copy_object, Bucket=bucket_of_main, Key="back", CopySource=named)


def test_owners_without_grants_may_still_mend_the_list(main: S3Client, anyone: S3Client, bucket_of_main: str) -> None:
    named: Any = {"Bucket": bucket_of_main, "Key": "key"}
    main.put_object(**named, Body=b"data")
    main.put_object_acl(**named, AccessControlPolicy=access(MAIN))
    main.put_bucket_acl(Bucket=bucket_of_main, AccessControlPolicy=access(MAIN))
    assert told(main.get_bucket_acl(Bucket=bucket_of_main)) == told(main.get_object_acl(**named)) == []
    assert not may(main.list_objects_v2, Bucket=bucket_of_main)
    assert not may(main.put_object, Bucket=bucket_of_main, Key="new")
    assert not may(main.delete_object, **named)
    assert not may(main.get_object, **named)
    assert refusal(main.get_object, Bucket=bucket_of_main, Key="absent") == DENIED
    assert main.get_bucket_versioning(Bucket=bucket_of_main)["ResponseMetadata"]["HTTPStatusCode"] == 200
    main.put_bucket_acl(Bucket=bucket_of_main, GrantFullControl=f"uri={ALL_USERS}")
    main.put_object_acl(**named, ACL="private")
    assert content(main, bucket_of_main, "key") == b"data"
    anyone.delete_object(**named)
    main.delete_bucket(Bucket=bucket_of_main)


def test_the_bucket_s_owner_does_not_own_what_others_put(
    main: S3Client, alt: S3Client, third: S3Client, bucket_of_main: str
) -> None:
    main.put_bucket_acl(Bucket=bucket_of_main, GrantFullControl=f"id={MAIN.id}", GrantWrite=f"id={ALT.id}")
    named: Any = {"Bucket": bucket_of_main, "Key": "key"}
    alt.put_object(**named, Body=b"data")
    assert content(alt, bucket_of_main, "key") == b"data"
    for client in (main, third):
        assert not may(client.get_object, **named)
        assert not may(client.get_object_acl, **named)
        assert not may(client.put_object_acl, **named, ACL="public-read")
    (listed,) = main.list_objects_v2(Bucket=bucket_of_main, FetchOwner=True)["Contents"]
    assert listed["Owner"] == {"ID": ALT.id, "DisplayName": ALT.display_name}
    alt.put_object_acl(**named, ACL="bucket-owner-read")
    assert content(main, bucket_of_main, "key") == b"data"
    assert not may(main.get_object_acl, **named)
    alt.put_object_acl(**named, ACL="bucket-owner-full-control")
    main.put_object_acl(**named, GrantRead=f"id={THIRD.id}")
    assert content(third, bucket_of_main, "key") == b"data"
    assert not may(alt.get_object, **named), "the owner is not named any more"
    assert told(alt.get_object_acl(**named)) == [(THIRD.id, "READ")]
    main.delete_object(**named)


def test_what_the_anonymous_put_is_the_bucket_owner_s(main: S3Client, anyone: S3Client, alt: S3Client) -> None:
    bucket = new_bucket(main, ACL="public-read-write")
    anyone.put_object(Bucket=bucket, Key="key", Body=b"data")
    put_in_parts(anyone, bucket, "parts", b"part")
    for key in ("key", "parts"):
        assert main.get_object(Bucket=bucket, Key=key)["ContentLength"] == 4
        assert told(main.get_object_acl(Bucket=bucket, Key=key)) == [OWNERS]
        for client in (anyone, alt):
            assert not may(client.get_object, Bucket=bucket, Key=key)
            assert not may(client.get_object_acl, Bucket=bucket, Key=key)
    anyone.put_object(Bucket=bucket, Key="public", Body=b"data", ACL="public-read")
    assert content(anyone, bucket, "public") == b"data"


def test_versions_have_lists_of_their_own(main: S3Client, anyone: S3Client, bucket_of_main: str) -> None:
    set_versioning(main, bucket_of_main, "Enabled")
    named: Any = {"Bucket": bucket_of_main, "Key": "key"}
    first = main.put_object(**named, Body=b"first", ACL="public-read")["VersionId"]
    second = main.put_object(**named, Body=b"second")["VersionId"]
    assert not may(anyone.get_object, **named)
    assert not may(anyone.get_object, **named, VersionId=second)
    assert content(anyone, bucket_of_main, "key", VersionId=first) == b"first"
    answer: Any = main.put_object_acl(**named, VersionId=first, ACL="private")
    assert answer["ResponseMetadata"]["HTTPHeaders"]["x-amz-version-id"] == first
    main.put_object_acl(**named, ACL="public-read")
    assert content(anyone, bucket_of_main, "key") == b"second"
    assert not may(anyone.get_object, **named, VersionId=first)
    assert told(main.get_object_acl(**named, VersionId=first)) == [OWNERS]
    assert told(main.get_object_acl(**named)) == [(ALL_USERS, "READ"), OWNERS]
    main.delete_object(**named)
    assert refusal(anyone.get_object, **named) == DENIED
    assert content(anyone, bucket_of_main, "key", VersionId=second) == b"second"


def test_a_marker_is_told_to_nobody_who_may_not_list(
    closed: Server, main: S3Client, anyone: S3Client, bucket_of_main: str
) -> None:
    set_versioning(main, bucket_of_main, "Enabled")
    marker = main.delete_object(Bucket=bucket_of_main, Key="key")["VersionId"]
    for target in (f"/{bucket_of_main}/key", f"/{bucket_of_main}/key?versionId={marker}"):
        for method in ("GET", "HEAD"):
            answer = ask(closed, method, target)
            assert answer.status == 403
            assert not {"x-amz-delete-marker", "x-amz-version-id", "allow", "last-modified"} & answer.headers.keys()
    assert not may(anyone.put_object_acl, Bucket=bucket_of_main, Key="key", ACL="private")


def test_writing_does_not_mean_destroying_versions(
    main: S3Client, alt: S3Client, anyone: S3Client, bucket_of_main: str
) -> None:
    """Who is granted WRITE may hide what is there behind a marker. Deleting a version is the bucket owner's."""
    main.put_bucket_acl(Bucket=bucket_of_main, ACL="public-read-write")
    set_versioning(main, bucket_of_main, "Enabled")
    named: Any = {"Bucket": bucket_of_main, "Key": "key"}
    version = main.put_object(**named, Body=b"data")["VersionId"]
    for client in (alt, anyone):
        assert client.delete_object(**named)["DeleteMarker"]
        assert not may(client.delete_object, **named, VersionId=version)
        (error,) = client.delete_objects(
            Bucket=bucket_of_main, Delete={"Objects": [{"Key": "key", "VersionId": version}]}
        )["Errors"]
        assert error["Code"] == "AccessDenied"
    assert len(history(main, bucket_of_main, "key")) == 3
    main.delete_object(**named, VersionId=version)


def test_setting_a_list_moves_nothing_else(main: S3Client, bucket_of_main: str) -> None:
    named: Any = {"Bucket": bucket_of_main, "Key": "key"}
    main.put_object(**named, Body=b"data", Metadata={"a": "b"}, ContentType="text/plain")
    (listed,) = main.list_objects_v2(Bucket=bucket_of_main)["Contents"]
    before: Any = main.head_object(**named)
    main.put_object_acl(**named, ACL="public-read")
    after: Any = main.head_object(**named)
    assert [listed] == main.list_objects_v2(Bucket=bucket_of_main)["Contents"]
    for name in ("LastModified", "ETag", "ContentType", "Metadata", "ContentLength"):
        assert before[name] == after[name]


def test_a_new_object_has_no_list_of_the_old(main: S3Client, anyone: S3Client, bucket_of_main: str) -> None:
    main.put_object(Bucket=bucket_of_main, Key="key", ACL="public-read")
    main.put_object(Bucket=bucket_of_main, Key="key")
    assert told(main.get_object_acl(Bucket=bucket_of_main, Key="key")) == [OWNERS]
    assert not may(anyone.get_object, Bucket=bucket_of_main, Key="key")


def test_uploads_of_others_are_not_gone_on_with_by_the_bucket_s_list(
    main: S3Client, alt: S3Client, third: S3Client, anyone: S3Client
) -> None:
    bucket = new_bucket(main, ACL="public-read-write")
    upload = begin(alt, bucket, "key")
    named: Any = {"Bucket": bucket, "Key": "key", "UploadId": upload}
    parts = send(alt, bucket, "key", upload, b"part")
    for client in (third, anyone):
        assert not may(client.upload_part, **named, PartNumber=1, Body=b"other")
        assert not may(client.list_parts, **named)
        assert not may(client.complete_multipart_upload, **named, MultipartUpload={"Parts": parts})
        assert not may(client.abort_multipart_upload, **named)
    listed: Any = alt.list_parts(**named)
    assert listed["Initiator"] == listed["Owner"] == {"ID": ALT.id, "DisplayName": ALT.display_name}
    complete(alt, bucket, "key", upload, parts)
    assert told(alt.get_object_acl(Bucket=bucket, Key="key")) == [(ALT.id, "FULL_CONTROL")]
    assert not may(main.get_object, Bucket=bucket, Key="key")
    main.abort_multipart_upload(Bucket=bucket, Key="key", UploadId=begin(alt, bucket, "key"))


def test_a_bucket_is_not_made_again_with_another_list(main: S3Client, alt: S3Client) -> None:
    plain, public = new_bucket(main), new_bucket(main, ACL="public-read")
    taken = (409, "BucketAlreadyExists")
    main.put_object(Bucket=plain, Key="key")
    main.create_bucket(Bucket=plain)
    main.create_bucket(Bucket=plain, ACL="private")
    main.create_bucket(Bucket=public, ACL="public-read")
    assert refusal(main.create_bucket, Bucket=plain, ACL="public-read") == taken
    assert refusal(main.create_bucket, Bucket=public) == taken
    assert refusal(alt.create_bucket, Bucket=plain) == taken
    assert refusal(alt.create_bucket, Bucket=public, ACL="public-read") == taken
    assert told(main.get_bucket_acl(Bucket=plain)) == [OWNERS]
    assert main.list_objects_v2(Bucket=plain)["KeyCount"] == 1


def test_the_expected_owner_is_held(main: S3Client, alt: S3Client) -> None:
    bucket = new_bucket(main, ACL="public-read-write")
    alt.put_object(Bucket=bucket, Key="key", ExpectedBucketOwner=MAIN.id)
    assert not may(alt.put_object, Bucket=bucket, Key="key", ExpectedBucketOwner=ALT.id)
    source: Any = {"Bucket": bucket, "Key": "key"}
    own = new_bucket(alt)
    alt.copy_object(Bucket=own, Key="key", CopySource=source, ExpectedSourceBucketOwner=MAIN.id)
    assert not may(alt.copy_object, Bucket=own, Key="key", CopySource=source, ExpectedSourceBucketOwner=ALT.id)


def test_roots_and_admins_have_names_too(main: S3Client, admin: S3Client, root: S3Client) -> None:
    bucket = new_bucket(main)
    for client, person in ((admin, ADMIN), (root, ROOT)):
        client.put_object(Bucket=bucket, Key="key")
        owner = client.get_object_acl(Bucket=bucket, Key="key")["Owner"]
        assert owner == {"ID": person.id, "DisplayName": person.display_name}
