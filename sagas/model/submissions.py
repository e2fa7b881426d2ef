"""Durable commands: `runtime.submit(command, at=…)` accepts one in a commit; it takes effect once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from actorium.actors.aggregate import Aggregate, create, decide, evolve
from actorium.actors.commands import Command
from actorium.sagas.model.events import IssuedCommand
from actorium.store.events import Event

SUBMISSION = "actorium.submission"


class Submit(Command):
    """Accept a command; `to` is the command's own id."""

    command: IssuedCommand
    due_us: int
    headers: dict[str, str] = {}
    correlation_id: str = ""
    causation_id: str = ""


class Cancel(Command):
    """Cancel a waiting command."""

    reason: str


class Hasten(Command):
    """Make a waiting command due earlier, at `due_us` (microseconds since the epoch)."""

    due_us: int
    reason: str


class Conclude(Command):
    """Record how a submitted command ended."""

    error: str = ""
    details: Mapping[str, Any] = {}


class CommandSubmitted(Event):
    """A command was accepted; it is sent when it is due (microseconds since the epoch; 0: immediately)."""

    event_type = "command.submitted"

    command: IssuedCommand
    due_us: int
    headers: dict[str, str] = {}
    correlation_id: str = ""
    causation_id: str = ""


class SubmissionCancelled(Event):
    """A waiting command was cancelled before it was sent."""

    event_type = "command.cancelled"

    reason: str


class SubmissionHastened(Event):
    """A waiting command is due earlier than when it was submitted (microseconds since the epoch)."""

    event_type = "command.hastened"

    due_us: int
    reason: str


class SubmissionConcluded(Event):
    """A submitted command took effect, or failed for the reason in `error`."""

    event_type = "command.concluded"

    error: str
    details: Mapping[str, Any]


class Submission(Aggregate):
    """One submitted command: `status` is waiting, concluded or cancelled; `accepted` holds the submission."""

    stream_type = SUBMISSION

    status: str = ""
    accepted: CommandSubmitted | None = None
    due_us: int = 0
    error: str = ""

    @create
    def submit(self, command: Submit) -> CommandSubmitted:
        return CommandSubmitted(
            command.command, command.due_us, command.headers, command.correlation_id, command.causation_id
        )

    @decide
    def cancel(self, command: Cancel) -> SubmissionCancelled | None:
        return SubmissionCancelled(command.reason) if self.status == "waiting" else None

    @decide
    def hasten(self, command: Hasten) -> SubmissionHastened | None:
        if self.status != "waiting" or self.due_us <= command.due_us:
            return None
        return SubmissionHastened(command.due_us, command.reason)

    @decide
    def conclude(self, command: Conclude) -> SubmissionConcluded | None:
        return SubmissionConcluded(command.error, command.details) if self.status == "waiting" else None

    @evolve
    def submitted(self, event: CommandSubmitted) -> None:
        self.status, self.accepted, self.due_us = "waiting", event, event.due_us

    @evolve
    def hastened(self, event: SubmissionHastened) -> None:
        self.due_us = event.due_us

    @evolve
    def cancelled(self, event: SubmissionCancelled) -> None:
        self.status = "cancelled"

    @evolve
    def concluded(self, event: SubmissionConcluded) -> None:
        self.status, self.error = "concluded", event.error
