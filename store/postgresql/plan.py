"""A batch on its way into the database: all its rows are decided before any is written, except where it begins.

The database decides the time of an event, so the checksum computed here leaves it out, and the database mixes it in. A
change of any single part of an event, its time included, changes the result.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple, TypeAlias
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
"""The columns of an event that the client decides, with their types, with the texts first."""

_SEPARATOR = "\x1f"
_TEXTS = 8  # the columns that are text, before those that are numbers
_LINKED = b'ation_id":"'
_NO_LINKS = ("", "")
_NO_COMMAND: tuple[str, int | Literal[""], int | Literal[""]] = ("", "", "")

FOLDED_SQL = f"(({{time}} # ({{time}} >> 32)) & {CHECKSUM_MASK})"
"""`folded` in SQL; `{time}` stands for the column."""

EventType = tuple[str, int]
"""The name and schema version of a type of event."""

# The columns of `COLUMNS`; an empty text stands for NULL in those that may be.
_Row: TypeAlias = tuple[str, str, str, bytes, bytes, str, str, str, int, int, int, int | Literal[""], int | Literal[""]]


class PlannedDuplicate(NamedTuple):
    """A command that occurs a second time in the batch; the events of the first append with it begin at `place`."""

    place: int
    append: Append


class FirstEvent(NamedTuple):
    """What identifies the first event of a batch in the log."""

    stream: StreamName
    version: int
    checksum: int
    command_id: str | None


class AppendPlan:
    """The rows of one statement, and the outcome of each append if it succeeds.

    An append sees those before it: heads advance with each. Nothing else outside the plan changes. Positions are not
    known yet: the database decides where the batch begins, and `outcomes_after` counts from there.
    """

    __slots__ = ("_commands", "_heads", "_kinds", "_planned", "_results", "_rows", "count", "firsts", "refused")

    def __init__(self, heads: StreamHeads, commands: Mapping[str, CommandRecord]) -> None:
        self._heads = heads
        self._commands = commands
        self._planned: dict[str, tuple[int, Append]] = {}  # by command id: the place of its first event, its append
        # The place of an append's first event in the batch, counted from 0, or why it is not written.
        self._results: list[int | PlannedDuplicate | WrongExpectedVersion | DuplicateCommand] = []
        self._rows: list[_Row] = []
        self._kinds: dict[EventType, bytes] = {}
        self.count = 0
        self.firsts: dict[EventType, int] = {}  # by type: the place of its first event in the batch
        self.refused: set[StreamName] = set()

    def add(self, appends: Sequence[Append]) -> None:
        """Check appends against what is known, and plan their rows, or record why they fail."""
        # One function with local names, and a tuple for each row: this is most of a commit's cost in Python.
        results, planned, rows, refused = self._results, self._planned, self._rows, self.refused
        commands, heads, kinds = self._commands, self._heads, self._kinds
        head_of = heads.get
        for append in appends:
            stream, mark, command_id = append.stream, append.command, ""
            if mark is not None:
                command_id = mark.command_id
                if command_id in planned or command_id in commands:
                    results.append(self._duplicate(command_id))
                    refused.add(stream)
                    continue
            head = head_of(stream)
            version = 0 if head is None else head.version
            if version != append.expected_version or (refused and stream in refused):
                results.append(WrongExpectedVersion(stream, expected=append.expected_version, actual=version))
                refused.add(stream)
                continue
            if head is None:
                head = StreamHead(0, 0, stream_checksum(stream))
                heads.add(stream, head)
            place = len(rows)
            results.append(place)
            if mark is not None:
                planned[command_id] = (place, append)
            stream_crc, events = head.checksum, append.events
            head.version = newest = version + len(events)
            for event in events:
                version += 1
                kind = (event.type, event.schema_version)
                begun = kinds.get(kind) or self._begin(kind)
                payload, metadata = event.payload, event.metadata
                # `events.checksum` without the time, inlined.
                seed = crc32(begun, stream_crc) ^ ((version * CHECKSUM_SPREAD) & CHECKSUM_MASK)
                crc = crc32(payload, crc32(metadata, seed))
                causation, correlation = linked_ids(metadata) if _LINKED in metadata else _NO_LINKS
                owner, events_of_command, fingerprint = _NO_COMMAND
                if version == newest and mark is not None:
                    owner, events_of_command, fingerprint = command_id, len(events), mark.fingerprint
                rows.append(
                    (
                        stream.type,
                        stream.id,
                        kind[0],
                        payload,
                        metadata,
                        owner,
                        causation,
                        correlation,
                        version,
                        kind[1],
                        crc,
                        events_of_command,
                        fingerprint,
                    )
                )
        self.count = len(rows)

    def _begin(self, kind: EventType) -> bytes:
        """Note the first event of a type, which is the next row."""
        self.firsts[kind] = len(self._rows)
        begun = self._kinds[kind] = kind_bytes(*kind)
        return begun

    def _duplicate(self, command_id: str) -> PlannedDuplicate | DuplicateCommand:
        if command_id in self._planned:
            return PlannedDuplicate(*self._planned[command_id])
        return DuplicateCommand(self._commands[command_id])

    @property
    def first(self) -> FirstEvent | None:
        """What identifies the first event; None if nothing is planned."""
        if not self._rows:
            return None
        type_, id, _, _, _, command_id, _, _, version, _, checksum, _, _ = self._rows[0]
        return FirstEvent(StreamName(type_, id), version, checksum, command_id or None)

    def row(self) -> tuple[str | int | None, ...]:
        """Return the columns of a plan of one event, in the order of `COLUMNS`."""
        (row,) = self._rows
        type_, id, name, payload, metadata, command_id, causation, correlation, version, shape, crc, events, mark = row
        return (
            type_,
            id,
            name,
            payload.decode(),
            metadata.decode(),
            command_id or None,
            causation or None,
            correlation or None,
            version,
            shape,
            crc,
            events or None,
            mark if command_id else None,
        )

    def texts(self) -> list[str]:
        """Return a separator, and each column as one text.

        The driver looks at every element of an array several times; the server splits a text in a fraction of that.
        """
        columns = list(zip(*self._rows, strict=True)) or [()] * len(COLUMNS)
        separator, number = _SEPARATOR, 0
        while (texts := self._separated(columns, separator)) is None:  # it occurs in a text
            separator, number = f"{_SEPARATOR}{number}{_SEPARATOR}", number + 1
        numbers = [",".join(map(str, column)) for column in columns[_TEXTS:]]
        return [separator, *texts, *numbers]

    def _separated(self, columns: Sequence[tuple[Any, ...]], separator: str) -> list[str] | None:
        types, ids, names, payloads, metadatas, *others = columns[:_TEXTS]
        texts = list(map(separator.join, (types, ids, names)))
        texts += [separator.encode().join(column).decode() for column in (payloads, metadatas)]
        texts += map(separator.join, others)
        if any(text.count(separator) != max(0, self.count - 1) for text in texts):
            return None
        if not any(map(any, others[1:])):  # no links
            texts[-2:] = "", ""
        return texts

    def outcomes_after(self, base: int) -> list[AppendOutcome]:
        """Return the outcome of each append, now that the position before the batch is known."""
        if len(self._results) == self.count and not self.refused:
            return list(range(base + 1, base + 1 + self.count))  # one event each
        outcomes: list[AppendOutcome] = []
        for result in self._results:
            match result:
                case int(place):
                    outcomes.append(base + 1 + place)
                case PlannedDuplicate(place, append):
                    outcomes.append(DuplicateCommand(_record(append, base + place + len(append.events))))
                case _:
                    outcomes.append(result)
        return outcomes


def folded(recorded_us: int) -> int:
    """Return a time as 32 bits, so that a change of any one bit changes the result."""
    return (recorded_us ^ recorded_us >> 32) & CHECKSUM_MASK


def _record(append: Append, position: int) -> CommandRecord:
    mark, before = append.command, append.expected_version
    assert mark is not None, "only appends with a command are planned under its id"
    version = before + len(append.events)
    return CommandRecord(mark.command_id, mark.fingerprint, append.stream, before + 1, version, position)


def linked_ids(metadata: bytes) -> tuple[str, str]:
    """Return the causation and correlation ids of an event's metadata, empty for one that it does not name.

    The text search comes first: most metadata names neither, and decoding it would cost a microsecond.
    """
    if _LINKED not in metadata:
        return _NO_LINKS
    try:
        decoded = decode_metadata(metadata)
    except msgspec.DecodeError:
        return _NO_LINKS
    return _key(decoded.causation_id), _key(decoded.correlation_id)


def _key(id: str) -> str:
    """Return an id as a column can hold it: PostgreSQL's text has no NUL, and no event has such an id."""
    return "" if "\0" in id else id
