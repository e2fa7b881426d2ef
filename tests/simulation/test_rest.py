"""When a simulated world is at rest."""

from support.transfers import Account, Deposit, Open

from actorium.simulation import Faults, View, World, simulation

HOUR_S = 3_600.0


@simulation(faults=Faults.none())
async def deposits_for_later(world: World) -> None:
    runtime = world.runtime([Account])
    world.eventually("what is due within the hour is done", lambda view: balance(view) == 11)
    await runtime.send(Open("alice", 1))
    await runtime.submit(Deposit("alice", 10), after_s=HOUR_S / 2)
    await runtime.submit(Deposit("alice", 100), after_s=100 * HOUR_S)


def balance(view: View) -> int:
    account = view.get(Account, "alice")
    return account.balance if account is not None else 0


def test_a_world_waits_for_submitted_commands_that_are_due_soon_and_for_no_others() -> None:
    outcome = deposits_for_later.run(0)
    assert outcome.violation is None
    assert HOUR_S / 2 < outcome.simulated_s < HOUR_S
