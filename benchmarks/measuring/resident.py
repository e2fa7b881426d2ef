"""The memory used by this process."""

from __future__ import annotations

import gc

import psutil


def resident_mb() -> float:
    """Return the current resident size of this process, in MB."""
    gc.collect()
    return psutil.Process().memory_info().rss / 1e6
