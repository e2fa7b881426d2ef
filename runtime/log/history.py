"""The past of an aggregate: its state at a version, a position or a time, and each of its changes."""

from __future__ import annotations

import copy
from collections.abc import AsyncGenerator
from contextlib import aclosing
from datetime import datetime
from typing import Any, Generic, TypeVar

import msgspec

from actorium.actors.actor import Actor
from actorium.actors.aggregate import Aggregate
from actorium.actors.commands import checked_id
from actorium.actors.errors import NotFound
from actorium.actors.hydration import refuse, replay
from actorium.actors.kind import ActorKind
from actorium.runtime.arguments import checked_count
from actorium.store.errors import ConfigurationError, InvalidCommand
from actorium.store.event_store import EventStore, StreamRead
from actorium.store.events import EncodedRecord, Event, Metadata
from actorium.store.names import StreamName

A = TypeVar("A", bound=Aggregate)

PAGE_EVENTS = 1_000


class Moment:
    """The point up to which a stream is read: exactly one of a version, a position and a time."""

    def __init__(self, *, version: int | None, position: int | None, time: datetime | None) -> None:
        given = [
            name for name, value in (("version", version), ("position", position), ("time", time)) if value is not None
        ]
        if len(given) != 1:
            raise ConfigurationError(f"give exactly one of at_version, at_position and at_time, not {len(given)}")
        for name, number in (("at_version", version), ("at_position", position)):
            if number is not None:
                checked_count(number, name, "an integer, 0 or more")
        if time is not None and getattr(time, "tzinfo", None) is None:  # it may be of any type
            raise InvalidCommand(f"at_time={time!r} has no time zone: give an aware datetime")
        self._version = version
        self._position = position
        self._time_us = None if time is None else round(time.timestamp() * 1_000_000)
        self._shown = f"{given[0]} {version if version is not None else position if position is not None else time}"

    def __str__(self) -> str:
        return self._shown

    def includes(self, record: EncodedRecord) -> bool:
        """Return whether a record is at or before this moment."""
        if self._version is not None:
            return record.version <= self._version
        if self._position is not None:
            return record.position <= self._position
        return self._time_us is None or record.recorded_us <= self._time_us

    def is_missed_by(self, version: int) -> bool:
        """Return whether a stream that ends at `version` has not reached this moment."""
        return self._version is not None and version < self._version


class Change(msgspec.Struct, Generic[A], frozen=True):
    """One event of an aggregate, with the state before and after it.

    `metadata` says who caused the event and why. `before` and `after` are independent copies. An event that
    an upcaster split off has the version and position of its original record, so several changes may share them.
    """

    version: int
    position: int
    recorded_at: datetime
    event: Event
    metadata: Metadata
    before: A
    after: A


async def state_at(store: EventStore, kind: ActorKind[Actor], id: str, moment: Moment) -> Any:
    """Return an aggregate's state at a moment, from committed events; raise NotFound if it had no events then."""
    stream = StreamName(kind.type, checked_id(id, "id"))
    state = kind.aggregate_class(id)
    version = 0
    async with aclosing(_pages(store, stream)) as pages:
        async for page in pages:
            wanted = [record for record in page if moment.includes(record)]
            replay(state, kind.evolvers, kind.codec, wanted)
            version += len(wanted)
            if len(wanted) < len(page):
                break
    if version == 0:
        raise NotFound(f"{stream} has no events at {moment}")
    if moment.is_missed_by(version):
        raise NotFound(f"{stream} has {version} versions: it has not reached {moment} yet")
    return state


async def latest_state(store: EventStore, kind: ActorKind[Actor], id: str) -> Any:
    """Return an aggregate's state after its last committed event; raise NotFound if it has no events."""
    stream = StreamName(kind.type, id)
    keeper = kind.snapshots
    fingerprint = None if keeper is None else keeper.fingerprint
    state, version = kind.aggregate_class(id), 0
    while True:
        (page,) = await store.read_streams([StreamRead(stream, version, PAGE_EVENTS, fingerprint)])
        fingerprint = None
        if page.snapshot is not None:
            kept = None if keeper is None else keeper.restore(page.snapshot)
            if kept is None:
                continue  # unreadable: begin with the first event
            state, version = kept, page.snapshot.version
        replay(state, kind.evolvers, kind.codec, page.events)
        version += len(page.events)
        if not page.is_last:
            continue
        if version == 0:
            raise NotFound(f"{stream} does not exist: its stream is empty")
        return state


async def changes(
    store: EventStore, kind: ActorKind[Actor], id: str, after_version: int
) -> AsyncGenerator[Change[Any], None]:
    """Yield the changes of an aggregate after a version, oldest first; raise NotFound if it has no events."""
    checked_count(after_version, "after_version", "a version, or 0 for the whole history")
    stream = StreamName(kind.type, checked_id(id, "id"))
    state = kind.aggregate_class(id)
    is_empty = True
    async with aclosing(_pages(store, stream)) as pages:
        async for page in pages:
            is_empty = False
            for record in page:
                if record.version <= after_version:
                    replay(state, kind.evolvers, kind.codec, (record,))
                    continue
                for change in _changes_in(record, kind, state):
                    yield change
    if is_empty:
        raise NotFound(f"{stream} has no history: its stream is empty")


def _changes_in(record: EncodedRecord, kind: ActorKind[Actor], state: Aggregate) -> list[Change[Any]]:
    """Apply a record to a state and return the changes, event by event."""
    found = []
    before = copy.deepcopy(state)
    try:
        for recorded in kind.codec.recorded(record):
            event = recorded.event
            kind.evolvers[type(event)](state, event)
            after = copy.deepcopy(state)
            found.append(
                Change(record.version, record.position, recorded.recorded_at, event, recorded.metadata, before, after)
            )
            before = copy.deepcopy(after)
    except BaseException as raised:
        refuse(record, kind.evolvers, kind.codec, raised)
    return found


async def _pages(store: EventStore, stream: StreamName) -> AsyncGenerator[list[EncodedRecord], None]:
    """Yield the records of a stream in non-empty pages."""
    version = 0
    while True:
        (page,) = await store.read_streams([StreamRead(stream, version, PAGE_EVENTS)])
        if page.events:
            yield page.events
        if page.is_last:
            return
        version += len(page.events)
