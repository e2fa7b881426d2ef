"""`Runtime`: the object that an application embeds; it creates the components and groups their operations."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from threading import get_ident
from typing import Self

import msgspec

from actorium.actors.commands import Ack, Command
from actorium.catalog import Catalog, Part
from actorium.components import assembled, node_description
from actorium.corrections.cases.services import CaseServices
from actorium.corrections.corrections import Corrections
from actorium.operators import Operators
from actorium.personal.forgetting import forget
from actorium.personal.opening import key_ring_of, open_keys
from actorium.reading import RuntimeReading
from actorium.runtime.arguments import checked_timeout_s
from actorium.runtime.cluster.cluster import Cluster
from actorium.runtime.cluster.node import ClusterNode
from actorium.runtime.commands.inherited import CallerHeaders, metadata_of, with_caller_headers
from actorium.runtime.commands.middleware import Middleware
from actorium.runtime.commands.read_only import refuse_to_write
from actorium.runtime.engine import Engine
from actorium.runtime.entry import CommandEntry
from actorium.runtime.environment import RuntimeEnvironment
from actorium.runtime.instrument import Instrument, Instruments
from actorium.runtime.lifecycle import Assembly, Lifecycle
from actorium.runtime.processors.processor import Processor
from actorium.runtime.processors.processors import AllDeadLetters, Processors
from actorium.runtime.projections.projection import Projection
from actorium.runtime.services.door import Door
from actorium.runtime.services.link import linked
from actorium.runtime.services.service import Service
from actorium.runtime.settings import Settings
from actorium.runtime.statistics import Counters, RuntimeStatistics
from actorium.sagas.model.due_times import due_at_us
from actorium.sagas.saga_engine import SagaEngine
from actorium.sagas.sagas import Sagas
from actorium.sagas.schedules.runner import ScheduleRunner
from actorium.sagas.schedules.schedules import Schedules
from actorium.sagas.submissions import Submissions
from actorium.store.errors import ConfigurationError
from actorium.store.event_store import EventStore, Examinable, Head
from actorium.store.names import StoredEventType
from actorium.store.personal.keys import KeyStore
from actorium.store.source import Source, SystemSource
from actorium.store.urls import open_store

_NO_OPTIONS = ("", "", None, None, ())


class Runtime(RuntimeReading):
    """Runs aggregates, projections and sagas on a durable log, inside an asyncio program.

    Use it as `async with Runtime([Account, Transfer], store="sqlite:///bank.db") as runtime:`, or call `start` and
    `stop`. When the block ends, for whatever reason, accepted commands have `Settings.drain_s` seconds to finish.

    parts: what to run: aggregate, projection and saga classes, `@react` functions and outlets; or the catalog of
        another runtime, to run the same without checking it again.
    store: a URL (`memory://`, `sqlite:///relative.db`, `sqlite:////absolute.db`, `postgresql://host/database`) or an
        EventStore.
    settings: the limits and timeouts.
    middleware: called around each `send` and `tell`, the first one outermost.
    caller_headers: called by each `send`, `tell` and `submit`; returns headers of the caller to store with the command
        (the user, the trace), or None. Headers of the call itself take precedence, and those of an event that is
        being handled.
    instruments: notified of commands, commits, deliveries and steps.
    service: makes the runtime reachable for other services, and lets it reach them.
    source: provides time, ids and random numbers; leave it out except in tests.
    read_only: read a log that another process writes. Nothing is written, commands are refused with ConfigurationError,
        and sagas, reactions and outlets do not run. Projections in memory are built in this process; queries of tables
        wait for the process that fills them.
    cluster: makes this runtime one of several nodes on one log (`actorium.cluster`).
    keys: where the keys of personal data are (`actorium.personal`); beside the log if it is left out.

    Raises ConfigurationError for an invalid part, URL or instrument. Every method except `start`, `stop`, `ended` and
    `lifespan` raises RuntimeClosed if the runtime is not running, and ConfigurationError if it is called from a
    different event loop or thread than `start` was: see `asyncio.run_coroutine_threadsafe`.
    """

    _lifecycle: Lifecycle
    _engine: Engine
    _saga_engine: SagaEngine
    _case_services: CaseServices
    _schedule_runner: ScheduleRunner

    def __init__(
        self,
        parts: Sequence[Part] | Catalog,
        *,
        store: str | EventStore,
        settings: Settings | None = None,
        middleware: Sequence[Middleware] = (),
        instruments: Sequence[Instrument] = (),
        caller_headers: CallerHeaders | None = None,
        service: Service | None = None,
        source: Source | None = None,
        read_only: bool = False,
        cluster: Cluster | None = None,
        keys: KeyStore | None = None,
    ) -> None:
        self._catalog = parts if isinstance(parts, Catalog) else Catalog(parts)
        self._catalog.require_accepted(service)
        self._store: EventStore = open_store(store)
        if read_only and not isinstance(self._store, Examinable):
            raise ConfigurationError(
                f"read_only=True needs a log that another process writes, in SQLite or PostgreSQL, not {store!r}"
            )
        settings, self._source = settings or Settings(), source or SystemSource()
        self._default_timeout_s = settings.default_timeout_s
        self._counters = Counters()
        all_instruments = Instruments([self._counters, *instruments])
        codec, is_stopping = self._catalog.codec, lambda: self._lifecycle.is_stopping
        ring = key_ring_of(self._catalog, self._store, keys, settings)
        self._environment = RuntimeEnvironment(
            self._store, codec, settings, self._source, all_instruments, is_stopping, read_only, ring
        )
        self._service = service
        self._link = link = None if read_only else linked(service, self._catalog.remotes, codec, self._source)
        self._entry = CommandEntry(middleware, self._running, link.send if link is not None else None)
        self._inherited = with_caller_headers(caller_headers)
        self._has_middleware = self._entry.has_middleware
        self._node = (
            None
            if cluster is None
            else ClusterNode(cluster, self._environment, node_description(self._catalog, service, settings))
        )
        if cluster is not None and read_only:
            raise ConfigurationError("Runtime(cluster=…, read_only=True): a node writes; leave one of them out")
        self._lifecycle = Lifecycle(self._environment, self._open_store, self._assemble)
        self._processors = Processors(self._running_processors)
        self._dead_letters = AllDeadLetters(self._processors)
        self._sagas = Sagas(self._running_sagas)
        self._submissions = Submissions(self._running_sagas)
        self._schedules = Schedules(self._running_schedules, self._source)
        self._corrections = Corrections(self._environment, self._catalog, self._running_cases, service, link)
        self._operators = Operators(self._running, self._source, self._default_timeout_s)

    async def _open_store(self) -> None:
        environment = self._environment
        if self._node is not None:
            await self._node.join()
        elif environment.read_only:
            assert isinstance(self._store, Examinable), "it was checked when the runtime was created"
            await self._store.open(read_only=True)
        else:
            await self._store.open()
        open_keys(environment, is_alone=self._node is None and self._link is None)

    def _assemble(self, head: Head, stored: Sequence[StoredEventType]) -> Assembly:
        accepts = None if self._has_middleware else lambda: self._lifecycle.accepting
        crashed, link = self._lifecycle.crashed, self._link
        places = (head, stored)
        components = assembled(
            self._catalog, self._environment, *places, self._counters, crashed, self.send, accepts, link, self._node
        )
        self._engine, self._reads, self._saga_engine, *_, self._schedule_runner = components
        self._case_services = components.cases
        if link is not None and self._service is not None:
            deliver = self._entry.call if self._has_middleware else None
            wanted = (self._service, self._service.bus, self._engine.dispatcher, deliver)
            link.let_in(Door(*wanted, is_on_node=self._node is not None), self._store)
        return components.in_order()

    def _running(self) -> Engine:
        # A thread runs one loop at a time. `get_running_loop` makes a system call in CPython 3.11: hot path.
        lifecycle, loop = self._lifecycle, self._lifecycle.serving_loop
        if get_ident() != lifecycle.serving_thread or loop is None or not loop.is_running():
            lifecycle.require_here()
        return self._engine

    def _running_processors(self) -> Mapping[object, Processor]:
        self._running()
        return self._reads.processors

    def _running_sagas(self) -> SagaEngine:
        self._running()
        if self._environment.read_only:
            refuse_to_write("looking at or changing sagas and submitted commands")
        return self._saga_engine

    def _running_cases(self) -> CaseServices:
        self._running()
        return self._case_services

    def _running_schedules(self) -> ScheduleRunner:
        self._running()
        return self._schedule_runner

    def __repr__(self) -> str:
        parts = ", ".join(part.__name__ for part in (*self._catalog.aggregates, *self._catalog.projections))
        state = f"at position {self._engine.log_tail.position}" if self._lifecycle.accepting else "not running"
        return f"<Runtime of {parts} on {self._store.describe()}, {state}>"

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
        """The sagas: `get` or `list` any of them; `retry`, `skip`, `complete` or `compensate` a stuck one."""
        return self._sagas

    @property
    def submissions(self) -> Submissions:
        """The submitted commands, with `get`, `list`, `cancel` and `run_now`."""
        return self._submissions

    @property
    def schedules(self) -> Schedules:
        """The schedules: `list` them, `pause` or `resume` one, or `run_now`."""
        return self._schedules

    @property
    def processors(self) -> Processors:
        """A mapping from each projection class, `@react` function, outlet and saga class to its `Processor`."""
        return self._processors

    @property
    def dead_letters(self) -> AllDeadLetters:
        """The parked events of all processors, with `list`, `retry` and `discard`."""
        return self._dead_letters

    @property
    def corrections(self) -> Corrections:
        """What wrong events touched, and the cases that correct them."""
        return self._corrections

    @property
    def operators(self) -> Operators:
        """The record of what operators do, in the log."""
        return self._operators

    @property
    def service(self) -> Service | None:
        """What the runtime offers to other services; None if nothing."""
        return self._service

    @property
    def settings(self) -> Settings:
        """The limits and timeouts in force."""
        return self._environment.settings

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
        inherited = self._inherited  # a call of an attribute that is not a method is slow in CPython 3.11: hot path
        inherits = inherited()
        if self._link is not None and self._link.handles(command.__class__):
            self._link.refuse_waiting(command, wait_for)
            metadata = metadata_of(correlation_id, causation_id, headers, inherits)
            envelope = self._link.envelope(command, command_id, expected_version, *metadata, timeout_s)
            return await self._entry.call_and_wait(envelope, ())
        options = (correlation_id, causation_id, headers, expected_version, wait_for)  # one comparison: hot path
        if options == _NO_OPTIONS and inherits is None and not self._has_middleware:
            return await engine.dispatcher.send(command, command_id, timeout_s)
        if not self._has_middleware:
            engine.admission.require_time(timeout_s)  # rejecting is cheapest here, but middleware must see the command
        metadata = metadata_of(correlation_id, causation_id, headers, inherits)
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
        metadata = metadata_of(correlation_id, causation_id, headers, self._inherited())
        await self._entry.call_and_leave(engine.dispatcher.envelope(command, None, None, *metadata, timeout_s))

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
        metadata = metadata_of(correlation_id, causation_id, headers, self._inherited())
        timeout_s = self._default_timeout_s
        dispatcher = self._running().dispatcher
        place = self._link if self._link is not None and self._link.handles(command.__class__) else dispatcher
        envelope = place.envelope(command, command_id, None, *metadata, timeout_s)
        return await self._saga_engine.submit(envelope, due_at_us(self._source.now_us(), at, after_s))

    async def forget(self, subject: str) -> Ack:
        """Destroy the key of a subject: its personal data can no longer be read, here or in any copy of the log.

        The key is gone before the event `SubjectForgotten` is recorded, which tells projections, reactions and sagas.
        A subject without a key is recorded as well. If the call fails, call it again.

        subject: whom to forget, as the messages name it.

        Raises ConfigurationError if the application has no personal data, and the errors of `send`.
        """
        return await forget(self._running(), self._environment, subject, self._default_timeout_s)

    def statistics(self) -> RuntimeStatistics:
        """Return the runtime's current counters; can be called from any thread."""
        self._lifecycle.require_accepting()
        service = self._link.statistics() if self._link is not None else None
        return msgspec.structs.replace(self._engine.statistics(), processors=self._reads.statistics(), service=service)
