"""Version 1: goods come in."""

from actorium import (
    Aggregate,
    Command,
    Event,
    Projection,
    Reader,
    RecordedEvent,
    Transaction,
    decide,
    evolve,
    on,
    query,
)


class Put(Command):
    amount: int


class Stocked(Event):
    amount: int


class Stock(Aggregate):
    level: int = 0

    @decide
    def put(self, command: Put) -> Stocked:
        return Stocked(command.amount)

    @evolve
    def stocked(self, event: Stocked) -> None:
        self.level += event.amount


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

    @query
    async def total(self, db: Reader) -> int:
        row = await db.fetch_one("SELECT sum(level) FROM levels")
        return int(row[0] or 0) if row else 0


PARTS = [Stock, Levels]
