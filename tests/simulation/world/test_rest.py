"""When a simulated world counts as at rest."""

from support.transfers import Account, Ask, Deposit, Deposited, Desk, Open, Transfer, TransferRequested

from actorium import Projection, Retry, Saga, Transaction, on, starts, step
from actorium.simulation import Faults, View, World, simulation

HOUR_S = 3_600.0


@simulation(faults=Faults.none())
async def deposits_for_later(world: World) -> None:
    runtime = world.runtime([Account])
    world.eventually("what is due within the hour is done", lambda view: balance(view) == 11)
    await runtime.send(Open("alice", 1))
    await runtime.submit(Deposit("alice", 10), after_s=HOUR_S / 2)
    await runtime.submit(Deposit("alice", 100), after_s=100 * HOUR_S)


@simulation(faults=Faults.none())
async def outage(world: World) -> None:
    """An outside service is unreachable, and stays so for half a minute after the scenario has ended."""
    over_s = world.now_s + 30.0

    class Notice(Saga):
        @starts
        def requested(self, event: TransferRequested) -> None: ...

        @step(pivot=True, undo=None)
        def accept(self) -> None:
            """From here on the saga cannot compensate: a failure leaves it stuck."""

        @step(retry=Retry(attempts=1))
        async def notify(self) -> None:
            if world.now_s < over_s:
                raise TimeoutError

    runtime = world.runtime([Account, Desk, Notice])
    world.eventually("every notice is given", lambda view: view.sagas(status="completed"), within_s=300.0)
    await runtime.send(Ask("desk", "a", "b", 1))


@simulation(faults=Faults.none())
async def slow_repair(world: World) -> None:
    """A table cannot be written until after its parked event was retried for the first time."""
    over_s = world.now_s + 1.2

    class Deposits(Projection):
        count: int = 0

        @on
        def deposited(self, event: Deposited) -> None:
            if world.now_s < over_s:
                raise TimeoutError
            self.count += 1

    runtime = world.runtime([Account, Deposits])
    await runtime.send(Open("alice", 1))
    await runtime.send(Deposit("alice", 10))


def balance(view: View) -> int:
    account = view.get(Account, "alice")
    return account.balance if account is not None else 0


def test_a_world_waits_only_for_submitted_commands_that_are_due_soon() -> None:
    outcome = deposits_for_later.run(0)
    assert outcome.violation is None
    assert HOUR_S / 2 < outcome.simulated_s < HOUR_S


def test_a_saga_that_gets_stuck_after_the_faults_stopped_is_retried_once_more() -> None:
    assert outage.run(0).violation is None


def test_what_is_still_parked_at_rest_is_retried_again() -> None:
    assert slow_repair.run(0).violation is None


class Balances(Projection):
    schema = "CREATE TABLE balances (total INTEGER)"

    @on
    def deposited(self, event: Deposited, tx: Transaction) -> None:
        tx.execute("INSERT INTO balances VALUES (?)", event.amount)


@simulation(faults=Faults.none())
async def nothing_at_all(world: World) -> None:
    world.runtime([Account, Desk, Transfer, Balances])


def test_a_runtime_may_be_stopped_while_it_still_reads_the_log_for_the_first_time() -> None:
    for seed in range(100):
        assert nothing_at_all.run(seed).violation is None
