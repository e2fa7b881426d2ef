"""What live actors cost: `python -m benchmarks.memory --live 1000000`, or `--distinct 1000000 --max-live 10000`.

`--live N` sends one command to each of N accounts with passivation off, and prints the resident size; with N up to
100,000 also the traced bytes of one idle actor beside its own state. `--distinct N` does the same with a limit of live
actors, and prints the resident size at each tenth of the way: it has to stay flat.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import logging
import os
import sys
import tempfile
import time
import tracemalloc
from pathlib import Path

import structlog

from actorium import Passivation, Runtime, Settings
from actorium.benchmarks.account import Account, Deposit

_TRACED_MAX = 100_000  # tracing makes everything several times slower
_AT_ONCE = 1_000


def resident_mb() -> float:
    """Return the resident size of this process in MB."""
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


async def run(url: str, count: int, max_live: int | None) -> dict[str, object]:
    """Send one command to each of `count` accounts; return what it cost."""
    settings = Settings(passivation=Passivation(idle_s=None, max_live=max_live))
    async with Runtime([Account], store=url, settings=settings) as runtime:
        await _send(runtime, -_AT_ONCE, 0)  # warms caches and pools that do not grow with the accounts
        before = resident_mb()
        traced = max_live is None and count <= _TRACED_MAX
        if traced:
            tracemalloc.start()
        began = time.perf_counter()
        sizes = []
        step = max(_AT_ONCE, count // 10)
        for first in range(0, count, step):
            await _send(runtime, first, min(first + step, count))
            sizes.append(round(resident_mb() - before, 1))
        figures: dict[str, object] = {
            "actors": runtime.statistics().live_actors,
            "commands_per_s": round(count / (time.perf_counter() - began)),
            "resident_mb_at_tenths": sizes,
            "resident_bytes_per_live_actor": round(sizes[-1] * 1e6 / runtime.statistics().live_actors),
        }
        if traced:
            gc.collect()
            kept = tracemalloc.take_snapshot().statistics("filename")
            tracemalloc.stop()
            # The registry makes the actor, its entry in the table and its place in the round. The state and its id are
            # the user's; the store's caches are bounded by themselves.
            own = sum(one.size for one in kept if one.traceback[0].filename.endswith("runtime/registry.py"))
            figures["traced_bytes_per_actor_beside_state"] = round(own / count)
        return figures


async def _send(runtime: Runtime, first: int, end: int) -> None:
    for start in range(first, end, _AT_ONCE):
        numbers = range(start, min(start + _AT_ONCE, end))
        await asyncio.gather(*(runtime.send(Deposit(f"account-{number}", 1)) for number in numbers))


def main() -> None:
    """Run once and print one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--live", type=int, default=0)
    parser.add_argument("--distinct", type=int, default=0)
    parser.add_argument("--max-live", type=int, default=10_000)
    args = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    with tempfile.TemporaryDirectory(prefix="actorium-bench-") as folder:
        url = f"sqlite:///{Path(folder) / 'bench.db'}?synchronous=NORMAL"
        count, max_live = (args.live, None) if args.live else (args.distinct or 1_000_000, args.max_live)
        figures = asyncio.run(run(url, count, max_live))
    sys.stdout.write(json.dumps({"settings": vars(args), **figures}) + "\n")


if __name__ == "__main__":
    main()
