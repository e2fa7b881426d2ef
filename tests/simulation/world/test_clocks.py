"""Wall clocks that jump back and forth while sagas and submitted commands wait for them."""

from support.transfers import Account, Deposit, Open

from actorium.simulation import Faults, Kind, View, World, simulation

MINUTE_S = 60.0


@simulation(faults=Faults.only(Kind.CLOCK_JUMP, rate=0.9))
async def a_deposit_in_a_minute(world: World) -> None:
    """A deposit due in a minute, with clocks that jump by hours; clients keep the process busy meanwhile."""
    bank = world.runtime([Account])
    world.eventually("the deposit is made", lambda view: deposited(view) == 40, within_s=10 * MINUTE_S)
    async with world.calm():
        await bank.send(Open("alice", 0))
    await bank.submit(Deposit("alice", 10), after_s=MINUTE_S)
    for _ in range(30):
        await bank.send(Deposit("alice", 1))


def deposited(view: View) -> int:
    account = view.get(Account, "alice")
    return account.balance if account is not None else 0


def test_a_clock_that_was_set_back_is_corrected_when_the_faults_stop() -> None:
    outcomes = [a_deposit_in_a_minute.run(seed) for seed in range(10)]
    assert [outcome.violation for outcome in outcomes] == [None] * 10
    assert any(Kind.CLOCK_JUMP in outcome.by_kind for outcome in outcomes)
    assert all(outcome.simulated_s < 10 * MINUTE_S for outcome in outcomes)
