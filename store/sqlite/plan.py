"""A batch on its way into the database: what will be written, decided before anything is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from actorium.store.errors import DuplicateCommand, WrongExpectedVersion
from actorium.store.event_store import Append, AppendOutcome, CommandMark, CommandRecord
from actorium.store.events import EncodedEvent, StreamName, checksum, kind_checksum
from actorium.store.sqlite.heads import StreamHead

EVENT_COLUMNS = (
    "position, stream, version, type, payload, metadata, recorded_us, checksum, "
    "command_id, command_events, command_fingerprint"
)
EVENT_COLUMN_COUNT = 11


class Plan:
    """The rows of one transaction, and the outcome of each append if it succeeds.

    `heads` begins as the true heads of the batch's streams and moves on with each append, so that an append sees
    those before it; `commands` likewise. Nothing outside the plan changes until the transaction is through.
    """

    __slots__ = (
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

    def add(self, append: Append, types: dict[tuple[str, int], int]) -> None:
        """Check an append against what is known and plan its rows, or note why it fails."""
        stream, mark = append.stream, append.command
        if mark is not None and (earlier := self.commands.get(mark.command_id)) is not None:
            self.outcomes.append(DuplicateCommand(earlier))
            return
        head = self.heads.get(stream)
        version = head[1] if head is not None else 0
        if version != append.expected_version:
            self.outcomes.append(WrongExpectedVersion(stream, expected=append.expected_version, actual=version))
            return
        stream_id = head[0] if head is not None else self._new_stream(stream)
        self.outcomes.append(self.next_position)
        self._add_rows(stream, stream_id, version, append.events, mark, types)
        version += len(append.events)
        self.heads[stream] = (stream_id, version)
        if mark is not None and not mark.fresh:
            self.commands[mark.command_id] = CommandRecord(
                mark.command_id,
                mark.fingerprint,
                stream,
                append.expected_version + 1,
                version,
                self.next_position - 1,
            )

    def _new_stream(self, stream: StreamName) -> int:
        stream_id = self.next_stream
        self.next_stream = stream_id + 1
        self.new_stream_values += (stream_id, stream.type, stream.id)
        return stream_id

    def _add_rows(
        self,
        stream: StreamName,
        stream_id: int,
        version: int,
        events: Sequence[EncodedEvent],
        mark: CommandMark | None,
        types: dict[tuple[str, int], int],
    ) -> None:
        recorded_us, position, values = self.recorded_us, self.next_position, self.event_values
        left = len(events)
        for event in events:
            version += 1
            left -= 1
            kind = kind_checksum(stream, event.type, event.schema_version)
            values += (
                position,
                stream_id,
                version,
                types[event.type, event.schema_version],
                event.payload.decode(),
                event.metadata.decode(),
                recorded_us,
                checksum(kind, version, recorded_us, event.payload, event.metadata),
            )
            if left or mark is None:
                values += (None, None, None)
            else:
                values += (mark.command_id, len(events), mark.fingerprint)
            position += 1
        self.next_position = position
