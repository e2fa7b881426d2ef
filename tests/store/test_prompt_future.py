"""A `PromptFuture` calls its first waiter when it is completed, and behaves like any future otherwise."""

import asyncio
from contextvars import ContextVar, copy_context

import pytest
from support.virtual_time import virtual

from actorium.store.writers.prompt_future import PromptFuture

caller: ContextVar[str] = ContextVar("caller", default="")


def waiters(future: asyncio.Future[int], called: list[str]) -> None:
    future.add_done_callback(lambda done: called.append("first"))
    future.add_done_callback(lambda done: called.append("second"))


@virtual
async def test_the_first_waiter_is_called_within_the_call_that_completes_it() -> None:
    called: list[str] = []
    future: PromptFuture[int] = PromptFuture(asyncio.get_running_loop())
    waiters(future, called)
    future.set_result(1)
    assert called == ["first"]
    await asyncio.sleep(0)
    assert called == ["first", "second"]
    assert await future == 1


@virtual
async def test_a_task_gets_the_result_or_the_exception() -> None:
    loop = asyncio.get_running_loop()
    futures: list[PromptFuture[int]] = [PromptFuture(loop), PromptFuture(loop)]

    async def wait(future: PromptFuture[int]) -> int:
        return await future

    tasks = [asyncio.create_task(wait(future)) for future in futures]
    await asyncio.sleep(0)
    loop.call_soon(futures[0].set_result, 7)
    loop.call_soon(futures[1].set_exception, ZeroDivisionError())
    assert await tasks[0] == 7
    with pytest.raises(ZeroDivisionError):
        await tasks[1]


@virtual
async def test_a_waiter_runs_in_its_own_context() -> None:
    found: list[str] = []
    future: PromptFuture[int] = PromptFuture(asyncio.get_running_loop())
    context = copy_context()
    context.run(caller.set, "the waiter")
    future.add_done_callback(lambda done: found.append(caller.get()), context=context)
    future.set_result(1)
    assert found == ["the waiter"]


@virtual
async def test_a_cancelled_one_calls_its_waiters_later() -> None:
    called: list[str] = []
    future: PromptFuture[int] = PromptFuture(asyncio.get_running_loop())
    waiters(future, called)
    assert future.cancel()
    assert called == []
    await asyncio.sleep(0)
    assert sorted(called) == ["first", "second"]


@virtual
async def test_a_removed_waiter_is_not_called() -> None:
    called: list[str] = []

    def note(done: object) -> None:
        called.append("it")

    future: PromptFuture[int] = PromptFuture(asyncio.get_running_loop())
    future.add_done_callback(note)
    assert future.remove_done_callback(note) == 1
    assert future.remove_done_callback(note) == 0
    future.set_result(1)
    assert called == []


@virtual
async def test_the_loop_is_told_of_an_exception_of_the_waiter() -> None:
    told: list[BaseException] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda loop, context: told.append(context["exception"]))
    future: PromptFuture[int] = PromptFuture(loop)
    future.add_done_callback(lambda done: [][1])
    future.set_result(1)
    loop.set_exception_handler(None)
    assert [type(error) for error in told] == [IndexError]
    assert await future == 1
