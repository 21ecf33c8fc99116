"""What a store that keeps does beyond small buckets and one life: restarts, objects of 80 MiB, 100,001 keys."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import re
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

import pytest

from post3.storage.filesystem.backend import FilesystemBackend
from post3.storage.protocol import Backend
from tests.api.asking import ask, begin, complete, send, set_versioning
from tests.api.conftest import FLAGS
from tests.api.people import ALT, AUTHENTICATED, MAIN, ROOT_KEY, Person, client_of, may, policy, statement
from tests.api.test_users import told
from tests.conftest import MIB, a_version, create_bucket, some_bytes
from tests.databases import database_url, fresh_schema, postgres_backend
from tests.servers import Server, post3_serve

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


@dataclass(frozen=True, slots=True)
class Store:
    """One store, for a server and for whoever fills it without one."""

    flags: tuple[str, ...]
    folder: Path
    backend: Callable[[], Backend]


@pytest.fixture(params=["filesystem", "postgres"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    if request.param == "filesystem":
        flags = tuple(FLAGS["filesystem"])
        return Store(flags, tmp_path, lambda: FilesystemBackend(tmp_path / "data", durable=False))
    schema = fresh_schema()
    flags = ("--database-url", database_url(), "--pg-schema", schema, "--durability", "relaxed")
    return Store(flags, tmp_path, lambda: postgres_backend(schema=schema))


# Another life

LARGE: Final = some_bytes(6 * MIB)
CORS: Final[Any] = {"CORSRules": [{"ID": "1", "AllowedMethods": ["GET"], "AllowedOrigins": ["https://*.example"]}]}
TAGS: Final[Any] = {"TagSet": [{"Key": "colour", "Value": "blue"}, {"Key": "é", "Value": ""}]}
SETTINGS: Final[dict[str, dict[str, Any]]] = {
    "bucket_cors": {"CORSConfiguration": CORS},
    "bucket_tagging": {"Tagging": TAGS},
    "bucket_ownership_controls": {"OwnershipControls": {"Rules": [{"ObjectOwnership": "ObjectWriter"}]}},
    "bucket_encryption": {
        "ServerSideEncryptionConfiguration": {
            "Rules": [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}]
        }
    },
    "public_access_block": {"PublicAccessBlockConfiguration": {"BlockPublicPolicy": True}},
    "bucket_policy": {"Policy": policy(statement("filled", "s3:GetObject", to=ALT, key="key"))},
    "bucket_versioning": {"VersioningConfiguration": {"Status": "Enabled"}},
}
READ_ONLY: Final = ("bucket_acl", "bucket_location", "bucket_policy_status")
SERVING: Final = {**ROOT_KEY, "POST3_MASTER_KEY": base64.b64encode(bytes(range(32))).decode()}


def add_person(store: Store, person: Person) -> None:
    names = ("--display-name", person.display_name, "--email", person.email)
    told(store.folder, "user", "add", person.id, *names, store=store.flags)
    secret = store.folder / "secret"
    secret.write_text(person.secret_key)
    key = ("--access-key", person.access_key, "--secret-key-file", "secret")
    told(store.folder, "key", "add", person.id, *key, store=store.flags)


def fill(s3: S3Client) -> str:
    """A bucket with something of everything; the id of its upload in progress."""
    s3.create_bucket(Bucket="filled", ACL="authenticated-read", ObjectOwnership="ObjectWriter")
    s3.put_object(Bucket="filled", Key="key", Body=b"from before versioning", Tagging="a=b")
    for name, document in SETTINGS.items():
        getattr(s3, f"put_{name}")(Bucket="filled", **document)
    s3.put_object(Bucket="filled", Key="key", Body=LARGE, ContentType="text/plain", Metadata={"a": "b"})
    s3.put_object(Bucket="filled", Key="key", Body=b"", ACL="authenticated-read", ChecksumAlgorithm="SHA256")
    s3.put_object_tagging(Bucket="filled", Key="key", Tagging=TAGS)
    s3.put_object(Bucket="filled", Key="a//b ü/", Body=b"odd", StorageClass="STANDARD_IA", CacheControl="no-store")
    s3.put_object(Bucket="filled", Key="gone", Body=LARGE)
    s3.delete_object(Bucket="filled", Key="gone")
    upload = begin(s3, "filled", "parts")
    complete(s3, "filled", "parts", upload, send(s3, "filled", "parts", upload, LARGE, b"end"))
    set_versioning(s3, "filled", "Suspended")
    s3.put_object(Bucket="filled", Key="gone", Body=b"null")
    upload = begin(s3, "filled", "open", Metadata={"promised": "yes"}, Tagging="c=d", ACL="authenticated-read")
    send(s3, "filled", "open", upload, LARGE, b"end")
    return upload


def all_of(s3: S3Client, upload: str) -> dict[str, Any]:
    """Everything that a client can learn of the bucket."""
    filled = {"Bucket": "filled"}
    found: dict[str, Any] = {
        "buckets": s3.list_buckets(),
        "versions": s3.list_object_versions(**filled),  # type: ignore[arg-type]  # a mere dict
        "objects": s3.list_objects_v2(Bucket="filled", FetchOwner=True),
        "uploads": s3.list_multipart_uploads(Bucket="filled"),
        "parts": s3.list_parts(Bucket="filled", Key="open", UploadId=upload),
    }
    for name in (*SETTINGS, *READ_ONLY):
        found[name] = getattr(s3, f"get_{name}")(Bucket="filled")
    for version in found["versions"]["Versions"]:
        named: dict[str, Any] = {"Bucket": "filled", "Key": version["Key"], "VersionId": version["VersionId"]}
        got: dict[str, Any] = dict(s3.get_object(**named, ChecksumMode="ENABLED"))
        got["Body"] = got["Body"].read()
        which = f"{version['Key']} {version['VersionId']}"
        found[which] = got
        found[f"{which} acl"] = s3.get_object_acl(**named)
        found[f"{which} tags"] = s3.get_object_tagging(**named)
    for answer in found.values():
        del answer["ResponseMetadata"]  # the request's id and the time of day
    return found


def test_everything_is_there_after_a_restart_and_an_upload_goes_on(store: Store) -> None:
    for person in (MAIN, ALT):
        add_person(store, person)
    users = told(store.folder, "user", "list", "--json", store=store.flags)
    with post3_serve(*store.flags, cwd=store.folder, env=SERVING) as server, closing(client_of(server, MAIN)) as s3:
        upload = fill(s3)
        before = all_of(s3, upload)
        assert len(before["versions"]["Versions"]) == 7
        assert len(before["versions"]["DeleteMarkers"]) == 1
    with post3_serve(*store.flags, cwd=store.folder, env=SERVING) as server, closing(client_of(server, MAIN)) as s3:
        assert all_of(s3, upload) == before
        assert told(store.folder, "user", "list", "--json", store=store.flags) == users
        with closing(client_of(server, ALT)) as alt:
            assert may(alt.get_object, Bucket="filled", Key="key")
            assert may(alt.list_objects, Bucket="filled")
            assert not may(alt.get_object, Bucket="filled", Key="parts")
        parts = [{"PartNumber": one["PartNumber"], "ETag": one["ETag"]} for one in before["parts"]["Parts"]]
        complete(s3, "filled", "open", upload, parts)
        got = s3.get_object(Bucket="filled", Key="open")
        assert (got["Body"].read(), got["Metadata"], got["TagCount"]) == (LARGE + b"end", {"promised": "yes"}, 1)
        grants = s3.get_object_acl(Bucket="filled", Key="open")["Grants"]
        assert [one["Grantee"].get("URI") for one in grants] == [AUTHENTICATED, None]


# Large objects

SIZE: Final = 80
"""MiB."""
HALF: Final = 40
BORDERS: Final = (HALF * MIB, 64 * MIB)


def blocks(start: int = 0, stop: int = SIZE) -> Iterator[bytes]:
    """These MiB of the large object, each unlike the others."""
    return (some_bytes(MIB, number) for number in range(start, stop))


def md5_of(start: int = 0, stop: int = SIZE) -> Any:
    digest = hashlib.md5(usedforsecurity=False)
    for block in blocks(start, stop):
        digest.update(block)
    return digest


def put_streamed(server: Server, target: str, start: int, stop: int, *, chunked: bool) -> str:
    """Put these MiB, no more than one of them in memory; the ETag."""
    with closing(HTTPConnection(server.host, server.port, timeout=120)) as connection:
        headers = {} if chunked else {"content-length": str((stop - start) * MIB)}
        connection.request("PUT", target, blocks(start, stop), headers, encode_chunked=chunked)
        answer = connection.getresponse()
        assert answer.status == 200, answer.read()
        answer.read()
        return answer.headers["etag"]


def check_large(server: Server, target: str) -> None:
    """Compare the whole with what was sent, and ranges around the borders of parts and of 64 MiB."""
    with closing(HTTPConnection(server.host, server.port, timeout=120)) as connection:
        connection.request("GET", target)
        answer = connection.getresponse()
        assert (answer.status, answer.headers["content-length"]) == (200, str(SIZE * MIB))
        for number, block in enumerate(blocks()):
            assert answer.read(MIB) == block, f"MiB {number}"
        assert answer.read() == b""
    for border in BORDERS:
        around = b"".join(blocks(border // MIB - 1, border // MIB + 1))
        for before, behind in ((1, 1), (1, 0), (0, 1), (70_000, 3), (MIB, MIB)):
            first, last = border - before, border + behind - 1
            part = ask(server, "GET", target, {"range": f"bytes={first}-{last}"})
            assert part.status == 206
            assert part.headers["content-range"] == f"bytes {first}-{last}/{SIZE * MIB}"
            assert part.body == around[MIB - before : MIB + behind], (first, last)
    rest = ask(server, "GET", target, {"range": f"bytes={64 * MIB}-"})
    assert rest.body == b"".join(blocks(64))
    assert ask(server, "GET", target, {"range": f"bytes=-{SIZE * MIB + 1}"}).headers["content-length"] == str(
        SIZE * MIB
    )
    assert ask(server, "GET", target, {"range": f"bytes={SIZE * MIB}-"}).code == "InvalidRange"


def test_an_object_of_80_mib_comes_back_as_it_was_sent(store: Store) -> None:
    with post3_serve(*store.flags, cwd=store.folder) as server:
        assert ask(server, "PUT", "/large").status == 200
        etag = put_streamed(server, "/large/whole", 0, SIZE, chunked=False)
        assert etag == f'"{md5_of().hexdigest()}"'
        check_large(server, "/large/whole")


def test_parts_of_40_mib_make_an_object_of_80(store: Store) -> None:
    with post3_serve(*store.flags, cwd=store.folder) as server:
        assert ask(server, "PUT", "/large").status == 200
        upload = ask(server, "POST", "/large/parts?uploads").text("UploadId")
        target, named, digests = f"/large/parts?uploadId={upload}", "", b""
        for number in (1, 2):
            borders = (HALF * (number - 1), HALF * number)
            etag = put_streamed(server, f"{target}&partNumber={number}", *borders, chunked=number == 1)
            digest = md5_of(*borders)
            assert etag == f'"{digest.hexdigest()}"'
            digests += digest.digest()
            named += f"<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>"
        body = f"<CompleteMultipartUpload>{named}</CompleteMultipartUpload>".encode()
        whole = hashlib.md5(digests, usedforsecurity=False).hexdigest()
        assert ask(server, "POST", target, body=body).text("ETag") == f'"{whole}-2"'
        check_large(server, "/large/parts")


# Many keys

FLAT: Final = [f"{'aAzZ'[number % 4]}{number:05}" for number in range(50_001)]
FOLDERS: Final = [f"{'bB'[number % 2]}{number:04}/" for number in range(2000)]
DEEP: Final = [f"{folder}{number}" for folder in FOLDERS for number in range(25)]
MANY: Final = sorted(FLAT + DEEP, key=str.encode)
WRITERS: Final = 8


async def fill_with_keys(backend: Backend) -> None:
    """An empty object of every key, put into the store as a server puts it."""
    await backend.open()
    bucket = await create_bucket(backend, "many")
    keys = iter(FLAT + DEEP)

    async def put_some() -> None:
        for key in keys:
            await backend.put_version(bucket, a_version(bucket, key))

    await asyncio.gather(*(put_some() for _ in range(WRITERS)))
    await backend.close()


def told_in(body: bytes, name: str) -> list[str]:
    """The texts of elements whose text needs no escaping: an XML parser would take most of the test's time."""
    return [text.decode() for text in re.findall(b"<%b>([^<]*)</%b>" % (name.encode(), name.encode()), body)]


