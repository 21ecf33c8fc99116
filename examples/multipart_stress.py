"""A multipart upload that has a hard time: parts in any order, eight at once, some cut off, some sent twice, one upload
of the same key given up meanwhile. The object has the digest of the file all the same, and nothing is left behind.

    python examples/multipart_stress.py

POST3_ENDPOINT names the server (http://127.0.0.1:9000); keys come from the usual AWS variables, else none are used.
"""

import hashlib
import random
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection, HTTPSConnection
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

from post3 import Client

PART = 5 * 2**20  # the least that S3 takes, but for the last one
PARTS = 24
KEY = "stressed"


def main() -> None:
    bucket = f"example-{uuid4()}"
    with Client() as client:
        client.create_bucket(bucket)
        try:
            stress(client, bucket)
        finally:
            client.delete_bucket(bucket, force=True)


def stress(client: Client, bucket: str) -> None:
    s3: Any = client.s3
    sizes = {number: PART if number < PARTS else 4321 for number in range(1, PARTS + 1)}
    parts = {number: random.Random(number).randbytes(size) for number, size in sizes.items()}
    at = {"Bucket": bucket, "Key": KEY}
    upload = {**at, "UploadId": s3.create_multipart_upload(**at)["UploadId"]}
    given_up = {**at, "UploadId": s3.create_multipart_upload(**at)["UploadId"]}

    def send(number: int) -> dict[str, Any]:
        part = {**upload, "PartNumber": number}
        if number % 4 == 0:
            cut_off(s3.generate_presigned_url("upload_part", Params=part), parts[number])
        if number % 3 == 0:  # what is sent later replaces what was there
            s3.upload_part(**part, Body=b"not this one" * 1000)
            s3.upload_part(**{**part, "UploadId": given_up["UploadId"]}, Body=b"nor this one" * 1000)
        return {"PartNumber": number, "ETag": s3.upload_part(**part, Body=parts[number])["ETag"]}

    with ThreadPoolExecutor(8) as threads:
        sent = list(threads.map(send, random.Random(0).sample(sorted(parts), PARTS)))
    s3.abort_multipart_upload(**given_up)
    sent.sort(key=lambda part: part["PartNumber"])
    done = s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": sent})
    print(f"{PARTS} parts in any order, {PARTS // 4} cut off first, {PARTS // 3} sent twice: ETag {done['ETag']}")

    with client.get_object(bucket, KEY) as body:
        got = hashlib.sha256()
        for piece in body:
            got.update(piece)
    assert got.hexdigest() == hashlib.sha256(b"".join(parts[number] for number in sorted(parts))).hexdigest()
    print(f"the object's SHA-256 is the file's: {got.hexdigest()}")
    assert "Uploads" not in s3.list_multipart_uploads(Bucket=bucket), "an upload was left behind"


def cut_off(url: str, body: bytes) -> None:
    """Send half of it, and hang up."""
    to = urlsplit(url)
    kind = HTTPSConnection if to.scheme == "https" else HTTPConnection
    connection = kind(to.netloc, timeout=30)
    connection.putrequest("PUT", f"{to.path}?{to.query}")
    connection.putheader("Content-Length", str(len(body)))
    connection.endheaders(body[: len(body) // 2])
    connection.close()


if __name__ == "__main__":
    main()
