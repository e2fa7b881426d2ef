"""`TraceLine`: one line of a run's trace, for a person to read and for the timeline; `NotedLine`: before it is read."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum

import msgspec


class TraceMark(StrEnum):
    """The kind of a trace line."""

    STARTED = "started"
    SERVES = "serves"
    CRASHED = "crashed"
    COMMITTED = "committed"
    SENT = "sent"
    ANSWERED = "answered"
    LEFT_OUT = "left out"  # a command that this run does not send
    FAULT = "fault"
    VIOLATED = "violated"
    PASSED_OVER = "passed over"  # an invariant is broken, but the run looks for another one
    ENDED = "ended"  # the scenario has ended; faults continue until its work is done
    CALM = "calm"  # the faults have stopped


class TraceLine(msgspec.Struct, frozen=True):
    """What happened, when (in seconds of the run), and at which step.

    who: the process, or the operation of a client.
    about: streams or sites.
    """

    at_s: float
    step: int
    text: str
    mark: TraceMark
    who: str = ""
    about: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.at_s:12.6f} {self.step:7} {self.text}"


class NotedLine(msgspec.Struct, frozen=True):
    """A line whose text may be a function that returns it: most lines are never read."""

    at_s: float
    step: int
    words: str | Callable[[], str]
    mark: TraceMark
    who: str = ""
    about: tuple[str, ...] = ()

    @property
    def line(self) -> TraceLine:
        """The line, with its text."""
        text = self.words if isinstance(self.words, str) else self.words()
        return TraceLine(self.at_s, self.step, text, self.mark, self.who, self.about)
