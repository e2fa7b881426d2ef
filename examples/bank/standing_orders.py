"""Standing orders: paid each month by durable timers, even if the process is killed in between.

No loop looks for due payments: each payment sets the timer of the next one. `carry_on` does so at least once, and its
command ids make each timer, each month and each transfer unique.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, time
from typing import Any

from actorium import Aggregate, Command, Event, RecordedEvent, Rejected, Retry, Runtime, create, decide, evolve, react
from actorium.examples.bank.domain import Account
from actorium.examples.bank.partner import PartnerBank
from actorium.examples.bank.transfers import (
    PARTNER_RETRY,
    ConfirmPayment,
    OrderTransfer,
    Transfer,
    TransferOrder,
    payments_through,
)
from actorium.store.event_store import EventStore
from actorium.store.source import Source, SystemSource

_SIDE_BY_SIDE = 200


class RegisterStandingOrder(Command):
    """Pay the same amount on the first of each month; `to` is the order's id."""

    account: str
    bank: str
    target: str
    amount: int
    purpose: str
    begins_on: date


class PayStandingOrder(Command):
    """Make the payment that is due on the first of a month."""

    month: date


class CancelStandingOrder(Command):
    """Make no more payments."""


class StandingOrderRegistered(Event):
    """A standing order was registered."""

    event_type = "bank.standing-order-registered"

    account: str
    bank: str
    target: str
    amount: int
    purpose: str
    begins_on: date


class StandingOrderDue(Event):
    """A month's payment is due."""

    event_type = "bank.standing-order-due"

    month: date
    account: str
    bank: str
    target: str
    amount: int
    purpose: str


class StandingOrderCancelled(Event):
    """A standing order was cancelled."""

    event_type = "bank.standing-order-cancelled"


class StandingOrder(Aggregate):
    """A customer's standing order; `paid_to` is the last month it was paid for."""

    stream_type = "bank.standing-order"

    terms: StandingOrderRegistered | None = None
    paid_to: date = date.min
    is_cancelled: bool = False

    @create
    def register(self, command: RegisterStandingOrder) -> StandingOrderRegistered:
        if command.amount <= 0:
            raise Rejected("an amount must be more than 0 hellers", amount=command.amount)
        if command.begins_on.day != 1:
            raise Rejected("a standing order must begin on the first of a month", begins_on=command.begins_on)
        return StandingOrderRegistered(
            command.account, command.bank, command.target, command.amount, command.purpose, command.begins_on
        )

    @decide
    def pay(self, command: PayStandingOrder) -> StandingOrderDue | None:
        terms = self.terms
        if terms is None or self.is_cancelled or command.month <= self.paid_to:
            return None
        return StandingOrderDue(command.month, terms.account, terms.bank, terms.target, terms.amount, terms.purpose)

    @decide
    def cancel(self, command: CancelStandingOrder) -> StandingOrderCancelled | None:
        return None if self.is_cancelled else StandingOrderCancelled()

    @evolve
    def registered(self, event: StandingOrderRegistered) -> None:
        self.terms = event

    @evolve
    def due(self, event: StandingOrderDue) -> None:
        self.paid_to = event.month

    @evolve
    def cancelled(self, event: StandingOrderCancelled) -> None:
        self.is_cancelled = True


class BeginMonth(Command):
    """Start a month."""

    month: date


class MonthBegan(Event):
    """A month started."""

    event_type = "bank.month-began"

    month: date


class Calendar(Aggregate):
    """The bank's calendar, which records the months in the log."""

    stream_type = "bank.calendar"

    month: date = date.min

    @decide
    def begin(self, command: BeginMonth) -> MonthBegan | None:
        return MonthBegan(command.month) if command.month > self.month else None

    @evolve
    def began(self, event: MonthBegan) -> None:
        self.month = event.month


class Clock(SystemSource):
    """The wall clock of a simulated bank, which is set by `put_to`. Ids and random numbers are the system's."""

    time_us = 0

    def now_us(self) -> int:
        return self.time_us

    def put_to(self, day: date) -> None:
        """Set it to the first minute of a day."""
        self.time_us = round(_midnight(day).timestamp() * 1_000_000)


def first_of_next_month(month: date) -> date:
    """Return the first day of the month after one."""
    return date(month.year + month.month // 12, month.month % 12 + 1, 1)


def transfer_id(order: str, month: date) -> str:
    """Return the id of the transfer that pays an order for a month."""
    return f"{order}@{month:%Y-%m}"


def standing_orders_bank(
    store: str | EventStore, partner: PartnerBank, *, source: Source | None = None, retry: Retry = PARTNER_RETRY
) -> Runtime:
    """Return a bank that pays standing orders through a partner bank, not started yet."""

    async def confirm(key: str, receipt: str) -> None:
        # The key contains the transfer: <saga type>/<transfer>/<step>/<index>. A second confirmation has the same id.
        await runtime.send(ConfirmPayment(key.split("/")[1], receipt), command_id=f"confirmation of {key}")

    partner.confirm = confirm
    payment, recall = payments_through(partner, retry=retry)
    carry_on = _carry_on(lambda: runtime)
    runtime = Runtime(
        [Account, TransferOrder, StandingOrder, Calendar, Transfer, payment, recall, carry_on],
        store=store,
        source=source,
    )
    return runtime


def _carry_on(runtime: Callable[[], Runtime]) -> Callable[..., Any]:
    @react(on_replay="run", name="bank.standing-orders", concurrency=_SIDE_BY_SIDE)
    async def carry_on(
        event: StandingOrderRegistered | StandingOrderDue, recorded: RecordedEvent[StandingOrderDue]
    ) -> None:
        order = recorded.stream_id
        if isinstance(event, StandingOrderRegistered):
            month = event.begins_on
        else:
            transfer = transfer_id(order, event.month)
            await runtime().send(
                OrderTransfer(
                    transfer, event.account, event.target, event.amount, event.month, event.bank, event.purpose
                ),
                command_id=f"standing order {transfer}",
                correlation_id=recorded.metadata.flow_id,
            )
            month = first_of_next_month(event.month)
        await runtime().submit(
            PayStandingOrder(order, month), at=_midnight(month), command_id=f"timer {transfer_id(order, month)}"
        )

    return carry_on


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)
