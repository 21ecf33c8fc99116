"""Cross-origin requests over HTTP: preflights, and what browsers are told with every answer."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import boto3
import pytest
from botocore.config import Config

from tests.api.asking import PART, Answer, ask, begin, content, md5, put_in_parts, refusal
from tests.api.conftest import STORES, flags_of, new_bucket
from tests.servers import Server, post3_serve

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

PAGE: Final = "https://app.example"
OTHER: Final = "https://other.example"
SHARED: Final = "access-control-allow-origin"
METHODS: Final = ["GET", "PUT", "POST", "DELETE", "HEAD"]
TEXT: Final = "hello"


def allow(s3: S3Client, bucket: str, *origins: str, methods: list[str] = METHODS, **more: Any) -> None:
    """Put one rule, that allows all headers."""
    rule = {"AllowedOrigins": list(origins), "AllowedMethods": methods, "AllowedHeaders": ["*"], **more}
    s3.put_bucket_cors(Bucket=bucket, CORSConfiguration={"CORSRules": [rule]})  # type: ignore[list-item]  # it is one


def told(answer: Answer) -> dict[str, str]:
    """What an answer tells of a rule."""
    return {
        name: value for name, value in answer.headers.items() if name.startswith("access-control-") or name == "vary"
    }


def preflight(
    server: Server, target: str, method: str | None = "GET", origin: str | None = PAGE, **headers: str
) -> Answer:
    """The answer to a browser that asks for leave; an underscore in a header's name is a hyphen."""
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    if origin is not None:
        sent["origin"] = origin
    if method is not None:
        sent["access-control-request-method"] = method
    return ask(server, "OPTIONS", target, sent)


def from_page(
    server: Server, method: str, target: str, origin: str = PAGE, body: bytes | None = None, **more: str
) -> Answer:
    """The answer to a request of a page; an underscore in a header's name is a hyphen."""
    headers = {"origin": origin, **{name.replace("_", "-"): value for name, value in more.items()}}
    return ask(server, method, target, headers, body)


# The configuration


def test_rules_come_back_as_they_were_put_until_they_are_deleted(s3: S3Client, s3_bucket: str) -> None:
    missing = (404, "NoSuchCORSConfiguration")
    rules: Any = [
        {
            "ID": "the first",
            "AllowedOrigins": ["http://*.example", "http://test.com:80", ""],
            "AllowedMethods": ["PUT", "GET"],
            "AllowedHeaders": ["x-amz-*", "Content-Type"],
            "ExposeHeaders": ["ETag", "x-amz-meta-ä"],
            "MaxAgeSeconds": 3000,
        },
        {"AllowedOrigins": ["*"], "AllowedMethods": ["GET"]},
    ]
    assert refusal(s3.get_bucket_cors, Bucket=s3_bucket) == missing
    s3.put_bucket_cors(Bucket=s3_bucket, CORSConfiguration={"CORSRules": rules})
    assert s3.get_bucket_cors(Bucket=s3_bucket)["CORSRules"] == rules
    s3.put_bucket_cors(Bucket=s3_bucket, CORSConfiguration={"CORSRules": rules[1:]})
    assert s3.get_bucket_cors(Bucket=s3_bucket)["CORSRules"] == rules[1:]
    for _ in range(2):
        assert s3.delete_bucket_cors(Bucket=s3_bucket)["ResponseMetadata"]["HTTPStatusCode"] == 204
    assert refusal(s3.get_bucket_cors, Bucket=s3_bucket) == missing


def test_rules_that_cannot_be_are_refused_and_the_old_ones_stay(server: Server, s3: S3Client, s3_bucket: str) -> None:
    allow(s3, s3_bucket, PAGE)
    before = s3.get_bucket_cors(Bucket=s3_bucket)["CORSRules"]
    rule = b"<CORSRule><AllowedOrigin>*</AllowedOrigin><AllowedMethod>%b</AllowedMethod></CORSRule>"
    for inner, code in (
        (b"", "MalformedXML"),
        (b"<CORSRule/>", "MalformedXML"),
        (rule % b"OPTIONS", "InvalidRequest"),
        (rule % b"GET" * 101, "InvalidRequest"),
        (rule % b"GET" + b" " * 65_536, "MaxMessageLengthExceeded"),
    ):
        document = b"<CORSConfiguration>%b</CORSConfiguration>" % inner
        answer = ask(server, "PUT", f"/{s3_bucket}?cors", body=document)
        assert (answer.status, answer.code) == (400, code)
    assert s3.get_bucket_cors(Bucket=s3_bucket)["CORSRules"] == before


