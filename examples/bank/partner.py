"""`PartnerBank`: another bank, on the other side of a bad line: it takes payments, and keeps a log of its own.

It is simulated, but not idealised. Some of its answers never come, whether the payment was taken or not; it refuses
some payments; it confirms some of them twice. What it promises is what a good partner promises: a payment is known by
its key, and takes effect once however often it is sent; what is recalled is given back if it was taken, and never
taken afterwards. Chance is made of the seed, the key and the number of the attempt, so that it does not depend on
which payment comes first.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Protocol

from actorium import Aggregate, Command, Event, EventStore, NotFound, Rejected, Runtime, decide, evolve

Confirm = Callable[[str, str], Awaitable[None]]
"""What the partner calls when it has taken a payment: with the payment's key and a receipt."""


class Partner(Protocol):
    """What a bank needs of another: payments are known by a key, and take effect once however often they are sent."""

    async def pay(self, key: str, account: str, amount: int) -> str:
        """Take a payment and return a receipt; raise Rejected for one that is refused, TimeoutError for no answer."""
        ...

    async def recall(self, key: str) -> None:
        """Give a payment back if it was taken; it is never taken afterwards."""
        ...


class TakePayment(Command):
    """Take a payment into an account; `to` is its key."""

    account: str
    amount: int
    refuse: str = ""


class ReturnPayment(Command):
    """Give a payment back, or never take it."""


class PaymentTaken(Event):
    """Hellers came in from outside."""

    event_type = "partner.payment-taken"

    account: str
    amount: int


class PaymentRefused(Event):
    """A payment was not taken, for ever."""

    event_type = "partner.payment-refused"

    reason: str


class PaymentReturned(Event):
    """A payment was given back (`amount`), or will not be taken (0)."""

    event_type = "partner.payment-returned"

    amount: int


class IncomingPayment(Aggregate):
    """What the partner knows of one payment: `held` is what it holds of it."""

    stream_type = "partner.payment"

    status: str = ""
    reason: str = ""
    held: int = 0

    @decide
    def take(self, command: TakePayment) -> PaymentTaken | PaymentRefused | None:
        if self.status:
            return None
        if command.refuse:
            return PaymentRefused(command.refuse)
        return PaymentTaken(command.account, command.amount)

    @decide
    def give_back(self, command: ReturnPayment) -> PaymentReturned | None:
        return None if self.status in ("refused", "returned") else PaymentReturned(self.held)

    @evolve
    def taken(self, event: PaymentTaken) -> None:
        self.status, self.held = "taken", event.amount

    @evolve
    def refused(self, event: PaymentRefused) -> None:
        self.status, self.reason = "refused", event.reason

    @evolve
    def returned(self, event: PaymentReturned) -> None:
        self.status, self.reason, self.held = "returned", "recalled by the payer", 0


class PartnerBank:
    """The partner, to be used as `async with`; `confirm` is where its confirmations go.

    no_answer, refusals, second_confirmations: how many of a hundred attempts get no answer, payments are refused,
    confirmations come twice.
    """

    def __init__(
        self,
        store: str | EventStore,
        *,
        seed: int = 0,
        no_answer: int = 20,
        refusals: int = 3,
        second_confirmations: int = 25,
    ) -> None:
        self._runtime = Runtime([IncomingPayment], store=store)
        self._seed = seed
        self._no_answer = no_answer
        self._refusals = refusals
        self._second_confirmations = second_confirmations
        self._attempts: Counter[str] = Counter()
        self.confirm: Confirm | None = None
        self.unanswered = 0
        self.confirmed_twice = 0

    async def __aenter__(self) -> PartnerBank:
        await self._runtime.start()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._runtime.stop()

    async def pay(self, key: str, account: str, amount: int) -> str:
        """Take a payment and return a receipt; raise Rejected for one that is refused, TimeoutError for no answer."""
        self._attempts[key] += 1
        chance = random.Random(f"{self._seed}/{key}/{self._attempts[key]}")
        of_the_payment = random.Random(f"{self._seed}/{key}")
        lost = chance.randrange(100) < self._no_answer
        if lost and chance.randrange(2):
            self.unanswered += 1
            raise TimeoutError("the partner bank did not answer")  # and never heard of it
        refuse = "no such account" if of_the_payment.randrange(100) < self._refusals else ""
        await self._runtime.send(TakePayment(key, account, amount, refuse))
        if lost:
            self.unanswered += 1
            raise TimeoutError("the partner bank did not answer")  # but has done it
        payment = await self._runtime.get(IncomingPayment, key)
        if payment.status != "taken":
            raise Rejected(payment.reason, partner=payment.status)
        receipt = f"R-{key}"
        twice = of_the_payment.randrange(100) < self._second_confirmations
        self.confirmed_twice += twice
        if self.confirm is not None:
            for _ in range(1 + twice):
                await self.confirm(key, receipt)
        return receipt

    async def recall(self, key: str) -> None:
        """Give a payment back if it was taken; it is never taken afterwards."""
        await self._runtime.send(ReturnPayment(key))

    async def held(self, key: str) -> int:
        """Return what the partner holds of a payment: its amount, or 0."""
        try:
            return (await self._runtime.get(IncomingPayment, key)).held
        except NotFound:
            return 0

    async def books(self) -> dict[str, tuple[int, int]]:
        """Return what the log says of each payment: how often it was taken, and what is held of it."""
        books: dict[str, tuple[int, int]] = {}
        head = self._runtime.statistics().position
        if head == 0:
            return books
        async for recorded in self._runtime.events():
            times, held = books.get(recorded.stream_id, (0, 0))
            match recorded.event:
                case PaymentTaken(amount=amount):
                    books[recorded.stream_id] = (times + 1, held + amount)
                case PaymentReturned(amount=amount):
                    books[recorded.stream_id] = (times, held - amount)
            if recorded.position >= head:
                break
        return books
