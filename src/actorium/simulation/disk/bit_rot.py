"""Bit rot: flip single bits in a log's file and record the results of reads, part by part.

The file is real and is read by the store that ships. Each read is compared with what was written: it returns the same
data, or raises an error of the store, or is wrong.
"""

from __future__ import annotations

import contextlib
import os
import random
import sqlite3
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Literal

import msgspec

from actorium.store.errors import ActoriumError
from actorium.store.event_store import (
    Append,
    AppendBatch,
    CommandMark,
    DeadLetter,
    EventStore,
    SaveCheckpoint,
    Snapshot,
    StreamRead,
)
from actorium.store.events import EncodedEvent
from actorium.store.names import StreamName
from actorium.store.sqlite.adapter import SQLiteLog
from actorium.store.sqlite.file import DatabaseFile
from actorium.store.sqlite.settings import SQLiteSettings

_STREAMS = [StreamName("Account", f"account-{number}") for number in range(12)]
_ROUNDS = 12
_SNAPSHOT_EVERY = 5
_RUN_EVENTS = 50
_FINGERPRINT = "5f1d3a0c"
_COMMANDS = [f"command-{number}" for number in range(_ROUNDS * len(_STREAMS))]
_PROCESSORS = ["projection balances version 1", "reaction mail", "subscription web"]
_EVERYTHING = 1_000_000

Ending = Literal["close", "kill"]
Reading = Callable[[EventStore], Awaitable[Any]]


class Part(msgspec.Struct):
    """How often a read of one part of the file was right, raised an error, or was wrong.

    `hidden`: how many of the wrong reads `actorium check --deep` does not detect either.
    """

    right: int = 0
    refused: int = 0
    wrong: int = 0
    hidden: int = 0


async def write_log(path: Path) -> SQLiteLog:
    """Write a log with data in each of its parts; return the open store."""
    store = _store(path, verify_mb=64)
    await store.open()
    table = "CREATE TABLE balances (account TEXT PRIMARY KEY, balance INTEGER NOT NULL)"
    await store.save([SaveCheckpoint(_PROCESSORS[0], 0, [(table, ())])])
    position = 0
    for turn in range(_ROUNDS):
        appends, statements = [], []
        for number, stream in enumerate(_STREAMS):
            command_id = _COMMANDS[turn * len(_STREAMS) + number]
            payload = b'{"amount":%d,"note":"%s"}' % (100 * turn + number, b"x" * (number * 7))
            metadata = b'{"command_id":"%s"}' % command_id.encode()
            event = EncodedEvent("Deposited" if turn % 3 else "Withdrawn", 1 + turn % 2, payload, metadata)
            appends.append(Append(stream, turn, (event,), CommandMark(command_id, 1_000_000 + turn)))
            statements.append(("INSERT OR REPLACE INTO balances VALUES (?, ?)", (stream.id, 100 * turn)))
        snapshots = []
        if turn % _SNAPSHOT_EVERY == 0:
            snapshots = [Snapshot(stream, turn + 1, _FINGERPRINT, b'{"balance":%d}' % turn) for stream in _STREAMS]
        position += len(appends)
        letter = DeadLetter(
            _PROCESSORS[1], _STREAMS[turn], turn + 1, position, "Deposited", "ValueError: no", "Traceback", 3, 1_000
        )
        checkpoints = [
            SaveCheckpoint(_PROCESSORS[0], position, statements),
            SaveCheckpoint(_PROCESSORS[1], position, parked=[letter]),
            SaveCheckpoint(_PROCESSORS[2], position - 1),
        ]
        await store.append(AppendBatch(1_000 + turn, appends, snapshots))
        await store.save(checkpoints)
    return store


def _store(path: Path, verify_mb: int) -> SQLiteLog:
    """Return the store that ships, on a small file; it merges some of its events into the index of streams."""
    settings = SQLiteSettings("FULL", 8, 2_000, busy_timeout_s=5.0, verify_mb=verify_mb)
    return SQLiteLog(DatabaseFile(path), settings, run_events=_RUN_EVENTS)


async def _states(store: EventStore) -> Any:
    """Return the hydrated states of the streams: the snapshot may be missing, because the events rebuild the state."""
    pages = await store.read_streams([StreamRead(name, 0, _EVERYTHING, _FINGERPRINT) for name in _STREAMS])
    full = await store.read_streams([StreamRead(name, 0, _EVERYTHING) for name in _STREAMS])
    return [
        None if page == other or (page.snapshot and page.events == other.events[page.snapshot.version :]) else page
        for page, other in zip(pages, full, strict=True)
    ]


