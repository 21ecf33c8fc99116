"""Runs scripts with aiobotocore and tasks; what blocks runs in threads, and is waited for even when it is cancelled."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection
from functools import partial
from typing import Any, TypeVar

import aiohttp

from post3.client.errors import Unreachable
from post3.client.model import MiB
from post3.client.steps import Call, Fetch, Local, Many, Presign, Script, Step
from post3.client.translation import translated

T = TypeVar("T")


class AsyncRunner:
    """Runs scripts; `interrupt` ends a wait for the caller's own source when that is cancelled."""

    def __init__(self, s3: Any, endpoint: str, interrupt: Callable[[], None] | None = None) -> None:
        self.s3 = s3
        self._endpoint = endpoint
        self._interrupt = interrupt

    def interrupted_by(self, interrupt: Callable[[], None] | None) -> AsyncRunner:
        """The same, for a source of its own."""
        return AsyncRunner(self.s3, self._endpoint, interrupt)

    async def run(self, script: Script[T]) -> T:
        """What a script returns. Raises what it raises."""
        try:
            step = next(script)
            while True:
                try:
                    answer = await self._do(step)
                except BaseException as error:
                    step = script.throw(error)
                else:
                    step = script.send(answer)
        except StopIteration as end:
            result: T = end.value
            return result

    async def _do(self, step: Step) -> Any:
        match step:
            case Call():
                return await self.call(step)
            case Fetch():
                return await self._fetch(step)
            case Local():
                return await self._blocking(step.function)
            case Many():
                return await self._many(step)
            case Presign():
                return await self._presign(step)

    async def call(self, call: Call) -> Any:
        """The answer to a request. Raises the SDK's errors."""
        return await self.translating(call, getattr(self.s3, call.operation)(**call.parameters))

    async def translating(self, call: Call, awaited: Awaitable[Any]) -> Any:
        """What is awaited for this call. Raises the SDK's errors."""
        try:
            return await awaited
        except (aiohttp.ClientError, TimeoutError) as error:
            raise Unreachable(f"{call.about(self._endpoint)}: no answer, or only half of one ({error!r})") from error
        except Exception as error:
            told = translated(error, call, self._endpoint)
            if told is error:
                raise
            raise told from error

    async def _fetch(self, step: Fetch) -> None:
        body = (await self.call(step.call))["Body"]
        try:
            while piece := await self.translating(step.call, body.read(MiB)):
                await self._blocking(partial(step.sink, piece))
        finally:
            body.close()

    async def _presign(self, step: Presign) -> Any:
        link = self.s3.generate_presigned_url(
            step.call.operation, Params=dict(step.call.parameters), ExpiresIn=step.expires, HttpMethod=step.method
        )
        return await self.translating(step.call, link)

    async def _many(self, many: Many) -> list[Any]:
        jobs = enumerate(many.scripts)
        drawing = asyncio.Lock()
        answers: dict[int, Any] = {}

        async def work() -> None:
            while True:
                async with drawing:
                    job = await self._blocking(lambda: next(jobs, None))
                if job is None:
                    return
                number, script = job
                answers[number] = await self.run(script)

        tasks = [asyncio.create_task(work()) for _ in range(many.workers)]
        try:
            await asyncio.gather(*tasks)
        except BaseException:
            for task in tasks:
                task.cancel()
            await _ended(tasks)
            raise
        return [answers[number] for number in sorted(answers)]

    async def _blocking(self, function: Callable[[], T]) -> T:
        """What a function returns that runs in a thread; a cancelled wait ends when the function has ended."""
        running = asyncio.ensure_future(asyncio.to_thread(function))
        try:
            return await asyncio.shield(running)
        except asyncio.CancelledError:
            if self._interrupt is not None:
                self._interrupt()
            await _ended([running])
            running.cancelled() or running.exception()  # it was heard of; the cancellation is what is told
            raise


async def _ended(running: Collection[asyncio.Future[Any]]) -> None:
    """Wait for the end of all, however often the wait is cancelled: what they use must not be let go of before.

    Raises CancelledError at last, if it was.
    """
    cancelled: asyncio.CancelledError | None = None
    while not all(one.done() for one in running):
        try:
            await asyncio.wait(running)
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        raise cancelled
