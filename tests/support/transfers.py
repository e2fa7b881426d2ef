"""The domain of the sagas' tests: accounts, a desk where transfers are requested, the saga that carries them out."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import msgspec
from support.stores import whole_log

from actorium import (
    Aggregate,
    Command,
    Event,
    EventStore,
    Instrument,
    Middleware,
    NotFound,
    Passivation,
    Rejected,
    Runtime,
    Saga,
    Settings,
    create,
    decide,
    evolve,
    starts,
    step,
)
from actorium.cluster import Cluster
from actorium.testing import LoopSource
from actorium.types import SagaView

# Nobody needs to look by itself where nothing gets lost: virtual time passes in few steps.
CALM = Settings(poll_s=3_600.0, passivation=Passivation(idle_s=None))


class Open(Command):
    amount: int = 0
    takes_deposits: bool = True


class Withdraw(Command):
    amount: int


class Deposit(Command):
    amount: int


class Unlock(Command):
    """The account takes deposits from now on."""


class Opened(Event):
    amount: int
    takes_deposits: bool


class Withdrawn(Event):
    amount: int


class Deposited(Event):
    amount: int


class Unlocked(Event):
    pass


class Account(Aggregate):
    balance: int = 0
    takes_deposits: bool = True

    @create
    def open(self, command: Open) -> Opened:
        return Opened(command.amount, command.takes_deposits)

    @decide
    def withdraw(self, command: Withdraw) -> Withdrawn:
        if command.amount > self.balance:
            raise Rejected("insufficient funds", balance=self.balance)
        return Withdrawn(command.amount)

    @decide
    def deposit(self, command: Deposit) -> Deposited:
        if not self.takes_deposits:
            raise Rejected("account closed")
        return Deposited(command.amount)

    @decide
    def unlock(self, command: Unlock) -> Unlocked:
        return Unlocked()

    @evolve
    def opened(self, event: Opened) -> None:
        self.balance, self.takes_deposits = event.amount, event.takes_deposits

    @evolve
    def withdrawn(self, event: Withdrawn) -> None:
        self.balance -= event.amount

    @evolve
    def deposited(self, event: Deposited) -> None:
        self.balance += event.amount

    @evolve
    def unlocked(self, event: Unlocked) -> None:
        self.takes_deposits = True


class Ask(Command):
    """Asks for a transfer."""

    source: str
    target: str
    amount: int = 1


class TransferRequested(Event):
    source: str
    target: str
    amount: int


class Tell(Command):
    """Says something that sagas may wait for."""

    about: str
    word: str = ""


class Told(Event):
    about: str
    word: str


class Desk(Aggregate):
    count: int = 0

    @decide
    def ask(self, command: Ask) -> TransferRequested:
        return TransferRequested(command.source, command.target, command.amount)

    @decide
    def tell(self, command: Tell) -> Told:
        return Told(command.about, command.word)

    @evolve
    def requested(self, event: TransferRequested) -> None:
        self.count += 1

    @evolve
    def told(self, event: Told) -> None:
        self.count += 1


class Transfer(Saga):
    source: str = ""
    target: str = ""
    amount: int = 0

    @starts
    def requested(self, event: TransferRequested) -> None:
        self.source, self.target, self.amount = event.source, event.target, event.amount

    @step
    def debit(self) -> Withdraw:
        return Withdraw(self.source, self.amount)

    @debit.undo
    def refund(self) -> Deposit:
        return Deposit(self.source, self.amount)

    @step
    def credit(self) -> Deposit:
        return Deposit(self.target, self.amount)


def runtime_of(
    *parts: Any,
    store: EventStore | str = "memory://",
    settings: Settings = CALM,
    seed: int = 0,
    middleware: Sequence[Middleware] = (),
    instruments: Sequence[Instrument] = (),
    cluster: Cluster | None = None,
) -> Runtime:
    """Return a runtime with accounts and the desk, whose clock is the loop's; each run on a log has its own seed."""
    parts = (Account, Desk, *parts)
    return Runtime(
        parts,
        store=store,
        settings=settings,
        source=LoopSource(seed),
        middleware=middleware,
        instruments=instruments,
        cluster=cluster,
    )


async def open_accounts(runtime: Runtime, **balances: int) -> None:
    """Open accounts; one whose name ends with _closed takes no deposits."""
    for name, balance in balances.items():
        await runtime.send(Open(name, balance, not name.endswith("_closed")), command_id=f"open {name}")


async def ask(runtime: Runtime, source: str = "alice", target: str = "bob", amount: int = 10) -> str:
    """Request a transfer; return the id of the saga that it starts."""
    ack = await runtime.send(Ask("desk", source, target, amount))
    return f"Desk/desk/{ack.version}"


async def balances(runtime: Runtime, *names: str) -> tuple[int, ...]:
    """Return the balances of the accounts."""
    return tuple([(await runtime.get(Account, name)).balance for name in names])


async def saga_in(
    runtime: Runtime, saga: type[Saga], id: str, *statuses: str, within_s: float = 600.0, reached: str = ""
) -> SagaView:
    """Return a saga as soon as it is in one of the statuses (or its history has a line with this text)."""

    async def is_there(view: SagaView) -> bool:
        return view.status in statuses or bool(reached and any(reached in line.text for line in view.history))

    return await saga_where(runtime, saga, id, is_there, within_s)


async def saga_where(
    runtime: Runtime,
    saga: type[Saga],
    id: str,
    condition: Callable[[SagaView], Awaitable[bool]],
    within_s: float,
) -> SagaView:
    """Return a saga as soon as a condition holds for it."""
    view: SagaView | None = None
    try:
        async with asyncio.timeout(within_s):
            while True:
                try:
                    view = await runtime.sagas.get(saga, id)
                    if await condition(view):
                        return view
                except NotFound:
                    pass
                await asyncio.sleep(max(0.02, within_s / 10_000))
    except TimeoutError:
        lines = "\n".join(map(str, view.history)) if view is not None else "it never started"
        raise AssertionError(f"{saga.__name__}<{id}> is not there after {within_s} s:\n{lines}") from None


async def texts(runtime: Runtime, saga: type[Saga], id: str) -> list[str]:
    """Return the history of a saga as text."""
    return [line.text for line in (await runtime.sagas.get(saga, id)).history]


async def command_ids(store: EventStore) -> list[str]:
    """Return the ids of the commands that took effect, in the order of the log."""
    ids = [msgspec.json.decode(record.metadata).get("command_id") for record in await whole_log(store)]
    return list(dict.fromkeys(id for id in ids if id))
