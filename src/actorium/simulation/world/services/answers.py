"""`answered_in_time`: a caller of another service gets a reply or its timeout, whatever happens to that service."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from actorium.simulation.world.loop import SimulatedLoop
from actorium.simulation.world.surroundings import Surroundings

_SLACK_S = 1.0


@contextmanager
def answered_in_time(world: Surroundings, what: str, within_s: float) -> Iterator[None]:
    """Require that the block ends within a time; the process has a little longer after it was paused."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, SimulatedLoop), "commands are sent from the loop of a process"
    due_s = world.now_s + within_s + _SLACK_S

    timer = loop.call_at(due_s, lambda: look())

    def look() -> None:
        nonlocal timer
        again_s = max(due_s, loop.held_until_s + _SLACK_S)
        if world.now_s < again_s:
            timer = loop.call_at(again_s, look)
        else:
            world.violated("a caller has an answer or its timeout", f"one to {what} within {within_s:g} s", "none")

    try:
        yield
    finally:
        timer.cancel()
