"""Both clients against real servers: buckets, objects, lists, copies, links, and what is refused."""

from __future__ import annotations

import io
import random
from collections.abc import Iterator
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from post3 import Client
from post3.client import (
    Conflict,
    Denied,
    InvalidArgument,
    MiB,
    NotFound,
    PreconditionFailed,
    Prefix,
    S3Error,
    copying,
)
from tests.api.conftest import new_name
from tests.api.people import ALT, MAIN
from tests.client.facade import opened
from tests.servers import Server

LARGE = random.Random(7).randbytes(17 * MiB + 5)


class Pipe(io.RawIOBase):
    """A stream that cannot be rewound, and gives less than it is asked for."""

    def __init__(self, data: bytes) -> None:
        self._rest = io.BytesIO(data)

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1, /) -> bytes:
        return self._rest.read(min(size, 70_000))


def pieces(data: bytes, size: int = 100_000) -> Iterator[bytes]:
    for start in range(0, len(data), size):
        yield data[start : start + size]


def content(client: Client, bucket: str, key: str) -> bytes:
    with client.get_object(bucket, key) as body:
        return body.read()


# Buckets


def test_a_bucket_is_made_listed_and_deleted(client: Client) -> None:
    name = new_name()
    client.create_bucket(name)
    (found,) = [one for one in client.list_buckets() if one.name == name]
    assert found.created is not None
    assert found.created.tzinfo is not None
    client.delete_bucket(name)
    assert name not in [one.name for one in client.list_buckets()]


def test_a_bucket_that_exists_is_a_conflict_unless_that_is_fine(client: Client, bucket: str) -> None:
    with pytest.raises(Conflict, match="BucketAlreadyOwnedByYou"):
        client.create_bucket(bucket)
    client.create_bucket(bucket, exist_ok=True)


def test_somebody_elses_bucket_is_a_conflict_even_if_ones_own_would_be_fine(closed: Server, kind: str) -> None:
    name = new_name()
    with Client(closed.url, access_key=MAIN.access_key, secret_key=MAIN.secret_key) as main:
        main.create_bucket(name)
    with opened(kind, closed.url, access_key=ALT.access_key, secret_key=ALT.secret_key) as alt:
        for exist_ok in (False, True):
            with pytest.raises(Conflict, match="BucketAlreadyExists"):
                alt.create_bucket(name, exist_ok=exist_ok)


def test_a_bucket_of_another_region_is_made_there(server: Server, kind: str) -> None:
    name = new_name()
    with opened(kind, server.url, region="eu-central-1") as client:
        client.create_bucket(name)
        assert client.s3.get_bucket_location(Bucket=name)["LocationConstraint"] == "eu-central-1"
        with pytest.raises(Conflict):
            client.create_bucket(name)
        client.create_bucket(name, exist_ok=True)


def test_a_full_bucket_is_deleted_only_by_force_with_versions_markers_and_uploads(client: Client, bucket: str) -> None:
    client.put_object(bucket, "key", "1")
    client.s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    client.put_object(bucket, "key", "2")
    client.put_object(bucket, "odd \x01 key", "3")
    client.delete_object(bucket, "key")
    client.s3.create_multipart_upload(Bucket=bucket, Key="under way")
    client.s3.create_multipart_upload(Bucket=bucket, Key="odd + %41 é key")
    with pytest.raises(Conflict, match="BucketNotEmpty"):
        client.delete_bucket(bucket)
    client.delete_bucket(bucket, force=True)
    with pytest.raises(NotFound, match="NoSuchBucket"):
        list(client.list_objects(bucket))


# Objects


