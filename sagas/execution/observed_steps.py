"""Reports the steps of sagas to instruments; without instruments nothing here runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from actorium.runtime.instrument import Instruments, Tell
from actorium.sagas.model.events import SagaFailed, StepFailed, StepIssued, StepSucceeded
from actorium.store.events import Event, RecordedEvent

Take = Callable[[RecordedEvent[Event], Any], None]


def observe_steps(
    takes: dict[type[Event], Callable[..., None]], instruments: Instruments, live: Callable[[], bool]
) -> None:
    """Make the agenda's event handlers report to instruments too.

    takes: the handler of each event class; those of step events are replaced.
    live: whether events are new; events that are read again at a start are not reported.
    """
    issued, ended = instruments.teller("step_issued"), instruments.teller("step_ended")
    if issued is not None:
        takes[StepIssued] = _telling(takes[StepIssued], issued, lambda event: len(event.commands), live)
    if ended is not None:
        takes[StepSucceeded] = _telling(takes[StepSucceeded], ended, lambda event: "", live)
        for failed in (StepFailed, SagaFailed):
            takes[failed] = _telling(takes[failed], ended, lambda event: event.reason, live)


def _telling(take: Take, tell: Tell, last: Callable[[Any], Any], live: Callable[[], bool]) -> Take:
    def taken(recorded: RecordedEvent[Event], event: Any) -> None:
        take(recorded, event)
        if event.key and live():  # a saga that fails outside a step has no key
            tell(recorded.stream_type, recorded.stream_id, event.key, last(event))

    return taken
