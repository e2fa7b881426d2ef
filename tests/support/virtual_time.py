"""An event loop whose clock jumps: tests of timeouts, backoff and idle time that never wait.

The clock stands still while anything can run, and jumps to the next timer when nothing can. Threads would run in real
time beside it, so the loop refuses them. A server does too, so the clock also stands still during `real_work`.
"""

import asyncio
import functools
import selectors
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

_START_S = 1_000.0
# Far more than any test needs; a loop that always has something to do would never let the clock jump.
_STEPS_MAX = 400_000
# A server that needs longer for an answer hangs.
_ANSWER_S = 30.0
# Lets the loop wait for what is ready next without a noticeable jump of the clock.
_NO_TIME_S = 1e-9
# What one answer sets off takes fewer steps until it waits for the clock or for the next answer.
_QUIET_STEPS = 50

_under_way = [0]


@contextmanager
def real_work() -> Iterator[None]:
    """Let the clock stand still while a server works in real time."""
    _under_way[0] += 1
    try:
        yield
    finally:
        _under_way[0] -= 1


class Stuck(AssertionError):
    """Every task waits for something that will never happen, or nothing ever waits."""


class _JumpingSelector(selectors.SelectSelector):
    """Tells the loop's clock to jump instead of waiting."""

    def __init__(self) -> None:
        super().__init__()
        self.now_s = _START_S
        self.steps = 0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        self.steps += 1
        if self.steps > _STEPS_MAX:
            raise Stuck(f"the loop was never idle in {_STEPS_MAX} steps: something spins")
        ready = super().select(0)
        if not ready and _under_way[0] and (timeout is None or timeout > 0):
            ready = super().select(_ANSWER_S)
        if ready:
            return ready
        if timeout is None:
            raise Stuck("every task waits for something that will never happen")
        self.now_s += max(0.0, timeout)
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """An asyncio loop with a clock that jumps to the next timer when nothing is ready."""

    def __init__(self) -> None:
        self.clock = _JumpingSelector()
        super().__init__(self.clock)

    def time(self) -> float:
        return self.clock.now_s

    def run_in_executor(self, executor: Any, func: Any, *args: Any) -> Any:  # type: ignore[override]
        raise AssertionError("a thread would run in real time: use memory:// under virtual time")


def run_virtual(main: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine under virtual time; fail if it leaves a task behind or an error that was not retrieved."""
    unseen: list[dict[str, Any]] = []

    async def watched() -> T:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: unseen.append(context))
        result = await main
        await steps(3)  # what was told to end just now may do so
        left = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        assert not left, f"tasks left behind: {left}"
        return result

    _under_way[0] = 0
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        result = runner.run(watched())
    assert not unseen, f"errors that nobody saw: {unseen}"
    return result


def virtual(test: Callable[P, Coroutine[Any, Any, None]]) -> Callable[P, None]:
    """Turn an async test into a plain one that runs under virtual time."""

    @functools.wraps(test)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        run_virtual(test(*args, **kwargs))

    return run


async def steps(count: int) -> None:
    """Let the loop run `count` iterations."""
    for _ in range(count):
        await asyncio.sleep(0)


async def settled() -> None:
    """Return when everything that can run without the clock has run.

    What follows from a server's answer needs some steps, and may ask the server again: so the steps count from there.
    """
    quiet = 0
    while quiet < _QUIET_STEPS:
        if _under_way[0]:
            quiet = 0
            await asyncio.sleep(_NO_TIME_S)
        else:
            quiet += 1
            await asyncio.sleep(0)


async def until(condition: Callable[[], bool], within_s: float = 60.0) -> None:
    """Let virtual time pass until a condition holds."""
    async with asyncio.timeout(within_s):
        while not condition():  # noqa: ASYNC110  (what it waits for is whatever the clock brings)
            await asyncio.sleep(0.1)
