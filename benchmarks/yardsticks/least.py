"""The minimal work of a Python process for one durable event: a bound that a runtime can approach but hardly exceed.

A table of aggregates, each with a mailbox while commands wait for it. The caller makes a command; the aggregate decides
it, which checks it and may refuse it, and evolves. The event is stored as JSON with metadata of two ids, that of the
command and that of its flow. One callback of the loop decides all that wait, a separate thread writes the result in one
transaction, and one wake-up per batch answers all callers.

There is no check of the fields, no recovery, no subscription, no detection of duplicate commands, no timeout, no limit
and no passivation.
"""

from __future__ import annotations

import asyncio
import random
import sqlite3
import time
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import msgspec

from actorium.benchmarks.measuring.load import WARM_UP
from actorium.benchmarks.scenario import DURABLE, YARDSTICK, Bench, Figures, Scenario, StoreName, Wrong

TABLE = """
CREATE TABLE log (
    position INTEGER PRIMARY KEY, stream TEXT NOT NULL, version INTEGER NOT NULL, type TEXT NOT NULL,
    payload BLOB NOT NULL, metadata BLOB NOT NULL, recorded_us INTEGER NOT NULL
);
CREATE UNIQUE INDEX by_stream ON log (stream, version)
"""
INSERT = "INSERT INTO log (stream, version, type, payload, metadata, recorded_us) VALUES (?, ?, ?, ?, ?, ?)"
Row = tuple[str, int, str, bytes, bytes, int]


class Paid(msgspec.Struct, frozen=True, gc=False):
    """The event, as large as in our own runs."""

    account: str
    amount: int
    currency: str = "EUR"
    reference: str = "ref-000000000000000000000000000000000000"
    note: str = "monthly transfer"


class Cause(msgspec.Struct, frozen=True, gc=False):
    """Its metadata."""

    command_id: str
    flow_id: str


class Pay(msgspec.Struct, frozen=True, gc=False):
    """The command."""

    amount: int


class Refusal(Exception):
    """The aggregate refuses a command."""


class Purse:
    """One aggregate; it has a mailbox while commands wait for it."""

    __slots__ = ("balance", "id", "mailbox", "version")

    def __init__(self, id: str) -> None:
        self.id = id
        self.version = self.balance = 0
        self.mailbox: deque[tuple[Pay, asyncio.Future[int]]] | None = None

    def decide(self, command: Pay) -> Paid:
        """Return the event of a command; raise Refusal if its amount is wrong."""
        if command.amount <= 0:
            raise Refusal(f"amount={command.amount}: must be above 0")
        return Paid(self.id, command.amount)

    def evolve(self, event: Paid) -> None:
        """Apply an event."""
        self.balance += event.amount


class Least:
    """The whole process: dispatch, decide, group commit, answer."""

    def __init__(self, db: sqlite3.Connection | None) -> None:
        self.purses: dict[str, Purse] = {}
        self.written: list[Row] = []
        self._db = db
        self._loop = asyncio.get_running_loop()
        self._thread = ThreadPoolExecutor(1)
        self._ready: list[Purse] = []
        self._gathered: list[tuple[asyncio.Future[int], Row]] = []
        self._is_writing = False
        self._commands = 0
        self._encode = msgspec.json.Encoder().encode

    def ask(self, id: str, command: Pay) -> asyncio.Future[int]:
        """Return the future of the version that the command's event has when it is durable; it may raise Refusal."""
        purse = self.purses.get(id)
        if purse is None:
            purse = self.purses[id] = Purse(id)
        answer: asyncio.Future[int] = self._loop.create_future()
        if purse.mailbox is None:
            purse.mailbox = deque()
            if not self._ready:
                self._loop.call_soon(self._decide)
            self._ready.append(purse)
        purse.mailbox.append((command, answer))
        return answer

    def _decide(self) -> None:
        ready, self._ready = self._ready, []
        encode, now_us = self._encode, time.time_ns() // 1_000
        for purse in ready:
            mailbox = purse.mailbox
            while mailbox:
                command, answer = mailbox.popleft()
                try:
                    event = purse.decide(command)
                except Refusal as refusal:
                    answer.set_exception(refusal)
                    continue
                purse.evolve(event)
                purse.version += 1
                self._commands = number = self._commands + 1
                cause = encode(Cause(f"command-{number:024x}", f"flow-{number:027x}"))
                self._gathered.append((answer, (purse.id, purse.version, "Paid", encode(event), cause, now_us)))
            purse.mailbox = None
        if self._gathered and not self._is_writing:
            self._write()

    def _write(self) -> None:
        batch, self._gathered = self._gathered, []
        self._is_writing = True
        rows = [row for _, row in batch]
        if self._db is None:
            self.written += rows
            self._answer(batch)
            return
        written = self._thread.submit(self._commit, rows)
        written.add_done_callback(lambda done: self._loop.call_soon_threadsafe(self._land, done, batch))

    def _commit(self, rows: Sequence[Row]) -> None:
        assert self._db is not None
        self._db.execute("BEGIN IMMEDIATE")
        self._db.executemany(INSERT, rows)
        self._db.execute("COMMIT")

    def _land(self, done: Future[None], batch: Sequence[tuple[asyncio.Future[int], Row]]) -> None:
        failure = done.exception()
        if failure is not None:
            for answer, _ in batch:
                answer.set_exception(failure)
            return
        self._answer(batch)

    def _answer(self, batch: Sequence[tuple[asyncio.Future[int], Row]]) -> None:
        self._is_writing = False
        if self._gathered:
            self._write()  # before the callers wake, so that the disk works meanwhile
        for answer, row in batch:
            if not answer.done():  # its caller may be gone
                answer.set_result(row[1])

    def close(self) -> None:
        """Stop the thread."""
        self._thread.shutdown()