# Preflights


def test_a_preflight_is_answered_with_the_rule_and_nothing_else(server: Server, s3: S3Client, s3_bucket: str) -> None:
    allow(s3, s3_bucket, "https://*.example", methods=["GET", "PUT"], ExposeHeaders=["ETag"], MaxAgeSeconds=60)
    wanted = {
        SHARED: PAGE,
        "access-control-allow-credentials": "true",
        "access-control-allow-methods": "GET, PUT",
        "access-control-expose-headers": "ETag",
        "access-control-max-age": "60",
        "vary": "Origin, Access-Control-Request-Headers, Access-Control-Request-Method",
    }
    s3.put_object(Bucket=s3_bucket, Key="key", Body=b"secret", Metadata={"colour": "blue"})
    for target in (f"/{s3_bucket}/key", f"/{s3_bucket}/absent", f"/{s3_bucket}", f"/{s3_bucket}/key?uploads&acl=1"):
        answer = preflight(server, target, "PUT")
        assert (answer.status, answer.body, told(answer)) == (200, b"", wanted)
        rest = answer.headers.keys() - wanted.keys()
        assert rest == {"content-length", "date", "server", "x-amz-request-id"}
    answer = preflight(server, f"/{s3_bucket}/key", access_control_request_headers="X-Amz-Acl,content-type")
    assert told(answer) == {**wanted, "access-control-allow-headers": "x-amz-acl, content-type"}


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        ({}, 400, "BadRequest"),
        ({"access-control-request-method": "GET"}, 400, "BadRequest"),
        ({"origin": PAGE}, 400, "BadRequest"),
        ({"origin": PAGE, "access-control-request-method": "PATCH"}, 400, "BadRequest"),
        ({"origin": PAGE, "access-control-request-method": "DELETE"}, 403, "AccessForbidden"),
        ({"origin": OTHER, "access-control-request-method": "GET"}, 403, "AccessForbidden"),
        (
            {
                "origin": PAGE,
                "access-control-request-method": "GET",
                "access-control-request-headers": "x-amz-date, x-other",
            },
            403,
            "AccessForbidden",
        ),
    ],
)
def test_a_preflight_that_no_rule_fits_is_refused(
    server: Server, s3: S3Client, s3_bucket: str, headers: dict[str, str], status: int, code: str
) -> None:
    allow(s3, s3_bucket, PAGE, methods=["GET"], AllowedHeaders=["x-amz-*"])
    answer = ask(server, "OPTIONS", f"/{s3_bucket}/key", headers)
    assert (answer.status, answer.code, told(answer)) == (status, code, {})
    if status == 403:
        assert answer.text("Message").startswith("CORSResponse: This CORS request is not allowed.")
        assert answer.text("Method") == headers["access-control-request-method"]
        assert answer.text("ResourceType") == "OBJECT"


def test_a_preflight_needs_a_bucket_with_rules(server: Server, s3_bucket: str) -> None:
    for target, message in (
        (f"/{s3_bucket}/key", "CORSResponse: CORS is not enabled for this bucket."),
        ("/no-such-bucket-anywhere/key", "CORSResponse: Bucket not found"),
        ("/", "CORSResponse: Bucket not found"),
    ):
        answer = preflight(server, target)
        assert (answer.status, answer.code, answer.text("Message")) == (403, "AccessForbidden", message)
        assert (answer.text("Method"), answer.text("ResourceType"), told(answer)) == ("GET", "BUCKET", {})
        assert ask(server, "OPTIONS", target).code == "BadRequest"


# A server without keys


