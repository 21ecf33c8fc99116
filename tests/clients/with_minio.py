"""The round by MinIO's Python client."""

from __future__ import annotations

import os
from importlib.metadata import version
from urllib.parse import urlsplit

from minio import Minio
from minio.commonconfig import CopySource
from minio.deleteobjects import DeleteObject
from minio.error import S3Error

from tests.clients.steps import METADATA, Unseekable, curl, file, in_parts, run, same, sha256
from tests.resolving import resolving

BUCKET = os.environ["BUCKET"]
ENDPOINT = urlsplit(os.environ["AWS_ENDPOINT_URL"])
MIB = 2**20


def client(secret: str) -> Minio:
    """A client of the server, in the style asked for."""
    made = Minio(
        ENDPOINT.netloc,
        access_key=os.environ["AWS_ACCESS_KEY_ID"],
        secret_key=secret,
        secure=ENDPOINT.scheme == "https",
    )
    if os.environ["STYLE"] == "virtual":
        made.enable_virtual_style_endpoint()
    return made


class Round:
    """What the steps share."""

    s3 = client(os.environ["AWS_SECRET_ACCESS_KEY"])
    small = file("small").read_bytes()
    large = file("large").read_bytes()
    keys = file("keys").read_text(encoding="utf-8").splitlines()

    def put(self, key: str, data: bytes) -> None:
        """Put an object of a few bytes."""
        path = file("to-put")
        path.write_bytes(data)
        with path.open("rb") as body:
            self.s3.put_object(BUCKET, key, body, len(data))

    def content(self, key: str) -> bytes:
        """An object's bytes."""
        answer = self.s3.get_object(BUCKET, key)
        try:
            return bytes(answer.read())
        finally:
            answer.close()
            answer.release_conn()

    def listed(self, prefix: str) -> list[str]:
        """All keys with that prefix, page by page."""
        return [str(one.object_name) for one in self.s3.list_objects(BUCKET, prefix, recursive=True)]

    def make(self) -> None:
        self.s3.make_bucket(BUCKET)
        same(self.s3.bucket_exists(BUCKET), True)
        same(BUCKET in [one.name for one in self.s3.list_buckets()], True)

    def put_small(self) -> None:
        self.put("small", self.small)
        same(self.content("small"), self.small)

    def put_large(self) -> None:
        self.s3.fput_object(BUCKET, "large", str(file("large")), part_size=5 * MIB)
        in_parts("large")
        self.s3.fget_object(BUCKET, "large", str(file("large-back")))
        same(sha256([file("large-back").read_bytes()]), sha256([self.large]))
        self.s3.fput_object(BUCKET, "at-once", str(file("large")), part_size=64 * MIB)
        same(sha256([self.content("at-once")]), sha256([self.large]))

    def put_stream(self) -> None:
        with file("large").open("rb") as body:
            self.s3.put_object(BUCKET, "stream", Unseekable(body), length=-1, part_size=5 * MIB)
        same(sha256([self.content("stream")]), sha256([self.large]))

    def get_range(self) -> None:
        answer = self.s3.get_object(BUCKET, "large", offset=6_000_000, length=1000)
        same(answer.read(), self.large[6_000_000:6_001_000])
        same(answer.headers["content-range"], f"bytes 6000000-6000999/{len(self.large)}")
        answer.release_conn()

    def metadata(self) -> None:
        with file("small").open("rb") as body:
            self.s3.put_object(
                BUCKET, "metadata", body, len(self.small), content_type="text/x-test", metadata=dict(METADATA)
            )
        got = self.s3.stat_object(BUCKET, "metadata")
        same(got.content_type, "text/x-test")
        same({name: (got.metadata or {})[f"x-amz-meta-{name}"] for name in METADATA}, METADATA)

    def put_keys(self) -> None:
        for key in self.keys:
            self.put(f"keys/{key}", key.encode())
            same(self.content(f"keys/{key}"), key.encode())
        same(sorted(self.listed("keys/")), sorted(f"keys/{key}" for key in self.keys))

    def pages(self) -> None:
        names = [f"many/{number:04}" for number in range(1100)]
        for name in names:
            self.put(name, b"")
        same(self.listed("many/"), names)

    def copy(self) -> None:
        for key in ("a+b", "a b  c", "ключ/é/日本/😀"):
            self.s3.copy_object(BUCKET, f"copies/{key}", CopySource(BUCKET, f"keys/{key}"))
            same(self.content(f"copies/{key}"), key.encode())
        self.s3.copy_object(BUCKET, "copies/large", CopySource(BUCKET, "large"))
        same(sha256([self.content("copies/large")]), sha256([self.large]))

    def presigned(self) -> None:
        curl("-T", file("small"), self.s3.presigned_put_object(BUCKET, "presigned/a b+ü"))
        same(curl(self.s3.presigned_get_object(BUCKET, "presigned/a b+ü")), self.small)

    def wrong_secret(self) -> None:
        try:
            client("wrong").fput_object(BUCKET, "small", str(file("keys")))
        except S3Error as error:
            same(error.code, "SignatureDoesNotMatch")
            same(error.response.status, 403)
        else:
            raise AssertionError("it was let in")
        same(self.content("small"), self.small)

    def delete(self) -> None:
        names = [DeleteObject(name) for name in self.listed("")]
        same(list(self.s3.remove_objects(BUCKET, names)), [])
        same(self.listed(""), [])
        self.s3.remove_bucket(BUCKET)
        same(self.s3.bucket_exists(BUCKET), False)


def main() -> None:
    """Go the round."""
    with resolving("s3.localhost"):
        one = Round()
        run(
            version("minio"),
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
