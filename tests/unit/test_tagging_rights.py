"""Who may do what with tags, and which tags a bucket policy makes conditions of."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from datetime import datetime
from typing import Any, Final

import pytest
from defusedxml.ElementTree import fromstring

from post3.auth.authentication import Proof
from post3.dispatch import Dispatcher
from post3.model.identity import ANONYMOUS, Identity
from post3.model.tagging import object_tags, to_document
from post3.s3.xml import parse, render
from post3.storage.memory import MemoryBackend
from tests.forms import BOUNDARY, encode_form
from tests.gates import NamedGate
from tests.oracle.model import make_request

USERS: Final = (
    *(Identity(name, name) for name in ("alice", "bob", "carol")),
    Identity("root", "root", is_admin=True),
)
PUBLIC: Final = {"security": "public"}
PRIVATE: Final = {"security": "private"}
TAGGED: Final = {"x-amz-tagging": "security=public"}
TAG_OPERATIONS: Final = ("GetObjectTagging", "PutObjectTagging", "DeleteObjectTagging")


class FormGate(NamedGate):
    """Takes the field x-asks of a form for the id of who asks, too."""

    def identify_form(self, fields: Mapping[str, str], now: datetime) -> Proof:
        """Whoever the field says."""
        identity = self.directory.by_id(fields.get("x-asks", ""))
        return Proof(identity or ANONYMOUS, kind="form" if identity else "")


class Server:
    """A dispatcher whose requests say who asks."""

    def __init__(self, backend: MemoryBackend) -> None:
        self._dispatcher = Dispatcher(backend, FormGate(USERS))

    async def ask(
        self, asks: str, method: str, target: str, body: bytes = b"", headers: dict[str, str] | None = None
    ) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and body; an anonymous request where asks is empty."""
        path, _, query = target.partition("?")
        response = await self._dispatcher.handle(
            make_request(method, path, query, {"x-asks": asks, **(headers or {})}, body)
        )
        content = response.body
        if not isinstance(content, bytes):
            content = b"".join([piece async for piece in content])
        return response.status, response.headers, content

    async def status(self, *words: Any, **more: Any) -> int:
        return (await self.ask(*words, **more))[0]

    async def put(self, asks: str, target: str, **headers: str) -> int:
        body = b"data" if target.count("/") > 1 and "?" not in target else b""
        return await self.status(asks, "PUT", target, body, {n.replace("_", "-"): v for n, v in headers.items()})

    async def tag(self, asks: str, target: str, tags: dict[str, str]) -> int:
        return await self.status(asks, "PUT", f"{target}?tagging", render("Tagging", to_document(tags)))

    async def tags(self, target: str) -> dict[str, str]:
        """The tags, as root sees them."""
        status, _, body = await self.ask("root", "GET", f"{target}?tagging")
        assert status == 200, body
        return dict(object_tags(parse(body, "Tagging")))

    async def do(self, asks: str, operation: str, target: str) -> int:
        """The status of one of TAG_OPERATIONS."""
        method = operation.removesuffix("ObjectTagging").upper()
        body = render("Tagging", to_document({"by": asks or "nobody"})) if method == "PUT" else b""
        return await self.status(asks, method, target, body)

    async def policy(self, *statements: dict[str, Any]) -> None:
        """Put a policy of these statements on the bucket."""
        assert await self.status("alice", "PUT", "/bucket?policy", policy(*statements)) == 204

    async def code(self, *words: Any, **more: Any) -> tuple[int, str | None]:
        """Status and code of a refusal."""
        status, _, body = await self.ask(*words, **more)
        return status, fromstring(body).findtext("Code")


def policy(*statements: dict[str, Any]) -> bytes:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)}).encode()


def allow(*actions: str, when: Mapping[str, Any] | None = None, effect: str = "Allow") -> dict[str, Any]:
    statement: dict[str, Any] = {
        "Effect": effect,
        "Principal": {"AWS": ["arn:aws:iam:::user/bob"]},
        "Action": [f"s3:{action}" for action in actions],
        "Resource": "arn:aws:s3:::bucket/*",
    }
    if effect == "Deny":
        statement["Principal"] = "*"
    return {**statement, "Condition": when} if when else statement


