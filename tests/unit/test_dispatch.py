"""Buckets that a server keeps: what changed meanwhile is heeded, and the right to it decided anew, on every store.

Two dispatchers over one store are two servers.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any, Final, NamedTuple, TypeAlias

import pytest
from defusedxml.ElementTree import fromstring

from post3.dispatch import Dispatcher
from post3.errors import NoSuchBucket, StaleBucket
from post3.model.bucket import Bucket
from post3.model.identity import Identity
from post3.storage.protocol import Backend
from tests.conftest import MIB, get, keys, set_versioning, some_bytes
from tests.gates import NamedGate
from tests.oracle.model import make_request

SMALL: Final = b"small body"
LARGE: Final = some_bytes(3 * MIB)
PART: Final = some_bytes(5 * MIB)
BODIES: Final = [pytest.param(SMALL, id="small"), pytest.param(LARGE, id="large")]
Between: TypeAlias = Callable[[], Awaitable[object]]
"""What happens while a body arrives."""


async def nothing() -> None:
    """Between two halves of a body that arrives in peace."""


class Answer(NamedTuple):
    """An answer with its body read."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def told(self) -> str:
        """The status, and an error's code."""
        code = fromstring(self.body).findtext("Code") if self.status >= 400 else ""
        return f"{self.status} {code}".strip()

    def text(self, name: str) -> str:
        """The text of the document's element of that name."""
        return next(element.text or "" for element in fromstring(self.body).iter() if element.tag.endswith(name))


class Server:
    """A dispatcher, to be asked by anybody."""

    def __init__(self, backend: Backend) -> None:
        self.dispatcher = Dispatcher(backend, NamedGate([Identity("alice", "alice"), Identity("bob", "bob")]))

    async def ask(
        self,
        asks: str,
        method: str,
        path: str,
        query: str = "",
        body: bytes = b"",
        between: Between = nothing,
        **headers: str,
    ) -> Answer:
        """The answer to that user; nobody is a stranger."""

        async def pieces() -> AsyncIterator[bytes]:
            yield body[: len(body) - 1]
            await between()
            yield body[len(body) - 1 :]

        named = {name.replace("_", "-"): value for name, value in headers.items()}
        request = make_request(method, path, query, {"x-asks": asks, **named}, body)
        response = await self.dispatcher.handle(replace(request, body=pieces()))
        content = response.body
        if not isinstance(content, bytes):
            content = b"".join([piece async for piece in content])
        return Answer(response.status, response.headers, content)

    async def put(self, asks: str, body: bytes, between: Between = nothing, **headers: str) -> str:
        """What is told of a put of the key."""
        return (await self.ask(asks, "PUT", "/bucket/key", "", body, between, **headers)).told

    async def done(self, *words: Any, **more: Any) -> Answer:
        """An answer of success."""
        answer = await self.ask(*words, **more)
        assert answer.status < 300, answer
        return answer


@pytest.fixture
async def server(backend: Backend) -> Server:
    """It has met alice's bucket, which is empty."""
    server = Server(backend)
    await server.done("alice", "PUT", "/bucket")
    await server.done("alice", "PUT", "/bucket/met")
    await server.done("alice", "DELETE", "/bucket/met")
    return server


@pytest.fixture
def other(backend: Backend) -> Server:
    """Another server of the store."""
    return Server(backend)


async def make_bobs(server: Server, **headers: str) -> None:
    """Delete alice's bucket, and make one of bob's of the same name."""
    await server.done("alice", "DELETE", "/bucket")
    await server.done("bob", "PUT", "/bucket", **headers)


async def held(backend: Backend) -> list[str]:
    """The keys in the bucket of that name."""
    return await keys(backend, await backend.get_bucket("bucket"))


# Rights


@pytest.mark.parametrize("body", BODIES)
async def test_the_maker_of_a_bucket_that_is_another_s_by_now_is_a_stranger_to_it(
    backend: Backend, server: Server, other: Server, body: bytes
) -> None:
    await make_bobs(other)
    assert await server.put("alice", body) == "403 AccessDenied"
    assert await held(backend) == []
    assert await server.put("bob", body) == "200"


