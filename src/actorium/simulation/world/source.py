"""`SimulatedSource`: wall time, ids and random numbers of one incarnation of a node."""

from __future__ import annotations

import random
from collections.abc import Callable

from actorium.simulation.world.surroundings import Surroundings


class SimulatedSource:
    """Wall time follows the world's clock plus the jumps of faults; ids contain the incarnation."""

    def __init__(self, world: Surroundings, wall_us: Callable[[float], int], name: str) -> None:
        self._machine = world.machine
        self._wall_us = wall_us
        self._name = name
        self._count = 0
        self._random = random.Random(world.chance.bits("source", 0) ^ world.chance.bits(name, 0))

    def now_us(self) -> int:
        return self._wall_us(self._machine.now_s)

    def new_id(self) -> str:
        self._count += 1
        return f"{self._name}-{self._count:06x}"

    def random(self) -> float:
        return self._random.random()
