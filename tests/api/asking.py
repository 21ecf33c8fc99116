"""What the tests of the API ask with: raw requests where boto3 hides something, and checksums computed here."""

from __future__ import annotations

import base64
import hashlib
import zlib
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from http.client import HTTPConnection
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from xml.etree.ElementTree import Element

import pytest
from botocore.exceptions import ClientError
from defusedxml.ElementTree import fromstring

from tests.servers import Server

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

MIN_PART: Final = 5 * 2**20
PART: Final = bytes(range(256)) * (MIN_PART // 256)
"""The smallest part that need not be the last."""
ALGORITHMS: Final = ("CRC32", "CRC32C", "CRC64NVME", "SHA1", "SHA256")


class Answer(NamedTuple):
    """An answer to a raw request; header names in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def code(self) -> str:
        """The code of an S3 error."""
        assert fromstring(self.body).tag == "Error", self.body
        return self.text("Code")

    def text(self, name: str) -> str:
        """The text of the document's first element of this name, in any namespace; fails when there is none."""
        return self.texts(name)[0]

    def texts(self, name: str) -> list[str]:
        """The texts of all elements of this name."""
        elements: Iterable[Element] = fromstring(self.body).iter()
        return [element.text or "" for element in elements if element.tag.rpartition("}")[2] == name]


def ask(
    server: Server,
    method: str,
    target: str,
    headers: Mapping[str, str | bytes] | None = None,
    body: bytes | Iterable[bytes] | None = None,
) -> Answer:
    """The answer to a request sent as it stands here; a body that is no bytes goes in chunks of HTTP/1.1."""
    connection = HTTPConnection(server.host, server.port, timeout=30)
    try:
        names = {name.lower() for name in headers or {}}
        connection.putrequest(method, target, skip_host="host" in names, skip_accept_encoding=True)
        if isinstance(body, bytes) and "content-length" not in names:
            connection.putheader("content-length", str(len(body)))
        elif body is not None and not isinstance(body, bytes):
            connection.putheader("transfer-encoding", "chunked")
        for name, value in (headers or {}).items():
            connection.putheader(name, value)
        connection.endheaders(body, encode_chunked=body is not None and not isinstance(body, bytes))
        response = connection.getresponse()
        return Answer(response.status, {name.lower(): value for name, value in response.getheaders()}, response.read())
    finally:
        connection.close()


def refusal(call: Callable[..., Any], **parameters: Any) -> tuple[int, str]:
    """Status and code of the error that a boto3 call gets."""
    with pytest.raises(ClientError) as caught:
        call(**parameters)
    response: Any = caught.value.response
    return response["ResponseMetadata"]["HTTPStatusCode"], response["Error"]["Code"]


def error_of(call: Callable[..., Any], **parameters: Any) -> dict[str, str]:
    """All elements of the error that a boto3 call gets."""
    with pytest.raises(ClientError) as caught:
        call(**parameters)
    return dict(caught.value.response["Error"])  # type: ignore[arg-type]  # a TypedDict of text


def lacks(answer: Mapping[str, object], *names: str) -> bool:
    """Whether an answer has none of these members; types that promise them would not let one ask."""
    return answer.keys().isdisjoint(names)


def content(s3: S3Client, bucket: str, key: str, **more: Any) -> bytes:
    """An object's bytes."""
    return s3.get_object(Bucket=bucket, Key=key, **more)["Body"].read()


def set_versioning(s3: S3Client, bucket: str, status: Any) -> None:
    """Enable or suspend."""
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": status})


def history(s3: S3Client, bucket: str, key: str) -> list[str]:
    """The ids of a key's versions and markers, newest first."""
    listed = s3.list_object_versions(Bucket=bucket, Prefix=key)
    found = [*listed.get("Versions", []), *listed.get("DeleteMarkers", [])]
    return [one["VersionId"] for one in sorted(found, key=lambda one: (one["IsLatest"], one["LastModified"]))][::-1]


def begin(s3: S3Client, bucket: str, key: str, **more: Any) -> str:
    """The id of a new upload."""
    return s3.create_multipart_upload(Bucket=bucket, Key=key, **more)["UploadId"]


def send(s3: S3Client, bucket: str, key: str, upload_id: str, *datas: bytes, **more: Any) -> list[dict[str, Any]]:
    """Upload parts from number 1 on; what the completion has to say of them."""
    return [
        {
            "PartNumber": number,
            "ETag": s3.upload_part(Bucket=bucket, Key=key, UploadId=upload_id, PartNumber=number, Body=data, **more)[
                "ETag"
            ],
        }
        for number, data in enumerate(datas, 1)
    ]


def complete(s3: S3Client, bucket: str, key: str, upload_id: str, parts: Any, **more: Any) -> Any:
    """Complete an upload."""
    return s3.complete_multipart_upload(
        Bucket=bucket, Key=key, UploadId=upload_id, MultipartUpload={"Parts": parts}, **more
    )


def put_in_parts(s3: S3Client, bucket: str, key: str, *datas: bytes, **more: Any) -> Any:
    """An object made of these parts; the answer to its completion."""
    upload_id = begin(s3, bucket, key, **more)
    return complete(s3, bucket, key, upload_id, send(s3, bucket, key, upload_id, *datas))


def md5(data: bytes) -> str:
    """The ETag of an object of one body, in quotes."""
    return f'"{hashlib.md5(data, usedforsecurity=False).hexdigest()}"'


def md5_of_parts(*datas: bytes) -> str:
    """The ETag of an object of these parts, in quotes."""
    digests = b"".join(hashlib.md5(data, usedforsecurity=False).digest() for data in datas)
    return f'"{hashlib.md5(digests, usedforsecurity=False).hexdigest()}-{len(datas)}"'


def digest(algorithm: str, data: bytes) -> bytes:
    """A checksum of the data, computed without any of post3."""
    if algorithm in ("SHA1", "SHA256"):
        return hashlib.new(algorithm.lower(), data, usedforsecurity=False).digest()
    if algorithm == "CRC32":
        return zlib.crc32(data).to_bytes(4, "big")
    bits, polynomial = {"CRC32C": (32, 0x82F63B78), "CRC64NVME": (64, 0x9A6C9329AC4BC9B5)}[algorithm]
    crc = mask = (1 << bits) - 1
    if data.startswith(PART):
        crc, data = _crc(polynomial, crc, PART), data[len(PART) :]
    return (_crc(polynomial, crc, data) ^ mask).to_bytes(bits // 8, "big")


@cache
def _crc(polynomial: int, crc: int, data: bytes) -> int:
    """A CRC carried on over more bytes; of PART that takes a second, so it is kept."""
    table = _crc_table(polynomial)
    for byte in data:
        crc = table[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    return crc


@cache
def _crc_table(polynomial: int) -> list[int]:
    table = []
    for byte in range(256):
        crc = byte
        for _ in range(8):
            crc = (crc >> 1) ^ (polynomial if crc & 1 else 0)
        table.append(crc)
    return table


def checksum(algorithm: str, data: bytes) -> str:
    """The checksum as headers and XML have it."""
    return base64.b64encode(digest(algorithm, data)).decode()


def composite(algorithm: str, *datas: bytes) -> str:
    """The checksum of the parts' checksums."""
    return f"{checksum(algorithm, b''.join(digest(algorithm, data) for data in datas))}-{len(datas)}"
