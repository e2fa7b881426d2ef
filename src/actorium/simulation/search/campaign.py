"""`campaign`: many seeds of one simulation, over several processes, until there are enough or something fails.

What it finds does not depend on the number of processes: seeds are counted in their order, up to the failure at which
it stops, whoever ran them and whatever was run beyond it.
"""

from __future__ import annotations

import gc
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import msgspec

from actorium.simulation.search.decorator import Simulation
from actorium.simulation.search.interruption import interruption
from actorium.simulation.search.place import ScenarioPlace, simulation_of
from actorium.simulation.search.workers import spread
from actorium.simulation.world.faults import Faults, Kind
from actorium.simulation.world.world import Violation

_CHUNK_SEEDS = 20
_COLLECT_SEEDS = 25


class SeedResult(msgspec.Struct, frozen=True):
    """What counts of one run. Where every invariant held, `violation` is None, and so is the run's `fingerprint`."""

    seed: int
    faults: dict[Kind, int]
    steps: int
    events: int
    operations: int
    simulated_s: float
    violation: Violation | None
    fingerprint: int | None = None


class Tally(msgspec.Struct):
    """What a campaign has come to: sums over its seeds, and those that failed, in their order.

    simulated_s is time of the worlds' clocks, elapsed_s real time. is_cut_short: somebody pressed Ctrl-C.
    """

    seeds: int = 0
    steps: int = 0
    events: int = 0
    operations: int = 0
    simulated_s: float = 0.0
    elapsed_s: float = 0.0
    faults: Counter[Kind] = msgspec.field(default_factory=Counter)
    failures: list[SeedResult] = []
    is_cut_short: bool = False

    def add(self, result: SeedResult) -> None:
        """Count one more seed."""
        self.seeds += 1
        self.steps += result.steps
        self.events += result.events
        self.operations += result.operations
        self.simulated_s += result.simulated_s
        self.faults.update(result.faults)
        if result.violation is not None:
            self.failures.append(result)


class _Chunk(msgspec.Struct, frozen=True):
    faults: Faults | None
    store: str
    first: int
    seeds: int


def campaign(
    where: ScenarioPlace | Simulation,
    *,
    seeds: int | None = None,
    first: int = 0,
    minutes: float | None = None,
    jobs: int = 1,
    stop_after: int = 1,
    faults: Faults | None = None,
    store: str = "memory",
    progress: Callable[[Tally], None] = lambda tally: None,
) -> Tally:
    """Run `seeds` seeds from `first` on, or for so many `minutes`, or what comes first; without either, its own number.

    jobs: processes; more than one need a Place, which each of them imports. stop_after: failing seeds after which it
    ends. faults: others than the simulation's own. store: "memory", "sqlite" or "sqlite-normal". `progress` is called
    with the tally as it grows. Ctrl-C ends it after the seed that runs, pressed again at once, with what there is by
    then. A failing seed is had again by `Simulation.run(seed)`.
    """
    simulation = simulation_of(where, jobs)
    if seeds is None:
        seeds = simulation.seeds if minutes is None else 1 << 62
    started_s = time.monotonic()
    end_s = started_s + minutes * 60 if minutes is not None else float("inf")
    tally = Tally()
    end = first + seeds
    size = max(1, seeds) if jobs == 1 else _CHUNK_SEEDS
    chunks = (_Chunk(faults, store, start, min(size, end - start)) for start in range(first, end, size))
    results = spread(where, jobs, _run_chunk, chunks)
    try:
        with interruption() as is_pressed:
            for result in results:
                tally.add(result)
                tally.elapsed_s = time.monotonic() - started_s
                progress(tally)
                tally.is_cut_short = is_pressed()
                if tally.is_cut_short or len(tally.failures) >= stop_after or time.monotonic() >= end_s:
                    break
    except KeyboardInterrupt:
        tally.is_cut_short = True
    finally:
        results.close()
    return tally


def _run_chunk(simulation: Simulation, chunk: _Chunk) -> Iterator[SeedResult]:
    with collected_seldom() as ran:
        for seed in range(chunk.first, chunk.first + chunk.seeds):
            yield _result(simulation, chunk.faults, chunk.store, seed)
            ran()


def _result(simulation: Simulation, faults: Faults | None, store: str, seed: int) -> SeedResult:
    outcome = simulation.run(seed, faults=faults, store=store)
    return SeedResult(
        seed,
        dict(outcome.by_kind),
        outcome.steps,
        outcome.events,
        len(outcome.operations),
        outcome.simulated_s,
        outcome.violation,
        None if outcome.violation is None else outcome.fingerprint(),
    )


@contextmanager
def collected_seldom() -> Iterator[Callable[[], None]]:
    """Have the garbage collector look only at what runs left, and seldom; to be told of each run that ended.

    A run leaves a heap of cycles, all of them at its end: to look for some in the middle finds none and takes a fifth
    of the time.
    """
    collects, runs = gc.isenabled(), 0

    def ran() -> None:
        nonlocal runs
        runs += 1
        if runs % _COLLECT_SEEDS == 0:
            gc.collect()

    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        yield ran
    finally:
        gc.unfreeze()
        if collects:
            gc.enable()
