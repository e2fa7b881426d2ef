"""What a process runs: its releases, limits chosen by the seed, and its source of time and ids.

Many bugs appear only at sizes that the defaults never reach.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any, overload

import msgspec

from actorium.actors.passivation import Passivation
from actorium.application import Runtime
from actorium.catalog import Catalog
from actorium.runtime.cluster.cluster import Cluster
from actorium.runtime.services.service import Service
from actorium.runtime.settings import Settings
from actorium.simulation.chance import Chance
from actorium.simulation.world.services.bus import SimulatedBus, SimulatedHub
from actorium.simulation.world.surroundings import Surroundings
from actorium.store.event_store import EventStore

_CHOICES = {
    "mailbox_limit": (2, 10, 1_000),
    "max_in_flight": (3, 50, 10_000),
    "turn_budget": (1, 3, 64),
    "max_batch_events": (1, 4, 50, 2_000),
    "max_running_intents": (1, 3, 1_000),
    "tail_events": (1, 8, 4_096),
    "poll_s": (2.0, 15.0, 60.0),
}
_MAX_LIVE = (2, 8, 100_000)


def varied_settings(chance: Chance) -> Settings:
    """Return the settings of a seed."""
    picked: dict[str, Any] = {
        name: values[chance.bits(f"setting {name}", 0) % len(values)] for name, values in _CHOICES.items()
    }
    max_live = _MAX_LIVE[chance.bits("setting max_live", 0) % len(_MAX_LIVE)]
    return Settings(**picked, passivation=Passivation(max_live=max_live))


class Release(msgspec.Struct):
    """The factory of a process's runtime, and a runtime that describes its classes and is never started."""

    make: Callable[..., Runtime]
    model: Runtime


def used_settings(settings: Settings | None, chance: Chance, *, vary: bool) -> Settings:
    """Return a scenario's settings, or those of the seed, or the defaults; every decision is checked in any case."""
    used = settings or (varied_settings(chance) if vary else Settings())
    return msgspec.structs.replace(used, development=True)


@overload
def checked(parts: Sequence[Any]) -> Catalog: ...
@overload
def checked(parts: Callable[..., Runtime]) -> Callable[..., Runtime]: ...
def checked(parts: Sequence[Any] | Callable[..., Runtime]) -> Catalog | Callable[..., Runtime]:
    """Return parts as a catalog, which every life of a process shares; functions are returned as they are."""
    return parts if callable(parts) else Catalog(parts)


def made(
    parts: Catalog | Callable[..., Runtime],
    settings: Settings,
    cluster: Cluster | None,
    *,
    store: EventStore,
    source: Any,
) -> Runtime:
    """Return a runtime with these parts, or the one that a function of the scenario makes."""
    more: dict[str, Any] = {} if cluster is None else {"cluster": cluster}
    if callable(parts):
        return parts(store=store, settings=settings, source=source, **more)
    return Runtime(parts, store=store, settings=settings, source=source, **more)


def service_made(
    parts: Catalog,
    settings: Settings,
    hub: SimulatedHub,
    name: str,
    offer: Callable[..., Service],
    cluster: Cluster | None,
    *,
    store: EventStore,
    source: Any,
) -> Runtime:
    """Return the runtime of a service with these parts, on the bus of the world; `offer` makes its Service."""
    service = offer(bus=SimulatedBus(hub, name if cluster is None else cluster.node))
    return Runtime(parts, store=store, settings=settings, source=source, service=service, cluster=cluster)


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
