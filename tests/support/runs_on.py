"""The run of the suite on one store: which tests belong to it, and how many of them really used that store."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from support import postgres

from actorium.store.memory import MemoryStore
from actorium.store.postgresql import PostgreSQLStore
from actorium.store.sqlite import SQLiteStore

# Folders whose tests do not leave the store to this option, and why.
OUTSIDE = {
    "benchmarks": "measure each store under its name",
    "docs": "run the pages with the stores that they name",
    "pages": "test the site of the documentation",
    "project": "test the files of the project",
    "simulation": "have models of the stores, and store the memory of simulated runs",
    "store": "test each store, PostgreSQL too, in every run of the suite",
}
# A case of a test that has other cases, which run on whatever store is asked for.
ON_SQLITE = pytest.param("sqlite", marks=pytest.mark.about("sqlite", "the other cases run on PostgreSQL"))
_STORE = "store of the test"
_LEFT_OUT = "tests left out"
_left_out = pytest.StashKey[dict[str, int]]()
_POSTGRESQL, _SQLITE, _MEMORY, _NONE = "PostgreSQL", "SQLite", "a model in memory", "no store"


def leave_out_other_stores(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselect the tests that are about one store, and count them by their reasons."""
    outside = {item: why for item in items if (why := _why_outside(item))}
    config.hook.pytest_deselected(items=list(outside))
    items[:] = [item for item in items if item not in outside]
    config.stash[_left_out] = dict(Counter(outside.values()))
    if hasattr(config, "workeroutput"):  # one of several processes, each of which collects all tests
        config.workeroutput[_LEFT_OUT] = config.stash[_left_out]


def take_counts(config: pytest.Config, worker_output: dict[str, Any]) -> None:
    """Take the counts from one of several test processes."""
    config.stash[_left_out] = worker_output.get(_LEFT_OUT, {})


def _why_outside(item: pytest.Item) -> str:
    for about in item.iter_markers("about"):
        store, why = about.args
        return f"about {store}: {why}"
    folder = item.nodeid.split("/")[1:2]
    return f"tests/{folder[0]}: {OUTSIDE[folder[0]]}" if folder and folder[0] in OUTSIDE else ""


@contextmanager
def store_noted(item: pytest.Item) -> Iterator[None]:
    """Note in the report of a test which store it opened; PostgreSQL counts if it opened several."""
    opened: set[str] = {_NONE}
    made = postgres.made[0]
    with pytest.MonkeyPatch.context() as patch:
        for of, name, store in (
            (PostgreSQLStore, "_open_with", _POSTGRESQL),
            (SQLiteStore, "open", _SQLITE),
            (MemoryStore, "open", _MEMORY),
        ):
            patch.setattr(of, name, _noting(getattr(of, name), opened, store))
        yield
    shares_log = "module_log_url" in getattr(item, "fixturenames", ())
    if postgres.made[0] > made or shares_log:  # opened in another process, or by a fixture of the module
        opened.add(_POSTGRESQL)
    item.user_properties.append(
        (_STORE, next(store for store in (_POSTGRESQL, _SQLITE, _MEMORY, _NONE) if store in opened))
    )


def _noting(open_it: Any, opened: set[str], store: str) -> Any:
    async def noted(*arguments: Any, **options: Any) -> None:
        opened.add(store)
        await open_it(*arguments, **options)

    return noted


def say_how_many(reporter: pytest.TerminalReporter) -> None:
    """Print how many tests used each store, which of them used SQLite, and how many were left out and why."""
    ends = [
        report for reports in reporter.stats.values() for report in reports if getattr(report, "when", "") == "teardown"
    ]
    counts = Counter(value for report in ends for name, value in report.user_properties if name == _STORE)
    reporter.write_line(
        "Tests by the store that they opened: " + ", ".join(f"{store} {n}" for store, n in counts.most_common())
    )
    for report in ends:
        if (_STORE, _SQLITE) in report.user_properties:
            reporter.write_line(f"on SQLite: {report.nodeid}")
    left_out = reporter.config.stash.get(_left_out, {})
    reporter.write_line(f"Tests left out: {sum(left_out.values())}")
    for why, count in sorted(left_out.items()):
        reporter.write_line(f"{count:5} {why}")
