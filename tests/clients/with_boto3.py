"""The round by boto3, of whichever version runs this."""

from __future__ import annotations

import os
from io import BytesIO
from typing import TYPE_CHECKING

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from tests.clients.steps import METADATA, Unseekable, curl, file, in_parts, run, same, sha256
from tests.resolving import resolving

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

BUCKET = os.environ["BUCKET"]
STYLE = Config(s3={"addressing_style": os.environ["STYLE"]})  # type: ignore[arg-type]  # path or virtual


class Round:
    """What the steps share."""

    s3: S3Client = boto3.client("s3", config=STYLE)
    small = file("small").read_bytes()
    large = file("large").read_bytes()
    keys = file("keys").read_text(encoding="utf-8").splitlines()

    def content(self, key: str) -> bytes:
        """An object's bytes."""
        return self.s3.get_object(Bucket=BUCKET, Key=key)["Body"].read()

    def listed(self, prefix: str) -> list[str]:
        """All keys with that prefix, page by page."""
        pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=prefix)
        return [one["Key"] for page in pages for one in page.get("Contents", [])]

    def make(self) -> None:
        self.s3.create_bucket(Bucket=BUCKET)
        same(BUCKET in [one.get("Name") for one in self.s3.list_buckets()["Buckets"]], True)

    def put_small(self) -> None:
        self.s3.put_object(Bucket=BUCKET, Key="small", Body=self.small)
        same(self.content("small"), self.small)

    def put_large(self) -> None:
        self.s3.upload_file(str(file("large")), BUCKET, "large")
        in_parts("large")
        got = BytesIO()
        self.s3.download_fileobj(BUCKET, "large", got)
        same(sha256([got.getvalue()]), sha256([self.large]))
        with file("large").open("rb") as body:
            self.s3.put_object(Bucket=BUCKET, Key="at-once", Body=body)
        same(sha256([self.content("at-once")]), sha256([self.large]))

    def put_stream(self) -> None:
        with file("large").open("rb") as body:
            self.s3.upload_fileobj(Unseekable(body), BUCKET, "stream")  # type: ignore[arg-type]  # it only reads
        same(sha256([self.content("stream")]), sha256([self.large]))

    def get_range(self) -> None:
        got = self.s3.get_object(Bucket=BUCKET, Key="large", Range="bytes=6000000-6000999")
        same(got["Body"].read(), self.large[6_000_000:6_001_000])
        same(got["ContentRange"], f"bytes 6000000-6000999/{len(self.large)}")

    def metadata(self) -> None:
        self.s3.put_object(Bucket=BUCKET, Key="metadata", Body=b"", Metadata=METADATA, ContentType="text/x-test")
        got = self.s3.head_object(Bucket=BUCKET, Key="metadata")
        same((got["Metadata"], got["ContentType"]), (METADATA, "text/x-test"))

    def put_keys(self) -> None:
        for key in self.keys:
            self.s3.put_object(Bucket=BUCKET, Key=f"keys/{key}", Body=key.encode())
            same(self.content(f"keys/{key}"), key.encode())
        same(sorted(self.listed("keys/")), sorted(f"keys/{key}" for key in self.keys))

    def pages(self) -> None:
        names = [f"many/{number:04}" for number in range(1100)]
        for name in names:
            self.s3.put_object(Bucket=BUCKET, Key=name, Body=b"")
        same(self.listed("many/"), names)

    def copy(self) -> None:
        for key in ("a+b", "a b  c", "ключ/é/日本/😀"):
            self.s3.copy({"Bucket": BUCKET, "Key": f"keys/{key}"}, BUCKET, f"copies/{key}")
            same(self.content(f"copies/{key}"), key.encode())
        self.s3.copy({"Bucket": BUCKET, "Key": "large"}, BUCKET, "copies/large")
        same(sha256([self.content("copies/large")]), sha256([self.large]))

    def presigned(self) -> None:
        for s3 in (self.s3, boto3.client("s3", config=STYLE.merge(Config(signature_version="s3v4")))):
            there = {"Bucket": BUCKET, "Key": "presigned/a b+ü"}
            curl("-T", file("small"), s3.generate_presigned_url("put_object", there))
            same(curl(s3.generate_presigned_url("get_object", there)), self.small)

    def wrong_secret(self) -> None:
        access_key = os.environ["AWS_ACCESS_KEY_ID"]
        s3 = boto3.client("s3", config=STYLE, aws_access_key_id=access_key, aws_secret_access_key="wrong")
        try:
            s3.put_object(Bucket=BUCKET, Key="small", Body=b"by a stranger")
        except ClientError as error:
            response = error.response
            same(response["Error"].get("Code"), "SignatureDoesNotMatch")
            same(response["ResponseMetadata"]["HTTPStatusCode"], 403)
        else:
            raise AssertionError("it was let in")
        same(self.content("small"), self.small)

    def delete(self) -> None:
        while names := self.listed("")[:1000]:
            done = self.s3.delete_objects(Bucket=BUCKET, Delete={"Objects": [{"Key": name} for name in names]})
            same((len(done["Deleted"]), done.get("Errors")), (len(names), None))
        self.s3.delete_bucket(Bucket=BUCKET)
        same(BUCKET in [one.get("Name") for one in self.s3.list_buckets()["Buckets"]], False)


def main() -> None:
    """Go the round."""
    one = Round()
    with resolving("s3.localhost"):
        run(
            boto3.__version__,
            one.make,
            one.put_small,
            one.put_large,
            one.put_stream,
            one.get_range,
            one.metadata,
            one.put_keys,
            one.pages,
            one.copy,
            one.presigned,
            one.wrong_secret,
            one.delete,
        )


if __name__ == "__main__":
    main()
