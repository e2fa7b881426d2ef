"""Benchmark reports made without a measurement."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from actorium.benchmarks.measuring.latencies import Latencies
from actorium.benchmarks.report import BenchmarkReport, Environment, NotRun, Result, Run, encoded
from actorium.benchmarks.scenario import OURS, StoreName

ENVIRONMENT = Environment(
    cpu="Abacus 9",
    cores=4,
    memory_gb=16.0,
    system="Linux 6.1 x86_64",
    python="CPython 3.11.7",
    sqlite="3.40.1",
    packages={"actorium": "0.1.0"},
    folder_file_system="ext4",
    flush_ms=0.5,
    load_average=0.1,
)

_LATENCIES = Latencies.of(n / 1_000 for n in range(1, 1_001))
_ENCODED, _FIGURES = _LATENCIES.encoded(), _LATENCIES.figures()


def result(
    values: Sequence[float],
    scenario: str = "100-callers",
    store: StoreName = "full",
    *,
    figure: str = "commands_per_s",
    subject: str = OURS,
    sizes: Mapping[str, float] = {"callers": 100.0},
    failures: Sequence[str] = (),
    **others: float,
) -> Result:
    """Return the result of one run for each value."""
    return Result(
        scenario=scenario,
        store=store,
        subject=subject,
        headline=figure,
        sizes=dict(sizes),
        durability="synchronous=FULL",
        runs=[Run({**_FIGURES, **others, figure: value}, _ENCODED) for value in values],
        failures=list(failures),
    )


def save(report: BenchmarkReport, path: Path) -> None:
    """Write a report as the command does."""
    path.write_text(encoded(report), encoding="utf-8")


def report(*results: Result, not_run: Sequence[NotRun] = (), environment: Environment = ENVIRONMENT) -> BenchmarkReport:
    """Return the report of these results."""
    return BenchmarkReport(
        began="2026-11-22T20:00:00+00:00",
        quick=False,
        rounds=max((len(result.runs) for result in results), default=0),
        environment=environment,
        results=list(results),
        not_run=list(not_run),
    )
