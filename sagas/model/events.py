"""The events of a saga's own stream: its start, the commands it issued, their outcomes, and its undo steps.

The success of a step is part of the event that follows from it: `StepIssued` or `SagaCompleted`, as `after`. If the
append holds no such event, it is an event of its own, `StepSucceeded`.

The fields of a saga and of its commands are JSON here. They are decoded only when needed, by the current class.
`attempts` is the number of times that a command or an effect was tried.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from actorium.store.events import Event, as_json
from actorium.store.upcasting import upcast

UNDO = ":undo"
"""The suffix after the step's name in the key of an undo."""
FREE = "on"
"""The step name of commands that handlers issue; their keys are numbered: on:1, on:2."""


NOTHING = msgspec.Raw(b"null")


class IssuedCommand(msgspec.Struct, frozen=True, gc=False):
    """A command that a saga decided to send: the stable name of its type, and its fields as a JSON object."""

    type: str
    fields: msgspec.Raw


def as_recorded(fields: dict[str, Any]) -> msgspec.Raw:
    """Return fields as JSON; raise ValueError for a NaN, or any other value that JSON would change."""
    encoded = as_json(fields)
    if msgspec.json.decode(encoded) != fields:
        changed = [name for name, value in msgspec.json.decode(encoded).items() if value != fields[name]]
        raise ValueError(f"JSON cannot represent {', '.join(changed)} of {fields!r}")
    return msgspec.Raw(encoded)


class SagaStarted(Event, omit_defaults=True):
    """An event started the saga; `state` holds its fields after its `@starts` handler, as a JSON object.

    `headers` are those of the event, which every command of the saga inherits.
    """

    event_type = "saga.started"

    because_of: str
    correlation_id: str
    state: msgspec.Raw
    headers: dict[str, str] = {}


class SagaMoved(Event):
    """A handler of the saga handled an event; `state` holds the saga's fields afterwards, as a JSON object."""

    event_type = "saga.moved"

    because_of: str
    state: msgspec.Raw


class StartIgnored(Event):
    """A second start event for this saga was ignored; `status` is the saga's status at that time."""

    event_type = "saga.start_ignored"

    because_of: str
    status: str


class StepSucceeded(Event, omit_defaults=True):
    """A step is done; `state` holds the saga's fields if the step changed them, else null."""

    event_type = "saga.step_succeeded"

    key: str
    step: str
    undo: bool
    # Made by a function, because a Raw default cannot appear in the JSON Schema of an application's events.
    state: msgspec.Raw = msgspec.field(default_factory=lambda: NOTHING)
    attempts: int = 1


class StepIssued(Event, omit_defaults=True):
    """The intent of a step: from now on its commands are sent, until each is answered.

    `key` names the intent within the saga and is part of the commands' ids. `effect` says that the step is an async
    method with an external effect. `deadline_us` is the time at which the step fails (0: never). `id_form` says how the
    ids of its commands are formed: 0 for those issued before derived ids had their own namespace (see `IntentKey`).
    `headers` are the headers of its commands that the saga does not have itself: they come from the event that the step
    follows. `rounds` is set if an operator retried the step: for each command, how often it was recorded as not done,
    which is part of its id from then on, or None if it was answered before and is not sent again. `after` is the
    success of the step before, if this step is issued because of it.
    """

    event_type = "saga.step_issued"
    schema_version = 2  # earlier code does not read `after`

    key: str
    step: str
    undo: bool
    commands: tuple[IssuedCommand, ...]
    effect: bool = False
    deadline_us: int = 0
    id_form: int = 0
    headers: dict[str, str] = {}
    rounds: tuple[int | None, ...] = ()
    after: StepSucceeded | None = None

    @upcast(1)
    @staticmethod
    def without_success(payload: dict[str, Any]) -> dict[str, Any]:
        return payload

    @property
    def sent(self) -> dict[int, IssuedCommand]:
        """The commands that are sent because of this event, by their index."""
        if not self.rounds:
            return dict(enumerate(self.commands))
        return {index: self.commands[index] for index, round in enumerate(self.rounds) if round is not None}


class CommandAnswered(Event, omit_defaults=True):
    """One of a step's commands was answered (`error` says why it failed); the step still waits for others or for an
    event.
    """

    event_type = "saga.command_answered"

    key: str
    index: int
    error: str = ""
    details: Mapping[str, Any] = {}
    attempts: int = 1


class EventArrived(Event):
    """The event that a step waits for arrived before all its commands were answered, or before the step was issued."""

    event_type = "saga.event_arrived"

    key: str
    because_of: str


class StepFailed(Event, omit_defaults=True):
    """A step failed.

    took_effect: whether it still had an effect, which must be undone.
    effects: the indexes of the commands that took effect.
    """

    event_type = "saga.step_failed"

    key: str
    step: str
    undo: bool
    reason: str
    details: Mapping[str, Any] = {}
    took_effect: bool = False
    effects: tuple[int, ...] = ()
    attempts: int = 1


class SagaCompleted(Event, omit_defaults=True):
    """All steps are done; `after` is the success of the last one, if the saga ends because of it."""

    event_type = "saga.completed"
    schema_version = 2  # earlier code does not read `after`

    after: StepSucceeded | None = None

    @upcast(1)
    @staticmethod
    def without_success(payload: dict[str, Any]) -> dict[str, Any]:
        return payload


class SagaUndone(Event):
    """The saga failed, and all its finished steps are undone."""

    event_type = "saga.undone"

    reason: str


class SagaFailed(Event, omit_defaults=True):
    """The saga is stuck: a step or undo that must succeed cannot. An operator must act.

    not_done: the indexes of the commands whose failure made it stuck; none of them can take effect any more.
    """

    event_type = "saga.failed"

    key: str
    reason: str
    attempts: int = 1
    not_done: tuple[int, ...] = ()


class SagaRepaired(Event):
    """An operator acted on a stuck saga: retried its step, skipped it, completed the saga, or had it compensate."""

    event_type = "saga.mended"

    action: str
    key: str
    reason: str
    undoing: bool = False


SAGA_EVENTS: tuple[type[Event], ...] = (
    SagaStarted,
    SagaMoved,
    StartIgnored,
    StepIssued,
    CommandAnswered,
    EventArrived,
    StepSucceeded,
    StepFailed,
    SagaCompleted,
    SagaUndone,
    SagaFailed,
    SagaRepaired,
)
