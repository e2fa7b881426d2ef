"""A batch on its way into the database: what will be written, decided before anything is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from zlib import crc32

from actorium.store.errors import DuplicateCommand, WrongExpectedVersion
from actorium.store.event_store import Append, AppendOutcome, CommandRecord
from actorium.store.events import StreamName, checksum, stream_checksum
from actorium.store.sqlite.heads import StreamHead

EVENT_COLUMNS = (
    "position, stream, version, type, payload, metadata, recorded_us, checksum, "
    "command_id, command_events, command_fingerprint"
)
EVENT_COLUMN_COUNT = 11

EventType = tuple[int, bytes]
"""The id of an event type in the database, and `kind_bytes` of it."""


class Plan:
    """The rows of one transaction, and the outcome of each append if it succeeds.

    `heads` begins as the true heads of the batch's streams and moves on with each append, so that an append sees
    those before it; `commands` likewise. Nothing outside the plan changes until the transaction is through.
    """

    __slots__ = (
        "_refused",
        "commands",
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
        self.commands = commands
        self.event_values: list[Any] = []
        self.new_stream_values: list[Any] = []
        self.outcomes: list[AppendOutcome] = []
        self._refused: set[StreamName] = set()

    def add(self, append: Append, types: Mapping[tuple[str, int], EventType]) -> None:
        """Check an append against what is known and plan its rows, or note why it fails."""
        stream, mark = append.stream, append.command
        if mark is not None and (earlier := self.commands.get(mark.command_id)) is not None:
            self.outcomes.append(DuplicateCommand(earlier))
            self._refused.add(stream)
            return
        head = self.heads.get(stream)
        version = head[1] if head is not None else 0
        if version != append.expected_version or stream in self._refused:
            self.outcomes.append(WrongExpectedVersion(stream, expected=append.expected_version, actual=version))
            self._refused.add(stream)
            return
        self.outcomes.append(self.next_position)
        self._add_rows(head or self._new_stream(stream), append, types)
        if mark is not None:
            self.commands[mark.command_id] = CommandRecord(
                mark.command_id,
                mark.fingerprint,
                stream,
                version + 1,
                version + len(append.events),
                self.next_position - 1,
            )

    def _new_stream(self, stream: StreamName) -> StreamHead:
        stream_id = self.next_stream
        self.next_stream = stream_id + 1
        self.new_stream_values += (stream_id, stream.type, stream.id)
        return stream_id, 0, stream_checksum(stream)

    def _add_rows(self, head: StreamHead, append: Append, types: Mapping[tuple[str, int], EventType]) -> None:
        stream_id, version, stream_crc = head
        recorded_us, position, values = self.recorded_us, self.next_position, self.event_values
        for event in append.events:
            version += 1
            type_id, type_bytes = types[event.type, event.schema_version]
            payload, metadata = event.payload, event.metadata
            values += (
                position,
                stream_id,
                version,
                type_id,
                payload.decode(),
                metadata.decode(),
                recorded_us,
                checksum(crc32(type_bytes, stream_crc), version, recorded_us, payload, metadata),
                None,
                None,
                None,
            )
            position += 1
        if (mark := append.command) is not None:
            values[-3:] = (mark.command_id, len(append.events), mark.fingerprint)
        self.next_position = position
        self.heads[append.stream] = (stream_id, version, stream_crc)