async def _next_commit(store: EventStore) -> list[str]:
    """Commit a new command and one that took effect long ago: the first is accepted, the second recognized."""
    event = EncodedEvent("Deposited", 1, b"{}", b"{}")
    new = Append(_STREAMS[0], _ROUNDS, (event,), CommandMark("new", 7))
    old = Append(_STREAMS[1], _ROUNDS, (event,), CommandMark(_COMMANDS[1], 1_000_000))
    return [str(outcome) for outcome in (await store.append(AppendBatch(2_000, [new, old]))).outcomes]


async def _each(read: Callable[[str], Awaitable[Any]], names: list[str]) -> list[Any]:
    return [await read(name) for name in names]


IN_ORDER = "the log, in order"

READINGS: dict[str, Reading] = {
    IN_ORDER: lambda store: store.read_log(0, _EVERYTHING),
    "each stream": lambda store: store.read_streams([StreamRead(name, 0, _EVERYTHING) for name in _STREAMS]),
    "snapshots": _states,
    "commands": lambda store: _each(lambda id: store.find_commands([id]), _COMMANDS),
    "checkpoints": lambda store: _each(store.load_checkpoint, _PROCESSORS),
    "dead letters": lambda store: store.dead_letters(_PROCESSORS[1]),
    "event types": lambda store: store.event_types(),
    "projection tables": lambda store: store.query("SELECT * FROM balances ORDER BY account", ()),
    "the next commit": _next_commit,  # last: it changes the file
}


class BitRot:
    """Flips bits of a file in a folder and reads it; `parts` counts the results.

    after: how the process that wrote the file ended.
    verify_mb: the option of the store (see `SQLiteStore`).
    """

    def __init__(self, folder: Path, *, seed: int, after: Ending = "close", verify_mb: int = 64) -> None:
        self._path = folder / "log.db"
        self._after = after
        self._verify_mb = verify_mb
        self._chance = random.Random(seed)
        self._intact: dict[Path, bytes] = {}
        self._written_ns = 0
        self._expected: dict[str, Any] = {}
        self.parts = {name: Part() for name in READINGS}
        self.examples: list[str] = []

    async def prepare(self) -> int:
        """Write the file and read it; return its size in bytes."""
        store = await write_log(self._path)
        if self._after == "close":
            await store.close()
            self._intact = {path: path.read_bytes() for path in self._path.parent.iterdir()}
        else:
            with contextlib.closing(sqlite3.connect(self._path)) as db:
                db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            self._intact = {self._path: self._path.read_bytes()}
            await store.close()
            self._restore(self._intact[self._path])
        self._written_ns = self._path.stat().st_mtime_ns
        self._expected, damage = await self._read()
        assert not damage
        return len(self._intact[self._path])

    async def flip_one(self) -> None:
        """Flip one bit of the intact file and read everything."""
        bit = self._chance.randrange(8 * len(self._intact[self._path]))
        rotten = bytearray(self._intact[self._path])
        rotten[bit // 8] ^= 1 << bit % 8
        self._restore(rotten)
        os.utime(
            self._path, ns=(self._written_ns, self._written_ns)
        )  # a flipped bit does not change the modification time
        found, is_found_by_a_check = await self._read()
        for name, part in self.parts.items():
            if isinstance(found[name], ActoriumError):
                part.refused += 1
            elif found[name] == self._expected[name]:
                part.right += 1
            else:
                part.wrong += 1
                part.hidden += not is_found_by_a_check
                self.examples.append(f"bit {bit}: {name}{'' if is_found_by_a_check else ', not found by any check'}")

    def _restore(self, content: bytes | bytearray) -> None:
        """Write the intact files, with this content as that of the database."""
        for left in self._path.parent.iterdir():
            left.unlink()  # a write-ahead log left over from the previous flip belongs to that file
        for path, intact in self._intact.items():
            path.write_bytes(intact)
        self._path.write_bytes(content)

    async def _read(self) -> tuple[dict[str, Any], bool]:
        """Return the result of each read, or its error, and whether a deep check finds damage."""
        store = _store(self._path, self._verify_mb)
        try:
            await store.open()
        except ActoriumError as error:
            return dict.fromkeys(READINGS, error), True
        found = {}
        try:
            damage = await store.damage()
            for name, reading in READINGS.items():
                try:
                    found[name] = await reading(store)
                except ActoriumError as error:
                    found[name] = error
            return found, isinstance(found[IN_ORDER], ActoriumError) or bool(damage)
        finally:
            await store.close()
