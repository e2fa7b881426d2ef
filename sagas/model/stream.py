"""`SagaStream`: a saga as an event-sourced actor.

Its inputs are the reports of the router and the intent runner. Its decisions are events of its own stream, including
intents: a step's commands are sent only after the event that records them is committed.

Invariants: an intent is open from its `StepIssued` until it succeeds or fails, or the saga is stuck; at most one step
is open; a saga that has ended has nothing open and issues nothing more, unless an operator repairs it. Steps in the
state have their current names, but keys keep the recorded ones, because the commands' ids are built from them.
"""

from __future__ import annotations

from actorium.actors.aggregate import decide
from actorium.sagas.model.definition import SagaDefinition
from actorium.sagas.model.events import (
    CommandAnswered,
    EventArrived,
    SagaCompleted,
    SagaFailed,
    SagaMoved,
    SagaRepaired,
    SagaStarted,
    SagaUndone,
    StartIgnored,
    StepFailed,
    StepIssued,
    StepSucceeded,
)
from actorium.sagas.model.messages import Answered, Broke, Happened, Repair
from actorium.sagas.model.plan import StepPlan
from actorium.sagas.model.progress import SagaProgress
from actorium.sagas.model.repairs import RepairPlan
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
    | SagaRepaired
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
    def repair(self, command: Repair, metadata: Metadata) -> list[SagaEvent]:
        return RepairPlan(self, command.at_us, metadata.headers).repair(command.action, command.reason)


def saga_stream_of(definition: SagaDefinition) -> type[SagaStream]:
    """Return the aggregate class of the streams of one saga class, the same class each time."""
    if definition.stream_class is None:

        class Stream(SagaStream):
            stream_type = definition.saga_type
            saga = definition

        definition.stream_class = Stream
    return definition.stream_class
