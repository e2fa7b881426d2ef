"""`ScheduleStream`: how far a schedule has come, as an aggregate of the runtime's own."""

from __future__ import annotations

from actorium.actors.aggregate import Aggregate, decide, evolve
from actorium.actors.commands import Command
from actorium.store.events import Event

SCHEDULE = "actorium.schedule"


class BeginSchedule(Command):
    """Begin a schedule that is new to the log; its first time is after `after_us` (microseconds since the epoch)."""

    after_us: int


class FireSchedule(Command):
    """Record the firing for a time, and the number of earlier times that were skipped."""

    due_us: int
    skipped: int = 0
    error: str = ""


class SkipTimes(Command):
    """Skip all times up to `due_us`."""

    due_us: int
    skipped: int


class PauseSchedule(Command):
    """Let no time fire until it is resumed."""

    reason: str


class ResumeSchedule(Command):
    """Go on with the times after `after_us`."""

    after_us: int
    reason: str


class ScheduleBegun(Event):
    """The schedule is new to the log."""

    event_type = "schedule.begun"

    after_us: int


class ScheduleFired(Event, omit_defaults=True):
    """The command for a time was submitted, or could not be (`error`); `skipped` earlier times were passed over."""

    event_type = "schedule.fired"

    due_us: int
    skipped: int = 0
    error: str = ""


class ScheduleSkipped(Event):
    """Times up to `due_us` were passed over, because they were missed."""

    event_type = "schedule.skipped"

    due_us: int
    skipped: int


class SchedulePaused(Event):
    """An operator paused the schedule."""

    event_type = "schedule.paused"

    reason: str


class ScheduleResumed(Event):
    """An operator resumed the schedule; the times in between do not fire."""

    event_type = "schedule.resumed"

    after_us: int
    reason: str


class ScheduleStream(Aggregate):
    """A schedule's progress: everything up to `done_us` has fired or was skipped."""

    stream_type = SCHEDULE

    begun: bool = False
    done_us: int = 0
    fired_us: int = 0
    paused: bool = False
    reason: str = ""
    error: str = ""

    @decide
    def begin(self, command: BeginSchedule) -> ScheduleBegun | None:
        return None if self.begun else ScheduleBegun(command.after_us)

    @decide
    def fire(self, command: FireSchedule) -> ScheduleFired | None:
        if self.paused or command.due_us <= self.done_us:
            return None
        return ScheduleFired(command.due_us, command.skipped, command.error)

    @decide
    def skip(self, command: SkipTimes) -> ScheduleSkipped | None:
        if self.paused or command.due_us <= self.done_us:
            return None
        return ScheduleSkipped(command.due_us, command.skipped)

    @decide
    def pause(self, command: PauseSchedule) -> SchedulePaused | None:
        return None if self.paused else SchedulePaused(command.reason)

    @decide
    def resume(self, command: ResumeSchedule) -> ScheduleResumed | None:
        return ScheduleResumed(command.after_us, command.reason) if self.paused else None

    @evolve
    def has_begun(self, event: ScheduleBegun) -> None:
        self.begun, self.done_us = True, event.after_us

    @evolve
    def has_fired(self, event: ScheduleFired) -> None:
        self.done_us = self.fired_us = event.due_us
        self.error = event.error

    @evolve
    def has_skipped(self, event: ScheduleSkipped) -> None:
        self.done_us = event.due_us

    @evolve
    def was_paused(self, event: SchedulePaused) -> None:
        self.paused, self.reason = True, event.reason

    @evolve
    def was_resumed(self, event: ScheduleResumed) -> None:
        self.paused, self.reason = False, ""
        self.done_us = max(self.done_us, event.after_us)
