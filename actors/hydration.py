"""Hydration: rebuild an actor's state from its stream.

`Hydrator` is one task. While a read is in flight the next actors gather, so a thousand cold actors cost a few reads,
not a thousand. Invariants between any two awaits: each waiting actor is in exactly one of `_waiting` and the round in
progress, and ends in `hydrated` or `hydration_failed` exactly once.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, NoReturn

import msgspec

from actorium.actors.actor import Actor
from actorium.actors.aggregate import Aggregate
from actorium.actors.errors import HydrationFailed
from actorium.actors.kind import ActorKind
from actorium.actors.snapshots import SnapshotKeeper
from actorium.store.codec import EventCodec
from actorium.store.errors import ActoriumError, Transient, UnreadableEvent
from actorium.store.event_store import EventStore, Snapshot, StreamPage, StreamRead
from actorium.store.events import EncodedRecord
from actorium.store.names import StreamName
from actorium.store.raised import error_text, let_through

# One round reads and applies about this many events, at most one page of bytes, before it yields to the loop: about ten
# milliseconds of work.
EVENTS_PER_ROUND = 4096
ACTORS_PER_ROUND = 256


def replay(state: Aggregate, evolvers: Any, codec: EventCodec, records: Iterable[EncodedRecord]) -> None:
    """Apply records to a state in place; raise HydrationFailed for an event that cannot be read or applied."""
    event_type: str | None = None
    schema_version = 0
    decode: Callable[[bytes], Any] | None = None
    evolve: Any = None
    for record in records:
        try:
            # Consecutive records of one shape share one look-up of their decoder and evolver.
            if record.type is not event_type or record.schema_version != schema_version:
                event_type, schema_version = record.type, record.schema_version
                reader = codec.reader(event_type, schema_version)
                if reader is not None:
                    decode, evolve = reader[1], evolvers[reader[0]]
                else:
                    decode = None
            if decode is not None:
                evolve(state, decode(record.payload))
            else:
                for event in codec.decode(record):
                    evolvers[type(event)](state, event)
        except BaseException as raised:
            refuse(record, evolvers, codec, raised)


def refuse(record: EncodedRecord, evolvers: Any, codec: EventCodec, raised: BaseException) -> NoReturn:
    """Raise HydrationFailed for a record that is unreadable, has no @evolve method, or whose @evolve raised."""
    let_through(raised)
    reason = f"its @evolve raised {error_text(raised)}"
    try:
        strangers = [type(event).__qualname__ for event in codec.decode(record) if type(event) not in evolvers]
    except UnreadableEvent as unreadable:
        raise HydrationFailed(f"{record.stream} cannot be hydrated: {unreadable}") from unreadable
    if strangers:
        reason = f"its class has no @evolve method for {strangers[0]}"
    raise HydrationFailed(
        f"{record.stream} cannot be hydrated: {record.type} at version {record.version}: {reason}"
    ) from raised


class _Hydration(msgspec.Struct):
    """One actor that is being hydrated."""

    actor: Actor
    stream: StreamName
    state: Any
    fingerprint: str | None  # of the snapshots to ask for; None: read no snapshot
    version: int = 0
    begun_at: int = 0


class Hydrator:
    """Reads the streams of cold actors, many in one read."""

    def __init__(
        self,
        store: EventStore,
        failed: Callable[[Actor, ActoriumError], None],
        succeeded: Callable[[Actor], None],
    ) -> None:
        self._store = store
        self._failed = failed
        self._succeeded = succeeded
        self._waiting: deque[_Hydration] = deque()
        self._wake: asyncio.Future[None] | None = None
        self.hydrations = 0

    def request(self, actor: Actor) -> None:
        """Hydrate an actor; it is HYDRATING until that ends."""
        kind = actor.kind
        fingerprint = kind.snapshots.fingerprint if kind.snapshots is not None else None
        try:
            state = kind.aggregate_class(actor.id)
        except BaseException as raised:
            let_through(raised)
            failure = HydrationFailed(f"{actor!r} cannot start: {error_text(raised)}")
            failure.__cause__ = raised
            self._failed(actor, failure)
            return
        self._waiting.append(_Hydration(actor, StreamName(kind.type, actor.id), state, fingerprint))
        if self._wake is not None and not self._wake.done():
            self._wake.set_result(None)

    async def run(self) -> None:
        """Hydrate until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            if not self._waiting:
                self._wake = loop.create_future()
                await self._wake
                self._wake = None
            waiting = self._waiting
            if len(waiting) <= ACTORS_PER_ROUND:
                round_ = list(waiting)
                waiting.clear()
            else:
                round_ = [waiting.popleft() for _ in range(ACTORS_PER_ROUND)]
            limit = max(16, EVENTS_PER_ROUND // len(round_))
            await self._read(round_, limit)

    async def _read(self, round_: list[_Hydration], limit: int) -> None:
        reads = [StreamRead(one.stream, one.version, limit, one.fingerprint) for one in round_]
        try:
            pages = await self._store.read_streams(reads)
        except BaseException as raised:
            let_through(raised)
            if len(round_) > 1 and not isinstance(raised, Transient):
                for one in round_:  # one stream cannot be read: the others must not fail
                    await self._read([one], limit)
                return
            for one in round_:
                if isinstance(raised, UnreadableEvent):
                    failure = HydrationFailed(f"{one.stream} cannot be hydrated: {raised}")
                    self._give_up(one, failure, raised)
                else:
                    self._give_up(one, raised, raised.__cause__)
            return
        for one, page in zip(round_, pages, strict=True):
            self._apply(one, page)

    def _apply(self, one: _Hydration, page: StreamPage) -> None:
        actor, events, is_last = one.actor, page.events, page.is_last
        kind: ActorKind[Actor] = actor.kind
        if page.snapshot is not None or not is_last:
            if not (events or is_last or page.snapshot is not None):
                self._waiting.append(one)  # the other actors of the round filled the page
                return
            one.fingerprint = None
            if page.snapshot is not None and not self._begin_at(one, page.snapshot):
                self._waiting.append(one)
                return
        try:
            replay(one.state, kind.evolvers, kind.codec, events)
        except HydrationFailed as error:
            self._give_up(one, error, error.__cause__)
            return
        one.version += len(events)
        if not is_last:
            self._waiting.append(one)
            return
        if kind.snapshots is not None:
            self._save_snapshot(one, kind.snapshots)
        actor.hydrated(one.state, one.version)
        self.hydrations += 1
        succeeded = self._succeeded  # CPython 3.11 calls attributes that are not methods slowly
        succeeded(actor)

    def _begin_at(self, one: _Hydration, snapshot: Snapshot) -> bool:
        """Use a snapshot as the state so far; return False if it is unreadable, so replay starts at version 1."""
        keeper = one.actor.kind.snapshots
        state = keeper.restore(snapshot) if keeper is not None else None
        if state is None:
            return False
        one.state = state
        one.version = one.begun_at = snapshot.version
        return True

    def _save_snapshot(self, one: _Hydration, keeper: SnapshotKeeper) -> None:
        if keeper.is_overdue(one.state, one.begun_at, one.version):
            snapshot = keeper.take(one.stream, one.state, one.version)
            if snapshot is not None:
                one.actor.kind.host.save_snapshot(snapshot)

    def _give_up(self, one: _Hydration, error: BaseException, cause: BaseException | None) -> None:
        if not isinstance(error, ActoriumError):
            failure = HydrationFailed(f"{one.actor!r} cannot be hydrated: {error_text(error)}")
            failure.__cause__ = error
            self._failed(one.actor, failure)
            return
        error.__cause__ = cause
        self._failed(one.actor, error)
