"""Places to which the faults of a failing run can go in a smaller one."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from actorium.simulation.search.run import Outcome
from actorium.simulation.world.faults import FAMILIES, OF_CODE, FaultId, Kind

_MOVES_MAX = 4  # earlier occasions to which a fault is moved


def ordinary_kinds(faults: Collection[FaultId]) -> set[Kind]:
    """Return the kinds of faults; the ordinary kind for errors of user code, which the runtime treats the same."""
    return {FAMILIES[fault.site.partition(" ")[0]][0] if fault.kind in OF_CODE else fault.kind for fault in faults}


def moved(outcome: Outcome) -> Iterator[frozenset[FaultId]]:
    """Yield the requested faults with those that were not reached moved to earlier occasions at their sites."""
    reached = frozenset(outcome.faults)
    missed = sorted((outcome.options.only or reached) - reached)
    occasions = {fault: [n for _, site, n in outcome.occasions if site == fault.site] for fault in missed}
    if not missed or not all(occasions.values()):
        return
    for move in range(min(_MOVES_MAX, max(map(len, occasions.values())))):
        yield reached.union(
            fault._replace(occurrence=there[max(0, len(there) - 1 - move)]) for fault, there in occasions.items()
        )
