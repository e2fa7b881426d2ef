"""`RecallWindow`: holds events back for a while before they are handed out, so that they can be recalled."""

from __future__ import annotations

import math

from actorium.runtime.arguments import is_seconds
from actorium.runtime.log.log_reader import Slice, Unread
from actorium.store.errors import ConfigurationError
from actorium.store.event_store import DeadLetter
from actorium.store.events import EncodedRecord
from actorium.store.source import Source


def checked_hold_s(hold_s: float, owner: str) -> float:
    """Return how long events are held back; raise ConfigurationError, naming the owner, for no number of seconds."""
    if not is_seconds(hold_s):
        raise ConfigurationError(f"{owner}: hold_s={hold_s!r} must be a number of seconds, 0 or more")
    return hold_s


class RecallWindow:
    """Decides which of the events that were read have waited for long enough."""

    def __init__(self, hold_s: float, source: Source) -> None:
        self._hold_us = math.ceil(hold_s * 1_000_000)
        self._source = source

    def due(self, found: Slice) -> tuple[Slice, float]:
        """Return the events before the first one that must wait, and for how many seconds that is; 0 if none must."""
        latest_us = self._source.now_us() - self._hold_us
        recorded_us = 0
        for index, delivered in enumerate(found.events):
            if isinstance(delivered, Unread):
                continue
            if delivered.recorded_us > latest_us:
                wait_s = (delivered.recorded_us - latest_us) / 1_000_000
                return Slice(found.events[:index], delivered.position - 1, recorded_us), wait_s
            recorded_us = delivered.recorded_us
        return found, 0.0


def recalled(processor: str, record: EncodedRecord, reason: str, now_us: int) -> DeadLetter:
    """Return the letter of an event that was recalled before it was handed out."""
    return DeadLetter(
        processor, record.stream, record.version, record.position, record.type, "recalled", "", 0, now_us, reason
    )
