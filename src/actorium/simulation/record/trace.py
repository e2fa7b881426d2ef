"""`TraceLine`: one line of a run's trace, for a person to read and for a timeline to be drawn of."""

from __future__ import annotations

from enum import StrEnum

import msgspec


class TraceMark(StrEnum):
    """What a line of the trace tells of."""

    STARTED = "started"
    SERVES = "serves"
    CRASHED = "crashed"
    COMMITTED = "committed"
    SENT = "sent"
    ANSWERED = "answered"
    LEFT_OUT = "left out"  # a command that the run does not send
    FAULT = "fault"
    VIOLATED = "violated"
    PASSED_OVER = "passed over"  # an invariant does not hold, and the run is about another
    ENDED = "ended"  # the scenario has; faults go on until its work is done
    CALM = "calm"  # the faults have stopped


class TraceLine(msgspec.Struct, frozen=True):
    """What happened, when (in seconds of the run), at which step.

    who: the process, or the operation of a client. about: streams, sites.
    """

    at_s: float
    step: int
    text: str
    mark: TraceMark
    who: str = ""
    about: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.at_s:12.6f} {self.step:7} {self.text}"
