"""`actorium repair`: the indexes of a damaged log built anew."""

from __future__ import annotations

import asyncio
from pathlib import Path

from actorium.commands.problem import Problem
from actorium.commands.screen import Screen
from actorium.inspection import damaged_events
from actorium.store.sqlite import SQLiteStore
from actorium.store.sqlite.integrity.repair import repair_file


def repair(file: Path, /) -> None:
    """Build the indexes of a damaged log anew out of its rows, and say what is left that is damaged.

    Make a copy of the file first. Nothing in the rows is changed: an event that is not what was written stays one that
    is refused. The exit code is 1 if there is any, or if the file cannot be repaired.

    Parameters
    ----------
    file
        The log, such as bank.db. No process may have it open.
    """
    screen = Screen()
    left = repair_file(str(file))
    left += asyncio.run(_damaged_events(file))
    for line in left:
        screen.say(line)
    screen.say(f"{file}: all indexes are built anew")
    if left:
        raise Problem(f"{len(left)} {'thing is' if len(left) == 1 else 'things are'} damaged beside the indexes")


async def _damaged_events(file: Path) -> list[str]:
    store = SQLiteStore(file, verify_mb=0)
    await store.open(read_only=True)
    try:
        return [str(error) async for error in damaged_events(store)]
    finally:
        await store.close()
