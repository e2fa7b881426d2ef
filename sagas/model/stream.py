"""`SagaStream`: a saga as an event-sourced actor.

Its inputs are what the router and the intent runner report; its decisions are events of its own stream, intents among
them: a step's commands leave only after the event that records them is committed.

Invariants: an intent is open from its `StepIssued` until it succeeded, failed or the saga stands; of the steps at most
one is open; a saga that has ended has nothing open and issues nothing more, unless a person mends it; steps in the
state have the names of today, keys those that were recorded, for the commands' ids are made of them.
"""

from __future__ import annotations

from actorium.actors.aggregate import decide
from actorium.sagas.model.definition import SagaDefinition
from actorium.sagas.model.events import (
    CommandAnswered,
    EventArrived,
    SagaCompleted,
    SagaFailed,
    SagaMended,
    SagaMoved,
    SagaStarted,
    SagaUndone,
    StartIgnored,
    StepFailed,
    StepIssued,
    StepSucceeded,
)
from actorium.sagas.model.messages import Answered, Broke, Happened, Mend
from actorium.sagas.model.plan import StepPlan
from actorium.sagas.model.progress import SagaProgress
from actorium.store.events import Metadata

SagaEvent = (
    SagaStarted
    | SagaMoved
    | StartIgnored
    | StepIssued
    | CommandAnswered
    | EventArrived
    | StepSucceeded
    | StepFailed
    | SagaCompleted
    | SagaUndone
    | SagaFailed
    | SagaMended
)


class SagaStream(SagaProgress):
    """The decisions of one saga; `saga_stream_of` makes the class for a saga class."""

    @decide
    def happened(self, command: Happened, metadata: Metadata) -> list[SagaEvent]:
        return StepPlan(self, command.at_us, metadata.headers).happened(command.recorded)

    @decide
    def answered(self, command: Answered, metadata: Metadata) -> list[SagaEvent]:
        return StepPlan(self, command.at_us, metadata.headers).answered(command)

    @decide
    def broke(self, command: Broke, metadata: Metadata) -> list[SagaEvent]:
        return [SagaFailed(command.key, command.reason)] if command.key in self.open else []

    @decide
    def mend(self, command: Mend, metadata: Metadata) -> list[SagaEvent]:
        return StepPlan(self, command.at_us, metadata.headers).mend(command.action, command.reason)


def saga_stream_of(definition: SagaDefinition) -> type[SagaStream]:
    """Return the aggregate class whose streams are the sagas of one class, the same each time."""
    if definition.stream_class is None:

        class Stream(SagaStream):
            stream_type = definition.saga_type
            saga = definition

        definition.stream_class = Stream
    return definition.stream_class
