"""`watch`: a query runs again only after its projection has moved."""

import asyncio
from typing import Any

import pytest
from support.bank import Add, Added, Tally
from support.read_models import PARTS, Sums, Switch, Totals
from support.virtual_time import settled, virtual

from actorium import Projection, Runtime, Settings, on, query


@pytest.fixture(autouse=True)
def nothing_fails() -> None:
    Switch.off()


class Strange(Projection):
    """Answers with something that equals nothing, itself included."""

    moves: int = 0

    @on
    def added(self, event: Added) -> None:
        self.moves += 1

    @query
    def nothing(self) -> float:
        Asked.times += 1
        return float("nan")

    @query
    def history(self) -> list[int]:
        return list(range(self.moves))


class Asked:
    times = 0


@virtual
async def test_an_answer_that_is_never_equal_is_yielded_once_per_move() -> None:
    Asked.times = 0
    async with Runtime([Tally, Strange], store="memory://", settings=Settings(poll_s=0.1)) as runtime:
        watch = runtime.watch(Strange.nothing)
        await anext(watch)
        following = asyncio.ensure_future(anext(watch))
        await asyncio.sleep(60.0)
        assert not following.done()
        assert Asked.times == 1, "time alone is no reason to ask again"
        await runtime.send(Add("a", 1))
        await following
        assert Asked.times == 2


@pytest.mark.parametrize("projection", [Totals, Sums])
@virtual
async def test_a_move_during_the_query_is_not_missed(projection: Any) -> None:
    async with Runtime(PARTS, store="memory://") as runtime:
        watch = runtime.watch(projection.of, "a")
        answers: list[int] = []

        async def follow() -> None:
            async for answer in watch:
                answers.append(answer)

        following = asyncio.ensure_future(follow())
        for _ in range(20):
            await runtime.send(Add("a", 1))
        await runtime.processors[projection].checkpoint.reached(20)
        await settled()
        assert answers[-1] == 20
        watch.close()
        await following


@virtual
async def test_changing_an_answer_hides_no_later_one() -> None:
    async with Runtime([Tally, Strange], store="memory://") as runtime:
        watch = runtime.watch(Strange.history)
        answer = await anext(watch)
        answer.append(0)
        await runtime.send(Add("a", 1))
        async with asyncio.timeout(5.0):
            assert await anext(watch) == [0]
