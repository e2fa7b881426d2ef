"""`actorium repair`: the indexes of a damaged log, rebuilt from its rows."""

from __future__ import annotations

import asyncio
from pathlib import Path

from actorium.commands.json_report import JsonFile, screen_beside, write_json
from actorium.commands.problem import Problem
from actorium.inspection import damaged_events
from actorium.store.urls import file_store


def repair(file: Path, /, *, json: JsonFile = None) -> None:
    """Rebuild the indexes of a damaged log, and list the remaining damage.

    Make a copy of the file first. Rows do not change: a damaged event stays damaged, and reading it still raises an
    error. The exit code is 1 if damage remains or if the file cannot be repaired.

    Parameters
    ----------
    file
        The SQLite file of the log, such as bank.db. No process may have it open.
    """
    screen = screen_beside(json)
    left = file_store(file).repair()
    left += asyncio.run(_damaged_events(file))
    for line in left:
        screen.say(line)
    screen.say(f"{file}: all indexes rebuilt")
    if json is not None:
        write_json({"log": str(file), "damaged": left}, json)
    if left:
        raise Problem(f"{len(left)} damaged {'item remains' if len(left) == 1 else 'items remain'}")


async def _damaged_events(file: Path) -> list[str]:
    store = file_store(file)
    await store.open(verified=False, read_only=True)
    try:
        return [str(error) async for error in damaged_events(store)]
    finally:
        await store.close()
