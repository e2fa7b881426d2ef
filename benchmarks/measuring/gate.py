"""The check after every scenario: the log contains exactly what was acknowledged, once and in order."""

from __future__ import annotations

from collections.abc import Mapping

from actorium.benchmarks.scenario import Wrong
from actorium.store.event_store import EventStore
from actorium.store.events import EncodedRecord
from actorium.store.names import StreamName

_PAGE_EVENTS = 5_000
_STREAM_TYPE = "Account"


async def require_log(store: EventStore, acknowledged: Mapping[str, int], *, filled: int = 0, unknown: int = 0) -> None:
    """Compare the log of a closed store with the expected number of events of each aggregate; raise Wrong.

    filled: the number of events of each aggregate the log was filled with before the run; only later events are read.
    unknown: the number of commands given up without an answer; that many more events may be in the log.
    """
    versions = {StreamName(_STREAM_TYPE, id): filled for id in acknowledged}
    await _read(store, filled * len(acknowledged), versions)
    lost = doubled = 0
    for id, events in acknowledged.items():
        in_log = versions.pop(StreamName(_STREAM_TYPE, id))
        lost += max(0, events - in_log)
        doubled += max(0, in_log - events)
    doubled += sum(versions.values())
    if lost or doubled > unknown:
        raise Wrong(f"{sum(acknowledged.values())} events were acknowledged: {lost} missing, {doubled} unexpected")


async def _read(store: EventStore, position: int, versions: dict[StreamName, int]) -> None:
    """Count the events after a position into `versions`."""
    await store.open()
    try:
        while page := await store.read_log(position, _PAGE_EVENTS):
            for record in page:
                position += 1
                _require_next(record, position, versions)
    finally:
        await store.close()


def _require_next(record: EncodedRecord, position: int, versions: dict[StreamName, int]) -> None:
    version = versions[record.stream] = versions.get(record.stream, 0) + 1
    if record.position != position or record.version != version:
        raise Wrong(
            f"the log has {record.stream} version {record.version} at position {record.position}, "
            f"expected version {version} at position {position}"
        )
