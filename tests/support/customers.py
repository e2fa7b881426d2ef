"""Customers with personal data, and everything that a runtime keeps of them: snapshots, sagas, dead letters, rows."""

from __future__ import annotations

from pathlib import Path

from actorium import (
    Aggregate,
    Command,
    Event,
    Key,
    Outlet,
    Projection,
    Reader,
    RecordedEvent,
    Saga,
    Snapshots,
    Table,
    Transaction,
    create,
    decide,
    evolve,
    on,
    query,
    starts,
    step,
)
from actorium.personal import Personal, SubjectForgotten, personal
from actorium.types import CloudEvent


class Register(Command):
    name: Personal[str]
    email: Personal[str] | None = None


class Rename(Command):
    name: Personal[str]


class Registered(Event):
    name: Personal[str]
    email: Personal[str] | None = None


class Renamed(Event):
    name: Personal[str]


class Customer(Aggregate):
    snapshots = Snapshots(every=2)

    name: Personal[str] | None = None
    email: Personal[str] | None = None
    names: tuple[Personal[str], ...] = ()

    @create
    def register(self, command: Register) -> Registered:
        return Registered(command.name, command.email)

    @decide
    def rename(self, command: Rename) -> Renamed | None:
        if self.name is not None and command.name.value == self.name.value:
            return None
        return Renamed(personal(command.name.value.strip()))

    @evolve
    def registered(self, event: Registered) -> None:
        self.name, self.email, self.names = event.name, event.email, (event.name,)

    @evolve
    def renamed(self, event: Renamed) -> None:
        self.name, self.names = event.name, (*self.names, event.name)


class WriteLetter(Command):
    subject_field = "customer"

    customer: str
    salutation: Personal[str]


class LetterWritten(Event):
    subject_field = "customer"

    customer: str
    salutation: Personal[str]
    copy: Personal[str]


class Letterbox(Aggregate):
    letters: int = 0

    @decide
    def write(self, command: WriteLetter) -> LetterWritten:
        return LetterWritten(command.customer, command.salutation, personal(f"Dear {command.salutation.value}"))

    @evolve
    def written(self, event: LetterWritten) -> None:
        self.letters += 1


class Welcome(Saga):
    """Writes a letter to each new customer."""

    begins_at = "beginning"

    customer: str = ""
    name: Personal[str] | None = None

    @starts(correlate=lambda recorded: f"welcome {recorded.stream_id}")
    def begin(self, event: Registered, recorded: RecordedEvent[Event]) -> None:
        self.customer, self.name = recorded.stream_id, event.name

    @step
    def write(self) -> WriteLetter:
        assert self.name is not None
        return WriteLetter("office", self.customer, self.name)


class CustomerName(Table):
    customer: Key[str]
    name: Personal[str]


class Names(Projection):
    """Keeps names as they are in the events: encrypted."""

    tables = (CustomerName,)

    @on
    def registered(self, event: Registered, recorded: RecordedEvent[Event], tx: Transaction) -> None:
        tx.put(CustomerName(recorded.stream_id, event.name))

    @query
    async def all(self, db: Reader) -> dict[str, str]:
        return {row.customer: row.name.value for row in await db.rows(CustomerName)}


class PlainName(Table):
    customer: Key[str]
    name: str


class PlainNames(Projection):
    """Keeps names in plain text, and deletes those of forgotten customers."""

    tables = (PlainName,)

    @on
    def registered(self, event: Registered, recorded: RecordedEvent[Event], tx: Transaction) -> None:
        tx.put(PlainName(recorded.stream_id, event.name.value))

    @on
    def forgotten(self, event: SubjectForgotten, tx: Transaction) -> None:
        tx.delete(PlainName, event.subject)

    @query
    async def all(self, db: Reader) -> dict[str, str]:
        return {row.customer: row.name for row in await db.rows(PlainName)}


class Careless(Projection):
    """Fails with the name in its error message."""

    refused: int = 0

    @on
    def registered(self, event: Registered) -> None:
        raise ValueError(f"{event.name.value} is not welcome, nor is {event.name!r}")


def newsletter(path: Path) -> Outlet:
    """Return an outlet that appends what it publishes to a file."""

    async def publish(event: CloudEvent) -> None:
        with path.open("ab") as file:
            file.write(event.as_json() + b"\n")

    return Outlet(
        "newsletter", types=[Registered, Renamed, LetterWritten], sink=publish, source="/shop", start="beginning"
    )
