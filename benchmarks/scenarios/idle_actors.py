"""The memory of an idle actor, in addition to the application's state in it."""

from __future__ import annotations

import asyncio
import gc
import tracemalloc

from actorium import Passivation, Runtime, Settings
from actorium.benchmarks.account import Account
from actorium.benchmarks.measuring.filling import filled
from actorium.benchmarks.measuring.gate import require_log
from actorium.benchmarks.measuring.load import Accounts
from actorium.benchmarks.measuring.resident import resident_mb
from actorium.benchmarks.scenario import Bench, Figures, Scenario, Wrong
from actorium.store.sql.stream_heads import OFFERS_MAX

_AT_ONCE = 100
_WARMED = 1_000
# The store remembers up to OFFERS_MAX heads of streams that were read, then starts over. After a multiple of that
# number it remembers as many as before, so none of this memory is attributed to an actor.
_TRACED = 2 * OFFERS_MAX


async def measure(bench: Bench) -> Figures:
    """Return the bytes of an idle actor: traced for a small number of them, resident for a large one."""
    traced, count = bench.count("traced"), bench.count("actors")
    await filled(bench, _WARMED + traced + count, 1)
    accounts = Accounts(_WARMED + traced + count, events=1)
    state = _traced_bytes_of_a_state(accounts.ids)
    settings = Settings(passivation=Passivation(idle_s=None, max_live=None))
    async with Runtime([Account], store=bench.store(), settings=settings) as runtime:
        await bench.ask_durability(runtime.store)
        ids = accounts.ids
        tracemalloc.start()
        await _wake(runtime, ids[:_WARMED])  # fill pools and caches that do not grow with the actors
        gc.collect()
        warmed = tracemalloc.get_traced_memory()[0]
        await _wake(runtime, ids[_WARMED : _WARMED + traced])
        gc.collect()
        own = (tracemalloc.get_traced_memory()[0] - warmed) / traced - state
        tracemalloc.stop()
        before_mb = resident_mb()
        with bench.clock() as clock:
            await _wake(runtime, ids[_WARMED + traced :])
        resident = (resident_mb() - before_mb) * 1e6 / count
        live = runtime.statistics().live_actors
    if live != len(accounts.ids):
        raise Wrong(f"{live} actors are live, expected the {len(accounts.ids)} that were hydrated")
    await require_log(bench.store(), accounts.acknowledged(), filled=1)
    return {
        "actor_bytes": own,
        "resident_bytes": resident,
        "woken_per_s": count / clock.wall_s,
    }


def _traced_bytes_of_a_state(ids: list[str]) -> float:
    """Return the size of a state alone; the id belongs to the application."""
    kept: list[Account | None] = [None] * len(ids)
    tracemalloc.start()
    for index, id in enumerate(ids):
        kept[index] = Account(id)
    size = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    return size / len(ids)


async def _wake(runtime: Runtime, ids: list[str]) -> None:
    for first in range(0, len(ids), _AT_ONCE):
        await asyncio.gather(*(runtime.get(Account, id) for id in ids[first : first + _AT_ONCE]))


SCENARIO = Scenario(
    name="idle-actors",
    question="How many bytes does an idle actor take without its state (traced), and with it (resident)?",
    headline="actor_bytes",
    measure=measure,
    stores=("full",),
    sizes={"traced": _TRACED, "actors": 100_000},
    quick=None,
    also="resident with its state {resident_bytes} bytes; hydrated {woken_per_s}/s",
)
