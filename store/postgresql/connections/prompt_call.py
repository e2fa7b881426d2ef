"""`prompt_call`: runs a coroutine at once and in the callbacks of what it waits for, without a task.

A task begins in the next iteration of the event loop, and passes its result on in yet another one. A lone caller pays
for every iteration between its command and the statement, and between the answer of the server and its own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, Generic, TypeVar

from actorium.store.writers.prompt_future import PromptFuture

T = TypeVar("T")


def prompt_call(coroutine: Coroutine[Any, Any, T]) -> asyncio.Future[T]:
    """Run a coroutine up to its first wait, and the rest as its waits end; return a future of its result.

    The coroutine must not use what needs a task, such as `asyncio.timeout`. It is never cancelled: it runs to its end
    even if the future is cancelled.
    """
    call = _PromptCall(coroutine)
    call.step()
    return call.result


class _PromptCall(Generic[T]):
    __slots__ = ("_coroutine", "result")

    def __init__(self, coroutine: Coroutine[Any, Any, T]) -> None:
        self._coroutine = coroutine
        self.result: PromptFuture[T] = PromptFuture(asyncio.get_running_loop())

    def step(self, _: object = None) -> None:
        """Continue the coroutine; called when what it waits for has ended."""
        result = self.result
        try:
            awaited = self._coroutine.send(None)
        except StopIteration as end:
            value: T = end.value
        except (SystemExit, KeyboardInterrupt):
            raise
        except BaseException as error:
            if isinstance(error, asyncio.CancelledError):  # what it waited for was cancelled
                result.cancel()
            elif not result.done():
                result.set_exception(error)
            return
        else:
            if awaited is None:  # `asyncio.sleep(0)`
                result.get_loop().call_soon(self.step)
            else:
                awaited._asyncio_future_blocking = False  # as a task does with a future that it takes on
                awaited.add_done_callback(self.step)
            return
        if not result.done():
            result.set_result(value)
