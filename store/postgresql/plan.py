"""A batch on its way into the database: all its rows are decided before any is written, except where it begins.

The database decides the time of an event, so the checksum computed here leaves it out, and the database mixes it in. A
change of any single part of an event, its time included, changes the result.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple
from zlib import crc32

import msgspec

from actorium.store.codec import decode_metadata
from actorium.store.errors import DuplicateCommand, WrongExpectedVersion
from actorium.store.event_store import Append, AppendOutcome
from actorium.store.events import CHECKSUM_MASK, CHECKSUM_SPREAD, kind_bytes, stream_checksum
from actorium.store.names import CommandRecord, StreamName
from actorium.store.sql.stream_heads import StreamHead, StreamHeads

COLUMNS = (
    "stream_type",
    "stream_id",
    "version",
    "type",
    "schema_version",
    "checksum",
    "payload",
    "metadata",
    "command_id",
    "command_events",
    "command_fingerprint",
    "causation_id",
    "correlation_id",
)
"""The columns of an event that the client decides, in the order of `AppendPlan.columns`."""

FOLDED_SQL = f"(({{time}} # ({{time}} >> 32)) & {CHECKSUM_MASK})"
"""`folded` in SQL; `{time}` stands for the column."""

EventType = tuple[str, int]
"""The name and schema version of a type of event."""


class Planned(NamedTuple):
    """An append that will be written: its first event is the `place`-th of the batch, counted from 0."""

    place: int


class PlannedDuplicate(NamedTuple):
    """A command that occurs a second time in the batch; the append that carries it first is at `place`."""

    place: int
    append: Append


class FirstEvent(NamedTuple):
    """What identifies the first event of a batch in the log."""

    stream: StreamName
    version: int
    checksum: int
    command_id: str | None


class AppendPlan:
    """The columns of one statement, and the outcome of each append if it succeeds.

    An append sees those before it: heads advance with each. Nothing else outside the plan changes. Positions are not
    known yet: the database decides where the batch begins, and `outcomes_after` counts from there.
    """

    __slots__ = ("_commands", "_heads", "_planned", "_results", "columns", "count", "first", "firsts", "refused")

    def __init__(self, heads: StreamHeads, commands: Mapping[str, CommandRecord]) -> None:
        self._heads = heads
        self._commands = commands
        self._planned: dict[str, PlannedDuplicate] = {}
        self._results: list[Planned | PlannedDuplicate | WrongExpectedVersion | DuplicateCommand] = []
        self.columns: tuple[list[Any], ...] = tuple([] for _ in COLUMNS)
        self.count = 0
        self.first: FirstEvent | None = None
        self.firsts: dict[EventType, int] = {}  # by type: the place of its first event in the batch
        self.refused: set[StreamName] = set()

    def add(self, append: Append) -> None:
        """Check an append against what is known and plan its rows, or record why it fails."""
        stream, mark = append.stream, append.command
        if mark is not None:
            earlier = self._planned.get(mark.command_id)
            record = self._commands.get(mark.command_id)
            if earlier is not None or record is not None:
                self._results.append(earlier or DuplicateCommand(_known(record)))
                self.refused.add(stream)
                return
        head = self._heads.get(stream)
        version = head.version if head is not None else 0
        if version != append.expected_version or (self.refused and stream in self.refused):
            self._results.append(WrongExpectedVersion(stream, expected=append.expected_version, actual=version))
            self.refused.add(stream)
            return
        if head is None:
            head = StreamHead(0, 0, stream_checksum(stream))
            self._heads.add(stream, head)
        if mark is not None:
            self._planned[mark.command_id] = PlannedDuplicate(self.count, append)
        self._results.append(Planned(self.count))
        self._add_rows(append, head)

    def _add_rows(self, append: Append, head: StreamHead) -> None:
        stream, mark, stream_crc, version = append.stream, append.command, head.checksum, head.version
        head.version = newest = version + len(append.events)
        types, ids, versions, names, schemas, checksums, payloads, metadatas, *rest = self.columns
        command_ids, command_events, fingerprints, causations, correlations = rest
        for event in append.events:
            version += 1
            kind = (event.type, event.schema_version)
            if kind not in self.firsts:
                self.firsts[kind] = len(types)
            payload, metadata = event.payload, event.metadata
            # `events.checksum` without the time, inlined: this loop is most of a commit's cost in Python.
            seed = crc32(kind_bytes(*kind), stream_crc) ^ ((version * CHECKSUM_SPREAD) & CHECKSUM_MASK)
            crc = crc32(payload, crc32(metadata, seed))
            types.append(stream.type)
            ids.append(stream.id)
            versions.append(version)
            names.append(event.type)
            schemas.append(event.schema_version)
            checksums.append(crc)
            payloads.append(payload.decode())
            metadatas.append(metadata.decode())
            has_mark = mark is not None and version == newest
            command_ids.append(mark.command_id if mark is not None and has_mark else None)
            command_events.append(len(append.events) if has_mark else None)
            fingerprints.append(mark.fingerprint if mark is not None and has_mark else None)
            causation, correlation = linked_ids(metadata)
            causations.append(causation)
            correlations.append(correlation)
            if self.first is None:
                self.first = FirstEvent(stream, version, crc, command_ids[0])
        self.count += len(append.events)

    def outcomes_after(self, base: int) -> list[AppendOutcome]:
        """Return the outcome of each append, now that the position before the batch is known."""
        outcomes: list[AppendOutcome] = []
        for result in self._results:
            match result:
                case Planned(place):
                    outcomes.append(base + 1 + place)
                case PlannedDuplicate(place, append):
                    outcomes.append(DuplicateCommand(_record(append, base + place + len(append.events))))
                case _:
                    outcomes.append(result)
        return outcomes


def folded(recorded_us: int) -> int:
    """Return a time as 32 bits, so that a change of any one bit changes the result."""
    return (recorded_us ^ recorded_us >> 32) & CHECKSUM_MASK


def _known(record: CommandRecord | None) -> CommandRecord:
    assert record is not None, "a duplicate is planned in the batch or known in the log"
    return record


def _record(append: Append, position: int) -> CommandRecord:
    mark, before = append.command, append.expected_version
    assert mark is not None, "only appends with a command are planned under its id"
    version = before + len(append.events)
    return CommandRecord(mark.command_id, mark.fingerprint, append.stream, before + 1, version, position)


def linked_ids(metadata: bytes) -> tuple[str | None, str | None]:
    """Return the causation and correlation ids of an event's metadata, None for one that it does not name.

    The text search comes first: most metadata names neither, and decoding it would cost a microsecond.
    """
    if b'"causation_id":"' not in metadata and b'"correlation_id":"' not in metadata:
        return None, None
    try:
        decoded = decode_metadata(metadata)
    except msgspec.DecodeError:
        return None, None
    return _key(decoded.causation_id), _key(decoded.correlation_id)


def _key(id: str) -> str | None:
    """Return an id as a column can hold it: PostgreSQL's text has no NUL, and no event has such an id."""
    return None if not id or "\0" in id else id
