"""AsyncClient used like Client, so that one test is a test of both."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any, Final, Self, cast

from post3 import AsyncClient, Client
from post3.client import AsyncBody

KINDS: Final = ("Client", "AsyncClient")


@contextmanager
def opened(kind: str, endpoint: str, **options: Any) -> Iterator[Client]:
    """A client of that kind."""
    if kind == "Client":
        with Client(endpoint, **options) as client:
            yield client
        return
    with asyncio.Runner() as runner:
        made = AsyncClient(endpoint, **options)
        try:
            yield cast(Client, _Waiting(made, runner))
        finally:
            runner.run(made.close())


class _Waiting:
    """Waits for whatever a method of an AsyncClient gives."""

    def __init__(self, client: AsyncClient, runner: asyncio.Runner) -> None:
        self._client = client
        self._runner = runner

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._client, name)
        if name == "s3":
            return _Waiting(found, self._runner)
        if not callable(found):
            return found

        def method(*arguments: Any, **options: Any) -> Any:
            return self._wait(found(*arguments, **options))

        return method

    def _wait(self, result: Any) -> Any:
        if isinstance(result, AsyncBody):
            return _WaitingBody(result, self._runner)
        if isinstance(result, AsyncIterator):
            return self._iterate(result)
        return self._runner.run(result) if inspect.iscoroutine(result) else result

    def _iterate(self, entries: AsyncIterator[Any]) -> Iterator[Any]:
        async def following() -> list[Any]:
            return [entry async for entry in entries]

        yield from self._runner.run(following())


class _WaitingBody:
    """The same for a body, which is asked for at once."""

    def __init__(self, body: AsyncBody, runner: asyncio.Runner) -> None:
        async def asked() -> AsyncBody:
            return await body

        self._body = runner.run(asked())
        self._runner = runner
        self.info = self._body.info

    def read(self, n: int = -1) -> bytes:
        return self._runner.run(self._body.read(n))

    def __iter__(self) -> Iterator[bytes]:
        async def pieces() -> list[bytes]:
            return [piece async for piece in self._body]

        yield from self._runner.run(pieces())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._runner.run(self._body.close())