def test_a_page_that_no_rule_names_is_served_nothing(server: Server, s3: S3Client, s3_bucket: str) -> None:
    s3.put_object(Bucket=s3_bucket, Key="key", Body=b"old")
    allow(s3, s3_bucket, PAGE, methods=["GET", "PUT"])
    for method, origin in (("GET", OTHER), ("PUT", OTHER), ("DELETE", PAGE), ("POST", PAGE), ("GET", "null")):
        target = f"/{s3_bucket}?delete" if method == "POST" else f"/{s3_bucket}/key"
        answer = from_page(server, method, target, origin, b"<Delete><Object><Key>key</Key></Object></Delete>")
        assert (answer.status, answer.code, told(answer)) == (403, "AccessDenied", {})
        assert origin in answer.text("Message")
    assert content(s3, s3_bucket, "key") == b"old"


@pytest.mark.parametrize("named", [PAGE, "https://*.example", "*"])
def test_a_page_that_a_rule_names_is_served_from_that_bucket_alone(
    server: Server, s3: S3Client, s3_bucket: str, named: str
) -> None:
    secret = new_bucket(s3)
    s3.put_object(Bucket=secret, Key="key", Body=b"secret")
    allow(s3, s3_bucket, named)
    assert from_page(server, "PUT", f"/{s3_bucket}/key", body=b"data", sec_fetch_site="cross-site").status == 200
    answer = from_page(server, "GET", f"/{s3_bucket}/key", sec_fetch_site="same-site")
    assert (answer.body, answer.headers[SHARED]) == (b"data", "*" if named == "*" else PAGE)
    copied = from_page(server, "PUT", f"/{s3_bucket}/copy", x_amz_copy_source=f"{s3_bucket}/key")
    assert copied.status == 200

    for method, target in (
        ("GET", "/"),
        ("GET", f"/{secret}"),
        ("GET", f"/{secret}/key"),
        ("DELETE", f"/{secret}/key"),
        ("PUT", "/a-new-bucket-of-a-page"),
    ):
        assert from_page(server, method, target).code == "AccessDenied"
    upload_id = begin(s3, s3_bucket, "stolen")
    for target in (f"/{s3_bucket}/stolen", f"/{s3_bucket}/stolen?uploadId={upload_id}&partNumber=1"):
        stolen = from_page(server, "PUT", target, x_amz_copy_source=f"{secret}/key")
        assert (stolen.status, stolen.code) == (403, "AccessDenied")
        assert s3_bucket in stolen.text("Message")
    assert refusal(s3.get_object, Bucket=s3_bucket, Key="stolen") == (404, "NoSuchKey")
    assert refusal(s3.head_bucket, Bucket="a-new-bucket-of-a-page")[0] == 404
    assert content(s3, secret, "key") == b"secret"


def test_rules_invite_nobody_who_comes_by_another_name_or_does_not_say_whence(
    server: Server, s3: S3Client, s3_bucket: str
) -> None:
    s3.put_object(Bucket=s3_bucket, Key="key", Body=b"data")
    allow(s3, s3_bucket, "*")
    assert from_page(server, "GET", f"/{s3_bucket}/key").status == 200
    rebound = from_page(server, "GET", f"/{s3_bucket}/key", "http://evil.example", host="evil.example")
    assert (rebound.status, rebound.code) == (403, "AccessDenied")
    assert preflight(server, f"/{s3_bucket}/key", host="evil.example").code == "AccessDenied"
    silent = ask(server, "GET", f"/{s3_bucket}/key", {"sec-fetch-site": "cross-site"})
    assert (silent.status, silent.code) == (403, "AccessDenied")


def test_the_method_that_a_page_means_to_use_later_does_not_let_it_in(
    server: Server, s3: S3Client, s3_bucket: str
) -> None:
    allow(s3, s3_bucket, PAGE, methods=["GET"])
    answer = from_page(server, "PUT", f"/{s3_bucket}/key", body=b"data", access_control_request_method="GET")
    assert (answer.status, answer.code) == (403, "AccessDenied")
    assert refusal(s3.head_object, Bucket=s3_bucket, Key="key")[0] == 404


