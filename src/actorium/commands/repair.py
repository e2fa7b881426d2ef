"""`actorium repair`: the indexes of a damaged log, rebuilt from its rows."""

from __future__ import annotations

import asyncio

from actorium.commands.json_report import JsonFile, screen_beside, write_json
from actorium.commands.problem import Problem
from actorium.inspection import damaged_events, require_log
from actorium.store.errors import ConfigurationError
from actorium.store.event_store import EventStore, Examinable
from actorium.store.urls import file_store, open_store


def repair(log: str, /, *, json: JsonFile = None) -> None:
    """Rebuild the indexes of a damaged log, and list the remaining damage.

    Make a copy of the log first. Events do not change: a damaged event stays damaged, and reading it still raises an
    error. The exit code is 1 if damage remains or if the log cannot be repaired.

    Parameters
    ----------
    log
        The SQLite file of the log, such as bank.db, or its URL. No process may have it open.
    """
    screen = screen_beside(json)
    store = open_store(log) if "://" in log else file_store(log)
    name = store.describe() if "://" in log else log  # a URL may hold a password
    left = asyncio.run(_remaining(store))
    for line in left:
        screen.say(line)
    screen.say(f"{name}: all indexes rebuilt")
    if json is not None:
        write_json({"log": name, "damaged": left}, json)
    if left:
        raise Problem(f"{len(left)} damaged {'item remains' if len(left) == 1 else 'items remain'}")


async def _remaining(store: EventStore) -> list[str]:
    if not isinstance(store, Examinable):
        raise ConfigurationError(f"{store.describe()} has no indexes to rebuild: name a file, or the URL of a database")
    await require_log(store)
    left = await store.repair()
    await store.open(verified=False, read_only=True)
    try:
        return [*left, *[str(error) async for error in damaged_events(store)]]
    finally:
        await store.close()
