"""A process that does a bit of everything on one SQLite file until it is killed.

`python mixed_load.py <folder> <first>`: commands, durable commands with and without a time, sagas that complete, that
undo and that time out, a table projection, a reaction that sends commands, an outlet, snapshots, and room for few live
actors. Work is numbered from `first` on; the number decides what it is, and every event that comes of it carries `tag`,
the name of that work. Each acknowledgement is written to standard output at once: `<tag> <position>`.
"""

import asyncio
import itertools
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import structlog

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from actorium import (
    Ack,
    Aggregate,
    Command,
    Event,
    IdempotencyKey,
    Outlet,
    Passivation,
    Projection,
    Reader,
    RecordedEvent,
    Rejected,
    Runtime,
    Saga,
    Settings,
    Snapshots,
    Transaction,
    decide,
    evolve,
    on,
    query,
    react,
    starts,
    step,
)
from actorium.store.sqlite import SQLiteStore
from actorium.types import CloudEvent

PURSES = 12
CALLERS = 8
KINDS = ("fill", "submit", "later", "move", "refused", "lease", "noted")


class Fill(Command):
    coins: int
    tag: str


class Filled(Event):
    coins: int
    tag: str


class Note(Command):
    tag: str


class Noted(Event):
    tag: str


class Purse(Aggregate):
    """Coins. One whose name ends with _closed takes none."""

    snapshots = Snapshots(every=5)
    coins: int = 0

    @decide
    def fill(self, command: Fill) -> Filled:
        if self.id.endswith("_closed"):
            raise Rejected("closed")
        return Filled(command.coins, command.tag)

    @evolve
    def filled(self, event: Filled) -> None:
        self.coins += event.coins


class Notes(Aggregate):
    """What the reaction was told."""

    count: int = 0

    @decide
    def note(self, command: Note) -> Noted:
        return Noted(command.tag)

    @evolve
    def noted(self, event: Noted) -> None:
        self.count += 1


class Ask(Command):
    kind: str
    source: str
    target: str
    tag: str


class Asked(Event):
    kind: str
    source: str
    target: str
    tag: str


class Returned(Event):
    """A lease is over in time."""

    tag: str


class Return(Command):
    tag: str


class Desk(Aggregate):
    """Where sagas are asked for."""

    count: int = 0

    @decide
    def ask(self, command: Ask) -> Asked:
        return Asked(command.kind, command.source, command.target, command.tag)

    @decide
    def give_back(self, command: Return) -> Returned:
        return Returned(command.tag)

    @evolve
    def asked(self, event: Asked) -> None:
        self.count += 1

    @evolve
    def returned(self, event: Returned) -> None:
        self.count += 1


def _moves(recorded: RecordedEvent[Asked]) -> str | None:
    return recorded.event.tag if recorded.event.kind in ("move", "refused") else None


def _leases(recorded: RecordedEvent[Asked]) -> str | None:
    return recorded.event.tag if recorded.event.kind == "lease" else None


class Move(Saga):
    """A coin from one purse to another, or back where the other takes none."""

    source: str = ""
    target: str = ""
    tag: str = ""

    @starts(correlate=_moves)
    def asked(self, event: Asked) -> None:
        self.source, self.target, self.tag = event.source, event.target, event.tag

    @step
    def take(self) -> Fill:
        return Fill(self.source, -1, self.tag)

    @take.undo
    def put_back(self) -> Fill:
        return Fill(self.source, 1, self.tag)

    @step
    def put(self) -> Fill:
        return Fill(self.target, 1, self.tag)


class Lease(Saga):
    """A coin out of a purse until it is given back, which ends it; after a while it comes back by undo."""

    source: str = ""
    tag: str = ""

    @starts(correlate=_leases)
    def asked(self, event: Asked) -> None:
        self.source, self.tag = event.source, event.tag

    @step
    def take(self) -> Fill:
        return Fill(self.source, -1, self.tag)

    @take.undo
    def put_back(self) -> Fill:
        return Fill(self.source, 1, self.tag)

    @step(until=Returned, correlate="tag", timeout_s=0.3, undo=None)
    def wait(self) -> None: ...


