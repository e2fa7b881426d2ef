"""A wall clock that was ahead and is set back: one warning, and the times of later events."""

import asyncio
from datetime import UTC, datetime

from structlog.testing import capture_logs
from support.bank import Account, Deposit, OpenAccount
from support.virtual_time import virtual

from actorium import Runtime
from actorium.store.memory import MemoryStore
from actorium.store.source import SeededSource

DAY_US = 86_400_000_000


def at(source: SeededSource) -> datetime:
    return datetime.fromtimestamp(source.now_us() / 1_000_000, UTC)


@virtual
async def test_a_clock_that_was_set_back_causes_one_warning_per_run() -> None:
    source, store = SeededSource(), MemoryStore()
    for run in range(2):
        with capture_logs() as logs:
            async with Runtime([Account], store=store, source=source) as runtime:
                if run == 0:
                    await runtime.send(OpenAccount("alice"))
                    source.time_us += 365 * DAY_US
                    await runtime.send(Deposit("alice", 1))
                    assert [entry for entry in logs if entry["event"] == "clock_behind_log"] == []
                    source.time_us -= 365 * DAY_US
                for _ in range(3):
                    await runtime.send(Deposit("alice", 1))
        (warning,) = [entry for entry in logs if entry["event"] == "clock_behind_log"]
        assert (warning["log_level"], warning["behind_s"]) == ("warning", 365 * 86_400)


@virtual
async def test_a_small_clock_correction_causes_no_warning() -> None:
    source = SeededSource()
    with capture_logs() as logs:
        async with Runtime([Account], store="memory://", source=source) as runtime:
            await runtime.send(OpenAccount("alice"))
            source.time_us -= 59_000_000
            await runtime.send(Deposit("alice", 1))
    assert [entry for entry in logs if entry["event"] == "clock_behind_log"] == []


@virtual
async def test_new_events_have_the_time_of_the_last_one_until_the_clock_reaches_it() -> None:
    source = SeededSource()
    async with Runtime([Account], store="memory://", source=source) as runtime:
        await runtime.send(OpenAccount("alice"))
        before = at(source)
        source.time_us += 365 * DAY_US
        ahead = at(source)
        await runtime.send(Deposit("alice", 1))
        source.time_us -= 355 * DAY_US
        await runtime.send(Deposit("alice", 10))
        times = [change.recorded_at async for change in runtime.history(Account, "alice")]
        assert times == [before, ahead, ahead]
        # By the time of the log, both deposits are a year away.
        assert (await runtime.get(Account, "alice", at_time=at(source))).balance == 0
        assert (await runtime.get(Account, "alice", at_time=ahead)).balance == 11
        source.time_us += 356 * DAY_US
        await runtime.send(Deposit("alice", 100))
        assert (await runtime.get(Account, "alice", at_time=at(source))).balance == 111


@virtual
async def test_timers_set_while_the_clock_was_ahead_fire_by_that_clock() -> None:
    source = SeededSource()
    async with Runtime([Account], store="memory://", source=source) as runtime:
        await runtime.send(OpenAccount("alice"))
        source.time_us += DAY_US
        await runtime.submit(Deposit("alice", 1), after_s=1)
        source.time_us -= DAY_US
        await runtime.submit(Deposit("bob", 1), after_s=1)  # the clock is right again: so is this
        await runtime.send(OpenAccount("bob"))
        await asyncio.sleep(5)
        source.time_us += 2_000_000
        await asyncio.sleep(5)
        assert (await runtime.get(Account, "bob")).balance == 1
        assert (await runtime.get(Account, "alice")).balance == 0
        source.time_us += DAY_US
        await asyncio.sleep(5)
        assert (await runtime.get(Account, "alice")).balance == 1
