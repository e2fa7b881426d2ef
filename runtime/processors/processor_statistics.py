"""`ProcessorStatistics`: how a processor stands."""

from __future__ import annotations

import msgspec


class ProcessorStatistics(msgspec.Struct, frozen=True, kw_only=True):
    """How a processor stands.

    state: "starting", "running", "paused", "waiting" (for the store, or for the sink of an outlet), "full" (`parked` is
        at its limit), "failed" or "stopped"; `error` says why. "failed": its own code raised, and it tries again; or a
        handler of a projection with `on_failure = "stop"` did, and it waits for `resume`.
    position: everything up to here is over. lag_events: how much longer the log is. lag_s: how old the first event is
    that is not over. handled: events gone through since the start. parked: streams that wait behind a dead letter.
    """

    name: str
    state: str
    position: int
    lag_events: int
    lag_s: float
    handled: int
    parked: int
    error: str
