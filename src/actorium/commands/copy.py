"""`actorium copy`: a log, copied from one store to another."""

from __future__ import annotations

import asyncio

from actorium.commands.problem import WrongUse
from actorium.commands.screen import Screen
from actorium.copying import compare, copy_events, copy_tables
from actorium.inspection import require_log
from actorium.store.event_store import EventStore
from actorium.store.urls import open_store
from actorium.store.wording import counted


def copy(source: str, target: str, /) -> None:
    """Copy a log from one store to another, and compare the two.

    Stop every application that uses either of them first. Events keep their positions, times and command ids. The
    tables of projections are not copied: the application rebuilds them when it starts. If the copy is interrupted, run
    the same command again: it continues where it stopped.

    Parameters
    ----------
    source
        The URL of the log, such as sqlite:///bank.db.
    target
        The URL of the copy, such as postgresql://localhost/bank.
    """
    screen = Screen()
    stores = open_store(source), open_store(target)
    if stores[0].describe() == stores[1].describe():
        raise WrongUse(f"{stores[0].describe()} cannot be copied to itself: give the URL of another log as the copy")
    end = asyncio.run(_copy(screen, *stores))
    screen.say(f"{counted(end, 'event')} copied and compared: {stores[1].describe()}")


async def _copy(screen: Screen, source: EventStore, target: EventStore) -> int:
    await require_log(source)
    # Not read-only: nobody may write to it meanwhile.
    await source.open()
    try:
        await target.open()
        try:
            with screen.progress("copying", (await source.head()).position) as told:
                end = await copy_events(source, target, told)
            await copy_tables(source, target)
            await compare(source, target, end)
            return end
        finally:
            await target.close()
    finally:
        await source.close()
