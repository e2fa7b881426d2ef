"""The caption of figures: the machine, and warnings that a reader needs first."""

from __future__ import annotations

from actorium.benchmarks.catalog import BY_NAME
from actorium.benchmarks.report import BenchmarkReport, Environment
from actorium.benchmarks.reports.words import number


def describe(environment: Environment) -> str:
    """Return a description of the machine in two lines."""
    packages = ", ".join(f"{name} {version}" for name, version in environment.packages.items())
    return (
        f"{environment.cpu}, {environment.cores} cores, {environment.memory_gb} GB, {environment.system}, "
        f"{environment.python}, SQLite {environment.sqlite}\n"
        f"{packages}; databases on {environment.folder_file_system or 'an unknown file system'}, "
        f"a flush takes {number(environment.flush_ms)} ms; load average at the start {environment.load_average}"
    )


def in_short(report: BenchmarkReport) -> str:
    """Return the machine and the date in one line: they determine most of the figures."""
    environment = report.environment
    place = environment.folder_file_system or "an unknown file system"
    how = ", with --quick" if report.quick else ""
    return (
        f"{environment.cpu}, {environment.cores} cores; {environment.python}; databases on {place}, "
        f"where a flush takes {number(environment.flush_ms)} ms; measured {report.began[:10]}{how}"
    )


def when(report: BenchmarkReport) -> str:
    """Return when the measurement took place, and how many rounds it had."""
    runs = [len(result.runs) for result in report.results if result.runs] or [0]
    least = f"{min(runs)} to " if min(runs) < max(runs) else ""
    rounds = f"{least}{max(runs)} interleaved round{'s' if max(runs) != 1 else ''}"
    how = "; --quick: small sizes" if report.quick else ""
    return f"{report.began}; {rounds}, each run in a separate process{how}"


def peers_missing(report: BenchmarkReport) -> list[str]:
    """Return why results of peers are missing, one line each."""
    peers = {name for name, scenario in BY_NAME.items() if scenario.needs}
    return list(dict.fromkeys(one.why for one in report.not_run if one.scenario in peers))


def warnings(report: BenchmarkReport) -> list[str]:
    """Return the warnings that a reader of the figures needs first."""
    found = []
    if not report.environment.is_durable_place:
        found.append(
            "the databases are in memory (tmpfs), so durable figures mean nothing: "
            "name a folder on a disk with --folder"
        )
    if report.environment.load_average > report.environment.cores / 2:
        found.append("other programs were busy at the start: expect wide spreads")
    if report.disturbed:
        found.append("another `actorium bench` ran at the same time, and the two disturbed each other: measure again")
    if report.interrupted:
        found.append("stopped early: these are the figures so far")
    return found