def deny(*actions: str, when: Mapping[str, Any] | None = None) -> dict[str, Any]:
    return allow(*actions, when=when, effect="Deny")


@pytest.fixture
async def backend() -> AsyncIterator[MemoryBackend]:
    backend = MemoryBackend()
    await backend.open()
    yield backend
    await backend.close()


@pytest.fixture
async def server(backend: MemoryBackend) -> Server:
    """Alice's bucket, with an object of hers."""
    server = Server(backend)
    assert await server.put("alice", "/bucket") == 200
    assert await server.put("alice", "/bucket/key") == 200
    return server


async def let_everybody_write(server: Server) -> None:
    assert await server.put("alice", "/bucket?acl", x_amz_acl="public-read-write") == 200


# Owners


@pytest.mark.parametrize("operation", TAG_OPERATIONS)
async def test_tags_are_the_object_s_owner_s(server: Server, operation: str) -> None:
    await let_everybody_write(server)
    assert await server.put("bob", "/bucket/bobs") == 200
    asked = {asks: await server.do(asks, operation, "/bucket/bobs?tagging") for asks in ("alice", "bob", "root", "")}
    done = 204 if operation.startswith("Delete") else 200
    assert asked == {"alice": 403, "bob": done, "root": done, "": 403}


@pytest.mark.parametrize("operation", TAG_OPERATIONS)
async def test_no_acl_grants_tags(server: Server, operation: str) -> None:
    everybody = "uri=http://acs.amazonaws.com/groups/global/AllUsers"
    for header in ("x_amz_grant_full_control", "x_amz_grant_read", "x_amz_grant_write_acp"):
        assert await server.put("alice", "/bucket/key?acl", **{header: everybody}) == 200
        assert await server.do("bob", operation, "/bucket/key?tagging") == 403
        assert await server.do("", operation, "/bucket/key?tagging") == 403
        assert await server.do("alice", operation, "/bucket/key?tagging") < 300
    assert await server.put("alice", "/bucket/key?acl", x_amz_grant_read="id=bob") == 200
    assert await server.status("bob", "GET", "/bucket/key") == 200
    assert await server.do("alice", operation, "/bucket/key?tagging") < 300


@pytest.mark.parametrize("operation", TAG_OPERATIONS)
async def test_where_acls_do_not_count_tags_are_the_bucket_s_owner_s(server: Server, operation: str) -> None:
    await let_everybody_write(server)
    assert await server.put("bob", "/bucket/bobs") == 200
    assert await server.put("alice", "/bucket?acl", x_amz_acl="private") == 200
    rule = {"Rule": {"ObjectOwnership": "BucketOwnerEnforced"}}
    assert await server.status("alice", "PUT", "/bucket?ownershipControls", render("OwnershipControls", rule)) == 200
    assert await server.do("bob", operation, "/bucket/bobs?tagging") == 403
    assert await server.do("alice", operation, "/bucket/bobs?tagging") < 300


@pytest.mark.parametrize("operation", TAG_OPERATIONS)
async def test_what_is_not_there_is_not_told_to_strangers(server: Server, operation: str) -> None:
    assert await server.do("bob", operation, "/bucket/absent?tagging") == 403
    assert await server.do("alice", operation, "/bucket/absent?tagging") == 404


@pytest.mark.parametrize("verb", ["Get", "Put", "Delete"])
async def test_a_bucket_s_tags_are_its_owner_s(server: Server, verb: str) -> None:
    await let_everybody_write(server)
    body = render("Tagging", to_document(PUBLIC))
    assert await server.status("alice", "PUT", "/bucket?tagging", body) == 204
    assert await server.status("bob", verb.upper(), "/bucket?tagging", body) == 403
    assert await server.status("alice", verb.upper(), "/bucket?tagging", body) < 300


async def test_a_policy_gives_the_tags_of_a_bucket(server: Server) -> None:
    body = render("Tagging", to_document(PUBLIC))
    statement = {**allow("PutBucketTagging"), "Resource": "arn:aws:s3:::bucket"}
    await server.policy(statement)
    assert await server.status("bob", "PUT", "/bucket?tagging", body) == 204
    assert await server.status("bob", "GET", "/bucket?tagging") == 403
    assert await server.status("bob", "DELETE", "/bucket?tagging") == 204


