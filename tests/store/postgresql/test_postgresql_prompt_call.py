"""A `prompt_call` behaves like a task that begins at once, except that nobody cancels it."""

import asyncio
from contextvars import ContextVar

import pytest
from support.virtual_time import virtual

from actorium.store.postgresql import PostgreSQLStore
from actorium.store.postgresql.connections.prompt_call import prompt_call
from actorium.store.postgresql.connections.sessions import Connection

caller: ContextVar[str] = ContextVar("caller", default="")


@virtual
async def test_it_runs_up_to_its_first_wait_within_the_call_and_goes_on_within_the_callback() -> None:
    did: list[str] = []
    gate: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def work() -> str:
        did.append("began")
        answer = await gate
        did.append(answer)
        return "result"

    called = prompt_call(work())
    assert did == ["began"]
    called.add_done_callback(lambda done: did.append(done.result()))
    gate.set_result("answer")
    await asyncio.sleep(0)
    assert did == ["began", "answer", "result"]


@virtual
async def test_its_errors_are_those_of_the_coroutine_and_of_what_it_waits_for() -> None:
    gate: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def fail() -> None:
        raise ZeroDivisionError

    async def wait() -> None:
        await asyncio.sleep(0)
        await gate

    with pytest.raises(ZeroDivisionError):
        await prompt_call(fail())
    waiting = prompt_call(wait())
    await asyncio.sleep(0)
    gate.set_exception(LookupError())
    with pytest.raises(LookupError):
        await waiting
    assert await prompt_call(asyncio.sleep(0, 7)) == 7


@virtual
async def test_a_caller_that_is_cancelled_does_not_end_it() -> None:
    did: list[str] = []
    gate: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def work() -> None:
        await asyncio.shield(gate)
        did.append(caller.get())

    caller.set("the caller")
    leaving = asyncio.create_task(asyncio.wait_for(prompt_call(work()), 5))
    await asyncio.sleep(0)
    leaving.cancel()
    await asyncio.wait([leaving])
    gate.set_result(None)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert did == ["the caller"]


@virtual
async def test_it_is_cancelled_with_what_it_waits_for() -> None:
    gate: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def work() -> None:
        await gate

    waiting = prompt_call(work())
    gate.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting


@pytest.mark.asyncio
async def test_a_session_finishes_what_was_begun_without_a_task_before_it_closes(opened: PostgreSQLStore) -> None:
    assert opened._session is not None
    session, did = opened._session.appender, []

    async def work(connection: Connection) -> None:
        did.append(await connection.fetchval("SELECT 1 FROM pg_sleep(0.01)"))

    calls = [prompt_call(session.run_to_end(work)) for _ in range(3)]  # the first one connects
    await session.close()
    assert did == [1, 1, 1]
    assert [call.done() for call in calls] == [True, True, True]
