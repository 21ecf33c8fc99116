"""Cross-origin headers around the dispatcher: by rules as they are, and at the cost of no look that is not needed."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Final

import pytest

from post3.dispatch import Dispatcher
from post3.model.bucket import Bucket
from post3.model.identity import Identity
from post3.s3.message import Response
from post3.s3.xml import render
from post3.storage.memory import MemoryBackend
from tests.gates import NamedGate, open_gate
from tests.oracle.model import make_request

PAGE: Final = "https://app.example"
ALICE: Final = {"x-asks": "alice"}
BY_PAGE: Final = {**ALICE, "origin": PAGE}
READABLE: Final = "access-control-allow-origin"


class CountingBackend(MemoryBackend):
    """Counts how often somebody looks at a bucket."""

    looks = 0
    is_broken = False

    async def get_bucket(self, name: str) -> Bucket:
        self.looks += 1
        if self.is_broken:
            raise ZeroDivisionError("a mistake")
        return await super().get_bucket(name)


@pytest.fixture
async def backend() -> AsyncIterator[CountingBackend]:
    backend = CountingBackend()
    await backend.open()
    yield backend
    await backend.close()


class Server:
    """A process of several that share a store."""

    def __init__(self, backend: CountingBackend) -> None:
        self._backend = backend
        self._dispatcher = Dispatcher(backend, NamedGate([Identity("alice", "Alice")]))

    async def ask(
        self, method: str, path: str, query: str = "", headers: Mapping[str, str] = ALICE, body: bytes = b""
    ) -> Response:
        return await self._dispatcher.handle(make_request(method, path, query, headers, body))

    async def looks(self, method: str, path: str, headers: Mapping[str, str], body: bytes = b"") -> int:
        """How often a request looks at its bucket, when others have come before it."""
        await self.ask(method, path, headers=headers, body=body)
        before = self._backend.looks
        await self.ask(method, path, headers=headers, body=body)
        return self._backend.looks - before

    async def allow(self, *origins: str) -> None:
        methods = ["GET", "PUT", "HEAD", "DELETE"]
        told = {"CORSRule": [{"AllowedOrigin": list(origins), "AllowedMethod": methods}]}
        response = await self.ask("PUT", "/bucket", "cors", body=render("CORSConfiguration", told))
        assert response.status == 200


@pytest.fixture
async def server(backend: CountingBackend) -> Server:
    """A server whose bucket holds an object."""
    server = Server(backend)
    await server.ask("PUT", "/bucket")
    await server.ask("PUT", "/bucket/key", body=b"data")
    return server


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/bucket/key"), ("PUT", "/bucket/key"), ("GET", "/bucket"), ("GET", "/bucket/absent")]
)
async def test_a_request_without_an_origin_looks_no_oftener_than_before(server: Server, method: str, path: str) -> None:
    await server.allow(PAGE)
    assert await server.looks(method, path, ALICE) == (1 if path == "/bucket" else 0)


@pytest.mark.parametrize(
    ("method", "path", "more"),
    [
        ("GET", "/bucket/key", {}),
        ("HEAD", "/bucket/key", {}),
        ("GET", "/bucket/key", {"range": "bytes=0-1"}),
        ("GET", "/bucket/key", {"if-none-match": "*"}),
        ("PUT", "/bucket/key", {}),
        ("DELETE", "/bucket/key", {}),
        ("GET", "/bucket", {}),
    ],
)
async def test_a_request_that_is_served_costs_no_look_more_with_an_origin(
    server: Server, method: str, path: str, more: dict[str, str]
) -> None:
    await server.allow(PAGE)
    without, with_origin = ({**ALICE, **more, **origin} for origin in ({}, {"origin": PAGE}))
    assert await server.looks(method, path, with_origin) == await server.looks(method, path, without)
    assert (await server.ask(method, path, headers=with_origin)).headers[READABLE] == PAGE


async def test_a_refusal_costs_one(server: Server) -> None:
    await server.allow(PAGE)
    assert await server.looks("GET", "/bucket/absent", BY_PAGE) == 1
    assert await server.looks("PUT", "/bucket/key", {**BY_PAGE, "content-md5": "wrong"}) == 1


async def test_a_preflight_costs_one(server: Server) -> None:
    await server.allow(PAGE)
    assert await server.looks("OPTIONS", "/bucket/key", {**BY_PAGE, "access-control-request-method": "GET"}) == 1


@pytest.mark.parametrize(
    ("method", "path", "more", "status"),
    [
        ("GET", "/bucket/key", {}, 200),
        ("GET", "/bucket", {}, 200),
        ("GET", "/bucket/absent", {}, 404),
        ("GET", "/bucket/key", {"if-match": '"other"'}, 412),
        ("PUT", "/bucket/key", {"content-md5": "wrong"}, 400),
        ("GET", "/bucket/key", {"x-asks": "nobody"}, 403),
        ("PUT", "/bucket/key", {"x-amz-server-side-encryption": "AES256"}, 501),
        ("POST", "/bucket/key", {"access-control-request-method": "GET"}, 405),
    ],
)
async def test_rules_that_another_process_changed_count_at_once(
    server: Server, backend: CountingBackend, method: str, path: str, more: dict[str, str], status: int
) -> None:
    asked = {**BY_PAGE, **more}
    other = Server(backend)
    for origins, told in (((PAGE,), PAGE), (("https://other.example",), None), (("*",), "*"), ((PAGE,), PAGE)):
        await server.ask("GET", "/bucket/key")  # the bucket is kept
        await other.allow(*origins)
        response = await server.ask(method, path, headers=asked)
        assert (response.status, response.headers.get(READABLE)) == (status, told)
    await other.ask("DELETE", "/bucket", "cors")
    response = await server.ask(method, path, headers=asked)
    assert (response.status, response.headers.get(READABLE)) == (status, None)


async def test_a_bucket_made_again_has_no_rules_of_the_old_one(server: Server, backend: CountingBackend) -> None:
    await server.allow(PAGE)
    assert (await server.ask("GET", "/bucket/key", headers=BY_PAGE)).headers[READABLE] == PAGE
    other = Server(backend)
    await other.ask("DELETE", "/bucket/key")
    await other.ask("DELETE", "/bucket")
    assert READABLE not in (await server.ask("GET", "/bucket/key", headers=BY_PAGE)).headers
    await other.ask("PUT", "/bucket")
    assert READABLE not in (await server.ask("GET", "/bucket/key", headers=BY_PAGE)).headers


async def test_what_cannot_be_looked_at_is_answered_without(server: Server, backend: CountingBackend) -> None:
    await server.allow(PAGE)
    wrong = {**BY_PAGE, "content-md5": "wrong"}
    response = await server.ask("PUT", "/bucket/key", headers=wrong)
    assert (response.status, READABLE in response.headers) == (400, True)
    backend.is_broken = True
    response = await server.ask("PUT", "/bucket/key", headers=wrong)
    assert (response.status, READABLE in response.headers) == (400, False)
    response = await server.ask("GET", "/bucket", headers=BY_PAGE)
    assert (response.status, READABLE in response.headers) == (500, False)


async def test_an_open_server_asks_for_the_rules_whenever_a_page_from_elsewhere_comes(
    backend: CountingBackend,
) -> None:
    here, there = Dispatcher(backend, open_gate()), Dispatcher(backend, open_gate())

    async def ask(dispatcher: Dispatcher, line: str, body: bytes = b"", **headers: str) -> int:
        method, _, target = line.partition(" ")
        path, _, query = target.partition("?")
        return (await dispatcher.handle(make_request(method, path, query, headers, body))).status

    rules = render("CORSConfiguration", {"CORSRule": [{"AllowedOrigin": [PAGE], "AllowedMethod": ["GET"]}]})
    await ask(here, "PUT /bucket")
    await ask(here, "PUT /bucket/key")
    assert await ask(here, "GET /bucket/key", origin=PAGE) == 403
    await ask(there, "PUT /bucket?cors", rules)
    assert await ask(here, "GET /bucket/key", origin=PAGE) == 200
    await ask(there, "DELETE /bucket?cors")
    assert await ask(here, "GET /bucket/key", origin=PAGE) == 403
