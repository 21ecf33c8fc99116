"""Checksums over HTTP, each compared with one computed here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from post3.s3.aws_chunked import FORMS
from tests.api.asking import (
    ALGORITHMS,
    PART,
    ask,
    begin,
    checksum,
    complete,
    composite,
    content,
    error_of,
    lacks,
    md5_of_parts,
    refusal,
    send,
    set_versioning,
)
from tests.bodies import SIGNED_TRAILER, UNSIGNED, frame
from tests.servers import Server

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

DATA = b"123456789"
KNOWN = {
    "CRC32": "y/Q5Jg==",
    "CRC32C": "4waSgw==",
    "CRC64NVME": "rosUhgp5mIg=",
    "SHA1": "98O8HYCOBHMq32eZZczDTKeuNEE=",
    "SHA256": "FeKw08M4keuw8e9gnsQZQgwg4yDOlMZfvIwzEkSOsiU=",
}
"""Of DATA, from the catalogue of CRCs and from FIPS 180."""
CRCS = ("CRC32", "CRC32C", "CRC64NVME")
COMPOSITE = ("CRC32", "CRC32C", "SHA1", "SHA256")

every = pytest.mark.parametrize("algorithm", ALGORITHMS)


def told(answer: Any) -> dict[str, str]:
    """All checksums in an answer, and their type."""
    return {name: value for name, value in answer.items() if name.startswith("Checksum") and value}


@every
def test_the_checksums_computed_here_are_those_of_the_catalogues(algorithm: str) -> None:
    assert checksum(algorithm, DATA) == KNOWN[algorithm]


# One body


@every
def test_a_checksum_is_verified_kept_and_told(s3: S3Client, s3_bucket: str, algorithm: str) -> None:
    sent: Any = {f"Checksum{algorithm}": KNOWN[algorithm]}
    kept = {**sent, "ChecksumType": "FULL_OBJECT"}
    assert told(s3.put_object(Bucket=s3_bucket, Key="key", Body=DATA, **sent)) == kept
    assert told(s3.head_object(Bucket=s3_bucket, Key="key", ChecksumMode="ENABLED")) == kept
    assert told(s3.get_object(Bucket=s3_bucket, Key="key", ChecksumMode="ENABLED")) == kept
    attributes = s3.get_object_attributes(Bucket=s3_bucket, Key="key", ObjectAttributes=["Checksum"])
    assert attributes["Checksum"] == kept
    (entry,) = s3.list_objects_v2(Bucket=s3_bucket)["Contents"]
    assert (entry["ChecksumAlgorithm"], entry["ChecksumType"]) == ([algorithm], "FULL_OBJECT")


@every
def test_a_wrong_checksum_leaves_the_old_object(s3: S3Client, s3_bucket: str, algorithm: str) -> None:
    s3.put_object(Bucket=s3_bucket, Key="key", Body=b"old")
    sent = {f"Checksum{algorithm}": checksum(algorithm, b"other")}
    error = error_of(s3.put_object, Bucket=s3_bucket, Key="key", Body=DATA, **sent)
    assert (error["Code"], error["Message"]) == (
        "BadDigest",
        f"The {algorithm} you specified did not match the calculated checksum.",
    )
    assert content(s3, s3_bucket, "key") == b"old"


@pytest.mark.parametrize("size", [0, 16 * 1024 + 1, 2**20 + 3])
@every
def test_a_wrong_checksum_of_any_size_stores_nothing(s3: S3Client, s3_bucket: str, algorithm: str, size: int) -> None:
    sent = {f"Checksum{algorithm}": KNOWN[algorithm]}
    refused = refusal(s3.put_object, Bucket=s3_bucket, Key="key", Body=PART[:size], **sent)
    assert refused == (400, "BadDigest")
    assert refusal(s3.head_object, Bucket=s3_bucket, Key="key") == (404, "404")


@every
@pytest.mark.parametrize("value", ["bad", "", "AAAA", "*** not base64 ***"])
def test_what_is_no_checksum_stores_nothing(
    server: Server, s3: S3Client, s3_bucket: str, algorithm: str, value: str
) -> None:
    answer = ask(server, "PUT", f"/{s3_bucket}/key", {f"x-amz-checksum-{algorithm.lower()}": value}, DATA)
    assert answer.status == 400
    assert refusal(s3.head_object, Bucket=s3_bucket, Key="key") == (404, "404")


@pytest.mark.parametrize(
    "headers",
    [
        {"x-amz-checksum-crc32": KNOWN["CRC32"], "x-amz-checksum-sha1": KNOWN["SHA1"]},
        {"x-amz-checksum-md4": KNOWN["CRC32"]},
        {"x-amz-sdk-checksum-algorithm": "CRC32"},
        {"x-amz-sdk-checksum-algorithm": "SHA1", "x-amz-checksum-crc32": KNOWN["CRC32"]},
        {"x-amz-trailer": "x-amz-checksum-sha1", "x-amz-checksum-crc32": KNOWN["CRC32"]},
    ],
)
def test_checksums_that_contradict_each_other_are_refused(
    server: Server, s3: S3Client, s3_bucket: str, headers: dict[str, str]
) -> None:
    answer = ask(server, "PUT", f"/{s3_bucket}/key", headers, DATA)
    assert (answer.status, answer.code) == (400, "InvalidRequest")
    assert refusal(s3.head_object, Bucket=s3_bucket, Key="key") == (404, "404")


def test_an_object_without_a_checksum_gets_one(server: Server, s3: S3Client, s3_bucket: str) -> None:
    answer = ask(server, "PUT", f"/{s3_bucket}/key", body=DATA)
    assert answer.headers["x-amz-checksum-crc64nvme"] == KNOWN["CRC64NVME"]
    head = s3.head_object(Bucket=s3_bucket, Key="key", ChecksumMode="ENABLED")
    assert told(head) == {"ChecksumCRC64NVME": KNOWN["CRC64NVME"], "ChecksumType": "FULL_OBJECT"}


def test_checksums_are_told_on_demand_only(server: Server, s3: S3Client, s3_bucket: str) -> None:
    s3.put_object(Bucket=s3_bucket, Key="key", Body=DATA, ChecksumSHA256=KNOWN["SHA256"])
    for method in ("HEAD", "GET"):
        plain = ask(server, method, f"/{s3_bucket}/key").headers
        assert not [name for name in plain if "checksum" in name]
        asked = ask(server, method, f"/{s3_bucket}/key", {"x-amz-checksum-mode": "ENABLED"}).headers
        assert asked["x-amz-checksum-sha256"] == KNOWN["SHA256"]


def test_a_range_has_no_checksum_unless_it_is_everything(s3: S3Client, s3_bucket: str) -> None:
    s3.put_object(Bucket=s3_bucket, Key="key", Body=DATA, ChecksumCRC32=KNOWN["CRC32"])
    part = s3.get_object(Bucket=s3_bucket, Key="key", Range="bytes=0-3", ChecksumMode="ENABLED")
    assert lacks(part, "ChecksumCRC32")
    whole = s3.get_object(Bucket=s3_bucket, Key="key", Range="bytes=0-100", ChecksumMode="ENABLED")
    assert whole["ChecksumCRC32"] == KNOWN["CRC32"]


def test_a_checksum_belongs_to_its_version(s3: S3Client, s3_bucket: str) -> None:
    set_versioning(s3, s3_bucket, "Enabled")
    old = s3.put_object(Bucket=s3_bucket, Key="key", Body=DATA, ChecksumSHA1=KNOWN["SHA1"])["VersionId"]
    s3.put_object(Bucket=s3_bucket, Key="key", Body=b"new", ChecksumAlgorithm="CRC32")
    head = s3.head_object(Bucket=s3_bucket, Key="key", VersionId=old, ChecksumMode="ENABLED")
    assert told(head) == {"ChecksumSHA1": KNOWN["SHA1"], "ChecksumType": "FULL_OBJECT"}


# Behind the body


@every
@pytest.mark.parametrize("form", [UNSIGNED, SIGNED_TRAILER])
def test_a_trailing_checksum_is_verified_and_kept(
    server: Server, s3: S3Client, s3_bucket: str, algorithm: str, form: str
) -> None:
    name = f"x-amz-checksum-{algorithm.lower()}"
    headers = {
        "x-amz-content-sha256": form,
        "x-amz-decoded-content-length": str(len(DATA)),
        "x-amz-trailer": name,
        "x-amz-sdk-checksum-algorithm": algorithm,
    }
    wrong = frame([DATA], FORMS[form], {name: checksum(algorithm, b"other")})
    answer = ask(server, "PUT", f"/{s3_bucket}/key", headers, wrong)
    assert (answer.status, answer.code) == (400, "BadDigest")
    answer = ask(server, "PUT", f"/{s3_bucket}/key", headers, frame([DATA], FORMS[form], {name: "nonsense"}))
    assert (answer.status, answer.code) == (400, "InvalidRequest")
    assert refusal(s3.head_object, Bucket=s3_bucket, Key="key") == (404, "404")
    right = frame([DATA], FORMS[form], {name: KNOWN[algorithm]})
    assert ask(server, "PUT", f"/{s3_bucket}/key", headers, right).headers[name] == KNOWN[algorithm]
    kept = told(s3.head_object(Bucket=s3_bucket, Key="key", ChecksumMode="ENABLED"))
    assert kept == {f"Checksum{algorithm}": KNOWN[algorithm], "ChecksumType": "FULL_OBJECT"}


def test_a_trailer_that_does_not_come_stores_nothing(server: Server, s3: S3Client, s3_bucket: str) -> None:
    headers = {
        "x-amz-content-sha256": UNSIGNED,
        "x-amz-decoded-content-length": str(len(DATA)),
        "x-amz-trailer": "x-amz-checksum-crc32",
    }
    for trailers in ({}, {"x-amz-checksum-sha1": KNOWN["SHA1"]}):
        answer = ask(server, "PUT", f"/{s3_bucket}/key", headers, frame([DATA], FORMS[UNSIGNED], trailers))
        assert (answer.status, answer.code) == (400, "MalformedTrailerError")
    assert refusal(s3.head_object, Bucket=s3_bucket, Key="key") == (404, "404")


# Parts


def upload(s3: S3Client, bucket: str, algorithm: str, kind: str, *datas: bytes) -> tuple[str, list[dict[str, Any]]]:
    """An upload of this kind of checksum with its parts; what its completion says."""
    more: Any = {"ChecksumAlgorithm": algorithm, "ChecksumType": kind}
    upload_id = begin(s3, bucket, "key", **more)
    parts: list[dict[str, Any]] = []
    for number, data in enumerate(datas, 1):
        named: Any = {"PartNumber": number, f"Checksum{algorithm}": checksum(algorithm, data)}
        answer = s3.upload_part(Bucket=bucket, Key="key", UploadId=upload_id, Body=data, **named)
        parts.append({**named, "ETag": answer["ETag"]})
    return upload_id, parts


def check_object(s3: S3Client, bucket: str, algorithm: str, kind: str, whole: str, *datas: bytes) -> None:
    """Compare all that is told of an object made of these parts."""
    kept = {f"Checksum{algorithm}": whole, "ChecksumType": kind}
    assert told(s3.head_object(Bucket=bucket, Key="key", ChecksumMode="ENABLED")) == kept
    assert told(s3.get_object(Bucket=bucket, Key="key", ChecksumMode="ENABLED", Range="bytes=0-")) == kept
    attributes = s3.get_object_attributes(Bucket=bucket, Key="key", ObjectAttributes=["Checksum", "ObjectParts"])
    assert told(attributes["Checksum"]) == kept
    parts: Any = attributes["ObjectParts"]["Parts"]
    assert [part[f"Checksum{algorithm}"] for part in parts] == [checksum(algorithm, data) for data in datas]
    for number, data in enumerate(datas, 1):
        part = s3.head_object(Bucket=bucket, Key="key", PartNumber=number, ChecksumMode="ENABLED")
        assert told(part) == {f"Checksum{algorithm}": checksum(algorithm, data), "ChecksumType": kind}
    (entry,) = s3.list_objects_v2(Bucket=bucket)["Contents"]
    assert (entry["ChecksumAlgorithm"], entry["ChecksumType"]) == ([algorithm], kind)


@pytest.mark.parametrize("algorithm", COMPOSITE)
def test_a_composite_checksum_is_that_of_the_parts_checksums(s3: S3Client, s3_bucket: str, algorithm: str) -> None:
    upload_id, parts = upload(s3, s3_bucket, algorithm, "COMPOSITE", PART, DATA)
    whole = composite(algorithm, PART, DATA)
    done = complete(s3, s3_bucket, "key", upload_id, parts)
    assert told(done) == {f"Checksum{algorithm}": whole, "ChecksumType": "COMPOSITE"}
    assert done["ETag"] == md5_of_parts(PART, DATA)
    check_object(s3, s3_bucket, algorithm, "COMPOSITE", whole, PART, DATA)


@pytest.mark.parametrize("algorithm", CRCS)
def test_a_full_checksum_is_that_of_all_bytes(s3: S3Client, s3_bucket: str, algorithm: str) -> None:
    upload_id, parts = upload(s3, s3_bucket, algorithm, "FULL_OBJECT", PART, DATA)
    whole = checksum(algorithm, PART + DATA)
    done = complete(s3, s3_bucket, "key", upload_id, parts, **{f"Checksum{algorithm}": whole})
    assert told(done) == {f"Checksum{algorithm}": whole, "ChecksumType": "FULL_OBJECT"}
    check_object(s3, s3_bucket, algorithm, "FULL_OBJECT", whole, PART, DATA)


def test_an_upload_without_an_algorithm_gets_one(s3: S3Client, s3_bucket: str) -> None:
    begun = s3.create_multipart_upload(Bucket=s3_bucket, Key="key")
    assert lacks(begun, "ChecksumAlgorithm", "ChecksumType")
    parts = send(s3, s3_bucket, "key", begun["UploadId"], DATA)
    done = complete(s3, s3_bucket, "key", begun["UploadId"], parts)
    assert told(done) == {"ChecksumCRC64NVME": KNOWN["CRC64NVME"], "ChecksumType": "FULL_OBJECT"}


@pytest.mark.parametrize(
    ("algorithm", "kind"),
    [
        ("CRC32", "COMPOSITE"),
        ("CRC32C", "COMPOSITE"),
        ("CRC64NVME", "FULL_OBJECT"),
        ("SHA1", "COMPOSITE"),
        ("SHA256", "COMPOSITE"),
    ],
)
def test_an_algorithm_has_a_type_by_default(s3: S3Client, s3_bucket: str, algorithm: Any, kind: str) -> None:
    begun = s3.create_multipart_upload(Bucket=s3_bucket, Key="key", ChecksumAlgorithm=algorithm)
    assert (begun["ChecksumAlgorithm"], begun["ChecksumType"]) == (algorithm, kind)
    page = s3.list_parts(Bucket=s3_bucket, Key="key", UploadId=begun["UploadId"])
    assert (page["ChecksumAlgorithm"], page["ChecksumType"]) == (algorithm, kind)
    (entry,) = s3.list_multipart_uploads(Bucket=s3_bucket)["Uploads"]
    assert (entry["ChecksumAlgorithm"], entry["ChecksumType"]) == (algorithm, kind)


@pytest.mark.parametrize(
    "headers",
    [
        {"x-amz-checksum-algorithm": "MD4"},
        {"x-amz-checksum-type": "COMPOSITE"},
        {"x-amz-checksum-algorithm": "SHA1", "x-amz-checksum-type": "FULL_OBJECT"},
        {"x-amz-checksum-algorithm": "SHA256", "x-amz-checksum-type": "FULL_OBJECT"},
        {"x-amz-checksum-algorithm": "CRC64NVME", "x-amz-checksum-type": "COMPOSITE"},
        {"x-amz-checksum-algorithm": "CRC32", "x-amz-checksum-type": "PARTIAL"},
    ],
)
def test_a_checksum_that_does_not_exist_begins_no_upload(
    server: Server, s3: S3Client, s3_bucket: str, headers: dict[str, str]
) -> None:
    answer = ask(server, "POST", f"/{s3_bucket}/key?uploads", headers, b"")
    assert (answer.status, answer.code) == (400, "InvalidRequest")
    assert lacks(s3.list_multipart_uploads(Bucket=s3_bucket), "Uploads")


@every
def test_a_part_has_the_checksum_of_its_upload_sent_or_not(
    server: Server, s3: S3Client, s3_bucket: str, algorithm: Any
) -> None:
    upload_id = begin(s3, s3_bucket, "key", ChecksumAlgorithm=algorithm)
    name = f"x-amz-checksum-{algorithm.lower()}"
    target = f"/{s3_bucket}/key?partNumber=1&uploadId={upload_id}"
    assert ask(server, "PUT", target, body=DATA).headers[name] == KNOWN[algorithm]
    assert ask(server, "PUT", target, {name: KNOWN[algorithm]}, DATA).headers[name] == KNOWN[algorithm]
    (part,) = s3.list_parts(Bucket=s3_bucket, Key="key", UploadId=upload_id)["Parts"]
    assert told(part) == {f"Checksum{algorithm}": KNOWN[algorithm]}


def test_a_part_with_another_checksum_than_its_upload_is_refused(s3: S3Client, s3_bucket: str) -> None:
    upload_id = begin(s3, s3_bucket, "key", ChecksumAlgorithm="SHA256")
    part = {"Bucket": s3_bucket, "Key": "key", "UploadId": upload_id, "PartNumber": 1, "Body": DATA}
    assert refusal(s3.upload_part, **part, ChecksumAlgorithm="CRC32") == (400, "InvalidRequest")
    assert lacks(s3.list_parts(Bucket=s3_bucket, Key="key", UploadId=upload_id), "Parts")


def test_a_completion_with_a_wrong_checksum_leaves_the_upload(s3: S3Client, s3_bucket: str) -> None:
    upload_id, parts = upload(s3, s3_bucket, "CRC32C", "FULL_OBJECT", DATA)
    wrong = [{**parts[0], "ChecksumCRC32C": checksum("CRC32C", b"other")}]
    for named, more, code in (
        (wrong, {}, "InvalidPart"),
        (parts, {"ChecksumCRC32C": checksum("CRC32C", b"other")}, "BadDigest"),
        (parts, {"ChecksumSHA256": KNOWN["SHA256"]}, "BadDigest"),
        (parts, {"ChecksumType": "COMPOSITE"}, "InvalidRequest"),
    ):
        refused = refusal(complete, s3=s3, bucket=s3_bucket, key="key", upload_id=upload_id, parts=named, **more)
        assert refused == (400, code)
    assert refusal(s3.head_object, Bucket=s3_bucket, Key="key") == (404, "404")
    complete(s3, s3_bucket, "key", upload_id, parts, ChecksumCRC32C=KNOWN["CRC32C"], ChecksumType="FULL_OBJECT")


def test_a_composite_checksum_can_be_promised_with_and_without_its_count(s3: S3Client, s3_bucket: str) -> None:
    for whole in (composite("SHA256", DATA), composite("SHA256", DATA).removesuffix("-1")):
        upload_id, parts = upload(s3, s3_bucket, "SHA256", "COMPOSITE", DATA)
        complete(s3, s3_bucket, "key", upload_id, parts, ChecksumSHA256=whole)


def test_a_repeated_completion_tells_the_same_checksum(s3: S3Client, s3_bucket: str) -> None:
    upload_id, parts = upload(s3, s3_bucket, "SHA1", "COMPOSITE", DATA)
    first = told(complete(s3, s3_bucket, "key", upload_id, parts))
    assert told(complete(s3, s3_bucket, "key", upload_id, parts)) == first != {}
