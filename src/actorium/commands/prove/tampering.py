"""`actorium prove tampering`: whether `verify` finds what somebody changed in a log."""

from __future__ import annotations

import asyncio
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from actorium.commands.json_report import JsonFile, screen_beside, write_json
from actorium.commands.problem import Problem
from actorium.commands.screen import Screen
from actorium.store.wording import counted

if TYPE_CHECKING:
    from actorium.simulation.disk.tampering import Tampering


def tampering(
    *, changes: Annotated[int, Parameter(validator=Number(gte=1))] = 1_000, seed: int = 1, json: JsonFile = None
) -> None:
    """Change a log as somebody would who knows its format, and check that `verify` finds every change.

    Each change is made in a new copy of a small log: a bit of an event is flipped, events are removed, the tail is
    replaced, or an event is forged and the new head signed with another key. Most of the time the checksums are
    corrected, and often the stored chain too. The exit code is 1 if a change is not found.

    Parameters
    ----------
    changes
        How many changes to make, one at a time.
    seed
        The seed that determines the changes.
    """
    from actorium.simulation.disk.tampering import Tampering

    screen, began = screen_beside(json), time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="actorium-tampering-") as folder:
        tampering = Tampering(Path(folder), seed=seed)
        asyncio.run(_change(screen, tampering, changes))
    took_s = time.perf_counter() - began
    rows = [[kind, f"{one.made:,}", f"{one.found:,}", f"{one.placed:,}"] for kind, one in tampering.kinds.items()]
    screen.table(["", "made", "found", "placed"], rows)
    screen.say(f"  in {took_s:,.1f} s")
    if json is not None:
        write_json({"changes": changes, "seed": seed, "took_s": round(took_s, 1), "kinds": tampering.kinds}, json)
    if tampering.missed:
        raise Problem(f"{counted(len(tampering.missed), 'change')} not found: {', '.join(tampering.missed[:3])}")
    screen.say(f"{changes:,} of {changes:,} found", style="bold green")


async def _change(screen: Screen, tampering: Tampering, changes: int) -> None:
    events = await tampering.prepare()
    screen.say(f"{counted(changes, 'change')} of a log of {events:,} events")
    with screen.progress("changes", changes) as update:
        for change in range(1, changes + 1):
            await tampering.change_one()
            update(change)
