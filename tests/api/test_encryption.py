"""Encryption with the server's keys, over HTTP on every store: what is asked for, told, stored, copied and refused."""

from __future__ import annotations

import base64
import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import asyncpg
import boto3
import pytest
from botocore.config import Config

from tests.api.asking import PART, ask, begin, complete, content, error_of, lacks, refusal, send
from tests.api.conftest import STORES, flags_of, new_bucket
from tests.conftest import some_bytes
from tests.databases import database_url
from tests.servers import Server, post3_serve

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

KEYS: Final = {name: base64.b64encode(os.urandom(32)).decode() for name in ("one", "two")}
SSE: Final = "x-amz-server-side-encryption"
KEY_ID: Final = f"{SSE}-aws-kms-key-id"
SSE_S3: Final[Any] = {"ServerSideEncryption": "AES256"}
SSE_KMS: Final[Any] = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": "two"}
WAYS: Final = (SSE_S3, SSE_KMS)
LARGE: Final = some_bytes(2 * 2**20 + 4711)
SECRET: Final = b"nobody who has the disk alone may read this line; "


def keys_file(folder: Path, default: str, *names: str) -> Path:
    """A file of master keys."""
    path = folder / f"{default}-{'-'.join(names)}.json"
    path.write_text(json.dumps({"default": default, "keys": {name: KEYS[name] for name in names}}))
    return path


