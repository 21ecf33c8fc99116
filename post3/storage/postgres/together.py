"""What many ask at once, asked of the database by one statement.

A statement that is about one small row costs more for itself, its way there and back, and its transaction than for the
row. While one runs the next questions gather, and go in one as well. A single one waits for nobody; nor do others, for
long, for a statement that does not end.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Hashable, Sequence
from typing import Any, Final, Generic, TypeAlias, TypeVar

Question = TypeVar("Question")
Answer = TypeVar("Answer")
Batch: TypeAlias = dict[Hashable, tuple[Question, "asyncio.Future[Answer]"]]
"""Questions and their answers to be, by name."""
Begin: TypeAlias = Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]]

MOST: Final = 64
"""Questions of one statement."""
TURNS: Final = 8
"""Turns of the loop for which those that wait do so for more."""
PATIENCE: Final = 0.1
"""Seconds after which the next statement no longer waits for the one before."""


class Together(Generic[Question, Answer]):
    """The questions of one kind of one process."""

    def __init__(
        self,
        begin: Begin,
        ask_all: Callable[[Sequence[Question]], Awaitable[Sequence[Answer]]],
        name: Callable[[Question], Hashable] = id,
    ) -> None:
        """`begin` has work done, `ask_all` gives the answers in the order of the questions. Of questions with the same
        name one goes at a time.
        """
        self._begin = begin
        self._ask_all = ask_all
        self._name = name
        self._waiting: deque[tuple[Question, asyncio.Future[Answer]]] = deque()
        self._worker: asyncio.Task[None] | None = None
        self._asked: set[asyncio.Task[None]] = set()
        """Statements under way."""
        self._names: set[Hashable] = set()
        """Of what they ask."""

    @property
    def waiting(self) -> int:
        """Questions that are yet to be asked."""
        return len(self._waiting)

    @property
    def is_at_work(self) -> bool:
        """Whether some are being asked."""
        return self._worker is not None

    def ask(self, question: Question) -> asyncio.Future[Answer]:
        """Its answer to be. Who cancels that leaves the question, which may be asked already."""
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting.append((question, answer))
        if self._worker is None:
            self._go_to_work()
        return answer

    def _go_to_work(self) -> None:
        self._worker = self._begin(self._work())  # after all others that are ready now
        self._worker.add_done_callback(self._ended)

    async def _work(self) -> None:
        """Ask what waits, until nothing does."""
        while self._waiting:
            batch = self._next()
            if not batch:
                await asyncio.wait(self._asked, return_when=asyncio.FIRST_COMPLETED)
                await asyncio.sleep(0)  # until its names are free
                continue
            await asyncio.wait((self._start(batch),), timeout=PATIENCE)
            await self._gather(len(batch))

    def _start(self, batch: Batch[Question, Answer]) -> asyncio.Task[None]:
        asked = self._begin(self._answer(batch))
        self._asked.add(asked)
        self._names |= batch.keys()

        def end(_: object) -> None:
            self._asked.discard(asked)
            self._names -= batch.keys()
            for _, answer in batch.values():
                answer.cancel()  # one that never came, as the loop ends

        asked.add_done_callback(end)
        return asked

    def _ended(self, worker: asyncio.Task[None]) -> None:
        self._worker = None
        if worker.cancelled() or worker.exception() is not None:
            # The loop ends, and nobody will ask.
            while self._waiting:
                self._waiting.popleft()[1].cancel()
        elif self._waiting:
            self._go_to_work()  # for one that came when this one had just found nothing more

    def _next(self) -> Batch[Question, Answer]:
        """The oldest ones, by their names."""
        batch: Batch[Question, Answer] = {}
        later = []
        while self._waiting and len(batch) < MOST:
            one = self._waiting.popleft()
            name = self._name(one[0])
            if name in self._names or batch.setdefault(name, one) is not one:
                later.append(one)
        self._waiting.extendleft(reversed(later))
        return batch

    async def _answer(self, batch: Batch[Question, Answer]) -> None:
        try:
            answers = await self._ask_all([question for question, _ in batch.values()])
        except Exception as error:
            for _, waiting in batch.values():
                if not waiting.done():
                    waiting.set_exception(error)
        else:
            for (_, waiting), answer in zip(batch.values(), answers, strict=True):
                if not waiting.done():
                    waiting.set_result(answer)

    async def _gather(self, answered: int) -> None:
        """Where others wait already, let those who were just answered join them: their next questions are near.

        Else clients fall into two halves for good, and each statement serves one.
        """
        if not self._waiting:
            return
        present = len(self._waiting) + answered
        for _ in range(TURNS):
            if len(self._waiting) >= present:
                break
            await asyncio.sleep(0)