# Policies


@pytest.mark.parametrize("operation", TAG_OPERATIONS)
async def test_a_policy_gives_tags(server: Server, operation: str) -> None:
    await server.policy(allow(operation))
    for other in TAG_OPERATIONS:
        assert (await server.do("bob", other, "/bucket/key?tagging") < 300) == (other == operation)
    assert await server.status("bob", "GET", "/bucket/key") == 403


@pytest.mark.parametrize("operation", TAG_OPERATIONS)
async def test_a_policy_gives_away_no_tags_of_others(server: Server, operation: str) -> None:
    await let_everybody_write(server)
    assert await server.put("carol", "/bucket/carols") == 200
    await server.policy(allow(operation))
    assert await server.do("bob", operation, "/bucket/carols?tagging") == 403
    assert await server.do("carol", operation, "/bucket/carols?tagging") < 300
    await server.policy(deny(operation))
    assert await server.do("carol", operation, "/bucket/carols?tagging") == 403


@pytest.mark.parametrize("operation", TAG_OPERATIONS)
async def test_a_version_named_by_its_id_has_rights_of_its_own(server: Server, operation: str) -> None:
    named = "/bucket/key?tagging&versionId=null"
    await server.policy(allow(operation))
    assert await server.do("bob", operation, named) == 403
    await server.policy(allow(operation.replace("Object", "ObjectVersion")))
    assert await server.do("bob", operation, named) < 300
    assert await server.do("bob", operation, "/bucket/key?tagging") == 403


@pytest.mark.parametrize("operation", TAG_OPERATIONS)
async def test_a_policy_takes_tags_from_their_owner(server: Server, operation: str) -> None:
    await server.policy(deny(operation))
    assert await server.do("alice", operation, "/bucket/key?tagging") == 403
    assert await server.do("root", operation, "/bucket/key?tagging") < 300


async def test_a_policy_that_another_server_put_counts_at_once(server: Server, backend: MemoryBackend) -> None:
    other = Server(backend)
    assert await other.tags("/bucket/key") == {}
    assert await other.do("bob", "PutObjectTagging", "/bucket/key?tagging") == 403
    await server.policy(allow("PutObjectTagging"))
    assert await other.do("bob", "PutObjectTagging", "/bucket/key?tagging") == 200
    assert await server.status("alice", "DELETE", "/bucket?policy") == 204
    assert await other.do("bob", "PutObjectTagging", "/bucket/key?tagging") == 403


# Objects that are made with tags


async def made(server: Server, asks: str, how: str, headers: dict[str, str]) -> int:
    """The status of making /bucket/new with these headers."""
    if how == "upload":
        return await server.status(asks, "POST", "/bucket/new?uploads", b"", headers)
    if how == "copy":
        copy = {"x-amz-copy-source": "/bucket/key", "x-amz-tagging-directive": "REPLACE"}
        return await server.status(asks, "PUT", "/bucket/new", b"", {**copy, **headers})
    return await server.status(asks, "PUT", "/bucket/new", b"data", headers)


WAYS: Final = ("put", "copy", "upload")


@pytest.mark.parametrize("how", WAYS)
async def test_a_policy_must_allow_tags_beside_the_object(server: Server, how: str) -> None:
    await server.policy(allow("PutObject", "GetObject"))
    assert await made(server, "bob", how, TAGGED) == 403
    assert await server.status("alice", "HEAD", "/bucket/new") == 404
    assert await made(server, "bob", how, {}) == 200
    assert await made(server, "bob", how, {"x-amz-tagging": ""}) == 200
    await server.policy(allow("PutObject", "GetObject", "PutObjectTagging"))
    assert await made(server, "bob", how, TAGGED) == 200
    await server.policy(allow("GetObject", "PutObjectTagging"))
    assert await made(server, "bob", how, TAGGED) == 403


@pytest.mark.parametrize("how", WAYS)
async def test_who_may_write_by_an_acl_may_write_tags(server: Server, how: str) -> None:
    await let_everybody_write(server)
    assert await server.put("alice", "/bucket/key?acl", x_amz_acl="public-read") == 200
    assert await made(server, "bob", how, TAGGED) == 200
    assert await made(server, "", how, TAGGED) == 200
    assert await made(server, "alice", how, TAGGED) == 200


