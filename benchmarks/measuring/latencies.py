"""`Latencies`: the durations of many operations, recorded so that the slowest ones stay visible."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Self

from hdrh.histogram import HdrHistogram  # type: ignore[import-untyped]

_LOWEST_US = 1
_HIGHEST_US = 600_000_000
_DIGITS = 3

# Each further point is ten times closer to 100 %.
CURVE = (0.0, 25.0, 50.0, 75.0, 90.0, 95.0, 99.0, 99.5, 99.9, 99.95, 99.99)


class Latencies:
    """Durations from 1 µs to 10 minutes, recorded with three significant digits, in constant memory."""

    def __init__(self, histogram: Any = None) -> None:
        self._histogram: Any = HdrHistogram(_LOWEST_US, _HIGHEST_US, _DIGITS) if histogram is None else histogram

    @classmethod
    def of(cls, durations_s: Iterable[float]) -> Self:
        """Return the latencies of these durations; one beyond the range counts as its end."""
        latencies = cls()
        record = latencies._histogram.record_value
        for duration_s in durations_s:
            record(min(max(round(duration_s * 1e6), _LOWEST_US), _HIGHEST_US))
        return latencies

    @classmethod
    def decoded(cls, encoded: Iterable[str]) -> Self:
        """Return the latencies of several runs as one."""
        latencies = cls()
        for one in encoded:
            if one:
                latencies._histogram.add(HdrHistogram.decode(one))
        return latencies

    def encoded(self) -> str:
        """Return them as text, or "" if there are none."""
        return self._histogram.encode().decode() if self.count else ""

    @property
    def count(self) -> int:
        """The number of durations."""
        return int(self._histogram.get_total_count())

    def at_ms(self, percentile: float) -> float:
        """Return the duration that this percentage of them does not exceed, in milliseconds."""
        return float(self._histogram.get_value_at_percentile(percentile)) / 1e3

    def figures(self) -> dict[str, float]:
        """Return the median, the 99th and 99.9th percentile, and the maximum."""
        if not self.count:
            return {}
        worst_ms = float(self._histogram.get_max_value()) / 1e3
        return {
            "p50_ms": self.at_ms(50),
            "p99_ms": self.at_ms(99),
            "p99_9_ms": self.at_ms(99.9),
            "max_ms": worst_ms,
        }

    def curve(self) -> list[tuple[float, float]]:
        """Return points of percentile and milliseconds, up to the highest percentile with enough data."""
        return [(at, self.at_ms(at)) for at in CURVE if self.count * (100 - at) >= 100]
