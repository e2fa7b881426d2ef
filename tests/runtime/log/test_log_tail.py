"""The newest events in memory, while other processes write to the same log."""

import asyncio
from typing import cast

import pytest
from support.virtual_time import virtual

from actorium.actors.actor import Actor
from actorium.actors.pending import PendingAppend
from actorium.runtime.log.log_tail import LogTail
from actorium.store.event_store import Appended, Head
from actorium.store.names import StreamName
from actorium.testing.contract_words import append


def tail_at(position: int) -> LogTail:
    tail = LogTail(max_events=10, max_bytes=1_000)
    tail.open_at(Head(position, 1))
    return tail


@pytest.mark.asyncio
async def test_growth_wakes_who_waits() -> None:
    tail = tail_at(3)
    waiting = asyncio.ensure_future(tail.beyond(3, 60))
    await asyncio.sleep(0)
    tail.grew_to(Head(5, 20))
    assert await waiting
    assert tail.position == 5
    assert tail.recorded_us_after(3) == 20


@pytest.mark.asyncio
async def test_a_commit_wakes_who_waits_within_the_callback_that_reports_it() -> None:
    tail, own = tail_at(3), cast("PendingAppend[Actor]", append(StreamName("Tally", "a"), 0))
    waiting = asyncio.ensure_future(tail.beyond(3, 60))
    await asyncio.sleep(0)
    seen: list[bool] = []

    def report() -> None:
        tail.wake()  # of a commit that failed
        seen.append(tail.is_awaited)
        tail.advance([own], Appended([4], 1))
        tail.wake()
        seen.append(tail.is_awaited)

    asyncio.get_running_loop().call_soon(report)
    await asyncio.sleep(0)
    assert (seen, waiting.done()) == ([True, False], True)
    assert await waiting


def test_a_late_report_of_growth_changes_nothing() -> None:
    tail = tail_at(3)
    tail.grew_to(Head(5, 20))
    tail.grew_to(Head(4, 10))
    assert tail.position == 5


def test_an_append_that_others_overtook_does_not_shorten_the_log() -> None:
    tail = tail_at(3)
    tail.grew_to(Head(9, 20))
    own = cast("PendingAppend[Actor]", append(StreamName("Tally", "a"), 0, 2))
    tail.advance([own], Appended([4], 1))
    assert tail.position == 9
    tail.advance([own], Appended([12], 1))
    assert tail.position == 13


@virtual
async def test_each_wait_ends_at_its_own_time_and_all_end_with_the_tail() -> None:
    loop = asyncio.get_running_loop()
    tail = LogTail(max_events=10, max_bytes=1_000)
    ended: list[tuple[str, float, bool]] = []
    began = loop.time()

    async def wait(name: str, within_s: float) -> None:
        moved = await tail.moved(loop.create_future(), within_s)
        ended.append((name, loop.time() - began, moved))

    waits = [asyncio.create_task(wait(name, s)) for name, s in (("long", 3.0), ("short", 1.0), ("last", 9.0))]
    await asyncio.sleep(5)
    assert ended == [("short", 1.0, False), ("long", 3.0, False)]
    tail.close()
    await asyncio.gather(*waits)
    assert ended[2] == ("last", 5.0, True)
