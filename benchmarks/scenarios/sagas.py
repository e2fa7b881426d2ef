"""Sagas of three steps, many under way at once."""

from __future__ import annotations

from actorium.benchmarks import sagas
from actorium.benchmarks.scenario import Bench, Figures, Scenario, Wrong


async def measure(bench: Bench) -> Figures:
    """Return the rate of completed sagas."""
    options = f"?synchronous={bench.synchronous}"
    url = f"sqlite:///{bench.path}{options}" if bench.is_durable else "memory://"
    try:
        found = await sagas.run(url, sagas=bench.count("sagas"), in_flight=bench.count("in_flight"))
    except SystemExit as wrong:
        raise Wrong(str(wrong)) from None
    store = bench.store()
    if bench.is_durable:
        await store.open()
        await bench.ask_durability(store)
        await store.close()
    return {name: float(str(value)) for name, value in found.items()}


SCENARIO = Scenario(
    name="sagas",
    question="How many sagas of three steps complete in a second, with 200 under way?",
    headline="sagas_per_s",
    measure=measure,
    sizes={"sagas": 3_000, "in_flight": 200},
    quick={"sagas": 300, "in_flight": 200},
)
