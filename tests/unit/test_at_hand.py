"""Small bodies that come with their record, on every store."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from post3.storage.protocol import Backend
from tests.unit.test_dispatch import Server

SMALL = bytes(range(256)) * 4


@pytest.fixture
async def server(backend: Backend) -> Server:
    """It has alice's bucket with a small object."""
    server = Server(backend)
    await server.done("alice", "PUT", "/bucket")
    assert await server.put("alice", SMALL) == "200"
    return server


@pytest.mark.parametrize(("asked", "start", "stop"), [("0-0", 0, 1), ("256-511", 256, 512), ("-1", 1023, 1024)])
async def test_a_range_of_it_is_given(server: Server, asked: str, start: int, stop: int) -> None:
    answer = await server.ask("alice", "GET", "/bucket/key", range=f"bytes={asked}")
    assert (answer.status, answer.body) == (206, SMALL[start:stop])


async def test_damaged_bytes_are_never_given(server: Server, backend: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    sound = await backend.get_version(await backend.get_bucket("bucket"), "key")
    assert sound.body is not None
    assert sound.body.blob.inline is not None
    inline = sound.body.blob.inline._replace(data=SMALL[:-1] + b"x")
    damaged = replace(sound, body=replace(sound.body, blob=replace(sound.body.blob, inline=inline)))

    async def get_version(*_: Any) -> object:
        return damaged

    monkeypatch.setattr(backend, "get_version", get_version)
    assert (await server.ask("alice", "GET", "/bucket/key")).told == "500 InternalError"
    assert (await server.ask("alice", "GET", "/bucket/key", range="bytes=0-9")).told == "500 InternalError"
