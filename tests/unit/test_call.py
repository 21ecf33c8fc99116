"""What a call is allowed: with a bucket that has changed, and by what its request says."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from typing import Any

import pytest

from post3.dispatch import Dispatcher
from post3.model.bucket import Bucket
from post3.model.identity import Identity
from post3.s3.message import Response
from post3.storage.memory import MemoryBackend
from tests.conftest import create_bucket, create_upload, put, put_part
from tests.forms import BOUNDARY, encode_form
from tests.gates import NamedGate
from tests.oracle.model import make_request

OWNER, OTHER = Identity("olga", "Olga"), Identity("otto", "Otto")


class Server:
    """A server that runs for long, on a store that another one changes too."""

    def __init__(self) -> None:
        self.backend = MemoryBackend()
        self._dispatcher = Dispatcher(self.backend, NamedGate([OWNER, OTHER]))

    async def ask(
        self,
        who: Identity | None,
        method: str,
        path: str,
        query: str = "",
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
    ) -> Response:
        told = {**(headers or {}), **({"x-asks": who.id} if who else {})}
        return await self._dispatcher.handle(make_request(method, path, query, told, body))

    async def set(self, name: str = "bucket", policy: Any = None, **configurations: Any) -> Bucket:
        """Behind the server's back."""
        if policy is not None:
            configurations["policy"] = {"Text": json.dumps({"Statement": policy})}
        return await self.backend.update_bucket(name, lambda bucket: replace(bucket, configurations=configurations))


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    server = Server()
    await server.backend.open()
    bucket = await create_bucket(server.backend, "bucket", OWNER.id)
    await put(server.backend, bucket, "key", b"content", owner=OWNER.id)
    await put(server.backend, bucket, "secret/key", b"content", owner=OWNER.id)
    yield server
    await server.backend.close()


def allow(action: str, resource: str = "bucket/*", **fields: Any) -> dict[str, Any]:
    told = {"Effect": "Allow", "Principal": {"AWS": OTHER.id}, "Action": action}
    return {**told, "Resource": f"arn:aws:s3:::{resource}", **fields}


async def test_what_is_allowed_by_now_is_not_refused_by_what_was_kept(server: Server) -> None:
    assert (await server.ask(OTHER, "PUT", "/bucket/new")).status == 403
    assert (await server.ask(OWNER, "PUT", "/bucket/new")).status == 200

    await server.set(policy=allow("s3:PutObject"))
    assert (await server.ask(OTHER, "PUT", "/bucket/new")).status == 200
    await server.set()
    assert (await server.ask(OTHER, "PUT", "/bucket/new")).status == 403


async def test_lists_that_count_by_now_are_not_refused_by_what_was_kept(server: Server) -> None:
    acl = {"x-amz-acl": "public-read"}
    await server.set(ownershipControls={"Rule": {"ObjectOwnership": "BucketOwnerEnforced"}})
    assert (await server.ask(OWNER, "PUT", "/bucket/new", headers=acl)).status == 400

    await server.set()
    assert (await server.ask(OWNER, "PUT", "/bucket/new", headers=acl)).status == 200


@pytest.mark.parametrize("source", ["bucket/secret/key", "/bucket/%73ecret/key", "bucket/secret/key?versionId=null"])
async def test_a_policy_knows_a_source_however_it_is_written(server: Server, source: str) -> None:
    condition = {"StringLike": {"s3:x-amz-copy-source": "bucket/secret/*"}}
    await server.set(
        policy=[allow("s3:*"), allow("s3:PutObject", Effect="Deny", Condition=condition)],
    )
    copy = {"x-amz-copy-source": source}

    assert (await server.ask(OTHER, "PUT", "/bucket/copy", headers=copy)).status == 403
    assert (await server.ask(OTHER, "PUT", "/bucket/copy", headers={"x-amz-copy-source": "bucket/key"})).status == 200


async def test_nobody_chooses_the_headers_of_an_answer_unsigned(server: Server) -> None:
    await server.set(policy=allow("s3:GetObject", Principal="*"))

    assert (await server.ask(None, "GET", "/bucket/key")).status == 200
    assert (await server.ask(None, "GET", "/bucket/key", "response-content-type=text%2Fhtml")).status == 400
    response = await server.ask(OTHER, "GET", "/bucket/key", "response-content-type=text%2Fhtml")
    assert response.headers["content-type"] == "text/html"


@pytest.mark.parametrize(("owner", "status"), [(OWNER, 204), (OTHER, 403)])
async def test_a_form_too_names_the_owner_that_it_expects(server: Server, owner: Identity, status: int) -> None:
    fields = [("key", "new"), ("x-asks", OWNER.id), ("x-amz-expected-bucket-owner", owner.id)]
    headers = {"content-type": f"multipart/form-data; boundary={BOUNDARY.decode()}"}

    response = await server.ask(None, "POST", "/bucket", headers=headers, body=encode_form(fields, b"content"))
    assert response.status == status


async def test_a_thousand_keys_that_nobody_may_delete_tell_nothing(server: Server) -> None:
    keys = ["key", "secret/key", *(f"none-{number}" for number in range(998))]
    batch = "".join(f"<Object><Key>{key}</Key><ETag>x</ETag></Object>" for key in keys)

    response = await server.ask(OTHER, "POST", "/bucket", "delete", body=f"<Delete>{batch}</Delete>".encode())
    assert isinstance(response.body, bytes)
    errors = response.body.decode().split("<Error>")[1:]
    told = {error.partition("</Key>")[2].partition("</Error>")[0] for error in errors}
    assert len(errors) == 1000
    assert told == {"<Code>AccessDenied</Code><Message>Access Denied</Message>"}


async def test_nobody_s_batch_is_not_read_where_nothing_is_allowed(server: Server) -> None:
    for body in (b"no document", b"<Delete><Object><Key>key</Key></Object></Delete>"):
        assert (await server.ask(None, "POST", "/bucket", "delete", body=body)).status == 403

    await server.set(policy=allow("s3:DeleteObject", "bucket/secret/*", Principal="*"))
    keys = "".join(f"<Object><Key>{key}</Key></Object>" for key in ("key", "secret/key"))
    response = await server.ask(None, "POST", "/bucket", "delete", body=f"<Delete>{keys}</Delete>".encode())
    assert isinstance(response.body, bytes)
    assert [response.body.count(tag) for tag in (b"<Deleted>", b"<Code>AccessDenied</Code>")] == [1, 1]


async def test_an_upload_is_not_gone_on_with_once_the_right_is_withdrawn(server: Server) -> None:
    """Somebody with a policy's right may go on with another's upload; with a list's, only with their own."""
    bucket = await server.set(policy=allow("s3:PutObject"))
    upload = await create_upload(server.backend, bucket, "key", owner=OWNER.id)
    await put_part(server.backend, bucket, upload, 1, b"part")
    query = f"partNumber=2&uploadId={upload.upload_id}"
    assert (await server.ask(OTHER, "PUT", "/bucket/key", query, body=b"part")).status == 200

    await server.set()
    assert (await server.ask(OTHER, "PUT", "/bucket/key", query, body=b"part")).status == 403
