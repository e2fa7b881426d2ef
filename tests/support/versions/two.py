"""Version 2: goods also go out, and may have a note; the same follower of the log handles the new events."""

from typing import Any

from actorium import (
    Aggregate,
    Command,
    Event,
    Projection,
    Reader,
    RecordedEvent,
    Rejected,
    Transaction,
    decide,
    evolve,
    on,
    query,
    upcast,
)


class Put(Command):
    amount: int
    note: str = ""


class Take(Command):
    amount: int


class Stocked(Event):
    schema_version = 2

    amount: int
    note: str

    @upcast(1)
    def without_note(old: dict[str, Any]) -> dict[str, Any]:
        return {**old, "note": ""}


class Taken(Event):
    amount: int


class Stock(Aggregate):
    level: int = 0
    notes: int = 0

    @decide
    def put(self, command: Put) -> Stocked:
        return Stocked(command.amount, command.note)

    @decide
    def take(self, command: Take) -> Taken:
        if command.amount > self.level:
            raise Rejected("not enough", level=self.level)
        return Taken(command.amount)

    @evolve
    def stocked(self, event: Stocked) -> None:
        self.level += event.amount
        self.notes += bool(event.note)

    @evolve
    def taken(self, event: Taken) -> None:
        self.level -= event.amount


class Levels(Projection):
    """The levels as a table."""

    schema = "CREATE TABLE levels (id TEXT PRIMARY KEY, level INTEGER NOT NULL)"

    @on
    def stocked(self, event: Stocked, recorded: RecordedEvent[Event], tx: Transaction) -> None:
        tx.execute(
            "INSERT INTO levels VALUES (?, ?) ON CONFLICT (id) DO UPDATE SET level = levels.level + excluded.level",
            recorded.stream_id,
            event.amount,
        )

    @on
    def taken(self, event: Taken, recorded: RecordedEvent[Event], tx: Transaction) -> None:
        tx.execute("UPDATE levels SET level = level - ? WHERE id = ?", event.amount, recorded.stream_id)

    @query
    async def total(self, db: Reader) -> int:
        row = await db.fetch_one("SELECT sum(level) FROM levels")
        return int(row[0] or 0) if row else 0


PARTS = [Stock, Levels]
