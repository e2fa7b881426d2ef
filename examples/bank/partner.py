"""`PartnerBank`: another bank behind an unreliable network; it takes payments and keeps its own log.

It is simulated, but not idealized. Some of its answers never arrive, whether the payment was taken or not. It refuses
some payments, and confirms some of them twice. It guarantees what a good partner guarantees: a payment is identified by
its key and takes effect once, however often it is sent. A recalled payment is given back if it was taken, and is not
taken later. Random numbers are derived from the seed, the key and the number of the attempt, so they do not depend on
the order of the payments.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Protocol

from actorium import Aggregate, Command, Event, EventStore, NotFound, Rejected, Runtime, decide, evolve

Confirm = Callable[[str, str], Awaitable[None]]
"""Called by the partner with the key of a payment it has taken, and a receipt."""


class Partner(Protocol):
    """The bank's interface to another bank: a payment has a key and takes effect once, however often it is sent."""

    async def pay(self, key: str, account: str, amount: int) -> str:
        """Take a payment and return a receipt; raise Rejected if it is refused, TimeoutError if there is no answer."""
        ...

    async def recall(self, key: str) -> None:
        """Give a payment back if it was taken; it is not taken later."""
        ...


class TakePayment(Command):
    """Take a payment into an account; `to` is the payment's key."""

    account: str
    amount: int
    refuse: str = ""


class ReturnPayment(Command):
    """Give a payment back, or prevent it from being taken."""


class PaymentTaken(Event):
    """Hellers arrived from outside."""

    event_type = "partner.payment-taken"

    account: str
    amount: int


class PaymentRefused(Event):
    """A payment was refused permanently."""

    event_type = "partner.payment-refused"

    reason: str


class PaymentReturned(Event):
    """A payment was given back (`amount`), or will not be taken (0)."""

    event_type = "partner.payment-returned"

    amount: int


class IncomingPayment(Aggregate):
    """The partner's record of one payment: `held` is the amount it holds."""

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
    """The partner, to be used as `async with`; `confirm` receives its confirmations.

    no_answer: how many of 100 attempts get no answer.
    refusals: how many of 100 payments are refused.
    second_confirmations: how many of 100 confirmations are sent twice.
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
        """Take a payment and return a receipt; raise Rejected if it is refused, TimeoutError if there is no answer."""
        self._attempts[key] += 1
        chance = random.Random(f"{self._seed}/{key}/{self._attempts[key]}")
        of_the_payment = random.Random(f"{self._seed}/{key}")
        lost = chance.randrange(100) < self._no_answer
        if lost and chance.randrange(2):
            self.unanswered += 1
            raise TimeoutError("the partner bank did not answer")  # the request was lost
        refuse = "no such account" if of_the_payment.randrange(100) < self._refusals else ""
        await self._runtime.send(TakePayment(key, account, amount, refuse))
        if lost:
            self.unanswered += 1
            raise TimeoutError("the partner bank did not answer")  # the answer was lost
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
        """Give a payment back if it was taken; it is not taken later."""
        await self._runtime.send(ReturnPayment(key))

    async def held(self, key: str) -> int:
        """Return the amount the partner holds of a payment, or 0."""
        try:
            return (await self._runtime.get(IncomingPayment, key)).held
        except NotFound:
            return 0

    async def books(self) -> dict[str, tuple[int, int]]:
        """Return for each payment in the log how often it was taken, and the amount held."""
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
