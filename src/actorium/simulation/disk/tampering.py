"""Tampering: change a log's file as somebody would who knows its format, and record what `verify` finds.

The file is real, and the store that ships reads it. Whoever changes it corrects the checksums, and often the stored
chain too. The head and the key with which it was signed are out of reach.
"""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from itertools import count
from pathlib import Path

import msgspec

from actorium.store.chain import CHAIN, HashChain, kept_link
from actorium.store.errors import DamagedLog
from actorium.store.event_store import Append, AppendBatch, EventStore, SaveCheckpoint
from actorium.store.events import EncodedEvent, EncodedRecord, checksum, kind_checksum
from actorium.store.names import StreamName
from actorium.store.urls import file_store
from actorium.verification import LogHead, Verification, head_of, verify
from actorium.verification.signatures import new_key, require_signature, signed

_COMMITS = 110
_STREAMS = 13
_EVENTS_MAX = 13  # of a commit
_REMOVED_MAX = 5
_EVERYTHING = 1_000_000
_CARELESS = 4  # one change in so many leaves the checksum as it was
_LAST_BIT = 62  # of a positive number in SQLite

Records = list[EncodedRecord]


class ChangeCount(msgspec.Struct):
    """How often a kind of change was made and found.

    placed: how often the change was between the positions that were reported.
    """

    made: int = 0
    found: int = 0
    placed: int = 0


class Tampering:
    """Changes the log in a folder and verifies it.

    kinds: the results, by the kind of change.
    missed: descriptions of the changes that were not found.
    """

    def __init__(self, folder: Path, *, seed: int) -> None:
        self._folder = folder
        self._path = folder / "log.db"
        self._chance = random.Random(seed)
        self._intact = b""
        self._records: Records = []
        self._ways: dict[str, Callable[[], tuple[Records, int]]] = {
            "a flipped bit": self._flipped,
            "removed events": self._removed,
            "a replaced tail": self._with_another_tail,
            "a forgery, signed again": self._forged,
        }
        self.kinds = {name: ChangeCount() for name in self._ways}
        self.missed: list[str] = []

    async def prepare(self) -> int:
        """Write the log, its chain and its signed head; return the number of events."""
        for name in ("ours", "theirs"):
            new_key(self._folder / name)
        self._public_key = (self._folder / "ours.pub").read_bytes()
        store = file_store(self._path)
        await store.open()
        try:
            await self._write(store)
            self._records = await store.read_log(0, _EVERYTHING)
            await _keep_chain(store, self._records)
            self._head = signed(await head_of(store), (self._folder / "ours").read_bytes())
        finally:
            await store.close()
        self._intact = self._path.read_bytes()
        assert not (await self._verified(self._head)).problem, "a log that nobody changed matches its head"
        return len(self._records)

    async def change_one(self) -> None:
        """Change the intact log in a way drawn at random, and verify it."""
        kind = self._chance.choice([*self._ways])
        tally = self.kinds[kind]
        tally.made += 1
        self._path.write_bytes(self._intact)
        is_forgery = kind == "a forgery, signed again"
        records, first = self._ways[kind]()
        careless = not is_forgery and self._chance.randrange(_CARELESS) == 0
        with closing(sqlite3.connect(self._path)) as db, db:
            db.execute("PRAGMA synchronous = OFF")
            _write_after(db, first - 1, records[first - 1 :], self._records if careless else None)
            if is_forgery or (not careless and self._chance.random() < 0.5):
                _forge_chain(db, records)
        is_refused = not is_forgery or await self._refuses_other_head()
        try:
            found = await self._verified(self._head)
        except DamagedLog as error:
            found = Verification(0, 0, 0, str(error))
        tally.found += is_refused and bool(found.problem)
        tally.placed += is_refused and found.first <= first <= found.last
        if not (is_refused and found.problem):
            self.missed.append(f"{kind} at position {first}")

    async def _refuses_other_head(self) -> bool:
        """Whether a head of the changed log is refused that was signed with another key."""
        store = file_store(self._path)
        await store.open(verified=False, read_only=True)
        try:
            other = signed(await head_of(store), (self._folder / "theirs").read_bytes())
        finally:
            await store.close()
        try:
            require_signature(other, self._public_key)
        except DamagedLog:
            return True
        return False

    async def _verified(self, head: LogHead) -> Verification:
        require_signature(head, self._public_key)
        store = file_store(self._path)
        await store.open(verified=False, read_only=True)
        try:
            return await verify(store, [head])
        finally:
            await store.close()

    async def _write(self, store: EventStore) -> None:
        versions = dict.fromkeys(range(_STREAMS), 0)
        numbers = count(1)
        for turn in range(_COMMITS):
            stream = turn % _STREAMS
            events = [_event(next(numbers)) for _ in range(self._chance.randint(1, _EVENTS_MAX))]
            append = Append(StreamName("Account", f"account-{stream}"), versions[stream], tuple(events))
            await store.append(AppendBatch(1_700_000_000_000_000 + 1_000 * turn, [append]))
            versions[stream] += len(events)

    def _flipped(self) -> tuple[Records, int]:
        """Flip one bit of a field of an event."""
        at = self._chance.randrange(len(self._records))
        record = self._records[at]
        field = self._chance.choice(["payload", "metadata", "recorded_us", "version", "type", "schema_version", "id"])
        if field == "id":
            stream = StreamName(record.stream.type, _flip_text(self._chance, record.stream.id))
            changed = msgspec.structs.replace(record, stream=stream)
        else:
            changed = msgspec.structs.replace(record, **{field: _flip(self._chance, getattr(record, field))})
        return [*self._records[:at], changed, *self._records[at + 1 :]], at + 1

    def _removed(self) -> tuple[Records, int]:
        """Remove some events, and in half of the cases close the gap."""
        at = self._chance.randrange(len(self._records) - _REMOVED_MAX)
        behind = self._records[at + self._chance.randint(1, _REMOVED_MAX) :]
        if self._chance.random() < 0.5:
            behind = _numbered(behind, at)
        return [*self._records[:at], *behind], at + 1

    def _with_another_tail(self) -> tuple[Records, int]:
        """Replace the events from a position on by others: fewer, as many, or more."""
        at = self._chance.randrange(len(self._records))
        length = self._chance.randint(0, len(self._records) - at + _EVENTS_MAX)
        stream = StreamName("Account", "account-0")
        tail = [
            EncodedRecord(stream, n + 1, at + n + 1, self._records[-1].recorded_us, *_fields_of(_event(-n - 1)))
            for n in range(length)
        ]
        return [*self._records[:at], *tail], at + 1

    def _forged(self) -> tuple[Records, int]:
        """Change the amount of one event."""
        at = self._chance.randrange(len(self._records))
        forged = msgspec.structs.replace(self._records[at], payload=_event(-at - 1).payload)
        return [*self._records[:at], forged, *self._records[at + 1 :]], at + 1


