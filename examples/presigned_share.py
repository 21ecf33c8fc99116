"""Sharing without sharing a key: a link to read one object, which expires, and a link to upload one.

    python examples/presigned_share.py

Whoever has a link needs no client and no key; here urllib plays that part. Links are signed, so this needs a server
with keys (POST3_ACCESS_KEY and POST3_SECRET_KEY for post3 serve) and the same in AWS_ACCESS_KEY_ID and
AWS_SECRET_ACCESS_KEY. POST3_ENDPOINT names the server (http://127.0.0.1:9000).
"""

import os
import sys
import time
from urllib.error import HTTPError
from urllib.request import Request, urlopen
from uuid import uuid4

from post3 import Client

REPORT = b"Sales rose by 3 %.\n"


def main() -> None:
    if "AWS_ACCESS_KEY_ID" not in os.environ:
        sys.exit("A link is signed with a key: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.")
    bucket = f"example-{uuid4()}"
    with Client() as s3:
        s3.create_bucket(bucket)
        try:
            share(s3, bucket)
            collect(s3, bucket)
        finally:
            s3.delete_bucket(bucket, force=True)


def share(s3: Client, bucket: str) -> None:
    s3.put_object(bucket, "report.txt", REPORT)
    s3.put_object(bucket, "secret.txt", "not for you")
    link = s3.presign(bucket, "report.txt", expires=2)
    print("to read it, for two seconds:", link)
    assert follow(link) == (200, REPORT)
    assert follow(link.replace("report.txt", "secret.txt"))[0] == 403, "a link opens what it was not made for"

    deadline = time.monotonic() + 10
    while follow(link)[0] == 200:
        assert time.monotonic() < deadline, "a link outlives its expiry"
        time.sleep(0.2)
    status, answer = follow(link)
    print(f"after that: {status}, {answer.decode()}")
    assert (status, b"expired" in answer) == (403, True)


def collect(s3: Client, bucket: str) -> None:
    link = s3.presign(bucket, "inbox/answer.txt", method="PUT", expires=600)
    print("to upload one, for ten minutes:", link)
    assert follow(Request(link, method="PUT", data=b"Well done!"))[0] == 200
    with s3.get_object(bucket, "inbox/answer.txt") as body:
        assert body.read() == b"Well done!"
    assert follow(link)[0] == 403, "a link to upload lets people read"


def follow(link: str | Request) -> tuple[int, bytes]:
    """The status and the body that a link answers with."""
    try:
        with urlopen(link, timeout=30) as answer:
            return answer.status, answer.read()
    except HTTPError as error:
        with error:
            return error.code, error.read()


if __name__ == "__main__":
    main()
