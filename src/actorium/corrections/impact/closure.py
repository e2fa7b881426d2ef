"""The causal closure of some events: the events that they caused, directly or not."""

from __future__ import annotations

from collections.abc import Sequence

from actorium.corrections.impact.selection import log_records
from actorium.store.codec import EventCodec, decode_metadata
from actorium.store.event_store import EventStore
from actorium.store.events import EncodedRecord
from actorium.store.names import event_id

_LOOKED_UP_MAX = 200
"""With more events than this, one pass over the log costs less than a look-up for each."""
_PAGE_EVENTS = 1_000


class Caused:
    """The selected events and those that they caused, by position, each with the id of its cause."""

    def __init__(self, selection: Sequence[EncodedRecord]) -> None:
        self.records: dict[int, EncodedRecord] = {record.position: record for record in selection}
        self.causes: dict[int, str] = {}

    def add(self, record: EncodedRecord, cause: str) -> bool:
        """Add an event that a touched event caused; return whether it is new."""
        if record.position in self.records:
            return False
        self.records[record.position] = record
        self.causes[record.position] = cause
        return True

    def in_order(self) -> list[EncodedRecord]:
        """Return the events in log order."""
        return [self.records[position] for position in sorted(self.records)]


async def closure(store: EventStore, codec: EventCodec, selection: Sequence[EncodedRecord]) -> Caused:
    """Return selected events with everything that they caused; the store is open."""
    caused = Caused(selection)
    waiting = list(selection)
    looked_up = 0
    while waiting:
        if looked_up + len(waiting) > _LOOKED_UP_MAX:
            await _search(store, caused)
            break
        looked_up += 1
        waiting += await _look_up(store, codec, caused, waiting.pop())
    return caused


async def _look_up(store: EventStore, codec: EventCodec, caused: Caused, record: EncodedRecord) -> list[EncodedRecord]:
    """Add the events that an event directly caused; return the new ones."""
    new: list[EncodedRecord] = []
    whole = event_id(record.stream, record.version)
    for id in {whole, *(recorded.event_id for recorded in codec.recorded(record))}:
        position = record.position
        while found := await store.read_linked("causation_id", id, position, _PAGE_EVENTS):
            new += [one for one in found if caused.add(one, whole)]
            position = found[-1].position
    return new


async def _search(store: EventStore, caused: Caused) -> None:
    """Add everything that the events caused in one pass: a cause is always earlier in the log than its effect."""
    ids = {event_id(record.stream, record.version) for record in caused.records.values()}
    first = min(caused.records)
    async for record in log_records(store, first):
        if b"causation_id" not in record.metadata:
            continue
        cause = decode_metadata(record.metadata).causation_id
        if (whole := whole_id(cause)) in ids:
            caused.add(record, whole)
            ids.add(event_id(record.stream, record.version))


def whole_id(cause: str) -> str:
    """Return the id of the record that an event is a part of."""
    start, _, number = cause.rpartition("/")
    return f"{start}/{number.partition('.')[0]}"
