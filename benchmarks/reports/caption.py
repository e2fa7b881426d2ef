"""What has to stand beside figures: the machine, and what a reader has to know first."""

from __future__ import annotations

from actorium.benchmarks.catalog import BY_NAME
from actorium.benchmarks.report import BenchmarkReport, Environment
from actorium.benchmarks.reports.words import number


def describe(environment: Environment) -> str:
    """Return the machine in two lines."""
    packages = ", ".join(f"{name} {version}" for name, version in environment.packages.items())
    return (
        f"{environment.cpu}, {environment.cores} cores, {environment.memory_gb} GB, {environment.system}, "
        f"{environment.python}, SQLite {environment.sqlite}\n"
        f"{packages}; databases on {environment.folder_file_system or 'an unknown file system'}, "
        f"a flush takes {number(environment.flush_ms)} ms; load average at the start {environment.load_average}"
    )


def in_short(report: BenchmarkReport) -> str:
    """Return the machine and the day in one line: what decides most of the figures."""
    environment = report.environment
    place = environment.folder_file_system or "an unknown file system"
    how = ", a first look (--quick)" if report.quick else ""
    return (
        f"{environment.cpu}, {environment.cores} cores; {environment.python}; databases on {place}, "
        f"where a flush takes {number(environment.flush_ms)} ms; measured {report.began[:10]}{how}"
    )


def when(report: BenchmarkReport) -> str:
    """Return when it was measured, and how often each."""
    runs = [len(result.runs) for result in report.results if result.runs] or [0]
    least = f"{min(runs)} to " if min(runs) < max(runs) else ""
    rounds = f"{least}{max(runs)} interleaved round{'s' if max(runs) != 1 else ''}"
    how = "; --quick: small sizes, a first look" if report.quick else ""
    return f"{report.began}; {rounds}, each run a process of its own{how}"


def peers_missing(report: BenchmarkReport) -> list[str]:
    """Return why something that is not ours stands nowhere, one line each."""
    peers = {name for name, scenario in BY_NAME.items() if scenario.needs}
    return list(dict.fromkeys(one.why for one in report.not_run if one.scenario in peers))


def warnings(report: BenchmarkReport) -> list[str]:
    """Return what a reader of the figures has to know first."""
    found = []
    if not report.environment.is_durable_place:
        found.append(
            "the databases lie in memory (tmpfs): durable figures mean nothing; name a folder on a disk with --folder"
        )
    if report.environment.load_average > report.environment.cores / 2:
        found.append("other programs were busy when this began: expect wide spreads")
    if report.disturbed:
        found.append("another `actorium bench` measured at the same time: each disturbs the other, measure again")
    if report.interrupted:
        found.append("stopped from outside: these are the figures up to then")
    return found
