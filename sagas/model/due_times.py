"""Due times: limits for new ones, and a way to read those that were recorded before there were limits."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from actorium.runtime.arguments import SECONDS_MAX
from actorium.sagas.model.events import StepIssued
from actorium.sagas.model.submissions import CommandSubmitted
from actorium.store.errors import ConfigurationError, InvalidCommand
from actorium.store.events import Event

LATEST_US = 253_402_300_799_000_000
"""The last second of the year 9999, in microseconds since the epoch; `datetime` cannot represent later times."""
_YEARS = SECONDS_MAX // 86_400 // 366


def due_at_us(now_us: int, at: datetime | None, after_s: float | None) -> int:
    """Return when a command is due, in microseconds since the epoch; 0 for immediately.

    now_us: the current time.
    at: an aware datetime; a past one means immediately.
    after_s: seconds from now.

    Raises ConfigurationError if both are given, and InvalidCommand for any other value or more than a hundred years.
    """
    if at is not None and after_s is not None:
        raise ConfigurationError("submit(…): give at= or after_s=, not both")
    if at is not None:
        return _us_of(at, now_us)
    if after_s is None:
        return 0
    return max(0, now_us + _us_in(after_s))


def _us_in(seconds: Any) -> int:
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not abs(seconds) <= SECONDS_MAX:
        raise InvalidCommand(f"submit(…, after_s={seconds!r}): must be a number of seconds, at most {SECONDS_MAX}")
    return round(seconds * 1_000_000)


def _us_of(at: Any, now_us: int) -> int:
    if not isinstance(at, datetime) or at.tzinfo is None:
        raise InvalidCommand(f"submit(…, at={at!r}) has no time zone: give an aware datetime")
    try:
        us = round(at.timestamp() * 1_000_000)
    except OverflowError:  # in UTC it is outside the calendar
        us = LATEST_US if at.year > 1 else 0
    if us > now_us + SECONDS_MAX * 1_000_000:
        raise InvalidCommand(f"submit(…, at={at!r}): must be at most {_YEARS} years from now")
    return max(0, us)


def within_calendar(due_us: int) -> int:
    """Return a due time that can be stored; one recorded before there were limits may be any number."""
    return min(max(0, due_us), LATEST_US)


def recorded_due_us(event: Event) -> int:
    """Return the due time that an event recorded; 0 if it has none."""
    if isinstance(event, CommandSubmitted):
        return event.due_us
    return event.deadline_us if isinstance(event, StepIssued) else 0
