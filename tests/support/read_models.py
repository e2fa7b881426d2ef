"""Read models over the tally's events, with a switch that makes their handlers fail."""

from typing import Any, ClassVar

from support.bank import Added, Tally

from actorium import Event, Projection, Reader, RecordedEvent, Runtime, Settings, Transaction, on, query
from actorium.runtime.retry import Retry
from actorium.types import DeadLetter

AT_ONCE = Settings(handler_retry=Retry(attempts=1))
"""No second attempt, so that tests on real files wait for none."""


class Switch:
    """What the handlers of these projections fail at: amounts, in Python or in their SQL."""

    raises: ClassVar[set[int]] = set()
    breaks_sql: ClassVar[set[int]] = set()
    calls: ClassVar[list[int]] = []

    @classmethod
    def off(cls) -> None:
        """Make all handlers succeed."""
        cls.raises.clear()
        cls.breaks_sql.clear()
        cls.calls.clear()


class Totals(Projection):
    """One row per tally."""

    schema = "CREATE TABLE totals (id TEXT PRIMARY KEY, total INTEGER NOT NULL, events INTEGER NOT NULL)"

    @on
    def added(self, event: Added, recorded: RecordedEvent[Event], tx: Transaction) -> None:
        Switch.calls.append(recorded.position)
        tx.execute(
            "INSERT INTO totals VALUES (?, ?, 1) ON CONFLICT (id) DO UPDATE "
            "SET total = totals.total + excluded.total, events = totals.events + 1",
            recorded.stream_id,
            event.amount,
        )
        if event.amount in Switch.raises:
            raise ValueError(f"the handler cannot do {event.amount}")
        if event.amount in Switch.breaks_sql:
            tx.execute("INSERT INTO totals VALUES (?, NULL, NULL)", f"broken {recorded.position}")

    @query
    async def of(self, db: Reader, id: str) -> int:
        row = await db.fetch_one("SELECT total FROM totals WHERE id = ?", id)
        return row[0] if row else 0

    @query
    async def all(self, db: Reader) -> dict[str, tuple[int, int]]:
        return {id: (total, events) for id, total, events in await db.fetch_all("SELECT id, total, events FROM totals")}


class Sums(Projection):
    """The same in memory."""

    totals: dict[str, int] = {}
    events: int = 0

    @on
    def added(self, event: Added, recorded: RecordedEvent[Event]) -> None:
        Switch.calls.append(recorded.position)
        self.events += 1
        if event.amount in Switch.raises:
            raise ValueError(f"the handler cannot do {event.amount}, and has changed something already")
        self.totals[recorded.stream_id] = self.totals.get(recorded.stream_id, 0) + event.amount

    @query
    def of(self, id: str) -> int:
        return self.totals.get(id, 0)

    @query
    def all(self) -> dict[str, int]:
        return self.totals

    @query
    def count(self) -> int:
        return self.events


async def caught_up(runtime: Runtime, *handlers: object) -> None:
    """Return when these have handled all existing events."""
    for handler in handlers:
        await runtime.processors[handler].checkpoint.reached(runtime.statistics().position)


def parked(runtime: Runtime, handler: object) -> list[tuple[str, int]]:
    """The streams and versions of the parked events."""
    letters: list[DeadLetter] = runtime.processors[handler].dead_letters()
    return [(letter.stream.id, letter.version) for letter in letters]


def next_version(base: type[Projection], **attributes: Any) -> type[Any]:
    """A projection of the same name with version 2, and any other changes."""
    return type(base.__name__, (base,), {"version": 2, **attributes})


PARTS = [Tally, Totals, Sums]
