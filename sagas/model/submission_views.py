"""`SubmissionView`: a submitted command as the API returns it."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

import msgspec

from actorium.sagas.model.due_times import within_calendar
from actorium.sagas.model.submissions import (
    CommandSubmitted,
    SubmissionCancelled,
    SubmissionConcluded,
    SubmissionHastened,
)
from actorium.store.events import Event, RecordedEvent, utc_of

WAITING, DONE, FAILED, CANCELLED = "waiting", "done", "failed", "cancelled"
SUBMISSION_STATUSES = (WAITING, DONE, FAILED, CANCELLED)


class SubmissionView(msgspec.Struct, frozen=True, kw_only=True):
    """A submitted command: its status, its times and its outcome.

    command_id: the id under which it is sent.
    command_type: the stable name of its type.
    status: "waiting" until its outcome is known, then "done", "failed" (rejected or impossible) or "cancelled".
    reason: why it failed or was cancelled; otherwise empty.
    due_at: when it is due; None for immediately.
    submitted_at: when it was accepted.
    ended_at: when its outcome was recorded; None while it waits.
    """

    command_id: str
    command_type: str
    status: str
    reason: str
    due_at: datetime | None
    submitted_at: datetime
    ended_at: datetime | None


def submission_view(
    id: str, type: str, status: str, reason: str, due_us: int, submitted_us: int, ended_us: int
) -> SubmissionView:
    """Return a view of the stored values; times are in microseconds since the epoch, 0 for none."""
    return SubmissionView(
        command_id=id,
        command_type=type,
        status=status,
        reason=reason,
        due_at=_time(due_us),
        submitted_at=utc_of(submitted_us),
        ended_at=_time(ended_us),
    )


def view_of(id: str, history: Iterable[RecordedEvent[Event]]) -> SubmissionView | None:
    """Return a view of the events of a submission; None if there are none."""
    view: SubmissionView | None = None
    for recorded in history:
        event = recorded.event
        if isinstance(event, CommandSubmitted):
            view = submission_view(
                id, event.command.type, WAITING, "", within_calendar(event.due_us), recorded.recorded_us, 0
            )
        elif view is not None and isinstance(event, SubmissionHastened):
            view = msgspec.structs.replace(view, due_at=_time(event.due_us))
        elif view is not None and isinstance(event, SubmissionCancelled | SubmissionConcluded):
            status, reason = outcome_of(event)
            view = msgspec.structs.replace(view, status=status, reason=reason, ended_at=_time(recorded.recorded_us))
    return view


def outcome_of(event: SubmissionCancelled | SubmissionConcluded) -> tuple[str, str]:
    """Return the status in which an event ends a submission, and the reason."""
    if isinstance(event, SubmissionCancelled):
        return CANCELLED, event.reason
    return (FAILED, event.error) if event.error else (DONE, "")


def _time(us: int) -> datetime | None:
    return utc_of(us) if us else None