@pytest.mark.parametrize("how", WAYS)
async def test_a_denial_of_tags_is_one_of_objects_with_tags(server: Server, how: str) -> None:
    await let_everybody_write(server)
    await server.policy(deny("PutObjectTagging"))
    assert await made(server, "alice", how, TAGGED) == 403
    assert await made(server, "bob", how, TAGGED) == 403
    assert await made(server, "alice", how, {}) == 200


async def test_tags_are_refused_before_a_wrong_one_is_told_of(server: Server) -> None:
    assert await server.code("bob", "PUT", "/bucket/new", b"data", {"x-amz-tagging": "a=b&a=c"}) == (
        403,
        "AccessDenied",
    )
    assert await server.code("alice", "PUT", "/bucket/new", b"data", {"x-amz-tagging": "a=b&a=c"}) == (
        400,
        "InvalidArgument",
    )


async def test_a_copy_of_tags_needs_the_right_to_read_them(server: Server) -> None:
    assert await server.tag("alice", "/bucket/key", PRIVATE) == 200
    await server.policy(allow("GetObject", "PutObject", "PutObjectTagging"))
    copy = {"x-amz-copy-source": "/bucket/key"}
    assert await server.status("bob", "PUT", "/bucket/copy", b"", copy) == 403
    assert await server.status("alice", "HEAD", "/bucket/copy") == 404
    assert await made(server, "bob", "copy", TAGGED) == 200
    assert await server.tags("/bucket/new") == PUBLIC
    await server.policy(allow("GetObject", "PutObject", "PutObjectTagging", "GetObjectTagging"))
    assert await server.status("bob", "PUT", "/bucket/copy", b"", copy) == 200
    assert await server.tags("/bucket/copy") == PRIVATE
    named = {"x-amz-copy-source": "/bucket/key?versionId=null"}
    await server.policy(allow("GetObjectVersion", "PutObject", "PutObjectTagging", "GetObjectTagging"))
    assert await server.status("bob", "PUT", "/bucket/named", b"", named) == 403
    await server.policy(allow("GetObjectVersion", "PutObject", "PutObjectTagging", "GetObjectVersionTagging"))
    assert await server.status("bob", "PUT", "/bucket/named", b"", named) == 200


async def test_a_copy_of_tags_needs_the_right_to_write_them(server: Server) -> None:
    assert await server.tag("alice", "/bucket/key", PRIVATE) == 200
    await server.policy(allow("GetObject", "PutObject", "GetObjectTagging"))
    assert await server.status("bob", "PUT", "/bucket/copy", b"", {"x-amz-copy-source": "/bucket/key"}) == 403
    assert await server.tag("alice", "/bucket/key", {}) == 200
    assert await server.status("bob", "PUT", "/bucket/copy", b"", {"x-amz-copy-source": "/bucket/key"}) == 200


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_how_many_tags_there_are_is_told_to_who_may_read_them(server: Server, method: str) -> None:
    assert await server.tag("alice", "/bucket/key", {"a": "1", "b": "2"}) == 200
    counts: list[str | None] = []
    for statement in (allow("GetObject"), allow("GetObject", "GetObjectTagging")):
        await server.policy(statement)
        for asks in ("alice", "bob"):
            status, headers, _ = await server.ask(asks, method, "/bucket/key")
            assert status == 200
            counts.append(headers.get("x-amz-tagging-count"))
    assert counts == ["2", None, "2", "2"]
    await server.policy(allow("GetObjectVersion", "GetObjectTagging"))
    _, headers, _ = await server.ask("bob", method, "/bucket/key?versionId=null")
    assert "x-amz-tagging-count" not in headers


# Conditions

EXISTING: Final = {"StringEquals": {"s3:ExistingObjectTag/security": "public"}}
REQUESTED: Final = {"StringEquals": {"s3:RequestObjectTag/security": "public"}}