def _event(number: int) -> EncodedEvent:
    payload = b'{"amount":%d,"note":"Gr\xc3\xbc\xc3\x9fe %d"}' % (number, number)
    return EncodedEvent("Deposited", 1 + number % 2, payload, b'{"command_id":"command-%d"}' % number)


def _fields_of(event: EncodedEvent) -> tuple[str, int, bytes, bytes]:
    return event.type, event.schema_version, event.payload, event.metadata


def _numbered(records: Sequence[EncodedRecord], after: int) -> Records:
    return [msgspec.structs.replace(record, position=after + n) for n, record in enumerate(records, 1)]


def _flip(chance: random.Random, value: bytes | str | int) -> bytes | str | int:
    """Return a value with one bit flipped."""
    match value:
        case bytes():
            bit = chance.randrange(8 * len(value))
            flipped = bytearray(value)
            flipped[bit // 8] ^= 1 << bit % 8
            return bytes(flipped)
        case str():
            return _flip_text(chance, value)
        case int():
            return value ^ 1 << chance.randrange(_LAST_BIT)


def _flip_text(chance: random.Random, value: str) -> str:
    at = chance.randrange(len(value))
    return value[:at] + chr(ord(value[at]) ^ 1 << chance.randrange(7)) + value[at + 1 :]


async def _keep_chain(store: EventStore, records: Records) -> None:
    links = HashChain().add(records)
    await store.save([SaveCheckpoint(CHAIN, links[-1].position, changes=[kept_link(link) for link in links])])


def _write_after(db: sqlite3.Connection, position: int, records: Records, intact: Records | None) -> None:
    """Replace the events after a position.

    intact: keep the checksums of these events instead of correcting them.
    """
    sums = dict(db.execute("SELECT position, checksum FROM events")) if intact is not None else {}
    db.execute("DELETE FROM events WHERE position > ?", (position,))
    for record in records:
        stream = _id_of(db, "streams", ("type", "name"), (record.stream.type, record.stream.id))
        kind = _id_of(db, "event_types", ("name", "schema_version"), (record.type, record.schema_version))
        correct = checksum(
            kind_checksum(record.stream, record.type, record.schema_version),
            record.version,
            record.recorded_us,
            record.payload,
            record.metadata,
        )
        sum_ = sums.get(record.position, correct)
        numbers = (record.position, stream, record.version, kind, record.recorded_us, sum_)
        db.execute(
            "INSERT INTO events (position, stream, version, type, recorded_us, checksum, payload, metadata) "
            "VALUES (?, ?, ?, ?, ?, ?, CAST(? AS TEXT), CAST(? AS TEXT))",
            (*numbers, record.payload, record.metadata),
        )


def _id_of(db: sqlite3.Connection, table: str, columns: tuple[str, str], values: tuple[str, str | int]) -> int:
    wanted = f"SELECT id FROM {table} WHERE {columns[0]} = ? AND {columns[1]} = ?"
    if (row := db.execute(wanted, values).fetchone()) is not None:
        return int(row[0])
    inserted = db.execute(f"INSERT INTO {table} ({', '.join(columns)}) VALUES (?, ?)", values)
    assert inserted.lastrowid is not None
    return inserted.lastrowid


def _forge_chain(db: sqlite3.Connection, records: Records) -> None:
    """Store the links of the changed events, as far as they can be computed."""
    if [record.position for record in records] != [*range(1, len(records) + 1)]:
        return
    for link in HashChain().add(records):
        row = kept_link(link)
        db.execute("UPDATE projection_states SET state = CAST(? AS TEXT) WHERE name = ?", (row.state, row.name))