def connect(bench: Bench) -> sqlite3.Connection:
    """Return a connection configured like our own, and record its settings."""
    db = sqlite3.connect(bench.path, isolation_level=None, check_same_thread=False)
    for setting in (
        "journal_mode=WAL",
        f"synchronous={bench.synchronous}",
        "wal_autocheckpoint=2000",
        "cache_size=-65536",
    ):
        db.execute(f"PRAGMA {setting}").fetchall()
    db.executescript(TABLE)
    bench.require_durability(db)
    return db


async def measure(bench: Bench) -> Figures:
    """Return the figures of the same closed loop as in our own runs."""
    db = connect(bench) if bench.is_file else None
    least = Least(db)
    ids = [f"account-{number}" for number in range(bench.count("aggregates"))]
    await asyncio.gather(*(least.ask(id, Pay(1)) for id in ids))
    warmed = await _closed_loop(least, ids, bench, bench.seconds() * WARM_UP)
    with bench.clock() as clock:
        bench.latencies_s = await _closed_loop(least, ids, bench, bench.seconds())
    least.close()
    commands = len(bench.latencies_s)
    in_log = len(least.written)
    if db is not None:
        ((in_log,),) = db.execute("SELECT count(*) FROM log").fetchall()
        db.close()
    if in_log != len(ids) + len(warmed) + commands:
        raise Wrong(f"{len(ids) + len(warmed) + commands} events were acknowledged, {in_log} are in the log")
    return {"commands_per_s": commands / clock.wall_s, "cpu_us_per_command": clock.cpu_s / commands * 1e6}


async def _closed_loop(least: Least, ids: Sequence[str], bench: Bench, seconds: float) -> list[float]:
    latencies_s: list[float] = []
    clock = time.perf_counter
    ends = clock() + seconds

    async def caller(number: int) -> None:
        chance = random.Random(bench.seed * 1_000_003 + number).random
        now = 0.0
        while now < ends:
            began = clock()
            await least.ask(ids[int(chance() * len(ids))], Pay(5))
            now = clock()
            latencies_s.append(now - began)

    await asyncio.gather(*(asyncio.create_task(caller(number)) for number in range(bench.count("callers"))))
    return latencies_s


def _scenario(name: str, work: str, beside: str, callers: int, stores: Sequence[StoreName]) -> Scenario:
    return Scenario(
        name=name,
        question=f"What rate does a minimal Python process reach with {work}, without checks or recovery?",
        headline="commands_per_s",
        measure=measure,
        stores=stores,
        sizes={"callers": callers, "aggregates": 1_000, "seconds": 2.0},
        quick={"callers": callers, "aggregates": 1_000, "seconds": 0.4},
        subject=YARDSTICK,
        quick_stores=("memory", "full"),
        beside=(beside,),
        label="a minimal Python process",
        also="CPU {cpu_us_per_command} µs per command",
    )


SCENARIOS = (
    _scenario("least-one-caller", "one caller", "one-caller", 1, ("memory", *DURABLE)),
    _scenario("least-100-callers", "100 callers", "100-callers", 100, ("memory", *DURABLE)),
)
