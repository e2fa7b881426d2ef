"""`actorium prove bit-rot`: what readers get from a log file in which bits have flipped."""

from __future__ import annotations

import asyncio
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter
from cyclopts.validators import Number

from actorium.commands.json_report import JsonFile, screen_beside, write_json
from actorium.commands.problem import Problem
from actorium.commands.screen import Screen
from actorium.store.wording import counted

if TYPE_CHECKING:
    from actorium.simulation.disk.bit_rot import BitRot


def bit_rot(
    *,
    flips: Annotated[int, Parameter(validator=Number(gte=1))] = 1_000,
    seed: int = 1,
    after: Literal["close", "kill"] = "close",
    verify: bool = True,
    json: JsonFile = None,
) -> None:
    """Flip single bits in a log file, and check that no read returns wrong data.

    Each flip is made in a new copy of a small file with every kind of data. The exit code is 1 if a read returns
    something that was not written. With `--no-verify`, only sequential reads of the log are counted.

    Parameters
    ----------
    flips
        How many bits to flip, one at a time.
    seed
        The seed that determines which bits to flip.
    after
        How the process that wrote the file ended. A clean close leaves a seal beside the file.
    verify
        Verify the file when it is opened, as the store does by default. With `--no-verify`, reads use damaged indexes
        and may miss rows. The table shows how often they do, and how often `check --deep` misses the damage.
    """
    from actorium.simulation.disk.bit_rot import IN_ORDER, BitRot

    screen, began = screen_beside(json), time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="actorium-bit-rot-") as folder:
        rot = BitRot(Path(folder), seed=seed, after=after, **({} if verify else {"verify_mb": 0}))
        asyncio.run(_flip(screen, rot, flips))
    took_s = time.perf_counter() - began
    _show(screen, rot, took_s)
    if json is not None:
        write_json({"flips": flips, "seed": seed, "took_s": round(took_s, 1), "parts": rot.parts}, json)
    wrong = [name for name, part in rot.parts.items() if part.wrong and (verify or name == IN_ORDER)]
    if wrong:
        raise Problem(f"wrong reads: {', '.join(wrong)}")
    what = "every read" if verify else "every read of the log in order"
    screen.say(f"{what} returned what was written or raised an error", style="bold green")


async def _flip(screen: Screen, rot: BitRot, flips: int) -> None:
    size = await rot.prepare()
    screen.say(f"{counted(flips, 'single-bit flip')} in a file of {size:,} bytes")
    with screen.progress("flips", flips) as update:
        for flip in range(1, flips + 1):
            await rot.flip_one()
            update(flip)


def _show(screen: Screen, rot: BitRot, took_s: float) -> None:
    screen.table(
        ["", "as written", "error", "wrong", "missed by check"],
        [
            [name, f"{part.right:,}", f"{part.refused:,}", f"{part.wrong:,}", f"{part.hidden:,}"]
            for name, part in rot.parts.items()
        ],
    )
    screen.say(f"  in {took_s:,.1f} s")
