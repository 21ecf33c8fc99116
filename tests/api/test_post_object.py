"""Browser forms over HTTP: who may send which, and what becomes of their fields."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.api.asking import Answer, ask, checksum, content, lacks, md5, set_versioning
from tests.api.conftest import new_bucket
from tests.api.people import ALL_USERS, ALT, MAIN, Person, may, policy, statement, told
from tests.forms import BOUNDARY, encode_form
from tests.rawhttp import Connection
from tests.servers import Server
from tests.signing import signed_form, v2_form, v4_form

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

CONTENT_TYPE: Final = f"multipart/form-data; boundary={BOUNDARY.decode()}"
HOUR: Final = timedelta(hours=1)
SIGNERS: Final = {"v4": v4_form, "v2": v2_form}
MIB: Final = 2**20


def post(
    server: Server,
    bucket: str,
    fields: Mapping[str, str],
    data: bytes = b"data",
    headers: Mapping[str, str] | None = None,
    **form: Any,
) -> Answer:
    """The answer to a form."""
    body = encode_form(fields.items(), data, **form)
    return ask(server, "POST", f"/{bucket}", {"content-type": CONTENT_TYPE, **(headers or {})}, body)


def signed_fields(
    bucket: str,
    fields: Mapping[str, str] | None = None,
    *,
    conditions: Iterable[Any] = (),
    by: Person = MAIN,
    version: str = "v4",
    expires: timedelta = HOUR,
) -> dict[str, str]:
    """The fields of a form for the key `key`, with a policy that allows exactly these."""
    given = {"key": "key", **(fields or {})}
    held: list[Any] = [{"bucket": bucket}, *conditions]
    named = {str(part).lstrip("$").lower() for one in conditions for part in one}
    held += [{name: value} for name, value in given.items() if name.lower() not in named]
    expiration = (datetime.now(UTC) + expires).strftime("%Y-%m-%dT%H:%M:%SZ")
    signer = SIGNERS[version](by.access_key, by.secret_key)
    return {**given, **signed_form(signer, {"expiration": expiration, "conditions": held})}


def keys(main: S3Client, bucket: str) -> list[str]:
    return [one["Key"] for one in main.list_objects_v2(Bucket=bucket).get("Contents", [])]


def assert_refused(answer: Answer, status: int, code: str) -> None:
    assert (answer.status, answer.code) == (status, code), answer.body


# Who may


@pytest.mark.parametrize("version", SIGNERS)
def test_a_signed_form_stores_its_file(closed: Server, main: S3Client, bucket_of_main: str, version: str) -> None:
    answer = post(closed, bucket_of_main, signed_fields(bucket_of_main, version=version))
    assert (answer.status, answer.body) == (204, b"")
    assert answer.headers["etag"] == md5(b"data")
    assert answer.headers["location"] == f"{closed.url}/{bucket_of_main}/key"
    assert content(main, bucket_of_main, "key") == b"data"
    acl = main.get_object_acl(Bucket=bucket_of_main, Key="key")
    assert told(acl) == [(MAIN.id, "FULL_CONTROL")]


def test_boto3_s_own_forms_are_taken(closed: Server, main: S3Client, bucket_of_main: str) -> None:
    form = main.generate_presigned_post(
        bucket_of_main, "user/${filename}", {"acl": "private"}, [{"acl": "private"}, ["content-length-range", 1, 10]]
    )
    assert form["url"].endswith(f"/{bucket_of_main}")
    assert post(closed, bucket_of_main, form["fields"], filename="a.txt").status == 204
    assert keys(main, bucket_of_main) == ["user/a.txt"]


def test_the_anonymous_may_where_everybody_may_write(
    closed: Server, main: S3Client, anyone: S3Client, bucket_of_main: str
) -> None:
    assert_refused(post(closed, bucket_of_main, {"key": "key"}), 403, "AccessDenied")
    main.put_bucket_acl(Bucket=bucket_of_main, ACL="public-read-write")
    assert post(closed, bucket_of_main, {"key": "key"}).status == 204
    assert post(closed, bucket_of_main, {"key": "public", "acl": "public-read"}).status == 204
    assert content(main, bucket_of_main, "key") == content(anyone, bucket_of_main, "public") == b"data"
    assert not may(anyone.get_object, Bucket=bucket_of_main, Key="key")


def test_a_signature_alone_gives_no_right(closed: Server, main: S3Client, alt: S3Client, bucket_of_main: str) -> None:
    for version in SIGNERS:
        fields = signed_fields(bucket_of_main, by=ALT, version=version)
        assert_refused(post(closed, bucket_of_main, fields), 403, "AccessDenied")
    assert keys(main, bucket_of_main) == []
    main.put_bucket_policy(
        Bucket=bucket_of_main, Policy=policy(statement(bucket_of_main, "s3:PutObject", to=ALT, key="key"))
    )
    assert post(closed, bucket_of_main, signed_fields(bucket_of_main, by=ALT)).status == 204
    other = signed_fields(bucket_of_main, {"key": "other"}, by=ALT)
    assert_refused(post(closed, bucket_of_main, other), 403, "AccessDenied")
    assert alt.get_object_acl(Bucket=bucket_of_main, Key="key")["Owner"]["ID"] == ALT.id


def test_the_bucket_s_policy_sees_the_fields(closed: Server, main: S3Client, bucket_of_main: str) -> None:
    site = {"StringLike": {"aws:Referer": "http://www.example.com/*"}}
    main.put_bucket_policy(
        Bucket=bucket_of_main,
        Policy=policy(
            statement(bucket_of_main, "s3:PutObject", Condition=site),
            statement(
                bucket_of_main, "s3:PutObject", effect="Deny", Condition={"StringLike": {"s3:x-amz-acl": "public*"}}
            ),
            statement(
                bucket_of_main, "s3:PutObject", effect="Deny", Condition={"StringEquals": {"aws:UserAgent": "bad"}}
            ),
        ),
    )
    referer = {"referer": "http://www.example.com/form"}
    assert post(closed, bucket_of_main, {"key": "key"}, headers=referer).status == 204
    assert_refused(post(closed, bucket_of_main, {"key": "key"}), 403, "AccessDenied")
    assert_refused(post(closed, bucket_of_main, {"key": "key", "referer": referer["referer"]}), 403, "AccessDenied")
    public = {"key": "key", "acl": "public-read"}
    assert_refused(post(closed, bucket_of_main, public, headers=referer), 403, "AccessDenied")
    bad = {**referer, "user-agent": "bad"}
    assert_refused(post(closed, bucket_of_main, {"key": "key"}, headers=bad), 403, "AccessDenied")
    signed = signed_fields(bucket_of_main, {"acl": "public-read"})
    assert_refused(post(closed, bucket_of_main, signed), 403, "AccessDenied")


def test_a_signature_in_the_headers_counts_for_nothing(closed: Server, bucket_of_main: str) -> None:
    """Who sends a form is told by the form: a header that a browser was made to send gives no right."""
    headers = {"authorization": "AWS4-HMAC-SHA256 Credential=x/20260101/us-east-1/s3/aws4_request"}
    assert_refused(post(closed, bucket_of_main, {"key": "key"}, headers=headers), 403, "AccessDenied")


# What is signed


@pytest.mark.parametrize("version", SIGNERS)
def test_whatever_is_tampered_with_is_refused(
    closed: Server, main: S3Client, bucket_of_main: str, version: str
) -> None:
    good = signed_fields(bucket_of_main, {"acl": "private"}, version=version)
    other = signed_fields(bucket_of_main, {"key": "other"}, version=version)
    key = "AWSAccessKeyId" if version == "v2" else "x-amz-credential"
    key = next(name for name in good if name.lower() == key.lower())
    signature = next(name for name in good if name.lower().endswith("signature"))
    for changed, code in (
        ({"key": "other"}, "AccessDenied"),
        ({"acl": "public-read"}, "AccessDenied"),
        ({"x-amz-meta-a": "b"}, "AccessDenied"),
        ({"content-type": "text/html"}, "AccessDenied"),
        ({"policy": other["policy"]}, "SignatureDoesNotMatch"),
        ({"policy": good["policy"][:-4] + "AAAA"}, "SignatureDoesNotMatch"),
        ({signature: other[signature]}, "SignatureDoesNotMatch"),
        ({signature: good[signature][:-1]}, "SignatureDoesNotMatch"),
        ({key: good[key].replace(MAIN.access_key, ALT.access_key)}, "SignatureDoesNotMatch"),
        ({key: good[key].replace(MAIN.access_key, "UNKNOWN")}, "InvalidAccessKeyId"),
    ):
        assert_refused(post(closed, bucket_of_main, {**good, **changed}), 403, code)
    for missing in ("policy", signature, key):
        fields = {name: value for name, value in good.items() if name != missing}
        assert_refused(post(closed, bucket_of_main, fields), 400, "InvalidArgument")
    assert keys(main, bucket_of_main) == []
    assert post(closed, bucket_of_main, {**good, "x-ignore-me": "x"}).status == 204


def test_a_policy_for_another_bucket_is_refused(closed: Server, main: S3Client) -> None:
    one, other = new_bucket(main), new_bucket(main)
    fields = signed_fields(one)
    assert_refused(post(closed, other, fields), 403, "AccessDenied")
    assert_refused(post(closed, other, {**fields, "bucket": one}), 403, "AccessDenied")
    assert keys(main, other) == []
    assert_refused(post(closed, "absent-bucket", fields), 404, "NoSuchBucket")


@pytest.mark.parametrize("version", SIGNERS)
def test_an_expired_policy_is_refused(closed: Server, bucket_of_main: str, version: str) -> None:
    fields = signed_fields(bucket_of_main, version=version, expires=-timedelta(seconds=2))
    assert_refused(post(closed, bucket_of_main, fields), 403, "AccessDenied")


def test_what_is_no_policy_is_refused(closed: Server, bucket_of_main: str) -> None:
    signer = v4_form(MAIN.access_key, MAIN.secret_key)
    for document in ({"conditions": [{"bucket": bucket_of_main}]}, {"expiration": "2999-01-01T00:00:00Z"}):
        fields = {"key": "key", **signed_form(signer, dict(document))}
        assert post(closed, bucket_of_main, fields).status in (400, 403)
    ranges = [["content-length-range", 1], ["content-length-range", -1, 10]]
    for wrong in ranges:
        fields = signed_fields(bucket_of_main, conditions=[wrong])
        assert_refused(post(closed, bucket_of_main, fields), 400, "InvalidPolicyDocument")


# Sizes


def test_the_file_must_be_of_the_size_that_the_policy_allows(
    closed: Server, main: S3Client, bucket_of_main: str
) -> None:
    fields = signed_fields(bucket_of_main, conditions=[["content-length-range", 4, 6]])
    assert_refused(post(closed, bucket_of_main, fields, b"abc"), 400, "EntityTooSmall")
    assert_refused(post(closed, bucket_of_main, fields, b"abcdefg"), 400, "EntityTooLarge")
    assert_refused(post(closed, bucket_of_main, fields, b"a" * 200_000), 400, "EntityTooLarge")
    assert keys(main, bucket_of_main) == []
    for size in (4, 6):
        assert post(closed, bucket_of_main, fields, b"a" * size).status == 204
        assert main.head_object(Bucket=bucket_of_main, Key="key")["ContentLength"] == size


def test_an_empty_file_is_one(closed: Server, main: S3Client, bucket_of_main: str) -> None:
    assert post(closed, bucket_of_main, signed_fields(bucket_of_main), b"").status == 204
    assert content(main, bucket_of_main, "key") == b""


def test_a_large_file_is_stored_as_it_is(closed: Server, main: S3Client, bucket_of_main: str) -> None:
    data = bytes(range(251)) * (20 * MIB // 251) + b"\r\n--" + BOUNDARY[:-1] + b"\r\n"
    fields = signed_fields(bucket_of_main, conditions=[["content-length-range", 0, 30 * MIB]])
    answer = post(closed, bucket_of_main, fields, data)
    assert (answer.status, answer.headers["etag"]) == (204, md5(data))
    assert content(main, bucket_of_main, "key") == data


def test_fields_are_bounded(closed: Server, bucket_of_main: str) -> None:
    fields = {"key": "key", "x-ignore-a": "a" * 21_000}
    assert_refused(post(closed, bucket_of_main, fields), 400, "MaxPostPreDataLengthExceededError")


# What the fields say


def test_the_file_s_name_may_stand_in_the_fields(closed: Server, main: S3Client, bucket_of_main: str) -> None:
    given = {"key": "up/${filename}", "x-amz-meta-name": "${filename}"}
    conditions = [["starts-with", "$key", "up/"], ["starts-with", "$x-amz-meta-name", ""]]
    fields = signed_fields(bucket_of_main, given, conditions=conditions)
    for filename, name in (
        ("photo.jpg", "photo.jpg"),
        ("C:\\pictures\\my photo.jpg", "my photo.jpg"),
        ("../../etc/passwd", "passwd"),
        ("é 漢.txt", "é 漢.txt"),
    ):
        answer = post(closed, bucket_of_main, fields, filename=filename)
        assert answer.status == 204
        assert content(main, bucket_of_main, f"up/{name}") == b"data"
    outside = signed_fields(bucket_of_main, {"key": "${filename}"}, conditions=[["starts-with", "$key", "up/"]])
    assert_refused(post(closed, bucket_of_main, outside, filename="photo.jpg"), 403, "AccessDenied")


def test_a_form_needs_a_key_and_a_file(closed: Server, main: S3Client, bucket_of_main: str) -> None:
    main.put_bucket_acl(Bucket=bucket_of_main, ACL="public-read-write")
    assert_refused(post(closed, bucket_of_main, {}), 400, "InvalidArgument")
    assert_refused(post(closed, bucket_of_main, {"key": ""}), 400, "InvalidArgument")
    part = (
        f'--{BOUNDARY.decode()}\r\nContent-Disposition: form-data; name="key"\r\n\r\nkey\r\n--{BOUNDARY.decode()}--\r\n'
    )
    answer = ask(closed, "POST", f"/{bucket_of_main}", {"content-type": CONTENT_TYPE}, part.encode())
    assert_refused(answer, 400, "InvalidArgument")
    for content_type in ("application/x-www-form-urlencoded", "text/plain", "multipart/form-data"):
        answer = ask(closed, "POST", f"/{bucket_of_main}", {"content-type": content_type}, b"key=key")
        assert answer.status in (400, 412)
    assert keys(main, bucket_of_main) == []


def test_names_of_fields_are_of_any_case(closed: Server, main: S3Client, bucket_of_main: str) -> None:
    fields = {name.upper(): value for name, value in signed_fields(bucket_of_main, {"Content-Type": "a/b"}).items()}
    assert post(closed, bucket_of_main, fields).status == 204
    assert main.head_object(Bucket=bucket_of_main, Key="key")["ContentType"] == "a/b"


def test_fields_describe_the_object(closed: Server, main: S3Client, anyone: S3Client, bucket_of_main: str) -> None:
    fields = signed_fields(
        bucket_of_main,
        {
            "acl": "public-read",
            "Content-Type": "text/x-form",
            "Cache-Control": "no-cache",
            "Content-Disposition": 'attachment; filename="a.txt"',
            "Content-Encoding": "x-none",
            "Content-Language": "de",
            "Expires": "Thu, 01 Dec 2033 16:00:00 GMT",
            "x-amz-meta-one": "1",
            "x-amz-meta-Two": "zwei",
            "x-amz-storage-class": "STANDARD_IA",
        },
    )
    assert post(closed, bucket_of_main, fields).status == 204
    head: Any = anyone.head_object(Bucket=bucket_of_main, Key="key")
    assert head["Metadata"] == {"one": "1", "two": "zwei"}
    assert head["ContentType"] == "text/x-form"
    assert head["CacheControl"] == "no-cache"
    assert head["ContentDisposition"] == 'attachment; filename="a.txt"'
    assert head["ContentEncoding"] == "x-none"
    assert head["ContentLanguage"] == "de"
    assert head["ResponseMetadata"]["HTTPHeaders"]["expires"] == "Thu, 01 Dec 2033 16:00:00 GMT"
    assert head["StorageClass"] == "STANDARD_IA"
    assert told(main.get_object_acl(Bucket=bucket_of_main, Key="key"))[0] == (ALL_USERS, "READ")


def test_without_a_field_the_type_is_none(closed: Server, main: S3Client, bucket_of_main: str) -> None:
    assert post(closed, bucket_of_main, signed_fields(bucket_of_main), content_type="text/html").status == 204
    assert main.head_object(Bucket=bucket_of_main, Key="key")["ContentType"] == "binary/octet-stream"


def test_lists_and_blocks_hold_for_forms(closed: Server, main: S3Client, bucket_of_main: str) -> None:
    public = signed_fields(bucket_of_main, {"acl": "public-read"})
    main.put_public_access_block(Bucket=bucket_of_main, PublicAccessBlockConfiguration={"BlockPublicAcls": True})
    assert_refused(post(closed, bucket_of_main, public), 403, "AccessDenied")
    main.delete_public_access_block(Bucket=bucket_of_main)
    assert_refused(
        post(closed, bucket_of_main, signed_fields(bucket_of_main, {"acl": "nonsense"})), 400, "InvalidArgument"
    )
    controls: Any = {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}
    main.put_bucket_ownership_controls(Bucket=bucket_of_main, OwnershipControls=controls)
    assert_refused(post(closed, bucket_of_main, public), 400, "AccessControlListNotSupported")
    assert keys(main, bucket_of_main) == []


def test_what_the_fields_say_of_the_bytes_is_held(closed: Server, main: S3Client, bucket_of_main: str) -> None:
    plain = signed_fields(bucket_of_main)
    for algorithm in ("CRC32", "CRC32C", "CRC64NVME", "SHA1", "SHA256"):
        name = f"x-amz-checksum-{algorithm.lower()}"
        right = {**plain, name: checksum(algorithm, b"data")}
        answer = post(closed, bucket_of_main, right)
        assert answer.status == 204
        assert answer.headers[name] == right[name]
        main.delete_object(Bucket=bucket_of_main, Key="key")
        wrong = {**plain, name: checksum(algorithm, b"other")}
        assert_refused(post(closed, bucket_of_main, wrong), 400, "BadDigest")
    digest = "jXd/OF09/siBXSD3SWAm3A=="
    assert post(closed, bucket_of_main, signed_fields(bucket_of_main, {"content-md5": digest})).status == 204
    main.delete_object(Bucket=bucket_of_main, Key="key")
    digest = "A" * 22 + "=="
    assert_refused(
        post(closed, bucket_of_main, signed_fields(bucket_of_main, {"content-md5": digest})), 400, "BadDigest"
    )
    assert keys(main, bucket_of_main) == []


def test_fields_for_what_is_not_there_are_refused(closed: Server, main: S3Client, bucket_of_main: str) -> None:
    for name, value in (
        ("x-amz-server-side-encryption-customer-algorithm", "AES256"),
        ("x-amz-object-lock-mode", "COMPLIANCE"),
        ("x-amz-object-lock-legal-hold", "ON"),
    ):
        fields = signed_fields(bucket_of_main, {name: value})
        assert_refused(post(closed, bucket_of_main, fields), 501, "NotImplemented")
    assert keys(main, bucket_of_main) == []


# The answer


def test_the_answer_is_of_the_status_asked_for(closed: Server, bucket_of_main: str) -> None:
    for asked, status in (("200", 200), ("201", 201), ("204", 204), ("404", 204), ("", 204)):
        fields = signed_fields(bucket_of_main, {"key": "a b/é", "success_action_status": asked})
        answer = post(closed, bucket_of_main, fields)
        assert answer.status == status
        assert answer.headers["location"] == f"{closed.url}/{bucket_of_main}/a%20b/%C3%A9"
        if status != 201:
            assert answer.body == b""
            continue
        assert b"<PostResponse>" in answer.body, "without a namespace"
        assert answer.text("Location") == answer.headers["location"]
        assert answer.text("Bucket") == bucket_of_main
        assert answer.text("Key") == "a b/é"
        assert answer.text("ETag") == md5(b"data")


@pytest.mark.parametrize("name", ["success_action_redirect", "redirect"])
def test_the_answer_leads_on_to_where_it_is_asked(closed: Server, bucket_of_main: str, name: str) -> None:
    for target, before in (
        ("http://localhost/done", ""),
        ("https://www.example.com/done?a=b&c=d", "a=b&c=d"),
        ("http://localhost/done#part", ""),
    ):
        fields = signed_fields(bucket_of_main, {"key": "a b", name: target, "success_action_status": "201"})
        answer = post(closed, bucket_of_main, fields)
        assert (answer.status, answer.body) == (303, b"")
        asked, location = urlsplit(target), urlsplit(answer.headers["location"])
        assert location._replace(query="") == asked._replace(query="")
        assert location.query.startswith(before)
        assert "etag=%22" in location.query
        told = parse_qs(location.query)
        assert (told["bucket"], told["key"], told["etag"]) == ([bucket_of_main], ["a b"], [md5(b"data")])


def test_a_redirect_that_leads_nowhere_is_left_out(closed: Server, bucket_of_main: str) -> None:
    for target in ("javascript:alert(1)", "/done", "no url", "http://[", "http:", "ftp://localhost/"):
        fields = signed_fields(bucket_of_main, {"success_action_redirect": target})
        answer = post(closed, bucket_of_main, fields)
        assert answer.status == 204, target
        assert answer.headers["location"] == f"{closed.url}/{bucket_of_main}/key"


@pytest.mark.parametrize("breaks", ["\r\n", "\n", "\r", "\x00", "\x1f"])
def test_line_breaks_in_fields_never_reach_headers(
    closed: Server, main: S3Client, bucket_of_main: str, breaks: str
) -> None:
    evil = f"a{breaks}x-evil: 1{breaks}"
    for name in ("x-amz-meta-a", "Content-Type", "Cache-Control", "Content-Disposition", "acl"):
        answer = post(closed, bucket_of_main, signed_fields(bucket_of_main, {name: evil}))
        assert_refused(answer, 400, "InvalidArgument")
    for name in ("success_action_redirect", "redirect"):
        answer = post(closed, bucket_of_main, signed_fields(bucket_of_main, {name: f"http://localhost/{evil}"}))
        assert answer.status == 204
        assert "x-evil" not in answer.headers
        assert answer.headers["location"].endswith("/key")
    named = signed_fields(
        bucket_of_main, {"x-amz-meta-a": "${filename}"}, conditions=[["starts-with", "$x-amz-meta-a", ""]]
    )
    if breaks in ("\r\n", "\n", "\r"):  # browsers escape these in the names of files
        assert_refused(post(closed, bucket_of_main, named, filename=evil), 400, "InvalidArgument")
    main.delete_object(Bucket=bucket_of_main, Key="key")
    answer = post(closed, bucket_of_main, signed_fields(bucket_of_main, {"key": "a\r\nx-evil: 1"}))
    assert answer.status == 204
    assert "x-evil" not in answer.headers
    assert answer.headers["location"].endswith("/a%0D%0Ax-evil%3A%201")


def test_fields_that_headers_can_hold_come_back(closed: Server, main: S3Client, bucket_of_main: str) -> None:
    fields = signed_fields(bucket_of_main, {"x-amz-meta-a": "é 漢", "Content-Disposition": "attachment; filename=é"})
    assert post(closed, bucket_of_main, fields).status == 204
    by_put = ask(
        closed,
        "GET",
        main.generate_presigned_url("get_object", {"Bucket": bucket_of_main, "Key": "key"}).removeprefix(closed.url),
    )
    assert by_put.status == 200
    assert by_put.headers["content-disposition"].encode("latin-1") == "attachment; filename=é".encode()


# What is left of a form that fails


def test_a_form_that_breaks_off_leaves_nothing(closed: Server, main: S3Client, bucket_of_main: str) -> None:
    body = encode_form(signed_fields(bucket_of_main).items(), b"a" * 3 * MIB)
    for sent in (len(body) - 1, len(body) - 8, 2 * MIB, 500):
        with Connection(closed.port) as connection:
            connection.send(
                f"POST /{bucket_of_main} HTTP/1.1\nHost: localhost\nContent-Type: {CONTENT_TYPE}\n"
                f"Content-Length: {len(body)}\n\n"
            )
            connection.send(body[:sent])
    for cut in (len(body) - 6, len(body) - 8, 2 * MIB):
        answer = ask(closed, "POST", f"/{bucket_of_main}", {"content-type": CONTENT_TYPE}, body[:cut])
        assert_refused(answer, 400, "MalformedPOSTRequest")
    assert keys(main, bucket_of_main) == []
    assert lacks(main.list_multipart_uploads(Bucket=bucket_of_main), "Uploads")


def test_a_connection_stays_after_a_form_that_is_refused(closed: Server, bucket_of_main: str) -> None:
    body = encode_form({"key": "key"}.items(), b"data")
    with Connection(closed.port) as connection:
        for _ in range(3):
            connection.send(
                f"POST /{bucket_of_main} HTTP/1.1\nHost: localhost\nContent-Type: {CONTENT_TYPE}\n"
                f"Content-Length: {len(body)}\n\n"
            )
            connection.send(body)
            assert connection.answer().code == "AccessDenied"
        assert connection.get(f"/{bucket_of_main}/key").code == "AccessDenied"


# Versions


def test_in_a_versioned_bucket_it_is_a_version(closed: Server, main: S3Client, bucket_of_main: str) -> None:
    set_versioning(main, bucket_of_main, "Enabled")
    fields = signed_fields(bucket_of_main, {"success_action_redirect": "http://localhost/"})
    ids = [
        post(closed, bucket_of_main, form, data).headers["x-amz-version-id"]
        for form, data in ((signed_fields(bucket_of_main), b"first"), (fields, b"second"))
    ]
    assert [content(main, bucket_of_main, "key", VersionId=id) for id in ids] == [b"first", b"second"]
    set_versioning(main, bucket_of_main, "Suspended")
    answer = post(closed, bucket_of_main, signed_fields(bucket_of_main), b"third")
    assert "x-amz-version-id" not in answer.headers
    assert content(main, bucket_of_main, "key", VersionId="null") == b"third"


# Without credentials


def test_an_open_server_takes_every_form(server: Server, s3: S3Client, s3_bucket: str) -> None:
    answer = post(server, s3_bucket, {"key": "${filename}", "success_action_status": "201", "Content-Type": "a/b"})
    assert (answer.status, answer.text("Key")) == (201, "photo.jpg")
    assert post(server, s3_bucket, signed_fields(s3_bucket)).status == 204
    assert content(s3, s3_bucket, "key") == content(s3, s3_bucket, "photo.jpg") == b"data"
    assert s3.head_object(Bucket=s3_bucket, Key="photo.jpg")["ContentType"] == "a/b"


def test_an_open_server_still_holds_the_form_to_its_policy(server: Server, s3: S3Client, s3_bucket: str) -> None:
    fields = signed_fields(s3_bucket, conditions=[["content-length-range", 0, 2]])
    assert_refused(post(server, s3_bucket, fields), 400, "EntityTooLarge")
    assert_refused(post(server, s3_bucket, {**signed_fields(s3_bucket), "key": "other"}), 403, "AccessDenied")
    assert keys(s3, s3_bucket) == []


def test_an_open_server_takes_no_form_of_somebody_else_s_page(server: Server, s3: S3Client, s3_bucket: str) -> None:
    for headers in ({"origin": "http://evil.example"}, {"sec-fetch-site": "cross-site"}, {"host": "evil.example"}):
        assert_refused(post(server, s3_bucket, {"key": "key"}, headers=headers), 403, "AccessDenied")
    assert keys(s3, s3_bucket) == []
    assert re.fullmatch(r"test-[0-9a-f]{32}", s3_bucket)
