"""Object ownership over HTTP: who owns what others put into a bucket, and whether access control lists count there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pytest

from tests.api.asking import begin, complete, content, refusal, send
from tests.api.conftest import new_bucket, new_name
from tests.api.people import ALL_USERS, ALT, MAIN, THIRD, access, ask_as, grant, may, policy, statement, told
from tests.servers import Server

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

OWNERSHIPS: Final = ("ObjectWriter", "BucketOwnerPreferred", "BucketOwnerEnforced")
UNSUPPORTED: Final = (400, "AccessControlListNotSupported")
HANDS_OVER: Final = "bucket-owner-full-control"
OF_MAIN: Final = {"ID": MAIN.id, "DisplayName": MAIN.display_name}
OF_ALT: Final = {"ID": ALT.id, "DisplayName": ALT.display_name}


def set_ownership(main: S3Client, bucket: str, ownership: Any) -> None:
    controls: Any = {"Rules": [{"ObjectOwnership": ownership}]}
    main.put_bucket_ownership_controls(Bucket=bucket, OwnershipControls=controls)


def ownership_of(main: S3Client, bucket: str) -> str:
    (rule,) = main.get_bucket_ownership_controls(Bucket=bucket)["OwnershipControls"]["Rules"]
    return rule["ObjectOwnership"]


@pytest.fixture(params=["at once", "later"])
def shared(request: pytest.FixtureRequest, main: S3Client) -> Any:
    """Makes a bucket of that ownership, at once or later, in which everybody may do everything."""

    def make(ownership: Any) -> str:
        if request.param == "at once":
            bucket = new_bucket(main, ObjectOwnership=ownership)
        else:
            bucket = new_bucket(main)
            set_ownership(main, bucket, ownership)
        main.put_bucket_policy(
            Bucket=bucket, Policy=policy(statement(bucket, "s3:*"), statement(bucket, "s3:*", key=None))
        )
        return bucket

    return make


def owners(client: S3Client, bucket: str, **given: Any) -> list[Any]:
    """Owners of what a client makes in every way, the upload in progress too."""
    client.put_object(Bucket=bucket, Key="put", Body=b"data", **given)
    client.copy_object(Bucket=bucket, Key="copy", CopySource={"Bucket": bucket, "Key": "put"}, **given)
    upload = begin(client, bucket, "parts", **given)
    listed = client.list_parts(Bucket=bucket, Key="parts", UploadId=upload)
    assert listed["Initiator"] == OF_ALT
    (one,) = client.list_multipart_uploads(Bucket=bucket)["Uploads"]
    assert (one["Initiator"], one["Owner"]) == (OF_ALT, listed["Owner"])
    complete(client, bucket, "parts", upload, send(client, bucket, "parts", upload, b"data"))
    found = [client.get_object_acl(Bucket=bucket, Key=key)["Owner"] for key in ("put", "copy", "parts")]
    by_key = {one["Key"]: one["Owner"] for one in client.list_objects(Bucket=bucket)["Contents"]}
    assert found == [by_key[key] for key in ("put", "copy", "parts")]
    return [*found, listed["Owner"]]


# The document


def test_it_comes_back_and_goes(main: S3Client, bucket_of_main: str) -> None:
    missing = (404, "OwnershipControlsNotFoundError")
    assert refusal(main.get_bucket_ownership_controls, Bucket=bucket_of_main) == missing
    for ownership in OWNERSHIPS:
        set_ownership(main, bucket_of_main, ownership)
        assert ownership_of(main, bucket_of_main) == ownership
        assert ownership_of(main, new_bucket(main, ObjectOwnership=ownership)) == ownership
    for _ in range(2):
        deleted: Any = main.delete_bucket_ownership_controls(Bucket=bucket_of_main)
        assert deleted["ResponseMetadata"]["HTTPStatusCode"] == 204
    assert refusal(main.get_bucket_ownership_controls, Bucket=bucket_of_main) == missing


def test_a_wrong_document_changes_nothing(closed: Server, main: S3Client, bucket_of_main: str) -> None:
    set_ownership(main, bucket_of_main, "BucketOwnerPreferred")
    for rules in ("", "<Rule/>", "<Rule><ObjectOwnership>Nobody</ObjectOwnership></Rule>"):
        body = f"<OwnershipControls>{rules}</OwnershipControls>".encode()
        answer = ask_as(closed, MAIN, "PUT", f"/{bucket_of_main}?ownershipControls", body=body)
        assert (answer.status, answer.code) == (400, "MalformedXML")
    assert refusal(main.create_bucket, Bucket=new_name(), ObjectOwnership="Nobody")[0] == 400
    assert ownership_of(main, bucket_of_main) == "BucketOwnerPreferred"


# Who owns


def test_the_writer_owns(main: S3Client, alt: S3Client, shared: Any) -> None:
    bucket = shared("ObjectWriter")
    for given in ({}, {"ACL": "private"}, {"ACL": HANDS_OVER}):
        assert owners(alt, bucket, **given) == [OF_ALT] * 4
    assert content(main, bucket, "put") == b"data"
    main.put_bucket_acl(Bucket=bucket, ACL="private")
    alt.put_object_acl(Bucket=bucket, Key="put", ACL="private")
    assert not may(main.get_object, Bucket=bucket, Key="put")


def test_the_bucket_s_owner_owns_what_is_handed_over(main: S3Client, alt: S3Client, shared: Any) -> None:
    bucket = shared("BucketOwnerPreferred")
    for given in ({}, {"ACL": "private"}, {"ACL": "bucket-owner-read"}):
        assert owners(alt, bucket, **given) == [OF_ALT] * 4
    assert owners(alt, bucket, ACL=HANDS_OVER) == [OF_MAIN] * 4
    assert told(main.get_object_acl(Bucket=bucket, Key="put")) == [(MAIN.id, "FULL_CONTROL")]
    main.delete_bucket_policy(Bucket=bucket)
    for key in ("put", "copy", "parts"):
        assert content(main, bucket, key) == b"data"
        assert not may(alt.get_object, Bucket=bucket, Key=key)
    main.put_bucket_acl(Bucket=bucket, ACL="private")
    main.put_object_acl(Bucket=bucket, Key="put", ACL="public-read")


def test_the_bucket_s_owner_owns_everything(main: S3Client, alt: S3Client, shared: Any) -> None:
    bucket = shared("BucketOwnerEnforced")
    for given in ({}, {"ACL": HANDS_OVER}, {"GrantFullControl": f"id={MAIN.id}"}):
        assert owners(alt, bucket, **given) == [OF_MAIN] * 4
    main.delete_bucket_policy(Bucket=bucket)
    assert content(main, bucket, "put") == b"data"
    assert not may(alt.get_object, Bucket=bucket, Key="put")


# Whether lists count


def test_lists_are_not_taken_where_the_owner_is_enforced(main: S3Client, alt: S3Client, shared: Any) -> None:
    bucket = shared("BucketOwnerEnforced")
    main.put_object(Bucket=bucket, Key="key")
    named: Any = {"Bucket": bucket, "Key": "key"}
    at: Any = {"Bucket": bucket}
    refused: list[Any] = [
        {"ACL": "private"},
        {"ACL": "public-read"},
        {"ACL": "bucket-owner-read"},
        {"GrantRead": f"uri={ALL_USERS}"},
        {"GrantFullControl": f"id={THIRD.id}"},
    ]
    for client in (main, alt):
        for given in refused:
            assert refusal(client.put_object, **at, Key="new", **given) == UNSUPPORTED
            assert refusal(client.create_multipart_upload, **at, Key="new", **given) == UNSUPPORTED
            assert refusal(client.copy_object, **at, Key="new", CopySource=named, **given) == UNSUPPORTED
            assert refusal(client.put_bucket_acl, **at, **given) == UNSUPPORTED
            assert refusal(client.put_object_acl, **named, **given) == UNSUPPORTED
        public = access(MAIN, grant(MAIN, "FULL_CONTROL"), grant(ALL_USERS, "READ"))
        assert refusal(client.put_object_acl, **named, AccessControlPolicy=public) == UNSUPPORTED
        assert refusal(client.put_bucket_acl, **at, AccessControlPolicy=public) == UNSUPPORTED
        alone = access(MAIN, grant(MAIN, "FULL_CONTROL"))
        client.put_object_acl(**named, AccessControlPolicy=alone)
        client.put_object_acl(**named, ACL=HANDS_OVER)
    assert [one["Key"] for one in main.list_objects_v2(**at)["Contents"]] == ["key"]


def test_lists_that_are_there_sleep_while_the_owner_is_enforced(
    main: S3Client, alt: S3Client, anyone: S3Client, bucket_of_main: str
) -> None:
    main.put_bucket_acl(Bucket=bucket_of_main, GrantWrite=f"id={ALT.id}", GrantFullControl=f"id={MAIN.id}")
    named: Any = {"Bucket": bucket_of_main, "Key": "key"}
    alt.put_object(**named, Body=b"data", ACL="public-read")
    assert refusal(main.get_object_acl, **named) == (403, "AccessDenied")
    main.put_bucket_acl(Bucket=bucket_of_main, ACL="private")
    set_ownership(main, bucket_of_main, "BucketOwnerEnforced")
    assert content(main, bucket_of_main, "key") == b"data"
    acl = main.get_object_acl(**named)
    assert (acl["Owner"], told(acl)) == (OF_MAIN, [(MAIN.id, "FULL_CONTROL")])
    for client in (alt, anyone):
        assert not may(client.get_object, **named)
        assert not may(client.get_object_acl, **named)
    main.delete_bucket_ownership_controls(Bucket=bucket_of_main)
    assert content(anyone, bucket_of_main, "key") == b"data"
    assert not may(main.get_object_acl, **named)
    assert alt.get_object_acl(**named)["Owner"] == OF_ALT


def test_an_owner_without_grants_has_everything_once_enforced(main: S3Client, bucket_of_main: str) -> None:
    main.put_object(Bucket=bucket_of_main, Key="key", Body=b"data")
    main.put_object_acl(Bucket=bucket_of_main, Key="key", AccessControlPolicy=access(MAIN))
    main.put_bucket_acl(Bucket=bucket_of_main, AccessControlPolicy=access(MAIN))
    assert not may(main.list_objects_v2, Bucket=bucket_of_main)
    set_ownership(main, bucket_of_main, "BucketOwnerEnforced")
    assert may(main.list_objects_v2, Bucket=bucket_of_main)
    assert content(main, bucket_of_main, "key") == b"data"
    assert told(main.get_bucket_acl(Bucket=bucket_of_main)) == [(MAIN.id, "FULL_CONTROL")]


def test_a_bucket_whose_list_lets_others_in_is_not_enforced(main: S3Client) -> None:
    refused = (400, "InvalidBucketAclWithObjectOwnership")
    for given in ({"ACL": "public-read"}, {"GrantRead": f"id={ALT.id}"}):
        bucket = new_bucket(main, **given)
        assert refusal(set_ownership, main=main, bucket=bucket, ownership="BucketOwnerEnforced") == refused
        name = new_name()
        assert refusal(main.create_bucket, Bucket=name, ObjectOwnership="BucketOwnerEnforced", **given) == refused
        assert refusal(main.head_bucket, Bucket=name)[0] == 404
        main.put_bucket_acl(Bucket=bucket, ACL="private")
        set_ownership(main, bucket, "BucketOwnerEnforced")


def test_an_upload_ends_under_the_ownership_of_its_end(main: S3Client, alt: S3Client) -> None:
    bucket = new_bucket(main, ACL="public-read-write")
    upload = begin(alt, bucket, "key", ACL="public-read")
    parts = send(alt, bucket, "key", upload, b"data")
    main.put_bucket_acl(Bucket=bucket, ACL="private")
    set_ownership(main, bucket, "BucketOwnerEnforced")
    main.put_bucket_policy(Bucket=bucket, Policy=policy(statement(bucket, "s3:PutObject", to=ALT)))
    complete(alt, bucket, "key", upload, parts)
    assert main.get_object_acl(Bucket=bucket, Key="key")["Owner"] == OF_MAIN
    assert not may(alt.get_object, Bucket=bucket, Key="key")
