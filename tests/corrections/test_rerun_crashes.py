"""A case runs a reaction again although the process is killed, at every step of the case."""

import asyncio

from support.correcting import DAY

from actorium import IdempotencyKey, Settings, react
from actorium.corrections import Selection
from actorium.examples.bank.domain import Account, Credit, Credited, OpenAccount
from actorium.simulation import Faults, RunOptions, World, run, simulation
from actorium.simulation.search.exhaustive import crash_steps

FIRST, SECOND = "bank.account/a/2", "bank.account/b/2"
KEYS = {f"thank:bank.account:{account}:2:0" for account in "ab"}
KEYS_AGAIN = {f"correction/c-1/rerun/{key}" for key in KEYS}

effects: list[int] = []
"""How many effects there were in each run."""


@simulation(seeds=5, faults=Faults.none())
async def corrected(world: World) -> None:
    """A case runs a reaction again for two events, whenever the process is killed."""
    reached: list[str] = []

    @react(on_replay="run", rerun=True)
    async def thank(event: Credited, key: IdempotencyKey) -> None:
        await asyncio.sleep(0.1)
        reached.append(key)

    runtime = world.runtime([Account, thank], settings=Settings(second_approver=False))
    for account in ("a", "b"):
        await runtime.send(OpenAccount(account))
        await runtime.send(Credit(account, 1, DAY, "cash"))
    await asyncio.sleep(10)
    cases = runtime.corrections
    await cases.open(Selection(events=[FIRST, SECOND]), by="ann", reason="a wrong mail", id="c-1")
    await cases.plan("c-1", by="ann", rerun=["thank"])
    await cases.approve("c-1", by="ann")
    case = await cases.apply("c-1")
    assert case.rerun == {"thank": {FIRST: "", SECOND: ""}}
    await cases.close("c-1", by="ann")
    assert set(reached) == KEYS | KEYS_AGAIN
    effects.append(len(reached))
    assert len(reached) <= 5, "a crash repeats at most the effect that was under way"


def test_a_crash_at_every_step_leads_to_the_same_effects() -> None:
    plain = run(
        corrected.scenario, RunOptions(seed=0, faults=Faults.none(), only=frozenset(), reorder=False, remember=True)
    )
    assert plain.violation is None
    steps = [*crash_steps(plain)]
    assert len(steps) > 30
    for at in steps:
        options = RunOptions(seed=0, faults=Faults.none(), only=frozenset(), crash_at=at, reorder=False)
        assert run(corrected.scenario, options).violation is None, at
    assert set(effects) == {4, 5}, "no crash was between an effect and its record"
