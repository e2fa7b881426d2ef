"""`BenchmarkReport`: the results of a suite as versioned JSON: each run with its figures, and the scenarios that were
not run.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal

import msgspec

from actorium.benchmarks.scenario import Figures, StoreName

SCHEMA_VERSION = 1


class ReportUnreadable(Exception):
    """The file is not a report of this version; the message says what to do."""


class Environment(msgspec.Struct, frozen=True, kw_only=True):
    """The machine and its software. `flush_ms`: median time of a small write and its flush to the disk."""

    cpu: str
    cores: int
    memory_gb: float
    system: str
    python: str
    sqlite: str
    packages: dict[str, str]
    folder_file_system: str
    flush_ms: float
    load_average: float

    @property
    def is_durable_place(self) -> bool:
        """Whether the databases' folder survives a power cut."""
        return self.folder_file_system not in ("tmpfs", "ramfs")


class Run(msgspec.Struct, frozen=True):
    """One run: its figures, and the encoded histogram of its latencies (empty if there is none)."""

    figures: Figures
    latencies: str = ""


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """The runs of one scenario on one store, and their failures.

    headline: the main figure.
    subject: whose figures these are.
    """

    scenario: str
    store: StoreName
    subject: str
    headline: str
    sizes: dict[str, float]
    durability: str
    runs: list[Run]
    failures: list[str] = []

    @property
    def key(self) -> tuple[str, StoreName]:
        """Its identity in a report."""
        return self.scenario, self.store

    def values(self, figure: str) -> list[float]:
        """Return a figure of each run that has it."""
        return [run.figures[figure] for run in self.runs if figure in run.figures]

    def median(self, figure: str) -> float | None:
        """Return the median of a figure, or None if no run has it."""
        values = self.values(figure)
        return statistics.median(values) if values else None


class NotRun(msgspec.Struct, frozen=True):
    """A scenario that did not run, and why."""

    scenario: str
    store: StoreName
    why: str


class BenchmarkReport(msgspec.Struct, frozen=True, kw_only=True):
    """The whole report. `schema_version` rises when a reader of older reports would misunderstand a newer one.

    disturbed: another benchmark ran on the same machine at the same time.
    """

    schema_version: int = SCHEMA_VERSION
    kind: Literal["actorium benchmark report"] = "actorium benchmark report"
    began: str
    quick: bool
    rounds: int
    interrupted: bool = False
    disturbed: bool = False
    environment: Environment
    results: list[Result]
    not_run: list[NotRun] = []

    def find(self, scenario: str, store: StoreName) -> Result | None:
        """Return a result that has runs, or None."""
        return next((one for one in self.results if one.key == (scenario, store) and one.runs), None)

    def median(self, scenario: str, store: StoreName, figure: str) -> float | None:
        """Return the median of a figure, or None if it was not measured."""
        found = self.find(scenario, store)
        return None if found is None else found.median(figure)

    @property
    def failures(self) -> list[str]:
        """The failures, one line each."""
        return [
            f"{one.scenario} on {one.store}: {failure}"
            for one in self.results
            for failure in dict.fromkeys(one.failures)
        ]


def encoded(report: BenchmarkReport) -> str:
    """Return a report as readable JSON."""
    return msgspec.json.format(msgspec.json.encode(report), indent=1).decode() + "\n"


def load(path: Path) -> BenchmarkReport:
    """Return the report in a file; raise ReportUnreadable."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ReportUnreadable(f"cannot read {path}: {error.strerror}") from None
    try:
        version = msgspec.json.decode(data, type=_Version).schema_version
        if version != SCHEMA_VERSION:
            raise ReportUnreadable(
                f"{path} has schema version {version}, but this program reads {SCHEMA_VERSION}: measure again with it"
            )
        return msgspec.json.decode(data, type=BenchmarkReport)
    except msgspec.DecodeError as error:
        raise ReportUnreadable(f"{path} is not a report written by `actorium bench --json`: {error}") from None


class _Version(msgspec.Struct):
    schema_version: int


def merge(reports: Sequence[BenchmarkReport]) -> BenchmarkReport:
    """Merge several reports of one machine: the runs of the same scenario are combined.

    Raises ReportUnreadable if two reports measured the same scenario in different sizes.
    """
    first = reports[0]
    results: dict[tuple[str, StoreName], Result] = {}
    for result in (result for report in reports for result in report.results):
        known = results.get(result.key)
        if known is None:
            results[result.key] = result
        elif known.sizes != result.sizes:
            raise ReportUnreadable(
                f"{result.scenario} on {result.store} was measured in different sizes: give reports of the same sizes"
            )
        else:
            both = [*known.runs, *result.runs], [*known.failures, *result.failures]
            results[result.key] = msgspec.structs.replace(known, runs=both[0], failures=both[1])
    not_run = {(one.scenario, one.store): one for report in reports for one in report.not_run}
    return msgspec.structs.replace(
        first,
        rounds=max((len(one.runs) for one in results.values()), default=0),
        interrupted=any(report.interrupted for report in reports),
        disturbed=any(report.disturbed for report in reports),
        results=list(results.values()),
        not_run=_without(not_run.values(), results),
    )


def _without(not_run: Iterable[NotRun], measured: Iterable[tuple[str, StoreName]]) -> list[NotRun]:
    known = set(measured)
    return [one for one in not_run if (one.scenario, one.store) not in known]
