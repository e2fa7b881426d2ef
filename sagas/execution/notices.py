"""Reports about sagas and submissions, to the log and to instruments: steps, and problems that need a person."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from actorium.runtime.instrument import Instruments, Tell
from actorium.sagas.model.definition import SagaDefinition
from actorium.sagas.model.events import (
    SagaCompleted,
    SagaFailed,
    SagaStarted,
    SagaUndone,
    StartIgnored,
    StepFailed,
    StepIssued,
    StepSucceeded,
)
from actorium.sagas.model.submissions import SubmissionConcluded
from actorium.store.events import Event, RecordedEvent
from actorium.store.log import logger
from actorium.store.names import StreamName

log = logger("actorium.sagas")

_STARTS_MAX = 100_000


class SagaNotices:
    """Reports to the log and to instruments, once each, stuck sagas, sagas that take too long, and failed submissions.

    definitions: the definitions of the sagas, by type.
    """

    def __init__(self, definitions: Mapping[str, SagaDefinition], instruments: Instruments) -> None:
        self._alarms_s = {
            saga_type: definition.alarm_after_s
            for saga_type, definition in definitions.items()
            if definition.alarm_after_s is not None
        }
        self._stuck = instruments.teller("saga_stuck")
        self._late = instruments.teller("saga_late")

    def has_alarm(self, saga_type: str) -> bool:
        """Return whether sagas of a type have an alarm."""
        return saga_type in self._alarms_s

    def alarm_us(self, recorded: RecordedEvent[SagaStarted]) -> int:
        """Return the time of the alarm for a saga that has just started, in microseconds since the epoch; 0 for
        never.
        """
        after_s = self._alarms_s.get(recorded.stream_type)
        return 0 if after_s is None else recorded.recorded_us + round(after_s * 1_000_000)

    def late(self, saga_type: str, saga_id: str) -> None:
        """Report a saga that has been running for longer than its alarm time."""
        after_s = self._alarms_s.get(saga_type)
        if after_s is None:
            return  # its class no longer has an alarm
        log.error("saga_late", saga=f"{saga_type}<{saga_id}>", running_for_more_than_s=after_s)
        _tell(self._late, saga_type, saga_id, after_s)

    def stuck(self, recorded: RecordedEvent[Event], event: SagaFailed) -> None:
        """Report a saga that failed and waits for an operator."""
        log.error("saga_failed", saga=str(recorded.stream), key=event.key, reason=event.reason, attempts=event.attempts)
        _tell(self._stuck, recorded.stream_type, recorded.stream_id, event.key, event.reason)

    def start_ignored(self, recorded: RecordedEvent[Event], event: StartIgnored) -> None:
        """Report an event that started nothing, because a saga with this id exists."""
        log.warning("saga_start_ignored", saga=str(recorded.stream), because_of=event.because_of, status=event.status)

    def concluded(self, recorded: RecordedEvent[Event], event: SubmissionConcluded) -> None:
        """Report a submitted command that was rejected or cannot be carried out."""
        if event.error:
            log.warning("submission_failed", command_id=recorded.stream_id, error=event.error)


def _tell(tell: Tell | None, *arguments: object) -> None:
    if tell is not None:
        tell(*arguments)


Take = Callable[[RecordedEvent[Event], Any], None]


def observe_steps(
    takes: dict[type[Event], Callable[..., None]], instruments: Instruments, live: Callable[[], bool]
) -> None:
    """Make the agenda's event handlers report to instruments too.

    takes: the handler of each event class; the handlers of step events are replaced.
    live: returns whether events are new; events that are read again at a start are not reported.
    """
    issued, ended = instruments.teller("step_issued"), instruments.teller("step_ended")
    over = instruments.teller("saga_ended")
    if issued is not None:
        takes[StepIssued] = _telling(
            takes[StepIssued], issued, lambda recorded, event: (len(event.commands), recorded.metadata.headers), live
        )
    if ended is not None:
        takes[StepSucceeded] = _telling(takes[StepSucceeded], ended, lambda recorded, event: ("",), live)
        for failed in (StepFailed, SagaFailed):
            takes[failed] = _telling(takes[failed], ended, lambda recorded, event: (event.reason,), live)
    if over is not None:
        _observe_sagas(takes, over, live)


def _telling(
    take: Take, tell: Tell, rest: Callable[[RecordedEvent[Event], Any], tuple[Any, ...]], live: Callable[[], bool]
) -> Take:
    def taken(recorded: RecordedEvent[Event], event: Any) -> None:
        take(recorded, event)
        if event.key and live():  # a saga that fails outside a step names none
            tell(recorded.stream_type, recorded.stream_id, event.key, *rest(recorded, event))

    return taken


def _observe_sagas(takes: dict[type[Event], Callable[..., None]], tell: Tell, live: Callable[[], bool]) -> None:
    """Make the handlers of the first and last events of sagas report the end of each saga, and how long it took."""
    started_us: dict[StreamName, int] = {}  # of the last `_STARTS_MAX` sagas that run
    begin = takes[SagaStarted]

    def begun(recorded: RecordedEvent[Event], event: Any) -> None:
        begin(recorded, event)
        started_us[recorded.stream] = recorded.recorded_us
        if len(started_us) > _STARTS_MAX:
            del started_us[next(iter(started_us))]

    def ending(take: Take, outcome: str) -> Take:
        def ended(recorded: RecordedEvent[Event], event: Any) -> None:
            take(recorded, event)
            since_us = started_us.pop(recorded.stream, None)
            if live():
                took_s = math.nan if since_us is None else (recorded.recorded_us - since_us) / 1_000_000
                tell(recorded.stream_type, recorded.stream_id, outcome, took_s)

        return ended

    takes[SagaStarted] = begun
    takes[SagaCompleted] = ending(takes[SagaCompleted], "completed")
    takes[SagaUndone] = ending(takes[SagaUndone], "undone")
