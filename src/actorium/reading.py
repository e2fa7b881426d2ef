"""`RuntimeReading`: the methods of a runtime that read: states, history, events and queries."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Collection
from contextlib import aclosing
from datetime import datetime
from typing import Any, TypeVar, overload

from actorium.actors.aggregate import Aggregate
from actorium.runtime.arguments import checked_timeout_s
from actorium.runtime.engine import Engine
from actorium.runtime.environment import RuntimeEnvironment
from actorium.runtime.log.durable_subscription import DurableSubscription
from actorium.runtime.log.history import Change, Moment, changes, state_at
from actorium.runtime.log.subscriptions import Subscription
from actorium.runtime.projections.projection import Query
from actorium.runtime.projections.queries import Watch
from actorium.runtime.read_side import ReadSide
from actorium.store.event_store import EventStore
from actorium.store.events import Event, RecordedEvent
from actorium.store.personal.key_ring import KeyRing

A = TypeVar("A", bound=Aggregate)
E = TypeVar("E", bound=Event)
R = TypeVar("R")


class RuntimeReading:
    """The methods of `Runtime` that read; each raises RuntimeClosed if the runtime is not running."""

    _store: EventStore
    _environment: RuntimeEnvironment
    _default_timeout_s: float
    _reads: ReadSide

    def _running(self) -> Engine:
        raise NotImplementedError

    @property
    def key_ring(self) -> KeyRing | None:
        """The keys of personal data; None if the application has no personal data."""
        return self._environment.keys

    async def get(
        self,
        aggregate: type[A],
        id: str,
        *,
        at_version: int | None = None,
        at_position: int | None = None,
        at_time: datetime | None = None,
        timeout_s: float | None = None,
    ) -> A:
        """Return a copy of the state of an aggregate: the latest one, or the one at a version, position or time.

        The latest state includes every command acknowledged before the call.

        at_version: the state after this event of its stream.
        at_position: the state after everything up to this position in the log.
        at_time: an aware datetime; the state after the last event recorded at or before it.
        timeout_s: how long to wait for the latest state.

        Raises NotFound if there is no such state, CommandTimeout, and on a node of a cluster NewerCodeNeeded.
        """
        engine = self._running()
        kind = engine.kind_of(aggregate)
        if at_version is not None or at_position is not None or at_time is not None:
            moment = Moment(version=at_version, position=at_position, time=at_time)
            with self._reads.naming_newer_code():
                past: A = await state_at(self._store, kind, id, moment)
            return past
        timeout_s = self._default_timeout_s if timeout_s is None else checked_timeout_s(timeout_s)
        engine.admission.require_time(timeout_s)
        state: A = await engine.dispatcher.read(kind.type, id, timeout_s)
        return state

    def history(self, aggregate: type[A], id: str, *, after_version: int = 0) -> AsyncIterator[Change[A]]:
        """Return an async iterator over an aggregate's events after a version, each with the state before and after it.

        It ends with the newest event. Iterating raises NotFound if the stream is empty, HydrationFailed at a bad event,
        and NewerCodeNeeded at one that newer code wrote on another node of a cluster.
        """
        return self._named(changes(self._store, self._running().kind_of(aggregate), id, after_version))

    @overload
    def events(
        self,
        *,
        after: int = ...,
        types: Collection[type[E]],
        aggregate: type[Aggregate] | None = ...,
        id: str | None = ...,
    ) -> Subscription[E]: ...

    @overload
    def events(
        self,
        *,
        after: int = ...,
        types: Collection[type[Event]] | None = ...,
        aggregate: type[Aggregate] | None = ...,
        id: str | None = ...,
    ) -> Subscription[Event]: ...

    def events(
        self,
        *,
        after: int = 0,
        types: Collection[type[Event]] | None = None,
        aggregate: type[Aggregate] | None = None,
        id: str | None = None,
    ) -> Subscription[Event]:
        """Return an async iterator over the log after a position: existing events, then new ones, without a gap.

        after: the position after which to start; 0 for the whole log.
        types: only these classes of events.
        aggregate, id: only the stream of that aggregate; give both or neither.
        """
        self._running()
        return self._reads.events(after, types, aggregate, id)

    @overload
    def subscribe(self, name: str, *, types: Collection[type[E]], after: int = ...) -> DurableSubscription[E]: ...

    @overload
    def subscribe(
        self, name: str, *, types: Collection[type[Event]] | None = ..., after: int = ...
    ) -> DurableSubscription[Event]: ...

    def subscribe(
        self, name: str, *, types: Collection[type[Event]] | None = None, after: int = 0
    ) -> DurableSubscription[Event]:
        """Return a durable subscription: an async context manager and iterator that continues from its saved position.

        name: the name under which its position is saved.
        types: only these classes of events.
        after: the position after which to start if no position is saved under the name.
        """
        self._running()
        return self._reads.subscribe(name, types, after)

    def causes(self, event_id: str, *, after: int = 0) -> AsyncIterator[RecordedEvent[Event]]:
        """Return an async iterator over the events that an event directly caused, after a position."""
        self._running()
        return self._named(self._reads.log_reader.caused_by(event_id, after))

    async def _named(self, found: AsyncGenerator[R, None]) -> AsyncGenerator[R, None]:
        """Yield what was found; on a node of a cluster, name the events that need newer code."""
        with self._reads.naming_newer_code():
            async with aclosing(found):
                async for one in found:
                    yield one

    async def query(
        self, query: Query[R], *args: Any, after: int | None = None, timeout_s: float | None = None, stale: bool = False
    ) -> R:
        """Run a query of a projection: `await runtime.query(Balances.of, "alice", after=ack.position)`.

        after: first wait until the projection contains everything up to this position (read your own writes).
        timeout_s: how long that and the query may take in total; a statement that is still running then is interrupted.
        stale: answer even if the event at that position is parked, or waits behind one that is.

        Raises QueryTimeout, EventParked, PositionBeyondLog for a position beyond the end of the log, StatementFailed
        for bad SQL, and QueryFailed for any other error in the query.
        """
        self._running()
        return await self._reads.query(query, args, 0 if after is None else after, timeout_s, stale)

    def watch(self, query: Query[R], *args: Any) -> Watch[R]:
        """Return an async iterator over a query's results: the current one, then a new one each time it changes."""
        self._running()
        return Watch(self._reads.model_of(query), query, args, timeout_s=self._default_timeout_s)