class Coins(Projection):
    """One row per purse."""

    schema = "CREATE TABLE coins (purse TEXT PRIMARY KEY, coins INTEGER NOT NULL, events INTEGER NOT NULL)"

    @on
    def filled(self, event: Filled, recorded: RecordedEvent[Event], tx: Transaction) -> None:
        tx.execute(
            "INSERT INTO coins VALUES (?, ?, 1) ON CONFLICT DO UPDATE SET coins = coins + excluded.coins, "
            "events = events + 1",
            recorded.stream_id,
            event.coins,
        )

    @query
    async def all(self, db: Reader) -> list[tuple[Any, ...]]:
        return list(await db.fetch_all("SELECT purse, coins, events FROM coins ORDER BY purse"))


def runtime_on(folder: Path) -> Runtime:
    """Return the runtime, on the log in a folder; what its outlet publishes is in `published` beside it."""
    runtime: Runtime

    @react(on_replay="run", name="notes")
    async def take_note(event: Filled, key: IdempotencyKey) -> None:
        if event.tag.startswith("noted"):
            await runtime.send(Note(f"n{hash_of(event.tag) % 3}", event.tag), command_id=key)

    async def publish(event: CloudEvent) -> None:
        with (folder / "published").open("a", encoding="utf-8") as file:
            file.write(f"{event.id}\n")

    outlet = Outlet("coins", types=[Filled], sink=publish, source="/purses", start="beginning")
    runtime = Runtime(
        [Purse, Notes, Desk, Move, Lease, Coins, take_note, outlet],
        store=SQLiteStore(folder / "purses.db"),
        settings=Settings(passivation=Passivation(max_live=4), poll_s=0.2),
    )
    return runtime


def hash_of(tag: str) -> int:
    """Return a number that stands for a tag in every process."""
    return sum(tag.encode())


async def work(runtime: Runtime, number: int) -> list[tuple[str, Ack]]:
    """Do the work with a number; return the acknowledgements, each with its command's id."""
    kind = KINDS[number % len(KINDS)]
    tag = f"{kind}-{number}"
    purse, other = f"p{number % PURSES}", f"p{number // 7 % PURSES}"
    match kind:
        case "submit" | "later":
            after_s = 0.05 * (number % 5) if kind == "later" else None
            return [(tag, await runtime.submit(Fill(purse, 1, tag), after_s=after_s, command_id=tag))]
        case "move" | "refused":
            target = other if kind == "move" else f"{other}_closed"
            return [(tag, await runtime.send(Ask(f"d{number % 5}", kind, purse, target, tag), command_id=tag))]
        case "lease":
            acks = [(tag, await runtime.send(Ask(f"d{number % 5}", kind, purse, "", tag), command_id=tag))]
            if number % 2:
                back = f"back-{tag}"
                acks.append((back, await runtime.send(Return(f"d{number % 5}", tag), command_id=back)))
            return acks
    return [(tag, await runtime.send(Fill(purse, 1, tag), command_id=tag))]


async def _call(runtime: Runtime, numbers: Iterator[int]) -> None:
    for number in numbers:
        for id, ack in await work(runtime, number):
            os.write(1, f"{id} {ack.position}\n".encode())
        await asyncio.sleep(0.002 * (number % 3))  # so that sagas and submissions get their turns between the kills


async def _main(folder: Path, first: int) -> None:
    async with runtime_on(folder) as runtime:
        numbers = itertools.count(first)
        await asyncio.gather(*(_call(runtime, numbers) for _ in range(CALLERS)))


if __name__ == "__main__":
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    asyncio.run(_main(Path(sys.argv[1]), int(sys.argv[2])))
