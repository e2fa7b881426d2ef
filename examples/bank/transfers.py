"""Transfers: money from one account to another of this bank, or of a partner bank, as sagas.

A transfer is an aggregate that records the order and its result. Two sagas carry it out: `Transfer` between two
accounts of this bank, and `Payment` (made by `payments_through`) to a partner bank, which an effect step calls.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import Any

from actorium import (
    Aggregate,
    Command,
    Event,
    IdempotencyKey,
    RecordedEvent,
    Rejected,
    Retry,
    Saga,
    create,
    decide,
    evolve,
    react,
    starts,
    step,
)
from actorium.examples.bank.domain import Credit, Debit
from actorium.examples.bank.partner import Partner

PARTNER_RETRY = Retry(attempts=5, backoff_s=0.01, backoff_max_s=1.0)


class OrderTransfer(Command):
    """Move hellers; `to` is the transfer's id. `bank`: the partner bank of the target account, empty for our own."""

    source: str
    target: str
    amount: int
    ordered_on: date
    bank: str = ""
    purpose: str = ""


class SettleTransfer(Command):
    """Record that a transfer is done."""


class ReturnTransfer(Command):
    """Record that a transfer failed and was undone."""

    reason: str


class RecallPayment(Command):
    """Ask the partner bank to return a payment that may or may not have arrived."""


class ConfirmPayment(Command):
    """Record the partner bank's confirmation of a payment it took."""

    receipt: str


class TransferOrdered(Event):
    """A transfer was ordered."""

    event_type = "bank.transfer-ordered"

    source: str
    target: str
    amount: int
    ordered_on: date
    bank: str
    purpose: str


class TransferSettled(Event):
    """The money has arrived."""

    event_type = "bank.transfer-settled"


class TransferReturned(Event):
    """The money is back in the source account."""

    event_type = "bank.transfer-returned"

    reason: str


class PaymentRecalled(Event):
    """The partner bank was asked to return a payment."""

    event_type = "bank.payment-recalled"

    payment: str


class PaymentConfirmed(Event):
    """The partner bank has confirmed a payment."""

    event_type = "bank.payment-confirmed"

    receipt: str


class TransferOrder(Aggregate):
    """One transfer: its order, and `status`: ordered, settled or returned."""

    stream_type = "bank.transfer"

    status: str = ""
    bank: str = ""
    reason: str = ""
    receipt: str = ""

    @create
    def order(self, command: OrderTransfer) -> TransferOrdered:
        if command.amount <= 0:
            raise Rejected("an amount must be more than 0 hellers", amount=command.amount)
        if command.source == command.target and not command.bank:
            raise Rejected("a transfer needs another account as its target", account=command.source)
        return TransferOrdered(
            command.source, command.target, command.amount, command.ordered_on, command.bank, command.purpose
        )

    @decide
    def settle(self, command: SettleTransfer) -> TransferSettled | None:
        return TransferSettled() if self.status == "ordered" else None

    @decide
    def give_back(self, command: ReturnTransfer) -> TransferReturned | None:
        return TransferReturned(command.reason) if self.status == "ordered" else None

    @decide
    def recall(self, command: RecallPayment) -> PaymentRecalled:
        return PaymentRecalled(payment_key(self.id))

    @decide
    def confirm(self, command: ConfirmPayment) -> PaymentConfirmed:
        return PaymentConfirmed(command.receipt)

    @evolve
    def ordered(self, event: TransferOrdered) -> None:
        self.status, self.bank = "ordered", event.bank

    @evolve
    def settled(self, event: TransferSettled) -> None:
        self.status = "settled"

    @evolve
    def returned(self, event: TransferReturned) -> None:
        self.status, self.reason = "returned", event.reason

    @evolve
    def recalled(self, event: PaymentRecalled) -> None:
        pass

    @evolve
    def confirmed(self, event: PaymentConfirmed) -> None:
        self.receipt = event.receipt


def payment_key(transfer: str) -> str:
    """Return the key that identifies a transfer to the partner bank: the key of its effect step."""
    return f"bank.payment/{transfer}/pay/0"


def _if_ours(recorded: RecordedEvent[TransferOrdered]) -> str | None:
    return None if recorded.event.bank else recorded.stream_id


def _if_abroad(recorded: RecordedEvent[TransferOrdered]) -> str | None:
    return recorded.stream_id if recorded.event.bank else None


class _Moving(Saga):
    """The common part of both sagas: the source's side, and the record of the result."""

    source: str = ""
    target: str = ""
    amount: int = 0
    bank: str = ""
    purpose: str = ""
    ordered_on: date = date.min

    @starts(correlate=lambda recorded: None)
    def ordered(self, event: TransferOrdered) -> None:
        self.source, self.target, self.amount = event.source, event.target, event.amount
        self.bank, self.purpose, self.ordered_on = event.bank, event.purpose, event.ordered_on

    @step
    def accept(self) -> None:
        """Do nothing: as the first step it is undone last, when all the other steps are undone."""

    @accept.undo
    def give_back(self) -> ReturnTransfer:
        return ReturnTransfer(self.id, self.reason)

    @step
    def debit(self) -> Debit:
        return Debit(self.source, self.amount, self.ordered_on, "transfer_out", self.purpose, self.bank, self.target)

    @debit.undo
    def refund(self) -> Credit:
        return Credit(self.source, self.amount, self.ordered_on, "transfer_in", "refund", self.bank, self.target)


class Transfer(_Moving):
    """A transfer between two accounts of this bank; after the credit it cannot be undone."""

    saga_type = "bank.internal-transfer"

    @starts(correlate=_if_ours)
    def ordered(self, event: TransferOrdered) -> None:
        _Moving.ordered(self, event)

    @step(pivot=True, undo=None)
    def credit(self) -> Credit:
        return Credit(self.target, self.amount, self.ordered_on, "transfer_in", self.purpose, "", self.source)

    @step
    def settle(self) -> SettleTransfer:
        return SettleTransfer(self.id)


def payments_through(partner: Partner, *, retry: Retry = PARTNER_RETRY) -> tuple[type[Saga], Callable[..., Any]]:
    """Return the saga that pays through a partner bank, and the reaction that recalls payments with unknown outcome.

    If the partner refuses, nothing arrived and the debit is given back. If it never answers, the outcome is unknown:
    the payment is recalled, which works whether the partner has it, does not have it, or gets it later.
    """

    class Payment(_Moving):
        """A transfer to an account of a partner bank."""

        saga_type = "bank.payment"

        @starts(correlate=_if_abroad)
        def ordered(self, event: TransferOrdered) -> None:
            _Moving.ordered(self, event)

        @step(retry=retry)
        async def pay(self, key: IdempotencyKey) -> None:
            await partner.pay(key, f"{self.bank}/{self.target}", self.amount)

        @pay.undo
        def recall(self) -> RecallPayment:
            return RecallPayment(self.id)

        @step
        def settle(self) -> SettleTransfer:
            return SettleTransfer(self.id)

    @react(on_replay="run", name="bank.recalls")
    async def recall(event: PaymentRecalled) -> None:
        await partner.recall(event.payment)

    return Payment, recall
