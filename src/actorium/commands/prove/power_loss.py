"""`actorium prove power-loss`: the files that a power cut could leave of a log, rebuilt and read."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from itertools import count
from typing import TYPE_CHECKING, Annotated, Literal

import msgspec
import structlog
from cyclopts import Parameter
from cyclopts.validators import Number

from actorium.commands.json_report import JsonFile, screen_beside, write_json
from actorium.commands.problem import Problem
from actorium.commands.screen import Screen
from actorium.store.wording import counted

if TYPE_CHECKING:
    from actorium.simulation.disk.power_loss import PowerCutOutcome

Positive = Annotated[int, Parameter(validator=Number(gte=1))]


def power_loss(
    *,
    states: Positive = 50_000,
    synchronous: Literal["FULL", "EXTRA", "NORMAL", "OFF"] = "FULL",
    commands: Positive = 60,
    jobs: Positive | None = None,
    seed: int = 1,
    json: JsonFile = None,
) -> None:
    """Rebuild the files that a power cut could leave, and check that no acknowledged command is lost.

    An application runs with its SQLite file on a simulated disk, which records each write and each sync. The power is
    cut after each of them. Synced data stays; any other sector may be lost or torn. Each resulting state is opened,
    read completely and written to. The exit code is 1 if a state lacks an acknowledged command, which is expected with
    NORMAL and OFF, or has content that was never written.

    Parameters
    ----------
    states
        The minimum number of distinct states to rebuild.
    synchronous
        The `synchronous` setting of the store. FULL loses nothing; NORMAL is the control.
    commands
        How many commands to send in each recorded run. Half of them are sent before the application is restarted.
    jobs
        How many processes to use. [default: one per processor]
    seed
        The seed of the first run. Each later run uses the next seed.
    """
    from actorium.simulation.disk.power_loss import PowerCutOutcome

    screen, began, outcome = screen_beside(json), time.perf_counter(), PowerCutOutcome()
    screen.say(f"power cuts with synchronous={synchronous}, starting at seed {seed}")
    with (
        _results(synchronous, commands, seed, jobs or os.cpu_count() or 1) as results,
        screen.progress("states", states) as update,
    ):
        for result in results:
            outcome.add(result)
            update(min(outcome.states, states))
            if outcome.states >= states:
                break
    took_s = time.perf_counter() - began
    _show(screen, synchronous, outcome, took_s)
    if json is not None:
        how = {"synchronous": synchronous, "seed": seed, "took_s": round(took_s, 1)}
        write_json(msgspec.structs.asdict(outcome) | how, json)
    if outcome.lossy or outcome.wrong:
        raise Problem(
            f"synchronous={synchronous}: {counted(outcome.lossy, 'state')} lost acknowledged commands, and "
            f"{counted(outcome.wrong, 'state')} had wrong content"
        )


@contextmanager
def _results(synchronous: str, commands: int, seed: int, jobs: int) -> Iterator[Iterator[PowerCutOutcome]]:
    """Give the outcomes of one run after the other, without an end; work is dropped when the block is left."""
    from actorium.simulation.search.workers import Workers

    seeds = count(seed)
    if jobs == 1:
        yield map(partial(lose_power_once, synchronous=synchronous, commands=commands), seeds)
        return
    with Workers(jobs, partial(_in_a_worker, synchronous=synchronous, commands=commands)) as workers:
        yield workers.map(seeds)


def lose_power_once(seed: int, *, synchronous: str, commands: int) -> PowerCutOutcome:
    """Record one run and examine its states."""
    from actorium.simulation.disk.power_loss import lose_power

    return asyncio.run(lose_power(seed, synchronous, commands=commands))


def _in_a_worker(seed: int, *, synchronous: str, commands: int) -> PowerCutOutcome:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    return lose_power_once(seed, synchronous=synchronous, commands=commands)


def _show(screen: Screen, synchronous: str, outcome: PowerCutOutcome, took_s: float) -> None:
    counted = {
        "recorded runs": outcome.runs,
        "power cuts": outcome.cuts,
        "distinct states rebuilt": outcome.states,
        "states that lost acknowledged commands": outcome.lossy,
        "states with wrong content": outcome.wrong,
    }
    rows = [[name, f"{count:,}"] for name, count in counted.items()]
    screen.table([f"synchronous={synchronous}", ""], [*rows, ["duration (s)", f"{took_s:,.1f}"]])
    for example in outcome.examples:
        screen.say(f"  {example}")
    if not (outcome.lossy or outcome.wrong):
        screen.say("every state has all acknowledged commands and no wrong content", style="bold green")
