"""`Runtime`: what an application embeds: the public face of the engine, and its life from start to stop.

Invariants: the engine's tasks live in one task group inside one root task, so that no caller's scope reaches them;
`start` and `stop` only signal that task; a runtime runs once.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from types import TracebackType
from typing import Any, Self, TypeVar

import anyio
import anyio.abc
import msgspec

from actorium.actors.aggregate import Aggregate
from actorium.actors.commands import Ack, Command
from actorium.actors.envelope import Envelope
from actorium.runtime.catalog import Catalog, Part
from actorium.runtime.commands.middleware import Middleware, chain
from actorium.runtime.engine import Engine
from actorium.runtime.errors import RuntimeClosed
from actorium.runtime.log.history import Change, Moment, changes, state_at
from actorium.runtime.log.log_reader import LogReader
from actorium.runtime.log.readability import require_readable
from actorium.runtime.projections.projection import Projection
from actorium.runtime.read_side import ReadSide
from actorium.runtime.reads import Reads
from actorium.runtime.settings import Settings
from actorium.runtime.shutdown import Shutdown
from actorium.runtime.statistics import RuntimeStatistics
from actorium.store.event_store import EventStore
from actorium.store.log import logger
from actorium.store.source import Source, SystemSource
from actorium.store.urls import open_store

log = logger("actorium.runtime")
A = TypeVar("A", bound=Aggregate)
R = TypeVar("R")

# How often a round of passivation begins, as a part of the idle time, and at most.
_SWEEPS_PER_IDLE_TIME = 4
_SWEEP_EVERY_S_MAX = 60.0
_SWEEP_STEP_PAUSE_S = 0.01


class Runtime(Reads):
    """Aggregates as actors on a durable log, inside an asyncio program.

    Use it as `async with Runtime([Account], store="sqlite:///bank.db") as runtime:`, or call `start` and `stop`.
    Leaving the block, also by an exception or Ctrl-C, lets accepted commands finish for `Settings.drain_s` seconds.

    parts: what it runs: aggregate classes, projection classes, `@react` functions.
    store: a URL (`memory://`, `sqlite:///relative.db`, `sqlite:////absolute.db`) or an object that is an EventStore.
    settings: the limits. middleware: what each `send` and `tell` passes through, the first outermost.
    source: where time, ids and chance come from; leave it out unless you test.
    """

    def __init__(
        self,
        parts: Sequence[Part],
        *,
        store: str | EventStore,
        settings: Settings | None = None,
        middleware: Sequence[Middleware] = (),
        source: Source | None = None,
    ) -> None:
        self._catalog = self._catalog_of(parts)
        self._store: EventStore = open_store(store)
        self._settings = settings or Settings()
        self._source: Source = source or SystemSource()
        self._has_middleware = bool(middleware)
        self._call = chain(middleware, self._innermost)
        self._call_and_leave = chain(middleware, self._tell_innermost)
        self._engine: Engine | None = None
        self._root: asyncio.Task[None] | None = None
        self._stop_wanted: asyncio.Event | None = None
        self._accepting = False
        self._failure: BaseException | None = None
        self._ending = Shutdown(self._settings.close_s)

    def _catalog_of(self, parts: Sequence[Any]) -> Catalog:
        """Return what this runtime runs; a layer above takes its own kinds of parts out first."""
        return Catalog(parts)

    async def _begin(self, engine: Engine, reads: ReadSide, tasks: anyio.abc.TaskGroup) -> None:
        """Begin to follow the log, before commands are accepted; a layer above adds what it drives."""
        reads.start(tasks)

    def _begun(self, tasks: anyio.abc.TaskGroup) -> None:
        """Begin what sends commands, now that they are accepted; nothing here."""

    @property
    def catalog(self) -> Catalog:
        """What it runs: the classes and functions it was given."""
        return self._catalog

    @property
    def store(self) -> EventStore:
        """The log that it runs on."""
        return self._store

    # --- life -----------------------------------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def start(self) -> None:
        """Open the store and begin to serve; raise what the store raises. A runtime starts once.

        Raises UnreadableTypes where the log holds events that no registered class reads (see `Settings`).
        """
        if self._root is not None:
            raise RuntimeClosed("this runtime was started before: make a new Runtime for another run")
        loop = asyncio.get_running_loop()
        self._stop_wanted = asyncio.Event()
        started: asyncio.Future[None] = loop.create_future()
        self._root = loop.create_task(self._run(started, self._stop_wanted), name="actorium")
        try:
            await asyncio.shield(started)
        except BaseException:
            await self.stop()  # what was opened is closed before the caller, and perhaps its loop, goes on
            raise

    async def stop(self) -> None:
        """Take no new commands, let accepted ones commit for `Settings.drain_s` seconds, close the store.

        What was not given to the store by then fails with RuntimeClosed, and what may be in the log with CommitUnknown.
        A second call waits for the first. It ends properly also when its caller is cancelled meanwhile. The commit in
        flight, and then the closing, are given `Settings.close_s` seconds each; raises StoreHangs where the store needs
        longer.
        """
        if self._root is None:
            return
        self._accepting = False
        if self._stop_wanted is not None:
            self._stop_wanted.set()
        # Longer than all that is waited for in turn.
        await self._ending.of(self._root, self._settings.drain_s + 3 * self._settings.close_s)

    async def ended(self) -> BaseException | None:
        """Wait until the runtime has ended; return the error that ended it, None where it was stopped."""
        if self._root is None:
            raise RuntimeClosed("the runtime has not been started: there is no end to wait for")
        await asyncio.wait((self._root,))
        return self._failure

    @asynccontextmanager
    async def lifespan(self, app: object = None) -> AsyncIterator[None]:
        """Run for as long as a web application does: `FastAPI(lifespan=runtime.lifespan)`, Starlette, Litestar.

        Give it to the outermost application: those mounted inside have no lifespan of their own.
        """
        async with self:
            yield

    async def _run(self, started: asyncio.Future[None], stop_wanted: asyncio.Event) -> None:
        why: BaseException | None = None
        try:
            await self._store.open()
            await require_readable(self._store, self._catalog.codec, self._settings.unreadable_types)
            async with anyio.create_task_group() as tasks:
                try:
                    await self._serve(tasks, started, stop_wanted)
                finally:
                    self._ending.begin(self._engine.writer if self._engine is not None else None)
        except BaseException as error:
            why = self._failure = _single(error)
            if not started.done():
                started.set_exception(why)
                started.exception()  # seen: `start` raises it, unless its caller is gone
            else:
                log.critical("runtime_failed", error=repr(why))
        finally:
            self._accepting = False
            closed = RuntimeClosed("the runtime has stopped" if why is None else f"the runtime has failed: {why!r}")
            closed.__cause__ = why
            if self._engine is not None:
                self._engine.fail_everything(closed)
                self._engine.log_tail.close()
            await self._ending.close(self._store)

    async def _serve(
        self, tasks: anyio.abc.TaskGroup, started: asyncio.Future[None], stop_wanted: asyncio.Event
    ) -> None:
        crashes: list[Exception] = []

        def crashed(error: Exception) -> None:
            crashes.append(error)
            stop_wanted.set()

        engine = self._engine = Engine(self._catalog, self._store, self._settings, self._source, crashed)
        engine.log_tail.open_at(await self._store.head())
        tasks.start_soon(engine.writer.run)
        tasks.start_soon(engine.hydrator.run)
        tasks.start_soon(engine.replies.run)
        tasks.start_soon(self._passivate, engine)
        log_reader = LogReader(self._store, self._catalog.codec, engine.log_tail)
        self._read_side = ReadSide(
            self._catalog.projections,
            self._catalog.reactions,
            self._store,
            engine.writer.save,
            log_reader,
            self._source,
            self._settings,
        )
        await self._read_side.prepare()
        await self._begin(engine, self._read_side, tasks)
        self._accepting = True
        self._read_side.start_reactions(tasks)
        self._begun(tasks)
        log.info("runtime_started", store=self._store.describe(), position=engine.log_tail.position)
        started.set_result(None)
        await stop_wanted.wait()
        if crashes:
            raise crashes[0]
        with anyio.move_on_after(self._settings.drain_s) as drain:
            await engine.admission.idle()
            await engine.writer.drained()
        log.info("runtime_stopped", unfinished=engine.admission.in_flight, in_time=not drain.cancelled_caught)
        tasks.cancel_scope.cancel()

    async def _passivate(self, engine: Engine) -> None:
        idle_s = self._settings.passivation.idle_s
        if idle_s is None:
            return
        pause_s = min(idle_s / _SWEEPS_PER_IDLE_TIME, _SWEEP_EVERY_S_MAX)
        loop = asyncio.get_running_loop()
        while True:
            round_is_over = engine.live.sweep_step(loop.time())
            await asyncio.sleep(pause_s if round_is_over else min(pause_s, _SWEEP_STEP_PAUSE_S))

    # --- commands -------------------------------------------------------------------------------------------------

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
        """Have a command carried out; return when its events are durable and applied.

        command_id: makes the command idempotent: sent again with the same id, it takes effect once, for ever, and is
        answered as the first time. timeout_s: how long to wait, backpressure included; a command that would spend more
        than a third of it behind others is refused at once. expected_version: the version its stream must be at.
        correlation_id, causation_id, headers: stored with its events. wait_for: projections that must have its events
        before the call returns; QueryTimeout says that the command took effect and one has not.

        Raises InvalidCommand for a value that cannot be; Refused (Rejected, NotFound, AlreadyExists, CommandConflict);
        LostRace; CommandFailed for a bug of the handler; Unavailable where nothing was done (Overloaded,
        StoreUnavailable, RuntimeClosed); OutcomeUnknown (CommandTimeout, CommitUnknown); DamagedLog (HydrationFailed);
        ConfigurationError for a command that no aggregate handles.
        """
        if timeout_s is None:
            timeout_s = self._settings.default_timeout_s
        engine = self._running()
        if not self._has_middleware:
            # Rejected here a command costs least; middleware must see it first, though.
            engine.admission.require_time(timeout_s)
        dispatcher = engine.dispatcher
        envelope = dispatcher.envelope(
            command, command_id, expected_version, correlation_id, causation_id, headers, timeout_s
        )
        if wait_for:
            return await self._send_and_wait(envelope, wait_for)
        if self._has_middleware:
            return await self._call(envelope)
        return await dispatcher.ask(envelope)

    async def _send_and_wait(self, envelope: Envelope, wait_for: Collection[type[Projection]]) -> Ack:
        models = [self._reads().model(projection) for projection in wait_for]
        loop = asyncio.get_running_loop()
        deadline = loop.time() + envelope.timeout_s
        ack = await self._call(envelope)
        for model in models:
            await model.at_least(ack.position, max(0.0, deadline - loop.time()))
        return ack

    async def tell(
        self,
        command: Command,
        *,
        timeout_s: float | None = None,
        correlation_id: str = "",
        causation_id: str = "",
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """Have a mailbox take a command and return; nothing is promised, and what goes wrong is only logged.

        It passes through the middleware, whose `next` returns an Ack of nothing as soon as the mailbox has the command.
        """
        engine = self._running()
        if timeout_s is None:
            timeout_s = self._settings.default_timeout_s
        await self._call_and_leave(
            engine.dispatcher.envelope(command, None, None, correlation_id, causation_id, headers, timeout_s)
        )

    async def _tell_innermost(self, envelope: Envelope) -> Ack:
        engine = self._running()
        engine.admission.require_time(envelope.timeout_s)
        await engine.dispatcher.tell(envelope)
        return Ack(envelope.to, 0, 0, (), envelope.command_id)

    async def _innermost(self, envelope: Envelope) -> Ack:
        engine = self._running()
        engine.admission.require_time(envelope.timeout_s)
        return await engine.dispatcher.ask(envelope)

    # --- reads ----------------------------------------------------------------------------------------------------

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
        """Return the state of an aggregate, a copy: the latest, or as it was at a version, position or time.

        The latest includes every command acknowledged before the call. `at_time` is an aware datetime; it gives the
        state after the last event recorded at or before it. Raises NotFound where there was no such state.
        """
        engine = self._running()
        kind = engine.kind_of(aggregate)
        if at_version is not None or at_position is not None or at_time is not None:
            moment = Moment(version=at_version, position=at_position, time=at_time)
            past: A = await state_at(self._store, kind, id, moment)
            return past
        timeout_s = self._settings.default_timeout_s if timeout_s is None else timeout_s
        engine.admission.require_time(timeout_s)
        state: A = await engine.dispatcher.read(kind.type, id, timeout_s)
        return state

    def history(self, aggregate: type[A], id: str, *, after_version: int = 0) -> AsyncIterator[Change[A]]:
        """Return an async iterator over the changes of an aggregate after a version: who, when, why, before and after.

        It reads committed events, page by page, and ends with the newest. Iterating raises NotFound where the stream
        is empty, and HydrationFailed at an event that cannot be read or applied.
        """
        return changes(self._store, self._running().kind_of(aggregate), id, after_version)

    def statistics(self) -> RuntimeStatistics:
        """Return the runtime's counters as they are now."""
        statistics = self._running().statistics()
        return msgspec.structs.replace(statistics, processors=self._reads().statistics())

    def _running(self) -> Engine:
        if not self._accepting or self._engine is None:
            when = "is stopping or has stopped" if self._root is not None else "has not been started"
            raise RuntimeClosed(f"the runtime {when}: use it inside `async with Runtime(…)`")
        return self._engine


def _single(error: BaseException) -> BaseException:
    """Return the one error that a task group wrapped, or the group of several."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error