@pytest.fixture
async def tagged(server: Server) -> Server:
    """Objects named after the value of their tag; `other` has one of another key."""
    for value in ("public", "private"):
        assert await server.put("alice", f"/bucket/{value}", x_amz_tagging=f"security={value}") == 200
    assert await server.put("alice", "/bucket/other", x_amz_tagging="Security=public") == 200
    return server


@pytest.mark.parametrize(
    ("action", "method", "subresource"),
    [
        ("GetObject", "GET", ""),
        ("GetObject", "HEAD", ""),
        ("GetObjectAcl", "GET", "?acl"),
        ("GetObjectTagging", "GET", "?tagging"),
        ("DeleteObjectTagging", "DELETE", "?tagging"),
        ("PutObjectTagging", "PUT", "?tagging"),
        ("PutObjectAcl", "PUT", "?acl"),
    ],
)
async def test_an_object_s_tags_decide(tagged: Server, action: str, method: str, subresource: str) -> None:
    body = render("Tagging", to_document(PUBLIC)) if action == "PutObjectTagging" else b""
    headers = {"x-amz-acl": "private"} if action == "PutObjectAcl" else {}
    asked = {"public": True, "private": False, "other": False, "key": False}
    await tagged.policy(allow(action, when=EXISTING))
    for key, allowed in asked.items():
        assert (await tagged.status("bob", method, f"/bucket/{key}{subresource}", body, headers) < 300) == allowed
    await tagged.policy(deny(action, when=EXISTING))
    assert await tagged.tag("root", "/bucket/public", PUBLIC) == 200
    for key, denied in asked.items():
        assert (await tagged.status("alice", method, f"/bucket/{key}{subresource}", body, headers) == 403) == denied


async def test_an_object_s_tags_decide_as_they_are_before_they_are_put(tagged: Server) -> None:
    await tagged.policy(allow("PutObjectTagging", when=EXISTING))
    assert await tagged.tag("bob", "/bucket/private", PUBLIC) == 403
    assert await tagged.tag("bob", "/bucket/public", PRIVATE) == 200
    assert await tagged.tag("bob", "/bucket/public", PUBLIC) == 403
    assert await tagged.tags("/bucket/public") == PRIVATE


async def test_each_version_s_own_tags_decide(tagged: Server) -> None:
    versioning = render("VersioningConfiguration", {"Status": "Enabled"})
    assert await tagged.status("alice", "PUT", "/bucket?versioning", versioning) == 200
    assert await tagged.put("alice", "/bucket/public", x_amz_tagging="security=private") == 200
    await tagged.policy(allow("GetObject", "GetObjectVersion", when=EXISTING))
    assert await tagged.status("bob", "GET", "/bucket/public") == 403
    assert await tagged.status("bob", "GET", "/bucket/public?versionId=null") == 200


async def test_the_tags_of_a_copy_s_source_decide(tagged: Server) -> None:
    await tagged.policy(allow("GetObject", "GetObjectTagging", when=EXISTING), allow("PutObject", "PutObjectTagging"))
    assert await tagged.status("bob", "PUT", "/bucket/new", b"", {"x-amz-copy-source": "/bucket/private"}) == 403
    assert await tagged.status("bob", "PUT", "/bucket/new", b"", {"x-amz-copy-source": "/bucket/public"}) == 200


async def test_puts_and_deletes_know_no_tags_of_what_is_there(tagged: Server) -> None:
    await tagged.policy(allow("PutObject", "DeleteObject", when=EXISTING))
    assert await tagged.put("bob", "/bucket/public") == 403
    assert await tagged.status("bob", "DELETE", "/bucket/public") == 403
    await tagged.policy(deny("PutObject", "DeleteObject", when=EXISTING))
    assert await tagged.put("alice", "/bucket/public") == 200
    assert await tagged.status("alice", "DELETE", "/bucket/public") == 204


async def test_an_object_s_tags_fill_variables(tagged: Server) -> None:
    statement = {**allow("GetObject"), "Resource": "arn:aws:s3:::bucket/${s3:ExistingObjectTag/security}"}
    await tagged.policy(statement)
    assert await tagged.tag("alice", "/bucket/private", PUBLIC) == 200
    assert await tagged.status("bob", "GET", "/bucket/public") == 200
    assert await tagged.status("bob", "GET", "/bucket/private") == 403


