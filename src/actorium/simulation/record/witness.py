"""`Witness`: the world's own record of everything that became durable, independent of the runtime and its store."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from actorium.store.event_store import AppendBatch, Appended, SaveCheckpoint, SaveFailure
from actorium.store.events import EncodedRecord
from actorium.store.names import StreamName
from actorium.store.wording import counted


class Loss(Exception):
    """The log lost a record or holds a different one."""


class Witness:
    """Every committed record, in order: `records[p - 1]` is the event at position p.

    position: the last position seen.
    """

    def __init__(self) -> None:
        self.position = 0
        self.records: list[EncodedRecord] = []
        self.streams: dict[StreamName, list[EncodedRecord]] = {}
        self.listeners: list[Callable[[Sequence[EncodedRecord]], None]] = []
        self.batch_listeners: list[Callable[[AppendBatch, Appended], None]] = []
        self.save_listeners: list[Callable[[Sequence[SaveCheckpoint]], None]] = []

    def saw(self, records: Sequence[EncodedRecord]) -> None:
        """Record what a commit added to the log; raise Loss if positions or versions are not consecutive."""
        if not records:
            return
        for record in records:
            stream = self.streams.setdefault(record.stream, [])
            if record.position != self.position + 1:
                raise Loss(f"{record.stream} v{record.version} is at position {record.position}, after {self.position}")
            if record.version != len(stream) + 1:
                raise Loss(f"{record.stream} has version {record.version} after {counted(len(stream), 'event')}")
            if self.records and record.recorded_us < self.records[-1].recorded_us:
                raise Loss(f"{record.stream} v{record.version} has an earlier time than the event before it")
            stream.append(record)
            self.records.append(record)
            self.position += 1
        for listener in self.listeners:
            listener(records)

    def appended(self, batch: AppendBatch, appended: Appended) -> None:
        """Record the contents of a commit, after its records, and the log's answer."""
        for listener in self.batch_listeners:
            listener(batch, appended)

    def saved(self, checkpoints: Sequence[SaveCheckpoint], failed: Mapping[int, SaveFailure]) -> None:
        """Record the checkpoints that were written."""
        written = [checkpoint for index, checkpoint in enumerate(checkpoints) if index not in failed]
        for listener in self.save_listeners:
            listener(written)

    def compare(self, log: Sequence[EncodedRecord]) -> None:
        """Compare with the log found after a restart; raise Loss if it is not a continuation."""
        for seen, found in zip(self.records, log, strict=False):
            if seen != found:
                raise Loss(f"position {seen.position} held {seen} and now holds {found}")
        if len(log) < len(self.records):
            missing = len(self.records) - len(log)
            raise Loss(f"{missing} of {len(self.records)} committed events {'is' if missing == 1 else 'are'} gone")
        self.saw(log[len(self.records) :])
