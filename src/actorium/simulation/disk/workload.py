"""A small application on a recording disk: actors, snapshots, a read model and several concurrent callers."""

from __future__ import annotations

import asyncio
import random
from typing import NamedTuple

from actorium import (
    Ack,
    Aggregate,
    Command,
    Event,
    Projection,
    RecordedEvent,
    Runtime,
    Snapshots,
    Transaction,
    decide,
    evolve,
    on,
)
from actorium.simulation.disk.recording import DiskStep, RecordingDisk
from actorium.simulation.disk.store import SimulatedSqliteStore
from actorium.store.events import EncodedRecord
from actorium.store.source import SeededSource

FILE = "log.db"
_CALLERS = 5
_PURSES = 4
_LIVES = 2
_NOTE_BYTES_MAX = 1_500  # some events fill a page of the database, most share one
_PAGE_EVENTS = 1_000


class Put(Command):
    """Put coins into a purse, in the given number of lots."""

    coins: int
    lots: int = 1
    note: str = ""


class CoinsPut(Event):
    """Coins were put into the purse."""

    coins: int
    note: str


class DiskPurse(Aggregate):
    """A purse and its coins."""

    snapshots = Snapshots(every=5)
    coins: int = 0

    @decide
    def put(self, command: Put) -> list[CoinsPut]:
        return [CoinsPut(command.coins, command.note) for _ in range(command.lots)]

    @evolve
    def coins_put(self, event: CoinsPut) -> None:
        self.coins += event.coins


class Purses(Projection):
    """One row per purse, with the number of coins in it."""

    projection_name = "purses"
    schema = "CREATE TABLE purses (purse TEXT PRIMARY KEY, coins INTEGER NOT NULL) WITHOUT ROWID"

    @on
    def coins_put(self, event: CoinsPut, recorded: RecordedEvent[Event], tx: Transaction) -> None:
        tx.execute(
            "INSERT INTO purses VALUES (?, ?) ON CONFLICT DO UPDATE SET coins = coins + excluded.coins",
            recorded.stream_id,
            event.coins,
        )


class Recording(NamedTuple):
    """The operations on the disk, the acknowledgements in order, and the whole log at the end."""

    steps: list[DiskStep]
    acknowledged: list[Ack]
    log: list[EncodedRecord]


async def record(seed: int, synchronous: str, *, commands: int) -> Recording:
    """Run the application on a new disk, twice: it is stopped halfway and started again."""
    chance, disk = random.Random(seed), RecordingDisk()
    acknowledged: list[Ack] = []
    numbers = iter(range(commands))

    async def call(runtime: Runtime, share: int) -> None:
        for _ in range(share):
            number = next(numbers, None)
            if number is None:
                return
            note = "x" * chance.randrange(_NOTE_BYTES_MAX) if chance.random() < 0.2 else ""
            put = Put(f"purse-{chance.randrange(_PURSES)}", chance.randrange(100), chance.randint(1, 3), note)
            acknowledged.append(await runtime.send(put, command_id=f"c{number}"))
            disk.acknowledged(len(acknowledged))

    for life in range(1, _LIVES + 1):
        store = SimulatedSqliteStore(disk, FILE, synchronous)
        async with Runtime([DiskPurse, Purses], store=store, source=SeededSource(seed * _LIVES + life)) as runtime:
            share = -(-commands // (_CALLERS * _LIVES))
            await asyncio.gather(*(call(runtime, share) for _ in range(_CALLERS)))
            log: list[EncodedRecord] = []
            while page := await store.read_log(len(log), _PAGE_EVENTS):
                log += page
    return Recording(disk.steps, acknowledged, log)
