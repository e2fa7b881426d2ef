"""`SagaSteps`: each saga's stream records its steps in order, undone in reverse order, none left out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from actorium.runtime.commands.derived_ids import bounded
from actorium.sagas.model.definition import SagaDefinition
from actorium.sagas.model.events import FREE, SagaCompleted, SagaUndone, StepFailed, StepIssued, StepSucceeded
from actorium.simulation.checks.finding import Violated
from actorium.simulation.record.view import View
from actorium.simulation.record.witness import Witness
from actorium.store.events import EncodedRecord, Event, RecordedEvent
from actorium.store.names import StreamName


class _Steps(msgspec.Struct):
    """The completed steps of one saga and the steps being undone, both in order."""

    done: list[str] = []
    undone: list[str] = []


class SagaSteps:
    """Follows the saga streams as they grow; of the saga's code it knows only which steps exist."""

    def __init__(
        self, definitions: Mapping[str, SagaDefinition], witness: Witness, view: View, violated: Violated
    ) -> None:
        self.definitions = definitions
        self._witness = witness
        self._view = view
        self._violated = violated
        self._steps: dict[StreamName, _Steps] = {}

    def committed(self, records: Sequence[EncodedRecord]) -> None:
        """Process the records of one commit, in order."""
        for record in records:
            definition = self.definitions.get(record.stream.type)
            if definition is not None:
                steps = self._steps.setdefault(record.stream, _Steps())
                for recorded in self._view.recorded(record.position):
                    self._take(definition, steps, recorded)

    def _take(self, definition: SagaDefinition, steps: _Steps, recorded: RecordedEvent[Event]) -> None:
        event, place = recorded.event, f"{recorded.stream} v{recorded.version}"
        if isinstance(event, StepIssued | SagaCompleted) and event.after is not None:
            self._judge(definition, steps, event.after, place)
        self._judge(definition, steps, event, place)

    def _judge(self, definition: SagaDefinition, steps: _Steps, event: Event, place: str) -> None:
        match event:
            case StepIssued(step=step, undo=undo) | StepSucceeded(step=step, undo=undo) if step != FREE:
                name = definition.today(step)
                if undo:
                    self._is_undone_in_turn(definition, steps, name, place)
                elif isinstance(event, StepIssued):
                    self._is_issued_in_turn(definition, steps, name, place)
                if isinstance(event, StepSucceeded):
                    (steps.undone if undo else steps.done).append(name)
            case StepFailed(step=step, took_effect=True):
                steps.done.append(definition.today(step))
            case SagaUndone():
                if left := self._to_undo(definition, steps):
                    self._violated("an undone saga has undone all its steps", "nothing left", f"{place}: {left}")

    def _is_issued_in_turn(self, definition: SagaDefinition, steps: _Steps, step: str, place: str) -> None:
        names = list(definition.steps)
        before = names[: names.index(step)] if step in names else []
        if missing := [name for name in before if name not in steps.done]:
            self._violated("a saga's steps run in order", f"{missing} before {step}", f"{step} at {place}")

    def _is_undone_in_turn(self, definition: SagaDefinition, steps: _Steps, step: str, place: str) -> None:
        left = self._to_undo(definition, steps)
        if step not in left or left[-1] != step:
            self._violated("a saga's last step is undone first", left[-1:] or "nothing to undo", f"{step} at {place}")

    def _to_undo(self, definition: SagaDefinition, steps: _Steps) -> list[str]:
        known = definition.steps
        undone = set(steps.undone)
        return [
            name for name in steps.done if name in known and known[name].undo_method is not None and name not in undone
        ]

    def at_rest(self) -> None:
        """Check that every event that starts a saga has started it."""
        for record in self._witness.records:
            for recorded in self._view.recorded(record.position):
                for definition in self.definitions.values():
                    id = _id_of_started(definition, recorded)
                    if id and StreamName(definition.saga_type, id) not in self._witness.streams:
                        self._violated(
                            "an event that starts a saga has started it",
                            f"{definition.saga_type}<{id}>",
                            "no such saga",
                        )


def _id_of_started(definition: SagaDefinition, recorded: RecordedEvent[Event]) -> str | None:
    """Return the id of the saga that an event starts, or None if it starts none."""
    known = definition.handler_of(type(recorded.event))
    if known is None or not known.is_start:
        return None
    if known.correlate is None:
        return bounded(recorded.event_id)
    if isinstance(known.correlate, str):
        found = getattr(recorded.event, known.correlate)
    else:
        found = known.correlate(recorded)
    return None if found is None else str(found)
