"""Scenarios of the tests of the simulator itself: small ones, one of which has an occasion for every kind of fault."""

from collections.abc import Awaitable, Callable

import anyio
from support.transfers import Account, Ask, Deposit, Deposited, Desk, Open, Transfer, TransferRequested

from actorium import IdempotencyKey, Projection, Reader, Rejected, Saga, Transaction, on, query, react, starts, step
from actorium.simulation import Faults, Kind, SimulatedRuntime, View, World, simulation


class Deposits(Projection):
    """One row per deposit."""

    schema = "CREATE TABLE deposits (account TEXT NOT NULL, amount INTEGER NOT NULL)"

    @on
    def deposited(self, event: Deposited, tx: Transaction) -> None:
        tx.execute("INSERT INTO deposits VALUES ('', ?)", event.amount)

    @query
    async def total(self, db: Reader) -> int:
        row = await db.fetch_one("SELECT COALESCE(SUM(amount), 0) FROM deposits")
        return int(row[0])


@react(on_replay="run")
async def announce(event: Deposited) -> None:
    """Report a deposit to an outside service."""


class Notice(Saga):
    """Asks somebody outside about each transfer."""

    amount: int = 0

    @starts
    def requested(self, event: TransferRequested) -> None:
        self.amount = event.amount

    @step(undo=None)
    async def notify(self, key: IdempotencyKey) -> None:
        """Call an outside service."""


async def accounts(runtime: SimulatedRuntime, number: int) -> None:
    for n in range(number):
        await runtime.send(Open(f"a{n}", 100))


def asks(runtime: SimulatedRuntime, desk: str, number: int) -> Callable[[], Awaitable[None]]:
    """Return a client that asks for some transfers, one after the other."""

    async def client() -> None:
        for n in range(number):
            try:
                await runtime.send(Ask(desk, f"a{n % 2}", f"a{(n + 1) % 2}", 10 + 30 * n))
            except Rejected:
                continue

    return client


@simulation(seeds=20, faults=Faults.all())
async def transfers(world: World) -> None:
    runtime = world.runtime([Account, Desk, Transfer])
    world.conserved("money", lambda view: sum(account.balance for account in view.all(Account)))
    async with world.calm():
        await accounts(runtime, 2)
    async with anyio.create_task_group() as clients:
        for desk in ("d0", "d1"):
            clients.start_soon(asks(runtime, desk, 2))


@simulation(faults=Faults.all(rate=0.1))
async def everything(world: World) -> None:
    """Has an occasion for each kind of fault."""
    runtime = world.runtime([Account, Desk, Transfer, Notice, Deposits, announce])
    world.allow_stuck(Notice)
    async with world.calm():
        await accounts(runtime, 2)
    async with anyio.create_task_group() as clients:
        for desk in ("d0", "d1"):
            clients.start_soon(asks(runtime, desk, 3))


@simulation(seeds=20, faults=Faults.all())
async def too_rich(world: World) -> None:
    """No account may have more than 120; three deposits are too many, whatever else happens."""
    runtime = world.runtime([Account])
    world.always("nobody is rich", lambda view: all(account.balance <= 120 for account in view.all(Account)))
    await accounts(runtime, 3)
    for n in range(9):
        await runtime.send(Deposit(f"a{n % 3}", 10))


@simulation(seeds=200, faults=Faults.all())
async def never_restarted(world: World) -> None:
    """The process is never started twice: what a single crash breaks."""
    runtime = world.runtime([Account])
    for n in range(6):
        await runtime.send(Open(f"a{n}", 100))
    assert len(world.nodes[0].lives) == 1, "it was restarted"


@simulation(seeds=200, faults=Faults.only(Kind.CRASH_AFTER_COMMIT, rate=0.1))
async def never_restarted_late(world: World) -> None:
    """The process is never started twice, and all commands go to one account."""
    runtime = world.runtime([Account])
    async with world.calm():
        await accounts(runtime, 2)
    for _ in range(6):
        await runtime.send(Deposit("a0", 5))
    assert len(world.nodes[0].lives) == 1, "it was restarted"


@simulation(faults=Faults.none())
async def guarded(world: World) -> None:
    """States that no deposit comes before both accounts are open, and no second one ever, which is false."""
    runtime = world.runtime([Account])
    world.always("no deposit is too early", lambda view: not deposits(view) or len(view.all(Account)) == 2)
    world.always("no two deposits", lambda view: deposits(view) < 2)
    await accounts(runtime, 2)
    for _ in range(3):
        await runtime.send(Deposit("a0", 5))


def deposits(view: View) -> int:
    """How many there were."""
    return len([*view.events(Deposited)])


@simulation(faults=Faults.all())
async def one_deposit(world: World) -> None:
    runtime = world.runtime([Account])
    world.eventually("the deposit is there", lambda view: [one.balance for one in view.all(Account)] == [105])
    await accounts(runtime, 1)
    await runtime.send(Deposit("a0", 5))


@simulation(faults=Faults.all())
async def restarted_at_most_once(world: World) -> None:
    """The process is never started a third time: what takes two faults to break."""
    await one_deposit.scenario(world)
    assert len(world.nodes[0].lives) < 3, "it was restarted twice"
