"""The scenarios in which mutants are hunted: for commands, for sagas, for timers, and for reactions."""

import asyncio
from collections import Counter
from contextlib import suppress
from functools import partial
from typing import Any

import msgspec
from simulation.mutants.domain import (
    Account,
    Ask,
    Deposit,
    Deposited,
    Desk,
    Open,
    Opened,
    Statement,
    Transfer,
    Withdraw,
    Withdrawn,
)

from actorium import (
    Ack,
    CommandContext,
    IdempotencyKey,
    Next,
    NotFound,
    Passivation,
    RecordedEvent,
    Rejected,
    Runtime,
    Settings,
    react,
)
from actorium.errors import CommandTimeout
from actorium.sagas.model.submissions import CommandSubmitted, SubmissionCancelled, SubmissionConcluded
from actorium.simulation import Faults, Kind, View, World, simulation

NAMES = ("alice", "bob", "carol", "dave")
CROWDED = Settings(
    mailbox_limit=10,
    turn_budget=2,
    max_batch_events=4,
    tail_events=8,
    poll_s=10.0,
    passivation=Passivation(max_live=2, idle_s=0.4),
)


def without(faults: Faults, kind: Kind) -> Faults:
    """The same faults except one kind."""
    return msgspec.structs.replace(faults, rates={**faults.rates, kind: 0.0})


def money(view: View) -> int:
    """The sum of all balances."""
    return sum(account.balance for account in view.all(Account))


