"""`RuntimeView`: reads what only a running application knows: states, sagas, processors, parked events."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from typing import Any

import msgspec

from actorium.actors.aggregate import Aggregate
from actorium.actors.errors import NotFound, Rejected
from actorium.application import Runtime
from actorium.console.api.queries import DeadLetterQuery, DeadLettersQuery, HistoryQuery, SagaQuery, StateQuery
from actorium.console.api.views import (
    ChangeView,
    DeadLetterDetail,
    DeadLetterPage,
    DeadLetterRow,
    ProcessorView,
    SagaLineView,
    SagaTimeline,
    SettingsView,
    StateView,
    StreamHistory,
)
from actorium.console.diff import differences
from actorium.console.log_view import LogView
from actorium.console.masking import Masking
from actorium.runtime.processors.outlet import Outlet
from actorium.runtime.processors.processor import Processor
from actorium.runtime.projections.projection import Projection
from actorium.runtime.services.service import RemoteService, Service
from actorium.sagas.model.saga import Saga
from actorium.store.event_store import DeadLetter, EventStore
from actorium.store.events import utc_of
from actorium.store.names import StreamName

_NOT_RUNNING = "this needs the running application, and only its log is read here"


class NotRunning(Rejected):
    """The console reads a log file, and this needs the running application."""


class RuntimeView:
    """Reads a running application, or what a log's file tells of it.

    runtime: None for a log's file.
    """

    def __init__(self, store: EventStore, runtime: Runtime | None, log: LogView, masking: Masking) -> None:
        self._store = store
        self._runtime = runtime
        self._log = log
        self._masking = masking

    @property
    def running(self) -> Runtime:
        """The running application; raises NotRunning without one."""
        if self._runtime is None:
            raise NotRunning(_NOT_RUNNING)
        return self._runtime

    # --- states ---------------------------------------------------------------------------------------------------

    async def history(self, query: HistoryQuery) -> StreamHistory:
        """Return the newest changes of a stream before a version."""
        stream = StreamName(query.type, query.id)
        version = await self._log.version_of(stream)
        last = min(version, query.before_version - 1) if query.before_version else version
        after = max(0, last - query.limit)
        records = await self._log.of_stream(stream, after, last - after)
        states, why = await self._states(query.type, query.id, after, last)
        changes = []
        for record in records:
            event, found = self._log.event(record), states.get(record.version)
            if found is None:
                changes.append(ChangeView(event, None, None, []))
                continue
            differing = [self._masking.masked_difference(query.type, one) for one in differences(*found)]
            before, now = (self._masking.masked(query.type, one)[0] for one in found)
            changes.append(ChangeView(event, before, now, differing))
        return StreamHistory(query.type, query.id, version, changes[::-1], why)

    async def _states(self, type: str, id: str, after: int, last: int) -> tuple[dict[int, tuple[Any, Any]], str]:
        """Return the states before and after each version of a stream, and why there are none."""
        if self._runtime is None:
            return {}, _NOT_RUNNING
        aggregate = self._aggregate(type)
        if aggregate is None:
            return {}, f"no aggregate of this application has streams of the type {type!r}"
        states: dict[int, tuple[Any, Any]] = {}
        async for change in self._runtime.history(aggregate, id, after_version=after):
            if change.version > last:
                break
            before, now = _values(change.before), _values(change.after)
            first = states[change.version][0] if change.version in states else before
            states[change.version] = (first, now)
        return states, ""

    async def state(self, query: StateQuery, *, shown: bool = False) -> StateView:
        """Return the state of a stream at a version; `shown` shows hidden values too."""
        aggregate = self._aggregate(query.type)
        if aggregate is None:
            raise NotFound(f"no aggregate of this application has streams of the type {query.type!r}")
        state, is_masked = _values(await self.running.get(aggregate, query.id, at_version=query.version)), False
        if not shown:
            state, is_masked = self._masking.masked(query.type, state)
        return StateView(query.type, query.id, query.version, state, is_masked)

    def _aggregate(self, type: str) -> type[Aggregate] | None:
        aggregates = self.running.catalog.aggregates
        return next((one for one in aggregates if one.__definition__.stream_type == type), None)

    # --- sagas ----------------------------------------------------------------------------------------------------

    def saga(self, type: str) -> type[Saga]:
        """Return the class of a type of sagas; raise NotFound if there is none."""
        for saga in self.running.catalog.sagas:
            if saga.__definition__.saga_type == type:
                return saga
        raise NotFound(f"this application has no sagas of the type {type!r}")

    async def timeline(self, query: SagaQuery) -> SagaTimeline:
        """Return a saga with the newest lines of its history."""
        view = await self.running.sagas.get(self.saga(query.type), query.id)
        state, is_masked = self._masking.masked(view.type, view.state)
        lines = [
            SagaLineView(one.version, one.at, one.text, one.attempts, one.took_s)
            for one in view.history[-query.lines :]
        ]
        left_out = len(view.history) - len(lines)
        return SagaTimeline(view.type, view.id, view.status, view.step, view.reason, state, is_masked, lines, left_out)

    # --- processors -----------------------------------------------------------------------------------------------

    def processors(self) -> list[ProcessorView]:
        """Return the processors."""
        kinds = {processor.name: kind_of(handler) for handler, processor in self.running.processors.items()}
        return [
            ProcessorView(
                one.name,
                kinds[one.name],
                one.state,
                one.position,
                one.lag_events,
                one.lag_s,
                one.handled,
                one.parked,
                one.error,
            )
            for one in self.running.statistics().processors
        ]

    def processor(self, name: str) -> Processor:
        """Return the processor of a name; raise NotFound if there is none."""
        for processor in self.running.processors.values():
            if processor.name == name:
                return processor
        raise NotFound(f"this application has no processor {name!r}")

    # --- dead letters ---------------------------------------------------------------------------------------------

    async def dead_letters(self, query: DeadLettersQuery) -> DeadLetterPage:
        """Return a page of dead letters."""
        letters = await self._letters(query.processor, discarded=query.discarded)
        place = (query.after_position, query.after_processor)
        page = list(islice((one for one in letters if (one.position, one.processor) > place), query.limit + 1))
        shown = [_row(one) for one in page[: query.limit]]
        last = shown[-1] if len(page) > query.limit else None
        return DeadLetterPage(shown, len(letters), last.position if last else 0, last.processor if last else "")

    async def dead_letter(self, query: DeadLetterQuery) -> DeadLetterDetail:
        """Return a dead letter with its event and traceback."""
        for discarded in (False, True):
            for letter in await self._letters(query.processor, discarded=discarded):
                if letter.position == query.position:
                    event = self._log.event(await self._log.at(letter.position))
                    return DeadLetterDetail(_row(letter), letter.traceback, event)
        raise NotFound(f"{query.processor} has no dead letter at position {query.position}")

    async def _letters(self, processor: str, *, discarded: bool) -> Sequence[DeadLetter]:
        if self._runtime is None:
            found = [
                one for one in await self._store.dead_letters(processor or None) if bool(one.discarded) == discarded
            ]
        elif processor:
            found = self.processor(processor).dead_letters(discarded=discarded)
        else:
            found = self._runtime.dead_letters.list(discarded=discarded)
        return sorted(found, key=lambda one: (one.position, one.processor))

    def settings(self) -> SettingsView:
        """Return the settings in force."""
        return SettingsView(self._store.describe(), msgspec.to_builtins(self.running.settings))


def _values(state: Any) -> Any:
    return msgspec.json.decode(msgspec.json.encode(state, enc_hook=repr))


def _row(letter: DeadLetter) -> DeadLetterRow:
    return DeadLetterRow(
        letter.processor,
        letter.position,
        letter.stream.type,
        letter.stream.id,
        letter.version,
        letter.event_type,
        letter.attempts,
        letter.error,
        utc_of(letter.parked_us) if letter.parked_us else None,
        letter.discarded,
    )


def kind_of(handler: object) -> str:
    """Return what a processor drives, by its handler."""
    if isinstance(handler, type) and issubclass(handler, Projection):
        return "projection"
    if isinstance(handler, type) and issubclass(handler, Saga):
        return "saga"
    if isinstance(handler, Outlet):
        return "outlet"
    if isinstance(handler, Service):
        return "publisher"
    if isinstance(handler, RemoteService):
        return "inbox"
    return "agenda" if not callable(handler) else "reaction"
