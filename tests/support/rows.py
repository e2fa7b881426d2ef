"""A domain whose events say how a row is written, and a projection in rows over it."""

from typing import Any

from actorium import (
    Aggregate,
    Command,
    Event,
    Key,
    Projection,
    Reader,
    RecordedEvent,
    Table,
    Transaction,
    decide,
    evolve,
    on,
    query,
)


class Set(Command):
    amount: int
    how: str = "add"
    key: str = "same"


class WasSet(Event):
    amount: int
    how: str
    key: str


class Thing(Aggregate):
    count: int = 0

    @decide
    def set(self, command: Set) -> WasSet:
        return WasSet(command.amount, command.how, command.key)

    @evolve
    def was_set(self, event: WasSet) -> None:
        self.count += 1


class Total(Table):
    thing: Key[str]
    amount: int = 0
    changes: int = 0


class Totals(Projection):
    tables = (Total,)

    @on
    def was_set(self, event: WasSet, recorded: RecordedEvent[Event], tx: Transaction) -> None:
        key = recorded.stream_id if event.key == "same" else event.key
        if event.how == "add":
            tx.add(Total(key, event.amount, 1))
        elif event.how == "put":
            tx.put(Total(key, event.amount))
        else:
            tx.delete(Total, key)

    @query
    async def of(self, db: Reader, thing: str) -> int | None:
        row = await db.get(Total, thing)
        return None if row is None else row.amount

    @query
    async def all(self, db: Reader) -> list[Total]:
        return await db.rows(Total)

    @query
    async def by_sql(self, db: Reader) -> list[tuple[Any, ...]]:
        return await db.fetch_all("SELECT thing, amount FROM total ORDER BY amount DESC")


class Seen(Table):
    """A table with nothing but its key is a set."""

    name: Key[str]
