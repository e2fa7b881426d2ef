"""`Runtime`: the object that an application embeds; it creates the components and groups their operations."""

from __future__ import annotations

from asyncio import get_running_loop
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any, Self, TypeVar, overload

import msgspec

from actorium.actors.aggregate import Aggregate
from actorium.actors.commands import Ack, Command
from actorium.catalog import Catalog, Part
from actorium.components import assembled
from actorium.runtime.arguments import checked_timeout_s
from actorium.runtime.commands.inherited import inherit, inherited
from actorium.runtime.commands.middleware import Middleware
from actorium.runtime.engine import Engine
from actorium.runtime.entry import CommandEntry
from actorium.runtime.environment import RuntimeEnvironment
from actorium.runtime.instrument import Instrument, Instruments
from actorium.runtime.lifecycle import Assembly, Lifecycle
from actorium.runtime.log.durable_subscription import DurableSubscription
from actorium.runtime.log.history import Change, Moment, changes, state_at
from actorium.runtime.log.subscriptions import Subscription
from actorium.runtime.processors.processor import Processor
from actorium.runtime.processors.processors import AllDeadLetters, Processors
from actorium.runtime.projections.projection import Projection, Query
from actorium.runtime.projections.queries import Watch
from actorium.runtime.read_side import ReadSide
from actorium.runtime.settings import Settings
from actorium.runtime.statistics import Counters, RuntimeStatistics
from actorium.sagas.execution.saga_engine import SagaEngine
from actorium.sagas.model.due_times import due_at_us
from actorium.sagas.sagas import Sagas
from actorium.sagas.submissions import Submissions
from actorium.store.event_store import EventStore, Head
from actorium.store.events import Event, RecordedEvent
from actorium.store.source import Source, SystemSource
from actorium.store.urls import open_store

A = TypeVar("A", bound=Aggregate)
E = TypeVar("E", bound=Event)
R = TypeVar("R")


