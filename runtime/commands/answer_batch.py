"""`AnswerBatch`: replies to commands that no task awaits, each passed to a callback.

One commit yields replies to many commands. All of them are passed on in one event loop callback, which costs less
than one callback each.

Invariants: while a reply is pending, `_hand_over` is scheduled; replies are passed on in order of arrival.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any


class Answer(asyncio.Future[Any]):
    """The future of one reply; its result or exception is passed to `take`.

    `Dispatcher.ask_nowait` sets the fields, because an `__init__` would double the cost of construction. `about` is
    the context that `take` needs; a partial function instead would give the garbage collector three more objects.
    """

    __slots__ = ("about", "batch", "take")

    about: Any
    batch: AnswerBatch
    take: Take

    def set_result(self, result: Any, /) -> None:
        """Set the result and have the reply passed on."""
        _set_result(self, result)
        self.batch.add(self)

    def set_exception(self, error: type | BaseException, /) -> None:
        """Set the exception and have the reply passed on."""
        super().set_exception(error)
        self.batch.add(self)


Take = Callable[[Answer], None]
"""Called with a reply, which may be an error; not called for a future that was cancelled first."""

_set_result: Callable[[asyncio.Future[Any], Any], None] = asyncio.Future.set_result  # faster than `super()`


class AnswerBatch:
    """The replies since the last iteration of the loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._there: deque[Answer] = deque()

    def add(self, answer: Answer) -> None:
        """Have a reply passed on in the next iteration of the loop."""
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
            if there:  # a callback raised; the loop reports it, and the other replies go on
                self._loop.call_soon(self._hand_over)
