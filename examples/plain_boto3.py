"""boto3 as it is, at a post3 server: what is written for S3 needs an address, and nothing else.

    python examples/plain_boto3.py

AWS_ENDPOINT_URL names the server (http://127.0.0.1:9000). Without AWS_ACCESS_KEY_ID requests are not signed.
"""

import os
from typing import Any
from uuid import uuid4

import boto3
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import ClientError

ENDPOINT = os.environ.get("POST3_ENDPOINT") or os.environ.get("AWS_ENDPOINT_URL") or "http://127.0.0.1:9000"
SIGNED = "AWS_ACCESS_KEY_ID" in os.environ


def main() -> None:
    config = Config(signature_version="s3v4" if SIGNED else UNSIGNED)
    s3 = boto3.resource("s3", endpoint_url=ENDPOINT, region_name="us-east-1", config=config)
    bucket = s3.create_bucket(Bucket=f"example-{uuid4()}")
    try:
        show(bucket, s3.meta.client)
    finally:
        bucket.object_versions.delete()
        bucket.delete()


def show(bucket: Any, s3: Any) -> None:
    for day in range(1, 31):
        bucket.put_object(Key=f"2026/06/{day:02}.txt", Body=f"The {day}. of June".encode())

    # Pages of ten, fetched one after the other.
    pages = list(bucket.objects.filter(Prefix="2026/").page_size(10).pages())
    print(f"{sum(map(len, pages))} objects in {len(pages)} pages")
    assert list(map(len, pages)) == [10, 10, 10]

    answer = bucket.Object("2026/06/24.txt").get(Range="bytes=4-6")
    print("a range:", answer["ContentRange"])
    assert answer["Body"].read() == b"24."

    # What the resource lacks, the client has.
    s3.put_bucket_versioning(Bucket=bucket.name, VersioningConfiguration={"Status": "Enabled"})
    bucket.put_object(Key="2026/06/24.txt", Body=b"Midsummer")
    bucket.Object("2026/06/24.txt").delete()
    versions = list(bucket.object_versions.filter(Prefix="2026/06/24.txt"))
    print(f"{len(versions)} versions, one of them a mark of the deletion")
    assert [version.size for version in versions] == [9, 15, None]  # marks come last here
    assert versions[1].get()["Body"].read() == b"The 24. of June"

    try:
        bucket.Object("2026/06/24.txt").load()
        raise AssertionError("a deleted object is still there")
    except ClientError as error:
        print("without a version:", error)


if __name__ == "__main__":
    main()