class Runtime:
    """Runs aggregates, projections and sagas on a durable log, inside an asyncio program.

    Use it as `async with Runtime([Account, Transfer], store="sqlite:///bank.db") as runtime:`, or call `start` and
    `stop`. When the block ends, for whatever reason, accepted commands have `Settings.drain_s` seconds to finish.

    parts: what to run: aggregate, projection and saga classes, `@react` functions and outlets.
    store: a URL (`memory://`, `sqlite:///relative.db`, `sqlite:////absolute.db`, `postgresql://host/database`) or an
        EventStore.
    settings: the limits and timeouts.
    middleware: called around each `send` and `tell`, the first one outermost.
    instruments: notified of commands, commits, deliveries and steps.
    source: provides time, ids and random numbers; leave it out except in tests.

    Raises ConfigurationError for an invalid part, URL or instrument. Every method except `start`, `stop`, `ended` and
    `lifespan` raises RuntimeClosed if the runtime is not running, and ConfigurationError if it is called from a
    different event loop or thread than `start` was: see `asyncio.run_coroutine_threadsafe`.
    """

    _lifecycle: Lifecycle
    _engine: Engine
    _reads: ReadSide
    _saga_engine: SagaEngine

    def __init__(
        self,
        parts: Sequence[Part],
        *,
        store: str | EventStore,
        settings: Settings | None = None,
        middleware: Sequence[Middleware] = (),
        instruments: Sequence[Instrument] = (),
        source: Source | None = None,
    ) -> None:
        self._catalog = Catalog(parts)
        self._store: EventStore = open_store(store)
        settings, self._source = settings or Settings(), source or SystemSource()
        self._default_timeout_s = settings.default_timeout_s
        self._counters = Counters()
        all_instruments = Instruments([self._counters, *instruments])
        codec, is_stopping = self._catalog.codec, lambda: self._lifecycle.is_stopping
        self._environment = RuntimeEnvironment(self._store, codec, settings, self._source, all_instruments, is_stopping)
        self._entry = CommandEntry(middleware, self._running)
        self._has_middleware = self._entry.has_middleware
        self._lifecycle = Lifecycle(self._environment, self._assemble)
        self._processors = Processors(self._running_processors)
        self._dead_letters = AllDeadLetters(self._processors)
        self._sagas = Sagas(self._running_sagas)
        self._submissions = Submissions(self._running_sagas)

    def _assemble(self, head: Head) -> Assembly:
        accepts = None if self._has_middleware else lambda: self._lifecycle.accepting
        self._engine, self._reads, self._saga_engine = components = assembled(
            self._catalog, self._environment, head, self._counters, self._lifecycle.crashed, self.send, accepts
        )
        return components.in_order()

    def _running(self) -> Engine:
        try:
            if get_running_loop() is self._lifecycle.serving_loop:
                return self._engine
        except RuntimeError:  # a thread without an event loop
            pass
        raise self._lifecycle.refusal()

    def _running_processors(self) -> Mapping[object, Processor]:
        self._running()
        return self._reads.processors

    def _running_sagas(self) -> SagaEngine:
        self._running()
        return self._saga_engine

    @property
    def catalog(self) -> Catalog:
        """The classes and functions that were passed to the runtime, by kind."""
        return self._catalog

    @property
    def store(self) -> EventStore:
        """The event store that the runtime uses."""
        return self._store

    @property
    def sagas(self) -> Sagas:
        """The sagas: `get` or `list` any of them; `retry`, `skip` or `complete` a stuck one."""
        return self._sagas

    @property
    def submissions(self) -> Submissions:
        """The submitted commands, with `get`, `list` and `cancel`."""
        return self._submissions

    @property
    def processors(self) -> Processors:
        """A mapping from each projection class, `@react` function, outlet and saga class to its `Processor`."""
        return self._processors

    @property
    def dead_letters(self) -> AllDeadLetters:
        """The parked events of all processors, with `list`, `retry` and `discard`."""
        return self._dead_letters

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.stop()

    async def start(self) -> None:
        """Open the store and start serving. A runtime can be started only once.

        Raises the errors of the store, UnreadableTypes (see `Settings`), and RuntimeClosed if it was started before.
        """
        await self._lifecycle.start()

    async def stop(self) -> None:
        """Stop accepting commands, give accepted ones `Settings.drain_s` seconds to commit, then close the store.

        A command that has not reached the store by then fails with RuntimeClosed; one that may be in the log fails with
        CommitUnknown. A second call, or a cancelled caller, waits for the end. Raises StoreHangs if it takes too long.
        """
        await self._lifecycle.stop()

    async def ended(self) -> BaseException | None:
        """Wait until the runtime ends; return its error, or None after a stop. Raises RuntimeClosed before a start."""
        return await self._lifecycle.ended()

    @asynccontextmanager
    async def lifespan(self, app: object = None) -> AsyncIterator[None]:
        """Start and stop with a web application (FastAPI, Starlette, Litestar): `FastAPI(lifespan=runtime.lifespan)`.

        Pass it to the outermost application: the lifespan of a mounted application does not run. `app` is not used.
        """
        async with self:
            yield

    async def send(
        self,
        command: Command,
        *,
        command_id: str | None = None,
        timeout_s: float | None = None,
        expected_version: int | None = None,
        correlation_id: str = "",
        causation_id: str = "",
        headers: Mapping[str, str] | None = None,
        wait_for: Collection[type[Projection]] = (),
    ) -> Ack:
        """Execute a command; return once its events are durable and applied.

        command_id: a command sent again with the same id takes effect only once, and gets the same answer as before.
        timeout_s: how long to wait; a command that would queue for more than a third of this time is refused at once.
        expected_version: the version that the stream must have.
        correlation_id, causation_id, headers: stored with the events; inherited while an event is handled.
        wait_for: projections that must contain the events before the call returns; QueryTimeout and EventParked mean
            that the command took effect but a projection does not contain its events yet.

        Raises InvalidCommand, Refused (Rejected, NotFound, AlreadyExists, CommandConflict), LostRace, CommandFailed for
        a bug in the handler, Unavailable if nothing was done (Overloaded, StoreUnavailable, RuntimeClosed),
        OutcomeUnknown (CommandTimeout, CommitUnknown), DamagedLog (HydrationFailed) or ConfigurationError.
        """
        timeout_s = self._default_timeout_s if timeout_s is None else checked_timeout_s(timeout_s)
        engine = self._running()
        has_metadata = correlation_id != "" or causation_id != "" or headers or inherited() is not None
        if not (has_metadata or expected_version is not None or wait_for or self._has_middleware):
            return await engine.dispatcher.send(command, command_id, timeout_s)
        if not self._has_middleware:
            engine.admission.require_time(timeout_s)  # rejecting is cheapest here, but middleware must see the command
        metadata = inherit(correlation_id, causation_id, headers)
        envelope = engine.dispatcher.envelope(command, command_id, expected_version, *metadata, timeout_s)
        return await self._entry.call_and_wait(envelope, self._reads.models(wait_for))

    async def tell(
        self,
        command: Command,
        *,
        timeout_s: float | None = None,
        correlation_id: str = "",
        causation_id: str = "",
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """Deliver a command to a mailbox and return; nothing is guaranteed, and errors are only logged.

        Middleware applies; its `next` returns an Ack without a result as soon as the mailbox has the command.

        timeout_s: how long to wait for room in the mailbox.
        correlation_id, causation_id, headers: stored with the events.

        Raises InvalidCommand, Unavailable, ConfigurationError, or an error of the middleware.
        """
        engine = self._running()
        timeout_s = self._default_timeout_s if timeout_s is None else checked_timeout_s(timeout_s)
        await self._entry.call_and_leave(
            engine.dispatcher.envelope(command, None, None, *inherit(correlation_id, causation_id, headers), timeout_s)
        )

    async def submit(
        self,
        command: Command,
        *,
        at: datetime | None = None,
        after_s: float | None = None,
        command_id: str | None = None,
        correlation_id: str = "",
        causation_id: str = "",
        headers: Mapping[str, str] | None = None,
    ) -> Ack:
        """Accept a command durably and return; it will take effect once, even if the process dies right after the call.

        at: do not execute it before this time, an aware datetime at most a hundred years from now.
        after_s: do not execute it until this many seconds from now.
        command_id: a command submitted again with the same id is accepted only once; `submissions` finds it by this id.
        correlation_id, causation_id, headers: stored with the submission and with the command's events.

        Raises the errors of `send` for the submission itself; the outcome of the command is recorded.
        """
        inherited_too = inherit(correlation_id, causation_id, headers)
        timeout_s = self._default_timeout_s
        envelope = self._running().dispatcher.envelope(command, command_id, None, *inherited_too, timeout_s)
        return await self._saga_engine.submit(envelope, due_at_us(self._source.now_us(), at, after_s))

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

        Raises NotFound if there is no such state, and CommandTimeout.
        """
        engine = self._running()
        kind = engine.kind_of(aggregate)
        if at_version is not None or at_position is not None or at_time is not None:
            moment = Moment(version=at_version, position=at_position, time=at_time)
            past: A = await state_at(self._store, kind, id, moment)
            return past
        timeout_s = self._default_timeout_s if timeout_s is None else checked_timeout_s(timeout_s)
        engine.admission.require_time(timeout_s)
        state: A = await engine.dispatcher.read(kind.type, id, timeout_s)
        return state

    def history(self, aggregate: type[A], id: str, *, after_version: int = 0) -> AsyncIterator[Change[A]]:
        """Return an async iterator over an aggregate's events after a version, each with the state before and after it.

        It ends with the newest event. Iterating raises NotFound if the stream is empty, and HydrationFailed at a bad
        event.
        """
        return changes(self._store, self._running().kind_of(aggregate), id, after_version)

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
        return self._reads.log_reader.caused_by(event_id, after)

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

    def statistics(self) -> RuntimeStatistics:
        """Return the runtime's current counters; can be called from any thread."""
        self._lifecycle.require_accepting()
        return msgspec.structs.replace(self._engine.statistics(), processors=self._reads.statistics())
