"""Writes events of a log as text: all of them, or those of some streams, types and positions."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import BinaryIO

import msgspec

from actorium.backup.event_lines import Form, LogEvent, encoded_line
from actorium.copying import DatedAppend, read_appends
from actorium.store.event_store import EventStore
from actorium.store.names import StreamName


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """Which events are exported; every condition that is given must hold.

    from_position, to_position: the first and the last position; None for the end of the log as it is now.
    streams: the streams that hold them; empty for all.
    types: the stored names of their types; empty for all.
    """

    from_position: int = 1
    to_position: int | None = None
    streams: Collection[StreamName] = ()
    types: Collection[str] = ()

    def includes(self, position: int, stream: StreamName, type: str) -> bool:
        """Return whether an event is exported."""
        if position < self.from_position or (self.to_position is not None and position > self.to_position):
            return False
        return (not self.streams or stream in self.streams) and (not self.types or type in self.types)


async def export_events(
    store: EventStore, out: BinaryIO, wanted: Wanted, form: Form, source: str, told: Callable[[int], None]
) -> int:
    """Write the wanted events of a log; return how many.

    store: open, read-only if an application has it open too.
    source: the `source` of CloudEvents.
    told: called with the position reached, after each page of events.

    Raises OSError if `out` takes no more.
    """
    head = (await store.head()).position
    end = head if wanted.to_position is None else min(head, wanted.to_position)
    written = position = 0
    is_batch = form == "cloudevents-batch"
    if is_batch:
        out.write(b"[")
    # The first position may be inside the events of a command, so the log is read from its beginning.
    async for appends in read_appends(store, 0, head):
        for recorded in appends:
            for event in _events(position, recorded, wanted):
                if is_batch:
                    out.write(b",\n" if written else b"\n")
                out.write(encoded_line(event, form, source))
                if not is_batch:
                    out.write(b"\n")
                written += 1
            position += len(recorded.append.events)
        told(min(position, end))
        if position >= end:
            break
    if is_batch:
        out.write(b"\n]\n")
    out.flush()
    return written


def _events(position: int, recorded: DatedAppend, wanted: Wanted) -> list[LogEvent]:
    """Return the wanted events of an append after a position; with their command if all of them are wanted."""
    append = recorded.append
    found = [
        LogEvent(append.stream, append.expected_version + n, recorded.recorded_us, event, position + n)
        for n, event in enumerate(append.events, 1)
        if wanted.includes(position + n, append.stream, event.type)
    ]
    if append.command is not None and len(found) == len(append.events):
        found[0] = msgspec.structs.replace(found[0], fingerprint=append.command.fingerprint, events=len(found))
    return found
