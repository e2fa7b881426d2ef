"""A batch on its way into the database: all its rows are decided before any is written."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from zlib import crc32

from actorium.store.errors import DuplicateCommand, WrongExpectedVersion
from actorium.store.event_store import Append, AppendOutcome
from actorium.store.events import CHECKSUM_MASK, CHECKSUM_SPREAD, stream_checksum
from actorium.store.names import CommandRecord, StreamName
from actorium.store.sql.stream_heads import StreamHead, StreamHeads
from actorium.store.sqlite.marks import events_column
from actorium.store.sqlite.streams.recent import PlannedAppend

EVENT_COLUMNS = (
    "position, stream, version, type, payload, metadata, recorded_us, checksum, "
    "command_id, command_events, command_fingerprint"
)
EVENT_COLUMN_COUNT = 11
_NO_MARK = (None, None, None)

EventType = tuple[int, bytes]
"""The id of an event type in the database, and `kind_bytes` of it."""


class WritePlan:
    """The rows of one transaction, and the outcome of each append if it succeeds.

    `heads` holds every existing stream of the batch. It advances with each append, so an append sees those before it;
    the known commands work in the same way. Nothing else outside the plan changes until the transaction has committed.
    """

    __slots__ = (
        "_commands",
        "_heads",
        "_planned",
        "event_values",
        "new_stream_values",
        "next_position",
        "next_stream",
        "outcomes",
        "recorded_us",
        "refused",
        "written",
    )

    def __init__(
        self,
        *,
        next_position: int,
        next_stream: int,
        recorded_us: int,
        heads: StreamHeads,
        commands: dict[str, CommandRecord],
    ) -> None:
        self.next_position = next_position
        self.next_stream = next_stream
        self.recorded_us = recorded_us
        self._heads = heads
        self._commands = commands
        self._planned: dict[str, tuple[Append, int]] = {}  # by command id: its append, and its last position
        self.event_values: list[Any] = []
        self.new_stream_values: list[Any] = []
        self.outcomes: list[AppendOutcome] = []
        self.refused: set[StreamName] = set()
        self.written: list[PlannedAppend] = []

    def add(self, append: Append, head: StreamHead | None, types: Mapping[tuple[str, int], EventType]) -> None:
        """Check an append against what is known and plan its rows, or record why it fails.

        `head` is that of its stream; None if it was unknown when the batch was scanned.
        """
        stream, mark = append.stream, append.command
        command_id = None if mark is None else mark.command_id
        if command_id is not None and (command_id in self._planned or command_id in self._commands):
            self.outcomes.append(DuplicateCommand(self._earlier(command_id)))
            self.refused.add(stream)
            return
        if head is None:
            head = self._heads.get(stream)  # found meanwhile, or created for an earlier append
        version = head.version if head is not None else 0
        if version != append.expected_version or (self.refused and stream in self.refused):
            self.outcomes.append(WrongExpectedVersion(stream, expected=append.expected_version, actual=version))
            self.refused.add(stream)
            return
        position = self.next_position
        self.outcomes.append(position)
        if head is None:
            head = self._new_stream(stream)
        stream_id, stream_crc = head.id, head.checksum
        events = append.events
        count = len(events)
        head.version = newest = version + count
        self.written.append((stream, stream_id, version, position, count))
        mark_values: tuple[Any, ...] = _NO_MARK
        if mark is not None:
            fingerprint = mark.fingerprint  # computed: asked for once
            mark_values = (mark.command_id, events_column(mark.command_id, fingerprint, newest, count), fingerprint)
        recorded_us, values = self.recorded_us, self.event_values
        for event in events:
            version += 1
            type_id, type_bytes = types[event.type, event.schema_version]
            payload, metadata = event.payload, event.metadata
            # `events.checksum`, inlined: this loop is most of a commit's cost in Python.
            seed = crc32(type_bytes, stream_crc) ^ ((version * CHECKSUM_SPREAD + recorded_us) & CHECKSUM_MASK)
            crc = crc32(payload, crc32(metadata, seed))
            values += (position, stream_id, version, type_id, payload.decode(), metadata.decode(), recorded_us, crc)
            values += mark_values if version == newest else _NO_MARK
            position += 1
        if mark is not None:
            self._planned[mark.command_id] = (append, position - 1)
        self.next_position = position

    def _earlier(self, command_id: str) -> CommandRecord:
        """Return where a command already took effect, in the log or in this batch."""
        if command_id not in self._planned:
            return self._commands[command_id]
        append, position = self._planned[command_id]
        assert append.command is not None, "only appends with a command are planned under its id"
        first_version = append.expected_version + 1
        version = append.expected_version + len(append.events)
        return CommandRecord(command_id, append.command.fingerprint, append.stream, first_version, version, position)

    def _new_stream(self, stream: StreamName) -> StreamHead:
        stream_id = self.next_stream
        self.next_stream = stream_id + 1
        self.new_stream_values += (stream_id, stream.type, stream.id)
        head = StreamHead(stream_id, 0, stream_checksum(stream))
        self._heads.add(stream, head)
        return head
