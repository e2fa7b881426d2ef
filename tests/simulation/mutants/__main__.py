"""Hunt every mutant, shrink the failures found, print a table: `cd tests && python -m simulation.mutants [NAME …]`."""

import statistics
import sys
import time
from typing import NamedTuple

import structlog
from simulation.mutants.mutant import MUTANTS, SEEDS, Mutant
from simulation.mutants.planted import PLANTED

from actorium.simulation.search.shrink import shrink


class Hunted(NamedTuple):
    """The result for one mutant. `set_up`: the scenario's setup commands, sent without faults."""

    seed: int
    invariant: str
    commands: int
    set_up: int
    faults: int
    runs: int
    find_s: float
    shrink_s: float


def hunted(mutant: Mutant) -> Hunted | None:
    """Hunt a mutant and shrink the first run that finds it; return None if it survives."""
    begun_s = time.perf_counter()
    found = mutant.found()
    find_s = time.perf_counter() - begun_s
    if found is None or found.violation is None:
        return None
    with mutant.planted():
        shrunk = shrink(mutant.scenario.scenario, found)
    sent = [one for one in shrunk.outcome.operations if not one.left_out]
    set_up = sum(one.in_calm for one in sent)
    faults = len(shrunk.outcome.faults)
    invariant = found.violation.invariant
    return Hunted(
        found.options.seed, invariant, len(sent) - set_up, set_up, faults, shrunk.runs, find_s, shrunk.elapsed_s
    )


def main(names: list[str]) -> None:
    """Hunt the mutants with these names, or all."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    wanted = [one for one in MUTANTS if not names or one.name in names]
    print(f"{len(wanted)} mutants of {', '.join(part.__name__.rpartition('.')[2] for part in PLANTED)}")
    print("seed  commands (set up)  faults  found in  shrunk in   runs  mutant, and the invariant that finds it")
    all_hunted = []
    for one in wanted:
        found = hunted(one)
        if found is None:
            print(f"SURVIVES {SEEDS} seeds of {one.scenario.name}: {one.name}", flush=True)
            continue
        all_hunted.append(found)
        print(
            f"{found.seed:4}  {found.commands:8} {found.set_up:8}  {found.faults:6}  {found.find_s:6.1f} s  "
            f"{found.shrink_s:7.1f} s  {found.runs:5}  {one.name}: {found.invariant}",
            flush=True,
        )
    if all_hunted:
        commands = statistics.median(found.commands for found in all_hunted)
        faults = statistics.median(found.faults for found in all_hunted)
        longest_s = max(found.shrink_s for found in all_hunted)
        print(f"median: {commands} commands, {faults} faults; the longest shrinking took {longest_s:.1f} s")


if __name__ == "__main__":
    main(sys.argv[1:])