def test_what_was_put_is_got_with_all_that_is_known_of_it(client: Client, bucket: str) -> None:
    put = client.put_object(bucket, "a/b", "hällo", content_type="text/plain", metadata={"colour": "blue"})
    assert (put.size, put.content_type, put.metadata) == (6, "text/plain", {"colour": "blue"})
    with client.get_object(bucket, "a/b") as body:
        assert body.read().decode() == "hällo"
    assert body.info == client.head_object(bucket, "a/b")
    assert body.info.modified is not None
    assert (body.info.key, body.info.size, body.info.etag) == ("a/b", 6, put.etag)
    assert (body.info.content_type, body.info.metadata) == ("text/plain", {"colour": "blue"})


@pytest.mark.parametrize("size", [0, 8 * MiB, 8 * MiB + 1])
def test_a_body_is_stored_whatever_gives_its_bytes(client: Client, bucket: str, tmp_path: Path, size: int) -> None:
    data = LARGE[:size]
    path = tmp_path / "file.html"
    path.write_bytes(data)
    with path.open("rb") as file:
        bodies = {
            "bytes": data,
            "bytearray": bytearray(data),
            "path": path,
            "file": file,
            "pipe": Pipe(data),
            "iterable": pieces(data),
        }
        for key, body in bodies.items():
            moved: list[int] = []
            told = client.put_object(bucket, key, body, progress=moved.append)  # type: ignore[arg-type]  # so many kinds
            assert (told.size, sum(moved)) == (size, size)
            assert content(client, bucket, key) == data, key
            assert ("-" in told.etag) == (size > 8 * MiB), "what is larger goes by parts"
    assert client.head_object(bucket, "path").content_type == "text/html"


def test_a_stream_is_stored_from_where_it_stands(client: Client, bucket: str) -> None:
    stream = io.BytesIO(b"0123456789")
    stream.seek(4)
    assert client.put_object(bucket, "key", stream).size == 6
    assert content(client, bucket, "key") == b"456789"


def test_a_file_in_text_mode_is_refused_before_anything_is_sent(client: Client, bucket: str) -> None:
    with pytest.raises(InvalidArgument, match="binary mode"):
        client.put_object(bucket, "key", io.StringIO("text"))  # type: ignore[arg-type]  # that is the point
    with pytest.raises(InvalidArgument, match="int has no bytes"):
        client.put_object(bucket, "key", 5)  # type: ignore[arg-type]  # the same
    assert list(client.list_objects(bucket)) == []


def test_a_range_is_half_open_and_tells_the_whole_size(client: Client, bucket: str) -> None:
    client.put_object(bucket, "key", b"0123456789")
    for start, stop, expected in [
        (2, 5, b"234"),
        (7, None, b"789"),
        (None, 3, b"012"),
        (8, 100, b"89"),
        (0, None, b"0123456789"),
    ]:
        with client.get_object(bucket, "key", start=start, stop=stop) as body:
            assert (body.read(), body.info.size) == (expected, 10)
    for start, stop in [(3, 3), (5, 2), (-1, None)]:
        with pytest.raises(InvalidArgument):
            client.get_object(bucket, "key", start=start, stop=stop)
    with pytest.raises(S3Error, match="InvalidRange"):
        client.get_object(bucket, "key", start=10)


def test_a_body_is_read_in_pieces(client: Client, bucket: str) -> None:
    client.put_object(bucket, "key", LARGE)
    with client.get_object(bucket, "key") as body:
        assert body.read(3) == LARGE[:3]
        assert body.read(2 * MiB) == LARGE[3 : 3 + 2 * MiB]
        assert b"".join(body) == LARGE[3 + 2 * MiB :]
        assert body.read(1) == b""


def test_a_version_is_got_and_deleted_by_its_id(client: Client, bucket: str) -> None:
    client.s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    first = client.put_object(bucket, "key", b"1").version_id
    client.put_object(bucket, "key", b"22")
    with client.get_object(bucket, "key", version_id=first) as body:
        assert body.read() == b"1"
    assert client.head_object(bucket, "key", version_id=first).size == 1
    client.delete_object(bucket, "key", version_id=first)
    with pytest.raises(NotFound):
        client.head_object(bucket, "key", version_id=first)
    assert content(client, bucket, "key") == b"22"


