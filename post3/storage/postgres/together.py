"""What many ask at once, asked of the database by one statement.

A statement that is about one small row costs more for itself, its way there and back, and its transaction than for the
row. While one runs the next questions gather, and go in one as well. A single one waits for nobody.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Hashable, Sequence
from typing import Any, Final, Generic, TypeAlias, TypeVar

Question = TypeVar("Question")
Answer = TypeVar("Answer")
Begin: TypeAlias = Callable[[Coroutine[Any, Any, None]], object]

MOST: Final = 64
"""Questions of one statement."""
TURNS: Final = 8
"""Turns of the loop for which those that wait do so for more."""


class Together(Generic[Question, Answer]):
    """The questions of one kind of one process; one statement at a time."""

    def __init__(
        self,
        begin: Begin,
        ask: Callable[[Sequence[Question]], Awaitable[Sequence[Answer]]],
        name: Callable[[Question], Hashable] = id,
    ) -> None:
        """`begin` has work done, `ask` gives the answers in the order of the questions. Of questions with the same name
        one goes at a time.
        """
        self._begin = begin
        self._ask = ask
        self._name = name
        self._waiting: deque[tuple[Question, asyncio.Future[Answer]]] = deque()
        self.is_at_work = False
        """Whether some are being asked."""

    @property
    def waiting(self) -> int:
        """Questions that are yet to be asked."""
        return len(self._waiting)

    def put(self, question: Question) -> asyncio.Future[Answer]:
        """Its answer to be. Who cancels that leaves the question, which may be asked already."""
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting.append((question, answer))
        if not self.is_at_work:
            self.is_at_work = True
            self._begin(self._work())  # after all others that are ready now
        return answer

    async def _work(self) -> None:
        """Ask what waits, until nothing does."""
        try:
            while batch := self._next():
                await self._answer(batch)
                await self._gather(len(batch))
        finally:
            self.is_at_work = False

    def _next(self) -> dict[Hashable, tuple[Question, asyncio.Future[Answer]]]:
        """The oldest ones, by their names."""
        batch: dict[Hashable, tuple[Question, asyncio.Future[Answer]]] = {}
        later = []
        while self._waiting and len(batch) < MOST:
            one = self._waiting.popleft()
            if batch.setdefault(self._name(one[0]), one) is not one:
                later.append(one)
        self._waiting.extendleft(reversed(later))
        return batch

    async def _answer(self, batch: dict[Hashable, tuple[Question, asyncio.Future[Answer]]]) -> None:
        questions = [question for question, _ in batch.values()]
        try:
            answers = await self._ask(questions)
        except BaseException as error:
            for _, waiting in batch.values():
                if not waiting.done():
                    waiting.set_exception(error)
            if not isinstance(error, Exception):
                raise
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