@pytest.mark.parametrize(("body", "told"), [(SMALL, "403 AccessDenied"), (LARGE, "404 NoSuchBucket")])
async def test_so_they_are_when_it_becomes_another_s_while_their_body_arrives(
    backend: Backend, server: Server, other: Server, body: bytes, told: str
) -> None:
    assert await server.put("alice", body, lambda: make_bobs(other)) == told
    assert await held(backend) == []


@pytest.mark.parametrize("body", BODIES)
async def test_a_right_that_is_taken_away_while_a_body_arrives_is_gone(
    backend: Backend, server: Server, other: Server, body: bytes
) -> None:
    async def close() -> None:
        await other.done("alice", "PUT", "/bucket", "acl", x_amz_acl="private")

    await other.done("alice", "PUT", "/bucket", "acl", x_amz_acl="public-read-write")
    assert await server.put("", body, close) == "403 AccessDenied"
    assert await held(backend) == []


async def test_a_bucket_that_is_not_whose_it_should_be_is_refused(
    backend: Backend, server: Server, other: Server
) -> None:
    await make_bobs(other, x_amz_acl="public-read-write")
    assert await server.put("alice", SMALL, x_amz_expected_bucket_owner="alice") == "403 AccessDenied"
    assert await held(backend) == []
    assert await server.put("alice", SMALL, x_amz_expected_bucket_owner="bob") == "200"


async def test_an_object_gets_owner_and_acl_by_the_bucket_that_it_comes_into(
    backend: Backend, server: Server, other: Server
) -> None:
    async def become_bobs() -> None:
        await make_bobs(other, x_amz_object_ownership="BucketOwnerEnforced")
        await other.done("bob", "PUT", "/bucket", "policy", policy("Allow", "s3:PutObject"))

    assert await server.put("alice", SMALL, become_bobs) == "200"
    assert (await backend.get_version(await backend.get_bucket("bucket"), "key")).owner == "bob"


def policy(effect: str, action: str) -> bytes:
    """A bucket policy for everybody."""
    statement = {"Effect": effect, "Principal": "*", "Action": action, "Resource": "arn:aws:s3:::bucket/*"}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]}).encode()


BLOCK: Final = b"""<PublicAccessBlockConfiguration><BlockPublicAcls>true</BlockPublicAcls>
</PublicAccessBlockConfiguration>"""


async def test_an_upload_is_begun_with_no_acl_that_is_blocked_by_now(server: Server, other: Server) -> None:
    await other.done("alice", "PUT", "/bucket", "publicAccessBlock", BLOCK)
    begun = await server.ask("alice", "POST", "/bucket/key", "uploads", x_amz_acl="public-read")
    assert begun.told == "403 AccessDenied"


@pytest.mark.parametrize("body", BODIES)
async def test_an_upload_of_somebody_else_s_is_closed_to_whom_only_the_acl_lets_in_by_now(
    server: Server, other: Server, body: bytes
) -> None:
    async def drop_policy() -> None:
        await other.done("alice", "DELETE", "/bucket", "policy")

    await other.done("alice", "PUT", "/bucket", "acl", x_amz_acl="public-read-write")
    await other.done("alice", "PUT", "/bucket", "policy", policy("Allow", "s3:PutObject"))
    begun = await server.done("alice", "POST", "/bucket/key", "uploads")
    part = f"partNumber=1&uploadId={begun.text('UploadId')}"
    await server.done("bob", "PUT", "/bucket/key", part, body)
    refused = await server.ask("bob", "PUT", "/bucket/key", part, body, drop_policy)
    assert refused.told == "403 AccessDenied"


# What is under way


