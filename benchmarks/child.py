"""One run in a process of its own: `python -m actorium.benchmarks.child JOB`, where JOB is a file that holds a `Job`.

The outcome goes into a file beside it, so that nothing a scenario prints can mix with it.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path

import msgspec

from actorium.benchmarks.catalog import BY_NAME
from actorium.benchmarks.measuring.latencies import Latencies
from actorium.benchmarks.measuring.quiet import be_quiet
from actorium.benchmarks.scenario import Bench, Figures, StoreName, Wrong

OUTCOME = "outcome.json"
PROFILE = "profile.html"


class Job(msgspec.Struct, frozen=True):
    """Which run to make. `shared` is a folder that outlives it; with `profile` a call tree is written beside it.

    limit_s: after this long it is ended, and wrong.
    """

    scenario: str
    store: StoreName
    sizes: dict[str, float]
    shared: str
    seed: int
    profile: bool = False
    limit_s: float = 600.0


class JobOutcome(msgspec.Struct, frozen=True):
    """What a run came to: figures with the latencies behind them (an encoded histogram), or why they do not count."""

    figures: Figures = {}
    latencies: str = ""
    durability: str = ""
    wrong: str = ""


def carry_out(job: Job, folder: Path) -> JobOutcome:
    """Make the run; its files lie in a folder of its own."""
    profiler = None
    if job.profile:
        from pyinstrument import Profiler

        profiler = Profiler(async_mode="disabled")  # the tree of the loop, not of one task
    bench = Bench(job.store, job.sizes, folder, Path(job.shared), seed=job.seed, profile=profiler)
    try:
        figures = asyncio.run(_measure(job, bench))
    except Wrong as wrong:
        return JobOutcome(wrong=str(wrong))
    latencies = Latencies.of(bench.latencies_s)
    if profiler is not None:
        (folder / PROFILE).write_text(profiler.output_html(), encoding="utf-8")
    return JobOutcome({**figures, **latencies.figures()}, latencies.encoded(), bench.durability)


async def _measure(job: Job, bench: Bench) -> Figures:
    return await BY_NAME[job.scenario].measure(bench)


def main(path: str) -> None:
    """Read the job, make the run, write the outcome."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the suite decides
    be_quiet()
    job = msgspec.json.decode(Path(path).read_bytes(), type=Job)
    folder = Path(path).parent
    (folder / OUTCOME).write_bytes(msgspec.json.encode(carry_out(job, folder)))


if __name__ == "__main__":
    main(sys.argv[1])
