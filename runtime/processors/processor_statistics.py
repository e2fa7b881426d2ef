"""`ProcessorStatistics`: the state of a processor."""

from __future__ import annotations

import msgspec

from actorium.runtime.log.event_reader import EndOfEvents


class ProcessorStatistics(msgspec.Struct, frozen=True, kw_only=True):
    """The state and progress of a processor.

    name: the name under which its checkpoint is saved.
    state: "starting", "running", "paused", "waiting" (for the store, or for the sink of an outlet), "full" (`parked`
        is at its limit), "failed" or "stopped". "failed" means that its own code raised, and it retries; or that a
        handler of a projection with `on_failure = "stop"` did, and it waits for `resume`.
    position: the position up to which every event has been handled, parked or held back.
    lag_events: the number of events between `position` and the end of the log.
    lag_s: the age in seconds of the first unfinished event.
    handled: events passed since the start.
    parked: streams that wait behind a dead letter.
    error: why it is in this state; empty while it runs normally.
    """

    name: str
    state: str
    position: int
    lag_events: int
    lag_s: float
    handled: int
    parked: int
    error: str


def lag_of(position: int, log_tail: EndOfEvents, searched_us: int, now_us: int) -> tuple[int, float]:
    """Return how many events a processor is behind, and the age in seconds of the first unfinished event.

    searched_us: when the last finished event was recorded, if it was seen.
    """
    lag_events = max(0, log_tail.position - position)
    since_us = (log_tail.recorded_us_after(position) or searched_us) if lag_events else 0
    lag_us = now_us - since_us if since_us else 0
    return lag_events, max(0, lag_us) / 1_000_000
