"""`Balances` and `Turnover`: the bank's read models, tables beside the log."""

from __future__ import annotations

from datetime import date

import msgspec

from actorium import Event, Projection, Reader, RecordedEvent, Transaction, on, query
from actorium.corrections import KeyColumn
from actorium.examples.bank.domain import AccountOpened, BookingCorrected, Credited, Debited


class Balances(Projection):
    """The balance of each account, in hellers."""

    projection_name = "bank_balances"
    version = 2
    schema = "CREATE TABLE balances (account TEXT PRIMARY KEY, balance INTEGER NOT NULL)"
    key = KeyColumn("account", of=lambda recorded: recorded.stream_id)

    @on
    def opened(self, event: AccountOpened, recorded: RecordedEvent[Event], tx: Transaction) -> None:
        tx.execute("INSERT INTO balances VALUES (?, 0)", recorded.stream_id)

    @on
    def credited(self, event: Credited, recorded: RecordedEvent[Event], tx: Transaction) -> None:
        tx.execute("UPDATE balances SET balance = balance + ? WHERE account = ?", event.amount, recorded.stream_id)

    @on
    def debited(self, event: Debited, recorded: RecordedEvent[Event], tx: Transaction) -> None:
        tx.execute("UPDATE balances SET balance = balance - ? WHERE account = ?", event.amount, recorded.stream_id)

    @on
    def corrected(self, event: BookingCorrected, recorded: RecordedEvent[Event], tx: Transaction) -> None:
        difference = event.difference if event.is_credit else -event.difference
        tx.execute("UPDATE balances SET balance = balance + ? WHERE account = ?", difference, recorded.stream_id)

    @query
    async def of(self, db: Reader, account: str) -> int | None:
        """Return the balance of an account, None if there is no such account."""
        row = await db.fetch_one("SELECT balance FROM balances WHERE account = ?", account)
        return row[0] if row else None

    @query
    async def total(self, db: Reader) -> int:
        """Return the sum of all balances."""
        row = await db.fetch_one("SELECT coalesce(sum(balance), 0) FROM balances")
        return int(row[0]) if row else 0


class TurnoverLine(msgspec.Struct, frozen=True):
    """The amounts booked in and out for one purpose, in hellers; `purpose` is empty if the bank gave none."""

    purpose: str
    credits: int
    debits: int


class Turnover(Projection):
    """The amounts booked in each month, by purpose; a month is written as 1993-01."""

    projection_name = "bank_turnover"
    version = 2
    schema = """
        CREATE TABLE turnover (
            month TEXT, purpose TEXT, credits INTEGER NOT NULL, debits INTEGER NOT NULL, PRIMARY KEY (month, purpose)
        )
    """
    key = KeyColumn("month", of=lambda recorded: month_of(recorded.event.booked_on))

    @on
    def credited(self, event: Credited, recorded: RecordedEvent[Event], tx: Transaction) -> None:
        tx.execute(
            "INSERT INTO turnover VALUES (?, ?, ?, 0) "
            "ON CONFLICT (month, purpose) DO UPDATE SET credits = turnover.credits + excluded.credits",
            month_of(event.booked_on),
            event.purpose,
            event.amount,
        )

    @on
    def debited(self, event: Debited, recorded: RecordedEvent[Event], tx: Transaction) -> None:
        tx.execute(
            "INSERT INTO turnover VALUES (?, ?, 0, ?) "
            "ON CONFLICT (month, purpose) DO UPDATE SET debits = turnover.debits + excluded.debits",
            month_of(event.booked_on),
            event.purpose,
            event.amount,
        )

    @on
    def corrected(self, event: BookingCorrected, recorded: RecordedEvent[Event], tx: Transaction) -> None:
        credits, debits = (event.difference, 0) if event.is_credit else (0, event.difference)
        tx.execute(
            "UPDATE turnover SET credits = credits + ?, debits = debits + ? WHERE month = ? AND purpose = ?",
            credits,
            debits,
            month_of(event.booked_on),
            event.purpose,
        )

    @query
    async def months(self, db: Reader) -> list[str]:
        """Return the months with bookings, in order."""
        return [month for (month,) in await db.fetch_all("SELECT DISTINCT month FROM turnover ORDER BY month")]

    @query
    async def of(self, db: Reader, month: str) -> list[TurnoverLine]:
        """Return the lines of a month, by purpose; none for a month without bookings."""
        rows = await db.fetch_all(
            "SELECT purpose, credits, debits FROM turnover WHERE month = ? ORDER BY purpose", month
        )
        return [TurnoverLine(*row) for row in rows]


def month_of(day: date) -> str:
    """Return the month of a day: `1993-01`."""
    return f"{day:%Y-%m}"
