"""A batch on its way into the database: all its rows are decided before any is written, except where it begins.

The database decides the time of an event, so the checksum computed here leaves it out, and the database mixes it in. A
change of any single part of an event, its time included, changes the result.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple
from zlib import crc32

import msgspec

from actorium.store.codec import decode_metadata
from actorium.store.errors import DuplicateCommand, WrongExpectedVersion
from actorium.store.event_store import Append, AppendOutcome
from actorium.store.events import CHECKSUM_MASK, CHECKSUM_SPREAD, kind_bytes, stream_checksum
from actorium.store.names import CommandRecord, StreamName
from actorium.store.sql.stream_heads import StreamHead, StreamHeads

COLUMNS = {
    "stream_type": "text",
    "stream_id": "text",
    "type": "text",
    "payload": "text",
    "metadata": "text",
    "command_id": "text",
    "causation_id": "text",
    "correlation_id": "text",
    "version": "int",
    "schema_version": "int",
    "checksum": "bigint",
    "command_events": "int",
    "command_fingerprint": "bigint",
}
"""The columns of an event that the client decides, with their types, in the order of `AppendPlan.texts`."""

_SEPARATOR = "\x1f"
_NO_LINKS = ("", "")

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

    __slots__ = (
        "_bytes",
        "_commands",
        "_has_links",
        "_heads",
        "_kinds",
        "_numbers",
        "_planned",
        "_results",
        "_words",
        "count",
        "first",
        "firsts",
        "refused",
    )

    def __init__(self, heads: StreamHeads, commands: Mapping[str, CommandRecord]) -> None:
        self._heads = heads
        self._commands = commands
        self._planned: dict[str, PlannedDuplicate] = {}
        self._results: list[Planned | PlannedDuplicate | WrongExpectedVersion | DuplicateCommand] = []
        # The columns of each kind, in the order of `COLUMNS`; an empty word stands for NULL.
        self._words: tuple[list[str], ...] = ([], [], [], [], [], [])
        self._bytes: tuple[list[bytes], list[bytes]] = ([], [])
        self._numbers: tuple[list[int | str], ...] = ([], [], [], [], [])
        self._has_links = False
        self._kinds: dict[EventType, bytes] = {}
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
        types, ids, names, command_ids, causations, correlations = self._words
        payloads, metadatas = self._bytes
        versions, schemas, checksums, command_events, fingerprints = self._numbers
        for event in append.events:
            version += 1
            kind = (event.type, event.schema_version)
            begun = self._kinds.get(kind)
            if begun is None:
                begun = self._kinds[kind] = kind_bytes(*kind)
                self.firsts[kind] = len(types)
            payload, metadata = event.payload, event.metadata
            # `events.checksum` without the time, inlined: this loop is most of a commit's cost in Python.
            seed = crc32(begun, stream_crc) ^ ((version * CHECKSUM_SPREAD) & CHECKSUM_MASK)
            crc = crc32(payload, crc32(metadata, seed))
            types.append(stream.type)
            ids.append(stream.id)
            versions.append(version)
            names.append(event.type)
            schemas.append(event.schema_version)
            checksums.append(crc)
            payloads.append(payload)
            metadatas.append(metadata)
            if mark is not None and version == newest:
                command_ids.append(mark.command_id)
                command_events.append(len(append.events))
                fingerprints.append(mark.fingerprint)
            else:
                command_ids.append("")
                command_events.append("")
                fingerprints.append("")
            causation, correlation = linked_ids(metadata)
            causations.append(causation)
            correlations.append(correlation)
            self._has_links = self._has_links or (causation, correlation) != _NO_LINKS
            if self.first is None:
                self.first = FirstEvent(stream, version, crc, command_ids[0] or None)
        self.count += len(append.events)

    def row(self) -> tuple[str | int | None, ...]:
        """Return the columns of a plan of one event, in the order of `COLUMNS`."""
        types, ids, names, command_ids, causations, correlations = self._words
        payloads, metadatas = self._bytes
        versions, schemas, checksums, command_events, fingerprints = self._numbers
        command_id = command_ids[0] or None
        return (
            types[0],
            ids[0],
            names[0],
            payloads[0].decode(),
            metadatas[0].decode(),
            command_id,
            causations[0] or None,
            correlations[0] or None,
            versions[0],
            schemas[0],
            checksums[0],
            command_events[0] if command_id else None,
            fingerprints[0] if command_id else None,
        )

    def texts(self) -> list[str]:
        """Return a separator, and each column as one text.

        The driver looks at every element of an array several times; the server splits a text in a fraction of that.
        """
        separator, number = _SEPARATOR, 0
        while (texts := self._separated(separator)) is None:  # it occurs in a text
            separator, number = f"{_SEPARATOR}{number}{_SEPARATOR}", number + 1
        numbers = [",".join(map(str, column)) for column in self._numbers]
        return [separator, *texts, *numbers]

    def _separated(self, separator: str) -> list[str] | None:
        types, ids, names, *others = map(separator.join, self._words)
        payloads, metadatas = (separator.encode().join(column).decode() for column in self._bytes)
        texts = [types, ids, names, payloads, metadatas, *others]
        if any(text.count(separator) != max(0, self.count - 1) for text in texts):
            return None
        if not self._has_links:
            texts[-2:] = "", ""
        return texts

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


def linked_ids(metadata: bytes) -> tuple[str, str]:
    """Return the causation and correlation ids of an event's metadata, empty for one that it does not name.

    The text search comes first: most metadata names neither, and decoding it would cost a microsecond.
    """
    if b'ation_id":"' not in metadata:
        return _NO_LINKS
    try:
        decoded = decode_metadata(metadata)
    except msgspec.DecodeError:
        return _NO_LINKS
    return _key(decoded.causation_id), _key(decoded.correlation_id)


def _key(id: str) -> str:
    """Return an id as a column can hold it: PostgreSQL's text has no NUL, and no event has such an id."""
    return "" if "\0" in id else id
