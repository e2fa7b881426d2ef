"""Schedules fire once for each of their times, over crashes, restarts, pauses and changes of the clock."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from support.bank import Add, Tally
from support.stores import FaultyStore
from support.transfers import CALM, LoopSource
from support.virtual_time import settled, virtual

from actorium import Command, ConfigurationError, NotFound, Runtime
from actorium.schedules import Schedule
from actorium.store.event_store import EventStore
from actorium.store.memory import MemoryStore


def hourly(due: datetime) -> Command:
    return Add("t")


def runtime_of(*schedules: Schedule, store: EventStore | None = None, seed: int = 0) -> Runtime:
    return Runtime([Tally, *schedules], store=store or MemoryStore(), source=LoopSource(seed), settings=CALM)


async def count(runtime: Runtime) -> int:
    """Return how many commands of the schedule took effect."""
    try:
        return (await runtime.get(Tally, "t")).count
    except NotFound:
        return 0


@virtual
async def test_a_cron_schedule_fires_at_each_time_in_its_time_zone() -> None:
    dues: list[datetime] = []

    def noted(due: datetime) -> Command:
        dues.append(due)
        return Add("t")

    schedule = Schedule("daily", noted, cron="30 2 * * *", time_zone="Europe/Prague")
    async with runtime_of(schedule) as runtime:
        await asyncio.sleep(3 * 86_400)
        await settled()
        assert await count(runtime) == 3
        view = await runtime.schedules.get(schedule)
    assert [(due.hour, due.minute, str(due.tzinfo)) for due in dues] == [(2, 30, "Europe/Prague")] * 3
    assert [later - earlier for earlier, later in pairwise(dues)] == [timedelta(days=1)] * 2
    assert view.next_due == dues[-1] + timedelta(days=1)
    assert view.last_fired == dues[-1]


@virtual
async def test_an_interval_is_counted_from_the_epoch() -> None:
    dues: list[datetime] = []

    def noted(due: datetime) -> Command:
        dues.append(due)
        return Add("t")

    async with runtime_of(Schedule("often", noted, every_s=900)):
        await asyncio.sleep(3_600)
        await settled()
    assert len(dues) == 4
    assert all(due.timestamp() % 900 == 0 for due in dues)


@virtual
async def test_a_firing_is_a_submission_that_names_its_schedule_and_time() -> None:
    async with runtime_of(Schedule("hourly", hourly, every_s=3_600)) as runtime:
        await asyncio.sleep(3_601)
        await settled()
        (view,) = [one async for one in runtime.submissions.list()]
        assert view.status == "done"
        assert view.command_id.startswith("~schedule hourly ")


@pytest.mark.parametrize(
    ("catch_up", "fired"), [("latest", 1), ("all", 10), ("none", 0)], ids=["latest", "all", "none"]
)
@virtual
async def test_times_that_passed_while_nothing_ran_are_caught_up_as_declared(catch_up: Any, fired: int) -> None:
    store = MemoryStore()
    schedule = Schedule("hourly", hourly, every_s=3_600, catch_up=catch_up)
    async with runtime_of(schedule, store=store):
        await asyncio.sleep(10)
    await asyncio.sleep(10 * 3_600 + 600)
    async with runtime_of(schedule, store=store, seed=1) as runtime:
        await asyncio.sleep(30)
        await settled()
        assert await count(runtime) == fired
        await asyncio.sleep(3_600)
        await settled()
        assert await count(runtime) == fired + 1


@virtual
async def test_only_the_last_thousand_missed_times_are_looked_at(caplog: pytest.LogCaptureFixture) -> None:
    store = MemoryStore()
    schedule = Schedule("often", hourly, every_s=60, catch_up="all")
    async with runtime_of(schedule, store=store):
        await asyncio.sleep(1)
    await asyncio.sleep(1_500 * 60)
    async with runtime_of(schedule, store=store, seed=1) as runtime:
        await asyncio.sleep(30)
        await settled()
        assert await count(runtime) == 1_000


@virtual
async def test_a_crash_between_the_submission_and_its_record_fires_nothing_twice() -> None:
    """Each commit fails in turn, with and without being written; every firing takes effect once."""
    for fault in ("before", "after"):
        for fail_at in range(2, 7):
            store = FaultyStore()
            schedule = Schedule("hourly", hourly, every_s=3_600)
            store.faults.extend([""] * fail_at + [fault])
            async with runtime_of(schedule, store=store) as runtime:
                await asyncio.sleep(2 * 3_600 + 30)
                await settled()
                assert await count(runtime) == 2, (fault, fail_at)


@virtual
async def test_two_runtimes_in_turn_do_not_fire_the_same_time_twice() -> None:
    store = MemoryStore()
    schedule = Schedule("hourly", hourly, every_s=3_600)
    for seed in range(3):
        async with runtime_of(schedule, store=store, seed=seed) as runtime:
            await runtime.schedules.get("hourly")
            if seed == 0:
                await asyncio.sleep(3_600)
            await settled()
            assert await count(runtime) == 1


@virtual
async def test_a_paused_schedule_does_not_fire_over_restarts_and_resumes_with_the_next_time() -> None:
    store = MemoryStore()
    schedule = Schedule("hourly", hourly, every_s=3_600, catch_up="all")
    async with runtime_of(schedule, store=store) as runtime:
        assert await runtime.schedules.pause(schedule, reason="month end")
        assert not await runtime.schedules.pause(schedule, reason="again")
        await asyncio.sleep(3 * 3_600)
    async with runtime_of(schedule, store=store, seed=1) as runtime:
        view = await runtime.schedules.get("hourly")
        assert (view.paused, view.reason, view.next_due) == (True, "month end", None)
        await asyncio.sleep(3 * 3_600)
        assert await count(runtime) == 0
        assert await runtime.schedules.resume("hourly")
        assert not await runtime.schedules.resume("hourly")
        await asyncio.sleep(3_600)
        await settled()
        assert await count(runtime) == 1


@virtual
async def test_run_now_submits_once_more_and_is_not_a_firing() -> None:
    schedule = Schedule("yearly", hourly, cron="0 0 1 1 *")
    async with runtime_of(schedule) as runtime:
        await runtime.schedules.pause(schedule, reason="test")
        await runtime.schedules.run_now(schedule)
        await settled()
        assert await count(runtime) == 1
        assert (await runtime.schedules.get(schedule)).last_fired is None
        with pytest.raises(NotFound, match="no schedule 'weekly'"):
            await runtime.schedules.run_now("weekly")


@virtual
async def test_jitter_delays_each_firing_by_its_own_amount() -> None:
    schedule = Schedule("hourly", hourly, every_s=3_600, jitter_s=600)
    delays = {schedule.jitter_us(hour * 3_600_000_000) for hour in range(50)}
    assert len(delays) > 40
    assert all(0 <= delay <= 600_000_000 for delay in delays)
    async with runtime_of(schedule) as runtime:
        await asyncio.sleep(2 * 3_600)
        dues = [view.due_at async for view in runtime.submissions.list()]
    assert all(due is not None and due.timestamp() % 3_600 <= 600 for due in dues)


@virtual
async def test_a_function_that_raises_is_recorded_and_the_next_time_fires() -> None:
    faults = [ZeroDivisionError("a bug of the schedule")]

    def broken(due: datetime) -> Command:
        if faults:
            raise faults.pop()
        return Add("t")

    schedule = Schedule("hourly", broken, every_s=3_600)
    async with runtime_of(schedule) as runtime:
        await asyncio.sleep(3_600)
        await settled()
        assert (await runtime.schedules.get(schedule)).error == "ZeroDivisionError: a bug of the schedule"
        await asyncio.sleep(3_600)
        await settled()
        assert await count(runtime) == 1
        assert (await runtime.schedules.get(schedule)).error == ""


@virtual
async def test_a_store_that_is_away_delays_a_firing() -> None:
    store = FaultyStore()
    async with runtime_of(Schedule("hourly", hourly, every_s=3_600), store=store) as runtime:
        await settled()
        store.faults.extend(["before"] * 3)
        await asyncio.sleep(3_700)
        await settled()
        assert await count(runtime) == 1


@virtual
async def test_schedules_are_listed_in_the_order_of_the_parts() -> None:
    parts = [Schedule(name, hourly, every_s=3_600) for name in ("b", "a")]
    async with runtime_of(*parts) as runtime:
        assert [view.name async for view in runtime.schedules.list()] == ["b", "a"]


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: Schedule("", hourly, every_s=60), "needs a name"),
        (lambda: Schedule("s", hourly), "cron= or every_s="),
        (lambda: Schedule("s", hourly, cron="* * * * *", every_s=60), "not both"),
        (lambda: Schedule("s", hourly, cron="* * * *"), "cron="),
        (lambda: Schedule("s", hourly, cron="61 * * * *"), "cron="),
        (lambda: Schedule("s", hourly, every_s=0.5), "1 or more"),
        (lambda: Schedule("s", hourly, every_s=60, time_zone="Mars/Olympus"), "no time zone"),
        (lambda: Schedule("s", hourly, every_s=60, catch_up="some"), '"latest" or "none"'),  # type: ignore[arg-type]
        (lambda: Schedule("s", hourly, every_s=60, jitter_s=-1), "jitter_s"),
        (lambda: Schedule("s", Add("t"), every_s=60), "a function"),  # type: ignore[arg-type]
        (lambda: runtime_of(Schedule("s", hourly, every_s=1), Schedule("s", hourly, every_s=2)), "another name"),
    ],
)
def test_wrong_arguments_are_refused(make: Callable[[], Any], match: str) -> None:
    with pytest.raises(ConfigurationError, match=match):
        make()


def test_a_time_that_the_clock_skips_fires_when_the_clock_has_moved_on() -> None:
    """Debian's cron runs a job of 02:30 at 03:00 on the day when the clock goes from 02:00 to 03:00."""
    schedule = Schedule("nightly", hourly, cron="30 2 * * *", time_zone="Europe/Prague")
    before = datetime(2026, 3, 28, 12, tzinfo=UTC)
    dues = []
    for _ in range(3):
        due = schedule.next_after(before)
        assert due is not None
        dues.append(due)
        before = due
    assert [f"{due:%m-%d %H:%M}" for due in dues] == ["03-29 03:00", "03-30 02:30", "03-31 02:30"]