def listed(server: Server, query: str, goes_on: str, token: str) -> list[list[str]]:
    """Page by page, the keys and common prefixes of a list; each page begins where the one before says."""
    pages: list[list[str]] = []
    following = ""
    while True:
        body = ask(server, "GET", f"/many?{query}{following}").body
        prefixes = told_in(body, "Prefix")[1:]  # the first is that of the request
        pages.append(sorted(told_in(body, "Key") + prefixes, key=str.encode))
        assert told_in(body, "Key") == sorted(told_in(body, "Key"), key=str.encode)
        assert prefixes == sorted(prefixes, key=str.encode)
        if told_in(body, "IsTruncated") == ["false"]:
            assert not told_in(body, token)
            return pages
        where = (told_in(body, token) or pages[-1][-1:])[0]
        following = f"&{goes_on}={quote(where, safe='')}"


def test_a_bucket_of_100_001_keys_is_listed_to_its_end(store: Store) -> None:
    assert len(set(MANY)) == 100_001
    asyncio.run(fill_with_keys(store.backend()))
    collapsed = sorted(FLAT + FOLDERS, key=str.encode)
    with post3_serve(*store.flags, cwd=store.folder) as server:
        for way, goes_on, token in (
            ("", "marker", "NextMarker"),
            ("list-type=2&", "continuation-token", "NextContinuationToken"),
        ):
            for delimiter, expected in (("", MANY), ("delimiter=/&", collapsed)):
                pages = listed(server, f"{way}{delimiter}max-keys=1000", goes_on, token)
                assert [len(page) for page in pages[:-1]] == [1000] * ((len(expected) - 1) // 1000)
                assert [name for page in pages for name in page] == expected, (way, delimiter)
