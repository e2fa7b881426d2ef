"""`AnswerBatch`: answers to commands that no task waits for, each handed to a callback.

One commit answers many commands. Their answers are handed over together, in one callback of the loop: a callback for
each answer costs more.

Invariants: while an answer is there that nobody took, `_hand_over` is scheduled; answers are taken in their order.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any


class Answer(asyncio.Future[Any]):
    """The future of one answer, whose result or exception is handed to `take`.

    `Dispatcher.ask_nowait` sets its fields: an `__init__` would double the cost of making one. `about` is what `take`
    needs to know of it: a partial function in its place would be three more objects for the garbage collector.
    """

    __slots__ = ("about", "batch", "take")

    about: Any
    batch: AnswerBatch
    take: Take

    def set_result(self, result: Any, /) -> None:
        """Have the answer handed over."""
        _set_result(self, result)
        self.batch.add(self)

    def set_exception(self, error: type | BaseException, /) -> None:
        """Have the error handed over."""
        super().set_exception(error)
        self.batch.add(self)


Take = Callable[[Answer], None]
"""Is called with an answer that has come, an error included; not with one that was cancelled before."""

_set_result: Callable[[asyncio.Future[Any], Any], None] = asyncio.Future.set_result  # `super()` takes longer


class AnswerBatch:
    """The answers that have come since the loop last came round."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._there: deque[Answer] = deque()

    def add(self, answer: Answer) -> None:
        """Have an answer taken in the next round of the loop."""
        if not self._there:
            self._loop.call_soon(self._hand_over)
        self._there.append(answer)

    def _hand_over(self) -> None:
        there = self._there
        try:
            while there:
                answer = there.popleft()
                answer.take(answer)
        finally:
            if there:  # one callback raised, which the loop reports; the other answers do not wait for it
                self._loop.call_soon(self._hand_over)
