"""`campaign`: run many seeds of one simulation, in several processes, until all are done or something fails.

The result does not depend on the number of processes: seeds are counted in order, up to the failure that stops the
campaign, whichever process ran them and however many more were run.
"""

from __future__ import annotations

import gc
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import msgspec

from actorium.simulation.record.violation import Violation
from actorium.simulation.search.decorator import Simulation
from actorium.simulation.search.interruption import interruption
from actorium.simulation.search.place import ScenarioPlace, simulation_of
from actorium.simulation.search.workers import spread
from actorium.simulation.world.faults import Faults, Kind

_CHUNK_SEEDS = 20
_COLLECT_SEEDS = 2


class SeedResult(msgspec.Struct, frozen=True):
    """The result of one run; if every invariant held, `violation` and `fingerprint` are None."""

    seed: int
    faults: dict[Kind, int]
    steps: int
    events: int
    operations: int
    simulated_s: float
    violation: Violation | None
    fingerprint: int | None = None


class Tally(msgspec.Struct):
    """The totals of a campaign over its seeds, and the failed seeds in order.

    simulated_s is time on the worlds' clocks, elapsed_s is real time.
    is_cut_short: the user pressed Ctrl-C.
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
        """Add the result of one more seed."""
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
    """Run seeds of a simulation and return the totals; `Simulation.run(seed)` reproduces a failing seed.

    seeds: how many to run; without `seeds` and `minutes`, the simulation's own number.
    minutes: stop after this time, or after `seeds`, whichever comes first.
    first: the first seed.
    jobs: the number of processes; several require a ScenarioPlace, which each process imports.
    stop_after: stop after this many failing seeds.
    faults: used instead of the simulation's own.
    store: "memory", "sqlite" or "sqlite-normal".
    progress: called with the totals as they grow.

    Ctrl-C stops the campaign after the current seed, and at once if pressed again; the totals so far are returned.
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
    """Make the garbage collector run rarely, and only between runs; yields a function to call after each run.

    A run leaves a heap of cycles, all of them at its end: a collection during the run finds none and takes a fifth of
    the time. What the first run leaves for later ones is not scanned again. With more runs between two collections, the
    garbage no longer fits into the processor's caches, and each run takes longer.

    In a process of workers, which has frozen its objects, what one call froze stays so for the next.
    """
    collects, stays_frozen, runs = gc.isenabled(), gc.get_freeze_count() > 0, 0

    def ran() -> None:
        nonlocal runs
        runs += 1
        if runs == 1 or runs % _COLLECT_SEEDS == 0:
            gc.collect()
        if runs == 1:
            gc.freeze()

    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        yield ran
    finally:
        if not stays_frozen:
            gc.unfreeze()
        if collects:
            gc.enable()