@simulation(seeds=200, faults=Faults.all(rate=0.06))
async def accounts(world: World) -> None:
    """Four clients, two per account, move money; another one reads; memory is limited."""
    bank = world.runtime([Account, Statement], settings=CROWDED)
    world.always("no account is overdrawn", lambda view: all(one.balance >= 0 for one in view.all(Account)))
    async with world.calm():
        for name in NAMES:
            await bank.send(Open(name, 50))

    async def client(number: int) -> None:
        for turn in range(3):
            name = NAMES[(number // 2 + turn) % len(NAMES)]
            amount = 10 + world.choose(f"amount {number} {turn}", 40)
            try:
                ack = await bank.send(Deposit(name, amount) if turn == 1 else Withdraw(name, amount))
                await bank.query(Statement.of, name, after=ack.position)
            except (Rejected, NotFound):
                pass
            with suppress(NotFound):
                await bank.get(Account, name)

    async def onlooker() -> None:
        for look in range(12):
            await asyncio.sleep(0.8)
            with suppress(NotFound):
                await bank.get(Account, NAMES[look % 2])

    await asyncio.gather(onlooker(), *map(client, range(4)))


accounts_on_a_slow_store = msgspec.structs.replace(accounts, faults=Faults.only(Kind.STORE_SLOW, rate=0.3))
"""The same, where much is on its way for long."""


@simulation(seeds=200, faults=Faults.all(rate=0.05))
async def transfers(world: World) -> None:
    """Transfers with a fee: some lack the money, some exceed the target's limit, and are undone."""
    bank = world.runtime([Account, Desk, Transfer, Statement])
    world.conserved("money", money)
    world.eventually("every transfer ends", lambda view: not view.sagas(open=True), within_s=600.0)
    async with world.calm():
        for name in ("bank", "alice", "bob"):
            await bank.send(Open(name, 100))
        await bank.send(Open("full", 0, 0))

    async def client(number: int) -> None:
        for turn, target in enumerate(("bob", "full")):
            headers = {"user": f"client {number}"}
            await bank.send(Ask(f"desk {number}", "alice", target, 20 + 10 * turn), headers=headers)

    await asyncio.gather(*map(client, range(2)))


@simulation(seeds=200, faults=Faults.only(Kind.CRASH, Kind.CRASH_AFTER_COMMIT, rate=0.05))
async def guessed_ids(world: World) -> None:
    """Transfers requested at desks with long names, while a client uses ids that their commands could have."""
    bank = world.runtime([Account, Desk, Transfer])
    world.conserved("money", lambda view: money(view) - guesses(view))
    world.eventually("no transfer is stuck", lambda view: not view.sagas(status="failed"), within_s=600.0)
    async with world.calm():
        for name in ("bank", "alice", "bob", "mallory"):
            await bank.send(Open(name, 100))
        await bank.send(Open("full", 0, 0))

    async def client(desk: str, target: str) -> None:
        await bank.send(Ask(desk, "alice", target, 20))

    async def guesser(desk: str) -> None:
        for step in ("charge", "debit:undo"):
            await bank.send(Deposit("mallory", 1), command_id=f"Transfer/Desk/{desk}/1/{step}/0")

    await asyncio.gather(client("desk", "full"), guesser("desk"), client("d" * 500, "bob"))


def guesses(view: View) -> int:
    """The sum added by the client that guesses ids."""
    return sum(one.event.amount for one in view.events(Deposited) if one.stream_id == "mallory")


@simulation(seeds=200, faults=without(Faults.all(rate=0.06), Kind.CLOCK_JUMP))
async def orders(world: World) -> None:
    """Deposits are submitted, some for later; the clock is correct, so none may be executed early."""
    bank = world.runtime([Account])
    world.always("no order is carried out before its time", lambda view: not early(view))
    world.eventually("each order is carried out once", is_settled, within_s=600.0)
    async with world.calm():
        await bank.send(Open("alice", 100))

    async def client(number: int) -> None:
        for after_s in (0.0, 30.0):
            await bank.submit(Deposit("alice", 10), after_s=after_s)

    await asyncio.gather(*map(client, range(2)))


@simulation(seeds=200, faults=Faults.only(Kind.STORE_SLOW, Kind.CRASH, rate=0.05))
async def late_commands(world: World) -> None:
    """Commands of sagas and submissions travel for seconds; their senders give up, send again, and conclude."""

    async def wire(context: CommandContext, following: Next) -> Ack:
        if not isinstance(context.command, Deposit | Withdraw):  # a client's own
            return await following(context)
        copies[context.command_id] += 1
        travel = f"{context.command_id} {copies[context.command_id]}"
        answer: asyncio.Future[Ack | BaseException] = asyncio.get_running_loop().create_future()

        async def arrive() -> None:
            arrived = await asyncio.gather(following(context), return_exceptions=True)
            if not answer.done():
                answer.set_result(arrived[0])

        travels_s = world.choose(f"seconds of {travel}", 5)
        asyncio.get_running_loop().call_later(travels_s, lambda: arrivals.append(asyncio.ensure_future(arrive())))
        try:
            answered = await asyncio.wait_for(answer, 2.0)
        except TimeoutError:
            raise CommandTimeout(f"{travel} was not answered", command_id=context.command_id) from None
        if isinstance(answered, BaseException):
            raise answered
        return answered

    arrivals: list[asyncio.Task[None]] = []
    copies: Counter[str] = Counter()
    bank = world.runtime(partial(Runtime, [Account, Desk, Transfer], middleware=[wire]))
    world.conserved("money", lambda view: money(view) - sum(amount for _, amount in paid(view)))
    world.always("no order that was given up takes effect", lambda view: not given_up(view) & ids(paid(view)))
    world.eventually("every transfer ends", lambda view: not view.sagas(open=True), within_s=600.0)
    async with world.calm():
        for name in ("bank", "alice", "bob"):
            await bank.send(Open(name, 40))
        await bank.send(Open("carol", 0))
        await bank.send(Open("full", 0, 0))

    async def client(number: int) -> None:
        for target in ("bob", "full"):
            await bank.send(Ask(f"desk {number}", "alice", target, 20))

    async def customer(number: int) -> None:
        ack = await bank.submit(Deposit("bob", 1), after_s=float(number))
        await asyncio.sleep(number + world.choose(f"patience {number}", 4))
        await bank.submissions.cancel(ack.command_id)

    async def hopeful(number: int) -> None:
        await bank.submit(Withdraw("carol", 10))
        await bank.submit(Deposit("carol", 10), after_s=float(2 * number))

    await asyncio.gather(*map(client, range(2)), *map(customer, range(3)), *map(hopeful, range(3)))


def paid(view: View) -> list[tuple[str, int]]:
    """The submitted commands that took effect: their ids, and the amounts that they added."""
    orders = ordered(view)
    moved = [(one.metadata.command_id, one.event.amount) for one in view.events(Deposited)]
    moved += [(one.metadata.command_id, -one.event.amount) for one in view.events(Withdrawn)]
    return [(id, amount) for id, amount in moved if id in orders]


def ids(paid: list[tuple[str, int]]) -> set[str]:
    """The ids of submitted commands."""
    return {id for id, _ in paid}


def given_up(view: View) -> set[str]:
    """The orders that were cancelled, or ended with an error."""
    failed = {one.stream_id for one in view.events(SubmissionConcluded) if one.event.error}
    return failed | {one.stream_id for one in view.events(SubmissionCancelled)}


def welcoming(store: Any, **options: Any) -> Runtime:
    """A bank that gives each new account a present."""

    @react(on_replay="skip", name="welcome")
    async def welcome(event: Opened, recorded: RecordedEvent[Opened], key: IdempotencyKey) -> None:
        await runtime.send(Deposit(recorded.stream_id, 5), command_id=key)

    runtime = Runtime([Account, welcome], store=store, **options)
    return runtime


@simulation(seeds=200, faults=Faults.all(rate=0.06))
async def presents(world: World) -> None:
    """Accounts are opened, and a reaction sends each one a present."""
    bank = world.runtime(welcoming)
    world.always("no account gets two presents", lambda view: max(presents_of(view).values(), default=0) <= 1)
    world.eventually(
        "each account gets a present",
        lambda view: presents_of(view).keys() == {one.stream_id for one in view.events(Opened)},
        within_s=600.0,
    )

    async def client(number: int) -> None:
        for turn in range(2):
            await bank.send(Open(f"{number} {turn}", 0))

    await asyncio.gather(*map(client, range(2)))


def presents_of(view: View) -> Counter[str]:
    """How many presents each account got."""
    return Counter(one.stream_id for one in view.events(Deposited))


def ordered(view: View) -> dict[str, int]:
    """The due time of each accepted order, by its id."""
    return {one.stream_id: one.event.due_us for one in view.events(CommandSubmitted)}


def is_settled(view: View) -> bool:
    """Return whether each order has ended and took effect once, unless it failed at every attempt."""
    errors = {one.stream_id: one.event.error for one in view.events(SubmissionConcluded)}
    succeeded = sorted(id for id, error in errors.items() if not error)
    return errors.keys() == ordered(view).keys() and succeeded == sorted(id for id, _ in carried_out(view))


def carried_out(view: View) -> list[tuple[str, int]]:
    """The commands that took effect, with their times."""
    return [(one.metadata.command_id, one.recorded_us) for one in view.events(Deposited)]


def early(view: View) -> list[str]:
    """The orders that were executed before they were due."""
    due = ordered(view)
    return [id for id, at_us in carried_out(view) if at_us < due.get(id, 0)]
