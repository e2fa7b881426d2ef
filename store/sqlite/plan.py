"""A batch on its way into the database: what will be written, decided before anything is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from zlib import crc32

from actorium.store.errors import DuplicateCommand, WrongExpectedVersion
from actorium.store.event_store import Append, AppendOutcome, CommandRecord
from actorium.store.events import CHECKSUM_MASK, CHECKSUM_SPREAD, StreamName, stream_checksum
from actorium.store.sqlite.heads import StreamHead
from actorium.store.sqlite.marks import events_column

EVENT_COLUMNS = (
    "position, stream, version, type, payload, metadata, recorded_us, checksum, "
    "command_id, command_events, command_fingerprint"
)
EVENT_COLUMN_COUNT = 11
_NO_MARK = (None, None, None)

EventType = tuple[int, bytes]
"""The id of an event type in the database, and `kind_bytes` of it."""


class Plan:
    """The rows of one transaction, and the outcome of each append if it succeeds.

    `heads` begins as the true heads of the batch's streams and moves on with each append, so that an append sees
    those before it; the commands known likewise. Nothing outside the plan changes until the transaction is through.
    """

    __slots__ = (
        "_commands",
        "_planned",
        "_refused",
        "event_values",
        "heads",
        "new_stream_values",
        "next_position",
        "next_stream",
        "outcomes",
        "recorded_us",
    )

    def __init__(
        self,
        *,
        next_position: int,
        next_stream: int,
        recorded_us: int,
        heads: dict[StreamName, StreamHead],
        commands: dict[str, CommandRecord],
    ) -> None:
        self.next_position = next_position
        self.next_stream = next_stream
        self.recorded_us = recorded_us
        self.heads = heads
        self._commands = commands
        self._planned: dict[str, tuple[Append, int]] = {}  # by command id: its append, and its last position
        self.event_values: list[Any] = []
        self.new_stream_values: list[Any] = []
        self.outcomes: list[AppendOutcome] = []
        self._refused: set[StreamName] = set()

    def add(self, append: Append, types: Mapping[tuple[str, int], EventType]) -> None:
        """Check an append against what is known and plan its rows, or note why it fails."""
        stream, mark = append.stream, append.command
        if mark is not None and (earlier := self._earlier(mark.command_id)) is not None:
            self.outcomes.append(DuplicateCommand(earlier))
            self._refused.add(stream)
            return
        head = self.heads.get(stream)
        version = head[1] if head is not None else 0
        if version != append.expected_version or (self._refused and stream in self._refused):
            self.outcomes.append(WrongExpectedVersion(stream, expected=append.expected_version, actual=version))
            self._refused.add(stream)
            return
        first = self.next_position
        self.outcomes.append(first)
        stream_id, version, stream_crc = head or self._new_stream(stream)
        recorded_us, position, values = self.recorded_us, first, self.event_values
        for event in append.events:
            version += 1
            type_id, type_bytes = types[event.type, event.schema_version]
            payload, metadata = event.payload, event.metadata
            # What `events.checksum` does, written out: this loop is the most of what a commit costs Python.
            seed = crc32(type_bytes, stream_crc) ^ ((version * CHECKSUM_SPREAD + recorded_us) & CHECKSUM_MASK)
            crc = crc32(payload, crc32(metadata, seed))
            values += (position, stream_id, version, type_id, payload.decode(), metadata.decode(), recorded_us, crc)
            values += _NO_MARK
            position += 1
        if mark is not None:
            column = events_column(mark.command_id, mark.fingerprint, version, len(append.events))
            values[-3:] = (mark.command_id, column, mark.fingerprint)
            self._planned[mark.command_id] = (append, position - 1)
        self.next_position = position
        self.heads[stream] = (stream_id, version, stream_crc)

    def _earlier(self, command_id: str) -> CommandRecord | None:
        """Return where a command took effect before, in the log or in this batch."""
        if command_id not in self._planned:
            return self._commands.get(command_id)
        append, position = self._planned[command_id]
        assert append.command is not None, "only appends with a command are planned under its id"
        first_version = append.expected_version + 1
        version = append.expected_version + len(append.events)
        return CommandRecord(command_id, append.command.fingerprint, append.stream, first_version, version, position)

    def _new_stream(self, stream: StreamName) -> StreamHead:
        stream_id = self.next_stream
        self.next_stream = stream_id + 1
        self.new_stream_values += (stream_id, stream.type, stream.id)
        return stream_id, 0, stream_checksum(stream)
