"""How much memory this process holds."""

from __future__ import annotations

import gc

import psutil


def resident_mb() -> float:
    """Return the resident size of this process now, in MB."""
    gc.collect()
    return psutil.Process().memory_info().rss / 1e6