def test_a_page_is_out_as_soon_as_the_rules_are(server: Server, s3: S3Client, s3_bucket: str) -> None:
    s3.put_object(Bucket=s3_bucket, Key="key", Body=b"data")
    allow(s3, s3_bucket, PAGE)
    assert from_page(server, "GET", f"/{s3_bucket}/key").status == 200
    s3.delete_bucket_cors(Bucket=s3_bucket)
    assert from_page(server, "GET", f"/{s3_bucket}/key").status == 403


# A server with keys


@pytest.fixture(scope="module", params=STORES)
def closed(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Server, S3Client]]:
    """A server that knows a key, and a client that has it."""
    env = {"POST3_ACCESS_KEY": "ROOTKEY", "POST3_SECRET_KEY": "open-sesame-0123"}
    flags = flags_of(request.param)
    with post3_serve(*flags, cwd=tmp_path_factory.mktemp("closed"), env=env) as server:
        client = boto3.client(
            "s3",
            endpoint_url=server.url,
            region_name="us-east-1",
            aws_access_key_id="ROOTKEY",
            aws_secret_access_key="open-sesame-0123",
            config=Config(s3={"addressing_style": "path"}, retries={"total_max_attempts": 1}),
        )
        yield server, client
        client.close()


def link(s3: S3Client, operation: str, bucket: str, key: str, **more: Any) -> str:
    """The path and query of a presigned URL."""
    url = urlsplit(s3.generate_presigned_url(operation, Params={"Bucket": bucket, "Key": key, **more}))
    return f"{url.path}?{url.query}"


def test_a_page_uploads_by_a_presigned_link_and_reads_it_back(closed: tuple[Server, S3Client]) -> None:
    server, s3 = closed
    bucket = new_bucket(s3)
    put = link(s3, "put_object", bucket, "key", ContentType="text/plain")
    assert preflight(server, put, "PUT").status == 403
    allow(s3, bucket, PAGE, ExposeHeaders=["ETag"])
    asked = preflight(server, put, "PUT", access_control_request_headers="content-type")
    assert (asked.status, asked.headers["access-control-allow-headers"]) == (200, "content-type")
    sent = from_page(server, "PUT", put, body=TEXT.encode(), content_type="text/plain", sec_fetch_site="cross-site")
    assert (sent.status, sent.headers["etag"], sent.headers[SHARED]) == (200, md5(TEXT.encode()), PAGE)
    read = from_page(server, "GET", link(s3, "get_object", bucket, "key"))
    assert (read.body, read.headers["content-type"], read.headers[SHARED]) == (TEXT.encode(), "text/plain", PAGE)
    assert read.headers["access-control-expose-headers"] == "ETag"


@pytest.mark.parametrize("authorization", ["nonsense", "AWS4-HMAC-SHA256 Credential=nobody", "AWS a:b"])
def test_a_preflight_needs_no_signature_and_takes_no_notice_of_one(
    closed: tuple[Server, S3Client], authorization: str
) -> None:
    server, s3 = closed
    bucket = new_bucket(s3)
    allow(s3, bucket, PAGE)
    target = f"/{bucket}/key"
    assert preflight(server, target, authorization=authorization).status == 200
    assert preflight(server, f"{target}?X-Amz-Signature=0&X-Amz-Expires=x").status == 200
    assert preflight(server, target, origin=None, authorization=authorization).code == "BadRequest"
    assert preflight(server, "/no-such-bucket-anywhere", authorization=authorization).code == "AccessForbidden"


