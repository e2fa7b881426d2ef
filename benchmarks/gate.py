"""The gate of every scenario: what was acknowledged is in the log, once, in order, and nothing else is."""

from __future__ import annotations

from collections.abc import Mapping

from actorium.benchmarks.scenario import Wrong
from actorium.store.event_store import EventStore
from actorium.store.events import EncodedRecord, StreamName

_PAGE_EVENTS = 5_000


async def read_versions(store: EventStore) -> dict[StreamName, int]:
    """Return the last version of each stream, by reading the whole log of a store that is closed; raise Wrong."""
    await store.open()
    try:
        versions: dict[StreamName, int] = {}
        position = 0
        while page := await store.read_log(position, _PAGE_EVENTS):
            for record in page:
                position += 1
                _require_next(record, position, versions)
        return versions
    finally:
        await store.close()


def _require_next(record: EncodedRecord, position: int, versions: dict[StreamName, int]) -> None:
    version = versions[record.stream] = versions.get(record.stream, 0) + 1
    if record.position != position or record.version != version:
        raise Wrong(
            f"the log has {record.stream} version {record.version} at position {record.position} "
            f"where version {version} at position {position} has to be"
        )


async def require_log(
    store: EventStore, acknowledged: Mapping[str, int], *, unknown: int = 0, stream_type: str = "Account"
) -> None:
    """Compare the log of a closed store with the events acknowledged for each aggregate; raise Wrong.

    unknown: commands that were given up without an answer: they may be there too, and no more than they.
    """
    found = await read_versions(store)
    lost = doubled = 0
    for id, events in acknowledged.items():
        in_log = found.pop(StreamName(stream_type, id), 0)
        lost += max(0, events - in_log)
        doubled += max(0, in_log - events)
    doubled += sum(found.values())
    if lost or doubled > unknown:
        raise Wrong(f"{sum(acknowledged.values())} events were acknowledged: {lost} are lost, {doubled} are too many")
