"""Signatures over HTTP: which are taken, what tampering is refused, and what is told of why."""

from __future__ import annotations

import random
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.error import HTTPError

import botocore.auth
import pytest

from tests.api.asking import MIN_PART, Answer, ask, begin, complete, content, md5, refusal
from tests.api.conftest import closed_server, new_bucket
from tests.api.people import ADMIN, ALT, MAIN, ROOT, THIRD, Person, ask_as, client_of
from tests.api.streamed import PAYLOAD, TRAILER, UNSIGNED_TRAILER, Chunk, Streamed, streamed
from tests.api.test_post_object import post, signed_fields
from tests.bodies import crc32
from tests.forms import encode_form
from tests.rawhttp import Connection
from tests.servers import Server
from tests.signing import signed, v2_header, v4_header, v4_query

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

MIB: Final = 2**20
KIB: Final = 2**10
WRONG: Final = replace(MAIN, secret_key="wrong-secret-0123456789")
UNKNOWN: Final = replace(MAIN, access_key="UNKNOWNKEY0123456789")


def noise(size: int) -> bytes:
    return random.Random(size).randbytes(size)


@contextmanager
def at(monkeypatch: pytest.MonkeyPatch, away: timedelta) -> Iterator[None]:
    """Whoever signs has a clock that is wrong by so much."""
    with monkeypatch.context() as patch:
        patch.setattr(botocore.auth, "get_current_datetime", lambda: datetime.now(UTC).replace(tzinfo=None) + away)
        yield


def keys(main: S3Client, bucket: str) -> list[str]:
    return [one["Key"] for one in main.list_objects_v2(Bucket=bucket).get("Contents", [])]


@pytest.fixture
def v4(closed: Server) -> Iterator[S3Client]:
    """A client of the main user whose links are signed by Version 4: boto3 does that only when told."""
    with closing(client_of(closed, MAIN, signature_version="s3v4")) as client:
        yield client


def target_of(server: Server, url: str) -> str:
    assert url.startswith(server.url)
    return url.removeprefix(server.url)


# Who signs


def test_a_wrong_secret_and_an_unknown_key_are_told_apart(closed: Server, bucket_of_main: str) -> None:
    for person, code in ((WRONG, "SignatureDoesNotMatch"), (UNKNOWN, "InvalidAccessKeyId")):
        client = client_of(closed, person)
        assert refusal(client.list_buckets) == (403, code)
        assert refusal(client.put_object, Bucket=bucket_of_main, Key="key", Body=b"data") == (403, code)
        url = client.generate_presigned_url("list_objects_v2", {"Bucket": bucket_of_main})
        assert ask(closed, "GET", target_of(closed, url)).code == code
        assert post(closed, bucket_of_main, signed_fields(bucket_of_main, by=person)).code == code
        client.close()


def test_a_mismatch_tells_what_was_computed_from(closed: Server) -> None:
    answer = ask_as(closed, WRONG, "GET", "/?max-buckets=1", {"x-amz-meta-a": "b  c"})
    assert (answer.status, answer.code) == (403, "SignatureDoesNotMatch")
    assert answer.text("AWSAccessKeyId") == MAIN.access_key
    canonical = answer.text("CanonicalRequest")
    assert canonical.startswith("GET\n/\nmax-buckets=1\nhost:")
    assert "x-amz-meta-a:b c\n" in canonical
    assert answer.text("StringToSign").startswith("AWS4-HMAC-SHA256\n")
    assert bytes.fromhex(answer.text("CanonicalRequestBytes")).decode() == canonical
    assert answer.text("RequestId") == answer.headers["x-amz-request-id"]


def test_any_region_is_taken_also_none(closed: Server) -> None:
    for region in ("us-east-1", "eu-central-1", "", "moon"):
        sent = signed(
            v4_header(MAIN.access_key, MAIN.secret_key, region), target="/", host=f"{closed.host}:{closed.port}"
        )
        assert ask(closed, "GET", "/", sent.headers).status == 200
        link = signed(
            v4_query(MAIN.access_key, MAIN.secret_key, region), target="/", host=f"{closed.host}:{closed.port}"
        )
        assert ask(closed, "GET", f"/?{link.query}").status == 200


@pytest.mark.parametrize(
    ("header", "status"),
    [
        ("", 400),
        ("AWS4-HMAC-SHA256", 400),
        ("AWS4-HMAC-SHA256 Credential=a, SignedHeaders=host, Signature=b", 400),
        ("Bearer token", 400),
        ("Basic dXNlcjpwYXNz", 400),
        ("AWS4-ECDSA-P256-SHA256 Credential=a", 501),
        ("AWS key:signature", 400),
    ],
)
def test_a_header_that_is_no_signature_is_no_anonymous_request(
    closed: Server, main: S3Client, header: str, status: int
) -> None:
    bucket = new_bucket(main, ACL="public-read-write")
    assert ask(closed, "GET", f"/{bucket}").status == 200
    answer = ask(closed, "GET", f"/{bucket}", {"authorization": header})
    assert answer.status == status
    assert answer.code != "AccessDenied"


