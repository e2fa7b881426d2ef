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
    """Flip single bits in a log file, and check that every read is right or raises an error.

    Each flip is made in a new copy of a small file that has every kind of data. The exit code is 1 if a read returns
    something that was not written; with `--no-verify`, only if a read of the log in order does.

    Parameters
    ----------
    flips
        How many bits to flip, one at a time.
    seed
        The seed of the flips; another seed flips other bits.
    after
        How the process that wrote the file ended; a clean close leaves a seal beside the file.
    verify
        Let the store verify the file when it opens it, as it does by default. Without this, reads go through damaged
        indexes, which miss rows: the table shows how often, and how often `check --deep` would not find it.
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
        raise Problem(f"read wrong: {', '.join(wrong)}")
    what = "all that is read" if verify else "the log"
    screen.say(f"{what} is what was written, or an error says that it is not", style="bold green")


async def _flip(screen: Screen, rot: BitRot, flips: int) -> None:
    size = await rot.prepare()
    screen.say(f"{flips:,} flips of one bit in a file of {size:,} bytes")
    with screen.progress("flips", flips) as update:
        for flip in range(1, flips + 1):
            await rot.flip_one()
            update(flip)


def _show(screen: Screen, rot: BitRot, took_s: float) -> None:
    screen.table(
        ["", "as written", "refused", "wrong", "missed by check"],
        [
            [name, f"{part.right:,}", f"{part.refused:,}", f"{part.wrong:,}", f"{part.hidden:,}"]
            for name, part in rot.parts.items()
        ],
    )
    screen.say(f"  in {took_s:,.1f} s")
