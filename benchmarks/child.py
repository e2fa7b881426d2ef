"""One run in a separate process: `python -m actorium.benchmarks.child JOB`, where JOB is a file that contains a `Job`.

The outcome is written to a file beside it, so that output of a scenario cannot mix with it.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path

import msgspec

from actorium.benchmarks.catalog import BY_NAME
from actorium.benchmarks.databases import ServerPlace
from actorium.benchmarks.measuring.latencies import Latencies
from actorium.benchmarks.measuring.quiet import be_quiet
from actorium.benchmarks.scenario import Bench, Figures, StoreName, Wrong

OUTCOME = "outcome.json"
PROFILE = "profile.html"


class Job(msgspec.Struct, frozen=True):
    """The run to make.

    shared: a folder that outlives the run.
    profile: write a call tree beside the outcome.
    limit_s: the run is stopped after this time and counts as wrong.
    server: the PostgreSQL server, if the store is on one.
    """

    scenario: str
    store: StoreName
    sizes: dict[str, float]
    shared: str
    seed: int
    profile: bool = False
    limit_s: float = 600.0
    server: ServerPlace | None = None


class JobOutcome(msgspec.Struct, frozen=True):
    """The outcome of a run: figures and their latencies (an encoded histogram), or why they do not count."""

    figures: Figures = {}
    latencies: str = ""
    durability: str = ""
    wrong: str = ""


def carry_out(job: Job, folder: Path) -> JobOutcome:
    """Make the run; its files are in a separate folder."""
    profiler = None
    if job.profile:
        from pyinstrument import Profiler

        profiler = Profiler(async_mode="disabled")  # the call tree of the loop, not of one task
    bench = Bench(job.store, job.sizes, folder, Path(job.shared), seed=job.seed, profile=profiler, server=job.server)
    try:
        figures = asyncio.run(_measure(job, bench))
    except Wrong as wrong:
        return JobOutcome(wrong=str(wrong))
    latencies = Latencies.of(bench.latencies_s)
    if profiler is not None:
        (folder / PROFILE).write_text(profiler.output_html(), encoding="utf-8")
    if bench.server_cpu_s:
        figures["server_cpu_s"] = bench.server_cpu_s
    return JobOutcome({**figures, **latencies.figures()}, latencies.encoded(), bench.durability)


async def _measure(job: Job, bench: Bench) -> Figures:
    await bench.prepare()
    return await BY_NAME[job.scenario].measure(bench)


def main(path: str) -> None:
    """Read the job, make the run, write the outcome."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole process group; the suite decides
    be_quiet()
    job = msgspec.json.decode(Path(path).read_bytes(), type=Job)
    folder = Path(path).parent
    (folder / OUTCOME).write_bytes(msgspec.json.encode(carry_out(job, folder)))


if __name__ == "__main__":
    main(sys.argv[1])