@pytest.mark.parametrize("how", WAYS)
async def test_the_tags_that_a_header_asks_for_decide(server: Server, how: str) -> None:
    await server.policy(allow("GetObject"), allow("PutObject", "PutObjectTagging", when=REQUESTED))
    assert await made(server, "bob", how, {}) == 403
    assert await made(server, "bob", how, {"x-amz-tagging": "security=private"}) == 403
    assert await made(server, "bob", how, {"x-amz-tagging": "Security=public"}) == 403
    assert await made(server, "bob", how, {"x-amz-tagging": "security=public&security=public"}) == 403
    assert await made(server, "bob", how, {"x-amz-tagging": "other=1&security=public"}) == 200


async def test_a_copy_that_does_not_heed_the_header_does_not_ask_for_its_tags(server: Server) -> None:
    await server.policy(allow("GetObject"), allow("PutObject", "PutObjectTagging", when=REQUESTED))
    copy = {"x-amz-copy-source": "/bucket/key", **TAGGED}
    assert await server.status("bob", "PUT", "/bucket/new", b"", copy) == 403
    copy["x-amz-tagging-directive"] = "COPY"
    assert await server.status("bob", "PUT", "/bucket/new", b"", copy) == 403


async def test_an_operation_that_does_not_heed_the_header_refuses_it(server: Server) -> None:
    await server.policy(allow("PutObject", "GetObject", when=REQUESTED))
    assert await server.code("bob", "GET", "/bucket/key", b"", TAGGED) == (501, "NotImplemented")
    part = "/bucket/key?partNumber=1&uploadId=0"
    assert await server.code("bob", "PUT", part, b"data", TAGGED) == (501, "NotImplemented")


async def test_the_tags_of_a_document_decide(server: Server) -> None:
    await server.policy(allow("PutObjectTagging", when=REQUESTED))
    assert await server.tag("bob", "/bucket/key", PRIVATE) == 403
    assert await server.tag("bob", "/bucket/key", {}) == 403
    body = render("Tagging", to_document(PRIVATE))
    status = await server.status("bob", "PUT", "/bucket/key?tagging", body, TAGGED)
    assert status == 501
    assert await server.tag("bob", "/bucket/key", {**PUBLIC, "more": "1"}) == 200
    assert await server.tags("/bucket/key") == {**PUBLIC, "more": "1"}


async def test_the_keys_that_are_asked_for_decide(server: Server) -> None:
    known = {"ForAllValues:StringEquals": {"s3:RequestObjectTagKeys": ["Owner", "CreatedBy"]}}
    await server.policy(allow("PutObject", "PutObjectTagging", when=known))
    assert await server.tag("bob", "/bucket/key", {"Owner": "a", "CreatedBy": "b"}) == 200
    assert await server.tag("bob", "/bucket/key", {"Owner": "a", "Colour": "b"}) == 403
    assert await server.put("bob", "/bucket/new", x_amz_tagging="CreatedBy=") == 200
    assert await server.put("bob", "/bucket/new", x_amz_tagging="createdby=") == 403
    demanded = {"Null": {"s3:RequestObjectTagKeys": "true"}}
    await server.policy(deny("PutObject", when=demanded))
    assert await server.put("alice", "/bucket/new") == 403
    assert await server.put("alice", "/bucket/new", x_amz_tagging="a") == 200


@pytest.mark.parametrize("asks", ["alice", "bob", ""])
async def test_the_tags_of_a_form_are_those_of_a_put(server: Server, asks: str) -> None:
    await server.policy({**allow("PutObject", "PutObjectTagging", when=REQUESTED), "Principal": "*"})
    for tags in (PUBLIC, PRIVATE, {}):
        document = render("Tagging", to_document(tags)).decode()
        body = encode_form([("x-asks", asks), ("key", "form"), ("tagging", document)], b"data")
        headers = {"content-type": f"multipart/form-data; boundary={BOUNDARY.decode()}"}
        allowed = asks == "alice" or tags == PUBLIC
        assert await server.status("", "POST", "/bucket", body, headers) == (204 if allowed else 403)
    assert await server.tags("/bucket/form") == ({} if asks == "alice" else PUBLIC)
