"""Operations x identities x grants: nobody without a right reads, lists, infers or changes anything.

Which operations there are comes from post3's table, so that a new one fails here by name until it has its row. What
each needs comes from `rights`, and never from `Operation.needs`.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

import pytest

from post3.dispatch import Dispatcher
from post3.model.bucket import Bucket
from post3.model.identity import ANONYMOUS, Identity
from post3.model.object import ObjectVersion
from post3.model.record import Record
from post3.operations import OPERATIONS
from post3.operations.unsupported import UNSUPPORTED
from post3.storage.memory import MemoryBackend
from tests.conftest import create_bucket, create_upload, put, put_part
from tests.encrypting import KEYS
from tests.forms import encode_form
from tests.gates import NamedGate
from tests.memories import Everything, bring_back, everything
from tests.oracle.model import make_request
from tests.oracle.rights import (
    ABSENT,
    BEGUN,
    BUCKET,
    CASES,
    EVERYTHING_PUBLIC,
    FORM_HEADERS,
    LIST,
    OWNED,
    OWNER,
    OWNERS,
    PUBLIC_READ,
    PUT,
    SETTINGS,
    STRANGER,
    SWITCHES,
    WHO,
    WRITER,
    WRITTEN,
    Case,
    Right,
    Setting,
    everything_to,
    has_right,
    may,
    says,
)

CONTENT: Final = b"what nobody else may see"
METADATA: Final = "what tells of it"
NO_VERSION: Final = "0" * 32
NO_UPLOAD: Final = "f" * 32
NOT_YET: Final = frozenset(names[0] for names in UNSUPPORTED.values())
"""Answered with NotImplemented to whoever signs."""


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    body: bytes
    headers: Mapping[str, str]

    @property
    def is_denied(self) -> bool:
        """Whether all was refused; a batch tells it of each key."""
        if self.status == 200:
            return b"<Code>AccessDenied</Code>" in self.body and b"<Deleted>" not in self.body
        return self.status == 403 and b"<Code>AccessDenied</Code>" in self.body

    def without(self, key: str) -> Answer:
        """The same, but for the key that was asked for."""
        headers = {name: value for name, value in self.headers.items() if name != "x-amz-request-id"}
        return Answer(self.status, self.body.replace(key.encode(), b"KEY"), headers)


class World:
    """A store, and whoever asks it."""

    def __init__(self, backend: MemoryBackend, uploads: Mapping[str, str]) -> None:
        self.backend = backend
        self.uploads = uploads
        self._begin = everything(backend)

    async def set(self, setting: Setting, case: Case) -> Everything:
        """Begin anew, with what is granted; all that the store then holds."""
        bring_back(self.backend, self._begin)
        configurations: dict[str, Any] = {}
        if setting.block:
            configurations["publicAccessBlock"] = {one: one == setting.block for one in SWITCHES}
        if setting.is_enforced:
            configurations["ownershipControls"] = {"Rule": {"ObjectOwnership": "BucketOwnerEnforced"}}
        if setting.statements is not None:
            text = json.dumps({"Version": "2012-10-17", "Statement": setting.statements(case)})
            configurations["policy"] = {"Text": text}

        def change(bucket: Bucket) -> Bucket:
            return replace(bucket, acl=setting.bucket_acl, configurations=configurations)

        def change_object(version: ObjectVersion) -> ObjectVersion:
            return replace(version, acl=setting.object_acl)

        bucket = await self.backend.update_bucket(BUCKET, change)
        for key in (OWNED, WRITTEN):
            await self.backend.update_version(bucket, key, None, change_object)
        return everything(self.backend)

    async def ask(self, who: Identity, case: Case, key: str, *, upload: str = "", version: str = "null") -> Answer:
        """What a server that has just started answers."""

        def filled(text: str) -> str:
            told = text.replace("{key}", key).replace("{free}", self.uploads["free"])
            told = told.replace("{upload}", upload or self.uploads.get(key, NO_UPLOAD))
            return told.replace("versionId=null", f"versionId={version}")

        headers = {name: filled(value) for name, value in case.headers.items()}
        body = filled(case.body.decode()).encode()
        if case.headers is FORM_HEADERS:
            fields = [("key", key), *([("x-asks", who.id)] if who is not ANONYMOUS else [])]
            body = encode_form(fields, b"new")
        elif who is not ANONYMOUS:
            headers["x-asks"] = who.id
        dispatcher = Dispatcher(self.backend, NamedGate(WHO), KEYS)
        request = make_request(case.method, filled(case.path), filled(case.query), headers, body)
        response = await dispatcher.handle(request)
        told = response.body if isinstance(response.body, bytes) else b"".join([run async for run in response.body])
        return Answer(response.status, told, response.headers)


@pytest.fixture
async def world() -> AsyncIterator[World]:
    backend = MemoryBackend()
    await backend.open()
    bucket = await create_bucket(backend, BUCKET, OWNER.id)
    free = await create_bucket(backend, "free", STRANGER.id)
    text = json.dumps({"Statement": {**says("Allow", "*", Action="s3:*"), "Resource": "arn:aws:s3:::free/*"}})
    policy = {"policy": {"Text": text}}
    free = await backend.update_bucket("free", lambda bucket: replace(bucket, configurations=policy))
    await put(backend, free, "source", b"for everybody", owner=STRANGER.id, acl=PUBLIC_READ)
    for key in (OWNED, WRITTEN):
        await put(backend, bucket, key, CONTENT, owner=OWNERS[key].id, metadata={"told": METADATA})
    uploads = {}
    for key, who in OWNERS.items():
        upload = await create_upload(backend, bucket, key, owner=who.id)
        await put_part(backend, bucket, upload, 1, CONTENT)
        uploads[key] = upload.upload_id
    await backend.update_record("user", "somebody", lambda _record: Record("user", "somebody", {"name": METADATA}))
    uploads["free"] = (await create_upload(backend, free, "upload", owner=ANONYMOUS.id)).upload_id
    yield World(backend, uploads)
    await backend.close()


def cases_of(name: str) -> Iterator[Case]:
    if name not in CASES:
        pytest.fail(f"{name} has no row here: say what AWS's pages say that it needs")
    yield from CASES[name]


@pytest.mark.parametrize("name", sorted(set(OPERATIONS) - NOT_YET))
async def test_an_operation_is_allowed_exactly_where_it_was_granted(world: World, name: str) -> None:
    wrong = []
    for case in cases_of(name):
        for title, setting in SETTINGS.items():
            kept = await world.set(setting, case)
            for key in case.keys:
                for who in WHO:
                    answer = await world.ask(who, case, key)
                    expected = may(who, case, setting, key)
                    place = f"{title}: {who.display_name or 'nobody'}: {case.method} {case.path}?{case.query} {key}"
                    if expected:
                        if answer.is_denied or answer.status == 500:
                            wrong.append(f"{place}: should be allowed, is {answer.status} {answer.body!r}")
                        if case.method in ("GET", "HEAD", "OPTIONS") and everything(world.backend) != kept:
                            wrong.append(f"{place}: changed the store")
                        bring_back(world.backend, kept)
                        continue
                    if not answer.is_denied:
                        wrong.append(f"{place}: should be denied, is {answer.status} {answer.body!r}")
                    if everything(world.backend) != kept:
                        wrong.append(f"{place}: changed the store")
                        bring_back(world.backend, kept)
    assert not wrong, "\n".join([f"{len(wrong)} cases", *wrong[:20]])


@pytest.mark.parametrize("name", sorted(set(OPERATIONS) - NOT_YET))
async def test_a_refusal_tells_nothing(world: World, name: str) -> None:
    """Neither content nor metadata, keys or ids; nor whether what was asked for is there, to whoever may not list."""
    wrong = []
    for case in cases_of(name):
        for title, setting in SETTINGS.items():
            await world.set(setting, case)
            for key in case.keys:
                for who in WHO:
                    if may(who, case, setting, key):
                        continue
                    place = f"{title}: {who.display_name or 'nobody'}: {case.method} {case.path}?{case.query} {key}"
                    answer = await world.ask(who, case, key)
                    told = answer.body + repr(answer.headers).encode()
                    if any(secret in told for secret in secrets_but(key, world)):
                        wrong.append(f"{place}: tells {told!r}")
                    others = [one async for one in asked_in_vain(world, who, case, setting, key)]
                    if any(other.without(ABSENT) != answer.without(key) for other in others):
                        wrong.append(f"{place}: told from what is not there: {answer.body!r} {others}")
    assert not wrong, "\n".join([f"{len(wrong)} cases", *wrong[:20]])


def secrets_but(asked_for: str, world: World) -> list[bytes]:
    keys = [key for key in (OWNED, WRITTEN, BEGUN) if key != asked_for]
    return [CONTENT, *(text.encode() for text in (METADATA, *keys, *world.uploads.values(), WRITER.id, OWNER.id))]


async def asked_in_vain(world: World, who: Identity, case: Case, setting: Setting, key: str) -> AsyncIterator[Answer]:
    """What is answered where there is no such key, version or upload; nothing for whoever may know that."""
    if case.rights[0].of == "part" and has_right(who, PUT, case, setting, key):
        return  # whoever may write is told that an upload is gone; nobody guesses the ids of others
    may_list = has_right(who, LIST, case, setting, key)
    if key and not (may_list and case.rights[0].of == "object"):
        upload = world.uploads[key]
        yield await world.ask(who, case, ABSENT, upload=upload)
        if case.names_version:
            yield (await world.ask(who, case, key, version=NO_VERSION)).without(key)
    if case.rights[0].of == "upload":
        yield (await world.ask(who, case, key, upload=NO_UPLOAD)).without(key)


@pytest.mark.parametrize("name", sorted(NOT_YET))
async def test_what_is_not_there_yet_is_told_to_whoever_signs(world: World, name: str) -> None:
    operation = OPERATIONS[name]
    path = f"/{BUCKET}" if operation.level == "bucket" else f"/{BUCKET}/{{key}}"
    case = Case(operation.method, (Right("user"),), "&".join(operation.selectors), path=path, body=b"anything")
    kept = await world.set(Setting(EVERYTHING_PUBLIC, EVERYTHING_PUBLIC, everything_to("*")), case)
    for who in WHO:
        answer = await world.ask(who, case, OWNED)
        assert answer.is_denied if who is ANONYMOUS else b"<Code>NotImplemented</Code>" in answer.body
        assert CONTENT not in answer.body
        assert everything(world.backend) == kept
