"""`Instrument`: callbacks that report what a runtime does; `Instruments` calls several of them.

Invariants: a callback that no instrument overrides is never called, and its call sites are not installed; an
instrument that raises is logged once and never called again; an instrument cannot make a command fail.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Literal

import msgspec

from actorium.actors.commands import Command
from actorium.store.errors import ConfigurationError
from actorium.store.events import Event, RecordedEvent
from actorium.store.log import logger
from actorium.store.raised import error_text, let_through, repr_of

log = logger("actorium.runtime")


class ObservedCommand(msgspec.Struct, frozen=True, gc=False):
    """A command that an actor's mailbox has accepted."""

    command: Command
    command_id: str
    correlation_id: str
    causation_id: str
    headers: Mapping[str, str]


class ObservedAnswer(msgspec.Struct, frozen=True, gc=False):
    """The reply to an accepted command.

    outcome: "acknowledged"; "rejected" by the domain; "failed" with any other error; "dropped" because its caller
        left before it was decided.
    error: the error that the caller got; None for an acknowledged or dropped command.
    took_s: seconds from the mailbox to the reply.
    """

    command: ObservedCommand
    outcome: Literal["acknowledged", "rejected", "failed", "dropped"]
    error: Exception | None
    took_s: float


class ObservedBatch(msgspec.Struct, frozen=True, gc=False):
    """One commit of events; it does not include what processors save, such as checkpoints.

    appends, events, size_bytes: the number of appends and events sent to the store, and the bytes of their payloads.
    command_ids: the ids of the commands whose events these are.
    took_s: seconds until the store responded.
    error: why the commit is not confirmed; None for a commit that the store confirmed.
    """

    appends: int
    events: int
    size_bytes: int
    command_ids: Sequence[str]
    took_s: float
    error: Exception | None


class Instrument:
    """Base class for instruments: override callbacks to observe a runtime, as in `Runtime(…, instruments=[Meter()])`.

    Callbacks that are not overridden cost nothing. Callbacks run on the event loop, inside the runtime: return quickly,
    and do not call the runtime from them. If a callback raises, its instrument is logged as `instrument_removed` and
    not called again.

    header: only commands with this header are reported to `commands_received` and `commands_answered`, unless another
        instrument observes all of them; empty for all. Other commands then cost nearly nothing.
    ignores: names of callbacks that the instrument overrides and does not want; read when the runtime is created.
    """

    header: str = ""
    ignores: Collection[str] = ()

    def commands_received(self, commands: Sequence[ObservedCommand]) -> None:
        """Mailboxes accepted these commands, in this order, since the last call.

        Commands that the runtime sends itself, such as those of sagas, are included. Commands that were refused
        before they reached a mailbox (`Overloaded`, `ConfigurationError`, a refusal by middleware) are not.
        """

    def commands_answered(self, answers: Sequence[ObservedAnswer]) -> None:
        """These commands were answered since the last call. Every received command is answered exactly once."""

    def batch_committed(self, batch: ObservedBatch) -> None:
        """The store confirmed or failed a commit."""

    def events_delivered(self, processor: str, events: int, position: int) -> None:
        """A processor has handled events (or parked some of them) and is past everything up to `position`.

        processor: its name, as in `ProcessorStatistics`: that of a projection, reaction, outlet, saga or the agenda.
        events: the number of events; 0 if the processor handles none of the events up to `position`.
        """

    def event_handled(
        self, processor: str, event: RecordedEvent[Event], took_s: float, error: BaseException | None
    ) -> None:
        """A processor's handler was called with an event; it is called again if a page is retried.

        took_s: seconds until the handler ended; for a saga, until the saga has recorded the event.
        error: what the handler raised; None if it succeeded. The statements of a projection are written afterwards.
        """

    def processor_lag(self, processor: str, lag_events: int, lag_s: float) -> None:
        """How far a processor is behind the log. Called after each page, and while it waits without progress.

        lag_events: the number of events between its position and the end of the log.
        lag_s: seconds since the first unfinished event was recorded; 0 if there is none.
        """

    def step_issued(self, saga_type: str, saga_id: str, key: str, commands: int, headers: Mapping[str, str]) -> None:
        """A saga's step was recorded and starts now.

        key: names the step within its saga; `step_ended` gets the same key.
        commands: the number of commands it sends; 0 for an async step, or one that only waits for an event.
        headers: those of the event that led to the step.
        """

    def step_ended(self, saga_type: str, saga_id: str, key: str, error: str) -> None:
        """A saga's step succeeded (`error` is empty) or failed for this reason."""

    def saga_ended(self, saga_type: str, saga_id: str, outcome: Literal["completed", "undone"], took_s: float) -> None:
        """A saga has completed, or has undone its steps.

        took_s: seconds since it started; NaN if it started before this runtime.
        """

    def saga_stuck(self, saga_type: str, saga_id: str, key: str, reason: str) -> None:
        """A saga failed and waits for a person.

        key: the step or undo at which it is stuck; empty if its own code failed.
        """

    def saga_late(self, saga_type: str, saga_id: str, alarm_after_s: float) -> None:
        """A saga runs longer than its class's `alarm_after_s`; called once for each saga."""

    def actor_hydrated(self, stream_type: str, stream_id: str, version: int, took_s: float) -> None:
        """An actor was hydrated from the log up to a version; 0 for a stream without events.

        took_s: seconds since the hydration was requested.
        """

    def actor_passivated(self, stream_type: str, stream_id: str, version: int) -> None:
        """An idle actor at this version was unloaded from memory."""


_CALLBACKS = [name for name, member in vars(Instrument).items() if callable(member) and not name.startswith("_")]
Tell = Callable[..., None]


class Instruments:
    """The instruments of one runtime."""

    def __init__(self, instruments: Sequence[Instrument]) -> None:
        for instrument in instruments:
            if not isinstance(instrument, Instrument):
                raise ConfigurationError(
                    f"instruments=[{instrument!r}] is not an Instrument: derive its class from actorium.Instrument"
                )
        self._removed: set[int] = set()
        self._callbacks: dict[str, list[tuple[Instrument, Tell]]] = {
            name: [
                (instrument, getattr(instrument, name))
                for instrument in instruments
                if getattr(type(instrument), name) is not getattr(Instrument, name) and name not in instrument.ignores
            ]
            for name in _CALLBACKS
        }

    @property
    def command_headers(self) -> frozenset[str] | None:
        """The headers of which a command must have one to be reported; None if all commands are."""
        observing = [*self._callbacks["commands_received"], *self._callbacks["commands_answered"]]
        headers = frozenset(instrument.header for instrument, _ in observing)
        return None if "" in headers else headers

    def teller(self, name: str) -> Tell | None:
        """Return a function that calls one callback on every instrument that overrides it; None if none does."""
        callbacks = self._callbacks[name]
        if not callbacks:
            return None

        def tell(*arguments: Any) -> None:
            for instrument, callback in callbacks:
                if id(instrument) in self._removed:
                    continue
                try:
                    callback(*arguments)
                except BaseException as raised:
                    let_through(raised)
                    self._remove(instrument, name, raised)

        return tell

    def _remove(self, instrument: Instrument, name: str, raised: BaseException) -> None:
        self._removed.add(id(instrument))
        log.error(
            "instrument_removed",
            instrument=repr_of(instrument),
            callback=name,
            error=error_text(raised),
            traceback=raised,
        )
