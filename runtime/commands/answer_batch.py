"""`Answer`: the future of one reply. `AnswerBatch`: passes replies on to their waiters.

One commit yields replies to many commands. All of them are passed on in one event loop callback. asyncio would create
and run a handle for each, which costs more than everything else about a future.

Invariants: while a reply is pending in a batch, `_hand_over` is scheduled; replies are passed on in order of arrival.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from contextvars import Context, copy_context
from typing import Any

from actorium.store.errors import CommitUnknown, Unavailable


class Answer(asyncio.Future[Any]):
    """The future of one reply, which has one waiter: a callback, or the task that awaits it.

    `Dispatcher` sets the fields, because an `__init__` would double the cost of construction.

    take: called with this future when it is done; None without a waiter. A task that awaits a future passes its
        callback to `add_done_callback`, which keeps it here.
    context: the context in which to call it, if a task waits. A callback of `Dispatcher.ask_nowait` has none; it is not
        called if the future is cancelled.
    about: the data that such a callback needs. A partial function instead would give the garbage collector three more
        objects.
    """

    __slots__ = ("about", "batch", "context", "take")

    about: Any
    batch: AnswerBatch
    context: Context | None
    take: Take | None

    def set_result(self, result: Any, /) -> None:
        """Set the result and have the reply passed on."""
        set_result(self, result)
        self.batch.add(self)

    def set_exception(self, error: type | BaseException, /) -> None:
        """Set the exception and have the reply passed on."""
        super().set_exception(error)
        self.batch.add(self)

    def cancel(self, msg: Any | None = None) -> bool:
        """Cancel the future and have the waiting task woken."""
        is_cancelled = super().cancel(msg)
        if is_cancelled and self.context is not None:
            self.batch.add(self)
        return is_cancelled

    def add_done_callback(self, fn: Callable[[Any], object], /, *, context: Context | None = None) -> None:
        """Keep the callback of the task that awaits this future; treat any other callback as usual."""
        if self.take is None and context is not None and not self.done():
            self.take = fn
            self.context = context
        else:
            super().add_done_callback(fn, context=context)

    def remove_done_callback(self, fn: Callable[[Any], object], /) -> int:
        """Remove a callback."""
        if self.context is not None and self.take == fn:
            self.take = self.context = None
            return 1
        return super().remove_done_callback(fn)


class DoubtfulAnswer(Answer):
    """The future of a command that may have taken effect already: a refusal of a later attempt does not deny that.

    An answer becomes doubtful by its class, because its waiter has this very object.
    """

    __slots__ = ()

    def set_exception(self, error: type | BaseException, /) -> None:
        """Set the exception; if it says that nothing was done, set one that says that this is not known."""
        if isinstance(error, Unavailable):
            unknown = CommitUnknown(f"an earlier attempt may have taken effect, and a later one failed: {error}")
            unknown.__cause__ = error
            error = unknown
        super().set_exception(error)


Take = Callable[[Answer], object]
"""Called with a reply, which may be an error."""

set_result: Callable[[asyncio.Future[Any], Any], None] = asyncio.Future.set_result
"""Sets the result of an `Answer` that the caller adds to a batch itself."""


class AnswerBatch:
    """The replies since the last iteration of the loop.

    rest: the replies that `hand_over` has not passed on yet; empty at any other time.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._context = copy_context()  # that of the runtime, not of the caller whose command ends first
        self._there: deque[Answer] = deque()
        self.rest: deque[Answer] = deque()
        self._is_scheduled = False

    def add(self, answer: Answer) -> None:
        """Have a reply passed on in the next iteration of the loop."""
        self._there.append(answer)
        if not self._is_scheduled:
            self._schedule()

    def adder(self) -> Callable[[Answer], None]:
        """Return a function that adds a reply; the caller sees to it that `hand_over` is called."""
        return self._there.append

    def _schedule(self) -> None:
        self._loop.call_soon(self._scheduled, context=self._context)
        self._is_scheduled = True

    def _scheduled(self) -> None:
        self._is_scheduled = False
        self.hand_over()

    def hand_over(self) -> None:
        """Hand over the replies; this may resume their callers, so it is called from a callback, not from a task."""
        there = self._there
        if not there:
            return
        self._there, self.rest = self.rest, there
        try:
            while there:
                answer = there.popleft()
                take = answer.take
                if take is not None:
                    context = answer.context
                    if context is None:
                        take(answer)
                    else:
                        answer.take = None  # it refers to the task
                        context.run(take, answer)
        finally:
            if there:  # a callback raised; the loop reports it, and the other replies go on
                self._there.extendleft(reversed(there))
                there.clear()
                if not self._is_scheduled:
                    self._schedule()
