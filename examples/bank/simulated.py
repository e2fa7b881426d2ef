"""The bank in a simulated world with faults: `actorium simulate examples/bank`.

`transfers` moves money between accounts of this bank; `payments` moves money to a partner bank outside the simulation.
The partner is a plain object that survives every crash, answers late, twice or never, and refuses some payments.

The other scenarios are one transfer each, one for each way in which a saga can end. `actorium simulate examples/bank
--exhaustive` tries every fault in them with every crash.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import date
from typing import Literal

from actorium import Rejected, Retry
from actorium.corrections import Selection
from actorium.examples.bank.domain import Account, BookingCorrected, Credit, OpenAccount
from actorium.examples.bank.projections import Balances
from actorium.examples.bank.transfers import (
    ConfirmPayment,
    OrderTransfer,
    Transfer,
    TransferOrder,
    payment_key,
    payments_through,
)
from actorium.simulation import Faults, SimulatedRuntime, View, World, simulation

_DAY = date(1993, 1, 1)
_ACCOUNTS = ("a-0", "a-1", "a-2", "a-3")
_EACH_HAS = 10_000
_SOON_S = 600  # after the last fault, in simulated seconds
_POLLS = 10  # a stuck saga waits for a person, who comes after the faults
_PATIENT = Retry(attempts=4, backoff_s=0.5, backoff_max_s=5.0)
_BRIEF = Retry(attempts=2, backoff_s=0.5)


@simulation(seeds=2_000, faults=Faults.all(rate=0.02))
async def transfers(world: World) -> None:
    """Four clients order three transfers each; some are rejected, and some are returned for lack of money."""
    bank = await bank_of(world, _ACCOUNTS)
    await asyncio.gather(*(order_transfers(world, bank, client) for client in range(4)))


@simulation(seeds=500)
async def payments(world: World) -> None:
    """Two clients order three payments each to a partner bank over an unreliable network."""
    bank = await bank_with(UnreliablePartner(world), world, _ACCOUNTS, _PATIENT)
    await asyncio.gather(*(order_transfers(world, bank, client, to_bank="other-bank") for client in range(2)))


@simulation(exhaustive=True)
async def settled_transfer(world: World) -> None:
    """One transfer that reaches the other account."""
    await transfer_once(world, "a-1", _EACH_HAS)


@simulation(exhaustive=True)
async def returned_transfer(world: World) -> None:
    """One transfer that is returned: there is no such account."""
    await transfer_once(world, "nobody", _EACH_HAS)


@simulation(exhaustive=True)
async def overdrawn_transfer(world: World) -> None:
    """One transfer that never leaves: there is not enough money."""
    await transfer_once(world, "a-1", _EACH_HAS + 1)


@simulation(exhaustive=True)
async def settled_payment(world: World) -> None:
    """One payment that the partner takes."""
    await pay_once(world, SteadyPartner(world, "takes"))


@simulation(exhaustive=True)
async def refused_payment(world: World) -> None:
    """One payment that the partner refuses."""
    await pay_once(world, SteadyPartner(world, "refuses"))


@simulation(exhaustive=True)
async def recalled_payment(world: World) -> None:
    """One payment that the partner takes without ever answering: it is recalled."""
    await pay_once(world, SteadyPartner(world, "is silent"))


@simulation(exhaustive=True)
async def corrected_booking(world: World) -> None:
    """One wrong booking that a case corrects."""
    bank = world.runtime([Account, Balances])
    async with world.calm():
        await open_accounts(bank, _ACCOUNTS[:1])
    wrong = f"{Account.stream_type}/a-0/2"
    world.always("a correction happens once", corrected_at_most_once)
    cases = bank.corrections
    await cases.open(Selection(events=[wrong]), by="ann", reason="typing error", id="c-0")
    await cases.plan("c-0", by="ann", right={wrong: {"amount": _EACH_HAS - 1}})
    await cases.approve("c-0", by="bob")
    await cases.apply("c-0")
    await cases.close("c-0", by="bob")
    world.eventually("the balance is right", corrected, within_s=_SOON_S)


@simulation(exhaustive=True)
async def skipped_booking(world: World) -> None:
    """One booking that a case takes out of the balances and leaves in the log."""
    bank = world.runtime([Account, Balances])
    async with world.calm():
        await open_accounts(bank, _ACCOUNTS[:2])
    cases = bank.corrections
    await cases.open(Selection(events=[f"{Account.stream_type}/a-0/2"]), by="ann", reason="a test", id="c-0")
    await cases.plan("c-0", by="ann", skip=[f"projection {Balances.projection_name}"])
    await cases.approve("c-0", by="bob")
    await cases.apply("c-0")
    await cases.close("c-0", by="bob")
    async with world.calm():
        end = 2 * len(_ACCOUNTS[:2])  # an opening and a credit for each account
        assert await bank.query(Balances.of, "a-0", after=end) == 0
        assert await bank.query(Balances.of, "a-1", after=end) == _EACH_HAS


def corrected_at_most_once(view: View) -> bool:
    """Return whether at most one event corrects the wrong booking."""
    return len(list(view.events(BookingCorrected))) <= 1


def corrected(view: View) -> bool:
    """Return whether the corrected account has the right balance."""
    account = view.get(Account, "a-0")
    return account is not None and account.balance == _EACH_HAS - 1


async def transfer_once(world: World, target: str, amount: int) -> None:
    """Order one transfer between two accounts."""
    bank = await bank_of(world, _ACCOUNTS[:2])
    await bank.send(OrderTransfer("t-0", "a-0", target, amount, _DAY))


async def pay_once(world: World, partner: UnreliablePartner) -> None:
    """Order one payment to a partner bank."""
    bank = await bank_with(partner, world, _ACCOUNTS[:1], _BRIEF)
    await bank.send(OrderTransfer("t-0", "a-0", "b-0", _EACH_HAS, _DAY, "other-bank"))


async def bank_of(world: World, accounts: Sequence[str]) -> SimulatedRuntime:
    """Return a bank with accounts and transfers between them; state its invariants."""
    bank = world.runtime([Account, TransferOrder, Transfer, Balances])
    world.conserved("money", balances)
    world.eventually("every transfer ends", all_ended, within_s=_SOON_S)
    async with world.calm():
        await open_accounts(bank, accounts)
    money = _EACH_HAS * len(accounts)
    world.always("no account is overdrawn", none_overdrawn)
    world.always(
        "money that is not in an account is on its way", lambda view: 0 <= money - balances(view) <= moving(view)
    )
    return bank


async def bank_with(
    partner: UnreliablePartner, world: World, accounts: Sequence[str], retry: Retry
) -> SimulatedRuntime:
    """Return a bank with accounts and payments to a partner; state the invariants of both."""
    payment, recall = payments_through(partner, retry=retry)
    bank = world.runtime([Account, TransferOrder, payment, recall])
    partner.confirms_to(bank)
    world.conserved("money is conserved in both banks", lambda view: balances(view) + sum(partner.held.values()))
    world.eventually("every payment ends", all_ended, within_s=_SOON_S)
    world.eventually(
        "exactly the settled payments have arrived", lambda view: settled(view) == set(partner.held), within_s=_SOON_S
    )
    async with world.calm():
        await open_accounts(bank, accounts)
    world.always("no account is overdrawn", none_overdrawn)
    return bank


async def open_accounts(bank: SimulatedRuntime, accounts: Sequence[str]) -> None:
    """Open accounts with the same balance each."""
    for account in accounts:
        await bank.send(OpenAccount(account))
        await bank.send(Credit(account, _EACH_HAS, _DAY, "credit_in_cash"))


async def order_transfers(world: World, bank: SimulatedRuntime, client: int, *, to_bank: str = "") -> None:
    """Order three transfers with targets and amounts chosen by the seed, and wait a while for each of them."""
    names = [f"t-{client}{number}" for number in range(3)]
    for name in tuple(names):
        target = _ACCOUNTS[world.choose(f"target of {name}", len(_ACCOUNTS))]
        amount = 1 + world.choose(f"amount of {name}", _EACH_HAS * 3 // 4)
        try:
            await bank.send(OrderTransfer(name, _ACCOUNTS[client], target, amount, _DAY, to_bank))
        except Rejected:
            names.remove(name)  # its source and target are the same account
    for name in names:
        for _ in range(_POLLS):
            if (await bank.get(TransferOrder, name)).status != "ordered":
                break
            await asyncio.sleep(5)


def none_overdrawn(view: View) -> bool:
    """Return whether no balance is below 0."""
    return all(account.balance >= 0 for account in view.all(Account))


def balances(view: View) -> int:
    """Return the sum of all balances."""
    return sum(account.balance for account in view.all(Account))


def moving(view: View) -> int:
    """Return the sum of all open transfers: at most this much is on its way."""
    return sum(saga.state["amount"] for saga in view.sagas(Transfer) if saga.status not in ("completed", "undone"))


def all_ended(view: View) -> bool:
    """Return whether every transfer was settled or returned."""
    return all(order.status != "ordered" for order in view.all(TransferOrder))


def settled(view: View) -> set[str]:
    """Return the keys of the payments that were settled."""
    return {payment_key(order.id) for order in view.all(TransferOrder) if order.status == "settled"}


class UnreliablePartner:
    """Another bank; `held` is the amount it holds of each payment, by the payment's key.

    It keeps the promises of a good partner: a payment takes effect once, however often it is sent; a refused payment
    stays refused; a recalled payment is given back and not taken later.
    """

    def __init__(self, world: World) -> None:
        self.held: dict[str, int] = {}
        self._world = world
        self._never: set[str] = set()
        self._attempts: dict[str, int] = {}
        self._taken: asyncio.Queue[str] = asyncio.Queue()

    async def pay(self, key: str, account: str, amount: int) -> str:
        """Take a payment; raise Rejected if it is refused, TimeoutError if the request or the answer is lost."""
        attempt = self._attempts[key] = self._attempts.get(key, 0) + 1
        lost = self.loses(key, attempt)
        await asyncio.sleep(0.1 * (1 + self._world.choose(f"time of attempt {attempt} at {key}", 20)))
        if lost == "question":
            raise TimeoutError("the partner bank did not answer: the payment never reached it")
        if key in self._never or self.refuses(key):
            raise Rejected("the partner bank does not take it")
        if key not in self.held:
            self.held[key] = amount
            for _ in range(1 + self._world.choose(f"second confirmation of {key}", 2)):
                self._taken.put_nowait(key)
        if lost == "answer":
            raise TimeoutError("the partner bank did not answer: it has taken the payment")
        return f"R-{key}"

    def loses(self, key: str, attempt: int) -> str:
        """Return what is lost at an attempt: the request, the answer, or nothing."""
        return ("question", "answer", "answer", *[""] * 7)[
            self._world.choose(f"what is lost of attempt {attempt} at {key}", 10)
        ]

    def refuses(self, key: str) -> bool:
        """Return whether a payment is refused: one in ten is."""
        return self._world.choose(f"refusal of {key}", 10) == 0

    async def recall(self, key: str) -> None:
        """Give a payment back if it was taken; it is not taken later."""
        self._never.add(key)
        self.held.pop(key, None)

    def confirms_to(self, bank: SimulatedRuntime) -> None:
        """From now on confirm each payment taken, as another client of the bank; some are confirmed twice."""

        async def confirm() -> None:
            while True:
                key = await self._taken.get()
                await bank.send(ConfirmPayment(key.split("/")[1], f"R-{key}"), command_id=f"confirmation of {key}")

        self._confirming = asyncio.create_task(confirm())


class SteadyPartner(UnreliablePartner):
    """A partner that treats every payment the same way, whatever the seed."""

    def __init__(self, world: World, does: Literal["takes", "refuses", "is silent"]) -> None:
        super().__init__(world)
        self._does = does

    def loses(self, key: str, attempt: int) -> str:
        return "answer" if self._does == "is silent" else ""

    def refuses(self, key: str) -> bool:
        return self._does == "refuses"
