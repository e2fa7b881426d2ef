"""A case is exported as a simulation that applies it again."""

import asyncio
from typing import Any

from support.correcting import bank, open_account

from actorium.corrections import Selection
from actorium.simulation import Faults

WRONG = "bank.account/a/2"


async def _exported() -> str:
    async with bank("memory://") as runtime:
        await open_account(runtime, "a", 1_000)
        corrections = runtime.corrections
        await corrections.open(Selection(events=[WRONG]), by="ann", reason="typing error", id="c-1")
        await corrections.plan("c-1", by="ann", right={WRONG: {"amount": 900}})
        return await corrections.scenario("c-1", app="support.correcting_app:without_log")


def test_a_case_is_exported_as_a_simulation() -> None:
    source = asyncio.run(_exported())
    module: dict[str, Any] = {"__name__": "case"}
    exec(compile(source, "case.py", "exec", dont_inherit=True), module)
    simulation = module["correction_c_1"]
    for seed in range(3):
        assert simulation.run(seed, faults=Faults.all(rate=0.02)).violation is None
