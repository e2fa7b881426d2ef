"""`runtime.submissions`: submitted commands can be found with their status, whatever the outcome."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest
from support.stores import FaultyStore, PassedThrough
from support.transfers import Account, Deposit, Withdraw, open_accounts, runtime_of
from support.virtual_time import settled, virtual

from actorium import ConfigurationError, NotFound, Runtime
from actorium.errors import RuntimeClosed
from actorium.types import SubmissionView


async def statuses(views: AsyncIterator[SubmissionView]) -> dict[str, str]:
    return {view.command_id: view.status async for view in views}


async def submit_some(runtime: Runtime) -> None:
    """Submit one command for each status."""
    await open_accounts(runtime, bob=0)
    await runtime.submit(Deposit("bob", 5), command_id="done")
    await runtime.submit(Withdraw("bob", 100), command_id="failed")
    await runtime.submit(Deposit("bob", 5), after_s=1_000, command_id="waiting")
    await runtime.submit(Deposit("bob", 5), after_s=10, command_id="cancelled")
    await runtime.submissions.cancel("cancelled", reason="not needed")
    await asyncio.sleep(60)


@virtual
async def test_submissions_are_listed_by_status_in_this_run_and_the_next() -> None:
    store = PassedThrough()
    for seed in (0, 1):
        async with runtime_of(store=store, seed=seed) as runtime:
            if seed == 0:
                await submit_some(runtime)
            names = ("cancelled", "done", "failed", "waiting")
            assert await statuses(runtime.submissions.list()) == {name: name for name in names}
            for name in names:
                assert await statuses(runtime.submissions.list(status=name)) == {name: name}


@virtual
async def test_a_submission_is_found_by_its_id_with_all_its_fields() -> None:
    async with runtime_of() as runtime:
        before = datetime.fromtimestamp(runtime._source.now_us() / 1e6, UTC)
        await submit_some(runtime)
        waiting = await runtime.submissions.get("waiting")
        assert (waiting.command_type, waiting.reason, waiting.ended_at) == ("Deposit", "", None)
        assert waiting.due_at is not None
        assert (waiting.due_at - waiting.submitted_at).total_seconds() == pytest.approx(1_000, abs=1)
        assert waiting.submitted_at >= before
        failed = await runtime.submissions.get("failed")
        assert (failed.status, failed.due_at) == ("failed", None)
        assert failed.reason
        assert failed.ended_at is not None
        assert failed.ended_at >= failed.submitted_at
        assert (await runtime.submissions.get("cancelled")).reason == "not needed"
        listed = {one.command_id: one async for one in runtime.submissions.list()}
        assert listed["failed"] == failed
        assert listed["waiting"] == waiting


@virtual
async def test_the_list_is_the_same_after_a_failed_save_and_after_a_reset() -> None:
    store = FaultyStore()
    async with runtime_of(store=store) as runtime:
        await submit_some(runtime)
        listed = [one async for one in runtime.submissions.list()]
        await runtime.submit(Deposit("bob", 5), after_s=1_000, command_id="more")
        await settled()  # the agenda knows of it
        store.next_fault = lambda: "after"
        with pytest.raises(Exception, match="after it had written"):
            await runtime._saga_engine._agenda._whole.agenda.save()
        store.next_fault = lambda: "none"
        again = {one.command_id: one async for one in runtime.submissions.list()}
        assert list(again) == ["cancelled", "done", "failed", "more", "waiting"]
        assert [one for name, one in again.items() if name != "more"] == listed
        agenda = next(one for one in runtime.processors.values() if one.plain_name == "agenda")
        await agenda.reset()
        assert {one.command_id: one async for one in runtime.submissions.list()} == again


@virtual
async def test_more_than_a_page_of_timers_is_listed_once_each() -> None:
    async with runtime_of() as runtime:
        await open_accounts(runtime, bob=0)
        ids = [f"timer {n:05}" for n in range(2_500)]
        await asyncio.gather(*(runtime.submit(Deposit("bob", 1), after_s=9_999, command_id=id) for id in ids))
        assert [one.command_id async for one in runtime.submissions.list(status="waiting")] == ids


@virtual
async def test_an_unknown_submission_is_not_found_and_an_invalid_status_is_refused() -> None:
    async with runtime_of() as runtime:
        assert await statuses(runtime.submissions.list()) == {}
        with pytest.raises(NotFound, match="no command was submitted with the id 'nothing'"):
            await runtime.submissions.get("nothing")
        with pytest.raises(ConfigurationError, match="waiting, done, failed or cancelled"):
            runtime.submissions.list(status="late")


@virtual
async def test_a_group_refuses_calls_unless_its_runtime_runs() -> None:
    runtime = runtime_of()
    groups: tuple[Any, ...] = (runtime.sagas, runtime.submissions, runtime.processors, runtime.dead_letters)
    sagas, submissions, processors, dead_letters = groups
    for _ in range(2):
        with pytest.raises(RuntimeClosed):
            sagas.list()
        with pytest.raises(RuntimeClosed):
            await submissions.cancel("x")
        with pytest.raises(RuntimeClosed):
            len(processors)
        with pytest.raises(RuntimeClosed):
            dead_letters.list()
        if runtime._lifecycle._root is None:
            async with runtime:
                assert dead_letters.list() == []


@virtual
async def test_a_waiting_submission_is_run_now_and_takes_effect_once() -> None:
    store = PassedThrough()
    async with runtime_of(store=store) as runtime:
        await open_accounts(runtime, bob=0)
        await runtime.submit(Deposit("bob", 5), after_s=1_000, command_id="later")
        waiting = await runtime.submissions.get("later")
        assert await runtime.submissions.run_now("later", reason="the customer waits")
        await asyncio.sleep(1)
        done = await runtime.submissions.get("later")
        assert (done.status, waiting.status) == ("done", "waiting")
        assert done.due_at is not None
        assert waiting.due_at is not None
        assert done.due_at < waiting.due_at
        assert [one async for one in runtime.submissions.list()] == [done]
        assert not await runtime.submissions.run_now("later")
        with pytest.raises(NotFound):
            await runtime.submissions.run_now("nobody")
    async with runtime_of(store=store, seed=1) as runtime:
        await asyncio.sleep(2_000)
        assert await statuses(runtime.submissions.list()) == {"later": "done"}
        assert (await runtime.get(Account, "bob")).balance == 5


@virtual
async def test_a_submission_made_due_before_a_crash_is_carried_out_after_it() -> None:
    store = PassedThrough()
    async with runtime_of(store=store) as runtime:
        await open_accounts(runtime, bob=0)
        await runtime.submit(Deposit("bob", 5), after_s=1_000, command_id="later")
        [one async for one in runtime.submissions.list()]  # the row is written with the later time
        await runtime.submissions.run_now("later")
    async with runtime_of(store=store, seed=1) as runtime:
        await asyncio.sleep(1)
        assert await statuses(runtime.submissions.list()) == {"later": "done"}
