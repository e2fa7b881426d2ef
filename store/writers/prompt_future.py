"""`PromptFuture`: a future whose waiter is called when it is done, not in the next iteration of the event loop.

A commit passes through three futures on its way back to its callers: that of the connection's thread, that of the
transaction, and that of the batch. asyncio would run an iteration of the loop for each, with a system call.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextvars import Context, copy_context
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class PromptFuture(asyncio.Future[T], Generic[T]):
    """A future that is completed from a callback of the loop, never within a task, because it may resume one.

    Only the first waiter is called at once.
    """

    __slots__ = ("_context", "_waiter")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop=loop)
        self._waiter: Callable[[Any], object] | None = None
        self._context: Context | None = None

    def set_result(self, result: T, /) -> None:
        """Set the result and call the waiter."""
        super().set_result(result)
        self._tell()

    def set_exception(self, exception: type | BaseException, /) -> None:
        """Set the exception and call the waiter."""
        super().set_exception(exception)
        self._tell()

    def cancel(self, msg: Any | None = None) -> bool:
        """Cancel the future; the waiter is called in the next iteration of the loop."""
        is_cancelled = super().cancel(msg)
        if is_cancelled and self._waiter is not None:
            self.get_loop().call_soon(self._tell)
        return is_cancelled

    def add_done_callback(self, fn: Callable[[Any], object], /, *, context: Context | None = None) -> None:
        """Add a waiter."""
        if self._waiter is None and not self.done():
            self._waiter = fn
            self._context = copy_context() if context is None else context
        else:
            super().add_done_callback(fn, context=context)

    def remove_done_callback(self, fn: Callable[[Any], object], /) -> int:
        """Remove a waiter; return how many there were."""
        removed = super().remove_done_callback(fn)
        if self._waiter == fn:
            self._waiter = self._context = None
            removed += 1
        return removed

    def _tell(self) -> None:
        waiter, context = self._waiter, self._context
        if waiter is None or context is None:
            return
        self._waiter = self._context = None
        try:
            context.run(waiter, self)
        except (SystemExit, KeyboardInterrupt):
            raise
        except BaseException as error:  # as the loop does with a callback
            self.get_loop().call_exception_handler(
                {"message": f"Exception in callback {waiter!r}", "exception": error, "future": self}
            )
