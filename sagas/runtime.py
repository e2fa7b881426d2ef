"""`Runtime` with processes: the runtime below, and sagas, durable commands and timers on top of it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime
from typing import Any

import anyio.abc

from actorium.actors.aggregate import Aggregate
from actorium.actors.commands import Ack, Command
from actorium.runtime import runtime as base
from actorium.runtime.catalog import Catalog, Part, refuse_twice
from actorium.runtime.engine import Engine
from actorium.runtime.processors.outlet import Outlet
from actorium.runtime.read_side import ReadSide
from actorium.sagas.execution.saga_engine import SagaEngine
from actorium.sagas.model.events import SAGA_EVENTS
from actorium.sagas.model.saga import Saga
from actorium.sagas.model.stream import SagaStream, saga_stream_of
from actorium.sagas.model.submissions import Submission
from actorium.sagas.model.views import SagaSummary, SagaView
from actorium.store.errors import ConfigurationError, InvalidCommand
from actorium.store.events import Event

_AFTER_S_MAX = 1e11  # some 3,000 years: the log counts microseconds in 63 bits


class Runtime(base.Runtime):
    """Aggregates, projections and sagas on a durable log, inside an asyncio program.

    Use it as `async with Runtime([Account, Transfer], store="sqlite:///bank.db") as runtime:`, or call `start` and
    `stop`. Leaving the block, also by an exception or Ctrl-C, lets accepted commands finish for `Settings.drain_s`
    seconds.

    parts: what it runs: classes of aggregates, projections and sagas, `@react` functions, outlets.
    store: a URL (`memory://`, `sqlite:///relative.db`, `sqlite:////absolute.db`) or an object that is an EventStore.
    settings: the limits. middleware: what each `send` and `tell` passes through, the first outermost.
    source: where time, ids and chance come from; leave it out unless you test.
    """

    _streams: dict[type[Saga], type[SagaStream]]
    _saga_engine: SagaEngine | None = None

    @property
    def saga_classes(self) -> tuple[type[Saga], ...]:
        """The classes of sagas it was given."""
        return tuple(self._streams)

    @property
    def outlets(self) -> tuple[Outlet, ...]:
        """The outlets it was given."""
        return tuple(self._outlets.values())

    def _catalog_of(self, parts: Sequence[Part]) -> Catalog:
        refuse_twice(parts)
        sagas: list[type[Saga]] = []
        others: list[Any] = []
        self._outlets: dict[str, Outlet] = {}
        for part in parts:
            if isinstance(part, type) and issubclass(part, Saga) and part is not Saga:
                sagas.append(part)
            elif isinstance(part, Outlet):
                if self._outlets.setdefault(part.name, part) is not part:
                    raise ConfigurationError(f"two outlets of this runtime have the name {part.name!r}: rename one")
            else:
                others.append(part)
        self._streams = {saga: saga_stream_of(saga.__definition__) for saga in sagas}
        processes: list[type[Aggregate]] = [Submission, *self._streams.values()]
        # Those of sagas' own streams always: the agenda would pass them over where no saga is registered.
        followed: list[type[Event]] = list(SAGA_EVENTS)
        followed += [event for saga in self._streams for event in saga.__definition__.event_classes]
        followed += [event for outlet in self._outlets.values() for event in outlet.types]
        catalog = Catalog(others, processes=processes, followed=followed)
        emitted = {event for aggregate in catalog.aggregates for event in aggregate.__definition__.evolvers}
        for saga in self._streams:
            for event in sorted(saga.__definition__.event_classes - emitted, key=lambda one: one.__name__):
                raise ConfigurationError(
                    f"{saga.__definition__.reader_of(event)} follows {event.__name__}, which no aggregate of this "
                    "runtime emits: give Runtime([…]) the aggregate that does"
                )
        return catalog

    async def _begin(self, engine: Engine, reads: ReadSide, tasks: anyio.abc.TaskGroup) -> None:
        # Middleware is async: a command that has to pass through it needs a task of its own.
        accepts = self._accepts if self._call == self._innermost else None
        aggregates = self._catalog.aggregates
        self._saga_engine = SagaEngine(
            self._streams, engine, reads, self._store, self.send, accepts, aggregates, self._source, self._settings
        )
        for outlet in self._outlets.values():
            self._saga_engine.add_outlet(outlet, engine, self._settings)
        reads.start(tasks)
        await self._saga_engine.ready(tasks)

    def _accepts(self) -> bool:
        return self._accepting

    def _begun(self, tasks: anyio.abc.TaskGroup) -> None:
        tasks.start_soon(self._running_sagas().run)

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
        """Accept a command durably, and return: it is carried out even if the process dies now, once in effect.

        at: not before this time, an aware datetime. after_s: not before so many seconds. command_id: submitted again
        with the same id, it is accepted once. The acknowledgement's `command_id` is what `cancel` wants. What the
        domain says when it is sent is recorded in its submission. correlation_id, causation_id, headers: stored with
        the submission, and with the command's events.
        """
        saga_engine = self._running_sagas()
        envelope = self._running().dispatcher.envelope(
            command,
            command_id=command_id,
            expected_version=None,
            correlation_id=correlation_id,
            causation_id=causation_id,
            headers=headers,
            timeout_s=self._settings.default_timeout_s,
        )
        if at is not None and after_s is not None:
            raise ConfigurationError("submit(…): give at= or after_s=, not both")
        due_us = 0
        if at is not None:
            if at.tzinfo is None:
                raise InvalidCommand(f"submit(…, at={at!r}) has no time zone: give an aware datetime")
            due_us = round(at.timestamp() * 1_000_000)
        elif after_s is not None:
            if not abs(after_s) <= _AFTER_S_MAX:
                raise InvalidCommand(f"submit(…, after_s={after_s!r}): seconds, at most {_AFTER_S_MAX:g}")
            due_us = self._source.now_us() + round(after_s * 1_000_000)
        return await saga_engine.submit(envelope, due_us)

    async def cancel(self, command_id: str, *, reason: str = "") -> bool:
        """Give up a submitted command that waits; return False if it was sent already, or is being sent."""
        return await self._running_sagas().cancel(command_id, reason)

    async def saga(self, saga: type[Saga], id: str, *, ended_within_s: float | None = None) -> SagaView:
        """Return a saga: where it stands, why, and its history line by line; raise NotFound.

        ended_within_s: wait so many seconds for it to begin and to end: completed, undone, or failed (which stands
        until a person acts). Raises SagaTimeout where it has not ended by then, NotFound where it has not begun.
        """
        saga_engine = self._running_sagas()
        if ended_within_s is None:
            return await saga_engine.view(saga, id)
        if not ended_within_s >= 0:
            raise ConfigurationError(f"saga(…, ended_within_s={ended_within_s!r}): seconds, 0 or more")
        return await saga_engine.ended(saga, id, ended_within_s)

    def sagas(self, saga: type[Saga] | None = None, *, status: str | None = None) -> AsyncIterator[SagaSummary]:
        """Iterate over the sagas there are: of one class or all, in one status or any."""
        if status not in (None, "running", "undoing", "completed", "undone", "failed"):
            raise ConfigurationError(f"sagas(status={status!r}): running, undoing, completed, undone or failed")
        return self._running_sagas().list(saga, status)

    async def retry_saga(self, saga: type[Saga], id: str, *, reason: str) -> None:
        """Have a saga that stands try its step (or undo) again; raise Rejected if it does not stand."""
        await self._running_sagas().mend(saga, id, "retry", reason)

    async def skip_step(self, saga: type[Saga], id: str, *, reason: str) -> None:
        """Have a saga that stands take its step (or undo) as done; raise Rejected if it does not stand."""
        await self._running_sagas().mend(saga, id, "skip", reason)

    async def complete_saga(self, saga: type[Saga], id: str, *, reason: str) -> None:
        """End a saga that stands as completed, whatever is left; raise Rejected if it does not stand."""
        await self._running_sagas().mend(saga, id, "complete", reason)

    def _running_sagas(self) -> SagaEngine:
        self._running()
        assert self._saga_engine is not None, "a running runtime has its saga_engine"
        return self._saga_engine