@pytest.mark.parametrize("size", [1, 9 * MiB])
def test_a_condition_that_does_not_hold_stores_nothing(client: Client, bucket: str, size: int) -> None:
    first = client.put_object(bucket, "key", b"first", if_none_match="*")
    with pytest.raises(PreconditionFailed) as caught:
        client.put_object(bucket, "key", LARGE[:size], if_none_match="*")
    assert (caught.value.code, caught.value.status) == ("PreconditionFailed", 412)
    with pytest.raises(PreconditionFailed):
        client.put_object(bucket, "key", LARGE[:size], if_match="0" * 32)
    assert content(client, bucket, "key") == b"first"
    client.put_object(bucket, "key", LARGE[:size], if_match=first.etag)
    assert client.head_object(bucket, "key").size == size
    assert "Uploads" not in client.s3.list_multipart_uploads(Bucket=bucket)


def test_lists_go_past_a_page_in_order_and_can_be_cut_at_a_delimiter(client: Client, bucket: str) -> None:
    keys = sorted([f"{number:04}" for number in range(1003)] + ["a/1", "a/2", "b", "é + %41", "z/"])
    for key in keys:
        client.s3.put_object(Bucket=bucket, Key=key, Body=b"")
    listed = list(client.list_objects(bucket))
    assert [one.key for one in listed] == sorted(keys, key=str.encode)
    assert [one.key for one in client.list_objects(bucket, "a/")] == ["a/1", "a/2"]
    cut = [one.prefix if isinstance(one, Prefix) else one.key for one in client.list_objects(bucket, delimiter="/")]
    assert cut[1003:] == ["a/", "b", "z/", "é + %41"]
    assert client.delete_prefix(bucket, "0") == 1000
    assert client.delete_prefix(bucket, "") == 8
    assert list(client.list_objects(bucket)) == []


def test_keys_are_deleted_in_batches_even_those_that_xml_cannot_write(client: Client, bucket: str) -> None:
    keys = ["plain", "a b", "<&>'\"", "new\nline", "\x01", "\r", "ends ", "é"]
    for key in keys:
        client.put_object(bucket, key, b"")
    assert client.delete_objects(bucket, iter([*keys, *(f"missing {number}" for number in range(1001))])) == 1009
    assert list(client.list_objects(bucket)) == []
    assert client.delete_objects(bucket, []) == 0
    client.delete_object(bucket, "missing")


def test_a_copy_keeps_what_describes_it_or_takes_other_metadata(client: Client, bucket: str) -> None:
    client.put_object(bucket, "a + %41 é", b"bytes", content_type="text/x", metadata={"one": "1"})
    moved: list[int] = []
    told = client.copy(bucket, "a + %41 é", bucket, "same", progress=moved.append)
    assert (told.size, moved) == (5, [5])
    same = client.head_object(bucket, "same")
    assert (same.content_type, same.metadata, same.etag) == ("text/x", {"one": "1"}, told.etag)
    client.copy(bucket, "a + %41 é", bucket, "other", metadata={"two": "2"})
    other = client.head_object(bucket, "other")
    assert (other.content_type, other.metadata) == ("text/x", {"two": "2"})