async def test_an_object_of_parts_is_read_though_the_bucket_changes_before_its_first_byte(
    backend: Backend, server: Server
) -> None:
    begun = await server.done("alice", "POST", "/bucket/key", "uploads")
    at = f"uploadId={begun.text('UploadId')}"
    sent = [await server.done("alice", "PUT", "/bucket/key", f"partNumber={n}&{at}", PART) for n in (1, 2)]
    named = "".join(
        f"<Part><PartNumber>{number}</PartNumber><ETag>{part.headers['etag']}</ETag></Part>"
        for number, part in enumerate(sent, 1)
    )
    document = f"<CompleteMultipartUpload>{named}</CompleteMultipartUpload>".encode()
    await server.done("alice", "POST", "/bucket/key", at, document)
    response = await server.dispatcher.handle(make_request("GET", "/bucket/key", headers={"x-asks": "alice"}))
    await set_versioning(backend, "bucket", "Enabled")
    assert not isinstance(response.body, bytes)
    assert b"".join([run async for run in response.body]) == PART + PART


async def test_a_form_is_stored_though_the_bucket_changes_while_it_arrives(backend: Backend, server: Server) -> None:
    async def enable() -> None:
        await set_versioning(backend, "bucket", "Enabled")

    for body in (SMALL, LARGE):
        form = b'--b\r\ncontent-disposition: form-data; name="key"\r\n\r\nkey\r\n'
        form += b'--b\r\ncontent-disposition: form-data; name="x-asks"\r\n\r\nalice\r\n'
        form += b'--b\r\ncontent-disposition: form-data; name="file"\r\n\r\n' + body + b"\r\n--b--\r\n"
        posted = await server.ask(
            "", "POST", "/bucket", "", form, enable, content_type="multipart/form-data; boundary=b"
        )
        assert posted.told == "204"
        assert posted.headers["x-amz-version-id"] != "null"
        assert await get(backend, await backend.get_bucket("bucket"), "key") == body


# How often the store is asked


class Counting:
    """A store of which it is counted how often buckets are loaded."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self.loaded = 0

    async def get_bucket(self, name: str) -> Bucket:
        self.loaded += 1
        return await self._backend.get_bucket(name)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._backend, name)


async def test_a_bucket_that_changed_is_loaded_once_more_and_then_kept(backend: Backend) -> None:
    counting = Counting(backend)
    server = Server(counting)
    await server.done("alice", "PUT", "/bucket")
    for turn in range(3):
        counting.loaded = 0
        for _ in range(3):
            assert await server.put("alice", SMALL) == "200"
        assert counting.loaded == 1
        await set_versioning(backend, "bucket", ("Enabled", "Suspended")[turn % 2])
    counting.loaded = 0
    for _ in range(3):
        assert await server.put("alice", LARGE) == "200"
    assert counting.loaded == 3, "bytes that cannot be moved look at it first"


async def test_a_server_forgets_what_it_changes_itself(backend: Backend, server: Server) -> None:
    kept = server.dispatcher._buckets
    assert "bucket" in kept
    await server.done("alice", "PUT", "/bucket", "acl", x_amz_acl="private")
    assert "bucket" not in kept
    assert await server.put("alice", SMALL) == "200"
    assert kept["bucket"] == await backend.get_bucket("bucket")
    await server.done("alice", "DELETE", "/bucket/key")
    await server.done("alice", "DELETE", "/bucket")
    assert "bucket" not in kept


async def test_a_bucket_that_never_holds_still_is_given_up(backend: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    class Restless(Counting):
        async def put_version(self, *_: object, **__: object) -> None:
            raise StaleBucket

    server = Server(Restless(backend))  # type: ignore[arg-type]  # it is one, by __getattr__
    await server.done("alice", "PUT", "/bucket")
    assert await server.put("alice", SMALL) == "409 OperationAborted"


async def test_a_bucket_that_is_missing_elsewhere_is_not_looked_for_again(backend: Backend) -> None:
    """Such as a copy's source."""
    counting = Counting(backend)

    class Missing(Counting):
        async def put_version(self, *_: object, **__: object) -> None:
            counting.loaded += 1
            raise NoSuchBucket

    server = Server(Missing(backend))  # type: ignore[arg-type]  # it is one, by __getattr__
    await server.done("alice", "PUT", "/bucket")
    assert await server.put("alice", SMALL) == "404 NoSuchBucket"
    assert counting.loaded == 1