def test_two_signatures_are_one_too_many(closed: Server, main: S3Client, bucket_of_main: str) -> None:
    url = main.generate_presigned_url("list_objects_v2", {"Bucket": bucket_of_main})
    answer = ask_as(closed, MAIN, "GET", target_of(closed, url))
    assert (answer.status, answer.code) == (400, "InvalidArgument")


# When


def test_a_clock_may_be_wrong_by_a_quarter_of_an_hour(
    closed: Server, main: S3Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    for minutes in (-14, 14):
        with at(monkeypatch, timedelta(minutes=minutes)):
            assert ask_as(closed, MAIN, "GET", "/").status == 200
    for minutes, way in ((-16, "behind"), (16, "ahead of"), (-60 * 24 * 400, "behind")):
        with at(monkeypatch, timedelta(minutes=minutes)):
            answer = ask_as(closed, MAIN, "GET", "/")
        assert (answer.status, answer.code) == (403, "RequestTimeTooSkewed")
        assert way in answer.text("Message")
        assert answer.text("MaxAllowedSkewMilliseconds") == "900000"


def test_links_hold_for_their_time(
    closed: Server, main: S3Client, v4: S3Client, bucket_of_main: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    main.put_object(Bucket=bucket_of_main, Key="key", Body=b"data")
    named: Any = {"Bucket": bucket_of_main, "Key": "key"}

    def asked(away: timedelta, expires: int) -> Answer:
        with at(monkeypatch, away):
            url = v4.generate_presigned_url("get_object", named, ExpiresIn=expires)
        return ask(closed, "GET", target_of(closed, url))

    hour, week = timedelta(hours=1), timedelta(days=7)
    assert asked(-hour, 3700).body == b"data"
    assert asked(-week + hour, 604_800).body == b"data"
    assert asked(timedelta(minutes=14), 60).body == b"data"
    for answer, message in (
        (asked(-hour, 3590), "Request has expired"),
        (asked(timedelta(minutes=16), 3600), "Request is not yet valid"),
        (asked(timedelta(), 604_801), "less than a week"),
        (asked(timedelta(), 0), "Request has expired"),
        (asked(timedelta(), -1), "non-negative"),
    ):
        assert (answer.status, answer.code) == (403, "AccessDenied")
        assert message in answer.text("Message")


# Links


@pytest.mark.parametrize("version", ["s3v4", "s3"])
def test_links_do_what_they_were_signed_for(closed: Server, main: S3Client, bucket_of_main: str, version: str) -> None:
    """With urllib, as anybody would use them."""
    signer = client_of(closed, MAIN, signature_version=version)
    named: Any = {"Bucket": bucket_of_main, "Key": "a b/é+%41"}

    def link(operation: str, **more: Any) -> str:
        return signer.generate_presigned_url(operation, {**named, **more})

    def opened(method: str, url: str, body: bytes | None = None, **headers: str) -> Any:
        request = urllib.request.Request(url, body, headers, method=method)  # noqa: S310  # loopback
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
            return answer.read()

    opened("PUT", link("put_object", ContentType="text/plain"), b"data", **{"content-type": "text/plain"})
    assert opened("GET", link("get_object")) == b"data"
    assert opened("HEAD", link("head_object")) == b""
    assert (
        opened("GET", signer.generate_presigned_url("list_objects_v2", {"Bucket": bucket_of_main})).count(b"<Key>") == 1
    )
    for method, url in (("GET", link("put_object")), ("DELETE", link("get_object")), ("PUT", link("delete_object"))):
        with pytest.raises(HTTPError) as caught:
            opened(method, url, b"" if method == "PUT" else None)
        assert caught.value.code == 403
        caught.value.close()
    opened("DELETE", link("delete_object"))
    assert keys(main, bucket_of_main) == []
    signer.close()


@pytest.mark.parametrize("version", ["s3v4", "s3"])
def test_links_can_say_what_the_answer_s_headers_are(
    closed: Server, main: S3Client, bucket_of_main: str, version: str
) -> None:
    signer = client_of(closed, MAIN, signature_version=version)
    main.put_object(Bucket=bucket_of_main, Key="key", Body=b"data", ContentType="a/b")
    told = {
        "ResponseContentType": "text/x-é; a=b",
        "ResponseContentDisposition": 'attachment; filename="a b.txt"',
        "ResponseCacheControl": "no-store",
        "ResponseContentLanguage": "de",
        "ResponseContentEncoding": "x-none",
        "ResponseExpires": datetime(2033, 12, 1, tzinfo=UTC),
    }
    told.pop("ResponseContentType")
    url = signer.generate_presigned_url("get_object", {"Bucket": bucket_of_main, "Key": "key", **told})
    target = target_of(closed, url)
    answer = ask(closed, "GET", target)
    assert answer.body == b"data"
    assert answer.headers["content-type"] == "a/b"
    assert answer.headers["content-disposition"] == 'attachment; filename="a b.txt"'
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["content-language"] == "de"
    assert answer.headers["content-encoding"] == "x-none"
    for tampered in (
        target.replace("no-store", "public"),
        f"{target}&response-content-type=text/html",
        target.replace("response-cache-control", "response-content-type"),
    ):
        refused = ask(closed, "GET", tampered)
        assert (refused.status, refused.code) == (403, "SignatureDoesNotMatch")
    signer.close()


def test_whatever_of_a_link_is_tampered_with_is_refused(
    closed: Server, main: S3Client, v4: S3Client, bucket_of_main: str
) -> None:
    for key in ("key", "other"):
        main.put_object(Bucket=bucket_of_main, Key=key, Body=b"data")
    url = v4.generate_presigned_url("get_object", {"Bucket": bucket_of_main, "Key": "key"}, ExpiresIn=60)
    target = target_of(closed, url)
    assert ask(closed, "GET", target).status == 200
    for tampered in (
        target.replace("/key?", "/other?"),
        target.replace("/key?", "/key/?"),
        target.replace("X-Amz-Expires=60", "X-Amz-Expires=61"),
        target.replace("us-east-1", "us-west-1"),
        target.replace(MAIN.access_key, ALT.access_key),
        f"{target}&versionId=null",
        f"{target}&x-amz-acl=public-read",
        f"{target}&X-Amz-Content-Sha256=UNSIGNED-PAYLOAD",
        target[:-1] + ("0" if target[-1] != "0" else "1"),
        target.replace("X-Amz-Signature=", "X-Amz-Signature=0"),
    ):
        assert tampered != target
        answer = ask(closed, "GET", tampered)
        assert (answer.status, answer.code) == (403, "SignatureDoesNotMatch"), tampered
    for name in ("X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Date", "X-Amz-Expires", "X-Amz-SignedHeaders"):
        answer = ask(closed, "GET", target.replace(name, f"{name}-not"))
        assert (answer.status, answer.code) == (400, "AuthorizationQueryParametersError")
    assert ask(closed, "PUT", target, body=b"new").code == "SignatureDoesNotMatch"
    added = ask(closed, "GET", target, {"x-amz-checksum-mode": "ENABLED"})
    assert (added.status, added.code) == (403, "AccessDenied")
    assert ask(closed, "GET", target, {"host": "example.com"}).code == "SignatureDoesNotMatch"


def test_a_link_can_fix_headers_and_body(closed: Server, main: S3Client, v4: S3Client, bucket_of_main: str) -> None:
    named: Any = {
        "Bucket": bucket_of_main,
        "Key": "key",
        "ContentType": "a/b",
        "Metadata": {"a": "b"},
        "ACL": "private",
    }
    target = target_of(closed, v4.generate_presigned_url("put_object", named))
    headers = {"content-type": "a/b", "x-amz-meta-a": "b", "x-amz-acl": "private"}
    for tampered in (
        {**headers, "content-type": "text/html"},
        {**headers, "x-amz-meta-a": "c"},
        {**headers, "x-amz-acl": "public-read"},
        {"content-type": "a/b", "x-amz-acl": "private"},
    ):
        assert ask(closed, "PUT", target, tampered, b"data").code == "SignatureDoesNotMatch"
    answer = ask(closed, "PUT", target, {**headers, "x-amz-grant-read": f"id={ALT.id}"}, b"data")
    assert answer.code in ("AccessDenied", "InvalidRequest")
    assert keys(main, bucket_of_main) == []
    assert ask(closed, "PUT", target, headers, b"data").status == 200


# The old version


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that refuses Version 2 everywhere."""
    with closed_server("memory", tmp_path_factory.mktemp("strict"), "--no-sigv2") as running:
        yield running


@pytest.fixture(scope="module")
def lenient(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that takes it everywhere."""
    with closed_server("memory", tmp_path_factory.mktemp("lenient"), "--allow-sigv2") as running:
        yield running


def asked_by_v2(server: Server) -> tuple[int, int, int]:
    """What a link, a form and a header are answered that Version 2 signed."""
    client, old = client_of(server, MAIN), client_of(server, MAIN, signature_version="s3")
    bucket = new_bucket(client)
    client.put_object(Bucket=bucket, Key="key", Body=b"data")
    link = target_of(server, old.generate_presigned_url("get_object", {"Bucket": bucket, "Key": "key"}))
    form = signed_fields(bucket, {"key": "form"}, version="v2")
    sent = signed(
        v2_header(MAIN.access_key, MAIN.secret_key), target=f"/{bucket}/key", host=f"{server.host}:{server.port}"
    )
    answers = ask(server, "GET", link), post(server, bucket, form), ask(server, "GET", f"/{bucket}/key", sent.headers)
    for answer in answers:
        assert answer.status < 300 or answer.code == "InvalidRequest"
    client.close()
    old.close()
    return answers[0].status, answers[1].status, answers[2].status


def test_the_old_version_signs_links_and_forms_but_no_headers(closed: Server) -> None:
    assert asked_by_v2(closed) == (200, 204, 400)


def test_the_old_version_can_be_refused_altogether(strict: Server) -> None:
    assert asked_by_v2(strict) == (400, 400, 400)


def test_the_old_version_can_be_taken_in_headers_too(lenient: Server) -> None:
    assert asked_by_v2(lenient) == (200, 204, 200)
    with_wrong = signed(v2_header(MAIN.access_key, "wrong-secret"), target="/", host=f"{lenient.host}:{lenient.port}")
    assert ask(lenient, "GET", "/", with_wrong.headers).code == "SignatureDoesNotMatch"


def test_old_links_cannot_be_tampered_with(closed: Server, main: S3Client, bucket_of_main: str) -> None:
    old = client_of(closed, MAIN, signature_version="s3")
    for key in ("key", "other"):
        main.put_object(Bucket=bucket_of_main, Key=key, Body=b"data")
    url = old.generate_presigned_url("get_object", {"Bucket": bucket_of_main, "Key": "key"}, ExpiresIn=60)
    target = target_of(closed, url)
    assert ask(closed, "GET", target).body == b"data"
    expires = target.rpartition("Expires=")[2]
    for tampered in (
        target.replace("/key?", "/other?"),
        target.replace(expires, str(int(expires) + 1)),
        target.replace(MAIN.access_key, ALT.access_key),
        f"{target}&versionId=null",
        f"{target}&response-content-type=text/html",
        f"{target}&acl",
    ):
        assert ask(closed, "GET", tampered).code == "SignatureDoesNotMatch", tampered
    assert ask(closed, "DELETE", target).code == "SignatureDoesNotMatch"
    past = target_of(
        closed, old.generate_presigned_url("get_object", {"Bucket": bucket_of_main, "Key": "key"}, ExpiresIn=-5)
    )
    assert ask(closed, "GET", past).code == "AccessDenied"
    old.close()


# What is signed


def test_whatever_of_a_request_is_tampered_with_is_refused(closed: Server, main: S3Client, bucket_of_main: str) -> None:
    target, host = f"/{bucket_of_main}/key", f"{closed.host}:{closed.port}"
    signer = v4_header(MAIN.access_key, MAIN.secret_key)
    headers = {"content-type": "a/b", "x-amz-meta-a": "b", "content-md5": "jXd/OF09/siBXSD3SWAm3A=="}
    sent = signed(signer, "PUT", target, headers, body=b"data", host=host)
    good = dict(sent.headers)
    authorization = good["authorization"]
    mismatch, unsigned = "SignatureDoesNotMatch", "AccessDenied"
    for changed, code in (
        ({"content-type": "text/html"}, mismatch),
        ({"x-amz-meta-a": "c"}, mismatch),
        ({"x-amz-meta-a": ""}, mismatch),
        ({"x-amz-date": good["x-amz-date"][:-3] + "00Z"}, mismatch),
        ({"x-amz-content-sha256": "UNSIGNED-PAYLOAD"}, mismatch),
        ({"x-amz-acl": "public-read"}, unsigned),
        ({"x-amz-meta-b": "c"}, unsigned),
        ({"authorization": authorization.replace("us-east-1", "us-west-1")}, mismatch),
        ({"authorization": authorization.replace(MAIN.access_key, ALT.access_key)}, mismatch),
        ({"authorization": authorization.replace("content-type;", "")}, mismatch),
        ({"authorization": authorization[:-1]}, mismatch),
    ):
        if good | changed == good:
            continue  # a time that ends in 00 seconds
        answer = ask(closed, "PUT", target, {**good, **changed}, b"data")
        assert (answer.status, answer.code) == (403, code), changed
    for elsewhere in (f"{target}2", f"/{bucket_of_main}", f"{target}?acl", f"{target}?uploadId=1&partNumber=1"):
        assert ask(closed, "PUT", elsewhere, good, b"data").code == mismatch
    assert ask(closed, "POST", target, good, b"data").status in (403, 405)
    assert ask(closed, "DELETE", target, good).code == mismatch
    assert keys(main, bucket_of_main) == []
    assert ask(closed, "PUT", target, good, b"data").status == 200


def test_the_body_is_held_to_its_hash(closed: Server, main: S3Client, bucket_of_main: str) -> None:
    main.put_object(Bucket=bucket_of_main, Key="kept", Body=b"data")
    upload = begin(main, bucket_of_main, "up")
    batch = b"<Delete><Object><Key>kept</Key></Object></Delete>"
    acl = b"<AccessControlPolicy><Owner><ID>mainid</ID></Owner><AccessControlList/></AccessControlPolicy>"
    large = noise(3 * MIB + 5)
    for method, target, body, changed in (
        ("PUT", "/key", b"data", b"Data"),
        ("PUT", "/key", b"data", b"data+"),
        ("PUT", "/key", large, large[:-1] + b"x"),
        ("PUT", "/key", b"x" + large, large + b"x"),
        ("PUT", f"/up?partNumber=1&uploadId={upload}", b"data", b"Data"),
        ("POST", "?delete", batch.replace(b"kept", b"none"), batch),
        ("PUT", "?acl", acl.replace(b"ID>mainid", b"ID>altid"), acl),
        ("PUT", "?policy", b"{}", b"{ }"),
    ):
        host = f"{closed.host}:{closed.port}"
        signer = v4_header(MAIN.access_key, MAIN.secret_key)
        sent = signed(signer, method, f"/{bucket_of_main}{target}", body=body, host=host)
        answer = ask(closed, method, f"/{bucket_of_main}{target}", sent.headers, changed)
        assert (answer.status, answer.code) == (400, "XAmzContentSHA256Mismatch"), (method, target)
    assert keys(main, bucket_of_main) == ["kept"]
    assert "Parts" not in main.list_parts(Bucket=bucket_of_main, Key="up", UploadId=upload)
    assert len(main.get_bucket_acl(Bucket=bucket_of_main)["Grants"]) == 1


# Bodies that are signed while they are sent


def sent(server: Server, target: str, request: Streamed) -> Answer | None:
    """The answer; None when the server hung up on the rest of a body that it had refused."""
    try:
        return ask(server, "PUT", target, request.headers, request.wire())
    except ConnectionError:
        return None


def cut(data: bytes, size: int) -> list[bytes]:
    return [data[start : start + size] for start in range(0, len(data), size)]


BODIES: Final[dict[str, Callable[[], list[bytes]]]] = {
    "empty": list,
    "small": lambda: [b"data"],
    "chunks": lambda: cut(noise(40_000), 8 * KIB),
    "more than 3 MiB": lambda: cut(noise(3 * MIB + 12_345), 64 * KIB),
    "large chunks": lambda: cut(noise(5 * MIB), 2 * MIB),
    "one chunk of 40 MiB": lambda: [noise(40 * MIB)],
}


@pytest.mark.parametrize("kind", [PAYLOAD, TRAILER, UNSIGNED_TRAILER])
@pytest.mark.parametrize("name", BODIES)
def test_bodies_signed_in_chunks_are_taken(
    closed: Server, main: S3Client, bucket_of_main: str, name: str, kind: str
) -> None:
    datas = BODIES[name]()
    whole = b"".join(datas)
    trailers = None if kind == PAYLOAD else {"x-amz-checksum-crc32": crc32(whole)}
    request = streamed(
        closed,
        MAIN,
        f"/{bucket_of_main}/key",
        datas,
        kind,
        trailers=trailers,
        headers={"content-encoding": "aws-chunked", "content-type": "a/b"},
    )
    answer = ask(closed, "PUT", f"/{bucket_of_main}/key", request.headers, request.wire())
    assert (answer.status, answer.headers.get("etag")) == (200, md5(whole)), answer.body
    stored: Any = main.get_object(Bucket=bucket_of_main, Key="key", ChecksumMode="ENABLED")
    assert stored["Body"].read() == whole
    assert stored["ContentType"] == "a/b"
    assert "ContentEncoding" not in stored
    if trailers:
        assert stored["ChecksumCRC32"] == crc32(whole)


@pytest.mark.parametrize(
    ("told", "stored"),
    [
        ("aws-chunked", None),
        ("aws-chunked,gzip", "gzip"),
        ("gzip, aws-chunked", "gzip"),
        ("AWS-Chunked", None),
        ("gzip", "gzip"),
    ],
)
def test_the_framing_is_no_encoding_of_the_object(
    closed: Server, main: S3Client, bucket_of_main: str, told: str, stored: str | None
) -> None:
    headers = {"content-encoding": told}
    request = streamed(closed, MAIN, f"/{bucket_of_main}/key", [b"data"], headers=headers)
    assert ask(closed, "PUT", f"/{bucket_of_main}/key", request.headers, request.wire()).status == 200
    assert main.head_object(Bucket=bucket_of_main, Key="key").get("ContentEncoding") == stored


def flipped(data: bytes, place: int) -> bytes:
    changed = bytearray(data)
    changed[place] ^= 1
    return bytes(changed)


def other(signature: str) -> str:
    return signature[:-1] + ("0" if signature[-1] != "0" else "1")


def tamperings(good: Streamed) -> Iterator[tuple[str, Streamed]]:
    """All that can be done to a body on its way."""
    chunks, last = good.chunks, len(good.chunks) - 1
    for number in sorted({0, last // 2, last - 1}):
        chunk = chunks[number]
        for place in (0, len(chunk.data) // 2, -1):
            yield f"byte {place} of chunk {number}", good.with_chunk(number, data=flipped(chunk.data, place))
        yield f"the signature of chunk {number}", good.with_chunk(number, signature=other(chunk.signature))
        yield f"a shorter signature of chunk {number}", good.with_chunk(number, signature=chunk.signature[:-2])
        yield f"without chunk {number}", replace(good, chunks=(*chunks[:number], *chunks[number + 1 :]))
        yield f"chunk {number} twice", replace(good, chunks=(*chunks[: number + 1], *chunks[number:]))
        half = len(chunk.data) // 2
        parts = (Chunk(chunk.data[:half], chunk.signature), Chunk(chunk.data[half:], chunk.signature))
        yield f"chunk {number} in two", replace(good, chunks=(*chunks[:number], *parts, *chunks[number + 1 :]))
    if last > 1:
        one, two = chunks[0], chunks[1]
        yield "the order", replace(good, chunks=(two, one, *chunks[2:]))
        swapped = good.with_chunk(0, data=two.data).with_chunk(1, data=one.data)
        yield "the order of the bytes", swapped
        merged = Chunk(one.data + two.data, two.signature)
        yield "two chunks as one", replace(good, chunks=(merged, *chunks[2:]))
    yield "the last signature", good.with_chunk(last, signature=other(chunks[last].signature))
    yield "no last chunk", replace(good, chunks=chunks[:-1])
    if last > 1:
        yield "the end after the first chunk", replace(good, chunks=(chunks[0], chunks[last]))
    if good.trailers:
        ((name, value),) = good.trailers
        yield "the trailer", replace(good, trailers=((name, crc32(b"other")),))
        yield "no trailer", replace(good, trailers=())
        yield "another trailer", replace(good, trailers=(("x-amz-checksum-crc32c", value),))
        yield "one more trailer", replace(good, trailers=(*good.trailers, ("x-amz-meta-a", "b")))
        yield "the trailer's signature", replace(good, trailer_signature=other(good.trailer_signature))
        yield "no signature of the trailer", replace(good, trailer_signature="")
        chunk_signature = chunks[last].signature
        yield "the last chunk's signature for the trailer", replace(good, trailer_signature=chunk_signature)


@pytest.mark.parametrize("kind", [PAYLOAD, TRAILER])
@pytest.mark.parametrize("name", ["small", "chunks", "more than 3 MiB"])
def test_whatever_of_a_signed_body_is_tampered_with_is_refused(
    closed: Server, main: S3Client, bucket_of_main: str, name: str, kind: str
) -> None:
    datas, target = BODIES[name](), f"/{bucket_of_main}/key"
    whole = b"".join(datas)
    trailers = {"x-amz-checksum-crc32": crc32(whole)} if kind == TRAILER else None
    good = streamed(closed, MAIN, target, datas, kind, trailers=trailers)
    for what, tampered in tamperings(good):
        answer = sent(closed, target, tampered)
        assert answer is None or answer.status in (400, 403), what
        if what.startswith(("byte", "the order", "the signature", "the last")):
            assert answer is None or answer.code == "SignatureDoesNotMatch", what
    for behind in (b"more", b"0\r\n\r\n"):
        answer = ask(closed, "PUT", target, good.headers, good.wire() + behind)
        assert answer.status == 400
    for missing in (1, 2, 3, 60):
        assert ask(closed, "PUT", target, good.headers, good.wire()[:-missing]).status == 400
    assert keys(main, bucket_of_main) == []
    assert ask(closed, "PUT", target, good.headers, good.wire()).status == 200


def test_one_byte_of_a_chunk_of_40_mib_is_missed_by_nobody(closed: Server, main: S3Client, bucket_of_main: str) -> None:
    target = f"/{bucket_of_main}/key"
    good = streamed(closed, MAIN, target, [noise(40 * MIB)])
    for place in (20 * MIB, -1):
        tampered = good.with_chunk(0, data=flipped(good.chunks[0].data, place))
        answer = sent(closed, target, tampered)
        assert answer is None or (answer.status, answer.code) == (403, "SignatureDoesNotMatch")
    assert keys(main, bucket_of_main) == []


def test_a_signature_of_another_s_body_is_none(closed: Server, main: S3Client, bucket_of_main: str) -> None:
    """A chain begins with its own request: bodies cannot be exchanged between two requests that are both right."""
    target = f"/{bucket_of_main}/key"
    one = streamed(closed, MAIN, target, [b"a" * 9000, b"b"])
    two = streamed(closed, MAIN, target, [b"c" * 9000, b"d"], headers={"x-amz-meta-a": "b"})
    exchanged = replace(one, chunks=two.chunks)
    answer = sent(closed, target, exchanged)
    assert answer is not None
    assert (answer.status, answer.code) == (403, "SignatureDoesNotMatch")
    by_alt = streamed(closed, replace(MAIN, secret_key=ALT.secret_key), target, [b"data"])
    answer = sent(closed, target, by_alt)
    assert answer is not None
    assert answer.code == "SignatureDoesNotMatch"
    assert keys(main, bucket_of_main) == []


def test_the_declared_length_is_held(closed: Server, main: S3Client, bucket_of_main: str) -> None:
    target = f"/{bucket_of_main}/key"
    for kind, trailers in ((PAYLOAD, None), (TRAILER, {"x-amz-checksum-crc32": crc32(b"data")})):
        for decoded in (0, 3, 5, 2**30):
            request = streamed(closed, MAIN, target, [b"data"], kind, trailers=trailers, decoded=decoded)
            answer = ask(closed, "PUT", target, request.headers, request.wire())
            assert (answer.status, answer.code) == (400, "IncompleteBody")
    right = streamed(closed, MAIN, target, [b"data"])
    changed = {**right.headers, "x-amz-decoded-content-length": "5"}
    assert ask(closed, "PUT", target, changed, right.wire()).code == "SignatureDoesNotMatch"
    assert keys(main, bucket_of_main) == []


def test_a_signed_stream_without_a_signature_is_refused(closed: Server, main: S3Client) -> None:
    bucket = new_bucket(main, ACL="public-read-write")
    target = f"/{bucket}/key"
    request = streamed(closed, MAIN, target, [b"data"])
    bare = {name: value for name, value in request.headers.items() if name != "authorization"}
    answer = ask(closed, "PUT", target, bare, request.wire())
    assert (answer.status, answer.code) == (400, "InvalidRequest")
    unsigned = streamed(
        closed, MAIN, target, [b"data"], UNSIGNED_TRAILER, trailers={"x-amz-checksum-crc32": crc32(b"data")}
    )
    bare = {name: value for name, value in unsigned.headers.items() if name != "authorization"}
    assert ask(closed, "PUT", target, bare, unsigned.wire()).status == 200
    wrong = replace(unsigned, trailers=(("x-amz-checksum-crc32", crc32(b"other")),))
    answer = ask(closed, "PUT", f"{target}2", bare, wrong.wire())
    assert (answer.status, answer.code) == (400, "BadDigest")


def test_parts_and_documents_may_be_signed_in_chunks_too(closed: Server, main: S3Client, bucket_of_main: str) -> None:
    upload = begin(main, bucket_of_main, "key")
    target = f"/{bucket_of_main}/key?partNumber=1&uploadId={upload}"
    datas = cut(noise(MIN_PART + 10), MIB)
    good = streamed(closed, MAIN, target, datas)
    bad = good.with_chunk(2, data=flipped(good.chunks[2].data, 5))
    answer = sent(closed, target, bad)
    assert answer is None or answer.status == 403
    assert "Parts" not in main.list_parts(Bucket=bucket_of_main, Key="key", UploadId=upload)
    etag = ask(closed, "PUT", target, good.headers, good.wire()).headers["etag"]
    complete(main, bucket_of_main, "key", upload, [{"PartNumber": 1, "ETag": etag}])
    assert content(main, bucket_of_main, "key") == b"".join(datas)
    document = b"<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>"
    target = f"/{bucket_of_main}?versioning"
    good = streamed(closed, MAIN, target, [document])
    bad = good.with_chunk(0, data=document.replace(b"Enabled", b"enabled"))
    assert ask(closed, "PUT", target, bad.headers, bad.wire()).code == "SignatureDoesNotMatch"
    assert "Status" not in main.get_bucket_versioning(Bucket=bucket_of_main)
    assert ask(closed, "PUT", target, good.headers, good.wire()).status == 200
    assert main.get_bucket_versioning(Bucket=bucket_of_main)["Status"] == "Enabled"


# Connections


def head_of(method: str, target: str, headers: Any) -> str:
    return "\n".join([f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items()), "", ""])


def test_a_connection_stays_after_a_refusal(closed: Server, main: S3Client, bucket_of_main: str) -> None:
    target, host = f"/{bucket_of_main}/key", f"{closed.host}:{closed.port}"
    good = signed(v4_header(MAIN.access_key, MAIN.secret_key), "PUT", target, body=b"data", host=host).headers
    with Connection(closed.port) as connection:
        for changed, code in (
            ({"x-amz-date": "20200101T000000Z"}, "AuthorizationHeaderMalformed"),
            ({"x-amz-meta-a": "b"}, "AccessDenied"),
            ({"x-amz-content-sha256": "0" * 64}, "SignatureDoesNotMatch"),
            ({"authorization": "AWS4-HMAC-SHA256 x"}, "AuthorizationHeaderMalformed"),
        ):
            connection.send(head_of("PUT", target, {**good, "content-length": "4", **changed}))
            connection.send(b"data")
            answer = connection.answer()
            assert answer.status in (400, 403), changed
            assert answer.code in (code, "RequestTimeTooSkewed"), changed
        connection.send(head_of("PUT", target, {**good, "content-length": "4"}))
        connection.send(b"data")
        assert connection.answer().status == 200
    assert content(main, bucket_of_main, "key") == b"data"


def test_who_waits_to_send_a_body_is_refused_before(closed: Server, bucket_of_main: str) -> None:
    target, host = f"/{bucket_of_main}/key", f"{closed.host}:{closed.port}"
    wrong = signed(v4_header(WRONG.access_key, WRONG.secret_key), "PUT", target, body=b"data", host=host).headers
    with Connection(closed.port) as connection:
        connection.send(head_of("PUT", target, {**wrong, "content-length": "4", "expect": "100-continue"}))
        answer = connection.answer()
        assert (answer.status, answer.code) == (403, "SignatureDoesNotMatch")


# What is told


CAUSE: Final = "The request was signed for Host 'proxy.example'"


def test_the_likely_cause_is_told_to_whoever_holds_the_key(closed: Server, bucket_of_main: str) -> None:
    """A proxy may have rewritten the host: only the right secret can sign what it was before."""
    target = f"/{bucket_of_main}"
    here = {"host": f"{closed.host}:{closed.port}", "x-forwarded-host": "proxy.example"}
    for person, is_told in ((MAIN, True), (WRONG, False)):
        sent = signed(v4_header(person.access_key, person.secret_key), target=target, host="proxy.example")
        answer = ask(closed, "GET", target, {**sent.headers, **here})
        assert answer.code == "SignatureDoesNotMatch"
        assert (CAUSE in answer.text("Message")) == is_told
    pasted = signed(v4_header(ALT.access_key, f"{ALT.secret_key}\n"), target=target, host=here["host"])
    assert "white space" in ask(closed, "GET", target, pasted.headers).text("Message")


def test_the_log_tells_causes_and_no_secret(tmp_path: Path) -> None:
    with closed_server("memory", tmp_path, "--access-log") as server:
        main = client_of(server, MAIN)
        bucket = new_bucket(main)
        target, here = f"/{bucket}", {"host": f"{server.host}:{server.port}", "x-forwarded-host": "proxy.example"}
        sent = signed(v4_header(MAIN.access_key, MAIN.secret_key), target=target, host="proxy.example")
        assert ask(server, "GET", target, {**sent.headers, **here}).status == 403
        for person in (MAIN, ALT, THIRD, ADMIN, ROOT, WRONG):
            ask_as(server, person, "GET", target)
            ask_as(server, replace(person, access_key=person.secret_key), "GET", target)
            post(server, bucket, signed_fields(bucket, by=person))
            pasted = signed(v4_header(person.access_key, f" {person.secret_key}"), target=target, host=here["host"])
            ask(server, "GET", target, pasted.headers)
        url = main.generate_presigned_url("get_object", {"Bucket": bucket, "Key": "key"})
        signature = url.rpartition("X-Amz-Signature=")[2]
        ask(server, "GET", target_of(server, url))
        main.close()
        server.process.terminate()
        said, _ = server.process.communicate(timeout=20)
        told = said + server.process.complained()
    assert CAUSE in told
    assert MAIN.access_key in told
    for person in (MAIN, ALT, THIRD, ADMIN, ROOT, WRONG):
        assert person.secret_key not in told
    assert signature not in told, "a link is as good as a secret as long as it holds"


def test_forms_are_told_nothing_of_others(closed: Server, bucket_of_main: str) -> None:
    body = encode_form(signed_fields(bucket_of_main, by=WRONG).items(), b"data")
    assert MAIN.secret_key.encode() not in body
    answer = post(closed, bucket_of_main, signed_fields(bucket_of_main, by=WRONG))
    assert answer.code == "SignatureDoesNotMatch"
    assert MAIN.secret_key not in answer.body.decode()


def test_two_people_are_two(closed: Server, main: S3Client, bucket_of_main: str) -> None:
    for person in (MAIN, ALT, THIRD, ADMIN, ROOT):
        answer = ask_as(closed, person, "GET", "/")
        assert answer.texts("ID")[0] == person.id
        assert answer.texts("DisplayName")[0] == person.display_name
    assert isinstance(MAIN, Person)
