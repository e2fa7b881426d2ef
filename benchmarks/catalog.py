"""All scenarios, by name, in display order."""

from __future__ import annotations

from collections.abc import Sequence

from actorium.benchmarks.peers import by_eventsourcing, by_pykka
from actorium.benchmarks.scenario import Scenario
from actorium.benchmarks.scenarios import (
    callers,
    catch_up,
    cold_start,
    costs,
    growth,
    idle_actors,
    open_loop,
    overload,
    recovery,
    remote,
    replay,
    saga_timers,
    sagas,
    watched,
    written_bytes,
)
from actorium.benchmarks.services import scenarios as services
from actorium.benchmarks.yardsticks import inserts, least, raw

CATALOG: tuple[Scenario, ...] = (
    *callers.SCENARIOS,
    remote.SCENARIO,
    *services.SCENARIOS,
    open_loop.SCENARIO,
    overload.SCENARIO,
    *growth.SCENARIOS,
    idle_actors.SCENARIO,
    cold_start.SCENARIO,
    replay.SCENARIO,
    *catch_up.SCENARIOS,
    sagas.SCENARIO,
    saga_timers.SCENARIO,
    recovery.SCENARIO,
    watched.SCENARIO,
    *written_bytes.SCENARIOS,
    *costs.SCENARIOS,
    *least.SCENARIOS,
    *raw.SCENARIOS,
    inserts.SCENARIO,
    *by_eventsourcing.SCENARIOS,
    *by_pykka.SCENARIOS,
)
BY_NAME = {scenario.name: scenario for scenario in CATALOG}


class UnknownScenario(Exception):
    """No scenario has this name; the message lists the scenarios."""


def select(parts: Sequence[str]) -> list[Scenario]:
    """Return the scenarios whose names contain one of `parts`, or all if it is empty; raise UnknownScenario."""
    for part in parts:
        if not any(part in name for name in BY_NAME):
            raise UnknownScenario(f"no scenario name contains {part!r}; the scenarios are {', '.join(BY_NAME)}")
    return [scenario for scenario in CATALOG if not parts or any(part in scenario.name for part in parts)]
