"""Runs scripts with boto3 and threads.

The first failure, or Ctrl-C in the thread that waits, stops the workers at their next piece of 16 KiB to 1 MiB, sent or
received; it is raised when all of them have ended and what they began is cleaned up.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from threading import Event, Lock
from typing import TYPE_CHECKING, Any, TypeVar

from post3.client.model import MiB
from post3.client.steps import Call, Fetch, Local, Many, Presign, Script, Step
from post3.client.translation import translated

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

T = TypeVar("T")


class Stopped(BaseException):
    """Another worker failed; no Exception, so that nothing between here and there retries."""


class Runner:
    """Runs scripts until it is stopped."""

    def __init__(self, s3: S3Client, endpoint: str, stop: Event | None = None) -> None:
        self._s3 = s3
        self._endpoint = endpoint
        self._stop = stop

    def run(self, script: Script[T]) -> T:
        """What a script returns. Raises what it raises."""
        try:
            step = next(script)
            while True:
                try:
                    answer = self._do(step)
                except BaseException as error:
                    step = script.throw(error)
                else:
                    step = script.send(answer)
        except StopIteration as end:
            result: T = end.value
            return result

    def _do(self, step: Step) -> Any:
        match step:
            case Call():
                return self.call(step)
            case Fetch():
                return self._fetch(step)
            case Local():
                return step.function()
            case Many():
                return self._many(step)
            case Presign():
                return self._presign(step)

    def call(self, call: Call) -> Any:
        """The answer to a request. Raises the SDK's errors."""
        body = call.parameters.get("Body")
        if self._stop is not None and isinstance(body, bytes):
            call = Call(call.operation, {**call.parameters, "Body": _Body(body, self.check)})
        return self._translating(call, lambda: getattr(self._s3, call.operation)(**call.parameters))

    def check(self) -> None:
        """Raises Stopped when this work is no longer wanted."""
        if self._stop is not None and self._stop.is_set():
            raise Stopped

    def _fetch(self, step: Fetch) -> None:
        body = self.call(step.call)["Body"]
        try:
            while piece := self._translating(step.call, lambda: body.read(MiB)):
                self.check()
                step.sink(piece)
        finally:
            body.close()

    def _presign(self, step: Presign) -> Any:
        return self._translating(
            step.call,
            lambda: self._s3.generate_presigned_url(
                step.call.operation,
                Params=dict(step.call.parameters),
                ExpiresIn=step.expires,
                HttpMethod=step.method,
            ),
        )

    def _translating(self, call: Call, function: Callable[[], Any]) -> Any:
        try:
            return function()
        except Exception as error:
            told = translated(error, call, self._endpoint)
            if told is error:
                raise
            raise told from error

    def _many(self, many: Many) -> list[Any]:
        jobs = enumerate(many.scripts)
        drawing, stop = Lock(), Event()
        answers: dict[int, Any] = {}
        runner = Runner(self._s3, self._endpoint, stop)

        def work() -> None:
            while (job := _draw(jobs, drawing)) is not None and not stop.is_set():
                number, script = job
                answers[number] = runner.run(script)

        with ThreadPoolExecutor(many.workers, thread_name_prefix="post3") as pool:
            try:
                for done in as_completed([pool.submit(work) for _ in range(many.workers)]):
                    done.result()
            except BaseException:
                stop.set()
                raise
        return [answers[number] for number in sorted(answers)]


def _draw(jobs: Iterator[tuple[int, Script[Any]]], drawing: Lock) -> tuple[int, Script[Any]] | None:
    with drawing:
        return next(jobs, None)


class _Body(io.BytesIO):
    """Bytes to send that stop being sent when nobody wants that any more."""

    def __init__(self, data: bytes, check: Callable[[], None]) -> None:
        super().__init__(data)
        self._check = check

    def read(self, size: int | None = -1, /) -> bytes:
        """Raises Stopped."""
        self._check()
        return super().read(size)
