"""`Instrument`: callbacks that tell an observer what a runtime does; `Instruments` calls several of them.

Invariants: a callback that no instrument overrides is never called, and what would call it is not even installed; an
instrument that raises is logged once and never called again; no instrument can fail a command.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import msgspec

from actorium.actors.commands import Command
from actorium.store.errors import ConfigurationError
from actorium.store.log import logger
from actorium.store.raised import error_text, let_through, repr_of, traceback_text

log = logger("actorium.runtime")


class ObservedCommand(msgspec.Struct, frozen=True, gc=False):
    """A command that an actor's mailbox has accepted."""

    command: Command
    command_id: str
    correlation_id: str
    causation_id: str
    headers: Mapping[str, str]


class ObservedAnswer(msgspec.Struct, frozen=True, gc=False):
    """The answer to an accepted command.

    outcome: "acknowledged"; "rejected" by the domain; "failed" with any other error; "dropped" before it was decided,
        because its caller had left.
    error: what the caller was given, None for an acknowledged or dropped command.
    took_s: seconds from the mailbox to the answer.
    """

    command: ObservedCommand
    outcome: Literal["acknowledged", "rejected", "failed", "dropped"]
    error: Exception | None
    took_s: float


class ObservedBatch(msgspec.Struct, frozen=True, gc=False):
    """One commit.

    appends, events, size_bytes: what was sent to the store; the bytes are those of the events' payloads.
    took_s: seconds until the store answered.
    error: why nothing is known to be written, None for a commit that the store confirmed.
    """

    appends: int
    events: int
    size_bytes: int
    took_s: float
    error: Exception | None


class Instrument:
    """Override the callbacks that you want; the others cost nothing: `Runtime(…, instruments=[Meter()])`.

    Callbacks run on the event loop, inside the runtime: return quickly, and do not call the runtime from one. An
    instrument whose callback raises is logged as `instrument_removed` and not called again.
    """

    def commands_received(self, commands: Sequence[ObservedCommand]) -> None:
        """Mailboxes accepted these commands, in this order, since the last call.

        Commands that the runtime itself sends, such as those of sagas, are included. Commands that were refused before
        a mailbox had them (`Overloaded`, `ConfigurationError`, a middleware's own refusal) are not.
        """

    def commands_answered(self, answers: Sequence[ObservedAnswer]) -> None:
        """These commands were answered since the last call: every received command is, exactly once."""

    def batch_committed(self, batch: ObservedBatch) -> None:
        """The store has answered a commit, or failed it."""

    def events_delivered(self, processor: str, events: int, position: int) -> None:
        """A processor has handled so many events (or parked some of them); everything up to `position` is over.

        processor: its name, as in `ProcessorStatistics`: that of a projection, reaction, outlet, saga or the agenda.
        events: 0 where none of the events up to `position` concerned it.
        """

    def processor_lag(self, processor: str, lag_events: int, lag_s: float) -> None:
        """How far a processor is behind the log: after each page, and while it waits without making progress.

        lag_events: how much longer the log is.
        lag_s: seconds since the first event that is not over was recorded, 0 where there is none.
        """

    def step_issued(self, saga_type: str, saga_id: str, key: str, commands: int) -> None:
        """A saga's step was recorded, and is now carried out.

        key: names the step within its saga, and is the same in `step_ended`.
        commands: how many commands it sends; 0 for an async step, or one that only waits for an event.
        """

    def step_ended(self, saga_type: str, saga_id: str, key: str, error: str) -> None:
        """A saga's step has succeeded (`error` is empty) or failed for this reason."""

    def saga_stuck(self, saga_type: str, saga_id: str, key: str, reason: str) -> None:
        """A saga failed and waits for a person.

        key: the step, or the undo, that it is stuck at; empty where its own code failed it.
        """

    def saga_late(self, saga_type: str, saga_id: str, alarm_after_s: float) -> None:
        """A saga is under way for longer than its class's `alarm_after_s`; told once for each saga."""

    def actor_hydrated(self, stream_type: str, stream_id: str, version: int) -> None:
        """An actor was read from the log up to a version; 0 for a stream that has no events yet."""

    def actor_passivated(self, stream_type: str, stream_id: str, version: int) -> None:
        """An idle actor was unloaded from memory at a version."""


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
                if getattr(type(instrument), name) is not getattr(Instrument, name)
            ]
            for name in _CALLBACKS
        }

    def teller(self, name: str) -> Tell | None:
        """Return what calls one callback of every instrument that overrides it, None where none does."""
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
            traceback=traceback_text(raised),
        )
