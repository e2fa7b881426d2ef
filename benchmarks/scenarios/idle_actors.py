"""What an idle actor costs in memory, beside the state that the application keeps in it."""

from __future__ import annotations

import asyncio
import gc
import tracemalloc

from actorium import Passivation, Runtime, Settings
from actorium.benchmarks.account import Account
from actorium.benchmarks.filling import filled
from actorium.benchmarks.gate import require_log
from actorium.benchmarks.load import Accounts
from actorium.benchmarks.resident import resident_mb
from actorium.benchmarks.scenario import Bench, Figures, Scenario, Wrong

_AT_ONCE = 1_000
_WARMED = 1_000


async def measure(bench: Bench) -> Figures:
    """Return the bytes of an idle actor: traced in a small number of them, resident in a large one."""
    traced, count = bench.count("traced"), bench.count("actors")
    await filled(bench, _WARMED + traced + count, 1)
    accounts = Accounts(_WARMED + traced + count, events=1)
    states = _traced_bytes_of_states(traced)
    settings = Settings(passivation=Passivation(idle_s=None, max_live=None))
    async with Runtime([Account], store=bench.store(), settings=settings) as runtime:
        await bench.ask_durability(runtime.store)
        ids = accounts.ids
        await _wake(runtime, ids[:_WARMED])
        tracemalloc.start()
        await _wake(runtime, ids[_WARMED : _WARMED + traced])
        gc.collect()
        own = (tracemalloc.get_traced_memory()[0] - states) / traced
        tracemalloc.stop()
        before_mb = resident_mb()
        with bench.clock() as clock:
            await _wake(runtime, ids[_WARMED + traced :])
        resident = (resident_mb() - before_mb) * 1e6 / count
        live = runtime.statistics().live_actors
    if live != len(accounts.ids):
        raise Wrong(f"{live} actors live where {len(accounts.ids)} were woken and none may leave")
    await require_log(bench.store(), accounts.acknowledged())
    return {
        "actor_bytes": own,
        "resident_bytes": resident,
        "woken_per_s": count / clock.wall_s,
    }


def _traced_bytes_of_states(count: int) -> int:
    """Return what so many states take by themselves, in the table in which an application would keep them."""
    tracemalloc.start()
    kept = {f"account-{number}": Account(f"account-{number}", balance=number) for number in range(count)}
    gc.collect()
    size = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    return size if kept else 0


async def _wake(runtime: Runtime, ids: list[str]) -> None:
    for first in range(0, len(ids), _AT_ONCE):
        await asyncio.gather(*(runtime.get(Account, id) for id in ids[first : first + _AT_ONCE]))


SCENARIO = Scenario(
    name="idle-actors",
    question="How many bytes does an idle actor take beside its state (traced), and with it (resident)?",
    headline="actor_bytes",
    measure=measure,
    stores=("full",),
    sizes={"traced": 20_000, "actors": 200_000},
    quick={"traced": 2_000, "actors": 5_000},
)
