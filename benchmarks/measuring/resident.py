"""How much memory this process holds."""

from __future__ import annotations

import gc
import os
import resource
import sys
from pathlib import Path


def resident_mb() -> float:
    """Return the resident size of this process now, in MB; where the system does not tell, the most it ever was."""
    gc.collect()
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except OSError:
        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return most / 1e6 if sys.platform == "darwin" else most * 1024 / 1e6
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6