def test_a_copy_that_is_too_large_for_one_request_goes_by_parts_and_keeps_the_same(
    client: Client, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(copying, "LARGEST_COPY", 8 * MiB)
    monkeypatch.setattr(copying, "COPY_PART", 6 * MiB)
    client.put_object(bucket, "large", LARGE, content_type="text/x", metadata={"one": "1"})
    tags = [{"Key": "a +", "Value": "b=:"}]
    client.s3.put_object_tagging(Bucket=bucket, Key="large", Tagging={"TagSet": tags})  # type: ignore[typeddict-item]  # read only
    moved: list[int] = []
    told = client.copy(bucket, "large", bucket, "copy", progress=moved.append)
    assert (told.etag[-2:], told.size, sorted(moved)) == ("-3", len(LARGE), [5 * MiB + 5, 6 * MiB, 6 * MiB])
    copied = client.head_object(bucket, "copy")
    assert (copied.content_type, copied.metadata) == ("text/x", {"one": "1"})
    assert client.s3.get_object_tagging(Bucket=bucket, Key="copy")["TagSet"] == tags
    assert content(client, bucket, "copy") == LARGE


# Links


def test_links_let_others_do_what_they_are_for(closed: Server, kind: str) -> None:
    with opened(kind, closed.url, access_key=MAIN.access_key, secret_key=MAIN.secret_key) as client:
        bucket = new_name()
        client.create_bucket(bucket)
        link = client.presign(bucket, "a b + é", method="PUT", expires=60)
        with urlopen(Request(link, b"by link", method="PUT"), timeout=10) as answer:  # noqa: S310  # our own server's
            assert answer.status == 200
        with urlopen(client.presign(bucket, "a b + é", ResponseContentType="text/x"), timeout=10) as answer:  # noqa: S310
            assert (answer.read(), answer.headers["content-type"]) == (b"by link", "text/x")
        with pytest.raises(HTTPError, match="403"):
            urlopen(link.replace("a%20b", "b"), timeout=10)  # noqa: S310
        with urlopen(Request(client.presign(bucket, "a b + é", method="delete"), method="DELETE"), timeout=10):  # noqa: S310
            pass
        assert list(client.list_objects(bucket)) == []
        for wrong in ({"method": "POST"}, {"expires": 0}, {"expires": 604_801}):
            with pytest.raises(InvalidArgument):
                client.presign(bucket, "key", **wrong)


# What is refused


def test_errors_are_one_sentence_with_s3s_code_and_where_it_was(client: Client, bucket: str) -> None:
    with pytest.raises(NotFound) as caught:
        client.get_object(bucket, "missing")
    error = caught.value
    assert (error.code, error.status) == ("NoSuchKey", 404)
    assert error.request_id
    assert str(error) == (
        f"get_object of s3://{bucket}/missing at {client.endpoint}: The specified key does not exist (NoSuchKey)"
    )
    with pytest.raises(NotFound, match="It does not exist"):
        client.head_object(bucket, "missing")
    with pytest.raises(InvalidArgument, match="'a b' is no bucket's name"):
        client.create_bucket("a b")


def test_who_has_no_right_is_denied(closed: Server, kind: str) -> None:
    bucket = new_name()
    with Client(closed.url, access_key=MAIN.access_key, secret_key=MAIN.secret_key) as main:
        main.create_bucket(bucket)
        main.put_object(bucket, "key", b"")
    with opened(kind, closed.url) as anyone:
        with pytest.raises(Denied) as caught:
            list(anyone.list_objects(bucket))
        assert (caught.value.code, caught.value.status) == ("AccessDenied", 403)
        with pytest.raises(Denied):
            anyone.head_object(bucket, "key")
    wrong_key = opened(kind, closed.url, access_key=MAIN.access_key, secret_key="wrong")
    with wrong_key as wrong, pytest.raises(Denied, match="SignatureDoesNotMatch"):
        list(wrong.list_buckets())


def test_a_batch_that_is_refused_in_part_tells_which_key(closed: Server, kind: str) -> None:
    bucket = new_name()
    with Client(closed.url, access_key=MAIN.access_key, secret_key=MAIN.secret_key) as main:
        main.create_bucket(bucket)
        main.put_object(bucket, "kept", b"")
    other = opened(kind, closed.url, access_key=ALT.access_key, secret_key=ALT.secret_key)
    with other as alt, pytest.raises(Denied, match="kept"):
        alt.delete_objects(bucket, ["kept"])
