"""The first minute: a bucket, an object in it, a listing, and all of it gone again.

    python examples/basic.py

POST3_ENDPOINT names the server (http://127.0.0.1:9000); keys come from the usual AWS variables, else none are used.
"""

from uuid import uuid4

from post3 import Client
from post3.client import NotFound


def main() -> None:
    bucket = f"example-{uuid4()}"
    with Client() as s3:
        s3.create_bucket(bucket)
        try:
            show(s3, bucket)
        finally:
            s3.delete_bucket(bucket, force=True)
        assert bucket not in [found.name for found in s3.list_buckets()]


def show(s3: Client, bucket: str) -> None:
    stored = s3.put_object(bucket, "letters/hello.txt", "Hello, world!")
    print(f"stored {stored.size} bytes, ETag {stored.etag}")

    with s3.get_object(bucket, "letters/hello.txt") as body:
        text = body.read().decode()
    print(f"read back {text!r}")
    assert text == "Hello, world!"

    with s3.get_object(bucket, "letters/hello.txt", start=7, stop=12) as body:
        assert body.read() == b"world"

    s3.put_object(bucket, "numbers/one.bin", b"\x01")
    s3.copy(bucket, "letters/hello.txt", bucket, "letters/again.txt")
    keys = [found.key for found in s3.list_objects(bucket, "letters/")]
    print("letters:", ", ".join(keys))
    assert keys == ["letters/again.txt", "letters/hello.txt"]

    s3.delete_object(bucket, "letters/hello.txt")
    try:
        s3.head_object(bucket, "letters/hello.txt")
        raise AssertionError("a deleted object is still there")
    except NotFound as error:
        print(f"gone: {error}")


if __name__ == "__main__":
    main()