def test_every_answer_to_a_page_tells_of_the_rule(closed: tuple[Server, S3Client]) -> None:
    server, s3 = closed
    bucket = new_bucket(s3)
    allow(s3, bucket, PAGE, MaxAgeSeconds=5)
    put_in_parts(s3, bucket, "key", PART, b"end")
    etag = s3.head_object(Bucket=bucket, Key="key")["ETag"]
    get = link(s3, "get_object", bucket, "key")
    answers = [
        (200, from_page(server, "GET", get)),  # streamed
        (200, from_page(server, "HEAD", link(s3, "head_object", bucket, "key"))),
        (206, from_page(server, "GET", get, range="bytes=1-5000000")),
        (304, from_page(server, "GET", get, if_none_match=etag)),
        (412, from_page(server, "GET", get, if_match='"other"')),
        (416, from_page(server, "GET", get, range="bytes=99999999-")),
        (404, from_page(server, "GET", link(s3, "get_object", bucket, "absent"))),
        (403, from_page(server, "GET", f"{get}0")),  # SignatureDoesNotMatch
        (403, from_page(server, "GET", f"/{bucket}/key")),  # AccessDenied
        (400, from_page(server, "GET", f"/{bucket}/key?X-Amz-Signature=0")),
        (405, from_page(server, "PUT", f"/{bucket}?uploads")),
        (501, from_page(server, "PUT", f"/{bucket}?something-new")),
        (204, from_page(server, "DELETE", link(s3, "delete_object", bucket, "key"))),
    ]
    assert [(answer.status, answer.headers.get(SHARED)) for _, answer in answers] == [(one, PAGE) for one, _ in answers]
    assert {answer.headers["access-control-max-age"] for _, answer in answers} == {"5"}
    assert {"Origin" in answer.headers["vary"] for _, answer in answers} == {True}
    assert answers[0][1].body == PART + b"end"


def test_a_page_that_no_rule_names_is_served_but_may_not_read(closed: tuple[Server, S3Client]) -> None:
    server, s3 = closed
    bucket = new_bucket(s3)
    allow(s3, bucket, PAGE, methods=["GET"])
    s3.put_object(Bucket=bucket, Key="key", Body=b"data")
    get, put = (link(s3, operation, bucket, "key") for operation in ("get_object", "put_object"))
    for answer in (
        from_page(server, "GET", get, OTHER),
        from_page(server, "PUT", put, PAGE, b"new"),
        from_page(server, "GET", get, PAGE, access_control_request_method="PUT"),
        ask(server, "GET", get),
        from_page(server, "GET", link(s3, "get_object", new_bucket(s3), "absent")),
        from_page(server, "GET", "/no-such-bucket-anywhere/key"),
        from_page(server, "GET", "/"),
    ):
        assert told(answer) == {}
    assert content(s3, bucket, "key") == b"new"
    wanted = from_page(server, "PUT", f"/{bucket}/key", PAGE, b"", access_control_request_method="GET")
    assert (wanted.status, wanted.headers[SHARED]) == (403, PAGE)


def test_new_rules_count_with_the_next_answer(closed: tuple[Server, S3Client]) -> None:
    server, s3 = closed
    bucket = new_bucket(s3)
    s3.put_object(Bucket=bucket, Key="key", Body=b"data")
    targets = [f"/{bucket}/key", link(s3, "get_object", bucket, "key"), link(s3, "get_object", bucket, "absent")]
    for origin, wanted in ((PAGE, PAGE), (OTHER, None), ("*", "*"), ("https://app.*", PAGE)):
        allow(s3, bucket, origin)
        answers = [from_page(server, "GET", target) for target in targets]
        assert [(one.status, one.headers.get(SHARED)) for one in answers] == [
            (403, wanted),
            (200, wanted),
            (404, wanted),
        ]
    s3.delete_bucket_cors(Bucket=bucket)
    assert [told(from_page(server, "GET", target)) for target in targets] == [{}, {}, {}]


def test_a_form_of_a_page_is_answered_with_the_rule(closed: tuple[Server, S3Client]) -> None:
    server, s3 = closed
    bucket = new_bucket(s3)
    allow(s3, bucket, PAGE, methods=["POST"])
    signed = s3.generate_presigned_post(bucket, "key")["fields"]
    parts = [
        f'--b\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n' for name, value in signed.items()
    ]
    parts.append(f'--b\r\nContent-Disposition: form-data; name="file"\r\n\r\n{TEXT}\r\n--b--\r\n')
    form = "".join(parts).encode()
    answer = from_page(server, "POST", f"/{bucket}", PAGE, form, content_type="multipart/form-data; boundary=b")
    assert (answer.status, answer.headers[SHARED]) == (204, PAGE)
    assert content(s3, bucket, "key") == TEXT.encode()
