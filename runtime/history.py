"""An aggregate as it was: its state after a version, a position of the log, or a moment."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from actorium.actors.errors import NotFound
from actorium.actors.hydration import replay
from actorium.actors.kind import ActorKind
from actorium.store.errors import ConfigurationError
from actorium.store.event_store import EventStore, StreamRead
from actorium.store.events import EncodedRecord, StreamName

PAGE_EVENTS = 1_000


class Moment:
    """Up to where a stream is read: a version, a position or a time; exactly one of the three."""

    def __init__(self, *, version: int | None, position: int | None, time: datetime | None) -> None:
        given = [
            name for name, value in (("version", version), ("position", position), ("time", time)) if value is not None
        ]
        if len(given) != 1:
            raise ConfigurationError(f"give one of at_version, at_position and at_time, not {len(given)}")
        if time is not None and time.tzinfo is None:
            raise ConfigurationError(f"at_time={time!r} has no time zone: give an aware datetime")
        self._version = version
        self._position = position
        self._time_us = None if time is None else round(time.timestamp() * 1_000_000)
        self._shown = f"{given[0]} {version if version is not None else position if position is not None else time}"

    def __str__(self) -> str:
        return self._shown

    def includes(self, record: EncodedRecord) -> bool:
        """Say whether a record is not later than this moment."""
        if self._version is not None:
            return record.version <= self._version
        if self._position is not None:
            return record.position <= self._position
        return self._time_us is None or record.recorded_us <= self._time_us

    def is_missed_by(self, version: int) -> bool:
        """Say whether a stream that ends at `version` never came to this moment."""
        return self._version is not None and version < self._version


async def state_at(store: EventStore, kind: ActorKind, id: str, moment: Moment) -> Any:
    """Return the state of an aggregate at a moment, from committed events; raise NotFound where it had none."""
    stream = StreamName(kind.type, id)
    state = kind.aggregate_class(id)
    version = 0
    while True:
        page = (await store.read_streams([StreamRead(stream, version, PAGE_EVENTS)]))[0]
        wanted = [record for record in page.events if moment.includes(record)]
        replay(state, kind.evolvers, kind.codec, wanted)
        version += len(wanted)
        if len(wanted) < len(page.events) or len(page.events) < PAGE_EVENTS:
            break
    if version == 0:
        raise NotFound(f"{stream} has no events at {moment}")
    if moment.is_missed_by(version):
        raise NotFound(f"{stream} has {version} versions: there is no {moment} yet")
    return state
