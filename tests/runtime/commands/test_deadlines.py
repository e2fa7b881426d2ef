"""Whoever is not answered by his deadline gives up exactly then, and who was answered is soon forgotten."""

import asyncio
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from support.virtual_time import run_virtual, virtual

from actorium.runtime.commands.deadlines import Deadlines


class Caller:
    """Waits for an answer for so long, and notes when it gave up."""

    def __init__(self, timeout_s: float) -> None:
        loop = asyncio.get_running_loop()
        self.future: asyncio.Future[Any] | None = loop.create_future()
        self.deadline = loop.time() + timeout_s
        self.gave_up_at: float | None = None


def give_up(caller: Caller) -> None:
    assert caller.gave_up_at is None
    assert caller.future is not None
    caller.gave_up_at = asyncio.get_running_loop().time()
    caller.future.set_result("too late")


moves = st.lists(
    st.tuples(
        st.sampled_from([0.0, 0.0, 1.0, 5.0]),  # a pause
        st.sampled_from([10.0, 10.0, 10.0, 1.0, 3.0, 100.0]),  # how long a caller waits
        st.none() | st.integers(0, 20),  # who is answered then
        st.booleans(),  # whether a commit ends, so that the answered are forgotten
    ),
    max_size=60,
)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(moves)
def test_each_gives_up_at_its_own_deadline_unless_it_is_answered(moves: list[tuple[float, float, Any, bool]]) -> None:
    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        deadlines: Deadlines[Caller] = Deadlines(loop, give_up)
        callers: list[Caller] = []
        answered: set[int] = set()
        for pause_s, timeout_s, index, is_swept in moves:
            await asyncio.sleep(pause_s)
            callers.append(Caller(timeout_s))
            deadlines.add(callers[-1])
            if index is not None and index < len(callers):
                future = callers[index].future
                assert future is not None
                if not future.done():
                    future.set_result("in time")
                    answered.add(index)
            if is_swept:
                deadlines.sweep()
        await asyncio.sleep(200)
        for index, caller in enumerate(callers):
            assert caller.gave_up_at == (None if index in answered else caller.deadline)
        assert not deadlines

    run_virtual(scenario())


@virtual
async def test_one_that_is_not_answered_holds_up_few_that_are() -> None:
    deadlines: Deadlines[Caller] = Deadlines(asyncio.get_running_loop(), give_up)
    deadlines.add(Caller(1_000))
    for timeout_s in (1_000, 10):  # in order, and out of it
        for _ in range(10_000):
            caller = Caller(timeout_s)
            deadlines.add(caller)
            assert caller.future is not None
            caller.future.set_result("in time")
            deadlines.sweep()
    assert len(deadlines) <= 2 * 129 + 1


@virtual
async def test_a_long_timeout_does_not_make_the_later_ones_unusual() -> None:
    deadlines: Deadlines[Caller] = Deadlines(asyncio.get_running_loop(), give_up)
    first = Caller(1_000_000)
    deadlines.add(first)
    assert first.future is not None
    first.future.set_result("in time")
    deadlines.sweep()
    for _ in range(2):
        deadlines.add(Caller(10))
    assert len(deadlines.line) == 2
    await asyncio.sleep(20)
    assert not deadlines
