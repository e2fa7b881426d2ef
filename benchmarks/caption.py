"""What has to stand beside figures: the machine, and what a reader has to know first."""

from __future__ import annotations

from actorium.benchmarks.report import Environment, Report
from actorium.benchmarks.words import number


def describe(environment: Environment) -> str:
    """Return the machine in two lines."""
    packages = ", ".join(f"{name} {version}" for name, version in environment.packages.items())
    return (
        f"{environment.cpu}, {environment.cores} cores, {environment.memory_gb} GB, {environment.system}, "
        f"{environment.python}, SQLite {environment.sqlite}\n"
        f"{packages}; databases on {environment.folder_file_system or 'an unknown file system'}, "
        f"a flush takes {number(environment.flush_ms)} ms; load average at the start {environment.load_average}"
    )


def warnings(report: Report) -> list[str]:
    """Return what a reader of the figures has to know first."""
    found = []
    if not report.environment.is_durable_place:
        found.append(
            "the databases lie in memory (tmpfs): durable figures mean nothing; name a folder on a disk with --folder"
        )
    if report.environment.load_average > report.environment.cores / 2:
        found.append("other programs were busy when this began: expect wide spreads")
    if report.interrupted:
        found.append("stopped from outside: these are the figures up to then")
    return found
