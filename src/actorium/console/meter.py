"""`Meter`: an instrument that measures how long commits take, for a console's charts."""

from __future__ import annotations

from collections import deque
from statistics import median

from actorium.runtime.instrument import Instrument, ObservedBatch

COMMITS_KEPT = 1_000


class Meter(Instrument):
    """Measures commits: `Runtime(…, instruments=[meter])` and `Console(runtime, meter=meter)`."""

    def __init__(self) -> None:
        self._took_s: deque[float] = deque(maxlen=COMMITS_KEPT)

    def batch_committed(self, batch: ObservedBatch) -> None:
        """Keep the duration of a commit."""
        self._took_s.append(batch.took_s)

    def take(self) -> tuple[float, float] | None:
        """Return the median and the longest duration since the last call, in seconds; None if there was no commit."""
        if not self._took_s:
            return None
        took_s = sorted(self._took_s)
        self._took_s.clear()
        return median(took_s), took_s[-1]