@pytest.fixture(scope="module", params=STORES)
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with master keys, on each store."""
    folder = tmp_path_factory.mktemp("encrypted")
    keys = keys_file(folder, "one", "one", "two")
    with post3_serve(*flags_of(request.param), "--master-keys", str(keys), cwd=folder) as running:
        yield running


@pytest.fixture(scope="module")
def s3(server: Server) -> Iterator[S3Client]:
    client = client_of(server)
    yield client
    client.close()


def client_of(server: Server) -> S3Client:
    config = Config(s3={"addressing_style": "path"}, retries={"total_max_attempts": 1}, read_timeout=30)
    return boto3.client(
        "s3",
        endpoint_url=server.url,
        region_name="us-east-1",
        aws_access_key_id="anyone",
        aws_secret_access_key="anything",
        config=config,
    )


def told(answer: Any) -> dict[str, str]:
    """What an answer says of encryption."""
    return {name: answer[name] for name in ("ServerSideEncryption", "SSEKMSKeyId") if name in answer}


def set_default(s3: S3Client, bucket: str, algorithm: str, key_id: str | None = None) -> None:
    default: Any = {"SSEAlgorithm": algorithm, **({"KMSMasterKeyID": key_id} if key_id else {})}
    rules: Any = [{"ApplyServerSideEncryptionByDefault": default}]
    s3.put_bucket_encryption(Bucket=bucket, ServerSideEncryptionConfiguration={"Rules": rules})


# Putting and getting


@pytest.mark.parametrize("way", WAYS, ids=str)
@pytest.mark.parametrize("size", [0, 1, 16 * 1024, 16 * 1024 + 1, 2**20 - 16, 2**20 - 15, 2**20, len(LARGE)])
def test_an_encrypted_object_is_told_and_read_like_any_other(s3: S3Client, s3_bucket: str, size: int, way: Any) -> None:
    data = LARGE[:size]
    put = s3.put_object(Bucket=s3_bucket, Key="key", Body=data, **way)
    assert told(put) == way
    assert put["ETag"] == f'"{hashlib.md5(data).hexdigest()}"'  # noqa: S324  # what S3 calls an ETag

    got, head = s3.get_object(Bucket=s3_bucket, Key="key"), s3.head_object(Bucket=s3_bucket, Key="key")
    assert (told(got), told(head)) == (way, way)
    assert (got["ContentLength"], head["ContentLength"], got["Body"].read()) == (size, size, data)
    assert s3.list_objects_v2(Bucket=s3_bucket)["Contents"][0]["Size"] == size
    attributes = s3.get_object_attributes(Bucket=s3_bucket, Key="key", ObjectAttributes=["ObjectSize", "Checksum"])
    assert attributes["ObjectSize"] == size
    assert attributes["Checksum"]["ChecksumCRC32"] == put["ChecksumCRC32"]


def test_what_is_not_encrypted_says_nothing_of_it(s3: S3Client, s3_bucket: str) -> None:
    assert told(s3.put_object(Bucket=s3_bucket, Key="key", Body=b"data")) == {}
    assert told(s3.get_object(Bucket=s3_bucket, Key="key")) == {}


@pytest.mark.parametrize(
    ("start", "stop"),
    [(0, 1), (0, 2**20), (2**20 - 17, 2**20 - 15), (2**20 - 16, 2**20), (2**21, len(LARGE)), (5, 2**21)],
)
def test_any_range_is_decrypted(s3: S3Client, s3_bucket: str, start: int, stop: int) -> None:
    s3.put_object(Bucket=s3_bucket, Key="key", Body=LARGE, **SSE_S3)
    got = s3.get_object(Bucket=s3_bucket, Key="key", Range=f"bytes={start}-{stop - 1}")
    assert got["ContentRange"] == f"bytes {start}-{stop - 1}/{len(LARGE)}"
    assert got["Body"].read() == LARGE[start:stop]


@pytest.mark.parametrize("header", [{SSE: "AES256"}, {SSE: "aws:kms", KEY_ID: "two"}, {KEY_ID: "two"}])
def test_a_read_that_asks_for_encryption_is_refused(
    server: Server, s3: S3Client, s3_bucket: str, header: dict[str, str]
) -> None:
    s3.put_object(Bucket=s3_bucket, Key="key", Body=b"data", **SSE_S3)
    refused = ask(server, "GET", f"/{s3_bucket}/key", header)
    assert (refused.status, refused.code) == (400, "InvalidArgument")
    assert ask(server, "HEAD", f"/{s3_bucket}/key", header).status == 400


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({SSE: "AES192"}, "InvalidArgument"),
        ({SSE: "aes:kms"}, "InvalidArgument"),
        ({SSE: "AES256", KEY_ID: "two"}, "InvalidArgument"),
        ({SSE: "aws:kms"}, "InvalidArgument"),
        ({KEY_ID: "two"}, "InvalidArgument"),
        ({SSE: "aws:kms", KEY_ID: "three"}, "KMS.NotFoundException"),
        ({SSE: "AES256", f"{SSE}-customer-algorithm": "AES256"}, "InvalidArgument"),
    ],
)
def test_what_makes_no_sense_is_refused_and_stores_nothing(
    server: Server, s3: S3Client, s3_bucket: str, headers: dict[str, str], code: str
) -> None:
    s3.put_object(Bucket=s3_bucket, Key="source", Body=b"data")
    for method, path, more in (
        ("PUT", "key", {}),
        ("PUT", "key", {"x-amz-copy-source": f"{s3_bucket}/source"}),
        ("POST", "key?uploads", {}),
    ):
        refused = ask(server, method, f"/{s3_bucket}/{path}", {**more, **headers}, b"")
        assert (refused.status, refused.code) == (400, code)
    assert lacks(s3.list_multipart_uploads(Bucket=s3_bucket), "Uploads")
    assert refusal(s3.get_object, Bucket=s3_bucket, Key="key") == (404, "NoSuchKey")


def test_what_is_not_there_yet_is_not_promised(server: Server, s3_bucket: str) -> None:
    for headers in (
        {f"{SSE}-customer-algorithm": "AES256"},
        {SSE: "aws:kms", KEY_ID: "two", f"{SSE}-context": "e30="},
        {SSE: "aws:kms:dsse", KEY_ID: "two"},
    ):
        refused = ask(server, "PUT", f"/{s3_bucket}/key", headers, b"data")
        assert (refused.status, refused.code) == (501, "NotImplemented")


# Parts


@pytest.mark.parametrize("way", WAYS, ids=str)
def test_every_part_is_encrypted_as_the_upload_was_begun(s3: S3Client, s3_bucket: str, way: Any) -> None:
    begun = s3.create_multipart_upload(Bucket=s3_bucket, Key="key", **way)
    s3.put_object(Bucket=s3_bucket, Key="source", Body=PART)
    upload_id = begun["UploadId"]
    one = s3.upload_part(Bucket=s3_bucket, Key="key", UploadId=upload_id, PartNumber=1, Body=PART)
    copied = s3.upload_part_copy(
        Bucket=s3_bucket, Key="key", UploadId=upload_id, PartNumber=2, CopySource=f"{s3_bucket}/source"
    )
    three = s3.upload_part(Bucket=s3_bucket, Key="key", UploadId=upload_id, PartNumber=3, Body=b"the end")
    etags = one["ETag"], copied["CopyPartResult"]["ETag"], three["ETag"]
    made = complete(
        s3, s3_bucket, "key", upload_id, [{"PartNumber": number, "ETag": etag} for number, etag in enumerate(etags, 1)]
    )
    whole = PART + PART + b"the end"

    assert [told(answer) for answer in (begun, one, copied, three, made)] == [way] * 5
    got = s3.get_object(Bucket=s3_bucket, Key="key")
    assert (told(got), got["Body"].read() == whole) == (way, True)
    for number, data in enumerate((PART, PART, b"the end"), 1):
        assert content(s3, s3_bucket, "key", PartNumber=number) == data
    edge = len(PART)
    assert content(s3, s3_bucket, "key", Range=f"bytes={edge - 3}-{2 * edge + 2}") == whole[edge - 3 : 2 * edge + 3]
    assert s3.list_objects_v2(Bucket=s3_bucket, Prefix="key")["Contents"][0]["Size"] == len(whole)


def test_a_part_says_nothing_of_encryption(server: Server, s3: S3Client, s3_bucket: str) -> None:
    upload_id = begin(s3, s3_bucket, "key", **SSE_KMS)
    headers = {SSE: "aws:kms", KEY_ID: "not-there"}
    sent = ask(server, "PUT", f"/{s3_bucket}/key?partNumber=1&uploadId={upload_id}", headers, b"data")
    assert (sent.status, sent.headers[KEY_ID]) == (200, "two")
    (part,) = s3.list_parts(Bucket=s3_bucket, Key="key", UploadId=upload_id)["Parts"]
    assert part["Size"] == 4


# Copies


@pytest.mark.parametrize("size", [100, len(LARGE)])
@pytest.mark.parametrize("source", [{}, *WAYS], ids=str)
@pytest.mark.parametrize("target", [{}, *WAYS], ids=str)
def test_a_copy_is_encrypted_as_it_is_asked_for(
    s3: S3Client, s3_bucket: str, source: Any, target: Any, size: int
) -> None:
    s3.put_object(Bucket=s3_bucket, Key="source", Body=LARGE[:size], **source)
    copied = s3.copy_object(Bucket=s3_bucket, Key="copy", CopySource=f"{s3_bucket}/source", **target)
    assert told(copied) == target
    s3.delete_object(Bucket=s3_bucket, Key="source")
    got = s3.get_object(Bucket=s3_bucket, Key="copy")
    assert (told(got), got["Body"].read()) == (target, LARGE[:size])


@pytest.mark.parametrize("target", [{}, *WAYS], ids=str)
def test_an_encrypted_object_becomes_a_part(s3: S3Client, s3_bucket: str, target: Any) -> None:
    s3.put_object(Bucket=s3_bucket, Key="source", Body=LARGE, **SSE_KMS)
    upload_id = begin(s3, s3_bucket, "key", **target)
    part = s3.upload_part_copy(
        Bucket=s3_bucket, Key="key", UploadId=upload_id, PartNumber=3, CopySource=f"{s3_bucket}/source"
    )
    complete(s3, s3_bucket, "key", upload_id, [{"PartNumber": 3, "ETag": part["CopyPartResult"]["ETag"]}])
    assert content(s3, s3_bucket, "key") == LARGE

    upload_id = begin(s3, s3_bucket, "range", **target)
    part = s3.upload_part_copy(
        Bucket=s3_bucket,
        Key="range",
        UploadId=upload_id,
        PartNumber=7,
        CopySource=f"{s3_bucket}/source",
        CopySourceRange="bytes=5-1048580",
    )
    complete(s3, s3_bucket, "range", upload_id, [{"PartNumber": 7, "ETag": part["CopyPartResult"]["ETag"]}])
    assert content(s3, s3_bucket, "range") == LARGE[5:1048581]


def test_a_copy_to_itself_may_change_the_encryption(s3: S3Client, s3_bucket: str) -> None:
    s3.put_object(Bucket=s3_bucket, Key="key", Body=LARGE, Metadata={"colour": "blue"})
    for way in (SSE_S3, SSE_KMS, SSE_S3):
        assert told(s3.copy_object(Bucket=s3_bucket, Key="key", CopySource=f"{s3_bucket}/key", **way)) == way
        got = s3.get_object(Bucket=s3_bucket, Key="key")
        assert (got["Metadata"], got["Body"].read()) == ({"colour": "blue"}, LARGE)


def test_a_copy_between_buckets_is_the_target_s(s3: S3Client, s3_bucket: str) -> None:
    other = new_bucket(s3)
    set_default(s3, other, "aws:kms", "two")
    s3.put_object(Bucket=s3_bucket, Key="key", Body=LARGE, **SSE_S3)
    assert told(s3.copy_object(Bucket=other, Key="key", CopySource=f"{s3_bucket}/key")) == SSE_KMS
    assert content(s3, other, "key") == LARGE


# A bucket's default


def test_a_bucket_has_no_default_until_it_gets_one(s3: S3Client, s3_bucket: str) -> None:
    missing = (404, "ServerSideEncryptionConfigurationNotFoundError")
    assert refusal(s3.get_bucket_encryption, Bucket=s3_bucket) == missing
    s3.delete_bucket_encryption(Bucket=s3_bucket)
    set_default(s3, s3_bucket, "aws:kms", "two")
    (rule,) = s3.get_bucket_encryption(Bucket=s3_bucket)["ServerSideEncryptionConfiguration"]["Rules"]
    assert rule == {
        "ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": "two"},
        "BucketKeyEnabled": False,
    }
    deleted = s3.delete_bucket_encryption(Bucket=s3_bucket)
    assert deleted["ResponseMetadata"]["HTTPStatusCode"] == 204
    assert refusal(s3.get_bucket_encryption, Bucket=s3_bucket) == missing


@pytest.mark.parametrize("data", [b"small", LARGE])
def test_the_default_is_taken_where_a_request_says_nothing(s3: S3Client, s3_bucket: str, data: bytes) -> None:
    # The server knows the bucket as it was before: what it stores is encrypted all the same.
    s3.put_object(Bucket=s3_bucket, Key="before", Body=data)
    for way, default in ((SSE_S3, ("AES256",)), (SSE_KMS, ("aws:kms", "two")), (SSE_S3, ("AES256",))):
        set_default(s3, s3_bucket, *default)
        assert told(s3.put_object(Bucket=s3_bucket, Key="key", Body=data)) == way
        got = s3.get_object(Bucket=s3_bucket, Key="key")
        assert (told(got), got["Body"].read()) == (way, data)
        s3.put_object(Bucket=s3_bucket, Key="other", Body=b"now it knows it as it is", **SSE_S3)
        assert told(s3.create_multipart_upload(Bucket=s3_bucket, Key="parts")) == way
        assert told(s3.copy_object(Bucket=s3_bucket, Key="copy", CopySource=f"{s3_bucket}/before")) == way
        assert content(s3, s3_bucket, "copy") == data
    assert told(s3.head_object(Bucket=s3_bucket, Key="before")) == {}


def test_a_request_wins_over_the_default(s3: S3Client, s3_bucket: str) -> None:
    set_default(s3, s3_bucket, "AES256")
    assert told(s3.put_object(Bucket=s3_bucket, Key="key", Body=b"data", **SSE_KMS)) == SSE_KMS


def test_a_default_that_is_gone_is_taken_no_longer(s3: S3Client, s3_bucket: str) -> None:
    set_default(s3, s3_bucket, "AES256")
    s3.put_object(Bucket=s3_bucket, Key="key", Body=b"data")
    s3.delete_bucket_encryption(Bucket=s3_bucket)
    s3.list_objects_v2(Bucket=s3_bucket)  # the server knows the bucket as it is
    assert told(s3.put_object(Bucket=s3_bucket, Key="key", Body=b"data")) == {}
    assert content(s3, s3_bucket, "key") == b"data"


@pytest.mark.parametrize(
    ("algorithm", "key_id", "refused"),
    [
        ("AES192", None, (400, "InvalidArgument")),
        ("AES256", "two", (400, "InvalidArgument")),
        ("aws:kms", None, (400, "InvalidArgument")),
        ("aws:kms", "three", (400, "KMS.NotFoundException")),
        ("aws:kms:dsse", "two", (501, "NotImplemented")),
    ],
)
def test_a_default_that_could_not_be_kept_is_refused(
    s3: S3Client, s3_bucket: str, algorithm: str, key_id: str | None, refused: tuple[int, str]
) -> None:
    default: Any = {"SSEAlgorithm": algorithm, **({"KMSMasterKeyID": key_id} if key_id else {})}
    rules: Any = {"Rules": [{"ApplyServerSideEncryptionByDefault": default}]}
    assert refusal(s3.put_bucket_encryption, Bucket=s3_bucket, ServerSideEncryptionConfiguration=rules) == refused
    assert refusal(s3.get_bucket_encryption, Bucket=s3_bucket)[0] == 404


def test_a_form_and_a_link_may_ask_for_encryption(server: Server, s3: S3Client, s3_bucket: str) -> None:
    fields = {SSE: "aws:kms", KEY_ID: "two"}
    conditions = [{name: value} for name, value in fields.items()]
    post = s3.generate_presigned_post(s3_bucket, "form", Fields=dict(fields), Conditions=conditions)
    boundary = "5a1f"
    parts = [
        f'--{boundary}\r\nContent-Disposition: form-data; name="{n}"\r\n\r\n{v}\r\n' for n, v in post["fields"].items()
    ]
    file = f'--{boundary}\r\nContent-Disposition: form-data; name="file"\r\n\r\nthe file\r\n--{boundary}--\r\n'
    headers = {"content-type": f"multipart/form-data; boundary={boundary}"}
    posted = ask(server, "POST", f"/{s3_bucket}", headers, "".join([*parts, file]).encode())
    assert (posted.status, posted.headers[SSE], posted.headers[KEY_ID]) == (204, "aws:kms", "two")
    assert content(s3, s3_bucket, "form") == b"the file"

    link = s3.generate_presigned_url("put_object", {"Bucket": s3_bucket, "Key": "link", **SSE_S3})
    sent = ask(server, "PUT", link.removeprefix(server.url), {SSE: "AES256"}, b"data")
    assert (sent.status, sent.headers[SSE]) == (200, "AES256")
    assert told(s3.head_object(Bucket=s3_bucket, Key="link")) == SSE_S3


# Without keys, and with others


def test_a_server_without_keys_says_what_to_set(tmp_path: Path) -> None:
    with post3_serve("--backend", "memory", cwd=tmp_path) as running:
        s3 = client_of(running)
        bucket = new_bucket(s3)
        for call, more in (
            (s3.put_object, {"Key": "key", "Body": b"data", **SSE_S3}),
            (s3.create_multipart_upload, {"Key": "key", **SSE_KMS}),
            (s3.put_bucket_encryption, {"ServerSideEncryptionConfiguration": {"Rules": [RULE]}}),
        ):
            refused = error_of(call, Bucket=bucket, **more)
            assert refused["Code"] == "NotImplemented"
            assert "set POST3_MASTER_KEY or --master-keys" in refused["Message"]
        assert refusal(s3.get_bucket_encryption, Bucket=bucket)[0] == 404


RULE: Final[Any] = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}
KEEPING: Final = ("filesystem", "postgres")


@pytest.mark.parametrize("store", KEEPING)
def test_keys_are_rotated_and_what_lost_its_key_is_not_read(tmp_path: Path, store: str) -> None:
    flags, folder = flags_of(store), tmp_path / "server"
    folder.mkdir()

    def serving(default: str, *names: str) -> Any:
        return post3_serve(*flags, "--master-keys", str(keys_file(tmp_path, default, *names)), cwd=folder)

    with serving("one", "one") as running:
        s3 = client_of(running)
        bucket = new_bucket(s3)
        set_default(s3, bucket, "AES256")
        for key, data in (("small", b"small"), ("large", LARGE)):
            s3.put_object(Bucket=bucket, Key=key, Body=data)
        upload_id = begin(s3, bucket, "parts")
        parts = send(s3, bucket, "parts", upload_id, PART)

    with serving("two", "one", "two") as running:
        s3 = client_of(running)
        assert (content(s3, bucket, "small"), content(s3, bucket, "large")) == (b"small", LARGE)
        s3.put_object(Bucket=bucket, Key="new", Body=LARGE)
        s3.copy_object(Bucket=bucket, Key="small", CopySource=f"{bucket}/small", **SSE_S3)
        two = s3.upload_part(Bucket=bucket, Key="parts", UploadId=upload_id, PartNumber=2, Body=b"end")
        complete(s3, bucket, "parts", upload_id, [*parts, {"PartNumber": 2, "ETag": two["ETag"]}])
        assert content(s3, bucket, "parts") == PART + b"end"

    with serving("two", "two") as running:
        s3 = client_of(running)
        assert (content(s3, bucket, "small"), content(s3, bucket, "new")) == (b"small", LARGE)
        for key in ("large", "parts"):
            refused = error_of(s3.get_object, Bucket=bucket, Key=key)
            assert (refused["Code"], "'one'" in refused["Message"]) == ("KMS.NotFoundException", True)
            assert s3.head_object(Bucket=bucket, Key=key)["ServerSideEncryption"] == "AES256"
        assert content(s3, bucket, "parts", PartNumber=2) == b"end"
        refused = error_of(s3.copy_object, Bucket=bucket, Key="copy", CopySource=f"{bucket}/large")
        assert refused["Code"] == "KMS.NotFoundException"

    with post3_serve(*flags, cwd=folder) as running:
        s3 = client_of(running)
        assert error_of(s3.get_object, Bucket=bucket, Key="new")["Code"] == "KMS.NotFoundException"
        refused = error_of(s3.put_object, Bucket=bucket, Key="never-plain", Body=b"data")
        assert refused["Code"] == "NotImplemented"
        assert refusal(s3.head_object, Bucket=bucket, Key="never-plain")[0] == 404


# What is stored


def on_disk(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file())


async def in_database(schema: str) -> bytes:
    """Every row of every table, bytes as hexadecimal digits are."""
    connection = await asyncpg.connect(database_url())
    try:
        tables = await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname = $1", schema)
        found = b""
        for table in tables:
            for row in await connection.fetch(f'SELECT * FROM "{schema}"."{table["tablename"]}"'):
                found += b" ".join(value if isinstance(value, bytes) else str(value).encode() for value in row.values())
        return found
    finally:
        await connection.close()


@pytest.mark.parametrize("store", KEEPING)
async def test_what_is_stored_does_not_hold_what_was_sent(tmp_path: Path, store: str) -> None:
    flags = flags_of(store)
    keys = str(keys_file(tmp_path, "one", "one", "two"))
    (tmp_path / "server").mkdir()
    small, large = SECRET * 10, SECRET * 60_000
    with post3_serve(*flags, "--master-keys", keys, cwd=tmp_path / "server") as running:
        s3 = client_of(running)
        bucket = new_bucket(s3)
        s3.put_object(Bucket=bucket, Key="seen", Body=b"plain text is found by this test; " * 1000)
        s3.put_object(Bucket=bucket, Key="small", Body=small, **SSE_S3)
        s3.put_object(Bucket=bucket, Key="large", Body=large, **SSE_KMS)
        s3.copy_object(Bucket=bucket, Key="copy", CopySource=f"{bucket}/large", **SSE_S3)
        upload_id = begin(s3, bucket, "parts", **SSE_S3)
        complete(s3, bucket, "parts", upload_id, send(s3, bucket, "parts", upload_id, large + large, small))
        assert content(s3, bucket, "parts") == large + large + small
    if store == "postgres":
        stored = await in_database(flags[flags.index("--pg-schema") + 1])
    else:
        stored = on_disk(tmp_path / "server")
    assert b"plain text is found by this test" in stored
    assert len(stored) > 4 * len(large)
    assert SECRET[:20] not in stored
    assert all(base64.b64decode(key) not in stored and key.encode() not in stored for key in KEYS.values())


def test_bytes_that_were_changed_are_not_sent(tmp_path: Path) -> None:
    keys = str(keys_file(tmp_path, "one", "one"))
    (tmp_path / "server").mkdir()
    with post3_serve(*flags_of("filesystem"), "--master-keys", keys, cwd=tmp_path / "server") as running:
        s3 = client_of(running)
        bucket = new_bucket(s3)
        s3.put_object(Bucket=bucket, Key="one", Body=b"of the one" * 10, **SSE_S3)
        s3.put_object(Bucket=bucket, Key="two", Body=b"of the two" * 10, **SSE_S3)
        one, two = (next((tmp_path / "server").rglob(f"versions/*/*/{key}~*.json")) for key in ("one", "two"))
        # The whole record of another key, with all that it was encrypted with, under this one's name.
        document, _, body = two.read_bytes().partition(b"\n")
        swapped = {**json.loads(document), "key": "one"}
        one.write_bytes(json.dumps(swapped).encode() + b"\n" + body)
        refused = error_of(s3.get_object, Bucket=bucket, Key="one")
        assert (refused["Code"], "does not open the object's key" in refused["Message"]) == ("InternalError", True)
        assert content(s3, bucket, "two") == b"of the two" * 10


# Memory


def peak(server: Server) -> int:
    """Bytes of memory that the server's process had at most, up to now."""
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM"))) * 1024


@pytest.mark.parametrize("store", KEEPING)
def test_a_large_object_is_never_whole_in_memory(tmp_path: Path, store: str) -> None:
    keys, size = str(keys_file(tmp_path, "one", "one")), 64 * 2**20
    (tmp_path / "server").mkdir()
    with post3_serve(*flags_of(store), "--master-keys", keys, cwd=tmp_path / "server") as running:
        s3 = client_of(running)
        bucket = new_bucket(s3)
        for key in ("before", "copy"):  # all that the server loads late
            s3.put_object(Bucket=bucket, Key=key, Body=LARGE, **SSE_S3)
            assert content(s3, bucket, key) == LARGE
        idle, data = peak(running), LARGE[: 2**20] * 64
        s3.put_object(Bucket=bucket, Key="large", Body=data, **SSE_S3)
        s3.copy_object(Bucket=bucket, Key="copy", CopySource=f"{bucket}/large")
        for key in ("large", "copy"):
            assert content(s3, bucket, key) == data
        assert peak(running) - idle < size // 2
