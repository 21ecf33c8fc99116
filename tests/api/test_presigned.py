"""Presigned URLs that keep headers in their query: used with no header at all."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.auth import S3SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials

from tests.api.asking import Answer, ask
from tests.api.conftest import FLAGS
from tests.servers import Server, post3_serve

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

ACCESS_KEY, SECRET_KEY = "root-of-links", "secret-of-links"
BUCKET = "links"


@pytest.fixture(scope="module")
def closed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that wants keys."""
    env = {"POST3_ACCESS_KEY": ACCESS_KEY, "POST3_SECRET_KEY": SECRET_KEY}
    with post3_serve(*FLAGS["memory"], cwd=tmp_path_factory.mktemp("links"), env=env) as running:
        yield running


@pytest.fixture(scope="module")
def owner(closed: Server) -> Iterator[S3Client]:
    """Its root, who has a bucket where ACLs count."""
    client = boto3.client(
        "s3",
        endpoint_url=closed.url,
        region_name="us-east-1",
        aws_access_key_id=ACCESS_KEY,
        aws_secret_access_key=SECRET_KEY,
        config=Config(s3={"addressing_style": "path"}, retries={"total_max_attempts": 1}),
    )
    client.create_bucket(Bucket=BUCKET, ObjectOwnership="ObjectWriter")
    client.delete_public_access_block(Bucket=BUCKET)
    client.put_object(Bucket=BUCKET, Key="source", Body=b"copied", Metadata={"of": "source"})
    yield client
    client.close()


def presigned(server: Server, method: str, key: str, **headers: str) -> str:
    """Path and query of a URL of Signature Version 4 that has these headers in its query."""
    names = {f"x-amz-{name.replace('_', '-')}": value for name, value in headers.items()}
    request: Any = AWSRequest(method, f"{server.url}/{BUCKET}/{key}", params=names)
    S3SigV4QueryAuth(Credentials(ACCESS_KEY, SECRET_KEY), "s3", "us-east-1").add_auth(request)
    return str(request.url).removeprefix(server.url)


def put(server: Server, key: str, **headers: str) -> Answer:
    return ask(server, "PUT", presigned(server, "PUT", key, **headers), body=b"sent")


def test_metadata_and_acl_are_the_objects(closed: Server, owner: S3Client) -> None:
    assert put(closed, "v4", meta_name="a, b/c+d", acl="public-read").status == 200

    assert owner.head_object(Bucket=BUCKET, Key="v4")["Metadata"] == {"name": "a, b/c+d"}
    assert ask(closed, "GET", f"/{BUCKET}/v4").body == b"sent"


def test_a_link_of_version_2_is_used_by_curl_with_no_header(closed: Server, owner: S3Client, tmp_path: Path) -> None:
    (tmp_path / "sent").write_bytes(b"sent")
    there = {"Bucket": BUCKET, "Key": "v2", "Metadata": {"name": "a b"}, "ACL": "public-read"}
    url = owner.generate_presigned_url("put_object", there)
    assert "Signature=" in url
    subprocess.run(["curl", "-fsS", "-T", tmp_path / "sent", url], check=True, timeout=30)

    assert owner.head_object(Bucket=BUCKET, Key="v2")["Metadata"] == {"name": "a b"}
    assert ask(closed, "GET", f"/{BUCKET}/v2").body == b"sent"


def test_a_copy_is_a_copy(closed: Server, owner: S3Client) -> None:
    answer = put(closed, "copy", copy_source=f"{BUCKET}/source")

    assert answer.text("ETag")
    assert owner.get_object(Bucket=BUCKET, Key="copy")["Body"].read() == b"copied"


def test_the_checksum_of_the_body_that_was_not_there_is_none(closed: Server, owner: S3Client) -> None:
    assert put(closed, "sum", checksum_crc32="AAAAAA==", sdk_checksum_algorithm="CRC32").status == 200
    assert owner.get_object(Bucket=BUCKET, Key="sum")["Body"].read() == b"sent"


def test_what_post3_cannot_do_is_refused_there_too(closed: Server, owner: S3Client) -> None:
    answer = put(closed, "refused", server_side_encryption="AES256")

    assert (answer.status, answer.code) == (501, "NotImplemented")


def test_they_are_signed(closed: Server, owner: S3Client) -> None:
    target = presigned(closed, "PUT", "tampered", acl="private")
    for other in (target.replace("acl=private", "acl=public-read"), f"{target}&x-amz-meta-a=b"):
        answer = ask(closed, "PUT", other, body=b"sent")
        assert (answer.status, answer.code) == (403, "SignatureDoesNotMatch")


def test_the_query_of_a_request_signed_in_its_header_keeps_none(closed: Server, owner: S3Client) -> None:
    def add(request: AWSRequest, **_: object) -> None:
        request.url = f"{request.url}?x-amz-meta-name=1"

    owner.meta.events.register("before-sign.s3.PutObject", add)
    try:
        owner.put_object(Bucket=BUCKET, Key="header", Body=b"sent")
    finally:
        owner.meta.events.unregister("before-sign.s3.PutObject", add)

    assert owner.head_object(Bucket=BUCKET, Key="header")["Metadata"] == {}
