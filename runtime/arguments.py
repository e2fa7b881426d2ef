"""Checks of call arguments. They run first, so that a wrong value neither waits forever nor fails later."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from actorium.store.errors import ConfigurationError, InvalidCommand
from actorium.store.events import Event

SECONDS_MAX = 100 * 366 * 86_400
"""A hundred years. A larger value was probably meant in another unit, and the log stores microseconds in 63 bits."""


def is_seconds(value: object) -> bool:
    """Return whether a value is a valid time to wait: a number from 0 to SECONDS_MAX."""
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= SECONDS_MAX


def checked_timeout_s(timeout_s: float, what: str = "timeout_s") -> float:
    """Return a time to wait; raise ConfigurationError, naming `what`, for anything else."""
    if (type(timeout_s) is float and 0 <= timeout_s <= SECONDS_MAX) or is_seconds(timeout_s):  # no call: hot path
        return timeout_s
    raise ConfigurationError(f"{what}={timeout_s!r}: must be a number of seconds from 0 to {SECONDS_MAX}")


def checked_count(value: Any, what: str, means: str) -> int:
    """Return a version or a position; raise InvalidCommand, naming `what` and `means`, for anything else."""
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    raise InvalidCommand(f"{what}={value!r}: must be {means}")


def checked_event_classes(types: Any) -> frozenset[type[Event]] | None:
    """Return event classes; raise ConfigurationError for anything else, or for none, which would wait forever."""
    if types is None:
        return None
    if not isinstance(types, Collection) or isinstance(types, str | bytes) or not types:
        raise ConfigurationError(f"types={types!r}: give at least one event class, or leave it out for all events")
    for one in types:
        if not (isinstance(one, type) and issubclass(one, Event)):
            raise ConfigurationError(f"types=[…, {one!r}]: {one!r} is not an event class")
    return frozenset(types)
