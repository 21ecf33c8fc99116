"""What an object says of itself: its type, metadata of your own, new metadata without new bytes, and a careful writer.

    python examples/metadata.py

POST3_ENDPOINT names the server (http://127.0.0.1:9000); keys come from the usual AWS variables, else none are used.
"""

from uuid import uuid4

from post3 import Client
from post3.client import PreconditionFailed

KEY = "holiday/beach.jpg"


def main() -> None:
    bucket = f"example-{uuid4()}"
    with Client() as s3:
        s3.create_bucket(bucket)
        try:
            describe(s3, bucket)
            change_carefully(s3, bucket)
        finally:
            s3.delete_bucket(bucket, force=True)


def describe(s3: Client, bucket: str) -> None:
    picture = b"\xff\xd8 not quite a picture"
    s3.put_object(bucket, KEY, picture, content_type="image/jpeg", metadata={"camera": "Leica", "shot-by": "Ada"})
    info = s3.head_object(bucket, KEY)
    print(f"{info.key}: {info.size} bytes of {info.content_type}, changed {info.modified:%F %T}, {info.metadata}")
    assert (info.size, info.content_type) == (len(picture), "image/jpeg")
    assert info.metadata == {"camera": "Leica", "shot-by": "Ada"}

    # A copy onto itself replaces the metadata; the bytes stay where they are.
    s3.copy(bucket, KEY, bucket, KEY, metadata={"camera": "Leica", "album": "2026"})
    with s3.get_object(bucket, KEY) as body:
        print(f"after the copy: {body.info.metadata}")
        assert body.info.metadata == {"camera": "Leica", "album": "2026"}
        assert body.read() == picture


def change_carefully(s3: Client, bucket: str) -> None:
    mine = s3.put_object(bucket, "counter", "1", if_none_match="*")  # only if there is none
    s3.put_object(bucket, "counter", "2", if_match=mine.etag)  # only if nobody wrote since
    try:
        s3.put_object(bucket, "counter", "3", if_match=mine.etag)
        raise AssertionError("a late writer won")
    except PreconditionFailed as error:
        print(f"a late writer is told: {error}")
    with s3.get_object(bucket, "counter") as body:
        assert body.read() == b"2"


if __name__ == "__main__":
    main()
